package message

import (
	"strings"

	"headlight.example/link"
)

// readScheme reads what a colon at i belongs to, and gives the place to go on from.
func (t *textScan) readScheme(i int) int {
	if textClass[t.s[i+1]]&endsAuthority == 0 {
		if marks := unfollowed(t.s[:i]); marks != 0 {
			return t.script(i, marks)
		}
	}
	scheme, start, fanged := schemeBefore(t.s, i)
	if scheme == "" || start < t.taken {
		return i + 1
	}
	at, slashes := slashesAfter(t.s, i)
	if at == 0 {
		return i + 1
	}
	t.steps += at - start
	return t.explicit(start, at, scheme, fanged && slashes)
}

// explicit reads a link with a scheme whose authority begins at at. plain is
// false if the scheme was defanged.
func (t *textScan) explicit(start, at int, scheme string, plain bool) int {
	s := t.s
	a, ok := t.plainAuthority(at)
	if !ok {
		if a, ok = t.authority(at); !ok {
			return max(at, a.end)
		}
	}
	if a.odd {
		// link.Parse may refuse it. Better to know before the path is read, so
		// that what is refused need not be read twice.
		if _, err := link.Parse(scheme + "://" + refang(s[a.host:a.end])); err != nil {
			return a.end
		}
	}
	end := a.end
	if !a.cut && end < len(s) && textClass[s[end]]&endsAuthority != 0 {
		end = t.pathEnd(start, end)
	}
	var marks Marks
	var address string
	if !plain || a.fanged {
		marks = Defanged
		address = scheme + "://" + refang(s[at:end])
	}
	if address == "" && end == a.end {
		address = s[start:end] + "/" // canonical: less to do for link.Parse
	}
	if marks == 0 && start > 0 && s[start-1] == '<' {
		if whole, past := t.unbroken(start, end); past > 0 {
			return t.broken(start, past, whole)
		}
	}
	return t.found(start, end, address, marks)
}

// schemes that are looked for, those that contain another first. The URL
// standard calls them special; link.Parse knows them all.
var textSchemes = [...]struct {
	name  string
	glued bool // may follow a letter: "seehttp://", as nothing else ends so
}{{"https", true}, {"http", true}, {"ftp", false}, {"wss", false}, {"ws", false}}

// schemeBefore reads the scheme that ends before the colon at i, with the
// bracket of a "[:]" or "[://]" in between. plain is false if it is written so
// that nothing links it: hxxp, hXXps, h**p, fxp, http[s].
func schemeBefore(s string, i int) (scheme string, start int, plain bool) {
	if n := len("https"); i >= n && s[i-n:i] == "https" { // most of them
		return "https", i - n, true
	}
	plain = true
	if i > 0 && textClass[s[i-1]]&opensBracket != 0 {
		plain = false
		i--
	}
	if i < 2 {
		return "", 0, false
	}
	secure := false
	switch end := s[i-1] | 0x20; {
	case end == 's':
	case end == 'p':
	case i > len("http[s]") && textClass[s[i-1]]&closesBracket != 0 && s[i-2]|0x20 == 's' && textClass[s[i-3]]&opensBracket != 0:
		secure, plain = true, false
		i -= len("[s]")
	default:
		return "", 0, false
	}
	for _, scheme := range textSchemes {
		if start := i - len(scheme.name); start >= 0 && strings.EqualFold(s[start:i], scheme.name) {
			if !scheme.glued && start > 0 && textClass[s[start-1]]&inName != 0 {
				return "", 0, false
			}
			if secure {
				return "https", start, plain
			}
			return scheme.name, start, plain
		}
	}
	scheme, start = defangedScheme(s[:i])
	if secure && scheme == "http" {
		scheme = "https"
	}
	return scheme, start, false
}

// defangedScheme reads hxxp, hXXps, h**p, htxp and fxp at the end of s.
func defangedScheme(s string) (scheme string, start int) {
	scheme, i := "http", len(s)
	if s[i-1]|0x20 == 's' {
		scheme = "https"
		i--
	}
	if i < 3 || s[i-1]|0x20 != 'p' {
		return "", 0
	}
	if scheme == "http" && strings.EqualFold(s[i-3:i], "fxp") && (i == 3 || textClass[s[i-4]]&inName == 0) {
		return "ftp", i - 3
	}
	if i < 4 || s[i-4]|0x20 != 'h' {
		return "", 0
	}
	for _, c := range []byte(s[i-3 : i-1]) {
		if c|0x20 != 'x' && c|0x20 != 't' && c != '*' {
			return "", 0
		}
	}
	return scheme, i - 4
}

// slashesAfter gives the place behind the two slashes or more that follow the
// colon at i; 0 if there are none. Browsers take a backslash for a slash (URL
// §4.4). plain is false if brackets stand between, as in "[://]" and "[:]//".
func slashesAfter(s string, i int) (at int, plain bool) {
	plain = true
	opened := i > 0 && textClass[s[i-1]]&opensBracket != 0
	at = i + 1
	if at < len(s) && (opened && textClass[s[at]]&closesBracket != 0 || s[at] == '[') {
		opened = s[at] == '['
		plain = false
		at++
	}
	from := at
	for at < len(s) && (s[at] == '/' || s[at] == '\\') {
		at++
	}
	if at-from < 2 {
		return 0, false
	}
	if opened && at < len(s) && textClass[s[at]]&closesBracket != 0 {
		plain = false
		at++
	}
	return at, plain
}

// An authority is the host of a link, with what may stand around it.
type authority struct {
	host   int  // where the host begins, behind any user name
	end    int  // behind the host, or its port
	fanged bool // holds a [.] or the like
	odd    bool // a host that link.Parse may refuse
	cut    bool // ends inside a word; there is no path
}

