package httpapi_test

import (
	"fmt"
	"strings"
	"testing"

	"headlight.example"
	"headlight.example/evidence"
	"headlight.example/frontend/httpapi"
)

type reviews struct {
	Reviews []struct {
		ID, Threat                string
		Subject                   subject
		Groups, Reporters, Benign int
		Voice                     float64
		First, Last, Appealed     string
		Verdict                   verdict
	}
	Open, Dropped int
	Next          string
}

type settled struct {
	Seq     int
	Subject subject
	Verdict verdict
}

func reviewsOf(t *testing.T, api *httpapi.Server, query string) reviews {
	t.Helper()
	return decode[reviews](t, request{path: "/v1/reviews" + query, token: operatorSecret}.send(t, api), 200)
}

func TestReportsWaitForAReviewerUntilTheyAreSettled(t *testing.T) {
	t.Parallel()
	svc := newService(t)
	api := apiOf(svc, httpapi.Config{})
	for _, body := range []string{`{"url":"http://one.example/x","assertion":"spam"}`, `{"url":"http://two.example/y?z","assertion":"phishing"}`} {
		if w := (request{path: "/v1/reports", token: userSecret, body: body}).send(t, api); w.Code != 201 {
			t.Fatal(w.Body)
		}
	}
	say(t, svc, "user/carol", "http://two.example/y?z", evidence.Phishing)
	(request{path: "/v1/appeals", token: userSecret, body: `{"subject":{"kind":"host","key":"shop.example"}}`}).send(t, api)
	got := reviewsOf(t, api, "")
	if got.Open != 3 || len(got.Reviews) != 3 || got.Next != "" || got.Dropped != 0 {
		t.Fatalf("got %+v", got)
	}
	shop, two, one := got.Reviews[0], got.Reviews[1], got.Reviews[2]
	if shop.Subject != (subject{"host", "shop.example"}) || shop.Appealed == "" || shop.First != "" || shop.Threat != "" {
		t.Errorf("got %+v", shop)
	}
	if two.Subject != (subject{"url", "two.example/y?z"}) || two.Threat != "phishing" || two.Groups != 2 || two.Reporters != 2 ||
		two.First == "" || two.Appealed != "" || two.Verdict.Level != "unknown" || two.ID != two.Verdict.ID {
		t.Errorf("got %+v", two)
	}
	w := request{path: "/v1/reviews/" + two.ID, token: operatorSecret, body: `{"assertion":"phishing"}`}.send(t, api)
	if got := decode[settled](t, w, 200); got.Subject != two.Subject || got.Verdict.Level != "dangerous" || got.Seq == 0 {
		t.Errorf("got %+v", got)
	}
	said := subjectOf(t, api, "url", "http://two.example/y?z", operatorSecret).Said
	if said[0].Rater != "operator/ann" || said[0].Assertion != "phishing" {
		t.Errorf("the log holds %+v", said)
	}
	w = request{path: "/v1/reviews/" + two.ID, token: operatorSecret, body: `{"assertion":"benign"}`}.send(t, api)
	wantProblem(t, w, 404, "not-found")
	w = request{path: "/v1/reviews/" + one.ID, token: operatorSecret, body: `{"assertion":"dismiss"}`}.send(t, api)
	if got := decode[settled](t, w, 200); got.Verdict.Level != "unknown" {
		t.Errorf("got %+v", got)
	}
	if got := reviewsOf(t, api, ""); got.Open != 1 || got.Reviews[0].ID != shop.ID {
		t.Errorf("got %+v", got)
	}
}

func TestDismissingAnAppealLetsTheVerdictStand(t *testing.T) {
	t.Parallel()
	svc := newService(t)
	api := apiOf(svc, httpapi.Config{})
	say(t, svc, "operator/bob", "http://bad.example/", evidence.Malware)
	say(t, svc, "feed/one", "http://listed.example/", evidence.Malware)
	for _, u := range []string{"http://bad.example/", "http://listed.example/"} {
		(request{path: "/v1/appeals", token: userSecret, body: `{"url":"` + u + `"}`}).send(t, api)
	}
	list := reviewsOf(t, api, "").Reviews
	if len(list) != 2 {
		t.Fatalf("got %+v", list)
	}
	for _, r := range list {
		w := request{path: "/v1/reviews/" + r.ID, token: operatorSecret, body: `{"assertion":"dismiss"}`}.send(t, api)
		if got := decode[settled](t, w, 200); got.Verdict.Level != "dangerous" || got.Verdict.Threat != "malware" {
			t.Errorf("%s: got %+v", r.Subject.Key, got)
		}
		if rating := subjectOf(t, api, "url", "http://"+r.Subject.Key, operatorSecret).Rating; !strings.Contains(string(rating), `"appealed":false`) {
			t.Errorf("%s: %s", r.Subject.Key, rating)
		}
	}
	if got := reviewsOf(t, api, ""); got.Open != 0 {
		t.Errorf("got %+v", got)
	}
}

