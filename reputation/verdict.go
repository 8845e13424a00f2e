// Package reputation folds evidence into a table and judges links by it.
//
// Applying counts, judging weighs: [Table.Apply] adds an entry of the log,
// [Table.Judge] says what the table means for a link under a [Policy] at a
// time. The package is pure: no I/O, no clock, no goroutine.
package reputation

import (
	"fmt"
	"time"

	"headlight.example/evidence"
	"headlight.example/link"
)

// Level is the answer to "may people follow this link?", in order of alarm:
// Safe < Unknown < Suspicious < Dangerous. The zero value is the honest one.
type Level int8

const (
	Safe       Level = iota - 1 // known good
	Unknown                     // nothing is known that would speak for or against it
	Suspicious                  // warn
	Dangerous                   // block
)

var levelNames = [...]string{"safe", "unknown", "suspicious", "dangerous"}

func (l Level) String() string {
	if l >= Safe && l <= Dangerous {
		return levelNames[l-Safe]
	}
	return fmt.Sprintf("Level(%d)", int8(l))
}

// ParseLevel reads what String writes.
func ParseLevel(s string) (Level, error) {
	for i, name := range levelNames {
		if s == name {
			return Level(i) + Safe, nil
		}
	}
	return Unknown, fmt.Errorf("level %q: want safe, unknown, suspicious or dangerous", s)
}

// MaxReasons bounds the reasons that a verdict carries.
const MaxReasons = 6

// Verdict is what the table says of one link.
type Verdict struct {
	Link  link.Link
	Level Level
	// Threat is the heaviest threat; 0 unless the level is Suspicious or Dangerous.
	Threat evidence.Assertion
	// Score is the probability that the link is bad, 0 to 1.
	Score float64
	// Expires is when the verdict must be asked for anew.
	Expires time.Time

	reasons  [MaxReasons]Reason
	nreasons int
}

// Reasons are what the verdict rests on, heaviest first. The slice is part of v.
func (v *Verdict) Reasons() []Reason { return v.reasons[:v.nreasons] }

// Reason is one thing that moved a verdict. Words are made of it in frontends.
type Reason struct {
	Subject evidence.Subject
	Basis   Basis
	// Weight is the evidence in log-odds (natural logarithm); above 0 speaks
	// against the link.
	Weight float64
	// Bad and Good are decayed counts of judged children (URLs inside the
	// tenant, tenants above it).
	Bad, Good float64
	// Raters are the groups behind it, as bits: see [Table.RaterNames].
	Raters uint32
}

// Basis says what kind of reason it is.
type Basis uint8

const (
	_         Basis = iota
	Counts          // the share of bad among what was judged under the subject
	Listed          // a trusted feed lists the subject
	Anchored        // an operator's word
	Heard           // reports by raters who have yet to earn weight
	WellKnown       // a well-known name
	Ruled           // a name that the configuration allows or denies
	TestPoint       // a name under headlight.example, for trying an installation
)
