package probe

import (
	"cmp"
	"container/heap"
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"headlight.example/link"
)

// QueueConfig of a Queue. Prober and Done are needed.
type QueueConfig struct {
	Prober *Prober
	// Done gets the visit of each link that leaves the queue, from several
	// goroutines at once: also of one that could not be made in time, as DNS may
	// have told something. It should be quick: whoever it keeps waiting makes no
	// visits.
	Done func(Question, Visit)
	// Workers is how many visits are made at once; 0 means 64.
	Workers int
	// Size is how many links may wait; 0 means 10,000.
	Size int
	// PerLane is how many links of one tenant, or of one host on a platform whose
	// tenants are paths, may wait; 0 means 16.
	PerLane int
	// Jitter is up to how long a link waits for no reason, so that a mail to a
	// thousand people is not followed by a visit in the same second, everywhere;
	// 0 means 30 s, negative none.
	Jitter time.Duration
	// MaxAge is how long a link may wait for its turn until it is forgotten; 0
	// means 30 minutes.
	MaxAge time.Duration
}

// Queue holds links, in memory alone, until they are visited. Each tenant has a
// lane of its own and one visit at a time, so that a host that is slow, or has
// a thousand links waiting, delays no other.
//
// A link that waits already is not taken twice. When the queue or a lane is full
// further links are refused and counted: a visit is a kindness to the judge,
// and what is refused may be pushed again when it is seen again. Nothing is
// pushed out, since else a flood could empty the queue.
type Queue struct {
	cfg QueueConfig

	mu      sync.Mutex
	lanes   map[string]*lane
	ready   laneHeap // lanes with something waiting and no visit under way
	waiting map[link.Link]bool
	stats   QueueStats
	wake    chan struct{} // a lane may be ready earlier than Run thought
}

// QueueStats are counts since the start, but for Waiting.
type QueueStats struct {
	Waiting int    // links, those under way included
	Pushed  uint64 // taken
	Known   uint64 // not taken, as they wait already
	Full    uint64 // not taken, as the queue or the lane is full
	Expired uint64 // forgotten after MaxAge
}

type lane struct {
	name  string
	items []item // by after, the first to go first
	index int    // in the heap; -1 if not there
	busy  bool
}

func (l *lane) at() time.Time { return l.items[0].after }

type item struct {
	question Question
	after    time.Time // not to be visited before
	until    time.Time // to be forgotten then
}

// NewQueue starts nothing.
func NewQueue(cfg QueueConfig) *Queue {
	cfg.Workers = cmp.Or(cfg.Workers, 64)
	cfg.Size = cmp.Or(cfg.Size, 10_000)
	cfg.PerLane = cmp.Or(cfg.PerLane, 16)
	cfg.Jitter = cmp.Or(cfg.Jitter, 30*time.Second)
	cfg.MaxAge = cmp.Or(cfg.MaxAge, 30*time.Minute)
	return &Queue{cfg: cfg, lanes: make(map[string]*lane), waiting: make(map[link.Link]bool), wake: make(chan struct{}, 1)}
}

// laneOf is the tenant; the host where tenants are paths of it.
func laneOf(l link.Link) string {
	if p := l.Platform(); p == link.PathPlatform || p == link.Shortener {
		return l.Host()
	}
	return l.Tenant()
}

// Push takes a link to be visited soon. It never blocks. It says false if the
// link was not taken: it waits already, or there is no room.
func (q *Queue) Push(x Question) bool {
	now := time.Now()
	after := now
	if q.cfg.Jitter > 0 {
		after = now.Add(rand.N(q.cfg.Jitter))
	}
	x.Link = x.Link.Clone() // whoever pushes it may hold a whole message
	name := laneOf(x.Link)
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.waiting[x.Link] {
		q.stats.Known++
		return false
	}
	l := q.lanes[name]
	if len(q.waiting) >= q.cfg.Size || l != nil && len(l.items) >= q.cfg.PerLane {
		q.stats.Full++
		return false
	}
	if l == nil {
		l = &lane{name: name, index: -1}
		q.lanes[name] = l
	}
	q.stats.Pushed++
	q.waiting[x.Link] = true
	l.add(item{x, after, now.Add(q.cfg.MaxAge)})
	q.settle(l)
	return true
}

