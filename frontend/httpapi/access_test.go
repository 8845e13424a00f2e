package httpapi_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"headlight.example/evidence"
	"headlight.example/frontend/httpapi"
)

const oneLink = `{"links":["http://a.example/"]}`

func TestTokensCanBeAskedForQuestions(t *testing.T) {
	t.Parallel()
	api := newAPI(t, httpapi.Config{RequireTokenForReads: true})
	for _, path := range []string{"/v1/check", "/v1/scan", "/v1/subjects/host/a.example", "/v1/changes"} {
		q := request{path: path}
		if strings.HasSuffix(path, "k") || strings.HasSuffix(path, "n") {
			q.body = oneLink
		}
		wantProblem(t, q.send(t, api), 401, "unauthenticated")
	}
	if w := (request{path: "/v1/check", body: oneLink, token: readerSecret}).send(t, api); w.Code != 200 {
		t.Errorf("with a token: got %d, want 200", w.Code)
	}
	for _, path := range []string{"/", "/healthz", "/readyz", "/metrics", "/openapi.json"} {
		if w := (request{path: path}).send(t, api); w.Code != 200 {
			t.Errorf("%s: got %d, want 200 without a token", path, w.Code)
		}
	}
}

func TestAnybodyMayAppealIfTheConfigurationSaysSo(t *testing.T) {
	t.Parallel()
	api := newAPI(t, httpapi.Config{AnonymousAppeals: true})
	w := request{path: "/v1/appeals", body: `{"url":"http://shop.example/"}`}.send(t, api)
	if w.Code != http.StatusCreated {
		t.Fatalf("got %d, want 201: %s", w.Code, w.Body)
	}
	said := subjectOf(t, api, "url", "http://shop.example/", operatorSecret).Said
	if len(said) == 0 || said[0].Rater != "user/anonymous" || said[0].Assertion != "appealed" {
		t.Errorf("got said %+v, want an anonymous appeal", said)
	}
	w = request{path: "/v1/appeals", body: `{"url":"http://shop.example/"}`, header: map[string]string{"Sec-Fetch-Site": "cross-site"}}.send(t, api)
	wantProblem(t, w, 403, "forbidden")
}

func TestTheRaterIsTheTokensOwn(t *testing.T) {
	t.Parallel()
	api := newAPI(t, httpapi.Config{})
	const report = `{"url":"http://a.example/","assertion":"spam"`
	for _, q := range []request{
		{body: report + `}`, token: userSecret},
		{body: report + `,"rater":"user/bob"}`, token: userSecret},
		{body: report + `,"rater":"feed/letters"}`, token: operatorSecret},
	} {
		q.path = "/v1/reports"
		if w := q.send(t, api); w.Code != http.StatusCreated {
			t.Fatalf("%s: got %d, want 201: %s", q.body, w.Code, w.Body)
		}
	}
	var raters []string
	for _, e := range subjectOf(t, api, "url", "http://a.example/", operatorSecret).Said {
		if e.Assertion == "spam" {
			raters = append(raters, e.Rater)
		}
	}
	if got, want := fmt.Sprint(raters), "[feed/letters user/bob user/bob]"; got != want {
		t.Errorf("got raters %s, want %s (newest first)", got, want)
	}
}

func TestWhoReportsIsToldToOperatorsOnly(t *testing.T) {
	t.Parallel()
	svc := newService(t)
	api := apiOf(svc, httpapi.Config{})
	say(t, svc, "user/carol", "http://a.example/x", evidence.Phishing)
	say(t, svc, "user/bob", "http://a.example/x", evidence.Phishing)
	for _, test := range []struct{ who, token, want string }{
		{"nobody", "", "[user user]"},
		{"another user", userSecret, "[user/bob user]"},
		{"a gateway", readerSecret, "[user user]"},
		{"an operator", operatorSecret, "[user/bob user/carol]"},
	} {
		got := subjectOf(t, api, "url", "http://a.example/x", test.token)
		var raters []string
		for _, e := range got.Said {
			raters = append(raters, e.Rater)
		}
		if fmt.Sprint(raters) != test.want {
			t.Errorf("%s: got raters %v, want %s", test.who, raters, test.want)
		}
	}
}

