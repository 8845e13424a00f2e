package reputation

import (
	"math"
	"time"

	"headlight.example/evidence"
	"headlight.example/link"
)

// Policy is how counts are weighed. The table holds no conclusions, so another
// policy answers at once, for the past as well. It is read only while it is in
// use; the zero value is of no use: begin with [DefaultPolicy].
type Policy struct {
	// Prior is the probability that a link of which nothing is known is bad, in (0, 1).
	Prior float64
	// AboveCap is how much of what lies above the tenant, in log-odds, counts
	// towards Dangerous: neighbours alone may warn, never block. PlatformCap is how
	// much a platform may speak against its tenants, towards any level: they did
	// not choose their neighbours.
	AboveCap, PlatformCap float64
	// WellKnownWeight is added, in log-odds, for links of well-known names and
	// for the roots of platforms; 0 or less.
	WellKnownWeight float64

	// Thresholds on the score, by class of link.
	Thresholds [NumClasses]Thresholds
	// CleanLimits raises them to what fewer than one in 200 (Suspicious) and one in
	// 2000 (Dangerous) of the links of the class reach that are seen and that nobody
	// reports, once enough were seen: MODEL.md §5.
	CleanLimits bool

	// OwnBad and OwnGroups are the tenant's own evidence without which no link
	// is Dangerous but by a list or an operator: bad units, decayed over 180
	// days, and the groups of raters behind them.
	OwnBad    float64
	OwnGroups int
	// A rung condemns links that nobody named if its posterior is at least
	// WholePosterior, at least WholeURLs distinct URLs below it were bad (1 to
	// 15; a path needs WholePathURLs), and at least OwnGroups said so.
	WholePosterior           float64
	WholeURLs, WholePathURLs int

	// Trust is the precision of a group's lists, 0 to 1, by [evidence.Group];
	// FeedTrust is that of feeds not in it, StarterTrust of what is compiled in.
	// Groups of other roles have none.
	Trust                   map[string]float64
	FeedTrust, StarterTrust float64
	// ListTrust is the trust from which a URL is Dangerous by being listed, and
	// ListDays how long a single word on a list lasts: a feed must say it again
	// within so many days. (A word said on several days lasts 7 days longer for
	// each doubling.)
	ListTrust float64
	ListDays  int

	// VetoRank: tenants as popular as that, 1 to 10^6, are never condemned above
	// the path; 0 turns it off.
	VetoRank uint32
	// SafeGood is how many good units, decayed over 180 days, make a tenant
	// without bad ones Safe. Popularity counts up to 20.
	SafeGood float64
	// Heard is how many distinct groups of users must report a URL, and have
	// half a voice together, before it is Suspicious by that; it never is more.
	// 0 turns it off. They are at most 7.
	Heard int

	// Allow and Deny are names of hosts or domains, in lower case, for which the
	// operator has decided, with what is below them. The longest match counts,
	// Deny before Allow. Only an anchor on the URL or path itself stands above them.
	Allow, Deny map[string]bool

	// Keep is how long a verdict holds, by level: use [Policy.KeepFor].
	Keep [4]time.Duration
}

// Thresholds are scores, 0 to 1, from which a link is Suspicious or, where the
// evidence allows it, Dangerous. Above 1 means never.
type Thresholds struct {
	Suspicious, Dangerous float64
}

// Class sorts links by what their neighbours say of them: each has thresholds
// of its own, because at one for all platforms have twenty times the false
// positives of own domains (MODEL.md §5).
type Class uint8

const (
	OwnDomain Class = iota
	SubdomainPlatform
	PathPlatform
	Shortener
	CDN
	Address
	NumClasses
)

var classNames = [NumClasses]string{"own", "subdomain", "path", "shortener", "cdn", "address"}

func (c Class) String() string {
	if c < NumClasses {
		return classNames[c]
	}
	return "class?"
}

// ClassOf is the class of a link.
func ClassOf(l link.Link) Class {
	switch l.Platform() {
	case link.Subdomain:
		return SubdomainPlatform
	case link.PathPlatform:
		return PathPlatform
	case link.Shortener:
		return Shortener
	case link.CDN:
		return CDN
	}
	if _, ok := l.Addr(); ok {
		return Address
	}
	return OwnDomain
}

// DefaultPolicy gives the policy in which Headlight is delivered; see MODEL.md §4.
func DefaultPolicy() *Policy {
	p := &Policy{
		Prior:           DefaultModel().Root,
		AboveCap:        2,
		PlatformCap:     1,
		WellKnownWeight: -4,
		OwnBad:          1.5,
		OwnGroups:       2,
		WholePosterior:  .9,
		WholeURLs:       3,
		WholePathURLs:   2,
		FeedTrust:       .9,
		StarterTrust:    .9,
		ListTrust:       .5,
		ListDays:        45,
		VetoRank:        100_000,
		SafeGood:        20,
		Heard:           2,
		CleanLimits:     true,
	}
	p.Thresholds = [NumClasses]Thresholds{
		OwnDomain:         {.5, .95},
		SubdomainPlatform: {.7, .97},
		PathPlatform:      {.7, .97},
		Shortener:         {.7, .97},
		CDN:               {.8, .98},
		Address:           {.4, .95},
	}
	p.Keep = [4]time.Duration{24 * time.Hour, 5 * time.Minute, time.Hour, 12 * time.Hour}
	return p
}

// KeepFor is how long a verdict of a level holds.
func (p *Policy) KeepFor(l Level) time.Duration { return p.Keep[l-Safe] }

// trust is the precision of a group's word.
func (p *Policy) trust(group string) float64 {
	if v, ok := p.Trust[group]; ok {
		return v
	}
	switch evidence.Role(group) {
	case "feed":
		return p.FeedTrust
	case "starter":
		return p.StarterTrust
	}
	return 0 // an operator's word is an anchor, and no list
}

// rankStep turns a rank into steps of popularity: 31 for the first, 1 for the
// millionth, 0 for none.
func rankStep(rank uint32) uint8 {
	if rank == 0 || rank > 1_000_000 {
		return 0
	}
	return uint8(max(math.Round(maxRank*(1-math.Log10(float64(rank))/6)), 1))
}

// rankGood is what popularity is worth in good units (MODEL.md §2:
// 20·(1−log10(rank)/6)).
func rankGood(step uint8) float64 { return 20 * float64(step) / maxRank }
