package evidence_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"headlight.example/evidence"
	"headlight.example/evidence/logtest"
)

func quiet() evidence.Options {
	return evidence.Options{Logger: slog.New(slog.DiscardHandler)}
}

func open(t *testing.T, dir string, opts evidence.Options) *evidence.DiskLog {
	t.Helper()
	l, err := evidence.Open(dir, opts)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestDiskLogConforms(t *testing.T) {
	logtest.Run(t, func(t *testing.T, dir string) evidence.Log { return open(t, dir, quiet()) })
}

// sentence gives the n-th of a series of records of every form, in which names
// come back, and hosts lie under each other.
func sentence(n int) evidence.Record {
	r := evidence.Record{Time: day, Rater: "feed/a", Assertion: evidence.Phishing, Count: uint32(n) + 1}
	host := fmt.Sprintf("h%d.d%d.example", n%5, n%97)
	addr := evidence.Subject{Kind: evidence.Addr, Key: fmt.Sprintf("192.0.2.%d", n%50)}
	switch n % 9 {
	case 0:
		r.Subject = evidence.Subject{Kind: evidence.Host, Key: host}
		r.Assertion, r.Object = evidence.ResolvesTo, addr
	case 1:
		r.Subject = evidence.Subject{Kind: evidence.Domain, Key: host[3:]}
	case 2:
		r.Subject = evidence.Subject{Kind: evidence.Sealed, Key: host + "/#/#0000000000002"}
	case 3:
		r.Subject = evidence.Subject{Kind: evidence.Path, Key: host + "/p/"}
	case 4:
		r.Subject = url(fmt.Sprintf("192.0.2.%d/x", n%50))
	case 5:
		r.Subject = url(host + "/p/q")
		r.Assertion, r.Object = evidence.RedirectsTo, url(fmt.Sprintf("h1.d%d.example/z", n%31))
	case 6:
		if n%4 == 0 {
			r.Subject = url(fmt.Sprintf("[2001:db8::%x]/", n%50+1))
			break
		}
		r.Subject = evidence.Subject{Kind: evidence.AS, Key: fmt.Sprint(n%70 + 1)}
	default:
		r.Subject = url(fmt.Sprintf("%s/p/%d", host, n))
	}
	return r
}

// appendSentences appends sentences from to to-1 in appends of many sizes.
func appendSentences(t *testing.T, l *evidence.DiskLog, from, to int) {
	t.Helper()
	for n, size := from, 1; n < to; size = size*3%7919 + 1 {
		var rs []evidence.Record
		for ; len(rs) < size && n < to; n++ {
			rs = append(rs, sentence(n))
		}
		if _, err := l.Append(t.Context(), rs...); err != nil {
			t.Fatal(err)
		}
	}
}

var asked = []evidence.Subject{
	{Kind: evidence.Host, Key: "h1.d7.example"}, {Kind: evidence.Domain, Key: "d7.example"},
	{Kind: evidence.Tenant, Key: "h2.d9.example"}, {Kind: evidence.Path, Key: "h3.d20.example/p/"},
	{Kind: evidence.URL, Key: "h0.d5.example/p/q"}, {Kind: evidence.URL, Key: "h1.d30.example/z"},
	{Kind: evidence.Addr, Key: "192.0.2.13"}, {Kind: evidence.AS, Key: "33"}, {Kind: evidence.Addr, Key: "2001:db8::a"}, {Kind: evidence.Host, Key: "[2001:db8::b]"},
	{Kind: evidence.Sealed, Key: "h2.d2.example/#/#0000000000002"}, {Kind: evidence.Host, Key: "nobody.example"},
}

// checkAbout compares About with a walk over the whole log that asks Covers.
func checkAbout(t *testing.T, l *evidence.DiskLog, after uint64, subjects ...evidence.Subject) (found int) {
	t.Helper()
	var want, got []evidence.Entry
	for e, err := range l.Entries(t.Context(), after) {
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range subjects {
			if s.Covers(e.Subject) || e.Object.Kind != 0 && s.Covers(e.Object) {
				want = append(want, e)
				break
			}
		}
	}
	slices.Reverse(want)
	for e, err := range l.About(t.Context(), subjects...) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, e)
	}
	if !slices.Equal(got, want) {
		t.Errorf("about %v: %d entries, want %d", subjects, len(got), len(want))
	}
	return len(got)
}

