package httpapi

import (
	"fmt"
	"math"
	"strings"

	"headlight.example/evidence"
	"headlight.example/reputation"
)

// Sentence puts a reason into words, for a person. Raters are the names of the
// groups behind it, as far as they may be told.
//
//	3 of 3 URLs judged on this host were bad
//	listed by feed/openphish
//	a well-known name
func Sentence(r *reputation.Reason, raters []string) string {
	switch r.Basis {
	case reputation.Listed:
		return "listed by " + enumerate(raters, "a trusted list")
	case reputation.Anchored:
		if r.Weight < 0 {
			return enumerate(raters, "an operator") + " vouches for " + this(r.Subject.Kind)
		}
		return enumerate(raters, "an operator") + " condemns " + this(r.Subject.Kind)
	case reputation.Heard:
		who := enumerate(raters, "somebody")
		if n := math.Round(r.Bad); len(raters) == 0 && n > 1 {
			who = fmt.Sprintf("%.0f people", n)
		}
		if r.Weight > 0 {
			return "reported by " + who + ", some of whom were right before"
		}
		return "reported by " + who + ", whose word has no weight yet"
	case reputation.WellKnown:
		return "a well-known name"
	case reputation.Ruled:
		if r.Weight < 0 {
			return "allowed by the configuration"
		}
		return "denied by the configuration"
	case reputation.TestPoint:
		return "a test point, always answered so"
	case reputation.Spelling:
		if r.Weight < 0 {
			return "it is spelt as good links are"
		}
		return "it is spelt as bad links are"
	case reputation.Shown:
		if r.Weight < 0 {
			return "its server is like those of good links, most in " + alikeIn[r.Fact]
		}
		return "its server is like those of bad links, most in " + alikeIn[r.Fact]
	case reputation.Alike:
		return counted(r, evidence.Kind(0), "with the same "+r.Marker.String())
	}
	about := r.About()
	return counted(r, about.Kind, within(about))
}

// WouldChange says what would change a verdict, for the person whose link it is.
// List days are those of the policy.
func WouldChange(v *reputation.Verdict, listDays int) string {
	const word = "an operator's word settles it"
	var against reputation.Reason
	for _, r := range v.Reasons() {
		if r.Weight > 0 && (r.Basis == reputation.Anchored || r.Basis == reputation.Ruled || r.Basis == reputation.Listed || r.Basis == reputation.Heard) {
			against = r
			break
		}
	}
	switch {
	case v.Level == reputation.Safe:
		return "a report of this very link by a trusted list or an operator"
	case v.Level == reputation.Unknown:
		return "a trusted list, an operator or people who were right before, if they call it bad; traffic of its site that nobody reports, if it is good"
	case against.Basis == reputation.Anchored:
		return "the operator who condemned it, or another one"
	case against.Basis == reputation.Ruled:
		return "whoever keeps the configuration: it denies the name"
	case against.Basis == reputation.Listed:
		return fmt.Sprintf("the list, if it takes its word back or does not repeat it for %d days; %s at once", listDays, word)
	case against.Basis == reputation.Heard:
		return "a list or an operator, if they call it good; reports of people are forgotten after 30 days"
	}
	return "days of traffic that nobody reports, on its site and around it; what is held against it fades by half in a week, and more slowly what is old; an appeal is heard, and " + word
}

// counted words a share. The counts are of the past months, faded by age, so
// they are rounded, and may round to nothing.
func counted(r *reputation.Reason, kind evidence.Kind, where string) string {
	all, n, what := math.Round(r.Bad+r.Good), math.Round(r.Bad), "bad"
	if r.Weight < 0 {
		n, what = all-n, "good"
	}
	if all < 1 || n < 1 {
		return fmt.Sprintf("what little was judged %s, and long ago, was mostly %s", where, what)
	}
	if kind == evidence.URL {
		if n == all {
			return fmt.Sprintf("judged %s %s", what, times(n))
		}
		return fmt.Sprintf("judged %s %s out of %.0f", what, times(n), all)
	}
	unit, verb := children(kind), "were"
	if all == 1 {
		unit = strings.TrimSuffix(unit, "s")
	}
	if n == 1 {
		verb = "was"
	}
	return fmt.Sprintf("%.0f of %.0f %s judged %s %s %s", n, all, unit, where, verb, what)
}

func times(n float64) string {
	switch n {
	case 1:
		return "once"
	case 2:
		return "twice"
	}
	return fmt.Sprintf("%.0f times", n)
}

// children are what a rung counts: URLs inside the tenant, tenants above it.
func children(k evidence.Kind) string {
	switch k {
	case evidence.Path, evidence.Host, evidence.Tenant:
		return "URLs"
	}
	return "sites"
}

func this(k evidence.Kind) string {
	switch k {
	case evidence.URL:
		return "this URL"
	case evidence.Path:
		return "this path"
	case evidence.Host:
		return "this host"
	case evidence.Tenant:
		return "this site"
	case evidence.Domain:
		return "this domain"
	case evidence.Suffix:
		return "this suffix"
	case evidence.Addr:
		return "this address"
	case evidence.Subnet, evidence.Prefix:
		return "this network"
	case evidence.AS:
		return "this provider"
	case evidence.NameServer:
		return "this name server"
	}
	return "this"
}

// within says where; networks by their names, since a link does not show them.
func within(s evidence.Subject) string {
	switch s.Kind {
	case evidence.Path, evidence.Domain, evidence.Suffix:
		return "under " + this(s.Kind)
	case evidence.Addr:
		return "at " + s.Key
	case evidence.Subnet, evidence.Prefix:
		return "in " + s.Key
	case evidence.AS:
		return "with AS" + s.Key
	case evidence.NameServer:
		return "with " + this(s.Kind)
	}
	return "on " + this(s.Kind)
}

// enumerate joins names as people do; nobody is who is meant if there are none.
func enumerate(names []string, nobody string) string {
	switch n := len(names); n {
	case 0:
		return nobody
	case 1:
		return names[0]
	default:
		return strings.Join(names[:n-1], ", ") + " and " + names[n-1]
	}
}
