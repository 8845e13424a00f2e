package message

import (
	"iter"
	"strconv"
	"strings"

	"headlight.example/link"
)

// Bounds of one mail; those of its texts are in html.go.
const (
	// maxDecoded bounds the bytes of all texts of a mail. Large providers
	// refuse messages above 25 MB (Gmail), attachments and all.
	maxDecoded = 25 << 20
	// maxDepth bounds multiparts and messages inside one another. A forwarded
	// reply to a forwarded reply, each with its alternatives, has 8.
	maxDepth = 20
	// maxParts bounds the parts of a mail, whatever their type. A digest of a
	// busy list has a hundred.
	maxParts = 1000
)

// mailLinks finds the links of a MIME message, RFC 5322 and 2045. It looks at
// every part that a mail client shows or opens as text; of a broken message it
// reads what some client might.
func mailLinks(s string) iter.Seq2[Found, error] {
	return func(yield func(Found, error) bool) {
		m := &mailWalk{walk: walk{yield: yield}}
		m.message(s, place{}, 0)
	}
}

// A mailWalk goes through the parts of one mail.
type mailWalk struct {
	walk
	parts     int
	decoded   int  // bytes of text looked at
	seals     bool // look for what makes it sealed only
	sealed    bool // there is something
	raw       raw  // what the text at hand was decoded from
	rewritten []edit
}

// message looks at a message whose parts are numbered from at.prefix on: "" for
// the mail itself, "2." for a message that is its part 2.
func (m *mailWalk) message(s string, at place, depth int) {
	whole := s
	for strings.HasPrefix(s, "From ") || strings.HasPrefix(s, ">From ") {
		s = behindLine(s) // the envelope line of an mbox
	}
	h, body, over := readHeader(s)
	m.part = at.prefix + "HEADER"
	m.raw = raw{start: -1}
	if over > 0 {
		m.bound("header", over)
	}
	for _, f := range h.shown {
		if !m.seals {
			m.field(f)
		}
	}
	m.rewrite("")
	if len(body) == len(s) && s != "" && looksHTML(s) {
		h.contentType = "text/html" // nothing but a body
	}
	m.entity(&h, body, place{at.prefix + "1", at.prefix, at.within(len(whole) - len(body))}, depth, "")
}

// field looks at a field that the reader is shown or that holds links.
func (m *mailWalk) field(f field) {
	v := unfold(f.value)
	switch f.name {
	case "subject":
		m.textPart(decodeWords(v))
	case "from":
		if i := strings.LastIndexByte(v, '<'); i > 0 {
			v = v[:i] // the name; the address leads to no server
		}
		m.textPart(decodeWords(v))
	default:
		m.listField(v, f.name == "list-unsubscribe")
	}
}

// listField looks at a List- field, RFC 2369 §2: URLs in angle brackets.
func (m *mailWalk) listField(v string, unsubscribe bool) {
	for pos := 0; !m.done; {
		i := strings.IndexByte(v[pos:], '<')
		if i < 0 {
			return
		}
		start := pos + i + 1
		n := strings.IndexByte(v[start:], '>')
		if n < 0 {
			return
		}
		pos = start + n
		raw := v[start:pos]
		t := trimURL(raw)
		if s, _ := splitScheme(t); s != schemeWeb {
			continue
		}
		// RFC 2369 §2: white space inside is ignored.
		l, err := link.Parse(strings.Join(strings.Fields(t), ""))
		if err != nil {
			continue
		}
		f := Found{Link: l, Raw: t, Offset: start + strings.Index(raw, t), Where: Header}
		if unsubscribe {
			f.Marks |= Unsubscribe
		}
		m.give(f, -1)
	}
}

// A place is where an entity stands: its number, and what the numbers of its
// parts begin with. They differ in more than a dot for the body of a message
// only, whose parts are counted as the message's own (RFC 9051 §6.4.5.1).
// start is where it begins in the mail; -1 if an encoding stands between.
type place struct {
	number, prefix string
	start          int
}

// within gives the place in the mail of byte i.
func (p place) within(i int) int {
	if p.start < 0 {
		return -1
	}
	return p.start + i
}

// entity looks at one part. usual is the type of a part that names none.
func (m *mailWalk) entity(h *header, body string, at place, depth int, usual string) {
	m.parts++
	m.part = at.number
	media := mediaType(h.contentType)
	if media == "" {
		media = usual
	}
	encoding := mediaType(h.encoding)
	kind := kindOf(media, fileName(h))
	m.sealed = m.sealed || sealing[media]
	m.raw = raw{at.start, body, encoding}
	if depth == maxDepth && (kind == kindMultipart || kind == kindMail) {
		m.bound("depth", len(body))
		return
	}
	switch kind {
	case kindMultipart:
		m.multipart(h, body, at, encoding, depth+1)
	case kindMail:
		// RFC 2046 §5.2.1 forbids to encode a message; some do.
		if isEncoding(encoding) {
			at.start = -1
		}
		m.message(m.within(decodeTransfer(body, encoding)), place{prefix: at.number + ".", start: at.start}, depth+1)
	case kindNone:
		if media == "application/octet-stream" && looksHTML(decodeTransfer(body[:min(len(body), 256)], encoding)) {
			m.leaf(h, decodeTransfer(body, encoding), kindHTML)
		}
	default:
		m.leaf(h, decodeTransfer(body, encoding), kind)
	}
}

