package scoring_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"headlight.example/internal/scoring"
)

func set(bad, good []float64) *scoring.Set {
	var s []scoring.Sample
	for _, x := range good {
		s = append(s, scoring.Sample{Score: x})
	}
	for _, x := range bad {
		s = append(s, scoring.Sample{Score: x, Bad: true})
	}
	return scoring.New(s)
}

func near(a, b float64) bool { return math.Abs(a-b) < 1e-12 }

func TestAUC(t *testing.T) {
	tests := []struct {
		name      string
		bad, good []float64
		want      float64
	}{
		{"all bad above all good", []float64{.9, .8}, []float64{.2, .1, .3}, 1},
		{"all bad below all good", []float64{.1}, []float64{.2, .3}, 0},
		{"one score for all tells nothing", []float64{.5, .5}, []float64{.5, .5, .5}, .5},
		{"one pair of four is the wrong way round", []float64{.9, .3}, []float64{.4, .2}, .75},
		{"a tie counts half", []float64{.9, .4}, []float64{.4, .2}, .875},
	}
	for _, tt := range tests {
		if got := set(tt.bad, tt.good).AUC(); !near(got, tt.want) {
			t.Errorf("%s: got %v, want %v", tt.name, got, tt.want)
		}
	}
	if got := set([]float64{1}, nil).AUC(); !math.IsNaN(got) {
		t.Errorf("without good samples: got %v, want NaN", got)
	}
}

func TestAtTakesTiesWholeOrNotAtAll(t *testing.T) {
	// Ten good samples: one false alarm is 10 %.
	good := []float64{.6, .5, .5, .1, .1, .1, .1, .1, .1, .1}
	s := set([]float64{.9, .6, .5, .1}, good)
	tests := []struct {
		fpr, threshold, tpr, gotFPR float64
	}{
		{0, .9, .25, 0},
		{.0999, .9, .25, 0},
		{.1, .6, .5, .1},
		{.2, .6, .5, .1}, // .5 would bring two more at once
		{.3, .5, .75, .3},
		{1, .1, 1, 1},
	}
	for _, tt := range tests {
		got := s.At(tt.fpr)
		if want := (scoring.Point{Threshold: tt.threshold, TPR: tt.tpr, FPR: tt.gotFPR}); got != want {
			t.Errorf("at %v: got %+v, want %+v", tt.fpr, got, want)
		}
	}
	none := set([]float64{.5}, []float64{.5}).At(.1)
	if none.TPR != 0 || !math.IsInf(none.Threshold, 1) {
		t.Errorf("no threshold is strict enough: got %+v, want none", none)
	}
}

func TestLosses(t *testing.T) {
	s := set([]float64{.8}, []float64{.4})
	if got, want := s.LogLoss(), -(math.Log(.8)+math.Log(.6))/2; !near(got, want) {
		t.Errorf("log loss: got %v, want %v", got, want)
	}
	if got, want := s.Brier(), (.04+.16)/2; !near(got, want) {
		t.Errorf("Brier: got %v, want %v", got, want)
	}
	if got := set([]float64{0}, []float64{1}).LogLoss(); math.IsInf(got, 0) {
		t.Error("a wrong certainty makes the log loss infinite")
	}
}

func TestCalibration(t *testing.T) {
	bins, ece := set([]float64{.95, .96, 1, .04}, []float64{.06, .05, .02, .03}).Calibration(10)
	if len(bins) != 2 {
		t.Fatalf("got %d bins, want 2: %+v", len(bins), bins)
	}
	low, high := bins[0], bins[1]
	if low.N != 5 || !near(low.Bad, .2) || !near(low.Predicted, .04) {
		t.Errorf("low bin: %+v", low)
	}
	if high.N != 3 || high.Bad != 1 || high.To != 1 {
		t.Errorf("high bin: %+v", high)
	}
	if want := .16*5/8 + (1-.97)*3/8; !near(ece, want) {
		t.Errorf("ece: got %v, want %v", ece, want)
	}
}

// Rates measured on a set are met by it, though 1/49 of 49 is less than 1.
func TestAtMeetsARateOfTheSetItself(t *testing.T) {
	for n := 1; n <= 200; n++ {
		good := make([]float64, n)
		good[0] = .9
		s := set([]float64{.9}, good)
		if p := s.At(s.Over(.9).FPR); p.TPR != 1 {
			t.Errorf("one of %d good samples: got %+v, want the bad one caught", n, p)
		}
	}
}

func TestOver(t *testing.T) {
	s := set([]float64{.9, .6, .5, .1}, []float64{.6, .5, .5, .1})
	tests := []struct{ threshold, tpr, fpr float64 }{
		{.91, 0, 0}, {.9, .25, 0}, {.55, .5, .25}, {.5, .75, .75}, {0, 1, 1},
	}
	for _, tt := range tests {
		got := s.Over(tt.threshold)
		if want := (scoring.Point{Threshold: tt.threshold, TPR: tt.tpr, FPR: tt.fpr}); got != want {
			t.Errorf("over %v: got %+v, want %+v", tt.threshold, got, want)
		}
	}
}

