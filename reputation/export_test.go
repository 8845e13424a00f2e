package reputation

import "headlight.example/evidence"

// Voice is the weight of a user's word, 0 to 1.
func (t *Table) Voice(rater string) float64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return float64(t.trust.reporters[rater].voice(t.clock.day())) / wholeVoice
}

// SnapshotVersion is the one that is written and read.
const SnapshotVersion = snapshotVersion

// Bounds of what is kept of users.
const (
	MaxReporters = maxReporters
	MaxClaims    = maxClaims
	MaxReports   = maxReports
	MaxOpen      = maxOpen
)

// Kept says how much is kept of users.
func (t *Table) Kept() (reporters, claims, bytes int) {
	return len(t.trust.reporters), len(t.trust.claims), t.trust.bytes
}

// LessonOfToken is the step that a token takes at its first lesson, from a link
// which the model gave the log-odds z.
func (m *Model) LessonOfToken(z float64, bad bool) float64 {
	var s sighting
	s.x[weightAt] = float32(z - logit(m.Root))
	learner := model{Model: *m}
	learner.teach(&s, []uint32{7}, bad, 1, false)
	return float64(learner.lexicon.Load()[7].z)
}

// PutFacts puts facts into an entry, in an order of names, and gives the tokens
// that the entry then has for each name.
func (t *Table) PutFacts(order []int, value func(name int) string) (got [evidence.NumFacts]uint32) {
	w := [5]uint64{tagFacts | maxDay<<16 | (24*60-1)<<minuteAt}
	head := w[0]
	for _, name := range order {
		t.setFact(&w, evidence.FactName(name), value(name))
	}
	if w[0] != head {
		panic("the head of the entry is overwritten")
	}
	for name := range got {
		got[name] = t.fact(&w, evidence.FactName(name))
	}
	return got
}

// FactToken is the token of a fact.
func (t *Table) FactToken(fact evidence.Subject) uint32 { return t.factToken(fact) }
