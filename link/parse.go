package link

import (
	"fmt"
	"strconv"
	"strings"
)

// MaxLen bounds the canonical form, in bytes. Of a longer URL the end is cut and
// the link marked so: refusing it would let a long query hide a bad host. What
// mail and chat carry is shorter; browsers open up to 2 MiB.
const MaxLen = 8 << 10

// maxHost bounds the host, in bytes, as written and as kept. DNS allows 253;
// percent-encoding makes it three times as long.
const maxHost = 1 << 10

// SyntaxError says why a text is no link.
type SyntaxError struct {
	Offset int // in bytes, into what was parsed less the tabs and line ends before it
	Reason string
}

func (e *SyntaxError) Error() string { return fmt.Sprintf("byte %d: %s", e.Offset, e.Reason) }

// Classes of bytes. A clean byte stands for itself in the canonical form.
const (
	cleanHost     = 1 << iota // a-z 0-9 - _
	cleanPath                 // printable ASCII but % # \ / ?
	cleanQuery                // printable ASCII but % #
	endsAuthority             // / \ ?
)

var classes = func() (c [256]uint8) {
	for b := 0x21; b < 0x7f; b++ {
		if b != '%' && b != '#' {
			c[b] |= cleanQuery
			if b != '\\' && b != '/' && b != '?' {
				c[b] |= cleanPath
			}
		}
		if 'a' <= b && b <= 'z' || '0' <= b && b <= '9' || b == '-' || b == '_' {
			c[b] |= cleanHost
		}
	}
	for _, b := range []byte(`/\?`) {
		c[b] |= endsAuthority
	}
	return c
}()

// Parse reads a URL with or without its scheme (http is assumed), leniently as
// browsers do. Errors are of type *SyntaxError: the text has no host, or has a
// scheme, host or port that cannot lead to a web or FTP server.
//
// It allocates once, the canonical form; not at all if raw is canonical, when
// the Link shares its memory.
func Parse(raw string) (l Link, err error) {
	if l.parseClean(raw) {
		return l, nil
	}
	return parseAny(raw, true)
}

// parseClean reads the most frequent URLs, which are canonical but perhaps for a
// fragment or for the slash of an empty path: http or https, a plain name or address, no port, nothing to
// decode or resolve. Whatever else there is, it leaves to parseAny.
func (l *Link) parseClean(raw string) bool {
	host := 0
	switch {
	case strings.HasPrefix(raw, "https://"):
		host = len("https://")
	case strings.HasPrefix(raw, "http://"):
		host = len("http://")
	default:
		return false
	}
	hostEnd, isAddr := cleanHostEnd(raw, host)
	if hostEnd < 0 || hostEnd-host > maxHost {
		return false
	}
	pathEnd, end := hostEnd+1, hostEnd+1
	if hostEnd == len(raw) {
		raw += "/"
	} else if pathEnd, end = cleanRest(raw, hostEnd); raw[hostEnd] != '/' || end < 0 || end > MaxLen {
		return false
	}
	l.s = raw[:end]
	l.host, l.hostEnd, l.pathEnd, l.end = uint8(host), uint16(hostEnd), uint16(pathEnd), uint16(end)
	l.locate(isAddr)
	return true
}

// cleanHostEnd returns where the host that begins at start ends, if it is canonical as it
// is, else -1.
func cleanHostEnd(text string, start int) (end int, isAddr bool) {
	i, label := start, start
	for i < len(text) {
		if classes[text[i]]&cleanHost != 0 {
			i++
			continue
		}
		if text[i] != '.' || i == label {
			break
		}
		i++
		label = i
	}
	if i == label || i > start+maxHost {
		return -1, false
	}
	if text[label] > '9' {
		return i, false
	}
	if isDottedQuad(text[start:i]) {
		return i, true
	}
	return -1, false // an address in another spelling, perhaps
}

// isDottedQuad reports whether host is an IPv4 address in its usual form.
func isDottedQuad(host string) bool {
	part, digits, dots := 0, 0, 0
	for i := range len(host) {
		switch c := host[i]; {
		case c == '.':
			if digits == 0 {
				return false
			}
			digits, part = 0, 0
			dots++
		case c < '0' || c > '9' || digits > 0 && part == 0:
			return false
		default:
			part = 10*part + int(c-'0')
			digits++
			if part > 255 {
				return false
			}
		}
	}
	return dots == 3 && digits > 0
}

