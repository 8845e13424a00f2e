package reputation

import (
	"cmp"
	"encoding/binary"
	"maps"
	"math"
	"slices"
	"strings"
	"sync/atomic"
	"unique"

	"headlight.example/evidence"
)

// A user's word weighs what his earlier words have earned (MODEL.md §7). What
// he said is kept as a claim until somebody settles it whom he cannot be: an
// operator, or a list that names the same subject or the host or tenant around
// it. Our own verdicts settle nothing. Then each of those who had spoken is
// confirmed or refuted, once, and his trust is
//
//	τ ~ Beta(2 + confirmed, 2 + refuted)      voice = clamp(2·(mean − sd − ½), 0, 1)
//
// with a half-life of 30 days: Zheleva et al., Trusting spam reporters (TOIS
// 2008), with a lower bound for a mean, so that who is not known has no voice
// at all. There is no floor: forty times a small one would be a large one.
//
// Those who speak after the case is settled earn nothing, or they would copy a
// list and rise with it. That a link is harmless earns nothing either: of two
// halves of a ring one could rise by contradicting the other. It can cost.
//
// The voices of a group add up to one at most, and groups add up. From half of a
// whole voice on a link is suspicious (see Policy.Heard); a whole one is a unit
// of evidence by the groups behind it.
//
// What is open, here and as appeals, is what a reviewer has to look at:
// [Table.Reviews].
//
// The order of the log decides who spoke first. All else is integers, so that
// every machine comes to the same voices.
type trust struct {
	reporters map[string]*reporter
	claims    map[uint64]*claim // by child

	// What follows from the claims.
	under map[uint64]map[uint64]struct{} // name (its child) → children of the claims below it
	open  map[unique.Handle[string]]int  // claims by reporter
	bytes int

	dropped atomic.Uint64 // open claims that fell out for want of room, since the start
}

// reporter is the record of a user: both sums are forward-decayed as those of
// an entry, with a landmark of their own.
type reporter struct {
	day                uint16
	confirmed, refuted uint32
}

// claim is what users say of one child, and who asks for a review of it.
type claim struct {
	subject  evidence.Subject
	names    [2]uint64 // of the host and the tenant around a URL, as children; or 0
	settled  evidence.Assertion
	day      uint16   // of the log, when anything last happened here
	reports  []report // by rater
	first    int64    // Unix seconds; 0: no report
	last     int64
	appealed [2]int64 // the first and the last appeal; 0: none
}

type report struct {
	rater     unique.Handle[string]
	assertion evidence.Assertion // a threat or Benign
	day       uint16             // of the log, when he last said so
}

const (
	trustDays  = 30
	trustPrior = 2 // of each: new ones are taken for no better than a coin
	// refutedUnit is what one wrong word costs, in confirmations. A false alarm
	// harms somebody who cannot defend himself, and who reports as many good
	// sites as bad ones is of no use.
	refutedUnit = reviewUnit
	// maxConfirmed and maxRefuted bound a record, in cases. Beyond 25 nobody
	// is more credible, only slower to lose it: a hundred copied reports would
	// pay for a day of smears.
	maxConfirmed, maxRefuted = 25, 1000

	wholeVoice = 1 << 16
	halfVoice  = wholeVoice / 2

	claimDays  = 30 // an unsettled report, and what is settled, is kept for so long
	appealDays = 90

	// Bounds. What falls out first: settled claims, then those of one reporter,
	// the oldest of them. 32 voices are more than a unit takes.
	maxReporters  = 1 << 16
	maxClaims     = 1 << 16
	maxClaimBytes = 32 << 20
	maxReports    = 32      // in a claim; a stronger voice replaces a weaker
	maxOpen       = 1 << 10 // claims of one reporter; what he says beyond is not weighed

	claimBytes, reportBytes = 200, 80 // in memory, about, without keys and names
)

var (
	trustUnit = unitTables(trustDays)
	trustPow  = func() (t [trustDays]uint64) { // 2^(20 − r/30)
		for r := range t {
			t[r] = uint64(math.Round(math.Exp2(20 - float64(r)/trustDays)))
		}
		return t
	}()
)

