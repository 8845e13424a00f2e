package message

// marks has a bit for each byte of s, the lowest for the first, set if it is
// . : or [. It wants 16 to 64 bytes.
//
//go:noescape
func marks(s string) uint64
