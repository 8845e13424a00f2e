package netmap

import (
	"cmp"
	"encoding/binary"
	"math"
	"math/bits"
	"net/netip"
)

// How a table is laid out. Nested prefixes are flattened into segments, each
// from where it starts to where the next one starts, so that one search finds
// the longest prefix. A segment keeps the length of the prefix and not the
// prefix, which is the address cut to that length; neighbours that have length
// and AS in common are therefore one segment. An index over the first 16 bits
// of the address leaves a search of a few steps.

// key is an address with its first bit in the highest bit of hi, for IPv4 as
// for IPv6: prefixes of both are cut and compared by the same code.
type key struct{ hi, lo uint64 }

func keyOf(a netip.Addr) key {
	if a.Is4() {
		b := a.As4()
		return key{uint64(binary.BigEndian.Uint32(b[:])) << 32, 0}
	}
	b := a.As16()
	return key{binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:])}
}

func (k key) compare(l key) int {
	return cmp.Or(cmp.Compare(k.hi, l.hi), cmp.Compare(k.lo, l.lo))
}

// last is the last address of the prefix of n bits that begins at k.
func (k key) last(n int) key {
	if n < 64 {
		return key{k.hi | math.MaxUint64>>n, math.MaxUint64}
	}
	return key{k.hi, k.lo | math.MaxUint64>>(n-64)}
}

// next is the address behind k; false if there is none.
func (k key) next() (key, bool) {
	lo, carry := bits.Add64(k.lo, 1, 0)
	hi, carry := bits.Add64(k.hi, 0, carry)
	return key{hi, lo}, carry == 0
}

// shortest is the length of the shortest prefix that can begin at k.
func (k key) shortest() int {
	if k.lo != 0 {
		return 128 - bits.TrailingZeros64(k.lo)
	}
	return 64 - bits.TrailingZeros64(k.hi)
}

// origin is what all addresses of a segment have in common.
type origin struct {
	as   uint32
	bits uint8
}

var nowhere origin // no prefix of length 0 is kept

// entry is a prefix as it is added.
type entry struct {
	first key
	origin
}

func (e entry) compare(f entry) int {
	return cmp.Or(e.first.compare(f.first), cmp.Compare(e.bits, f.bits))
}

// segments are what prefixes are flattened to. The first starts at zero.
type segments struct {
	starts  []key
	origins []origin
}

func (s *segments) add(start key, o origin) {
	n := len(s.starts)
	if n > 0 && s.starts[n-1] == start { // the longer prefix comes later
		n--
		s.starts, s.origins = s.starts[:n], s.origins[:n]
	}
	if n > 0 && s.origins[n-1] == o {
		return
	}
	s.starts, s.origins = append(s.starts, start), append(s.origins, o)
}

// flatten takes entries in order, none twice.
func flatten(entries []entry) *segments {
	s := &segments{}
	s.add(key{}, nowhere)
	var open []entry // prefixes around the place, each within the one before it
	closeUpTo := func(done func(last key) bool) {
		for len(open) > 0 {
			last := open[len(open)-1].first.last(int(open[len(open)-1].bits))
			if !done(last) {
				return
			}
			open = open[:len(open)-1]
			outer := nowhere
			if len(open) > 0 {
				outer = open[len(open)-1].origin
			}
			if next, ok := last.next(); ok {
				s.add(next, outer)
			}
		}
	}
	for _, e := range entries {
		closeUpTo(func(last key) bool { return last.compare(e.first) < 0 })
		open = append(open, e)
		s.add(e.first, e.origin)
	}
	closeUpTo(func(key) bool { return true })
	return s
}

// index gives for each value of the first 16 bits the segment that holds the
// first such address, and behind them the last segment.
func (s *segments) index() []uint32 {
	first := make([]uint32, 1<<16+1)
	at := 0
	for h := range 1 << 16 {
		begin := key{uint64(h) << 48, 0}
		for at+1 < len(s.starts) && s.starts[at+1].compare(begin) <= 0 {
			at++
		}
		first[h] = uint32(at)
	}
	first[1<<16] = uint32(len(s.starts) - 1)
	return first
}

// ipv4 needs 12 bytes a segment.
type ipv4 struct {
	first   []uint32 // see index
	starts  []uint32
	origins []origin
}

func newIPv4(entries []entry) ipv4 {
	if len(entries) == 0 {
		return ipv4{}
	}
	s := flatten(entries)
	t := ipv4{first: s.index(), starts: make([]uint32, len(s.starts)), origins: append([]origin(nil), s.origins...)}
	for i, k := range s.starts {
		t.starts[i] = uint32(k.hi >> 32)
	}
	return t
}

func (t *ipv4) find(a uint32) origin {
	if t.first == nil {
		return nowhere
	}
	// The segment is the last in [low, high) that does not start behind a.
	low, high := t.first[a>>16], t.first[a>>16+1]+1
	for high-low > 1 {
		if mid := (low + high) / 2; t.starts[mid] <= a {
			low = mid
		} else {
			high = mid
		}
	}
	return t.origins[low]
}

// ipv6 needs 24 bytes a segment. The halves of a start stand apart because the
// search seldom looks at the lower one.
type ipv6 struct {
	first   []uint32 // see index
	his     []uint64
	los     []uint64
	origins []origin
}

func newIPv6(entries []entry) ipv6 {
	if len(entries) == 0 {
		return ipv6{}
	}
	s := flatten(entries)
	t := ipv6{first: s.index(), his: make([]uint64, len(s.starts)), los: make([]uint64, len(s.starts)), origins: append([]origin(nil), s.origins...)}
	for i, k := range s.starts {
		t.his[i], t.los[i] = k.hi, k.lo
	}
	return t
}

func (t *ipv6) find(a key) origin {
	if t.first == nil {
		return nowhere
	}
	low, high := t.first[a.hi>>48], t.first[a.hi>>48+1]+1
	for high-low > 1 {
		mid := (low + high) / 2
		if h := t.his[mid]; h < a.hi || h == a.hi && t.los[mid] <= a.lo {
			low = mid
		} else {
			high = mid
		}
	}
	return t.origins[low]
}
