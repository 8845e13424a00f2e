package reputation

import (
	"math"
	"slices"
	"sync/atomic"

	"headlight.example/evidence"
)

// The model is a logistic regression over features and tokens,
//
//	z = logit root + W[gate]·(x, Σ lexicon[token])
//
// with a vector of weights for each gate (see gateHostBad), so that what is
// known of the host decides how much its neighbours and its spelling count.
// Untrained, each rung has the weight 1 and all else 0: the plain chain.
//
// It learns from what became of the links that were seen in traffic, by what
// was known when they were first seen: from reports that they were bad, and
// from silence that they were not (MODEL.md §6). Links that no traffic showed
// teach nothing: a list of bad ones alone would teach that all is bad. W by
// AdaGrad (Duchi et al., JMLR 2011), the lexicon by FTRL-proximal (McMahan et
// al., KDD 2013).
//
// Some labels are wrong, and the more a label surprises the more likely it is
// one of them. So the loss is not the logarithm of the likelihood but the
// generalized cross entropy (Zhang and Sabuncu, NeurIPS 2018): the step is that
// of logistic regression times p^Doubt, where p is what the model gave the label.
// What this costs in calibration, two numbers give back that learn by the
// logarithm (Platt 1999), slope and shift:
//
//	score = logit root + slope·(z − logit root) + shift
//
// The fold writes it; judges read it without a lock, each weight at once.
type model struct {
	Model
	weights [nGates][nParts]atomic.Uint64 // bits of a float64, less those at the start
	squares [nGates][nParts]float64
	scale   [2]atomic.Uint64 // slope − 1 and shift, bits of a float64
	scaleSq [2]float64
	lexicon atomic.Pointer[lexicon]
	delays  delays
	clean   [NumClasses]clean
}

const (
	minW = -1. // what a weight may be, but for the bias
	maxW = 3.

	minSlope    = .5
	maxSlope    = 4.
	leastBelief = 1e-6      // in a label
	leastStep   = 1. / 4096 // by which a token's weight moves; smaller ones add up in its z
)

// lexicon holds what is known of tokens.
type lexicon [1 << evidence.TokenBits]token

type token struct {
	w    atomic.Uint32 // weight, bits of a float32; readers see nothing else
	z, n float32       // as in the paper
}

// start is the weight before the first lesson. (The lexicon is empty then.)
func start(feature int) float64 {
	if feature >= weightAt && feature < weightAt+nLevels || feature == spellingAt {
		return 1
	}
	return 0
}

func (m *model) weight(gate, feature int) float64 {
	return start(feature) + math.Float64frombits(m.weights[gate][feature].Load())
}

// spelling is what the tokens add.
func (m *model) spelling(tokens []uint32) (z float64) {
	lex := m.lexicon.Load()
	if lex == nil {
		return 0
	}
	for _, t := range tokens {
		z += float64(math.Float32frombits(lex[t].w.Load()))
	}
	return z
}

// z is that of the page above, less logit root.
func (m *model) z(gate int, x *[nFeatures]float32, spelling float64) (z float64) {
	for i, v := range x {
		if v != 0 {
			z += float64(m.weight(gate, i) * float64(v))
		}
	}
	return z + float64(m.weight(gate, spellingAt)*spelling)
}

func (m *model) slope() float64 { return 1 + math.Float64frombits(m.scale[0].Load()) }
func (m *model) shift() float64 { return math.Float64frombits(m.scale[1].Load()) }

// score makes one of z.
func (m *model) score(z float64) float64 {
	return logit(m.Root) + float64(m.slope()*z) + m.shift()
}

// teach is a step of all learners towards bad or good, with a weight in (0, 1].
func (m *model) teach(s *sighting, tokens []uint32, bad bool, weight float64, slow bool) {
	if !m.Learns {
		return
	}
	rate, alpha := m.Rate, m.Alpha
	if slow {
		rate, alpha = m.SlowRate, m.SlowAlpha
	}
	gate, spelling := int(s.gate), m.spelling(tokens)
	z := m.z(gate, &s.x, spelling)

	g := slant(m.score(z), bad) * weight
	learn(&m.scale[0], &m.scaleSq[0], g*z, rate, minSlope-1, maxSlope-1)
	learn(&m.scale[1], &m.scaleSq[1], g, rate, math.Inf(-1), math.Inf(1))

	g = slant(logit(m.Root)+z, bad)
	g *= weight * exp(m.Doubt*ln(max(1-math.Abs(g), leastBelief)))
	spellingWeight := m.weight(gate, spellingAt)
	for i, v := range s.x {
		if v != 0 {
			m.step(gate, i, g*float64(v), rate)
		}
	}
	m.step(gate, spellingAt, g*spelling, rate)
	m.spell(tokens, g*spellingWeight, alpha)
}

// slant is the slope of the loss at z: what was said less what is so.
func slant(z float64, bad bool) float64 {
	if bad {
		return sigmoid(z) - 1
	}
	return sigmoid(z)
}

// step is one of AdaGrad.
func (m *model) step(gate, i int, g, rate float64) {
	least, most := math.Inf(-1), math.Inf(1)
	if i != biasAt {
		least, most = minW-start(i), maxW-start(i)
	}
	learn(&m.weights[gate][i], &m.squares[gate][i], g, rate, least, most)
}

