package reputation_test

import (
	"fmt"
	"math"
	"testing"
	"time"

	"headlight.example/evidence"
	"headlight.example/reputation"
)

// at tells where a host is.
func (s *story) at(host, addr, prefix, as string) {
	s.Helper()
	a := evidence.Subject{Kind: evidence.Addr, Key: addr}
	s.relate(evidence.Subject{Kind: evidence.Host, Key: host}, evidence.ResolvesTo, a)
	s.relate(a, evidence.AnnouncedIn, evidence.Subject{Kind: evidence.Prefix, Key: prefix})
	s.relate(a, evidence.OriginatedBy, evidence.Subject{Kind: evidence.AS, Key: as})
}

func (s *story) relate(subject evidence.Subject, a evidence.Assertion, object evidence.Subject) {
	s.seq++
	s.table.Apply(evidence.Entry{Seq: s.seq, Record: evidence.Record{
		Time: s.now, Rater: "service/sighting", Subject: subject, Assertion: a, Object: object, Count: 1}})
}

// live lets a town live for some days: shops on good networks that nobody
// reports, and gangs on a bad one whose pages are reported within minutes. Each
// day has new ones.
func (s *story) live(days int) {
	s.Helper()
	for range days {
		for i := range 40 {
			n := s.seq
			host := fmt.Sprintf("shop-%c%d.com", 'a'+i%26, n)
			s.at(host, fmt.Sprintf("198.51.%d.%d", 100+i%4, 1+i), fmt.Sprintf("198.51.%d.0/24", 100+i%4), "64500")
			s.see("http://" + host + "/catalogue/item")
		}
		for i := range 10 {
			host := fmt.Sprintf("secure-login%d-%d.com", i, s.seq)
			s.at(host, fmt.Sprintf("192.0.2.%d", 10+i), "192.0.2.0/24", "64666")
			url := "http://" + host + "/account/verify.php"
			s.see(url)
			s.now = s.now.Add(time.Minute)
			s.report("feed/one", evidence.Phishing, url)
		}
		s.pass(day)
	}
}

func TestABadNetworkWarnsOfAnUnseenDomainAndDoesNotBlockIt(t *testing.T) {
	s := tell(t)
	s.live(20)
	s.at("unseen.net", "192.0.2.77", "192.0.2.0/24", "64666")
	s.at("elsewhere.net", "198.51.100.9", "198.51.100.0/24", "64500")
	v := s.judge("http://unseen.net/account/verify.php")
	if v.Level != reputation.Suspicious {
		t.Errorf("a site among bad ones is %v, %.3f: %+v", v.Level, v.Score, v.Reasons())
	}
	named := false
	for _, r := range v.Reasons() {
		about := r.About()
		named = named || about == evidence.Subject{Kind: evidence.Subnet, Key: "192.0.2.0/24"} && r.Bad > 5 && r.Weight > 0
	}
	if !named {
		t.Errorf("the network is no reason: %+v", v.Reasons())
	}
	if v := s.judge("http://elsewhere.net/"); v.Level > reputation.Unknown {
		t.Errorf("a site among good ones is %v, %.3f: %+v", v.Level, v.Score, v.Reasons())
	}
}

func TestAGoodSiteThatMovesAmongBadOnesIsNotCondemned(t *testing.T) {
	s := tell(t)
	s.at("old-shop.com", "198.51.100.8", "198.51.100.0/24", "64500")
	for range 30 {
		s.see("http://old-shop.com/", "http://old-shop.com/news")
		s.live(1)
	}
	s.at("old-shop.com", "192.0.2.13", "192.0.2.0/24", "64666")
	for _, u := range []string{"http://old-shop.com/", "http://old-shop.com/account/verify.php"} {
		if v := s.judge(u); v.Level > reputation.Unknown {
			t.Errorf("%s is %v, %.3f: %+v", u, v.Level, v.Score, v.Reasons())
		}
	}
}