func TestAboutFindsWhatAWalkFinds(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	l := open(t, dir, quiet())
	const n = 2*evidence.SegmentSize + 5000
	check := func(after uint64) {
		t.Helper()
		found := 0
		for _, s := range asked {
			found += checkAbout(t, l, after, s)
		}
		if all := checkAbout(t, l, after, asked...); l.Last()-after > 1000 && (found == 0 || all == 0) {
			t.Error("nothing was found at all")
		}
		if r, err := l.Verify(t.Context(), nil); err != nil || r.First != after+1 || r.Last != l.Last() || r.Records != r.Last-after {
			t.Errorf("verify: %+v, %v", r, err)
		}
	}
	appendSentences(t, l, 0, 3000) // all in memory
	check(0)
	// The sequence that ends a segment, alone and then the next.
	appendSentences(t, l, 3000, evidence.SegmentSize-1)
	appendSentences(t, l, evidence.SegmentSize-1, evidence.SegmentSize)
	appendSentences(t, l, evidence.SegmentSize, evidence.SegmentSize+1)
	check(0)
	appendSentences(t, l, evidence.SegmentSize+1, n)
	check(0)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	l = open(t, dir, quiet()) // the last segment's index is made anew
	check(0)

	for _, before := range []uint64{500, evidence.SegmentSize + 10000} {
		trimmed, err := l.Trim(t.Context(), before)
		if err != nil || trimmed > before || trimmed == 0 {
			t.Fatalf("trim %d: %d, %v", before, trimmed, err)
		}
		check(trimmed)
	}
	if last, err := l.Append(t.Context(), sentence(n)); err != nil || last != n+1 {
		t.Errorf("append after a trim: %d, %v", last, err)
	}
	trimmed := l.Last() - 1
	if _, err := l.Trim(t.Context(), trimmed); err != nil {
		t.Fatal(err)
	}
	check(trimmed)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	l = open(t, dir, quiet())
	defer l.Close()
	check(trimmed)
}

