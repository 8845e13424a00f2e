package reputation_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"headlight.example/evidence"
	"headlight.example/reputation"
)

// show tells what a visit has learnt of a host's server.
func (s *story) show(host string, facts ...evidence.Subject) {
	s.Helper()
	for _, f := range facts {
		s.relate(evidence.Subject{Kind: evidence.Host, Key: host}, evidence.Shows, f)
	}
}

func (s *story) facts(url string) (names []evidence.FactName, seen time.Time) {
	s.Helper()
	list, seen := s.table.Facts(s.link(url), s.policy, s.now)
	for _, f := range list {
		names = append(names, f.Name)
	}
	return names, seen
}

// Two kinds of servers, told apart by nothing but the order of their headers.
const oddShape, usualShape = "0123456789abcdef", "fedcba9876543210"

func serverOf(shape string) []evidence.Subject {
	return []evidence.Subject{
		evidence.FactOf(evidence.FactAnswer, "200"), evidence.FactOf(evidence.FactServer, "nginx"), evidence.FactOf(evidence.FactHTTP, "1.1"),
		evidence.FactOf(evidence.FactShape, shape), evidence.FactOf(evidence.FactTLS, "1.3"), evidence.FactOf(evidence.FactHSTS, "yes"),
	}
}

// serve lets a kit and honest shops live for some days. Their links are spelt
// alike; each is visited seconds after it was seen.
func (s *story) serve(days int) {
	s.Helper()
	for range days {
		var bad []string
		for i := range 50 {
			host := fmt.Sprintf("%c%c%d.com", 'a'+s.seq%26, 'a'+s.seq/26%26, s.seq)
			url, shape := "http://"+host+"/welcome", usualShape
			if i%5 == 0 {
				bad, shape = append(bad, url), oddShape
			}
			s.see(url)
			s.now = s.now.Add(10 * time.Second)
			s.show(host, serverOf(shape)...)
		}
		s.now = s.now.Add(time.Minute)
		s.report("feed/one", evidence.Phishing, bad...)
		s.pass(day)
	}
}

func TestWhatBadServersShowWarnsAndDoesNotBlock(t *testing.T) {
	s := tell(t)
	s.serve(30)
	odd, usual, unseen := "http://quite-new.com/welcome", "http://just-as-new.com/welcome", "http://not-yet-visited.com/welcome"
	before := s.judge(odd).Score
	s.show("quite-new.com", serverOf(oddShape)...)
	s.show("just-as-new.com", serverOf(usualShape)...)
	v, good, neither := s.judge(odd), s.judge(usual), s.judge(unseen)
	if v.Score < before+.1 || v.Score < 2*good.Score || v.Score < neither.Score {
		t.Errorf("the score is %.3f with the odd server, %.3f before the visit, %.3f with the usual one, %.3f without", v.Score, before, good.Score, neither.Score)
	}
	if v.Level == reputation.Dangerous || good.Level > reputation.Unknown {
		t.Errorf("never seen, they are %v (%.3f) and %v (%.3f)", v.Level, v.Score, good.Level, good.Score)
	}
	named := false
	for _, r := range v.Reasons() {
		named = named || r.Basis == reputation.Shown && r.Fact == evidence.FactShape && r.Weight > 0
	}
	if !named {
		t.Errorf("the server is no reason: %+v", v.Reasons())
	}
	// Where lists that are not trusted speak of the site, it is blocked only if it
	// would be without spelling and server.
	for _, feed := range []string{"feed/one", "feed/two"} {
		s.report(feed, evidence.Phishing, "http://quite-new.com/a", "http://quite-new.com/b", "http://quite-new.com/c")
	}
	s.policy.ListTrust = 2
	s.policy.CleanLimits = false
	s.policy.WholePosterior = .01
	blocked := 0
	limits := &s.policy.Thresholds[reputation.OwnDomain]
	for limits.Dangerous = .01; limits.Dangerous < 1; limits.Dangerous += .01 {
		limits.Suspicious = min(limits.Suspicious, limits.Dangerous)
		solid := 0.
		for _, r := range s.table.Explain(s.link(odd), s.policy, s.now) {
			if r.Basis != reputation.Spelling && r.Basis != reputation.Shown && r.Basis != reputation.Alike {
				solid += r.Weight
			}
		}
		if v := s.judge(odd); v.Level == reputation.Dangerous {
			if blocked++; 1/(1+math.Exp(-solid)) < limits.Dangerous {
				t.Errorf("from %.2f on it is dangerous at %.3f, of which %.3f is solid", limits.Dangerous, v.Score, 1/(1+math.Exp(-solid)))
			}
		}
	}
	if blocked == 0 || blocked == 99 {
		t.Errorf("it is dangerous at %d thresholds of 99: the test shows nothing", blocked)
	}
}

