package reputation

import (
	"net/netip"
	"strings"

	"headlight.example/evidence"
	"headlight.example/link"
)

// The rungs of the ladder, from the widest to the link itself. Evidence on a
// rung is the prior of the next.
//
//	https://www.shop.example/a/b    example · – · shop.example · www.shop.example · www.shop.example/a/ · …/a/b
//	https://user.github.io/a/b      – · github.io · user.github.io · – · user.github.io/a/ · …/a/b
//	https://docs.google.com/d/x/y   – · docs.google.com · docs.google.com/d/x · – · – · …/d/x/y
//
// A suffix has the tenants below it for children, and a platform its own; from
// the tenant down the children are URLs. The tenants of platforms are none of
// the suffix: blogspot.com says nothing of .com. Where names fall together the
// narrower rung is left out, and so is a path rung on a path platform, which
// would be wider than the tenant or the same. The networks of the host's
// addresses stand between suffix and platform, and markers beside the ladder:
// see view.
const (
	rungSuffix = iota
	rungPlatform
	rungTenant
	rungHost
	rungPath
	rungURL
	nRungs
)

// ladder holds the hash of each rung, 0 for those that a link does not have.
type ladder [nRungs]uint64

// own are the rungs in which a URL is the child.
var own = [...]int{rungTenant, rungHost, rungPath}

// nameKind is the kind under which the word of a list on a name or path is
// kept. It is a child of the rungs above, beside the URLs: a hosts file that
// names a host counts like one more URL of it.
const nameKind evidence.Kind = 0x80

// keyKind is for the hash that tells one key from another.
const keyKind evidence.Kind = 0x81

// subjects names the rungs of a link. The keys are parts of its string.
func subjects(l link.Link) (s [nRungs]evidence.Subject) {
	tenant, host, path := l.Tenant(), l.Host(), l.Path()
	onPath := strings.IndexByte(tenant, '/') >= 0
	switch {
	case onPath:
		s[rungPlatform] = evidence.Subject{Kind: evidence.Host, Key: host}
	case l.Platform() == link.None:
		if suffix := l.Suffix(); suffix != tenant && suffix != "" {
			s[rungSuffix] = evidence.Subject{Kind: evidence.Suffix, Key: suffix}
		}
	case l.Domain() != tenant:
		s[rungPlatform] = evidence.Subject{Kind: evidence.Domain, Key: l.Domain()}
	}
	s[rungTenant] = evidence.Subject{Kind: evidence.Tenant, Key: tenant}
	if !onPath {
		if host != tenant {
			s[rungHost] = evidence.Subject{Kind: evidence.Host, Key: host}
		}
		if path != "" {
			s[rungPath] = evidence.Subject{Kind: evidence.Path, Key: path}
		}
	}
	s[rungURL] = evidence.Subject{Kind: evidence.URL, Key: l.URL()}
	return s
}

func (t *Table) hash(s evidence.Subject) uint64 { return t.key.Hash(s.Kind, s.Key) }

// climb hashes the rungs of a link.
func (t *Table) climb(l link.Link) (lad ladder) {
	s := subjects(l)
	for i := range s {
		if s[i].Kind != 0 {
			lad[i] = t.hash(s[i])
		}
	}
	return lad
}

// target is where a subject stands in the table.
type target struct {
	child uint64 // the entry that counts as one below
	lad   ladder
	host  uint64     // see view
	self  netip.Addr // the host, if it is an address
	kind  Class

	link   link.Link // of a sealed URL, to its host
	sealed evidence.SealedURL
	isURL  bool // the child is a URL
}

