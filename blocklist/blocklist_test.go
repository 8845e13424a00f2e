package blocklist_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"headlight.example"
	"headlight.example/blocklist"
	"headlight.example/evidence"
	"headlight.example/reputation"
)

// world is a service and its publisher.
type world struct {
	t   *testing.T
	dir string
	svc *headlight.Service
	pub *blocklist.Publisher
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, dir: t.TempDir()}
	var err error
	if w.svc, err = headlight.Open(t.Context(), headlight.Config{Dir: filepath.Join(w.dir, "data")}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.svc.Close() })
	w.open()
	return w
}

func (w *world) open() {
	w.t.Helper()
	var err error
	if w.pub, err = blocklist.Open(blocklist.Config{Dir: filepath.Join(w.dir, "editions"), Source: w.svc, Logger: slog.New(slog.DiscardHandler)}); err != nil {
		w.t.Fatal(err)
	}
}

// say puts words into the log: rater, kind, key and assertion of each.
func (w *world) say(words ...string) {
	w.t.Helper()
	var records []evidence.Record
	for _, word := range words {
		f := strings.Fields(word)
		kind, err := evidence.ParseKind(f[1])
		if err != nil {
			w.t.Fatal(err)
		}
		a, err := evidence.ParseAssertion(f[3])
		if err != nil {
			w.t.Fatal(err)
		}
		records = append(records, evidence.Record{Rater: f[0], Subject: evidence.Subject{Kind: kind, Key: f[2]}, Assertion: a})
	}
	if _, err := w.svc.Append(w.t.Context(), records...); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) publish() *blocklist.Edition {
	w.t.Helper()
	e, err := w.pub.Publish(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	return e
}

// list gives entries as "kind expression threat", without the test points.
func list(entries []blocklist.Entry) []string {
	got := []string{}
	for i := range entries {
		if e := &entries[i]; e.Domain() != "headlight.example" {
			got = append(got, fmt.Sprint(e.Kind, " ", e.Expression, " ", e.Threat))
		}
	}
	return got
}

func TestWhatIsPublished(t *testing.T) {
	t.Parallel()
	for _, x := range []struct {
		name string
		say  []string
		want []string
	}{
		{"nothing is known", nil, nil},
		{"a listed URL is published as it is", []string{"feed/a url bad.test/x?y phishing"}, []string{"url bad.test/x?y phishing"}},
		{"a listed front page says nothing of what lies below", []string{"feed/a url bad.test/ malware"}, []string{"url bad.test/ malware"}},
		{"a listed host is a name", []string{"feed/a host www.bad.test malware"}, []string{"name www.bad.test/ malware"}},
		{"a listed domain is a name", []string{"feed/a domain bad.test spam"}, []string{"name bad.test/ spam"}},
		{"a host and its front page are one entry", []string{"feed/a host bad.test malware", "feed/a url bad.test/ malware"}, []string{"name bad.test/ malware"}},
		{"a listed path is a path", []string{"feed/a path bad.test/kit/ phishing"}, []string{"path bad.test/kit/ phishing"}},
		{"many URLs make the host one", []string{
			"feed/a url bad.test/a/1 phishing", "feed/b url bad.test/b/2 phishing", "feed/c url bad.test/c/3 phishing",
			"feed/a url bad.test/d/4 phishing", "feed/b url bad.test/e/5 phishing"},
			[]string{"name bad.test/ phishing", "url bad.test/a/1 phishing", "url bad.test/b/2 phishing", "url bad.test/c/3 phishing",
				"url bad.test/d/4 phishing", "url bad.test/e/5 phishing"}},
		{"the customer of a platform is a name", []string{"feed/a host someone.github.io phishing"}, []string{"name someone.github.io/ phishing"}},
		{"a platform is not", []string{"feed/a host github.io phishing", "operator/o domain github.io phishing", "operator/o url github.io/ phishing"}, nil},
		{"a public suffix is not", []string{"operator/o host co.uk phishing", "operator/o url co.uk/ phishing"}, nil},
		{"a well-known name is not, not even by an operator", []string{"operator/o host www.google.com malware", "operator/o domain google.com malware", "operator/o url google.com/ malware"}, nil},
		{"a page on a well-known name is, by an operator's word", []string{"operator/o url www.google.com/bad/page malware"}, []string{"url www.google.com/bad/page malware"}},
		{"the customer of a path platform is a path", []string{"operator/o tenant docs.google.com/document/d/x phishing"}, []string{"path docs.google.com/document/d/x/ phishing"}},
		{"a path above customers is not", []string{"operator/o path docs.google.com/document/ phishing"}, nil},
		{"a host with customers in paths is not", []string{"operator/o host sites.google.com phishing"}, nil},
		{"an address by one feed is not", []string{"feed/a addr 192.0.2.7 malware"}, nil},
		{"an address by two feeds is", []string{"feed/a addr 192.0.2.7 malware", "feed/b addr 192.0.2.7 malware"}, []string{"address 192.0.2.7/ malware"}},
		{"an address by an operator is", []string{"operator/o addr 2001:db8::7 malware"}, []string{"address [2001:db8::7]/ malware"}},
		{"a private address is not", []string{"operator/o addr 10.0.0.7 malware"}, nil},
		{"networks are not", []string{"operator/o prefix 192.0.2.0/24 malware", "operator/o as 64500 malware"}, nil},
		{"a URL on an address by one feed is", []string{"feed/a url 192.0.2.7/x malware"}, []string{"url 192.0.2.7/x malware"}},
		{"a URL that names its reader is not", []string{"feed/a url bad.test/x?m=ann@mail.example phishing"}, nil},
		{"a user's report is not", []string{"user/u url bad.test/x phishing"}, nil},
		{"what was retracted is not", []string{"feed/a url bad.test/x phishing", "feed/a url bad.test/x retracted"}, nil},
		{"what an operator calls good is not", []string{"feed/a url bad.test/x phishing", "operator/o url bad.test/x benign"}, nil},
		{"the bare name of a machine is not", []string{"operator/o host printer malware"}, nil},
	} {
		t.Run(x.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.say(x.say...)
			want := x.want
			if want == nil {
				want = []string{}
			}
			if diff := cmp.Diff(want, list(w.publish().Entries())); diff != "" {
				t.Errorf("published (-want +got):\n%s", diff)
			}
		})
	}
}

