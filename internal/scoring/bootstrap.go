package scoring

import (
	"math"
	"math/rand/v2"
	"slices"
)

// Interval holds a figure with a certainty of 95 %. Both ends are NaN if there
// is nothing to say it from.
type Interval struct{ Low, High float64 }

// Bootstrap gives intervals of AUC and of the detection at each rate of false
// alarms by the percentile method (Efron and Tibshirani, An Introduction to the
// Bootstrap, 1993, §13). It draws groups and not samples, with replacement, as
// many as there are: the links of one tenant are no independent witnesses, and
// to draw them one by one would make the intervals too narrow (Field and Welsh,
// JRSS B 69, 2007). The draws are the same each time. A draw that holds one
// class only says nothing and is left out.
func (s *Set) Bootstrap(draws int, fprs ...float64) (auc Interval, tpr []Interval) {
	index := make(map[uint64]int32)
	group := make([]int32, len(s.samples)) // of each sample, counted from 0 in order of first mention
	for i, x := range s.samples {
		g, ok := index[x.Group]
		if !ok {
			g = int32(len(index))
			index[x.Group] = g
		}
		group[i] = g
	}
	figures := make([][]float64, 1+len(fprs)) // AUC, then TPRs, of each draw
	times := make([]float64, len(index))      // how often each group was drawn
	weights := make([]float64, len(s.samples))
	random := rand.New(rand.NewPCG(1, 1993))
	for range draws {
		clear(times)
		for range times {
			times[random.IntN(len(times))]++
		}
		for i, g := range group {
			weights[i] = s.weight(i) * times[g]
		}
		drawn := weighted(s.samples, weights)
		if drawn.bad == 0 || drawn.good == 0 {
			continue
		}
		figures[0] = append(figures[0], drawn.AUC())
		for i, fpr := range fprs {
			figures[1+i] = append(figures[1+i], drawn.At(fpr).TPR)
		}
	}
	for _, f := range figures[1:] {
		tpr = append(tpr, percentiles(f))
	}
	return percentiles(figures[0]), tpr
}

// percentiles gives the 2.5th and the 97.5th, and sorts the figures.
func percentiles(figures []float64) Interval {
	if len(figures) == 0 {
		return Interval{math.NaN(), math.NaN()}
	}
	slices.Sort(figures)
	last := float64(len(figures) - 1)
	return Interval{figures[int(math.Floor(.025*last))], figures[int(math.Ceil(.975*last))]}
}
