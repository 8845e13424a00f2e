package reputation

import (
	"time"

	"headlight.example/evidence"
)

// Apply folds an entry of the log into the table. Entries come in the order of
// the log; one whose sequence is not above Applied does nothing, so that a
// replay may overlap. An entry without a sequence (0) is always applied.
//
// What one event does is the same in any order of the events of a fortnight
// for judgements of threat and for lists of popular names. Retracted and an
// operator's Benign take back what stands before them in the log, users are
// confirmed by what stands behind (see trust), which sightings count and what
// they teach depends on which came first, what is forgotten (see forget) on when
// it was last spoken of, and markers on the day that a tenant was last spoken of
// (see diary); and taking back units of older days leaves a rest of at most a
// 32nd.
func (t *Table) Apply(e evidence.Entry) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if e.Seq != 0 {
		if e.Seq <= t.applied.Load() {
			return
		}
		defer t.applied.Store(e.Seq)
	}
	before := t.clock.day()
	at := t.clock.read(e.Time)
	t.mature(t.clock.now)
	if before != 0 {
		t.forget(before, t.clock.day())
	}
	t.learn(&e.Record, at)
}

// learn sorts a record by what it says and by whose word it is.
func (t *Table) learn(r *evidence.Record, at int64) {
	d := dayOf(at)
	role := evidence.Role(r.Rater)
	if r.Assertion.Relation() {
		if role == "service" || role == "feed" {
			t.relate(r, d)
		}
		return
	}
	var tg target
	if !t.place(r.Subject, &tg) {
		return
	}
	t.touched ^= t.touch(tg.child)
	t.touchAll(tg.lad[:])
	switch {
	case r.Assertion == evidence.Seen:
		if role == "service" && tg.isURL {
			t.sight(&tg, d, at)
		}
	case r.Assertion == evidence.Appealed:
		t.appeal(tg.child, d)
		t.noteAppeal(tg.child, r.Subject, at)
	case role == "user":
		t.hear(&tg, r, d, at)
	case role != "feed" && role != "operator" && role != "starter":
		// What Headlight itself concluded is no evidence: it would confirm itself.
	case r.Assertion == evidence.Popular:
		t.popular(tg.lad[rungTenant], r.Count, d)
	case role == "operator":
		t.review(&tg, r, d, at)
		t.settle(tg.child, r, true)
	case r.Assertion.Threat():
		t.settle(tg.child, r, false)
		t.condemn(&tg, class(r.Assertion), d, at, t.raters.bit(evidence.Group(r.Rater)))
	case r.Assertion == evidence.Retracted:
		t.retract(&tg, t.raters.lookup(evidence.Group(r.Rater)))
	case r.Assertion == evidence.Benign:
		t.settle(tg.child, r, false)
		t.retract(&tg, t.raters.lookup(evidence.Group(r.Rater)))
		t.praise(&tg, d, wholeUnit)
	}
}

// class is the place of a threat in an entry's sums.
func class(a evidence.Assertion) int { return int(a - evidence.Phishing) }

// condemn counts a group's word that a child is bad: a unit a day in the child
// and in each rung up to the tenant; and if it is the tenant's first of that
// day, in the rungs above; and if the URL was seen, in those of its markers to
// which the tenant has not yet added one that day. The same word again adds the rater only.
func (t *Table) condemn(tg *target, c int, d uint16, at int64, rater uint32) {
	child, lad := tg.child, &tg.lad
	e, place := t.open(child)
	e.child = true
	e.advance(d)
	first := !e.isBad()
	unit, fresh := e.markBad(c, d)
	news := e.raters&rater == 0
	if !unit && !news {
		return
	}
	e.raters |= rater
	good := e // the good units it gives back
	if unit {
		e.addBad(c, d, fresh)
	}
	if first && unit {
		e.fastGood, e.slow[goodClass] = 0, 0
	}
	t.put(child, place, &e)
	if first && unit && tg.isURL {
		t.reported(child, d, at)
	}
	for _, i := range own {
		if lad[i] == 0 {
			continue
		}
		r, at := t.open(lad[i])
		r.advance(d)
		r.raters |= rater
		if i == rungTenant {
			t.condemnAbove(&r, tg, c, d, rater, unit)
		}
		if unit {
			r.addBad(c, d, fresh)
		}
		if unit && first {
			r.countURL(1)
			r.subGood(&good)
		}
		t.put(lad[i], at, &r)
	}
	if unit && tg.isURL {
		t.condemnMarks(tg, c, d, rater)
	}
}

// condemnAbove tells the rungs above of a word on a tenant. If it brought a unit
// and that is the tenant's first of the class on that day, it is one for them.
func (t *Table) condemnAbove(tenant *entry, tg *target, c int, d uint16, rater uint32, unit bool) {
	fresh := false
	if unit {
		unit, fresh = tenant.markBad(c, d)
	}
	for _, h := range t.above(tg) {
		r, at := t.open(h)
		if !unit && r.raters&rater != 0 {
			continue
		}
		r.advance(d)
		r.raters |= rater
		if unit {
			r.addBad(c, d, fresh)
		}
		t.put(h, at, &r)
	}
}

