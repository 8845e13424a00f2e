package message

// Eight bytes at a time, each in a byte of a word.
const (
	each     = 0x0101010101010101
	eachHigh = 0x80 * each
)

// load8 reads eight bytes of s; the compiler makes one load of it.
func load8(s string, i int) uint64 {
	s = s[i : i+8]
	return uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 |
		uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56
}

// zeros has the high bit of each byte set that is zero in w. A byte of one
// above such a byte may be set as well, so whoever uses it looks again. Bytes
// of 0x80 and more are never set.
func zeros(w uint64) uint64 { return (w - each) &^ w }

// signBytes marks the bytes of w that may be the sign of a link: . : [ ( and,
// for being one bit away from these, * > {, none of which is frequent in text.
func signBytes(w uint64) uint64 {
	const (
		dotColon = 0x14 // '.' and ':' are 0x2e and 0x3a
		square   = 0x20 // '[' and '{' are 0x5b and 0x7b
	)
	return (zeros(w|dotColon*each^(dotColon|'.')*each) |
		zeros(w|square*each^(square|'[')*each) |
		zeros(w^'('*each)) & eachHigh
}

// allASCII reports whether no byte of s is 0x80 or more.
func allASCII(s string) bool {
	i := 0
	for ; i+16 <= len(s); i += 16 {
		if (load8(s, i)|load8(s, i+8))&eachHigh != 0 {
			return false
		}
	}
	for ; i < len(s); i++ {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}
