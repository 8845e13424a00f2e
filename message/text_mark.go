package message

// marksOf is marks in Go, eight bytes at a time, and for fewer bytes: for other
// machines, for the shortest texts, and for the test.
func marksOf(s string) uint64 {
	var marked, spaces uint64
	i := len(s)
	for ; i >= 8; i -= 8 {
		w := load8(s, i-8)
		marked = marked<<8 | highBits(exactZeros(w^'.'*each)|exactZeros(w^':'*each)|exactZeros(w^'['*each))
		spaces = spaces<<8 | highBits(^(w&^eachHigh+(0x7f-' ')*each|w)&eachHigh)
	}
	for i--; i >= 0; i-- {
		marked, spaces = marked<<1, spaces<<1
		switch c := s[i]; {
		case c == '.' || c == ':' || c == '[':
			marked |= 1
		case c <= ' ':
			spaces |= 1
		}
	}
	return marked &^ (spaces >> 1)
}

// exactZeros has the high bit of each byte set that is zero in w.
func exactZeros(w uint64) uint64 {
	return ^((w&^eachHigh + (eachHigh - each)) | w) & eachHigh
}

// highBits gathers the high bits of the bytes of w, where nothing else is set,
// in eight bits: the multiplication brings them together in the highest byte.
func highBits(w uint64) uint64 { return w >> 7 * 0x0102040810204080 >> 56 }
