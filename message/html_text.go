package message

import (
	"math/bits"
	"slices"
	"strings"
	"unicode/utf8"
)

// text takes a stretch of text, doc[start:end].
func (h *htmlScan) text(start, end int) {
	switch {
	case h.seek || start >= end:
	case h.inAnchor:
		h.shown.add(h.doc, start, end)
	default:
		h.run.add(h.doc, start, end)
	}
}

// gap says that what follows does not stand on the same line as what came
// before it.
func (h *htmlScan) gap() {
	if h.inAnchor {
		h.shown.space = true
		return
	}
	h.flushRun()
}

// A textRun gathers text that stands on one line for the reader although
// inline elements break it up: "http://ev<b>il.exam</b>ple/".
type textRun struct {
	pieces []piece
	sep    bool // an element began or ended since the last piece

	// Where the joined text comes from, and what was found in it.
	buf   []byte
	from  offsets
	cuts  []int // places in buf where an element begins or ends
	finds []Found
}

type piece struct {
	start, end int
	sep        bool
}

func (r *textRun) add(doc string, start, end int) {
	if n := len(r.pieces); n > 0 {
		if last := &r.pieces[n-1]; !r.sep && last.end == start {
			last.end = end
			return
		}
	} else {
		for start < end && class[doc[start]]&isSpace != 0 {
			start++
		}
		if start == end {
			return
		}
		r.sep = false
	}
	r.pieces = append(r.pieces, piece{start, end, r.sep})
	r.sep = false
}

// flushRun looks for links in the text gathered so far.
func (h *htmlScan) flushRun() {
	pieces := h.run.pieces
	if len(pieces) == 0 {
		return
	}
	h.run.pieces, h.run.sep = pieces[:0], false
	if !h.worthJoining(pieces) {
		return
	}
	around := h.unit
	h.findInPieces(pieces)
	h.unit = around
}

func (h *htmlScan) findInPieces(pieces []piece) {
	if p := pieces[0]; len(pieces) == 1 && isPlain(h.doc[p.start:p.end]) {
		h.findIn(h.doc[p.start:p.end], p.start)
		return
	}
	r := &h.run
	r.buf, r.cuts = r.buf[:0], r.cuts[:0]
	r.from.reset()
	for _, p := range pieces {
		if p.sep {
			r.cuts = append(r.cuts, len(r.buf))
		}
		r.buf = appendText(r.buf, &r.from, h.doc[p.start:p.end], p.start)
	}
	h.findJoined(string(r.buf), pieces)
}

func (h *htmlScan) worthJoining(pieces []piece) bool {
	for i, p := range pieces {
		next := byte(' ')
		if i+1 < len(pieces) {
			next = h.doc[pieces[i+1].start]
		}
		if mayHoldLink(h.doc[p.start:p.end], next) {
			return true
		}
	}
	return false
}

// findIn yields the links of a text that stands in the document at offset.
func (h *htmlScan) findIn(s string, offset int) {
	scanText(s, func(f Found, err error) bool {
		if err != nil {
			h.w.fail(err)
		} else {
			f.Offset += offset
			if h.w.edits != nil {
				end := f.Offset + len(f.Raw)
				h.in(unit{start: f.Offset, end: end, shown: f.Raw, pieces: []piece{{start: f.Offset, end: end}}})
			}
			h.give(f)
		}
		return !h.w.done
	})
}

