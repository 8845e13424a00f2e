// Package logtest is the conformance suite that every [evidence.Log] passes.
package logtest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"headlight.example/evidence"
)

// Run checks that the logs which open gives do what [evidence.Log] promises.
// open opens the log that is kept under dir, and creates it the first time; it
// ends the test if it cannot. If the log is an io.Closer the suite closes it,
// and then open must find everything in the same dir again.
func Run(t *testing.T, open func(t *testing.T, dir string) evidence.Log) {
	for _, test := range []struct {
		name string
		run  func(*suite)
	}{
		{"a new log is empty", newIsEmpty},
		{"entries come in the order of appending", order},
		{"entries begin after the sequence asked for", after},
		{"a walk ends where the log ended when it was asked for", endOfCall},
		{"a walk can be broken off and begun again", breakOff},
		{"what one Append says stands together", together},
		{"many appenders each get their own sequence", manyAppenders},
		{"readers beside appenders see a prefix", readBesideAppend},
		{"entries and sequences survive a restart", restart},
		{"what was seen survives a restart", seenSurvives},
		{"saying nothing gives the last sequence", sayNothing},
		{"saying it twice is allowed", sayTwice},
		{"the largest records fit", largest},
		{"many records fit in one Append", manyRecords},
		{"a record that is not valid leaves no trace", notValid},
		{"times are kept to the millisecond in UTC", times},
		{"the caller keeps its records", callerKeeps},
		{"a context that is done ends Append and Entries", contextDone},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := &suite{T: t, open: open, dir: t.TempDir()}
			s.log = open(t, s.dir)
			t.Cleanup(s.close)
			test.run(s)
		})
	}
}

type suite struct {
	*testing.T
	open func(t *testing.T, dir string) evidence.Log
	dir  string
	log  evidence.Log
}

func (s *suite) close() {
	if c, ok := s.log.(io.Closer); ok {
		if err := c.Close(); err != nil {
			s.Errorf("close: %v", err)
		}
	}
	s.log = nil
}

func (s *suite) reopen() {
	s.close()
	s.log = s.open(s.T, s.dir)
}

func (s *suite) append(rs ...evidence.Record) uint64 {
	s.Helper()
	last, err := s.log.Append(s.Context(), rs...)
	if err != nil {
		s.Fatalf("append: %v", err)
	}
	return last
}

func (s *suite) entries(after uint64) []evidence.Entry {
	s.Helper()
	return s.collect(s.log.Entries(s.Context(), after))
}

func (s *suite) collect(seq func(func(evidence.Entry, error) bool)) (es []evidence.Entry) {
	s.Helper()
	for e, err := range seq {
		if err != nil {
			s.Fatalf("entries: %v", err)
		}
		es = append(es, e)
	}
	return es
}

// want checks that the log holds these records, in this order, under ascending sequences.
func (s *suite) want(rs ...evidence.Record) {
	s.Helper()
	es := s.entries(0)
	if d := cmp.Diff(rs, records(es)); d != "" {
		s.Fatalf("records (-want +got):\n%s", d)
	}
	ascending(s.T, es)
}

func ascending(t *testing.T, es []evidence.Entry) {
	t.Helper()
	last := uint64(0)
	for _, e := range es {
		if e.Seq <= last {
			t.Fatalf("sequence %d comes after %d", e.Seq, last)
		}
		last = e.Seq
	}
}

func records(es []evidence.Entry) []evidence.Record {
	var rs []evidence.Record
	for _, e := range es {
		rs = append(rs, e.Record)
	}
	return rs
}

var day = time.Date(2026, 1, 2, 3, 4, 5, 678e6, time.UTC)

// say gives a record of a rater that differs from those with another number.
func say(rater string, n int) evidence.Record {
	return evidence.Record{
		Time:      day.Add(time.Duration(n) * time.Millisecond),
		Rater:     "feed/" + rater,
		Subject:   evidence.Subject{Kind: evidence.URL, Key: fmt.Sprintf("host%d.example/path/%d", n%7, n)},
		Assertion: evidence.Phishing,
		Count:     uint32(n) + 1,
	}
}

func sayMany(rater string, n int) (rs []evidence.Record) {
	for i := range n {
		rs = append(rs, say(rater, i))
	}
	return rs
}

func newIsEmpty(s *suite) {
	s.want()
	if last := s.append(); last != 0 {
		s.Errorf("last sequence is %d, want 0", last)
	}
}

func order(s *suite) {
	rs := sayMany("a", 10)
	last := uint64(0)
	for _, part := range [][]evidence.Record{rs[:1], rs[1:4], rs[4:9], rs[9:]} {
		seq := s.append(part...)
		if seq < last+uint64(len(part)) {
			s.Errorf("%d records after sequence %d end at %d", len(part), last, seq)
		}
		last = seq
	}
	s.want(rs...)
	if es := s.entries(0); es[len(es)-1].Seq != last {
		s.Errorf("last entry has sequence %d, Append said %d", es[len(es)-1].Seq, last)
	}
}

