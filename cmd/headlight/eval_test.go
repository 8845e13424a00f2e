package main

import (
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"headlight.example/evidence"
	"headlight.example/feed"
	"headlight.example/link"
	"headlight.example/netmap"
	"headlight.example/reputation"
)

var evalStart = time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)

// evaluate runs events, which are given times a minute apart and lines in
// their order unless they have some, and ends as eval does.
func evaluate(t *testing.T, ev *evaluation, events []feed.Event) {
	t.Helper()
	walk := func(yield func(feed.Event, error) bool) {
		for i, e := range events {
			e.Line = i + 1
			if e.Time.IsZero() {
				e.Time = evalStart.Add(time.Duration(i) * time.Minute)
			}
			if !yield(e, nil) {
				return
			}
		}
	}
	first, err := ev.runStream(t.Context(), ahead(walk, ev.key, ev.nets), func() {})
	if first != nil || err != nil {
		t.Fatal(first, err)
	}
}

func evaluationForTest() *evaluation {
	return newEvaluation(reputation.DefaultPolicy(), time.Time{}, nil)
}

func asked(url string, after time.Duration) feed.Event {
	return feed.Event{Type: feed.Sighting, URL: url, Ask: true, Time: evalStart.Add(after)}
}

func reported(url string, after time.Duration) feed.Event {
	return feed.Event{Type: feed.Report, Rater: "feed/x", Assertion: evidence.Phishing, URL: url, Time: evalStart.Add(after)}
}

func TestDelayedWordsAreLearntInTheirOrder(t *testing.T) {
	t.Parallel()
	const h = time.Hour
	stream := []feed.Event{
		reported("http://a.example/1", 0),
		asked("http://a.example/2", h),
		{Type: feed.Review, Rater: "operator/bo", Assertion: evidence.Benign, URL: "http://a.example/3", Time: evalStart.Add(90 * time.Minute)},
		asked("http://a.example/3", 2*h-1),
		asked("http://a.example/4", 2*h), // the report is due now, and comes first
		asked("http://a.example/3", 4*h),
	}
	for _, tt := range []struct {
		delay  time.Duration
		listed []bool // the host, at each question
	}{
		{0, []bool{true, true, true, true}},
		{2 * h, []bool{false, false, true, true}},
		{4*h + 1, []bool{false, false, false, false}},
	} {
		ev := evaluationForTest()
		ev.delay = tt.delay
		evaluate(t, ev, stream)
		var got []bool
		for _, j := range ev.judged {
			got = append(got, j.lists[hostRung])
		}
		if !slices.Equal(got, tt.listed) {
			t.Errorf("delay %v: host listed %v, want %v", tt.delay, got, tt.listed)
		}
		if len(ev.later.queue) != 0 {
			t.Errorf("delay %v: %d words were never learnt", tt.delay, len(ev.later.queue))
		}
		if ev.judged[0].stratum != "host known" || ev.judged[3].scored {
			t.Errorf("delay %v: strata or what is scored depend on it", tt.delay)
		}
	}
}

func TestLaterIsStable(t *testing.T) {
	t.Parallel()
	var q later
	for i, at := range []int{5, 3, 5, 4, 3, 9} {
		q.add(feed.Event{Line: i, Time: evalStart.Add(time.Duration(at) * time.Hour)}, time.Hour, link.Link{})
	}
	var got []int
	for _, until := range []time.Duration{4*time.Hour - 1, 4 * time.Hour, 6 * time.Hour, 9 * time.Hour} {
		for {
			x, ok := q.next(evalStart.Add(until))
			if !ok {
				break
			}
			got = append(got, x.event.Line)
		}
		got = append(got, -1)
	}
	if want := []int{-1, 1, 4, -1, 3, 0, 2, -1, -1}; !slices.Equal(got, want) || len(q.queue) != 1 {
		t.Errorf("got %v and %d left, want %v and 1", got, len(q.queue), want)
	}
}