// The test points are always there, so that an installation can be tried.
func TestPointsAreListed(t *testing.T) {
	t.Parallel()
	var got []string
	for _, e := range newWorld(t).publish().Entries() {
		got = append(got, e.Expression+" "+e.Threat.String())
	}
	want := []string{"malware.headlight.example/ malware", "phishing.headlight.example/ phishing", "spam.headlight.example/ spam", "unwanted.headlight.example/ unwanted"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestEditions(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	first := w.publish()
	if again := w.publish(); again != first {
		t.Error("nothing changed, and there is another edition")
	}
	w.say("feed/a url one.test/x phishing", "feed/a url two.test/x phishing")
	second := w.publish()
	if second.Serial() <= first.Serial() {
		t.Errorf("serial %d after %d", second.Serial(), first.Serial())
	}
	w.say("feed/a url one.test/x retracted", "feed/a url three.test/x malware")
	third := w.publish()
	if diff := cmp.Diff([]string{"url three.test/x malware", "url two.test/x phishing"}, list(third.Entries())); diff != "" {
		t.Errorf("third edition (-want +got):\n%s", diff)
	}
	w.say("operator/o url two.test/x malware")
	fourth := w.publish()

	shelf := w.pub.Shelf()
	if shelf.Latest() != fourth {
		t.Error("the shelf has another edition than the newest")
	}
	for _, x := range []struct {
		name           string
		from, to       *blocklist.Edition
		removed, added []string
	}{
		{"to itself", second, second, []string{}, []string{}},
		{"one step", first, second, []string{}, []string{"url one.test/x phishing", "url two.test/x phishing"}},
		{"what came and went is in no difference", first, third, []string{}, []string{"url three.test/x malware", "url two.test/x phishing"}},
		{"another threat is out and in", third, fourth, []string{"url two.test/x phishing"}, []string{"url two.test/x malware"}},
		{"all", first, fourth, []string{}, []string{"url three.test/x malware", "url two.test/x malware"}},
	} {
		d, ok := shelf.Between(x.from.Serial(), x.to.Serial())
		if !ok {
			t.Errorf("%s: no difference", x.name)
			continue
		}
		if diff := cmp.Diff(x.removed, list(d.Removed)); diff != "" {
			t.Errorf("%s: removed (-want +got):\n%s", x.name, diff)
		}
		if diff := cmp.Diff(x.added, list(d.Added)); diff != "" {
			t.Errorf("%s: added (-want +got):\n%s", x.name, diff)
		}
	}
	for _, serial := range []uint32{0, first.Serial() - 1, fourth.Serial() + 1} {
		if _, ok := shelf.Since(serial); ok {
			t.Errorf("there is a difference since %d, which never was", serial)
		}
	}
	if _, ok := shelf.Between(fourth.Serial(), first.Serial()); ok {
		t.Error("there is a difference backwards")
	}
}

// A policy that is changed while running is in the next edition.
func TestPolicyChanges(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.say("feed/a host bad.test malware")
	w.publish()
	p := reputation.DefaultPolicy()
	p.Allow = map[string]bool{"bad.test": true}
	p.Deny = map[string]bool{"denied.test": true}
	w.svc.SetPolicy(p)
	if diff := cmp.Diff([]string{"name denied.test/ unwanted"}, list(w.publish().Entries())); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	w.svc.SetPolicy(nil)
	if diff := cmp.Diff([]string{"name bad.test/ malware"}, list(w.publish().Entries())); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// After a restart the shelf is as it was, and the log is read on from there.
func TestRestart(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	first := w.publish()
	w.say("feed/a url one.test/x phishing", "feed/a host many.test malware")
	second := w.publish()
	if err := w.pub.Save(); err != nil {
		t.Fatal(err)
	}
	w.open()
	got := w.pub.Shelf().Latest()
	if got == nil || got.Serial() != second.Serial() || !got.Made().Equal(second.Made()) || !slices.Equal(got.Entries(), second.Entries()) {
		t.Fatalf("got %+v, want %+v", got, second)
	}
	if e := w.publish(); e.Serial() != second.Serial() {
		t.Error("nothing changed, and there is another edition")
	}
	w.say("feed/a url one.test/x retracted")
	third := w.publish()
	if third.Serial() <= second.Serial() {
		t.Errorf("serial %d after %d", third.Serial(), second.Serial())
	}
	d, ok := w.pub.Shelf().Since(first.Serial())
	if diff := cmp.Diff([]string{"name many.test/ malware"}, list(d.Added)); !ok || diff != "" {
		t.Errorf("since the first edition: %v, added (-want +got):\n%s", ok, diff)
	}
}

// A file that is damaged, in whatever place, or gone costs the differences only.
func TestDamagedFile(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.say("feed/a url one.test/x phishing")
	old := w.publish()
	if err := w.pub.Save(); err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(w.dir, "editions", "editions")
	whole, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	damage := [][]byte{nil, whole[:10], whole[:len(whole)-1], append(slices.Clone(whole), 0)}
	for i := range whole {
		b := slices.Clone(whole)
		b[i] ^= 0x10
		damage = append(damage, b)
	}
	for i, b := range damage {
		if err := os.WriteFile(name, b, 0o600); err != nil {
			t.Fatal(err)
		}
		w.open()
		if w.pub.Shelf().Latest() != nil {
			t.Fatalf("damage %d was not noticed", i)
		}
	}
	if e := w.publish(); e.Serial() < old.Serial() || len(list(e.Entries())) != 1 {
		t.Errorf("after damage: serial %d after %d, entries %q", e.Serial(), old.Serial(), list(e.Entries()))
	}
}

func TestWait(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	got := make(chan *blocklist.Edition)
	go func() {
		var last uint32
		for {
			e, err := w.pub.Shelf().Wait(t.Context(), last)
			if err != nil {
				close(got)
				return
			}
			last = e.Serial()
			got <- e
		}
	}()
	if e := w.publish(); <-got != e {
		t.Error("waited for another edition")
	}
	w.say("feed/a url one.test/x phishing")
	if e := w.publish(); <-got != e {
		t.Error("waited for another edition")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := w.pub.Shelf().Wait(ctx, w.pub.Shelf().Latest().Serial()); err != context.Canceled {
		t.Errorf("got error %v", err)
	}
}

// Any number of readers may look while editions are made.
func TestReadersBesidePublisher(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.publish()
	done := make(chan struct{})
	defer close(done)
	for range 4 {
		go func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				for _, serial := range w.pub.Shelf().Serials() {
					if d, ok := w.pub.Shelf().Since(serial); ok && d.To == nil {
						panic("a difference without an end")
					}
				}
			}
		}()
	}
	for i := range 50 {
		w.say(fmt.Sprintf("feed/a url bad%d.test/x phishing", i))
		if got := len(list(w.publish().Entries())); got != i+1 {
			t.Fatalf("%d entries, want %d", got, i+1)
		}
	}
}

// Run writes the edition when it ends.
func TestRunSaves(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx, cancel := context.WithCancel(t.Context())
	end := make(chan error)
	go func() { end <- w.pub.Run(ctx) }()
	e, err := w.pub.Shelf().Wait(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := <-end; err != nil {
		t.Fatal(err)
	}
	w.open()
	if got := w.pub.Shelf().Latest(); got == nil || got.Serial() != e.Serial() {
		t.Errorf("got %v, want the edition %d", got, e.Serial())
	}
}

func TestNamesReader(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]bool{
		"/x?m=ann@mail.example":  true,
		"/ann.b@mail-1.example/": true,
		"/@ann":                  false,
		"/@@a@b@c.d":             true,
		"/a@b":                   false,
		"/a@.b":                  false,
		"/a@b.":                  false,
		"/npm/jquery@3.1":        true, // a version looks like a host
		"/":                      false,
		"":                       false,
	} {
		if got := blocklist.NamesReader(s); got != want {
			t.Errorf("%q: got %v, want %v", s, got, want)
		}
	}
}

// What can be read is written as it was.
func FuzzFile(f *testing.F) {
	f.Add(sampleFile(f))
	f.Add("")
	dir := f.TempDir() // nothing is written there
	f.Fuzz(func(t *testing.T, body string) {
		p, err := blocklist.Open(blocklist.Config{Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		if p.DecodeBody(body) != nil {
			if p.Shelf().Latest() != nil {
				t.Error("half a file was taken over")
			}
			return
		}
		again := p.EncodeBody()
		q, err := blocklist.Open(blocklist.Config{Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		if err := q.DecodeBody(again); err != nil {
			t.Fatalf("written and not read: %v", err)
		}
		if q.EncodeBody() != again {
			t.Error("read and written is another")
		}
	})
}

// sampleFile gives the body of a file with some of everything.
func sampleFile(f *testing.F) string {
	svc, err := headlight.Open(f.Context(), headlight.Config{Dir: f.TempDir()})
	if err != nil {
		f.Fatal(err)
	}
	defer svc.Close()
	p, err := blocklist.Open(blocklist.Config{Dir: f.TempDir(), Source: svc})
	if err != nil {
		f.Fatal(err)
	}
	for _, a := range []evidence.Assertion{evidence.Phishing, evidence.Retracted, evidence.Malware} {
		for _, key := range []string{"a.test/x", "b.test/y"} {
			if _, err := svc.Append(f.Context(), evidence.Record{Rater: "feed/a", Subject: evidence.Subject{Kind: evidence.URL, Key: key}, Assertion: a}); err != nil {
				f.Fatal(err)
			}
		}
		if _, err := p.Publish(f.Context()); err != nil {
			f.Fatal(err)
		}
	}
	return p.EncodeBody()
}

// live is the heap in use.
func live() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// A million URLs on 300,000 sites: the first pass, a pass with a thousand words
// since the last, and the whole way of a difference.
func BenchmarkPublish(b *testing.B) {
	for _, n := range []int{100_000, 1_000_000} {
		b.Run(fmt.Sprintf("%dK", n/1000), func(b *testing.B) {
			svc, err := headlight.Open(b.Context(), headlight.Config{Dir: b.TempDir()})
			if err != nil {
				b.Fatal(err)
			}
			defer svc.Close()
			word := func(i int, a evidence.Assertion) evidence.Record {
				key := fmt.Sprintf("www.site%d.test/login/page%d.html", i*3/10, i)
				return evidence.Record{Rater: "feed/a", Subject: evidence.Subject{Kind: evidence.URL, Key: key}, Assertion: a}
			}
			records := make([]evidence.Record, 0, 1000)
			for i := range n {
				if records = append(records, word(i, evidence.Phishing)); len(records) == cap(records) {
					if _, err := svc.Append(b.Context(), records...); err != nil {
						b.Fatal(err)
					}
					records = records[:0]
				}
			}
			b.Run("first", func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					p, err := blocklist.Open(blocklist.Config{Dir: b.TempDir(), Source: svc})
					if err != nil {
						b.Fatal(err)
					}
					if e, err := p.Publish(b.Context()); err != nil || e.Len() < n {
						b.Fatal(e.Len(), err)
					}
				}
			})
			before := live()
			p, err := blocklist.Open(blocklist.Config{Dir: b.TempDir(), Source: svc})
			if err != nil {
				b.Fatal(err)
			}
			first, err := p.Publish(b.Context())
			if err != nil {
				b.Fatal(err)
			}
			memory := float64(live()-before) / float64(n)
			b.Run("unchanged", func(b *testing.B) {
				for b.Loop() {
					if _, err := p.Publish(b.Context()); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(memory, "live-B/entry")
			})
			b.Run("1000_changed", func(b *testing.B) {
				a := evidence.Retracted
				var spent time.Duration
				for b.Loop() {
					records = records[:0]
					for i := range 1000 {
						records = append(records, word(i*(n/1000), a))
					}
					if _, err := svc.Append(b.Context(), records...); err != nil {
						b.Fatal(err)
					}
					start := time.Now()
					if _, err := p.Publish(b.Context()); err != nil {
						b.Fatal(err)
					}
					spent += time.Since(start)
					a = evidence.Phishing + evidence.Retracted - a
				}
				b.ReportMetric(float64(spent.Milliseconds())/float64(b.N), "ms/edition")
			})
			b.Run("difference", func(b *testing.B) {
				for b.Loop() {
					p.Shelf().Since(first.Serial())
				}
			})
			b.Run("save", func(b *testing.B) {
				var size int
				for b.Loop() {
					size = len(p.EncodeBody())
				}
				b.ReportMetric(float64(size)/float64(n), "B/entry")
			})
		})
	}
}
