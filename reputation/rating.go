package reputation

import (
	"math"
	"math/bits"
	"strings"
	"time"

	"headlight.example/evidence"
	"headlight.example/link"
)

// Rating is what the table holds of one subject, for people to read.
type Rating struct {
	// Subject is what is rated; zero if Basis is Alike, Spelling, Shown or Usual.
	Subject evidence.Subject
	// Basis is Counts for a rung, Alike for a marker; Spelling, Shown, Usual and
	// WellKnown are parts of a score that rest on no counts of their own.
	Basis  Basis
	Marker Marker
	// Known is false if the table holds nothing of it.
	Known bool
	// Bad and Good are units as of now, in the memory of days (half-life 7) and
	// that of months (180): days on which a URL or, above the tenant, a tenant
	// below it was bad or good. Popularity counts into Good of a tenant.
	Fast, Slow struct{ Bad, Good float64 }
	// Threats is Slow.Bad by class, from evidence.Phishing to evidence.Spam.
	Threats [4]float64
	// URLs is how many distinct URLs below it were bad; 15 means at least 15.
	URLs int
	// Raters are the groups with a bad word of it or of what is below, as bits:
	// see Table.RaterNames. Listed are those that named it itself.
	Raters, Listed uint32
	// Heard is how many groups of users at least reported it of late.
	Heard int
	// Appealed: somebody asked for a review and nobody answered yet.
	Appealed bool
	// Anchor is the operator's word on it, nil if there is none that holds.
	Anchor *Anchor
	// WellKnown: it is in the list compiled in. Popularity is 0 to 1 on the
	// logarithm of the rank: 1 for the first, 0 for the millionth and all behind.
	WellKnown  bool
	Popularity float64
	// Posterior is the probability that a link is bad of which just the rungs
	// down to this one are known; Weight is what this rung adds to it, in log-odds.
	Posterior, Weight float64
	// Newest is the day on which anything was last counted.
	Newest time.Time
}

// Rate says what the table holds of a subject. It returns a Rating that is not
// Known for kinds that are on no ladder and for keys that no link has.
func (t *Table) Rate(s evidence.Subject, p *Policy, now time.Time) Rating {
	named := s
	if s.Kind == evidence.Suffix {
		named = evidence.Subject{Kind: evidence.Host, Key: "any." + s.Key}
	}
	if s.Kind == evidence.URL && strings.HasPrefix(s.Key, "#") {
		return t.rateSealed(s, p, now)
	}
	if h, ok := t.hashSubject(s); ok {
		return t.rateNet(s, h, now)
	}
	l, ok := linkTo(named)
	if !ok {
		return Rating{Subject: s}
	}
	var c inquiry
	c.open(t, l, p, now)
	on := c.rungOf(s)
	c.weigh()
	return c.rate(on, s)
}

// rateNet rates a network. What it adds to a score depends on the link, so Weight
// is 0 and Posterior NaN.
func (t *Table) rateNet(s evidence.Subject, h uint64, now time.Time) Rating {
	r := Rating{Subject: s, Basis: Counts, Posterior: math.NaN()}
	if e, ok := t.get(h); ok {
		r.Known = true
		r.count(&e, dayOf(now.Unix()))
	}
	return r
}

// rateSealed rates a URL of which only the hash is known. What lies around it
// cannot be told from that, so Posterior and Weight are those of its own counts.
func (t *Table) rateSealed(s evidence.Subject, p *Policy, now time.Time) Rating {
	c := inquiry{t: t, p: p, now: now, day: dayOf(now.Unix())}
	c.subject[rungURL], c.lad[rungURL] = s, t.hash(s)
	c.rung[rungURL], _ = t.get(c.lad[rungURL])
	c.weigh()
	return c.rate(rungURL, s)
}

// rungOf finds the rung that is a subject, or -1.
func (c *inquiry) rungOf(s evidence.Subject) int {
	if c.root && (s.Kind == evidence.Domain || s.Kind == evidence.Host) {
		// The platform itself, as its tenants see it.
		c.subject[rungPlatform], c.lad[rungPlatform] = s, c.t.hash(s)
		c.rung[rungPlatform], _ = c.t.get(c.lad[rungPlatform])
		return rungPlatform
	}
	for i := nRungs - 1; i >= 0; i-- {
		if on := c.subject[i]; on == s {
			return i
		}
	}
	switch s.Kind {
	case evidence.Addr:
		return rungTenant
	case evidence.Host, evidence.Domain:
		if c.subject[rungTenant].Key == s.Key {
			return rungTenant
		}
	}
	return -1
}

