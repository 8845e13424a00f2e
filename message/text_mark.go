package message

// marksOf is marks in Go, eight bytes at a time, and for fewer bytes: for other
// machines, for the shortest texts, and for the test.
func marksOf(s string) (marks uint64) {
	i := len(s)
	for ; i >= 8; i -= 8 {
		w := load8(s, i-8)
		b := (exactZeros(w^'.'*each) | exactZeros(w^':'*each) | exactZeros(w^'['*each)) >> 7
		// The multiplication gathers the lowest bits of the bytes in the highest byte.
		marks = marks<<8 | b*0x0102040810204080>>56
	}
	for i--; i >= 0; i-- {
		marks <<= 1
		if c := s[i]; c == '.' || c == ':' || c == '[' {
			marks |= 1
		}
	}
	return marks
}

// exactZeros has the high bit of each byte set that is zero in w.
func exactZeros(w uint64) uint64 {
	return ^((w&^eachHigh + (eachHigh - each)) | w) & eachHigh
}