// findJoined yields the links of a text put together from pieces, in h.run.
//
// Whether the reader sees a gap between two elements is known to the style
// sheet alone, so the text between two cuts is read by itself too: in
// "<b>www.example.org</b><span>Call us</span>" the joined reading has nothing.
// What the joined reading has already is not yielded twice.
func (h *htmlScan) findJoined(text string, pieces []piece) {
	r := &h.run
	r.finds = h.findAll(r.finds[:0], text, 0)
	if len(r.cuts) > 0 {
		joined := len(r.finds)
		start, next := 0, 0
		for i := 0; i <= len(r.cuts) && len(r.finds) <= 2*maxFound; i++ {
			end := len(text)
			if i < len(r.cuts) {
				end = r.cuts[i]
			}
			alone := len(r.finds)
			if mayHoldLink(text[start:end], ' ') {
				r.finds = h.findAll(r.finds, text[start:end], start)
			}
			kept := r.finds[:alone]
			for _, f := range r.finds[alone:] {
				for next < joined && r.finds[next].Offset < f.Offset {
					next++
				}
				if addsTo(r.finds[next:joined], f, text) {
					kept = append(kept, f)
				}
			}
			r.finds = kept
			start = end
		}
		slices.SortStableFunc(r.finds, func(a, b Found) int { return a.Offset - b.Offset })
	}
	end := 0
	for i, f := range r.finds {
		if h.w.edits != nil && f.Offset >= end { // else it is in the unit of one before
			start := f.Offset
			end = behindAll(r.finds[i:])
			h.in(unit{start: r.from.of(start), end: r.from.of(end), shown: text[start:end], pieces: pieces})
		}
		f.Offset = r.from.of(f.Offset)
		h.give(f)
	}
	clear(r.finds)
}

// addsTo says whether f, found in a piece of text by itself, is to be yielded
// beside what was found in the whole text from f.Offset on.
func addsTo(joined []Found, f Found, text string) bool {
	host := f.Link.Host()
	_, isAddr := f.Link.Addr()
	switch {
	case len(joined) > 0 && joined[0].Offset == f.Offset && joined[0].Link.Host() == host:
		return false // the same link, or its beginning
	case !isAddr && (f.Link.Suffix() == host || !isTLD(host[strings.LastIndexByte(host, '.')+1:])):
		return false // the beginning of a host
	case f.Marks&Schemeless != 0 && f.Offset > 0 && text[f.Offset-1] > ' ' && text[f.Offset-1] < utf8.RuneSelf && isAlnum(text[f.Offset-1]):
		return false // the end of a host
	}
	return true
}

// findAll appends the links of a text that stands at offset.
func (h *htmlScan) findAll(finds []Found, s string, offset int) []Found {
	scanText(s, func(f Found, err error) bool {
		if err != nil {
			h.w.fail(err)
		} else {
			f.Offset += offset
			finds = append(finds, f)
		}
		return len(finds) <= 2*maxFound
	})
	return finds
}

// isPlain is true of a text that reads as it is written: no character
// references, nothing that takes no room.
func isPlain(s string) bool {
	return strings.IndexByte(s, '&') < 0 && (allASCII(s) || !holdsInvisible(s))
}

func holdsInvisible(s string) bool {
	return strings.Contains(s, "\u200b"[:2]) || strings.Contains(s, "\u00ad") || strings.Contains(s, "\ufeff") || strings.Contains(s, "\u2060"[:2])
}

// invisible gives the length of the character at the start of s if it takes no
// room and breaks no word: soft hyphen, zero-width space, non-joiner, joiner,
// word joiner, byte order mark. Otherwise 0.
func invisible(s string) int {
	if len(s) >= 2 && s[0] == 0xc2 && s[1] == 0xad {
		return 2
	}
	if len(s) < 3 {
		return 0
	}
	switch s[:3] {
	case "\u200b", "\u200c", "\u200d", "\u2060", "\ufeff":
		return 3
	}
	return 0
}

// appendText appends a stretch of text as it reads, and notes where it stands.
func appendText(buf []byte, from *offsets, s string, at int) []byte {
	from.step(len(buf), at)
	for i := 0; i < len(s); {
		start := i
		for i < len(s) && s[i] != '&' && s[i] != 0xc2 && s[i] != 0xe2 && s[i] != 0xef {
			i++
		}
		buf = append(buf, s[start:i]...)
		if i == len(s) {
			break
		}
		if n := invisible(s[i:]); n > 0 {
			i += n
			from.step(len(buf), at+i)
			continue
		}
		v, n := "", 0
		if s[i] == '&' {
			v, n = charRef(s[i:], false)
		}
		if n == 0 {
			buf = append(buf, s[i])
			i++
			continue
		}
		if invisible(v) == 0 {
			from.step(len(buf), at+i)
			buf = append(buf, v...)
		}
		i += n
		from.step(len(buf), at+i)
	}
	return buf
}

