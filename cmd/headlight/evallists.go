package main

import (
	"math"
	"net/netip"

	"headlight.example/feed"
	"headlight.example/link"
	"headlight.example/netmap"
)

// reports counts the reports of threats, for the baselines that stand beside
// the model:
//
//   - exact lists of URLs, hosts, tenants and registrable domains: once
//     reported, for ever listed;
//   - "additive", a filter that adds up points as those for mail do: the sum of
//     ln(1+n) over host, tenant, address, subnet and AS, where n is the number
//     of reports of links there. Nothing speaks for a link, and nothing fades.
//
// A report carries no address: it counts at each of the first four that its
// host was last seen at. Of those of a link that is asked about, the one with
// the most reports counts.
type reports struct {
	names map[uint64]uint32       // of the rungs → reports
	nets  map[netip.Prefix]uint32 // single addresses, /24 and /48
	ases  map[uint32]uint32
	home  map[uint64][]netip.Addr // host → where it was last seen
}

func newReports() reports {
	return reports{
		names: make(map[uint64]uint32), nets: make(map[netip.Prefix]uint32),
		ases: make(map[uint32]uint32), home: make(map[uint64][]netip.Addr),
	}
}

const maxPlaces = 4 // addresses of a name that are looked at

// addrs are where the event's host is: what the event says, or where the host
// was last seen. A raw address is where it says.
func (r *reports) addrs(e *feed.Event, l link.Link, names rungs) []netip.Addr {
	if a, raw := l.Addr(); raw {
		return []netip.Addr{a}
	}
	if n := min(len(e.Addrs), maxPlaces); n > 0 {
		return e.Addrs[:n:n]
	}
	return r.home[names[hostRung]]
}

// learn counts what the event says.
func (r *reports) learn(e *feed.Event, l link.Link, names rungs, m *netmap.Map) {
	at := r.addrs(e, l, names)
	if e.Type == feed.Sighting {
		if len(e.Addrs) > 0 {
			r.home[names[hostRung]] = at
		}
		return
	}
	if e.Type != feed.Report || !e.Assertion.Threat() {
		return
	}
	for _, h := range names {
		r.names[h]++
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

// sum is the score of the filter that adds up points.
func (r *reports) sum(names rungs, at []netip.Addr, m *netmap.Map) float64 {
	points := func(n uint32) float64 { return math.Log1p(float64(n)) }
	var addr, net, as uint32
	for _, a := range at {
		addr = max(addr, r.nets[single(a)])
		net = max(net, r.nets[subnet(a)])
		if n, ok := m.Lookup(a); ok {
			as = max(as, r.ases[n.AS])
		}
	}
	return points(r.names[names[hostRung]]) + points(r.names[names[tenantRung]]) + points(addr) + points(net) + points(as)
}
