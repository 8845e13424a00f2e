package netmap_test

import (
	"bytes"
	"encoding/binary"
	"encoding/csv"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"headlight.example/netmap"
)

// check reads a file and holds what is true of every file: the counts add up,
// and the Map answers at both ends of each prefix as its twin does.
func check(t *testing.T, file []byte) (netmap.Summary, *netmap.Map) {
	b := netmap.Builder{MaxPrefixes: 2000, MaxBytes: 1 << 20}
	sum, err := b.Read(bytes.NewReader(file))
	if sum.Kept+sum.Nobody+sum.Skipped+sum.Malformed > sum.Entries+1 || (sum.First == nil) != (sum.Malformed == 0) {
		t.Fatalf("%+v", sum)
	}
	slow := slowMap(b.Kept())
	if err == nil && len(slow) < sum.Kept {
		t.Fatalf("%d prefixes of %d", len(slow), sum.Kept)
	}
	m := b.Map()
	if m.Len() != slow.distinct() {
		t.Fatalf("%d prefixes, want %d", m.Len(), slow.distinct())
	}
	slow.sameAtEdges(t, m)
	return sum, m
}

// ranged is a line of CSV as the obvious reader has it.
type ranged struct {
	first, last netip.Addr
	as          uint32
}

// block is the largest aligned block within r that holds a.
func (r ranged) block(a netip.Addr) (netip.Prefix, bool) {
	if a.Less(r.first) || r.last.Less(a) || a.Is4() != r.first.Is4() {
		return netip.Prefix{}, false
	}
	for n := 0; ; n++ {
		p, _ := a.Prefix(n)
		if !p.Addr().Less(r.first) && !r.last.Less(lastOf(p)) {
			return p, true
		}
	}
}

func parseRanges(text string) (ranges []ranged) {
	for i, line := range strings.Split(text, "\n") {
		if i == 0 {
			line = strings.TrimPrefix(line, "\ufeff")
		}
		line = strings.TrimSpace(line)
		fields, err := csv.NewReader(strings.NewReader(line)).Read()
		if err != nil || len(fields) < 3 || line[0] == '#' || line[0] == ';' {
			continue
		}
		addr := func(s string) netip.Addr {
			if n, err := strconv.ParseUint(s, 10, 32); err == nil {
				return netip.AddrFrom4([4]byte(binary.BigEndian.AppendUint32(nil, uint32(n))))
			}
			a, err := netip.ParseAddr(s)
			if err != nil || a.Zone() != "" {
				return netip.Addr{}
			}
			return a.Unmap()
		}
		r := ranged{first: addr(fields[0]), last: addr(fields[1])}
		as, err := strconv.ParseUint(strings.TrimPrefix(fields[2], "AS"), 10, 32)
		if err != nil || as == 0 || !r.first.IsValid() || !r.last.IsValid() || r.first.Is4() != r.last.Is4() || r.last.Less(r.first) {
			continue
		}
		if p, ok := r.block(r.first); ok && p.Bits() == 0 {
			continue
		}
		r.as = uint32(as)
		ranges = append(ranges, r)
	}
	return ranges
}

// FuzzCSV: at both ends of each range stands the longest of the blocks that
// the ranges have there.
func FuzzCSV(f *testing.F) {
	for _, name := range []string{"asn-ipv4-num.csv", "asn-ipv6.csv"} {
		text, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(strings.Join(strings.SplitAfter(string(text), "\n")[:10], ""))
	}
	f.Add("192.0.2.0,192.0.2.9,AS1,\"a \"\"b\"\", c\"\n192.0.2.3,192.0.2.5,2\r\n::ffff:192.0.2.0,192.0.2.1,3,x\n0,4294967295,4\n1,2,0\n")
	f.Fuzz(func(t *testing.T, text string) {
		sum, m := check(t, []byte(text))
		ranges := parseRanges(text)
		if sum.Format != "csv" || len(ranges) != sum.Kept || len(ranges) > 200 {
			return // not all of it is what the obvious reader reads
		}
		for _, r := range ranges {
			for _, a := range []netip.Addr{r.first, r.last} {
				var want netmap.Network
				for _, r := range ranges {
					if p, ok := r.block(a); ok && (!want.Prefix.IsValid() || p.Bits() >= want.Prefix.Bits()) {
						want = netmap.Network{Prefix: p, AS: r.as}
					}
				}
				if got, ok := m.Lookup(a); !ok || got != want {
					t.Fatalf("%v: got %v, %v; want %v", a, got, ok, want)
				}
			}
		}
	})
}

