package feed_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"headlight.example/evidence"
	"headlight.example/feed"
)

// world is what a Fetcher touches: a directory, a log, and the logger's text.
type world struct {
	t   testing.TB
	dir string

	mu      sync.Mutex
	said    []evidence.Record
	failing error
	text    bytes.Buffer
}

func newWorld(t testing.TB) *world { return &world{t: t, dir: t.TempDir()} }

func (w *world) append(_ context.Context, records []evidence.Record) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.failing != nil {
		return w.failing
	}
	w.said = append(w.said, records...)
	return nil
}

func (w *world) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.text.Write(p)
}

// heard gives the keys of what was said since the last call.
func (w *world) heard() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var keys []string
	for _, r := range w.said {
		keys = append(keys, r.Subject.Key)
	}
	w.said = nil
	return keys
}

func (w *world) fetcher(transport http.RoundTripper, sources ...feed.Source) *feed.Fetcher {
	w.t.Helper()
	f, err := feed.NewFetcher(feed.FetcherConfig{
		Sources: sources, Dir: filepath.Join(w.dir, "feeds"), Append: w.append, Transport: transport,
		Contact: "https://headlight.example/about",
		Logger:  slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: slog.LevelDebug})),
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return f
}

// leftovers are files of the directory other than those that should be there.
func (w *world) leftovers() []string {
	var others []string
	entries, err := os.ReadDir(filepath.Join(w.dir, "feeds"))
	if err != nil {
		w.t.Fatal(err)
	}
	for _, e := range entries {
		if ext := filepath.Ext(e.Name()); ext != ".state" && ext != ".said" {
			others = append(others, e.Name())
		}
	}
	return others
}

// handler answers requests without a network, as a RoundTripper.
type handler func(w http.ResponseWriter, r *http.Request)

func (h handler) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	rec := httptest.NewRecorder()
	h(rec, r)
	resp := rec.Result()
	resp.Request = r
	return resp, nil
}

func TestFetcherFetchesOnlyWhatChanged(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	list, version := "http://a.example/\nhttp://b.example/\n", `"1"`
	var asked []http.Header
	srv := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.Header.Clone())
		rw.Header().Set("ETag", version)
		rw.Header().Set("Last-Modified", "Sun, 01 Mar 2026 12:00:00 GMT")
		if r.Header.Get("If-None-Match") == version {
			rw.WriteHeader(http.StatusNotModified)
			return
		}
		io.WriteString(rw, list)
	}))
	defer srv.Close()
	source := feed.Source{Name: "phish", Format: "openphish", URL: srv.URL}
	visit := func() {
		t.Helper()
		// Each time as after a restart.
		if err := w.fetcher(nil, source).Visit(t.Context(), "phish"); err != nil {
			t.Fatal(err)
		}
	}
	visit()
	if d := cmp.Diff([]string{"a.example/", "b.example/"}, w.heard()); d != "" {
		t.Error(d)
	}
	if got := asked[0].Get("User-Agent"); got != "Headlight/1 (+https://headlight.example/about)" {
		t.Errorf("User-Agent: %s", got)
	}
	visit()
	if got := asked[1].Get("If-Modified-Since"); len(w.heard()) != 0 || got != "Sun, 01 Mar 2026 12:00:00 GMT" {
		t.Errorf("asked again since %q", got)
	}
	version = `"2"` // and the same text
	visit()
	if got := w.heard(); len(got) != 0 {
		t.Errorf("an unchanged list said %q", got)
	}
	list, version = "http://b.example/\nhttp://c.example/\nx\n", `"3"`
	visit()
	if d := cmp.Diff([]string{"c.example/"}, w.heard()); d != "" {
		t.Errorf("what is new was said: %s", d)
	}
	list, version = "http://a.example/\n", `"4"`
	visit()
	if d := cmp.Diff([]string{"a.example/"}, w.heard()); d != "" {
		t.Errorf("what came back was said: %s", d)
	}
	// The same list, understood in another way, is another list.
	source.Assertion = evidence.Malware
	visit()
	if d := cmp.Diff([]string{"a.example/"}, w.heard()); d != "" {
		t.Error(d)
	}
	if got := w.leftovers(); len(got) != 0 {
		t.Errorf("left behind: %q", got)
	}
	for _, line := range strings.Split(w.text.String(), "\n") {
		if strings.Contains(line, "example/") && !strings.Contains(line, "level=DEBUG") {
			t.Errorf("a link above debug: %s", line)
		}
	}
}