func (r *reporter) advance(day uint16) {
	if day > r.day {
		n := landmark(r.day, trustDays) - landmark(day, trustDays)
		r.confirmed, r.refuted = shift(r.confirmed, n), shift(r.refuted, n)
		r.day = day
	}
}

// settle counts a case that was settled on a day of the log.
func (r *reporter) settle(right bool, day uint16) {
	r.advance(day)
	q := landmark(r.day, trustDays)
	if right {
		one := unit(trustUnit[wholeUnit], day, q)
		r.confirmed = min(r.confirmed+one, maxConfirmed*one)
	} else {
		one := unit(trustUnit[refutedUnit], day, q)
		r.refuted = min(r.refuted+one, maxRefuted*one)
	}
}

// count is a sum in 1024ths as of a day.
func (r *reporter) count(sum uint32, today uint16) uint64 {
	n := int(today)/trustDays - landmark(r.day, trustDays)
	if n > 48 {
		return 0
	}
	return uint64(sum) * trustPow[today%trustDays] >> (15 + n) // scale is 2^5: 20 + 5 − 10
}

// voice is the weight of his word, in 65536ths.
func (r *reporter) voice(today uint16) int {
	if r == nil {
		return 0
	}
	today = max(today, r.day)
	const one = 1 << 10
	a := trustPrior*one + r.count(r.confirmed, today)
	n := a + trustPrior*one + r.count(r.refuted, today)
	mean := a << 16 / n
	variance := mean * (1<<16 - mean) << 10 / (n + one) // of a Beta distribution, times 2^32
	sd := int(math.Sqrt(float64(variance)))             // below 2^53, and IEEE 754 rounds roots correctly
	return min(max(2*(int(mean)-sd-1<<15), 0), wholeVoice)
}

// hear takes in a user's word.
func (t *Table) hear(tg *target, r *evidence.Record, d uint16, at int64) {
	child := tg.child
	e, p := t.open(child)
	if !r.Assertion.Threat() {
		t.unsay(tg, r, at)
		return
	}
	e.child = true
	e.advance(d)
	e.marks |= heardBit(evidence.Group(r.Rater), 0)
	total, voices := 0, uint32(0)
	if c := t.note(child, &e, r, at); c != nil {
		e.marks |= c.heard()
		total, voices = t.trust.weigh(c, t.clock.day())
	}
	if total >= halfVoice {
		e.marks |= voiceMark
	}
	t.put(child, p, &e)
	if total < wholeVoice || t.trust.reporters[r.Rater].voice(t.clock.day()) == 0 {
		return
	}
	for ; voices != 0; voices &= voices - 1 {
		t.condemn(tg, class(r.Assertion), d, at, voices&-voices)
	}
}

// note puts a user's word into the claim on a child. It returns nil if it is
// not to be weighed: he has said so before, or the case is settled.
func (t *Table) note(child uint64, e *entry, r *evidence.Record, at int64) *claim {
	tr, today := &t.trust, t.clock.day()
	if r.Subject.Kind == evidence.Sealed || t.isSettled(e) {
		return nil // of a sealed one nobody could tell what it is
	}
	c := tr.claims[child]
	if c == nil || len(c.reports) == 0 {
		names := t.namesAround(r.Subject)
		if t.nameSettled(names) {
			return nil
		}
		c = tr.claim(child, r.Subject, names)
	}
	if c.settled != 0 || !tr.add(c, r, today) {
		if len(c.reports) == 0 && !c.isOpen() {
			tr.drop(child, c)
		}
		return nil
	}
	c.day, c.last = today, max(c.last, at)
	if c.first == 0 || at < c.first {
		c.first = at
	}
	tr.bound(child)
	return c
}