// FuzzPfx2as: both ends of each prefix that the obvious reader finds are known,
// by a prefix as long or longer.
func FuzzPfx2as(f *testing.F) {
	text, err := os.ReadFile(filepath.Join("testdata", "ipasn.dat"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(strings.Join(strings.SplitAfter(string(text), "\n")[:20], ""))
	f.Add("192.0.2.0\t24\t1_2,3\n2001:db8::\t32\t4\r\n2001:db8::8000:0:0:0/65\t5\n0.0.0.0/0\t1\n::ffff:192.0.2.0\t97\t3\n")
	f.Fuzz(func(t *testing.T, text string) {
		sum, m := check(t, []byte(text))
		if sum.Format != "pfx2as" || sum.Malformed > 0 || sum.Bytes < int64(len(text)) {
			return
		}
		for _, line := range strings.Split(text, "\n") {
			var prefix string
			var as uint32
			if n, err := fmt.Sscanf(line, "%s\t%d", &prefix, &as); n != 2 || err != nil || as == 0 || line[0] == ';' || line[0] == '#' {
				continue
			}
			p, err := netip.ParsePrefix(prefix)
			if err != nil || p.Bits() == 0 || p.Addr().Is4In6() {
				continue
			}
			p = p.Masked()
			for _, a := range []netip.Addr{p.Addr(), lastOf(p)} {
				if got, ok := m.Lookup(a); !a.Is4In6() && (!ok || got.Prefix.Bits() < p.Bits()) {
					t.Fatalf("%v of %v: got %v, %v", a, p, got, ok)
				}
			}
		}
	})
}

// FuzzMRT: whatever the bytes are, check holds, and no more is said to be read
// than there is.
func FuzzMRT(f *testing.F) {
	text, err := os.ReadFile(filepath.Join("testdata", "rib.mrt"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add(join(record(13, 1, make([]byte, 8)), rib4("192.0.2.0/24", path4(64496), path4(1, 2)), rib(4, "2001:db8::/33", path4(64496))))
	f.Add(join(dumped("192.0.2.0/24", join(path2(1, 23456), attr(17, segment(4, 1, 4200000000)))), dumped("192.0.2.0/24", path2(2)), dumped("2001:db8::/32", path2(3)), record(17, 4, nil)))
	f.Fuzz(func(t *testing.T, file []byte) {
		if len(file) > 2 && (file[0] == 0x1f || file[0] == 'B') {
			return // packed: Bytes counts what is inside
		}
		if sum, _ := check(t, file); sum.Bytes > int64(len(file)) {
			t.Fatalf("%d of %d bytes", sum.Bytes, len(file))
		}
	})
}

// FuzzLookup: tables out of the given bytes, and every address in them, have
// the answers of the twin.
func FuzzLookup(f *testing.F) {
	f.Add([]byte{0, 8, 192, 0, 2, 0, 1, 16, 192, 0, 2, 0, 0, 24, 192, 0, 2, 0, 3, 64, 0x20, 1, 0xd, 0xb8}, []byte{192, 0, 2, 1})
	f.Fuzz(func(t *testing.T, table, addrs []byte) {
		var slow slowMap
		var text strings.Builder
		for ; len(table) >= 6 && len(slow) < 500; table = table[6:] {
			a := netip.AddrFrom4([4]byte(table[2:]))
			if table[0]&1 != 0 {
				var b [16]byte
				copy(b[int(table[0]>>1)%13:], table[2:6])
				if a = netip.AddrFrom16(b); a.Is4In6() {
					continue
				}
			}
			p, _ := a.Prefix(1 + int(table[1])%a.BitLen())
			n := netmap.Network{Prefix: p, AS: 1 + uint32(table[0])%3}
			slow = append(slow, n)
			fmt.Fprintf(&text, "%v\t%d\n", n.Prefix, n.AS)
		}
		if len(slow) == 0 {
			return
		}
		var b netmap.Builder
		if _, err := b.Read(strings.NewReader(text.String())); err != nil {
			t.Fatal(err)
		}
		m := b.Map()
		slow.sameAtEdges(t, m)
		for ; len(addrs) >= 4; addrs = addrs[4:] {
			slow.same(t, m, netip.AddrFrom4([4]byte(addrs)))
			if len(addrs) >= 16 {
				slow.same(t, m, netip.AddrFrom16([16]byte(addrs)))
			}
		}
	})
}