func TestFetcherTakesNothingOfWhatItRefuses(t *testing.T) {
	t.Parallel()
	good := strings.Repeat("http://a.example/\n", 5000)
	tests := []struct {
		name string
		do   http.HandlerFunc
		want string
	}{
		{"an error page", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			io.WriteString(w, "<!DOCTYPE html><title>Down</title>")
		}, "a web page"},
		{"a list that is bad in its second half", func(w http.ResponseWriter, r *http.Request) {
			io.WriteString(w, good+strings.Repeat("mangled\n", 5001))
		}, "not a list of this format"},
		{"a list that breaks off", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", fmt.Sprint(len(good)+1))
			io.WriteString(w, good)
		}, "broke off after 90000 bytes"},
		{"a packed list that breaks off", func(w http.ResponseWriter, r *http.Request) {
			packed := gzipped(t, good)
			w.Header().Set("Content-Type", "application/gzip")
			w.Write(packed[:len(packed)-9])
		}, "unexpected EOF"},
		{"a list without end", func(w http.ResponseWriter, r *http.Request) {
			io.Copy(w, endless{"http://a.example/\n"})
		}, "bigger than 1000000 bytes"},
		{"a list that says itself that it is too big", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "1000001")
		}, "bigger than 1000000 bytes"},
		{"a bomb", func(w http.ResponseWriter, r *http.Request) {
			w.Write(gzipped(t, strings.Repeat(good, 20)))
		}, "bigger than 1000000 bytes"},
		{"no list", http.NotFound, "404 Not Found"},
		{"a key that is wrong", func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(401) }, "is a key missing or wrong?"},
		{"a limit by PhishTank", func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(509) }, "509 Bandwidth Limit Exceeded"},
		{"redirects in a circle", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, r.URL.Path, http.StatusFound)
		}, "redirected more than 5 times"},
		{"a redirect out of the web", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "file:///etc/passwd", http.StatusFound)
		}, "redirected out of the web"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			srv := httptest.NewServer(test.do)
			defer srv.Close()
			err := w.fetcher(nil, feed.Source{Name: "x", Format: "openphish", URL: srv.URL + "/secret/list", MaxBytes: 1_000_000}).Visit(t.Context(), "x")
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
			if got := w.heard(); len(got) != 0 {
				t.Errorf("%d records were said", len(got))
			}
			if got := w.leftovers(); len(got) != 0 {
				t.Errorf("left behind: %q", got)
			}
			if strings.Contains(w.text.String(), "secret") {
				t.Errorf("the URL was logged: %s", w.text.String())
			}
		})
	}
}

func TestFetcherFollowsAFewRedirects(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	srv := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if n := len(r.URL.Path); n < 6 { // "/" to "/xxxxx": five redirects
			http.Redirect(rw, r, r.URL.Path+"x", http.StatusMovedPermanently)
			return
		}
		io.WriteString(rw, "http://a.example/\n")
	}))
	defer srv.Close()
	if err := w.fetcher(nil, feed.Source{Name: "x", Format: "openphish", URL: srv.URL + "/"}).Visit(t.Context(), "x"); err != nil {
		t.Error(err)
	}
	if got := w.heard(); len(got) != 1 {
		t.Errorf("heard %q", got)
	}
}

