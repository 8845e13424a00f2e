package headlight

import (
	"slices"
	"sync/atomic"
	"time"

	"headlight.example/evidence"
	"headlight.example/link"
	"headlight.example/message"
	"headlight.example/probe"
	"headlight.example/reputation"
)

// leads remembers where visited links led to, for a day and in memory only: what
// is stored of a link that nobody reported is a hash. A shortener's link is judged
// by what lies behind it like one in a wrapper.
//
// It is a cache of a fixed size in which each link has one place, so that those
// who ask read it without a lock; who comes later takes the place.
type leads struct {
	key   *evidence.Key
	any   atomic.Bool // something was learnt
	slots [leadSlots]atomic.Pointer[lead]
}

type lead struct {
	from, to link.Link
	until    time.Time
}

const (
	leadSlots = 1 << 14
	leadFor   = 24 * time.Hour // then the link may be visited again
	// maxLead bounds the two links together, and so all of it to 64 MB.
	maxLead = 4 << 10
)

func (x *leads) slot(l link.Link) *atomic.Pointer[lead] {
	return &x.slots[x.key.Hash(evidence.URL, l.URL())%leadSlots]
}

// learn takes in where a visit was led. It reports whether that is elsewhere.
// Where a front page leads that was asked for in a link's place says nothing of
// the link.
func (x *leads) learn(v *probe.Visit, now time.Time) bool {
	last := len(v.Hops) - 1
	if last < 1 || slices.ContainsFunc(v.Hops[:last], func(h probe.Hop) bool { return h.Mode != probe.Exact }) {
		return false
	}
	from, to := v.Hops[0].Link, v.Hops[last].Link
	if from == to || len(from.String())+len(to.String()) > maxLead {
		return false
	}
	x.slot(from).Store(&lead{from.Clone(), to.Clone(), now.Add(leadFor)})
	x.any.Store(true)
	return true
}

// of gives where a link leads, if a visit has shown it. As long as none has shown
// anything it costs a load.
func (x *leads) of(l link.Link, now func() time.Time) (to link.Link, ok bool) {
	if !x.any.Load() {
		return link.Link{}, false
	}
	d := x.slot(l).Load()
	if d == nil || d.from != l || now().After(d.until) {
		return link.Link{}, false
	}
	return d.to, true
}

// judgeLed judges a link by where it leads too: the worse of both holds.
func (s *Service) judgeLed(l link.Link) reputation.Verdict {
	v := s.Judge(l)
	if to, ok := s.visits.ledTo(l); ok {
		behind := s.Judge(to)
		worsen(&v, &behind)
	}
	return v
}

// checkBehind has the verdict of a link be that of where it leads, if that is
// worse. It gives the place, or zero if none is known.
func (s *Service) checkBehind(l link.Link, v *reputation.Verdict, found *message.Found) link.Link {
	to, ok := s.visits.ledTo(l)
	if ok {
		behind := s.check(to, found)
		worsen(v, &behind)
	}
	return to
}

// worsen makes the verdict on what lies behind a link that of the link, if it is
// bad and no less so.
func worsen(v, behind *reputation.Verdict) {
	if behind.Level >= reputation.Suspicious && behind.Level >= v.Level {
		behind.Link = v.Link
		*v = *behind
	}
}
