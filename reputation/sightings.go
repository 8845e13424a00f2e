package reputation

// A sighting says only that a link was seen. It becomes a good unit, of the day
// on which it was seen, when for sightingDelay nobody called the link bad: when
// nobody ever says that a link is good, silence is all there is to divide by
// (MODEL.md §6). What is good by silence is worth less where the host was bad
// of late, and a link that is reported after all gives its good units back.
//
// At most maxSightings a tenant and day are taken in, the first ones, and a URL
// once a day. So which sightings count depends on their order in the log.
//
// BUG(headlight): the delay is fixed. Where reports come within minutes it
// could be shorter, where they come after days it should be longer: it ought to
// follow the delay that is seen between sightings and reports.
type sightings struct {
	ring []sighting // of a power of two, or nil
	head int        // the oldest
	n    int
}

type sighting struct {
	at  int64 // Unix seconds
	lad ladder
}

const (
	sightingDelay = 6 * 3600 // seconds
	// maxQueue bounds what waits: 59 MB. More sightings than that in six hours
	// are not taken in, and nothing is lost but some of the denominator.
	maxQueue = 1 << 20
	taint    = .3 // fast bad units on the host
)

func (q *sightings) full() bool { return q.n >= maxQueue }

func (q *sightings) push(s sighting) {
	if q.n == len(q.ring) {
		ring := make([]sighting, max(2*len(q.ring), 64))
		for i := range q.n {
			ring[i] = *q.peek(i)
		}
		q.ring, q.head = ring, 0
	}
	q.ring[(q.head+q.n)&(len(q.ring)-1)] = s
	q.n++
}

// peek is the i-th from the oldest.
func (q *sightings) peek(i int) *sighting { return &q.ring[(q.head+i)&(len(q.ring)-1)] }

func (q *sightings) pop() sighting {
	s := *q.peek(0)
	q.head = (q.head + 1) & (len(q.ring) - 1)
	if q.n--; q.n == 0 {
		q.ring, q.head = nil, 0
	}
	return s
}

// sight takes in a sighting of day d.
func (t *Table) sight(lad *ladder, d uint16, at int64) {
	if t.queue.full() {
		return
	}
	tenant, tenantAt := t.open(lad[rungTenant])
	tenant.advance(d)
	child, childAt := t.open(lad[rungURL])
	child.child = true
	child.advance(d)
	if child.day-d >= windowDays || child.good&(1<<(child.day-d)) != 0 || !tenant.takeSighting(d) {
		return
	}
	child.markGood(d)
	t.put(lad[rungTenant], tenantAt, &tenant)
	t.put(lad[rungURL], childAt, &child)
	t.queue.push(sighting{at, *lad})
}

// mature counts the sightings that nobody contradicted in time.
func (t *Table) mature(now int64) {
	for t.queue.n > 0 && t.queue.peek(0).at+sightingDelay <= now {
		s := t.queue.pop()
		if child, ok := t.get(s.lad[rungURL]); ok && child.isBad() {
			continue
		}
		host := s.lad[rungHost]
		if host == 0 {
			host = s.lad[rungTenant]
		}
		w := wholeUnit
		if e, ok := t.get(host); ok {
			if fast, _ := e.at(dayOf(now)); fast.bad > taint {
				w = taintedUnit
			}
		}
		t.credit(s.lad[rungURL], &s.lad, dayOf(s.at), w)
	}
}
