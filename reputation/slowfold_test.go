package reputation_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"headlight.example/evidence"
	"headlight.example/link"
	"headlight.example/reputation"
)

// slowFold is the table in obvious code: it keeps every unit of every child
// with its day, and counts by going through them. It knows the rules of the
// fold, and nothing of masks, shifts, landmarks or shards.
type slowFold struct {
	children map[string]*slowChild
	tenants  map[string]*slowTenant
	groups   map[string]map[string]bool // by rung: who spoke of it
	popular  map[string][]slowRank
	waiting  []*slowSighting
	kept     []*slowSighting          // for a week
	last     map[string]*slowSighting // by URL
	delays   []time.Duration
	clock    time.Time
	oldest   map[slowSum]int   // the oldest day counted in a sum
	lost     map[slowSum][]int // see round
}

// slowSum is one of the sums of a rung. The slow memory has one for each class,
// the fast one for all that is bad.
type slowSum struct {
	rung  string
	half  float64
	class int
}

const slowGood = 0 // the class of good units; no threat is 0

func newSlowSum(rung string, half float64, class int) slowSum {
	if half == 7 {
		class = min(class, 1)
	}
	return slowSum{rung, half, class}
}

// slowChild is a URL, or a list's word on a name or path, which counts in rungs.
type slowChild struct {
	name   string // as a rung of its own
	url    bool
	rungs  []string // path, host, tenant
	tenant string
	newest int
	bad    map[slowUnit]bool // counted; true if in the fast memory too, which knows no classes
	good   map[int]bool      // days marked
	praise []slowPraise
	groups map[string]bool
}

type slowUnit struct{ class, day int }

// slowTenant is a tenant as a child of the rungs above.
type slowTenant struct {
	above   []string
	newest  int
	bad     map[slowUnit]bool // marked
	counted []slowCount
	good    map[int]bool // marked
	praise  []slowPraise
	sighted map[int]int
}

type slowCount struct {
	slowUnit
	fresh bool
}

// slowPraise is a good unit: 1 or, if tainted, .1, give or take slack.
type slowPraise struct {
	day          int
	units, slack float64
}

type slowRank struct {
	step float64
	day  int
}

// rank is the popularity of a tenant, 0 to 1: the best of the ranks it was
// given, each less 8 steps of 31 for every 64th day since.
func (f *slowFold) rank(tenant string, today int) (best float64) {
	for _, r := range f.popular[tenant] {
		best = max(best, (r.step-8*float64(today/64-r.day/64))/31)
	}
	return best
}

type slowSighting struct {
	at       time.Time
	url      string
	reported bool
	credit   *slowPraise // once it is known
	above    bool        // it counted above the tenant too
}

// wait is how long silence must last: three quarters of the last 2000 delays
// between sighting and report, and a minute, from ten minutes to six hours.
// It is found anew with each of the first 200, then with every hundredth.
func (f *slowFold) wait() time.Duration {
	n := len(f.delays)
	if n == 0 {
		return 6 * time.Hour
	}
	if n >= 200 {
		n -= n % 100
	}
	last := slices.Sorted(slices.Values(f.delays[max(n-2000, 0):n]))
	return min(max(last[len(last)*3/4]+time.Minute, 10*time.Minute), 6*time.Hour)
}

// reported tells the last sighting of a URL that it was called bad: what it
// counted above the tenant is taken back.
func (f *slowFold) reported(c *slowChild, at time.Time) {
	s := f.last[c.name]
	if s == nil || s.reported {
		return
	}
	s.reported = true
	f.delays = append(f.delays, max(at.Sub(s.at), 0))
	if s.above {
		t := f.tenants[c.tenant]
		t.praise = slices.DeleteFunc(t.praise, func(p slowPraise) bool { return p == *s.credit })
		f.round(s.credit.day, slowGood, t.above...)
	}
}

func newSlowFold() *slowFold {
	return &slowFold{children: map[string]*slowChild{}, tenants: map[string]*slowTenant{},
		groups: map[string]map[string]bool{}, popular: map[string][]slowRank{},
		last: map[string]*slowSighting{}, oldest: map[slowSum]int{}, lost: map[slowSum][]int{}}
}

func slowDay(t time.Time) int { return int(t.Unix() / 86400) }

