package headlight_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"headlight.example"
	"headlight.example/evidence"
	"headlight.example/probe"
)

// What a visit has shown is told in the words of the log, and the newest visit
// alone; it is not among who said what.
func TestWhatServersShowedIsExplained(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	svc := open(t, dir)
	visit := func(at time.Time, host string, facts ...evidence.Subject) {
		t.Helper()
		var records []evidence.Record
		for _, f := range facts {
			records = append(records, evidence.Record{Time: at, Rater: probe.Rater, Subject: evidence.Subject{Kind: evidence.Host, Key: host}, Assertion: evidence.Shows, Object: f, Count: 1})
		}
		if _, err := svc.Append(t.Context(), records...); err != nil {
			t.Fatal(err)
		}
	}
	now := time.Now().UTC().Truncate(time.Minute)
	visit(now.Add(-time.Hour), "a.example", evidence.FactOf(evidence.FactAnswer, "200"), evidence.FactOf(evidence.FactServer, "apache"))
	visit(now, "a.example", evidence.FactOf(evidence.FactAnswer, "404"), evidence.FactOf(evidence.FactHSTS, "yes"))
	visit(now, "www.a.example", evidence.FactOf(evidence.FactAnswer, "500"))
	report(t, svc, "feed/one", evidence.Phishing, "http://a.example/x")
	explain := func(svc *headlight.Service, url string) headlight.Explanation {
		t.Helper()
		x, err := svc.Explain(t.Context(), parse(t, url), 10)
		if err != nil {
			t.Fatal(err)
		}
		return x
	}
	for url, want := range map[string]string{
		"http://a.example/x": "[{answer 404 0} {hsts yes 0}]", "http://www.a.example/": "[{answer 500 0}]", "http://b.a.example/": "[]",
	} {
		x := explain(svc, url)
		if got := fmt.Sprint(x.Server); got != want || len(x.Server) > 0 && !x.ServerSeen.Equal(now) {
			t.Errorf("%s: got %s, seen %v, want %s", url, got, x.ServerSeen, want)
		}
		for _, e := range x.Said {
			if e.Assertion == evidence.Shows {
				t.Errorf("%s: among who said what: %v", url, e)
			}
		}
	}
	if said, _, err := svc.Said(t.Context(), 10, evidence.FactOf(evidence.FactAnswer, "404")); err != nil || len(said) != 1 || said[0].Subject.Key != "a.example" {
		t.Errorf("who answers 404: %v, %v", said, err)
	}
	// Folded again it is the same.
	if err := svc.Close(); err != nil {
		t.Fatal(err)
	}
	if x := explain(open(t, dir), "http://a.example/x"); fmt.Sprint(x.Server) != "[{answer 404 0} {hsts yes 0}]" {
		t.Errorf("after a restart: %v", x.Server)
	}
}

// Of where a link leads the log has the host.
func TestWhereALinkLedIsExplained(t *testing.T) {
	t.Parallel()
	svc := open(t, t.TempDir())
	lead := func(reported bool, urls ...string) {
		t.Helper()
		v := probe.Visit{Time: time.Now(), Link: parse(t, urls[0])}
		for _, u := range urls {
			v.Hops = append(v.Hops, probe.Hop{Link: parse(t, u), Outcome: probe.Answered, Decision: probe.Decision{Mode: probe.Exact}})
		}
		if _, err := svc.Append(t.Context(), v.Records(svc.Key(), reported)...); err != nil {
			t.Fatal(err)
		}
	}
	lead(false, "http://short.example/1", "http://middle.example/2", "http://end.example/s3cr3t")
	lead(true, "http://reported.example/1", "http://end.example/s3cr3t")
	lead(false, "http://plain.example/", "https://plain.example/")
	lead(false, "http://plain.example/x", "https://plain.example/x", "https://www.plain.example/x")
	lead(false, "http://here.example/1", "http://here.example/2")
	lead(false, "http://again.example/", "http://first.example/")
	lead(false, "http://again.example/", "http://second.example/")
	for url, want := range map[string]string{
		"http://short.example/1": "end.example", "http://middle.example/2": "end.example", "http://short.example/2": "", "http://end.example/s3cr3t": "",
		"http://reported.example/1": "end.example", "http://plain.example/": "", "http://plain.example/x": "www.plain.example",
		"http://here.example/1": "", "http://again.example/": "second.example",
	} {
		x, err := svc.Explain(t.Context(), parse(t, url), 10)
		if err != nil || x.LeadsTo != want || strings.Contains(fmt.Sprint(x), "s3cr3t") && !strings.Contains(url, "s3cr3t") {
			t.Errorf("%s leads to %q, want %q, %v", url, x.LeadsTo, want, err)
		}
	}
}
