package reputation

import (
	"math"
	"math/bits"
	"net/netip"
	"strings"
	"time"

	"headlight.example/evidence"
	"headlight.example/link"
)

// Judge says what the table means for a link. It reads memory only, takes no
// lock, and allocates nothing; bench has what it costs with every subject out of the
// processor's caches. The zero Link is Unknown.
//
// The argument goes like this. An operator's word settles the case. A list that
// is trusted makes the links it names Dangerous, except where lists are known
// to be wrong: the names of platforms and of well-known parties. For all other
// links the rungs of the ladder (see subjects) are walked from the widest: each
// has seen so many bad and good children, and where it has seen few it believes
// the rung before it,
//
//	p = (bad + κ·p before) / (bad + good + κ)
//
// once with a memory of days and once of months. Besides, the networks of the
// host's addresses and the spelling of the link are looked at, and a model that
// the fold has trained (see model) weighs it all. The score is compared with
// the thresholds of the link's class, and with the scores of clean links of that
// class. Dangerous takes evidence of the tenant's own besides, from two groups of
// raters, and that the score is as high without the spelling and what the server
// shows: neighbours, words and servers warn, they do not block. What is left is Safe if the name is known to be
// good, and else Unknown.
func (t *Table) Judge(l link.Link, p *Policy, now time.Time) Verdict {
	v := Verdict{Link: l, Score: p.Prior}
	if l.IsZero() {
		v.Expires = now.Add(p.KeepFor(Unknown))
		return v
	}
	var c inquiry
	c.open(t, l, p, now)
	c.weigh()
	if !c.settle(&v) && !c.testPoint(&v) {
		c.decide(&v)
	}
	v.Expires = c.expires(v.Level)
	return v
}

// maxNames is how many names and paths above a URL a list may have named: its
// path, its host, four names between that and the tenant, the tenant.
const (
	maxNames   = 7
	maxParents = 4
)

// inquiry is all that is known of a link, and what follows from it.
type inquiry struct {
	view
	t   *Table
	l   link.Link
	p   *Policy
	now time.Time
	day uint16

	subject [nRungs]evidence.Subject

	names  int
	name   [maxNames]evidence.Subject // what lists may have named, narrowest first
	nameAt [maxNames]uint64
	listed [maxNames]entry

	wellKnown, root, popular bool // root: see link.Link.PlatformRoot
	bare                     bool // the link is just the host's front page

	f features
	// What each part adds to the score, in log-odds.
	weight     [nRungs]float64
	netWeight  [nNets]float64
	markWeight [nMarkers]float64
	prior      float64
	bias       float64
	spelling   float64           // of all tokens of the link
	spelt      float64           // what that adds
	showing    float64           // of the facts of its host
	shown      float64           // what that adds
	loudest    evidence.FactName // of those facts
	score      float64           // all of it
	warning    float64           // but what may not warn: what speaks against a platform
	solid      float64           // but what may not block either: neighbours and spelling

	expiry time.Time // of the anchor that settles it
}

// open looks everything up. All hashes come first, then all first loads, which
// then wait for memory together and not one after another.
func (c *inquiry) open(t *Table, l link.Link, p *Policy, now time.Time) {
	c.t, c.l, c.p, c.now = t, l, p, now
	c.day = dayOf(now.Unix())
	c.view.of(t, l)
	c.subject = subjects(l)
	for i := range c.subject {
		if c.subject[i].Kind != 0 {
			c.lad[i] = t.hash(c.subject[i])
		}
	}
	c.nameThem()
	for i := range c.names {
		c.nameAt[i] = t.key.Hash(nameKind, c.name[i].Key)
	}
	c.touch(t)
	for _, h := range c.nameAt[:c.names] {
		c.touched ^= t.touch(h)
	}
	c.root = l.PlatformRoot()
	if c.root {
		_, c.wellKnown = t.wellKnown[t.key.Hash(evidence.Tenant, l.Domain())]
	} else if l.Platform() == link.None {
		_, c.wellKnown = t.wellKnown[c.lad[rungTenant]]
	}
	if !c.wellKnown && !c.root { // else nobody asks where it is and how it is spelt
		c.place(t)
		if t.model.lexicon.Load() != nil { // else nothing is known of spelling
			c.spell()
			c.show()
		}
	}
	c.read(t, c.day)
	for i, h := range c.nameAt[:c.names] {
		c.listed[i], _ = t.get(h)
	}
	if !c.root && l.Platform() == link.None {
		tenant := &c.rung[rungTenant]
		rank := faded(tenant.rank, tenant.day, c.day)
		c.popular = rank > 0 && rank >= rankStep(p.VetoRank) && p.VetoRank > 0
	}
	c.bare = len(l.URL()) == len(l.Host())+1
}

