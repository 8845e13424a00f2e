package probe

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"headlight.example/link"
)

// Bounds of what is read of an answer. What a browser accepts is more (256 KiB
// in Chromium), what honest servers send is some hundreds of bytes.
const (
	maxHead    = 32 << 10 // bytes, interim responses (1xx) together with the final one
	maxFields  = 200
	maxInterim = 8
)

// Why an answer was not taken.
var (
	errNotHTTP     = errors.New("answer is not HTTP/1")
	errHeadTooLong = errors.New("answer is longer than its bounds")
)

// field is a header field as it stood in the answer.
type field struct{ name, value string }

// head is the head of a final response.
type head struct {
	minor     int // HTTP/1.minor
	status    int // 200 to 999
	fields    []field
	malformed bool // a line was no field, or a value was folded over lines (RFC 9112 §5.2)
}

// get gives the first field of a name.
func (h *head) get(name string) string {
	for i := range h.fields {
		if strings.EqualFold(h.fields[i].name, name) {
			return h.fields[i].value
		}
	}
	return ""
}

// readHead reads the head of the final response and nothing after it that it
// can help: a last read may bring the begin of a body, which nobody looks at.
// It reads at most maxHead bytes. A head that the connection's end cuts short
// is an io.ErrUnexpectedEOF, no byte at all an io.EOF.
func readHead(r io.Reader, buf []byte) (head, []byte, error) {
	buf = buf[:0]
	from, interim := 0, 0 // where the head that is being read begins
	for scanned := 0; ; {
		if end := headEnd(buf[from:], scanned); end >= 0 {
			h, err := parseHead(buf[from : from+end])
			if err != nil || h.status >= 200 {
				return h, buf, err
			}
			// RFC 9110 §15.2: any number of interim responses may come first.
			// 101 was not asked for.
			if interim++; interim > maxInterim || h.status == http.StatusSwitchingProtocols {
				return head{}, buf, errHeadTooLong
			}
			from, scanned = from+end, 0
			continue
		}
		scanned = max(len(buf)-from-3, 0)
		if len(buf) >= 5 && !bytes.HasPrefix(buf, []byte("HTTP/")) {
			return head{}, buf, errNotHTTP
		}
		if len(buf) >= maxHead {
			return head{}, buf, errHeadTooLong
		}
		if len(buf) == cap(buf) {
			grown := make([]byte, len(buf), min(2*cap(buf), maxHead))
			copy(grown, buf)
			buf = grown
		}
		n, err := r.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		if n == 0 && err != nil {
			if err == io.EOF && len(buf) > 0 {
				err = io.ErrUnexpectedEOF
			}
			return head{}, buf, err
		}
	}
}

// headEnd finds the end of a head, the byte after its empty line, or -1. Lines
// end in CRLF or in LF alone (RFC 9112 §2.2). Up to scanned bytes it was looked
// for in vain.
func headEnd(b []byte, scanned int) int {
	for i := scanned; ; {
		n := bytes.IndexByte(b[i:], '\n')
		if n < 0 {
			return -1
		}
		i += n + 1
		if rest := b[i:]; len(rest) > 0 && rest[0] == '\n' {
			return i + 1
		} else if len(rest) > 1 && rest[0] == '\r' && rest[1] == '\n' {
			return i + 2
		}
	}
}

// parseHead reads a head that ends in its empty line. The status line must be
// right; a field that is not is left out, and said to be.
func parseHead(b []byte) (head, error) {
	text := string(b) // of which all that is kept is a part
	line, rest, _ := strings.Cut(text, "\n")
	h, err := parseStatusLine(strings.TrimSuffix(line, "\r"))
	if err != nil {
		return head{}, err
	}
	h.fields = make([]field, 0, min(strings.Count(rest, "\n"), maxFields))
	for rest != "" {
		line, rest, _ = strings.Cut(rest, "\n")
		line = strings.TrimSuffix(line, "\r")
		if line == "" {
			break
		}
		if len(h.fields) == maxFields {
			return head{}, errHeadTooLong
		}
		name, value, ok := strings.Cut(line, ":")
		if !ok || !isToken(name) || strings.ContainsAny(value, "\r\x00") {
			h.malformed = true
			continue
		}
		h.fields = append(h.fields, field{name, strings.Trim(value, " \t")})
	}
	return h, nil
}

