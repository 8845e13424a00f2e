package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"slices"
	"sync"
	"sync/atomic"

	"headlight.example/feed"
	"headlight.example/link"
)

// merged walks over several streams in the order of time.
func merged(streams []iter.Seq2[feed.Event, error]) iter.Seq2[feed.Event, error] {
	if len(streams) == 1 {
		return streams[0]
	}
	return func(yield func(feed.Event, error) bool) {
		type head struct {
			event feed.Event
			next  func() (feed.Event, error, bool)
		}
		var heads []*head
		for _, s := range streams {
			next, stop := iter.Pull2(s)
			defer stop()
			heads = append(heads, &head{next: next})
		}
		advance := func(h *head) (more bool) {
			for {
				e, err, ok := h.next()
				if !ok {
					return false
				}
				if err == nil {
					h.event = e
					return true
				}
				if !yield(feed.Event{}, err) {
					return false
				}
			}
		}
		heads = slices.DeleteFunc(heads, func(h *head) bool { return !advance(h) })
		for len(heads) > 0 {
			h := slices.MinFunc(heads, func(a, b *head) int { return a.event.Time.Compare(b.event.Time) })
			if !yield(h.event, nil) {
				return
			}
			if !advance(h) {
				heads = slices.DeleteFunc(heads, func(x *head) bool { return x == h })
			}
		}
	}
}

// decoded is an event of a stream with its link, or what is wrong with it.
type decoded struct {
	event     feed.Event
	link      link.Link
	malformed error // the line cannot be read; the next one may
	err       error // the reading ended
}

const (
	aheadBatch = 256 // events: the hand-over costs nothing beside decoding so many
	aheadQueue = 8   // batches that wait to be judged
)

// ahead unpacks and decodes the events in a goroutine beside the one that
// judges and learns them. The order stays. The goroutine has ended when the
// walk is over, also if that is broken off.
func ahead(events iter.Seq2[feed.Event, error]) iter.Seq[decoded] {
	return func(yield func(decoded) bool) {
		batches := make(chan []decoded, aheadQueue)
		stop := make(chan struct{})
		var decoding sync.WaitGroup
		defer decoding.Wait()
		defer close(stop)
		decoding.Go(func() {
			defer close(batches)
			batch := make([]decoded, 0, aheadBatch)
			send := func() (more bool) {
				select {
				case batches <- batch:
					batch = make([]decoded, 0, aheadBatch)
					return true
				case <-stop:
					return false
				}
			}
			for e, err := range events {
				batch = append(batch, decode(e, err))
				if len(batch) == aheadBatch && !send() {
					return
				}
			}
			send()
		})
		for batch := range batches {
			for _, d := range batch {
				if !yield(d) {
					return
				}
			}
		}
	}
}

func decode(e feed.Event, err error) decoded {
	d := decoded{event: e}
	if err == nil {
		if d.link, err = e.Link(); err != nil {
			d.malformed = fmt.Errorf("line %d: %w", e.Line, err)
		}
		return d
	}
	if _, ok := errors.AsType[*feed.LineError](err); ok {
		d.malformed = err
	} else {
		d.err = err
	}
	return d
}

// runStream judges and learns the events in order. Lines that cannot be read
// are counted and passed over, as import does.
func (ev *evaluation) runStream(ctx context.Context, events iter.Seq[decoded], progress func()) (malformed int, first, err error) {
	for d := range events {
		switch {
		case d.err != nil:
			return malformed, first, d.err
		case d.malformed != nil:
			malformed++
			first = cmp.Or(first, d.malformed)
			continue
		}
		ev.step(&d.event, d.link)
		if ev.events%1024 == 0 {
			progress()
			if err := ctx.Err(); err != nil {
				return malformed, first, err
			}
		}
	}
	return malformed, first, nil
}

// runFiles runs the streams of the files, merged by time.
func (ev *evaluation) runFiles(ctx context.Context, e *env, names []string) error {
	var total int64
	var read atomic.Int64
	var streams []iter.Seq2[feed.Event, error]
	for _, name := range names {
		f, err := os.Open(name)
		if err != nil {
			return err
		}
		defer f.Close()
		if info, err := f.Stat(); err == nil {
			total += info.Size()
		}
		streams = append(streams, feed.Events(&countingReader{f, &read}))
	}
	p := e.newProgress("judging", "events", total)
	defer p.end()
	malformed, first, err := ev.runStream(ctx, ahead(merged(streams)), func() { p.set(read.Load(), int64(ev.events)) })
	p.end()
	if malformed > 0 {
		e.notef("malformed lines passed over: %d; the first: %v", malformed, first)
	}
	return err
}

// countingReader counts what has been read, for a progress bar.
type countingReader struct {
	r io.Reader
	n *atomic.Int64
}

func (c *countingReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n.Add(int64(n))
	return n, err
}
