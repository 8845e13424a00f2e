package rdap_test

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"headlight.example/rdap"
)

// registry is a registry on loopback, and IANA beside it.
type registry struct {
	*httptest.Server
	mu    sync.Mutex
	asked []string // paths
	files int      // how often IANA's file was fetched

	answer func(w http.ResponseWriter, r *http.Request) // of a question
	file   func(w http.ResponseWriter)                  // nil: a good one
}

func newRegistry(t *testing.T, answer func(w http.ResponseWriter, r *http.Request)) *registry {
	t.Helper()
	x := &registry{answer: answer}
	x.Server = httptest.NewUnstartedServer(x)
	x.Config.ErrorLog = log.New(io.Discard, "", 0) // clients that hang up
	x.StartTLS()
	t.Cleanup(x.Close)
	return x
}

func (x *registry) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/dns.json" {
		x.mu.Lock()
		x.files++
		file := x.file
		x.mu.Unlock()
		if file != nil {
			file(w)
			return
		}
		fmt.Fprintf(w, `{"version":"1.0","services":[[["example"],["http://127.0.0.1:1/","%s/rdap/"]],[["old"],["http://127.0.0.1:1/"]]]}`, x.URL)
		return
	}
	x.mu.Lock()
	x.asked = append(x.asked, r.URL.Path)
	x.mu.Unlock()
	x.answer(w, r)
}

func (x *registry) questions() []string {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.asked
}

// config lets this server be asked, and no other one: what a guard against
// addresses that are not public does with all of loopback.
func (x *registry) config(t *testing.T) rdap.Config {
	t.Helper()
	pool := x509.NewCertPool()
	pool.AddCert(x.Certificate())
	return rdap.Config{
		Agent: "Headlight/1 (+https://check.example/about)", From: "abuse@check.example",
		Bootstrap: x.URL + "/dns.json", PerMinute: 60_000, Roots: pool,
		Control: func(_ context.Context, _, address string, _ syscall.RawConn) error {
			if netip.MustParseAddrPort(address).String() != x.Listener.Addr().String() {
				return errors.New("not a public address")
			}
			return nil
		},
	}
}

