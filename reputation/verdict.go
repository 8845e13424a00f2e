// Package reputation folds evidence into a table and judges links by it.
//
// Applying counts, judging weighs: [Table.Apply] adds an entry of the log,
// [Table.Judge] says what the table means for a link under a [Policy] at a
// time. The package is pure: no I/O, no clock, no goroutine.
package reputation

import (
	"fmt"
	"net/netip"
	"strconv"
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
	// Subject is what it speaks of, unless that is a network or a marker: use
	// [Reason.About].
	Subject evidence.Subject
	// Net is a network of the host's address, or the address itself; AS is its
	// autonomous system; else they are zero.
	Net netip.Prefix
	AS  uint32
	// Marker is what the link has in common with others, if Basis is Alike.
	Marker Marker
	// Fact is what weighs most of what the server shows, if Basis is Shown.
	Fact  evidence.FactName
	Basis Basis
	net   uint8 // 1 + netAS and so on, 0 if it is no network
	// Weight is the evidence in log-odds (natural logarithm); above 0 speaks
	// against the link.
	Weight float64
	// Bad and Good are decayed counts of judged children (URLs inside the
	// tenant, tenants above it).
	Bad, Good float64
	// Raters are the groups behind it, as bits: see [Table.RaterNames].
	Raters uint32
}

// About is what the reason speaks of; zero if that is no subject.
func (r *Reason) About() evidence.Subject {
	switch r.net {
	case 0:
		return r.Subject
	case 1 + netAS:
		return evidence.Subject{Kind: evidence.AS, Key: strconv.FormatUint(uint64(r.AS), 10)}
	case 1 + netPrefix:
		return evidence.Subject{Kind: evidence.Prefix, Key: r.Net.String()}
	case 1 + netSubnet:
		return evidence.Subject{Kind: evidence.Subnet, Key: r.Net.String()}
	}
	return evidence.Subject{Kind: evidence.Addr, Key: r.Net.Addr().String()}
}

// Basis says what kind of reason it is.
type Basis uint8

const (
	_         Basis = iota
	Counts          // the share of bad among what was judged under the subject
	Listed          // a trusted feed lists the subject
	Anchored        // an operator's word
	Heard           // reports by users; it weighs nothing if they have yet to earn a voice
	WellKnown       // a well-known name
	Ruled           // a name that the configuration allows or denies
	TestPoint       // a name under headlight.example, for trying an installation
	Alike           // the share of bad among the sites that have a marker in common
	Spelling        // words and runs of letters, all together
	Shown           // what the server of the host shows, all together: see evidence.FactName
	Usual           // how often links are bad of whose host as much is known; in ratings only
)

// Marker is something that a link has in common with links of other sites, in
// the order of a view's markers.
type Marker uint8

const (
	_          Marker = iota
	SameLast          // the last segment of the path
	SameFirst         // the first segment, and how many there are
	SameShape         // the shape of path and query
	SameLabel         // the shape of the name, below the same suffix
	SameLayout        // autonomous system and shape of the path
)

var markerNames = [1 + nMarkers]string{
	SameLast: "last segment", SameFirst: "first segment and depth", SameShape: "shape of the path",
	SameLabel: "shape of the name", SameLayout: "network and shape of the path",
}

// String names what is in common: "last segment", "shape of the name", …
func (m Marker) String() string {
	if m > 0 && m <= nMarkers {
		return markerNames[m]
	}
	return fmt.Sprintf("Marker(%d)", uint8(m))
}
