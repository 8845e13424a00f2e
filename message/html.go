package message

import (
	"errors"
	"iter"
	"strings"
	"sync"
)

// Bounds of one message. All its parts share them.
const (
	// maxFound bounds what one message yields. The longest newsletter that we
	// hold has 402 links; more than a thousand is a list, or an attack on
	// whoever judges them.
	maxFound = 1000
	// maxTextPart bounds the bytes of one text. Gmail clips what it shows at
	// 102 KB; the largest text part among a thousand real mails has 3 MB.
	maxTextPart = 8 << 20
	// maxSrcdoc bounds documents in attributes in documents.
	maxSrcdoc = 3
)

// A walk is what the parts of one message share: the consumer, and how much it
// may still be given.
type walk struct {
	yield func(Found, error) bool
	part  string // MIME part being looked at
	found int    // links yielded so far
	done  bool   // the consumer has had enough, or maxFound is reached
	edits *edits // of a message that is written anew; or nil
}

// give yields a link. What follows it in its part, unscanned, is reported when
// the message holds more links than the bound; -1 if that is not known.
func (w *walk) give(f Found, unscanned int) bool {
	if w.done {
		return false
	}
	if w.found == maxFound {
		w.bound("links", unscanned)
		w.done = true
		return false
	}
	w.found++
	f.Part = w.part
	w.done = !w.yield(f, nil)
	return !w.done
}

// fail hands on what a finder reports.
func (w *walk) fail(err error) {
	if b, ok := errors.AsType[*BoundError](err); ok {
		w.bound(b.Bound, b.Unscanned)
	}
}

// bound reports that a bound was passed. The walk may go on with what lies
// within it.
func (w *walk) bound(name string, unscanned int) {
	if !w.done {
		w.done = !w.yield(Found{}, &BoundError{Bound: name, Part: w.part, Unscanned: unscanned})
	}
}

// htmlLinks finds the links of an HTML document or fragment in one pass.
func htmlLinks(s string) iter.Seq2[Found, error] {
	return func(yield func(Found, error) bool) {
		w := walk{yield: yield}
		w.html(s)
	}
}

// html looks at one HTML part.
func (w *walk) html(s string) {
	over := len(s) - maxTextPart
	if over > 0 {
		s = s[:maxTextPart]
	}
	rooms := lentRooms.Get().(*htmlRooms)
	h := newHTMLScan(w, s, rooms)
	h.document()
	*rooms = htmlRooms{} // what was read is forgotten
	lentRooms.Put(rooms)
	if over > 0 {
		w.bound("size", over)
	}
}

// An htmlScan reads one document as the tokenizer of HTML §13.2.5 does, but
// makes no tokens: it jumps from tag to tag, looks up the few names that
// matter and skips over the rest. It allocates for what it yields, not for
// what it passes.
//
// Where mail clients are known to differ (Word shows what a browser skips),
// both readings are looked at: a link too many is judged and forgotten, a link
// too few is a hole.
type htmlScan struct {
	w        *walk
	doc      string
	fixed    int  // where all of doc stands in the part, for a document in an attribute; or -1
	seek     bool // look for the base element, nothing else, and put its href in
	baseHref string
	depth    int // documents in attributes around this one
	base     base
	unit     unit // what is looked at for URLs, if the document is written anew

	nested   bool   // inside what is markup to some clients only; such places do not nest
	unclosed uint32 // raw elements known to have no end tag before the end of what is scanned
	attrs    []attr // of the tag at hand, those that matter

	run   textRun
	shown shownText

	// An anchor waits here until its text is known, and what stands inside it
	// waits behind it, so that links come out in order.
	inAnchor bool
	cells    int // table cells open since the anchor
	pending  []Found
}

// An attr is an attribute that matters: doc[start:end] is its raw value.
type attr struct {
	what       uint32
	start, end int
}