// cleanRest looks at the path and query that begin at i. It returns the ends of
// the path and of the query, or -1 if they are not canonical as they are. A
// fragment ends them.
func cleanRest(raw string, i int) (pathEnd, end int) {
	for i < len(raw) {
		c := raw[i]
		if classes[c]&cleanPath != 0 {
			i++
			continue
		}
		if c != '/' {
			break
		}
		i++
		if i < len(raw) && (raw[i] == '/' || raw[i] == '.') {
			return 0, -1
		}
	}
	pathEnd = i
	if i == len(raw) || raw[i] == '#' {
		return pathEnd, i
	}
	if raw[i] != '?' {
		return 0, -1
	}
	i++
	for i < len(raw) && classes[raw[i]]&cleanQuery != 0 {
		i++
	}
	if i == pathEnd+1 || i < len(raw) && raw[i] != '#' {
		return 0, -1 // an empty query is left out, by parseAny
	}
	return pathEnd, i
}

// schemes that lead to a server, with their ports. The URL Standard calls them special.
var schemes = [...]struct {
	name string
	port uint16
}{{"http", 80}, {"https", 443}, {"ftp", 21}, {"ws", 80}, {"wss", 443}}

// parseAny reads any URL. If encoded is set, even the scheme's colon may be
// percent-encoded; so it calls itself once at most.
func parseAny(raw string, encoded bool) (Link, error) {
	// URL Standard §4.4: controls and spaces around, tabs and line ends inside are not there.
	text, offset := trim(raw)
	text, _, _ = strings.Cut(text, "#")

	if encoded && hasEncodedScheme(text) {
		return parseAny(string(decode(nil, text, len(text))), false)
	}
	scheme, at, err := cutScheme(text)
	if err != nil {
		return Link{}, &SyntaxError{offset + at, err.Error()}
	}
	authEnd := len(text)
	if i := indexAuthorityEnd(text[at:]); i >= 0 {
		authEnd = at + i
	}

	var marks Marks
	if i := strings.LastIndexByte(text[at:authEnd], '@'); i >= 0 {
		if i > 0 && text[at:at+i] != ":" {
			marks |= Userinfo
		}
		at += i + 1
	}
	hostEnd, port, err := cutPort(text, at, authEnd)
	if err != nil {
		return Link{}, &SyntaxError{offset + hostEnd, err.Error()}
	}
	if port == schemes[scheme].port {
		port = 0
	}
	var scratch [512]byte
	buf := append(append(scratch[:0], schemes[scheme].name...), "://"...)
	l := Link{host: uint8(len(buf)), port: port}
	buf, isAddr, hostMarks, err := appendHost(buf, text[at:hostEnd])
	if err != nil {
		return Link{}, &SyntaxError{offset + at, err.Error()}
	}
	l.hostEnd = uint16(len(buf))
	buf, pathEnd, restMarks := appendRest(buf, text[authEnd:])
	l.pathEnd, l.end = uint16(pathEnd), uint16(len(buf))
	l.marks = marks | hostMarks | restMarks
	if port != 0 { // the form to show follows behind
		buf = append(buf, buf[:l.hostEnd]...)
		buf = append(buf, ':')
		buf = strconv.AppendUint(buf, uint64(port), 10)
		buf = append(buf, buf[l.hostEnd:l.end]...)
	}
	l.s = string(buf)
	l.locate(isAddr)
	return l, nil
}

var dropTabs = strings.NewReplacer("\t", "", "\r", "", "\n", "")

// trim drops what a browser does not see: controls and spaces around, tabs and
// line ends inside. The offset is that of the first byte kept.
func trim(raw string) (text string, offset int) {
	end := len(raw)
	for offset < end && raw[offset] <= ' ' {
		offset++
	}
	for end > offset && raw[end-1] <= ' ' {
		end--
	}
	text = raw[offset:end]
	for i := range len(text) {
		if c := text[i]; c == '\t' || c == '\n' || c == '\r' {
			return dropTabs.Replace(text), offset
		}
	}
	return text, offset
}

func indexAuthorityEnd(text string) int {
	for i := range len(text) {
		if classes[text[i]]&endsAuthority != 0 {
			return i
		}
	}
	return -1
}

type reason string

func (r reason) Error() string { return string(r) }

