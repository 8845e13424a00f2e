package httpapi_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"headlight.example/frontend/httpapi"
)

// The lists answer for themselves; errors are problems as everywhere.
func TestLists(t *testing.T) {
	t.Parallel()
	lists := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/lists", "/lists/", "/lists/a/b.txt":
			io.WriteString(w, r.URL.Path)
		case "/lists/none":
			http.Error(w, "none", http.StatusNotFound)
		case "/lists/same":
			w.WriteHeader(http.StatusNotModified)
		default:
			http.Error(w, "not yet", http.StatusServiceUnavailable)
		}
	})
	api := newAPI(t, httpapi.Config{Lists: lists})
	closed := newAPI(t, httpapi.Config{Lists: lists, RequireTokenForReads: true, Tokens: testTokens()})
	without := newAPI(t, httpapi.Config{})
	for _, x := range []struct {
		name   string
		api    *httpapi.Server
		path   string
		token  string
		status int
		body   string
	}{
		{"the index", api, "/lists", "", 200, "/lists"},
		{"the index with a slash", api, "/lists/", "", 200, "/lists/"},
		{"a list in a folder", api, "/lists/a/b.txt", "", 200, "/lists/a/b.txt"},
		{"a list that has not changed", api, "/lists/same", "", 304, ""},
		{"no such list", api, "/lists/none", "", 404, `"type":"/problems/not-found"`},
		{"not yet", api, "/lists/x", "", 503, `"type":"/problems/`},
		{"reading needs a token", closed, "/lists/", "", 401, `"type":"/problems/`},
		{"a reader has one", closed, "/lists/", readerSecret, 200, "/lists/"},
		{"there are none", without, "/lists/", "", 404, `"type":"/problems/not-found"`},
	} {
		t.Run(x.name, func(t *testing.T) {
			t.Parallel()
			r := httptest.NewRequest(http.MethodGet, x.path, nil)
			r.Host = "localhost"
			if x.token != "" {
				r.Header.Set("Authorization", "Bearer "+x.token)
			}
			w := httptest.NewRecorder()
			x.api.Handler().ServeHTTP(w, r)
			if w.Code != x.status || !strings.Contains(w.Body.String(), x.body) {
				t.Errorf("got %d %q, want %d %q", w.Code, w.Body, x.status, x.body)
			}
		})
	}
}
