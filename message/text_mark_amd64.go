package message

// marks has a bit for each byte of s, the lowest for the first, set if it is
// . : or [ and does not stand before a space or a control character in s, as
// most of them do. It wants 16 to 64 bytes.
//
//go:noescape
func marks(s string) uint64
