package netmap_test

import (
	"bytes"
	"net/netip"
	"os"
	"testing"

	"headlight.example/netmap"
)

// FuzzRead: whatever a file holds, it is read or refused within bounds, its
// counts add up, and every answer is of a prefix that holds the address.
func FuzzRead(f *testing.F) {
	for _, name := range []string{"asn-ipv4-num.csv", "asn-ipv6.csv", "ipasn.dat", "rib.mrt"} {
		text, err := os.ReadFile("testdata/" + name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text, []byte{1, 0, 0, 1})
	}
	f.Add([]byte("10.0.0.0\t8\t1\n10.1.0.0/16\t2_3\n"), []byte{10, 1, 1, 1})
	f.Add([]byte("2001:db8::,2001:db8::7,1,\"a, \"\"b\"\"\"\n"), []byte("\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x05"))
	f.Fuzz(func(t *testing.T, text, addr []byte) {
		b := netmap.Builder{MaxPrefixes: 10_000, MaxBytes: 1 << 20}
		sum, err := b.Read(bytes.NewReader(text))
		if counted := sum.Kept + sum.Nobody + sum.Malformed + sum.Skipped; counted > sum.Entries {
			t.Errorf("%d of %d entries counted", counted, sum.Entries)
		}
		if err == nil && (sum.Kept == 0 || sum.Format == "") {
			t.Errorf("taken, with nothing in it: %+v", sum)
		}
		m := b.Map()
		if sum.Kept > 0 != (m.Len() > 0) && err == nil {
			t.Errorf("%d kept, %d in the map", sum.Kept, m.Len())
		}
		a, ok := netip.AddrFromSlice(addr)
		if !ok {
			return
		}
		n, ok := m.Lookup(a)
		if ok && (!n.Prefix.Contains(a.Unmap()) || n.Prefix.Masked() != n.Prefix || n.AS == 0) {
			t.Errorf("%v is said to be in %v", a, n)
		}
		if ok {
			if again, _ := m.Lookup(n.Prefix.Addr()); again.Prefix.Bits() < n.Prefix.Bits() {
				t.Errorf("the first address of %v is said to be in %v", n.Prefix, again)
			}
		}
	})
}