func TestWhatServersShowIsPartOfTheScore(t *testing.T) {
	s := tell(t)
	check := func(when, url string, facts int) {
		t.Helper()
		list, _ := s.table.Facts(s.link(url), s.policy, s.now)
		if len(list) != facts {
			t.Errorf("%s %s: %d facts, want %d", when, url, len(list), facts)
		}
		each := 0.
		for _, f := range list {
			each += f.Weight
		}
		sum, shown := 0., 0.
		for _, r := range s.table.Explain(s.link(url), s.policy, s.now) {
			sum += r.Weight
			if r.Basis == reputation.Shown {
				shown = r.Weight
			}
		}
		if math.Abs(each-shown) > 1e-9 {
			t.Errorf("%s %s: the facts add up to %.6f and weigh %.6f", when, url, each, shown)
		}
		if score := s.judge(url).Score; math.Abs(1/(1+math.Exp(-sum))-score) > 1e-9 {
			t.Errorf("%s %s: weights add up to %.6f, its score is %.6f", when, url, 1/(1+math.Exp(-sum)), score)
		}
		if trained := when == "trained"; trained != (shown != 0) && facts > 0 {
			t.Errorf("%s %s: facts weigh %.6f", when, url, shown)
		}
	}
	for _, when := range []string{"untrained", "trained"} {
		s.show("new.com", serverOf(oddShape)...)
		s.show("192.0.2.7", serverOf(usualShape)...)
		s.show("[2001:db8::7]", serverOf(usualShape)...)
		s.show("user.github.io", serverOf(usualShape)...)
		s.show("docs.google.com", serverOf(usualShape)...) // says nothing of a document
		s.show("github.io", serverOf(usualShape)...)
		check(when, "http://new.com/welcome", 6)
		check(when, "http://www.new.com/welcome", 0)
		check(when, "http://192.0.2.7/welcome", 6)
		check(when, "http://192.0.2.8/welcome", 0)
		check(when, "http://[2001:db8::7]/welcome", 6)
		check(when, "http://user.github.io/welcome", 6)
		check(when, "http://other.github.io/welcome", 0)
		check(when, "https://docs.google.com/document/d/1/edit", 0)
		s.serve(10)
	}
}

func TestAnUntrainedModelDoesNotHeedServers(t *testing.T) {
	m := reputation.DefaultModel()
	m.Learns = false
	s := tell(t)
	s.table = reputation.NewTableOf(s.key, m)
	s.serve(10)
	before := s.judge("http://new.com/welcome").Score
	s.show("new.com", serverOf(oddShape)...)
	v := s.judge("http://new.com/welcome")
	if v.Score != before {
		t.Errorf("it scores %.6f, and %.6f before the visit", v.Score, before)
	}
	for _, r := range v.Reasons() {
		if r.Basis == reputation.Shown {
			t.Errorf("the server is a reason: %+v", r)
		}
	}
}

