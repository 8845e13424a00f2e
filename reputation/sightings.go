package reputation

import (
	"time"

	"headlight.example/evidence"
	"headlight.example/link"
)

// A sighting says only that a link was seen. It becomes a good unit, of the day
// on which it was seen, when for a while nobody called the link bad: when nobody
// ever says that a link is good, silence is all there is to divide by (MODEL.md
// §6). How long follows from how long reports take: see delays. What is good by
// silence is worth less where the host was bad of late, and a link that is
// reported after all gives its good units back.
//
// What becomes of a sighting is a lesson to the model, by the features that the
// link had when it was seen. If reports are slow, lessons wait for a day.
//
// At most maxSightings a tenant and day are taken in, the first ones, and a URL
// once a day. So which sightings count depends on their order in the log. They
// are kept for a week:
//
//	first            silent              taught              next
//	│ known, taught  │ not yet taught    │ not yet known     │
//	oldest ──────────────────────────────────────────> newest
type sightings struct {
	ring []sighting // of a power of two, or nil
	// Places in the order of arrival; the ring holds from first to next.
	first  uint64
	taught uint64 // the first whose lesson is not a day old
	silent uint64 // the first of which silence does not yet count
	next   uint64
	// For each value that the low bits of a URL's hash can have, 1 + the place of
	// the last such sighting; each leads to the one before it.
	last   []uint64
	tokens pages
}

// A sighting holds no pointer, so that the garbage collector need not read them all.
type sighting struct {
	at     int64 // Unix seconds
	before uint64
	lad    ladder
	above  [maxAbove]uint64 // the rungs above the tenant, then 0
	marks  [nMarkers]uint64
	x      [nFeatures]float32
	spelt  pageRef // its tokens
	z      float32 // its score
	gate   uint8
	kind   Class
	weight weight
	gave   uint16 // markers that it may credit, by bit
	flags  uint8
}

// pages keep the tokens of sightings, which come and go in one order.
type pages struct {
	page  [][]uint32
	first uint32 // number of page[0]
}

type pageRef struct {
	page, at uint32
	n        uint16
}

const pageSize = 1 << 15 // tokens

func (p *pages) keep(tokens []uint32) pageRef {
	last := len(p.page) - 1
	if last < 0 || len(p.page[last])+len(tokens) > pageSize {
		p.page = append(p.page, make([]uint32, 0, pageSize))
		last++
	}
	ref := pageRef{p.first + uint32(last), uint32(len(p.page[last])), uint16(len(tokens))}
	p.page[last] = append(p.page[last], tokens...)
	return ref
}

func (p *pages) of(r pageRef) []uint32 {
	return p.page[r.page-p.first][r.at : r.at+uint32(r.n)]
}

// drop frees the pages before the one of the oldest that is kept.
func (p *pages) drop(oldest pageRef) {
	for ; p.first < oldest.page; p.first++ {
		p.page[0] = nil
		p.page = p.page[1:]
	}
}

// What became of a sighting.
const (
	wasReported = 1 << iota
	wasCredited
	wasAbove   // it credited what lies above the tenant too
	wasCounted // its score is among the clean ones
	taughtGood // it was a lesson
	taughtBad
)

const (
	// maxKept bounds what is kept: about 100 MB. If that many come before
	// silence counts, those that come after are not taken in; nothing is lost but
	// some of the denominator.
	maxKept     = 1 << 17
	keepFor     = 7 * 86400 // seconds
	lessonDelay = 86400     // if reports are slow
	taint       = .3        // fast bad units on the host
	expected    = -5        // score of links that are good as a matter of course: one in 150 is not
)

func (q *sightings) len() int { return int(q.next - q.first) }

func (q *sightings) at(i uint64) *sighting { return &q.ring[i&uint64(len(q.ring)-1)] }

// full reports whether there is no room: none that is kept has had its say.
func (q *sightings) full() bool {
	return q.len() == maxKept && q.first == min(q.silent, q.taught)
}

// push keeps a sighting and its tokens, of which there must not be too many: see full.
func (q *sightings) push(s *sighting, tokens []uint32) {
	if q.len() == maxKept {
		q.drop()
	}
	if q.len() == len(q.ring) {
		q.grow()
	}
	s.spelt = q.tokens.keep(tokens)
	*q.at(q.next) = *s
	q.link(q.next)
	q.next++
}

func (q *sightings) grow() {
	ring := make([]sighting, max(2*len(q.ring), 64))
	for i := q.first; i < q.next; i++ {
		ring[i&uint64(len(ring)-1)] = *q.at(i)
	}
	q.ring, q.last = ring, make([]uint64, len(ring))
	for i := q.first; i < q.next; i++ {
		q.link(i)
	}
}

