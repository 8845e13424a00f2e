package httpapi_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"headlight.example/frontend/httpapi"
)

func TestBadBodiesGetTheirProblem(t *testing.T) {
	t.Parallel()
	api := newAPI(t, httpapi.Config{})
	const scan, check, reports, appeals = "/v1/scan", "/v1/check", "/v1/reports", "/v1/appeals"
	for _, test := range []struct {
		name, path, body string
		kind, field      string
		detail           string // a part of it
	}{
		{"an empty body", scan, " \n", "not-json", "", "the body is empty"},
		{"a body that ends early", scan, `{"type":"text/plain","text":"a`, "not-json", "", "byte 29: unexpected end of JSON input"},
		{"a body with something behind it", scan, `{"type":"text","text":""} x`, "not-json", "", "byte 26: invalid character 'x' after top-level value"},
		{"two bodies", check, `{"links":[]}{"links":[]}`, "not-json", "", "byte 12:"},
		{"a trailing comma", check, `{"links":["a",]}`, "not-json", "", "byte 14:"},
		{"no comma", check, `{"links":["a" "b"]}`, "not-json", "", "byte 14:"},
		{"an array for the body", scan, `[]`, "bad-field", "", "the body: want an object, got an array"},
		{"null for the body", check, `null`, "bad-field", "", "the body: want an object, got null"},
		{"an unknown member close to a known one", scan, `{"tpye":"text/plain"}`, "bad-field", "tpye", `tpye is unknown; did you mean "type"?`},
		{"a member in capitals", check, `{"Links":[]}`, "bad-field", "Links", `did you mean "links"?`},
		{"a member like no other", scan, `{"sender":"x"}`, "bad-field", "sender", "known are type, text"},
		{"a member given twice", scan, `{"type":"text","text":"a","text":"b"}`, "bad-field", "text", "text is given twice"},
		{"no type", scan, `{"text":""}`, "bad-field", "type", "type is missing"},
		{"no text", scan, `{"type":"text"}`, "bad-field", "text", "text is missing"},
		{"an unknown type", scan, `{"type":"image/png","text":""}`, "bad-field", "type", `"image/png" is not`},
		{"a number for the text", scan, `{"type":"text","text":1e999}`, "bad-field", "text", "text: want a string, got a number"},
		{"null for the text", scan, `{"type":"text","text":null}`, "bad-field", "text", "got null"},
		{"no links", check, `{}`, "bad-field", "links", "links is missing"},
		{"a string for the links", check, `{"links":"a"}`, "bad-field", "links", "links: want an array, got a string"},
		{"an object among the links", check, `{"links":["a",{}]}`, "bad-field", "links[1]", "links[1]: want a string, got an object"},
		{"a report of nothing", reports, `{"assertion":"spam"}`, "bad-field", "url", "want exactly one of the two"},
		{"a report of two things", reports, `{"url":"a.example","subject":{"kind":"host","key":"a"},"assertion":"spam"}`, "bad-field", "url", "exactly one"},
		{"a report without assertion", reports, `{"url":"a.example"}`, "bad-field", "assertion", "assertion is missing: want one of phishing"},
		{"an assertion that nobody reports", reports, `{"url":"a.example","assertion":"popular"}`, "bad-field", "assertion", `"popular" is not one of`},
		{"a report of what is no URL", reports, `{"url":"http://","assertion":"spam"}`, "bad-field", "url", "url: "},
		{"a subject without kind", reports, `{"subject":{"key":"a.example"},"assertion":"spam"}`, "bad-field", "subject.kind", "missing"},
		{"a subject without key", reports, `{"subject":{"kind":"host"},"assertion":"spam"}`, "bad-field", "subject.key", "missing"},
		{"a subject of unknown kind", reports, `{"subject":{"kind":"planet","key":"x"},"assertion":"spam"}`, "bad-field", "subject.kind", "no kind"},
		{"a subject that is a string", reports, `{"subject":"a.example","assertion":"spam"}`, "bad-field", "subject", "want an object"},
		{"an unknown member of a subject", reports, `{"subject":{"kinds":"host"},"assertion":"spam"}`, "bad-field", "subject.kinds", `did you mean "kind"?`},
		{"a host for a domain", reports, `{"subject":{"kind":"domain","key":"www.a.example"},"assertion":"spam"}`, "bad-field", "subject.key", "www.a.example is no domain"},
		{"a URL for a host", reports, `{"subject":{"kind":"host","key":"a.example/x"},"assertion":"spam"}`, "bad-field", "subject.key", "is no host"},
		{"a suffix, which nobody condemns", reports, `{"subject":{"kind":"suffix","key":"com"},"assertion":"spam"}`, "bad-field", "subject.kind", "suffix"},
		{"a sealed URL", reports, `{"subject":{"kind":"sealed","key":"a.example/#/#0000000000002"},"assertion":"spam"}`, "bad-field", "subject.kind", "sealed"},
		{"a time without zone", reports, `{"url":"a.example","assertion":"spam","time":"2026-01-01 10:00"}`, "bad-field", "time", "RFC 3339"},
		{"a time before the web", reports, `{"url":"a.example","assertion":"spam","time":"0001-01-01T00:00:00Z"}`, "bad-field", "time", "year 1"},
		{"a rater that is none", reports, `{"url":"a.example","assertion":"spam","rater":"bob"}`, "bad-field", "rater", "want role/name"},
		{"an empty list of reports", reports, `{"reports":[]}`, "bad-field", "reports", "empty"},
		{"a list beside a report", reports, `{"reports":[{"url":"a.example","assertion":"spam"}],"url":"a.example"}`, "bad-field", "url", "stands beside reports"},
		{"a list in a list", reports, `{"reports":[{"reports":[]}]}`, "bad-field", "reports[0].reports", "unknown"},
		{"a bad report among good ones", reports, `{"reports":[{"url":"a.example","assertion":"spam"},{"url":"b.example","assertion":"ham"}]}`, "bad-field", "reports[1].assertion", "reports[1].assertion"},
		{"an appeal that asserts", appeals, `{"url":"a.example","assertion":"benign"}`, "bad-field", "assertion", "unknown"},
		{"an appeal for nothing", appeals, `{}`, "bad-field", "url", "exactly one"},
		{"an appeal for a network", appeals, `{"subject":{"kind":"as","key":"64500"}}`, "bad-field", "subject.kind", "nobody appeals"},
	} {
		t.Run(test.name, func(t *testing.T) {
			token := operatorSecret
			p := wantProblem(t, request{method: "POST", path: test.path, body: test.body, token: token}.send(t, api), 400, test.kind)
			if p.Field != test.field || !strings.Contains(p.Detail, test.detail) {
				t.Errorf("got field %q, detail %q; want %q, …%q…", p.Field, p.Detail, test.field, test.detail)
			}
		})
	}
	if said := subjectOf(t, api, "host", "a.example", "").Said; len(said) != 0 {
		t.Errorf("refused reports were stored: %+v", said)
	}
}

