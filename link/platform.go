package link

import (
	_ "embed"
	"fmt"
	"slices"
	"strings"
)

// Platform is the kind of house that a link's tenant lives in.
type Platform uint8

const (
	None         Platform = iota // the tenant is a registrable domain, an address or a bare host
	Subdomain                    // tenants are names below a common one: user.github.io
	PathPlatform                 // tenants are paths on a common host: sites.google.com/view/name
	Shortener                    // each path leads elsewhere: bit.ly/code
	CDN                          // names below a common one, handed out by machine: d111111abcdef8.cloudfront.net
)

var platformNames = [...]string{None: "none", Subdomain: "subdomain", PathPlatform: "path", Shortener: "shortener", CDN: "cdn"}

// String gives the word used in reasons and metrics.
func (p Platform) String() string {
	if int(p) < len(platformNames) {
		return platformNames[p]
	}
	return fmt.Sprintf("Platform(%d)", uint8(p))
}

// platforms.txt is written by hand; its head explains the format.
//
//go:embed platforms.txt
var platformText string

// pathRule says that on a host, below prefix, the next so many segments name a
// tenant.
type pathRule struct {
	prefix   string // begins and ends with a slash; ends without one where segments is 0
	segments int    // 0: what is at prefix and below is the platform's own
	kind     Platform
}

// addPlatform reads a line of platforms.txt into the table: "name kind" or
// "host/prefix/ kind".
func (t *nameTable) addPlatform(line string) error {
	name, kind, ok := strings.Cut(line, " ")
	if !ok {
		return fmt.Errorf("%q: want name and kind", line)
	}
	host, prefix, isPath := strings.Cut(name, "/")
	prefix = "/" + prefix
	if isPath && kind != "root" && (!strings.HasSuffix(prefix, "/") || !strings.HasPrefix(kind, "path")) {
		return fmt.Errorf("%q: a prefix ends in a slash and is of a path kind", line)
	}
	switch kind {
	case "subdomain":
		t.insert(host, nameSubdomain)
	case "cdn":
		t.insert(host, nameCDN)
	case "path1":
		t.addPathRule(host, pathRule{prefix, 1, PathPlatform})
	case "path2":
		t.addPathRule(host, pathRule{prefix, 2, PathPlatform})
	case "root":
		t.addPathRule(host, pathRule{prefix, 0, PathPlatform})
	case "shortener":
		t.addPathRule(host, pathRule{prefix, 1, Shortener})
	default:
		return fmt.Errorf("%q: unknown kind", line)
	}
	return nil
}

func (t *nameTable) addPathRule(host string, r pathRule) {
	n := t.insert(host, namePaths)
	if n.paths == 0 {
		t.paths = append(t.paths, pathRules{kind: r.kind})
		n.paths = uint16(len(t.paths) - 1)
	}
	t.paths[n.paths].add(r)
}

// pathRules are the rules of one host.
type pathRules struct {
	kind  Platform     // of the first rule: what a link to the platform itself has
	bare  pathRule     // the rule for "/"; without a prefix if there is none
	below [][]pathRule // the others by pathGroup, the longest prefix first; nil if there are none
}

// pathGroups is a power of two that keeps the letters apart.
const pathGroups = 32

// pathGroup tells by the first byte after the slash which rules may fit.
func pathGroup(path string) int {
	if len(path) < 2 {
		return 0
	}
	return int(path[1]) % pathGroups
}

func (p *pathRules) add(r pathRule) {
	if r.prefix == "/" {
		p.bare = r
		return
	}
	if p.below == nil {
		p.below = make([][]pathRule, pathGroups)
	}
	g := pathGroup(r.prefix)
	p.below[g] = append(p.below[g], r)
	slices.SortFunc(p.below[g], func(a, b pathRule) int { return len(b.prefix) - len(a.prefix) })
}

// tenant returns how much of a path names the tenant, by the longest rule that
// fits, and the kind of the platform. Where no rule fits it is nothing: the link
// is to the platform itself.
func (p *pathRules) tenant(path string) (length int, kind Platform) {
	if p.below != nil {
		group := p.below[pathGroup(path)]
		for i := range group {
			if n, ok := group[i].match(path); ok {
				return n, group[i].kind
			}
		}
	}
	if n, ok := p.bare.match(path); ok {
		return n, p.bare.kind
	}
	return 0, p.kind
}

// match returns how much of a path names the tenant; ok is false if the rule
// does not fit.
func (r *pathRule) match(path string) (length int, ok bool) {
	at := len(r.prefix)
	if at == 0 || !strings.HasPrefix(path, r.prefix) {
		return 0, false
	}
	if r.segments == 0 {
		return 0, at == len(path) || path[at] == '/'
	}
	for seg := range r.segments {
		if seg > 0 {
			if at == len(path) {
				return 0, false
			}
			at++ // the slash
		}
		n := strings.IndexByte(path[at:], '/')
		if n < 0 {
			n = len(path) - at
		}
		if n == 0 {
			return 0, false
		}
		at += n
	}
	return at, true
}