// mayHoldLink says whether a text, in which character references may stand
// and which is followed by next, is worth a closer look: it holds a sign of
// which scanText takes notice, or ends where one might be cut in two. Most text
// of a mail holds none, and need not be put together at all.
func mayHoldLink(s string, next byte) bool {
	i, wide := 0, false
	for ; i+8 <= len(s); i += 8 {
		w := load8(s, i)
		wide = wide || w&eachHigh != 0
		for marked := signBytes(w) | zeros(w^'&'*each)&eachHigh; marked != 0; marked &= marked - 1 {
			if maySign(s, i+bits.TrailingZeros64(marked)/8, next) {
				return true
			}
		}
	}
	for ; i < len(s); i++ {
		wide = wide || s[i] >= utf8.RuneSelf
		if maySign(s, i, next) {
			return true
		}
	}
	if !wide {
		return false
	}
	for _, dot := range wideDots {
		if strings.Contains(s, dot) {
			return true
		}
	}
	return false
}

// maySign says whether s[i] may be, or stand for, the sign of a link once the
// text is put together.
func maySign(s string, i int, next byte) bool {
	switch s[i] {
	case '.':
		c := byteBehind(s, i+1, next)
		return c == '&' || textClass[c]&inName != 0 ||
			textClass[c]&closesBracket != 0 && (i == 0 || textClass[s[i-1]]&opensBracket != 0 || s[i-1] == ';')
	case ':':
		return byteAfter(s, i, next) > ' ' || i > 0 && (s[i-1]|0x20 == 't' || s[i-1]|0x20 == 'a')
	case '[', '(', '{':
		c := byteAfter(s, i, next)
		return c|0x20 == 'd' || c == '&' || c >= utf8.RuneSelf
	case '&':
		v, n := charRef(s[i:], false)
		return n > 0 && hidesSign(v)
	}
	return false
}

// byteBehind gives the first byte at i or behind it of what the reader sees; next
// at the end. A no-break space is a space: many mails begin with a sentence and
// hundreds of "&nbsp;&zwnj;", so that a list of mails shows nothing behind it.
func byteBehind(s string, i int, next byte) byte {
	for i < len(s) {
		if s[i] != '&' {
			return s[i]
		}
		v, n := charRef(s[i:], false)
		switch {
		case n == 0:
			return '&'
		case v == "\u00a0":
			return ' '
		case invisible(v) == 0:
			return v[0]
		}
		i += n
	}
	return next
}

// byteAfter gives the byte behind s[i]; next at the end.
func byteAfter(s string, i int, next byte) byte {
	if i+1 < len(s) {
		return s[i+1]
	}
	return next
}

// hidesSign is true of what a character reference may hide.
func hidesSign(v string) bool {
	switch v {
	case ".", ":", "/", "\\", "[", "]", "(", ")", "{", "}":
		return true
	}
	return slices.Contains(wideDots[:], v)
}

// An offsets says where the bytes of a text that was put together stood.
type offsets struct {
	steps []offsetStep
}

// An offsetStep says that text from byte at on stood at source and following.
type offsetStep struct{ at, source int }

func (o *offsets) reset() { o.steps = o.steps[:0] }

func (o *offsets) step(at, source int) {
	if n := len(o.steps); n > 0 && o.steps[n-1].at == at {
		o.steps[n-1].source = source
		return
	}
	o.steps = append(o.steps, offsetStep{at, source})
}

