package reputation_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"
	"testing"
	"time"

	"headlight.example/evidence"
	"headlight.example/reputation"
)

var bothFeeds = []string{"feed/one", "feed/two"}

func TestNewTenantsOfAPlatformArePaidNoAttentionToItsBadOnes(t *testing.T) {
	s := tell(t)
	for i := range 1000 {
		for _, feed := range bothFeeds {
			s.report(feed, evidence.Phishing, fmt.Sprintf("https://bad%d.github.io/login/", i),
				fmt.Sprintf("https://docs.google.com/forms/d/e/bad%d/viewform", i),
				fmt.Sprintf("https://bad%d.duckdns.org/x", i), fmt.Sprintf("https://bad%d.web.app/", i))
		}
	}
	s.want(reputation.Unknown, "https://good.github.io/", "https://good.github.io/a/b",
		"https://docs.google.com/forms/d/e/good/viewform", "https://good.duckdns.org/", "https://good.web.app/x")
	s.want(reputation.Dangerous, "https://bad7.github.io/login/", "https://docs.google.com/forms/d/e/bad7/viewform")
}

func TestTheRootOfAPlatformIsNeverCondemned(t *testing.T) {
	s := tell(t)
	roots := []string{"https://github.io/", "https://docs.google.com/", "https://bit.ly/", "https://web.app/",
		"https://www.github.io/", "https://sites.google.com/"}
	for _, feed := range append(bothFeeds, "feed/three", "feed/four") {
		s.report(feed, evidence.Phishing, roots...)
		for _, name := range []string{"github.io", "docs.google.com", "bit.ly", "web.app"} {
			s.say(feed, evidence.Malware, evidence.Subject{Kind: evidence.Domain, Key: name})
			s.say(feed, evidence.Malware, evidence.Subject{Kind: evidence.Host, Key: name})
		}
	}
	for _, u := range roots {
		if v := s.judge(u); v.Level > reputation.Unknown && u != "https://www.github.io/" {
			t.Errorf("%s is %v, %+v", u, v.Level, v.Reasons())
		}
	}
	s.want(reputation.Unknown, "https://user.github.io/", "https://docs.google.com/document/d/x", "https://bit.ly/abc")
}

func TestAShortenerWithNineBadLinksInTenDoesNotCondemnTheNext(t *testing.T) {
	s := tell(t)
	for i := range 900 {
		for _, feed := range bothFeeds {
			s.report(feed, evidence.Malware, fmt.Sprintf("https://bit.ly/bad%d", i))
		}
	}
	for i := range 100 {
		s.see(fmt.Sprintf("https://bit.ly/good%d", i))
	}
	s.pass(7 * time.Hour)
	s.want(reputation.Unknown, "https://bit.ly/new", "https://bit.ly/good5")
	s.want(reputation.Dangerous, "https://bit.ly/bad5")
}

func TestAFeedThatRetractsTenThousandURLsLeavesNothingBehind(t *testing.T) {
	s := tell(t)
	s.report("feed/two", evidence.Phishing, "http://both.example/a/0")
	clean := s.judge("http://site1.example/a/")
	for step := range 2 {
		for i := range 10_000 {
			a := evidence.Phishing
			if step == 1 {
				a = evidence.Retracted
			}
			s.report("feed/one", a, fmt.Sprintf("http://site%d.example/a/%d", i%100, i))
		}
		s.report("feed/one", evidence.Phishing, "http://both.example/a/0")
		if step == 0 {
			s.want(reputation.Dangerous, "http://site1.example/a/1")
			s.pass(2 * day)
		}
	}
	s.report("feed/one", evidence.Retracted, "http://both.example/a/0")
	for i := range 100 {
		u := fmt.Sprintf("http://site%d.example/a/%d", i, i)
		if v := s.judge(u); v.Level != reputation.Unknown || v.Score > clean.Score+.05 {
			t.Fatalf("%s is %v, %.3f, was %.3f: %+v", u, v.Level, v.Score, clean.Score, v.Reasons())
		}
		rating := s.table.Rate(evidence.Subject{Kind: evidence.Tenant, Key: fmt.Sprintf("site%d.example", i)}, s.policy, s.now)
		if rating.Slow.Bad != 0 || rating.URLs != 0 || rating.Raters != 0 {
			t.Fatalf("the tenant still has %+v", rating)
		}
	}
	s.want(reputation.Dangerous, "http://both.example/a/0") // the other feed still says so
}