// spell looks at how the link is spelt.
func (c *inquiry) spell() {
	var traits evidence.Traits
	c.t.key.Traits(c.l, &traits)
	c.setMarks(&traits.Markers)
	c.addNetTokens(&traits)
	c.spelling = c.t.model.spelling(traits.Tokens())
}

// nameThem gathers the names and paths around the link that a list may name.
func (c *inquiry) nameThem() {
	add := func(k evidence.Kind, key string) {
		c.name[c.names] = evidence.Subject{Kind: k, Key: key}
		c.names++
	}
	if s := c.subject[rungPath]; s.Kind != 0 {
		add(s.Kind, s.Key)
	}
	tenant := c.subject[rungTenant]
	if host := c.subject[rungHost]; host.Kind != 0 {
		add(host.Kind, host.Key)
		parent := host.Key
		for range maxParents {
			_, rest, _ := strings.Cut(parent, ".")
			if len(rest) <= len(tenant.Key) {
				break
			}
			parent = rest
			add(evidence.Host, parent)
		}
	}
	add(tenant.Kind, tenant.Key)
}

// weigh adds up what speaks for and against the link.
func (c *inquiry) weigh() {
	c.features(&c.t.model.Model, c.day, &c.f)
	m, gate, x := &c.t.model, c.f.gate, &c.f.x
	slope := m.slope()
	part := func(i, trend int) float64 {
		if x[i] == 0 && x[trend] == 0 {
			return 0
		}
		return slope * (m.weight(gate, i)*x[i] + m.weight(gate, trend)*x[trend])
	}
	c.prior = logit(c.p.Prior)
	z := c.prior
	c.bias = slope*m.weight(gate, biasAt) + m.shift()
	above := 0.
	for i, level := range levelOf {
		c.weight[i] = part(weightAt+level, trendAt+level)
		z += c.weight[i]
		if i < rungTenant {
			above += c.weight[i]
		}
	}
	for i := range c.netWeight {
		c.netWeight[i] = part(weightAt+levelNet+i, trendAt+levelNet+i)
		above += c.netWeight[i]
		z += c.netWeight[i]
	}
	spelling := 0.
	for i := range c.markWeight {
		c.markWeight[i] = part(markAt+i, markTrendAt+i)
		spelling += c.markWeight[i]
	}
	perToken := c.perToken()
	c.spelt, c.shown = perToken*c.spelling, perToken*c.showing
	spelling += c.spelt + c.shown
	z += c.bias + spelling
	if c.wellKnown || c.root {
		z += c.p.WellKnownWeight
	}
	c.score = z
	c.warning = z - max(c.weight[rungPlatform]-c.p.PlatformCap, 0)
	if c.novice {
		c.warning -= max(max(spelling, 0)+max(above, 0)-c.cap(), 0)
	}
	c.solid = c.warning - max(spelling, 0) - max(above-max(c.weight[rungPlatform], 0)-c.p.AboveCap, 0)
}

// shift is what the policy's prior adds to the model's, in log-odds.
func (c *inquiry) shift() float64 {
	if c.p.Prior == c.t.model.Root {
		return 0
	}
	return c.prior - logit(c.t.model.Root)
}

// posterior is what the plain chain down to a rung makes of the link.
func (c *inquiry) posterior(i int) float64 {
	return sigmoid(c.f.chain[i] + c.shift())
}

// settle finds the operator's word: on the URL or path, then in the policy,
// then on the names around, from the narrowest.
func (c *inquiry) settle(v *Verdict) bool {
	if c.rung[rungURL].anchored && c.anchor(v, c.lad[rungURL], c.subject[rungURL]) {
		return true
	}
	i := 0
	if c.names > 0 && c.name[0].Kind == evidence.Path {
		if c.listed[0].anchored && c.anchor(v, c.nameAt[0], c.name[0]) {
			return true
		}
		i = 1
	}
	if c.ruled(v) {
		return true
	}
	for ; i < c.names; i++ {
		if c.listed[i].anchored && c.anchor(v, c.nameAt[i], c.name[i]) {
			return true
		}
	}
	return false
}

// leastReason is the weight below which a reason is not worth a line.
const leastReason = .05

// settledOdds is the score of a settled case, in log-odds: 1 in 1000.
const settledOdds = 6.9

