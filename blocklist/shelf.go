package blocklist

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// keptEditions is how many differences are kept: a day of editions at one a
	// minute, so that a client that comes once a day need not take the whole.
	keptEditions = 1440
	// leastKept entries of differences are kept in any case; beyond it as many as
	// half of the newest edition: a longer difference is no gain over the whole.
	leastKept = 100_000
)

// Shelf holds the newest edition and how it came to be. Readers take no lock and
// never wait for the publisher. The zero Shelf is empty.
type Shelf struct {
	state atomic.Pointer[shelved]
	mu    sync.Mutex // the publisher's
	next  atomic.Pointer[chan struct{}]
}

// shelved never changes once it is stored.
type shelved struct {
	latest *Edition
	deltas []delta // oldest first; the last leads to latest
}

// delta leads from the edition with the number from to that with the number to.
type delta struct {
	from, to       uint32
	made           time.Time // of the edition to
	removed, added []Entry
}

func (d *delta) size() int { return len(d.removed) + len(d.added) }

// Latest is the newest edition; nil before the first. Who publishes it further
// must tell "there is none yet" from "it is empty".
func (s *Shelf) Latest() *Edition {
	if st := s.state.Load(); st != nil {
		return st.latest
	}
	return nil
}

// Serials are the editions of which the differences are kept, oldest first.
func (s *Shelf) Serials() []uint32 {
	st := s.state.Load()
	if st == nil {
		return nil
	}
	var list []uint32
	for i := range st.deltas {
		list = append(list, st.deltas[i].from)
	}
	return append(list, st.latest.serial)
}

// Since is Between a serial and the newest edition.
func (s *Shelf) Since(serial uint32) (Diff, bool) {
	st := s.state.Load()
	if st == nil {
		return Diff{}, false
	}
	return st.between(serial, st.latest.serial)
}

// Between gives what leads from one edition to a later one, or the same; false if
// one of them is not kept: then take the whole. It takes as long as the changes
// in between are many. To is set if it is the newest edition.
func (s *Shelf) Between(from, to uint32) (Diff, bool) {
	st := s.state.Load()
	if st == nil {
		return Diff{}, false
	}
	return st.between(from, to)
}

func (st *shelved) between(from, to uint32) (Diff, bool) {
	d := Diff{FromSerial: from}
	if to == st.latest.serial {
		d.To = st.latest
		if from == to {
			d.From = st.latest
			return d, true
		}
	}
	first := slices.IndexFunc(st.deltas, func(x delta) bool { return x.from == from })
	last := slices.IndexFunc(st.deltas, func(x delta) bool { return x.to == to })
	if first < 0 || last < first {
		return Diff{}, first >= 0 && from == to
	}
	if first == last {
		d.Removed, d.Added = st.deltas[first].removed, st.deltas[first].added
		return d, true
	}
	type change struct{ before, after *Entry }
	net := make(map[string]change)
	for i := first; i <= last; i++ {
		x := &st.deltas[i]
		for j := range x.removed {
			e := &x.removed[j]
			if c, ok := net[e.Expression]; ok {
				net[e.Expression] = change{before: c.before}
			} else {
				net[e.Expression] = change{before: e}
			}
		}
		for j := range x.added {
			e := &x.added[j]
			net[e.Expression] = change{net[e.Expression].before, e}
		}
	}
	for _, c := range net {
		if c.before != nil && c.after != nil && c.before.same(c.after) {
			continue
		}
		if c.before != nil {
			d.Removed = append(d.Removed, *c.before)
		}
		if c.after != nil {
			d.Added = append(d.Added, *c.after)
		}
	}
	slices.SortFunc(d.Removed, func(a, b Entry) int { return a.Compare(&b) })
	slices.SortFunc(d.Added, func(a, b Entry) int { return a.Compare(&b) })
	return d, true
}

// Changed is closed when the next edition is there. Take it before looking at
// Latest, so that none is missed.
func (s *Shelf) Changed() <-chan struct{} {
	for {
		if c := s.next.Load(); c != nil {
			return *c
		}
		c := make(chan struct{})
		s.next.CompareAndSwap(nil, &c)
	}
}

// Wait returns the newest edition as soon as there is one with a serial other
// than the given; 0 waits for any. The error is the context's.
func (s *Shelf) Wait(ctx context.Context, serial uint32) (*Edition, error) {
	for {
		changed := s.Changed()
		if e := s.Latest(); e != nil && e.serial != serial {
			return e, nil
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-changed:
		}
	}
}

// add puts an edition on the shelf; removed and added lead to it from the one
// before, if there was one.
func (s *Shelf) add(e *Edition, removed, added []Entry) {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := &shelved{latest: e}
	if old := s.state.Load(); old != nil {
		d := delta{from: old.latest.serial, to: e.serial, made: e.made, removed: removed, added: added}
		st.deltas = kept(append(slices.Clone(old.deltas), d), len(e.entries))
	}
	s.set(st)
}

// kept drops the oldest differences where there are too many.
func kept(deltas []delta, entries int) []delta {
	room := max(leastKept, entries/2)
	from := len(deltas)
	for from > 0 && len(deltas)-from < keptEditions {
		if room -= deltas[from-1].size(); room < 0 {
			break
		}
		from--
	}
	return slices.Clone(deltas[from:])
}

// set publishes a state and wakes who waits.
func (s *Shelf) set(st *shelved) {
	s.state.Store(st)
	if c := s.next.Swap(nil); c != nil {
		close(*c)
	}
}