func TestSilenceIsNotGoodness(t *testing.T) {
	s := tell(t)
	s.report("feed/one", evidence.Phishing, "http://bad.example/x/1")
	before := s.judge("http://bad.example/x/2")
	for range 20 { // the feed is down, and nobody sees the site
		s.pass(day)
	}
	after := s.judge("http://bad.example/x/2")
	if after.Level == reputation.Safe || after.Score < before.Score/2 {
		t.Errorf("went from %.3f to %v, %.3f", before.Score, after.Level, after.Score)
	}
	s.want(reputation.Dangerous, "http://bad.example/x/1")
}

func TestTwoHundredThousandURLsOfOneHostAreOneTenant(t *testing.T) {
	s := tell(t)
	for i := range 200_000 {
		s.say("feed/one", evidence.Spam, evidence.Subject{Kind: evidence.URL, Key: fmt.Sprintf("camp.example.net/p/%d", i)})
	}
	for _, r := range ladderOf(s.table.Explain(s.link("http://camp.example.net/p/x"), s.policy, s.now)) {
		want := 200_000.
		switch r.Subject.Kind {
		case evidence.Suffix:
			want = 1
		case evidence.URL:
			want = 0
		}
		// Above 130 K units the sums are halved, above 15 URLs nobody counts.
		if r.Slow.Bad < want*.3 || r.Slow.Bad > want*1.1 || want > 1 && r.URLs != 15 {
			t.Errorf("%v: %.1f units, want %.0f", r.Subject, r.Slow.Bad, want)
		}
	}
	if v := s.judge("http://other.net/"); v.Score > .2 || v.Level != reputation.Unknown {
		t.Errorf("its suffix suffers: %+v", v)
	}
	s.want(reputation.Suspicious, "http://camp.example.net/q/new") // one rater alone condemns what it names
}

func TestOneRaterAloneCondemnsOnlyWhatItNames(t *testing.T) {
	s := tell(t)
	for i := range 50 {
		s.report("feed/one/member"+fmt.Sprint(i), evidence.Phishing, fmt.Sprintf("http://evil.example/%d/x", i))
	}
	s.want(reputation.Suspicious, "http://evil.example/new")
	s.want(reputation.Dangerous, "http://evil.example/7/x")
	s.report("feed/two", evidence.Phishing, "http://evil.example/7/x")
	s.want(reputation.Dangerous, "http://evil.example/new")
}

func TestManyUsersCannotCondemn(t *testing.T) {
	s := tell(t)
	for i := range 10_000 {
		s.report(fmt.Sprintf("user/sybil%d", i), evidence.Phishing, "http://victim.example/shop/", "https://www.paypal.com/login")
	}
	s.want(reputation.Unknown, "http://victim.example/shop/", "http://victim.example/", "http://victim.example/shop/x")
	s.want(reputation.Safe, "https://www.paypal.com/login", "https://www.paypal.com/")
	s.report("user/ann", evidence.Phishing, "http://once.example/")
	s.want(reputation.Unknown, "http://once.example/")
	if v := s.judge("http://once.example/"); len(v.Reasons()) != 1 || v.Reasons()[0].Basis != reputation.Heard {
		t.Errorf("the report is no reason: %+v", v.Reasons())
	}
	s.pass(40 * day)
	s.want(reputation.Unknown, "http://victim.example/shop/")
}