// slowLink gives the keys of a link's rungs: "kind key".
func slowLink(l link.Link) (inside, above []string, tenant string) {
	tenant = "tenant " + l.Tenant()
	inside = []string{tenant}
	if strings.Contains(l.Tenant(), "/") {
		return inside, []string{"host " + l.Host()}, tenant
	}
	if l.Host() != l.Tenant() {
		inside = append(inside, "host "+l.Host())
	}
	if l.Path() != "" {
		inside = append(inside, "path "+l.Path())
	}
	a, isAddr := l.Addr()
	switch {
	case isAddr:
		above = []string{"subnet " + evidence.SubnetOf(a).Key}
	case l.Platform() == link.None && l.Suffix() != l.Tenant():
		above = []string{"suffix " + l.Suffix()}
	case l.Platform() != link.None && l.Domain() != l.Tenant():
		above = []string{"domain " + l.Domain()}
	}
	return inside, above, tenant
}

// child finds or makes the child that a subject stands for.
func (f *slowFold) child(s evidence.Subject) *slowChild {
	l, _ := link.Parse("http://" + s.Key)
	inside, above, tenant := slowLink(l)
	name := s.Key
	switch {
	case s.Kind == evidence.URL:
	case s.Kind == evidence.Path && "tenant "+strings.TrimSuffix(s.Key, "/") != tenant:
		name = "list " + name
	case s.Kind == evidence.Host && l.Host() != l.Tenant():
		name, inside = "list "+name, []string{tenant, "host " + l.Host()}
	default:
		name, inside = "list "+strings.TrimSuffix(name, "/"), []string{tenant}
	}
	if f.tenants[tenant] == nil {
		f.tenants[tenant] = &slowTenant{above: above, bad: map[slowUnit]bool{}, good: map[int]bool{}, sighted: map[int]int{}}
	}
	c := f.children[name]
	if c == nil {
		c = &slowChild{name: "url " + name, url: s.Kind == evidence.URL, rungs: inside, tenant: tenant,
			bad: map[slowUnit]bool{}, good: map[int]bool{}, groups: map[string]bool{}}
		f.children[name] = c
	}
	return c
}

// newUnit applies the rule for units: each class and day once; of days before
// the window of 16 only what is the first of its class in the child, or in any
// of the tenant's. It is fresh if it is the first of any class.
func newUnit(counted map[slowUnit]bool, newest int, u slowUnit, children ...*slowChild) (unit, fresh bool) {
	unit, fresh = true, true
	if newest-u.day < 16 {
		for other := range counted {
			unit = unit && other != u
			fresh = fresh && other.day != u.day
		}
		return unit, fresh
	}
	for _, c := range children {
		for other := range c.bad {
			unit = unit && other.class != u.class
			fresh = false
		}
	}
	return unit, fresh
}

// of gives the children of a tenant.
func (f *slowFold) of(tenant string) (list []*slowChild) {
	for _, c := range f.children {
		if c.tenant == tenant {
			list = append(list, c)
		}
	}
	return list
}

func (f *slowFold) apply(r evidence.Record) {
	r.Time = r.Time.Truncate(time.Second) // the table's clock counts whole seconds
	if r.Time.After(f.clock) {
		f.clock = r.Time
	}
	f.mature()
	c, d, group := f.child(r.Subject), slowDay(r.Time), evidence.Group(r.Rater)
	switch {
	case r.Assertion == evidence.Seen:
		f.see(c, r)
	case r.Assertion == evidence.Popular:
		step := max(math.Round(31*(1-math.Log10(float64(r.Count))/6)), 1)
		f.popular[c.tenant] = append(f.popular[c.tenant], slowRank{step, d})
		f.tenants[c.tenant].newest = max(f.tenants[c.tenant].newest, d)
	case r.Assertion.Threat():
		f.condemn(c, slowUnit{int(r.Assertion), d}, group, r.Time)
	case r.Assertion == evidence.Retracted, r.Assertion == evidence.Benign:
		f.retract(c, group)
		if r.Assertion == evidence.Benign {
			c.newest = max(c.newest, d)
			old := c.newest-d >= 16
			if !old && !c.good[d] || old && len(c.praise) == 0 {
				c.good[d] = !old
				f.credit(c, slowPraise{d, 1, 0})
			}
		}
	}
}

func (f *slowFold) condemn(c *slowChild, u slowUnit, group string, at time.Time) {
	c.newest = max(c.newest, u.day)
	t := f.tenants[c.tenant]
	unit, fresh := newUnit(c.bad, c.newest, u, c)
	if !unit && c.groups[group] {
		return
	}
	t.newest = max(t.newest, u.day)
	if unit && len(c.bad) == 0 {
		if c.url {
			f.reported(c, at)
		}
		if len(c.praise) > 0 {
			first := slices.MinFunc(c.praise, func(a, b slowPraise) int { return a.day - b.day })
			f.round(first.day, slowGood, c.rungs...)
		}
		c.praise = nil
	}
	c.groups[group] = true
	for _, rung := range append(append([]string{}, c.rungs...), t.above...) {
		if f.groups[rung] == nil {
			f.groups[rung] = map[string]bool{}
		}
		f.groups[rung][group] = true
	}
	if unit {
		if unit, fresh := newUnit(t.bad, t.newest, u, f.of(c.tenant)...); unit {
			t.bad[u] = true
			t.counted = append(t.counted, slowCount{u, fresh})
			f.round(u.day, u.class, t.above...)
		}
		c.bad[u] = fresh
		f.round(u.day, u.class, c.rungs...)
		f.round(u.day, u.class, c.name)
	}
}

