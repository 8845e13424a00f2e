package link

// decode appends s to dst with percent-encoding undone as long as there is any:
// "%252525" is "%". It stops when more than limit bytes were appended.
//
// The end of what is appended is looked at after each byte. That equals whole
// passes until nothing changes: no "%XX" overlaps another, so the order in which
// they are replaced does not matter; and it is linear in len(s).
func decode(dst []byte, s string, limit int) []byte {
	base := len(dst)
	for i := 0; i < len(s); i++ {
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
	for _, c := range b {
		if classes[c]&cleanQuery != 0 {
			dst = append(dst, c)
		} else {
			dst = append(dst, '%', upperHex[c>>4], upperHex[c&15])
		}
	}
	return dst
}

// builder makes a canonical form.
type builder struct {
	buf   []byte
	marks Marks
}

// appendRest appends path and query, and returns where the path ends.
//
// The encoding is undone before the path is parted from the query, as Safe
// Browsing does it: "/a%3Fb" has a query. A "#" that was encoded stays one.
func (b *builder) appendRest(rest string) int {
	start := len(b.buf)
	if rest == "" || rest[0] == '?' {
		b.buf = append(b.buf, '/')
	}
	if pathEnd, end := cleanRest(rest, 0); end == len(rest) && len(b.buf)+end <= MaxLen {
		b.buf = append(b.buf, rest...)
		return max(start+pathEnd, start+1)
	}
	var scratch [1024]byte
	d := decode(scratch[:0], rest, MaxLen)
	cut := len(d) > MaxLen
	path, query := d, []byte(nil)
	for i, c := range d {
		if c == '?' {
			path, query = d[:i], d[i+1:]
			break
		}
	}
	if hasInvisible(d) {
		b.marks |= Invisible
	}
	b.buf = appendEscaped(b.buf, cleanPathDots(path))
	pathEnd := len(b.buf)
	if len(query) > 0 {
		b.buf = append(b.buf, '?')
		b.buf = appendEscaped(b.buf, query)
	}
	if cut || len(b.buf) > MaxLen {
		b.marks |= Cut
		pathEnd = b.cut(start, pathEnd)
	}
	return pathEnd
}

// cut shortens the canonical form to MaxLen such that it stays canonical: not
// within "%XX", and a path only behind a slash, because "/..a" would become
// "/..". It returns the end of the path.
func (b *builder) cut(start, pathEnd int) int {
	n := min(len(b.buf), MaxLen)
	for back := 1; back <= 2; back++ {
		if n < len(b.buf) && b.buf[n-back] == '%' {
			n -= back
			break
		}
	}
	if n <= pathEnd+1 { // nothing is left of the query
		n = min(n, pathEnd)
		for n > start+1 && b.buf[n-1] != '/' {
			n--
		}
	}
	b.buf = b.buf[:n]
	return min(pathEnd, n)
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