func TestRequestsThatAreNoneOfOurs(t *testing.T) {
	t.Parallel()
	api := newAPI(t, httpapi.Config{})
	const one = `{"links":[]}`
	for _, test := range []struct {
		name   string
		req    request
		status int
		kind   string
		header string // one that the answer has
	}{
		{"an unknown path", request{path: "/v2/check"}, 404, "not-found", ""},
		{"a path with a slash too many", request{path: "/v1/check/", body: one}, 404, "not-found", ""},
		{"a pattern for a path", request{path: "/v1/subjects/"}, 404, "not-found", ""},
		{"a problem that is none", request{path: "/problems/mine"}, 404, "not-found", ""},
		{"GET where POST is wanted", request{path: "/v1/check"}, 405, "wrong-method", "Allow"},
		{"DELETE of everything", request{method: "DELETE", path: "/"}, 405, "wrong-method", "Allow"},
		{"a form", request{path: "/v1/check", body: one, header: map[string]string{"Content-Type": "application/x-www-form-urlencoded"}}, 415, "wrong-media-type", ""},
		{"no content type", request{path: "/v1/check", body: one, header: map[string]string{"Content-Type": ""}}, 415, "wrong-media-type", ""},
		{"another charset", request{path: "/v1/check", body: one, header: map[string]string{"Content-Type": "application/json; charset=latin1"}}, 415, "wrong-media-type", ""},
		{"another encoding", request{path: "/v1/check", body: one, header: map[string]string{"Content-Encoding": "br"}}, 415, "wrong-media-type", "Accept-Encoding"},
		{"gzip that is none", request{path: "/v1/check", body: one, header: map[string]string{"Content-Encoding": "gzip"}}, 400, "broken-body", ""},
		{"a report without token", request{path: "/v1/reports", body: `{}`}, 401, "unauthenticated", "WWW-Authenticate"},
		{"an appeal without token", request{path: "/v1/appeals", body: `{}`}, 401, "unauthenticated", "WWW-Authenticate"},
		{"a wrong token", request{path: "/v1/reports", body: `{}`, token: "guess"}, 401, "unauthenticated", "WWW-Authenticate"},
		{"a wrong token for a question", request{path: "/v1/check", body: one, token: "guess"}, 401, "unauthenticated", "WWW-Authenticate"},
		{"basic authentication", request{path: "/v1/check", body: one, header: map[string]string{"Authorization": "Basic YTpi"}}, 401, "unauthenticated", "WWW-Authenticate"},
		{"a report with a token for asking", request{path: "/v1/reports", body: `{}`, token: readerSecret}, 403, "forbidden", ""},
		{"a user in another's name", request{path: "/v1/reports", token: userSecret, body: `{"url":"a.example","assertion":"spam","rater":"user/eve"}`}, 403, "forbidden", ""},
		{"an operator in another operator's name", request{path: "/v1/reports", token: operatorSecret, body: `{"url":"a.example","assertion":"spam","rater":"operator/eve"}`}, 403, "forbidden", ""},
		{"an operator as Headlight itself", request{path: "/v1/reports", token: operatorSecret, body: `{"url":"a.example","assertion":"benign","rater":"service/sighting"}`}, 403, "forbidden", ""},
		{"a report from another site's page", request{path: "/v1/reports", token: userSecret, body: `{}`, header: map[string]string{"Origin": "https://evil.example"}}, 403, "forbidden", ""},
		{"a subject of no kind", request{path: "/v1/subjects/planet/x"}, 400, "bad-subject", ""},
		{"a subject without key", request{path: "/v1/subjects/host"}, 400, "bad-subject", ""},
		{"a subject with a bad key", request{path: "/v1/subjects/as/none"}, 400, "bad-subject", ""},
		{"an id that is none", request{path: "/v1/subjects/url/%23xyz"}, 400, "bad-subject", ""},
		{"a limit over the bound", request{path: "/v1/subjects/host/a.example?limit=1001"}, 400, "bad-field", ""},
		{"a limit that is none", request{path: "/v1/subjects/host/a.example?limit=all"}, 400, "bad-field", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := test.req.send(t, api)
			wantProblem(t, w, test.status, test.kind)
			if test.header != "" && w.Header().Get(test.header) == "" {
				t.Errorf("got headers %v, want %s", w.Header(), test.header)
			}
		})
	}
}