// unsay takes in a user's word that speaks for a child: Benign, or Retracted. If
// he called it bad before and the case is open, a unit that rested on that goes.
func (t *Table) unsay(tg *target, r *evidence.Record, at int64) {
	child := tg.child
	e, p := t.open(child)
	c := t.trust.claims[child]
	turned := c != nil && c.settled == 0 && c.callsBad(r.Rater)
	switch {
	case r.Assertion == evidence.Benign:
		c = t.note(child, &e, r, at)
	case r.Assertion == evidence.Retracted && c != nil && c.settled == 0:
		t.trust.remove(child, c, r.Rater)
	}
	if !turned || c == nil || !p.ok {
		return
	}
	total, voices := t.trust.weigh(c, t.clock.day())
	if e.marks = c.heard(); total >= halfVoice {
		e.marks |= voiceMark
	}
	t.put(child, p, &e)
	if total < wholeVoice {
		voices = 0
	}
	for gone := e.raters & userBits &^ voices; gone != 0; gone &= gone - 1 {
		t.retract(tg, gone&-gone)
	}
}

// isSettled reports whether an operator or a list spoke of a child.
func (t *Table) isSettled(e *entry) bool { return e.anchored || e.raters&^userBits != 0 }

func (t *Table) nameSettled(names [2]uint64) bool {
	for _, h := range names {
		if e, ok := t.get(h); h != 0 && ok && t.isSettled(&e) {
			return true
		}
	}
	return false
}

// namesAround are the host and the tenant of a URL, under which a list or an
// operator may speak of it. A host of many tenants is no such name: lists do
// name those, by mistake.
func (t *Table) namesAround(s evidence.Subject) (names [2]uint64) {
	l, ok := linkTo(s)
	if s.Kind != evidence.URL || !ok {
		return names
	}
	names[1] = t.key.Hash(nameKind, l.Tenant())
	if l.Host() != l.Tenant() && strings.IndexByte(l.Tenant(), '/') < 0 {
		names[0] = t.key.Hash(nameKind, l.Host())
	}
	return names
}

// noteAppeal keeps an appeal for the reviewers.
func (t *Table) noteAppeal(child uint64, s evidence.Subject, at int64) {
	if s.Kind == evidence.Sealed {
		return
	}
	c := t.trust.claims[child]
	if c == nil {
		c = t.trust.claim(child, s, t.namesAround(s))
	}
	c.day = t.clock.day()
	if c.appealed[0] == 0 || at < c.appealed[0] {
		c.appealed[0] = at
	}
	c.appealed[1] = max(c.appealed[1], at)
}

// settle gives the word of a list or an operator to those who spoke of the same
// child, or of URLs below the name that it is. An operator's word answers
// appeals as well; Retracted by an operator sends the case away unsettled.
func (t *Table) settle(child uint64, r *evidence.Record, operator bool) {
	today := t.clock.day()
	t.trust.settle(child, r.Assertion, operator, today)
	switch {
	case r.Assertion == evidence.Retracted && operator:
		if e, p := t.open(child); p.ok && e.appealed {
			e.appealed = false
			t.put(child, p, &e)
		}
	case r.Assertion.Threat(), r.Assertion == evidence.Benign:
		if below := t.trust.under[child]; len(below) > 0 {
			for _, h := range slices.Sorted(maps.Keys(below)) {
				t.trust.settle(h, r.Assertion, operator, today)
			}
		}
	}
}

func (tr *trust) settle(child uint64, a evidence.Assertion, operator bool, today uint16) {
	c := tr.claims[child]
	if c == nil {
		return
	}
	if operator {
		c.appealed = [2]int64{}
	}
	bad := a.Threat()
	switch {
	case !bad && a != evidence.Benign:
		if operator && a == evidence.Retracted {
			tr.drop(child, c)
		}
	case len(c.reports) == 0:
		if c.appealed[0] == 0 {
			tr.drop(child, c)
		}
	case c.settled == 0, operator && c.settled.Threat() != bad: // an operator may overrule a list
		for _, rep := range c.reports {
			if right := rep.assertion.Threat() == bad; !right || bad {
				tr.reporter(rep.rater.Value(), today).settle(right, today)
			}
		}
		c.settled, c.day = a, today
	}
}

