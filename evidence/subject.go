package evidence

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// maxHost bounds a host in a key. RFC 1035 §2.3.4 gives names 255 octets on
// the wire, but URLs carry hosts that DNS would refuse, and what a report names
// must fit: this is the bound of package link.
const maxHost = 1024

// Validate checks that the key is in the canonical form of its kind, as far as
// syntax shows. It does not look names up, not even in the public suffix list.
func (s Subject) Validate() error {
	if !s.Kind.valid() {
		return fmt.Errorf("no kind has the number %d", uint8(s.Kind))
	}
	if err := s.validateKey(); err != nil {
		return fmt.Errorf("%s: %w", s.Kind, err)
	}
	return nil
}

func (s Subject) validateKey() error {
	if s.Key == "" {
		return errors.New("empty key")
	}
	if len(s.Key) > MaxKey {
		return fmt.Errorf("key of %d bytes: at most %d", len(s.Key), MaxKey)
	}
	for i := range len(s.Key) {
		// Safe Browsing escapes everything else in a canonical URL.
		if c := s.Key[i]; c <= ' ' || c >= 0x7f {
			return fmt.Errorf("byte %d of the key is %#02x: want printable ASCII", i, c)
		}
	}
	switch s.Kind {
	case Host, Domain, Suffix, NameServer:
		return validateHost(s.Key)
	case URL:
		return validateURL(s.Key)
	case Path:
		return validatePath(s.Key)
	case Tenant:
		host, rest, ok := strings.Cut(s.Key, "/")
		if ok && (rest == "" || strings.ContainsAny(rest, "?#")) {
			return fmt.Errorf("%q is not a host with path segments", clip(s.Key))
		}
		return validateHost(host)
	case Addr:
		a, err := netip.ParseAddr(s.Key)
		if err != nil || a.Zone() != "" || a.Unmap().String() != s.Key {
			return fmt.Errorf("%q is not an address in canonical form", clip(s.Key))
		}
		return nil
	case Subnet, Prefix:
		return validatePrefix(s.Kind, s.Key)
	case AS:
		n, err := strconv.ParseUint(s.Key, 10, 32)
		if err != nil || n == 0 || strconv.FormatUint(n, 10) != s.Key {
			return fmt.Errorf("%q is not the decimal number of an autonomous system", clip(s.Key))
		}
		return nil
	case Fact:
		_, _, err := ParseFact(s.Key)
		return err
	default: // Sealed
		parts, err := ParseSealed(s.Key)
		if err == nil && parts.Traits != "" {
			var room packedTraits
			_, err = room.decode(parts.Traits)
		}
		return err
	}
}

func validateURL(key string) error {
	host, _, ok := strings.Cut(key, "/")
	if !ok || strings.IndexByte(key, '#') >= 0 {
		return fmt.Errorf("%q is not host/path?query", clip(key))
	}
	return validateHost(host)
}

func validatePath(key string) error {
	host, segment, _ := strings.Cut(key, "/")
	if i := strings.IndexByte(segment, '/'); i < 1 || i != len(segment)-1 || strings.ContainsAny(segment, "?#") {
		return fmt.Errorf("%q is not host/segment/", clip(key))
	}
	return validateHost(host)
}

func validatePrefix(kind Kind, key string) error {
	p, err := netip.ParsePrefix(key)
	if err != nil || p.Masked() != p || p.String() != key || p.Addr().Is4In6() {
		return fmt.Errorf("%q is not a prefix in canonical form", clip(key))
	}
	if kind == Subnet && p.Bits() != SubnetBits(p.Addr()) {
		return fmt.Errorf("%q: want a /24 of IPv4 or a /48 of IPv6", clip(key))
	}
	return nil
}

// SubnetBits are those of the Subnet around an address: 24 of IPv4, 48 of IPv6.
func SubnetBits(a netip.Addr) int {
	if a.Is4() {
		return 24
	}
	return 48
}

// SubnetOf gives the Subnet around an address.
func SubnetOf(a netip.Addr) Subject {
	a = a.Unmap().WithZone("")
	return Subject{Subnet, netip.PrefixFrom(a, SubnetBits(a)).Masked().String()}
}