// htmlRooms are what the slices of an htmlScan begin with: most tags have no more
// attributes, most documents nest no more. They are lent, for to allocate them
// takes as long as to look at a sixth of a short mail, and returned empty.
type htmlRooms struct {
	attrs   [8]attr
	pending [4]Found
	pieces  [16]piece
	buf     [512]byte
	steps   [32]offsetStep
	shown   [128]byte
}

var lentRooms = sync.Pool{New: func() any { return new(htmlRooms) }}

func newHTMLScan(w *walk, doc string, rooms *htmlRooms) htmlScan {
	return htmlScan{
		w: w, doc: doc, fixed: -1,
		attrs: rooms.attrs[:0], pending: rooms.pending[:0],
		run:   textRun{pieces: rooms.pieces[:0], buf: rooms.buf[:0], from: offsets{rooms.steps[:0]}},
		shown: shownText{buf: rooms.shown[:0]},
	}
}

func (h *htmlScan) document() {
	start := 0
	if strings.HasPrefix(h.doc, "\ufeff") {
		start = len("\ufeff")
	}
	h.scan(start, len(h.doc))
	h.closeAnchor()
	h.flushRun()
}

// scan looks at doc[pos:end] as markup.
func (h *htmlScan) scan(pos, end int) {
	s := h.doc[:end]
	for pos < end && !h.w.done {
		if s[pos] != '<' {
			i := strings.IndexByte(s[pos:], '<')
			if i < 0 {
				i = end - pos
			}
			h.text(pos, pos+i)
			pos += i
			continue
		}
		pos = h.markup(s, pos)
	}
}

// markup passes what begins with the "<" at pos, HTML §13.2.5.6, and gives the
// place behind it.
func (h *htmlScan) markup(s string, pos int) int {
	if pos+1 >= len(s) {
		h.text(pos, len(s))
		return len(s)
	}
	switch c := s[pos+1]; {
	case isAlpha(c):
		return h.startTag(s, pos+1)
	case c == '/':
		if pos+2 < len(s) && isAlpha(s[pos+2]) {
			return h.endTag(s, pos+2)
		}
		return behind(s, pos+2, ">")
	case c == '!':
		return h.declaration(s, pos+2)
	case c == '?':
		return behind(s, pos+2, ">")
	}
	h.text(pos, pos+1)
	return pos + 1
}

// declaration passes a comment, a doctype, a CDATA section or what is taken
// for a comment, from behind "<!".
func (h *htmlScan) declaration(s string, pos int) int {
	rest := s[pos:]
	switch {
	case strings.HasPrefix(rest, "--"):
		inner, next := comment(s, pos+2)
		// Outlook reads what <!--[if mso]> hides from browsers.
		if text := s[pos+2 : inner]; !h.seek && strings.HasPrefix(strings.TrimLeft(text, " \t\r\n"), "[if") && !h.nested {
			h.maybe(behind(s[:inner], pos+2, ">"), inner)
		}
		return next
	case strings.HasPrefix(rest, "[CDATA["):
		// Text in XHTML and SVG; in HTML a comment as far as the first ">".
		next := behind(s, pos, ">")
		h.text(pos+len("[CDATA["), max(pos+len("[CDATA["), next-1))
		return next
	}
	return behind(s, pos, ">")
}

// maybe looks at doc[pos:end], which is markup to some clients and not to
// others. It does not nest, so that no byte is looked at more than twice.
func (h *htmlScan) maybe(pos, end int) {
	unclosed := h.unclosed
	h.nested, h.unclosed = true, 0
	h.scan(pos, end)
	h.nested, h.unclosed = false, unclosed
}

// comment gives the end of the text of a comment that begins at pos, and the
// place behind its "-->", HTML §13.2.5.43 and following.
func comment(s string, pos int) (end, next int) {
	switch rest := s[pos:]; {
	case strings.HasPrefix(rest, ">"):
		return pos, pos + 1
	case strings.HasPrefix(rest, "->"):
		return pos, pos + 2
	}
	for at := pos; ; at += 2 {
		i := strings.Index(s[at:], "--")
		if i < 0 {
			return len(s), len(s)
		}
		at += i
		after := at + 2
		for after < len(s) && s[after] == '-' {
			after++
		}
		switch rest := s[after:]; {
		case strings.HasPrefix(rest, ">"):
			return at, after + 1
		case strings.HasPrefix(rest, "!>"):
			return at, after + 2
		}
		at = after - 2
	}
}