func TestFewerThanTwentyBadInTwoMillionDoNotMakeABadNetwork(t *testing.T) {
	s := tell(t)
	for d := range 30 {
		for i := range 100 {
			host := fmt.Sprintf("host%d.org", d*100+i)
			s.at(host, fmt.Sprintf("203.0.%d.%d", 100+i%20, 1+d), "203.0.64.0/18", "64510")
			s.see("http://" + host + "/")
			if i == 7 && d < 20 {
				s.now = s.now.Add(time.Minute)
				s.report("feed/one", evidence.Malware, "http://"+host+"/")
			}
		}
		s.pass(day)
	}
	s.at("new.net", "203.0.101.200", "203.0.64.0/18", "64510")
	if v := s.judge("http://new.net/"); v.Level > reputation.Unknown {
		t.Errorf("it is %v, %.3f: %+v", v.Level, v.Score, v.Reasons())
	}
}

func TestWeightsAddUpToTheScore(t *testing.T) {
	s := tell(t)
	check := func(when string) {
		t.Helper()
		for _, u := range []string{"http://new.net/account/verify.php", "http://user.github.io/account/x", "http://192.0.2.10/",
			"http://shop-b1.com/catalogue/other", "https://www.paypal.com/", "https://docs.google.com/forms/d/e/x/viewform", "https://bit.ly/x"} {
			sum := 0.
			for _, r := range s.table.Explain(s.link(u), s.policy, s.now) {
				sum += r.Weight
			}
			score := s.judge(u).Score
			if got := 1 / (1 + math.Exp(-sum)); math.Abs(got-score) > 1e-9 {
				t.Errorf("%s %s: weights add up to %.6f, its score is %.6f", when, u, got, score)
			}
		}
	}
	check("untrained")
	s.at("new.net", "192.0.2.77", "192.0.2.0/24", "64666")
	s.at("new.net", "198.51.100.1", "198.51.100.0/24", "64500")
	s.live(15)
	check("trained")
}

// Alone, silence about many sites of a gang would make its network look good.
func TestWashingANetworkTakesMoreThanADayOfSilence(t *testing.T) {
	s := tell(t)
	s.live(20)
	s.at("probe.net", "192.0.2.99", "192.0.2.0/24", "64666")
	before := s.judge("http://probe.net/account/verify.php").Score
	for i := range 300 { // one tenant, many URLs: it is one neighbour
		s.at("wash.net", "192.0.2.98", "192.0.2.0/24", "64666")
		s.see(fmt.Sprintf("http://wash.net/%d", i))
	}
	s.pass(day)
	after := s.judge("http://probe.net/account/verify.php").Score
	if after < before-.1 {
		t.Errorf("one tenant's silence took the score from %.3f to %.3f", before, after)
	}
}

func TestALessonIsWhatBecameOfALinkThatWasSeen(t *testing.T) {
	s := tell(t)
	for i := range 2000 { // lists alone teach nothing
		s.report("feed/one", evidence.Phishing, fmt.Sprintf("http://secure-login%d.com/account/verify.php", i))
	}
	for _, r := range s.table.Explain(s.link("http://secure-login.net/account/verify.php"), s.policy, s.now) {
		if r.Basis == reputation.Spelling {
			t.Errorf("spelling has the weight %.3f", r.Weight)
		}
	}
	s.live(10)
	weight := func(u string) (w float64) {
		for _, r := range s.table.Explain(s.link(u), s.policy, s.now) {
			if r.Basis == reputation.Spelling {
				w = r.Weight
			}
		}
		return w
	}
	if bad, good := weight("http://secure-login-9.net/account/verify.php"), weight("http://shop-z.net/catalogue/item"); bad < good+1 {
		t.Errorf("words of bad links weigh %.3f, of good ones %.3f", bad, good)
	}
}

