package reputation

import (
	"fmt"

	"headlight.example/evidence"
)

// Model holds the numbers by which the fold learns; MODEL.md says what they mean.
// A service runs on [DefaultModel]. Others are for comparing: they give another
// table for the same log, and none that a snapshot could hold.
type Model struct {
	// Root is the probability that a link of which nothing is known is bad, in (0, 1).
	Root float64
	// KappaAbove and KappaOwn are how many units the rung before is worth: above
	// the tenant and for markers, and from the tenant down; above 0.
	KappaAbove, KappaOwn float64
	// Learns is false for the plain chain: every rung has the weight 1, and
	// spelling and markers have none.
	Learns bool
	// Doubt is how much less is learnt from a label the more it surprises, 0 to 1: 0
	// believes every label.
	Doubt float64
	// Rate is that of AdaGrad; Alpha, Beta, Lambda1 and Lambda2 are those of
	// FTRL-proximal. SlowRate and SlowAlpha hold while reports take over an hour.
	Rate, SlowRate                           float64
	Alpha, SlowAlpha, Beta, Lambda1, Lambda2 float64
}

// DefaultModel gives the numbers in which Headlight is delivered. They were
// chosen on links of 2021 and measured on later ones.
func DefaultModel() Model {
	return Model{
		Root: .02, KappaAbove: 1.5, KappaOwn: .1,
		Learns: true,
		Doubt:  .25,
		Rate:   .1, SlowRate: .05,
		Alpha: .2, SlowAlpha: .1, Beta: .5, Lambda1: .05, Lambda2: 3,
	}
}

// Validate says which number is out of range.
func (m *Model) Validate() error {
	if !(m.Root > 0 && m.Root < 1) {
		return fmt.Errorf("root %v is not between 0 and 1", m.Root)
	}
	for _, n := range []struct {
		name  string
		value float64
	}{
		{"kappa_above", m.KappaAbove}, {"kappa_own", m.KappaOwn}, {"rate", m.Rate}, {"slow_rate", m.SlowRate},
		{"alpha", m.Alpha}, {"slow_alpha", m.SlowAlpha}, {"beta", m.Beta},
	} {
		if !(n.value > 0 && n.value <= 1000) {
			return fmt.Errorf("%s %v is not above 0 and at most 1000", n.name, n.value)
		}
	}
	if !(m.Doubt >= 0 && m.Doubt <= 1) {
		return fmt.Errorf("doubt %v is not between 0 and 1", m.Doubt)
	}
	for name, value := range map[string]float64{"lambda1": m.Lambda1, "lambda2": m.Lambda2} {
		if !(value >= 0 && value <= 1000) {
			return fmt.Errorf("%s %v is not between 0 and 1000", name, value)
		}
	}
	return nil
}

// NewTableOf is NewTable with other numbers, which must be valid.
func NewTableOf(key *evidence.Key, m Model) *Table {
	t := NewTable(key)
	t.model.Model = m
	return t
}

// Outcome is what became of a link that was seen in traffic.
type Outcome struct {
	// Score is what it had when it was first seen, 0 to 1, by the policy's Prior
	// being the model's Root and before any operator's, list's or user's word.
	Score float64
	Class Class
	// Bad is true if somebody reported it, false if nobody did for a week.
	Bad bool
}

// Watch has f told of outcomes, in the order of the log. It is called by Apply,
// which must not be called from it; nil ends it.
func (t *Table) Watch(f func(Outcome)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.watch = f
}

// tell tells of an outcome whoever watches.
func (t *Table) tell(s *sighting, bad bool) {
	if t.watch != nil {
		t.watch(Outcome{Score: sigmoid(float64(s.z)), Class: s.kind, Bad: bad})
	}
}