// place finds where a subject stands. It returns false for subjects that are on
// no ladder (addresses' networks, name servers) and for keys that no link has.
func (t *Table) place(s evidence.Subject, tg *target) bool {
	if s.Kind == evidence.Sealed {
		return t.placeSealed(s.Key, tg)
	}
	l, ok := linkTo(s)
	if !ok {
		return false
	}
	t.aim(tg, l)
	switch s.Kind {
	case evidence.URL:
		tg.child, tg.isURL = tg.lad[rungURL], true
		return true
	case evidence.Path:
		// On a path platform what looks like a path may be a tenant: github.com/user/.
		if s.Key != l.Tenant()+"/" {
			tg.child = t.key.Hash(nameKind, s.Key)
			return true
		}
	}
	tg.lad[rungPath] = 0
	if s.Kind == evidence.Domain || s.Kind == evidence.Tenant {
		tg.lad[rungHost] = 0
	}
	tg.child = t.key.Hash(nameKind, nameOf(s.Kind, l))
	return true
}

// aim sets what follows from the link.
func (t *Table) aim(tg *target, l link.Link) {
	tg.link, tg.lad, tg.kind = l, t.climb(l), ClassOf(l)
	tg.host, tg.self = t.hostOf(l)
}

// nameOf is the name under which the word on a host, domain or tenant is kept.
func nameOf(k evidence.Kind, l link.Link) string {
	if k == evidence.Host || k == evidence.Addr || k == evidence.Domain {
		return l.Host()
	}
	return l.Tenant()
}

// linkTo makes the shortest link to a subject.
func linkTo(s evidence.Subject) (link.Link, bool) {
	key := s.Key
	switch s.Kind {
	case evidence.URL, evidence.Path, evidence.Host, evidence.Domain, evidence.Tenant:
	case evidence.Addr:
		a, err := netip.ParseAddr(key)
		if err != nil {
			return link.Link{}, false
		}
		if a.Is6() {
			key = "[" + key + "]"
		}
	default:
		return link.Link{}, false
	}
	l, err := link.Parse("http://" + key)
	return l, err == nil
}

// placeSealed is place for a URL of which only the host stands in clear.
func (t *Table) placeSealed(key string, tg *target) bool {
	s, err := evidence.ParseSealed(key)
	if err != nil {
		return false
	}
	l, err := link.Parse("http://" + s.Host + "/")
	if err != nil {
		return false
	}
	t.aim(tg, l)
	lad := &tg.lad
	if s.Path != "" {
		lad[rungPath] = t.key.Hash(evidence.Path, s.Path)
	}
	if s.Tenant != "" {
		lad[rungTenant] = t.key.Hash(evidence.Tenant, s.Tenant)
		lad[rungPlatform] = t.key.Hash(evidence.Host, l.Host())
		lad[rungSuffix], lad[rungHost], lad[rungPath] = 0, 0, 0
	}
	lad[rungURL] = t.key.Hash(evidence.URL, s.URL)
	tg.child, tg.isURL, tg.sealed = lad[rungURL], true, s
	return true
}

// maxAbove bounds the rungs above a tenant.
const maxAbove = 2 + maxAddrs*nNets

// above gives the rungs of which the tenant is the child: suffix and platform,
// and the networks of the host's addresses, each once. The slice is good until
// the next call.
func (t *Table) above(tg *target) []uint64 {
	list := tg.lad.appendAbove(t.scratch[:0])
	v := view{kind: tg.kind, host: tg.host, self: tg.self}
	v.place(t)
	return v.appendNets(list)
}

func (lad *ladder) appendAbove(list []uint64) []uint64 {
	for _, i := range [...]int{rungSuffix, rungPlatform} {
		if lad[i] != 0 {
			list = append(list, lad[i])
		}
	}
	return list
}

// appendNets adds the networks of which the tenant is a child, each once.
func (v *view) appendNets(list []uint64) []uint64 {
	if v.isPlatform() {
		return list // the addresses are the platform's
	}
	for i := range v.nroutes {
		for j, h := range v.netAt[i] {
			if j == netAddr && v.kind == Address {
				continue // an address is not its own neighbour
			}
			if h != 0 && !v.said(i, j) {
				list = append(list, h)
			}
		}
	}
	return list
}