func open(t *testing.T, dir string, cfg rdap.Config) *rdap.Client {
	t.Helper()
	c, err := rdap.Open(dir, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// counted is what a client counts but for zeros: "answered 1, cached 1".
func counted(c *rdap.Client) string {
	var s []string
	for outcome, n := range c.Counts {
		if n > 0 {
			s = append(s, fmt.Sprint(outcome, " ", n))
		}
	}
	return strings.Join(s, ", ")
}

// domainOf is the answer of RFC 9083 §5.3, shortened, with events.
func domainOf(name, events string) string {
	return `{"rdapConformance":["rdap_level_0"],"objectClassName":"domain","handle":"XXXX","ldhName":"` + name + `",
		"nameservers":[{"objectClassName":"nameserver","ldhName":"ns1.a.example"}],"status":["active"],
		"entities":[{"objectClassName":"entity","events":[{"eventAction":"registration","eventDate":"1990-01-01T00:00:00Z"}]}],
		"events":[` + events + `]}`
}

const told = `{"eventAction":"registration","eventDate":"2024-02-29T23:59:59.5+02:00"},{"eventAction":"last changed","eventDate":"2026-01-01T00:00:00Z"}`

func TestWhatARegistryAnswers(t *testing.T) {
	t.Parallel()
	date := time.Date(2024, 2, 29, 21, 59, 59, 5e8, time.UTC)
	text := func(s string) func(http.ResponseWriter, *http.Request) {
		return func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, s) }
	}
	var elsewhere atomic.Int64
	other := newRegistry(t, func(http.ResponseWriter, *http.Request) { elsewhere.Add(1) })
	var home *registry
	pad := func(n int) string {
		s := domainOf("a.example", told)
		return s + strings.Repeat(" ", n-len(s))
	}
	for _, tt := range []struct {
		name      string
		answer    func(w http.ResponseWriter, r *http.Request)
		want      error // nil: the date
		questions int   // 0 means 1
	}{
		{"a date", text(domainOf("a.example", told)), nil, 0},
		{"the name in capitals and with a dot", text(domainOf("A.EXAMPLE.", told)), nil, 0},
		{"no name", text(strings.Replace(domainOf("", told), `"ldhName":"",`, "", 1)), nil, 0},
		{"registered again", text(domainOf("a.example", strings.Replace(told, "registration", "reregistration", 1)+`,{"eventAction":"registration","eventDate":"1999-01-01T00:00:00Z"}`)), nil, 0},
		{"no events", text(domainOf("a.example", "")), rdap.ErrNotTold, 0},
		{"only other events", text(domainOf("a.example", `{"eventAction":"expiration","eventDate":"2030-01-01T00:00:00Z"}`)), rdap.ErrNotTold, 0},
		{"a date that is none", text(domainOf("a.example", `{"eventAction":"registration","eventDate":"yesterday"}`)), rdap.ErrNotTold, 0},
		{"a date before all domains", text(domainOf("a.example", `{"eventAction":"registration","eventDate":"1985-03-14T23:59:59Z"}`)), rdap.ErrNotTold, 0},
		{"a date to come", text(domainOf("a.example", `{"eventAction":"registration","eventDate":"2999-01-01T00:00:00Z"}`)), rdap.ErrNotTold, 0},
		{"not found", func(w http.ResponseWriter, _ *http.Request) { http.Error(w, `{"errorCode":404}`, http.StatusNotFound) }, rdap.ErrNotTold, 0},
		{"another domain", text(domainOf("b.example", told)), rdap.ErrLater, 0},
		{"another thing", text(strings.Replace(domainOf("a.example", told), `"domain"`, `"entity"`, 1)), rdap.ErrLater, 0},
		{"nothing", text(""), rdap.ErrLater, 0},
		{"garbage", text("<html>\x00\xff"), rdap.ErrLater, 0},
		{"half an answer", text(domainOf("a.example", told)[:200]), rdap.ErrLater, 0},
		{"events that are no list", text(`{"objectClassName":"domain","ldhName":"a.example","events":{"eventAction":"registration"}}`), rdap.ErrLater, 0},
		{"deep nesting", text(`{"objectClassName":"domain","x":` + strings.Repeat("[", 100_000)), rdap.ErrLater, 0},
		{"as long as may be", text(pad(rdap.MaxBody)), nil, 0},
		{"a byte longer", text(pad(rdap.MaxBody + 1)), rdap.ErrLater, 0},
		{"without an end", func(w http.ResponseWriter, _ *http.Request) {
			for {
				if _, err := io.WriteString(w, strings.Repeat(" ", 1<<15)); err != nil {
					return
				}
			}
		}, rdap.ErrLater, 0},
		{"a head without an end", func(w http.ResponseWriter, _ *http.Request) {
			for i := range 2000 {
				w.Header().Set(fmt.Sprint("X-", i), strings.Repeat("x", 30))
			}
		}, rdap.ErrLater, 0},
		{"broken off", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "1000")
			io.WriteString(w, "{")
			panic(http.ErrAbortHandler)
		}, rdap.ErrLater, 0},
		{"an error", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) }, rdap.ErrLater, 0},
		{"a redirect", func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/other/a.example" {
				io.WriteString(w, domainOf("a.example", told))
				return
			}
			http.Redirect(w, r, "/other/a.example", http.StatusFound)
		}, nil, 2},
		{"three redirects", func(w http.ResponseWriter, r *http.Request) {
			if n := len(r.URL.Query().Get("n")); n < 3 {
				http.Redirect(w, r, "?n="+strings.Repeat("x", n+1), http.StatusFound)
				return
			}
			io.WriteString(w, domainOf("a.example", told))
		}, nil, 4},
		{"redirects without an end", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, r.URL.Path+"x", http.StatusFound) }, rdap.ErrLater, 4},
		{"a redirect to http", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://"+r.Host+"/", http.StatusFound)
		}, rdap.ErrLater, 0},
		{"a redirect with a password", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://a:b@"+r.Host+"/", http.StatusFound)
		}, rdap.ErrLater, 0},
		{"a redirect to an address that is not public", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, other.URL, http.StatusFound) }, rdap.ErrLater, 0},
		{"a redirect to a server that was asked just now", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, strings.Replace(home.URL, "127.0.0.1", "localhost", 1), http.StatusFound)
		}, rdap.ErrLater, 0},
		{"too many requests", func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Retry-After", "100"); w.WriteHeader(429) }, rdap.ErrLater, 0},
		{"not now", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) }, rdap.ErrLater, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			x := newRegistry(t, func(w http.ResponseWriter, r *http.Request) {
				if r.Method != "GET" || r.Header.Get("User-Agent") != "Headlight/1 (+https://check.example/about)" || r.Header.Get("From") != "abuse@check.example" ||
					r.Header.Get("Referer") != "" || r.Header.Get("Cookie") != "" {
					t.Errorf("%s %v", r.Method, r.Header)
				}
				http.SetCookie(w, &http.Cookie{Name: "a", Value: "b"})
				tt.answer(w, r)
			})
			home = x
			dir := t.TempDir()
			for start := range 2 { // and after a restart, when nobody is asked again
				c := open(t, dir, x.config(t))
				if tt.name == "a redirect to a server that was asked just now" {
					if err := c.Await(t.Context(), "localhost:"+port(t, x.URL)); err != nil {
						t.Fatal(err)
					}
				}
				for range 2 {
					since, err := c.Registered(t.Context(), "a.example")
					if !errors.Is(err, tt.want) || err == nil && !since.Equal(date) {
						t.Errorf("got %v, %v, want %v", since, err, tt.want)
					}
				}
				want := "answered 1, cached 1"
				switch {
				case strings.HasPrefix(tt.name, "too many") || tt.name == "not now":
					want = []string{"refused 1, not-asked 1", "not-asked 2"}[start]
				case start > 0:
					want = "cached 2"
				case tt.want == rdap.ErrLater:
					want = "cached 1, failed 1"
				}
				if got := counted(c); got != want {
					t.Errorf("counted %s, want %s", got, want)
				}
				if err := c.Close(); err != nil {
					t.Fatal(err)
				}
			}
			if got := x.questions(); len(got) != max(tt.questions, 1) || got[0] != "/rdap/domain/a.example" {
				t.Errorf("asked %q", got)
			}
		})
	}
	if n := elsewhere.Load(); n != 0 || len(other.questions()) != 0 {
		t.Errorf("an address that is not public was asked %d times", n)
	}
}

