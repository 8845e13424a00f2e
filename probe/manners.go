package probe

import (
	"cmp"
	"net/netip"
	"sync"
	"time"

	"headlight.example/evidence"
	"headlight.example/link"
)

// Limits say how often others are troubled. The zero value of each is a polite
// default; a negative one is no limit.
type Limits struct {
	URLEvery     time.Duration // between visits of a URL; 24 hours
	TenantEvery  time.Duration // between visits of a tenant; 10 minutes
	AddressEvery time.Duration // between requests to an address in the long run; 1 second
	AddressBurst int           // requests to an address at once; 5
	Every        time.Duration // between all requests in the long run; 50 ms
	Burst        int           // requests at once; 100
}

func (l Limits) withDefaults() Limits {
	l.URLEvery = cmp.Or(l.URLEvery, 24*time.Hour)
	l.TenantEvery = cmp.Or(l.TenantEvery, 10*time.Minute)
	l.AddressEvery = cmp.Or(l.AddressEvery, time.Second)
	l.AddressBurst = cmp.Or(l.AddressBurst, 5)
	l.Every = cmp.Or(l.Every, 50*time.Millisecond)
	l.Burst = cmp.Or(l.Burst, 100)
	return l
}

// part is what one of n machines may do, so that all together keep to l. Each may
// ask once, however many they are.
func (l Limits) part(n int) Limits {
	if n > 1 {
		l.AddressEvery *= time.Duration(n)
		l.Every *= time.Duration(n)
		l.AddressBurst = share(l.AddressBurst, n)
		l.Burst = share(l.Burst, n)
	}
	return l
}

// share is the n-th part of a burst; a negative one is no limit and stays.
func share(burst, n int) int {
	if burst <= 0 {
		return burst
	}
	return max(burst/n, 1)
}

// What is remembered is bounded. When it is full nobody new is visited until
// something in it is over: to forget would be to break a promise.
const maxRemembered = 1 << 20

// manners remember who was visited when. They are a fold over the requests in
// the ledger, which is read at the start as far as it counts still: a restart
// breaks no promise and fills no budget.
type manners struct {
	limits Limits
	key    *evidence.Key

	mu      sync.Mutex
	urls    map[uint64]time.Time // when it may be visited again, by keyed hash
	tenants map[uint64]time.Time
	addrs   map[netip.Addr]time.Time // theoretical arrival time, see bucket
	all     time.Time
	swept   time.Time
}

func newManners(limits Limits, key *evidence.Key, ledger *Ledger) (*manners, error) {
	m := &manners{
		limits: limits, key: key,
		urls: make(map[uint64]time.Time), tenants: make(map[uint64]time.Time), addrs: make(map[netip.Addr]time.Time),
	}
	// What is older counts no more, but in a budget that was never idle since: by
	// one burst at most.
	now, l := time.Now(), &m.limits
	longest := max(l.URLEvery, l.TenantEvery, l.AddressEvery*time.Duration(l.AddressBurst), l.Every*time.Duration(l.Burst), 0)
	for line, err := range ledger.walk(now.Add(-longest)) {
		if err != nil {
			return nil, err
		}
		if line.Ask != nil {
			m.sweep(line.Ask.Time) // what was over then needs no room now
			m.remember(line.Ask)
		}
	}
	m.swept = time.Time{}
	m.sweep(now)
	return m, nil
}

// remember notes a request that the ledger tells of.
func (m *manners) remember(a *Ask) {
	m.all, _, _ = bucket(m.all, a.Time, m.limits.Every, m.limits.Burst)
	if a.Addr.IsValid() && m.limits.AddressEvery > 0 {
		m.addrs[a.Addr], _, _ = bucket(m.addrs[a.Addr], a.Time, m.limits.AddressEvery, m.limits.AddressBurst)
	}
	url, tenant := a.Subject.Key, ""
	host := a.Subject.Host()
	if a.Subject.Kind == evidence.Sealed {
		if s, err := evidence.ParseSealed(a.Subject.Key); err == nil {
			url, tenant = s.URL, s.Tenant
		}
	}
	if tenant == "" {
		at := host
		if a.Subject.Kind == evidence.URL {
			at = a.Subject.Key
		}
		l, err := link.Parse("http://" + at)
		if err != nil {
			return
		}
		tenant = l.Tenant()
	}
	m.note(m.urls, m.key.Hash(evidence.URL, url), a.Time.Add(m.limits.URLEvery), m.limits.URLEvery)
	m.note(m.tenants, m.key.Hash(evidence.Tenant, tenant), a.Time.Add(m.limits.TenantEvery), m.limits.TenantEvery)
}

func (m *manners) note(in map[uint64]time.Time, k uint64, until time.Time, every time.Duration) {
	if every > 0 && until.After(in[k]) {
		in[k] = until
	}
}

