package netmap_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/netip"
	"os"
	"strings"
	"testing"

	"headlight.example/netmap"
)

func read(t *testing.T, texts ...string) *netmap.Map {
	t.Helper()
	var b netmap.Builder
	for _, text := range texts {
		if _, err := b.Read(strings.NewReader(text)); err != nil {
			t.Fatal(err)
		}
	}
	return b.Map()
}

// network is what Lookup says, as "prefix as"; "" for nothing.
func network(m *netmap.Map, addr string) string {
	n, ok := m.Lookup(netip.MustParseAddr(addr))
	if !ok {
		return ""
	}
	return fmt.Sprint(n.Prefix, " ", n.AS)
}

func TestTheLongestPrefixAnswers(t *testing.T) {
	t.Parallel()
	m := read(t,
		"10.0.0.0\t8\t1\n10.1.0.0\t16\t2\n10.1.1.0/24\t3\n10.1.1.128\t25\t4_5,6\n",
		"2001:db8::,2001:db8:0:ffff:ffff:ffff:ffff:ffff,7,Seven\n::ffff:192.0.2.0,::ffff:192.0.2.255,8,\"Eight, \"\"Inc.\"\"\"\n",
		"16909060,16909065,9,Nine\n255.255.255.255,255.255.255.255,AS10\n")
	for addr, want := range map[string]string{
		"9.255.255.255":               "",
		"10.0.0.0":                    "10.0.0.0/8 1",
		"10.1.0.255":                  "10.1.0.0/16 2",
		"10.1.1.127":                  "10.1.1.0/24 3",
		"10.1.1.128":                  "10.1.1.128/25 4",
		"10.1.2.0":                    "10.1.0.0/16 2",
		"10.255.255.255":              "10.0.0.0/8 1",
		"11.0.0.0":                    "",
		"::ffff:10.1.1.1":             "10.1.1.0/24 3",
		"2001:db8::1%eth0":            "2001:db8::/48 7",
		"2001:db8:1::":                "",
		"192.0.2.255":                 "192.0.2.0/24 8",
		"1.2.3.3":                     "",
		"1.2.3.4":                     "1.2.3.4/30 9",
		"1.2.3.9":                     "1.2.3.8/31 9",
		"1.2.3.10":                    "",
		"255.255.255.255":             "255.255.255.255/32 10",
		"255.255.255.254":             "",
		"ffff:ffff:ffff:ffff::ffff:1": "",
	} {
		if got := network(m, addr); got != want {
			t.Errorf("%s: got %q, want %q", addr, got, want)
		}
	}
	if got := m.Name(8); got != `Eight, "Inc."` {
		t.Errorf("name of AS 8: %q", got)
	}
	if got := m.Name(1); got != "" {
		t.Errorf("name of AS 1: %q, which no file has", got)
	}
}

func TestWhatIsReadLaterHolds(t *testing.T) {
	t.Parallel()
	m := read(t, "10.0.0.0\t8\t1\n", "10.0.0.0\t8\t2\n10.0.0.0\t8\t3\n")
	if got := network(m, "10.2.3.4"); got != "10.0.0.0/8 3" || m.Len() != 1 {
		t.Errorf("got %q of %d prefixes, want the last", got, m.Len())
	}
}

func TestANilMapKnowsNothing(t *testing.T) {
	t.Parallel()
	var nobody *netmap.Map
	for _, m := range []*netmap.Map{nobody, {}, new(netmap.Builder).Map()} {
		if n, ok := m.Lookup(netip.MustParseAddr("10.0.0.1")); ok {
			t.Errorf("got %v", n)
		}
		if _, ok := m.Lookup(netip.Addr{}); ok || m.Name(1) != "" || m.Len() != 0 {
			t.Error("it knows something")
		}
	}
}