func port(t *testing.T, raw string) string {
	t.Helper()
	u, err := url.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	return u.Port()
}

// A server whose certificate is not good is not asked.
func TestTheCertificateIsVerified(t *testing.T) {
	t.Parallel()
	x := newRegistry(t, func(w http.ResponseWriter, _ *http.Request) { t.Error("asked") })
	cfg := x.config(t)
	cfg.Roots = x509.NewCertPool()
	if _, err := open(t, t.TempDir(), cfg).Registered(t.Context(), "a.example"); !errors.Is(err, rdap.ErrLater) {
		t.Errorf("got %v", err)
	}
}

func TestNothingButDomainsIsAskedAbout(t *testing.T) {
	t.Parallel()
	x := newRegistry(t, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, domainOf("a.example", told)) })
	c := open(t, t.TempDir(), x.config(t))
	for _, s := range []string{"", "example", ".example", "a..example", "a.example.", "A.example", "a.example/x", "a.example?x", "a@a.example", "a.example:80", "192.0.2.1", "[2001:db8::1]",
		"a b.example", "%2e.example", "ü.example", strings.Repeat("a", 64) + ".example", strings.Repeat("a.", 130) + "example"} {
		if _, err := c.Registered(t.Context(), s); err == nil || errors.Is(err, rdap.ErrLater) || errors.Is(err, rdap.ErrNotTold) {
			t.Errorf("%q: %v", s, err)
		}
	}
	for _, s := range []string{"a.old", "a.unknown"} { // nobody to be asked
		if _, err := c.Registered(t.Context(), s); !errors.Is(err, rdap.ErrNotTold) {
			t.Errorf("%q: %v", s, err)
		}
	}
	if got := x.questions(); len(got) != 0 || counted(c) != "not-asked 2" {
		t.Errorf("asked %q, counted %s", got, counted(c))
	}
}