// place is a link's place in what is remembered.
type place struct{ url, host, tenant uint64 }

func (m *manners) place(l link.Link) place {
	return place{m.key.Hash(evidence.URL, l.URL()), m.key.Hash(evidence.Host, l.Host()), m.key.Hash(evidence.Tenant, l.Tenant())}
}

// take asks for a visit: if the URL and its tenant are free, and there is room
// in the budgets of all and of one of the addresses, it is granted and counts
// from now on. Otherwise nothing is taken; again says when to ask again. part
// says that this is a further request of a visit that was granted for the same
// tenant: then the budgets alone count.
func (m *manners) take(p place, addrs []Address, part bool, now time.Time) (o Outcome, addr netip.Addr, again time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	g := m.weigh(p, addrs, part, now)
	if g.outcome == Answered {
		m.all = g.all
		if g.addr.IsValid() && m.limits.AddressEvery > 0 {
			m.addrs[g.addr] = g.at
		}
		m.note(m.urls, p.url, now.Add(m.limits.URLEvery), m.limits.URLEvery)
		m.note(m.tenants, p.tenant, now.Add(m.limits.TenantEvery), m.limits.TenantEvery)
	}
	return g.outcome, g.addr, g.again
}

// grant says what take would, and takes nothing.
func (m *manners) grant(p place, addrs []Address, part bool, now time.Time) (o Outcome, again time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	g := m.weigh(p, addrs, part, now)
	return g.outcome, g.again
}

// leave remembers a place that another machine has claimed as if it had been
// visited here, so that the next link to it costs no question: until when?
func (m *manners) leave(kind evidence.Kind, k uint64, now time.Time) (until time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	in, every := m.tenants, m.limits.TenantEvery
	switch kind {
	case evidence.URL:
		in, every = m.urls, m.limits.URLEvery
	case evidence.Host: // declines, for how long that machine alone knows
		return now.Add(every)
	}
	if len(in) < maxRemembered {
		m.note(in, k, now.Add(every), every)
	}
	return now.Add(every)
}

// granted is a visit that may be made, with what its budgets are then; or why not.
type granted struct {
	outcome Outcome
	addr    netip.Addr
	at, all time.Time // buckets of addr and of all
	again   time.Time // when to ask again
}

// weigh finds what take and grant say. m.mu is held.
func (m *manners) weigh(p place, addrs []Address, part bool, now time.Time) granted {
	m.sweep(now)
	if !part {
		again := m.urls[p.url]
		if t := m.tenants[p.tenant]; t.After(again) {
			again = t
		}
		if again.After(now) {
			return granted{outcome: Lately, again: again}
		}
		if len(m.urls) >= maxRemembered || len(m.tenants) >= maxRemembered {
			return granted{outcome: Busy, again: now.Add(time.Minute)}
		}
	}
	all, wait, ok := bucket(m.all, now, m.limits.Every, m.limits.Burst)
	if !ok {
		return granted{outcome: Busy, again: now.Add(wait)}
	}
	if len(addrs) == 0 {
		return granted{all: all}
	}
	again := now.Add(time.Hour)
	for _, a := range addrs {
		at, wait, ok := bucket(m.addrs[a.Addr], now, m.limits.AddressEvery, m.limits.AddressBurst)
		if ok && (len(m.addrs) < maxRemembered || !m.addrs[a.Addr].IsZero()) {
			return granted{addr: a.Addr, at: at, all: all}
		}
		if t := now.Add(max(wait, m.limits.AddressEvery)); t.Before(again) {
			again = t
		}
	}
	return granted{outcome: Busy, again: again}
}

// bucket is a leaky bucket in one number, the time at which it will be empty
// (the generic cell rate algorithm, ITU-T I.371). It gives the number after one
// more request, or how long to wait for room.
func bucket(empty, now time.Time, every time.Duration, burst int) (after time.Time, wait time.Duration, ok bool) {
	if every <= 0 || burst <= 0 {
		return empty, 0, true
	}
	if empty.Before(now) {
		empty = now
	}
	if wait = empty.Sub(now) - time.Duration(burst-1)*every; wait > 0 {
		return empty, wait, false
	}
	return empty.Add(every), 0, true
}

// sweep forgets, once a minute, what is over.
func (m *manners) sweep(now time.Time) {
	if now.Sub(m.swept) < time.Minute {
		return
	}
	m.swept = now
	over := func(until time.Time) bool { return !until.After(now) }
	sweepMap(m.urls, over)
	sweepMap(m.tenants, over)
	sweepMap(m.addrs, over)
}

func sweepMap[K comparable](in map[K]time.Time, over func(time.Time) bool) {
	for k, t := range in {
		if over(t) {
			delete(in, k)
		}
	}
}
