package message

import (
	"cmp"
	"encoding/base64"
	"errors"
	"html"
	"slices"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding/charmap"

	"headlight.example/link"
)

// ErrSealed says that a mail is signed or encrypted, so that it may not be written
// anew: OpenPGP (RFC 3156, and armor in the text), S/MIME (RFC 8551). A signature
// of DKIM seals nothing: it is for servers, and breaks.
var ErrSealed = errors.New("message: signed or encrypted")

// Defang writes a mail anew so that the links that instead calls bad cannot be
// followed. In text they can still be read, as hxxp://bad[.]example/; where HTML has
// one to be clicked the url stands in its place, or one that leads nowhere if url is
// "". All other bytes stay as they are, but that the lines of a part in base64 may
// break elsewhere. A line that may be sent by SMTP (998 bytes, RFC 5322 §2.1.1) is not
// made one that may not: what is put there is cut, or leads nowhere.
//
// Left is how many bad links there still are that can be followed: in fields of the
// header, in messages within an encoding, in folded lines of calendars, in charsets
// that cannot be written, where lines would be too long still. The error is ErrSealed or nil.
func Defang(mail string, instead func(link.Link) (url string, bad bool)) (out string, left int, err error) {
	seals := &mailWalk{seals: true, walk: walk{yield: func(Found, error) bool { return true }}}
	seals.message(mail, place{}, 0)
	if seals.sealed {
		return mail, 0, ErrSealed
	}
	e := &edits{instead: instead}
	for range maxPasses {
		m := &mailWalk{walk: walk{yield: seals.yield, edits: e}}
		m.message(mail, place{}, 0)
		if len(m.rewritten) == 0 {
			break
		}
		mail = splice(mail, m.rewritten)
	}
	for f, err := range Links(Mail, mail) {
		if err == nil && e.bad(&f) {
			left++
		}
	}
	return mail, left, nil
}

const (
	// maxPasses is how often a mail is gone through. Two are enough, of which the second
	// finds nothing, but where a reading of HTML hides another.
	maxPasses = 4
	// nowhere is where a link leads that leads nowhere.
	nowhere = "about:blank#blocked"
)

// sealing are the media types of what is signed or encrypted.
var sealing = map[string]bool{
	"multipart/signed": true, "multipart/encrypted": true,
	"application/pkcs7-mime": true, "application/x-pkcs7-mime": true,
	"application/pgp-encrypted": true, "application/pgp": true,
}

// hasArmor is true of a text with a message signed or encrypted by OpenPGP, RFC 9580
// §6.2 and §7.
func hasArmor(text string) bool {
	for _, mark := range []string{"-----BEGIN PGP SIGNED MESSAGE-----", "-----BEGIN PGP MESSAGE-----"} {
		if i := strings.Index(text, mark); i == 0 || i > 0 && text[i-1] == '\n' {
			return true
		}
	}
	return false
}

// raw is what a text was decoded from, and where that begins in the mail; -1 if it
// does not stand there.
type raw struct {
	start          int
	text, encoding string
}

// An edit puts text in the place of what stands at start..end, or short where a line
// has no room for that.
type edit struct {
	start, end  int
	text, short string
}

// splice makes the edits. Of two that overlap the first is made.
func splice(s string, all []edit) string {
	var b strings.Builder
	at := 0
	for _, e := range inOrder(all) {
		b.WriteString(s[at:e.start])
		b.WriteString(e.text)
		at = e.end
	}
	b.WriteString(s[at:])
	return b.String()
}

// inOrder sorts edits and drops those that overlap one before.
func inOrder(all []edit) []edit {
	slices.SortStableFunc(all, func(a, b edit) int { return cmp.Compare(a.start, b.start) })
	at := 0
	return slices.DeleteFunc(all, func(e edit) bool {
		drop := e.start < at
		if !drop {
			at = e.end
		}
		return drop
	})
}