func TestALateReportTakesBackWhatTheNeighboursHadOfIt(t *testing.T) {
	s := tell(t)
	s.at("late.net", "192.0.2.5", "192.0.2.0/24", "64666")
	rating := func(k evidence.Kind, key string) reputation.Rating {
		return s.table.Rate(evidence.Subject{Kind: k, Key: key}, s.policy, s.now)
	}
	s.see("http://late.net/a")
	s.pass(7 * time.Hour)
	for _, n := range []evidence.Subject{{Kind: evidence.AS, Key: "64666"}, {Kind: evidence.Prefix, Key: "192.0.2.0/24"}, {Kind: evidence.Subnet, Key: "192.0.2.0/24"}} {
		if r := rating(n.Kind, n.Key); r.Slow.Good < .9 || r.Slow.Bad != 0 {
			t.Errorf("%v after silence: %+v", n, r.Slow)
		}
	}
	s.report("feed/one", evidence.Phishing, "http://late.net/a")
	for _, n := range []evidence.Subject{{Kind: evidence.AS, Key: "64666"}, {Kind: evidence.Prefix, Key: "192.0.2.0/24"}, {Kind: evidence.Subnet, Key: "192.0.2.0/24"}} {
		if r := rating(n.Kind, n.Key); r.Slow.Good != 0 || r.Slow.Bad < .9 {
			t.Errorf("%v after the report: %+v", n, r.Slow)
		}
	}
	s.report("feed/one", evidence.Retracted, "http://late.net/a")
	if r := rating(evidence.Subnet, "192.0.2.0/24"); r.Slow.Bad != 0 {
		t.Errorf("after it was taken back: %+v", r.Slow)
	}
}

// A host has the addresses of the newest day; which came first does not matter.
func TestAHostIsWhereItWasLastSeen(t *testing.T) {
	nets := func(s *story) (keys []string) {
		for _, r := range s.table.Explain(s.link("http://moving.net/"), s.policy, s.now) {
			if r.Subject.Kind == evidence.Addr {
				keys = append(keys, r.Subject.Key)
			}
		}
		return keys
	}
	s := tell(t)
	for i := range 9 {
		s.at("moving.net", fmt.Sprintf("192.0.2.%d", i), "192.0.2.0/24", "64666")
	}
	s.report("feed/one", evidence.Phishing, "http://moving.net/x")
	if got := nets(s); len(got) != 1 {
		t.Errorf("it is at %v", got)
	}
	s.pass(day)
	s.at("moving.net", "2001:db8::1", "2001:db8::/32", "64667")
	s.now = s.now.Add(-2 * day) // said late
	s.at("moving.net", "198.51.100.1", "198.51.100.0/24", "64500")
	s.now = s.now.Add(2 * day)
	s.report("feed/one", evidence.Phishing, "http://moving.net/y")
	if got := nets(s); len(got) != 1 || got[0] != "2001:db8::1" {
		t.Errorf("it is at %v, want 2001:db8::1", got)
	}
	if r := s.table.Rate(evidence.Subject{Kind: evidence.Subnet, Key: "2001:db8::/48"}, s.policy, s.now); r.Slow.Bad < .9 {
		t.Errorf("its /48 has %+v", r.Slow)
	}
}

func TestASharedAddressIsNotBadForItsFewBadTenants(t *testing.T) {
	s := tell(t)
	for d := range 20 {
		for i := range 40 { // all behind one front of a CDN
			host := fmt.Sprintf("customer%d-%d.com", d, i)
			s.at(host, "203.0.113.7", "203.0.113.0/24", "64520")
			s.see("http://" + host + "/")
			if i < 2 {
				s.now = s.now.Add(time.Minute)
				s.report("feed/one", evidence.Phishing, "http://"+host+"/")
			}
		}
		s.pass(day)
	}
	s.at("new-customer.com", "203.0.113.7", "203.0.113.0/24", "64520")
	if v := s.judge("http://new-customer.com/"); v.Level > reputation.Unknown || v.Score > .2 {
		t.Errorf("it is %v, %.3f: %+v", v.Level, v.Score, v.Reasons())
	}
}

