package message

import (
	"strings"

	"headlight.example/link"
)

// value gives the value of an attribute, character references resolved, and
// where it stands; exact says that byte i of it stands at at+i.
func (h *htmlScan) value(a attr) (v string, at int, exact bool) {
	raw := h.doc[a.start:a.end]
	v = decodeAttr(raw)
	return v, a.start, len(v) == len(raw)
}

// attr gives the value of the first attribute of a kind; "" if there is none.
func (h *htmlScan) attr(what uint32) string {
	for _, a := range h.attrs {
		if a.what == what {
			v, _, _ := h.value(a)
			return v
		}
	}
	return ""
}

// reportTag reports the links in the attributes of a start tag.
func (h *htmlScan) reportTag(what uint32, vml bool) {
	if what&elImage != 0 && h.inAnchor {
		h.shown.alternative(h.attr(attrAlt))
	}
	for _, a := range h.attrs {
		h.in(unitOf(a, what))
		switch a.what {
		case attrHref:
			h.reportHref(a, what, vml)
		case attrSrc:
			h.reportAttr(a, Source)
		case attrData:
			if what&elObject != 0 {
				h.reportAttr(a, Source)
			}
		case attrAction:
			h.reportAttr(a, Form)
		case attrPing:
			h.reportEach(a, nextWord)
		case attrSrcset:
			h.reportEach(a, nextCandidate)
		case attrContent:
			if what&elMeta != 0 && strings.EqualFold(trimURL(h.attr(attrHTTPEquiv)), "refresh") {
				h.reportRefresh(a)
			}
		case attrStyle:
			if mayHoldURL(h.doc[a.start:a.end]) {
				v, at, exact := h.value(a)
				h.css(v, at, exact)
			}
		case attrHandler:
			v, at, exact := h.value(a)
			h.script(v, at, exact)
		case attrSrcdoc:
			h.srcdoc(a)
		}
	}
}

// reportAttr reports an attribute whose value is one URL.
func (h *htmlScan) reportAttr(a attr, where Where) {
	v, at, exact := h.value(a)
	shown := ""
	if where == Source {
		shown = collapse(h.attr(attrAlt))
	}
	h.report(v, at, exact, where, shown)
}

// reportHref reports an href and, if its element is an anchor that leads
// somewhere, keeps it until the text of the anchor is known.
func (h *htmlScan) reportHref(a attr, what uint32, vml bool) {
	if what&elBase != 0 {
		return // nobody goes there; links are resolved against it
	}
	if what&elFetched != 0 {
		h.reportAttr(a, Source)
		return
	}
	v, at, exact := h.value(a)
	f, ok := h.resolve(v, at, exact)
	if !ok {
		return
	}
	f.Where = Anchor
	if what&elAnchor == 0 && !vml { // an area of a map, say
		f.Shown = collapse(h.attr(attrAlt))
		h.give(f)
		return
	}
	if !h.inAnchor && !f.Link.IsZero() && !h.w.edits.bad(&f) { // else its text is looked at as well
		h.openAnchor()
	}
	h.give(f)
}

// report says where the URL v leads.
func (h *htmlScan) report(v string, at int, exact bool, where Where, shown string) {
	if f, ok := h.resolve(v, at, exact); ok {
		f.Where, f.Shown = where, shown
		h.give(f)
	}
}