// weigh adds up the voices that call a child bad, and gives the bits of the
// groups behind them: those with half a voice at least, or the strongest.
func (tr *trust) weigh(c *claim, today uint16) (total int, voices uint32) {
	var groups [maxReports]struct {
		name  string
		voice int
	}
	n := 0
	for _, rep := range c.reports {
		if !rep.assertion.Threat() {
			continue
		}
		voice := tr.reporters[rep.rater.Value()].voice(today)
		if voice == 0 {
			continue
		}
		group, i := evidence.Group(rep.rater.Value()), 0
		for i < n && groups[i].name != group {
			i++
		}
		groups[i].name, n = group, max(n, i+1)
		groups[i].voice = min(groups[i].voice+voice, wholeVoice)
	}
	strongest := 0
	for i, g := range groups[:n] {
		total += g.voice
		if g.voice >= halfVoice {
			voices |= userBit(g.name, voices)
		}
		if g.voice > groups[strongest].voice {
			strongest = i
		}
	}
	if n > 0 && voices == 0 {
		voices = userBit(groups[strongest].name, 0)
	}
	return total, voices
}

// claim makes the claim on a child.
func (tr *trust) claim(child uint64, s evidence.Subject, names [2]uint64) *claim {
	if tr.claims == nil {
		tr.claims = make(map[uint64]*claim)
		tr.under = make(map[uint64]map[uint64]struct{})
		tr.open = make(map[unique.Handle[string]]int)
	}
	c := tr.claims[child]
	if c == nil {
		s.Key = strings.Clone(s.Key) // it may be a part of a whole message
		c = &claim{subject: s, names: names}
		tr.insert(child, c)
	}
	return c
}

// insert puts a claim in its place, and makes room.
func (tr *trust) insert(child uint64, c *claim) {
	tr.claims[child] = c
	tr.bytes += claimBytes + len(c.subject.Key)
	for _, h := range c.names {
		if h == 0 {
			continue
		}
		if tr.under[h] == nil {
			tr.under[h] = make(map[uint64]struct{})
		}
		tr.under[h][child] = struct{}{}
	}
	for _, rep := range c.reports {
		tr.count(rep.rater, 1)
	}
	tr.bound(child)
}

// bound makes room if the claims take too much, but not of the one on keep.
func (tr *trust) bound(keep uint64) {
	if len(tr.claims) > maxClaims || tr.bytes > maxClaimBytes {
		tr.makeRoom(keep)
	}
}

func (tr *trust) count(rater unique.Handle[string], n int) {
	tr.bytes += n * reportBytes
	if tr.open[rater] += n; tr.open[rater] == 0 {
		delete(tr.open, rater)
	}
}

// drop forgets a claim.
func (tr *trust) drop(child uint64, c *claim) {
	delete(tr.claims, child)
	tr.bytes -= claimBytes + len(c.subject.Key)
	for _, h := range c.names {
		if delete(tr.under[h], child); len(tr.under[h]) == 0 {
			delete(tr.under, h)
		}
	}
	for _, rep := range c.reports {
		tr.count(rep.rater, -1)
	}
}

// makeRoom drops an eighth of the claims, but not the one on keep.
func (tr *trust) makeRoom(keep uint64) {
	rank := func(c *claim) int { // the lowest go first
		switch {
		case !c.isOpen():
			return 0
		case c.appealed[0] != 0:
			return 3
		case len(c.reports) > 1:
			return 2
		}
		return 1
	}
	type place struct {
		child uint64
		*claim
	}
	all := make([]place, 0, len(tr.claims))
	for h, c := range tr.claims {
		all = append(all, place{h, c})
	}
	slices.SortFunc(all, func(a, b place) int {
		return cmp.Or(cmp.Compare(rank(a.claim), rank(b.claim)), cmp.Compare(a.day, b.day), cmp.Compare(a.child, b.child))
	})
	for _, x := range all {
		if len(tr.claims) <= maxClaims*7/8 && tr.bytes <= maxClaimBytes*7/8 {
			return
		}
		if x.child == keep {
			continue
		}
		if x.isOpen() {
			tr.dropped.Add(1)
		}
		tr.drop(x.child, x.claim)
	}
}