// condemnMarks adds a unit to the markers that a bad URL had when it was seen. A
// URL that no traffic showed adds none: nothing good would stand against it.
func (t *Table) condemnMarks(tg *target, c int, d uint16, rater uint32) {
	s, _ := t.queue.of(tg.child)
	if s == nil {
		return
	}
	y, ok := t.openDiary(tg.lad[rungTenant], d)
	if !ok {
		return
	}
	for _, h := range s.marks {
		if h != 0 && y.claim(h, true) {
			e, at := t.open(h)
			e.advance(d)
			e.raters |= rater
			e.addBad(c, d, true)
			t.put(h, at, &e)
		}
	}
	t.closeDiary(&y)
}

// retract takes a group's word back. If it was the last, the child's units
// leave the rungs up to the tenant; and if those were the tenant's last, its
// units of the last 16 days leave the rungs above, and the URL's markers.
func (t *Table) retract(tg *target, rater uint32) {
	e, at := t.open(tg.child)
	if !at.ok || e.raters&rater == 0 {
		return
	}
	if e.raters &^= rater; e.raters != 0 {
		t.put(tg.child, at, &e)
		return
	}
	t.absolve(tg)
}

// absolve takes all bad units of a child back.
func (t *Table) absolve(tg *target) {
	e, at := t.open(tg.child)
	if !at.ok {
		return
	}
	for _, i := range own {
		h := tg.lad[i]
		if !e.isBad() {
			break
		}
		if h == 0 {
			continue
		}
		r, at := t.open(h)
		days := r.bad
		r.countURL(-1)
		r.subBad(&e)
		if i == rungTenant && !r.isBad() {
			t.absolveAbove(&r, days, tg)
		}
		t.put(h, at, &r)
	}
	e.forgetBad()
	e.marks = 0
	t.put(tg.child, at, &e)
}

// absolveAbove takes the tenant's units of the days in its masks out of the
// rungs above, and out of the markers of its last URL; other URLs may have had
// other markers, which keep theirs until they fade.
func (t *Table) absolveAbove(tenant *entry, days [nClasses]uint16, tg *target) {
	back := entry{day: tenant.day} // exact for those days; rounded once, when taken from a rung
	var any uint16
	for c := range days {
		for age := range uint16(windowDays) {
			if days[c]&(1<<age) != 0 {
				back.addBad(c, tenant.day-age, any&(1<<age) == 0)
			}
		}
		any |= days[c]
	}
	list := t.above(tg)
	if s, _ := t.queue.of(tg.child); s != nil && tg.isURL {
		list = append(list[:len(list):len(list)], s.marks[:]...)
	}
	for _, h := range list {
		if r, at := t.open(h); at.ok {
			r.subBad(&back)
			t.put(h, at, &r)
		}
	}
}

// praise counts a good unit, once a child and day.
func (t *Table) praise(tg *target, d uint16, w weight) {
	e, at := t.open(tg.child)
	e.child = true
	e.advance(d)
	if e.markGood(d) {
		t.credit(tg.child, &e, at, &tg.lad, t.above(tg), d, w)
	}
}

// credit adds a good unit of a day that is marked in the child, an entry that was
// opened and moved to that day, and puts that back. It reports whether the unit is
// one for the rungs above the tenant too.
func (t *Table) credit(child uint64, e *entry, at place, lad *ladder, above []uint64, d uint16, w weight) (counted bool) {
	e.addGood(d, w)
	t.put(child, at, e)
	for _, i := range own {
		h := lad[i]
		if h == 0 {
			continue
		}
		r, at := t.open(h)
		r.advance(d)
		if i == rungTenant && r.markGood(d) {
			counted = true
			for _, h := range above {
				t.addTo(h, d, w)
			}
		}
		r.addGood(d, w)
		t.put(h, at, &r)
	}
	return counted
}

// review takes an operator's word: an anchor, which settles the case, and
// evidence like any other for what lies around. Benign takes earlier bad units
// back and counts three good ones.
func (t *Table) review(tg *target, r *evidence.Record, d uint16, at int64) {
	child := tg.child
	group := evidence.Group(r.Rater)
	old, had := t.anchors.get(child)
	switch {
	case r.Assertion.Threat():
		t.condemn(tg, class(r.Assertion), d, at, t.raters.bit(group))
	case r.Assertion == evidence.Benign:
		t.absolve(tg)
		if !had || old.Assertion != evidence.Benign || dayOf(old.Time.Unix()) != d {
			e, at := t.open(child)
			e.child = true
			e.advance(d)
			e.markGood(d)
			t.credit(child, &e, at, &tg.lad, t.above(tg), d, reviewUnit)
		}
	case r.Assertion == evidence.Retracted:
		t.retract(tg, t.raters.lookup(group))
		if had && evidence.Group(old.Rater) == group {
			t.setAnchored(child, false)
			t.anchors.remove(child)
		}
		return
	default:
		return
	}
	if had && r.Time.Before(old.Time) {
		return
	}
	t.anchors.set(child, Anchor{r.Assertion, r.Rater, r.Time.UTC(), r.Expires})
	t.setAnchored(child, true)
}

