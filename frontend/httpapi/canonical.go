package httpapi

import (
	"fmt"
	"net/netip"
	"strings"

	"headlight.example/evidence"
	"headlight.example/link"
)

// canonical brings a subject's key, as people write it, into the form of its
// kind. The link is the URL, or the root of what the subject names; zero if it
// names no place on the web. A key that means something wider or narrower than
// it says is refused and not guessed at:
//
//	url    http://A.example:8080/x#y → a.example/x
//	host   A.Example                 → a.example
//	domain www.a.example             → an error: that is a.example
func canonical(k evidence.Kind, key string) (evidence.Subject, link.Link, error) {
	s, l, err := evidence.Subject{Kind: k}, link.Link{}, error(nil)
	switch k {
	case evidence.URL, evidence.Path, evidence.Host, evidence.Tenant, evidence.Domain:
		if l, err = link.Parse(key); err != nil {
			return s, l, err
		}
		s.Key, err = rungOf(k, l)
	case evidence.Suffix, evidence.NameServer:
		// A suffix is no host; all that link.Parse could add is IDNA.
		s.Key = strings.ToLower(strings.Trim(key, "."))
	case evidence.Addr:
		var a netip.Addr
		if a, err = netip.ParseAddr(strings.Trim(key, "[]")); err == nil {
			s.Key = a.Unmap().String()
			l, _ = link.Parse("http://" + netip.AddrPortFrom(a.Unmap(), 80).String() + "/")
		}
	case evidence.Subnet, evidence.Prefix:
		var p netip.Prefix
		if p, err = netip.ParsePrefix(key); err == nil {
			s.Key = p.Masked().String()
		}
	case evidence.AS:
		s.Key = strings.TrimPrefix(strings.ToUpper(key), "AS")
	default:
		s.Key = key
	}
	if err == nil {
		err = s.Validate()
	}
	if err != nil {
		return evidence.Subject{}, link.Link{}, err
	}
	return s, l, nil
}

// rungOf gives the rung of a link, if the link names just that.
func rungOf(k evidence.Kind, l link.Link) (string, error) {
	rung, rest := "", ""
	switch k {
	case evidence.URL:
		return l.URL(), nil
	case evidence.Path:
		rung, rest = l.Path(), "/"
	case evidence.Host:
		rung = l.Host()
	case evidence.Tenant:
		rung = l.Tenant()
	case evidence.Domain:
		rung = l.Domain()
	}
	named := strings.TrimSuffix(l.URL(), "/")
	if rung == "" {
		return "", fmt.Errorf("%s names no %s", clip(named), k)
	}
	if named+rest != rung && named != rung {
		return "", fmt.Errorf("%s is no %s; that of it is %s", clip(named), k, clip(rung))
	}
	return rung, nil
}