func (f *slowFold) retract(c *slowChild, group string) {
	if !c.groups[group] {
		return
	}
	delete(c.groups, group)
	if len(c.groups) > 0 || len(c.bad) == 0 {
		return
	}
	f.roundClasses(slices.Collect(maps.Keys(c.bad)), c.rungs)
	c.bad = map[slowUnit]bool{}
	f.clear(c.name)
	for _, rung := range c.rungs {
		if slow, _ := f.count(rung, 180, slowDay(f.clock)); slow == 0 {
			f.groups[rung] = nil
			f.clear(rung)
			if rung == c.tenant {
				t := f.tenants[c.tenant]
				t.bad = map[slowUnit]bool{}
				var back []slowUnit
				t.counted = slices.DeleteFunc(t.counted, func(u slowCount) bool {
					if t.newest-u.day >= 16 {
						return false // not known any more
					}
					back = append(back, u.slowUnit)
					return true
				})
				f.roundClasses(back, t.above)
			}
		}
	}
}

func (f *slowFold) see(c *slowChild, r evidence.Record) {
	d, t := slowDay(r.Time), f.tenants[c.tenant]
	newest, tenantNewest := max(c.newest, d), max(t.newest, d)
	if newest-d >= 16 || c.good[d] || tenantNewest-d > 1 || t.sighted[d] == 3 {
		return
	}
	t.sighted[d]++
	c.good[d] = true
	c.newest, t.newest = newest, tenantNewest
	sighting := &slowSighting{at: r.Time, url: r.Subject.Key}
	f.waiting, f.kept = append(f.waiting, sighting), append(f.kept, sighting)
	f.last[c.name] = sighting
}

func (f *slowFold) mature() {
	for len(f.waiting) > 0 && !f.waiting[0].at.Add(f.wait()).After(f.clock) {
		s := f.waiting[0]
		f.waiting = f.waiting[1:]
		c := f.children[s.url]
		if s.reported = s.reported || len(c.bad) > 0; s.reported {
			continue
		}
		host := c.tenant
		for _, rung := range c.rungs {
			if strings.HasPrefix(rung, "host ") {
				host = rung
			}
		}
		p := slowPraise{slowDay(s.at), 1, 0}
		today := slowDay(f.clock)
		bad, _ := f.count(host, 7, today)
		switch off, _ := f.rounding(host, 7, today); {
		case math.Abs(bad-.3) <= off:
			p.units, p.slack = .55, .45 // tainted or not, by rounding
		case bad > .3:
			p.units = .1
		}
		s.credit, s.above = &p, f.credit(c, p)
	}
	for len(f.kept) > 0 && !f.kept[0].at.Add(7*day).After(f.clock) {
		name := f.children[f.kept[0].url].name
		if f.last[name] == f.kept[0] {
			delete(f.last, name)
		}
		f.kept = f.kept[1:]
	}
}

func (f *slowFold) credit(c *slowChild, p slowPraise) (above bool) {
	t, d := f.tenants[c.tenant], p.day
	c.newest, t.newest = max(c.newest, d), max(t.newest, d)
	_, before := f.count(c.tenant, 180, d)
	c.praise = append(c.praise, p)
	f.round(d, slowGood, c.rungs...)
	f.round(d, slowGood, c.name)
	if late := t.newest-d >= 16; !late && !t.good[d] || late && before == 0 {
		t.good[d] = !late
		t.praise = append(t.praise, p)
		f.round(d, slowGood, t.above...)
		return true
	}
	return false
}

// units goes through the units of a rung: their days, weights and slack.
func (f *slowFold) units(rung string, half float64, yield func(p slowPraise, good bool)) {
	for _, c := range f.children {
		if c.name != rung && !slices.Contains(c.rungs, rung) {
			continue
		}
		for u, fresh := range c.bad {
			if half == 180 || fresh {
				yield(slowPraise{u.day, 1, 0}, false)
			}
		}
		for _, p := range c.praise {
			yield(p, true)
		}
	}
	for _, t := range f.tenants {
		if !slices.Contains(t.above, rung) {
			continue
		}
		for _, u := range t.counted {
			if half == 180 || u.fresh {
				yield(slowPraise{u.day, 1, 0}, false)
			}
		}
		for _, p := range t.praise {
			yield(p, true)
		}
	}
}