// Twenty who ask at once share one question.
func TestOneQuestionForAll(t *testing.T) {
	t.Parallel()
	x := newRegistry(t, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, domainOf("a.example", told)) })
	c := open(t, t.TempDir(), x.config(t))
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			if _, err := c.Registered(t.Context(), "a.example"); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if got := x.questions(); len(got) != 1 || x.files != 1 || !strings.HasPrefix(counted(c), "answered 1") {
		t.Errorf("asked %q, and for %d files; counted %s", got, x.files, counted(c))
	}
}

func TestAnswersHoldForATime(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	for _, tt := range []struct {
		name  string
		line  string // with the time at which it was asked
		ago   time.Duration
		asked bool
		want  error
	}{
		{"an answer", `{"domain":"a.example","asked":%q,"since":"2020-01-01T00:00:00Z"}`, 30*day - time.Minute, false, nil},
		{"an old one", `{"domain":"a.example","asked":%q,"since":"2020-01-01T00:00:00Z"}`, 30 * day, true, nil},
		{"nothing told", `{"domain":"a.example","asked":%q}`, 30*day - time.Minute, false, rdap.ErrNotTold},
		{"a failure", `{"domain":"a.example","asked":%q,"failed":true}`, day - time.Minute, false, rdap.ErrLater},
		{"an old failure", `{"domain":"a.example","asked":%q,"failed":true}`, day, true, nil},
		{"an answer from days to come", `{"domain":"a.example","asked":%q,"since":"2020-01-01T00:00:00Z"}`, -2 * time.Hour, true, nil},
		{"a line that a crash cut short", `{"domain":"a.example","asked":%q,"since":"2020-01-01`, time.Hour, true, nil},
		{"a line that was damaged", "{\"domain\":\"a.example\",\"asked\":%q,\x00}", time.Hour, true, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			x := newRegistry(t, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, domainOf("a.example", told)) })
			dir := t.TempDir()
			text := fmt.Sprintf("junk\n"+strings.Repeat("x", 5000)+"\n"+tt.line+"\n", time.Now().Add(-tt.ago).Format(time.RFC3339Nano))
			if err := os.WriteFile(filepath.Join(dir, "answers.jsonl"), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			c := open(t, dir, x.config(t))
			if _, err := c.Registered(t.Context(), "a.example"); !errors.Is(err, tt.want) {
				t.Errorf("got %v", err)
			}
			if got := x.questions(); len(got) != 0 != tt.asked {
				t.Errorf("asked %q", got)
			}
		})
	}
}

// A registry gets so many questions a minute, evenly spread, also after a restart.
func TestTurns(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		cfg := rdap.Config{Agent: "x", Control: func(context.Context, string, string, syscall.RawConn) error { return nil }}
		c := open(t, dir, cfg)
		begin := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		for i := range 6 {
			if err := c.Await(ctx, "r.example"); err != nil || time.Since(begin) != time.Duration(i)*10*time.Second {
				t.Errorf("turn %d after %v: %v", i, time.Since(begin), err)
			}
		}
		// The next one is less than 10 s before the deadline.
		if err := c.Await(ctx, "r.example"); !errors.Is(err, rdap.ErrLater) {
			t.Errorf("got %v", err)
		}
		if err := c.Await(t.Context(), "r.example"); !errors.Is(err, rdap.ErrLater) { // and without a deadline nobody waits
			t.Errorf("got %v", err)
		}
		if err := c.Await(t.Context(), "other.example"); err != nil {
			t.Error(err)
		}
		<-time.After(time.Hour)
		// A question counts for whoever opens the directory next.
		if err := c.Keep("a.example", "r.example", time.Now()); err != nil {
			t.Fatal(err)
		}
		c = open(t, dir, cfg)
		if err := c.Await(t.Context(), "r.example"); !errors.Is(err, rdap.ErrLater) {
			t.Errorf("after a restart: %v", err)
		}
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
		c = open(t, dir, cfg) // and for the one after that
		<-time.After(10*time.Second - time.Nanosecond)
		if err := c.Await(t.Context(), "r.example"); !errors.Is(err, rdap.ErrLater) {
			t.Errorf("after two restarts: %v", err)
		}
		<-time.After(time.Nanosecond)
		if err := c.Await(t.Context(), "r.example"); err != nil {
			t.Errorf("when its turn had come: %v", err)
		}
		// Whoever gives up need not wait.
		ctx, cancel = context.WithTimeout(t.Context(), time.Minute)
		go func() { <-time.After(time.Second); cancel() }()
		begin = time.Now()
		if err := c.Await(ctx, "r.example"); !errors.Is(err, rdap.ErrLater) || time.Since(begin) != time.Second {
			t.Errorf("gave up after %v: %v", time.Since(begin), err)
		}
	})
}

