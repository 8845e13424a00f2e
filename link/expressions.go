package link

import "strings"

// Rule says which host suffixes become expressions. Both rules give the exact
// host and up to four suffixes of it; for an address only itself.
type Rule uint8

const (
	// V4 takes the last five labels and drops the first one by one, never
	// leaving one label alone. Browsers use it with lists of both versions.
	V4 Rule = 4
	// V5 starts at the registrable domain by the whole public suffix list and
	// adds labels to the left.
	V5 Rule = 5
)

// MaxExpressions is how many expressions a link has at most: 5 hosts × 6 paths.
const MaxExpressions = 30

// AppendExpressions appends what Safe Browsing looks up for a link: host
// suffixes joined with path prefixes, the most exact first, each a part of l's
// canonical form:
//
//	a.b.c/1/2.html?q  a.b.c/1/2.html  a.b.c/  a.b.c/1/  b.c/1/2.html?q  …
//
// For each host: the path with its query, the path, "/", and up to three
// directories more. (Safe Browsing "URLs and Hashing": suffix/prefix expressions.)
func AppendExpressions(dst []string, l Link, rule Rule) []string {
	if l.s == "" {
		return dst
	}
	var starts [5]uint16
	var stops [6]uint16
	hosts, paths := l.hostStarts(&starts, rule), l.pathStops(&stops)
	for _, h := range starts[:hosts] {
		for _, p := range stops[:paths] {
			dst = append(dst, l.s[h:p])
		}
	}
	return dst
}

// hostStarts sets where the host suffixes begin, the exact host first.
func (l *Link) hostStarts(starts *[5]uint16, rule Rule) int {
	base := uint16(l.host)
	starts[0] = base
	if l.bits&isAddr != 0 {
		return 1
	}
	host := l.s[l.host:l.hostEnd]
	// dots are the begins of the last labels, from the right.
	var dots [5]uint16
	n, at := 0, len(host)
	if rule == V5 {
		if l.site == 0 || l.site == base {
			return 1
		}
		at = int(l.site-base) - 1
		dots[0], n = l.site, 1
	}
	for n < len(dots) {
		i := strings.LastIndexByte(host[:at], '.')
		if i < 0 {
			break
		}
		dots[n], at = base+uint16(i)+1, i
		n++
	}
	low, high := 0, min(n, 4)
	if rule != V5 { // the last label is never alone; the fifth from the right is the longest suffix
		low, high = 1, min(n, 5)
	}
	count := 1
	for i := high - 1; i >= low; i-- {
		starts[count] = dots[i]
		count++
	}
	return count
}

// pathStops sets where the path prefixes end, the whole first.
func (l *Link) pathStops(stops *[6]uint16) int {
	count := 0
	if l.end > l.pathEnd {
		stops[0], count = l.end, 1
	}
	stops[count] = l.pathEnd
	count++
	at := l.hostEnd + 1
	for range 4 { // "/" and three directories more
		if at >= l.pathEnd { // a path that ends in a slash is there already
			break
		}
		stops[count] = at
		count++
		i := strings.IndexByte(l.s[at:l.pathEnd], '/')
		if i < 0 {
			break
		}
		at += uint16(i) + 1
	}
	return count
}