// decayed is what a unit of a day weighs as of today.
func decayed(d, today int, half float64) float64 { return math.Exp2(-float64(today-d) / half) }

// count gives the units of a rung as of a day, with a half-life in days.
func (f *slowFold) count(rung string, half float64, today int) (bad, good float64) {
	f.units(rung, half, func(p slowPraise, isGood bool) {
		if w := p.units * decayed(p.day, today, half); isGood {
			good += w
		} else {
			bad += w
		}
	})
	return bad, good
}

// lossDay is the day of which sums may have lost what is less than a 32nd of a
// unit: the last multiple of the half-life that is 15 days old or more.
func (f *slowFold) lossDay(half float64) int {
	return (slowDay(f.clock) - 15) / int(half) * int(half)
}

// round notes where the table may round when a unit of day d is counted in a
// rung or taken back from it. It does so for units from before lossDay only, and
// loses less than a 32nd of a unit of that day.
func (f *slowFold) round(d, class int, rungs ...string) {
	for _, rung := range rungs {
		for _, half := range []float64{7, 180} {
			sum := newSlowSum(rung, half, class)
			if old, ok := f.oldest[sum]; !ok || d < old {
				f.oldest[sum] = d
			}
			if day := f.lossDay(half); d < day {
				f.lost[sum] = append(f.lost[sum], day)
			}
		}
	}
}

// roundClasses is round for units that are taken back at once: once a class.
func (f *slowFold) roundClasses(units []slowUnit, rungs []string) {
	first := map[int]int{}
	for _, u := range units {
		if d, ok := first[u.class]; !ok || u.day < d {
			first[u.class] = u.day
		}
	}
	for class, d := range first {
		f.round(d, class, rungs...)
	}
}

// clear forgets what bad sums have lost: they are empty.
func (f *slowFold) clear(rung string) {
	gone := func(sum slowSum) bool { return sum.rung == rung && sum.class != slowGood }
	maps.DeleteFunc(f.oldest, func(sum slowSum, _ int) bool { return gone(sum) })
	maps.DeleteFunc(f.lost, func(sum slowSum, _ []int) bool { return gone(sum) })
}

// rounding is how far the table's sums may be from count, as entry.go has it:
// each unit is rounded once, by half a 32nd of a unit of the day when its
// half-life began; all halvings of a sum together lose less than a 32nd of a
// unit of the last one's day; and so does each that was counted or taken back
// after that.
func (f *slowFold) rounding(rung string, half float64, today int) (bad, good float64) {
	off := map[bool]float64{}
	f.units(rung, half, func(p slowPraise, isGood bool) {
		began := p.day / int(half) * int(half)
		off[isGood] += p.slack*decayed(p.day, today, half) + decayed(began, today, half)/64
	})
	for class := slowGood; class <= int(evidence.Spam); class++ {
		sum := slowSum{rung, half, class}
		day := f.lossDay(half)
		if old, ok := f.oldest[sum]; ok && old < day {
			off[class == slowGood] += decayed(day, today, half) / 32
		}
		for _, day := range f.lost[sum] {
			off[class == slowGood] += decayed(day, today, half) / 32
		}
	}
	return off[false], off[true]
}

// urls counts the distinct children of a rung that are bad.
func (f *slowFold) urls(rung string) (n int) {
	for _, c := range f.children {
		for _, r := range c.rungs {
			if r == rung && len(c.bad) > 0 {
				n++
			}
		}
	}
	return min(n, 15)
}

// odds are limited: nothing is surer than a million to one.
func odds(p float64) float64 {
	p = min(max(p, 1e-6), 1-1e-6)
	return math.Log(p / (1 - p))
}

// A span is what rounding can make of a number, from the least to the most.
type span struct{ least, most float64 }

// shrink is a step of the chain: what a rung with these counts, each off by so
// much at most, makes of the rung before it. More bad and a worse rung before
// raise it, more good lowers it.
func (before span) shrink(bad, offBad, good, offGood, kappa float64) span {
	step := func(p, bad, good float64) float64 {
		bad, good = max(bad, 0), max(good, 0)
		return (bad + kappa*p) / (bad + good + kappa)
	}
	return span{step(before.least, bad-offBad, good+offGood), step(before.most, bad+offBad, good-offGood)}
}

