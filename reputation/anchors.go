package reputation

import (
	"maps"
	"sync/atomic"
	"time"

	"headlight.example/evidence"
)

// Anchor is an operator's word on one subject. It stands above all counts until
// it expires, is replaced by a later word or taken back.
type Anchor struct {
	Assertion evidence.Assertion // a threat or Benign
	Rater     string
	Time      time.Time
	Expires   time.Time // zero: never
}

// anchors maps children to anchors. They are few: each part is copied when it
// changes, so that readers need no lock.
type anchors struct {
	parts [256]atomic.Pointer[map[uint64]Anchor]
}

func (a *anchors) part(h uint64) *atomic.Pointer[map[uint64]Anchor] { return &a.parts[h>>56] }

// get is the anchor of a child, expired or not.
func (a *anchors) get(h uint64) (Anchor, bool) {
	m := a.part(h).Load()
	if m == nil {
		return Anchor{}, false
	}
	anchor, ok := (*m)[h]
	return anchor, ok
}

// live is the anchor of a child that holds at a time.
func (a *anchors) live(h uint64, now time.Time) (Anchor, bool) {
	anchor, ok := a.get(h)
	return anchor, ok && (anchor.Expires.IsZero() || now.Before(anchor.Expires))
}

func (a *anchors) set(h uint64, anchor Anchor) {
	a.change(h, func(m map[uint64]Anchor) { m[h] = anchor })
}

func (a *anchors) remove(h uint64) {
	a.change(h, func(m map[uint64]Anchor) { delete(m, h) })
}

func (a *anchors) change(h uint64, f func(map[uint64]Anchor)) {
	p := a.part(h)
	m := make(map[uint64]Anchor)
	if old := p.Load(); old != nil {
		maps.Copy(m, *old)
	}
	f(m)
	p.Store(&m)
}
