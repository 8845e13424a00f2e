package dns

import (
	"hash/maphash"
	"net/netip"
	"sync/atomic"
	"time"
)

// limiter counts answers by network and second in a table of fixed size. Networks
// that fall together share a limit; which do, nobody outside can know.
type limiter struct {
	most  uint32
	seed  maphash.Seed
	slots [1 << 14]atomic.Uint64 // the second, and how many in it
}

func newLimiter(most uint32) *limiter { return &limiter{most: most, seed: maphash.MakeSeed()} }

type admission uint8

const (
	admitted admission = iota
	dropped
	slipped // gets an empty, truncated answer, and may come back over TCP
)

// take counts an answer to an address. Beyond the limit every second is dropped.
// A nil limiter admits everybody, and any limiter the machine itself.
func (l *limiter) take(a netip.Addr, now time.Time) admission {
	if l == nil || a.IsLoopback() {
		return admitted
	}
	bits := 24
	if a.Is6() {
		bits = 56 // what a customer gets
	}
	p, err := a.WithZone("").Prefix(bits)
	if err != nil {
		return dropped
	}
	slot := &l.slots[maphash.Comparable(l.seed, p)%uint64(len(l.slots))]
	second := uint64(uint32(now.Unix())) << 32
	for {
		old := slot.Load()
		next := old + 1
		if old&^(1<<32-1) != second {
			next = second | 1
		}
		if uint32(next) == 0 { // 2^32 in a second
			return dropped
		}
		if !slot.CompareAndSwap(old, next) {
			continue
		}
		switch n := uint32(next); {
		case n <= l.most:
			return admitted
		case n%2 == 0:
			return slipped
		}
		return dropped
	}
}
