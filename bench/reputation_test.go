package bench

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
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
	urls        int
	bytesPer    float64 // on the heap
	residentPer float64 // in the process as the kernel counts it, garbage and all
}

func heapAlloc() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// resident is what the kernel counts as memory of this process (VmRSS), in
// bytes; 0 where there is no /proc.
func resident() float64 {
	status, _ := os.ReadFile("/proc/self/status")
	for line := range strings.Lines(string(status)) {
		var kB float64
		if n, _ := fmt.Sscanf(line, "VmRSS: %f kB", &kB); n == 1 {
			return kB * 1024
		}
	}
	return 0
}

// tableOf has at least n subjects.
func tableOf(b *testing.B, n int) *builtTable {
	if t := tables[n]; t != nil {
		return t
	}
	debug.FreeOSMemory() // or the pages of earlier tables would be those of this one
	before := heapAlloc()
	residentBefore := resident()
	t := &builtTable{Table: reputation.NewTable(tableKey)}
	for t.Len() < n {
		for range n / 50 {
			t.Apply(evidence.Entry{Seq: uint64(t.urls + 1), Record: reputationRecord(t.urls)})
			t.urls++
		}
	}
	t.residentPer = (resident() - residentBefore) / float64(t.Len())
	t.bytesPer = float64(heapAlloc()-before) / float64(t.Len())
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
			b.ReportMetric(t.residentPer, "RSS-B/subject")
		})
	}
}

// BenchmarkJudgeGoMap is what a Go map of the same entries costs: the same keys
// are looked up, nothing is weighed.
func BenchmarkJudgeGoMap(b *testing.B) {
	for _, n := range []int{1e5, 1e6, 1e7} {
		b.Run(fmt.Sprintf("%d_subjects", n), func(b *testing.B) {
			before := heapAlloc()
			m := make(map[uint64][5]uint64)
			urls := 0
			for ; len(m) < n; urls++ {
				l, _ := link.Parse(reputationURL(urls))
				for _, h := range rungHashes(l) {
					m[h] = [5]uint64{uint64(urls)}
				}
			}
			size := float64(heapAlloc()-before) / float64(len(m))
			links := coldLinks(&builtTable{urls: urls})
			b.ReportAllocs()
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				i, sum := time.Now().Nanosecond(), uint64(0)
				for pb.Next() {
					for _, h := range rungHashes(links[i&(len(links)-1)]) {
						sum += m[h][0]
					}
					i++
				}
				if sum == 1 {
					b.Log(sum)
				}
			})
			b.ReportMetric(size, "B/subject")
			runtime.KeepAlive(m)
		})
	}
}

func rungHashes(l link.Link) [5]uint64 {
	return [5]uint64{
		tableKey.Hash(evidence.Suffix, l.Suffix()), tableKey.Hash(evidence.Tenant, l.Tenant()),
		tableKey.Hash(evidence.Host, l.Host()), tableKey.Hash(evidence.Path, l.Path()), tableKey.Hash(evidence.URL, l.URL()),
	}
}

// BenchmarkSnapshot writes and reads a table.
func BenchmarkSnapshot(b *testing.B) {
	for _, n := range sizes() {
		t := tableOf(b, n)
		name := filepath.Join(b.TempDir(), "snapshot")
		b.Run(fmt.Sprintf("%d_subjects/write", n), func(b *testing.B) {
			for b.Loop() {
				f, err := os.Create(name)
				if err != nil {
					b.Fatal(err)
				}
				size, err := t.WriteTo(f)
				if err != nil || f.Close() != nil {
					b.Fatal(err)
				}
				b.SetBytes(size)
			}
		})
		b.Run(fmt.Sprintf("%d_subjects/read", n), func(b *testing.B) {
			for b.Loop() {
				f, err := os.Open(name)
				if err != nil {
					b.Fatal(err)
				}
				read, err := reputation.ReadTable(f, tableKey)
				if err != nil || read.Applied() != t.Applied() {
					b.Fatal(err)
				}
				f.Close()
			}
		})
		b.Run(fmt.Sprintf("%d_subjects/sum", n), func(b *testing.B) {
			for b.Loop() {
				t.Sum()
			}
		})
	}
}

// BenchmarkApply folds reports of URLs that are new to the table, and ones that
// are not. A report touches six entries.
func BenchmarkApply(b *testing.B) {
	for _, n := range []int{1e5, 1e6, 1e7} {
		t := tableOf(b, n)
		for _, kind := range []string{"known", "new"} {
			b.Run(fmt.Sprintf("%d_subjects/%s", n, kind), func(b *testing.B) {
				entries := make([]evidence.Entry, b.N)
				for i := range entries {
					at := t.urls + i
					if kind == "known" {
						at = int(uint64(i) * 0x9e3779b97f4a7c15 >> 20 % uint64(t.urls))
					}
					entries[i].Record = reputationRecord(at)
					entries[i].Time = tableStart.Add(24 * time.Hour) // another day: another unit
				}
				b.ReportAllocs()
				b.ResetTimer()
				for i := range entries {
					t.Apply(entries[i])
				}
				if kind == "new" {
					t.urls += b.N
				}
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
			})
		}
		delete(tables, n) // its URLs are not what the others expect
	}
}

