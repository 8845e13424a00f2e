package reputation_test

import (
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"headlight.example/evidence"
	"headlight.example/reputation"
)

// earn has users report bad links that a list names later, one link a day each.
func (s *story) earn(days int, users ...string) {
	for range days {
		for _, u := range users {
			bad := fmt.Sprintf("http://known%d-%s.example/x", s.now.Unix(), strings.ReplaceAll(u, "/", "-"))
			s.report(u, evidence.Phishing, bad)
			s.report("feed/one", evidence.Phishing, bad)
		}
		s.pass(day)
	}
}

// idle lets days pass in which only one who is not of the story speaks: the log
// is the table's clock.
func (s *story) idle(days int) {
	for range days {
		s.pass(day)
		s.see("http://elsewhere.example/")
	}
}

func TestAUserEarnsHisVoice(t *testing.T) {
	s := tell(t)
	if v := s.table.Voice("user/ann"); v != 0 {
		t.Errorf("who is new has a voice of %.2f", v)
	}
	s.earn(2, "user/ann")
	if v := s.table.Voice("user/ann"); v != 0 {
		t.Errorf("after two cases: a voice of %.2f", v)
	}
	s.earn(18, "user/ann")
	v := s.table.Voice("user/ann")
	if v < .5 || v > .9 {
		t.Errorf("after twenty cases: a voice of %.2f", v)
	}
	s.report("user/ann", evidence.Phishing, "http://fine1.example/x", "http://fine2.example/x")
	s.report("operator/ann", evidence.Benign, "http://fine1.example/x")
	once := s.table.Voice("user/ann")
	s.report("operator/ann", evidence.Benign, "http://fine2.example/x")
	twice := s.table.Voice("user/ann")
	if once >= v || twice >= once {
		t.Errorf("two false alarms took it from %.2f to %.2f and %.2f", v, once, twice)
	}
	s.idle(120)
	if v := s.table.Voice("user/ann"); v > .1 {
		t.Errorf("after four months of silence: a voice of %.2f", v)
	}
}

func TestWhoCopiesAListEarnsNothing(t *testing.T) {
	s := tell(t)
	for i := range 50 {
		listed := fmt.Sprintf("http://listed%d.example/x", i)
		s.report("feed/one", evidence.Phishing, listed)
		s.report("user/parrot", evidence.Phishing, listed)
		s.report("feed/one", evidence.Phishing, listed)
		s.report("feed/two", evidence.Phishing, listed)
		host := fmt.Sprintf("host%d.example", i)
		s.say("feed/one", evidence.Phishing, evidence.Subject{Kind: evidence.Host, Key: host})
		s.report("user/parrot", evidence.Phishing, "http://"+host+"/x")
		s.report("feed/two", evidence.Phishing, "http://"+host+"/x")
		s.pass(time.Hour)
	}
	if v := s.table.Voice("user/parrot"); v != 0 {
		t.Errorf("got a voice of %.2f", v)
	}
	if list, _ := s.table.Reviews(); len(list) != 0 {
		t.Errorf("%d settled cases wait for a review", len(list))
	}
}

func TestAListThatFlapsConfirmsOnce(t *testing.T) {
	s := tell(t)
	for range 50 {
		s.report("user/parrot", evidence.Phishing, "http://flap.example/x")
		s.report("feed/one", evidence.Phishing, "http://flap.example/x")
		s.report("feed/one", evidence.Retracted, "http://flap.example/x")
		s.pass(time.Hour)
	}
	if v := s.table.Voice("user/parrot"); v != 0 {
		t.Errorf("got a voice of %.2f", v)
	}
}

func TestThatALinkIsHarmlessEarnsNothingButCanCost(t *testing.T) {
	s := tell(t)
	for i := range 50 {
		s.report("user/smear", evidence.Phishing, fmt.Sprintf("http://fine%d.example/", i))
		s.report("user/praise", evidence.Benign, fmt.Sprintf("http://fine%d.example/", i))
		s.report("operator/ann", evidence.Benign, fmt.Sprintf("http://fine%d.example/", i))
	}
	if v := s.table.Voice("user/praise"); v != 0 {
		t.Errorf("praise earned a voice of %.2f", v)
	}
	s.earn(20, "user/bob")
	before := s.table.Voice("user/bob")
	for i := range 3 {
		s.report("user/bob", evidence.Benign, fmt.Sprintf("http://bad%d.example/", i))
		s.report("feed/one", evidence.Malware, fmt.Sprintf("http://bad%d.example/", i))
	}
	if v := s.table.Voice("user/bob"); v >= before {
		t.Errorf("a wrong benign word left the voice at %.2f, from %.2f", v, before)
	}
}