// anchor settles by the anchor of a child, if it still holds.
func (c *inquiry) anchor(v *Verdict, child uint64, s evidence.Subject) bool {
	a, ok := c.t.anchors.live(child, c.now)
	if !ok {
		return false
	}
	c.expiry = a.Expires
	c.close(v, a.Assertion, Reason{Subject: s, Basis: Anchored})
	return true
}

// ruled settles by the policy's own names.
func (c *inquiry) ruled(v *Verdict) bool {
	if len(c.p.Allow) == 0 && len(c.p.Deny) == 0 {
		return false
	}
	for name := c.l.Host(); ; {
		s := evidence.Subject{Kind: evidence.Host, Key: name}
		if c.p.Deny[name] {
			a := evidence.Unwanted
			if c.rung[rungURL].isBad() {
				a = threat(c.rung[rungURL].heaviest())
			}
			c.close(v, a, Reason{Subject: s, Basis: Ruled})
			return true
		}
		if c.p.Allow[name] {
			c.close(v, evidence.Benign, Reason{Subject: s, Basis: Ruled})
			return true
		}
		_, rest, ok := strings.Cut(name, ".")
		if !ok {
			return false
		}
		name = rest
	}
}

// close writes the verdict of a settled case.
func (c *inquiry) close(v *Verdict, a evidence.Assertion, r Reason) {
	v.Level, v.Threat = Dangerous, a
	r.Weight = settledOdds
	if a == evidence.Benign {
		v.Level, v.Threat = Safe, 0
		r.Weight = -settledOdds
	}
	v.Score = sigmoid(r.Weight)
	v.add(r)
}

// decide finds the level where nobody has settled the case.
func (c *inquiry) decide(v *Verdict) {
	c.explain(v)
	suspicious, dangerous := c.limits()
	score := sigmoid(c.score)
	switch {
	case c.decideByList(v, &score):
	case c.root:
		// A platform is not condemned for its tenants, nor by the lists and
		// reports that name its front page by mistake.
		if c.wellKnown && c.bare {
			v.Level = Safe
		}
	case c.solid >= dangerous && c.condemned():
		v.Level = Dangerous
	case c.warning >= suspicious && (!c.wellKnown || c.partly(c.p.OwnGroups)):
		v.Level = Suspicious
	case c.heard(v):
		v.Level = Suspicious
		score = max(score, c.p.Thresholds[c.kind].Suspicious)
	case c.safe():
		v.Level = Safe
	}
	v.Score = score
	if v.Level >= Suspicious && v.Threat == 0 {
		v.Threat = c.threat()
	}
}

// limits are the log-odds from which the link is Suspicious and Dangerous: those
// of the policy, or if they are higher those that so few clean links reach.
func (c *inquiry) limits() (suspicious, dangerous float64) {
	limits := c.p.Thresholds[c.kind]
	suspicious, dangerous = oddsOf(limits.Suspicious), oddsOf(limits.Dangerous)
	if c.p.CleanLimits {
		shift := c.shift()
		s, d := c.t.model.clean[c.kind].limits()
		suspicious, dangerous = max(suspicious, s+shift), max(dangerous, d+shift)
	}
	return suspicious, dangerous
}

// oddsOf is a threshold in log-odds; above 1 means never.
func oddsOf(p float64) float64 {
	if p > 1 {
		return math.Inf(1)
	}
	return logit(p)
}

// decideByList applies what trusted lists say of the link or of a name around it.
func (c *inquiry) decideByList(v *Verdict, score *float64) bool {
	groups, trust := c.lists(&c.rung[rungURL])
	if groups > 0 {
		found := c.enough(groups, c.subject[rungURL].Kind)
		if found > Unknown {
			c.list(v, score, found, trust, c.subject[rungURL], &c.rung[rungURL])
			return true
		}
	}
	for i := range c.names {
		groups, trust := c.lists(&c.listed[i])
		if groups == 0 {
			continue
		}
		if found := c.enough(groups, c.name[i].Kind); found > Unknown {
			c.list(v, score, found, trust, c.name[i], &c.listed[i])
			return true
		}
	}
	return false
}

// enough says what a listing by so many trusted groups makes of the link. Lists
// do name https://github.com/ and docs.google.com by mistake.
func (c *inquiry) enough(groups int, k evidence.Kind) Level {
	switch {
	case c.root, c.wellKnown && c.bare:
		return Unknown
	case k == evidence.URL || k == evidence.Path:
		if groups >= 2 || !c.wellKnown && !(c.popular && c.bare) {
			return Dangerous
		}
		if c.wellKnown {
			return Suspicious
		}
		return Unknown
	case c.wellKnown, c.popular && (k == evidence.Tenant || groups < 2):
		return Unknown
	}
	return Dangerous
}

