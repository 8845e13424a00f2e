package reputation

import (
	"runtime"
	"sync"
	"sync/atomic"

	"headlight.example/evidence"
)

// Table is what the log amounts to: for each subject its counts.
//
// [Table.Apply], [Table.WriteTo], [Table.Sum] and [ReadTable] exclude each
// other by a lock. Judge, Rate and Explain take none and write nothing that is
// shared: any number of them run beside each other and beside a writer.
//
// It is a hash table of 48-byte entries (see entry) in shards by the top bits
// of the subject's keyed hash. A shard is a series of buckets of eight, the
// keys of a bucket in one cache line; a key is in its bucket or, while those
// are full, in the next ones. A shard grows by a seventh when it is nine tenths
// full, each at another moment, so that a subject costs about 57 bytes at any
// size, and growing never stops the fold for long.
type Table struct {
	key    *evidence.Key
	shards []shard

	wellKnown map[uint64]struct{} // tenants; read only

	raters  raters
	anchors anchors

	mu      sync.Mutex // held by what writes
	applied atomic.Uint64
	clock   clock
	queue   sightings
	model   model
	trust   trust
	watch   func(Outcome) // see Watch
	located atomic.Bool   // it was ever said where a host is
	shown   atomic.Bool   // it was ever said what a server shows
	closed  closedTokens
	scratch [maxAbove]uint64 // see above
	touched uint64           // of no meaning: it keeps touch from being optimised away
}

const (
	shardBits = 10
	numShards = 1 << shardBits
	slotsIn   = 8 // entries in a bucket: their keys fill a cache line of 64 bytes
	wordsIn   = slotsIn * 6
)

// shard is a part of the table. A reader takes seq before and after and tries
// again unless both are the same even number; it writes nothing.
type shard struct {
	seq     atomic.Uint64 // odd while the writer is in an entry
	buckets atomic.Pointer[buckets]
	n       int // entries; the writer's
	_       [40]byte
}

// buckets is one size of a shard. Its words are only touched by atomic loads
// and stores once it is published. A bucket is eight keys, filled from the
// first, and then five words for each.
type buckets struct {
	words []uint64
	n     uint64 // buckets
}

// NewTable gives an empty table that knows the well-known names compiled in.
// The key must be the one under which sealed subjects were sealed.
func NewTable(key *evidence.Key) *Table {
	t := &Table{key: key, shards: make([]shard, numShards)}
	t.model.Model = DefaultModel()
	t.wellKnown = hashNames(key, wellKnownText)
	t.closed = t.closedTokens()
	return t
}

// Applied is the highest sequence of the log that was applied.
func (t *Table) Applied() uint64 { return t.applied.Load() }

// Len is how many subjects the table holds.
func (t *Table) Len() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := 0
	for i := range t.shards {
		n += t.shards[i].n
	}
	return n
}

func (t *Table) shard(h uint64) *shard { return &t.shards[h>>(64-shardBits)] }

// bucket is where h is looked for first: the bits below those of the shard, as
// a fraction of n.
func bucket(h, n uint64) uint64 { return (h << shardBits >> 32) * n >> 32 }

// touch begins to load what get will need. Calls that follow each other do not
// wait for each other's memory.
func (t *Table) touch(h uint64) uint64 {
	b := t.shard(h).buckets.Load()
	if b == nil {
		return 0
	}
	return atomic.LoadUint64(&b.words[bucket(h, b.n)*wordsIn])
}

// touchAll is touch of many, for the writer: one after another each would wait for
// memory.
func (t *Table) touchAll(list []uint64) {
	for _, h := range list {
		t.touched ^= t.touch(h)
	}
}

// get reads the counts of h, if there are any.
func (t *Table) get(h uint64) (entry, bool) {
	if w, ok := t.words(h); ok && tagOf(&w) >= minDay {
		return unpack(&w), true
	}
	return entry{}, false
}

// words reads the entry of h as it stands. It never blocks the writer.
func (t *Table) words(h uint64) (w [5]uint64, ok bool) {
	if h == 0 {
		return w, false
	}
	s := t.shard(h)
	for spins := 0; ; spins++ {
		seq := s.seq.Load()
		if seq&1 == 0 {
			b := s.buckets.Load()
			at, found := b.find(h)
			if ok = found; ok {
				for i := range w {
					w[i] = atomic.LoadUint64(&b.words[at+uint64(i)])
				}
			}
			if s.seq.Load() == seq {
				return w, ok
			}
		}
		if spins > 100 { // the writer was taken off its processor
			runtime.Gosched()
		}
	}
}

// find gives the place of the five words of h.
func (b *buckets) find(h uint64) (at uint64, ok bool) {
	if b == nil {
		return 0, false
	}
	i := bucket(h, b.n)
	for {
		keys := b.words[i*wordsIn : i*wordsIn+slotsIn : i*wordsIn+slotsIn]
		for s := range keys {
			k := atomic.LoadUint64(&keys[s])
			if k == h {
				return i*wordsIn + slotsIn + uint64(s)*5, true
			}
			if k == 0 {
				return 0, false
			}
		}
		if i++; i == b.n {
			i = 0
		}
	}
}

