package probe

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"syscall"
)

// Guard says which addresses and ports a visit may connect to. It is asked at
// connect time with the very address that the kernel will connect to (a visit
// dials addresses; who dials names has [Guard.Control] for it), so neither a
// name that resolves differently the second time nor a redirect gets around it.
// The zero Guard lets the public Internet pass, on ports 80 and 443. It must not
// be changed once in use.
type Guard struct {
	// Ports that may be connected to; nil means 80 and 443.
	Ports []uint16
	// Own are our own addresses, public ones too: nobody may make us knock at
	// our own door.
	Own []netip.Prefix
	// Allow are exceptions to everything else, for tests on loopback.
	Allow []netip.AddrPort
}

// RefusedError says that the guard let nobody through, and by which rule.
type RefusedError struct {
	Addr   netip.AddrPort
	What   string // what the address or the port is
	Source string // where that is written
}

func (e *RefusedError) Error() string {
	return fmt.Sprintf("%s is not visited: %s (%s)", e.Addr, e.What, e.Source)
}

var webPorts = []uint16{80, 443}

// Check says whether a visit may connect to an address; if not the error is a
// [*RefusedError].
func (g *Guard) Check(ap netip.AddrPort) error {
	if slices.Contains(g.Allow, ap) {
		return nil
	}
	ports := g.Ports
	if ports == nil {
		ports = webPorts
	}
	if !slices.Contains(ports, ap.Port()) {
		return &RefusedError{ap, "port not allowed", "configuration"}
	}
	addr := ap.Addr()
	if !addr.IsValid() {
		return &RefusedError{ap, "no address", "-"}
	}
	if addr.Zone() != "" {
		return &RefusedError{ap, "scoped address", "RFC 4007 §11"}
	}
	for addr = addr.Unmap(); nat64.Contains(addr); { // an IPv4 address in other clothes
		b := addr.As16()
		addr = netip.AddrFrom4([4]byte(b[12:]))
	}
	for _, own := range g.Own {
		if own.Contains(addr) || own.Contains(ap.Addr().Unmap()) {
			return &RefusedError{ap, "our own address", "configuration"}
		}
	}
	for i := range special {
		if s := &special[i]; s.prefix.Contains(addr) {
			return &RefusedError{ap, s.what, s.source}
		}
	}
	if addr.Is6() && !global6.Contains(addr) {
		return &RefusedError{ap, "not global unicast", "RFC 4291 §2.4"}
	}
	return nil
}

// Control is for net.Dialer.ControlContext: after the socket was made and
// before it connects.
func (g *Guard) Control(_ context.Context, network, address string, _ syscall.RawConn) error {
	if network != "tcp4" && network != "tcp6" {
		return fmt.Errorf("guard: network %q is not TCP", network)
	}
	ap, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("guard: %w", err)
	}
	return g.Check(netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port()))
}

// errSpecialName: the host is one that must not be asked for in DNS.
var errSpecialName = errors.New("a name for the local network or for no network")

// checkName says whether a host may be asked for in DNS: a name of letters,
// digits, hyphens and underscores with two labels or more, and not below a
// special one. A name with one label means whatever the local network likes.
func checkName(host string) error {
	if len(host) > 253 { // RFC 1035 §2.3.4, less length octets
		return errors.New("name is longer than DNS allows")
	}
	dots := 0
	for label := range strings.SplitSeq(host, ".") {
		if dots++; label == "" || len(label) > 63 {
			return errors.New("name has an empty label, or one of more than 63 octets")
		}
		for i := range len(label) {
			if c := label[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '_' {
				return errors.New("name has a character that DNS names of hosts do not have")
			}
		}
	}
	if dots == 1 {
		return errSpecialName
	}
	for _, s := range specialNames {
		if below, ok := strings.CutSuffix(host, s.name); ok && strings.HasSuffix(below, ".") {
			return errSpecialName
		}
	}
	return nil
}