// A registry that says "later" is not asked about other domains either, also after
// a restart.
func TestARegistryThatWantsNoQuestions(t *testing.T) {
	t.Parallel()
	x := newRegistry(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Retry-After", "3600")
		w.WriteHeader(429)
	})
	dir := t.TempDir()
	for range 2 {
		c := open(t, dir, x.config(t))
		for _, domain := range []string{"a.example", "b.example", "a.example"} {
			if _, err := c.Registered(t.Context(), domain); !errors.Is(err, rdap.ErrLater) {
				t.Errorf("%s: %v", domain, err)
			}
		}
		c.Close()
	}
	if got := x.questions(); len(got) != 1 {
		t.Errorf("asked %q", got)
	}
}

func TestQuietUntil(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for field, want := range map[string]time.Duration{
		"": time.Minute, "0": time.Second, "1": time.Second, " 120 ": 2 * time.Minute, "86400": 24 * time.Hour, "86401": 24 * time.Hour, "99999999999999999999": time.Minute, "-1": time.Minute,
		"Thu, 01 Jan 2026 00:10:00 GMT": 10 * time.Minute, "Thu, 01 Jan 2015 00:10:00 GMT": time.Second, "Thu, 01 Jan 2099 00:10:00 GMT": 24 * time.Hour,
	} {
		if got := rdap.QuietUntil(field, now).Sub(now); got != want {
			t.Errorf("%q: got %v, want %v", field, got, want)
		}
	}
}

func TestWhoIsAsked(t *testing.T) {
	t.Parallel()
	const file = `{"version":"1.0","description":"x","services":[
		[["com","NET"],["https://registry.example.com/rdap"]],
		[["uk"],["http://old.example/","https://uk.example/"]],
		[["co.uk"],["https://co.example/x/"]],
		[["old"],["http://old.example/"]],
		[["odd"],["https://a:b@odd.example/","https://odd.example/?x","ftp://x/","https:///",""]],
		[["short"]], [],
		[["de"],["https://de.example/"],["later versions may have more"]]]}`
	for domain, want := range map[string]string{
		"a.com": "https://registry.example.com/rdap", "a.net": "https://registry.example.com/rdap", "a.uk": "https://uk.example/", "a.b.uk": "https://uk.example/",
		"a.co.uk": "https://co.example/x/", "co.uk": "https://uk.example/", "a.old": "", "a.odd": "", "a.short": "", "a.de": "", "a.comm": "", "com": "",
	} {
		if got, err := rdap.Server(file, domain); got != want || err != nil {
			t.Errorf("%s: got %q, %v, want %q", domain, got, err, want)
		}
	}
	for _, bad := range []string{"", "[]", "null", "{}", `{"services":[]}`, `{"services":[[["com"],["http://x/"]]]}`, `{"services":{}}`, file[:100]} {
		if got, err := rdap.Server(bad, "a.com"); err == nil {
			t.Errorf("%q: %q", bad, got)
		}
	}
}