func TestGoodAndBadAddressesOfOneNameAreAveraged(t *testing.T) {
	s := tell(t)
	s.live(20)
	score := func(host string, addrs ...string) float64 {
		for _, a := range addrs {
			if a[:3] == "192" {
				s.at(host, a, "192.0.2.0/24", "64666")
			} else {
				s.at(host, a, "198.51.100.0/24", "64500")
			}
		}
		return s.judge("http://" + host + "/x").Score
	}
	bad, good := score("all-bad.net", "192.0.2.90", "192.0.2.91"), score("all-good.net", "198.51.100.90", "198.51.100.91")
	mixed := score("mixed.net", "192.0.2.92", "198.51.100.92")
	if !(good < mixed && mixed < bad) {
		t.Errorf("good addresses %.4f, mixed %.4f, bad %.4f", good, mixed, bad)
	}
}

func TestFastFluxIsItsNetworks(t *testing.T) {
	s := tell(t)
	s.live(20)
	for d := range 10 { // a name on new addresses every day, among bad ones
		s.at("flux.net", fmt.Sprintf("192.0.2.%d", 100+d), "192.0.2.0/24", "64666")
		s.pass(day)
	}
	s.at("flux.net", "192.0.2.201", "192.0.2.0/24", "64666")
	if v := s.judge("http://flux.net/account/verify.php"); v.Level != reputation.Suspicious {
		t.Errorf("it is %v, %.3f: %+v", v.Level, v.Score, v.Reasons())
	}
}

func TestNeighboursInOne48AreNeighboursInIPv6(t *testing.T) {
	s := tell(t)
	for d := range 10 {
		for i := range 10 {
			host := fmt.Sprintf("six%d-%d.com", d, i)
			s.at(host, fmt.Sprintf("2001:db8:66:%x::%x", i, d+1), "2001:db8::/32", "64666")
			s.see("http://" + host + "/")
			s.now = s.now.Add(time.Minute)
			s.report("feed/one", evidence.Phishing, "http://"+host+"/")
		}
		s.pass(day)
	}
	r := s.table.Rate(evidence.Subject{Kind: evidence.Subnet, Key: "2001:db8:66::/48"}, s.policy, s.now)
	if r.Slow.Bad < 80 {
		t.Errorf("the /48 has %+v, want the hundred sites of its /64s", r.Slow)
	}
	if r := s.table.Rate(evidence.Subject{Kind: evidence.Subnet, Key: "2001:db8:67::/48"}, s.policy, s.now); r.Known {
		t.Errorf("the next /48 has %+v", r.Slow)
	}
}

func TestASpamNeighbourhoodIsNoPhishingNeighbourhood(t *testing.T) {
	s := tell(t)
	s.live(20)
	for d := range 10 {
		for i := range 10 {
			host := fmt.Sprintf("cheap%d-%d.biz", d, i)
			s.at(host, fmt.Sprintf("203.0.113.%d", i), "203.0.113.0/24", "64777")
			s.see("http://" + host + "/")
			s.now = s.now.Add(time.Minute)
			s.report("feed/one", evidence.Spam, "http://"+host+"/")
		}
		s.pass(day)
	}
	s.at("another.biz", "203.0.113.99", "203.0.113.0/24", "64777")
	if v := s.judge("http://another.biz/"); v.Level != reputation.Suspicious || v.Threat != evidence.Spam {
		t.Errorf("among spammers it is %v, %v: %+v", v.Level, v.Threat, v.Reasons())
	}
	s.at("unseen.net", "192.0.2.77", "192.0.2.0/24", "64666")
	if v := s.judge("http://unseen.net/account/verify.php"); v.Threat != evidence.Phishing {
		t.Errorf("among phishers it is %v, %v: %+v", v.Level, v.Threat, v.Reasons())
	}
}

func TestAnUntrainedModelIsThePlainChain(t *testing.T) {
	m := reputation.DefaultModel()
	m.Learns = false
	s := tell(t)
	s.table = reputation.NewTableOf(s.key, m)
	s.live(15)
	s.at("new.net", "192.0.2.77", "192.0.2.0/24", "64666")
	for _, u := range []string{"http://new.net/account/verify.php", "http://secure-login1-4.com/x", "http://192.0.2.10/", "http://user.github.io/"} {
		parts := s.table.Explain(s.link(u), s.policy, s.now)
		chain := 0.
		for _, r := range parts {
			if (r.Basis == reputation.Spelling || r.Basis == reputation.Alike) && r.Weight != 0 {
				t.Errorf("%s: %v weighs %.3f", u, r.Basis, r.Weight)
			}
			if r.Subject.Kind == evidence.URL {
				chain = r.Posterior
			}
		}
		if v := s.judge(u); math.Abs(v.Score-chain) > 1e-9 {
			t.Errorf("%s has the score %.6f, the chain is %.6f", u, v.Score, chain)
		}
	}
}

