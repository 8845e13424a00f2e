package main

import (
	"math"
	"net/netip"

	"headlight.example/feed"
	"headlight.example/link"
	"headlight.example/netmap"
)

// around counts the reports of threats where their hosts are, for "additive": a
// baseline that adds up points as filters of mail do. Its score is the sum of
// ln(1+n) over host, tenant, address, subnet and AS, where n is the number of
// reports of links there. Nothing speaks for a link, and nothing fades.
//
// A report carries no address: it counts at each of the first four that its
// host was last seen at. Of those of a link that is asked about, the one with
// the most reports counts.
type around struct {
	nets map[netip.Prefix]uint32 // single addresses, /24 and /48
	ases map[uint32]uint32
	home map[uint64][]netip.Addr // host → where it was last seen
}

func newAround() around {
	return around{make(map[netip.Prefix]uint32), make(map[uint32]uint32), make(map[uint64][]netip.Addr)}
}

const maxPlaces = 4 // addresses of a name that are looked at

// addrs are where the event's host is: what the event says, or where the host
// was last seen. A raw address is where it says.
func (r *around) addrs(e *feed.Event, l link.Link, host uint64) []netip.Addr {
	if a, raw := l.Addr(); raw {
		return []netip.Addr{a}
	}
	if n := min(len(e.Addrs), maxPlaces); n > 0 {
		return e.Addrs[:n:n]
	}
	return r.home[host]
}

// reportsThreat says whether the event is what lists are made of.
func reportsThreat(e *feed.Event) bool { return e.Type == feed.Report && e.Assertion.Threat() }

// learn counts what the event says of the places where its host is.
func (r *around) learn(e *feed.Event, at []netip.Addr, host uint64, m *netmap.Map) {
	if e.Type == feed.Sighting && len(e.Addrs) > 0 {
		r.home[host] = at
	}
	if !reportsThreat(e) {
		return
	}
	for _, a := range at {
		r.nets[single(a)]++
		r.nets[subnet(a)]++
		if n, ok := m.Lookup(a); ok {
			r.ases[n.AS]++
		}
	}
}

func single(a netip.Addr) netip.Prefix { return netip.PrefixFrom(a, a.BitLen()) }

// subnet is the /24 or /48 around an address.
func subnet(a netip.Addr) netip.Prefix {
	bits := 48
	if a.Is4() {
		bits = 24
	}
	return netip.PrefixFrom(a, bits).Masked()
}

// points are what n reports are worth.
func points(n uint32) float64 { return math.Log1p(float64(n)) }

// sum adds up the points of address, subnet and AS.
func (r *around) sum(at []netip.Addr, m *netmap.Map) float64 {
	var addr, net, as uint32
	for _, a := range at {
		addr = max(addr, r.nets[single(a)])
		net = max(net, r.nets[subnet(a)])
		if n, ok := m.Lookup(a); ok {
			as = max(as, r.ases[n.AS])
		}
	}
	return points(addr) + points(net) + points(as)
}