func TestKeysGoToTheirServerAndNowhereElse(t *testing.T) {
	t.Parallel()
	const headerKey, urlKey = "h3ader-s3cret", "ur1-s3cret"
	w := newWorld(t)
	keys := map[string]string{}
	for name, key := range map[string]string{"header": headerKey, "url": urlKey, "bad": "a b"} {
		keys[name] = filepath.Join(w.dir, name)
		if err := os.WriteFile(keys[name], []byte(key+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var elsewhere []http.Header
	other := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		elsewhere = append(elsewhere, r.Header.Clone())
		io.WriteString(rw, "http://a.example/\n")
	}))
	defer other.Close()
	var got []string
	status := http.StatusFound
	srv := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		got = append(got, r.Header.Get("Auth-Key"), r.URL.RawQuery)
		if status == http.StatusFound {
			http.Redirect(rw, r, strings.Replace(other.URL, "127.0.0.1", "localhost", 1), status)
			return
		}
		rw.WriteHeader(status)
		fmt.Fprintf(rw, "bad key %s %s\n", r.Header.Get("Auth-Key"), r.URL)
	}))
	defer srv.Close()
	source := feed.Source{
		Name: "x", Format: "openphish", URL: srv.URL + "/?auth-key={key}", KeyFile: keys["url"],
		Header: map[string]string{"Auth-Key": keys["header"]},
	}
	if err := w.fetcher(nil, source).Visit(t.Context(), "x"); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string{headerKey, "auth-key=" + urlKey}, got); d != "" {
		t.Error(d)
	}
	for _, h := range elsewhere {
		if text := fmt.Sprint(h); strings.Contains(text, "s3cret") {
			t.Errorf("another server was told %s", text)
		}
	}
	if len(elsewhere) != 1 {
		t.Errorf("%d requests to the other server", len(elsewhere))
	}
	// However it goes wrong, no key is logged.
	f := w.fetcher(nil, source)
	for _, status = range []int{http.StatusOK, http.StatusForbidden} {
		if err := f.Visit(t.Context(), "x"); err == nil {
			t.Error("an error page passed for a list")
		}
	}
	srv.Close()
	if err := f.Visit(t.Context(), "x"); err == nil || strings.Contains(err.Error(), "s3cret") {
		t.Errorf("a server that is down: %v", err)
	}
	source.KeyFile = keys["bad"]
	if err := w.fetcher(nil, source).Visit(t.Context(), "x"); err == nil || strings.Contains(err.Error(), "a b") {
		t.Errorf("a key that a URL cannot hold: %v", err)
	}
	source.KeyFile = filepath.Join(w.dir, "none")
	if err := w.fetcher(nil, source).Visit(t.Context(), "x"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a key file that is missing: %v", err)
	}
	for _, e := range []string{"x.state", "x.said"} {
		b, err := os.ReadFile(filepath.Join(w.dir, "feeds", e))
		if err != nil || bytes.Contains(b, []byte("s3cret")) {
			t.Errorf("%s: %v, %q", e, err, b)
		}
	}
	if strings.Contains(w.text.String(), "s3cret") {
		t.Errorf("a key was logged:\n%s", w.text.String())
	}
}

func TestWhatWasNotAppendedIsSaidAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	f := w.fetcher(handler(func(rw http.ResponseWriter, r *http.Request) {
		if r.Header.Get("If-None-Match") != "" {
			t.Error("asked for changes to a list that was not taken")
		}
		rw.Header().Set("ETag", "1")
		io.WriteString(rw, "http://a.example/\nhttp://a.example/\n")
	}), feed.Source{Name: "x", Format: "openphish", URL: "https://lists.example/"})
	w.failing = errors.New("disk full")
	if err := f.Visit(t.Context(), "x"); !errors.Is(err, w.failing) {
		t.Errorf("got %v", err)
	}
	w.failing = nil
	if err := f.Visit(t.Context(), "x"); err != nil {
		t.Error(err)
	}
	if d := cmp.Diff([]string{"a.example/"}, w.heard()); d != "" {
		t.Errorf("a link listed twice is said once: %s", d)
	}
}

func TestFilesAreReadWhenTheyChange(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	path := filepath.Join(w.dir, "list.txt")
	write := func(text string, mtime time.Time) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, mtime, mtime); err != nil {
			t.Fatal(err)
		}
	}
	source := feed.Source{Name: "ours", Format: "domains", File: path, Assertion: evidence.Phishing, MaxBytes: 100}
	visit := func() error { return w.fetcher(nil, source).Visit(t.Context(), "ours") }
	if err := visit(); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
	write("a.example\n", now)
	for range 2 {
		if err := visit(); err != nil {
			t.Fatal(err)
		}
	}
	if d := cmp.Diff([]string{"a.example"}, w.heard()); d != "" {
		t.Error(d)
	}
	write("b.example\n", now) // the same size at the same time: not looked at
	if err := visit(); err != nil || len(w.heard()) != 0 {
		t.Errorf("an unchanged time: %v", err)
	}
	write("b.example\n", now.Add(time.Second))
	if err := visit(); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string{"b.example"}, w.heard()); d != "" {
		t.Error(d)
	}
	write(strings.Repeat("#", 101), now)
	if _, ok := errors.AsType[*feed.SizeError](visit()); !ok {
		t.Error("a file over the bound was read")
	}
	write(strings.Repeat("#", 100), now)
	if err := visit(); err != nil {
		t.Errorf("a file at the bound: %v", err)
	}
	source.File = w.dir
	if err := visit(); err == nil || !strings.Contains(err.Error(), "not a regular file") {
		t.Errorf("a directory: %v", err)
	}
	if b, err := os.ReadFile(path); err != nil || len(b) != 100 {
		t.Errorf("the operator's file: %d bytes, %v", len(b), err)
	}
}