func TestACompromisedOldSiteIsWarnedOfByPathAndRecovers(t *testing.T) {
	s := tell(t)
	for d := range 60 {
		for i := range 3 {
			s.see(fmt.Sprintf("http://old.example.org/news/%d-%d", d, i))
		}
		s.pass(day)
	}
	s.want(reputation.Safe, "http://old.example.org/", "http://old.example.org/news/today")
	for i := range 4 {
		for _, feed := range bothFeeds {
			s.report(feed, evidence.Phishing, fmt.Sprintf("http://old.example.org/wp-content/%d.php", i))
		}
	}
	s.want(reputation.Dangerous, "http://old.example.org/wp-content/1.php", "http://old.example.org/wp-content/new.php")
	s.want(reputation.Unknown, "http://old.example.org/", "http://old.example.org/news/today")
	for i := range 4 { // it was cleaned, and somebody appealed
		s.report("operator/ann", evidence.Benign, fmt.Sprintf("http://old.example.org/wp-content/%d.php", i))
	}
	s.want(reputation.Safe, "http://old.example.org/wp-content/1.php", "http://old.example.org/")
	if v := s.judge("http://old.example.org/wp-content/new.php"); v.Level > reputation.Unknown {
		t.Errorf("its path is still %v", v.Level)
	}
}

func TestACleanedSiteRecoversInAMonthWithoutAnybodysHelp(t *testing.T) {
	s := tell(t)
	for _, feed := range bothFeeds {
		s.report(feed, evidence.Phishing, "http://shop.example.org/x/1.php")
	}
	if v := s.judge("http://shop.example.org/"); v.Level < reputation.Suspicious {
		t.Errorf("a new site with a phishing page is %v", v.Level)
	}
	for d := range 30 {
		for i := range 3 {
			s.see(fmt.Sprintf("http://shop.example.org/%d-%d", d, i))
		}
		s.pass(day)
	}
	if v := s.judge("http://shop.example.org/"); v.Level > reputation.Unknown {
		t.Errorf("after a month of clean traffic it is %v, %.3f: %+v", v.Level, v.Score, v.Reasons())
	}
}

func TestALateReportTakesTheGoodUnitBack(t *testing.T) {
	s := tell(t)
	s.see("http://slow.example/a/b")
	s.pass(7 * time.Hour)
	good := func() float64 {
		return s.table.Rate(evidence.Subject{Kind: evidence.Tenant, Key: "slow.example"}, s.policy, s.now).Slow.Good
	}
	if g := good(); g < .95 || g > 1.05 {
		t.Fatalf("a sighting nobody contradicted is %.2f good units", g)
	}
	s.report("feed/one", evidence.Phishing, "http://slow.example/a/b")
	if g := good(); g != 0 {
		t.Errorf("a late report leaves %.2f good units", g)
	}
	s.see("http://other.example/a", "http://other.example/b")
	s.report("feed/one", evidence.Phishing, "http://other.example/a")
	s.pass(7 * time.Hour)
	if g := s.table.Rate(evidence.Subject{Kind: evidence.Tenant, Key: "other.example"}, s.policy, s.now).Slow.Good; g < .05 || g > .15 {
		t.Errorf("on a host that is bad a sighting is %.2f good units, want a tenth", g)
	}
}

func TestGoodWashingIsCapped(t *testing.T) {
	s := tell(t)
	for i := range 10_000 {
		s.see(fmt.Sprintf("http://wash.example/%d", i))
	}
	s.pass(7 * time.Hour)
	if g := s.table.Rate(evidence.Subject{Kind: evidence.Tenant, Key: "wash.example"}, s.policy, s.now).Slow.Good; g > 3.1 {
		t.Errorf("a day of sightings is %.1f good units", g)
	}
	s.want(reputation.Unknown, "http://wash.example/")
	for _, feed := range bothFeeds {
		s.report(feed, evidence.Phishing, "http://wash.example/1")
	}
	s.want(reputation.Dangerous, "http://wash.example/1")
}

func TestOurOwnConclusionsAreNoEvidence(t *testing.T) {
	s := tell(t)
	for range 5 {
		s.report("service/probe", evidence.Phishing, "http://loop.example/a")
		s.report("nobody", evidence.Phishing, "http://loop.example/a")
	}
	s.want(reputation.Unknown, "http://loop.example/a")
}