// within counts the bytes of a text and cuts off what is over maxDecoded.
func (m *mailWalk) within(s string) string {
	if left := maxDecoded - m.decoded; len(s) > left {
		m.bound("size", len(s)-left)
		s = s[:left]
	}
	m.decoded += len(s)
	return s
}

// multipart looks at the parts of a multipart of any kind, RFC 2046 §5.1. What
// stands before the first and behind the last is shown by clients that do not
// see the boundary as we do, and is read as text.
func (m *mailWalk) multipart(h *header, body string, at place, encoding string, depth int) {
	boundary := strings.TrimRight(param(h.contentType, "boundary"), " ")
	first, ok := nextDelimiter(body, 0, boundary)
	if !ok {
		// RFC 2045 §6.4 forbids to encode a multipart; some do.
		if encoding == "base64" || encoding == "quoted-printable" {
			body = m.within(decodeTransfer(body, encoding))
			at.start = -1
		}
		if first, ok = nextDelimiter(body, 0, boundary); !ok {
			boundary = guessBoundary(body)
			first, ok = nextDelimiter(body, 0, boundary)
		}
	}
	if !ok { // no parts at all
		m.raw = raw{at.start, body, ""}
		m.leaf(new(header), body, sniff(body))
		return
	}
	around := at.number
	if at.prefix != at.number+"." {
		around = at.prefix + "TEXT" // all of the message's body
	}
	m.part = around
	m.around(body[:first.start], at.start)
	usual := "text/plain"
	if mediaType(h.contentType) == "multipart/digest" {
		usual = "message/rfc822" // RFC 2046 §5.1.5
	}
	for n, from := 1, first; !m.done; {
		next, more := nextDelimiter(body, from.end, boundary)
		content := body[from.end:next.start]
		switch {
		case from.closing:
			m.part = around
			m.around(content, at.within(from.end))
		case m.parts >= maxParts:
			m.part = at.prefix + strconv.Itoa(n)
			m.bound("parts", len(body)-from.end)
			return
		default:
			number := at.prefix + strconv.Itoa(n)
			m.part = number
			part, text, over := readHeader(content)
			if over > 0 {
				m.bound("header", over)
			}
			m.entity(&part, text, place{number, number + ".", at.within(next.start - len(text))}, depth, usual)
			n++
		}
		if !more {
			return
		}
		from = next
	}
}

// around looks at what stands between no delimiters.
func (m *mailWalk) around(text string, start int) {
	m.raw = raw{start, text, ""}
	if !m.seals {
		m.textPart(text)
		m.rewrite("")
	}
}

// A delimiter is a line that parts two parts: body[start:end], with the line
// break before it, which belongs to it.
type delimiter struct {
	start, end int
	closing    bool // "--" behind the boundary: the last one, or so it says
}

// nextDelimiter finds the next delimiter line from pos on. If there is none it
// gives the end of body.
func nextDelimiter(body string, pos int, boundary string) (delimiter, bool) {
	none := delimiter{start: len(body), end: len(body)}
	if boundary == "" {
		return none, false
	}
	mark, from := "--"+boundary, pos
	for {
		i := strings.Index(body[pos:], mark)
		if i < 0 {
			return none, false
		}
		start := pos + i
		pos = start + len(mark)
		if start > 0 && body[start-1] != '\n' {
			continue
		}
		end := len(body) - len(behindLine(body[pos:]))
		tail := strings.TrimRight(body[pos:end], " \t\r\n")
		closing := strings.HasPrefix(tail, "--")
		if tail != "" && !closing {
			continue // a longer boundary that begins like this one
		}
		// The line break before it is its own, unless that ends a delimiter.
		if start > from {
			start--
		}
		if start > from && body[start-1] == '\r' {
			start--
		}
		return delimiter{start, end, closing}, true
	}
}

// guessBoundary finds the boundary of a multipart whose header lies about it or
// names none: a line that begins with "--" before a line that begins with
// "Content-".
func guessBoundary(body string) string {
	for rest := body; rest != ""; {
		next := behindLine(rest)
		line := strings.TrimRight(rest[:len(rest)-len(next)], " \t\r\n")
		const field = "Content-"
		if strings.HasPrefix(line, "--") && len(next) >= len(field) && strings.EqualFold(next[:len(field)], field) {
			return line[2:]
		}
		rest = next
	}
	return ""
}