func TestRunKeepsTime(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		var visits []time.Duration
		answer := func(rw http.ResponseWriter) { io.WriteString(rw, "http://a.example/\n") }
		f := w.fetcher(handler(func(rw http.ResponseWriter, r *http.Request) {
			visits = append(visits, time.Since(start))
			answer(rw)
		}), feed.Source{Name: "x", Format: "openphish", URL: "https://lists.example/", Every: time.Hour})
		run := func(d time.Duration) []time.Duration {
			ctx, cancel := context.WithTimeout(t.Context(), d)
			defer cancel()
			visits = nil
			if err := f.Run(ctx); err != nil {
				t.Error(err)
			}
			return visits
		}
		got := run(5 * time.Hour)
		if len(got) < 4 || len(got) > 5 || got[0] > 10*time.Second {
			t.Errorf("visits after %v", got)
		}
		for i := range got[1:] {
			if gap := got[i+1] - got[i]; gap < time.Hour || gap > 66*time.Minute {
				t.Errorf("%v between visits", gap)
			}
		}
		// A restart does not bring the next one forward.
		last := got[len(got)-1]
		got = run(2 * time.Hour)
		if len(got) == 0 || got[0]-last < time.Hour {
			t.Errorf("after the restart, visits at %v; before it, at %v", got, last)
		}
		// Errors: 5, 10, 20 minutes … and what the server asks for.
		time.Sleep(time.Hour)
		answer = func(rw http.ResponseWriter) { rw.WriteHeader(500) }
		got = run(36 * time.Hour)
		wait := 5 * time.Minute
		for i := range got[1:] {
			if gap := got[i+1] - got[i]; gap < wait || gap > wait+wait/10 {
				t.Errorf("%v after failure %d, want %v", gap, i+1, wait)
			}
			wait = min(2*wait, 6*time.Hour)
		}
		if len(got) < 9 {
			t.Errorf("only %d visits", len(got))
		}
		st := f.Status()[0]
		if st.Name != "x" || st.Failures == 0 || st.Err == nil || !st.Next.After(st.Tried) || st.Read.After(st.Tried) {
			t.Errorf("status: %+v", st)
		}
		for _, test := range []struct {
			code        int
			name, value string
			want        time.Duration
		}{
			{503, "Retry-After", time.Now().Add(30 * time.Hour).UTC().Format(http.TimeFormat), 24 * time.Hour},
			{429, "Retry-After", "7200", 2 * time.Hour},
			{509, "X-Request-Limit-Interval", "10800", 3 * time.Hour},
			{429, "Retry-After", "soon", 5 * time.Minute},
		} {
			f = w.fetcher(handler(func(rw http.ResponseWriter, r *http.Request) {
				visits = append(visits, time.Since(start))
				rw.Header().Set(test.name, test.value)
				rw.WriteHeader(test.code)
			}), feed.Source{Name: "y", Format: "openphish", URL: "https://lists.example/", Every: time.Hour})
			if got = run(30 * time.Hour); len(got) < 2 || got[1]-got[0] < test.want || got[1]-got[0] > test.want+test.want/10 {
				t.Errorf("%d with %s: %s: visits at %v, want %v between", test.code, test.name, test.value, got, test.want)
			}
		}
	})
}

// claims are what machines share: who may do something, and until when.
type claims struct {
	mu  sync.Mutex
	who map[string]int
	end map[string]time.Time
}

func (c *claims) of(machine int) func(context.Context, string, time.Duration) (bool, error) {
	return func(_ context.Context, source string, d time.Duration) (bool, error) {
		c.mu.Lock()
		defer c.mu.Unlock()
		if machine != c.who[source] && time.Now().Before(c.end[source]) {
			return false, nil
		}
		c.who[source], c.end[source] = machine, time.Now().Add(d)
		return true, nil
	}
}