// plainAuthority is authority for most links: a name in ASCII and nothing else
// before a slash or what ends the link. ok is false for any other.
func (t *textScan) plainAuthority(i int) (a authority, ok bool) {
	s, label := t.s, i
	a.host = i
	for {
		for i < len(s) && textClass[s[i]]&(inHost|inPath) == inHost|inPath {
			i++
		}
		if i == label {
			return a, false
		}
		if i+1 >= len(s) || s[i] != '.' || textClass[s[i+1]]&(inName|inPath) != inName|inPath {
			break
		}
		i++
		label = i
	}
	if i < len(s) && s[i] != '/' && textClass[s[i]]&endsText == 0 || textClass[s[label]]&isDigit != 0 || s[i-1] == '-' || s[i-1] == '_' {
		return a, false
	}
	t.steps += i - a.host
	a.end = i
	return a, true
}

// authority reads the authority at i, RFC 3986 §3.2.
func (t *textScan) authority(i int) (a authority, ok bool) {
	s := t.s
	a.host = i
	if i < len(s) {
		h := t.hostRun(i, true)
		a.end = h.end
		if h.end < len(s) && textClass[s[h.end]]&(endsText|endsAuthority) == 0 {
			if p := t.lastAt(h.end); p > 0 {
				a.host = p + 1
				h = t.hostRun(p+1, true)
				a.end = h.end
				a.odd = true
			}
		}
		if h.end == a.host {
			if end := literal(s, a.host); end > 0 {
				a.end, a.odd = t.port(end), true
				return a, true
			}
			return a, false
		}
		a.fanged = h.fanged
		a.odd = a.odd || h.odd
		if n := gluedScheme(s, a.host, h.end); n > 0 {
			a.end -= n
			a.cut = true
			return a, a.end > a.host
		}
		if h.packed {
			if end := t.hostCut(h, a.host); end > 0 {
				a.end, a.cut = end, true
				return a, true
			}
		}
		a.end = t.port(h.end)
		// "http://2001:db8::1/": an IPv6 address without its brackets, which no
		// browser opens. Its first number would pass for a host.
		return a, h.dots > 0 || !colonGoesOn(s[a.end:])
	}
	return a, false
}

func colonGoesOn(s string) bool {
	return len(s) > 1 && s[0] == ':' && (s[1] == ':' || textClass[s[1]]&inHost != 0)
}

// lastAt finds the last "@" of the authority that goes on at i with a host
// behind it; 0 if there is none. It stops at the slash of the next link, so
// that the same bytes are not read for that one.
func (t *textScan) lastAt(i int) int {
	s, at, from := t.s, 0, i
	for ; i < len(s) && textClass[s[i]]&(endsText|endsAuthority) == 0; i++ {
		if s[i] == '@' && i+1 < len(s) && (textClass[s[i+1]]&inHost != 0 || s[i+1] == '[') {
			at = i
		}
	}
	t.steps += i - from
	return at
}

// literal gives the end of an IPv6 address in brackets at i, or 0.
func literal(s string, i int) int {
	if i >= len(s) || s[i] != '[' {
		return 0
	}
	const longest = len("[ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255]")
	colons := false
	for j := i + 1; j < len(s) && j < i+longest; j++ {
		switch c := s[j]; {
		case c == ']':
			if colons {
				return j + 1
			}
			return 0
		case c == ':':
			colons = true
		case c != '.' && !isHex(c):
			return 0
		}
	}
	return 0
}

func isHex(c byte) bool { return '0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'f' }

// port gives the end of the port at i; i itself if there is none. An empty one
// counts only before a path, for a colon may be prose: "see example.com: …".
func (t *textScan) port(i int) int {
	s := t.s
	if i >= len(s) || s[i] != ':' {
		return i
	}
	j := i + 1
	for j < len(s) && j-i <= 5 && textClass[s[j]]&isDigit != 0 {
		j++
	}
	switch {
	case j == i+1:
		if j < len(s) && s[j] == '/' && (j+1 == len(s) || s[j+1] != '/') {
			return j
		}
		return i
	case j < len(s) && textClass[s[j]]&inHost != 0:
		return i
	}
	return j
}

// gluedScheme gives the length of the scheme with which the host at i..end
// ends, if "://" follows: in "http://a.comhttp://b.com" one link follows
// another without a space, as people paste them.
func gluedScheme(s string, i, end int) int {
	if !strings.HasPrefix(s[end:], "://") {
		return 0
	}
	scheme, start, _ := schemeBefore(s, end)
	if scheme == "" || start < i {
		return 0
	}
	return end - start
}

// unfollowed tells by its end whether s ends with a scheme that is run or
// shown, not followed: Script or Data; 0 if not.
func unfollowed(s string) Marks {
	switch {
	case endsFold(s, "javascript") || endsFold(s, "vbscript"):
		return Script
	case endsFold(s, "data"):
		return Data
	}
	return 0
}

func endsFold(s, suffix string) bool {
	return len(s) >= len(suffix) && strings.EqualFold(s[len(s)-len(suffix):], suffix)
}

// script yields a javascript: or data: URL, but only as the target of
// mark-up. Elsewhere these are words.
func (t *textScan) script(i int, marks Marks) int {
	s, start := t.s, i
	for start > t.taken && isAlpha(s[start-1]) {
		start--
	}
	if n := len("javascript"); i-start > n || start < 2 || t.bare {
		return i + 1
	}
	switch {
	case s[start-1] == '(' && s[start-2] == ']':
	case s[start-1] == '<' || s[start-1] == '|' || endsFold(s[:start], "[url="):
	case strings.HasSuffix(s[:start], "]: "):
	default:
		return i + 1
	}
	end := t.pathEnd(start, i+1)
	if end == i+1 {
		return end
	}
	return t.found(start, end, "", marks)
}
