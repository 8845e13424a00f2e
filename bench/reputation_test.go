package bench

import (
	"flag"
	"fmt"
	"runtime"
	"testing"
	"time"

	"headlight.example/evidence"
	"headlight.example/link"
	"headlight.example/reputation"
)

// huge adds the sizes that take minutes and 10 GB: go test -bench Judge -huge.
var huge = flag.Bool("huge", false, "benchmark tables of 10^8 subjects")

var (
	tableKey   = &evidence.Key{7}
	tableStart = time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
)

// reputationURL is the i-th URL of the tables: four hosts a tenant, a path each.
func reputationURL(i int) string {
	return fmt.Sprintf("http://w%d.tenant%d.example/p%d/page%d", i%2, i/4, i%3, i)
}

func reputationRecord(i int) evidence.Record {
	l, _ := link.Parse(reputationURL(i))
	return evidence.Record{
		Time: tableStart.Add(time.Duration(i) * time.Millisecond), Rater: "feed/one",
		Subject: evidence.Subject{Kind: evidence.URL, Key: l.URL()}, Assertion: evidence.Phishing, Count: 1,
	}
}

// tables are built once a size.
var tables = map[int]*builtTable{}

type builtTable struct {
	*reputation.Table
	urls     int
	heap     uint64
	bytesPer float64
}

func heapAlloc() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// tableOf has at least n subjects.
func tableOf(b *testing.B, n int) *builtTable {
	if t := tables[n]; t != nil {
		return t
	}
	before := heapAlloc()
	t := &builtTable{Table: reputation.NewTable(tableKey)}
	for t.Len() < n {
		for range n / 50 {
			t.Apply(evidence.Entry{Seq: uint64(t.urls + 1), Record: reputationRecord(t.urls)})
			t.urls++
		}
	}
	t.heap = heapAlloc() - before
	t.bytesPer = float64(t.heap) / float64(t.Len())
	tables[n] = t
	return t
}

func sizes() []int {
	s := []int{1e5, 1e6, 1e7}
	if *huge {
		s = append(s, 1e8)
	}
	return s
}

// coldLinks are links to judge in an order that no cache foresees: half are in
// the table, half are new URLs of its tenants or of new ones.
func coldLinks(t *builtTable) []link.Link {
	links := make([]link.Link, 1<<18)
	for i := range links {
		n := int(uint64(i) * 0x9e3779b97f4a7c15 >> 20 % uint64(2*t.urls))
		links[i], _ = link.Parse(reputationURL(n))
	}
	return links
}

func BenchmarkJudge(b *testing.B) {
	for _, n := range sizes() {
		b.Run(fmt.Sprintf("%d_subjects", n), func(b *testing.B) {
			t := tableOf(b, n)
			links := coldLinks(t)
			p, now := reputation.DefaultPolicy(), tableStart.Add(time.Hour)
			b.ReportAllocs()
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				i := time.Now().Nanosecond()
				for pb.Next() {
					v := t.Judge(links[i&(len(links)-1)], p, now)
					if v.Score < 0 {
						b.Fatal(v)
					}
					i++
				}
			})
			b.ReportMetric(t.bytesPer, "B/subject")
		})
	}
}