func TestAnOperatorSeesWhenALinkWasMetAndOthersTheDay(t *testing.T) {
	t.Parallel()
	svc := newService(t)
	api := apiOf(svc, httpapi.Config{})
	met := time.Date(2026, 1, 31, 14, 15, 16, 0, time.UTC)
	host := evidence.Subject{Kind: evidence.Host, Key: "a.example"}
	_, err := svc.Append(t.Context(), evidence.Record{Time: met, Rater: "service/sighting", Subject: host, Assertion: evidence.Seen, Count: 1})
	if err != nil {
		t.Fatal(err)
	}
	if got := subjectOf(t, api, "host", "a.example", operatorSecret).Said[0].Time; !got.Equal(met) {
		t.Errorf("operator: got %v, want %v", got, met)
	}
	if got, want := subjectOf(t, api, "host", "a.example", readerSecret).Said[0].Time, met.Truncate(24*time.Hour); !got.Equal(want) {
		t.Errorf("gateway: got %v, want %v", got, want)
	}
}

func TestASubjectIsNamedByItsURLOrItsID(t *testing.T) {
	t.Parallel()
	svc := newService(t)
	api := apiOf(svc, httpapi.Config{})
	say(t, svc, "feed/openphish", "http://a.example/x?secret=1", evidence.Phishing)
	w := request{path: "/v1/check", body: `{"links":["http://a.example/x?secret=1"]}`}.send(t, api)
	id := decode[struct{ Verdicts []verdict }](t, w, 200).Verdicts[0].ID
	if byID := subjectOf(t, api, "url", "#"+id, ""); byID.Subject != (subject{"url", "#" + id}) || byID.Verdict != nil {
		t.Errorf("by id: got %+v", byID)
	}
	byURL := subjectOf(t, api, "url", "http://a.example/x?secret=1", "")
	if len(byURL.Rungs) < 2 {
		t.Errorf("got rungs %s, want the ladder", byURL.Rungs)
	}
	// A URL whose slashes are not encoded names the same.
	plain := decode[known](t, request{path: "/v1/subjects/url/http://a.example/x%3Fsecret=1"}.send(t, api), 200)
	if plain.Subject != byURL.Subject {
		t.Errorf("got subject %+v, want %+v", plain.Subject, byURL.Subject)
	}
}

func TestWhoSaidWhatIsBounded(t *testing.T) {
	t.Parallel()
	svc := newService(t)
	api := apiOf(svc, httpapi.Config{})
	for i := range 4 {
		say(t, svc, fmt.Sprintf("feed/f%d", i), "http://a.example/x", evidence.Spam)
	}
	for _, test := range []struct {
		limit, said int
		more        bool
	}{{0, 0, true}, {3, 3, true}, {4, 4, false}, {5, 4, false}} {
		w := request{path: fmt.Sprintf("/v1/subjects/url/a.example%%2Fx?limit=%d", test.limit)}.send(t, api)
		if got := decode[known](t, w, 200); len(got.Said) != test.said || got.More != test.more {
			t.Errorf("limit %d: got %d said, more %v; want %d, %v", test.limit, len(got.Said), got.More, test.said, test.more)
		}
	}
}