// place is where the writer found an entry, so that it need not look again.
type place struct {
	b  *buckets
	at uint64
	ok bool
}

// open is get for the writer, which changes the entry and gives it to put.
func (t *Table) open(h uint64) (e entry, p place) {
	w, p := t.openWords(h)
	if p.ok {
		e = unpack(&w)
	}
	return e, p
}

func (t *Table) openWords(h uint64) (w [5]uint64, p place) {
	p.b = t.shard(h).buckets.Load()
	if p.at, p.ok = p.b.find(h); p.ok {
		w = [5]uint64(p.b.words[p.at:])
	}
	return w, p
}

// put stores the entry of h, which open found at p. Only the writer calls it.
func (t *Table) put(h uint64, p place, e *entry) {
	var w [5]uint64
	e.pack(&w)
	t.putWords(h, p, &w)
}

func (t *Table) putWords(h uint64, p place, w *[5]uint64) {
	s := t.shard(h)
	b := s.buckets.Load()
	if b != p.b { // the shard has grown in between
		p.at, p.ok = b.find(h)
	}
	if !p.ok && (b == nil || uint64(s.n+1)*10 > b.n*slotsIn*9) {
		b = b.grown(nextSize(b, h>>(64-shardBits)))
		s.buckets.Store(b)
	}
	if !p.ok {
		b.insert(h, w)
		s.n++
		return
	}
	old := (*[5]uint64)(b.words[p.at:]) // the writer may read its own plainly
	if *old == *w {
		return
	}
	s.seq.Add(1)
	for i := range w {
		if old[i] != w[i] {
			atomic.StoreUint64(&old[i], w[i])
		}
	}
	s.seq.Add(1)
}

// insert puts h, which is not there yet, into the first free slot. Nobody reads
// a slot's words before its key stands.
func (b *buckets) insert(h uint64, w *[5]uint64) {
	i := bucket(h, b.n)
	for {
		for s := range uint64(slotsIn) {
			if p := &b.words[i*wordsIn+s]; *p == 0 {
				*(*[5]uint64)(b.words[i*wordsIn+slotsIn+s*5:]) = *w
				atomic.StoreUint64(p, h)
				return
			}
		}
		if i++; i == b.n {
			i = 0
		}
	}
}

// nextSize is how many buckets follow those of a shard. Above 32 buckets the
// sizes of different shards are spread over the steps, so that they do not all
// grow at once.
func nextSize(b *buckets, shard uint64) uint64 {
	switch {
	case b == nil:
		return 1
	case b.n < 32:
		return b.n + b.n/4 + 1
	case b.n < 64:
		return 64 + shard%10
	}
	return b.n + b.n/7
}

// sizeFor is how many buckets hold n entries at a load between those before and
// after growing; for a shard whose size is known beforehand.
func sizeFor(n int) uint64 {
	if n == 0 {
		return 0
	}
	return uint64(n)*100/(84*slotsIn) + 1
}

// grown copies b, which may be nil, into n buckets.
func (b *buckets) grown(n uint64) *buckets {
	to, _ := b.copied(n, nil)
	return to
}

// copied is grown but for the entries that drop says, of which it tells how many
// there were.
func (b *buckets) copied(n uint64, drop func(*[5]uint64) bool) (to *buckets, dropped int) {
	to = &buckets{words: make([]uint64, n*wordsIn), n: n}
	if b == nil {
		return to, 0
	}
	// The order stays, so the places in to follow each other as those in b do.
	for i := range b.n {
		bucket := (*[wordsIn]uint64)(b.words[i*wordsIn:])
		for s := range slotsIn {
			h := bucket[s]
			if h == 0 {
				break
			}
			w := (*[5]uint64)(bucket[slotsIn+s*5:])
			if drop != nil && drop(w) {
				dropped++
				continue
			}
			*(*[5]uint64)(to.words[to.place(h):]) = *w
		}
	}
	return to, dropped
}

// place takes the first free slot for h while nobody else sees b.
func (b *buckets) place(h uint64) (at uint64) {
	for i := bucket(h, b.n); ; i = (i + 1) % b.n {
		keys := (*[slotsIn]uint64)(b.words[i*wordsIn:])
		for s := range keys {
			if keys[s] == 0 {
				keys[s] = h
				return i*wordsIn + slotsIn + uint64(s)*5
			}
		}
	}
}

// forget removes from a shard the entries that drop says.
func (s *shard) forget(drop func(*[5]uint64) bool) {
	b := s.buckets.Load()
	if b == nil {
		return
	}
	to, dropped := b.copied(b.n, drop)
	if dropped == 0 {
		return
	}
	s.seq.Add(2) // still even: what is published is whole
	s.buckets.Store(to)
	s.n -= dropped
}

// each calls f with every key and its words. Only the writer may call it.
func (b *buckets) each(f func(h uint64, w []uint64)) {
	if b == nil {
		return
	}
	for i := range b.n {
		for s := range uint64(slotsIn) {
			h := b.words[i*wordsIn+s]
			if h == 0 {
				break
			}
			at := i*wordsIn + slotsIn + s*5
			f(h, b.words[at:at+5])
		}
	}
}
