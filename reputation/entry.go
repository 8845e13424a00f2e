package reputation

import (
	"math"
	"math/bits"
)

// An entry is what the table holds of one subject: a key and five words.
//
//	word  bits
//	0     key: evidence.Key.Hash of the subject, never 0
//	1     day 16 | good mask 16 | raters 32
//	2     bad masks: phishing 16 | malware 16 | unwanted 16 | spam 16
//	3     fast bad 28 | fast good 28 | slow good 8, low part
//	4     slow phishing 24 | slow malware 24 | slow good 16, high part
//	5     slow unwanted 24 | slow spam 24 | marks 8 | rank 5 | appealed 1 | anchored 1 | child 1
//
// An entry is a child (a URL, or what stands for a list's word on a name or a
// path) or a rung that sums over children (path, host, tenant, platform,
// suffix). Day is the newest day, since 1970, on which anything was counted; a
// bit i of a mask says that on day−i the subject was counted as a child: a URL
// in the rungs up to its tenant, a tenant in the rungs above. So a thing said
// twice is counted once, and no list of what was counted need be kept.
//
// Sums are forward-decayed (MODEL.md §3: two memories with
// half-lives of 7 and 180 days). A unit of day d with half-life h weighs
// scale·2^(d/h − Q), rounded once, where the landmark Q = ⌊(day−15)/h⌋ belongs
// to the entry. It is kept as T[d mod h] << (⌊d/h⌋−Q), so that moving the
// landmark is a shift, and sums of units within the 16 days before the newest
// are exact: any order of the same events gives the same bits. What is older
// loses its last bits to rounding, a 32nd of a unit at most for each halving.
// T is rounded by half a 32nd at most, whatever the unit weighs: that is below
// 1.6 % of a whole unit, but up to 15 % of a tainted one, which has a tenth of
// the weight and so a T of 3 to 6.
// A landmark of its own for each entry means that nothing global is ever
// shifted, and that an event with a wild date hurts only what it speaks of.
//
// When a sum would overflow (fast: above 500 K units in a fortnight; slow: 130 K
// in half a year) all sums of that memory are halved: the share of bad, which
// is what judgement uses, stays.
type entry struct {
	fastBad, fastGood uint32
	slow              [nClasses + 1]uint32 // by class; good last
	raters            uint32               // groups with a bad word here or below, see raters
	day               uint16
	good              uint16 // mask
	bad               [nClasses]uint16
	marks             uint8 // child: groups heard; rung: URLs and sightings, see below
	rank              uint8 // popularity, 0 to maxRank, as of day
	appealed          bool
	anchored          bool // there is an anchor for this child
	child             bool
}

// Classes of threat, in the order of evidence.Phishing to evidence.Spam.
const (
	nClasses  = 4
	goodClass = nClasses // where entry.slow keeps the good
)

const (
	scale      = 32 // a unit at its landmark
	fastDays   = 7
	slowDays   = 180
	windowDays = 16 // days in a mask
	maxFast    = 1<<28 - 1
	maxSlow    = 1<<24 - 1
	minDay     = windowDays // earlier times count as this day, so that landmarks are not negative
	maxDay     = 1<<16 - 1  // 2149-06-06
)

// Marks of a rung: how many distinct URLs were bad (4 bits, 15 means 15 or
// more), and how many sightings were taken in on day and on the day before
// (2 bits each).
const (
	maxURLs      = 15
	maxSightings = 3 // a tenant and day: one campaign or crawl is not the traffic
	urlsMask     = 0x0f
	todayShift   = 4
	beforeShift  = 6
)

// Popularity: 31 steps on the logarithm of the rank; it fades by a quarter
// every fadeDays days unless a list says it again.
const (
	maxRank  = 31
	rankFade = 8
	fadeDays = 64
)

var (
	fastUnit = unitTables(fastDays) // T of the page above, by weight
	slowUnit = unitTables(slowDays)
	fastPow  = decayTable(fastDays)
	slowPow  = decayTable(slowDays)
)

func unitTables(h int) (t [nWeights][]uint32) {
	for w, units := range [nWeights]float64{taintedUnit: .1, wholeUnit: 1, reviewUnit: 3} {
		t[w] = make([]uint32, h)
		for r := range h {
			t[w][r] = uint32(math.Round(units * scale * math.Exp2(float64(r)/float64(h))))
		}
	}
	return t
}

// decayTable holds 2^(−r/h)/scale.
func decayTable(h int) []float64 {
	t := make([]float64, h)
	for r := range t {
		t[r] = exp(-math.Ln2*float64(r)/float64(h)) / scale
	}
	return t
}

func unpack(w *[5]uint64) (e entry) {
	e = sumsOnly(w)
	e.good = uint16(w[0] >> 16)
	e.raters = uint32(w[0] >> 32)
	for c := range e.bad {
		e.bad[c] = uint16(w[1] >> (16 * c))
	}
	e.marks = uint8(w[4] >> 48)
	flags := uint8(w[4] >> 56)
	e.rank = flags & maxRank
	e.appealed = flags&(1<<5) != 0
	e.anchored = flags&(1<<6) != 0
	e.child = flags&(1<<7) != 0
	return e
}

