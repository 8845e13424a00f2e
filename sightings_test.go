package headlight

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"headlight.example/link"
	"headlight.example/reputation"
)

func sightingOf(t *testing.T, url string) sighting {
	t.Helper()
	l, err := link.Parse(url)
	if err != nil {
		t.Fatal(err)
	}
	return sighting{link: l}
}

func TestSightingsThatDoNotFitAreCounted(t *testing.T) {
	s := newSightings()
	x := sightingOf(t, "http://a.example/")
	const pushed = 2 * stripes * stripeSize
	for range pushed {
		s.push(x)
	}
	got := s.drain(nil)
	if len(got) > stripes*stripeSize || len(got) < stripes*stripeSize/2 {
		t.Errorf("kept %d, want at most %d and most of them", len(got), stripes*stripeSize)
	}
	if kept := uint64(len(got)); kept+s.dropped.Load() != pushed {
		t.Errorf("kept %d and dropped %d of %d", kept, s.dropped.Load(), pushed)
	}
	if again := s.drain(nil); len(again) != 0 {
		t.Errorf("drained %d twice", len(again))
	}
}

func TestManyAskersAndOneDrainLoseNothingUncounted(t *testing.T) {
	s := newSightings()
	x := sightingOf(t, "http://a.example/")
	const askers, each = 8, 2000
	var wg sync.WaitGroup
	for range askers {
		wg.Go(func() {
			for range each {
				s.push(x)
			}
		})
	}
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()
	var kept []sighting
	for running := true; running; {
		select {
		case <-done:
			running = false
		default:
		}
		kept = s.drain(kept)
	}
	kept = s.drain(kept)
	if n := uint64(len(kept)) + s.dropped.Load(); n != askers*each {
		t.Errorf("kept %d and dropped %d, want %d in all", len(kept), s.dropped.Load(), askers*each)
	}
}

func TestWatchedLinksAreBounded(t *testing.T) {
	r := newRecent()
	start := time.Now()
	for i := range maxRecent + 1 {
		r.add(sightingOf(t, fmt.Sprintf("http://h%d.example/", i)).link, reputation.Unknown, start)
	}
	if len(r.links) != maxRecent || len(r.order) != maxRecent {
		t.Errorf("watching %d links in %d places, want %d", len(r.links), len(r.order), maxRecent)
	}
	r.add(sightingOf(t, "http://later.example/").link, reputation.Unknown, start.Add(recentFor+time.Second))
	if len(r.links) != 1 {
		t.Errorf("watching %d links after %v, want the new one only", len(r.links), recentFor)
	}
}
