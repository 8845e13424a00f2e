package link

import (
	"bytes"
	"strings"
)

// decode appends s to dst with percent-encoding undone as long as there is any:
// "%252525" is "%". It stops when more than limit bytes were appended.
//
// The end of what is appended is looked at after each byte. That equals whole
// passes until nothing changes: no "%XX" overlaps another, so the order in which
// they are replaced does not matter; and it is linear in len(s).
func decode(dst []byte, s string, limit int) []byte {
	base := len(dst)
	for i := 0; i < len(s); i++ {
		if n := len(dst); s[i] != '%' && (n < base+1 || dst[n-1] != '%') && (n < base+2 || dst[n-2] != '%') {
			// Nothing is begun that this could end: on to the next "%".
			run := strings.IndexByte(s[i:], '%')
			if run < 0 {
				run = len(s) - i
			}
			run = min(run, base+limit+1-n)
			dst = append(dst, s[i:i+run]...)
			if i += run - 1; len(dst) > base+limit {
				break
			}
			continue
		}
		dst = append(dst, s[i])
		for n := len(dst); n >= base+3 && dst[n-3] == '%'; n = len(dst) {
			hi, lo := unhex[dst[n-2]], unhex[dst[n-1]]
			if hi|lo > 15 {
				break
			}
			dst[n-3] = hi<<4 | lo
			dst = dst[:n-2]
		}
		if len(dst) > base+limit {
			break
		}
	}
	return dst
}

// unhex is the value of a hexadecimal digit, 255 for other bytes.
var unhex = func() (t [256]byte) {
	for i := range t {
		t[i] = 255
	}
	for i := range byte(10) {
		t['0'+i] = i
	}
	for i := range byte(6) {
		t['a'+i], t['A'+i] = 10+i, 10+i
	}
	return t
}()

const upperHex = "0123456789ABCDEF"

// appendEscaped appends b with what Safe Browsing escapes escaped: bytes up to
// 0x20 and from 0x7f, "#" and "%", with digits in upper case.
func appendEscaped(dst, b []byte) []byte {
	from := 0
	for i, c := range b {
		if classes[c]&cleanQuery == 0 {
			dst = append(dst, b[from:i]...)
			dst = append(dst, '%', upperHex[c>>4], upperHex[c&15])
			from = i + 1
		}
	}
	return append(dst, b[from:]...)
}

// appendRest appends path and query to scheme and host, and returns where the
// path ends.
//
// The encoding is undone before the path is parted from the query, as Safe
// Browsing does it: "/a%3Fb" has a query. A "#" that was encoded stays one.
func appendRest(dst []byte, rest string) (_ []byte, pathEnd int, marks Marks) {
	start := len(dst)
	if rest == "" || rest[0] == '?' {
		dst = append(dst, '/')
	}
	if pathEnd, end := cleanRest(rest, 0); end == len(rest) && len(dst)+end <= MaxLen {
		return append(dst, rest...), max(start+pathEnd, start+1), 0
	}
	var scratch [1024]byte
	d := decode(scratch[:0], rest, MaxLen)
	path, query := d, []byte(nil)
	if i := bytes.IndexByte(d, '?'); i >= 0 {
		path, query = d[:i], d[i+1:]
	}
	if hasInvisible(d) {
		marks |= Invisible
	}
	dst = appendEscaped(dst, cleanPathDots(path))
	pathEnd = len(dst)
	if len(query) > 0 {
		dst = append(dst, '?')
		dst = appendEscaped(dst, query)
	}
	if len(d) > MaxLen || len(dst) > MaxLen {
		dst, pathEnd = cut(dst, start, pathEnd)
		marks |= Cut
	}
	return dst, pathEnd, marks
}

// cut shortens a canonical form, whose path is buf[start:pathEnd], to MaxLen such
// that it stays canonical: not within "%XX", and a path only behind a slash,
// because "/..a" would become "/..".
func cut(buf []byte, start, pathEnd int) ([]byte, int) {
	n := min(len(buf), MaxLen)
	for back := 1; back <= 2; back++ {
		if n < len(buf) && buf[n-back] == '%' {
			n -= back
			break
		}
	}
	if n <= pathEnd+1 { // nothing is left of the query
		n = min(n, pathEnd)
		for n > start+1 && buf[n-1] != '/' {
			n--
		}
	}
	return buf[:n], min(pathEnd, n)
}

// cleanPathDots makes backslashes slashes, resolves dot segments as the URL
// Standard does ("/a/b/.." is "/a/") and then makes runs of slashes one. It
// works in place.
func cleanPathDots(path []byte) []byte {
	for i, c := range path {
		if c == '\\' {
			path[i] = '/'
		}
	}
	if len(path) == 0 || path[0] != '/' {
		return path // the slash is there already
	}
	out := path[:0]
	for i := 0; i < len(path); {
		end := i + 1
		for end < len(path) && path[end] != '/' {
			end++
		}
		segment := path[i:end]
		i = end
		switch string(segment) {
		case "/.", "/..":
			if len(segment) == len("/..") {
				for len(out) > 0 && out[len(out)-1] != '/' {
					out = out[:len(out)-1]
				}
				out = out[:max(len(out)-1, 0)]
			}
			if end < len(path) {
				continue
			}
			segment = segment[:1] // the last one leaves its slash
		}
		out = append(out, segment...)
	}
	kept := out[:1]
	for _, c := range out[1:] {
		if c != '/' || kept[len(kept)-1] != '/' {
			kept = append(kept, c)
		}
	}
	return kept
}
