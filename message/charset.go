package message

import (
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/htmlindex"
	"golang.org/x/text/encoding/simplifiedchinese"
	"golang.org/x/text/encoding/unicode"
)

// decodeCharset gives a text in UTF-8. A byte order mark outranks what the
// header says, as in browsers. What is no text of its charset is left as it
// is or comes out as U+FFFD; there is no error, because a reader would be shown
// something all the same.
func decodeCharset(s, charset string) string {
	switch enc, mark := encodingOf(s, charset); enc {
	case nil:
		return s[mark:]
	case utf7:
		return decodeUTF7(s)
	default:
		return decodeWith(enc, s[mark:])
	}
}

// utf7 stands for UTF-7, which has no encoding in x/text.
var utf7 = encoding.Replacement

// encodingOf gives the encoding of a text, nil if it is UTF-8 as it stands, and the
// length of the byte order mark before it.
func encodingOf(s, charset string) (enc encoding.Encoding, mark int) {
	switch {
	case strings.HasPrefix(s, "\xef\xbb\xbf"):
		return nil, 3
	case strings.HasPrefix(s, "\xff\xfe"):
		return unicode.UTF16(unicode.LittleEndian, unicode.IgnoreBOM), 2
	case strings.HasPrefix(s, "\xfe\xff"):
		return unicode.UTF16(unicode.BigEndian, unicode.IgnoreBOM), 2
	}
	charset = strings.ToLower(strings.Trim(charset, " \t\"'"))
	switch charset {
	case "", "utf-8", "utf8":
		// Nothing in UTF-8 has a zero at every other place.
		if order, ok := looksUTF16(s); ok {
			return unicode.UTF16(order, unicode.IgnoreBOM), 0
		}
		return nil, 0
	case "utf-7", "unicode-1-1-utf-7":
		return utf7, 0
	case "utf-16":
		// Without a mark: big end first by RFC 2781 §4.3, the other by habit.
		if order, ok := looksUTF16(s); ok {
			return unicode.UTF16(order, unicode.IgnoreBOM), 0
		}
	}
	if enc = otherCharsets[charset]; enc == nil {
		var err error
		if enc, err = htmlindex.Get(charset); err != nil || enc == encoding.Replacement {
			if utf8.ValidString(s) {
				return nil, 0
			}
			enc = charmap.Windows1252
		}
	}
	if keepsASCII(charset) && allASCII(s) {
		return nil, 0
	}
	return enc, 0
}

// otherCharsets are found in mail, but not in HTML, which makes some of them
// unreadable on purpose (Encoding §14.1).
var otherCharsets = map[string]encoding.Encoding{
	"hz-gb-2312": simplifiedchinese.HZGB2312,
	"utf-16be":   unicode.UTF16(unicode.BigEndian, unicode.IgnoreBOM),
	"cp850":      charmap.CodePage850, "ibm850": charmap.CodePage850,
	"cp437": charmap.CodePage437, "ibm437": charmap.CodePage437,
}

func decodeWith(enc encoding.Encoding, s string) string {
	out, err := enc.NewDecoder().String(s)
	if err != nil {
		return s
	}
	return out
}

// keepsASCII is false of the charsets in which ASCII bytes may stand for
// something else.
func keepsASCII(charset string) bool {
	return !strings.HasPrefix(charset, "utf-16") && !strings.HasPrefix(charset, "iso-2022") &&
		!strings.HasPrefix(charset, "csiso2022") && !strings.HasPrefix(charset, "hz") &&
		!strings.HasPrefix(charset, "ucs") && !strings.HasPrefix(charset, "unicode") && charset != "csunicode" &&
		charset != "iso-10646-ucs-2"
}

// looksUTF16 sees UTF-16 without a mark by the zeros that ASCII has in it.
func looksUTF16(s string) (order unicode.Endianness, ok bool) {
	const sample = 32 // bytes; no text in another charset holds a zero at all
	if len(s) < 4 || strings.IndexByte(s[:min(len(s), sample)], 0) < 0 {
		return unicode.BigEndian, false
	}
	var zeros [2]int
	n := min(len(s), sample) &^ 1
	for i := range n {
		if s[i] == 0 {
			zeros[i&1]++
		}
	}
	switch {
	case zeros[1] >= n/4 && zeros[0] == 0:
		return unicode.LittleEndian, true
	case zeros[0] >= n/4 && zeros[1] == 0:
		return unicode.BigEndian, true
	}
	return unicode.BigEndian, false
}

// declaredCharset finds the charset that a document names itself, in a <meta>
// or an XML declaration within its first 1024 bytes, HTML §13.2.3.2.
func declaredCharset(s string) string {
	s = s[:min(len(s), 1024)]
	for _, mark := range []string{"charset", "encoding"} {
		for at := 0; at < len(s); {
			i := indexFold(s[at:], mark)
			if i < 0 {
				break
			}
			at += i + len(mark)
			v := strings.TrimLeft(s[at:], " \t\r\n")
			if !strings.HasPrefix(v, "=") {
				continue
			}
			v = strings.TrimLeft(v[1:], " \t\r\n\"'")
			n := 0
			for n < len(v) && (isAlnum(v[n]) || strings.IndexByte("-_:.+", v[n]) >= 0) {
				n++
			}
			// HTML §13.2.3.2: who can be read as ASCII is not UTF-16.
			if name := strings.ToLower(v[:n]); n > 0 && !strings.HasPrefix(name, "utf-16") {
				return name
			}
		}
	}
	return ""
}

// indexFold finds word, in lower-case ASCII, in s whatever the case of its
// letters. strings.ToLower would not do: it makes three bytes of one that is no
// UTF-8, and what is found in its result stands elsewhere in s.
func indexFold(s, word string) int {
	for i := 0; i+len(word) <= len(s); i++ {
		if s[i]|0x20 == word[0] && strings.EqualFold(s[i:i+len(word)], word) {
			return i
		}
	}
	return -1
}

// decodeUTF7 reads UTF-7, RFC 2152, which some mail clients still do.
func decodeUTF7(s string) string {
	if strings.IndexByte(s, '+') < 0 {
		return s
	}
	var b strings.Builder
	b.Grow(len(s))
	for {
		i := strings.IndexByte(s, '+')
		if i < 0 {
			b.WriteString(s)
			return b.String()
		}
		b.WriteString(s[:i])
		s = s[i+1:]
		n := 0
		for n < len(s) && sextets[s[n]] < 64 && s[n] != '-' && s[n] != '_' {
			n++
		}
		var units strings.Builder
		decodeBase64(&units, s[:n])
		switch {
		case n == 0 && strings.HasPrefix(s, "-"):
			b.WriteByte('+')
		default:
			b.WriteString(decodeWith(unicode.UTF16(unicode.BigEndian, unicode.IgnoreBOM), units.String()[:units.Len()&^1]))
		}
		s = strings.TrimPrefix(s[n:], "-")
	}
}