func byRater(rep report, rater string) int { return strings.Compare(rep.rater.Value(), rater) }

// add puts a report into a claim. It returns false if it was there, or if there
// is no room for it.
func (tr *trust) add(c *claim, r *evidence.Record, today uint16) bool {
	i, said := slices.BinarySearchFunc(c.reports, r.Rater, byRater)
	if said {
		rep := &c.reports[i]
		if rep.day == today && rep.assertion.Threat() == r.Assertion.Threat() {
			return false
		}
		rep.assertion, rep.day = r.Assertion, today
		return true
	}
	rep := report{unique.Make(r.Rater), r.Assertion, today}
	if tr.open[rep.rater] >= maxOpen {
		return false
	}
	if len(c.reports) == maxReports {
		voice := func(rep report) int { return tr.reporters[rep.rater.Value()].voice(today) }
		least := 0
		for j := range c.reports {
			if voice(c.reports[j]) < voice(c.reports[least]) {
				least = j
			}
		}
		if voice(rep) <= voice(c.reports[least]) {
			return false
		}
		tr.count(c.reports[least].rater, -1)
		c.reports = slices.Delete(c.reports, least, least+1)
		if least < i {
			i--
		}
	}
	c.reports = slices.Insert(c.reports, i, rep)
	tr.count(rep.rater, 1)
	return true
}

// remove takes a report out of a claim, and drops the claim with its last one.
func (tr *trust) remove(child uint64, c *claim, rater string) {
	if i, said := slices.BinarySearchFunc(c.reports, rater, byRater); said {
		tr.count(c.reports[i].rater, -1)
		c.reports = slices.Delete(c.reports, i, i+1)
		if !c.isOpen() {
			tr.drop(child, c)
		}
	}
}

// callsBad reports whether a user does.
func (c *claim) callsBad(rater string) bool {
	i, said := slices.BinarySearchFunc(c.reports, rater, byRater)
	return said && c.reports[i].assertion.Threat()
}

// heard gives the marks of the groups that call the child bad.
func (c *claim) heard() (marks uint8) {
	var groups []string
	for _, rep := range c.reports {
		if g := evidence.Group(rep.rater.Value()); rep.assertion.Threat() && !slices.Contains(groups, g) {
			groups = append(groups, g)
			marks |= heardBit(g, marks)
		}
	}
	return marks
}

// isOpen reports whether somebody has yet to look at it.
func (c *claim) isOpen() bool { return c.settled == 0 && len(c.reports) > 0 || c.appealed[0] != 0 }

// reporter gives the record of a user, a new one if need be.
func (tr *trust) reporter(rater string, today uint16) *reporter {
	if r := tr.reporters[rater]; r != nil {
		return r
	}
	if tr.reporters == nil {
		tr.reporters = make(map[string]*reporter)
	}
	if len(tr.reporters) >= maxReporters {
		record := func(name string) uint64 {
			r := tr.reporters[name]
			return r.count(r.confirmed, max(today, r.day)) + r.count(r.refuted, max(today, r.day))
		}
		all := slices.SortedFunc(maps.Keys(tr.reporters), func(a, b string) int {
			return cmp.Or(cmp.Compare(record(a), record(b)), strings.Compare(a, b))
		})
		for _, name := range all[:maxReporters/8] {
			delete(tr.reporters, name)
		}
	}
	r := new(reporter)
	tr.reporters[rater] = r
	return r
}

// forget drops what is too old as of a day: reports, claims, and records of
// which less than an eighth of a case is left.
func (tr *trust) forget(today uint16) {
	for child, c := range tr.claims {
		if today-min(c.day, today) > appealDays {
			c.appealed = [2]int64{}
		}
		c.reports = slices.DeleteFunc(c.reports, func(rep report) bool {
			old := today-min(max(rep.day, c.settledDay()), today) > claimDays
			if old {
				tr.count(rep.rater, -1)
			}
			return old
		})
		if len(c.reports) == 0 && c.appealed[0] == 0 {
			tr.drop(child, c)
		}
	}
	for name, r := range tr.reporters {
		if day := max(today, r.day); r.count(r.confirmed, day)+r.count(r.refuted, day) < 1<<10/8 {
			delete(tr.reporters, name)
		}
	}
}