func TestLookupDoesNotAllocate(t *testing.T) {
	m := read(t, "10.0.0.0\t8\t1\n2001:db8::\t32\t2\n")
	a, b := netip.MustParseAddr("10.1.1.1"), netip.MustParseAddr("2001:db8::1")
	if n := testing.AllocsPerRun(100, func() { m.Lookup(a); m.Lookup(b) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// The extracts are told of in testdata/README.md.
func TestRealExtracts(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ file, format, addr, want, name string }{
		{"asn-ipv4-num.csv", "csv", "1.0.0.1", "1.0.0.0/24 13335", "Cloudflare, Inc."},
		{"asn-ipv6.csv", "csv", "2001:200:1ba::5", "2001:200:1ba::/48 24047", "Internet Systems Consortium, Inc."},
		{"ipasn.dat", "pfx2as", "", "", ""},
		{"rib.mrt", "mrt", "1.0.0.1", "1.0.0.0/24 15169", ""},
	} {
		var b netmap.Builder
		f, err := os.Open("testdata/" + c.file)
		if err != nil {
			t.Fatal(err)
		}
		sum, err := b.Read(f)
		f.Close()
		if err != nil || sum.Format != c.format || sum.Kept < 3 || sum.Malformed > 0 {
			t.Errorf("%s: %+v, %v", c.file, sum, err)
			continue
		}
		m := b.Map()
		if c.addr == "" {
			continue
		}
		n, _ := m.Lookup(netip.MustParseAddr(c.addr))
		if got := network(m, c.addr); got != c.want || m.Name(n.AS) != c.name {
			t.Errorf("%s: %s is in %q of %q", c.file, c.addr, got, m.Name(n.AS))
		}
	}
}

func TestAPackedFileIsUnpacked(t *testing.T) {
	t.Parallel()
	var z bytes.Buffer
	w := gzip.NewWriter(&z)
	io.WriteString(w, "10.0.0.0\t8\t1\n")
	w.Close()
	if got := network(read(t, z.String()), "10.0.0.1"); got != "10.0.0.0/8 1" {
		t.Errorf("got %q", got)
	}
	var b netmap.Builder
	if _, err := b.Read(bytes.NewReader(z.Bytes()[:z.Len()-5])); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("cut short: %v", err)
	}
}

func TestADumpCutShortTellsWhere(t *testing.T) {
	t.Parallel()
	whole, err := os.ReadFile("testdata/rib.mrt")
	if err != nil {
		t.Fatal(err)
	}
	var b netmap.Builder
	sum, err := b.Read(bytes.NewReader(whole[:len(whole)-1]))
	at, ok := errors.AsType[*netmap.EntryError](err)
	if !errors.Is(err, io.ErrUnexpectedEOF) || !ok || at.Offset != sum.Bytes || sum.Kept == 0 || b.Map().Len() == 0 {
		t.Errorf("%+v, %v", sum, err)
	}
}

func TestMalformedLinesAreCounted(t *testing.T) {
	t.Parallel()
	bad := []string{
		"1.0.0.0,0.0.0.1,1", "1.0.0.0,2001:db8::,1", "x,1.0.0.0,1", "1.0.0.0,1.0.0.1", "1.0.0.0,1.0.0.1,x",
		"4294967296,4294967297,1", "1.0.0.0,1.0.0.1,4294967296", `"1.0.0.0,1.0.0.1,1`, "fe80::1%eth0,fe80::2,1",
		strings.Repeat("1", 4096),
	}
	var b netmap.Builder
	sum, err := b.Read(strings.NewReader("10.0.0.0,10.0.0.255,1\n" + strings.Join(bad, "\n")))
	if err != nil || sum.Malformed != len(bad) || sum.Kept != 1 || sum.First == nil || sum.First.Line != 2 {
		t.Errorf("%+v, %v", sum, err)
	}
	if _, err := b.Read(strings.NewReader("10.0.0.0,10.0.0.255,1\n" + strings.Repeat(bad[0]+"\n", 11))); err == nil {
		t.Error("a mostly malformed file was taken")
	}
	if _, err := b.Read(strings.NewReader("# nothing\n")); err == nil {
		t.Error("a file of nothing was taken")
	}
	sum, err = b.Read(strings.NewReader("0.0.0.0\t0\t1\n10.0.0.0\t8\t0\n10.0.0.0\t8\t1\n10.0.0.0\t33\t1\n"))
	if err != nil || sum.Nobody != 2 || sum.Kept != 1 || sum.Malformed != 1 {
		t.Errorf("%+v, %v", sum, err)
	}
}

func TestBounds(t *testing.T) {
	t.Parallel()
	line := "10.0.0.0,10.0.0.255,1," // 4,095 bytes and the end of the line are just allowed
	line += strings.Repeat("n", 4095-len(line))
	for extra, want := range []int{0, 1} {
		var b netmap.Builder
		sum, err := b.Read(strings.NewReader(line + strings.Repeat("n", extra) + "\n11.0.0.0,11.0.0.255,1\n"))
		if err != nil || sum.Malformed != want || len(b.Map().Name(1)) != 256*(1-want) {
			t.Errorf("a line of %d bytes: %+v, %v", len(line)+extra+1, sum, err)
		}
	}
	for max, ok := range map[int]bool{2: true, 1: false} {
		b := netmap.Builder{MaxPrefixes: max}
		if _, err := b.Read(strings.NewReader("10.0.0.0\t8\t1\n11.0.0.0\t8\t1\n")); (err == nil) != ok {
			t.Errorf("two prefixes, at most %d: %v", max, err)
		}
	}
	for max, ok := range map[int64]bool{13: true, 12: false} {
		b := netmap.Builder{MaxBytes: max}
		if _, err := b.Read(strings.NewReader("10.0.0.0\t8\t1\n")); (err == nil) != ok {
			t.Errorf("13 bytes, at most %d: %v", max, err)
		}
	}
	// RFC 6396 §2: type 13, subtype 2, and a length.
	record := func(n uint32) string {
		return "\x00\x00\x00\x00\x00\x0d\x00\x02" + string([]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)})
	}
	for n, want := range map[uint32]string{4 << 20: "0 of 4194304 bytes", 4<<20 + 1: "more than 4194304"} {
		var b netmap.Builder
		if _, err := b.Read(strings.NewReader(record(n))); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("a record of %d bytes: %v", n, err)
		}
	}
}