// resolve reads a URL as it stands in an attribute or a style sheet. ok is
// false if it leads to no server: a mail address, a part of the message, a
// place relative to nothing.
func (h *htmlScan) resolve(v string, at int, exact bool) (f Found, ok bool) {
	if strings.IndexByte(v, 0) >= 0 {
		v, exact = strings.ReplaceAll(v, "\x00", "\ufffd"), false // HTML §13.2.5.36
	}
	t := trimURL(v)
	if exact && len(t) < len(v) {
		at += strings.Index(v, t)
	}
	f = Found{Raw: t, Offset: at}
	var err error
	if strings.HasPrefix(t, "https://") || strings.HasPrefix(t, "http://") {
		f.Link, err = link.Parse(t) // nearly all
		return f, err == nil
	}
	switch scheme, rest := splitScheme(t); scheme {
	case schemeScript:
		f.Marks = Script
		return f, true
	case schemeData:
		f.Marks = Data
		return f, true
	case schemeWeb:
		if !startsSlash(rest) && sameScheme(h.base.get(h.doc), t) {
			t = h.base.join(rest) // "http:page", relative after all
		}
		f.Link, err = link.Parse(t)
	case schemeMail:
		return f, false
	case schemeOther:
		f.Link, f.Marks, err = innerLink(t)
	default:
		switch b := h.base.get(h.doc); {
		case t == "":
			return f, false
		case b != "":
			f.Link, err = link.Parse(h.base.join(t))
		case len(t) > 2 && isSlashes(t):
			f.Link, err = link.Parse("https:" + t) // webmail, the likeliest base, is https
		case startsSlash(t) || t[0] == '#' || t[0] == '?':
			return f, false
		default:
			// Mail clients take href="www.example.org" for a host.
			f.Link, err = bareHost(t)
			f.Marks = Schemeless
		}
	}
	return f, err == nil && !f.Link.IsZero()
}

// innerLink finds a link that another scheme carries along, as in
// "ms-word:ofe|u|https://…" or "feed:https://…".
func innerLink(v string) (l link.Link, marks Marks, err error) {
	if !strings.Contains(v, "//") {
		return l, 0, nil
	}
	scanText(v, func(f Found, err error) bool {
		if err == nil && f.Marks&Schemeless == 0 {
			l, marks = f.Link, f.Marks
		}
		return l.IsZero()
	})
	return l, marks, nil
}

// bareHost reads a relative reference that begins with what the text finder
// takes for a host.
func bareHost(v string) (l link.Link, err error) {
	if strings.IndexByte(v, '.') < 0 {
		return l, nil
	}
	scanText(v, func(f Found, err error) bool {
		if err == nil && f.Offset == 0 {
			l = f.Link
		}
		return false
	})
	return l, nil
}

// give hands a link on, or lets it wait for the end of the anchor around it.
func (h *htmlScan) give(f Found) {
	if h.fixed >= 0 {
		f.Offset = h.fixed
	}
	if h.w.edits != nil {
		h.edit(&f)
	}
	switch {
	case !h.inAnchor:
		h.w.give(f, h.left(f))
	case len(h.pending) < maxFound:
		h.pending = append(h.pending, f)
	default:
		h.closeAnchor()
		h.w.give(f, h.left(f))
	}
	if f.Marks&Script != 0 && f.Link.IsZero() {
		h.flushRun()
		run := h.run // which may be in the midst of its own links
		h.run = textRun{}
		h.script(f.Raw, f.Offset, false) // javascript:location="http://…"
		h.run = run
	}
}

// left gives the bytes of the document from a link on.
func (h *htmlScan) left(f Found) int {
	if h.fixed >= 0 {
		return -1
	}
	return len(h.doc) - min(f.Offset, len(h.doc))
}

func (h *htmlScan) openAnchor() {
	h.flushRun()
	h.inAnchor, h.cells = true, 0
	h.shown.reset()
}

// closeAnchor hands on the anchor whose text is now known.
func (h *htmlScan) closeAnchor() {
	if !h.inAnchor {
		return
	}
	h.inAnchor = false
	text := h.shown.string(h.doc)
	for _, f := range h.pending {
		if f.Where == Anchor && f.Shown == "" && text != f.Raw {
			f.Shown = text
			if !f.Link.IsZero() && mayHoldLink(text, ' ') && mismatch(text, f.Link) {
				f.Marks |= Mismatch
			}
		}
		if !h.w.give(f, h.left(f)) {
			break
		}
	}
	h.pending = h.pending[:0]
}

// srcdoc looks at a document in an attribute.
func (h *htmlScan) srcdoc(a attr) {
	v, at, _ := h.value(a)
	if h.depth == maxSrcdoc {
		h.w.bound("depth", len(v))
		return
	}
	if h.fixed >= 0 {
		at = h.fixed
	}
	var rooms htmlRooms
	inner := newHTMLScan(h.w, v, &rooms)
	inner.fixed, inner.depth, inner.unit = at, h.depth+1, h.unit
	inner.document()
}

