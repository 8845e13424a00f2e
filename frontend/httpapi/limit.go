package httpapi

import (
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"
)

// maxClients bounds the clients that a limiter remembers, twice over: about
// 200 bytes each. A flood of addresses can make it forget, and so gives each
// of them a burst; it cannot make it grow.
const maxClients = 10_000

// limiter gives each client a bucket of tokens. It forgets those that have not
// been seen for longest: what is not met in the younger generation is looked
// for in the older one, which is dropped when the younger is full.
type limiter struct {
	limit rate.Limit
	burst int

	mu             sync.Mutex
	younger, older map[string]*rate.Limiter
}

func newLimiter(limit rate.Limit, burst int) *limiter {
	return &limiter{limit: limit, burst: burst, younger: make(map[string]*rate.Limiter)}
}

// take takes one from the client's bucket; if it is empty, it says after what
// time there will be one.
func (l *limiter) take(client string, now time.Time) (wait time.Duration, ok bool) {
	r := l.bucket(client).ReserveN(now, 1)
	if wait := r.DelayFrom(now); wait > 0 {
		r.CancelAt(now)
		return wait, false
	}
	return 0, true
}

func (l *limiter) bucket(client string) *rate.Limiter {
	l.mu.Lock()
	defer l.mu.Unlock()
	if b := l.younger[client]; b != nil {
		return b
	}
	b := l.older[client]
	if b == nil {
		b = rate.NewLimiter(l.limit, l.burst)
	}
	if len(l.younger) >= maxClients {
		l.older, l.younger = l.younger, make(map[string]*rate.Limiter)
	}
	l.younger[client] = b
	return b
}

// clientOf names the network that an address belongs to, and says whether it
// is this machine. A holder of IPv6 addresses has at least a /64 of them.
func clientOf(remote string) (client string, local bool) {
	ap, err := netip.ParseAddrPort(remote)
	if err != nil {
		return "", false // a pipe or a socket: all of them are one client
	}
	a := ap.Addr().Unmap().WithZone("")
	if a.IsLoopback() {
		return "", true
	}
	if a.Is4() {
		return a.String(), false
	}
	p, _ := a.Prefix(64)
	return p.String(), false
}

// budget is an amount that is shared out, and never waited for.
type budget struct {
	left atomic.Int64
}

func (b *budget) take(n int64) bool {
	if b.left.Add(-n) < 0 {
		b.left.Add(n)
		return false
	}
	return true
}

func (b *budget) give(n int64) { b.left.Add(n) }
