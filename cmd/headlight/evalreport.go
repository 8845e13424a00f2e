package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"text/tabwriter"
	"time"

	"headlight.example/internal/scoring"
	"headlight.example/reputation"
)

// evalReport is what `headlight eval` prints.
type evalReport struct {
	From          string   `json:"from,omitempty"`
	Delay         string   `json:"delay,omitempty"`   // by which reports and reviews were learnt later
	Flipped       *flips   `json:"flipped,omitempty"` // labels turned about on purpose
	Events        uint64   `json:"events"`
	Malformed     int      `json:"malformed"` // lines passed over
	Asked         int      `json:"asked"`
	DroppedMonths []string `json:"dropped_months"` // months in which one class is missing
	Subjects      int      `json:"subjects"`
	Seconds       float64  `json:"seconds"`

	quality
	// Intervals hold the figures above with a certainty of 95 %, by drawing
	// tenants.
	Intervals intervals `json:"intervals"`
	// PerTenant counts the links of a tenant as one.
	PerTenant quality `json:"per_tenant"`
	Levels    levels  `json:"levels"`
	// CleanDangerous and CleanSuspicious are the shares of good links flagged so.
	CleanDangerous  number `json:"clean_dangerous"`
	CleanSuspicious number `json:"clean_suspicious"`
	// HousesFlagged counts well-known names and platform roots that were
	// called suspicious or dangerous.
	HousesFlagged int `json:"houses_flagged"`
	calibration
	Strata   map[string]quality   `json:"strata"`
	Classes  map[string]classPart `json:"classes"`
	Ages     []agePart            `json:"ages"`
	Lists    map[string]listPart  `json:"lists"`
	Additive quality              `json:"additive"` // the filter that adds up points
	Worst    *mistakes            `json:"worst,omitempty"`

	curve, additiveCurve []scoring.Point // ROC, for the plot
}

// quality tells bad from good.
type quality struct {
	Good int    `json:"good"`
	Bad  int    `json:"bad"`
	AUC  number `json:"auc"`
	TPR  struct {
		At1   number `json:"1%"`
		At01  number `json:"0.1%"`
		At001 number `json:"0.01%"`
	} `json:"tpr_at_fpr"`
	// Thresholds are the scores from which links are flagged there; null if
	// no score is high enough.
	Thresholds struct {
		At1   number `json:"1%"`
		At01  number `json:"0.1%"`
		At001 number `json:"0.01%"`
	} `json:"thresholds"`
}

// calibration tells whether links that are scored p are bad p of the time.
type calibration struct {
	LogLoss     number        `json:"log_loss"`
	Brier       number        `json:"brier"`
	ECE         number        `json:"ece"`
	Calibration []scoring.Bin `json:"calibration"`
}

func calibrationOf(s *scoring.Set) calibration {
	bins, ece := s.Calibration(15)
	if bins == nil {
		bins, ece = []scoring.Bin{}, math.NaN() // of no links nothing is known
	}
	return calibration{number(s.LogLoss()), number(s.Brier()), number(ece), bins}
}

// intervals are pairs of the low and the high end.
type intervals struct {
	AUC [2]number `json:"auc"`
	TPR struct {
		At1  [2]number `json:"1%"`
		At01 [2]number `json:"0.1%"`
	} `json:"tpr_at_fpr"`
}

// draws are enough for two digits of an interval's ends.
const draws = 200

func intervalsOf(s *scoring.Set) (i intervals) {
	ends := func(x scoring.Interval) [2]number { return [2]number{number(x.Low), number(x.High)} }
	auc, tpr := s.Bootstrap(draws, .01, .001)
	i.AUC, i.TPR.At1, i.TPR.At01 = ends(auc), ends(tpr[0]), ends(tpr[1])
	return i
}

// levels counts the links at each level under the default policy:
// level → "good" or "bad" → links.
type levels map[string]map[string]int

func levelsOf(xs []labelled, keep func(labelled) bool) levels {
	n := make(levels)
	for l := reputation.Safe; l <= reputation.Dangerous; l++ {
		n[l.String()] = map[string]int{"good": 0, "bad": 0}
	}
	for _, x := range xs {
		if keep(x) {
			n[x.level.String()][[...]string{"good", "bad"}[btoi(x.bad)]]++
		}
	}
	return n
}

// agePart is the links of tenants that had been in the stream for so long.
type agePart struct {
	Age    string `json:"age"`
	Levels levels `json:"levels"`
	Good   int    `json:"good"`
	Bad    int    `json:"bad"`
	// Suspicious is the share of the bad ones at that level or above.
	Suspicious number `json:"suspicious_or_dangerous"`
	Dangerous  number `json:"dangerous"`
}