// parseStatusLine reads "HTTP/1.1 200 OK" (RFC 9112 §4). The space before the
// reason may be missing, as it often is when the reason is.
func parseStatusLine(s string) (head, error) {
	if len(s) < len("HTTP/1.1 200") || s[:7] != "HTTP/1." || s[7] < '0' || s[7] > '9' || s[8] != ' ' ||
		len(s) > len("HTTP/1.1 200") && s[12] != ' ' {
		return head{}, errNotHTTP
	}
	h := head{minor: int(s[7] - '0')}
	for i := 9; i < 12; i++ {
		if s[i] < '0' || s[i] > '9' {
			return head{}, errNotHTTP
		}
		h.status = 10*h.status + int(s[i]-'0')
	}
	if h.status < 100 {
		return head{}, errNotHTTP
	}
	return h, nil
}

// isToken says whether s may be the name of a field (RFC 9110 §5.6.2).
func isToken(s string) bool {
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c >= 0x7f || strings.IndexByte(`"(),/:;<=>?@[\]{}`, c) >= 0 {
			return false
		}
	}
	return s != ""
}

// shape names a server's configuration by what it does not think of hiding: the
// order and spelling of its field names. Kits and panels that are installed a
// thousand times answer alike a thousand times. Values are left out, and fields
// that are repeated count once.
func (h *head) shape() string {
	names := append(make([]byte, 0, 512), '1', '.', byte('0'+h.minor))
	last := ""
	for i := range h.fields {
		if name := h.fields[i].name; name != last {
			names = append(append(names, '\n'), name...)
			last = name
		}
	}
	sum := sha256.Sum256(names)
	return hex.EncodeToString(sum[:8])
}

var errNoDate = errors.New("no date")

// httpDate reads a date of HTTP in any of its three forms (RFC 9110 §5.6.7).
func httpDate(s string) (time.Time, error) {
	if s == "" {
		return time.Time{}, errNoDate
	}
	t, err := http.ParseTime(s)
	return t.UTC(), err
}

// headSize is room for a signed request to a link of 400 bytes, and for most
// answers.
const headSize = 1536 // a size class of the allocator

// buffers hold a request, and then the head of its answer while it is read. A
// larger one is not kept.
var buffers = sync.Pool{New: func() any { return new([headSize]byte) }}

// family is the product in a Server field: "nginx/1.18.0 (Ubuntu)" → "nginx".
func family(server string) string {
	end := strings.IndexFunc(server, func(r rune) bool { return r == '/' || r == ' ' || r == '(' || r == ',' })
	if end >= 0 {
		server = server[:end]
	}
	return strings.ToLower(clip(server, 40))
}

// clip bounds what a stranger says of itself.
func clip(s string, n int) string {
	return strings.ToValidUTF8(s[:min(len(s), n)], "�")
}

// errLocation: a Location field leads to no web page.
var errLocation = errors.New("location leads to no web page")

// follow reads a Location field as a browser does: relative to the link that
// was asked for (RFC 3986 §5.2; the URL Standard on backslashes).
func follow(base link.Link, location string) (link.Link, error) {
	location = strings.Trim(location, " \t")
	if location == "" || len(location) > link.MaxLen {
		return link.Link{}, errLocation
	}
	if scheme, ok := schemeOf(location); ok {
		if !strings.EqualFold(scheme, "http") && !strings.EqualFold(scheme, "https") {
			return link.Link{}, errLocation
		}
	} else {
		whole := base.String()
		path, _, _ := strings.Cut(whole, "?")
		slash := func(i int) bool { return len(location) > i && (location[i] == '/' || location[i] == '\\') }
		switch {
		case slash(0) && slash(1):
			location = base.Scheme() + ":" + location
		case slash(0):
			location = origin(base) + location
		case location[0] == '?':
			location = path + location
		case location[0] == '#':
			location = whole
		default:
			location = path[:strings.LastIndexByte(path, '/')+1] + location
		}
	}
	l, err := link.Parse(location)
	if err != nil || l.Scheme() != "http" && l.Scheme() != "https" {
		return link.Link{}, errLocation
	}
	return l, nil
}

// schemeOf gives what stands before the first colon, if it is a scheme (RFC
// 3986 §3.1).
func schemeOf(s string) (string, bool) {
	for i := range len(s) {
		c := s[i]
		switch {
		case isLetter(c), i > 0 && (c >= '0' && c <= '9' || c == '+' || c == '-' || c == '.'):
		case c == ':' && i > 0:
			return s[:i], true
		default:
			return "", false
		}
	}
	return "", false
}
