package message

import "math/bits"

// Three things in a text may be the sign of a link, and each is rare in prose
// when its neighbours are looked at too:
//
//	:  with a slash or a bracket behind it        http://   hxxp[:]//   javascript:
//	.  between what may be the parts of a host    www.example.com   example[.]com
//	[  with "dot]" behind it                      example[dot]com
//
// The dots of other scripts are none: no client makes a link of "example。com".
//
// nextSign finds the next from i on; len(s) if there is none. It reads blocks
// of 64 bytes, which is a chat message at once. Three passes of
// strings.IndexByte cost half as much again: a call for each pass and each dot.
func nextSign(s string, i int) int {
	for ; i+64 <= len(s); i += 64 {
		if m := marks(s[i : i+64]); m != 0 {
			if at := pickSign(s, i, m); at >= 0 {
				return at
			}
		}
	}
	if i < len(s) {
		if at := pickSign(s, i, lastMarks(s, i)); at >= 0 {
			return at
		}
	}
	return len(s)
}

// lastMarks is marks of s[i:], which is less than 64 bytes.
func lastMarks(s string, i int) uint64 {
	switch n := len(s) - i; {
	case n >= 16:
		return marks(s[i:])
	case len(s) >= 16:
		return marks(s[len(s)-16:]) >> (16 - n)
	}
	return marksOf(s[i:])
}

// pickSign gives the first of the marked bytes from i on that is a sign, or -1.
func pickSign(s string, i int, m uint64) int {
	for ; m != 0; m &= m - 1 {
		at := i + bits.TrailingZeros64(m)
		if at+1 >= len(s) {
			break
		}
		switch next := s[at+1]; s[at] {
		case '.':
			if textClass[next]&(inName|closesBracket) != 0 && at > 0 && at+2 < len(s) && isDotSign(s, at) {
				return at
			}
		case ':':
			if isColonSign(s, at) {
				return at
			}
		default:
			if next|0x20 == 'd' && dotAt(s, at) > 0 {
				return at
			}
		}
	}
	return -1
}

// isDotSign reports whether the dot at i, with a name or a bracket behind it,
// may be the last but one thing in a host. A letter or more stand behind it, for
// no top-level domain has fewer than two or a digit in front; before it a name
// or a bracket. Or it is the dot of "[.]", or the first of an IPv4 address.
func isDotSign(s string, i int) bool {
	before, next := textClass[s[i-1]], textClass[s[i+1]]
	switch {
	case next&closesBracket != 0:
		return before&opensBracket != 0
	case before&(inHost|closesBracket) == 0:
		return false
	case next&isDigit == 0:
		return textClass[s[i+2]]&(inName|isDigit) == inName
	}
	return before&isDigit != 0 && quad(s, i)
}

// isColonSign reports whether the colon at i may belong to a scheme: a slash or
// a bracket stands behind it, or javascript or data before.
func isColonSign(s string, i int) bool {
	c := s[i+1]
	switch {
	case c == '/' || c == '\\' || c == '[':
		return true
	case i == 0:
		return false
	case textClass[c]&closesBracket != 0 && textClass[s[i-1]]&opensBracket != 0:
		return true
	}
	return (s[i-1]|0x20 == 't' || s[i-1]|0x20 == 'a') && unfollowed(s[:i]) != 0
}

// quad reports whether the dot at i, between digits, is the first of three.
func quad(s string, i int) bool {
	for dots := 1; i < len(s) && dots <= 3; dots++ {
		n := 1
		for n <= 4 && i+n < len(s) && textClass[s[i+n]]&isDigit != 0 {
			n++
		}
		i += n
		if n == 1 || n > 4 || dots < 3 && (i >= len(s) || s[i] != '.') {
			return false
		}
	}
	return true
}
