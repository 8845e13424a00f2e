package message

import (
	"html"
	"strings"
	"unicode/utf8"
)

// maxCharRef is the longest name of a character reference, in bytes without
// "&" and ";": CounterClockwiseContourIntegral has 31.
const maxCharRef = 31

// charRef reads the character reference that s begins with, "&" and all. It
// gives what it stands for and how many bytes of s that takes, or "" and 0 if
// s[0] is just an ampersand. In an attribute "&copy=1" is no reference
// (HTML §13.2.5.73), or many a query string would come out wrong.
func charRef(s string, inAttr bool) (string, int) {
	if len(s) < 3 {
		return "", 0
	}
	if s[1] == '#' {
		return numericRef(s)
	}
	n := 1
	for n < len(s) && n <= maxCharRef && isAlnum(s[n]) {
		n++
	}
	closed := n < len(s) && s[n] == ';'
	if closed {
		if v := commonRef(s[1:n]); v != "" {
			return v, n + 1
		}
	}
	switch {
	case n == 1:
		return "", 0
	case closed:
		n++
	case inAttr && n < len(s) && s[n] == '=':
		return "", 0
	}
	v := html.UnescapeString(s[:n])
	if v == s[:n] {
		return "", 0
	}
	// Without its semicolon a known name may be only the beginning of what
	// stands here ("&notit"). In text the rest comes through behind it, in an
	// attribute such a thing is no reference. No entity ends in ";" but &semi;
	// and none that may stand open is longer than one character.
	whole := closed && (!strings.HasSuffix(v, ";") || s[:n] == "&semi;") || !closed && utf8.RuneCountInString(v) == 1
	if inAttr && !whole {
		return "", 0
	}
	return v, n
}

// commonRef knows the references of which mail is full.
func commonRef(name string) string {
	switch name {
	case "amp":
		return "&"
	case "nbsp":
		return "\u00a0"
	case "lt":
		return "<"
	case "gt":
		return ">"
	case "quot":
		return `"`
	case "zwnj":
		return "\u200c"
	case "shy":
		return "\u00ad"
	}
	return ""
}

// numericRef reads "&#…", HTML §13.2.5.75 and following.
func numericRef(s string) (string, int) {
	base, start := uint32(10), 2
	if s[2] == 'x' || s[2] == 'X' {
		base, start = 16, 3
	}
	r, n := uint32(0), start
	for n < len(s) {
		d := uint32(hexDigit(s[n]))
		if d >= base {
			break
		}
		r = min(r*base+d, utf8.MaxRune+1) // stays over the top; zeros before it are free
		n++
	}
	if n == start {
		return "", 0
	}
	if n < len(s) && s[n] == ';' {
		n++
	}
	switch {
	case 0x80 <= r && r <= 0x9f: // read as windows-1252
		return html.UnescapeString("&#" + string('0'+rune(r/100)) + string('0'+rune(r/10%10)) + string('0'+rune(r%10)) + ";"), n
	case r == 0 || r > utf8.MaxRune || 0xd800 <= r && r <= 0xdfff:
		return "\ufffd", n
	}
	return string(rune(r)), n
}

// decodeAttr resolves the character references of an attribute's value. A
// value without "&" comes back as it is.
func decodeAttr(s string) string {
	i := strings.IndexByte(s, '&')
	if i < 0 {
		return s
	}
	var b strings.Builder
	b.Grow(len(s))
	for {
		b.WriteString(s[:i])
		s = s[i:]
		v, n := charRef(s, true)
		if n == 0 {
			v, n = "&", 1
		}
		b.WriteString(v)
		s = s[n:]
		if i = strings.IndexByte(s, '&'); i < 0 {
			b.WriteString(s)
			return b.String()
		}
	}
}

func isAlnum(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'z'
}

// hexDigit gives the value of a hexadecimal digit, 255 for another byte.
func hexDigit(c byte) byte {
	switch {
	case '0' <= c && c <= '9':
		return c - '0'
	case 'a' <= c|0x20 && c|0x20 <= 'f':
		return c | 0x20 - 'a' + 10
	}
	return 255
}