// ages are how long a tenant had been in the stream when its link was asked
// about; each ends before its end.
var ages = []struct {
	name string
	end  time.Duration
}{
	{"new", 0},
	{"< 1 d", 24 * time.Hour},
	{"< 7 d", 7 * 24 * time.Hour},
	{"< 30 d", 30 * 24 * time.Hour},
	{"older", math.MaxInt64},
}

func agesOf(xs []labelled) (parts []agePart) {
	begin := time.Duration(math.MinInt64)
	for _, age := range ages {
		n := levelsOf(xs, func(x labelled) bool { return begin <= x.age && x.age < age.end })
		p := agePart{Age: age.name, Levels: n}
		for _, of := range n {
			p.Good, p.Bad = p.Good+of["good"], p.Bad+of["bad"]
		}
		dangerous, suspicious := n[reputation.Dangerous.String()]["bad"], n[reputation.Suspicious.String()]["bad"]
		p.Suspicious = number(float64(dangerous+suspicious) / float64(p.Bad))
		p.Dangerous = number(float64(dangerous) / float64(p.Bad))
		parts = append(parts, p)
		begin = age.end
	}
	return parts
}

type classPart struct {
	quality
	calibration
	Levels          levels `json:"levels"`
	CleanDangerous  number `json:"clean_dangerous"`
	CleanSuspicious number `json:"clean_suspicious"`
}

// listPart is an exact list, and the model at the list's own rate of false alarms.
type listPart struct {
	TPR  number `json:"tpr"`
	FPR  number `json:"fpr"`
	Ours number `json:"ours_at_its_fpr"`
}

// number is a float that may be undefined, which JSON has no word for but null.
type number float64

func (n number) MarshalJSON() ([]byte, error) {
	if math.IsNaN(float64(n)) || math.IsInf(float64(n), 0) {
		return []byte("null"), nil
	}
	return json.Marshal(float64(n))
}

func (n number) String() string {
	if math.IsNaN(float64(n)) {
		return "-"
	}
	return fmt.Sprintf("%.3f", float64(n))
}

func qualityOf(s *scoring.Set) quality {
	q := quality{Good: s.Good(), Bad: s.Bad(), AUC: number(s.AUC())}
	at := func(fpr float64) (tpr, threshold number) {
		if s.Good() == 0 || s.Bad() == 0 {
			return number(math.NaN()), number(math.NaN())
		}
		p := s.At(fpr)
		return number(p.TPR), number(p.Threshold)
	}
	q.TPR.At1, q.Thresholds.At1 = at(.01)
	q.TPR.At01, q.Thresholds.At01 = at(.001)
	q.TPR.At001, q.Thresholds.At001 = at(.0001)
	return q
}

func (r *evalReport) fill(xs []labelled) {
	every := func(labelled) bool { return true }
	all := sampleSet(xs, byScore, every)
	r.quality = qualityOf(all)
	r.Intervals = intervalsOf(all)
	r.PerTenant = qualityOf(all.PerGroup())
	r.calibration = calibrationOf(all)
	r.Strata = make(map[string]quality)
	for _, s := range strata {
		r.Strata[s] = qualityOf(sampleSet(xs, byScore, func(x labelled) bool { return x.stratum == s }))
	}
	r.Classes = make(map[string]classPart)
	for _, c := range houses {
		in := func(x labelled) bool { return x.class == c }
		set := sampleSet(xs, byScore, in)
		r.Classes[c] = classPart{
			quality:         qualityOf(set),
			calibration:     calibrationOf(set),
			Levels:          levelsOf(xs, in),
			CleanDangerous:  number(cleanShare(xs, in, reputation.Dangerous)),
			CleanSuspicious: number(cleanShare(xs, in, reputation.Suspicious)),
		}
	}
	r.CleanDangerous = number(cleanShare(xs, every, reputation.Dangerous))
	r.CleanSuspicious = number(cleanShare(xs, every, reputation.Suspicious))
	r.Levels, r.Ages = levelsOf(xs, every), agesOf(xs)
	for _, x := range xs {
		if x.house && x.level >= reputation.Suspicious {
			r.HousesFlagged++
		}
	}
	sums := sampleSet(xs, bySum, every)
	r.Additive = qualityOf(sums)
	r.curve, r.additiveCurve = all.Curve(), sums.Curve()
	r.Lists = make(map[string]listPart)
	for i, name := range listNames {
		var bad, good int
		for _, x := range xs {
			if x.lists[i] && x.bad {
				bad++
			} else if x.lists[i] {
				good++
			}
		}
		p := listPart{TPR: number(float64(bad) / float64(r.Bad)), FPR: number(float64(good) / float64(r.Good))}
		p.Ours = number(all.At(float64(p.FPR)).TPR)
		r.Lists[name] = p
	}
}

