package httpapi_test

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"headlight.example/frontend/httpapi"
)

// Safe Browsing answers for itself, errors too; who may ask is as everywhere, but
// that a token may also stand where Google's clients put their key.
func TestSafeBrowsing(t *testing.T) {
	t.Parallel()
	inner := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		if strings.HasSuffix(r.URL.Path, "none") {
			w.WriteHeader(http.StatusNotFound)
		}
		io.WriteString(w, r.Method+" "+r.URL.Path+" "+string(b[:min(len(b), 9)]))
	})
	api := newAPI(t, httpapi.Config{SafeBrowsing: inner})
	closed := newAPI(t, httpapi.Config{SafeBrowsing: inner, RequireTokenForReads: true, Tokens: testTokens()})
	without := newAPI(t, httpapi.Config{})
	big := func(n int) []byte { return bytes.Repeat([]byte("x"), n) }
	for _, x := range []struct {
		name         string
		api          *httpapi.Server
		method, path string
		key          string
		body         []byte
		status       int
		want         string
	}{
		{"v5", api, "GET", "/v5/hashLists:batchGet?key=x", "", nil, 200, "GET /v5/hashLists:batchGet "},
		{"below a folder", api, "GET", "/v5/hashList/se-4b", "", nil, 200, "GET /v5/hashList/se-4b "},
		{"v4", api, "POST", "/v4/fullHashes:find", "", []byte("body"), 200, "POST /v4/fullHashes:find body"},
		{"Web Risk", api, "GET", "/v1/uris:search", "", nil, 200, "GET /v1/uris:search "},
		{"its own error", api, "GET", "/v5/none", "", nil, 404, "GET /v5/none "},
		{"a body at the limit", api, "POST", "/v4/x", "", big(httpapi.MaxSafeBrowsing), 200, "POST /v4/x xxxxxxxxx"},
		{"a body over it", api, "POST", "/v4/x", "", big(httpapi.MaxSafeBrowsing + 1), 413, `"type":"/problems/too-large"`},
		{"a key that is no token", api, "GET", "/v5/x?key=guess", "", nil, 200, "GET /v5/x "},
		{"a token is needed", closed, "GET", "/v5/x", "", nil, 401, `"type":"/problems/`},
		{"a key that is no token where one is needed", closed, "GET", "/v5/x?key=guess", "", nil, 401, `"type":"/problems/`},
		{"a token as the parameter", closed, "GET", "/v5/x?key=" + readerSecret, "", nil, 200, "GET /v5/x "},
		{"a token as the header", closed, "GET", "/v1/hashes:search", readerSecret, nil, 200, "GET /v1/hashes:search "},
		{"elsewhere a key is nothing", closed, "GET", "/lists/?key=" + readerSecret, "", nil, 401, `"type":"/problems/`},
		{"there is none", without, "GET", "/v5/hashLists", "", nil, 404, `"type":"/problems/not-found"`},
		{"nothing below", api, "GET", "/v5/", "", nil, 404, `"type":"/problems/not-found"`},
	} {
		t.Run(x.name, func(t *testing.T) {
			t.Parallel()
			r := httptest.NewRequest(x.method, x.path, bytes.NewReader(x.body))
			r.Host = "localhost"
			if x.key != "" {
				r.Header.Set("X-Goog-Api-Key", x.key)
			}
			w := httptest.NewRecorder()
			x.api.Handler().ServeHTTP(w, r)
			if w.Code != x.status || !strings.Contains(w.Body.String(), x.want) {
				t.Errorf("got %d %q, want %d %q", w.Code, w.Body, x.status, x.want)
			}
		})
	}
}