func TestWhoWatchesIsToldWhatBecameOfEachSighting(t *testing.T) {
	s := tell(t)
	var good, bad int
	s.table.Watch(func(o reputation.Outcome) {
		if o.Score < 0 || o.Score > 1 || o.Class != reputation.OwnDomain {
			t.Errorf("told of %+v", o)
		}
		if o.Bad {
			bad++
		} else {
			good++
		}
	})
	s.live(10)
	s.pass(8 * day)
	if bad != 100 || good < 400 {
		t.Errorf("told of %d bad and %d good ones, want 100 and 400 and more", bad, good)
	}
}

// The derivative of the generalized cross entropy (1 − p^q)/q is that of the
// logarithm times p^q, p being what the model gave the label.
func TestALessonThatSurprisesIsDoubted(t *testing.T) {
	for _, z := range []float64{-9, -2, 0, 3} {
		for _, bad := range []bool{true, false} {
			p := 1 / (1 + math.Exp(-z))
			want := p // the derivative by z for a good link
			if bad {
				want = p - 1
			}
			for _, doubt := range []float64{0, .25, 1} {
				m := reputation.DefaultModel()
				m.Doubt = doubt
				want := want * math.Pow(1-math.Abs(want), doubt)
				if got := m.LessonOfToken(z, bad); math.Abs(got-want) > 1e-6*math.Abs(want) {
					t.Errorf("at %v, bad %v, doubt %v the step is %v, want %v", z, bad, doubt, got, want)
				}
			}
		}
	}
}

func TestNumbersOfAModelAreBounded(t *testing.T) {
	for name, change := range map[string]func(*reputation.Model){
		"root 0":        func(m *reputation.Model) { m.Root = 0 },
		"root 1":        func(m *reputation.Model) { m.Root = 1 },
		"root NaN":      func(m *reputation.Model) { m.Root = math.NaN() },
		"kappa_own 0":   func(m *reputation.Model) { m.KappaOwn = 0 },
		"alpha 1001":    func(m *reputation.Model) { m.Alpha = 1001 },
		"lambda1 -1":    func(m *reputation.Model) { m.Lambda1 = -1 },
		"doubt 1.1":     func(m *reputation.Model) { m.Doubt = 1.1 },
		"doubt NaN":     func(m *reputation.Model) { m.Doubt = math.NaN() },
		"slow_rate NaN": func(m *reputation.Model) { m.SlowRate = math.NaN() },
	} {
		m := reputation.DefaultModel()
		change(&m)
		if m.Validate() == nil {
			t.Errorf("%s is taken", name)
		}
	}
	m := reputation.DefaultModel()
	m.Lambda1, m.KappaAbove, m.Doubt = 0, 1000, 1 // at the limits
	if err := m.Validate(); err != nil {
		t.Error(err)
	}
}

func TestASightingIsWantedUntilItsTenantHasGivenEnough(t *testing.T) {
	s := tell(t)
	wants := func(want bool, url string) {
		t.Helper()
		if got := s.table.Wants(s.link(url), s.now); got != want {
			t.Errorf("%s is wanted: %v", url, got)
		}
	}
	for i := range 3 {
		url := fmt.Sprintf("http://shop.net/%d", i)
		wants(true, url)
		s.see(url)
		wants(false, url) // the same URL again
	}
	wants(false, "http://www.shop.net/new") // a fourth of the tenant
	wants(true, "http://other.net/")
	s.now = s.now.Add(day)
	wants(true, "http://shop.net/0")
}
