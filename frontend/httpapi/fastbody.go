package httpapi

import "unicode/utf8"

// The two bodies that arrive in bulk have a reader of their own. It takes what
// clients commonly send, and gives up on everything else, which the strict
// reader in body.go then reads or refuses. The two agree wherever the fast one
// does not give up; FuzzCheckBody and FuzzScanBody hold them to it.

// cursor reads JSON from b at i.
type cursor struct {
	b []byte
	i int
}

func (c *cursor) space() {
	for c.i < len(c.b) {
		switch c.b[c.i] {
		case ' ', '\n', '\r', '\t':
			c.i++
		default:
			return
		}
	}
}

// take skips white space and then the byte x, if it is there.
func (c *cursor) take(x byte) bool {
	c.space()
	if c.i < len(c.b) && c.b[c.i] == x {
		c.i++
		return true
	}
	return false
}

// end says whether only white space is left.
func (c *cursor) end() bool {
	c.space()
	return c.i == len(c.b)
}

// name reads a member's name, without escapes, and its colon.
func (c *cursor) name() (string, bool) {
	if !c.take('"') {
		return "", false
	}
	start := c.i
	for c.i < len(c.b) && c.b[c.i] >= 'a' && c.b[c.i] <= 'z' {
		c.i++
	}
	end := c.i
	if c.i == len(c.b) || c.b[c.i] != '"' {
		return "", false
	}
	c.i++
	if !c.take(':') {
		return "", false
	}
	switch string(c.b[start:end]) { // no allocation in a switch
	case "links":
		return "links", true
	case "type":
		return "type", true
	case "text":
		return "text", true
	}
	return "", false
}

// str reads a string and appends what it says to dst.
func (c *cursor) str(dst []byte) ([]byte, bool) {
	if !c.take('"') {
		return dst, false
	}
	begin, start, high := len(dst), c.i, byte(0)
	for c.i < len(c.b) {
		x := c.b[c.i]
		switch {
		case x == '"':
			dst = append(dst, c.b[start:c.i]...)
			c.i++
			// encoding/json repairs what is not UTF-8; leave that to it.
			return dst, high < utf8.RuneSelf || utf8.Valid(dst[begin:])
		case x == '\\':
			dst = append(dst, c.b[start:c.i]...)
			var ok bool
			if dst, ok = c.escape(dst); !ok {
				return dst, false
			}
			start = c.i
		case x < ' ':
			return dst, false
		default:
			high |= x
			c.i++
		}
	}
	return dst, false
}

// escape reads an escape sequence (RFC 8259 §7) at the backslash.
func (c *cursor) escape(dst []byte) ([]byte, bool) {
	if c.i+1 >= len(c.b) {
		return dst, false
	}
	x := c.b[c.i+1]
	c.i += 2
	switch x {
	case '"', '\\', '/':
		return append(dst, x), true
	case 'n':
		return append(dst, '\n'), true
	case 't':
		return append(dst, '\t'), true
	case 'r':
		return append(dst, '\r'), true
	case 'b':
		return append(dst, '\b'), true
	case 'f':
		return append(dst, '\f'), true
	case 'u':
		return c.unicode(dst)
	}
	return dst, false
}

// unicode reads the four digits of \u, and a second escape where the two are a
// surrogate pair. A lone surrogate is left to the strict reader.
func (c *cursor) unicode(dst []byte) ([]byte, bool) {
	r, ok := c.hex4()
	if !ok {
		return dst, false
	}
	if r >= 0xd800 && r < 0xe000 {
		if r >= 0xdc00 || c.i+1 >= len(c.b) || c.b[c.i] != '\\' || c.b[c.i+1] != 'u' {
			return dst, false
		}
		c.i += 2
		low, ok := c.hex4()
		if !ok || low < 0xdc00 || low >= 0xe000 {
			return dst, false
		}
		r = (r-0xd800)<<10 + (low - 0xdc00) + 0x10000
	}
	return utf8.AppendRune(dst, r), true
}

func (c *cursor) hex4() (rune, bool) {
	if c.i+4 > len(c.b) {
		return 0, false
	}
	var r rune
	for _, x := range c.b[c.i : c.i+4] {
		switch {
		case x >= '0' && x <= '9':
			x -= '0'
		case x >= 'a' && x <= 'f':
			x -= 'a' - 10
		case x >= 'A' && x <= 'F':
			x -= 'A' - 10
		default:
			return 0, false
		}
		r = r<<4 | rune(x)
	}
	c.i += 4
	return r, true
}

// fastLinks reads {"links":["…",…]}. The links are appended to text, one after
// the other, and where each ends in it to ends. At most max links; ok is false
// if the body is anything else, or has more.
func fastLinks(body, text []byte, ends []int, max int) (_ []byte, _ []int, ok bool) {
	c := cursor{b: body}
	if !c.take('{') {
		return text, ends, false
	}
	if name, ok := c.name(); !ok || name != "links" || !c.take('[') {
		return text, ends, false
	}
	if !c.take(']') {
		for {
			if len(ends) == max {
				return text, ends, false
			}
			if text, ok = c.str(text); !ok {
				return text, ends, false
			}
			ends = append(ends, len(text))
			if c.take(',') {
				continue
			}
			if !c.take(']') {
				return text, ends, false
			}
			break
		}
	}
	return text, ends, c.take('}') && c.end()
}

// fastScan reads {"type":"…","text":"…"}, in either order. The text is a copy.
func fastScan(body []byte) (typ string, text []byte, ok bool) {
	c := cursor{b: body}
	var hasType, hasText bool
	for open := byte('{'); !hasType || !hasText; open = ',' {
		if !c.take(open) {
			return "", nil, false
		}
		switch name, _ := c.name(); {
		case name == "type" && !hasType:
			var t []byte
			t, hasType = c.str(nil)
			typ, ok = string(t), hasType
		case name == "text" && !hasText:
			text, hasText = c.str(make([]byte, 0, len(body)-c.i))
			ok = hasText
		default:
			ok = false
		}
		if !ok {
			return "", nil, false
		}
	}
	return typ, text, c.take('}') && c.end()
}
