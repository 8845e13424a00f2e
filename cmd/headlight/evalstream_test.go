package main

import (
	"errors"
	"headlight.example/evidence"
	"testing"

	"headlight.example/feed"
)

// numbered yields n sightings, with an error after those of bad, and says in
// ended when it was left.
func numbered(n int, bad map[int]error, ended *bool) func(yield func(feed.Event, error) bool) {
	return func(yield func(feed.Event, error) bool) {
		defer func() { *ended = true }()
		for i := 1; i <= n; i++ {
			if !yield(feed.Event{Type: feed.Sighting, URL: "http://a.example/", Line: i}, nil) {
				return
			}
			if err := bad[i]; err != nil && !yield(feed.Event{}, err) {
				return
			}
		}
	}
}

func TestAheadKeepsTheOrder(t *testing.T) {
	t.Parallel()
	misprint, broken := &feed.LineError{Line: 300}, errors.New("disk on fire")
	for _, n := range []int{0, 1, aheadBatch - 1, aheadBatch, aheadBatch + 1, 20*aheadBatch + 7} {
		var ended bool
		line := 0
		for d := range ahead(numbered(n, map[int]error{300: misprint, n: broken}, &ended), new(evidence.Key), nil) {
			switch {
			case d.malformed != nil:
				if d.malformed != misprint || line != 300 {
					t.Errorf("of %d: after line %d: %v is malformed", n, line, d.malformed)
				}
			case d.err != nil:
				if d.err != broken || line != n {
					t.Errorf("of %d: after line %d: error %v", n, line, d.err)
				}
				line++
			default:
				line++
				if d.event.Line != line || d.link.Host() != "a.example" {
					t.Fatalf("of %d: got line %d of %q, want %d", n, d.event.Line, d.link.Host(), line)
				}
			}
		}
		if want := n + min(n, 1); line != want || !ended {
			t.Errorf("of %d: walked over %d, want %d; decoding ended: %v", n, line, want, ended)
		}
	}
}

func TestAheadEndsWhenTheWalkIsBrokenOff(t *testing.T) {
	t.Parallel()
	for _, walked := range []int{1, aheadBatch, 3*aheadBatch + 1} {
		var ended bool
		n := 0
		for range ahead(numbered(1<<30, nil, &ended), new(evidence.Key), nil) {
			if n++; n == walked {
				break
			}
		}
		if !ended { // or the race detector speaks first
			t.Errorf("after %d events: decoding goes on", walked)
		}
	}
}

func TestALinkThatLeadsNowhereIsMalformed(t *testing.T) {
	t.Parallel()
	d := decode(feed.Event{URL: "mailto:a@b.example", Line: 7}, nil)
	if d.malformed == nil || d.err != nil || d.malformed.Error()[:8] != "line 7: " {
		t.Errorf("got %+v", d)
	}
}
