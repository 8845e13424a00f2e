package headlight

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"

	"headlight.example/link"
	"headlight.example/reputation"
)

// sighting is a link that somebody asked about. It is the only place where the
// exact URL of an unreported link is held, and it is in memory.
type sighting struct {
	link  link.Link
	level reputation.Level
	// unsubscribe says that it was offered to leave a mailing list.
	unsubscribe bool
}

const (
	stripes    = 32
	stripeSize = 256 // 32 × 256 sightings between two drains, a second apart
)

// sightings carries links from the question loop to the learning loop. It is
// striped so that askers do not wait for each other: an asker tries a random
// stripe, then one more, and gives up. What is dropped is counted; a lost
// sighting costs a little knowledge, a wait would cost every message.
type sightings struct {
	stripe  [stripes]stripe
	dropped atomic.Uint64
}

type stripe struct {
	mu  sync.Mutex
	n   int
	buf [stripeSize]sighting
	_   [64]byte // keeps the locks of neighbours on different cache lines
}

func newSightings() *sightings { return new(sightings) }

func (s *sightings) push(x sighting) {
	i := rand.Uint32()
	if !s.stripe[i%stripes].push(x) && !s.stripe[(i+1)%stripes].push(x) {
		s.dropped.Add(1)
	}
}

func (t *stripe) push(x sighting) bool {
	if !t.mu.TryLock() {
		return false
	}
	ok := t.n < stripeSize
	if ok {
		t.buf[t.n] = x
		t.n++
	}
	t.mu.Unlock()
	return ok
}

// drain takes all sightings out, appending them to dst.
func (s *sightings) drain(dst []sighting) []sighting {
	for i := range s.stripe {
		t := &s.stripe[i]
		t.mu.Lock()
		dst = append(dst, t.buf[:t.n]...)
		clear(t.buf[:t.n])
		t.n = 0
		t.mu.Unlock()
	}
	return dst
}