// Explain gives all that the score of a link rests on: what is usual, then the
// rungs from the widest to the URL itself, then what it has in common with
// others. The weights add up to the score, in log-odds. (What lists, users and
// operators say of the link stands above the score.)
func (t *Table) Explain(l link.Link, p *Policy, now time.Time) []Rating {
	var c inquiry
	c.open(t, l, p, now)
	c.weigh()
	parts := []Rating{{Basis: Usual, Known: true, Posterior: p.Prior, Weight: logit(p.Prior) + c.bias}}
	for i, s := range c.subject {
		if i == rungPlatform && !c.isPlatform() {
			parts = c.appendNets(parts)
		}
		if s.Kind != 0 {
			parts = append(parts, c.rate(i, s))
		}
	}
	for i, h := range c.markAt {
		if e, ok := t.get(h); ok {
			r := Rating{Basis: Alike, Marker: Marker(i + 1), Known: true, Posterior: math.NaN(), Weight: c.markWeight[i]}
			r.count(&e, c.day)
			parts = append(parts, r)
		}
	}
	if c.spelt != 0 {
		parts = append(parts, Rating{Basis: Spelling, Known: true, Posterior: math.NaN(), Weight: c.spelt})
	}
	if c.shown != 0 {
		parts = append(parts, Rating{Basis: Shown, Known: true, Posterior: math.NaN(), Weight: c.shown})
	}
	if c.wellKnown || c.root {
		parts = append(parts, Rating{Basis: WellKnown, Subject: c.subject[rungTenant], Known: true, Posterior: math.NaN(), Weight: p.WellKnownWeight})
	}
	return parts
}

// appendNets adds the networks of the host's addresses: of each kind the one
// that says most.
func (c *inquiry) appendNets(parts []Rating) []Rating {
	if c.nroutes == 0 {
		return parts
	}
	for i := range nNets {
		reason := c.netReason(i)
		r := Rating{Subject: reason.About(), Basis: Counts, Posterior: math.NaN(), Weight: c.netWeight[i]}
		if e, ok := c.t.get(c.netAt[c.telling(i)][i]); ok {
			r.Known = true
			r.count(&e, c.day)
		}
		if r.Known || r.Weight != 0 {
			parts = append(parts, r)
		}
	}
	return parts
}

// rate writes down rung i, or if that is −1 a name that is no rung of its own.
func (c *inquiry) rate(i int, s evidence.Subject) Rating {
	r := Rating{Subject: s, Basis: Counts, Posterior: c.p.Prior}
	if i >= 0 {
		e := &c.rung[i]
		r.Known = e.day != 0
		r.Posterior, r.Weight = c.posterior(i), c.weight[i]
		r.count(e, c.day)
		if i == rungTenant && c.l.Platform() == link.None {
			g := rankGood(faded(e.rank, e.day, c.day))
			r.Fast.Good += g
			r.Slow.Good += g
		}
	}
	if s.Kind == evidence.URL {
		r.word(c, c.lad[rungURL])
		return r
	}
	l, ok := linkTo(s)
	name := s.Key
	if ok && s.Kind != evidence.Path {
		name = nameOf(s.Kind, l)
	}
	r.word(c, c.t.key.Hash(nameKind, name))
	if s.Kind == evidence.Tenant || s.Kind == evidence.Domain {
		_, r.WellKnown = c.t.wellKnown[c.t.key.Hash(evidence.Tenant, s.Key)]
	}
	return r
}

// count takes over the sums of an entry.
func (r *Rating) count(e *entry, day uint16) {
	fast, slow := e.at(day)
	r.Fast.Bad, r.Fast.Good = fast.bad, fast.good
	r.Slow.Bad, r.Slow.Good = slow.bad, slow.good
	q := landmark(e.day, slowDays)
	for k := range r.Threats {
		r.Threats[k] = value(e.slow[k], q, slowPow, max(day, e.day))
	}
	r.Raters = e.raters
	if !e.child {
		r.URLs = e.urls()
		r.Popularity = float64(faded(e.rank, e.day, day)) / maxRank
	}
	if e.day != 0 {
		r.Newest = time.Unix(int64(e.day)*86400, 0).UTC()
	}
}

// word takes over what was said of the subject itself.
func (r *Rating) word(c *inquiry, child uint64) {
	e, ok := c.t.get(child)
	if !ok {
		return
	}
	r.Known = true
	r.Listed = e.raters
	r.Raters |= e.raters
	r.Appealed = e.appealed
	if int(c.day)-int(e.day) <= heardDays {
		r.Heard = bits.OnesCount8(e.marks & heardMarks)
	}
	if a, ok := c.t.anchors.live(child, c.now); ok && e.anchored {
		r.Anchor = &a
	}
	if day := time.Unix(int64(e.day)*86400, 0).UTC(); day.After(r.Newest) && e.day != 0 {
		r.Newest = day
	}
}

// Share is the part of bad in the memory of months, NaN if nothing was counted.
func (r *Rating) Share() float64 {
	if n := r.Slow.Bad + r.Slow.Good; n > 0 {
		return r.Slow.Bad / n
	}
	return math.NaN()
}
