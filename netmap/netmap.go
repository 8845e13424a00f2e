// Package netmap tells to which announced prefix and autonomous system an
// address belongs.
//
// A [Map] is read from files that others make of the global routing table, and
// is never changed: to follow a new file, build a new Map and swap the pointer.
//
//	m, _, err := netmap.Load("asn-ipv4.csv.gz", "asn-ipv6.csv.gz")
//	…
//	if n, ok := m.Lookup(addr); ok {
//		fmt.Println(n.Prefix, n.AS, m.Name(n.AS))
//	}
//
// The files are in one of three formats, plain or packed with gzip or bzip2,
// which is found out by looking:
//
//   - CSV with a range a line: first address, last address, AS number and,
//     if there is one, organisation. IPv4 addresses are dotted or decimal.
//   - pfx2as as CAIDA publishes it (prefix, length and AS number, separated by
//     tabs), or as pyasn keeps it (prefix/length, tab, AS number).
//   - MRT dumps of a routing table (RFC 6396): TABLE_DUMP_V2 and TABLE_DUMP.
//
// # Which prefix an address belongs to
//
// Everything becomes prefixes, and the longest prefix that holds an address
// answers for it, whichever file it came from. Of two equal prefixes the one
// read later holds. A CSV range that is not a prefix stands for the fewest
// prefixes that fill it: the answer for an address is the largest aligned
// block that holds the address and lies within the range. Neighbouring ranges
// of one AS are not joined.
//
// AS 0 is nobody's (RFC 7607), and a default route (a prefix of length 0)
// would claim every address: neither is kept.
package netmap

import (
	"encoding/binary"
	"net/netip"
	"slices"
)

// Network is what one address belongs to.
type Network struct {
	Prefix netip.Prefix // announced, or derived from a range; masked
	AS     uint32       // who announces it; never 0
}

// Map is an immutable table of networks. A nil Map and the zero value know
// nothing. All methods are safe for concurrent use.
type Map struct {
	v4    ipv4
	v6    ipv6
	names names
	n     int
}

// Lookup says to which network an address belongs, and false if to none that
// is known. An IPv4 address in the form of an IPv6 address is taken for the
// IPv4 address that it is; a zone is ignored. Lookup does not allocate.
func (m *Map) Lookup(a netip.Addr) (Network, bool) {
	if m == nil || !a.IsValid() {
		return Network{}, false
	}
	a = a.Unmap()
	var o origin
	if a.Is4() {
		b := a.As4()
		o = m.v4.find(binary.BigEndian.Uint32(b[:]))
	} else {
		b := a.As16()
		o = m.v6.find(key{binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:])})
	}
	if o == nowhere {
		return Network{}, false
	}
	p, err := a.Prefix(int(o.bits)) // masks, and drops the zone
	if err != nil {
		panic("netmap: " + err.Error()) // a prefix longer than its address was never added
	}
	return Network{Prefix: p, AS: o.as}, true
}

// Name gives the name of the organisation behind an AS as the files have it,
// "" if they do not. It is valid UTF-8 without control characters, of at most
// 256 bytes. Where lines disagree, the last one holds.
func (m *Map) Name(as uint32) string {
	if m == nil {
		return ""
	}
	return m.names.of(as)
}

// Len is how many different prefixes the map was made of.
func (m *Map) Len() int {
	if m == nil {
		return 0
	}
	return m.n
}

// names keeps the names in one piece of memory: 8 bytes an AS beside the text.
type names struct {
	as   []uint32 // ascending
	ends []uint32 // in text, of the name of each
	text string
}

func (n *names) of(as uint32) string {
	i, ok := slices.BinarySearch(n.as, as)
	if !ok {
		return ""
	}
	begin := uint32(0)
	if i > 0 {
		begin = n.ends[i-1]
	}
	return n.text[begin:n.ends[i]]
}