// list writes the verdict by a list.
func (c *inquiry) list(v *Verdict, score *float64, level Level, trust float64, s evidence.Subject, e *entry) {
	v.Level = level
	v.Threat = threat(e.heaviest())
	_, slow := e.at(c.day)
	v.add(Reason{Subject: s, Basis: Listed, Weight: logit(trust), Bad: slow.bad, Good: slow.good, Raters: e.raters})
	if level == Dangerous {
		*score = max(*score, trust)
	}
}

// lists counts the trusted groups whose word on a child is still fresh, and
// gives the trust in the best of them.
func (c *inquiry) lists(e *entry) (groups int, best float64) {
	if e.raters == 0 || !e.isBad() {
		return 0, 0
	}
	fast, _ := e.at(c.day)
	if fast.bad < math.Exp2(-(float64(c.p.ListDays)+.5)/fastDays) {
		return 0, 0
	}
	names := c.t.raters.names.Load()
	for left := e.raters; left != 0; left &= left - 1 {
		trust := 0.
		for i, name := range names[bits.TrailingZeros32(left)] {
			if n := c.p.trust(name); i == 0 || n < trust {
				trust = n // of groups that share a bit, the least
			}
		}
		if trust >= c.p.ListTrust && trust > 0 {
			groups++
			best = max(best, trust)
		}
	}
	return groups, best
}

// condemned asks for the evidence without which a score is not enough: the
// tenant's own, from more than one group; and either on this URL or on so many
// others around it that the whole rung is bad. Above the path a popular name is
// spared.
func (c *inquiry) condemned() bool {
	tenant := &c.rung[rungTenant]
	if c.wellKnown || c.f.sums[rungTenant].slow.bad < c.p.OwnBad || bits.OnesCount32(tenant.raters) < c.p.OwnGroups {
		return false
	}
	if c.rung[rungURL].isBad() && !(c.popular && c.bare) {
		return true
	}
	if c.whole(rungPath, c.p.WholePathURLs) {
		return true
	}
	return !c.popular && (c.whole(rungHost, c.p.WholeURLs) || c.whole(rungTenant, c.p.WholeURLs))
}

// whole reports whether so much of a rung is bad that all of it is.
func (c *inquiry) whole(i, urls int) bool {
	e := &c.rung[i]
	return c.lad[i] != 0 && e.urls() >= urls && bits.OnesCount32(e.raters) >= c.p.OwnGroups &&
		c.posterior(i) >= c.p.WholePosterior
}

// partly reports whether the URL or its path are bad by the word of so many groups.
func (c *inquiry) partly(groups int) bool {
	return !c.bare && c.rung[rungURL].isBad() && bits.OnesCount32(c.rung[rungURL].raters) >= groups ||
		c.whole(rungPath, c.p.WholePathURLs)
}

// heard adds the reports of users.
func (c *inquiry) heard(v *Verdict) bool {
	e := &c.rung[rungURL]
	n := bits.OnesCount8(e.marks & heardMarks)
	if n == 0 || int(c.day)-int(e.day) > heardDays {
		return false
	}
	enough := c.p.Heard > 0 && n >= c.p.Heard && e.marks&voiceMark != 0 && !c.wellKnown && !c.popular
	r := Reason{Subject: c.subject[rungURL], Basis: Heard, Bad: float64(n)}
	if enough {
		r.Weight = max(oddsOf(c.p.Thresholds[c.kind].Suspicious)-c.score, 0)
	}
	v.add(r)
	return enough
}

// safe reports whether the link's name is known to be good and nothing of its
// own speaks against it.
func (c *inquiry) safe() bool {
	if c.rung[rungURL].isBad() || c.rung[rungPath].isBad() {
		return false
	}
	if c.wellKnown {
		return true
	}
	const trace = .05 // a unit of two years ago
	tenant, host := c.f.sums[rungTenant].slow, c.f.sums[rungHost].slow
	return tenant.good >= c.p.SafeGood && tenant.bad < trace && host.bad < trace
}

// threat is the heaviest of the narrowest rung of the tenant that has any; if it
// has none, that of what speaks loudest against the link. Neighbourhoods of spam
// and of phishing are different places (Moura, Bad Neighborhoods, 2013).
func (c *inquiry) threat() evidence.Assertion {
	for i := nRungs - 1; i >= rungTenant; i-- {
		if c.rung[i].isBad() {
			return threat(c.rung[i].heaviest())
		}
	}
	found, most := evidence.Phishing, 0. // users' word or spelling alone
	hear := func(w float64, e entry) {
		if e.isBad() {
			found, most = threat(e.heaviest()), w
		}
	}
	for i := range rungTenant {
		if w := c.weight[i]; w > most {
			hear(w, c.rung[i])
		}
	}
	for i, w := range c.netWeight {
		if w > most {
			e, _ := c.t.get(c.netAt[c.telling(i)][i])
			hear(w, e)
		}
	}
	for i, w := range c.markWeight {
		if w > most {
			e, _ := c.t.get(c.markAt[i])
			hear(w, e)
		}
	}
	return found
}

