package message

import (
	"unicode"
	"unicode/utf8"
)

// Classes of bytes in a text.
const (
	inHost        uint8 = 1 << iota // letters, digits, - _ and what is not ASCII
	inName                          // letters, digits and what is not ASCII
	isDigit                         //
	inPath                          // goes on a link without a second look
	opensBracket                    // ( [ {
	closesBracket                   // ) ] }
	endsText                        // never inside a link: space, controls, < > " ` |
	endsAuthority                   // / \ ? #
)

var textClass = func() (c [256]uint8) {
	for b := range 256 {
		switch {
		case b <= ' ' || b == 0x7f || b == '<' || b == '>' || b == '"' || b == '`' || b == '|':
			c[b] = endsText
		case b >= 0x80:
			c[b] = inHost | inName
		case '0' <= b && b <= '9':
			c[b] = inHost | inName | isDigit | inPath
		case isAlpha(byte(b)):
			c[b] = inHost | inName | inPath
		case b == '-' || b == '_':
			c[b] = inHost | inPath
		case b == '(' || b == '[' || b == '{':
			c[b] = opensBracket
		case b == ')' || b == ']' || b == '}':
			c[b] = closesBracket
		case b == '/' || b == '\\' || b == '?' || b == '#':
			c[b] = endsAuthority | inPath
		case b == '\'' || b == '&' || b == ',' || b == ';' || b == '|':
			// A second look: it depends on what stands around.
		default:
			c[b] = inPath
		}
	}
	return c
}()

// Runes as the text finder sees them.
type runeKind uint8

const (
	stopRune   runeKind = iota // ends a link: a space, a quote, a full stop
	nameRune                   // a letter, mark, digit, or what no one sees
	packedRune                 // a letter of a script that puts no spaces between words
	signRune                   // a symbol or sign: not in a schemeless host
	dotRune                    // what IDNA takes for a dot
)

// wideDots are the dots of IDNA but the ASCII one: UTS 46 §2.3.
var wideDots = [...]string{"\u3002", "\uff0e", "\uff61"}

// readRune says what rune begins s, which is not ASCII, and how long it is.
func readRune(s string) (runeKind, int) {
	r, n := utf8.DecodeRuneInString(s)
	return runeKindOf(r), n
}

// lastRune is readRune from the end.
func lastRune(s string) (runeKind, int) {
	r, n := utf8.DecodeLastRuneInString(s)
	return runeKindOf(r), n
}

// runeKindOf knows the stops of many scripts by name, because Unicode's classes put
// quotes and brackets, which end a link, beside dashes, which do not.
func runeKindOf(r rune) runeKind {
	switch {
	case r == utf8.RuneError:
		return stopRune // not UTF-8, or text that lost a character
	case r < 0xc0:
		switch r {
		case 0xad: // soft hyphen
			return nameRune
		case 0xaa, 0xb2, 0xb3, 0xb5, 0xb9, 0xba:
			return nameRune
		case 0xab, 0xbb:
			return stopRune // « »
		}
		if r <= 0xa0 {
			return stopRune
		}
		return signRune
	case r < 0x590: // Latin, Greek, Cyrillic, Armenian
		if r == 0x55d || r == 0x589 || r == 0x37e {
			return stopRune
		}
		return nameOrSign(r)
	case 0x2000 <= r && r < 0x2070:
		return generalPunctuation(r)
	case 0x3000 <= r && r < 0x3020:
		if r == 0x3002 {
			return dotRune
		}
		if 0x3005 <= r && r <= 0x3007 {
			return packedRune // 々〆〇
		}
		return stopRune
	case 0xff00 <= r && r < 0xff66:
		return fullWidth(r)
	case r == 0xfeff || 0xfe00 <= r && r <= 0xfe0f: // zero-width no-break space, variation selectors
		return nameRune
	case isStop(r):
		return stopRune
	case isPacked(r):
		return packedRune
	}
	return nameOrSign(r)
}

func nameOrSign(r rune) runeKind {
	switch {
	case unicode.IsLetter(r) || unicode.IsMark(r) || unicode.IsDigit(r):
		return nameRune
	case unicode.IsSpace(r) || unicode.IsControl(r):
		return stopRune
	}
	return signRune
}

func generalPunctuation(r rune) runeKind {
	switch {
	case 0x200b <= r && r <= 0x200f || 0x202a <= r && r <= 0x202e || 0x2060 <= r:
		return nameRune // zero-width and direction marks: link.Parse drops them
	case r <= 0x200a || 0x2028 <= r && r <= 0x2029 || r == 0x202f || r == 0x205f:
		return stopRune // spaces
	case r <= 0x2013, r == 0x2015:
		return signRune // hyphens and the shorter dash
	case r == 0x2014 || r <= 0x201f || r == 0x2026 || 0x2039 <= r && r <= 0x203a:
		return stopRune // the longer dash, quotes, …, ‹ ›
	}
	return signRune
}

// fullWidth sorts the forms that East Asian text uses for ASCII. Letters and
// digits are those of a host to IDNA; the rest are stops, as 、 and 」 are.
func fullWidth(r rune) runeKind {
	switch {
	case r == 0xff0e || r == 0xff61:
		return dotRune
	case 0xff10 <= r && r <= 0xff19, 0xff21 <= r && r <= 0xff3a, 0xff41 <= r && r <= 0xff5a, r == 0xff0d, r == 0xff3f:
		return nameRune
	}
	return stopRune
}

// isStop names the full stops, commas and question marks of scripts from
// Hebrew on, and the spaces and brackets of the rest of Unicode.
func isStop(r rune) bool {
	switch r {
	case 0x60c, 0x61b, 0x61f, 0x6d4, 0x964, 0x965, 0x104a, 0x104b, 0x1362, 0x1680, 0x17d4, 0x1803,
		0x2329, 0x232a, 0x27e8, 0x27e9, 0x2e42, 0xfd3e, 0xfd3f:
		return true
	}
	return 0xe000 <= r && r <= 0xf8ff || 0xfe10 <= r && r <= 0xfe19 || 0xfe30 <= r && r <= 0xfe6f
}

// isPacked is true of letters of scripts written without spaces: Thai, Lao,
// Myanmar, Khmer, Hiragana, Katakana, Bopomofo, Han; and of Hangul, whose
// particles stick to the word before them.
func isPacked(r rune) bool {
	switch {
	case r < 0xe00:
		return false
	case r < 0xf00, 0x1000 <= r && r < 0x10a0, 0x1100 <= r && r < 0x1200, 0x1780 <= r && r < 0x1800:
		return true
	case 0x2e80 <= r && r < 0xa4d0, 0xac00 <= r && r < 0xd7b0, 0xf900 <= r && r < 0xfb00:
		return true
	case 0xff66 <= r && r < 0xffdd, 0x20000 <= r && r < 0x32000:
		return true
	}
	return false
}
