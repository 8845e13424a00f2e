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
// for judgements of threat, for lists of popular names and for users' words.
// Retracted and an operator's Benign take back what stands before them in the
// log, which sightings count depends on which came first, what is forgotten
// (see forget) on when it was last spoken of; and taking back units of older
// days leaves a rest of at most a 32nd.
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
	child, lad, ok := t.place(r.Subject)
	if !ok {
		return
	}
	t.touched ^= t.touch(child)
	for _, h := range lad { // all at once; one after another each would wait for memory
		t.touched ^= t.touch(h)
	}
	d := dayOf(at)
	role := evidence.Role(r.Rater)
	switch {
	case r.Assertion == evidence.Seen:
		if role == "service" && lad[rungURL] == child {
			t.sight(&lad, d, at)
		}
	case r.Assertion == evidence.Appealed:
		t.appeal(child, d)
	case role == "user":
		t.hear(child, r, d)
	case role != "feed" && role != "operator" && role != "starter":
		// What Headlight itself concluded is no evidence: it would confirm itself.
	case r.Assertion == evidence.Popular:
		t.popular(lad[rungTenant], r.Count, d)
	case role == "operator":
		t.review(child, &lad, r, d)
	case r.Assertion.Threat():
		t.condemn(child, &lad, class(r.Assertion), d, t.raters.bit(evidence.Group(r.Rater)))
	case r.Assertion == evidence.Retracted:
		t.retract(child, &lad, t.raters.lookup(evidence.Group(r.Rater)))
	case r.Assertion == evidence.Benign:
		t.retract(child, &lad, t.raters.lookup(evidence.Group(r.Rater)))
		t.praise(child, &lad, d, wholeUnit)
	}
}

// class is the place of a threat in an entry's sums.
func class(a evidence.Assertion) int { return int(a - evidence.Phishing) }