func (l *lane) add(it item) {
	i, _ := slices.BinarySearchFunc(l.items, it.after, func(have item, t time.Time) int {
		return cmp.Or(have.after.Compare(t), -1) // behind those of the same time
	})
	l.items = slices.Insert(l.items, i, it)
}

// settle puts a lane where it belongs: nowhere if it is busy, out if it is
// empty, else into the heap.
func (q *Queue) settle(l *lane) {
	switch {
	case l.busy:
		return
	case len(l.items) == 0:
		delete(q.lanes, l.name)
		return
	case l.index >= 0:
		heap.Fix(&q.ready, l.index)
	default:
		heap.Push(&q.ready, l)
	}
	if q.ready[0] == l {
		select {
		case q.wake <- struct{}{}:
		default:
		}
	}
}

// Run visits what is pushed until ctx is done; then it ends the visits under
// way, and returns nil.
func (q *Queue) Run(ctx context.Context) error {
	work := make(chan turn)
	var wg sync.WaitGroup
	for range q.cfg.Workers {
		wg.Go(func() {
			for t := range work {
				q.finish(t, q.cfg.Prober.Probe(ctx, t.item.question))
			}
		})
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	for ctx.Err() == nil {
		t, wait, ok := q.take(time.Now())
		if ok {
			select {
			case work <- t:
			case <-ctx.Done():
			}
			continue
		}
		timer.Reset(wait)
		select {
		case <-timer.C:
		case <-q.wake:
		case <-ctx.Done():
		}
	}
	close(work)
	wg.Wait()
	return nil
}

// turn is an item whose turn it is.
type turn struct {
	lane *lane
	item item
}

// take takes the item that may go first, or says how long to wait for one.
func (q *Queue) take(now time.Time) (t turn, wait time.Duration, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.ready) > 0 {
		l := q.ready[0]
		if wait = l.at().Sub(now); wait > 0 {
			return t, wait, false
		}
		heap.Pop(&q.ready)
		it := l.items[0]
		l.items = slices.Delete(l.items, 0, 1)
		if now.After(it.until) {
			q.stats.Expired++
			delete(q.waiting, it.question.Link)
			q.settle(l)
			continue
		}
		l.busy = true
		return turn{l, it}, 0, true
	}
	return t, time.Hour, false
}

// finish hands on what came of a visit, or lets the link wait for another turn.
func (q *Queue) finish(t turn, v Visit) {
	again := v.Again
	if v.Outcome == Halted {
		again = time.Now().Add(time.Minute) // somebody may have resumed by then
	}
	wait := v.Outcome.Later() && !again.IsZero() && again.Before(t.item.until)
	if !wait && v.Outcome != Ended {
		q.cfg.Done(t.item.question, v)
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	t.lane.busy = false
	if wait {
		t.item.after = again
		t.lane.add(t.item)
	} else {
		delete(q.waiting, t.item.question.Link)
	}
	q.settle(t.lane)
}

// Stats counts.
func (q *Queue) Stats() QueueStats {
	q.mu.Lock()
	defer q.mu.Unlock()
	s := q.stats
	s.Waiting = len(q.waiting)
	return s
}

// laneHeap is a heap of lanes, the one whose first item may go first on top.
type laneHeap []*lane

func (h laneHeap) Len() int           { return len(h) }
func (h laneHeap) Less(i, j int) bool { return h[i].at().Before(h[j].at()) }
func (h laneHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}

// Push implements heap.Interface.
func (h *laneHeap) Push(x any) {
	l := x.(*lane)
	l.index = len(*h)
	*h = append(*h, l)
}

// Pop implements heap.Interface.
func (h *laneHeap) Pop() any {
	last := len(*h) - 1
	l := (*h)[last]
	(*h)[last], l.index = nil, -1
	*h = (*h)[:last]
	return l
}
