package reputation_test

import (
	"fmt"
	"math"
	"testing"
	"time"

	"headlight.example/evidence"
	"headlight.example/link"
	"headlight.example/reputation"
)

// start is the day on which stories begin; a Monday, and no landmark.
var start = time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)

// story tells a table what happened, and asks it.
type story struct {
	*testing.T
	key    *evidence.Key
	table  *reputation.Table
	policy *reputation.Policy
	now    time.Time
	seq    uint64
}

func tell(t *testing.T) *story {
	key := &evidence.Key{1, 2, 3}
	return &story{T: t, key: key, table: reputation.NewTable(key), policy: reputation.DefaultPolicy(), now: start}
}

func (s *story) link(url string) link.Link {
	s.Helper()
	l, err := link.Parse(url)
	if err != nil {
		s.Fatal(err)
	}
	return l
}

func (s *story) say(rater string, a evidence.Assertion, subject evidence.Subject) {
	s.seq++
	s.table.Apply(evidence.Entry{Seq: s.seq, Record: evidence.Record{
		Time: s.now, Rater: rater, Subject: subject, Assertion: a, Count: 1}})
}

func (s *story) report(rater string, a evidence.Assertion, urls ...string) {
	s.Helper()
	for _, u := range urls {
		s.say(rater, a, evidence.Subject{Kind: evidence.URL, Key: s.link(u).URL()})
	}
}

func (s *story) see(urls ...string) {
	s.Helper()
	for _, u := range urls {
		s.say("service/sighting", evidence.Seen, s.key.Seal(s.link(u)))
	}
}

// pass lets time go by; the log notices at the next entry, which is a sighting.
func (s *story) pass(d time.Duration) {
	s.now = s.now.Add(d)
	s.see("http://time.passes.example/")
}

const day = 24 * time.Hour

func (s *story) judge(url string) reputation.Verdict {
	s.Helper()
	return s.table.Judge(s.link(url), s.policy, s.now)
}

func (s *story) want(level reputation.Level, urls ...string) {
	s.Helper()
	for _, u := range urls {
		if v := s.judge(u); v.Level != level {
			s.Errorf("%s is %v (score %.3f, reasons %v), want %v", u, v.Level, v.Score, v.Reasons(), level)
		}
	}
}

func TestALinkThatNobodyKnowsIsUnknown(t *testing.T) {
	s := tell(t)
	s.want(reputation.Unknown, "http://new.example/a/b?c", "http://192.0.2.1/", "http://user.github.io/")
	if v := s.judge("http://new.example/"); math.Abs(v.Score-s.policy.Prior) > 1e-9 || v.Threat != 0 || len(v.Reasons()) != 0 ||
		!v.Expires.Equal(s.now.Add(s.policy.KeepFor(reputation.Unknown))) {
		t.Errorf("got %+v", v)
	}
	if v := s.table.Judge(link.Link{}, s.policy, s.now); v.Level != reputation.Unknown {
		t.Errorf("the zero link is %v", v.Level)
	}
}

func TestAListedURLIsDangerousAndItsNeighboursAreNot(t *testing.T) {
	s := tell(t)
	s.report("feed/one", evidence.Phishing, "http://shop.example/login/a.html")
	s.want(reputation.Dangerous, "http://shop.example/login/a.html", "https://shop.example/login/a.html")
	v := s.judge("http://shop.example/login/a.html")
	if v.Threat != evidence.Phishing || v.Score < .9 {
		t.Errorf("got %+v", v)
	}
	found := false
	for _, r := range v.Reasons() {
		if r.Basis == reputation.Listed {
			found = fmt.Sprint(s.table.RaterNames(r.Raters)) == "[feed/one]"
		}
	}
	if !found {
		t.Errorf("no reason names the list: %+v", v.Reasons())
	}
	if v := s.judge("http://shop.example/about"); v.Level == reputation.Dangerous {
		t.Errorf("its neighbour is %v", v.Level)
	}
}

func TestAPlatformWithAThousandBadTenantsDoesNotCondemnANewOne(t *testing.T) {
	s := tell(t)
	for i := range 1000 {
		for _, feed := range []string{"feed/one", "feed/two"} {
			s.report(feed, evidence.Phishing, fmt.Sprintf("https://bad%d.github.io/login/", i),
				fmt.Sprintf("https://github.io/bad%d", i), fmt.Sprintf("https://bad%d.web.app/x", i))
		}
	}
	s.want(reputation.Unknown, "https://good.github.io/", "https://good.github.io/a/b",
		"https://good.web.app/", "https://github.io/", "https://web.app/")
	s.want(reputation.Dangerous, "https://bad7.github.io/login/", "https://bad7.web.app/x")
}
