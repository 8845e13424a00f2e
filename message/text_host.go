package message

import (
	"strings"

	"headlight.example/link"
)

// A hostRun is a piece of text that may be a host.
type hostRun struct {
	end    int // behind its last label
	last   int // where the last label begins
	dots   int
	fanged bool // a dot was written as [.] or [dot]
	wide   bool // holds what is not ASCII
	packed bool // holds a letter of a script without spaces
	odd    bool // link.Parse may refuse it: not ASCII, percent-encoded, or a number last
}

// dotAt gives the length of the dot at i, plain or defanged; 0 if there is none.
func dotAt(s string, i int) int {
	if s[i] == '.' {
		return 1
	}
	if textClass[s[i]]&opensBracket == 0 {
		return 0
	}
	if i+2 < len(s) && s[i+1] == '.' && closes(s[i], s[i+2]) {
		return len("[.]")
	}
	if i+4 < len(s) && closes(s[i], s[i+4]) && strings.EqualFold(s[i+1:i+4], "dot") {
		return len("[dot]")
	}
	return 0
}

func closes(open, c byte) bool {
	return open == '(' && c == ')' || open == '[' && c == ']' || open == '{' && c == '}'
}

// hostRun reads a host from i on: labels with dots between. With encoded set
// it takes percent-encoding for part of it, as browsers do behind a scheme.
func (t *textScan) hostRun(i int, encoded bool) (h hostRun) {
	s, from, label := t.s, i, i
	h.last = i
	for i-from < maxLink {
		for i < len(s) && textClass[s[i]]&(inHost|inPath) == inHost|inPath {
			i++
		}
		if i >= len(s) {
			break
		}
		c := s[i]
		if c >= 0x80 {
			kind, n := readRune(s[i:])
			if kind == dotRune {
				if i == label || !t.hostGoesOn(i+n, encoded) {
					break
				}
				h.dots++
				h.last = i + n
				label = h.last
			} else if kind == stopRune || kind == signRune && !encoded {
				break
			}
			h.wide = true
			h.packed = h.packed || kind == packedRune
			i += n
			continue
		}
		if c == '%' && encoded && i+2 < len(s) && isHex(s[i+1]) && isHex(s[i+2]) {
			h.odd = true
			i += len("%41")
			continue
		}
		n := dotAt(s, i)
		if n == 0 || i == label || !t.hostGoesOn(i+n, encoded) {
			break
		}
		i += n
		h.dots++
		h.last = i
		label = i
		h.fanged = h.fanged || n > 1
	}
	t.steps += i - from
	for i > from && (s[i-1] == '-' || s[i-1] == '_') {
		i--
	}
	h.end = i
	h.odd = h.odd || h.wide || h.last < i && textClass[s[h.last]]&isDigit != 0
	return h
}

// hostGoesOn reports whether a label begins at i.
func (t *textScan) hostGoesOn(i int, encoded bool) bool {
	if i >= len(t.s) {
		return false
	}
	if c := t.s[i]; c < 0x80 {
		return textClass[c]&inHost != 0 || c == '%' && encoded
	}
	kind, _ := readRune(t.s[i:])
	return kind == nameRune || kind == packedRune || kind == signRune && encoded
}

// hostStart reads backwards from the dot at i to where its host begins.
//
// Where ASCII follows a letter of a script without spaces, the host begins with
// the ASCII: in 请访问example.com the first three are words. A label that mixes
// the two in this order is lost so; twitter-text decides alike.
func (t *textScan) hostStart(i int) int {
	s, from := t.s, i
	ascii := false // the label at hand, as far as read, ends in ASCII
	for i > t.floor {
		c := s[i-1]
		switch {
		case c >= 0x80:
			kind, n := lastRune(s[:i])
			if i-n < t.floor || kind == stopRune || kind == signRune || kind == packedRune && ascii {
				goto done
			}
			i -= n
		case textClass[c]&inHost != 0:
			ascii = true
			i--
		default:
			n := dotBefore(s, i)
			if n == 0 || i-n < t.floor {
				goto done
			}
			ascii = false
			i -= n
		}
	}
done:
	t.steps += from - i
	for i < from && (s[i] == '-' || s[i] == '_' || dotAt(s, i) > 0) {
		i += max(1, dotAt(s, i))
	}
	return i
}

// dotBefore is dotAt for a dot that ends before i and has a label before it.
func dotBefore(s string, i int) int {
	n := 0
	switch {
	case s[i-1] == '.':
		n = 1
	case textClass[s[i-1]]&closesBracket == 0:
		return 0
	case i > 3 && dotAt(s, i-3) == 3:
		n = 3
	case i > 5 && dotAt(s, i-5) == 5:
		n = 5
	default:
		return 0
	}
	if i-n < 1 || textClass[s[i-n-1]]&inHost == 0 && (textClass[s[i-n-1]]&closesBracket == 0 || dotBefore(s[:i-n], i-n) == 0) {
		return 0
	}
	return n
}