func TestAnOperatorsWordSettlesUntilItExpires(t *testing.T) {
	s := tell(t)
	u := "http://case.example/a/b"
	subject := evidence.Subject{Kind: evidence.URL, Key: s.link(u).URL()}
	for _, feed := range bothFeeds {
		s.report(feed, evidence.Phishing, u)
	}
	s.say("user/owner", evidence.Appealed, subject)
	if r := s.table.Rate(subject, s.policy, s.now); !r.Appealed || r.Anchor != nil {
		t.Errorf("after the appeal: %+v", r)
	}
	s.want(reputation.Dangerous, u)
	s.report("operator/ann", evidence.Benign, u)
	s.want(reputation.Safe, u)
	if r := s.table.Rate(subject, s.policy, s.now); r.Appealed || r.Anchor == nil || r.Slow.Bad != 0 || r.Anchor.Rater != "operator/ann" {
		t.Errorf("after the review: %+v", r)
	}
	s.pass(time.Hour)
	s.table.Apply(evidence.Entry{Record: evidence.Record{Time: s.now, Rater: "operator/bob", Assertion: evidence.Malware,
		Subject: evidence.Subject{Kind: evidence.Host, Key: "case.example"}, Expires: s.now.Add(2 * time.Hour)}})
	s.want(reputation.Safe, u) // the narrower word stands
	s.want(reputation.Dangerous, "http://case.example/other", "http://sub.case.example/")
	if v := s.judge("http://case.example/other"); !v.Expires.Equal(s.now.Add(2*time.Hour)) || v.Threat != evidence.Malware {
		t.Errorf("got %+v", v)
	}
	s.pass(3 * time.Hour)
	if v := s.judge("http://case.example/other"); v.Level == reputation.Dangerous {
		t.Errorf("the word has expired and still settles: %+v", v)
	}
	s.report("operator/ann", evidence.Retracted, u)
	if v := s.judge(u); v.Level == reputation.Safe {
		t.Errorf("the word was taken back: %+v", v)
	}
}

func TestTheConfigurationsNamesStandAboveEvidence(t *testing.T) {
	s := tell(t)
	s.policy.Allow = map[string]bool{"ours.example": true}
	s.policy.Deny = map[string]bool{"bad.ours.example": true}
	for _, feed := range bothFeeds {
		s.report(feed, evidence.Phishing, "http://www.ours.example/a")
	}
	s.want(reputation.Safe, "http://www.ours.example/a", "http://ours.example/")
	s.want(reputation.Dangerous, "http://bad.ours.example/", "http://very.bad.ours.example/x")
	s.report("operator/ann", evidence.Phishing, "http://www.ours.example/a")
	s.want(reputation.Dangerous, "http://www.ours.example/a") // an anchor on the very URL
}

func TestAListedNameCoversWhatIsBelowIt(t *testing.T) {
	s := tell(t)
	s.say("feed/hosts", evidence.Malware, evidence.Subject{Kind: evidence.Host, Key: "ads.evil.example"})
	s.say("feed/ips", evidence.Malware, evidence.Subject{Kind: evidence.Addr, Key: "192.0.2.66"})
	s.say("feed/ips", evidence.Malware, evidence.Subject{Kind: evidence.Addr, Key: "2001:db8::66"})
	s.say("feed/paths", evidence.Malware, evidence.Subject{Kind: evidence.Path, Key: "some.example/dir/"})
	s.want(reputation.Dangerous, "http://ads.evil.example/", "https://a.b.ads.evil.example/x?y", "http://192.0.2.66/a",
		"http://[2001:db8::66]/", "http://some.example/dir/x")
	for _, u := range []string{"http://www.evil.example/", "http://192.0.2.67/", "http://some.example/other/x"} {
		if v := s.judge(u); v.Level == reputation.Dangerous {
			t.Errorf("%s is %v: %+v", u, v.Level, v.Reasons())
		}
	}
}

func TestAListMustBeSaidAgainOrItFades(t *testing.T) {
	s := tell(t)
	s.report("feed/one", evidence.Phishing, "http://faded.example/a")
	last := s.now.Truncate(day).Add(time.Duration(s.policy.ListDays) * day)
	s.now = last
	s.want(reputation.Dangerous, "http://faded.example/a")
	s.now = last.Add(day)
	if v := s.judge("http://faded.example/a"); v.Level == reputation.Dangerous {
		t.Errorf("it is still dangerous after %d days", s.policy.ListDays+1)
	}
}

