package reputation

// Voice is the weight of a user's word, 0 to 1.
func (t *Table) Voice(rater string) float64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return float64(t.trust.reporters[rater].voice(t.clock.day())) / wholeVoice
}

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
