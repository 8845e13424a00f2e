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
	return true
}

// of gives where a link leads, if a visit has shown it.
func (x *leads) of(l link.Link, now time.Time) (to link.Link, ok bool) {
	d := x.slot(l).Load()
	if d == nil || d.from != l || now.After(d.until) {
		return link.Link{}, false
	}
	return d.to, true
}

// judgeLed judges a link by where it leads too: the worse of both holds.
func (s *Service) judgeLed(l link.Link) reputation.Verdict {
	v := s.judgeQuietly(l)
	if to, ok := s.visits.ledTo(l, s.clock.now()); ok {
		if behind := s.judgeQuietly(to); worse(&behind, &v) {
			behind.Link = l
			return behind
		}
	}
	return v
}

// checkLed is check of a link and of where it leads.
func (s *Service) checkLed(l link.Link, found *message.Found) (v reputation.Verdict, to link.Link) {
	v = s.check(l, found)
	to, ok := s.visits.ledTo(l, s.clock.now())
	if !ok {
		return v, link.Link{}
	}
	if behind := s.check(to, found); worse(&behind, &v) {
		behind.Link = l
		v = behind
	}
	return v, to
}

// worse says whether the link behind another decides: it is bad, and no less so.
func worse(behind, v *reputation.Verdict) bool {
	return behind.Level >= reputation.Suspicious && behind.Level >= v.Level
}