// slow answers by looking at every prefix.
type slow []netmap.Network

func (s slow) lookup(a netip.Addr) (best netmap.Network, ok bool) {
	for _, n := range s {
		if n.Prefix.Contains(a) && (!ok || n.Prefix.Bits() >= best.Prefix.Bits()) {
			best, ok = n, true
		}
	}
	return best, ok
}

func TestLookupEqualsTheObvious(t *testing.T) {
	t.Parallel()
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 1))
		addr := func() netip.Addr { // few different ones, so that prefixes nest
			b := [16]byte{0x20, 1, byte(r.IntN(3)), byte(r.IntN(256)), 7: byte(r.IntN(2)), 8: byte(r.IntN(256)), 15: byte(r.IntN(256))}
			if seed%2 == 0 {
				return netip.AddrFrom4([4]byte(b[1:]))
			}
			return netip.AddrFrom16(b)
		}
		var text strings.Builder
		var twin slow
		for range 1 + r.IntN(60) {
			a := addr()
			p, err := a.Prefix(1 + r.IntN(a.BitLen()))
			if err != nil {
				t.Fatal(err)
			}
			as := 1 + uint32(r.IntN(4))
			fmt.Fprintf(&text, "%v\t%d\n", p, as)
			twin = append(twin, netmap.Network{Prefix: p, AS: as})
		}
		m := read(t, text.String())
		for range 300 {
			a := addr()
			got, gotOK := m.Lookup(a)
			want, wantOK := twin.lookup(a)
			if got != want || gotOK != wantOK {
				t.Fatalf("seed %d: %v: got %v %v, want %v %v of\n%s", seed, a, got, gotOK, want, wantOK, &text)
			}
		}
	}
}