// validateHost takes what link.Link.Host gives: lower case, and no byte that
// would end a host in a URL. More is not asked: hosts that DNS would refuse
// resolve somewhere, and people report them.
func validateHost(host string) error {
	if host == "" || len(host) > maxHost {
		return fmt.Errorf("host of %d bytes: want 1 to %d", len(host), maxHost)
	}
	if host[0] == '[' {
		inside := unbracket(host)
		a, err := netip.ParseAddr(inside)
		if err != nil || len(inside) != len(host)-2 || !a.Is6() || a.Zone() != "" || a.String() != inside {
			return fmt.Errorf("host %q is not an IPv6 address in canonical form", clip(host))
		}
		return nil
	}
	for i := range len(host) {
		switch c := host[i]; {
		case c >= 'A' && c <= 'F' && (i > 0 && host[i-1] == '%' || i > 1 && host[i-2] == '%'):
			// Safe Browsing escapes bytes in hosts too, as %7F.
		case c >= 'A' && c <= 'Z':
			return fmt.Errorf("host %q is not in lower case", clip(host))
		case c == '/', c == '?', c == '#', c == '@', c == '\\', c == '[', c == ']', c == ':':
			return fmt.Errorf("host %q has a %q", clip(host), c)
		}
	}
	if host[0] == '.' || host[len(host)-1] == '.' || strings.Contains(host, "..") {
		return fmt.Errorf("host %q has an empty label", clip(host))
	}
	return nil
}

// unbracket takes the brackets off an IPv6 address as it stands in a host.
func unbracket(host string) string {
	return strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
}

// Host is the host of the subject's key, in clear for a sealed URL too. It is
// "" where the subject has none (a prefix, an autonomous system).
//
//	url    a.example/x?y → a.example
//	tenant a.example     → a.example
//	addr   192.0.2.1     → 192.0.2.1
func (s Subject) Host() string {
	switch s.Kind {
	case URL, Path, Tenant, Sealed:
		host, _, _ := strings.Cut(s.Key, "/")
		return host
	case Host, Domain, Suffix, Addr, NameServer:
		return s.Key
	}
	return ""
}

// Covers says whether what is said of t is said within s: t is s, or lies
// under it. A host covers the URLs on it; a tenant or domain also the hosts
// below it; a path the URLs that begin with it; an address the URLs that name
// it as their host. A sealed URL covers the sealed URLs with its hash. Public
// suffixes, prefixes, autonomous systems and facts cover themselves alone.
func (s Subject) Covers(t Subject) bool {
	if s == t {
		return true
	}
	switch s.Kind {
	case Host, NameServer:
		return t.Host() == s.Key
	case Addr:
		return unbracket(t.Host()) == s.Key
	case Domain:
		return underName(t.Host(), s.Key)
	case Tenant:
		if strings.IndexByte(s.Key, '/') < 0 {
			return underName(t.Host(), s.Key)
		}
		return underPath(t, s.Key)
	case Path:
		return underPath(t, s.Key)
	case Sealed:
		return t.Kind == Sealed && t.Host() == s.Host() && sealedHash(s.Key) == sealedHash(t.Key)
	}
	return false
}

func underName(host, name string) bool {
	return host == name || len(host) > len(name) && host[len(host)-len(name)-1] == '.' && strings.HasSuffix(host, name)
}

func underPath(t Subject, path string) bool {
	if t.Kind != URL && t.Kind != Path && t.Kind != Tenant || !strings.HasPrefix(t.Key, path) {
		return false
	}
	rest := t.Key[len(path):]
	return rest == "" || path[len(path)-1] == '/' || rest[0] == '/' || rest[0] == '?'
}

// sealedHash is the part of a sealed key that stands for its URL.
func sealedHash(key string) string {
	key, _, _ = strings.Cut(key, "/~")
	return key[strings.LastIndexByte(key, '/')+1:]
}

// clip shortens a hostile string for an error.
func clip(s string) string {
	if len(s) > 80 {
		return s[:80] + "…"
	}
	return s
}