// score is the plain chain of MODEL.md §4, as long as nobody knows what clean
// links look like.
func (f *slowFold) score(l link.Link, p *reputation.Policy, today int) span {
	inside, above, tenant := slowLink(l)
	prior := odds(p.Prior)
	fast, slow, z := span{p.Prior, p.Prior}, span{p.Prior, p.Prior}, span{prior, prior}
	rungs := append(append([]string{}, above...), append(inside, "url "+l.URL())...)
	for i, rung := range rungs {
		fb, fg := f.count(rung, 7, today)
		sb, sg := f.count(rung, 180, today)
		if rung == tenant && l.Platform() == link.None {
			fg += 20 * f.rank(tenant, today)
			sg += 20 * f.rank(tenant, today)
		}
		if fb+fg+sb+sg == 0 {
			continue
		}
		kappa := .1
		if i < len(above) {
			kappa = 1.5
		}
		offB, offG := f.rounding(rung, 7, today)
		fast = fast.shrink(fb, offB, fg, offG, kappa)
		offB, offG = f.rounding(rung, 180, today)
		slow = slow.shrink(sb, offB, sg, offG, kappa)
		z = span{(odds(fast.least) + odds(slow.least)) / 2, (odds(fast.most) + odds(slow.most)) / 2}
		limit := prior + 2
		if l.Platform() != link.None {
			limit = prior + 1
		}
		if i < len(above) && z.most > limit {
			// Capped, perhaps: then both memories are set to the limit.
			at := 1 / (1 + math.Exp(-limit))
			if z.least > limit {
				fast, slow = span{at, at}, span{at, at}
			}
			fast = span{min(fast.least, at), max(fast.most, at)}
			slow = span{min(slow.least, at), max(slow.most, at)}
			z = span{min(z.least, limit), limit}
		}
	}
	return span{1 / (1 + math.Exp(-z.least)), 1 / (1 + math.Exp(-z.most))}
}

// The cast of the random stories.
var (
	castURLs = []string{
		"one.example/", "one.example/a/1", "www.one.example/a/1", "www.one.example/a/2?q", "www.one.example/b/",
		"two.example/x", "deep.er.two.example/x/y", "user.github.io/a/b", "user.github.io/", "other.github.io/a/",
		"github.io/", "192.0.2.7/m.bin", "github.com/user/repo", "github.com/other/repo", "bit.ly/abc",
	}
	castNames = []evidence.Subject{
		{Kind: evidence.Host, Key: "www.one.example"}, {Kind: evidence.Host, Key: "one.example"},
		{Kind: evidence.Domain, Key: "two.example"}, {Kind: evidence.Tenant, Key: "user.github.io"},
		{Kind: evidence.Path, Key: "www.one.example/a/"}, {Kind: evidence.Path, Key: "github.com/user/"},
	}
	castFeeds = []string{"feed/one", "feed/two", "feed/three/member", "feed/three/other"}
)

// randomRecords makes n records within the given number of days.
func randomRecords(r *rand.Rand, key *evidence.Key, n, days int, judgementsOnly bool) []evidence.Record {
	records := make([]evidence.Record, n)
	at := start
	for i := range records {
		at = at.Add(time.Duration(r.Int64N(2 * int64(days) * int64(24*time.Hour) / int64(n+1))))
		if at.After(start.Add(time.Duration(days) * 24 * time.Hour)) {
			at = start.Add(time.Duration(days) * 24 * time.Hour)
		}
		rec := evidence.Record{Time: at, Rater: castFeeds[r.IntN(len(castFeeds))], Count: 1,
			Subject:   evidence.Subject{Kind: evidence.URL, Key: castURLs[r.IntN(len(castURLs))]},
			Assertion: evidence.Phishing + evidence.Assertion(r.IntN(4))}
		if r.IntN(5) == 0 {
			rec.Subject = castNames[r.IntN(len(castNames))]
		}
		if r.IntN(8) == 0 { // late
			rec.Time = rec.Time.Add(-time.Duration(r.IntN(min(days, 20)*24)) * time.Hour)
			if first := start.Add(time.Duration(days-30) * day); rec.Time.Before(first) {
				rec.Time = first // older might be forgotten, which the twin does not do
			}
		}
		switch k := r.IntN(20); {
		case k == 0:
			rec.Assertion, rec.Count = evidence.Popular, uint32(1+r.IntN(1_000_000))
			rec.Subject = evidence.Subject{Kind: evidence.Domain, Key: "one.example"}
		case k < 2 && !judgementsOnly:
			rec.Assertion = evidence.Retracted
		case k < 3 && !judgementsOnly:
			rec.Assertion = evidence.Benign
		case k < 12 && !judgementsOnly && rec.Subject.Kind == evidence.URL:
			rec.Rater, rec.Assertion = "service/sighting", evidence.Seen
		}
		records[i] = rec
	}
	return records
}

