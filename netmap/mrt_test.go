package netmap_test

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"strings"
	"testing"

	"headlight.example/netmap"
)

// record makes an MRT record.
func record(kind, subtype uint16, body []byte) []byte {
	b := binary.BigEndian.AppendUint32(nil, 1400000000)
	b = binary.BigEndian.AppendUint16(b, kind)
	b = binary.BigEndian.AppendUint16(b, subtype)
	b = binary.BigEndian.AppendUint32(b, uint32(len(body)))
	return append(b, body...)
}

// rib makes a RIB record of a prefix and the path attributes of each peer.
func rib(subtype uint16, prefix string, peers ...[]byte) []byte {
	p := netip.MustParsePrefix(prefix)
	b := append([]byte{0, 0, 0, 1, byte(p.Bits())}, p.Addr().AsSlice()[:(p.Bits()+7)/8]...)
	b = binary.BigEndian.AppendUint16(b, uint16(len(peers)))
	for i, attrs := range peers {
		b = binary.BigEndian.AppendUint16(b, uint16(i))
		b = binary.BigEndian.AppendUint32(b, 1400000000)
		b = binary.BigEndian.AppendUint16(b, uint16(len(attrs)))
		b = append(b, attrs...)
	}
	return record(13, subtype, b)
}

func rib4(prefix string, peers ...[]byte) []byte { return rib(2, prefix, peers...) }

// dumped makes a TABLE_DUMP record.
func dumped(prefix string, attrs []byte) []byte {
	p := netip.MustParsePrefix(prefix)
	subtype := uint16(1)
	if p.Addr().Is6() {
		subtype = 2
	}
	b := append([]byte{0, 0, 0, 1}, p.Addr().AsSlice()...)
	b = append(b, byte(p.Bits()), 1, 0, 0, 0, 0)
	b = append(b, make([]byte, p.Addr().BitLen()/8)...)
	b = append(b, 0xfb, 0xf0)
	b = binary.BigEndian.AppendUint16(b, uint16(len(attrs)))
	return record(12, subtype, append(b, attrs...))
}

func attr(kind byte, value []byte) []byte {
	if len(value) > 255 {
		return append([]byte{0x50, kind, byte(len(value) >> 8), byte(len(value))}, value...)
	}
	return append([]byte{0x40, kind, byte(len(value))}, value...)
}

// segment makes a path segment: 1 is an AS_SET, 2 an AS_SEQUENCE.
func segment(width int, kind byte, ases ...uint32) []byte {
	b := []byte{kind, byte(len(ases))}
	for _, as := range ases {
		if width == 2 {
			b = binary.BigEndian.AppendUint16(b, uint16(as))
		} else {
			b = binary.BigEndian.AppendUint32(b, as)
		}
	}
	return b
}

func path4(ases ...uint32) []byte { return attr(2, segment(4, 2, ases...)) }
func path2(ases ...uint32) []byte { return attr(2, segment(2, 2, ases...)) }