func TestOurOwnVerdictsSettleNothing(t *testing.T) {
	s := tell(t)
	for i := range 50 {
		u := fmt.Sprintf("http://loop%d.example/x", i)
		s.report("user/ann", evidence.Phishing, u)
		s.report("service/probe", evidence.Phishing, u)
		s.report("user/bob", evidence.Phishing, u)
		s.report("user/carol/c", evidence.Phishing, u)
	}
	for _, u := range []string{"user/ann", "user/bob", "user/carol/c"} {
		if v := s.table.Voice(u); v != 0 {
			t.Errorf("%s got a voice of %.2f", u, v)
		}
	}
}

func TestTwoTrustedGroupsCondemnAndOneDoesNot(t *testing.T) {
	s := tell(t)
	s.earn(25, "user/ann", "user/bob", "user/choir/a", "user/choir/b", "user/choir/c")
	s.report("user/choir/a", evidence.Phishing, "http://site.example/1")
	s.want(reputation.Unknown, "http://site.example/1") // one group
	for _, u := range []string{"user/choir/b", "user/choir/c"} {
		s.report(u, evidence.Phishing, "http://site.example/1", "http://site.example/2")
	}
	s.report("user/choir/a", evidence.Phishing, "http://site.example/2")
	s.want(reputation.Suspicious, "http://site.example/1", "http://site.example/2") // a unit each, of one group
	s.report("user/ann", evidence.Phishing, "http://other.example/1", "http://other.example/2")
	s.want(reputation.Unknown, "http://other.example/1")
	s.report("user/bob", evidence.Phishing, "http://other.example/1")
	s.want(reputation.Suspicious, "http://other.example/1")
	s.report("user/bob", evidence.Malware, "http://other.example/2")
	s.want(reputation.Dangerous, "http://other.example/1", "http://other.example/2")
	rate := func() reputation.Rating {
		return s.table.Rate(evidence.Subject{Kind: evidence.URL, Key: "other.example/1"}, s.policy, s.now)
	}
	if r := rate(); r.Slow.Bad < .9 || !slices.Equal(s.table.RaterNames(r.Listed), []string{"user"}) {
		t.Errorf("got %+v by %q", r, s.table.RaterNames(r.Listed))
	}
	// Either takes his word back, or turns it round: the unit goes.
	s.report("user/bob", evidence.Retracted, "http://other.example/1")
	if r := rate(); r.Slow.Bad != 0 || r.Raters != 0 {
		t.Errorf("one of two took his word back, and %.2f units are left", r.Slow.Bad)
	}
	s.report("user/bob", evidence.Phishing, "http://other.example/1")
	if r := rate(); r.Slow.Bad < .9 {
		t.Errorf("he said it again, and there are %.2f units", r.Slow.Bad)
	}
	s.report("user/ann", evidence.Benign, "http://other.example/1")
	if r := rate(); r.Slow.Bad != 0 {
		t.Errorf("one of two says that it is good, and %.2f units are left", r.Slow.Bad)
	}
}

func TestStrangersTakeNoWordBackButTheirOwn(t *testing.T) {
	s := tell(t)
	s.earn(25, "user/ann", "user/bob")
	urls := []string{"http://caught.example/1", "http://caught.example/2"}
	s.report("user/ann", evidence.Phishing, urls...)
	s.report("user/bob", evidence.Phishing, urls...)
	strangers := func() {
		for i := range 50 {
			s.report(fmt.Sprintf("user/stranger%d", i), evidence.Retracted, urls...)
			s.report(fmt.Sprintf("user/stranger%d", i), evidence.Benign, urls...)
			s.report(fmt.Sprintf("user/stranger%d", i), evidence.Retracted, urls...)
		}
	}
	strangers()
	s.want(reputation.Dangerous, urls...)
	s.idle(40) // ann's and bob's words are no claim any more, but still a unit
	strangers()
	rating := s.table.Rate(evidence.Subject{Kind: evidence.Tenant, Key: "caught.example"}, s.policy, s.now)
	if rating.Slow.Bad < 1.5 || rating.Raters == 0 {
		t.Errorf("got %+v", rating)
	}
}

