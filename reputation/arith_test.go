package reputation

import (
	"math"
	"math/rand/v2"
	"testing"
)

func TestArithmeticIsThatOfPackageMath(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	for range 200_000 {
		x := math.Exp(r.Float64()*100 - 50)
		if got, want := ln(x), math.Log(x); math.Abs(got-want) > 1e-11*max(1, math.Abs(want)) {
			t.Fatalf("ln %g is %.15g, want %.15g", x, got, want)
		}
		z := r.Float64()*80 - 40
		if got, want := exp(z), math.Exp(z); math.Abs(got-want) > 1e-11*want {
			t.Fatalf("exp %g is %.15g, want %.15g", z, got, want)
		}
		if got, want := sigmoid(z), 1/(1+math.Exp(-z)); math.Abs(got-want) > 1e-12 {
			t.Fatalf("sigmoid %g is %.15g, want %.15g", z, got, want)
		}
	}
	for z, want := range map[float64]float64{0: .5, 1e9: 1, -1e9: 0, math.Inf(1): 1, math.Inf(-1): 0} {
		if got := sigmoid(z); math.Abs(got-want) > 1e-15 {
			t.Errorf("sigmoid %g is %g, want %g", z, got, want)
		}
	}
	for x, want := range map[float64]float64{1: 0, math.Sqrt2: math.Ln2 / 2, math.E: 1, .5: -math.Ln2} {
		if got := ln(x); math.Abs(got-want) > 1e-12 {
			t.Errorf("ln %g is %g, want %g", x, got, want)
		}
	}
}

func TestCleanLimitsLeaveAsManyAboveAsIsPromised(t *testing.T) {
	var c clean
	if c.known() {
		t.Fatal("known before the first")
	}
	r := rand.New(rand.NewPCG(1, 1))
	var zs []float64
	for range 20_032 { // a multiple of 64, so that the last is published
		z := r.NormFloat64() * 2
		zs = append(zs, z)
		c.add(z, 20_000)
	}
	suspicious, dangerous := c.limits()
	for _, test := range []struct {
		limit float64
		oneIn float64
	}{{suspicious, 300}, {dangerous, 3000}} {
		above := 0.
		for _, z := range zs {
			if z >= test.limit {
				above++
			}
		}
		if n := float64(len(zs)); above > n/test.oneIn || above < n/test.oneIn*.6 {
			t.Errorf("%v of %v reach %.2f, want one in %v or a few less", above, n, test.limit, test.oneIn)
		}
	}
	for _, z := range zs {
		c.take(z)
	}
	if c.total != 0 {
		t.Errorf("%d are left", c.total)
	}
}