// readHost reads the host around the dot at i, and gives the place to go on
// from. Nothing but its form says that it is a link, so it must end in a real
// public suffix and not be one of the many other things that do.
func (t *textScan) readHost(i int) int {
	s := t.s
	dot := i
	if s[i] == '.' && textClass[s[i+1]]&closesBracket != 0 {
		dot = i - 1 // of "[.]"
	}
	start := t.hostStart(dot)
	if start == dot {
		return i + 1
	}
	h := t.hostRun(start, false)
	if h.dots == 0 || h.end <= dot {
		return max(i+1, h.end)
	}
	end := h.end
	if n := gluedScheme(s, start, end); n > 0 {
		end -= n
		h.end = end
		if h.last >= end {
			return h.end + n
		}
	}
	if !hostMayStart(s, start) {
		return h.end
	}
	if textClass[s[h.last]]&isDigit != 0 {
		return t.schemelessAddr(start, h)
	}
	if h.wide {
		if end = t.wideHost(start, h); end == 0 {
			return h.end
		}
	} else if !isTLD(s[h.last:end]) && !(h.dots > 1 && hasWWW(s[start:end])) {
		return h.end
	}
	var path int
	if end == h.end {
		if end < len(s) && s[end] == '@' {
			return end // the first part of a mail address
		}
		end = t.port(end)
		if end < len(s) && textClass[s[end]]&endsAuthority != 0 {
			path = end
		}
	}
	if path == 0 && end == h.end && !h.fanged && !h.wide && !hasWWW(s[start:end]) && doubtful(s[start:end], h.last-start, byteAt(s, end)) {
		return end
	}
	if path > 0 {
		end = t.pathEnd(start, path)
	}
	marks := Schemeless
	if h.fanged {
		marks |= Defanged
	}
	return t.found(start, end, guessed(s[start:end], h.fanged, path > 0), marks)
}

// guessed writes a schemeless link as clients do: with http, and with a path.
// So link.Parse has the least to do.
func guessed(raw string, fanged, path bool) string {
	if fanged {
		raw = refang(raw)
	}
	if path {
		return "http://" + raw
	}
	return "http://" + raw + "/"
}

// byteAt is s[i], or 0 behind the end.
func byteAt(s string, i int) byte {
	if i < len(s) {
		return s[i]
	}
	return 0
}

func hasWWW(s string) bool { return len(s) > 4 && strings.EqualFold(s[:4], "www.") }

// hostMayStart looks at what stands before a schemeless host. Behind an "@" it
// is a mail address, behind a slash a path, unless two slashes stand there.
func hostMayStart(s string, start int) bool {
	if start == 0 {
		return true
	}
	switch c := s[start-1]; c {
	case '@', '\\', '$', '%':
		return false
	case '/':
		return start > 1 && s[start-2] == '/'
	case ':':
		return !isName(s[:start-1])
	}
	return true
}

// isName reports whether s ends with what makes the colon behind it one of a
// name that is no web address: a mail or chat address (RFC 6068, RFC 5122), a
// telephone, a Matrix identifier such as "@alice:example.org".
func isName(s string) bool {
	i := len(s)
	for i > 0 && len(s)-i < 64 && textClass[s[i-1]]&inHost != 0 && s[i-1] < 0x80 {
		i--
	}
	if i > 0 && (s[i-1] == '@' || s[i-1] == '!' || s[i-1] == '#') {
		return true
	}
	switch strings.ToLower(s[i:]) {
	case "mailto", "xmpp", "sip", "sips", "tel", "sms", "cid", "mid", "urn", "news", "magnet":
		return true
	}
	return false
}

// schemelessAddr reads a host whose last label begins with a digit. An IPv4
// address counts with a port or a path, so that version numbers do not; a path
// of one number is a prefix, as in 192.0.2.0/24.
func (t *textScan) schemelessAddr(start int, h hostRun) int {
	s := t.s
	if h.dots != 3 || h.wide || h.fanged && h.end-start > len("255[.]255[.]255[.]255") {
		return h.end
	}
	for _, c := range []byte(s[start:h.end]) {
		if isAlpha(c) || c == '-' || c == '_' {
			return h.end
		}
	}
	end := t.port(h.end)
	if end < len(s) && s[end] == '/' {
		n := end + 1
		for n < len(s) && textClass[s[n]]&isDigit != 0 {
			n++
		}
		if n == end+1 || n-end > 3 || n < len(s) && textClass[s[n]]&(inPath) != 0 {
			end = t.pathEnd(start, end)
		}
	}
	if end == h.end && !h.fanged {
		return end
	}
	if _, err := link.Parse(refang(s[start:h.end])); err != nil {
		return h.end
	}
	marks := Schemeless
	if h.fanged {
		marks |= Defanged
	}
	return t.found(start, end, guessed(s[start:end], h.fanged, strings.IndexByte(s[start:end], '/') > 0), marks)
}

// wideHost gives the end of a schemeless host that is not all ASCII; 0 if it
// is none.
func (t *textScan) wideHost(start int, h hostRun) int {
	l, err := link.Parse(refang(t.s[start:h.end]))
	if err == nil {
		host := l.Host()
		if isTLD(host[strings.LastIndexByte(host, '.')+1:]) {
			return h.end
		}
	}
	if h.packed {
		return t.hostCut(h, start)
	}
	return 0
}

// hostCut gives the place in the last label of a host at which a script
// without spaces follows an ASCII top-level domain, as in example.com谢谢; 0 if
// there is none. No top-level domain mixes the two.
func (t *textScan) hostCut(h hostRun, start int) int {
	s, i := t.s, h.last
	if i == start {
		return 0
	}
	for i < h.end && s[i] < 0x80 {
		i++
	}
	if i == h.end {
		return 0
	}
	if kind, _ := readRune(s[i:]); kind != packedRune || !isTLD(s[h.last:i]) {
		return 0
	}
	return i
}
