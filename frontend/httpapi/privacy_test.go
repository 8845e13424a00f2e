package httpapi_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"regexp"
	"strings"
	"sync"
	"testing"

	"headlight.example"
	"headlight.example/evidence"
	"headlight.example/frontend/httpapi"
	"headlight.example/jetstream"
)

// TestWhatIsAskedAboutIsForgotten puts a secret through every place of every
// call that takes one, and looks for it in the log at its most talkative, and
// in the metrics.
func TestWhatIsAskedAboutIsForgotten(t *testing.T) {
	t.Parallel()
	const secret = "hush5317"
	var log bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	svc, err := headlight.Open(t.Context(), headlight.Config{Dir: t.TempDir(), Logger: logger})
	if err != nil {
		t.Fatal(err)
	}
	api := apiOf(svc, httpapi.Config{Logger: logger, AnonymousAppeals: true})
	url := "http://a.example/x?session=" + secret
	for _, q := range []request{
		{path: "/v1/check", body: `{"links":["` + url + `","http://` + secret + `:80:80/"]}`},
		{path: "/v1/check", body: `{"` + secret + `":1}`},
		{path: "/v1/check", body: `{"links":[` + secret},
		{path: "/v1/check?" + secret, body: `{"links":[]}`, token: secret},
		{path: "/v1/scan", body: `{"type":"text","text":"` + secret + ` ` + url + `"}`},
		{path: "/v1/scan", body: `{"type":"` + secret + `","text":""}`},
		{path: "/v1/scan", body: `{"type":"text","text":"` + secret + `"`, header: map[string]string{"Content-Type": secret}},
		{path: "/v1/reports", body: `{"url":"http://` + secret + `:80:80/","assertion":"` + secret + `"}`, token: userSecret},
		{path: "/v1/appeals", body: `{"url":"http:///` + secret + `"}`},
		{path: "/v1/subjects/url/" + strings.ReplaceAll(url, "?", "%3F")},
		{path: "/v1/subjects/" + secret + "/x"},
		{path: "/v1/subjects/host/x?limit=" + secret},
		{path: "/" + secret},
		{path: "/problems/" + secret},
		{method: secret, path: "/v1/check"},
		{path: "/healthz", header: map[string]string{"Authorization": secret, "User-Agent": secret, "Referer": secret}},
	} {
		q.send(t, api)
	}
	if err := svc.Close(); err != nil { // logs the sightings
		t.Fatal(err)
	}
	metrics := request{path: "/metrics"}.send(t, api).Body.String()
	for name, text := range map[string]string{"the log": log.String(), "the metrics": metrics} {
		if len(text) == 0 || strings.Contains(text, secret) {
			t.Errorf("%s, of %d bytes, has the secret: …%s…", name, len(text), around(text, secret))
		}
	}
	if got := strings.Count(log.String(), "request answered"); got != 17 {
		t.Errorf("got %d lines on requests, want one for each", got)
	}
}

func around(text, part string) string {
	i := strings.Index(text, part)
	if i < 0 {
		return ""
	}
	return text[max(0, i-100):min(len(text), i+100)]
}

