package netmap_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"headlight.example/netmap"
)

// read makes a Map of texts, each a file.
func read(t *testing.T, files ...string) *netmap.Map {
	t.Helper()
	var b netmap.Builder
	for _, f := range files {
		if _, err := b.Read(strings.NewReader(f)); err != nil {
			t.Fatal(err)
		}
	}
	return b.Map()
}

// lookup gives "prefix AS", or "" for what is not known.
func lookup(m *netmap.Map, addr string) string {
	n, ok := m.Lookup(netip.MustParseAddr(addr))
	if !ok {
		return ""
	}
	return fmt.Sprint(n.Prefix, " ", n.AS)
}

func TestLookup(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		files []string
		addr  string
		want  string
	}{
		{"a decimal range that is a prefix", []string{"3221225984,3221226239,64496,A\n"}, "192.0.2.77", "192.0.2.0/24 64496"},
		{"a dotted range that is a prefix", []string{"192.0.2.0,192.0.2.255,64496,A\n"}, "192.0.2.77", "192.0.2.0/24 64496"},
		{"the address before", []string{"192.0.2.0,192.0.2.255,64496,A\n"}, "192.0.1.255", ""},
		{"the address behind", []string{"192.0.2.0,192.0.2.255,64496,A\n"}, "192.0.3.0", ""},
		{"one address", []string{"192.0.2.9,192.0.2.9,64496,A\n"}, "192.0.2.9", "192.0.2.9/32 64496"},
		{"the largest aligned block at the start of a range", []string{"192.0.2.4,192.0.2.20,64496,A\n"}, "192.0.2.5", "192.0.2.4/30 64496"},
		{"in the middle of it", []string{"192.0.2.4,192.0.2.20,64496,A\n"}, "192.0.2.8", "192.0.2.8/29 64496"},
		{"at its end", []string{"192.0.2.4,192.0.2.20,64496,A\n"}, "192.0.2.20", "192.0.2.20/32 64496"},
		{"behind its end", []string{"192.0.2.4,192.0.2.20,64496,A\n"}, "192.0.2.21", ""},
		{"neighbours of one AS are not joined", []string{"192.0.2.0,192.0.2.127,64496,A\n192.0.2.128,192.0.2.255,64496,A\n"}, "192.0.2.200", "192.0.2.128/25 64496"},
		{"a range to the last IPv4 address", []string{"255.255.255.254,255.255.255.255,64496,A\n"}, "255.255.255.255", "255.255.255.254/31 64496"},
		{"a range from the first", []string{"0,255,64496,A\n"}, "0.0.0.0", "0.0.0.0/24 64496"},
		{"an IPv6 range", []string{"2001:db8::,2001:db8::ffff:ffff:ffff:ffff,64496,A\n"}, "2001:db8::1", "2001:db8::/64 64496"},
		{"one that is not a prefix", []string{"2001:db8::,2001:db8:2:ffff:ffff:ffff:ffff:ffff,64496,A\n"}, "2001:db8:2::1", "2001:db8:2::/48 64496"},
		{"a range to the last IPv6 address", []string{"ffff::,ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff,64496,A\n"}, "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "ffff::/16 64496"},
		{"longer than /64", []string{"2001:db8::/32\t64496\n2001:db8::8000:0:0:0/65\t64497\n"}, "2001:db8::7fff:ffff:ffff:ffff", "2001:db8::/32 64496"},
		{"longer than /64, within", []string{"2001:db8::/32\t64496\n2001:db8::8000:0:0:0/65\t64497\n"}, "2001:db8::8000:0:0:1", "2001:db8:0:0:8000::/65 64497"},
		{"a mapped address in a file", []string{"::ffff:192.0.2.0\t120\t64496\n"}, "192.0.2.1", "192.0.2.0/24 64496"},
		{"a mapped address that is asked for", []string{"192.0.2.0\t24\t64496\n"}, "::ffff:192.0.2.1", "192.0.2.0/24 64496"},
		{"a zone is ignored", []string{"fe80::/10\t64496\n"}, "fe80::1%eth0", "fe80::/10 64496"},
		{"the longest prefix", []string{"192.0.0.0\t8\t64496\n192.0.2.0\t24\t64497\n192.0.0.0\t16\t64498\n"}, "192.0.2.1", "192.0.2.0/24 64497"},
		{"behind a nested prefix the outer one again", []string{"192.0.0.0\t8\t64496\n192.0.2.0\t24\t64497\n"}, "192.0.3.0", "192.0.0.0/8 64496"},
		{"the longest prefix of an earlier file", []string{"192.0.2.0\t24\t64497\n", "192.0.0.0\t16\t64498\n"}, "192.0.2.1", "192.0.2.0/24 64497"},
		{"of equal prefixes that of a later file", []string{"192.0.2.0\t24\t64497\n", "3221225984,3221226239,64496,A\n"}, "192.0.2.1", "192.0.2.0/24 64496"},
		{"both families of two files", []string{"192.0.2.0\t24\t64497\n", "2001:db8::,2001:db8::f,64496,A\n"}, "2001:db8::1", "2001:db8::/124 64496"},
		{"of several origins the first", []string{"192.0.2.0\t24\t64497_64496\n"}, "192.0.2.1", "192.0.2.0/24 64497"},
		{"of an AS_SET the first", []string{"192.0.2.0\t24\t64498,64496_64499\n"}, "192.0.2.1", "192.0.2.0/24 64498"},
		{"host bits are cut", []string{"192.0.2.7\t24\t64496\n"}, "192.0.2.1", "192.0.2.0/24 64496"},
		{"AS 0 leaves no hole", []string{"192.0.0.0\t16\t64496\n192.0.2.0\t24\t0\n"}, "192.0.2.1", "192.0.0.0/16 64496"},
		{"a default route answers for nobody", []string{"0.0.0.0\t0\t64496\n192.0.2.0\t24\t64497\n"}, "198.51.100.1", ""},
		{"the highest AS", []string{"192.0.2.0\t24\t4294967295\n"}, "192.0.2.1", "192.0.2.0/24 4294967295"},
		{"AS before the number", []string{"192.0.2.0,192.0.2.255,AS64496,A\n"}, "192.0.2.1", "192.0.2.0/24 64496"},
		{"no organisation", []string{"192.0.2.0,192.0.2.255,64496\n"}, "192.0.2.1", "192.0.2.0/24 64496"},
		{"all fields in quotes, CRLF, a byte order mark", []string{"\ufeff\"192.0.2.0\",\"192.0.2.255\",\"64496\",\"A\"\r\n"}, "192.0.2.1", "192.0.2.0/24 64496"},
		{"no end of line at the end", []string{"# c\n; d\n\n192.0.2.0/24\t64496"}, "192.0.2.1", "192.0.2.0/24 64496"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := lookup(read(t, tt.files...), tt.addr); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestEmptyMapKnowsNothing(t *testing.T) {
	t.Parallel()
	for _, m := range []*netmap.Map{nil, {}, new(netmap.Builder).Map()} {
		for _, a := range []netip.Addr{{}, netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")} {
			if n, ok := m.Lookup(a); ok || n != (netmap.Network{}) {
				t.Errorf("%v: got %v", a, n)
			}
		}
		if m.Name(64496) != "" || m.Len() != 0 {
			t.Errorf("got %q, %d", m.Name(64496), m.Len())
		}
	}
	if _, ok := read(t, "192.0.2.0\t24\t64496\n").Lookup(netip.Addr{}); ok {
		t.Error("the zero address belongs to a network")
	}
}

func TestName(t *testing.T) {
	t.Parallel()
	m := read(t, `192.0.2.0,192.0.2.255,64496,"A ""quoted"", one"
198.51.100.0,198.51.100.255,64497,plain
203.0.113.0,203.0.113.255,64497,plain later
192.0.2.0,192.0.2.1,64498,`+"\x1b[31m\xffred\u0085"+`
192.0.2.0,192.0.2.1,64500,`+strings.Repeat("x", netmap.MaxName-1)+`é
192.0.2.0,192.0.2.1,64501,`+strings.Repeat("x", netmap.MaxName)+`
192.0.2.0,192.0.2.1,64502,
`)
	for as, want := range map[uint32]string{
		64495: "", 64496: `A "quoted", one`, 64497: "plain later", 64498: "[31mred", 64499: "",
		64500: strings.Repeat("x", netmap.MaxName-1), 64501: strings.Repeat("x", netmap.MaxName), 64502: "", 64503: "",
	} {
		if got := m.Name(as); got != want || !utf8.ValidString(got) {
			t.Errorf("%d: got %q, want %q", as, got, want)
		}
	}
}

func TestLookupDoesNotAllocate(t *testing.T) {
	m := read(t, "192.0.2.0,192.0.2.255,64496,A\n2001:db8::,2001:db8::ffff,64496,A\n")
	addrs := []netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("::ffff:192.0.2.1"), netip.MustParseAddr("2001:db8::1%eth0")}
	if n := testing.AllocsPerRun(100, func() {
		for _, a := range addrs {
			if n, ok := m.Lookup(a); !ok || m.Name(n.AS) != "A" {
				t.Fatal(a)
			}
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestMapIsNotChangedByItsBuilder(t *testing.T) {
	t.Parallel()
	var b netmap.Builder
	for i := range 2 {
		if _, err := b.Read(strings.NewReader(fmt.Sprintf("192.0.2.0,192.0.2.255,%d,A%d\n", 64496+i, i))); err != nil {
			t.Fatal(err)
		}
		if i > 0 {
			break
		}
		before := b.Map()
		defer func() {
			if got := lookup(before, "192.0.2.1") + before.Name(64496) + before.Name(64497); got != "192.0.2.0/24 64496A0" {
				t.Errorf("got %q", got)
			}
		}()
	}
	if got := lookup(b.Map(), "192.0.2.1"); got != "192.0.2.0/24 64497" {
		t.Errorf("got %q", got)
	}
}

// TestExtracts reads the beginnings of real tables.
func TestExtracts(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		file   string
		want   netmap.Summary
		n      int
		looked map[string]string
	}{
		{"asn-ipv4-num.csv", netmap.Summary{Format: "csv", Entries: 60, Kept: 60}, 120, map[string]string{
			"1.0.0.1": "1.0.0.0/24 13335", "1.0.1.1": "", "1.0.132.9": "1.0.128.0/18 23969", "1.1.0.255": ""}},
		{"asn-ipv6.csv", netmap.Summary{Format: "csv", Entries: 60, Kept: 60}, 240, map[string]string{
			"2001:4:112::1": "2001:4:112::/48 112", "2001:200:1ba::": "2001:200:1ba::/48 24047", "2001:218:1fff::": "2001:218::/35 2914"}},
		{"ipasn.dat", netmap.Summary{Format: "pfx2as", Entries: 58, Kept: 58}, 58, map[string]string{
			"1.0.128.0": "1.0.128.0/19 9737", "1.0.129.1": "1.0.129.0/24 23969", "8.8.178.1": "8.8.178.0/24 10310", "8.8.179.1": "8.0.0.0/9 3356", "8.200.0.1": "8.0.0.0/8 3356"}},
		{"rib.mrt", netmap.Summary{Format: "mrt", Entries: 5, Kept: 3, Nobody: 1}, 3, map[string]string{
			"1.0.0.1": "1.0.0.0/24 15169", "1.0.4.1": "1.0.4.0/24 56203", "1.0.5.1": "1.0.5.0/24 56203", "9.9.9.9": ""}},
	} {
		t.Run(tt.file, func(t *testing.T) {
			t.Parallel()
			text, err := os.ReadFile(filepath.Join("testdata", tt.file))
			if err != nil {
				t.Fatal(err)
			}
			tt.want.Bytes = int64(len(text))
			for _, packed := range [][]byte{text, gzipped(t, text)} {
				var b netmap.Builder
				got, err := b.Read(bytes.NewReader(packed))
				if err != nil || got != tt.want {
					t.Fatalf("got %+v, %v; want %+v", got, err, tt.want)
				}
				m := b.Map()
				if m.Len() != tt.n {
					t.Errorf("got %d prefixes, want %d", m.Len(), tt.n)
				}
				for a, want := range tt.looked {
					if got := lookup(m, a); got != want {
						t.Errorf("%s: got %q, want %q", a, got, want)
					}
				}
			}
		})
	}
}

func TestLoad(t *testing.T) {
	t.Parallel()
	four, six := filepath.Join("testdata", "asn-ipv4-num.csv"), filepath.Join("testdata", "asn-ipv6.csv")
	m, found, err := netmap.Load(four, six)
	if err != nil || len(found) != 2 || lookup(m, "1.0.0.1") == "" || lookup(m, "2001:4:112::1") == "" || m.Name(112) != "DNS-OARC" {
		t.Errorf("got %v, %+v, %v", m.Len(), found, err)
	}
	if m, found, err := netmap.Load(four, filepath.Join("testdata", "none")); m != nil || len(found) != 1 || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v, %+v, %v", m, found, err)
	}
	if m, found, err := netmap.Load(four, filepath.Join("testdata", "README.md")); m != nil || len(found) != 2 || err == nil || !strings.Contains(err.Error(), "README.md") {
		t.Errorf("got %v, %+v, %v", m, found, err)
	}
	if m, _, err := netmap.Load(); m.Len() != 0 || err != nil {
		t.Errorf("got %v, %v", m, err)
	}
}

// bzipped is "192.0.2.0,192.0.2.255,64496,A\n"; the standard library cannot
// pack bzip2.
const bzipped = "BZh91AY&SY\xc3@\xd2\xa3\x00\x00\x06\xdc\x00\x00\x10\x00\x05w  \x00 \x00!\xa1\x1b\x14\xf5\x08\x06\x9ah\x9d~u\xc1j\x8a\xc8,\x18\xd6\x987>.\xe4\x8ap\xa1!\x86\x81\xa5F"

func TestBzip2(t *testing.T) {
	t.Parallel()
	if got := lookup(read(t, bzipped), "192.0.2.1"); got != "192.0.2.0/24 64496" {
		t.Errorf("got %q", got)
	}
	var b netmap.Builder
	if _, err := b.Read(strings.NewReader(bzipped[:len(bzipped)-5])); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("cut: got %v", err)
	}
}

func gzipped(t testing.TB, text []byte) []byte {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := z.Write(text); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestMalformedLines(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, good, line, want string }{
		{"no comma", "1,2,3\n", "x", "too few fields"},
		{"two fields", "1,2,3\n", "1,2", "too few fields"},
		{"an open quote", "1,2,3\n", `1,2,3,"x`, "a quote is not closed"},
		{"something behind a quote", "1,2,3\n", `"1"x,2,3`, "something follows it"},
		{"no address", "1,2,3\n", "x,2,3", "an address that is none"},
		{"no address, dotted", "1,2,3\n", "1,192.0.2,3", "an address that is none"},
		{"a decimal IPv6 address", "1,2,3\n", "1,4294967296,3", "an address that is none"},
		{"a sign", "1,2,3\n", "+1,2,3", "an address that is none"},
		{"a zone", "1,2,3\n", "fe80::1%a,fe80::2%a,3", "an address that is none"},
		{"an AS number too high", "1,2,3\n", "1,2,4294967296", "an AS number that is none"},
		{"a header", "1,2,3\n", "start,end,asn", "an address that is none"},
		{"the end before the start", "1,2,3\n", "2,1,3", "ends before it begins"},
		{"two families", "1,2,3\n", "1,2001:db8::,3", "different families"},
		{"pfx2as: no tab", "192.0.2.0\t24\t3\n", "192.0.2.0/24", "too few fields"},
		{"pfx2as: no AS number", "192.0.2.0\t24\t3\n", "192.0.2.0\t24", "too few fields"},
		{"pfx2as: no address", "192.0.2.0\t24\t3\n", "192.0.2\t24\t3", "an address that is none"},
		{"pfx2as: a length too long", "192.0.2.0\t24\t3\n", "192.0.2.0\t33\t3", "longer than an address"},
		{"pfx2as: an IPv6 length too long", "192.0.2.0\t24\t3\n", "2001:db8::\t129\t3", "longer than an address"},
		{"pfx2as: no length", "192.0.2.0\t24\t3\n", "192.0.2.0\tx\t3", "longer than an address"},
		{"pfx2as: an AS number with a dot", "192.0.2.0\t24\t3\n", "192.0.2.0\t24\t1.3", "an AS number that is none"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var b netmap.Builder
			got, err := b.Read(strings.NewReader(tt.good + tt.line + "\n" + tt.good))
			if err != nil || got.Kept != 2 || got.Malformed != 1 || got.Entries != 3 || got.First == nil {
				t.Fatalf("got %+v, %v", got, err)
			}
			if got.First.Line != 2 || got.First.Offset != int64(len(tt.good)) || !strings.Contains(got.First.Error(), tt.want) {
				t.Errorf("got %v at %d, want line 2: %s", got.First, got.First.Offset, tt.want)
			}
		})
	}
}

func TestRefused(t *testing.T) {
	t.Parallel()
	good, bad := "192.0.2.0,192.0.2.255,64496,A\n", "<p>not found, sorry</p>\n"
	for _, tt := range []struct {
		name, file, want string
	}{
		{"nothing", "", "holds no network"},
		{"only comments", "# a\n", "holds no network"},
		{"only AS 0", "192.0.2.0,192.0.2.255,0,none\n", "holds no network"},
		{"an error page", "<html>\n" + bad, "2 of 2 entries are malformed; the first: line 1: neither comma nor tab"},
		{"ten misprints are forgiven", good + strings.Repeat(bad, 10), ""},
		{"eleven are not if they are most of it", good + strings.Repeat(bad, 11), "11 of 12 entries are malformed; the first: line 2"},
		{"half is not most", strings.Repeat(good+bad, 11), ""},
		{"no reading on after a bad beginning", strings.Repeat(bad, 2000) + strings.Repeat(good, 9000), "1000 of 1000 entries"},
		{"a file that turns bad", strings.Repeat(good, 1500) + strings.Repeat(bad, 9000), "1501 of 3001 entries"},
		{"MRT without a table", string(record(16, 4, make([]byte, 20))), "holds no network"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var b netmap.Builder
			_, err := b.Read(strings.NewReader(tt.file))
			if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}

func TestLimits(t *testing.T) {
	t.Parallel()
	line := func(n int) string { // of n bytes with its end
		s := "192.0.2.0,192.0.2.255,64496,"
		return s + strings.Repeat("x", n-len(s)-1) + "\n"
	}
	more := "198.51.100.0,198.51.100.255,64497,B\n"
	for _, tt := range []struct {
		name      string
		b         netmap.Builder
		file      string
		kept, bad int
		want      string
	}{
		{"a line as long as it may be", netmap.Builder{}, line(netmap.MaxLine) + more, 2, 0, ""},
		{"one byte longer", netmap.Builder{}, line(netmap.MaxLine+1) + more, 1, 1, ""},
		{"much longer", netmap.Builder{}, line(10*netmap.MaxLine) + more, 1, 1, ""},
		{"much longer, at the end", netmap.Builder{}, more + strings.TrimSpace(line(10*netmap.MaxLine)), 1, 1, ""},
		{"as many prefixes as may be", netmap.Builder{MaxPrefixes: 4}, "192.0.2.1,192.0.2.7,64496,A\n" + more, 2, 0, ""},
		{"one more", netmap.Builder{MaxPrefixes: 3}, "192.0.2.1,192.0.2.7,64496,A\n" + more, 1, 0, "line 2: more than 3 prefixes"},
		{"as big as may be", netmap.Builder{MaxBytes: int64(len(more))}, more, 1, 0, ""},
		{"one byte bigger", netmap.Builder{MaxBytes: int64(len(more)) - 1}, more, 0, 0, "bigger than it may be"},
		{"one byte bigger, unpacked", netmap.Builder{MaxBytes: int64(2*len(more)) - 1}, string(gzipped(t, []byte(more+more))), 1, 0, "line 2: the file is bigger than it may be"},
		{"a record as long as it may be", netmap.Builder{}, string(record(16, 4, make([]byte, netmap.MaxRecord))) + string(rib4("192.0.2.0/24", path4(64496))), 1, 0, ""},
		{"one byte longer", netmap.Builder{}, string(rib4("192.0.2.0/24", path4(64496))) + string(record(16, 4, make([]byte, netmap.MaxRecord+1))), 1, 0, "4194305 bytes long"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := tt.b
			got, err := b.Read(strings.NewReader(tt.file))
			if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
			if got.Kept != tt.kept || got.Malformed != tt.bad {
				t.Errorf("got %+v, want %d kept, %d malformed", got, tt.kept, tt.bad)
			}
		})
	}
	t.Run("as many names as may be, and one more", func(t *testing.T) {
		t.Parallel()
		var b netmap.Builder
		for as := range uint32(netmap.MaxNames) {
			if err := b.SetName(as, "x"); err != nil {
				t.Fatal(err)
			}
		}
		if err := b.SetName(0, "y"); err != nil {
			t.Errorf("a name that is known already: %v", err)
		}
		if err := b.SetName(netmap.MaxNames, "x"); err == nil {
			t.Error("one more was taken")
		}
	})
}

// TestCutShort: what is not whole is an error that says where, and what came
// before it has been read.
func TestCutShort(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join("testdata", "rib.mrt"))
	if err != nil {
		t.Fatal(err)
	}
	whole := map[int64]bool{}
	for at := int64(0); at < int64(len(text)); {
		whole[at] = true
		at += 12 + int64(text[at+10])<<8 + int64(text[at+11])
	}
	for n := 13; n < len(text); n += 7 {
		var b netmap.Builder
		sum, err := b.Read(bytes.NewReader(text[:n]))
		if whole[int64(n)] {
			continue
		}
		at, ok := errors.AsType[*netmap.EntryError](err)
		if !ok || !errors.Is(err, io.ErrUnexpectedEOF) || at.Offset != sum.Bytes || !whole[at.Offset] || at.Offset > int64(n) {
			t.Fatalf("cut at %d: got %v, %+v", n, err, sum)
		}
		if got := b.Map().Len(); got != sum.Kept {
			t.Fatalf("cut at %d: %d prefixes, %+v", n, got, sum)
		}
	}
	packed := gzipped(t, []byte(strings.Repeat("192.0.2.0,192.0.2.255,64496,A\n", 9)))
	var b netmap.Builder
	if sum, err := b.Read(bytes.NewReader(packed[:len(packed)-4])); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("gzip: got %v, %+v", err, sum)
	}
	if sum, err := b.Read(bytes.NewReader(packed[:5])); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("gzip: got %v, %+v", err, sum)
	}
}