// link makes a sighting the last of its URL.
func (q *sightings) link(i uint64) {
	s := q.at(i)
	last := &q.last[s.lad[rungURL]&uint64(len(q.last)-1)]
	s.before, *last = *last, i+1
}

// drop forgets the oldest. What leads to it leads nowhere from then on.
func (q *sightings) drop() {
	if q.first++; q.first < q.next {
		q.tokens.drop(q.at(q.first).spelt)
	}
}

// of is the last sighting of a URL that is kept, or nil.
func (q *sightings) of(url uint64) (s *sighting, taught bool) {
	if len(q.ring) == 0 {
		return nil, false
	}
	for i := q.last[url&uint64(len(q.last)-1)]; i > q.first; i = s.before {
		if s = q.at(i - 1); s.lad[rungURL] == url {
			return s, i <= q.taught
		}
	}
	return nil, false
}

// sight takes in a sighting of day d.
func (t *Table) sight(tg *target, d uint16, at int64) {
	lad := &tg.lad
	tenant, tenantAt := t.open(lad[rungTenant])
	tenant.advance(d)
	child, childAt := t.open(lad[rungURL])
	child.child = true
	child.advance(d)
	if child.day-d >= windowDays || child.good&(1<<(child.day-d)) != 0 {
		return
	}
	if t.queue.full() || !tenant.takeSighting(d) {
		return
	}
	s := sighting{at: at, lad: *lad, kind: tg.kind}
	var traits evidence.Traits
	t.look(tg, &s, &traits, d)
	child.markGood(d)
	t.put(lad[rungTenant], tenantAt, &tenant)
	t.put(lad[rungURL], childAt, &child)
	t.queue.push(&s, traits.Tokens())
}

// Wants reports whether a sighting of the link at that time would be taken in,
// as far as the table knows by now: not if the URL was seen on that day, or if
// the tenant has given enough. It reads memory only, as Judge does.
func (t *Table) Wants(l link.Link, now time.Time) bool {
	lad, d := t.climb(l), dayOf(now.Unix())
	if child, ok := t.get(lad[rungURL]); ok && child.day == d && child.good&1 != 0 {
		return false
	}
	tenant, ok := t.get(lad[rungTenant])
	return !ok || tenant.day != d || tenant.marks>>todayShift&maxSightings < maxSightings
}

// look notes what the model sees of a link, whose traits it gives.
func (t *Table) look(tg *target, s *sighting, traits *evidence.Traits, d uint16) {
	var v view
	var f features
	v.lad, v.kind, v.host, v.self = tg.lad, tg.kind, tg.host, tg.self
	v.touch(t)
	t.touched ^= t.touch(diaryOf(tg.lad[rungTenant]))
	spelt := t.traits(tg, traits)
	v.place(t)
	v.setMarks(&traits.Markers)
	if spelt {
		v.addNetTokens(traits)
	}
	v.read(t, d)
	v.features(&t.model.Model, d, &f)
	for i, x := range f.x {
		s.x[i] = float32(x)
	}
	s.gate, s.marks = uint8(f.gate), v.markAt
	v.appendNets(s.lad.appendAbove(s.above[:0]))
	s.z = float32(t.model.score(t.model.z(f.gate, &s.x, t.model.spelling(traits.Tokens())+t.showing(&v))))
	if y, ok := t.openDiary(s.lad[rungTenant], d); ok {
		for i, h := range s.marks {
			if h != 0 && y.claim(h, false) {
				s.gave |= 1 << i
			}
		}
		t.closeDiary(&y)
	}
	t.touched ^= v.touched
}

// traits gives what the target's spelling says: of a sealed link, what was
// sealed with it, false if nothing was.
func (t *Table) traits(tg *target, to *evidence.Traits) bool {
	if tg.sealed.URL != "" {
		return t.key.Unseal(tg.link, &tg.sealed, to)
	}
	// Sealed or not, it is the same, down to the order of tokens.
	clear := target{}
	return t.placeSealed(t.key.Seal(tg.link).Key, &clear) && t.key.Unseal(clear.link, &clear.sealed, to)
}

// mature counts the sightings that nobody contradicted in time, and teaches.
func (t *Table) mature(now int64) {
	q := &t.queue
	wait := t.model.delays.until()
	for ; q.silent < q.next && q.at(q.silent).at+wait <= now; q.silent++ {
		t.comeOfAge(q.at(q.silent), now)
	}
	for ; q.taught < q.silent && q.at(q.taught).at+lessonDelay <= now; q.taught++ {
		t.teachLate(q.at(q.taught))
	}
	for q.first < q.taught && q.at(q.first).at+keepFor <= now {
		if s := q.at(q.first); s.flags&(wasReported|wasCredited) == wasCredited {
			t.tell(s, false)
		}
		q.drop()
	}
}

