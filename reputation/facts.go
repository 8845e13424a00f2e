package reputation

import (
	"math"
	"math/bits"
	"slices"
	"time"

	"headlight.example/evidence"
	"headlight.example/link"
)

// What visits have shown of the server of a host is an entry of its own: the facts
// of the newest visit, as tokens of the lexicon that the spelling has too, and
// weighed, learnt and bounded together with that. Each name of a fact has its
// place, so that the order in which the facts of a visit come does not matter.
//
//	word 0     tag 16 | day 16 | minute of the day 11
//	words 1–4  the places, see layout; 0 for what was not shown
//
// The tagHost entry of a host says in a bit that there is such an entry, so that
// hosts that were never visited cost nothing. What a platform's own host shows
// says nothing of a tenant and is not kept.
const (
	hasFacts = 1 << 40 // in word 0 of a tagHost entry
	minuteAt = 32
	minutes  = 1<<11 - 1
)

// layout has the place of each name: the number of its value where we know all
// values, and else the token.
var layout = func() (of [evidence.NumFacts]struct{ word, at, bits int }) {
	word, at := 1, 0
	for name := range evidence.FactName(evidence.NumFacts) {
		n := evidence.TokenBits
		if name.Closed() {
			n = bits.Len(uint(len(evidence.FactValues(name))))
		}
		if at+n > 64 {
			word, at = word+1, 0
		}
		of[name].word, of[name].at, of[name].bits = word, at, n
		at += n
	}
	return of
}()

// closedTokens are those of the facts of which we know all values.
type closedTokens [evidence.NumFacts][]uint32

func (t *Table) closedTokens() (of closedTokens) {
	for name := range evidence.FactName(evidence.NumFacts) {
		if name.Closed() {
			for _, value := range evidence.FactValues(name) {
				of[name] = append(of[name], t.factToken(evidence.FactOf(name, value)))
			}
		}
	}
	return of
}

// factsAt is the hash of the entry with the facts of a link's host. There is none
// for a tenant that is a path.
func (lad *ladder) factsAt() uint64 {
	host := lad[rungHost]
	if host == 0 {
		host = lad[rungTenant]
	}
	return evidence.Join(host, tagFacts)
}

// factToken is the token of a fact, never 0.
func (t *Table) factToken(fact evidence.Subject) uint32 {
	return max(uint32(t.hash(fact)>>(64-evidence.TokenBits)), 1)
}

// factsTime is when the facts of an entry were seen, in minutes.
func factsTime(w *[5]uint64) int64 {
	return int64(tagDay(w))*24*60 + int64(w[0]>>minuteAt&minutes)
}

// setFact puts a fact in the place of its name.
func (t *Table) setFact(w *[5]uint64, name evidence.FactName, value string) {
	p := &layout[name]
	is := t.factToken(evidence.FactOf(name, value))
	if name.Closed() {
		is = uint32(1 + slices.Index(evidence.FactValues(name), value))
	}
	w[p.word] = w[p.word]&^((1<<p.bits-1)<<p.at) | uint64(is)<<p.at
}

// fact gives the token of what stands in the place of a name, 0 if nothing does.
func (t *Table) fact(w *[5]uint64, name evidence.FactName) uint32 {
	p := &layout[name]
	is := uint32(w[p.word] >> p.at & (1<<p.bits - 1))
	if closed := t.closed[name]; is > 0 && closed != nil {
		return closed[is-1]
	}
	return is
}