// condemn counts a group's word that a child is bad: a unit a day in the child
// and in each rung up to the tenant; and if it is the tenant's first of that
// day, in the rungs above. The same word again adds the rater only.
func (t *Table) condemn(child uint64, lad *ladder, c int, d uint16, rater uint32) {
	e, at := t.open(child)
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
	t.put(child, at, &e)
	for _, i := range own {
		if lad[i] == 0 {
			continue
		}
		r, at := t.open(lad[i])
		r.advance(d)
		r.raters |= rater
		if i == rungTenant {
			t.condemnAbove(&r, lad, c, d, rater, unit)
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
}

// condemnAbove tells the rungs above of a word on a tenant. If it brought a unit
// and that is the tenant's first of the class on that day, it is one for them.
func (t *Table) condemnAbove(tenant *entry, lad *ladder, c int, d uint16, rater uint32, unit bool) {
	fresh := false
	if unit {
		unit, fresh = tenant.markBad(c, d)
	}
	for _, i := range above {
		if lad[i] == 0 {
			continue
		}
		r, at := t.open(lad[i])
		if !unit && r.raters&rater != 0 {
			continue
		}
		r.advance(d)
		r.raters |= rater
		if unit {
			r.addBad(c, d, fresh)
		}
		t.put(lad[i], at, &r)
	}
}

// retract takes a group's word back. If it was the last, the child's units
// leave the rungs up to the tenant; and if those were the tenant's last, its
// units of the last 16 days leave the rungs above.
func (t *Table) retract(child uint64, lad *ladder, rater uint32) {
	e, at := t.open(child)
	if !at.ok || e.raters&rater == 0 {
		return
	}
	if e.raters &^= rater; e.raters != 0 {
		t.put(child, at, &e)
		return
	}
	t.absolve(child, lad)
}

// absolve takes all bad units of a child back.
func (t *Table) absolve(child uint64, lad *ladder) {
	e, at := t.open(child)
	if !at.ok {
		return
	}
	for _, i := range own {
		if !e.isBad() {
			break
		}
		if lad[i] == 0 {
			continue
		}
		r, at := t.open(lad[i])
		days := r.bad
		r.countURL(-1)
		r.subBad(&e)
		if i == rungTenant && !r.isBad() {
			t.absolveAbove(&r, days, lad)
		}
		t.put(lad[i], at, &r)
	}
	e.forgetBad()
	e.marks = 0
	t.put(child, at, &e)
}

// absolveAbove takes the tenant's units of the days in its masks out of the
// rungs above.
func (t *Table) absolveAbove(tenant *entry, days [nClasses]uint16, lad *ladder) {
	for _, i := range above {
		if lad[i] == 0 {
			continue
		}
		r, at := t.open(lad[i])
		back := entry{day: tenant.day} // exact for those days; rounded once, when taken from r
		var any uint16
		for c := range days {
			for age := range uint16(windowDays) {
				if days[c]&(1<<age) != 0 {
					back.addBad(c, tenant.day-age, any&(1<<age) == 0)
				}
			}
			any |= days[c]
		}
		r.subBad(&back)
		t.put(lad[i], at, &r)
	}
}

// praise counts a good unit, once a child and day.
func (t *Table) praise(child uint64, lad *ladder, d uint16, w weight) {
	e, at := t.open(child)
	e.child = true
	e.advance(d)
	if e.markGood(d) {
		t.put(child, at, &e)
		t.credit(child, lad, d, w)
	}
}

// credit adds a good unit that is already marked in the child.
func (t *Table) credit(child uint64, lad *ladder, d uint16, w weight) {
	e, at := t.open(child)
	e.child = true
	e.advance(d)
	e.addGood(d, w)
	t.put(child, at, &e)
	for _, i := range own {
		if lad[i] == 0 {
			continue
		}
		r, at := t.open(lad[i])
		r.advance(d)
		if i == rungTenant && r.markGood(d) {
			for _, j := range above {
				if lad[j] != 0 {
					a, at := t.open(lad[j])
					a.advance(d)
					a.addGood(d, min(w, wholeUnit))
					t.put(lad[j], at, &a)
				}
			}
		}
		r.addGood(d, w)
		t.put(lad[i], at, &r)
	}
}

// review takes an operator's word: an anchor, which settles the case, and
// evidence like any other for what lies around. Benign takes earlier bad units
// back and counts three good ones.
func (t *Table) review(child uint64, lad *ladder, r *evidence.Record, d uint16) {
	group := evidence.Group(r.Rater)
	old, had := t.anchors.get(child)
	switch {
	case r.Assertion.Threat():
		t.condemn(child, lad, class(r.Assertion), d, t.raters.bit(group))
	case r.Assertion == evidence.Benign:
		t.absolve(child, lad)
		if !had || old.Assertion != evidence.Benign || dayOf(old.Time.Unix()) != d {
			e, at := t.open(child)
			e.child = true
			e.advance(d)
			e.markGood(d)
			t.put(child, at, &e)
			t.credit(child, lad, d, reviewUnit)
		}
	case r.Assertion == evidence.Retracted:
		t.retract(child, lad, t.raters.lookup(group))
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

// hear notes the word of a user's group. It has no weight in any sum: who has
// not yet been confirmed by others can be anybody, a thousand times over.
func (t *Table) hear(child uint64, r *evidence.Record, d uint16) {
	bit := heardBit(evidence.Group(r.Rater))
	e, at := t.open(child)
	switch {
	case r.Assertion.Threat():
		e.child = true
		e.advance(d)
		e.marks |= bit
	case r.Assertion == evidence.Retracted && at.ok:
		e.marks &^= bit
	default:
		return
	}
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
	sweepDays   = 32 // a 32nd of the shards a day
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
			t.shards[i].forget(func(e *entry) bool { return e.forgettable(d) })
		}
		if d == upTo {
			break
		}
	}
	t.forgetAnchors(int64(upTo) * 86400)
}

func (e *entry) forgettable(today uint16) bool {
	if e.anchored || e.day >= today || faded(e.rank, e.day, today) > 0 {
		return false
	}
	idle := today - e.day
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
