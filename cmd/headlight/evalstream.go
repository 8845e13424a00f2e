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
	"time"

	"headlight.example/evidence"
	"headlight.example/feed"
	"headlight.example/link"
	"headlight.example/netmap"
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

// decoded is an event of a stream with its link and what it says, or what is
// wrong with it.
type decoded struct {
	event     feed.Event
	link      link.Link
	records   []evidence.Record
	malformed error // the line cannot be read; the next one may
	err       error // the reading ended
}

const (
	aheadBatch = 256 // events: the hand-over costs nothing beside decoding so many
	aheadQueue = 8   // batches that wait to be judged
)

// ahead unpacks and decodes the events in a goroutine beside the one that
// judges and learns them, and seals what they saw under the key, with the
// networks of nets. The order stays. The goroutine has ended when the walk is
// over, also if that is broken off.
func ahead(events iter.Seq2[feed.Event, error], key *evidence.Key, nets *netmap.Map) iter.Seq[decoded] {
	return func(yield func(decoded) bool) {
		batches := make(chan []decoded, aheadQueue)
		stop := make(chan struct{})
		var decoding sync.WaitGroup
		defer decoding.Wait()
		defer close(stop)
		decoding.Go(func() {
			defer close(batches)
			batch := make([]decoded, 0, aheadBatch)
			var records []evidence.Record // of the batch
			stamps := feed.NewStamper(nets)
			send := func() (more bool) {
				select {
				case batches <- batch:
					batch, records = make([]decoded, 0, aheadBatch), make([]evidence.Record, 0, len(records))
					return true
				case <-stop:
					return false
				}
			}
			for e, err := range events {
				d := decode(e, err)
				if err == nil && d.malformed == nil {
					said := len(records)
					records = d.event.Records(records, d.link, key, stamps)
					d.records = records[said:len(records):len(records)]
				}
				batch = append(batch, d)
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

// later holds events that are learnt at a later time than that at which they
// stand in the stream: first what is due first, then what was put by first.
type later struct{ queue []putBy }

type putBy struct {
	event feed.Event // its Time is when it is learnt
	link  link.Link
}

// add puts an event by until delay after its time.
func (q *later) add(e feed.Event, delay time.Duration, l link.Link) {
	e.Time = e.Time.Add(delay)
	i, _ := slices.BinarySearchFunc(q.queue, e.Time, func(x putBy, t time.Time) int {
		if x.event.Time.After(t) {
			return 1
		}
		return -1 // also at the same time
	})
	q.queue = slices.Insert(q.queue, i, putBy{e, l}) // near the end: most have one delay
}

// next takes the first that is due by now.
func (q *later) next(now time.Time) (putBy, bool) {
	if len(q.queue) == 0 || q.queue[0].event.Time.After(now) {
		return putBy{}, false
	}
	x := q.queue[0]
	q.queue[0] = putBy{} // what it holds is free
	q.queue = q.queue[1:]
	return x, true
}

// flips turns about what is said of a share of the URLs, to see what wrong
// labels cost:
//
//   - a chosen URL that raters call a threat has those reports withheld;
//   - a chosen URL that is good by the truth is reported once, after its first
//     occurrence. That report copies the last true one of a link that had been
//     seen: its rater, its threat, and how long after the first occurrence of
//     its URL it came. Before there is one, nothing is turned about.
//
// Which URLs are chosen, depends on their hashes alone, so that those of a
// small share are among those of a larger one. Reviews and benign reports stay,
// and so does the truth that links are scored by. A nil *flips turns nothing.
type flips struct {
	Share    float64 `json:"share"`
	Withheld int     `json:"reports_withheld"`
	False    int     `json:"false_reports"`

	model feed.Event    // the last true report
	after time.Duration // the first occurrence of its URL
}

// chosen says whether the URL is one of the share.
func (f *flips) chosen(url uint64) bool {
	return float64(url>>11) < f.Share*(1<<53)
}

// withhold says that the event is a report which is not to be learnt. known is
// what the stream has said of its URL before.
func (f *flips) withhold(e *feed.Event, url uint64, known name) bool {
	if f == nil || !reportsThreat(e) {
		return false
	}
	if f.chosen(url) {
		f.Withheld++
		return true
	}
	if known.occurred {
		f.model, f.after = *e, max(0, e.Time.Sub(time.Unix(known.first, 0)))
	}
	return false
}

// lie gives the false report that follows the first occurrence of a good link.
func (f *flips) lie(e *feed.Event, url uint64) (feed.Event, bool) {
	if f == nil || f.model.Rater == "" || !f.chosen(url) {
		return feed.Event{}, false
	}
	f.False++
	return feed.Event{Time: e.Time.Add(f.after), Type: feed.Report, Rater: f.model.Rater, Assertion: f.model.Assertion, URL: e.URL}, true
}

// runStream judges and learns the events in order. Lines that cannot be read
// are counted and passed over, as import does.
func (ev *evaluation) runStream(ctx context.Context, events iter.Seq[decoded], progress func()) (firstMalformed, err error) {
	for d := range events {
		switch {
		case d.err != nil:
			return firstMalformed, d.err
		case d.malformed != nil:
			ev.malformed++
			firstMalformed = cmp.Or(firstMalformed, d.malformed)
			continue
		}
		ev.step(&d.event, d.link, d.records)
		if ev.events%1024 == 0 {
			progress()
			if err := ctx.Err(); err != nil {
				return firstMalformed, err
			}
		}
	}
	ev.learnUntil(endOfTime) // nothing is asked any more, but the table is that of the whole stream
	return firstMalformed, nil
}

// endOfTime is later than any event with any delay.
var endOfTime = time.Date(10_000, 12, 31, 0, 0, 0, 0, time.UTC)

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
	first, err := ev.runStream(ctx, ahead(merged(streams), ev.key, ev.nets), func() { p.set(read.Load(), int64(ev.events)) })
	p.end()
	if ev.malformed > 0 {
		e.notef("malformed lines passed over: %d; the first: %v", ev.malformed, first)
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