// leaf looks at a part that holds text, its transfer encoding undone.
func (m *mailWalk) leaf(h *header, text string, kind partKind) {
	text = m.within(text)
	charset := param(h.contentType, "charset")
	if charset == "" && kind == kindHTML {
		charset = declaredCharset(text)
	}
	text = decodeCharset(text, charset)
	if m.seals {
		m.sealed = m.sealed || hasArmor(text)
		return
	}
	switch {
	case kind == kindHTML:
		m.html(text)
	case kind == kindLines:
		if m.edits == nil { // else what is folded stays
			text = unfoldLines(text)
		}
		m.textPart(text)
	case strings.EqualFold(param(h.contentType, "format"), "flowed") && strings.EqualFold(param(h.contentType, "delsp"), "yes"):
		m.flowedPart(text) // RFC 3676 §4; with DelSp=no no link crosses a line
	default:
		m.textPart(text)
	}
	m.rewrite(charset)
}

// unfoldLines joins the folded lines of a calendar or card and resolves its
// escapes, RFC 5545 §3.1 and §3.3.11.
func unfoldLines(s string) string {
	return contentLines.Replace(s)
}

var contentLines = strings.NewReplacer("\r\n ", "", "\r\n\t", "", "\n ", "", "\n\t", "",
	`\n`, "\n", `\N`, "\n", `\,`, ",", `\;`, ";", `\\`, `\`)

// How a part is read.
type partKind uint8

const (
	kindNone partKind = iota // no text: an image, an archive
	kindText
	kindHTML
	kindLines // content lines of a calendar or card
	kindMail
	kindMultipart
)

// kindOf says how a part of a media type and file name is read. The name
// decides where the type says nothing, because it does so when a reader opens
// what was attached.
func kindOf(media, file string) partKind {
	kind := mediaKinds[media]
	switch {
	case kind != kindNone:
	case strings.HasPrefix(media, "multipart/"):
		return kindMultipart
	case media == "", media == "text", strings.HasPrefix(media, "text/"), strings.HasPrefix(media, "message/"):
		kind = kindText
	}
	if kind == kindNone || kind == kindText {
		if i := strings.LastIndexByte(file, '.'); i >= 0 {
			if k := fileKinds[strings.ToLower(file[i+1:])]; k != kindNone {
				return k
			}
		}
	}
	return kind
}

var mediaKinds = map[string]partKind{
	"html": kindHTML, "text/html": kindHTML, "text/xhtml": kindHTML, "application/xhtml+xml": kindHTML,
	"text/xml": kindHTML, "application/xml": kindHTML, "image/svg+xml": kindHTML,
	"application/rss+xml": kindHTML, "application/atom+xml": kindHTML,
	"text/x-amp-html": kindHTML, "text/watch-html": kindHTML,
	"text/calendar": kindLines, "text/x-vcalendar": kindLines, "application/ics": kindLines,
	"text/vcard": kindLines, "text/x-vcard": kindLines, "text/directory": kindLines,
	"message/rfc822": kindMail, "message/global": kindMail, "message/news": kindMail,
	"application/json": kindText, "application/ld+json": kindText, "application/rtf": kindText,
	"application/javascript": kindText, "application/x-javascript": kindText,
}

var fileKinds = map[string]partKind{
	"html": kindHTML, "htm": kindHTML, "shtml": kindHTML, "shtm": kindHTML, "xhtml": kindHTML, "xht": kindHTML,
	"svg": kindHTML, "xml": kindHTML, "hta": kindHTML,
	"eml": kindMail, "mht": kindMail, "mhtml": kindMail,
	"ics": kindLines, "vcs": kindLines, "vcf": kindLines,
	"txt": kindText, "csv": kindText, "md": kindText, "log": kindText, "rtf": kindText, "json": kindText,
	"url": kindText, "webloc": kindHTML, "desktop": kindText, // shortcuts, which open a link
	"js": kindText, "vbs": kindText, "wsf": kindText,
}

// fileName gives the name under which a part would be saved.
func fileName(h *header) string {
	name := param(h.disposition, "filename")
	if name == "" {
		name = param(h.contentType, "name")
	}
	return strings.TrimRight(decodeWords(name), " .")
}

// looksHTML is true of a text that begins as an HTML document does.
func looksHTML(s string) bool {
	s = strings.TrimLeft(strings.TrimPrefix(s, "\ufeff"), " \t\r\n")
	for _, tag := range []string{"<!doctype html", "<html", "<head", "<body", "<script", "<meta", "<div", "<table"} {
		if len(s) >= len(tag) && strings.EqualFold(s[:len(tag)], tag) {
			return true
		}
	}
	return false
}

func sniff(s string) partKind {
	if looksHTML(s) {
		return kindHTML
	}
	return kindText
}
