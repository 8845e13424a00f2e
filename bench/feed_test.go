package bench

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"headlight.example/evidence"
	"headlight.example/feed"
)

// Reading lists. Run with
//
//	go test -run '^$' -bench 'Events|Formats'
//
// An event stream is read before a million links are judged by it; reading it
// must not be what takes the time.

// eventStream makes a stream of n events as they are in life: a third reports,
// the others sightings, half of them with addresses.
func eventStream(n int) []byte {
	var b []byte
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for i := range n {
		t := at.Add(time.Duration(i) * time.Second).Format(time.RFC3339)
		url := fmt.Sprintf("https://shop%d.example/products/%d/view?campaign=spring-%d", i%5000, i, i%77)
		switch i % 3 {
		case 0:
			b = fmt.Appendf(b, `{"time":"%s","type":"report","rater":"feed/openphish","url":"%s","assertion":"phishing"}`, t, url)
		case 1:
			b = fmt.Appendf(b, `{"time":"%s","type":"sighting","url":"%s","ask":true}`, t, url)
		case 2:
			b = fmt.Appendf(b, `{"time":"%s","type":"sighting","url":"%s","ask":true,"addrs":["192.0.2.%d","198.51.100.7"]}`, t, url, i%256)
		}
		b = append(b, '\n')
	}
	return b
}

const benchEvents = 20_000

func eventsPerSecond(b *testing.B, stream []byte) {
	b.SetBytes(int64(len(stream)))
	b.ReportMetric(float64(b.N)*benchEvents/b.Elapsed().Seconds(), "events/s")
}

func BenchmarkEvents(b *testing.B) {
	stream := eventStream(benchEvents)
	b.Run("decode", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			n := 0
			for _, err := range feed.Events(bytes.NewReader(stream)) {
				if err != nil {
					b.Fatal(err)
				}
				n++
			}
			if n != benchEvents {
				b.Fatalf("%d events", n)
			}
		}
		eventsPerSecond(b, stream)
	})
	b.Run("decode_by_encoding_json", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			d := json.NewDecoder(bytes.NewReader(stream))
			for {
				var e struct {
					Time                        time.Time
					Type, Rater, URL, Assertion string
					Addrs                       []string
					Ask                         bool
				}
				if err := d.Decode(&e); err == io.EOF {
					break
				} else if err != nil {
					b.Fatal(err)
				}
			}
		}
		eventsPerSecond(b, stream)
	})
	b.Run("to_records", func(b *testing.B) {
		b.ReportAllocs()
		format, err := feed.Lookup("events")
		if err != nil {
			b.Fatal(err)
		}
		key := &evidence.Key{1}
		for b.Loop() {
			if _, err := format.Check(bytes.NewReader(stream), feed.Options{Key: key}); err != nil {
				b.Fatal(err)
			}
		}
		eventsPerSecond(b, stream)
	})
}

func BenchmarkFormats(b *testing.B) {
	const n = 20_000
	lines := map[string]func(i int) string{
		"openphish": func(i int) string { return fmt.Sprintf("https://shop%d.example/login/%d\n", i%5000, i) },
		"urlhaus-csv": func(i int) string {
			return fmt.Sprintf("\"%d\",\"2026-02-26 12:05:20\",\"http://192.0.2.%d/bin/%d.sh\",\"online\",\"2026-02-26 12:05:20\",\"malware_download\",\"32-bit,elf\",\"https://urlhaus.example/url/%d/\",\"a\"\r\n", i, i%256, i, i)
		},
		"hosts":   func(i int) string { return fmt.Sprintf("0.0.0.0 www.shop%d.example\n", i) },
		"domains": func(i int) string { return fmt.Sprintf("||shop%d.example^\n", i) },
		"toplist": func(i int) string { return fmt.Sprintf("%d,shop%d.example\n", i+1, i) },
	}
	for _, format := range feed.Formats() {
		line, ok := lines[format.Name]
		if !ok {
			continue
		}
		var text strings.Builder
		for i := range n {
			text.WriteString(line(i))
		}
		b.Run(format.Name, func(b *testing.B) {
			b.SetBytes(int64(text.Len()))
			b.ReportAllocs()
			for b.Loop() {
				sum, err := format.Check(strings.NewReader(text.String()), feed.Options{Assertion: evidence.Malware})
				if err != nil || sum.Records != n {
					b.Fatal(sum, err)
				}
			}
			b.ReportMetric(float64(b.N)*n/b.Elapsed().Seconds(), "records/s")
		})
	}
}