func TestAUserReportsNoNetworks(t *testing.T) {
	t.Parallel()
	api := newAPI(t, httpapi.Config{})
	body := `{"subject":{"kind":"prefix","key":"192.0.2.0/24"},"assertion":"spam"}`
	p := wantProblem(t, request{path: "/v1/reports", body: body, token: userSecret}.send(t, api), 400, "bad-field")
	if p.Field != "subject.kind" {
		t.Errorf("got field %q, want subject.kind", p.Field)
	}
	if w := (request{path: "/v1/reports", body: body, token: operatorSecret}).send(t, api); w.Code != http.StatusCreated {
		t.Errorf("operator: got status %d, want 201; %s", w.Code, w.Body)
	}
}

func TestEveryProblemIsExplainedUnderItsType(t *testing.T) {
	t.Parallel()
	api := newAPI(t, httpapi.Config{})
	for _, name := range httpapi.ProblemKinds() {
		got := decode[struct {
			Type, Title, About string
			Status             int
		}](t, request{path: "/problems/" + name}.send(t, api), 200)
		if got.Type != "/problems/"+name || got.Title == "" || got.About == "" || got.Status < 400 {
			t.Errorf("%s: got %+v", name, got)
		}
	}
}

func TestBodiesAreBoundedToTheByte(t *testing.T) {
	t.Parallel()
	const most = 4 << 10
	api := newAPI(t, httpapi.Config{MaxScanBytes: most})
	const frame = len(`{"type":"text","text":""}`)
	scan := func(n int) string { return `{"type":"text","text":"` + strings.Repeat("a", n-frame) + `"}` }
	for _, encoding := range []string{"", "gzip"} {
		send := func(body string) int {
			if encoding == "gzip" {
				body = zipped(t, body)
			}
			w := request{path: "/v1/scan", body: body, header: map[string]string{"Content-Encoding": encoding}}.send(t, api)
			if w.Code != 200 {
				wantProblem(t, w, 413, "too-large")
			}
			return w.Code
		}
		if got := send(scan(most)); got != 200 {
			t.Errorf("%q, at the bound: got %d, want 200", encoding, got)
		}
		if got := send(scan(most + 1)); got != 413 {
			t.Errorf("%q, one over: got %d, want 413", encoding, got)
		}
	}
}