func TestAnOperatorMayOverruleAList(t *testing.T) {
	s := tell(t)
	s.earn(20, "user/ann")
	before := s.table.Voice("user/ann")
	s.report("user/ann", evidence.Phishing, "http://wrong.example/")
	s.report("feed/one", evidence.Phishing, "http://wrong.example/")
	confirmed := s.table.Voice("user/ann")
	s.say("operator/ann", evidence.Benign, evidence.Subject{Kind: evidence.Domain, Key: "wrong.example"})
	refuted := s.table.Voice("user/ann")
	s.say("operator/ann", evidence.Benign, evidence.Subject{Kind: evidence.Domain, Key: "wrong.example"})
	if again := s.table.Voice("user/ann"); confirmed <= before || refuted >= before || again != refuted {
		t.Errorf("from %.3f: confirmed %.3f, then refuted %.3f, once more %.3f", before, confirmed, refuted, again)
	}
}

func TestUselessReportersDoNotCrowdTheOthersOut(t *testing.T) {
	s := tell(t)
	s.earn(25, "user/ann", "user/bob")
	for i := range 2 * reputation.MaxReports {
		s.report(fmt.Sprintf("user/crowd%d", i), evidence.Phishing, "http://page.example/")
	}
	if list, _ := s.table.Reviews(); len(list) != 1 || list[0].Reporters != reputation.MaxReports {
		t.Fatalf("got %+v", list)
	}
	s.report("user/ann", evidence.Phishing, "http://page.example/")
	s.report("user/bob", evidence.Phishing, "http://page.example/")
	s.want(reputation.Suspicious, "http://page.example/")
	if list, _ := s.table.Reviews(); list[0].Voice < 1 || list[0].Reporters != reputation.MaxReports {
		t.Errorf("got %+v", list)
	}
}

func TestWhatIsKeptOfUsersIsBounded(t *testing.T) {
	s := tell(t)
	for i := range reputation.MaxOpen + 1 {
		s.report("user/busy", evidence.Spam, fmt.Sprintf("http://busy%d.example/", i))
	}
	s.report("user/idle", evidence.Spam, "http://idle.example/")
	if list, _ := s.table.Reviews(); len(list) != reputation.MaxOpen+1 || list[0].Subject.Key == fmt.Sprintf("busy%d.example/", reputation.MaxOpen) {
		t.Errorf("%d cases are open", len(list))
	}
	s.report("user/a", evidence.Spam, "http://both.example/")
	s.report("user/b", evidence.Spam, "http://both.example/")
	s.say("user/owner", evidence.Appealed, evidence.Subject{Kind: evidence.Host, Key: "harmed.example"})
	for i := range reputation.MaxClaims {
		s.report(fmt.Sprintf("user/many%d", i/100), evidence.Spam, fmt.Sprintf("http://many%d.example/", i))
	}
	list, dropped := s.table.Reviews()
	_, claims, _ := s.table.Kept()
	if claims > reputation.MaxClaims || claims < reputation.MaxClaims*7/8 || int(dropped) != reputation.MaxOpen+1+3+reputation.MaxClaims-1-len(list) {
		t.Errorf("%d claims, %d open, %d fell out", claims, len(list), dropped)
	}
	if list[0].Subject.Key != "harmed.example" || list[1].Subject.Key != "both.example/" {
		t.Errorf("what fell out first was not what one alone reports: %+v", list[:2])
	}
	s.idle(31)
	if list, _ := s.table.Reviews(); len(list) != 1 { // the appeal
		t.Errorf("after a month %d cases are open", len(list))
	}
	s.idle(60)
	if _, claims, bytes := s.table.Kept(); claims != 0 || bytes != 0 {
		t.Errorf("after another two %d claims of %d bytes are left", claims, bytes)
	}
}