func learn(w *atomic.Uint64, squares *float64, g, rate, least, most float64) {
	*squares += float64(g * g)
	at := math.Float64frombits(w.Load()) - float64(rate*g)/math.Sqrt(*squares+1)
	w.Store(math.Float64bits(max(min(at, most), least)))
}

// spell is a step of FTRL-proximal for each token.
func (m *model) spell(tokens []uint32, g, alpha float64) {
	lex := m.lexicon.Load()
	if lex == nil {
		lex = new(lexicon)
		m.lexicon.Store(lex)
	}
	gg := float64(g * g)
	for _, t := range tokens {
		at := &lex[t]
		before := at.w.Load()
		z, n := float64(at.z)+g, float64(at.n)+gg
		if w := float64(math.Float32frombits(before)); w != 0 {
			sigma := (math.Sqrt(n) - math.Sqrt(float64(at.n))) / alpha
			z -= float64(sigma * w)
		}
		at.z, at.n = float32(z), float32(n)
		w := float32(0)
		z = float64(at.z)
		if excess := math.Abs(z) - m.Lambda1; excess > 0 {
			w = float32(-math.Copysign(excess, z) / ((m.Beta+math.Sqrt(n))/alpha + m.Lambda2))
		}
		// A store that readers see costs as much as all the rest.
		if math.Abs(float64(w-math.Float32frombits(before))) > leastStep {
			at.w.Store(math.Float32bits(w))
		}
	}
}

// delays are how long after their sighting links were reported: the last
// maxDelays, in seconds. From them comes how long to wait before silence counts.
type delays struct {
	ring [maxDelays]uint32
	n    int // so many were noted
	wait int64
}

const (
	maxDelays = 2000
	minWait   = 600 // seconds
	maxWait   = 6 * 3600
	margin    = 60
	slowWait  = 3600 // reports that take longer are slow: see lessonDelay
)

func (d *delays) note(seconds int64) {
	d.ring[d.n%maxDelays] = uint32(min(max(seconds, 0), math.MaxUint32))
	d.n++
	if d.n >= 200 && d.n%100 != 0 {
		return
	}
	sorted := slices.Clone(d.ring[:min(d.n, maxDelays)])
	slices.Sort(sorted)
	d.wait = min(max(int64(sorted[len(sorted)*3/4])+margin, minWait), maxWait)
}

// until is how many seconds must pass before silence counts as good.
func (d *delays) until() int64 {
	if d.n == 0 {
		return maxWait
	}
	return d.wait
}

// slow reports whether reports are slow.
func (d *delays) slow() bool { return d.until() > slowWait }

// clean is a histogram of the scores that links had at first sight which then
// nobody reported, in log-odds; older ones fade, by half in a month.
type clean struct {
	n     [cleanBins]uint32
	total uint32
	month uint16
	limit [2]atomic.Uint64 // see limits; bits of a float64, 0 before the first
}

const (
	cleanBins  = 512
	cleanLeast = -12.8 // of the first bin, in log-odds
	cleanWidth = .05
	cleanDays  = 30
	// cleanEnough is how many must have been seen before anything is said, and
	// after how many more it is said anew.
	cleanEnough = 64
)

// Of how many clean links one may reach the limits. The promise is one in 200 to
// be called suspicious and one in 2000 dangerous; what was usual of late is not
// quite what is usual now (.68 % of clean links at one in 200, .48 % at one in
// 300, on the dns stream from 2022 on).
var oneIn = [2]uint32{300, 3000}

func cleanBin(z float64) int {
	return min(max(int(math.Floor((z-cleanLeast)/cleanWidth)), 0), cleanBins-1)
}

func (c *clean) add(z float64, day uint16) {
	for month := day / cleanDays; c.month < month; c.month++ {
		if c.total == 0 {
			c.month = month
			break
		}
		c.total = 0
		for i := range c.n {
			c.n[i] /= 2
			c.total += c.n[i]
		}
	}
	c.n[cleanBin(z)]++
	c.total++
	if c.total%cleanEnough == 0 {
		c.publish()
	}
}

// take takes back what add added.
func (c *clean) take(z float64) {
	if n := &c.n[cleanBin(z)]; *n > 0 {
		*n--
		c.total--
	}
}

// publish finds the limits anew: the upper edge of the bin above which there is
// no more than one in so many. While there are fewer than so many, that is the
// edge above which there is none, and as much again as the tail is thought to
// reach beyond: that half as many links have twice the odds.
func (c *clean) publish() {
	for k, per := range oneIn {
		above, i := uint32(0), cleanBins-1
		for ; i >= 0 && above+c.n[i] <= c.total/per; i-- {
			above += c.n[i]
		}
		limit := cleanLeast + float64(float64(i+1)*cleanWidth)
		if c.total < per {
			limit += ln(float64(per) / float64(c.total))
		}
		c.limit[k].Store(math.Float64bits(limit))
	}
}

// known reports whether there were enough of them to say anything.
func (c *clean) known() bool { return c.limit[0].Load() != 0 }

// limits are the scores, in log-odds, that so few clean links of the class reach;
// −Inf while that is not known.
func (c *clean) limits() (suspicious, dangerous float64) {
	if !c.known() {
		return math.Inf(-1), math.Inf(-1)
	}
	return math.Float64frombits(c.limit[0].Load()), math.Float64frombits(c.limit[1].Load())
}
