package blocklist

import (
	"context"
	"fmt"
	"iter"
	"log/slog"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"headlight.example/evidence"
	"headlight.example/link"
	"headlight.example/reputation"
)

// Source is what is published of: a service that judges and learns.
type Source interface {
	// Judge says what is thought of a link; it must not count as a question of
	// somebody who saw the link.
	Judge(link.Link) reputation.Verdict
	// Rate says what is known of a subject.
	Rate(evidence.Subject) reputation.Rating
	// Policy is what Judge judges by; another pointer means that all may have changed.
	Policy() *reputation.Policy
	// Learnt yields, in the order of the log, the entries above a sequence that
	// Judge knows of at the time of the call. Where they are gone it begins with
	// the oldest that is there.
	Learnt(ctx context.Context, after uint64) iter.Seq2[evidence.Entry, error]
}

// Config says what is published and how often.
type Config struct {
	// Dir is where the newest edition outlives the process; it is created if
	// missing.
	Dir    string
	Source Source
	// Every is how often Run looks whether there is something to publish; 0: a
	// minute.
	Every time.Duration
	// Logger receives what an operator should read; nil means slog.Default.
	Logger *slog.Logger
}

const (
	// rounds is how many passes it takes until everything was examined that
	// nothing was said of: what is condemned changes with time alone, and with
	// what is said of its neighbours.
	rounds = 60
	// saveEvery is how often a changed edition is written, at most.
	saveEvery = 5 * time.Minute
	// maxPending is how many subjects are gathered from the log before they are
	// sorted in.
	maxPending = 1 << 20
	// politeness is how many subjects are examined before others get the
	// processor: half a millisecond's work.
	politeness = 256
)

// Publisher makes editions. Its methods are safe for concurrent use.
type Publisher struct {
	source Source
	dir    string
	every  time.Duration
	log    *slog.Logger
	shelf  Shelf

	mu       sync.Mutex
	subjects []subject
	pending  []subject
	through  uint64 // entry of the log up to which subjects were taken
	policy   *reputation.Policy
	round    int
	passes   int
	saved    uint32 // serial of the edition on disk
	savedAt  time.Time
}

// Open reads the edition that was last written, if there is one. One that cannot
// be read costs the clients a full download: the next is made from the log. Call
// Run, or Publish, to make editions; nothing is to be closed.
func Open(cfg Config) (*Publisher, error) {
	logger := cfg.Logger
	if logger == nil {
		logger = slog.Default()
	}
	p := &Publisher{
		source: cfg.Source,
		dir:    cfg.Dir,
		every:  cfg.Every,
		log:    logger.With("part", "blocklist"),
	}
	if p.every <= 0 {
		p.every = time.Minute
	}
	if err := p.load(); err != nil {
		return nil, err
	}
	return p, nil
}

// Shelf is where the editions are. It is empty until the first is made.
func (p *Publisher) Shelf() *Shelf { return &p.shelf }

// Run publishes at once and then as often as the configuration says, until ctx is
// done; then it writes the newest edition. What cannot be read or written is
// logged and tried again.
func (p *Publisher) Run(ctx context.Context) error {
	tick := time.NewTicker(p.every)
	defer tick.Stop()
	for {
		if _, err := p.Publish(ctx); err != nil && ctx.Err() == nil {
			p.log.Error("no edition made; the one before stays", "err", err)
		}
		select {
		case <-ctx.Done():
			return p.save()
		case <-tick.C:
		}
		p.mu.Lock()
		due := p.savedAt.IsZero() || time.Since(p.savedAt) >= saveEvery
		p.mu.Unlock()
		if due {
			if err := p.save(); err != nil {
				p.log.Error("edition not written; after a restart clients take the whole", "err", err)
			}
		}
	}
}

// Publish makes a new edition if it would differ from the newest, and gives the
// newest. The first pass examines everything that was ever called bad, others what
// something was said of, and a part of the rest.
func (p *Publisher) Publish(ctx context.Context) (*Edition, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	policy := p.source.Policy()
	all := policy != p.policy
	if all {
		p.seed(policy)
	}
	touched, err := p.read(ctx)
	if err != nil {
		return nil, err
	}
	p.policy = policy
	latest := p.shelf.Latest()
	c := comparison{p: p, ctx: ctx, latest: latest, now: time.Now()}
	switch {
	case all || latest == nil:
		c.all()
		p.passes = 0
	default:
		c.domains(touched)
		c.done = touched
		c.part(p.round)
		p.round = (p.round + 1) % rounds
	}
	if c.err != nil {
		p.policy = nil // what this pass did not come to is examined in the next
		return nil, c.err
	}
	if latest != nil && len(c.added)+len(c.removed) == 0 {
		return latest, nil
	}
	slices.SortFunc(c.added, func(a, b Entry) int { return a.Compare(&b) })
	slices.SortFunc(c.removed, func(a, b Entry) int { return a.Compare(&b) })
	e := &Edition{serial: uint32(c.now.Unix()), made: c.now.UTC().Truncate(time.Second)}
	if latest == nil {
		e.entries = c.added
	} else {
		e.serial = max(e.serial, latest.serial+1)
		e.entries = apply(latest.entries, c.removed, c.added)
	}
	p.shelf.add(e, c.removed, c.added)
	p.log.Debug("edition made", "serial", e.serial, "entries", e.Len(), "added", len(c.added), "removed", len(c.removed), "elapsed", time.Since(c.now))
	return e, nil
}