// edits are those of a text that is being looked at.
type edits struct {
	instead func(link.Link) (url string, bad bool)
	text    []edit
}

// bad is true of a link that can be followed and should not. A nil *edits knows none.
func (e *edits) bad(f *Found) bool {
	if e == nil || f.Marks&Defanged != 0 || f.Link.IsZero() {
		return false
	}
	_, bad := e.instead(f.Link)
	return bad
}

func (e *edits) put(start, end int, text, short string) {
	e.text = append(e.text, edit{start, end, text, short})
}

// defang puts a link that nobody can click in its place.
func (e *edits) defang(start, end int, link string) {
	text := defang(link)
	e.put(start, end, text, cut(text, end-start))
}

// rewrite takes the edits of the text that was decoded from m.raw to the mail.
func (m *mailWalk) rewrite(charset string) {
	if m.edits == nil || len(m.edits.text) == 0 {
		return
	}
	all := inOrder(m.edits.text)
	m.edits.text = nil
	if m.raw.start < 0 {
		return
	}
	decoded := decodeTransfer(m.raw.text, m.raw.encoding)
	all, ok := encodeCharset(decoded, charset, all)
	if ok {
		all, ok = encodeTransfer(m.raw, decoded, all)
	}
	if !ok {
		return
	}
	for _, e := range all {
		m.rewritten = append(m.rewritten, edit{start: m.raw.start + e.start, end: m.raw.start + e.end, text: e.text})
	}
}

// encodeCharset takes edits of a text in UTF-8 to s, from which it was decoded; false
// if that cannot be done.
func encodeCharset(s, charset string, all []edit) ([]edit, bool) {
	enc, mark := encodingOf(s, charset)
	if enc == utf7 {
		return nil, false
	}
	text := decodeCharset(s, charset)
	read, at := 0, mark
	// encoded is what text[read:to] is in s, where it must stand.
	encoded := func(to int) bool {
		if to > len(text) {
			return false
		}
		part := text[read:to]
		if _, ok := enc.(*charmap.Charmap); ok {
			read, at = to, at+utf8.RuneCountInString(part) // a byte each, or no character at all
			return true
		}
		if enc != nil {
			var err error
			if part, err = enc.NewEncoder().String(part); err != nil {
				return false
			}
		}
		if !strings.HasPrefix(s[at:], part) {
			return false
		}
		read, at = to, at+len(part)
		return true
	}
	out := make([]edit, 0, len(all))
	for _, e := range all {
		if !encoded(e.start) {
			return nil, false
		}
		start := at
		if !encoded(e.end) {
			return nil, false
		}
		if enc != nil {
			var err, errShort error
			e.text, err = enc.NewEncoder().String(e.text)
			if e.short, errShort = enc.NewEncoder().String(e.short); err != nil || errShort != nil {
				return nil, false
			}
		}
		out = append(out, edit{start, at, e.text, e.short})
	}
	return out, true
}

// encodeTransfer takes edits of a decoded text to what it was decoded from; false if
// that cannot be done.
func encodeTransfer(r raw, decoded string, all []edit) ([]edit, bool) {
	newline := "\n"
	if strings.Contains(r.text, "\r\n") {
		newline = "\r\n"
	}
	switch {
	case r.encoding == "quoted-printable":
		return quotedEdits(r.text, newline, all), true
	case r.encoding == "base64":
		const blank = " \t\r\n"
		start, end := len(r.text)-len(strings.TrimLeft(r.text, blank)), len(strings.TrimRight(r.text, blank))
		return []edit{{start: start, end: max(start, end), text: encodeBase64(splice(decoded, all), newline)}}, true
	case isEncoding(r.encoding):
		return nil, false
	}
	return fit(r.text, all), true
}

// maxLine is how long a line of a mail may be, without CRLF: RFC 5322 §2.1.1. Mail
// servers break longer ones anywhere, or refuse the mail.
const maxLine = 998