// trafficURL is the i-th link of a traffic: names and paths of words and numbers,
// as people and gangs make them; a fifth are of gangs.
func trafficURL(i int) (url, host string, bad bool) {
	words := [...]string{"garden", "north", "cloud", "secure", "update", "river", "account", "photo", "market", "verify", "news", "team"}
	w := func(n int) string { return words[(i/n)%len(words)] }
	bad = i%5 == 0
	host = fmt.Sprintf("www.%s-%s%d.com", w(1), w(7), i)
	if bad {
		host = fmt.Sprintf("%s-%s-login%d.net", w(3), w(11), i)
	}
	return fmt.Sprintf("https://%s/%s/%s-%d/index.html?id=%d", host, w(5), w(13), i%1000, i), host, bad
}

// learnt builds a table by traffic: each link is seen once at two addresses, and
// the bad ones are reported a minute later. If it was visited, a server shows ten
// facts.
func learnt(links int, visited bool) *reputation.Table {
	t := reputation.NewTable(tableKey)
	seq := uint64(0)
	say := func(at time.Time, rater string, s evidence.Subject, a evidence.Assertion, o evidence.Subject) {
		seq++
		t.Apply(evidence.Entry{Seq: seq, Record: evidence.Record{Time: at, Rater: rater, Subject: s, Assertion: a, Object: o, Count: 1}})
	}
	for i := range links {
		at := tableStart.Add(time.Duration(i) * time.Second)
		url, host, bad := trafficURL(i)
		l, _ := link.Parse(url)
		for k := range 2 {
			net := (i*7 + k*31) % 4096
			addr := evidence.Subject{Kind: evidence.Addr, Key: fmt.Sprintf("10.%d.%d.%d", net>>6, net&63<<2, i%250)}
			say(at, evidence.SightingRater, evidence.Subject{Kind: evidence.Host, Key: host}, evidence.ResolvesTo, addr)
			say(at, evidence.SightingRater, addr, evidence.AnnouncedIn, evidence.Subject{Kind: evidence.Prefix, Key: fmt.Sprintf("10.%d.0.0/16", net>>6)})
			say(at, evidence.SightingRater, addr, evidence.OriginatedBy, evidence.Subject{Kind: evidence.AS, Key: fmt.Sprint(64512 + net>>6)})
		}
		say(at, evidence.SightingRater, tableKey.Seal(l), evidence.Seen, evidence.Subject{})
		if visited {
			for _, fact := range shownBy(i, bad) {
				say(at.Add(10*time.Second), "service/probe", evidence.Subject{Kind: evidence.Host, Key: host}, evidence.Shows, fact)
			}
		}
		if bad {
			say(at.Add(time.Minute), "feed/one", evidence.Subject{Kind: evidence.URL, Key: l.URL()}, evidence.Phishing, evidence.Subject{})
		}
	}
	return t
}

// shownBy is what the server of the i-th link shows.
func shownBy(i int, bad bool) []evidence.Subject {
	software, shape := [...]string{"nginx", "apache", "cloudflare", "litespeed"}[i%4], uint64(i%300)
	if bad {
		shape = uint64(i % 20)
	}
	return []evidence.Subject{
		evidence.FactOf(evidence.FactAnswer, "200"), evidence.FactOf(evidence.FactServer, software), evidence.FactOf(evidence.FactType, "text/html"),
		evidence.FactOf(evidence.FactHTTP, "1.1"), evidence.FactOf(evidence.FactShape, fmt.Sprintf("%016x", shape)), evidence.FactOf(evidence.FactTLS, "1.3"),
		evidence.FactOf(evidence.FactCertificate, "let-s-encrypt"), evidence.FactOf(evidence.FactCertificateAge, "month"),
		evidence.FactOf(evidence.FactCertificateNames, "few"), evidence.FactOf(evidence.FactHSTS, "yes"),
	}
}

// BenchmarkJudgeLearnt judges with everything on: two addresses a host with
// their networks, all markers, and a trained lexicon; where visited, with what the
// servers of those in the table have shown. Half of the links are in
// the table, half are new, in an order that no cache foresees.
func BenchmarkJudgeLearnt(b *testing.B) {
	for _, bench := range []struct {
		n       int
		visited bool
		name    string
	}{{30_000, false, "30000_links"}, {30_000, true, "30000_visited"}, {300_000, false, "300000_links"}} {
		b.Run(bench.name, func(b *testing.B) {
			n := bench.n
			t := learnt(n, bench.visited)
			links := make([]link.Link, 1<<16)
			for i := range links {
				url, _, _ := trafficURL(int(uint64(i) * 0x9e3779b97f4a7c15 >> 20 % uint64(2*n)))
				links[i], _ = link.Parse(url)
			}
			p, now := reputation.DefaultPolicy(), tableStart.Add(time.Duration(n+3600)*time.Second)
			b.ReportMetric(float64(t.Len()), "subjects")
			b.ReportAllocs()
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				i := time.Now().Nanosecond()
				for pb.Next() {
					if v := t.Judge(links[i&(len(links)-1)], p, now); v.Score < 0 {
						b.Fatal(v)
					}
					i++
				}
			})
		})
	}
}
