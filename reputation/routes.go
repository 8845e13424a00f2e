package reputation

import (
	"encoding/binary"
	"net/netip"
	"strconv"
	"unsafe"

	"headlight.example/evidence"
)

// Beside counts the table keeps two kinds of entries that say where a host is.
// They are told from counts by a day that no count has: below minDay.
//
//	word  tagHost: the addresses of a host      tagAddr: an address
//	0     tag 16 | day 16 | how many 8 | facts  tag 16 | day 16 | bits of the prefix 8 | known 8
//	1–4   hashes of their tagAddr entries       address, 16 bytes | AS | 0
//
// A host has the addresses of the newest day on which it was resolved, at most
// maxAddrs: the least by their hash, so that their order does not matter. An
// address is in the last prefix and AS that somebody saw it announced by:
// relations are stamped where they are observed, and never looked up later.
const (
	tagHost = 1 + iota
	tagAddr
	tagDiary // see diary
	tagFacts // see facts.go
)

const (
	hostKind  evidence.Kind = 0x82 // hash of a host's tagHost entry
	routeKind evidence.Kind = 0x83 // hash of an address's tagAddr entry
)

const (
	maxAddrs    = 4
	forgetRoute = 90 // days without a word
)

const (
	prefixKnown = 1 << iota
	asKnown
)

// Networks of an address, from the widest.
const (
	netAS = iota
	netPrefix
	netSubnet
	netAddr
	nNets
)

// route is where one address is.
type route struct {
	addr   netip.Addr
	prefix netip.Prefix // invalid if nobody has said it
	as     uint32       // 0 if nobody has said it
}

func tagOf(w *[5]uint64) uint16  { return uint16(w[0]) }
func tagDay(w *[5]uint64) uint16 { return uint16(w[0] >> 16) }

func binaryHash(k *evidence.Key, kind evidence.Kind, b []byte) uint64 {
	return k.Hash(kind, unsafe.String(unsafe.SliceData(b), len(b)))
}

func addrBytes(a netip.Addr, bits int) (b [17]byte) {
	w := a.As16()
	copy(b[:], w[:])
	b[16] = byte(bits)
	if a.Is4() {
		b[16] |= 0x80
	}
	return b
}

// hashNet is the hash of a network around an address; bits are those that count.
func (t *Table) hashNet(kind evidence.Kind, a netip.Addr, bits int) uint64 {
	p, err := a.Prefix(bits)
	if err != nil {
		return 0
	}
	b := addrBytes(p.Addr(), bits)
	return binaryHash(t.key, kind, b[:])
}

func (t *Table) hashRoute(a netip.Addr) uint64 { return t.hashNet(routeKind, a, a.BitLen()) }

func (t *Table) hashAS(as uint32) uint64 {
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], as)
	return binaryHash(t.key, evidence.AS, b[:])
}

// nets hashes the networks of a route; 0 for those that nobody has said.
func (t *Table) nets(r *route) (n [nNets]uint64) {
	if r.as != 0 {
		n[netAS] = t.hashAS(r.as)
	}
	if r.prefix.IsValid() {
		n[netPrefix] = t.hashNet(evidence.Prefix, r.addr, r.prefix.Bits())
	}
	n[netSubnet] = t.hashNet(evidence.Subnet, r.addr, evidence.SubnetBits(r.addr))
	n[netAddr] = t.hashNet(evidence.Addr, r.addr, r.addr.BitLen())
	return n
}

// hashSubject is the hash of a network; false for other subjects.
func (t *Table) hashSubject(s evidence.Subject) (uint64, bool) {
	switch s.Kind {
	case evidence.AS:
		as, err := strconv.ParseUint(s.Key, 10, 32)
		return t.hashAS(uint32(as)), err == nil
	case evidence.Prefix, evidence.Subnet:
		p, err := netip.ParsePrefix(s.Key)
		return t.hashNet(s.Kind, p.Addr(), p.Bits()), err == nil
	}
	return 0, false
}

// routesOf gives the addresses of a host, and the networks of each; and whether
// its server has shown facts.
func (t *Table) routesOf(host uint64, routes *[maxAddrs]route, touched *uint64) (n int, shows bool) {
	w, ok := t.words(host)
	if !ok || tagOf(&w) != tagHost {
		return 0, false
	}
	count := min(int(uint8(w[0]>>32)), maxAddrs)
	for _, h := range w[1 : 1+count] {
		*touched ^= t.touch(h)
	}
	for _, h := range w[1 : 1+count] {
		if r, ok := t.routeAt(h); ok {
			routes[n] = r
			n++
		}
	}
	return n, w[0]&hasFacts != 0
}