func TestOneOfManyMachinesVisits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		shared := &claims{who: map[string]int{}, end: map[string]time.Time{}}
		type visit struct {
			machine int
			at      time.Time
		}
		var mu sync.Mutex
		var visits []visit
		stop := make([]context.CancelFunc, 3)
		var running sync.WaitGroup
		for m := range stop {
			f, err := feed.NewFetcher(feed.FetcherConfig{
				Sources: []feed.Source{{Name: "x", Format: "openphish", URL: "https://lists.example/", Every: time.Hour}},
				Dir:     t.TempDir(), Append: func(context.Context, []evidence.Record) error { return nil }, Claim: shared.of(m + 1),
				Logger: slog.New(slog.DiscardHandler),
				Transport: handler(func(rw http.ResponseWriter, r *http.Request) {
					mu.Lock()
					visits = append(visits, visit{m, time.Now()})
					mu.Unlock()
					io.WriteString(rw, "http://a.example/\n")
				}),
			})
			if err != nil {
				t.Fatal(err)
			}
			var ctx context.Context
			ctx, stop[m] = context.WithCancel(t.Context())
			running.Go(func() { f.Run(ctx) })
		}
		made := func() []visit {
			time.Sleep(12 * time.Hour)
			mu.Lock()
			defer mu.Unlock()
			return slices.Clone(visits)
		}
		before := made()
		if n := len(before); n < 11 || n > 12 {
			t.Errorf("three machines made %d visits in 12 hours, want as many as one", n)
		}
		first := before[0].machine
		for _, v := range before {
			if v.machine != first {
				t.Errorf("machine %d visits beside machine %d", v.machine, first)
			}
		}
		stop[first]() // its claim goes on for up to 2.1 hours
		died := time.Now()
		after := made()[len(before):]
		if len(after) < 8 || after[0].machine == first || after[0].at.Sub(died) > 4*time.Hour {
			t.Errorf("when that one had gone at %v: %v", died, after)
		}
		for m := range stop {
			stop[m]()
		}
		running.Wait()
	})
}

// trickle is a body that gives a byte every so often, and then stops.
type trickle struct {
	ctx   context.Context
	every time.Duration
}

func (b *trickle) Read(p []byte) (int, error) {
	select {
	case <-b.ctx.Done():
		return 0, b.ctx.Err()
	case <-time.After(b.every):
		return copy(p, "#"), nil
	}
}
func (b *trickle) Close() error { return nil }

type transport func(*http.Request) (*http.Response, error)

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestSlowServersAreLeft(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name  string
		every time.Duration
		after time.Duration
		want  string
	}{
		{"stalled", time.Hour, feed.StallTimeout, "nothing came for 1m0s"},
		{"trickling", 50 * time.Second, feed.VisitTimeout, "the visit took too long"},
	} {
		w := newWorld(t)
		synctest.Test(t, func(t *testing.T) {
			begun := time.Now()
			err := w.fetcher(transport(func(r *http.Request) (*http.Response, error) {
				return &http.Response{StatusCode: 200, ContentLength: -1, Body: &trickle{r.Context(), test.every}, Request: r}, nil
			}), feed.Source{Name: "x", Format: "openphish", URL: "https://lists.example/"}).Visit(t.Context(), "x")
			if err == nil || !strings.Contains(err.Error(), test.want) || time.Since(begun) != test.after {
				t.Errorf("%s: left after %v: %v", test.name, time.Since(begun), err)
			}
		})
	}
}

func TestListedWithoutADateIsSaidWeekly(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	synctest.Test(t, func(t *testing.T) {
		day := 0
		f := w.fetcher(handler(func(rw http.ResponseWriter, r *http.Request) {
			fmt.Fprintf(rw, "http://a.example/\n# day %d\n", day)
		}), feed.Source{Name: "x", Format: "openphish", URL: "https://lists.example/"})
		var said []int
		for ; day < 16; day++ {
			if err := f.Visit(t.Context(), "x"); err != nil {
				t.Fatal(err)
			}
			if len(w.heard()) > 0 {
				said = append(said, day)
			}
			time.Sleep(24 * time.Hour)
		}
		if !slices.Equal(said, []int{0, 7, 14}) {
			t.Errorf("said on days %v", said)
		}
	})
}

func TestDatedEntriesAreSaidOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	synctest.Test(t, func(t *testing.T) {
		day := 0
		f := w.fetcher(handler(func(rw http.ResponseWriter, r *http.Request) {
			fmt.Fprintf(rw, "# day %d\n\"1\",\"1999-12-26 11:51:06\",\"http://a.example/8\",\"offline\",\"malware_download\",\"None\",\"l\",\"b\"\n", day)
		}), feed.Source{Name: "x", Format: "urlhaus-csv", URL: "https://lists.example/", Rater: "feed/urlhaus"})
		for ; day < 16; day++ {
			if err := f.Visit(t.Context(), "x"); err != nil {
				t.Fatal(err)
			}
			time.Sleep(24 * time.Hour)
		}
		if got := w.heard(); len(got) != 1 {
			t.Errorf("said %d times", len(got))
		}
	})
}