func TestAnUntrustedFeedOnlyCounts(t *testing.T) {
	s := tell(t)
	s.policy.Trust = map[string]float64{"feed/sloppy": .2}
	s.report("feed/sloppy", evidence.Phishing, "http://maybe.example/a")
	s.want(reputation.Suspicious, "http://maybe.example/a")
}

func TestPopularNamesAreSparedAboveThePath(t *testing.T) {
	s := tell(t)
	s.table.Apply(evidence.Entry{Record: evidence.Record{Time: s.now, Rater: "feed/tranco", Assertion: evidence.Popular,
		Subject: evidence.Subject{Kind: evidence.Domain, Key: "popular.example"}, Count: 500}})
	for i := range 40 {
		for _, feed := range bothFeeds {
			s.report(feed, evidence.Phishing, fmt.Sprintf("http://www.popular.example/u/%d", i))
		}
	}
	s.report("feed/one", evidence.Phishing, "http://www.popular.example/")
	s.say("feed/one", evidence.Unwanted, evidence.Subject{Kind: evidence.Domain, Key: "popular.example"})
	s.want(reputation.Dangerous, "http://www.popular.example/u/7", "http://www.popular.example/u/new")
	for _, u := range []string{"http://www.popular.example/", "http://popular.example/about"} {
		if v := s.judge(u); v.Level == reputation.Dangerous {
			t.Errorf("%s is %v: %+v", u, v.Level, v.Reasons())
		}
	}
}

func TestAClockThatJumpsHurtsNothing(t *testing.T) {
	s := tell(t)
	s.report("feed/one", evidence.Phishing, "http://before.example.com/a")
	for i, at := range []time.Time{start.AddDate(80, 0, 0), {}, start.AddDate(-60, 0, 0), time.Unix(1<<60, 0)} {
		s.table.Apply(evidence.Entry{Record: evidence.Record{Time: at, Rater: "feed/one", Assertion: evidence.Phishing,
			Subject: evidence.Subject{Kind: evidence.URL, Key: fmt.Sprintf("jump%d.example.com/a", i)}}})
	}
	s.report("feed/one", evidence.Phishing, "http://after.example.com/a")
	s.want(reputation.Dangerous, "http://before.example.com/a", "http://after.example.com/a", "http://jump0.example.com/a")
	for _, r := range ladderOf(s.table.Explain(s.link("http://after.example.com/a"), s.policy, s.now)) {
		if r.Slow.Bad < .9 || r.Fast.Bad < .9 {
			t.Errorf("%v was wiped out: %+v", r.Subject, r)
		}
	}
	// A machine that was off for two years is believed after a while.
	s.now = s.now.AddDate(2, 0, 0)
	for i := range 40 {
		s.report("feed/one", evidence.Phishing, fmt.Sprintf("http://late%d.example.com/a", i))
	}
	r := s.table.Rate(evidence.Subject{Kind: evidence.URL, Key: "late39.example.com/a"}, s.policy, s.now)
	if !r.Newest.Equal(s.now.Truncate(day)) {
		t.Errorf("after two years the table counts on %v", r.Newest)
	}
}

func TestWhatIsIdleIsForgotten(t *testing.T) {
	s := tell(t)
	for i := range 300 {
		s.see(fmt.Sprintf("http://idle%d.example/a/b", i))
	}
	s.report("feed/one", evidence.Phishing, "http://bad.example/a/b")
	s.pass(day)
	before := s.table.Len()
	for range 95 + 32 {
		s.pass(day)
	}
	if n := s.table.Len(); before < 900 || n > 20 {
		t.Errorf("%d subjects, before %d", n, before)
	}
	if r := s.table.Rate(evidence.Subject{Kind: evidence.URL, Key: "bad.example/a/b"}, s.policy, s.now); r.Slow.Bad < .5 {
		t.Errorf("what was bad is forgotten: %+v", r)
	}
}