func TestIANAsFileIsKeptForAWeek(t *testing.T) {
	t.Parallel()
	x := newRegistry(t, func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, domainOf(strings.TrimPrefix(r.URL.Path, "/rdap/domain/"), told))
	})
	dir := t.TempDir()
	file := filepath.Join(dir, "servers.json")
	n := 0
	ask := func(c *rdap.Client, files int, want error) {
		t.Helper()
		n++
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if _, err := c.Registered(ctx, fmt.Sprintf("a%d.example", n)); !errors.Is(err, want) {
			t.Errorf("got %v, want %v", err, want)
		}
		if x.mu.Lock(); x.files != files {
			t.Errorf("fetched %d times, want %d", x.files, files)
		}
		x.mu.Unlock()
	}
	down := func(w http.ResponseWriter) { w.WriteHeader(503) }
	set := func(f func(http.ResponseWriter)) { x.mu.Lock(); x.file = f; x.mu.Unlock() }

	set(down)
	c := open(t, dir, x.config(t))
	ask(c, 1, rdap.ErrLater)
	ask(c, 1, rdap.ErrLater) // not again within the hour
	set(nil)
	c = open(t, dir, x.config(t))
	ask(c, 2, nil)
	ask(c, 2, nil)
	c = open(t, dir, x.config(t))
	ask(c, 2, nil)
	old := time.Now().Add(-7*24*time.Hour - time.Second)
	if err := os.Chtimes(file, old, old); err != nil {
		t.Fatal(err)
	}
	c = open(t, dir, x.config(t))
	ask(c, 3, nil)
	for _, bad := range []func(http.ResponseWriter){
		down,
		func(w http.ResponseWriter) { io.WriteString(w, "<html>") },
		func(w http.ResponseWriter) { io.WriteString(w, strings.Repeat(" ", rdap.MaxServers+1)) },
	} { // an old one is better than none
		if err := os.Chtimes(file, old, old); err != nil {
			t.Fatal(err)
		}
		x.mu.Lock()
		x.files = 0
		x.mu.Unlock()
		set(bad)
		c = open(t, dir, x.config(t))
		ask(c, 1, nil)
		ask(c, 1, nil)
	}
	set(nil)
	if err := os.WriteFile(file, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	c = open(t, dir, x.config(t))
	ask(c, 2, nil) // one that cannot be read is fetched
}

// What is over leaves the file, and what holds stays.
func TestTheFileDoesNotGrowForEver(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		cfg := rdap.Config{Agent: "x", Control: func(context.Context, string, string, syscall.RawConn) error { return nil }}
		c := open(t, dir, cfg)
		since := time.Date(1999, 1, 1, 0, 0, 0, 0, time.UTC)
		for i := range 5000 {
			if err := c.Keep(fmt.Sprintf("a%d.example", i), "r.example", since); err != nil {
				t.Fatal(err)
			}
			<-time.After(30 * time.Minute) // for 104 days
		}
		text, err := os.ReadFile(filepath.Join(dir, "answers.jsonl"))
		if err != nil {
			t.Fatal(err)
		}
		// 30 days are 1440 answers.
		if lines := strings.Count(string(text), "\n"); lines < 1440 || lines > 2*1440+1001 {
			t.Errorf("%d lines", lines)
		}
		c.Close()
		c = open(t, dir, cfg)
		for i := 5000 - 1439; i < 5000; i++ {
			if got, err := c.Registered(t.Context(), fmt.Sprintf("a%d.example", i)); err != nil || !got.Equal(since) {
				t.Fatalf("%d: %v, %v", i, got, err)
			}
		}
		c.Close()
		if err := c.Keep("b.example", "r.example", since); !errors.Is(err, os.ErrClosed) {
			t.Errorf("after Close: %v", err)
		}
	})
}

func TestWhoAsksMustSaySo(t *testing.T) {
	t.Parallel()
	for _, cfg := range []rdap.Config{{}, {Agent: "x"}, {Control: func(context.Context, string, string, syscall.RawConn) error { return nil }}} {
		if _, err := rdap.Open(t.TempDir(), cfg); err == nil {
			t.Errorf("%+v was taken", cfg)
		}
	}
}
