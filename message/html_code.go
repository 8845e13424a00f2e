package message

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// mayHoldURL says whether a style attribute may hold url(…): most that have a
// parenthesis have rgb(…).
func mayHoldURL(v string) bool {
	for i := nextByte(v, 0, '('); i < len(v); i = nextByte(v, i+1, '(') {
		if i >= 3 && v[i-1]|0x20 == 'l' {
			return true
		}
	}
	return false
}

// css yields the URLs that a style sheet or a style attribute fetches: url(…)
// and @import "…", CSS Syntax §4.3.6 and CSS Cascade §2. exact says that byte i
// of v stands at at+i.
func (h *htmlScan) css(v string, at int, exact bool) {
	if h.seek {
		return
	}
	paren, rule := nextByte(v, 0, '('), nextByte(v, 0, '@')
	for (paren < len(v) || rule < len(v)) && !h.w.done {
		var start int
		inURL := paren < rule
		if inURL {
			start = paren + 1
			name := v[max(0, paren-3):paren]
			paren = nextByte(v, start, '(')
			if !strings.EqualFold(name, "url") {
				continue
			}
		} else {
			const name = "import"
			start = rule + 1
			rule = nextByte(v, start, '@')
			if len(v) < start+len(name) || !strings.EqualFold(v[start:start+len(name)], name) {
				continue
			}
			start += len(name)
		}
		for start < len(v) && class[v[start]]&isSpace != 0 {
			start++
		}
		mark := byte(')')
		switch {
		case start < len(v) && (v[start] == '"' || v[start] == '\''):
			mark = v[start]
			start++
		case !inURL:
			continue // @import url(…): the parenthesis finds it
		}
		end := cssEnd(v, start, mark)
		raw, offset := v[start:end], at
		if exact {
			offset += start
		}
		h.report(cssUnescape(raw), offset, exact && strings.IndexByte(raw, '\\') < 0, Source, "")
	}
}

// nextByte finds c in v from pos on; len(v) if it is not there.
func nextByte(v string, pos int, c byte) int {
	if i := strings.IndexByte(v[pos:], c); i >= 0 {
		return pos + i
	}
	return len(v)
}

// cssEnd finds the mark that ends a string or URL, past escaped ones. A string
// ends at the end of its line, too.
func cssEnd(v string, pos int, mark byte) int {
	for ; pos < len(v) && v[pos] != mark; pos++ {
		switch {
		case v[pos] == '\\' && pos+1 < len(v):
			pos++
		case v[pos] == '\n' && mark != ')':
			return pos
		}
	}
	return min(pos, len(v))
}

// cssUnescape resolves the escapes of a CSS string, CSS Syntax §4.3.7.
func cssUnescape(s string) string {
	if strings.IndexByte(s, '\\') < 0 {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); {
		if s[i] != '\\' || i+1 == len(s) {
			b.WriteByte(s[i])
			i++
			continue
		}
		i++
		n := 0
		for n < 6 && i+n < len(s) && hexDigit(s[i+n]) < 16 {
			n++
		}
		switch {
		case n > 0:
			r, _ := strconv.ParseUint(s[i:i+n], 16, 32)
			b.WriteRune(rune(min(r, utf8.MaxRune+1)))
			i += n
			if i < len(s) && class[s[i]]&isSpace != 0 {
				i++
			}
		case s[i] == '\n':
			i++
		default:
			b.WriteByte(s[i])
			i++
		}
	}
	return b.String()
}

// script yields the links that are written out in a script, which is not run:
// location.href = "http://…". A name with dots is no host here.
func (h *htmlScan) script(v string, at int, exact bool) {
	if h.seek || !strings.Contains(v, "//") && strings.IndexByte(v, '\\') < 0 {
		return
	}
	r := &h.run
	h.flushRun()
	r.buf = r.buf[:0]
	r.from.reset()
	r.from.step(0, 0)
	for i := 0; i < len(v); {
		c, n := v[i], 1
		switch c {
		case '"', '\'', '`', '\\':
			c, n = scriptByte(v[i:])
		}
		r.buf = append(r.buf, c)
		i += n
		if n > 1 {
			r.from.step(len(r.buf), i)
		}
	}
	for _, f := range h.findAll(nil, string(r.buf), 0) {
		if f.Marks&Schemeless != 0 {
			continue
		}
		f.Marks |= Script
		if exact {
			f.Offset = at + r.from.of(f.Offset)
		} else {
			f.Offset = at
		}
		h.give(f)
	}
}

// scriptByte reads a quotation mark, which ends a link, or an escape that
// stands for one ASCII character: \/ \x2f \u002f.
func scriptByte(v string) (c byte, n int) {
	if v[0] != '\\' || len(v) < 2 {
		return ' ', 1
	}
	digits := 0
	switch v[1] {
	case 'x':
		digits = 2
	case 'u':
		digits = 4
	case 'n', 'r', 't':
		return '\n', 2
	default:
		if v[1] == '"' || v[1] == '\'' || v[1] == '`' {
			return ' ', 2
		}
		return v[1], 2
	}
	if len(v) >= 2+digits {
		if r, err := strconv.ParseUint(v[2:2+digits], 16, 16); err == nil && r < utf8.RuneSelf {
			return byte(r), 2 + digits
		}
	}
	return v[1], 2
}