// seed adds what may be bad though nobody said so in the log: the names that the
// policy denies, and the test points.
func (p *Publisher) seed(policy *reputation.Policy) {
	const always = 1<<16 - 1
	add := func(name string, said uint16) {
		if s, ok := toSubject(evidence.Subject{Kind: evidence.Host, Key: name}); ok {
			s.said = said
			p.pending = append(p.pending, s)
		}
	}
	for name := range policy.Deny {
		add(name, dayOf(time.Now()))
	}
	for a := evidence.Phishing; a.Threat(); a++ {
		add(a.String()+".headlight.example", always)
	}
}

func dayOf(t time.Time) uint16 { return uint16(min(max(t.Unix()/86400, 0), 1<<16-2)) }

// read takes from the log what was called bad since the last time, and gives the
// domains of which anything was said that can change what is published.
func (p *Publisher) read(ctx context.Context) (touched map[string]struct{}, err error) {
	touched = make(map[string]struct{})
	first := p.shelf.Latest() == nil
	for e, err := range p.source.Learnt(ctx, p.through) {
		if err != nil {
			return nil, fmt.Errorf("read the log: %w", err)
		}
		p.through = e.Seq
		if e.Assertion == evidence.Seen || e.Assertion.Relation() {
			continue
		}
		if e.Assertion.Threat() {
			if s, ok := toSubject(e.Subject); ok {
				s.said = dayOf(e.Time)
				p.pending = append(p.pending, s)
				if len(p.pending) >= maxPending {
					p.sortIn()
				}
			}
		}
		if e.Assertion == evidence.Popular || first {
			continue // popularity is known to those who look at everything
		}
		if d := domainOfSubject(e.Subject); d != "" {
			if _, ok := touched[d]; !ok {
				touched[strings.Clone(d)] = struct{}{}
			}
		}
	}
	if p.passes++; len(p.pending) > 0 || p.passes >= rounds {
		p.sortIn()
	}
	return touched, nil
}

// sortIn puts what is pending among the subjects, and forgets some.
func (p *Publisher) sortIn() {
	p.subjects = merge(p.subjects, p.pending)
	p.pending = nil
	if p.passes >= rounds || len(p.subjects) > maxSubjects {
		p.passes = 0
		latest := p.shelf.Latest()
		p.subjects = prune(p.subjects, func(s *subject) bool { return len(latest.group(s.domainName())) > 0 }, dayOf(time.Now().AddDate(0, 0, -keepUnpublished)))
	}
}

// comparison finds out in what the table differs from the newest edition.
type comparison struct {
	p      *Publisher
	ctx    context.Context
	latest *Edition
	now    time.Time
	err    error
	done   map[string]struct{} // domains that were compared already

	space          []Entry
	since          int // examined since others had the processor
	added, removed []Entry
}

// all compares every domain.
func (c *comparison) all() { c.subjects(c.p.subjects) }

// part compares one of the parts into which the subjects are divided.
func (c *comparison) part(i int) {
	list := c.p.subjects
	c.subjects(list[edge(list, i*len(list)/rounds):edge(list, (i+1)*len(list)/rounds)])
}

// edge moves a place up to where a domain begins.
func edge(list []subject, i int) int {
	for i > 0 && i < len(list) && list[i-1].domainName() == list[i].domainName() {
		i++
	}
	return i
}

// subjects compares the domains of a part of the subjects.
func (c *comparison) subjects(list []subject) {
	for len(list) > 0 && c.err == nil {
		domain, n := list[0].domainName(), 1
		for n < len(list) && list[n].domainName() == domain {
			n++
		}
		if _, ok := c.done[domain]; !ok {
			c.domain(domain, list[:n])
		}
		list = list[n:]
	}
}

// domains compares the domains named.
func (c *comparison) domains(names map[string]struct{}) {
	list := c.p.subjects
	for name := range names {
		if c.err != nil {
			return
		}
		from, found := slices.BinarySearchFunc(list, name, func(s subject, d string) int { return strings.Compare(s.domainName(), d) })
		if !found {
			continue
		}
		to := from
		for to < len(list) && list[to].domainName() == name {
			to++
		}
		c.domain(name, list[from:to])
	}
}

// domain compares one domain.
func (c *comparison) domain(name string, subjects []subject) {
	if c.since += len(subjects); c.since >= politeness {
		c.since = 0
		if c.err = c.ctx.Err(); c.err != nil {
			return
		}
		runtime.Gosched()
	}
	c.space = c.p.examine(subjects, c.space[:0])
	old, now := c.latest.group(name), c.space
	for len(old) > 0 || len(now) > 0 {
		switch {
		case len(now) == 0 || len(old) > 0 && old[0].Expression < now[0].Expression:
			c.removed = append(c.removed, old[0])
			old = old[1:]
		case len(old) == 0 || now[0].Expression < old[0].Expression:
			x := now[0]
			x.since = uint32(c.now.Unix())
			c.added = append(c.added, x)
			now = now[1:]
		default:
			if !old[0].same(&now[0]) {
				x := now[0]
				x.since = old[0].since
				c.removed, c.added = append(c.removed, old[0]), append(c.added, x)
			}
			old, now = old[1:], now[1:]
		}
	}
}