func TestARequestIsNoNews(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	api := newAPI(t, httpapi.Config{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	request{path: "/v1/check", body: oneLink}.send(t, api)
	request{path: "/v1/check", body: `{`}.send(t, api)
	request{path: "/nothing"}.send(t, api)
	if log.Len() > 0 {
		t.Errorf("got %s, want nothing at info", &log)
	}
}

func TestMetricsCount(t *testing.T) {
	t.Parallel()
	svc := newService(t)
	api := apiOf(svc, httpapi.Config{})
	say(t, svc, "feed/openphish", "http://bad.example/pay", evidence.Phishing)
	for range 3 {
		request{path: "/v1/check", body: `{"links":["http://bad.example/pay","http://new.example/"]}`}.send(t, api)
	}
	request{path: "/v1/check", body: `{`}.send(t, api)
	request{path: "/nothing"}.send(t, api)
	request{path: "/v1/reports", token: userSecret, body: `{"url":"http://new.example/","assertion":"spam"}`}.send(t, api)
	got := request{path: "/metrics"}.send(t, api).Body.String()
	for _, line := range []string{
		`headlight_http_requests_total{code="200",route="/v1/check"} 3`,
		`headlight_http_requests_total{code="400",route="/v1/check"} 1`,
		`headlight_http_requests_total{code="404",route="other"} 1`,
		`headlight_http_requests_total{code="201",route="/v1/reports"} 1`,
		`headlight_http_request_seconds_count{route="/v1/check"} 4`,
		`headlight_http_verdicts_total{level="dangerous"} 3`,
		`headlight_http_verdicts_total{level="unknown"} 3`,
		`headlight_http_verdicts_total{level="safe"} 0`,
		`headlight_http_records_total 1`,
		`headlight_log_records 2`,
		`headlight_log_applied 2`,
		`headlight_sightings_dropped_total 0`,
		`headlight_ready 1`,
	} {
		if !strings.Contains(got, line+"\n") {
			t.Errorf("no line %s", line)
		}
	}
	for _, name := range []string{"headlight_table_subjects ", "headlight_log_bytes ", "headlight_log_newest_timestamp_seconds ", "go_goroutines ", "process_cpu_seconds_total "} {
		if !strings.Contains(got, "\n"+name) {
			t.Errorf("no metric %s", name)
		}
	}
	// Labels come from closed sets: a flood of paths and methods makes no more of them.
	series := strings.Count(got, "headlight_http_")
	for i := range 50 {
		request{path: fmt.Sprintf("/x%d", i)}.send(t, api)
		request{method: fmt.Sprintf("X%d", i), path: "/v1/check"}.send(t, api)
	}
	again := request{path: "/metrics"}.send(t, api).Body.String()
	if n := strings.Count(again, "headlight_http_"); n > series+2 { // code 405, and that of /metrics itself
		t.Errorf("got %d series after a flood, %d before", n, series)
	}
}

func TestAServiceThatCannotStoreIsNotReady(t *testing.T) {
	t.Parallel()
	svc, err := headlight.Open(t.Context(), headlight.Config{Dir: t.TempDir(), Logger: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	api := apiOf(svc, httpapi.Config{})
	if w := (request{path: "/readyz"}).send(t, api); w.Code != 200 {
		t.Errorf("at first: got %d, want 200", w.Code)
	}
	if err := svc.Close(); err != nil {
		t.Fatal(err)
	}
	w := request{path: "/v1/reports", token: userSecret, body: `{"url":"http://a.example/","assertion":"spam"}`}.send(t, api)
	wantProblem(t, w, 503, "not-ready")
	if w.Header().Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	if w := (request{path: "/v1/check", body: oneLink}).send(t, api); w.Code != 200 {
		t.Errorf("a question: got %d, want an answer from memory", w.Code)
	}
	if w := (request{path: "/healthz"}).send(t, api); w.Code != 200 {
		t.Errorf("healthz: got %d, want 200", w.Code)
	}
}

func TestNotReadyIsLoggedOnce(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if _, err := evidence.LoadKey(dir); err != nil {
		t.Fatal(err)
	}
	node, err := jetstream.Connect(t.Context(), "nats://127.0.0.1:1", jetstream.ConnectConfig{Name: "a", Logger: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	defer node.Close()
	svc, err := headlight.Open(t.Context(), headlight.Config{Dir: dir, Cluster: node, Logger: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	defer svc.Close()
	var log bytes.Buffer
	api := apiOf(svc, httpapi.Config{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	for range 3 {
		wantProblem(t, request{path: "/readyz"}.send(t, api), 503, "not-ready")
	}
	if strings.Count(log.String(), "\n") != 1 || !strings.Contains(log.String(), "level=WARN") || !strings.Contains(log.String(), "no connection to NATS") {
		t.Errorf("asked three times, got the log\n%s\nwant one warning that says why", &log)
	}
}

func TestManyCallAtOnce(t *testing.T) {
	t.Parallel()
	svc := newService(t)
	api := apiOf(svc, httpapi.Config{})
	id := regexp.MustCompile(`"id":"([0-9a-z]{13})"`)
	var clients sync.WaitGroup
	for n := range 8 {
		clients.Go(func() {
			want := ""
			for i := range 30 {
				url := fmt.Sprintf("http://host%d.example/x?i=%d", n, i%3)
				w := request{path: "/v1/check", body: `{"links":["` + url + `"]}`}.send(t, api)
				if !strings.Contains(w.Body.String(), `"link":"`+url+`"`) || w.Code != 200 {
					t.Errorf("asked for %s, got %s", url, w.Body)
					return
				}
				m := id.FindStringSubmatch(w.Body.String())
				if i%3 == 0 && want != "" && m[1] != want {
					t.Errorf("%s: got id %s, want %s", url, m[1], want)
				}
				if i%3 == 0 {
					want = m[1]
				}
				if i%10 == 0 {
					request{path: "/v1/reports", token: userSecret, body: `{"url":"` + url + `","assertion":"spam"}`}.send(t, api)
					request{path: "/metrics"}.send(t, api)
					request{path: "/v1/subjects/host/a.example"}.send(t, api)
				}
			}
		})
	}
	clients.Wait()
}