func TestRecordsOfUsersAreBounded(t *testing.T) {
	s := tell(t)
	s.earn(3, "user/ann")
	for i := range reputation.MaxReporters {
		s.report(fmt.Sprintf("user/u%d", i), evidence.Phishing, fmt.Sprintf("http://b%d.example/", i/30))
		if i%30 == 29 {
			s.report("feed/one", evidence.Phishing, fmt.Sprintf("http://b%d.example/", i/30))
		}
	}
	reporters, _, _ := s.table.Kept()
	if reporters > reputation.MaxReporters || reporters < reputation.MaxReporters*3/4 {
		t.Errorf("%d records", reporters)
	}
	if s.table.Voice("user/ann") == 0 {
		t.Error("a good record fell out before those of one case")
	}
	s.idle(100)
	s.earn(1, "user/ann")
	if reporters, _, _ := s.table.Kept(); reporters != 1 {
		t.Errorf("after a hundred days there are %d records", reporters)
	}
}

func TestReviewsAreListedAndSettled(t *testing.T) {
	s := tell(t)
	s.report("user/ann", evidence.Spam, "http://one.example/x")
	s.pass(time.Minute)
	s.report("user/club/a", evidence.Phishing, "http://two.example/y")
	s.report("user/club/b", evidence.Phishing, "http://two.example/y")
	s.report("user/ann", evidence.Spam, "http://two.example/y")
	s.report("user/bob", evidence.Benign, "http://two.example/y")
	s.report("feed/one", evidence.Phishing, "http://listed.example/")
	s.say("user/owner", evidence.Appealed, evidence.Subject{Kind: evidence.URL, Key: "listed.example/"})
	list, dropped := s.table.Reviews()
	if len(list) != 3 || dropped != 0 {
		t.Fatalf("got %+v, %d", list, dropped)
	}
	listed, two, one := list[0], list[1], list[2]
	if listed.Subject.Key != "listed.example/" || listed.Appealed.IsZero() || listed.Threat != 0 || listed.Reporters != 0 {
		t.Errorf("got %+v", listed)
	}
	if two.Threat != evidence.Phishing || two.Groups != 2 || two.Reporters != 3 || two.Benign != 1 || two.Voice != 0 {
		t.Errorf("got %+v", two)
	}
	if one.Threat != evidence.Spam || !one.First.Equal(start) || !one.Last.Equal(start) || !one.Appealed.IsZero() {
		t.Errorf("got %+v", one)
	}
	if got, ok := s.table.Review(one.ID); !ok || got != one {
		t.Errorf("got %+v, %v, want %+v", got, ok, one)
	}
	copied := roundTrip(t, s.table, s.key)
	if again, _ := copied.Reviews(); !slices.Equal(again, list) {
		t.Errorf("after a restart: got %+v, want %+v", again, list)
	}
	// A list settles reports, but no appeal against what it says itself.
	s.report("feed/two", evidence.Phishing, "http://listed.example/", "http://two.example/y")
	// An operator sends a case away without a word on the link.
	s.report("operator/ann", evidence.Retracted, "http://one.example/x")
	if list, _ := s.table.Reviews(); len(list) != 1 || list[0].ID != listed.ID {
		t.Errorf("got %+v, want the appeal alone", list)
	}
	if _, ok := s.table.Review(one.ID); ok {
		t.Error("what was sent away is still there")
	}
	s.want(reputation.Unknown, "http://one.example/x")
	s.report("operator/ann", evidence.Benign, "http://listed.example/")
	if list, _ := s.table.Reviews(); len(list) != 0 {
		t.Errorf("got %+v", list)
	}
	s.report("user/ann", evidence.Spam, "http://one.example/x")
	if _, ok := s.table.Review(one.ID); !ok {
		t.Error("what was sent away does not come back if it is reported again")
	}
}

// slowTrust is the trust in users in obvious code: floating-point numbers, and
// nothing of hashes, landmarks or bounds.
type slowTrust struct {
	cases    map[string]*slowCase
	records  map[string]*slowRecord
	lists    map[string]map[string]bool // by child: groups that call it bad
	anchored map[string]string          // by child: who
	today    int
}

type slowCase struct {
	users    map[string]slowWord
	settled  string // "", "bad" or "good"
	day      int
	appealed bool
}

type slowWord struct {
	bad bool
	day int
}

type slowRecord struct {
	confirmed, refuted float64
	day                int
}

func newSlowTrust() *slowTrust {
	return &slowTrust{cases: map[string]*slowCase{}, records: map[string]*slowRecord{},
		lists: map[string]map[string]bool{}, anchored: map[string]string{}}
}

