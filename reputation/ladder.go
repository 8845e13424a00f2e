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
// would be wider than the tenant or the same. Rungs for addresses, their
// networks and for markers belong between platform and tenant.
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

// above are the rungs in which a tenant is the child.
var above = [...]int{rungSuffix, rungPlatform}

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

// place says where a subject stands: which entry is the child, and on which
// ladder. It returns false for subjects that are on none (addresses' networks,
// name servers) and for keys that no link has.
func (t *Table) place(s evidence.Subject) (child uint64, lad ladder, ok bool) {
	if s.Kind == evidence.Sealed {
		return t.placeSealed(s.Key)
	}
	l, ok := linkTo(s)
	if !ok {
		return 0, lad, false
	}
	lad = t.climb(l)
	switch s.Kind {
	case evidence.URL:
		return lad[rungURL], lad, true
	case evidence.Path:
		// On a path platform what looks like a path may be a tenant: github.com/user/.
		if s.Key != l.Tenant()+"/" {
			return t.key.Hash(nameKind, s.Key), lad, true
		}
	}
	lad[rungPath] = 0
	if s.Kind == evidence.Domain || s.Kind == evidence.Tenant {
		lad[rungHost] = 0
	}
	return t.key.Hash(nameKind, nameOf(s.Kind, l)), lad, true
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
func (t *Table) placeSealed(key string) (child uint64, lad ladder, ok bool) {
	s, err := evidence.ParseSealed(key)
	if err != nil {
		return 0, lad, false
	}
	l, err := link.Parse("http://" + s.Host + "/")
	if err != nil {
		return 0, lad, false
	}
	lad = t.climb(l)
	if s.Path != "" {
		lad[rungPath] = t.key.Hash(evidence.Path, s.Path)
	}
	if s.Tenant != "" {
		lad[rungTenant] = t.key.Hash(evidence.Tenant, s.Tenant)
		lad[rungPlatform] = t.key.Hash(evidence.Host, l.Host())
		lad[rungSuffix], lad[rungHost], lad[rungPath] = 0, 0, 0
	}
	lad[rungURL] = t.key.Hash(evidence.URL, s.URL)
	return lad[rungURL], lad, true
}
