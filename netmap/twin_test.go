package netmap_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"

	"headlight.example/netmap"
)

// slowMap is the obvious twin of Map: it looks at every prefix, and of the
// longest that hold the address takes the last.
type slowMap []netmap.Network

func (s slowMap) Lookup(a netip.Addr) (found netmap.Network, ok bool) {
	a = a.Unmap().WithZone("")
	for _, n := range s {
		if n.Prefix.Contains(a) && (!ok || n.Prefix.Bits() >= found.Prefix.Bits()) {
			found, ok = n, true
		}
	}
	return found, ok
}

// same compares both at one address.
func (s slowMap) same(t *testing.T, m *netmap.Map, a netip.Addr) {
	t.Helper()
	want, wantOK := s.Lookup(a)
	if got, ok := m.Lookup(a); got != want || ok != wantOK {
		t.Fatalf("%v: got %v, %v; want %v, %v", a, got, ok, want, wantOK)
	}
}

// sameAtEdges compares both at the first and last address of each prefix, and
// one outside.
func (s slowMap) sameAtEdges(t *testing.T, m *netmap.Map) {
	t.Helper()
	for _, n := range s {
		first, last := n.Prefix.Addr(), lastOf(n.Prefix)
		for _, a := range []netip.Addr{first, last, first.Prev(), last.Next()} {
			if a.IsValid() {
				s.same(t, m, a)
			}
		}
	}
}

func lastOf(p netip.Prefix) netip.Addr {
	b := p.Addr().AsSlice()
	for i := p.Bits(); i < 8*len(b); i++ {
		b[i/8] |= 0x80 >> (i % 8)
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}

// distinct counts the different prefixes.
func (s slowMap) distinct() int {
	seen := make(map[netip.Prefix]bool)
	for _, n := range s {
		seen[n.Prefix] = true
	}
	return len(seen)
}

// randomPrefix draws prefixes that nest and touch: few bits differ.
func randomPrefix(r *rand.Rand) netip.Prefix {
	var b [16]byte
	b[0], b[1], b[2] = 0x20, byte(r.IntN(3)), byte(r.IntN(256))
	b[7], b[8], b[15] = byte(r.IntN(4)), byte(r.IntN(4))<<6, byte(r.IntN(256))
	if r.IntN(2) == 0 {
		b[3] = byte(r.IntN(256))
		p, _ := netip.AddrFrom4([4]byte(b[:4])).Prefix(1 + r.IntN(32))
		return p
	}
	p, _ := netip.AddrFrom16(b).Prefix(1 + r.IntN(128))
	return p
}

func TestLookupEqualsTwin(t *testing.T) {
	t.Parallel()
	for seed := range uint64(40) {
		r := rand.New(rand.NewPCG(seed, 1))
		var slow slowMap
		var text strings.Builder
		for range 1 + r.IntN(300) {
			n := netmap.Network{Prefix: randomPrefix(r), AS: 1 + r.Uint32N(5)}
			slow = append(slow, n)
			fmt.Fprintf(&text, "%v\t%d\n", n.Prefix, n.AS)
		}
		var b netmap.Builder
		if _, err := b.Read(strings.NewReader(text.String())); err != nil {
			t.Fatal(err)
		}
		m := b.Map()
		slow.sameAtEdges(t, m)
		for range 1000 {
			slow.same(t, m, randomPrefix(r).Addr())
		}
		if m.Len() != slow.distinct() {
			t.Fatalf("%d prefixes, want %d", m.Len(), slow.distinct())
		}
	}
}
