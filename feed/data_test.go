//go:build evaldata

package feed_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"headlight.example/feed"
)

// TestRealStreams decodes the event streams in $HEADLIGHT_DATA/streams, which
// cannot be published. Every event of them must be understood, and its link.
func TestRealStreams(t *testing.T) {
	dir := os.Getenv("HEADLIGHT_DATA")
	if dir == "" {
		t.Fatal("HEADLIGHT_DATA is not set: name the directory that holds streams/*.jsonl.gz")
	}
	want := map[string]int{"feeds": 1162809, "dns": 446087, "dns-late": 422913, "urlhaus": 278825}
	for name, n := range want {
		file, err := os.Open(filepath.Join(dir, "streams", name+".jsonl.gz"))
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		got, unparsed, begun := 0, 0, time.Now()
		for e, err := range feed.Events(file) {
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			if got++; e.Line != got {
				t.Fatalf("%s: event %d says line %d", name, got, e.Line)
			}
			if _, err := e.Link(); err != nil {
				if unparsed++; unparsed <= 3 {
					t.Logf("%s: line %d: %v", name, e.Line, err)
				}
			}
		}
		t.Logf("%s: %d events, %d without a link, %v", name, got, unparsed, time.Since(begun).Round(time.Millisecond))
		if got != n {
			t.Errorf("%s: got %d events, want %d", name, got, n)
		}
	}
}