// sumsOnly is unpack of what entry.at needs.
func sumsOnly(w *[5]uint64) (e entry) {
	e.day = uint16(w[0])
	e.fastBad = uint32(w[2] & maxFast)
	e.fastGood = uint32(w[2] >> 28 & maxFast)
	e.slow[0] = uint32(w[3] & maxSlow)
	e.slow[1] = uint32(w[3] >> 24 & maxSlow)
	e.slow[2] = uint32(w[4] & maxSlow)
	e.slow[3] = uint32(w[4] >> 24 & maxSlow)
	e.slow[goodClass] = uint32(w[2]>>56) | uint32(w[3]>>48)<<8
	return e
}

func (e *entry) pack(w *[5]uint64) {
	w[0] = uint64(e.day) | uint64(e.good)<<16 | uint64(e.raters)<<32
	w[1] = uint64(e.bad[0]) | uint64(e.bad[1])<<16 | uint64(e.bad[2])<<32 | uint64(e.bad[3])<<48
	good := uint64(e.slow[goodClass])
	w[2] = uint64(e.fastBad) | uint64(e.fastGood)<<28 | good&0xff<<56
	w[3] = uint64(e.slow[0]) | uint64(e.slow[1])<<24 | good>>8<<48
	flags := e.rank & maxRank
	if e.appealed {
		flags |= 1 << 5
	}
	if e.anchored {
		flags |= 1 << 6
	}
	if e.child {
		flags |= 1 << 7
	}
	w[4] = uint64(e.slow[2]) | uint64(e.slow[3])<<24 | uint64(e.marks)<<48 | uint64(flags)<<56
}

// landmark is Q of the page above.
func landmark(day uint16, h int) int { return max(int(day)-(windowDays-1), 0) / h }

// unit is what a unit of day d adds to a sum whose landmark is q.
func unit(table []uint32, d uint16, q int) uint32 {
	h := len(table)
	return shift(table[int(d)%h], int(d)/h-q)
}

// shift moves x from one landmark to another: left for positive n. It saturates.
func shift(x uint32, n int) uint32 {
	switch {
	case n <= -32:
		return 0
	case n < 0:
		return x >> -n
	case n > bits.LeadingZeros32(x):
		return math.MaxUint32
	}
	return x << n
}

// value is a sum with landmark q, in units as of day t.
func value(x uint32, q int, pow []float64, t uint16) float64 {
	if x == 0 {
		return 0
	}
	h := len(pow)
	n := int(t)/h - q
	if n >= 1000 {
		return 0
	}
	// 2^−n, by the exponent of a double.
	return float64(x) * pow[int(t)%h] * math.Float64frombits(uint64(1023-n)<<52)
}

// counts are an entry's sums in units as of a day.
type counts struct {
	bad, good float64
}

// at gives both memories as of day t. Evidence dated after t counts as of its
// day: what comes from a clock ahead of ours weighs as if it was said now.
func (e *entry) at(t uint16) (fast, slow counts) {
	t = max(t, e.day)
	q := landmark(e.day, fastDays)
	fast.bad = value(e.fastBad, q, fastPow, t)
	fast.good = value(e.fastGood, q, fastPow, t)
	q = landmark(e.day, slowDays)
	slow.bad = value(e.slowBad(), q, slowPow, t)
	slow.good = value(e.slow[goodClass], q, slowPow, t)
	return fast, slow
}

// slowBad sums the classes: at most 2^26.
func (e *entry) slowBad() uint32 { return e.slow[0] + e.slow[1] + e.slow[2] + e.slow[3] }

// isBad reports whether any bad unit is left in e.
func (e *entry) isBad() bool { return e.slow[0]|e.slow[1]|e.slow[2]|e.slow[3] != 0 }

// heaviest is the class with the largest slow sum, the first of equals.
func (e *entry) heaviest() int {
	best := 0
	for c := 1; c < nClasses; c++ {
		if e.slow[c] > e.slow[best] {
			best = c
		}
	}
	return best
}

// advance moves the entry's newest day up to day.
func (e *entry) advance(day uint16) {
	if day <= e.day {
		return
	}
	if n := landmark(e.day, fastDays) - landmark(day, fastDays); n != 0 {
		e.fastBad, e.fastGood = shift(e.fastBad, n), shift(e.fastGood, n)
	}
	if n := landmark(e.day, slowDays) - landmark(day, slowDays); n != 0 {
		for c := range e.slow {
			e.slow[c] = shift(e.slow[c], n)
		}
		if !e.isBad() {
			e.forgetBad()
		}
	}
	n := day - e.day // a shift by 16 or more gives 0
	e.good <<= n
	for c := range e.bad {
		e.bad[c] <<= n
	}
	e.rank = faded(e.rank, e.day, day)
	if e.child {
		if n > heardDays {
			e.marks = 0
		}
	} else if n == 1 {
		e.marks = e.marks&urlsMask | e.marks>>todayShift<<beforeShift
	} else {
		e.marks &= urlsMask
	}
	e.day = day
}