func TestReviewsAreForOperators(t *testing.T) {
	t.Parallel()
	api := newAPI(t, httpapi.Config{})
	for _, q := range []request{{path: "/v1/reviews"}, {path: "/v1/reviews/0000000000002", body: `{"assertion":"benign"}`}} {
		wantProblem(t, q.send(t, api), 401, "unauthenticated")
		for _, token := range []string{userSecret, readerSecret} {
			q.token = token
			wantProblem(t, q.send(t, api), 403, "forbidden")
		}
		q.token, q.header = operatorSecret, map[string]string{"Sec-Fetch-Site": "cross-site"}
		if w := q.send(t, api); q.body != "" {
			wantProblem(t, w, 403, "forbidden")
		}
	}
}

func TestWrongReviewsAreNamed(t *testing.T) {
	t.Parallel()
	api := newAPI(t, httpapi.Config{})
	for _, test := range []struct {
		path, body string
		status     int
		kind       string
	}{
		{"?limit=1001", "", 400, "bad-field"},
		{"?limit=x", "", 400, "bad-field"},
		{"?after=x", "", 400, "bad-field"},
		{"?after=1.2.3.x", "", 400, "bad-field"},
		{"?after=1.2.x.0000000000002", "", 400, "bad-field"},
		{"/x", `{"assertion":"benign"}`, 404, "not-found"},
		{"/0000000000002/", `{"assertion":"benign"}`, 404, "not-found"},
		{"/0000000000002", `{"assertion":"benign"}`, 404, "not-found"},
		{"/0000000000002", `{"assertion":"retracted"}`, 400, "bad-field"},
		{"/0000000000002", `{}`, 400, "bad-field"},
		{"/0000000000002", `{"assertion":"spam","x":1}`, 400, "bad-field"},
		{"/0000000000002", `[]`, 400, "bad-field"},
		{"/0000000000002", strings.Repeat(" ", 5000), 413, "too-large"},
	} {
		w := request{path: "/v1/reviews" + test.path, token: operatorSecret, body: test.body}.send(t, api)
		wantProblem(t, w, test.status, test.kind)
	}
}

func TestReviewsComeInPages(t *testing.T) {
	t.Parallel()
	svc := newService(t)
	api := apiOf(svc, httpapi.Config{})
	for i := range 25 {
		for j := range 1 + i%3 {
			say(t, svc, fmt.Sprintf("user/u%d", j), fmt.Sprintf("http://page%d.example/", i), evidence.Spam)
		}
	}
	whole := reviewsOf(t, api, "").Reviews
	if len(whole) != 25 {
		t.Fatalf("got %d", len(whole))
	}
	var seen []string
	query := "?limit=7"
	for range 4 {
		page := reviewsOf(t, api, query)
		if page.Open != 25-len(seen)/7 {
			t.Errorf("%d are open", page.Open)
		}
		for _, r := range page.Reviews {
			seen = append(seen, r.ID)
		}
		if query = "?limit=7&after=" + page.Next; page.Next == "" {
			break
		}
		// The last of the page is settled meanwhile: the next page goes on from its place.
		request{path: "/v1/reviews/" + seen[len(seen)-1], token: operatorSecret, body: `{"assertion":"spam"}`}.send(t, api)
	}
	if len(seen) != len(whole) {
		t.Fatalf("the pages hold %d, the list %d", len(seen), len(whole))
	}
	for i, r := range whole {
		if seen[i] != r.ID {
			t.Errorf("place %d: got %s, want %s", i, seen[i], r.ID)
		}
	}
	if got := reviewsOf(t, api, "?limit=0"); len(got.Reviews) != 0 || got.Open != 22 || got.Next != "" {
		t.Errorf("got %+v", got)
	}
}

func TestReviewsOutliveARestart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	open := func() *headlight.Service {
		svc, err := headlight.Open(t.Context(), headlight.Config{Dir: dir, Logger: quiet()})
		if err != nil {
			t.Fatal(err)
		}
		return svc
	}
	svc := open()
	say(t, svc, "user/bob", "http://one.example/", evidence.Spam)
	say(t, svc, "user/bob", "http://two.example/", evidence.Spam)
	list, _, _ := svc.Reviews(nil, 10)
	if _, r, err := svc.Settle(t.Context(), list[0].ID, "operator/ann", evidence.Retracted); err != nil || r.Subject != list[0].Subject {
		t.Fatal(r, err)
	}
	for range 2 {
		if err := svc.Close(); err != nil {
			t.Fatal(err)
		}
		svc = open()
		got, open, _ := svc.Reviews(nil, 10)
		if open != 1 || len(got) != 1 || got[0].Review != list[1].Review {
			t.Errorf("got %+v, want %+v", got, list[1])
		}
		if _, _, err := svc.Settle(t.Context(), list[0].ID, "operator/ann", evidence.Benign); err != headlight.ErrNoReview {
			t.Errorf("what was sent away: %v", err)
		}
	}
	if err := svc.Close(); err != nil {
		t.Fatal(err)
	}
}