func join(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

func TestMRT(t *testing.T) {
	t.Parallel()
	const net = "192.0.2.0/24"
	long := make([]uint32, 255)
	for i := range long {
		long[i] = 64511
	}
	long[254] = 64496
	for _, tt := range []struct {
		name string
		file []byte
		addr string
		want string
	}{
		{"one peer", rib4(net, path4(64511, 64496)), "192.0.2.1", "192.0.2.0/24 64496"},
		{"a 4-byte AS", rib4(net, path4(64511, 4200000000)), "192.0.2.1", "192.0.2.0/24 4200000000"},
		{"most peers", rib4(net, path4(64511, 64499), path4(64511, 64497), path4(64510, 64497), path4(64496)), "192.0.2.1", "192.0.2.0/24 64497"},
		{"the lowest of equals", rib4(net, path4(64499), path4(64497), path4(64499), path4(64497), path4(64496)), "192.0.2.1", "192.0.2.0/24 64497"},
		{"other attributes around it", rib4(net, join(attr(1, []byte{0}), path4(64496), attr(8, make([]byte, 300)))), "192.0.2.1", "192.0.2.0/24 64496"},
		{"a path that needs an extended length", rib4(net, path4(long...)), "192.0.2.1", "192.0.2.0/24 64496"},
		{"two sequences", rib4(net, attr(2, join(segment(4, 2, 64511), segment(4, 2, 64496)))), "192.0.2.1", "192.0.2.0/24 64496"},
		{"a set of one at the end", rib4(net, attr(2, join(segment(4, 2, 64511), segment(4, 1, 64496)))), "192.0.2.1", "192.0.2.0/24 64496"},
		{"a set of several: who made the aggregate", rib4(net, attr(2, join(segment(4, 2, 64511, 64498), segment(4, 1, 64496, 64497)))), "192.0.2.1", "192.0.2.0/24 64498"},
		{"nothing but a set of several", rib4(net, attr(2, segment(4, 1, 64496, 64497))), "192.0.2.1", ""},
		{"a confederation at the end", rib4(net, attr(2, join(segment(4, 2, 64496), segment(4, 3, 65001), segment(4, 4, 65002)))), "192.0.2.1", "192.0.2.0/24 64496"},
		{"an empty segment at the end", rib4(net, attr(2, join(segment(4, 2, 64496), segment(4, 2)))), "192.0.2.1", "192.0.2.0/24 64496"},
		{"an empty path has no vote", rib4(net, attr(2, nil), path4(64496)), "192.0.2.1", "192.0.2.0/24 64496"},
		{"AS4_PATH has no place in TABLE_DUMP_V2", rib4(net, join(path4(64496), attr(17, segment(4, 2, 64497)))), "192.0.2.1", "192.0.2.0/24 64496"},
		{"bits behind the prefix are cut", record(13, 2, join([]byte{0, 0, 0, 1, 20, 192, 0, 0x2f, 0, 1, 0, 0, 0, 0, 0, 0, 0, 9}, path4(64496))), "192.0.32.1", "192.0.32.0/20 64496"},
		{"IPv6", rib(4, "2001:db8::/33", path4(64496)), "2001:db8::1", "2001:db8::/33 64496"},
		{"a host route", rib(4, "2001:db8::1/128", path4(64496)), "2001:db8::1", "2001:db8::1/128 64496"},
		{"a default route", join(rib4("0.0.0.0/0", path4(64496)), rib4("198.51.100.0/24", path4(64496))), "192.0.2.1", ""},
		{"TABLE_DUMP", dumped(net, path2(64511, 64496)), "192.0.2.1", "192.0.2.0/24 64496"},
		{"TABLE_DUMP of IPv6", dumped("2001:db8::/32", path2(64511, 64496)), "2001:db8::1", "2001:db8::/32 64496"},
		{"TABLE_DUMP: most peers", join(dumped(net, path2(64496)), dumped(net, path2(64497)), dumped(net, path2(64497)), dumped("198.51.100.0/24", path2(64498))), "192.0.2.1", "192.0.2.0/24 64497"},
		{"TABLE_DUMP: another length is another prefix", join(dumped(net, path2(64496)), dumped("192.0.2.0/25", path2(64497))), "192.0.2.200", "192.0.2.0/24 64496"},
		{"TABLE_DUMP: AS4_PATH", dumped(net, join(path2(64511, 23456, 23456), attr(17, segment(4, 2, 4200000001, 4200000000)))), "192.0.2.1", "192.0.2.0/24 4200000000"},
		{"TABLE_DUMP: AS4_PATH as long as the path", dumped(net, join(path2(23456, 23456), attr(17, segment(4, 2, 4200000001, 4200000000)))), "192.0.2.1", "192.0.2.0/24 4200000000"},
		{"TABLE_DUMP: a longer AS4_PATH is out of date", dumped(net, join(path2(64496), attr(17, segment(4, 2, 4200000001, 4200000000)))), "192.0.2.1", "192.0.2.0/24 64496"},
		{"TABLE_DUMP: a set counts as one", dumped(net, join(attr(2, join(segment(2, 2, 23456), segment(2, 1, 1, 2, 3))), attr(17, segment(4, 2, 7, 8, 4200000000)))), "192.0.2.1", "192.0.2.0/24 23456"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			// Beside it stands what every dump may hold, and one prefix so
			// that there is something in it.
			var b netmap.Builder
			sum, err := b.Read(bytes.NewReader(join(
				record(13, 1, make([]byte, 8)), tt.file, rib4("203.0.113.0/24", path4(64500)))))
			if err != nil || sum.Malformed > 0 || sum.Skipped > 0 || sum.Format != "mrt" {
				t.Fatalf("got %+v, %v", sum, err)
			}
			m := b.Map()
			if got := lookup(m, tt.addr); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
			if got := lookup(m, "203.0.113.1"); got != "203.0.113.0/24 64500" {
				t.Errorf("beside it: got %q", got)
			}
		})
	}
}

