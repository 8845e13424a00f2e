package reputation

import (
	"cmp"
	"slices"
	"time"

	"headlight.example/evidence"
)

// Review is a case that waits for a reviewer: what users reported and nobody
// has settled yet, or a verdict that somebody appeals. It ends with the word of
// an operator, or of a list if nobody appealed; reports are forgotten after 30
// days without another one, appeals after 90.
type Review struct {
	// ID is the keyed hash of the subject, the same as long as the key is.
	ID      uint64
	Subject evidence.Subject
	// Threat is what most of those who report it call it, the first of equals; 0
	// if nobody does.
	Threat evidence.Assertion
	// Groups and Reporters call it bad, Benign is how many say that it is good.
	Groups, Reporters, Benign int
	// Voice is what the reporters' words weigh together: of 1 the case would be
	// evidence by itself.
	Voice float64
	// First and Last are when it was reported, Appealed is when the first appeal
	// came; zero if nobody did.
	First, Last, Appealed time.Time
}

// Compare says whether r is to be looked at before o, below 0, or after: first
// what is appealed, for there somebody is harmed; then what most groups report;
// then the older.
func (r *Review) Compare(o *Review) int {
	calm := func(r *Review) int {
		if r.Appealed.IsZero() {
			return 1
		}
		return 0
	}
	return cmp.Or(cmp.Compare(calm(r), calm(o)), cmp.Compare(o.Groups, r.Groups), r.First.Compare(o.First),
		r.Appealed.Compare(o.Appealed), cmp.Compare(r.ID, o.ID))
}

// Reviews gives all open cases in the order of [Review.Compare], 65,536 at
// most, and how many fell out since the start because there were more. Apply
// waits while it runs.
func (t *Table) Reviews() (list []Review, dropped uint64) {
	t.mu.Lock()
	for child, c := range t.trust.claims {
		if c.isOpen() {
			list = append(list, t.trust.review(child, c, t.clock.day()))
		}
	}
	t.mu.Unlock()
	slices.SortFunc(list, func(a, b Review) int { return a.Compare(&b) })
	return list, t.trust.dropped.Load()
}

// OpenReviews counts what Reviews gives.
func (t *Table) OpenReviews() (open int, dropped uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, c := range t.trust.claims {
		if c.isOpen() {
			open++
		}
	}
	return open, t.trust.dropped.Load()
}

// Review gives one open case.
func (t *Table) Review(id uint64) (Review, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	c := t.trust.claims[id]
	if c == nil || !c.isOpen() {
		return Review{}, false
	}
	return t.trust.review(id, c, t.clock.day()), true
}

func (tr *trust) review(child uint64, c *claim, today uint16) Review {
	r := Review{ID: child, Subject: c.subject, Appealed: fromSeconds(c.appealed[0])}
	if c.settled != 0 {
		return r // just the appeal is open
	}
	r.First, r.Last = fromSeconds(c.first), fromSeconds(c.last)
	total, _ := tr.weigh(c, today)
	r.Voice = float64(total) / wholeVoice
	var groups []string
	var called [nClasses]int
	for _, rep := range c.reports {
		if !rep.assertion.Threat() {
			r.Benign++
			continue
		}
		r.Reporters++
		called[class(rep.assertion)]++
		if g := evidence.Group(rep.rater.Value()); !slices.Contains(groups, g) {
			groups = append(groups, g)
		}
	}
	r.Groups = len(groups)
	most := 0
	for k, n := range called {
		if n > most {
			most, r.Threat = n, threat(k)
		}
	}
	return r
}

func fromSeconds(at int64) time.Time {
	if at == 0 {
		return time.Time{}
	}
	return time.Unix(at, 0).UTC()
}
