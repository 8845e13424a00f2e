package feed

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"headlight.example/evidence"
)

var ips = Format{
	Name:           "ips",
	Doc:            "an address or CIDR prefix a line, more after a space is ignored; # or ; comments",
	Rater:          "feed/ips",
	NeedsAssertion: true,
	parser:         ipLines,
}

// The widest prefixes that are taken. No network was ever given more at once,
// so a list that says more means "everybody", which is a mistake.
const (
	widest4 = 8
	widest6 = 16
)

func ipLines(o *Options) parseFunc[evidence.Record] {
	return func(dst []evidence.Record, text string, _ int) ([]evidence.Record, error) {
		text, err := content(text, ";", "//")
		if err != nil {
			return dst, err
		}
		if i := strings.IndexAny(text, " \t,;#"); i >= 0 {
			text = text[:i]
		}
		s, err := addrSubject(text)
		if err != nil {
			return dst, err
		}
		r, err := o.record(s, o.Assertion, o.Now)
		if err != nil {
			return dst, err
		}
		return append(dst, r), nil
	}
}

// addrSubject reads "192.0.2.1", "192.0.2.1:443", "192.0.2.0/24", "2001:db8::1"
// or "2001:db8::/32". Bits below the prefix are cleared; a prefix of one
// address is that address.
func addrSubject(s string) (evidence.Subject, error) {
	if strings.Contains(s, "/") {
		p, err := netip.ParsePrefix(s)
		if err != nil {
			return evidence.Subject{}, errors.New("not a prefix")
		}
		if p.Addr().Is4In6() {
			return evidence.Subject{}, errors.New("a prefix of IPv4-mapped addresses")
		}
		if p.IsSingleIP() {
			return evidence.Subject{Kind: evidence.Addr, Key: p.Addr().String()}, nil
		}
		if p.Addr().Is4() && p.Bits() < widest4 || p.Addr().Is6() && p.Bits() < widest6 {
			return evidence.Subject{}, fmt.Errorf("a prefix of %d bits is too wide", p.Bits())
		}
		return evidence.Subject{Kind: evidence.Prefix, Key: p.Masked().String()}, nil
	}
	a, err := netip.ParseAddr(s)
	if err != nil {
		ap, portErr := netip.ParseAddrPort(s)
		if portErr != nil {
			return evidence.Subject{}, errors.New("neither an address nor a prefix")
		}
		a = ap.Addr()
	}
	return evidence.Subject{Kind: evidence.Addr, Key: a.Unmap().WithZone("").String()}, nil
}