// TestMRTRecords: what is not read is counted, as skipped or as malformed.
func TestMRTRecords(t *testing.T) {
	t.Parallel()
	good := rib4("192.0.2.0/24", path4(64496))
	body := good[12:]
	for _, tt := range []struct {
		name    string
		record  []byte
		skipped int
		want    string // of the first malformed
	}{
		{"an update", record(16, 4, body), 1, ""},
		{"an update with microseconds", record(17, 4, body), 1, ""},
		{"multicast", record(13, 3, body), 1, ""},
		{"RIB_GENERIC", record(13, 6, body), 1, ""},
		{"additional paths", record(13, 8, body), 1, ""},
		{"OSPF", record(49, 0, body), 1, ""},
		{"an unknown family of TABLE_DUMP", record(12, 3, body), 1, ""},
		{"an unknown type", record(50, 0, body), 0, "type 50"},
		{"an empty record", record(13, 2, nil), 0, "shorter than what is in it"},
		{"a byte short", record(13, 2, body[:len(body)-1]), 0, "shorter than what is in it"},
		{"a byte long", record(13, 2, append(body[:len(body):len(body)], 0)), 0, "longer than what is in it"},
		{"a prefix too long", record(13, 2, []byte{0, 0, 0, 0, 33, 1, 2, 3, 4, 5, 0, 0}), 0, "longer than an address"},
		{"an IPv6 prefix too long", record(13, 4, []byte{0, 0, 0, 0, 129}), 0, "longer than an address"},
		{"an attribute that ends outside", rib4("192.0.2.0/24", []byte{0x40, 2, 9, 2, 1}), 0, "shorter than what is in it"},
		{"a path that ends outside", rib4("192.0.2.0/24", attr(2, []byte{2, 2, 0, 0, 0, 1})), 0, "shorter than what is in it"},
		{"TABLE_DUMP: empty", record(12, 1, nil), 0, "shorter than what is in it"},
		{"TABLE_DUMP: a byte long", record(12, 1, append(dumped("192.0.2.0/24", path2(1))[12:], 0)), 0, "longer than what is in it"},
		{"TABLE_DUMP: a prefix too long", record(12, 1, append([]byte{0, 0, 0, 0, 1, 2, 3, 4, 33}, make([]byte, 13)...)), 0, "longer than an address"},
		{"TABLE_DUMP: a path that ends outside", dumped("192.0.2.0/24", attr(2, []byte{2, 2, 0, 1})), 0, "shorter than what is in it"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var b netmap.Builder
			sum, err := b.Read(bytes.NewReader(join(good, tt.record, good)))
			if err != nil || sum.Kept != 2 || sum.Skipped != tt.skipped || sum.Entries != 3 || (sum.Malformed == 1) != (tt.want != "") {
				t.Fatalf("got %+v, %v", sum, err)
			}
			if tt.want == "" {
				return
			}
			if sum.First.Line != 0 || sum.First.Offset != int64(len(good)) || !strings.Contains(sum.First.Error(), tt.want) {
				t.Errorf("got %v at %d, want %q at %d", sum.First, sum.First.Offset, tt.want, len(good))
			}
		})
	}
}