// settledDay is when the claim was settled, 0 if it is not.
func (c *claim) settledDay() uint16 {
	if c.settled == 0 {
		return 0
	}
	return c.day
}

// append writes it all, in order of names and children.
func (tr *trust) append(b []byte) []byte {
	u64 := binary.LittleEndian.AppendUint64
	b = u64(b, uint64(len(tr.reporters)))
	for _, name := range slices.Sorted(maps.Keys(tr.reporters)) {
		r := tr.reporters[name]
		b = u64(b, uint64(r.day))
		b = u64(b, uint64(r.confirmed)|uint64(r.refuted)<<32)
		b = appendText(b, name)
	}
	b = u64(b, uint64(len(tr.claims)))
	for _, h := range slices.Sorted(maps.Keys(tr.claims)) {
		c := tr.claims[h]
		b = u64(u64(u64(b, h), c.names[0]), c.names[1])
		b = u64(b, uint64(c.day)|uint64(c.settled)<<16|uint64(c.subject.Kind)<<24|uint64(len(c.reports))<<32)
		for _, at := range [...]int64{c.first, c.last, c.appealed[0], c.appealed[1]} {
			b = u64(b, uint64(at))
		}
		b = appendText(b, c.subject.Key)
		for _, rep := range c.reports {
			b = u64(b, uint64(rep.day)|uint64(rep.assertion)<<16)
			b = appendText(b, rep.rater.Value())
		}
	}
	return b
}

// read reads what append wrote, and sets bad if it makes no sense.
func (tr *trust) read(c *cursor) {
	before := ""
	for range c.list(20) {
		day, sums, name := c.u64(), c.u64(), c.text()
		if c.bad = c.bad || name <= before || day > maxDay || evidence.Role(name) != "user"; c.bad {
			return
		}
		before = name
		*tr.reporter(name, uint16(day)) = reporter{uint16(day), uint32(sums), uint32(sums >> 32)}
	}
	child := uint64(0)
	for range c.list(9*8 + 4) {
		h := c.u64()
		x := claim{names: [2]uint64{c.u64(), c.u64()}}
		bits := c.u64()
		x.day, x.settled, x.subject.Kind = uint16(bits), evidence.Assertion(bits>>16), evidence.Kind(bits>>24)
		x.first, x.last, x.appealed = int64(c.u64()), int64(c.u64()), [2]int64{int64(c.u64()), int64(c.u64())}
		x.subject.Key = c.text()
		n := bits >> 32
		for _, at := range [...]int64{x.first, x.last, x.appealed[0], x.appealed[1]} {
			c.bad = c.bad || at < 0 || at >= (maxDay+1)*86400
		}
		if c.bad = c.bad || h <= child || n > maxReports || x.subject.Validate() != nil ||
			x.settled != 0 && !x.settled.Threat() && x.settled != evidence.Benign; c.bad {
			return
		}
		child = h
		for range n {
			bits, rater := c.u64(), c.text()
			rep := report{unique.Make(rater), evidence.Assertion(bits >> 16), uint16(bits)}
			if k := len(x.reports); evidence.Role(rater) != "user" || bits>>24 != 0 || k > 0 && byRater(x.reports[k-1], rater) >= 0 ||
				!rep.assertion.Threat() && rep.assertion != evidence.Benign {
				c.bad = true
				return
			}
			x.reports = append(x.reports, rep)
		}
		if n == 0 && x.appealed[0] == 0 {
			c.bad = true
			return
		}
		*tr.claim(h, x.subject, x.names) = x
		for _, rep := range x.reports {
			tr.count(rep.rater, 1)
		}
	}
}
