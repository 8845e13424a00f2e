package httpapi_test

import (
	"strings"
	"testing"
	"time"

	"headlight.example/evidence"
	"headlight.example/frontend/httpapi"
	"headlight.example/link"
	"headlight.example/reputation"
)

func TestSentences(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		kind      evidence.Kind
		basis     reputation.Basis
		weight    float64
		bad, good float64
		raters    []string
		want      string
	}{
		{evidence.Host, reputation.Counts, 2, 3, 0, nil, "3 of 3 URLs judged on this host were bad"},
		{evidence.Host, reputation.Counts, 2, 0.9, 0.2, nil, "1 of 1 URL judged on this host was bad"},
		{evidence.Path, reputation.Counts, 2, 2, 1, nil, "2 of 3 URLs judged under this path were bad"},
		{evidence.Tenant, reputation.Counts, -2, 1, 39, nil, "39 of 40 URLs judged on this site were good"},
		{evidence.Suffix, reputation.Counts, 1, 12, 88, nil, "12 of 100 sites judged under this suffix were bad"},
		{evidence.Domain, reputation.Counts, 1, 1, 1, nil, "1 of 2 sites judged under this domain was bad"},
		{evidence.Addr, reputation.Counts, 1, 5, 0, nil, "5 of 5 sites judged at KEY were bad"},
		{evidence.Subnet, reputation.Counts, 1, 14, 1, nil, "14 of 15 sites judged in KEY were bad"},
		{evidence.Prefix, reputation.Counts, -1, 5, 5, nil, "5 of 10 sites judged in KEY were good"},
		{evidence.AS, reputation.Counts, 1, 5, 0, nil, "5 of 5 sites judged with ASKEY were bad"},
		{0, reputation.Alike, 1, 23, 1, nil, "23 of 24 sites judged with the same shape of the name were bad"},
		{0, reputation.Spelling, 1, 0, 0, nil, "it is spelt as bad links are"},
		{0, reputation.Spelling, -1, 0, 0, nil, "it is spelt as good links are"},
		{0, reputation.Shown, 1, 0, 0, nil, "its server is like those of bad links, most in the order of its headers"},
		{0, reputation.Shown, -1, 0, 0, nil, "its server is like those of good links, most in the order of its headers"},
		{evidence.URL, reputation.Counts, 2, 1, 0, nil, "judged bad once"},
		{evidence.URL, reputation.Counts, 2, 2, 0, nil, "judged bad twice"},
		{evidence.URL, reputation.Counts, -2, 1, 4, nil, "judged good 4 times out of 5"},
		{evidence.Host, reputation.Counts, 0.1, 0.3, 0.1, nil, "what little was judged on this host, and long ago, was mostly bad"},
		{evidence.URL, reputation.Listed, 2, 1, 0, []string{"feed/openphish"}, "listed by feed/openphish"},
		{evidence.URL, reputation.Listed, 2, 1, 0, []string{"feed/a", "feed/b", "feed/c"}, "listed by feed/a, feed/b and feed/c"},
		{evidence.URL, reputation.Listed, 2, 1, 0, nil, "listed by a trusted list"},
		{evidence.Host, reputation.Anchored, 5, 0, 0, []string{"operator/ann"}, "operator/ann condemns this host"},
		{evidence.Domain, reputation.Anchored, -5, 0, 0, nil, "an operator vouches for this domain"},
		{evidence.URL, reputation.Heard, 0, 1, 0, nil, "reported by somebody, whose word has no weight yet"},
		{evidence.URL, reputation.Heard, 0, 3, 0, nil, "reported by 3 people, whose word has no weight yet"},
		{evidence.URL, reputation.Heard, 0, 1, 0, []string{"user/bob"}, "reported by user/bob, whose word has no weight yet"},
		{evidence.URL, reputation.Heard, 2, 3, 0, nil, "reported by 3 people, some of whom were right before"},
		{evidence.Domain, reputation.WellKnown, -3, 0, 0, nil, "a well-known name"},
		{evidence.Host, reputation.Ruled, 3, 0, 0, nil, "denied by the configuration"},
		{evidence.Host, reputation.Ruled, -3, 0, 0, nil, "allowed by the configuration"},
		{evidence.Host, reputation.TestPoint, 3, 0, 0, nil, "a test point, always answered so"},
	} {
		r := &reputation.Reason{Subject: evidence.Subject{Kind: test.kind, Key: "KEY"}, Basis: test.basis, Weight: test.weight, Bad: test.bad, Good: test.good}
		if test.basis == reputation.Alike {
			r.Marker = reputation.SameLabel
		}
		if test.basis == reputation.Shown {
			r.Fact = evidence.FactShape
		}
		if got := httpapi.Sentence(r, test.raters); got != test.want {
			t.Errorf("got %q, want %q", got, test.want)
		}
	}
}