func (t *Table) routeAt(h uint64) (r route, ok bool) {
	w, ok := t.words(h)
	if !ok || tagOf(&w) != tagAddr {
		return r, false
	}
	var b [16]byte
	binary.BigEndian.PutUint64(b[:], w[1])
	binary.BigEndian.PutUint64(b[8:], w[2])
	r.addr = netip.AddrFrom16(b).Unmap()
	known := uint8(w[0] >> 40)
	if known&prefixKnown != 0 {
		r.prefix, _ = r.addr.Prefix(int(uint8(w[0] >> 32)))
	}
	if known&asKnown != 0 {
		r.as = uint32(w[3])
	}
	return r, true
}

// relate takes in where a host or an address is.
func (t *Table) relate(r *evidence.Record, d uint16) {
	switch r.Assertion {
	case evidence.ResolvesTo:
		if a, ok := addrOf(r.Object); ok && r.Subject.Kind == evidence.Host {
			if !t.located.Load() {
				t.located.Store(true)
			}
			host, addr := t.key.Hash(hostKind, r.Subject.Key), t.hashRoute(a)
			t.touched ^= t.touch(host) ^ t.touch(addr)
			if w, at, ok := t.openRoute(a, addr, d); ok {
				t.putWords(addr, at, &w)
			}
			t.resolve(host, addr, d)
		}
	case evidence.Shows:
		t.show(r, d)
	case evidence.AnnouncedIn:
		a, ok := addrOf(r.Subject)
		p, err := netip.ParsePrefix(r.Object.Key)
		if ok && err == nil && r.Object.Kind == evidence.Prefix && p.Contains(a) {
			h := t.hashRoute(a)
			if w, at, ok := t.openRoute(a, h, d); ok {
				w[0] = w[0]&^(0xff<<32) | uint64(p.Bits())<<32 | prefixKnown<<40
				t.putWords(h, at, &w)
			}
		}
	case evidence.OriginatedBy:
		a, ok := addrOf(r.Subject)
		as, err := strconv.ParseUint(r.Object.Key, 10, 32)
		if ok && err == nil && r.Object.Kind == evidence.AS {
			h := t.hashRoute(a)
			if w, at, ok := t.openRoute(a, h, d); ok {
				w[0], w[3] = w[0]|asKnown<<40, as
				t.putWords(h, at, &w)
			}
		}
	}
}

func addrOf(s evidence.Subject) (netip.Addr, bool) {
	if s.Kind != evidence.Addr {
		return netip.Addr{}, false
	}
	a, err := netip.ParseAddr(s.Key)
	return a.Unmap(), err == nil
}

// openRoute opens the entry of an address, h by its hash, to be changed and put
// back as of day d; it makes it if there is none. It is false if that knows
// something newer.
func (t *Table) openRoute(a netip.Addr, h uint64, d uint16) (w [5]uint64, at place, ok bool) {
	w, at = t.openWords(h)
	if d < tagDay(&w) {
		return w, at, false
	}
	if !at.ok {
		b := a.As16()
		w = [5]uint64{tagAddr, binary.BigEndian.Uint64(b[:]), binary.BigEndian.Uint64(b[8:])}
	}
	w[0] = w[0]&^(0xffff<<16) | uint64(d)<<16
	return w, at, true
}

// resolve adds an address to those that a host has on a day.
func (t *Table) resolve(host, addr uint64, d uint16) {
	w, at := t.openWords(host)
	day, shows := tagDay(&w), w[0]&hasFacts
	n := int(uint8(w[0] >> 32))
	switch {
	case at.ok && d < day:
		return
	case !at.ok || d > day:
		w = [5]uint64{0, addr}
		n = 1
	default:
		i := 0
		for i < n && w[1+i] < addr {
			i++
		}
		if i == maxAddrs || i < n && w[1+i] == addr {
			return
		}
		n = min(n+1, maxAddrs)
		copy(w[2+i:1+n], w[1+i:n])
		w[1+i] = addr
	}
	w[0] = tagHost | uint64(d)<<16 | uint64(n)<<32 | shows
	t.putWords(host, at, &w)
}

// staleTag reports whether an entry that is no count may be forgotten.
func staleTag(w *[5]uint64, today uint16) bool {
	day := tagDay(w)
	if tagOf(w) == tagDiary {
		return today > day+1
	}
	return today > day+forgetRoute
}
