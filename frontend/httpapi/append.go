package httpapi

import (
	"math"
	"strconv"
	"time"
	"unicode/utf8"
)

// The answers are written by hand: encoding/json costs more than the judging.

// appendString appends s as a JSON string (RFC 8259 §7). What is not UTF-8
// becomes U+FFFD, for the links of a mail may hold anything.
func appendString(b []byte, s string) []byte {
	b = append(b, '"')
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c < utf8.RuneSelf {
			if plain[c] {
				i++
				continue
			}
			b = append(b, s[start:i]...)
			b = appendEscaped(b, c)
			i++
			start = i
			continue
		}
		r, size := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && size == 1 {
			b = append(b, s[start:i]...)
			b = append(b, "\ufffd"...)
			start = i + 1
		}
		i += size
	}
	return append(append(b, s[start:]...), '"')
}

// plain says which ASCII bytes stand for themselves in a JSON string.
var plain = func() (t [utf8.RuneSelf]bool) {
	for c := byte(' '); c < utf8.RuneSelf; c++ {
		t[c] = c != '"' && c != '\\' && c != 0x7f // DEL may stand, but confuses terminals
	}
	return t
}()

func appendEscaped(b []byte, c byte) []byte {
	switch c {
	case '"', '\\':
		return append(b, '\\', c)
	case '\n':
		return append(b, '\\', 'n')
	case '\r':
		return append(b, '\\', 'r')
	case '\t':
		return append(b, '\\', 't')
	}
	const hex = "0123456789abcdef"
	return append(b, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
}

// appendNumber appends f with six significant digits, which is more than any
// of our numbers means. JSON knows no infinity: what is not finite becomes the
// nearest number that is; NaN, which would be a bug, becomes 0.
func appendNumber(b []byte, f float64) []byte {
	switch {
	case f != f:
		f = 0
	case math.IsInf(f, 0):
		f = math.Copysign(math.MaxFloat64, f)
	}
	if i := int64(f); float64(i) == f && i > -1e6 && i < 1e6 {
		return strconv.AppendInt(b, i, 10)
	}
	return strconv.AppendFloat(b, f, 'g', 6, 64)
}

// appendTime appends t in UTC, to the millisecond, as a JSON string; the zero
// time as "".
func appendTime(b []byte, t time.Time) []byte {
	b = append(b, '"')
	if !t.IsZero() {
		b = t.UTC().Truncate(time.Millisecond).AppendFormat(b, time.RFC3339Nano)
	}
	return append(b, '"')
}

// appendStrings appends a JSON array.
func appendStrings(b []byte, all []string) []byte {
	b = append(b, '[')
	for i, s := range all {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendString(b, s)
	}
	return append(b, ']')
}