// applyAll folds records; a sighting is sealed, as in life.
func applyAll(t *reputation.Table, key *evidence.Key, records []evidence.Record) {
	for i, r := range records {
		if r.Assertion == evidence.Seen && i%2 == 0 {
			l, _ := link.Parse("http://" + r.Subject.Key)
			r.Subject = key.Seal(l)
		}
		t.Apply(evidence.Entry{Record: r})
	}
}

// checkFold compares the table with its twin after the same records.
func checkFold(t *testing.T, seed uint64, n, days int) {
	t.Helper()
	r := rand.New(rand.NewPCG(seed, 1))
	key := &evidence.Key{byte(seed)}
	table, twin, p := reputation.NewTable(key), newSlowFold(), reputation.DefaultPolicy()
	p.VetoRank = 0
	records := randomRecords(r, key, n, days, false)
	applyAll(table, key, records)
	for _, rec := range records {
		twin.apply(rec)
	}
	now := twin.clock.Add(time.Duration(r.IntN(10)) * day)
	today := slowDay(now)
	near := func(what string, got, want, off float64) {
		t.Helper()
		if math.Abs(got-want) > off+1e-9 {
			t.Errorf("seed %d: %s: got %.4f, want %.4f ± %.4f", seed, what, got, want, off)
		}
	}
	for _, u := range castURLs {
		l, _ := link.Parse("http://" + u)
		for _, rung := range ladderOf(table.Explain(l, p, now)) {
			name := rung.Subject.Kind.String() + " " + rung.Subject.Key
			near(name+" popularity", rung.Popularity, twin.rank(name, today), 0)
			popular := 0.
			if l.Platform() == link.None {
				popular = 20 * rung.Popularity
			}
			bad, good := twin.count(name, 7, today)
			offBad, offGood := twin.rounding(name, 7, today)
			near(name+" fast bad", rung.Fast.Bad, bad, offBad)
			near(name+" fast good", rung.Fast.Good, good+popular, offGood)
			bad, good = twin.count(name, 180, today)
			offBad, offGood = twin.rounding(name, 180, today)
			near(name+" slow bad", rung.Slow.Bad, bad, offBad)
			near(name+" slow good", rung.Slow.Good, good+popular, offGood)
			if kind := rung.Subject.Kind; kind == evidence.Tenant || kind == evidence.Path {
				if want := twin.urls(name); rung.URLs != want {
					t.Errorf("seed %d: %s: %d URLs, want %d", seed, name, rung.URLs, want)
				}
				want := len(twin.groups[name])
				if got := len(table.RaterNames(rung.Raters&^rung.Listed)) + len(table.RaterNames(rung.Listed)); got != want {
					t.Errorf("seed %d: %s: %d groups %v, want %v", seed, name, got, table.RaterNames(rung.Raters), twin.groups[name])
				}
			}
		}
		checkVerdict(t, seed, table, twin, l, p, now)
	}
	copied := roundTrip(t, table, key)
	more := randomRecords(r, key, n, days, false)
	applyAll(table, key, more)
	applyAll(copied, key, more)
	if table.Sum() != copied.Sum() {
		t.Errorf("seed %d: a table goes on otherwise after a snapshot", seed)
	}
}

// ladderOf leaves the rungs of the ladder of what explains a score.
func ladderOf(parts []reputation.Rating) (rungs []reputation.Rating) {
	for _, r := range parts {
		if r.Basis == reputation.Counts && r.Subject.Kind <= evidence.Suffix {
			rungs = append(rungs, r)
		}
	}
	return rungs
}