func after(s *suite) {
	rs := sayMany("a", 12)
	s.append(rs[:5]...)
	s.append(rs[5:6]...)
	last := s.append(rs[6:]...)
	all := s.entries(0)
	for i, e := range all {
		if d := cmp.Diff(all[i+1:], s.entries(e.Seq)[:], equalEmpty); d != "" {
			s.Errorf("after %d (-want +got):\n%s", e.Seq, d)
		}
	}
	for _, beyond := range []uint64{last, last + 1, last + 1e6, 1<<64 - 1} {
		if es := s.entries(beyond); len(es) != 0 {
			s.Errorf("after %d there are %d entries, want none", beyond, len(es))
		}
	}
}

var equalEmpty = cmp.Comparer(func(a, b []evidence.Entry) bool { return slices.Equal(a, b) })

func endOfCall(s *suite) {
	s.append(sayMany("a", 3)...)
	walk := s.log.Entries(s.Context(), 0)
	s.append(say("late", 0))
	if es := s.collect(walk); len(es) != 3 {
		s.Errorf("a walk asked for with 3 entries gives %d", len(es))
	}
	n := 0
	for _, err := range s.log.Entries(s.Context(), 0) {
		if err != nil {
			s.Fatal(err)
		}
		s.append(say("meanwhile", n)) // would never end if it saw these
		n++
	}
	if n != 4 {
		s.Errorf("a walk over 4 entries that appends gives %d", n)
	}
}

func breakOff(s *suite) {
	s.append(sayMany("a", 5)...)
	walk := s.log.Entries(s.Context(), 0)
	for e, err := range walk {
		if err != nil || e.Record != say("a", 0) {
			s.Fatalf("got %v, %v", e, err)
		}
		break
	}
	if es := s.collect(walk); len(es) != 5 {
		s.Errorf("the second walk gives %d entries, want 5", len(es))
	}
}

func together(s *suite) {
	const appenders, appends, size = 8, 20, 17
	var wg sync.WaitGroup
	for a := range appenders {
		wg.Go(func() {
			for n := range appends {
				rs := make([]evidence.Record, size)
				for i := range rs {
					rs[i] = say(fmt.Sprintf("%d-%d", a, n), i)
				}
				if _, err := s.log.Append(s.Context(), rs...); err != nil {
					s.Errorf("append: %v", err)
				}
			}
		})
	}
	wg.Wait()
	es := s.entries(0)
	if len(es) != appenders*appends*size {
		s.Fatalf("%d entries, want %d", len(es), appenders*appends*size)
	}
	ascending(s.T, es)
	next := map[string]string{} // of each appender, the append that comes next
	for i, e := range es {
		if first := es[i-i%size]; e.Rater != first.Rater || e.Count != uint32(i%size)+1 {
			s.Fatalf("record %d of an Append is %v, which began with %v", i%size, e, first)
		}
		if i%size == 0 {
			a, n, _ := strings.Cut(strings.TrimPrefix(e.Rater, "feed/"), "-")
			if want := next[a]; want != "" && want != n {
				s.Errorf("appender %s waited for each Append, but %s stands where %s should", a, n, want)
			}
			var num int
			fmt.Sscan(n, &num)
			next[a] = fmt.Sprint(num + 1)
		}
	}
}

func manyAppenders(s *suite) {
	const appenders, appends = 32, 20
	got := make([]map[uint64]evidence.Record, appenders)
	var wg sync.WaitGroup
	for a := range appenders {
		got[a] = map[uint64]evidence.Record{}
		wg.Go(func() {
			for n := range appends {
				r := say(fmt.Sprint(a), n)
				seq, err := s.log.Append(s.Context(), r)
				if err != nil {
					s.Errorf("append: %v", err)
				}
				got[a][seq] = r
			}
		})
	}
	wg.Wait()
	all := map[uint64]evidence.Record{}
	for _, m := range got {
		for seq, r := range m {
			all[seq] = r
		}
	}
	es := s.entries(0)
	if len(es) != appenders*appends || len(all) != len(es) {
		s.Fatalf("%d appends got %d sequences and made %d entries", appenders*appends, len(all), len(es))
	}
	for _, e := range es {
		if all[e.Seq] != e.Record {
			s.Fatalf("sequence %d was given to %v and holds %v", e.Seq, all[e.Seq], e.Record)
		}
	}
}