func TestAboutCanBeBrokenOffAndCancelled(t *testing.T) {
	t.Parallel()
	l := open(t, t.TempDir(), quiet())
	defer l.Close()
	appendSentences(t, l, 0, evidence.SegmentSize+100)
	s := evidence.Subject{Kind: evidence.Domain, Key: "d7.example"}
	last := ^uint64(0)
	n := 0
	for e, err := range l.About(t.Context(), s) {
		if err != nil || e.Seq >= last {
			t.Fatalf("%v after %d, %v", e, last, err)
		}
		if last, n = e.Seq, n+1; n == 3 {
			break
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, err := range l.About(ctx, s) {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want context.Canceled", err)
		}
	}
}

func TestTrim(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	l := open(t, dir, quiet())
	fill(t, l, 5) // blocks of ten
	for _, test := range []struct{ before, want uint64 }{{0, 0}, {9, 0}, {10, 10}, {5, 10}, {19, 10}, {29, 20}, {40, 40}} {
		if got, err := l.Trim(t.Context(), test.before); err != nil || got != test.want {
			t.Errorf("trim %d: got %d, %v, want %d", test.before, got, err, test.want)
		}
	}
	for _, after := range []uint64{0, 39} {
		for _, err := range l.Entries(t.Context(), after) {
			if !errors.Is(err, evidence.ErrTrimmed) || !strings.Contains(err.Error(), "up to 40") {
				t.Errorf("entries after %d: got %v, want ErrTrimmed", after, err)
			}
		}
	}
	if got := counts(t, l.Entries(t.Context(), 40)); len(got) != 10 || got[0] != 41 {
		t.Errorf("after the trim: %v", got)
	}
	var out bytes.Buffer
	if err := l.Export(t.Context(), &out, nil); err != nil || strings.Count(out.String(), "\n") != 10 {
		t.Errorf("export: %v\n%s", err, &out)
	}
	if s, err := l.Stats(t.Context()); err != nil || s.First != 41 || s.Last != 50 || s.Records != 10 || !s.FirstTime.Equal(day) {
		t.Errorf("stats: %+v, %v", s, err)
	}
	// All of it, and more than there is.
	if got, err := l.Trim(t.Context(), 1<<60); err != nil || got != 50 {
		t.Errorf("trim all: %d, %v", got, err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	l = open(t, dir, quiet())
	if s, err := l.Stats(t.Context()); err != nil || s.Records != 0 || s.First != 51 || s.Last != 50 || !s.FirstTime.IsZero() {
		t.Errorf("stats: %+v, %v", s, err)
	}
	if last, err := l.Append(t.Context(), small(0)); err != nil || last != 51 {
		t.Errorf("append to an empty log: %d, %v", last, err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Trim(t.Context(), 51); !errors.Is(err, evidence.ErrClosed) {
		t.Errorf("trim after close: %v", err)
	}
}

func TestAClosedLogSaysSo(t *testing.T) {
	t.Parallel()
	l := open(t, t.TempDir(), quiet())
	fill(t, l, 3)
	walk := l.Entries(t.Context(), 0)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	_, aerr := l.Append(t.Context(), small(0))
	_, nerr := l.Append(t.Context())
	_, serr := l.Stats(t.Context())
	_, verr := l.Verify(t.Context(), nil)
	for what, err := range map[string]error{"Append": aerr, "Append of nothing": nerr, "Stats": serr, "Verify": verr, "Close": l.Close()} {
		if !errors.Is(err, evidence.ErrClosed) {
			t.Errorf("%s: got %v, want ErrClosed", what, err)
		}
	}
	for _, err := range walk {
		if !errors.Is(err, evidence.ErrClosed) {
			t.Errorf("Entries: got %v, want ErrClosed", err)
		}
	}
}

func TestCloseServesWhoWasThereAndRefusesTheRest(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	l := open(t, dir, quiet())
	var acked sync.Map
	var wg sync.WaitGroup
	begun := make(chan struct{}, 1000)
	for range 16 {
		wg.Go(func() {
			for {
				seq, err := l.Append(context.Background(), small(1))
				if errors.Is(err, evidence.ErrClosed) {
					return
				} else if err != nil {
					t.Errorf("append: %v", err)
					return
				}
				acked.Store(seq, true)
				select {
				case begun <- struct{}{}:
				default:
				}
			}
		})
	}
	for range 50 {
		<-begun
	}
	// A walk under way does not hold up Close, nor Close the walk.
	for _, err := range l.Entries(t.Context(), 0) {
		if err != nil {
			t.Fatal(err)
		}
		if err := l.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
		break
	}
	wg.Wait()
	l = open(t, dir, quiet())
	defer l.Close()
	acked.Range(func(seq, _ any) bool {
		if seq.(uint64) > l.Last() {
			t.Errorf("sequence %d was acknowledged, the log ends at %d", seq, l.Last())
		}
		return true
	})
}

func TestAnAppendIsBounded(t *testing.T) {
	t.Parallel()
	mem := vfs.NewMem()
	l := open(t, t.TempDir(), quiet().WithFS(mem))
	defer l.Close()
	r := big(0)
	r.Assertion, r.Subject = evidence.RedirectsTo, url("a.example/"+strings.Repeat("x", evidence.MaxKey-10))
	r.Object = r.Subject
	enc, err := r.AppendBinary(nil)
	if err != nil {
		t.Fatal(err)
	}
	n := evidence.MaxAppend / (len(enc) + 3) // three bytes of length
	if _, err := l.Append(t.Context(), slices.Repeat([]evidence.Record{r}, n)...); err != nil {
		t.Errorf("%d records: %v", n, err)
	}
	if _, err := l.Append(t.Context(), slices.Repeat([]evidence.Record{r}, n+1)...); err == nil || !strings.Contains(err.Error(), "more than 64 MiB") {
		t.Errorf("%d records: got %v", n+1, err)
	}
	if l.Last() != uint64(n) {
		t.Errorf("the log ends at %d, want %d", l.Last(), n)
	}
}