// Of a thousand hosts every second is bad and reported ten minutes later. On
// the next day each host is asked about again: what is listed then is the
// truth, but for the URLs that were chosen.
func TestFlipsTurnLabelsAbout(t *testing.T) {
	t.Parallel()
	const hosts, reportAfter = 1000, 10 * time.Minute
	run := func(share float64) (flipped []bool, f *flips) {
		ev := evaluationForTest()
		ev.truth = make(map[uint64]bool)
		if share > 0 {
			ev.flips = &flips{Share: share}
		}
		var stream []feed.Event
		for i := range hosts {
			at := time.Duration(i) * 15 * time.Minute
			bad := i%2 == 0
			stream = append(stream, asked(fmt.Sprintf("http://h%d.example/", i), at))
			ev.truth[uint64(len(stream))] = bad
			if bad {
				stream = append(stream, reported(fmt.Sprintf("http://h%d.example/", i), at+reportAfter))
			}
		}
		for i := range hosts {
			stream = append(stream, asked(fmt.Sprintf("http://h%d.example/again", i), hosts*15*time.Minute+time.Duration(i)))
		}
		evaluate(t, ev, stream)
		for i, j := range ev.judged[hosts:] {
			flipped = append(flipped, j.lists[hostRung] != (i%2 == 0))
		}
		return flipped, ev.flips
	}
	count := func(xs []bool, bad int) (n int) {
		for i, x := range xs {
			if x && i%2 == bad {
				n++
			}
		}
		return n
	}
	none, _ := run(0)
	if slices.Contains(none, true) {
		t.Fatal("without flips the list is not the truth")
	}
	few, f := run(.1)
	if w, l := count(few, 0), count(few, 1); f.Withheld != w || f.False != l || w < 30 || w > 75 || l < 30 || l > 75 {
		t.Errorf("of 500 bad and 500 good: %d and %d turned, counted %d and %d, want some 50 each", w, l, f.Withheld, f.False)
	}
	many, _ := run(.5)
	for i := range few {
		if few[i] && !many[i] {
			t.Errorf("host %d is turned about in a share of .1 and not in one of .5", i)
		}
	}
	if n := count(many, 0) + count(many, 1); n < 430 || n > 570 {
		t.Errorf("%d of 1,000 turned, want some 500", n)
	}
}

// A false report comes as late as the true one that it copies.
func TestAFalseReportCopiesATrueOne(t *testing.T) {
	t.Parallel()
	f := &flips{Share: .5}
	const chosen, other = 0, 1 << 63
	sighting := asked("http://good.example/", 0)
	if _, ok := f.lie(&sighting, chosen); ok {
		t.Error("there was nothing to copy")
	}
	word := reported("http://bad.example/", time.Hour)
	if f.withhold(&word, other, name{first: evalStart.Unix(), occurred: true}) {
		t.Error("the report of a URL that is not chosen was withheld")
	}
	if _, ok := f.lie(&sighting, other); ok {
		t.Error("a URL that is not chosen was reported")
	}
	lie, ok := f.lie(&sighting, chosen)
	if !ok || lie.Time.Sub(evalStart) != time.Hour || lie.Rater != word.Rater || lie.Assertion != word.Assertion || lie.URL != sighting.URL {
		t.Errorf("got %+v", lie)
	}
	review := word
	review.Type = feed.Review
	benign := word
	benign.Assertion = evidence.Benign
	if f.withhold(&review, chosen, name{}) || f.withhold(&benign, chosen, name{}) || !f.withhold(&word, chosen, name{}) {
		t.Error("a report of a threat is withheld, and nothing else")
	}
}

func TestAdditiveAddsUpReportsAround(t *testing.T) {
	t.Parallel()
	var b netmap.Builder
	if _, err := b.Read(strings.NewReader("192.0.2.0,192.0.2.255,64496\n198.51.100.0,198.51.100.255,64496\n")); err != nil {
		t.Fatal(err)
	}
	ev := newEvaluation(reputation.DefaultPolicy(), time.Time{}, b.Map())
	at := func(url string, addrs ...string) feed.Event {
		e := feed.Event{Type: feed.Sighting, URL: url, Ask: true}
		for _, a := range addrs {
			e.Addrs = append(e.Addrs, netip.MustParseAddr(a))
		}
		return e
	}
	word := func(url string) feed.Event {
		return feed.Event{Type: feed.Report, Rater: "feed/x", Assertion: evidence.Spam, URL: url}
	}
	questions := []struct {
		e    feed.Event
		want []int // reports at host, tenant, address, subnet, AS
	}{
		{at("http://x.bad.example/3"), []int{2, 2, 2, 2, 2}}, // where it was last seen
		{at("http://y.bad.example/"), []int{0, 2}},
		{at("http://new.example/", "203.0.113.1", "192.0.2.1"), []int{0, 0, 2, 2, 2}}, // the worst of them
		{at("http://near.example/", "192.0.2.9"), []int{0, 0, 0, 2, 2}},
		{at("http://192.0.2.1/"), []int{0, 0, 2, 2, 2}},
		{at("http://far.example/", "198.51.100.1"), []int{0, 0, 0, 0, 2}},
		{at("http://fifth.example/", "203.0.113.1", "203.0.113.2", "203.0.113.3", "203.0.113.4", "192.0.2.1"), nil},
	}
	stream := []feed.Event{at("http://x.bad.example/1", "192.0.2.1"), word("http://x.bad.example/1"), word("http://x.bad.example/2")}
	for _, q := range questions {
		stream = append(stream, q.e)
	}
	evaluate(t, ev, stream)
	for i, j := range ev.judged[1:] {
		want := 0.
		for _, n := range questions[i].want {
			want += math.Log1p(float64(n))
		}
		if math.Abs(j.sum-want) > 1e-9 {
			t.Errorf("%s: got %v, want %v", questions[i].e.URL, j.sum, want)
		}
	}
}
