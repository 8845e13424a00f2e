package headlight

import (
	"strings"
	"sync"
	"time"

	"headlight.example/evidence"
	"headlight.example/link"
	"headlight.example/reputation"
)

const (
	// recentFor is how long a link that was asked about is watched: long enough
	// for a list to learn of a page that lives five hours.
	recentFor = 6 * time.Hour
	// maxRecent bounds the links watched; the oldest go first. About 300 bytes each.
	maxRecent = 100_000
	// maxTouched bounds the domains remembered between two looks; beyond it
	// every watched link is judged anew, at about a microsecond each.
	maxTouched = 10_000
	// maxChanges is how many changes are kept for a client that comes back
	// after a broken connection.
	maxChanges = 1_000
)

// Change is a link asked about lately whose level has since changed.
type Change struct {
	ID      uint64 // from 1, in order; starts anew with the process
	Time    time.Time
	From    reputation.Level
	Verdict reputation.Verdict
}

// recent watches the links that were asked about lately, in memory only.
type recent struct {
	mu      sync.Mutex
	links   map[link.Link]*watched
	order   []*watched // by the time asked, oldest first
	touched map[string]struct{}
	all     bool // too many were touched to name them

	changes   []Change
	lastID    uint64
	listeners map[chan struct{}]struct{}
}

type watched struct {
	link  link.Link
	level reputation.Level
	asked time.Time
}

func newRecent() *recent {
	return &recent{
		links:     make(map[link.Link]*watched),
		touched:   make(map[string]struct{}),
		listeners: make(map[chan struct{}]struct{}),
	}
}

// add watches a link from now on. The level first told is kept: it is what
// somebody acted upon.
func (r *recent) add(l link.Link, level reputation.Level, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if w := r.links[l]; w != nil {
		return
	}
	w := &watched{link: l, level: level, asked: now}
	r.links[w.link] = w
	r.order = append(r.order, w)
	for len(r.order) > 0 && (len(r.order) > maxRecent || now.Sub(r.order[0].asked) > recentFor) {
		delete(r.links, r.order[0].link)
		r.order[0] = nil
		r.order = r.order[1:]
	}
}

// touch remembers that something was said of a subject.
func (r *recent) touch(rec evidence.Record) {
	if rec.Assertion == evidence.Seen {
		return
	}
	host := rec.Subject.Key
	switch rec.Subject.Kind {
	case evidence.URL, evidence.Path, evidence.Tenant:
		host, _, _ = strings.Cut(host, "/")
	case evidence.Host, evidence.Domain, evidence.Addr:
	default:
		return
	}
	r.touchHost(host)
}

// touchHost remembers that more is known of a host, or of a link to it.
func (r *recent) touchHost(host string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.all { // links may be on their way here, so it matters though none is watched
		return
	}
	if len(r.touched) == maxTouched {
		r.all = true
		clear(r.touched)
		return
	}
	r.touched[strings.Clone(host)] = struct{}{}
}

// concerns says whether something was said that can move the verdict on l: of
// its host, of a name above it, or of a sibling below its registrable domain.
func concerns(touched map[string]struct{}, domains map[string]struct{}, l link.Link) bool {
	if _, ok := domains[l.Domain()]; ok {
		return true
	}
	_, ok := touched[l.Host()]
	return ok
}

// review judges anew the watched links that evidence has touched since the
// last time, there or where they lead, and publishes those whose level changed.
func (r *recent) review(judge func(link.Link) reputation.Verdict, led func(link.Link) (link.Link, bool), now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.all && len(r.touched) == 0 {
		return
	}
	domains := make(map[string]struct{}, len(r.touched))
	for host := range r.touched {
		if l, err := link.Parse(host); err == nil {
			domains[l.Domain()] = struct{}{}
		}
	}
	published := false
	for _, w := range r.order {
		if !r.all && !concerns(r.touched, domains, w.link) {
			if to, ok := led(w.link); !ok || !concerns(r.touched, domains, to) {
				continue
			}
		}
		if v := judge(w.link); v.Level != w.level {
			r.lastID++
			r.changes = append(r.changes, Change{ID: r.lastID, Time: now, From: w.level, Verdict: v})
			w.level = v.Level
			published = true
		}
	}
	if over := len(r.changes) - maxChanges; over > 0 {
		r.changes = append(r.changes[:0], r.changes[over:]...)
	}
	clear(r.touched)
	r.all = false
	if published {
		for c := range r.listeners {
			select {
			case c <- struct{}{}:
			default: // it has been woken already
			}
		}
	}
}

// since gives the kept changes with an ID above after.
func (r *recent) since(after uint64) []Change {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i, c := range r.changes {
		if c.ID > after {
			return append([]Change(nil), r.changes[i:]...)
		}
	}
	return nil
}

// Changes is a subscription to changed verdicts.
type Changes struct {
	r    *recent
	wake chan struct{}
}

// Changes subscribes to the links asked about in the last six hours whose level
// has since changed. A client that is slow misses nothing of the last thousand
// changes. Call Close when done.
func (s *Service) Changes() *Changes {
	c := &Changes{r: s.recent, wake: make(chan struct{}, 1)}
	s.recent.mu.Lock()
	s.recent.listeners[c.wake] = struct{}{}
	s.recent.mu.Unlock()
	return c
}

// Wake receives a value when Since may have something new.
func (c *Changes) Wake() <-chan struct{} { return c.wake }

// Since gives the kept changes with an ID above after, oldest first.
func (c *Changes) Since(after uint64) []Change { return c.r.since(after) }

// Last is the ID of the newest change, 0 if there was none.
func (c *Changes) Last() uint64 {
	c.r.mu.Lock()
	defer c.r.mu.Unlock()
	return c.r.lastID
}

// Close ends the subscription.
func (c *Changes) Close() {
	c.r.mu.Lock()
	defer c.r.mu.Unlock()
	delete(c.r.listeners, c.wake)
}
