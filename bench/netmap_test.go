package bench

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"runtime"
	"strings"
	"testing"

	"github.com/gaissmai/bart"

	"headlight.example/netmap"
)

var netmapFile = flag.String("netmap", "", "a table of networks to look up in (CSV, pfx2as or MRT); none: half a million made-up prefixes")

// routes gives a table in the form of pyasn: prefixes of the lengths that the
// global table has most of, some within others.
func routes(r *rand.Rand, n int) string {
	var b strings.Builder
	for range n {
		bits := []int{24, 24, 24, 22, 23, 20, 21, 19, 16, 18}[r.IntN(10)]
		p := netip.PrefixFrom(anyIPv4(r), bits).Masked()
		fmt.Fprintf(&b, "%v\t%d\n", p, 1+r.IntN(100_000))
	}
	return b.String()
}

func anyIPv4(r *rand.Rand) netip.Addr {
	x := r.Uint32()
	return netip.AddrFrom4([4]byte{byte(x >> 24), byte(x >> 16), byte(x >> 8), byte(x)})
}

// heap is how much memory what make returns holds on to.
func heap[T any](make func() T) (T, float64) {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	x := make()
	runtime.GC()
	runtime.ReadMemStats(&after)
	return x, float64(after.HeapAlloc) - float64(before.HeapAlloc)
}

// BenchmarkNetmap looks addresses up at random, all of which miss the caches.
func BenchmarkNetmap(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 2))
	text := ""
	if *netmapFile == "" {
		text = routes(r, 1<<19)
	}
	ours, size := heap(func() *netmap.Map {
		if *netmapFile != "" {
			m, _, err := netmap.Load(*netmapFile)
			if err != nil {
				b.Fatal(err)
			}
			return m
		}
		var builder netmap.Builder
		if _, err := builder.Read(strings.NewReader(text)); err != nil {
			b.Fatal(err)
		}
		return builder.Map()
	})
	addrs := make([]netip.Addr, 1<<20)
	for i := range addrs {
		addrs[i] = anyIPv4(r)
	}
	b.Run("headlight", func(b *testing.B) {
		b.ReportAllocs()
		i := 0
		for b.Loop() {
			ours.Lookup(addrs[i&(len(addrs)-1)])
			i++
		}
		b.ReportMetric(size/1e6, "MB")
		b.ReportMetric(float64(ours.Len()), "prefixes")
	})
	if *netmapFile != "" {
		return // the peer has no reader for such files
	}
	peer, peerSize := heap(func() *bart.Table[uint32] {
		t := new(bart.Table[uint32])
		for line := range strings.Lines(text) {
			prefix, as, _ := strings.Cut(line, "\t")
			var n uint32
			if _, err := fmt.Sscan(as, &n); err != nil {
				b.Fatal(err)
			}
			t.Insert(netip.MustParsePrefix(prefix), n)
		}
		return t
	})
	b.Run("bart", func(b *testing.B) { // gives the AS and not the prefix
		b.ReportAllocs()
		i := 0
		for b.Loop() {
			peer.Lookup(addrs[i&(len(addrs)-1)])
			i++
		}
		b.ReportMetric(peerSize/1e6, "MB")
		b.ReportMetric(float64(peer.Size()), "prefixes")
	})
	b.Run("bart_prefix", func(b *testing.B) {
		i := 0
		for b.Loop() {
			a := addrs[i&(len(addrs)-1)]
			peer.LookupPrefixLPM(netip.PrefixFrom(a, 32))
			i++
		}
	})
	runtime.KeepAlive(text)
}
