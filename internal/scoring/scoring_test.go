package scoring_test

import (
	"math"
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