func (r *slowRecord) advance(day int) {
	fade := math.Exp2(-float64(day-r.day) / 30)
	r.confirmed, r.refuted, r.day = r.confirmed*fade, r.refuted*fade, day
}

func (f *slowTrust) voice(user string) float64 {
	r := f.records[user]
	if r == nil {
		return 0
	}
	now := *r
	now.advance(f.today)
	a, b := 2+now.confirmed, 2+now.refuted
	mean := a / (a + b)
	sd := math.Sqrt(a * b / ((a + b) * (a + b) * (a + b + 1)))
	return min(max(2*(mean-sd-.5), 0), 1)
}

// childName is the child that a subject of the cast stands for, and aroundNames
// are the names under which it may be settled as well.
func childName(s evidence.Subject) string {
	if s.Kind == evidence.URL {
		return "url " + s.Key
	}
	return "name " + s.Key
}

func aroundNames(s evidence.Subject) []string {
	if s.Kind != evidence.URL {
		return nil
	}
	host, _, _ := strings.Cut(s.Key, "/")
	return []string{"name " + host, "name " + strings.TrimPrefix(host, "www.")}
}

func (f *slowTrust) isSettled(child string) bool {
	return len(f.lists[child]) > 0 || f.anchored[child] != ""
}

func (f *slowTrust) apply(r evidence.Record) {
	f.today = slowDay(r.Time)
	for child, c := range f.cases {
		for u, w := range c.users {
			last := w.day
			if c.settled != "" {
				last = max(last, c.day)
			}
			if f.today-last > 30 {
				delete(c.users, u)
			}
		}
		c.appealed = c.appealed && f.today-c.day <= 90
		if len(c.users) == 0 && !c.appealed {
			delete(f.cases, child)
		}
	}
	child, group := childName(r.Subject), evidence.Group(r.Rater)
	c := f.cases[child]
	switch role := evidence.Role(r.Rater); {
	case r.Assertion == evidence.Appealed:
		if c == nil {
			c = &slowCase{users: map[string]slowWord{}}
			f.cases[child] = c
		}
		c.appealed, c.day = true, f.today
	case role == "user" && r.Assertion == evidence.Retracted:
		if c != nil && c.settled == "" {
			if delete(c.users, r.Rater); len(c.users) == 0 && !c.appealed {
				delete(f.cases, child)
			}
		}
	case role == "user":
		settled := f.isSettled(child)
		if c == nil || len(c.users) == 0 {
			for _, name := range aroundNames(r.Subject) {
				settled = settled || f.isSettled(name)
			}
		}
		if settled || c != nil && c.settled != "" {
			return
		}
		if c == nil {
			c = &slowCase{users: map[string]slowWord{}}
			f.cases[child] = c
		}
		c.day = f.today
		c.users[r.Rater] = slowWord{r.Assertion.Threat(), f.today}
	case r.Assertion == evidence.Retracted:
		delete(f.lists[child], group)
		if role == "operator" {
			if f.anchored[child] == group {
				delete(f.anchored, child)
			}
			delete(f.cases, child)
		}
	default:
		for name := range maps.Keys(f.cases) {
			kind, key, _ := strings.Cut(name, " ")
			below := kind == "url" && slices.Contains(aroundNames(evidence.Subject{Kind: evidence.URL, Key: key}), child)
			if name == child || below {
				f.settle(name, r.Assertion.Threat(), role == "operator")
			}
		}
		if f.lists[child] == nil {
			f.lists[child] = map[string]bool{}
		}
		switch {
		case r.Assertion.Threat():
			f.lists[child][group] = true
		case role == "operator":
			clear(f.lists[child])
		default:
			delete(f.lists[child], group)
		}
		if role == "operator" {
			f.anchored[child] = group
		}
	}
}

func (f *slowTrust) settle(name string, bad, operator bool) {
	c, word := f.cases[name], map[bool]string{true: "bad", false: "good"}[bad]
	if operator {
		c.appealed = false
	}
	switch {
	case len(c.users) == 0:
		if !c.appealed {
			delete(f.cases, name)
		}
	case c.settled == "" || operator && c.settled != word:
		for u, w := range c.users {
			if !bad && !w.bad {
				continue
			}
			if f.records[u] == nil {
				f.records[u] = &slowRecord{}
			}
			r := f.records[u]
			r.advance(f.today)
			if w.bad == bad {
				r.confirmed = min(r.confirmed+1, 25)
			} else {
				r.refuted += 3
			}
		}
		c.settled, c.day = word, f.today
	}
}

