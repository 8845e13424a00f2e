package message

import "strings"

// Three things in a text may be the sign of a link, and each is rare in prose
// when its neighbours are looked at too:
//
//	:  with a slash or a bracket behind it        http://   hxxp[:]//   javascript:
//	.  between what may be the parts of a host    www.example.com   example[.]com
//	[  with "dot]" behind it                      example[dot]com
//
// signs holds where each comes next; the length of the text if nowhere. They
// are found by strings.IndexByte, which reads 32 bytes or more at a time: of
// text without such bytes, three passes of it take half as long as one pass
// that reads words of eight bytes and looks for all three. The dots of other
// scripts are no sign: no client makes a link of "example。com".
type signs struct{ colon, dot, square int }

// firstSigns does the first steps of nextColon and its like itself: in most
// texts they are the only ones.
func firstSigns(s string) signs {
	g := signs{len(s), len(s), len(s)}
	if i := strings.IndexByte(s, ':'); i >= 0 {
		g.colon = nextColon(s, i)
	}
	if i := strings.IndexByte(s, '.'); i >= 0 {
		g.dot = nextDot(s, i)
	}
	if i := strings.IndexByte(s, '['); i >= 0 {
		g.square = nextSquare(s, i)
	}
	return g
}

// first is the nearest sign.
func (g *signs) first() int { return min(g.colon, g.dot, g.square) }

// pass moves the signs that stand before i to the next behind it.
func (g *signs) pass(s string, i int) {
	if g.colon < i {
		g.colon = nextColon(s, i)
	}
	if g.dot < i {
		g.dot = nextDot(s, i)
	}
	if g.square < i {
		g.square = nextSquare(s, i)
	}
}

// nextColon finds the next colon that may belong to a scheme: a slash or a
// bracket stands behind it, or javascript or data before.
func nextColon(s string, i int) int {
	for {
		n := strings.IndexByte(s[i:], ':')
		if n < 0 || i+n+1 >= len(s) {
			return len(s)
		}
		i += n
		switch c := s[i+1]; {
		case c == '/' || c == '\\' || c == '[':
			return i
		case c == ' ' || i == 0:
		case textClass[c]&closesBracket != 0 && textClass[s[i-1]]&opensBracket != 0:
			return i
		case (s[i-1]|0x20 == 't' || s[i-1]|0x20 == 'a') && unfollowed(s[:i]) != 0:
			return i
		}
		i++
	}
}

// nextDot finds the next dot that may be the last but one thing in a host. A
// letter or more stand behind it, for no top-level domain has fewer than two or
// a digit in front; before it a name or a bracket. Or it is the dot of "[.]",
// or the first of an IPv4 address.
func nextDot(s string, i int) int {
	for {
		n := strings.IndexByte(s[i:], '.')
		if n < 0 || i+n+2 >= len(s) {
			return len(s)
		}
		i += n
		next := textClass[s[i+1]]
		if next&(inName|closesBracket) != 0 && i > 0 {
			before := textClass[s[i-1]]
			switch {
			case next&closesBracket != 0:
				if before&opensBracket != 0 {
					return i
				}
			case before&(inHost|closesBracket) == 0:
			case next&isDigit == 0:
				if textClass[s[i+2]]&(inName|isDigit) == inName {
					return i
				}
			case before&isDigit != 0 && quad(s, i):
				return i
			}
		}
		for i++; i < len(s) && s[i] == '.'; i++ {
			// Of "..." none is a sign but perhaps the first.
		}
	}
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

// nextSquare finds the next "[dot]".
func nextSquare(s string, i int) int {
	for {
		n := strings.IndexByte(s[i:], '[')
		if n < 0 || i+n+len("[dot]") > len(s) {
			return len(s)
		}
		i += n
		if s[i+1]|0x20 == 'd' && dotAt(s, i) > 0 {
			return i
		}
		i++
	}
}