// comeOfAge counts a sighting as good, unless it is known to be bad.
func (t *Table) comeOfAge(s *sighting, now int64) {
	t.touchAll(s.lad[:])
	t.touchAll(s.rungsAbove())
	t.touchAll(s.marks[:])
	d := dayOf(s.at)
	child, childAt := t.open(s.lad[rungURL])
	if s.flags&wasReported != 0 || child.isBad() {
		if s.flags&wasReported == 0 {
			s.flags |= wasReported | taughtBad // it was known when it was seen
		}
		return
	}
	host := s.lad[rungHost]
	if host == 0 {
		host = s.lad[rungTenant]
	}
	s.weight = wholeUnit
	if e, ok := t.get(host); ok {
		if fast, _ := e.at(dayOf(now)); fast.bad > taint {
			s.weight = taintedUnit
		}
	}
	s.flags |= wasCredited
	child.child = true
	child.advance(d)
	if t.credit(s.lad[rungURL], &child, childAt, &s.lad, s.rungsAbove(), d, s.weight) {
		s.flags |= wasAbove
	}
	for i, h := range s.marks {
		if s.gave&(1<<i) != 0 {
			t.addTo(h, d, s.weight)
		}
	}
	s.flags |= wasCounted
	t.model.clean[s.kind].add(float64(s.z), dayOf(now))
	if !t.model.delays.slow() {
		t.teachGood(s)
	}
}

// teachGood is the lesson of a link that nobody reported, unless that was thought
// of it when it was seen: half of all lessons would move nothing but by rounding.
func (t *Table) teachGood(s *sighting) {
	if s.flags&taughtGood == 0 && s.spelt.n > 0 && s.z > expected {
		s.flags |= taughtGood
		t.teach(s, false, s.worth())
	}
}

// teachLate is the lesson of a day later.
func (t *Table) teachLate(s *sighting) {
	switch {
	case !t.model.delays.slow():
	case s.flags&wasReported == 0:
		t.teachGood(s)
	default:
		t.teachBad(s, dayOf(t.clock.now))
	}
}

// teachBad is a lesson of a bad link, if the tenant has not given enough of the day.
func (t *Table) teachBad(s *sighting, d uint16) {
	if s.spelt.n == 0 || s.flags&taughtBad != 0 {
		return
	}
	s.flags |= taughtBad
	if y, ok := t.openDiary(s.lad[rungTenant], d); ok && y.lesson() {
		t.closeDiary(&y)
		t.teach(s, true, 1)
	}
}

// teach has the model learn what became of a sighting.
func (t *Table) teach(s *sighting, bad bool, weight float64) {
	tokens := t.queue.tokens.of(s.spelt)
	if t.shown.Load() {
		var room [evidence.MaxTokens + evidence.NumFacts]uint32
		f := t.factsOf(&s.lad) // what its host shows by now
		tokens = append(append(room[:0], tokens...), f.tokens()...)
	}
	t.model.teach(s, tokens, bad, weight, t.model.delays.slow())
}

// rungsAbove are those of which the tenant is the child.
func (s *sighting) rungsAbove() []uint64 {
	n := 0
	for n < maxAbove && s.above[n] != 0 {
		n++
	}
	return s.above[:n]
}

// worth is the weight of a lesson.
func (s *sighting) worth() float64 {
	if s.weight == taintedUnit {
		return .1
	}
	return 1
}

// reported tells a sighting that its link was called bad for the first time: it
// gives back what it credited, and is a lesson.
func (t *Table) reported(url uint64, d uint16, at int64) {
	s, late := t.queue.of(url)
	if s == nil || s.flags&wasReported != 0 {
		return
	}
	s.flags |= wasReported
	t.tell(s, true)
	t.model.delays.note(at - s.at)
	if s.flags&wasCredited != 0 {
		back := entry{day: dayOf(s.at)}
		back.addGood(back.day, s.weight)
		if s.flags&wasAbove != 0 {
			for _, h := range s.rungsAbove() {
				t.takeGood(h, &back)
			}
		}
		for i, h := range s.marks {
			if s.gave&(1<<i) != 0 {
				t.takeGood(h, &back)
			}
		}
	}
	if s.flags&wasCounted != 0 {
		t.model.clean[s.kind].take(float64(s.z))
	}
	if s.flags&taughtGood != 0 {
		t.teach(s, true, s.worth()) // the step back
	}
	if !t.model.delays.slow() || late {
		t.teachBad(s, d)
	}
}

// addTo adds a good unit to a rung.
func (t *Table) addTo(h uint64, d uint16, w weight) {
	e, at := t.open(h)
	e.advance(d)
	e.addGood(d, min(w, wholeUnit))
	t.put(h, at, &e)
}

// takeGood takes a good unit out of a rung.
func (t *Table) takeGood(h uint64, back *entry) {
	if e, at := t.open(h); at.ok {
		e.subGood(back)
		t.put(h, at, &e)
	}
}