func TestEachKindOfSubjectHasARating(t *testing.T) {
	s := tell(t)
	for _, feed := range bothFeeds {
		s.report(feed, evidence.Malware, "http://www.evil.example/a/b", "https://user.github.io/a/b",
			"https://docs.google.com/forms/d/e/bad/viewform", "http://192.0.2.66/a")
	}
	for _, subject := range []evidence.Subject{
		{Kind: evidence.URL, Key: "www.evil.example/a/b"}, {Kind: evidence.Path, Key: "www.evil.example/a/"},
		{Kind: evidence.Host, Key: "www.evil.example"}, {Kind: evidence.Tenant, Key: "evil.example"},
		{Kind: evidence.Domain, Key: "evil.example"}, {Kind: evidence.Suffix, Key: "example"},
		{Kind: evidence.Domain, Key: "github.io"}, {Kind: evidence.Tenant, Key: "user.github.io"},
		{Kind: evidence.Host, Key: "docs.google.com"}, {Kind: evidence.Addr, Key: "192.0.2.66"},
	} {
		r := s.table.Rate(subject, s.policy, s.now)
		const want = 1
		if !r.Known || r.Slow.Bad < want-.05 || r.Slow.Bad > want+.05 || r.Threats[1] != r.Slow.Bad ||
			len(s.table.RaterNames(r.Raters)) != 2 || r.Posterior <= s.policy.Prior || r.Share() != 1 {
			t.Errorf("%v: %+v", subject, r)
		}
	}
	for _, subject := range []evidence.Subject{{Kind: evidence.AS, Key: "64500"}, {Kind: evidence.Addr, Key: "x"},
		{Kind: evidence.Host, Key: "nobody.example"}, {}} {
		if r := s.table.Rate(subject, s.policy, s.now); r.Known {
			t.Errorf("%v: %+v", subject, r)
		}
	}
}

func TestAnEntryIsAppliedOnce(t *testing.T) {
	s := tell(t)
	e := evidence.Entry{Seq: 7, Record: evidence.Record{Time: s.now, Rater: "feed/one", Assertion: evidence.Phishing,
		Subject: evidence.Subject{Kind: evidence.URL, Key: "once.example/a"}}}
	s.table.Apply(e)
	sum := s.table.Sum()
	e.Seq, e.Subject.Key = 6, "other.example/a"
	s.table.Apply(e)
	e.Seq = 7
	s.table.Apply(e)
	if s.table.Sum() != sum || s.table.Applied() != 7 {
		t.Errorf("an old entry changed the table; applied %d", s.table.Applied())
	}
}

func TestASealedSubjectIsTheSubjectInClear(t *testing.T) {
	for _, u := range castURLs {
		clear, sealed := tell(t), tell(t)
		clear.say("service/sighting", evidence.Seen, evidence.Subject{Kind: evidence.URL, Key: clear.link("http://" + u).URL()})
		sealed.see("http://" + u)
		if clear.table.Sum() != sealed.table.Sum() {
			t.Errorf("%s: sealed it is another subject", u)
		}
	}
}

func TestMoreGroupsThanBitsAreNeverTwoWhereThereIsOne(t *testing.T) {
	s := tell(t)
	for i := range 200 {
		s.report(fmt.Sprintf("feed/f%d", i), evidence.Phishing, fmt.Sprintf("http://x%d.example/", i))
	}
	for i := range 200 {
		r := s.table.Rate(evidence.Subject{Kind: evidence.Tenant, Key: fmt.Sprintf("x%d.example", i)}, s.policy, s.now)
		if names := s.table.RaterNames(r.Raters); len(names) != 1 {
			t.Errorf("one group is %d: %v", len(names), names)
		}
	}
	roundTrip(t, s.table, s.key)
}

