package reputation

import "math"

// What the fold computes must come out the same on every machine, to the last
// bit. Go's math package has assembly on some machines and not on others, and a
// compiler may fuse x*y + z into one rounding unless the product is converted:
// so ln and sigmoid are written out here, and products that are added to
// something are converted. Square roots and single operations are exact by
// IEEE 754 and need no care.

// ln is the natural logarithm of a normal number above 0, within 1e-11.
func ln(x float64) float64 {
	b := math.Float64bits(x)
	e := int(b>>52) - 1023
	m := math.Float64frombits(b&(1<<52-1) | 1023<<52) // [1, 2)
	if m > math.Sqrt2 {
		m /= 2
		e++
	}
	s := (m - 1) / (m + 1) // ln m = 2·atanh s, |s| < .172
	q := s * s
	p := 1. / 13
	p = float64(p*q) + 1./11
	p = float64(p*q) + 1./9
	p = float64(p*q) + 1./7
	p = float64(p*q) + 1./5
	p = float64(p*q) + 1./3
	p = float64(p*q) + 1
	return float64(2*float64(s*p)) + float64(float64(e)*math.Ln2)
}

// exp is e^x for |x| ≤ 700, within 1e-12 of it.
func exp(x float64) float64 {
	n := math.Floor(float64(x*math.Log2E) + .5)
	r := x - float64(n*math.Ln2) // |r| < .35
	p := 1. / 3628800
	for _, c := range [...]float64{1. / 362880, 1. / 40320, 1. / 5040, 1. / 720, 1. / 120, 1. / 24, 1. / 6, 1. / 2, 1, 1} {
		p = float64(p*r) + c
	}
	return float64(p * math.Float64frombits(uint64(1023+int(n))<<52))
}

// sigmoid is 1/(1+e^−z).
func sigmoid(z float64) float64 {
	const most = 36 // beyond it the result is 0 or 1 but for 1e-16
	return 1 / (1 + exp(-max(min(z, most), -most)))
}

// logit is limited to ±13.8, a million to one: counts do not prove more.
func logit(p float64) float64 {
	const tiny = 1e-6
	return ln(max(p, tiny) / max(1-p, tiny))
}
