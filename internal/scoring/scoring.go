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
}

// Set is a series of samples in order of falling score. Make one with [New].
type Set struct {
	samples   []Sample
	bad, good int
}

// New sorts the samples; it keeps the slice.
func New(samples []Sample) *Set {
	slices.SortStableFunc(samples, func(a, b Sample) int { return cmp.Compare(b.Score, a.Score) })
	s := &Set{samples: samples}
	for _, x := range samples {
		if x.Bad {
			s.bad++
		} else {
			s.good++
		}
	}
	return s
}

// Bad is the number of bad samples.
func (s *Set) Bad() int { return s.bad }

// Good is the number of good samples.
func (s *Set) Good() int { return s.good }

// ties walks over the groups of equal score, highest first, with the numbers
// of bad and good samples in each.
func (s *Set) ties(f func(score float64, bad, good int) (more bool)) {
	for i := 0; i < len(s.samples); {
		j, bad := i, 0
		for ; j < len(s.samples) && s.samples[j].Score == s.samples[i].Score; j++ {
			if s.samples[j].Bad {
				bad++
			}
		}
		if !f(s.samples[i].Score, bad, j-i-bad) {
			return
		}
		i = j
	}
}

// AUC is the area under the ROC curve: the probability that a bad sample
// scores above a good one, ties counting half (Hanley and McNeil, Radiology
// 143, 1982). NaN if one class is missing.
func (s *Set) AUC() float64 {
	var area, above float64 // above: bad samples with a higher score
	s.ties(func(_ float64, bad, good int) bool {
		area += float64(good) * (above + float64(bad)/2)
		above += float64(bad)
		return true
	})
	return area / (float64(s.bad) * float64(s.good))
}

// At is the operating point with the most detection at a rate of false alarms
// of at most fpr.
//
// Ties are conservative: samples of one score are taken whole or not at all,
// so that no threshold is credited which a user could not set.
func (s *Set) At(fpr float64) Point {
	p := Point{Threshold: math.Inf(1)}
	bad, good := 0, 0
	s.ties(func(score float64, b, g int) bool {
		bad, good = bad+b, good+g
		if float64(good) > fpr*float64(s.good) {
			return false
		}
		p = Point{Threshold: score, TPR: ratio(bad, s.bad), FPR: ratio(good, s.good)}
		return true
	})
	return p
}

// Point is an operating point: what scores at least Threshold is flagged.
type Point struct {
	Threshold float64
	TPR       float64 // share of bad samples flagged
	FPR       float64 // share of good samples flagged
}

func ratio(n, of int) float64 { return float64(n) / float64(of) }

// LogLoss is the mean negative log-likelihood, in nats. Scores are taken as at
// least 1e-6 away from 0 and 1, so that one wrong certainty is not everything.
func (s *Set) LogLoss() float64 {
	const edge = 1e-6
	sum := 0.0
	for _, x := range s.samples {
		p := min(max(x.Score, edge), 1-edge)
		if !x.Bad {
			p = 1 - p
		}
		sum -= math.Log(p)
	}
	return sum / float64(len(s.samples))
}

// Brier is the mean squared error of the probabilities (Brier, Monthly
// Weather Review 78, 1950).
func (s *Set) Brier() float64 {
	sum := 0.0
	for _, x := range s.samples {
		d := x.Score
		if x.Bad {
			d = 1 - d
		}
		sum += d * d
	}
	return sum / float64(len(s.samples))
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
// (Naeini et al., AAAI 2015).
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