func TestReadersSeeWholeEntriesWhileTheTableGrows(t *testing.T) {
	s := tell(t)
	hot := s.link("http://hot.example.com/a/b")
	done := make(chan struct{})
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			last := 0.
			for {
				select {
				case <-done:
					return
				default:
				}
				for _, r := range s.table.Explain(hot, s.policy, start) {
					if r.Subject.Kind == evidence.Suffix {
						// Only ever grows; a torn read would jump.
						if r.Slow.Bad < last-.01 || r.Slow.Bad > 4000 {
							t.Errorf("went from %v to %v", last, r.Slow.Bad)
						}
						last = r.Slow.Bad
					}
				}
				s.table.Judge(hot, s.policy, start)
			}
		})
	}
	for i := range 3000 {
		s.report("feed/one", evidence.Phishing, fmt.Sprintf("http://t%d.com/a/%d", i, i), "http://hot.example.com/a/b")
		if i%1000 == 999 {
			roundTrip(t, s.table, s.key)
		}
	}
	close(done)
	readers.Wait()
}

func TestJudgingAllocatesNothing(t *testing.T) {
	s := tell(t)
	s.report("feed/one", evidence.Phishing, "http://www.evil.example/a/b")
	s.report("user/one", evidence.Phishing, "http://www.evil.example/a/c")
	s.policy.Allow = map[string]bool{"ours.example": true}
	for _, u := range []string{"http://www.evil.example/a/b", "http://www.evil.example/a/c", "http://nobody.example/x",
		"http://a.b.c.d.e.f.example/a/b", "https://user.github.io/a", "https://www.paypal.com/", "http://x.ours.example/"} {
		l := s.link(u)
		if n := testing.AllocsPerRun(50, func() { s.table.Judge(l, s.policy, s.now) }); n != 0 {
			t.Errorf("%s: %v allocations", u, n)
		}
	}
}

func TestASnapshotThatIsNotWholeIsRefused(t *testing.T) {
	s := tell(t)
	for i := range 100 {
		s.report("feed/one", evidence.Phishing, fmt.Sprintf("http://s%d.example/a/b", i))
	}
	s.see("http://seen.example/a")
	s.report("operator/ann", evidence.Benign, "http://fine.example/a")
	var b bytes.Buffer
	if _, err := s.table.WriteTo(&b); err != nil {
		t.Fatal(err)
	}
	whole := b.Bytes()
	read := func(data []byte, key *evidence.Key) error {
		table, err := reputation.ReadTable(bytes.NewReader(data), key)
		if (table == nil) != (err != nil) {
			t.Fatalf("got %v and %v", table, err)
		}
		return err
	}
	if err := read(whole, s.key); err != nil {
		t.Fatal(err)
	}
	if err := read(whole, &evidence.Key{8}); !errors.Is(err, reputation.ErrSnapshotKey) {
		t.Errorf("another key: %v", err)
	}
	newer := bytes.Clone(whole)
	binary.LittleEndian.PutUint32(newer[8:], 1<<30)
	if err := read(newer, s.key); !errors.Is(err, reputation.ErrSnapshotVersion) {
		t.Errorf("a newer version: %v", err)
	}
	for n := 0; n < len(whole); n += 1 + n/24 {
		want := reputation.ErrSnapshotTorn
		if n < 12 {
			want = reputation.ErrNotSnapshot
		}
		if err := read(whole[:n], s.key); !errors.Is(err, want) {
			t.Fatalf("torn at %d: %v", n, err)
		}
		flipped := bytes.Clone(whole)
		flipped[n] ^= 0x10
		if err := read(flipped, s.key); !knownSnapshotError(err) {
			t.Fatalf("flipped at %d: %v", n, err)
		}
	}
	if err := read(append(bytes.Clone(whole), 0), s.key); !errors.Is(err, reputation.ErrSnapshotCorrupt) {
		t.Errorf("with more behind its end: %v", err)
	}
	broken := errors.New("disk on fire")
	if _, err := reputation.ReadTable(io.MultiReader(bytes.NewReader(whole[:500]), failing{broken}), s.key); !errors.Is(err, broken) {
		t.Errorf("a failing disk: %v", err)
	}
	if _, err := s.table.WriteTo(failing{broken}); !errors.Is(err, broken) {
		t.Errorf("a full disk: %v", err)
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error)  { return 0, f.err }
func (f failing) Write([]byte) (int, error) { return 0, f.err }