// fit takes the short form of those edits that would make a line too long which is
// not, and none if that is too long still.
func fit(s string, all []edit) (out []edit) {
	lineEnd := func(from int) int {
		if i := strings.IndexByte(s[from:], '\n'); i >= 0 {
			return from + i + 1
		}
		return len(s)
	}
	for len(all) > 0 {
		// The edits of a line, or of those that they join.
		start := strings.LastIndexByte(s[:all[0].start], '\n') + 1
		end, n := lineEnd(all[0].end), 1
		for ; n < len(all) && all[n].start < end; n++ {
			end = lineEnd(all[n].end)
		}
		lines, here := s[start:end], slices.Clone(all[:n])
		for i := range here {
			here[i].start -= start
			here[i].end -= start
		}
		if longest(lines) <= maxLine && longest(splice(lines, here)) > maxLine {
			for i := range here {
				here[i].text, all[i].text = here[i].short, here[i].short
			}
			if longest(splice(lines, here)) > maxLine {
				all = all[n:]
				continue
			}
		}
		out = append(out, all[:n]...)
		all = all[n:]
	}
	return out
}

// longest is how long the longest line is.
func longest(s string) (n int) {
	for line := range strings.SplitSeq(s, "\n") {
		n = max(n, len(strings.TrimSuffix(line, "\r")))
	}
	return n
}

// more stands where something was cut.
const more = "..."

// cut cuts what is not a link any more to n bytes; "" if so little would say nothing.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	n -= len(more)
	if n < len("hxxp") {
		return ""
	}
	for !utf8.RuneStart(s[n]) {
		n--
	}
	return strings.TrimRight(s[:n], "[.") + more
}

// lineLen is how long a line may be in an encoding, RFC 2045 §6.7 and §6.8.
const lineLen = 76

func encodeBase64(s, newline string) string {
	var b strings.Builder
	for all := base64.StdEncoding.EncodeToString([]byte(s)); all != ""; {
		n := min(len(all), lineLen)
		if b.Len() > 0 {
			b.WriteString(newline)
		}
		b.WriteString(all[:n])
		all = all[n:]
	}
	return b.String()
}

// quotedEdits takes edits of a text to its quoted-printable. What is new stands on
// lines of its own, which are none to the reader.
func quotedEdits(s, newline string, all []edit) []edit {
	from := new(places)
	for _, e := range all {
		from.want = append(from.want, e.start, e.end)
	}
	var decoded strings.Builder
	decodeQuoted(&decoded, s, from)
	from.step(decoded.Len()+1, len(s))
	out := make([]edit, len(all))
	for i, e := range all {
		out[i] = edit{start: from.got[2*i], end: from.got[2*i+1], text: quoted(e.text, newline)}
	}
	return out
}

func quoted(s, newline string) string {
	if s == "" {
		return ""
	}
	const hex = "0123456789ABCDEF"
	soft := "=" + newline
	b := []byte(soft)
	line := 0
	for i := range len(s) {
		if line > lineLen-len("=41=") {
			b = append(b, soft...)
			line = 0
		}
		c := s[i]
		if c > ' ' && c <= '~' && c != '=' {
			b = append(b, c)
			line++
		} else {
			b = append(b, '=', hex[c>>4], hex[c&15])
			line += 3
		}
	}
	return string(append(b, soft...))
}

// places finds where bytes of a text come from that is decoded piece by piece.
type places struct {
	at, source int   // text from at on comes from source on
	want       []int // rising
	got        []int
}

// step says that the text from at on comes from source on.
func (p *places) step(at, source int) {
	for len(p.want) > 0 && p.want[0] < at {
		p.got = append(p.got, p.source+p.want[0]-p.at)
		p.want = p.want[1:]
	}
	p.at, p.source = at, source
}