func TestATornStateIsNoState(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	source := feed.Source{Name: "x", Format: "openphish", URL: "https://lists.example/"}
	list := handler(func(rw http.ResponseWriter, r *http.Request) { io.WriteString(rw, "http://a.example/\n") })
	for _, name := range []string{"", "x.state", "x.said"} {
		if name != "" {
			path := filepath.Join(w.dir, "feeds", name)
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, b[:len(b)-2], 0o600); err != nil {
				t.Fatal(err)
			}
			if name == "x.said" { // else the list is known to be unchanged
				os.Remove(filepath.Join(w.dir, "feeds", "x.state"))
			}
		}
		if err := w.fetcher(list, source).Visit(t.Context(), "x"); err != nil {
			t.Fatal(err)
		}
		if got := w.heard(); len(got) != 1 {
			t.Errorf("with a torn %q: said %q", name, got)
		}
	}
	b := feed.EncodeSaid(map[uint64]uint32{1: 2})
	for i := range b {
		b[i] ^= 1
		if feed.DecodeSaid(b) != nil {
			t.Errorf("a flipped byte %d went unnoticed", i)
		}
		b[i] ^= 1
	}
}

func TestRunRemovesLeftoversAndStops(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	dir := filepath.Join(w.dir, "feeds")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"x.body-1", "x.said.new-2", "x.state.new-3"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		// The server never answers; the visit ends with the run.
		err := w.fetcher(transport(func(r *http.Request) (*http.Response, error) {
			<-r.Context().Done()
			return nil, r.Context().Err()
		}), feed.Source{Name: "x", Format: "openphish", URL: "https://lists.example/"}).Run(ctx)
		if err != nil {
			t.Error(err)
		}
	})
	if got := w.leftovers(); len(got) != 0 {
		t.Errorf("left behind: %q", got)
	}
}

func TestNewFetcherChecksSources(t *testing.T) {
	t.Parallel()
	ok := feed.Source{Name: "x", Format: "openphish", URL: "https://lists.example/"}
	with := func(change func(*feed.Source)) []feed.Source {
		s := ok
		change(&s)
		return []feed.Source{s}
	}
	tests := []struct {
		sources []feed.Source
		want    string
	}{
		{with(func(s *feed.Source) { s.Name = "../x" }), "small letters"},
		{with(func(s *feed.Source) { s.Name = "" }), "small letters"},
		{with(func(s *feed.Source) { s.Name = strings.Repeat("x", 65) }), "small letters"},
		{with(func(s *feed.Source) { s.Name = strings.Repeat("x", 64) }), ""},
		{with(func(s *feed.Source) { s.Format = "openfish" }), `did you mean "openphish"?`},
		{with(func(s *feed.Source) { s.Format = "hosts" }), "set assertion"},
		{with(func(s *feed.Source) { s.Format, s.Assertion = "hosts", evidence.Spam }), ""},
		{with(func(s *feed.Source) { s.URL = "" }), "either url or file"},
		{with(func(s *feed.Source) { s.File = "/x" }), "either url or file"},
		{with(func(s *feed.Source) { s.URL = "ftp://lists.example/" }), "http or https"},
		{with(func(s *feed.Source) { s.URL = "https:///x" }), "http or https"},
		{with(func(s *feed.Source) { s.KeyFile = "/x" }), "go together"},
		{with(func(s *feed.Source) { s.URL += "{key}" }), "go together"},
		{with(func(s *feed.Source) { s.Rater = "x" }), "rater"},
		{with(func(s *feed.Source) { s.Every = -1 }), "below zero"},
		{[]feed.Source{ok, ok}, "named twice"},
		{nil, ""},
	}
	for _, test := range tests {
		_, err := feed.NewFetcher(feed.FetcherConfig{Sources: test.sources, Dir: "x", Append: newWorld(t).append})
		if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%+v: %v, want %q", test.sources, err, test.want)
		}
	}
	if _, err := feed.NewFetcher(feed.FetcherConfig{}); err == nil {
		t.Error("a fetcher without a log")
	}
}
