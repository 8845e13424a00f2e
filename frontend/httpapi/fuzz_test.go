package httpapi_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"headlight.example/evidence"
	"headlight.example/frontend/httpapi"
)

// wantAnswer holds what came back for any body against the description: a
// documented success that validates, or a problem document below 500.
func wantAnswer(t *testing.T, api *httpapi.Server, path, body, token string) {
	t.Helper()
	w := request{method: http.MethodPost, path: path, body: body, token: token}.send(t, api)
	if w.Code >= 500 {
		t.Fatalf("got %d for %q: %s", w.Code, body, w.Body)
	}
	if !utf8.Valid(w.Body.Bytes()) {
		t.Errorf("the answer is not UTF-8: %q", w.Body)
	}
	c := &checker{seen: make(map[string]bool)}
	if err := c.answer(http.MethodPost, path, w); err != nil {
		t.Errorf("%v\nfor %q\nin %s", err, body, w.Body)
	}
}

func FuzzCheckBody(f *testing.F) {
	for _, s := range []string{
		`{"links":[]}`, `{"links":["http://a.example/x","b.example"]}`, ` { "links" : [ "a\/b\n" , "\u00e9\ud83d\ude00" ] } `,
		`{"links":["\ud800"]}`, `{"links":["` + "\xff" + `"]}`, `{"links":["a",]}`, `{"links":[null]}`, `{"links":["http://"]}`, `{"Links":[]}`, `{"links":[],"links":[]}`,
		`{"links":["https://www.google.com/url?q=http://a.example/"]}`, `{"links":["http://phishing.headlight.example/"]}`, `{"links":["\u`,
	} {
		f.Add([]byte(s))
	}
	api := newAPI(f, httpapi.Config{})
	f.Fuzz(func(t *testing.T, body []byte) {
		fast, ok := httpapi.FastLinks(body)
		strict, err := httpapi.StrictLinks(body)
		if ok && (err != nil || !slices.Equal(fast, strict)) {
			t.Errorf("the fast reader reads %q, the strict one %q, %v", fast, strict, err)
		}
		if plain, e := json.Marshal(map[string][]string{"links": strict}); err == nil && e == nil && len(strict) > 0 {
			if again, ok := httpapi.FastLinks(plain); !ok || !slices.Equal(again, strict) {
				t.Errorf("the fast reader gives up on %s, or reads %q", plain, again)
			}
		}
		wantAnswer(t, api, "/v1/check", string(body), "")
	})
}

func FuzzScanBody(f *testing.F) {
	for _, s := range []string{
		`{"type":"text/plain","text":"see http://a.example/x, www.b.example"}`, `{"text":"","type":"html"}`,
		`{"type":"message/rfc822","text":"Subject: x\r\nContent-Type: text/html\r\n\r\n<a href=http://a.example>b.example</a>"}`,
		`{"type":"text/html","text":"<a href='javascript:x'>\ud800<img src=data:x>"}`, `{"type":"text","text":"a"}x`, `{"type":"t","text":1}`,
		`{"type":"text","text":"a","text":"b"}`, `{"ty\u0070e":"text","text":""}`, `null`, `{"type":"text","text":"hxxp://a[.]example"}`,
	} {
		f.Add([]byte(s))
	}
	api := newAPI(f, httpapi.Config{})
	f.Fuzz(func(t *testing.T, body []byte) {
		typ, text, ok := httpapi.FastScan(body)
		strictType, strictText, err := httpapi.StrictScan(body)
		if ok && (err != nil || typ != strictType || text != strictText) {
			t.Errorf("the fast reader reads %q, %q; the strict one %q, %q, %v", typ, text, strictType, strictText, err)
		}
		if plain, e := json.Marshal(map[string]string{"type": strictType, "text": strictText}); err == nil && e == nil {
			if _, again, ok := httpapi.FastScan(plain); !ok || again != strictText {
				t.Errorf("the fast reader gives up on %s, or reads %q", plain, again)
			}
		}
		wantAnswer(t, api, "/v1/scan", string(body), "")
	})
}

