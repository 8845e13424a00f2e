package safebrowsing_test

import (
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"testing"

	"headlight.example/evidence"
)

// slowReader takes nothing until it is let go.
type slowReader struct {
	*httptest.ResponseRecorder
	began, letGo chan struct{}
}

func (s *slowReader) Write(b []byte) (int, error) {
	s.began <- struct{}{}
	<-s.letGo
	return s.ResponseRecorder.Write(b)
}

// many asks for one list many times over: a large answer of a short list.
const many = "/v5/hashLists:batchGet?names=gc-32b"

// Clients that do not take their JSON keep nobody else from theirs.
func TestSlowReadersHoldNobodyUp(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.say(evidence.Phishing, subject(evidence.Host, "bad.test"))
	began, letGo := make(chan struct{}), make(chan struct{})
	var slow sync.WaitGroup
	for range 4 * runtime.GOMAXPROCS(0) {
		slow.Go(func() {
			r := httptest.NewRequest(http.MethodGet, many+"&alt=json", nil)
			w.s.ServeHTTP(&slowReader{httptest.NewRecorder(), began, letGo}, r)
		})
		<-began
	}
	if rec := w.do(http.MethodGet, many+"&alt=json", nil); rec.Code != http.StatusOK {
		t.Errorf("got %d %s", rec.Code, rec.Body)
	}
	close(letGo)
	slow.Wait()
}

// What is made for one client alone is bounded over all of them, at the byte.
func TestLargeAnswersAreBounded(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.say(evidence.Phishing, subject(evidence.Host, "bad.test"))
	all := w.s.Room()
	lists := many + strings.Repeat("&names=gc-32b", 63)
	size := w.do(http.MethodGet, lists, nil).Body.Len()
	if size < 128<<10 {
		t.Fatalf("%d bytes are not large", size)
	}
	matches := `{"threatInfo":{"threatTypes":["SOCIAL_ENGINEERING"],"platformTypes":["WINDOWS","LINUX","OSX","ANDROID","IOS","ALL_PLATFORMS","ANY_PLATFORM"],"threatEntryTypes":["URL"],"threatEntries":[` +
		strings.Repeat(`{"url":"http://bad.test/"},`, 499) + `{"url":"http://bad.test/"}]}}`
	matched := w.do(http.MethodPost, "/v4/threatMatches:find", []byte(matches)).Body.Len()
	if matched < 128<<10 {
		t.Fatalf("matches of %d bytes are not large", matched)
	}
	cut := "/v5/hashList/gc-32b?sizeConstraints.maxUpdateEntries=100"
	for _, x := range []struct {
		name, path string
		body       string // of a POST
		room, want int
	}{
		{"JSON for which there is room", lists + "&alt=json", "", 2 * size, http.StatusOK},
		{"JSON of a byte more", lists + "&alt=json", "", 2*size - 1, http.StatusServiceUnavailable},
		{"matches for which there is room", "/v4/threatMatches:find", matches, matched, http.StatusOK},
		{"matches of a byte more", "/v4/threatMatches:find", matches, matched - 1, http.StatusServiceUnavailable},
		{"protobuf, which is kept", lists, "", 0, http.StatusOK},
		{"a small answer for one client", cut, "", 0, http.StatusOK},
		{"small JSON", cut + "&alt=json", "", 0, http.StatusOK},
	} {
		w.s.LeaveRoom(x.room)
		method := http.MethodGet
		if x.body != "" {
			method = http.MethodPost
		}
		if rec := w.do(method, x.path, []byte(x.body)); rec.Code != x.want {
			t.Errorf("%s: got %d %.200s, want %d", x.name, rec.Code, rec.Body, x.want)
		}
		if got := w.s.Room(); got != x.room {
			t.Errorf("%s: then there is room for %d bytes, want %d", x.name, got, x.room)
		}
	}
	w.s.LeaveRoom(all)
}