func TestANetworkWithoutTokenIsHeldToItsRate(t *testing.T) {
	t.Parallel()
	const rate = 5 // and so a burst of ten
	api := newAPI(t, httpapi.Config{Rate: rate})
	ask := func(q request) int {
		q.path, q.body = "/v1/check", oneLink
		w := q.send(t, api)
		if w.Code == http.StatusTooManyRequests {
			wantProblem(t, w, 429, "too-many-requests")
			if w.Header().Get("Retry-After") != "1" {
				t.Errorf("got Retry-After %q, want 1", w.Header().Get("Retry-After"))
			}
		}
		return w.Code
	}
	for i := range 2 * rate {
		q := request{remote: fmt.Sprintf("[2001:db8:0:1::%x]:9", i)} // one network
		if got := ask(q); got != 200 {
			t.Fatalf("request %d: got %d, want 200", i+1, got)
		}
	}
	if got := ask(request{remote: "[2001:db8:0:1:ffff::1]:9"}); got != 429 {
		t.Errorf("one more from the network: got %d, want 429", got)
	}
	if got := ask(request{remote: "[2001:db8:0:2::1]:9"}); got != 200 {
		t.Errorf("another network: got %d, want 200", got)
	}
	if got := ask(request{remote: "[2001:db8:0:1::1]:9", token: readerSecret}); got != 200 {
		t.Errorf("with a token: got %d, want 200", got)
	}
	if got := ask(request{remote: "[2001:db8:0:1::1]:9", token: "guess"}); got != 429 {
		t.Errorf("guessing tokens: got %d, want 429", got)
	}
	for range 4 * rate {
		if got := ask(request{remote: "[::ffff:127.0.0.1]:9"}); got != 200 {
			t.Fatalf("from the machine itself: got %d, want 200", got)
		}
	}
}

func TestATokenIsHeldToItsRate(t *testing.T) {
	t.Parallel()
	slow := httpapi.NewToken("slow", "user/slow", "slow")
	slow.Rate = 1
	api := newAPI(t, httpapi.Config{Tokens: []httpapi.Token{slow, httpapi.NewToken("free", "", "free")}})
	codes := func(token string) (got []int) {
		for range 3 {
			got = append(got, request{path: "/v1/check", body: oneLink, token: token}.send(t, api).Code)
		}
		return got
	}
	if got := fmt.Sprint(codes("slow")); got != "[200 200 429]" {
		t.Errorf("one a second: got %s, want a burst of two", got)
	}
	if got := fmt.Sprint(codes("free")); got != "[200 200 200]" {
		t.Errorf("no rate: got %s", got)
	}
}

func TestAppealsAreFew(t *testing.T) {
	t.Parallel()
	api := newAPI(t, httpapi.Config{AnonymousAppeals: true})
	appeal := func(q request) int {
		q.path, q.body = "/v1/appeals", `{"url":"http://shop.example/"}`
		return q.send(t, api).Code
	}
	for i := range 5 {
		if got := appeal(request{}); got != 201 {
			t.Fatalf("appeal %d: got %d, want 201", i+1, got)
		}
	}
	if got := appeal(request{}); got != 429 {
		t.Errorf("the sixth: got %d, want 429", got)
	}
	if got := appeal(request{token: userSecret}); got != 201 {
		t.Errorf("somebody else: got %d, want 201", got)
	}
}

func TestALimiterRemembersABoundedNumber(t *testing.T) {
	t.Parallel()
	l := httpapi.NewLimiter(1, 1)
	now := time.Now()
	l.Take("first", now)
	for i := range 3 * httpapi.MaxClients {
		l.Take(fmt.Sprint(i), now)
		if i == httpapi.MaxClients { // first is of the older generation now, but was not forgotten
			if _, ok := l.Take("first", now); ok {
				t.Errorf("a client was forgotten after %d others", i)
			}
		}
	}
	if got := l.Len(); got > 2*httpapi.MaxClients {
		t.Errorf("got %d clients, want at most %d", got, 2*httpapi.MaxClients)
	}
	if _, ok := l.Take("first", now.Add(time.Second)); !ok {
		t.Error("the bucket did not fill again")
	}
}

