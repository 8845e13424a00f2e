package message

import (
	"mime"
	"net/url"
	"strconv"
	"strings"

	"io"
)

// maxHeader bounds the header of one entity. Postfix takes 100 KB of one
// field by default (header_size_limit), and Exim 1 MB of all of them; the
// largest header among a thousand real mails has 37 KB.
const maxHeader = 256 << 10

// A header holds the fields of an entity that matter, RFC 5322 §2.2, values
// still folded. Of a field that may stand only once the first counts, as in
// most mail clients.
type header struct {
	contentType, encoding, disposition string
	shown                              []field // what holds links itself, in order
}

// A field is one that a reader is shown, or a List- field.
type field struct {
	name  string // in lower case
	value string
}

// readHeader reads the header at the start of s and gives what lies behind its
// empty line. over is the number of header bytes that were not read because of
// maxHeader.
//
// A line that is no field is passed over. If the first one is none, or if no
// empty line follows, there is no header or it ends there: then body begins
// with that line.
func readHeader(s string) (h header, body string, over int) {
	stray := -1
	for rest := s; rest != ""; {
		pos := len(s) - len(rest)
		line := rest[:len(rest)-len(behindLine(rest))]
		if isBlankLine(line) {
			return h, rest[len(line):], 0
		}
		name, ok := fieldName(line)
		if !ok && pos == 0 {
			return h, s, 0
		}
		if !ok && stray < 0 {
			stray = pos
		}
		end := len(line)
		for ok && pos+end <= maxHeader && end < len(rest) && (rest[end] == ' ' || rest[end] == '\t') {
			end = len(rest) - len(behindLine(rest[end:]))
		}
		if pos+end > maxHeader {
			behind := headerEnd(s, pos)
			return h, s[behind:], behind - pos
		}
		if ok {
			h.take(name, rest[strings.IndexByte(rest, ':')+1:end])
		}
		rest = rest[end:]
	}
	if stray >= 0 {
		return h, s[stray:], 0
	}
	return h, "", 0
}

// headerEnd gives the place behind the first empty line from pos on.
func headerEnd(s string, pos int) int {
	for rest := s[pos:]; rest != ""; {
		next := behindLine(rest)
		if isBlankLine(rest[:len(rest)-len(next)]) {
			return len(s) - len(next)
		}
		rest = next
	}
	return len(s)
}

func isBlankLine(line string) bool { return line == "\n" || line == "\r\n" || line == "\r" }

// fieldName gives the name of the field that a line begins. RFC 5322 §4.5 lets
// blanks stand before the colon.
func fieldName(line string) (string, bool) {
	n := 0
	for n < len(line) && line[n] > ' ' && line[n] < 0x7f && line[n] != ':' {
		n++
	}
	end := n
	for n < len(line) && (line[n] == ' ' || line[n] == '\t') {
		n++
	}
	return line[:end], end > 0 && n < len(line) && line[n] == ':'
}

// take keeps a field if it matters.
func (h *header) take(name, value string) {
	first := func(to *string) {
		if *to == "" {
			*to = value
		}
	}
	switch name[0] | 0x20 {
	case 'c':
		switch {
		case strings.EqualFold(name, "content-type"):
			first(&h.contentType)
		case strings.EqualFold(name, "content-transfer-encoding"):
			first(&h.encoding)
		case strings.EqualFold(name, "content-disposition"):
			first(&h.disposition)
		}
	case 's', 'f', 'l', 'a':
		name = strings.ToLower(name)
		if name == "subject" || name == "from" || name == "archived-at" || strings.HasPrefix(name, "list-") {
			h.shown = append(h.shown, field{name, value})
		}
	}
}

// unfold undoes the folding of a field's value, RFC 5322 §2.2.3.
func unfold(v string) string {
	if strings.IndexByte(v, '\n') >= 0 {
		v = strings.NewReplacer("\r\n", "", "\n", "").Replace(v)
	}
	return strings.Trim(v, " \t\r")
}

// decodeWords resolves the encoded words of a field's value, RFC 2047. What
// cannot be decoded stays as it is.
func decodeWords(v string) string {
	if !strings.Contains(v, "=?") {
		return v
	}
	d := mime.WordDecoder{CharsetReader: func(charset string, r io.Reader) (io.Reader, error) {
		raw, err := io.ReadAll(r)
		charset, _, _ = strings.Cut(charset, "*") // a language, RFC 2231 §5
		return strings.NewReader(decodeCharset(string(raw), charset)), err
	}}
	out, err := d.DecodeHeader(v)
	if err != nil {
		return v
	}
	return out
}

// mediaType gives the type in a Content-Type, in lower case.
func mediaType(v string) string {
	v, _, _ = strings.Cut(v, ";")
	if i := strings.IndexByte(v, '('); i >= 0 {
		v = v[:i] // a comment
	}
	return strings.ToLower(strings.Trim(v, " \t\r\n\"'"))
}

// param gives a parameter of a Content-Type or Content-Disposition, RFC 2045
// §5.1 with the continuations and charsets of RFC 2231; "" if there is none.
// It is lenient where package mime is not: real mail repeats parameters and
// forgets quotes.
func param(v, name string) string {
	var parts [16]string // enough for a file name of 1 KB
	whole, extended := "", ""
	n := 0
	for rest := behindSemicolon(v); rest != ""; {
		var key, val string
		key, val, rest = nextParam(rest)
		if len(key) < len(name) || !strings.EqualFold(key[:len(name)], name) {
			continue
		}
		switch tail := key[len(name):]; {
		case tail == "":
			if whole == "" {
				whole = val
			}
		case tail == "*":
			extended = extendedValue(val)
		case tail[0] == '*':
			i, err := strconv.Atoi(strings.TrimSuffix(tail[1:], "*"))
			if err == nil && 0 <= i && i < len(parts) {
				if strings.HasSuffix(tail, "*") {
					val = percentDecoded(val)
				}
				parts[i] = val
				n = max(n, i+1)
			}
		}
	}
	switch {
	case extended != "":
		return extended
	case whole == "" && n > 0:
		return strings.Join(parts[:n], "")
	}
	return whole
}

func behindSemicolon(v string) string {
	if i := strings.IndexByte(v, ';'); i >= 0 {
		return v[i+1:]
	}
	return ""
}

// nextParam reads one "key=value;", the value quoted or not.
func nextParam(v string) (key, val, rest string) {
	end := strings.IndexAny(v, "=;")
	if end < 0 {
		return "", "", ""
	}
	key = strings.Trim(v[:end], " \t\r\n")
	if v[end] == ';' {
		return "", "", v[end+1:]
	}
	v = strings.TrimLeft(v[end+1:], " \t\r\n")
	if !strings.HasPrefix(v, `"`) {
		val, rest, _ = strings.Cut(v, ";")
		return key, strings.Trim(val, " \t\r\n"), rest
	}
	var b strings.Builder
	i := 1
	for ; i < len(v) && v[i] != '"'; i++ {
		if v[i] == '\\' && i+1 < len(v) {
			i++
		}
		if v[i] != '\r' && v[i] != '\n' {
			b.WriteByte(v[i])
		}
	}
	return key, b.String(), behindSemicolon(v[min(i, len(v)):])
}

// extendedValue reads charset'language'value, RFC 2231 §4.
func extendedValue(v string) string {
	charset, v, _ := strings.Cut(v, "'")
	_, v, ok := strings.Cut(v, "'")
	if !ok {
		return ""
	}
	return decodeCharset(percentDecoded(v), charset)
}

func percentDecoded(v string) string {
	if out, err := url.PathUnescape(v); err == nil {
		return out
	}
	return v
}