func TestCurveHoldsWhatAtGives(t *testing.T) {
	s := set([]float64{.9, .8, .6, .5, .3, .1}, []float64{.7, .5, .5, .2})
	want := []scoring.Point{
		{Threshold: .8, TPR: 2. / 6, FPR: 0}, // .9 costs as much and catches less
		{Threshold: .6, TPR: 3. / 6, FPR: .25},
		{Threshold: .3, TPR: 5. / 6, FPR: .75},
		{Threshold: .1, TPR: 1, FPR: 1},
	}
	got := s.Curve()
	if len(got) != len(want) {
		t.Fatalf("got %+v, want %+v", got, want)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("point %d: got %+v, want %+v", i, got[i], want[i])
		}
		if at := s.At(want[i].FPR); at != want[i] {
			t.Errorf("at %v: got %+v, want %+v", want[i].FPR, at, want[i])
		}
	}
	if c := set([]float64{1}, nil).Curve(); c != nil {
		t.Errorf("without good samples: got %v, want none", c)
	}
}

// Group 1 has 98 bad links, all missed; groups 2 and 3 one each, both caught.
// Good ones: group 4 has two, one of them flagged; group 1 has one, clean.
func TestPerGroupWeighsEachGroupAsOne(t *testing.T) {
	var samples []scoring.Sample
	for range 98 {
		samples = append(samples, scoring.Sample{Score: .1, Bad: true, Group: 1})
	}
	samples = append(samples,
		scoring.Sample{Score: .9, Bad: true, Group: 2},
		scoring.Sample{Score: .9, Bad: true, Group: 3},
		scoring.Sample{Score: .9, Group: 4},
		scoring.Sample{Score: .1, Group: 4},
		scoring.Sample{Score: .1, Group: 1})
	s := scoring.New(samples)
	if p := s.Over(.5); !near(p.TPR, .02) || !near(p.FPR, 1./3) {
		t.Errorf("per sample: %+v", p)
	}
	g := s.PerGroup()
	if p := g.Over(.5); !near(p.TPR, 2./3) || !near(p.FPR, .25) {
		t.Errorf("per group: %+v", p)
	}
	if g.Bad() != 3 || g.Good() != 2 {
		t.Errorf("groups: %d bad, %d good, want 3 and 2", g.Bad(), g.Good())
	}
	// Of a bad link of a group drawn at random against a good one: it is above
	// in 2/3 of cases against clean ones (3/4), a tie 2/3 × 1/4 and 1/3 × 3/4.
	if got, want := g.AUC(), 2./3*3/4+(2./3/4+1./3*3/4)/2; !near(got, want) {
		t.Errorf("AUC: got %v, want %v", got, want)
	}
	if p := g.At(1); p.TPR != 1 || p.FPR != 1 {
		t.Errorf("everything flagged: %+v", p)
	}
}

// The truth is known: scores are normal, one standard deviation apart, so AUC
// is Φ(1/√2) = .7602. One sample a group, 400 of each class.
func TestBootstrapHoldsTheTruth(t *testing.T) {
	const groups, want = 400, .7602
	random := rand.New(rand.NewPCG(7, 7))
	var alone, together []scoring.Sample
	for i := range uint64(2 * groups) {
		bad := i%2 == 0
		x := scoring.Sample{Score: random.NormFloat64() + float64(1-i%2), Bad: bad, Group: i}
		alone = append(alone, x)
		for range 9 { // nine links of one tenant tell no more than one
			together = append(together, x)
		}
	}
	auc, tpr := scoring.New(alone).Bootstrap(200, .1, .01)
	if !(auc.Low < want && want < auc.High) || auc.High-auc.Low > .1 {
		t.Errorf("AUC: got %+v, want it around %v", auc, want)
	}
	// At a false alarm rate of 10 % the threshold is 1.2816, detection Φ(-.2816) = .389.
	if len(tpr) != 2 || !(tpr[0].Low < .389 && .389 < tpr[0].High) || tpr[1].High >= tpr[0].High {
		t.Errorf("TPR: got %+v", tpr)
	}
	again, _ := scoring.New(together).Bootstrap(200)
	if r := (again.High - again.Low) / (auc.High - auc.Low); r < .8 || r > 1.25 {
		t.Errorf("links that go together: interval %+v is %v times as wide as %+v, want the same", again, r, auc)
	}
	for i := range together {
		together[i].Group = uint64(i)
	}
	narrow, _ := scoring.New(together).Bootstrap(200)
	if r := (narrow.High - narrow.Low) / (auc.High - auc.Low); r > .5 {
		t.Errorf("as many witnesses: interval %+v is %v times as wide, want a third", narrow, r)
	}
	twice, _ := scoring.New(alone).Bootstrap(200, .1, .01)
	if twice != auc {
		t.Errorf("two runs: %+v and %+v", auc, twice)
	}
	if none, _ := set([]float64{1}, nil).Bootstrap(10); !math.IsNaN(none.Low) || !math.IsNaN(none.High) {
		t.Errorf("one class: got %+v, want NaN", none)
	}
}

// 200 draws of what the largest stream asks must stay a matter of seconds.
func BenchmarkBootstrap(b *testing.B) {
	random := rand.New(rand.NewPCG(1, 1))
	samples := make([]scoring.Sample, 140_000)
	for i := range samples {
		samples[i] = scoring.Sample{Score: random.Float64(), Bad: i%5 == 0, Group: random.Uint64N(70_000)}
	}
	s := scoring.New(samples)
	b.ReportAllocs()
	for b.Loop() {
		s.Bootstrap(200, .01, .001)
	}
}