// checkVerdict compares the plain chain with what the twin's counts mean, and the
// level with the score, which has what the model learnt besides.
func checkVerdict(t *testing.T, seed uint64, table *reputation.Table, twin *slowFold, l link.Link, p *reputation.Policy, now time.Time) {
	t.Helper()
	v := table.Judge(l, p, now)
	today := slowDay(now)
	score := twin.score(l, p, today)
	least, most := score.least, score.most
	limits := p.Thresholds[reputation.ClassOf(l)]
	c := twin.children[l.URL()]
	listed := c != nil && len(c.groups) > 0 && len(c.bad) > 0 && !l.PlatformRoot()
	for name, other := range twin.children {
		if l.PlatformRoot() || other.url || len(other.groups) == 0 || len(other.bad) == 0 {
			continue
		}
		name = strings.TrimPrefix(name, "list ")
		switch rest, below := strings.CutPrefix(l.URL(), name); {
		case below && (strings.HasSuffix(name, "/") || rest == "" || rest[0] == '/' || rest[0] == '?'):
			listed = true
		case !strings.Contains(name, "/") && strings.HasSuffix(l.Host(), "."+name):
			listed = true
		}
	}
	if listed {
		if v.Level != reputation.Dangerous || v.Score < p.FeedTrust {
			t.Errorf("seed %d: %v is listed but %v, %.3f", seed, l, v.Level, v.Score)
		}
		return
	}
	parts := table.Explain(l, p, now)
	rungs := ladderOf(parts)
	// While nobody knows what clean links look like, spelling does not warn.
	spelt := slices.ContainsFunc(parts, func(r reputation.Rating) bool {
		return (r.Basis == reputation.Spelling || r.Basis == reputation.Alike) && r.Weight > 0
	})
	chain := rungs[len(rungs)-1].Posterior
	if z := odds(chain); z < odds(least)-1e-8 || z > odds(most)+1e-8 {
		t.Errorf("seed %d: the chain of %v is %.6f, want %.6f to %.6f: %+v", seed, l, chain, least, most, rungs)
	}
	warn := v.Score >= limits.Suspicious && !l.PlatformRoot()
	if warn && !spelt && v.Level < reputation.Suspicious && l.Platform() == link.None {
		t.Errorf("seed %d: %v is %v at %.3f", seed, l, v.Level, v.Score)
	}
	if !warn && v.Level > reputation.Unknown {
		t.Errorf("seed %d: %v is %v at %.3f", seed, l, v.Level, v.Score)
	}
	if _, _, tenant := slowLink(l); v.Level == reputation.Dangerous && len(twin.groups[tenant]) < 2 {
		t.Errorf("seed %d: %v is dangerous by the word of %v", seed, l, twin.groups[tenant])
	}
}

func TestTheFoldEqualsItsObviousTwin(t *testing.T) {
	for seed := range uint64(300) {
		checkFold(t, seed, 5+int(seed)%120, 1+int(seed)%30)
		if t.Failed() {
			break
		}
	}
}

func FuzzFold(f *testing.F) {
	f.Add(uint64(1), uint8(60), uint8(20))
	f.Fuzz(func(t *testing.T, seed uint64, n, days uint8) {
		checkFold(t, seed, int(n), 1+int(days)%30)
		checkOrder(t, seed, int(n))
	})
}

// checkOrder folds the same judgements of a fortnight in two orders, with
// repetitions, and through a snapshot.
func checkOrder(t *testing.T, seed uint64, n int) {
	t.Helper()
	r := rand.New(rand.NewPCG(seed, 2))
	key := &evidence.Key{9}
	// Before the fortnight, and nothing so old that it is forgotten within it,
	// nor good units to take back: of older days that is rounded.
	past := randomRecords(r, key, n, 8, true)
	for i := range past {
		past[i].Time = past[i].Time.Add(-8 * day)
	}
	records := randomRecords(r, key, n, 14, true)
	for i := range records {
		if records[i].Time.Before(start) {
			records[i].Time = start
		}
	}
	end := evidence.Record{Time: start.Add(14 * day), Rater: "service/sighting", Assertion: evidence.Seen,
		Subject: evidence.Subject{Kind: evidence.URL, Key: "end.example/"}}
	fold := func(records []evidence.Record) *reputation.Table {
		table := reputation.NewTable(key)
		applyAll(table, key, past)
		applyAll(table, key, records)
		applyAll(table, key, []evidence.Record{end})
		return table
	}
	want := fold(records).Sum()
	again := append(append([]evidence.Record{}, records...), records[:n/2]...)
	if got := fold(again).Sum(); got != want {
		t.Fatalf("seed %d: saying it twice is not once", seed)
	}
	r.Shuffle(len(again), func(i, j int) { again[i], again[j] = again[j], again[i] })
	table, inOrder := fold(again), fold(records)
	p := reputation.DefaultPolicy()
	for _, u := range castURLs {
		l, _ := link.Parse("http://" + u)
		want := ladderOf(inOrder.Explain(l, p, end.Time))
		got := ladderOf(table.Explain(l, p, end.Time))
		for i := range got { // bits go to groups as they come
			got[i].Raters, want[i].Raters = 0, 0
			got[i].Listed, want[i].Listed = 0, 0
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("seed %d: the order of a fortnight matters (-in order +shuffled):\n%s", seed, diff)
		}
	}
	want = table.Sum()
	if got := roundTrip(t, table, key).Sum(); got != want {
		t.Fatalf("seed %d: a snapshot is not what was written", seed)
	}
}

func TestTheOrderOfAFortnightDoesNotMatter(t *testing.T) {
	for seed := range uint64(100) {
		checkOrder(t, seed, 80)
	}
}