// startTag reads a start tag from its name on.
func (h *htmlScan) startTag(s string, pos int) int {
	what, key, next := readName(s, pos)
	name := s[pos:next]
	if next = h.attributes(s, next); next < 0 {
		return len(s) // a tag that never ends is dropped with all behind it
	}
	vml := isVML(key)
	switch {
	case vml || what&(elBlock|elImage) != 0:
		h.gap()
	case what&elBreak == 0:
		h.run.sep = true
	}
	if what&elAnchor != 0 || vml {
		h.closeAnchor()
	}
	if what&elCell != 0 {
		h.cells++
	}
	switch {
	case h.seek:
		h.seekBase(what)
	case len(h.attrs) > 0:
		h.reportTag(what, vml)
	}
	if what&elRaw != 0 {
		return h.rawText(s, next, what, name)
	}
	return next
}

// endTag reads an end tag from its name on.
func (h *htmlScan) endTag(s string, pos int) int {
	what, key, next := readName(s, pos)
	if next = h.attributes(s, next); next < 0 {
		return len(s)
	}
	vml := isVML(key)
	switch {
	case vml || what&(elBlock|elImage) != 0:
		h.gap()
	case what&elBreak == 0:
		h.run.sep = true
	}
	if what&elCell != 0 {
		h.cells--
	}
	if what&elAnchor != 0 || vml || h.cells < 0 {
		h.closeAnchor()
	}
	return next
}

// isVML is true of an element of Word's vector language, which may be a link.
func isVML(key uint64) bool { return key&0xffff == 'v'|':'<<8 }

// readName reads the name of an element, says what it is, and gives its key
// and its end.
func readName(s string, pos int) (what uint32, key uint64, end int) {
	start, shift := pos, 0
	for pos < len(s) && class[s[pos]]&endsName == 0 {
		if shift < 64 {
			key |= uint64(s[pos]|0x20) << shift
			shift += 8
		}
		pos++
	}
	return elements.lookup(key, s[start:pos]), key, pos
}

// attributes reads the attributes of a tag, HTML §13.2.5.32 to 39, keeps those
// that matter in h.attrs and gives the place behind the tag; -1 if it never
// ends. An attribute that stands there twice is kept twice, because not all
// clients take the first.
func (h *htmlScan) attributes(s string, pos int) int {
	h.attrs = h.attrs[:0]
	if pos < len(s) && s[pos] == '>' {
		return pos + 1
	}
	for {
		for pos < len(s) && class[s[pos]]&(isSpace|isSlash) != 0 {
			pos++
		}
		if pos >= len(s) {
			return -1
		}
		if s[pos] == '>' {
			return pos + 1
		}
		start, key, shift := pos, uint64(s[pos]|0x20), 8
		pos++ // a name may begin with "="
		for pos < len(s) && class[s[pos]]&(endsName|isEqual) == 0 {
			if shift < 64 {
				key |= uint64(s[pos]|0x20) << shift
				shift += 8
			}
			pos++
		}
		name := s[start:pos]
		for pos < len(s) && class[s[pos]]&isSpace != 0 {
			pos++
		}
		if pos >= len(s) {
			return -1
		}
		if s[pos] != '=' {
			continue
		}
		pos++
		for pos < len(s) && class[s[pos]]&isSpace != 0 {
			pos++
		}
		if pos >= len(s) {
			return -1
		}
		var value, end int
		switch c := s[pos]; c {
		case '"', '\'':
			value = pos + 1
			n := strings.IndexByte(s[value:], c)
			if n < 0 {
				return -1
			}
			end = value + n
			pos = end + 1
		case '>':
			return pos + 1
		default:
			value = pos
			for pos < len(s) && class[s[pos]]&isSpace == 0 && s[pos] != '>' {
				pos++
			}
			end = pos
		}
		h.keep(key, name, value, end)
	}
}