func TestFactsInWords(t *testing.T) {
	t.Parallel()
	for fact, want := range map[string]string{
		"answer/404": "answered 404 (Not Found)", "answer/799": "answered 799", "answer/timeout": "did not answer in time",
		"server/nginx": "server software: nginx", "powered-by/php": "powered by php", "type/text/html": "type of the page: text/html",
		"attachment/exe": "offers a file to be saved, by its name .exe", "modified/week": "page last changed within a week of the visit",
		"http/1.0": "HTTP/1.0", "tls/1.3": "TLS 1.3", "certificate/let-s-encrypt": "certificate issued by let-s-encrypt",
		"certificate-age/day": "certificate issued within a day of the visit", "hsts/yes": "asks to be used with encryption only (HSTS)",
		"nameserver/dns-example": "name servers of dns-example",
	} {
		name, value, err := evidence.ParseFact(fact)
		if err != nil {
			t.Fatal(err)
		}
		if got := httpapi.FactSentence(name, value); got != want {
			t.Errorf("%s: got %q, want %q", fact, got, want)
		}
	}
	// Every value that is a word of ours has words of its own, and no two facts the same.
	seen := map[string]bool{}
	for n := range evidence.FactName(evidence.NumFacts) {
		for _, value := range append(evidence.FactValues(n), "") {
			got := httpapi.FactSentence(n, value)
			if seen[got] || strings.HasSuffix(got, " ") || strings.Contains(got, "/yes") || strings.HasPrefix(got, n.String()+":") {
				t.Errorf("%v %q is worded %q", n, value, got)
			}
			seen[got] = true
		}
	}
}

func TestWhatWouldChangeAVerdict(t *testing.T) {
	t.Parallel()
	key := &evidence.Key{1}
	p := reputation.DefaultPolicy()
	p.Deny = map[string]bool{"denied.example": true}
	now := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	table := reputation.NewTable(key)
	say := func(rater string, a evidence.Assertion, url string) {
		table.Apply(evidence.Entry{Record: evidence.Record{Time: now, Rater: rater, Assertion: a, Count: 1,
			Subject: evidence.Subject{Kind: evidence.URL, Key: url}}})
	}
	say("feed/one", evidence.Phishing, "listed.example/a")
	say("operator/ann", evidence.Phishing, "anchored.example/a")
	p.Trust = map[string]float64{"feed/sloppy": .2}
	say("feed/sloppy", evidence.Phishing, "counted.example/a")
	for url, want := range map[string]string{
		"http://listed.example/a":   "the list, if it takes its word back or does not repeat it for 45 days",
		"http://anchored.example/a": "the operator who condemned it",
		"http://denied.example/":    "the configuration",
		"http://counted.example/a":  "traffic that nobody reports",
		"http://new.net/":           "a trusted list",
		"https://www.wikipedia.org": "a report of this very link",
	} {
		l, err := link.Parse(url)
		if err != nil {
			t.Fatal(err)
		}
		v := table.Judge(l, p, now)
		if got := httpapi.WouldChange(&v, p.ListDays); !strings.Contains(got, want) {
			t.Errorf("%s, %v: %q does not say %q", url, v.Level, got, want)
		}
	}
}