// show takes in a fact of a host. Those of a visit have one time; the first fact of
// a newer visit has those of the earlier one forgotten.
func (t *Table) show(r *evidence.Record, d uint16) {
	name, value, err := evidence.ParseFact(r.Object.Key)
	l, ok := linkTo(r.Subject)
	if err != nil || !ok || l.PlatformRoot() {
		return
	}
	lad := t.climb(l)
	h := lad.factsAt()
	old, at := t.openWords(h)
	w := [5]uint64{tagFacts | uint64(d)<<16 | uint64(r.Time.Unix()%86400/60)<<minuteAt}
	if at.ok {
		switch before, now := factsTime(&old), factsTime(&w); {
		case now < before:
			return
		case now == before:
			w = old
		}
	}
	if t.setFact(&w, name, value); !at.ok || w != old {
		t.putWords(h, at, &w)
	}
	t.shown.Store(true)
	if _, isAddr := l.Addr(); isAddr {
		return
	}
	t.located.Store(true)
	h = t.key.Hash(hostKind, l.Host())
	if w, at = t.openWords(h); w[0]&hasFacts == 0 {
		if !at.ok {
			w[0] = tagHost | uint64(d)<<16
		}
		w[0] |= hasFacts
		t.putWords(h, at, &w)
	}
}

// facts are the tokens of what a host has shown, and of what each tells.
type facts struct {
	seen  int64 // in minutes
	n     int
	token [evidence.NumFacts]uint32
	name  [evidence.NumFacts]evidence.FactName
}

// factsEntry is the entry with what a host has shown, if there is one.
func (t *Table) factsEntry(lad *ladder) (w [5]uint64, ok bool) {
	w, ok = t.words(lad.factsAt())
	return w, ok && tagOf(&w) == tagFacts
}

// factsOf reads what a host has shown.
func (t *Table) factsOf(lad *ladder) (f facts) {
	w, ok := t.factsEntry(lad)
	if !ok {
		return f
	}
	f.seen = factsTime(&w)
	for name := range evidence.FactName(evidence.NumFacts) {
		if token := t.fact(&w, name); token != 0 {
			f.token[f.n], f.name[f.n] = token, name
			f.n++
		}
	}
	return f
}

// tokens are in the order of the names.
func (f *facts) tokens() []uint32 { return f.token[:f.n] }

// showing is what the facts of the host add, as far as there are any.
func (t *Table) showing(v *view) (sum float64) {
	if !v.shows {
		return 0
	}
	f := t.factsOf(&v.lad)
	return t.model.spelling(f.tokens())
}

// show weighs the facts of the host.
func (c *inquiry) show() {
	if !c.shows {
		return
	}
	f := c.t.factsOf(&c.lad)
	most := 0.
	for i := range f.n {
		w := c.t.model.spelling(f.token[i : i+1])
		c.showing += w
		if math.Abs(w) > most {
			most, c.loudest = math.Abs(w), f.name[i]
		}
	}
}

// FactWeight is what one fact of a host's server weighs.
type FactWeight struct {
	Name evidence.FactName
	// Weight is what it adds to the score of the link, in log-odds. Those of all
	// facts add up to that of the Rating with the basis Shown.
	Weight float64
}

// Facts says what the facts of the server of a link's host weigh, those of the
// newest visit, and when it was, to the minute. The table has no words: the values
// stand in the log, in the records of that minute. There are none if no visit has
// shown anything in the last 90 days.
func (t *Table) Facts(l link.Link, p *Policy, now time.Time) (list []FactWeight, seen time.Time) {
	var c inquiry
	c.open(t, l, p, now)
	if !c.shows {
		return nil, time.Time{}
	}
	c.weigh()
	f := t.factsOf(&c.lad)
	for i := range f.n {
		list = append(list, FactWeight{f.name[i], c.perToken() * t.model.spelling(f.token[i:i+1])})
	}
	if f.n > 0 {
		seen = time.Unix(f.seen*60, 0).UTC()
	}
	return list, seen
}

// Shown is when the server of a link's host was last visited, to the minute, by
// whoever's word is in the log; zero if not in the last 90 days.
func (t *Table) Shown(l link.Link) time.Time {
	if !t.shown.Load() {
		return time.Time{}
	}
	lad := t.climb(l)
	w, ok := t.factsEntry(&lad)
	if !ok {
		return time.Time{}
	}
	return time.Unix(factsTime(&w)*60, 0).UTC()
}

// perToken is what a token adds to the score for each unit of its own weight.
func (c *inquiry) perToken() float64 {
	return c.t.model.slope() * c.t.model.weight(c.f.gate, spellingAt)
}
