package httpapi_test

import (
	"bytes"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"headlight.example"
	"headlight.example/evidence"
	"headlight.example/frontend/httpapi"
	"headlight.example/link"
)

// The secrets of the tokens that every test server knows.
const (
	operatorSecret = "s3cret-of-ann"
	userSecret     = "s3cret-of-bob"
	readerSecret   = "s3cret-of-a-gateway"
)

func testTokens() []httpapi.Token {
	return []httpapi.Token{
		httpapi.NewToken("ann", "operator/ann", operatorSecret),
		httpapi.NewToken("bob", "user/bob", userSecret),
		httpapi.NewToken("gateway", "", readerSecret),
	}
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// newService opens a service on a directory of its own.
func newService(t testing.TB) *headlight.Service {
	t.Helper()
	svc, err := headlight.Open(t.Context(), headlight.Config{Dir: t.TempDir(), Logger: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := svc.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return svc
}

// newAPI is a server that logs nothing and knows the tokens above.
func newAPI(t testing.TB, cfg httpapi.Config) *httpapi.Server {
	t.Helper()
	return apiOf(newService(t), cfg)
}

func apiOf(svc *headlight.Service, cfg httpapi.Config) *httpapi.Server {
	if cfg.Tokens == nil {
		cfg.Tokens = testTokens()
	}
	if cfg.Logger == nil {
		cfg.Logger = quiet()
	}
	return httpapi.New(svc, cfg)
}

// request is a call to be made; the zero values are those of a common one.
type request struct {
	method, path, body, token string
	header                    map[string]string
	remote                    string
}

func (q request) send(t testing.TB, api *httpapi.Server) *httptest.ResponseRecorder {
	t.Helper()
	if q.method == "" {
		q.method = http.MethodGet
		if q.body != "" {
			q.method = http.MethodPost
		}
	}
	var body io.Reader
	if q.method == http.MethodPost {
		body = strings.NewReader(q.body)
	}
	r := httptest.NewRequest(q.method, q.path, body)
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	if q.token != "" {
		r.Header.Set("Authorization", "Bearer "+q.token)
	}
	for k, v := range q.header {
		r.Header.Set(k, v)
		if v == "" {
			r.Header.Del(k)
		}
	}
	r.RemoteAddr = "127.0.0.1:50000"
	if q.remote != "" {
		r.RemoteAddr = q.remote
	}
	w := httptest.NewRecorder()
	api.Handler().ServeHTTP(w, r)
	return w
}

// problem is what the tests look at in a problem document.
type problem struct {
	Type, Title, Detail, Instance, Field string
	Status                               int
}

// wantProblem checks that w is a whole problem document of the kind.
func wantProblem(t testing.TB, w *httptest.ResponseRecorder, status int, kind string) problem {
	t.Helper()
	if w.Code != status {
		t.Fatalf("got status %d, want %d; body %s", w.Code, status, w.Body)
	}
	if got := w.Header().Get("Content-Type"); got != "application/problem+json" {
		t.Errorf("got content type %q, want application/problem+json", got)
	}
	var p problem
	if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil {
		t.Fatalf("problem document: %v in %s", err, w.Body)
	}
	if p.Type != "/problems/"+kind || p.Status != status || p.Title == "" || p.Detail == "" || p.Instance == "" {
		t.Errorf("got problem %+v, want type /problems/%s, status %d, and no empty member", p, kind, status)
	}
	return p
}

// subject, reason and verdict mirror the answers as a client would.
type subject struct{ Kind, Key string }

type reason struct {
	Subject           subject
	Weight, Bad, Good float64
	Raters            []string
	Text              string
}

type verdict struct {
	Wrapper                               string
	Link, Canonical, Inner, Level, Threat string
	Score                                 float64
	Reasons                               []reason
	Expires, ID, Error                    string
	Shown, Where, Part                    string
	Offset                                int
	Marks                                 []string
}

func decode[T any](t testing.TB, w *httptest.ResponseRecorder, status int) T {
	t.Helper()
	if w.Code != status {
		t.Fatalf("got status %d, want %d; body %s", w.Code, status, w.Body)
	}
	var v T
	d := json.NewDecoder(bytes.NewReader(w.Body.Bytes()))
	d.DisallowUnknownFields()
	if err := d.Decode(&v); err != nil {
		t.Fatalf("answer: %v in %s", err, w.Body)
	}
	return v
}

// say appends one record about a URL.
func say(t testing.TB, svc *headlight.Service, rater, url string, a evidence.Assertion) {
	t.Helper()
	l, err := link.Parse(url)
	if err != nil {
		t.Fatal(err)
	}
	_, err = svc.Append(t.Context(), evidence.Record{
		Rater: rater, Assertion: a, Count: 1, Subject: evidence.Subject{Kind: evidence.URL, Key: l.URL()},
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestCheckJudgesEachLinkInOrder(t *testing.T) {
	t.Parallel()
	svc := newService(t)
	api := apiOf(svc, httpapi.Config{})
	say(t, svc, "feed/openphish", "http://bad.example/pay?x=1", evidence.Phishing)

	w := request{path: "/v1/check", body: `{"links":["http://bad.example/pay?x=1#top","http://","https://nobody.example/"]}`}.send(t, api)
	got := decode[struct{ Verdicts []verdict }](t, w, http.StatusOK).Verdicts
	if len(got) != 3 {
		t.Fatalf("got %d verdicts, want 3", len(got))
	}
	bad, broken, new := got[0], got[1], got[2]
	if bad.Level != "dangerous" || bad.Threat != "phishing" || bad.Link != "http://bad.example/pay?x=1#top" ||
		bad.Canonical != "http://bad.example/pay?x=1" || bad.Score < 0.5 || bad.Expires == "" || len(bad.ID) != 13 {
		t.Errorf("listed link: got %+v", bad)
	}
	if !slices.ContainsFunc(bad.Reasons, func(r reason) bool { return r.Text == "listed by feed/openphish" && r.Subject.Kind == "url" }) {
		t.Errorf("listed link: got reasons %+v, want the list among them", bad.Reasons)
	}
	if broken.Error == "" || broken.Level != "unknown" || broken.Link != "http://" || broken.Canonical != "" {
		t.Errorf("broken link: got %+v, want an error and level unknown", broken)
	}
	if new.Level != "unknown" || new.Threat != "" || new.Error != "" {
		t.Errorf("new link: got %+v, want unknown", new)
	}
}

func TestScanSaysHowALinkStandsInTheMessage(t *testing.T) {
	t.Parallel()
	svc := newService(t)
	api := apiOf(svc, httpapi.Config{})
	say(t, svc, "feed/openphish", "http://bad.example/pay", evidence.Phishing)

	body := `{"type":"text/html","text":"<p>Dear <a href=\"http://bad.example/pay\">https://bank.example/</a>"}`
	got := decode[struct {
		Level     string
		Links     []verdict
		Unscanned []struct {
			Bound, Part string
			Bytes       int
		}
	}](t, request{path: "/v1/scan", body: body}.send(t, api), http.StatusOK)
	if got.Level != "dangerous" || len(got.Links) != 1 || len(got.Unscanned) != 0 {
		t.Fatalf("got %+v, want one dangerous link", got)
	}
	l := got.Links[0]
	if l.Link != "http://bad.example/pay" || l.Where != "anchor" || l.Shown != "https://bank.example/" ||
		len(l.Marks) != 1 || l.Marks[0] != "mismatch" {
		t.Errorf("got %+v, want an anchor that shows another host", l)
	}
}

func TestScanOfAMessageWithoutLinksIsSafe(t *testing.T) {
	t.Parallel()
	w := request{path: "/v1/scan", body: `{"text":"see you at 10\nin the park","type":"text/plain"}`}.send(t, newAPI(t, httpapi.Config{}))
	if got, want := strings.TrimSpace(w.Body.String()), `{"level":"safe","links":[],"unscanned":[]}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestReportIsInTheNextVerdict(t *testing.T) {
	t.Parallel()
	api := newAPI(t, httpapi.Config{})
	w := request{path: "/v1/reports", body: `{"url":"http://bad.example/x","assertion":"malware"}`, token: operatorSecret}.send(t, api)
	got := decode[struct {
		Seq     uint64
		Verdict verdict
	}](t, w, http.StatusCreated)
	if got.Seq == 0 || got.Verdict.Level != "dangerous" || got.Verdict.Threat != "malware" {
		t.Errorf("got receipt %+v, want a dangerous verdict", got)
	}
	w = request{path: "/v1/check", body: `{"links":["http://bad.example/x"]}`}.send(t, api)
	if v := decode[struct{ Verdicts []verdict }](t, w, http.StatusOK).Verdicts[0]; v.Level != "dangerous" {
		t.Errorf("got %+v, want what the operator said", v)
	}
}

func TestReportsOfACallHaveConsecutiveReceipts(t *testing.T) {
	t.Parallel()
	api := newAPI(t, httpapi.Config{})
	body := `{"reports":[{"url":"http://a.example/","assertion":"spam"},{"subject":{"kind":"host","key":"B.example"},"assertion":"benign"}]}`
	got := decode[struct {
		Receipts []struct {
			Seq     uint64
			Verdict *verdict
		}
	}](t, request{path: "/v1/reports", body: body, token: userSecret}.send(t, api), http.StatusCreated).Receipts
	if len(got) != 2 || got[1].Seq != got[0].Seq+1 {
		t.Fatalf("got receipts %+v, want two in a row", got)
	}
	if got[0].Verdict == nil || got[1].Verdict != nil {
		t.Errorf("got verdicts %v and %v, want one for the URL and none for the host", got[0].Verdict, got[1].Verdict)
	}
	said := subjectOf(t, api, "host", "b.example", "").Said
	if len(said) != 1 || said[0].Assertion != "benign" || said[0].Subject.Key != "b.example" {
		t.Errorf("got said %+v, want the report in canonical form", said)
	}
}

// known mirrors the answer of GET /v1/subjects.
type known struct {
	Subject subject
	Rating  json.RawMessage
	Verdict *verdict
	Network *network
	Change  string `json:"would_change"`
	Rungs   []json.RawMessage
	Said    []struct {
		Seq       uint64
		Time      time.Time
		Rater     string
		Subject   subject
		Assertion string
		Object    *subject
		Count     int
		Expires   string
	}
	More bool
}

func subjectOf(t testing.TB, api *httpapi.Server, kind, key, token string) known {
	t.Helper()
	w := request{path: "/v1/subjects/" + kind + "/" + url.PathEscape(key), token: token}.send(t, api)
	return decode[known](t, w, http.StatusOK)
}

func serve(api *httpapi.Server, r *http.Request) *httptest.ResponseRecorder {
	r.RemoteAddr = "127.0.0.1:50000"
	w := httptest.NewRecorder()
	api.Handler().ServeHTTP(w, r)
	return w
}
