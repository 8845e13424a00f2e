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
	for ; i+64 < len(s); i += 64 {
		if m := marks(s[i : i+64]); m != 0 {
			if at := pickSign(s, i, m); at >= 0 {
				return at
			}
		}
	}
	var m uint64
	n := len(s) - i
	switch {
	case n >= 16:
		m = marks(s[i:])
	case n < 2:
		return len(s)
	case len(s) >= 16:
		m = marks(s[len(s)-16:]) >> (16 - n)
	default:
		m = marksOf(s[i:])
	}
	// The last byte is no sign: most texts end in a full stop.
	if m &^= 1 << uint(n-1); m != 0 {
		if at := pickSign(s, i, m); at >= 0 {
			return at
		}
	}
	return len(s)
}

// pickSign gives the first of the marked bytes from i on that is a sign, or -1.
// The last byte of s may not be marked.
//
// Marks that are none (7:30, e.g., 12.50) stand in every fourth message and
// follow no pattern, so that a machine would guess wrong at each condition on
// what stands around them. Their neighbours are looked up in tables instead.
func pickSign(s string, i int, m uint64) int {
	for ; m != 0; m &= m - 1 {
		at := i + bits.TrailingZeros64(m)
		before, second := byte(' '), byte(' ')
		if at > 0 {
			before = s[at-1]
		}
		if at+2 < len(s) {
			second = s[at+2]
		}
		signs := signAt[s[at]] & signBefore[before] & signAfter[s[at+1]] & signSecond[second]
		if signs != 0 && isSign(s, at, signs) {
			return at
		}
	}
	return -1
}

// Signs by what they are made of, a bit each.
const (
	dotName     uint8 = 1 << iota // .  between names: no top-level domain has fewer than two bytes or begins with a digit
	dotDigit                      // .  between digits, the first of an IPv4 address
	dotBracket                    // .  in [.]
	colonSlash                    // :  before a slash or a bracket
	colonClosed                   // :  in [:]
	colonScript                   // :  of javascript: or data:
	bracketDot                    // [  of [dot]
)

// Which signs a byte may be, stand right before, right behind, and behind that. A
// space stands for the beginning and the end of the text, too.
var signAt, signBefore, signAfter, signSecond = func() (at, before, after, second [256]uint8) {
	at['.'] = dotName | dotDigit | dotBracket
	at[':'] = colonSlash | colonClosed | colonScript
	at['['] = bracketDot
	for b := range 256 {
		class := textClass[b]
		before[b] = colonSlash | bracketDot
		after[b] = colonScript
		second[b] = colonSlash | colonClosed | colonScript | bracketDot
		if b != ' ' {
			second[b] |= dotBracket
		}
		if class&(inHost|closesBracket) != 0 {
			before[b] |= dotName
		}
		if class&(inName|isDigit) == inName {
			after[b] |= dotName
			second[b] |= dotName
		}
		if class&isDigit != 0 {
			before[b] |= dotDigit
			after[b] |= dotDigit
			second[b] |= dotDigit
		}
		if class&opensBracket != 0 {
			before[b] |= dotBracket | colonClosed
		}
		if class&closesBracket != 0 {
			after[b] |= dotBracket | colonClosed
		}
	}
	for _, b := range []byte("tTaA") {
		before[b] |= colonScript
	}
	for _, b := range []byte(`/\[`) {
		after[b] |= colonSlash
	}
	after['d'] |= bracketDot
	after['D'] |= bracketDot
	second['.'] |= dotDigit
	return at, before, after, second
}()

// isSign looks further around the byte at i than the tables do.
func isSign(s string, i int, signs uint8) bool {
	switch {
	case signs&dotDigit != 0:
		return quad(s, i)
	case signs == colonScript:
		return unfollowed(s[:i]) != 0
	case signs&bracketDot != 0:
		return dotAt(s, i) > 0
	}
	return true
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