func readBesideAppend(s *suite) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := range 50 {
			if _, err := s.log.Append(s.Context(), say("a", 2*i), say("a", 2*i+1)); err != nil {
				s.Errorf("append: %v", err)
			}
		}
	}()
	for running := true; running; {
		select {
		case <-done:
			running = false
		default:
		}
		es := s.entries(0)
		if len(es)%2 != 0 {
			s.Errorf("%d entries: half an Append is seen", len(es))
		}
		for i, e := range es {
			if e.Record != say("a", i) {
				s.Fatalf("entry %d is %v, want %v", i, e.Record, say("a", i))
			}
		}
	}
}

func restart(s *suite) {
	rs := sayMany("a", 300)
	s.append(rs[:100]...)
	last := s.append(rs[100:200]...)
	before := s.entries(0)
	s.reopen()
	if d := cmp.Diff(before, s.entries(0)); d != "" {
		s.Fatalf("entries after a restart (-before +after):\n%s", d)
	}
	if seq := s.append(rs[200:]...); seq <= last {
		s.Errorf("sequence %d after a restart does not follow %d", seq, last)
	}
	s.reopen()
	s.want(rs...)
}

func seenSurvives(s *suite) {
	var wg sync.WaitGroup
	for a := range 4 {
		wg.Go(func() {
			for n := range 25 {
				if _, err := s.log.Append(s.Context(), say(fmt.Sprint(a), n)); err != nil {
					s.Errorf("append: %v", err)
				}
			}
		})
	}
	seen := s.entries(0)
	wg.Wait()
	s.reopen()
	if d := cmp.Diff(seen, s.entries(0)[:len(seen)], equalEmpty); d != "" {
		s.Errorf("what was seen (-) and what is there after a restart (+):\n%s", d)
	}
}

func sayNothing(s *suite) {
	last := s.append(sayMany("a", 3)...)
	if got := s.append(); got != last {
		s.Errorf("Append of nothing gives %d, want %d", got, last)
	}
	s.want(sayMany("a", 3)...)
}

func sayTwice(s *suite) {
	r := say("a", 1)
	s.append(r, r)
	s.append(r)
	s.want(r, r, r)
}

func largest(s *suite) {
	key := "host.example/" + strings.Repeat("x", evidence.MaxKey)
	r := evidence.Record{
		Time: day, Rater: "feed/" + strings.Repeat("r", evidence.MaxRater-len("feed/")),
		Subject: evidence.Subject{Kind: evidence.URL, Key: key[:evidence.MaxKey]}, Assertion: evidence.RedirectsTo,
		Object: evidence.Subject{Kind: evidence.URL, Key: key[:evidence.MaxKey]}, Count: 1<<32 - 1,
		Expires: time.Date(9999, 12, 31, 23, 59, 59, 999e6, time.UTC),
	}
	rs := slices.Repeat([]evidence.Record{r}, 200) // more than 3 MB
	s.append(rs...)
	s.append(r)
	s.reopen()
	s.want(append(rs, r)...)
}

func manyRecords(s *suite) {
	rs := sayMany("a", 20000)
	s.append(rs...)
	s.append(rs[0])
	s.reopen()
	s.want(append(rs, rs[0])...)
}

func notValid(s *suite) {
	bad := say("a", 2)
	bad.Rater = "nobody"
	_, err := s.log.Append(s.Context(), say("a", 0), say("a", 1), bad)
	e, ok := errors.AsType[*evidence.RecordError](err)
	if !ok || e.Index != 2 {
		s.Errorf("got %v, want a *evidence.RecordError of index 2", err)
	}
	s.want()
	s.append(say("a", 0))
	s.want(say("a", 0))
}

func times(s *suite) {
	r := say("a", 0)
	fine := r
	fine.Time = r.Time.Add(999 * time.Microsecond).In(time.FixedZone("elsewhere", 7200))
	r.Expires = day.Add(time.Hour)
	fine.Expires = r.Expires.Add(time.Nanosecond)
	s.append(fine)
	s.want(r)
}

func callerKeeps(s *suite) {
	rs := sayMany("a", 3)
	s.append(rs...)
	clear(rs)
	s.want(sayMany("a", 3)...)
}

func contextDone(s *suite) {
	s.append(sayMany("a", 3)...)
	ctx, cancel := context.WithCancel(s.Context())
	cancel()
	if _, err := s.log.Append(ctx, say("b", 0)); !errors.Is(err, context.Canceled) {
		s.Errorf("append: got %v, want context.Canceled", err)
	}
	var last error
	for _, err := range s.log.Entries(ctx, 0) {
		last = err
	}
	if !errors.Is(last, context.Canceled) {
		s.Errorf("entries: got %v, want context.Canceled", last)
	}
	// The log goes on for others.
	s.append(say("c", 0))
	if es := s.entries(0); es[len(es)-1].Record != say("c", 0) {
		s.Errorf("the last entry is %v", es[len(es)-1])
	}
}
