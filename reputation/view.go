package reputation

import (
	"net/netip"

	"headlight.example/evidence"
	"headlight.example/link"
)

// Beside the ladder stand markers: each is a rung of its own from the root,
// whose children are tenants, as are those of the networks of a host's
// addresses.
const (
	spelledMarkers = evidence.LabelShape + 1
	markASLayout   = spelledMarkers // the AS, with the shape of the path, the scheme and the dots
	nMarkers       = spelledMarkers + 1
)

// A view is what the table holds of a link. With what the spelling says it is
// all that the model sees.
type view struct {
	lad    ladder
	kind   Class
	novice bool       // nobody knows yet what clean links of the class look like
	host   uint64     // of its tagHost entry; of its tagAddr entry, if it is an address
	self   netip.Addr // the host, if it is an address
	shows  bool       // its server may have shown facts

	rung    [nRungs]entry
	route   [maxAddrs]route
	nroutes int
	netAt   [maxAddrs][nNets]uint64
	net     [maxAddrs][nNets]sums
	markAt  [nMarkers]uint64
	mark    [nMarkers]sums

	touched uint64
}

// sums are both memories of an entry as of a day, in units.
type sums struct{ fast, slow counts }

func (s *sums) empty() bool { return s.slow.bad+s.slow.good+s.fast.bad+s.fast.good == 0 }

// of begins a view of a link.
func (v *view) of(t *Table, l link.Link) {
	v.kind = ClassOf(l)
	v.host, v.self = t.hostOf(l)
}

// hostOf gives the hash of the entry that says where a host is, 0 if that was
// never said of any, and the host itself if it is an address.
func (t *Table) hostOf(l link.Link) (uint64, netip.Addr) {
	if a, ok := l.Addr(); ok {
		a = a.Unmap()
		return t.hashRoute(a), a
	}
	if !t.located.Load() {
		return 0, netip.Addr{}
	}
	return t.key.Hash(hostKind, l.Host()), netip.Addr{}
}

// isPlatform reports whether neighbours were not chosen: what is known of the
// addresses of a platform is known of the platform.
func (v *view) isPlatform() bool { return v.kind != OwnDomain && v.kind != Address }

// place finds where the host is.
func (v *view) place(t *Table) {
	if v.kind != Address {
		if v.host == 0 {
			return
		}
		v.nroutes, v.shows = t.routesOf(v.host, &v.route, &v.touched)
	} else if r, ok := t.routeAt(v.host); ok {
		v.route[0], v.nroutes = r, 1
	} else if v.self.IsValid() {
		v.route[0], v.nroutes = route{addr: v.self}, 1
	}
	if v.kind == Address {
		v.shows = t.shown.Load()
	}
	if v.shows {
		v.touched ^= t.touch(v.lad.factsAt())
	}
	for i := range v.nroutes {
		v.netAt[i] = t.nets(&v.route[i])
	}
}

// setMarks sets the markers: those of the spelling, and those of that and the place.
func (v *view) setMarks(m *[evidence.NumMarkers]uint64) {
	copy(v.markAt[:], m[:spelledMarkers])
	if v.nroutes > 0 && v.netAt[0][netAS] != 0 && m[evidence.Layout] != 0 {
		v.markAt[markASLayout] = evidence.Join(v.netAt[0][netAS], m[evidence.Layout])
	}
}

// addNetTokens adds what the addresses say to the tokens.
func (v *view) addNetTokens(traits *evidence.Traits) {
	m := &traits.Markers
	for i := range v.nroutes {
		nets := &v.netAt[i]
		for j, h := range nets[:netAddr] {
			if h != 0 && !v.said(i, j) {
				traits.Add(h)
			}
		}
		if as := nets[netAS]; as != 0 && !v.said(i, netAS) {
			traits.Add(evidence.Join(as, m[evidence.Ending]+1))
		}
	}
	if v.nroutes > 0 && v.netAt[0][netAS] != 0 {
		traits.Add(evidence.Join(v.netAt[0][netAS], m[evidence.PathShape]+1))
	}
}

// said reports whether an earlier address is in the same network.
func (v *view) said(addr, net int) bool {
	for i := range addr {
		if v.netAt[i][net] == v.netAt[addr][net] {
			return true
		}
	}
	return false
}

// touch begins to load what is needed whatever the place is: place waits for
// memory, and these need not wait for it.
func (v *view) touch(t *Table) {
	if v.host != 0 {
		v.touched ^= t.touch(v.host)
	}
	for _, h := range v.lad {
		if h != 0 {
			v.touched ^= t.touch(h)
		}
	}
}

// read looks the counts up. All first loads come before all reads, and so wait
// for memory together and not one after another.
func (v *view) read(t *Table, day uint16) {
	v.novice = !t.model.clean[v.kind].known()
	if !v.isPlatform() {
		for i := range v.nroutes {
			for _, h := range v.netAt[i] {
				v.touched ^= t.touch(h)
			}
		}
	}
	for _, h := range v.markAt {
		if h != 0 {
			v.touched ^= t.touch(h)
		}
	}
	for i, h := range v.lad {
		if h != 0 {
			v.rung[i], _ = t.get(h)
		}
	}
	if !v.isPlatform() {
		for i := range v.nroutes {
			for j, h := range v.netAt[i] {
				v.net[i][j] = t.sumsAt(h, day)
			}
		}
	}
	for i, h := range v.markAt {
		if h != 0 {
			v.mark[i] = t.sumsAt(h, day)
		}
	}
}

func (t *Table) sumsAt(h uint64, day uint16) (s sums) {
	if w, ok := t.words(h); ok && tagOf(&w) >= minDay {
		e := sumsOnly(&w)
		s.fast, s.slow = e.at(day)
	}
	return s
}

// sumsOf gives the sums of a rung, with what popularity is worth.
func (v *view) sumsOf(i int, day uint16) (s sums) {
	e := &v.rung[i]
	s.fast, s.slow = e.at(day)
	if i == rungTenant && !v.isPlatform() {
		g := rankGood(faded(e.rank, e.day, day))
		s.fast.good += g
		s.slow.good += g
	}
	return s
}