// faded is a popularity of day from, as of day to.
func faded(rank uint8, from, to uint16) uint8 {
	steps := int(to)/fadeDays - int(from)/fadeDays
	return uint8(max(int(rank)-rankFade*max(steps, 0), 0))
}

// forgetBad clears what is left of bad evidence.
func (e *entry) forgetBad() {
	e.fastBad = 0
	e.bad = [nClasses]uint16{}
	e.raters = 0
	for c := range nClasses {
		e.slow[c] = 0
	}
	if !e.child {
		e.marks &^= urlsMask
	}
}

// markBad notes that e is counted as a child in class c on day d, which is not
// after e.day. It says whether that is a new unit of the class, and a new one
// of any class. A day before the window cannot be noted: it is counted only if
// e holds nothing of the class, so that saying it again does nothing.
func (e *entry) markBad(c int, d uint16) (unit, fresh bool) {
	age := e.day - d
	if age >= windowDays {
		return e.slow[c] == 0, !e.isBad()
	}
	bit := uint16(1) << age
	fresh = (e.bad[0]|e.bad[1]|e.bad[2]|e.bad[3])&bit == 0
	unit = e.bad[c]&bit == 0
	e.bad[c] |= bit
	return unit, fresh
}

// markGood is markBad for a good unit.
func (e *entry) markGood(d uint16) (unit bool) {
	age := e.day - d
	if age >= windowDays {
		return e.slow[goodClass] == 0
	}
	bit := uint16(1) << age
	unit = e.good&bit == 0
	e.good |= bit
	return unit
}

// addBad adds a unit of class c and day d; to the fast sum, which knows no
// classes, only if fresh.
func (e *entry) addBad(c int, d uint16, fresh bool) {
	if fresh {
		e.addFast(&e.fastBad, unit(fastUnit[wholeUnit], d, landmark(e.day, fastDays)))
	}
	e.addSlow(c, unit(slowUnit[wholeUnit], d, landmark(e.day, slowDays)))
}

// weight is what a good unit weighs; a bad one is always whole.
type weight uint8

const (
	taintedUnit weight = iota // a tenth: a sighting on a host that was bad of late (MODEL.md §2)
	wholeUnit                 // one: a sighting, or a feed's word
	reviewUnit                // three: an operator's word (MODEL.md §2)
	nWeights
)

// addGood adds a good unit of day d.
func (e *entry) addGood(d uint16, w weight) {
	e.addFast(&e.fastGood, unit(fastUnit[w], d, landmark(e.day, fastDays)))
	e.addSlow(goodClass, unit(slowUnit[w], d, landmark(e.day, slowDays)))
}

func (e *entry) addFast(sum *uint32, x uint32) {
	x = min(x, maxFast)
	if *sum += x; *sum > maxFast {
		e.fastBad >>= 1
		e.fastGood >>= 1
	}
}

func (e *entry) addSlow(c int, x uint32) {
	x = min(x, maxSlow)
	if e.slow[c] += x; e.slow[c] > maxSlow {
		for c := range e.slow {
			e.slow[c] >>= 1
		}
	}
}

// subBad takes from e the bad sums of a child. What is left below an eighth of
// a unit is rounding.
func (e *entry) subBad(child *entry) {
	n := landmark(child.day, fastDays) - landmark(e.day, fastDays)
	e.fastBad = sub(e.fastBad, shift(child.fastBad, n))
	n = landmark(child.day, slowDays) - landmark(e.day, slowDays)
	for c := range nClasses {
		e.slow[c] = sub(e.slow[c], shift(child.slow[c], n))
	}
	if e.slowBad() < scale/8 {
		e.forgetBad()
	}
}

// subGood takes from e the good sums of a child.
func (e *entry) subGood(child *entry) {
	n := landmark(child.day, fastDays) - landmark(e.day, fastDays)
	e.fastGood = sub(e.fastGood, shift(child.fastGood, n))
	n = landmark(child.day, slowDays) - landmark(e.day, slowDays)
	e.slow[goodClass] = sub(e.slow[goodClass], shift(child.slow[goodClass], n))
}

func sub(a, b uint32) uint32 { return a - min(a, b) }

// urls is how many distinct URLs below a rung were bad, up to maxURLs.
func (e *entry) urls() int { return int(e.marks & urlsMask) }

// countURL adds n, 1 or −1, to urls. Once there are maxURLs nobody knows how many.
func (e *entry) countURL(n int) {
	if u := e.urls(); u < maxURLs && u+n >= 0 {
		e.marks = e.marks&^urlsMask | uint8(u+n)
	}
}

// takeSighting counts a sighting of day d below a rung, and reports whether it
// is among the first maxSightings of that day.
func (e *entry) takeSighting(d uint16) bool {
	at := todayShift
	if d+1 == e.day {
		at = beforeShift
	} else if d != e.day {
		return false
	}
	if e.marks>>at&maxSightings == maxSightings {
		return false
	}
	e.marks += 1 << at
	return true
}
