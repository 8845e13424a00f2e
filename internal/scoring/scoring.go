// Package scoring measures how well scores tell bad from good: ROC, detection
// at a fixed rate of false alarms, log loss and calibration.
package scoring

import (
	"cmp"
	"math"
	"slices"
)

// Sample is one judged item: its score, the probability of being bad that was
// predicted for it, and the truth.
type Sample struct {
	Score float64
	Bad   bool
	// Group is whatever makes samples alike: those of one tenant stand or fall
	// together. See [Set.PerGroup] and [Set.Bootstrap].
	Group uint64
}

// Set is a series of weighted samples in order of falling score. Make one with
// [New], which weighs each sample as 1. It does not change, and is safe for
// concurrent use.
type Set struct {
	samples   []Sample
	weights   []float64 // of each sample; nil: each is 1
	bad, good float64   // sums of weights
}

// New sorts the samples; it keeps the slice.
func New(samples []Sample) *Set {
	slices.SortStableFunc(samples, func(a, b Sample) int { return cmp.Compare(b.Score, a.Score) })
	return weighted(samples, nil)
}

// weighted makes a Set of samples that are in order.
func weighted(samples []Sample, weights []float64) *Set {
	s := &Set{samples: samples, weights: weights}
	s.ties(func(_, bad, good float64) bool {
		s.bad, s.good = s.bad+bad, s.good+good
		return true
	})
	return s
}

// PerGroup weighs the bad samples of a group together as one, and its good
// ones: rates are then means over the groups of the rates within each
// (macro-averages), and one group of many samples is not the score.
func (s *Set) PerGroup() *Set {
	type part struct {
		group uint64
		bad   bool
	}
	n := make(map[part]int)
	for _, x := range s.samples {
		n[part{x.Group, x.Bad}]++
	}
	weights := make([]float64, len(s.samples))
	for i, x := range s.samples {
		weights[i] = 1 / float64(n[part{x.Group, x.Bad}])
	}
	return weighted(s.samples, weights)
}

// Bad is the number of bad samples; per group, of groups that have some.
func (s *Set) Bad() int { return int(math.Round(s.bad)) }

// Good is the number of good samples; per group, of groups that have some.
func (s *Set) Good() int { return int(math.Round(s.good)) }

func (s *Set) weight(i int) float64 {
	if s.weights == nil {
		return 1
	}
	return s.weights[i]
}

// ties walks over the groups of equal score, highest first, with the weights
// of the bad and the good samples in each.
func (s *Set) ties(f func(score, bad, good float64) (more bool)) {
	for i := 0; i < len(s.samples); {
		score, bad, good := s.samples[i].Score, 0.0, 0.0
		for ; i < len(s.samples) && s.samples[i].Score == score; i++ {
			if s.samples[i].Bad {
				bad += s.weight(i)
			} else {
				good += s.weight(i)
			}
		}
		if !f(score, bad, good) {
			return
		}
	}
}

// AUC is the area under the ROC curve: the probability that a bad sample
// scores above a good one, ties counting half (Hanley and McNeil, Radiology
// 143, 1982). NaN if one class is missing.
func (s *Set) AUC() float64 {
	var area, above float64 // above: bad samples with a higher score
	s.ties(func(_, bad, good float64) bool {
		area += good * (above + bad/2)
		above += bad
		return true
	})
	return area / (s.bad * s.good)
}

// Point is an operating point: what scores at least Threshold is flagged.
type Point struct {
	Threshold float64
	TPR       float64 // share of bad samples flagged
	FPR       float64 // share of good samples flagged
}

// slack forgives the rounding of sums and ratios, so that a rate which was
// itself measured on a set is met by it: 1/49 times 49 is less than 1.
const slack = 1 + 1e-12

// At is the operating point with the most detection at a rate of false alarms
// of at most fpr.
//
// Ties are conservative: samples of one score are taken whole or not at all,
// so that no threshold is credited which a user could not set.
func (s *Set) At(fpr float64) Point {
	p := Point{Threshold: math.Inf(1)}
	bad, good := 0.0, 0.0
	s.ties(func(score, b, g float64) bool {
		bad, good = bad+b, good+g
		if good > fpr*s.good*slack {
			return false
		}
		p = Point{Threshold: score, TPR: bad / s.bad, FPR: good / s.good}
		return true
	})
	return p
}

// Over is the operating point at a threshold, which need not be a score of the
// set: that of another set, say.
func (s *Set) Over(threshold float64) Point {
	bad, good := 0.0, 0.0
	s.ties(func(score, b, g float64) bool {
		if score < threshold {
			return false
		}
		bad, good = bad+b, good+g
		return true
	})
	return Point{Threshold: threshold, TPR: bad / s.bad, FPR: good / s.good}
}

// Curve is the ROC curve: for each rate of false alarms that a threshold
// reaches, the point with the most detection, in order of rising FPR. Between
// two of them nothing better than the first can be had, as At says. Nil if one
// class is missing.
func (s *Set) Curve() []Point {
	if s.bad == 0 || s.good == 0 {
		return nil
	}
	var curve []Point
	bad, good := 0.0, 0.0
	s.ties(func(score, b, g float64) bool {
		bad, good = bad+b, good+g
		p := Point{Threshold: score, TPR: bad / s.bad, FPR: good / s.good}
		if n := len(curve); n > 0 && g == 0 {
			curve[n-1] = p // more detection at the same price
		} else {
			curve = append(curve, p)
		}
		return true
	})
	return curve
}

func ratio(n, of int) float64 { return float64(n) / float64(of) }

// LogLoss is the mean negative log-likelihood, in nats. Scores are taken as at
// least 1e-6 away from 0 and 1, so that one wrong certainty is not everything.
func (s *Set) LogLoss() float64 {
	const edge = 1e-6
	sum := 0.0
	for i, x := range s.samples {
		p := min(max(x.Score, edge), 1-edge)
		if !x.Bad {
			p = 1 - p
		}
		sum -= s.weight(i) * math.Log(p)
	}
	return sum / (s.bad + s.good)
}

// Brier is the mean squared error of the probabilities (Brier, Monthly
// Weather Review 78, 1950).
func (s *Set) Brier() float64 {
	sum := 0.0
	for i, x := range s.samples {
		d := x.Score
		if x.Bad {
			d = 1 - d
		}
		sum += s.weight(i) * d * d
	}
	return sum / (s.bad + s.good)
}

// Bin is a row of the calibration table.
type Bin struct {
	From, To  float64 // scores in [From, To), the last bin with To
	N         int
	Predicted float64 // mean score
	Bad       float64 // share of bad samples
}

// Calibration sorts the samples into n bins of equal width and leaves out
// empty ones. ECE, the expected calibration error, is the mean distance
// between what was predicted and what came true, weighted by the bins' sizes
// (Naeini et al., AAAI 2015). Samples count as 1 each, whatever they weigh.
func (s *Set) Calibration(n int) (bins []Bin, ece float64) {
	all := make([]Bin, n)
	for _, x := range s.samples {
		b := &all[min(int(x.Score*float64(n)), n-1)]
		b.N++
		b.Predicted += x.Score
		if x.Bad {
			b.Bad++
		}
	}
	for i, b := range all {
		if b.N == 0 {
			continue
		}
		b.From, b.To = ratio(i, n), ratio(i+1, n)
		b.Predicted /= float64(b.N)
		b.Bad /= float64(b.N)
		ece += math.Abs(b.Predicted-b.Bad) * ratio(b.N, len(s.samples))
		bins = append(bins, b)
	}
	return bins, ece
}