// defang writes a link so that nobody can click it, and everybody can read it:
// http://bad.example/a.html becomes hxxp://bad[.]example/a[.]html. What stands in
// the path may be a link too.
func defang(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); {
		c, rest := s[i], s[i:]
		switch {
		case c == '.':
			b.WriteString("[.]")
			i++
			continue
		case c|0x20 == 'h' && len(rest) >= 4 && strings.EqualFold(rest[:4], "http"):
			b.Write([]byte{c, rest[1] ^ 't' ^ 'x', rest[2] ^ 't' ^ 'x', rest[3]})
			i += 4
			continue
		case c|0x20 == 'f' && len(rest) >= 4 && strings.EqualFold(rest[:4], "ftp:"):
			b.Write([]byte{c, rest[1] ^ 't' ^ 'x', rest[2]})
			i += 3
			continue
		case c == ':' && i > 1 && (strings.EqualFold(s[i-2:i], "ws") || i > 2 && strings.EqualFold(s[i-3:i], "wss")):
			b.WriteString("[:]") // ws and wss, of whose hosts some have no dot
			i++
			continue
		case c >= utf8.RuneSelf:
			if n := wideDot(rest); n > 0 {
				b.WriteString("[.]")
				i += n
				continue
			}
		}
		b.WriteByte(c)
		i++
	}
	return b.String()
}

// wideDot gives the length of a dot of another script that s begins with, which
// browsers take for a dot; 0 if there is none.
func wideDot(s string) int {
	for _, dot := range wideDots {
		if strings.HasPrefix(s, dot) {
			return len(dot)
		}
	}
	return 0
}

// A unit is what of a document is looked at for URLs: the value of an attribute, the
// content of a script or style sheet, or a link in its text, of which it shows the
// parts of doc[start:end] that are in pieces.
type unit struct {
	start, end int
	url        bool // it holds URLs, and nothing else
	click      bool // who clicks goes there
	shown      string
	pieces     []piece
}

// in notes that u is what is looked at. All that is found within a document in an
// attribute is in that attribute.
func (h *htmlScan) in(u unit) {
	if h.w.edits != nil && h.fixed < 0 {
		h.unit = u
	}
}

func unitOf(a attr, what uint32) unit {
	u := unit{start: a.start, end: a.end}
	switch a.what {
	case attrHref:
		u.url, u.click = true, what&elFetched == 0
	case attrSrc, attrSrcset, attrAction, attrData, attrPing:
		u.url = true
	}
	return u
}

// behindAll gives the end of the first of some links that begin in order, and of
// those that overlap it: one and its beginning may both have been found.
func behindAll(links []Found) (end int) {
	for i, f := range links {
		if i > 0 && f.Offset >= end {
			break
		}
		end = max(end, f.Offset+len(f.Raw))
	}
	return end
}

// edit has a link of the unit lead nowhere. If its place is not known to the byte,
// all of the unit goes.
func (h *htmlScan) edit(f *Found) {
	e, u := h.w.edits, &h.unit
	if !e.bad(f) {
		return
	}
	to := nowhere
	if url, _ := e.instead(f.Link); u.click && url != "" {
		to = html.EscapeString(url)
	}
	// lead has what stands at start..end lead there.
	lead := func(start, end int) {
		short := ""
		if len(nowhere) <= end-start {
			short = nowhere
		}
		e.put(start, end, to, short)
	}
	end := f.Offset + len(f.Raw)
	switch {
	case u.pieces != nil:
		text := html.EscapeString(defang(u.shown))
		for _, p := range u.pieces { // the tags between them stay
			if lo, hi := max(u.start, p.start), min(u.end, p.end); lo < hi {
				short := cut(text, hi-lo)
				if i := strings.LastIndexByte(short, '&'); i > strings.LastIndexByte(short, ';') {
					short = short[:i] + more // no half references
				}
				e.put(lo, hi, text, short)
				text = ""
			}
		}
	case h.fixed < 0 && u.start <= f.Offset && end <= u.end && h.doc[f.Offset:end] == f.Raw:
		lead(f.Offset, end)
	case u.url:
		lead(u.start, u.end)
	default:
		e.put(u.start, u.end, "", "")
	}
}