func FuzzReportBody(f *testing.F) {
	for _, s := range []string{
		`{"url":"http://a.example/x","assertion":"phishing"}`, `{"subject":{"kind":"host","key":"a.example"},"assertion":"benign","time":"2026-01-31T12:00:00Z"}`,
		`{"reports":[{"url":"a.example","assertion":"spam"},{"url":"b.example","assertion":"retracted","rater":"feed/x"}]}`,
		`{"url":"a.example"}`, `{"subject":{"kind":"tenant","key":"docs.google.com/document/d/x"},"assertion":"malware"}`,
		`{"subject":{"kind":"path","key":"a.example/x/"},"assertion":"malware"}`, `{"subject":{"kind":"addr","key":"::ffff:192.0.2.1"},"assertion":"malware"}`,
		`{"subject":{"kind":"as","key":"AS64500"},"assertion":"malware"}`, `{"subject":{"kind":"prefix","key":"192.0.2.77/24"},"assertion":"spam"}`,
		`{"url":"https://www.google.com/url?q=http://a.example/","assertion":"phishing"}`, `{"reports":[[]]}`, `{"url":"a","time":"9999-12-31T23:59:59-23:59","assertion":"spam"}`,
	} {
		f.Add([]byte(s))
	}
	api := newAPI(f, httpapi.Config{AnonymousAppeals: true})
	f.Fuzz(func(t *testing.T, body []byte) {
		if len(body) > 4096 && strings.Count(string(body), "{") > 100 {
			return // a thousand durable reports take their time
		}
		wantAnswer(t, api, "/v1/reports", string(body), operatorSecret)
		wantAnswer(t, api, "/v1/appeals", string(body), "")
	})
}

// FuzzSubjectPath: any path below /v1/subjects/ gets an answer as described.
func FuzzSubjectPath(f *testing.F) {
	for _, s := range []string{"url/http%3A%2F%2Fa.example%2F", "url/http://a.example/x", "host/A.example", "addr/[::1]", "as/AS1", "sealed/a%2F%23%2F%230000000000002",
		"url/%23", "url/%230000000000002", "domain/co.uk", "path/a.example%2Fx%2F", "suffix/.COM", "subnet/192.0.2.0%2F24", "x", "host/", "host/%zz", "tenant/%00"} {
		f.Add(s)
	}
	api := newAPI(f, httpapi.Config{})
	f.Fuzz(func(t *testing.T, path string) {
		r, err := http.NewRequest("GET", "http://headlight/v1/subjects/"+path, nil)
		if err != nil || r.URL.RawQuery != "" {
			return
		}
		w := serve(api, r)
		c := &checker{seen: make(map[string]bool)}
		pattern := "/v1/subjects/{kind}/{key}"
		if w.Code == 404 { // nothing is below it
			return
		}
		if err := c.answer("GET", pattern, w); err != nil || w.Code >= 500 {
			t.Errorf("%v\nfor %q\nin %d %s", err, path, w.Code, w.Body)
		}
	})
}

// FuzzReviews: any place in the list, any id and any word get an answer as
// described; only a case that waits is settled, and then it waits no more.
func FuzzReviews(f *testing.F) {
	for _, s := range []string{"2.1795792221.0.3ase9pb6jm22c", "0.0.1795792221.0000000000002", "", "x", "1.2.3", "-1.+2.03.0000000000002",
		"9223372036854775807.9223372036854775807.-9223372036854775808.zzzzzzzzzzzzy"} {
		f.Add(s, "0000000000002", []byte(`{"assertion":"benign"}`))
	}
	f.Add("", "1", []byte(`{"assertion":"dismiss"}`))
	f.Add("", "00000000/0002", []byte(`{"assertion":"dismiss","assertion":"dismiss"}`))
	svc := newService(f)
	api := apiOf(svc, httpapi.Config{})
	f.Fuzz(func(t *testing.T, after, id string, body []byte) {
		send := func(method, path, pattern string) *httptest.ResponseRecorder {
			r := httptest.NewRequest(method, "/v1/reviews?after="+url.QueryEscape(after), bytes.NewReader(body))
			r.URL.Path = path
			r.Header.Set("Authorization", "Bearer "+operatorSecret)
			r.Header.Set("Content-Type", "application/json")
			w := serve(api, r)
			c := &checker{seen: make(map[string]bool)}
			if err := c.answer(method, pattern, w); err != nil || w.Code >= 500 {
				t.Errorf("%v\nfor %q, %q and %q\nin %d %s", err, after, id, body, w.Code, w.Body)
			}
			return w
		}
		say(t, svc, "user/bob", "http://a.example/", evidence.Spam)
		list, _, _ := svc.Reviews(nil, 10)
		if id == "1" {
			id = httpapi.IDOf(list[0].ID)
		}
		send("GET", "/v1/reviews", "/v1/reviews")
		if id == "" {
			return
		}
		done := send("POST", "/v1/reviews/"+id, "/v1/reviews/{id}").Code == 200
		if done != (len(list) == 1 && httpapi.IDOf(list[0].ID) == id && httpapi.Settles(body)) {
			t.Errorf("%q settles %q: %v", body, id, done)
		}
		if again := send("POST", "/v1/reviews/"+id, "/v1/reviews/{id}").Code; again == 200 {
			t.Errorf("%q was settled twice", id)
		}
		say(t, svc, "operator/ann", "http://a.example/", evidence.Benign)
		say(t, svc, "operator/ann", "http://a.example/", evidence.Retracted)
	})
}