// usersRecords makes n records of users, lists and an operator in the given days.
func usersRecords(r *rand.Rand, n, days int) []evidence.Record {
	var records []evidence.Record
	at := start
	for range n {
		at = at.Add(min(time.Duration(r.Int64N(2*int64(days)*int64(day)/int64(n))), 30*day)) // more would not be believed at once
		rec := evidence.Record{Time: at, Count: 1, Assertion: evidence.Phishing + evidence.Assertion(r.IntN(4))}
		host := fmt.Sprintf("%ss%d.example", []string{"", "www."}[r.IntN(2)], r.IntN(12))
		rec.Subject = evidence.Subject{Kind: evidence.URL, Key: fmt.Sprintf("%s/%d", host, r.IntN(2))}
		if r.IntN(8) == 0 {
			rec.Subject = evidence.Subject{Kind: evidence.Host, Key: host}
		}
		switch k := r.IntN(40); {
		case k < 28:
			rec.Rater = fmt.Sprintf("user/g%d/m%d", k%4, k)
			if k == 0 || k == 1 {
				rec.Rater = fmt.Sprintf("user/lone%d", k)
			}
		case k < 36:
			rec.Rater = fmt.Sprintf("feed/f%d", k%3)
		default:
			rec.Rater = "operator/o"
			if r.IntN(2) == 0 {
				rec.Assertion = evidence.Benign
			}
		}
		switch k := r.IntN(20); {
		case k == 0:
			rec.Assertion = evidence.Benign
		case k == 1:
			rec.Assertion = evidence.Retracted
		case k == 2:
			rec.Rater, rec.Assertion = "user/owner", evidence.Appealed
		}
		records = append(records, rec)
	}
	return records
}

func checkTrust(t *testing.T, seed uint64, n, days int) {
	t.Helper()
	key := &evidence.Key{byte(seed)}
	table, twin := reputation.NewTable(key), newSlowTrust()
	users := map[string]bool{}
	records := usersRecords(rand.New(rand.NewPCG(seed, 5)), n, days)
	for i, rec := range records {
		if i == n/2 {
			table = roundTrip(t, table, key)
		}
		table.Apply(evidence.Entry{Record: rec})
		twin.apply(rec)
		users[rec.Rater] = true
	}
	for u := range users {
		if got, want := table.Voice(u), twin.voice(u); math.Abs(got-want) > .02 {
			t.Errorf("seed %d: %s has a voice of %.3f, want %.3f", seed, u, got, want)
		}
	}
	got := map[string]string{}
	list, _ := table.Reviews()
	for _, r := range list {
		got[childName(r.Subject)] = fmt.Sprintf("%d of %d groups, %d say benign, appealed %v", r.Reporters, r.Groups, r.Benign, !r.Appealed.IsZero())
	}
	want := map[string]string{}
	for name, c := range twin.cases {
		groups, bad, good := map[string]bool{}, 0, 0
		for u, w := range c.users {
			switch {
			case c.settled != "":
			case w.bad:
				bad++
				groups[evidence.Group(u)] = true
			default:
				good++
			}
		}
		if bad+good > 0 || c.appealed {
			want[name] = fmt.Sprintf("%d of %d groups, %d say benign, appealed %v", bad, len(groups), good, c.appealed)
		}
	}
	if !maps.Equal(got, want) {
		t.Errorf("seed %d: open are\n%v, want\n%v", seed, got, want)
	}
}

func TestTrustIsThatOfItsSlowTwin(t *testing.T) {
	for seed := range uint64(60) {
		checkTrust(t, seed, 20+int(seed)*15, 5+int(seed)*2)
		if t.Failed() {
			break
		}
	}
}

func FuzzTrust(f *testing.F) {
	f.Add(uint64(1), uint16(400), uint8(60))
	f.Fuzz(func(t *testing.T, seed uint64, n uint16, days uint8) {
		checkTrust(t, seed, 1+int(n)%2000, 1+int(days))
	})
}