// reportEach reports an attribute that holds several URLs; next gives the
// bounds of the first and the place behind it.
func (h *htmlScan) reportEach(a attr, next func(string) (start, end, rest int)) {
	v, at, exact := h.value(a)
	for pos := 0; pos < len(v) && !h.w.done; {
		start, end, rest := next(v[pos:])
		if start < end {
			offset := at
			if exact {
				offset += pos + start
			}
			h.report(v[pos+start:pos+end], offset, exact, Source, "")
		}
		pos += rest
	}
}

// nextWord splits at white space.
func nextWord(s string) (start, end, rest int) {
	for start < len(s) && class[s[start]]&isSpace != 0 {
		start++
	}
	end = start
	for end < len(s) && class[s[end]]&isSpace == 0 {
		end++
	}
	return start, end, end
}

// nextCandidate reads one image candidate, HTML §4.8.4.3.10: "a.png 1x, b.png
// 2x"; commas inside a URL belong to it, those at its end do not.
func nextCandidate(s string) (start, end, rest int) {
	for start < len(s) && (class[s[start]]&isSpace != 0 || s[start] == ',') {
		start++
	}
	_, n, _ := nextWord(s[start:])
	end = start + n
	if end > start && s[end-1] == ',' {
		rest = end
		for end > start && s[end-1] == ',' {
			end--
		}
		return start, end, rest
	}
	inParens := false
	for rest = end; rest < len(s) && (inParens || s[rest] != ','); rest++ {
		switch s[rest] {
		case '(':
			inParens = true
		case ')':
			inParens = false
		}
	}
	return start, end, rest
}

// reportRefresh reports <meta http-equiv=refresh content="0; url=…">, HTML
// §4.2.4.3.
func (h *htmlScan) reportRefresh(a attr) {
	v, at, exact := h.value(a)
	i := 0
	for i < len(v) && (class[v[i]]&isSpace != 0 || '0' <= v[i] && v[i] <= '9' || v[i] == '.') {
		i++
	}
	for i < len(v) && (class[v[i]]&isSpace != 0 || v[i] == ';' || v[i] == ',') {
		i++
	}
	if n := len("url"); len(v) >= i+n && strings.EqualFold(v[i:i+n], "url") {
		j := i + n
		for j < len(v) && class[v[j]]&isSpace != 0 {
			j++
		}
		if j < len(v) && v[j] == '=' {
			for i = j + 1; i < len(v) && class[v[i]]&isSpace != 0; i++ {
			}
		}
	}
	u := v[i:]
	if u != "" && (u[0] == '"' || u[0] == '\'') {
		quote := u[0]
		u = u[1:]
		i++
		if end := strings.IndexByte(u, quote); end >= 0 {
			u = u[:end]
		}
	}
	if exact {
		at += i
	}
	h.report(u, at, exact, Refresh, "")
}

// What a URL's scheme means to us.
type scheme uint8

const (
	schemeNone scheme = iota // a relative reference
	schemeWeb
	schemeScript
	schemeData
	schemeMail  // leads to no server, and carries no link along
	schemeOther // unknown; may carry a link along
)

var schemes = map[string]scheme{
	"http": schemeWeb, "https": schemeWeb, "ftp": schemeWeb,
	"javascript": schemeScript, "vbscript": schemeScript, "livescript": schemeScript,
	"data":   schemeData,
	"mailto": schemeMail, "cid": schemeMail, "mid": schemeMail, "tel": schemeMail, "sms": schemeMail,
	"about": schemeMail, "blob": schemeMail,
}