// setAnchored also ends an appeal: it was heard.
func (t *Table) setAnchored(child uint64, is bool) {
	e, at := t.open(child)
	e.child, e.anchored, e.appealed = true, is, false
	t.put(child, at, &e)
}

// appeal notes that somebody asks for a review. It has no weight.
func (t *Table) appeal(child uint64, d uint16) {
	e, at := t.open(child)
	e.child, e.appealed = true, true
	e.advance(d)
	t.put(child, at, &e)
}

// popular notes the rank of a name in a list, 1 to 10^6. The best of several
// lists counts.
func (t *Table) popular(tenant uint64, rank uint32, d uint16) {
	q := rankStep(rank)
	if q == 0 || tenant == 0 {
		return
	}
	e, at := t.open(tenant)
	e.advance(d)
	e.rank = max(e.rank, faded(q, d, e.day))
	t.put(tenant, at, &e)
}

// clock is the time of the log: the newest time of any entry. One that is more
// than leap ahead of it is not believed, and counts as of the newest, until
// patience entries in a row are: then time has passed, and not a clock jumped.
type clock struct {
	now   int64 // Unix seconds; 0 before the first entry
	ahead int   // entries in a row that were too far ahead
	least int64 // the least of their times
}

const (
	leap     = 31 * 86400
	patience = 16
)

// read gives the time to count an entry at, and moves the clock.
func (c *clock) read(t time.Time) int64 {
	at := min(max(t.Unix(), minDay*86400), (maxDay+1)*86400-1)
	if c.now != 0 && at > c.now+leap {
		if c.ahead == 0 || at < c.least {
			c.least = at
		}
		if c.ahead++; c.ahead < patience {
			return c.now
		}
		c.now, c.ahead = c.least, 0
		return min(at, c.now)
	}
	c.ahead = 0
	c.now = max(c.now, at)
	return at
}

// day is the day of the clock, 0 before the first entry.
func (c *clock) day() uint16 {
	if c.now == 0 {
		return 0
	}
	return dayOf(c.now)
}

// dayOf counts days since 1970; seconds are within the range of clock.read.
func dayOf(seconds int64) uint16 {
	return uint16(min(max(seconds/86400, minDay), maxDay))
}

// What is forgotten: a child with nothing bad when its mask is over, a rung
// with nothing bad after two months without traffic, and anything of which less
// than an eighth of a unit is left.
const (
	forgetChild = 2 * windowDays
	forgetRung  = 60
	sweepDays   = 64 // a 64th of the shards a day
	leastUnits  = .125
)

// forget sweeps the shards that are due on the days from after to upTo: which
// day depends on the log alone, so that every replay forgets the same.
func (t *Table) forget(after, upTo uint16) {
	if upTo <= after {
		return
	}
	for d := max(after+1, upTo-min(upTo, sweepDays-1)); ; d++ {
		for i := int(d) % sweepDays; i < numShards; i += sweepDays {
			t.shards[i].forget(func(w *[5]uint64) bool { return forgettable(w, d) })
		}
		if d == upTo {
			break
		}
	}
	t.forgetAnchors(int64(upTo) * 86400)
	t.trust.forget(upTo)
}

func forgettable(w *[5]uint64, today uint16) bool {
	if tagOf(w) < minDay {
		return staleTag(w, today)
	}
	if today < uint16(w[0])+forgetChild {
		return false // whatever it is: this is the way of most
	}
	idle := today - uint16(w[0])
	const child = 1 << 7                                                // of the flags, see entry
	if flags := w[4] >> 56; (w[3]|w[4])<<16 == 0 && flags&^child == 0 { // nothing bad, and no rank: most
		return idle > forgetRung || flags == child && idle > forgetChild
	}
	e := unpack(w)
	if e.anchored || e.day >= today || faded(e.rank, e.day, today) > 0 {
		return false
	}
	if !e.isBad() {
		return idle > forgetRung || e.child && idle > forgetChild
	}
	_, slow := e.at(today)
	return slow.bad+slow.good < leastUnits
}

// forgetAnchors removes those that had expired by a time.
func (t *Table) forgetAnchors(now int64) {
	for i := range t.anchors.parts {
		m := t.anchors.parts[i].Load()
		if m == nil {
			continue
		}
		for h, a := range *m {
			if !a.Expires.IsZero() && a.Expires.Unix() < now {
				t.setAnchored(h, false)
				t.anchors.remove(h)
			}
		}
	}
}