// keep remembers an attribute if it matters.
func (h *htmlScan) keep(key uint64, name string, start, end int) {
	what := attributes.lookup(key, name)
	if what == attrNone {
		if key&0xffff != 'o'|'n'<<8 {
			return
		}
		what = attrHandler // onclick and the like
	}
	h.attrs = append(h.attrs, attr{what, start, end})
}

// rawText passes the content of an element whose content is no markup, from
// behind its start tag, and gives the place of its end tag. Without an end
// tag, what follows is looked at as markup after all: browsers do not, but
// they are not the only readers.
func (h *htmlScan) rawText(s string, pos int, what uint32, name string) int {
	kind, which := what&elRaw, what&^(1<<16-1)
	if h.unclosed&which != 0 || h.nested && kind == elMaybe {
		return pos
	}
	var end int
	if kind == elScript {
		end = scriptEnd(s, pos)
	} else {
		end = endOf(s, pos, name)
	}
	if end < 0 {
		h.unclosed |= which
		return pos
	}
	switch kind {
	case elScript:
		h.in(unit{start: pos, end: end})
		h.script(h.doc[pos:end], pos, true)
	case elStyle:
		h.in(unit{start: pos, end: end})
		h.css(h.doc[pos:end], pos, true)
	case elText:
		h.gap()
		h.text(pos, end)
		h.gap()
	case elMaybe:
		if !h.seek {
			h.maybe(pos, end)
		}
	}
	return end
}

// endOf finds the end tag of a raw text element, HTML §13.2.5.11; -1 if there
// is none.
func endOf(s string, pos int, name string) int {
	for {
		i := strings.Index(s[pos:], "</")
		if i < 0 {
			return -1
		}
		pos += i
		if isTag(s[pos+2:], name) {
			return pos
		}
		pos += 2
	}
}

// isTag is true if s begins with the name of a tag and what ends a name.
func isTag(s, name string) bool {
	return len(s) > len(name) && class[s[len(name)]]&endsName != 0 && strings.EqualFold(s[:len(name)], name)
}

// scriptEnd finds the end tag of a script. Inside "<!--" another <script>
// takes the next </script> for itself, HTML §13.2.5.15 to 31.
func scriptEnd(s string, pos int) int {
	escaped, twice := false, false
	for pos < len(s) {
		i := strings.IndexAny(s[pos:], "<-")
		if i < 0 {
			return -1
		}
		pos += i
		rest := s[pos:]
		switch {
		case escaped && strings.HasPrefix(rest, "-->"):
			escaped, twice = false, false
			pos += 3
		case rest[0] == '-':
			pos++
		case !escaped && strings.HasPrefix(rest, "<!--"):
			escaped = true
			pos += 2 // its dashes may be those of "-->"
		case strings.HasPrefix(rest, "</") && isTag(rest[2:], "script"):
			if !twice {
				return pos
			}
			twice = false
			pos += 2
		case escaped && isTag(rest[1:], "script"):
			twice = true
			pos++
		default:
			pos++
		}
	}
	return -1
}

// behind gives the place behind the next mark, or the end.
func behind(s string, pos int, mark string) int {
	if pos < len(s) {
		if i := strings.Index(s[pos:], mark); i >= 0 {
			return pos + i + len(mark)
		}
	}
	return len(s)
}

// Classes of bytes in a tag.
const (
	isSpace uint8 = 1 << iota
	isSlash
	isEqual
	endsName
)

var class = [256]uint8{
	'\t': isSpace | endsName, '\n': isSpace | endsName, '\f': isSpace | endsName,
	'\r': isSpace | endsName, ' ': isSpace | endsName,
	'/': isSlash | endsName, '>': endsName, '=': isEqual,
}

func isAlpha(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' }