// splitScheme says what scheme v has and gives what follows the colon. Tab and
// newline are passed over wherever they stand, as URL §4.4 has it.
func splitScheme(v string) (scheme, string) {
	var name [16]byte
	n := 0
	for i := 0; i < len(v); i++ {
		c := v[i]
		switch {
		case c == '\t' || c == '\n' || c == '\r':
			continue
		case c == ':' && n > 0:
			if s, ok := schemes[string(name[:min(n, len(name))])]; ok {
				return s, v[i+1:]
			}
			return schemeOther, v[i+1:]
		case isAlpha(c) || n > 0 && (isAlnum(c) || c == '+' || c == '-' || c == '.'):
			if n < len(name) {
				name[n] = c | 0x20
			}
			n++
		default:
			return schemeNone, v
		}
	}
	return schemeNone, v
}

// trimURL cuts control bytes and spaces from both ends, URL §4.4.
func trimURL(v string) string {
	for v != "" && v[0] <= ' ' {
		v = v[1:]
	}
	for v != "" && v[len(v)-1] <= ' ' {
		v = v[:len(v)-1]
	}
	return v
}

func startsSlash(v string) bool { return v != "" && (v[0] == '/' || v[0] == '\\') }

// isSlashes is true if v begins with two slashes of either kind.
func isSlashes(v string) bool { return len(v) > 1 && startsSlash(v) && startsSlash(v[1:]) }

func sameScheme(b, v string) bool {
	i, j := strings.IndexByte(b, ':'), strings.IndexByte(v, ':')
	return i >= 0 && j >= 0 && strings.EqualFold(b[:i], v[:j])
}

// A base is what relative references are resolved against: the first <base
// href> of the document, wherever it stands. It is looked for when the first
// relative reference turns up, for most mails have none.
type base struct {
	sought bool
	origin string // "https://host:port"
	path   string // of the base itself, "/a/b"
}

// get gives the base's origin; "" if the document has no base that is absolute.
func (b *base) get(doc string) string {
	if !b.sought {
		b.sought = true
		b.find(doc)
	}
	return b.origin
}

// find looks for the first base element that has an href.
func (b *base) find(doc string) {
	if !mayHold(doc, "<base") {
		return
	}
	finder := htmlScan{w: new(walk), doc: doc, seek: true}
	finder.scan(0, len(doc))
	v := finder.baseHref
	v = strings.Map(func(r rune) rune {
		if r == '\t' || r == '\n' || r == '\r' {
			return -1
		}
		return r
	}, trimURL(v))
	s, rest := splitScheme(v)
	if s != schemeWeb {
		return
	}
	authority := strings.TrimLeft(rest, `/\`)
	path := ""
	if i := strings.IndexAny(authority, `/\?#`); i >= 0 {
		authority, path = authority[:i], authority[i:]
		if i := strings.IndexAny(path, "?#"); i >= 0 {
			path = path[:i]
		}
	}
	origin := v[:len(v)-len(rest)] + "//" + authority
	if _, err := link.Parse(origin); err == nil && authority != "" {
		b.origin, b.path = origin, "/"+strings.TrimLeft(strings.ReplaceAll(path, `\`, "/"), "/")
	}
}

// seekBase ends the search for the base if the tag at hand has it.
func (h *htmlScan) seekBase(what uint32) {
	if what&elBase == 0 {
		return
	}
	for _, a := range h.attrs {
		if a.what == attrHref {
			h.baseHref, _, _ = h.value(a)
			h.w.done = true
			return
		}
	}
}

// join resolves a relative reference, RFC 3986 §5.2.2; dot segments are left to
// link.Parse.
func (b *base) join(ref string) string {
	switch {
	case isSlashes(ref):
		return b.origin[:strings.IndexByte(b.origin, ':')+1] + ref
	case startsSlash(ref):
		return b.origin + ref
	case ref == "" || ref[0] == '?' || ref[0] == '#':
		return b.origin + b.path + ref
	}
	return b.origin + b.path[:strings.LastIndexByte(b.path, '/')+1] + ref
}

// mayHold is true if doc holds mark, which is in lower case, in any case.
func mayHold(doc, mark string) bool {
	for {
		i := strings.IndexByte(doc, mark[0])
		if i < 0 || len(doc)-i < len(mark) {
			return false
		}
		if strings.EqualFold(doc[i:i+len(mark)], mark) {
			return true
		}
		doc = doc[i+1:]
	}
}