func roundTrip(t *testing.T, table *reputation.Table, key *evidence.Key) *reputation.Table {
	t.Helper()
	var b bytes.Buffer
	n, err := table.WriteTo(&b)
	if err != nil || n != int64(b.Len()) {
		t.Fatalf("wrote %d of %d bytes, %v", n, b.Len(), err)
	}
	first := bytes.Clone(b.Bytes())
	copied, err := reputation.ReadTable(&b, key)
	if err != nil {
		t.Fatal(err)
	}
	if copied.Applied() != table.Applied() || copied.Len() != table.Len() {
		t.Fatalf("read %d subjects up to %d, wrote %d up to %d", copied.Len(), copied.Applied(), table.Len(), table.Applied())
	}
	if _, err := copied.WriteTo(&b); err != nil || !bytes.Equal(b.Bytes(), first) {
		t.Fatalf("the same table wrote another snapshot (%v)", err)
	}
	return copied
}

// snapshotErrors are all that ReadTable may say of bytes.
var snapshotErrors = []error{reputation.ErrNotSnapshot, reputation.ErrSnapshotVersion, reputation.ErrSnapshotKey,
	reputation.ErrSnapshotTorn, reputation.ErrSnapshotCorrupt}

func knownSnapshotError(err error) bool {
	for _, e := range snapshotErrors {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// FuzzSnapshot puts any bytes behind right frames and checksums, where only
// the content can be wrong.
func FuzzSnapshot(f *testing.F) {
	key := &evidence.Key{3}
	table := reputation.NewTable(key)
	applyAll(table, key, randomRecords(rand.New(rand.NewPCG(1, 1)), key, 30, 5, false))
	applyAll(table, key, usersRecords(rand.New(rand.NewPCG(1, 1)), 60, 5))
	applyAll(table, key, []evidence.Record{
		{Time: start, Rater: "service/probe", Count: 1, Subject: evidence.Subject{Kind: evidence.Host, Key: "www.one.example"},
			Assertion: evidence.ResolvesTo, Object: evidence.Subject{Kind: evidence.Addr, Key: "192.0.2.1"}},
		{Time: start, Rater: "service/probe", Count: 1, Subject: evidence.Subject{Kind: evidence.Host, Key: "www.one.example"},
			Assertion: evidence.Shows, Object: evidence.FactOf(evidence.FactServer, "nginx")},
	})
	var b bytes.Buffer
	if _, err := table.WriteTo(&b); err != nil {
		f.Fatal(err)
	}
	chunks := snapshotChunks(b.Bytes())
	for i, chunk := range chunks[1:] {
		if len(chunk) > 0 {
			f.Add(chunks[0], chunk, uint16(i))
		}
	}
	f.Fuzz(func(t *testing.T, head, shard []byte, number uint16) {
		if len(head) >= 8 {
			copy(head, chunks[0][:8]) // the check of the key
		}
		data := snapshotOf(head, shard, int(number)%1024)
		got, err := reputation.ReadTable(bytes.NewReader(data), key)
		if errors.Is(err, reputation.ErrSnapshotVersion) {
			t.Fatal("the frame is not right")
		}
		if err != nil {
			if got != nil || !knownSnapshotError(err) {
				t.Fatalf("%v, %v", got, err)
			}
			return
		}
		// What is read is a table like any other, and is written as it is read.
		l, _ := link.Parse("http://www.one.example/a/1")
		got.Judge(l, reputation.DefaultPolicy(), start)
		var out bytes.Buffer
		if _, err := got.WriteTo(&out); err != nil {
			t.Fatal(err)
		}
		again, err := reputation.ReadTable(bytes.NewReader(out.Bytes()), key)
		if err != nil || again.Sum() != got.Sum() {
			t.Fatalf("what was read cannot be written and read again: %v", err)
		}
		applyAll(got, key, randomRecords(rand.New(rand.NewPCG(2, 2)), key, 10, 40, false))
	})
}

// snapshotChunks takes a snapshot apart; snapshotOf makes one.
func snapshotChunks(b []byte) (chunks [][]byte) {
	for b = b[12:]; len(b) > 0; {
		n := int(binary.LittleEndian.Uint32(b[4:]))
		chunks = append(chunks, b[8:8+n])
		b = b[8+n+4:]
	}
	return chunks
}

func snapshotOf(head, shard []byte, number int) []byte {
	b := binary.LittleEndian.AppendUint32([]byte("headlght"), reputation.SnapshotVersion)
	for i := range 1 + 1024 + 1 {
		var chunk []byte
		switch i {
		case 0:
			chunk = head
		case 1 + number:
			chunk = shard
		}
		at := len(b)
		b = binary.LittleEndian.AppendUint32(b, uint32(i))
		b = binary.LittleEndian.AppendUint32(b, uint32(len(chunk)))
		b = append(b, chunk...)
		b = binary.LittleEndian.AppendUint32(b, crc32.Checksum(b[at:], crc32.MakeTable(crc32.Castagnoli)))
	}
	return b
}