// of gives the source of byte i.
func (o *offsets) of(i int) int {
	n, _ := slices.BinarySearchFunc(o.steps, i, func(s offsetStep, i int) int {
		if s.at <= i {
			return -1
		}
		return 1
	})
	if n == 0 {
		return i
	}
	s := o.steps[n-1]
	return s.source + i - s.at
}

// A shownText gathers what the reader sees of an anchor.
type shownText struct {
	start, end int    // the first stretch of text, as it stands in the document
	buf        []byte // all of it, white space collapsed, once there is a second
	many       bool
	space      bool // a gap came since
	alt        string
}

func (t *shownText) reset() {
	t.start, t.end, t.many, t.space, t.alt = 0, 0, false, false, ""
	t.buf = t.buf[:0]
}

func (t *shownText) add(doc string, start, end int) {
	if !t.many {
		if t.end == 0 {
			if strings.Trim(doc[start:end], " \t\r\n\f") != "" {
				t.start, t.end, t.space = start, end, false
			}
			return
		}
		if !t.space && t.end == start {
			t.end = end
			return
		}
		t.many = true
		t.buf = appendCollapsed(t.buf, doc[t.start:t.end], true)
	}
	if t.space {
		t.buf = appendCollapsed(t.buf, " ", false)
		t.space = false
	}
	t.buf = appendCollapsed(t.buf, doc[start:end], true)
}

// alternative takes the alternative text of an image, which counts if there is
// no other.
func (t *shownText) alternative(alt string) {
	if t.alt == "" {
		t.alt = alt
	}
}

func (t *shownText) string(doc string) string {
	var s string
	switch {
	case t.many:
		s = cutShown(string(t.buf))
	case t.end > 0:
		if s = strings.Trim(doc[t.start:t.end], " \t\r\n\f"); !isCollapsed(s) || strings.IndexByte(s, '&') >= 0 {
			s = cutShown(string(appendCollapsed(t.buf[:0], s, true)))
		}
	}
	if s == "" {
		s = collapse(t.alt)
	}
	return s
}

// collapse collapses the white space of a text without character references,
// and bounds it.
func collapse(s string) string {
	if isCollapsed(s) {
		return s
	}
	return cutShown(string(appendCollapsed(nil, s, false)))
}

// isCollapsed is true of a text that is short enough and has no white space at
// its ends, and no more than one space in a row.
func isCollapsed(s string) bool {
	if len(s) > maxShown || s != "" && (s[0] == ' ' || s[len(s)-1] == ' ') {
		return false
	}
	for i := range len(s) {
		switch c := s[i]; {
		case c == ' ' && s[i+1] == ' ', c != ' ' && class[c]&isSpace != 0, c == 0xc2:
			return false
		}
	}
	return true
}

// appendCollapsed appends s with its runs of white space, no-break spaces
// among them, made one space; no more than maxShown bytes and a little.
func appendCollapsed(dst []byte, s string, refs bool) []byte {
	for i := 0; i < len(s) && len(dst) <= maxShown; {
		c := s[i]
		n := 1
		v := s[i : i+1]
		switch {
		case class[c]&isSpace != 0:
			v = " "
		case c == 0xc2 && strings.HasPrefix(s[i:], "\u00a0"):
			v, n = " ", 2
		case c == '&' && refs:
			if r, k := charRef(s[i:], false); k > 0 {
				v, n = r, k
				if r == "\u00a0" || len(r) == 1 && class[r[0]]&isSpace != 0 {
					v = " "
				}
			}
		}
		if v != " " || len(dst) > 0 && dst[len(dst)-1] != ' ' {
			dst = append(dst, v...)
		}
		i += n
	}
	return dst
}

// cutShown bounds a collapsed text, at a character's end.
func cutShown(s string) string {
	if len(s) > maxShown {
		n := maxShown
		for n > 0 && !utf8.RuneStart(s[n]) {
			n--
		}
		s = s[:n]
	}
	return strings.TrimSuffix(s, " ")
}
