package message

import (
	"strings"
)

// sextets gives the value of a base64 digit, RFC 4648 §4 and §5; 64 for "=",
// 255 for a byte that is passed over, RFC 2045 §6.8.
var sextets = func() (t [256]uint8) {
	for i := range t {
		t[i] = 255
	}
	const digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
	for i := range len(digits) {
		t[digits[i]] = uint8(i)
	}
	t['-'], t['_'], t['='] = 62, 63, 64
	return t
}()

// isEncoding is true of what decodeTransfer undoes.
func isEncoding(encoding string) bool {
	switch encoding {
	case "base64", "quoted-printable", "x-uuencode", "uuencode", "x-uue", "uue":
		return true
	}
	return false
}

// decodeTransfer undoes a Content-Transfer-Encoding. An unknown one is taken
// for none.
func decodeTransfer(s, encoding string) string {
	var b strings.Builder
	switch encoding {
	case "base64":
		b.Grow(len(s) / 4 * 3)
		decodeBase64(&b, s)
	case "quoted-printable":
		if strings.IndexByte(s, '=') < 0 {
			return s
		}
		b.Grow(len(s))
		decodeQuoted(&b, s, nil)
	case "x-uuencode", "uuencode", "x-uue", "uue":
		b.Grow(len(s) / 4 * 3)
		decodeUU(&b, s)
	default:
		return s
	}
	return b.String()
}

// decodeBase64 reads base64 as lenient readers do: bytes that are no digits
// are passed over, and padding ends a group, not the text.
func decodeBase64(b *strings.Builder, s string) {
	var out [3 * 256]byte
	n := 0
	var group uint32
	have := 0
	for i := 0; i < len(s); {
		if n > len(out)-3 {
			b.Write(out[:n])
			n = 0
		}
		if have == 0 && i+4 <= len(s) {
			v0, v1, v2, v3 := sextets[s[i]], sextets[s[i+1]], sextets[s[i+2]], sextets[s[i+3]]
			if v0|v1|v2|v3 < 64 {
				v := uint32(v0)<<18 | uint32(v1)<<12 | uint32(v2)<<6 | uint32(v3)
				out[n], out[n+1], out[n+2] = byte(v>>16), byte(v>>8), byte(v)
				n += 3
				i += 4
				continue
			}
		}
		v := sextets[s[i]]
		i++
		switch {
		case v < 64:
			group = group<<6 | uint32(v)
			if have++; have == 4 {
				out[n], out[n+1], out[n+2] = byte(group>>16), byte(group>>8), byte(group)
				n += 3
				group, have = 0, 0
			}
		case v == 64:
			n += copyGroup(out[n:], group, have)
			group, have = 0, 0
		}
	}
	b.Write(out[:n])
	n = copyGroup(out[:], group, have)
	b.Write(out[:n])
}

// copyGroup writes the bytes of a group that was cut short after have digits.
func copyGroup(out []byte, group uint32, have int) int {
	switch have {
	case 2:
		out[0] = byte(group >> 4)
		return 1
	case 3:
		out[0], out[1] = byte(group>>10), byte(group>>2)
		return 2
	}
	return 0
}

// decodeQuoted reads quoted-printable, RFC 2045 §6.7. What looks encoded and
// is not stays as it is. from, if not nil, is told where the text comes from.
func decodeQuoted(b *strings.Builder, s string, from *places) {
	whole := len(s)
	for {
		if from != nil {
			from.step(b.Len(), whole-len(s))
		}
		i := strings.IndexByte(s, '=')
		if i < 0 {
			b.WriteString(s)
			return
		}
		b.WriteString(s[:i])
		if from != nil {
			from.step(b.Len(), whole-len(s)+i)
		}
		s = s[i+1:]
		if len(s) >= 2 {
			if hi, lo := hexDigit(s[0]), hexDigit(s[1]); hi < 16 && lo < 16 {
				b.WriteByte(hi<<4 | lo)
				s = s[2:]
				continue
			}
		}
		// A soft line break, with blanks that a relay has added.
		n := 0
		for n < len(s) && (s[n] == ' ' || s[n] == '\t' || s[n] == '\r') {
			n++
		}
		switch {
		case n < len(s) && s[n] == '\n':
			s = s[n+1:]
		case n == len(s):
			return
		case n > 0 && s[n-1] == '\r':
			s = s[n:]
		default:
			b.WriteByte('=')
		}
	}
}

// decodeUU reads uuencoded text, POSIX uuencode, from behind its "begin" line;
// text without one is read from its first line on.
func decodeUU(b *strings.Builder, s string) {
	if i := strings.Index(s, "begin "); i == 0 || i > 0 && s[i-1] == '\n' {
		s = behindLine(s[i:])
	}
	for s != "" {
		line := s
		if i := strings.IndexByte(s, '\n'); i >= 0 {
			line = s[:i]
		}
		s = s[min(len(s), len(line)+1):]
		line = strings.TrimRight(line, "\r")
		if line == "" || line == "end" {
			continue
		}
		n := int(line[0]-' ') & 63
		line = line[1:]
		for ; n > 0 && line != ""; n -= 3 {
			var v uint32
			for k := range 4 {
				v <<= 6
				if k < len(line) {
					v |= uint32(line[k]-' ') & 63
				}
			}
			out := [3]byte{byte(v >> 16), byte(v >> 8), byte(v)}
			b.Write(out[:min(n, 3)])
			line = line[min(4, len(line)):]
		}
	}
}

// behindLine gives what follows the first line.
func behindLine(s string) string {
	i := strings.IndexByte(s, '\n')
	if i < 0 {
		return ""
	}
	return s[i+1:]
}