// cleanShare is the share of good links at a level, exactly.
func cleanShare(xs []labelled, keep func(labelled) bool, l reputation.Level) float64 {
	n, of := 0, 0
	for _, x := range xs {
		if !x.bad && keep(x) {
			of++
			n += btoi(x.level == l)
		}
	}
	return float64(n) / float64(of)
}

// writeTable prints the report for a person.
func (r *evalReport) writeTable(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	row := func(name string, q quality) {
		fmt.Fprintf(w, "%s\t%d\t%d\t%v\t%v\t%v\t%v\t\n", name, q.Good, q.Bad, q.AUC, q.TPR.At1, q.TPR.At01, q.TPR.At001)
	}
	fmt.Fprintf(out, "%d events in %.1f s (%.0f/s), %d links asked, %d subjects\n", r.Events, r.Seconds, float64(r.Events)/r.Seconds, r.Asked, r.Subjects)
	if r.Delay != "" {
		fmt.Fprintf(out, "reports and reviews learnt %s later\n", r.Delay)
	}
	if f := r.Flipped; f != nil {
		fmt.Fprintf(out, "labels turned about of a share of %v of the URLs: %d reports withheld, %d false reports\n", f.Share, f.Withheld, f.False)
	}
	if len(r.DroppedMonths) > 0 {
		fmt.Fprintf(out, "left out, for one class is missing: %v\n", r.DroppedMonths)
	}
	fmt.Fprintln(w, "\nlinks scored\tgood\tbad\tAUC\tTPR@1%\t@0.1%\t@0.01%\t")
	row("all", r.quality)
	for i, end := range []string{"at least", "at most"} {
		x := &r.Intervals
		fmt.Fprintf(w, "%s\t\t\t%v\t%v\t%v\t\t\n", end, x.AUC[i], x.TPR.At1[i], x.TPR.At01[i])
	}
	row("per tenant", r.PerTenant)
	for _, s := range strata {
		row(s, r.Strata[s])
	}
	for _, c := range houses {
		row(c, r.Classes[c].quality)
	}
	row("additive", r.Additive)
	fmt.Fprintln(w, "\nexact list\tTPR\tFPR\tours\t")
	for _, name := range listNames {
		l := r.Lists[name]
		fmt.Fprintf(w, "%s\t%v\t%.5f\t%v\t\n", name, l.TPR, float64(l.FPR), l.Ours)
	}
	fmt.Fprintln(w, "\ntenant in the stream for\tgood\tbad\tsuspicious or dangerous\tdangerous\t")
	for _, a := range r.Ages {
		fmt.Fprintf(w, "%s\t%d\t%d\t%v\t%v\t\n", a.Age, a.Good, a.Bad, a.Suspicious, a.Dangerous)
	}
	fmt.Fprintln(w, "\nlevel\tgood\tbad\tshare of good\t")
	for l := reputation.Dangerous; l >= reputation.Safe; l-- {
		n := r.Levels[l.String()]
		fmt.Fprintf(w, "%s\t%d\t%d\t%.5f\t\n", l, n["good"], n["bad"], float64(n["good"])/float64(r.Good))
	}
	fmt.Fprintln(w, "\ngood links by class\tdangerous\tsuspicious\tof\tECE of the class\t")
	for _, c := range houses {
		p := r.Classes[c]
		fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%v\t\n", c, p.Levels["dangerous"]["good"], p.Levels["suspicious"]["good"], p.Good, p.ECE)
	}
	fmt.Fprintf(w, "\nlog loss\tBrier\tECE\thouses flagged\t\n%v\t%v\t%v\t%d\t\n", r.LogLoss, r.Brier, r.ECE, r.HousesFlagged)
	if err := w.Flush(); err != nil || r.Worst == nil {
		return err
	}
	writeMistakes(out, "good links with the highest scores", r.Worst.Good)
	writeMistakes(out, "bad links with the lowest scores", r.Worst.Bad)
	return nil
}

// writeMistakes prints links for a person to look at.
func writeMistakes(out io.Writer, title string, ms []mistake) {
	fmt.Fprintf(out, "\n%s:\n", title)
	for _, m := range ms {
		fmt.Fprintf(out, "%8d  %.4f  %s, %s, %s  %s\n", m.Line, m.Score, m.Level, m.Class, m.Stratum, printable(m.URL))
		for _, reason := range m.Reasons {
			fmt.Fprintf(out, "          %s\n", printable(reason))
		}
	}
}
