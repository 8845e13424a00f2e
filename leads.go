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
	from  uint64 // keyed hash of the link
	to    link.Link
	until time.Time
}

const (
	leadSlots = 1 << 14
	leadFor   = 24 * time.Hour // then the link may be visited again
	// maxLead bounds the two links together, and so all of it to 64 MB.
	maxLead = 4 << 10
)

func (x *leads) hash(l link.Link) uint64 { return x.key.Hash(evidence.URL, l.URL()) }

// led gives where a visit was led: the link and the place, false if that is nowhere
// else. Where a front page leads that was asked for in a link's place says nothing
// of the link.
func led(v *probe.Visit) (from, to link.Link, ok bool) {
	last := len(v.Hops) - 1
	if last < 1 || slices.ContainsFunc(v.Hops[:last], func(h probe.Hop) bool { return h.Mode != probe.Exact }) {
		return from, to, false
	}
	from, to = v.Hops[0].Link, v.Hops[last].Link
	return from, to, from != to && len(from.String())+len(to.String()) <= maxLead
}

// learn takes in where a link leads, by its hash.
func (x *leads) learn(from uint64, to link.Link, now time.Time) {
	x.slots[from%leadSlots].Store(&lead{from, to.Clone(), now.Add(leadFor)})
	x.any.Store(true)
}

// of gives where a link leads, if a visit has shown it. As long as none has shown
// anything it costs a load.
func (x *leads) of(l link.Link, now func() time.Time) (to link.Link, ok bool) {
	if !x.any.Load() {
		return link.Link{}, false
	}
	from := x.hash(l)
	d := x.slots[from%leadSlots].Load()
	if d == nil || d.from != from || now().After(d.until) {
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