// A host shows what its newest visit has shown, in whatever order that is told,
// and however often.
func TestAHostShowsWhatItsNewestVisitHasShown(t *testing.T) {
	all := serverOf(oddShape)
	for n := range evidence.FactName(evidence.NumFacts) { // each name, and a value of each
		value := "nginx"
		switch n {
		case evidence.FactAnswer:
			value = "404"
		case evidence.FactShape:
			value = usualShape
		case evidence.FactType:
			value = "text/html"
		default:
			if n.Closed() {
				value = evidence.FactValues(n)[0]
			}
		}
		all = append(all[:n:n], evidence.FactOf(n, value))
	}
	r := rand.New(rand.NewPCG(1, 1))
	var want [32]byte
	for i := range 20 {
		s := tell(t)
		s.see("http://a.example/")
		r.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
		told := append(all[:len(all):len(all)], all[:r.IntN(len(all))]...)
		s.show("www.a.example", serverOf(oddShape)...)
		s.now = s.now.Add(10 * time.Minute)
		if names, seen := s.facts("http://www.a.example/x"); len(names) != 6 || !seen.Equal(start) {
			t.Errorf("at first it shows %v, at %v", names, seen)
		}
		s.show("www.a.example", told...)
		names, seen := s.facts("http://www.a.example/x")
		if len(names) != evidence.NumFacts || !seen.Equal(start.Add(10*time.Minute)) {
			t.Errorf("it shows %v, at %v", names, seen)
		}
		now := s.now
		s.now = start // what is told late of an earlier visit
		s.show("www.a.example", serverOf(oddShape)...)
		s.now = now
		if sum := s.table.Sum(); i == 0 {
			want = sum
		} else if sum != want {
			t.Fatal("the order of facts matters")
		}
		copied := roundTrip(t, s.table, s.key)
		if copied.Sum() != want {
			t.Error("a snapshot is not what was written")
		}
		s.table = copied
		if again, _ := s.facts("http://www.a.example/x"); fmt.Sprint(again) != fmt.Sprint(names) {
			t.Errorf("after a snapshot it shows %v", again)
		}
		s.now = s.now.Add(time.Hour)
		s.show("www.a.example", evidence.FactOf(evidence.FactAnswer, "timeout"))
		if names, _ := s.facts("http://www.a.example/x"); fmt.Sprint(names) != "[answer]" {
			t.Errorf("at last it shows %v", names)
		}
	}
}

func TestATableGoesOnTheSameAfterASnapshotWithFacts(t *testing.T) {
	s := tell(t)
	s.serve(4)
	copied := *s
	copied.table = roundTrip(t, s.table, s.key)
	s.serve(4)
	copied.serve(4)
	if s.table.Sum() != copied.table.Sum() {
		t.Error("it goes on otherwise")
	}
}

// Each name has a place of its own: what is put there is read there, whatever was
// there before, and nowhere else.
func TestFactsHaveTheirPlaces(t *testing.T) {
	table := reputation.NewTable(&evidence.Key{7})
	none := table.PutFacts(nil, nil)
	if none != [evidence.NumFacts]uint32{} {
		t.Errorf("of no facts: %x", none)
	}
	r := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		order := append(r.Perm(evidence.NumFacts), r.Perm(evidence.NumFacts)...)[:r.IntN(2*evidence.NumFacts)]
		want := none
		got := table.PutFacts(order, func(i int) string {
			name := evidence.FactName(i)
			value := fmt.Sprintf("word%d", r.IntN(1000))
			if name.Closed() {
				values := evidence.FactValues(name)
				value = values[r.IntN(len(values))]
			}
			want[i] = table.FactToken(evidence.FactOf(name, value))
			return value
		})
		if got != want {
			t.Fatalf("after %v: got %x, want %x", order, got, want)
		}
	}
}

// Where a host is and what it shows are kept side by side.
func TestAHostThatMovesShowsWhatItShowed(t *testing.T) {
	s := tell(t)
	s.show("a.example", serverOf(oddShape)...)
	for i := range 3 {
		s.at("a.example", fmt.Sprintf("192.0.2.%d", i), "192.0.2.0/24", "64500")
		if names, _ := s.facts("http://a.example/"); len(names) != 6 {
			t.Errorf("after %d moves it shows %v", i+1, names)
		}
		s.pass(day)
	}
	s.pass(100 * day)
	for range 70 { // each part of the table is swept once in 64 days
		s.pass(day)
	}
	if names, _ := s.facts("http://a.example/"); len(names) != 0 {
		t.Errorf("half a year later it still shows %v", names)
	}
}

func TestOnlyObservationTellsWhatServersShow(t *testing.T) {
	s := tell(t)
	s.see("http://a.example/")
	for _, rater := range []string{"user/ann", "operator/ann", "starter/names"} {
		s.seq++
		s.table.Apply(evidence.Entry{Seq: s.seq, Record: evidence.Record{Time: s.now, Rater: rater, Count: 1,
			Subject: evidence.Subject{Kind: evidence.Host, Key: "a.example"}, Assertion: evidence.Shows, Object: evidence.FactOf(evidence.FactServer, "nginx")}})
	}
	if names, _ := s.facts("http://a.example/"); len(names) != 0 {
		t.Errorf("by their word it shows %v", names)
	}
}

func TestJudgingWhatServersShowAllocatesNothing(t *testing.T) {
	s := tell(t)
	s.serve(5)
	s.show("new.com", serverOf(oddShape)...)
	l := s.link("http://new.com/welcome")
	if n := testing.AllocsPerRun(100, func() { s.table.Judge(l, s.policy, s.now) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