func threat(class int) evidence.Assertion { return evidence.Phishing + evidence.Assertion(class) }

// explain adds what moved the score to the reasons. It finds out which weigh
// most before it writes them down.
func (c *inquiry) explain(v *Verdict) {
	var top heaviest
	for i, w := range c.weight {
		top.offer(w, partRung, i)
	}
	for i, w := range c.netWeight {
		top.offer(w, partNet, i)
	}
	for i, w := range c.markWeight {
		top.offer(w, partMark, i)
	}
	top.offer(c.spelt, partSpelling, 0)
	top.offer(c.shown, partShown, 0)
	for _, x := range top.parts[:top.n] {
		switch x.part {
		case partRung:
			n := &c.f.sums[x.i].slow
			v.add(Reason{Subject: c.subject[x.i], Basis: Counts, Weight: x.weight,
				Bad: n.bad, Good: n.good, Raters: c.rung[x.i].raters})
		case partNet:
			v.add(c.netReason(int(x.i)))
		case partMark:
			n := &c.mark[x.i].slow
			v.add(Reason{Marker: Marker(x.i + 1), Basis: Alike, Weight: x.weight, Bad: n.bad, Good: n.good})
		case partSpelling:
			v.add(Reason{Basis: Spelling, Weight: x.weight})
		case partShown:
			v.add(Reason{Basis: Shown, Fact: c.loudest, Weight: x.weight})
		}
	}
	if c.wellKnown || c.root {
		v.add(Reason{Subject: c.subject[rungTenant], Basis: WellKnown, Weight: c.p.WellKnownWeight})
	}
}

// heaviest keeps the parts of a score that weigh most, heaviest first.
type heaviest struct {
	parts [MaxReasons]weighed
	n     int
}

type weighed struct {
	weight  float64
	part, i uint8
}

const (
	partRung = iota
	partNet
	partMark
	partSpelling
	partShown
)

func (h *heaviest) offer(w float64, part, i int) {
	if math.Abs(w) < leastReason {
		return
	}
	at := h.n
	for at > 0 && math.Abs(h.parts[at-1].weight) < math.Abs(w) {
		at--
	}
	if at == MaxReasons {
		return
	}
	h.n = min(h.n+1, MaxReasons)
	copy(h.parts[at+1:h.n], h.parts[at:])
	h.parts[at] = weighed{w, uint8(part), uint8(i)}
}

// telling is the address of which a kind of network says most.
func (c *inquiry) telling(net int) (most int) {
	for a := range c.nroutes {
		if math.Abs(c.f.net[a][net]) > math.Abs(c.f.net[most][net]) {
			most = a
		}
	}
	return most
}

// netReason is that of a kind of network, as the address shows it that says most.
func (c *inquiry) netReason(i int) Reason {
	most := c.telling(i)
	n, at := &c.net[most][i].slow, &c.route[most]
	r := Reason{Basis: Counts, Weight: c.netWeight[i], Bad: n.bad, Good: n.good}
	switch i {
	case netAS:
		r.AS = at.as
	case netPrefix:
		r.Net = at.prefix
	case netSubnet:
		r.Net, _ = at.addr.Prefix(evidence.SubnetBits(at.addr))
	case netAddr:
		r.Net = netip.PrefixFrom(at.addr, at.addr.BitLen())
	}
	r.net = uint8(i + 1)
	return r
}

func (c *inquiry) expires(l Level) time.Time {
	at := c.now.Add(c.p.KeepFor(l))
	if !c.expiry.IsZero() && c.expiry.Before(at) {
		return c.expiry
	}
	return at
}

// add puts a reason in its place, heaviest first; the lightest falls out.
func (v *Verdict) add(r Reason) {
	i := v.nreasons
	for i > 0 && math.Abs(v.reasons[i-1].Weight) < math.Abs(r.Weight) {
		i--
	}
	if i == MaxReasons {
		return
	}
	v.nreasons = min(v.nreasons+1, MaxReasons)
	copy(v.reasons[i+1:v.nreasons], v.reasons[i:])
	v.reasons[i] = r
}