// cutScheme returns the index of the scheme and where the authority begins.
// After a scheme that is special any number of slashes and backslashes may
// stand, or none (URL Standard §4.4, "special authority ignore slashes state").
// On error at is where it is.
func cutScheme(text string) (scheme, at int, err error) {
	if text == "" {
		return 0, 0, reason("empty")
	}
	colon, slash := strings.IndexByte(text, ':'), indexAuthorityEnd(text)
	if colon < 0 || slash >= 0 && slash < colon {
		switch {
		case text[0] == '?' || text[0] == '/' && !strings.HasPrefix(text, "//"):
			return 0, 0, reason("no host: a relative reference")
		case text[0] == '/' || text[0] == '\\': // "//host/path"
			return 0, skipSlashes(text, 0), nil
		}
		return 0, 0, nil
	}
	for i := range schemes {
		if colon == len(schemes[i].name) && strings.EqualFold(text[:colon], schemes[i].name) {
			at = skipSlashes(text, colon+1)
			if at == len(text) {
				return 0, at, reason("no host")
			}
			return i, at, nil
		}
	}
	name := text[:colon]
	if text[0] == '[' || isPort(text[colon+1:]) && (strings.Contains(name, ".") || name == "localhost") {
		return 0, 0, nil // "host.example:8080/path"
	}
	return 0, 0, reason("not a scheme that leads to a web or FTP server")
}

func skipSlashes(text string, at int) int {
	for at < len(text) && (text[at] == '/' || text[at] == '\\') {
		at++
	}
	return at
}

// isPort reports whether text begins with digits that end where an authority may.
func isPort(text string) bool {
	i := 0
	for i < len(text) && '0' <= text[i] && text[i] <= '9' {
		i++
	}
	return i > 0 && (i == len(text) || strings.IndexByte(`/\?`, text[i]) >= 0)
}

// hasEncodedScheme reports whether a text begins with a scheme whose colon is
// percent-encoded: "http%3A%2F%2Fhost/". Safe Browsing decodes before it looks
// for the scheme.
func hasEncodedScheme(text string) bool {
	name, _, ok := strings.Cut(text, "%")
	if !ok || len(name) > len("https") {
		return false
	}
	for i := range schemes {
		if strings.EqualFold(name, schemes[i].name) {
			d := decode(nil, text, len(text))
			return len(d) > len(name) && d[len(name)] == ':'
		}
	}
	return false
}

// cutPort finds the port at the end of the authority text[at:end]. On error
// hostEnd is where it is.
func cutPort(text string, at, end int) (hostEnd int, port uint16, err error) {
	colon := strings.LastIndexByte(text[at:end], ':')
	if bracket := strings.LastIndexByte(text[at:end], ']'); colon < 0 || bracket > colon {
		return end, 0, nil
	}
	colon += at
	digits := strings.TrimLeft(text[colon+1:end], "0")
	if digits == "" {
		return colon, 0, nil
	}
	n, err := strconv.ParseUint(digits, 10, 16)
	if err != nil {
		return colon + 1, 0, reason("the port is no number up to 65535")
	}
	return colon, uint16(n), nil
}

// locate finds the suffix, domain, site and tenant of a link whose other fields are set.
func (l *Link) locate(isAddress bool) {
	base := int(l.host)
	host := l.s[base:l.hostEnd]
	l.tenant, l.tenantEnd = uint16(base), l.hostEnd
	if isAddress {
		l.bits |= isAddr
		l.suffix, l.domain = uint16(base), uint16(base)
		return
	}
	var r lineage
	r.find(host)
	domain := r.before(host, r.icann)
	l.suffix, l.domain = uint16(base+r.icann), uint16(base+domain)
	if r.suffix > 0 {
		l.site = uint16(base + r.before(host, r.suffix))
	}
	if r.wrapper != nil {
		l.bits |= isWrapper
	}

	tenant := domain
	if r.platform >= 0 && r.platform < r.icann {
		tenant = r.before(host, r.platform)
		l.platform = r.kind
		if r.platform == 0 || r.platform == len("www.") && strings.HasPrefix(host, "www.") {
			l.bits |= isRoot
		}
	}
	l.tenant = uint16(base + tenant)
	switch {
	case r.paths < 0:
	case r.paths == 0 || r.paths == len("www.") && strings.HasPrefix(host, "www."):
		length, kind := names.paths[r.pathRule.paths].tenant(l.s[l.hostEnd:l.pathEnd])
		l.tenant, l.tenantEnd, l.platform = uint16(base), l.hostEnd+uint16(length), kind
		l.bits &^= isRoot
		if length == 0 {
			l.bits |= isRoot
		}
	case r.paths == tenant: // a name of the platform's own, such as docs.github.com
		l.platform = names.paths[r.pathRule.paths].kind
		l.bits |= isRoot
	}
}
