package netmap

import (
	"encoding/binary"
	"net/netip"
)

const (
	MaxLine   = maxLine
	MaxRecord = maxRecord
	MaxName   = maxNameBytes
	MaxNames  = maxNames
)

// Kept gives the prefixes that were kept, of each family in the order in which
// they were read.
func (b *Builder) Kept() []Network {
	var kept []Network
	for _, e := range b.v4 {
		var a [4]byte
		binary.BigEndian.PutUint32(a[:], uint32(e.first.hi>>32))
		kept = append(kept, Network{netip.PrefixFrom(netip.AddrFrom4(a), int(e.bits)), e.as})
	}
	for _, e := range b.v6 {
		var a [16]byte
		binary.BigEndian.PutUint64(a[:], e.first.hi)
		binary.BigEndian.PutUint64(a[8:], e.first.lo)
		kept = append(kept, Network{netip.PrefixFrom(netip.AddrFrom16(a), int(e.bits)), e.as})
	}
	return kept
}

// SetName names an AS as a line of CSV does.
func (b *Builder) SetName(as uint32, name string) error { return b.name(as, name) }
