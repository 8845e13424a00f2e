package httpapi_test

import (
	"net/http"
	"net/netip"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"headlight.example"
	"headlight.example/evidence"
	"headlight.example/frontend/httpapi"
	"headlight.example/probe"
)

const (
	visitID     = "01a55a6e-4400-7000-8000-0123456789ab"
	visitSecret = "hush5317"
)

// visitedService has a ledger with one visit in it, and makes no more.
func visitedService(t *testing.T) (*headlight.Service, time.Time) {
	t.Helper()
	dir := t.TempDir()
	ledger, err := probe.OpenLedger(filepath.Join(dir, "visits"), 0)
	if err != nil {
		t.Fatal(err)
	}
	// The id tells the time; the ledger stamps its lines by the clock.
	now := time.Now().UTC().Truncate(time.Millisecond)
	id, err := probe.ParseID(visitID)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 6 {
		id[i] = byte(now.UnixMilli() >> (40 - 8*i))
	}
	for hop, host := range []string{"www.shop.test", "next.test"} {
		err := ledger.Ask(t.Context(), probe.Ask{
			Visit: id, Hop: hop, Time: now, Origin: "https://" + host,
			Subject:  evidence.Subject{Kind: evidence.URL, Key: host + "/?" + visitSecret},
			Decision: probe.Decision{Mode: probe.Origin, Class: probe.OneTime, Rule: "word reset"},
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	ledger.Reply(probe.Reply{Visit: id, Time: now, Addr: netip.MustParseAddrPort("192.0.2.1:443"), Outcome: probe.Answered, Status: 204})
	if err := ledger.Close(); err != nil {
		t.Fatal(err)
	}
	svc, err := headlight.Open(t.Context(), headlight.Config{Dir: dir, Logger: quiet(), Visits: &headlight.VisitConfig{
		Policy: probe.Safe, Halted: true, Servers: []string{"127.0.0.1:1"}, Registries: true,
		Identity: probe.Identity{About: "https://check.test/visits", From: "abuse@check.test", Agent: "https://check.test"},
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { svc.Close() })
	return svc, now
}

// idOf finds the visit's id by its host.
func idOf(t *testing.T, svc *headlight.Service, now time.Time) string {
	t.Helper()
	account, err := svc.Visits().About(t.Context(), "www.shop.test", now.Add(-time.Minute), now.Add(time.Minute), 1)
	if err != nil || len(account.Requests) != 1 {
		t.Fatalf("%v, %v", account, err)
	}
	return account.Requests[0].Visit.String()
}

func TestAWebmasterFindsHisVisit(t *testing.T) {
	t.Parallel()
	svc, now := visitedService(t)
	api := apiOf(svc, httpapi.Config{AnonymousAppeals: true})
	id := idOf(t, svc, now)
	clf := now.In(time.FixedZone("", 2*3600)).Format("02/Jan/2006:15:04:05 -0700")
	const found, none = "and asked for the front page of the host", "We have no such visit"
	tests := []struct{ name, line, host, time, want string }{
		{"nothing yet", "", "", "", "Look it up"},
		{"an id", id, "", "", found},
		{"an id in capitals within a line", `1.2.3.4 "HEAD / HTTP/1.1" "` + strings.ToUpper(id) + `"`, "", "", found},
		{"a log line and a host", `1.2.3.4 - - [` + clf + `] "HEAD / HTTP/1.1" 204 0 "-" "Headlight/1"`, "www.shop.test", "", found},
		{"a host as a URL, and a time", "", "https://WWW.shop.test/x", now.Format("2006-01-02 15:04"), found},
		{"a host and a day", "", "www.shop.test", now.Format("2006-01-02"), found},
		{"a time from a form", "", "www.shop.test", now.Format("2006-01-02T15:04"), found},
		{"another host", "", "other.test", now.Format("2006-01-02 15:04"), none},
		{"another time", "", "www.shop.test", now.Add(-time.Hour).Format("2006-01-02 15:04"), none},
		{"an id that nobody has", visitID, "", "", none},
		{"a line without a host", "[" + clf + "]", "", "", "which host was visited"},
		{"a host without a time", "", "www.shop.test", "", "say when that was"},
		{"no host", "", "http://[", now.Format("2006-01-02 15:04"), "not the name of a host"},
		{"a host with markup", "", "<script>alert(1)</script>", "", "say when that was"},
		{"a whole log", strings.Repeat("x", 4097), "", "", "longer than a log line"},
	}
	for i, tt := range tests {
		q := url.Values{"line": {tt.line}, "host": {tt.host}, "time": {tt.time}}
		w := request{path: "/visits?" + q.Encode(), remote: netip.AddrFrom4([4]byte{10, byte(i), 0, 1}).String() + ":1"}.send(t, api)
		body := w.Body.String()
		if w.Code != http.StatusOK || !strings.Contains(body, tt.want) {
			t.Errorf("%s: %d without %q:\n%s", tt.name, w.Code, tt.want, body)
		}
		if strings.Contains(body, visitSecret) || strings.Contains(body, "<script") {
			t.Errorf("%s: the page has the link, or a script:\n%s", tt.name, body)
		}
		if !strings.Contains(w.Header().Get("Content-Security-Policy"), "default-src 'none'") {
			t.Errorf("%s: policy %q", tt.name, w.Header().Get("Content-Security-Policy"))
		}
		if !strings.Contains(body, "_headlight.example.com. TXT") || !strings.Contains(body, "abuse@check.test") {
			t.Errorf("%s: the page does not say how to be left alone:\n%s", tt.name, body)
		}
	}

	w := request{path: "/v1/visits/" + id}.send(t, api)
	body := w.Body.String()
	for _, s := range []string{`"origin":"https://www.shop.test"`, `"mode":"origin"`, `"rule":"word reset"`, `"outcome":"answered"`, `"addr":"192.0.2.1:443"`, `"status":204`, `"origin":"https://next.test"`} {
		if !strings.Contains(body, s) {
			t.Errorf("%d without %s: %s", w.Code, s, body)
		}
	}
	if strings.Contains(body, visitSecret) {
		t.Errorf("the answer has the link: %s", body)
	}
	wantProblem(t, request{path: "/v1/visits/" + visitID}.send(t, api), http.StatusNotFound, "not-found")
	wantProblem(t, request{path: "/v1/visits/x"}.send(t, api), http.StatusNotFound, "not-found")
}

func TestTheLedgerIsNotReadTooOften(t *testing.T) {
	t.Parallel()
	svc, _ := visitedService(t)
	api := apiOf(svc, httpapi.Config{})
	for range 20 {
		wantProblem(t, request{path: "/v1/visits/" + visitID}.send(t, api), http.StatusNotFound, "not-found")
	}
	wantProblem(t, request{path: "/v1/visits/" + visitID}.send(t, api), http.StatusTooManyRequests, "too-many-requests")
	if w := (request{path: "/visits"}).send(t, api); w.Code != http.StatusOK {
		t.Errorf("the empty form: %d", w.Code)
	}
}

func TestTheFormAppeals(t *testing.T) {
	t.Parallel()
	svc, _ := visitedService(t)
	form := map[string]string{"Content-Type": "application/x-www-form-urlencoded"}
	api := apiOf(svc, httpapi.Config{AnonymousAppeals: true})
	for about, subject := range map[string]evidence.Subject{
		"www.shop.test":           {Kind: evidence.Host, Key: "www.shop.test"},
		"https://shop.test/a?b=c": {Kind: evidence.URL, Key: "shop.test/a?b=c"},
	} {
		w := request{path: "/v1/appeals", body: url.Values{"about": {about}}.Encode(), header: form}.send(t, api)
		if w.Code != http.StatusCreated || !strings.Contains(w.Body.String(), "Thank you") {
			t.Errorf("%s: %d %s", about, w.Code, w.Body)
		}
		if !svc.Rate(subject).Appealed {
			t.Errorf("%s: no appeal is known for %v", about, subject)
		}
	}
	wantProblem(t, request{path: "/v1/appeals", body: "about=+", header: form}.send(t, api), http.StatusBadRequest, "bad-field")
	cross := map[string]string{"Content-Type": form["Content-Type"], "Sec-Fetch-Site": "cross-site"}
	wantProblem(t, request{path: "/v1/appeals", body: "about=a.test", header: cross}.send(t, api), http.StatusForbidden, "forbidden")
	closed := apiOf(svc, httpapi.Config{})
	wantProblem(t, request{path: "/v1/appeals", body: "about=a.test", header: form}.send(t, closed), http.StatusUnauthorized, "unauthenticated")
	if body := (request{path: "/visits"}).send(t, closed).Body.String(); strings.Contains(body, "/v1/appeals") {
		t.Errorf("the page offers a form that is refused:\n%s", body)
	}
}

// A service that has never visited anybody says so.
func TestWithoutVisits(t *testing.T) {
	t.Parallel()
	api := newAPI(t, httpapi.Config{})
	wantProblem(t, request{path: "/v1/visits/" + visitID}.send(t, api), http.StatusNotFound, "not-found")
	wantProblem(t, request{path: probe.DirectoryPath}.send(t, api), http.StatusNotFound, "not-found")
	if body := (request{path: "/visits?line=" + visitID}).send(t, api).Body.String(); !strings.Contains(body, "it makes no visits") || !strings.Contains(body, "no such visit") {
		t.Errorf("the page says\n%s", body)
	}
	if body := (request{path: "/metrics"}).send(t, api).Body.String(); strings.Contains(body, "headlight_visits") {
		t.Error("metrics of visits that are not made")
	}
}

func TestVisitsAreCounted(t *testing.T) {
	t.Parallel()
	svc, _ := visitedService(t)
	body := (request{path: "/metrics"}).send(t, apiOf(svc, httpapi.Config{})).Body.String()
	for _, s := range []string{`headlight_visits_total{outcome="answered"} 0`, "headlight_visits_halted 1", "headlight_visits_waiting 0", "headlight_visits_refused_total 0",
		`headlight_visits_total{outcome="no-claim"} 0`, `headlight_rdap_total{outcome="answered"} 0`, `headlight_rdap_total{outcome="not-asked"} 0`} {
		if !strings.Contains(body, s) {
			t.Errorf("the metrics lack %s", s)
		}
	}
}

// A time that was read from a log line is that which stands there: written
// out, it is read as the same.
func FuzzWhen(f *testing.F) {
	for _, s := range []string{
		`1.2.3.4 - - [27/Nov/2026:16:00:12 +0100] "HEAD / HTTP/1.1" 200 0`, "2026-11-27T16:00:12Z", "2026-11-27 16:00:12,123 x",
		"2026-11-27T16:00:12+0530", "2026-11-27 16:00", "2026-11-27", "2026-13-45T99:99", "99/Foo/0000:00:00:00 +9999", "",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		at, span, ok := httpapi.When(text)
		if !ok {
			return
		}
		if span <= 0 || span > 12*time.Hour {
			t.Errorf("%q: look %v around it", text, span)
		}
		again, _, ok := httpapi.When(at.UTC().Format(time.RFC3339))
		if at.UTC().Year() < 0 || at.UTC().Year() > 9999 { // a zone may lead out of four digits
			return
		}
		if !ok || !again.Equal(at.Truncate(time.Second)) {
			t.Errorf("%q: %v, and written out %v, %v", text, at, again, ok)
		}
	})
}