func zipped(t testing.TB, s string) string {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	z.Write([]byte(s))
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestListsAreBounded(t *testing.T) {
	t.Parallel()
	api := newAPI(t, httpapi.Config{})
	list := func(n int, element string) string { return strings.Repeat(element+",", n-1) + element }
	for _, test := range []struct {
		path, body, element string
		most, status        int
	}{
		{"/v1/check", `{"links":[%s]}`, `"a.example"`, httpapi.MaxLinks, 200},
		{"/v1/check", "{\"links\" :[%s]}", `"\ud800.example"`, httpapi.MaxLinks, 200}, // the strict reader
		{"/v1/reports", `{"reports":[%s]}`, `{"url":"a.example","assertion":"spam"}`, httpapi.MaxReports, 201},
	} {
		q := request{path: test.path, token: userSecret, body: fmt.Sprintf(test.body, list(test.most, test.element))}
		if w := q.send(t, api); w.Code != test.status {
			t.Errorf("%s with %d: got %d, want %d", test.path, test.most, w.Code, test.status)
		}
		q.body = fmt.Sprintf(test.body, list(test.most+1, test.element))
		wantProblem(t, q.send(t, api), 413, "too-large")
	}
}

func TestABugIsAProblemAndTellsNothing(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	api := newAPI(t, httpapi.Config{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	api.SetRoute("/healthz", func() error { panic("parse \"secret text\"") })
	p := wantProblem(t, request{path: "/healthz"}.send(t, api), 500, "internal")
	if strings.Contains(p.Detail+log.String(), "secret text") {
		t.Errorf("the panic's value got out: %s\n%s", p.Detail, &log)
	}
	if !strings.Contains(log.String(), p.Instance) || !strings.Contains(log.String(), "goroutine") {
		t.Errorf("got log %s, want the instance %s and a stack", &log, p.Instance)
	}
	log.Reset()
	api.SetRoute("/healthz", func() error { return errors.New("disk on fire") })
	p = wantProblem(t, request{path: "/healthz"}.send(t, api), 500, "internal")
	if strings.Contains(p.Detail, "disk") || !strings.Contains(log.String(), "disk on fire") {
		t.Errorf("got detail %q and log %s, want the cause in the log only", p.Detail, &log)
	}
}
