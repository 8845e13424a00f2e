package bench

import (
	"flag"
	"os"
	"strings"
	"testing"

	"headlight.example/evidence"
	"headlight.example/feed"
	"headlight.example/netmap"
	"headlight.example/reputation"
)

var streamFile = flag.String("stream", "", "learn this event stream in BenchmarkStream, such as dns.jsonl.gz")

// BenchmarkStream learns an event stream from a file, with all that the model
// needs of it, in one goroutine: unpack and decode the events, seal what they saw,
// look their networks up, and fold the records. An iteration is a whole file.
func BenchmarkStream(b *testing.B) {
	if *streamFile == "" {
		b.Skip("needs -stream FILE, and is of use with -netmap FILE,… only")
	}
	var nets *netmap.Map
	if *netmapFile != "" {
		var err error
		if nets, _, err = netmap.Load(strings.Split(*netmapFile, ",")...); err != nil {
			b.Fatal(err)
		}
	}
	before := cpuTime(b)
	events := 0
	for b.Loop() {
		events += learnStream(b, nets)
	}
	b.ReportMetric(float64(events)/(cpuTime(b)-before).Seconds(), "events/cpu-s")
	b.ReportMetric(float64(events)/b.Elapsed().Seconds(), "events/s")
}

func learnStream(b *testing.B, nets *netmap.Map) (events int) {
	f, err := os.Open(*streamFile)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	key := new(evidence.Key)
	table := reputation.NewTable(key)
	stamps := feed.NewStamper(nets)
	var records []evidence.Record
	for e, err := range feed.Events(f) {
		if err != nil {
			continue // import passes over malformed lines too
		}
		l, err := e.Link()
		if err != nil {
			continue
		}
		events++
		records = e.Records(records[:0], l, key, stamps)
		for i := range records {
			table.Apply(evidence.Entry{Seq: table.Applied() + 1, Record: records[i]})
		}
	}
	return events
}