func TestClientOf(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		remote, client string
		local          bool
	}{
		{"192.0.2.1:1", "192.0.2.1", false},
		{"[::ffff:192.0.2.1]:1", "192.0.2.1", false},
		{"[2001:db8:1:2:3::4]:1", "2001:db8:1:2::/64", false},
		{"127.8.8.8:1", "", true},
		{"[::1]:1", "", true},
		{"pipe", "", false},
		{"@", "", false},
	} {
		client, local := httpapi.ClientOf(test.remote)
		if client != test.client || local != test.local {
			t.Errorf("%s: got %q, %v; want %q, %v", test.remote, client, local, test.client, test.local)
		}
	}
}

func TestALoopbackServerKnowsItsNames(t *testing.T) {
	t.Parallel()
	api := newAPI(t, httpapi.Config{Hosts: []string{"Headlight.example"}})
	server := httptest.NewServer(api.Handler())
	defer server.Close()
	_, port, _ := net.SplitHostPort(server.Listener.Addr().String())
	for _, test := range []struct {
		host   string
		status int
	}{
		{"127.0.0.1:" + port, 200},
		{"localhost:" + port, 200},
		{"LOCALHOST", 200},
		{"me.localhost", 200},
		{"[::1]:" + port, 200},
		{"[::1]", 200},
		{"10.0.0.1", 200},
		{"headlight.example", 200},
		{"headlight.example.:" + port, 200},
		{"evil.example", 421},
		{"evil.example:" + port, 421},
		{"localhost.evil.example", 421},
		{"127.0.0.1.evil.example", 421},
		{"notlocalhost", 421},
	} {
		r, err := http.NewRequest("POST", server.URL+"/v1/check", strings.NewReader(oneLink))
		if err != nil {
			t.Fatal(err)
		}
		r.Host = test.host
		r.Header.Set("Content-Type", "application/json")
		resp, err := server.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		if resp.StatusCode != test.status {
			t.Errorf("Host %s: got %d, want %d", test.host, resp.StatusCode, test.status)
		}
	}
}

func TestLargeBodiesShareABudget(t *testing.T) {
	t.Parallel()
	const budget = 1 << 20
	api := newAPI(t, httpapi.Config{MaxBodyMemory: budget})
	server := httptest.NewServer(api.Handler())
	defer server.Close()

	// One client sends half a body and waits: it holds what it has sent.
	half, rest := io.Pipe()
	answered := make(chan int, 1)
	go func() {
		resp, err := http.Post(server.URL+"/v1/scan", "application/json", half)
		half.Close() // who still writes gets an error
		if err != nil {
			answered <- 0
			return
		}
		resp.Body.Close()
		answered <- resp.StatusCode
	}()
	fmt.Fprintf(rest, `{"type":"text","text":"%s`, strings.Repeat("a", budget*3/8)) // in a buffer of half the budget
	for api.MemoryLeft() > budget/2 {
		if _, err := fmt.Fprint(rest, "b"); err != nil {
			t.Fatalf("the slow client was cut off: got %d", <-answered)
		}
	}
	large := fmt.Sprintf(`{"type":"text","text":"%s"}`, strings.Repeat("a", budget*5/8))
	w := request{path: "/v1/scan", body: large}.send(t, api)
	wantProblem(t, w, 503, "overloaded")
	if w.Header().Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	if w := (request{path: "/v1/scan", body: `{"type":"text","text":"small"}`}).send(t, api); w.Code != 200 {
		t.Errorf("a small message meanwhile: got %d, want 200", w.Code)
	}
	fmt.Fprint(rest, `"}`)
	rest.Close()
	if got := <-answered; got != 200 {
		t.Errorf("the slow client: got %d, want 200", got)
	}
	if w := (request{path: "/v1/scan", body: large}).send(t, api); w.Code != 200 {
		t.Errorf("afterwards: got %d, want 200", w.Code)
	}
	server.Close()
	if got := api.MemoryLeft(); got != budget {
		t.Errorf("got %d bytes of the budget back, want all %d", got, budget)
	}
}
