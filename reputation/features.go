package reputation

// The chain and the markers, as numbers. Each rung has a posterior
//
//	p = (bad + κ·p before) / (bad + good + κ)
//
// in each memory, and adds logit p − logit p before. From that come two
// features a rung: its weight (the mean of the memories) and its trend (slow
// less fast). They are policy-free, since the fold learns from them.
const (
	pure = .3 // units of the other side that a pure rung may have
	// As long as nobody knows what clean links of the class look like, what lies
	// above the tenant adds so much at most, in log-odds: a list of bad links alone,
	// as is all that a new installation has, makes every suffix look bad.
	noviceCap         = 2
	novicePlatformCap = 1
)

// Levels of features: the rungs, with the networks between suffix and platform.
const (
	levelSuffix = iota
	levelNet    // and three more, in the order of netAS to netAddr
	_
	_
	_
	levelPlatform
	levelTenant
	levelHost
	levelPath
	levelURL
	nLevels
)

var levelOf = [nRungs]int{rungSuffix: levelSuffix, rungPlatform: levelPlatform, rungTenant: levelTenant,
	rungHost: levelHost, rungPath: levelPath, rungURL: levelURL}

// Features, by their place in a vector.
const (
	biasAt      = 0
	weightAt    = 1
	trendAt     = weightAt + nLevels
	markAt      = trendAt + nLevels
	markTrendAt = markAt + nMarkers
	nFeatures   = markTrendAt + nMarkers

	// Behind the features stands what the tokens say, all together: its weight
	// decides how much spelling counts where more is known.
	spellingAt = nFeatures
	nParts     = nFeatures + 1
)

// Gates: what is known of host and tenant, apart for platforms and own domains.
const (
	gateHostBad = iota
	gateHostGood
	gateHostMixed
	gateTenantBad
	gateTenantGood
	gateTenantMixed
	gateAddrKnown
	gateAllNew
	gatesPerKind
	nGates = 2 * gatesPerKind
)

// features are what the model multiplies with its weights.
type features struct {
	x    [nFeatures]float64
	gate int
	// What the plain chain makes of the link down to each rung, in log-odds, and
	// what each network of each address adds to it.
	chain [nRungs]float64
	net   [maxAddrs][nNets]float64
	sums  [nRungs]sums
}

// belief is a step down the ladder: the posteriors of both memories.
type belief struct{ fast, slow, zfast, zslow float64 }

func (m *Model) start() belief { z := logit(m.Root); return belief{m.Root, m.Root, z, z} }

// step goes down a rung, and gives what it adds and its trend.
func (b *belief) step(s *sums, kappa float64) (weight, trend float64) {
	if s.empty() {
		return 0, 0
	}
	before := *b
	b.fast, b.zfast = posterior(s.fast, b.fast, kappa)
	b.slow, b.zslow = posterior(s.slow, b.slow, kappa)
	df, ds := b.zfast-before.zfast, b.zslow-before.zslow
	return (df + ds) / 2, ds - df
}

func posterior(n counts, before, kappa float64) (p, z float64) {
	bad := n.bad + float64(kappa*before)
	good := n.good + float64(kappa*(1-before))
	p = bad / (bad + good)
	const tiny = 1e-6
	return p, ln(max(bad, float64(tiny*good)) / max(good, float64(tiny*bad)))
}

func (b *belief) z() float64 { return (b.zfast + b.zslow) / 2 }

// features gives those of what was read.
func (v *view) features(m *Model, day uint16, f *features) {
	f.x[biasAt] = 1
	start := m.start()
	b := start
	down := func(i int) {
		if v.lad[i] != 0 {
			kappa := m.KappaOwn
			if i < rungTenant {
				kappa = m.KappaAbove
			}
			f.sums[i] = v.sumsOf(i, day)
			level := levelOf[i]
			f.x[weightAt+level], f.x[trendAt+level] = b.step(&f.sums[i], kappa)
		}
		f.chain[i] = b.z()
	}
	down(rungSuffix)
	known := v.throughNets(m, &b, f)
	down(rungPlatform)
	if v.novice {
		v.capAbove(m, &b, f)
	}
	for i := rungTenant; i < nRungs; i++ {
		down(i)
	}
	for i := range v.mark {
		if v.markAt[i] != 0 {
			b := start
			f.x[markAt+i], f.x[markTrendAt+i] = b.step(&v.mark[i], m.KappaAbove)
		}
	}
	f.gate = v.gate(f, known)
}

// cap is what may be said against a link as long as its class is new.
func (v *view) cap() float64 {
	if v.isPlatform() {
		return novicePlatformCap
	}
	return noviceCap
}

// capAbove makes less of what lies above the tenant.
func (v *view) capAbove(m *Model, b *belief, f *features) {
	most, root := v.cap(), logit(m.Root)
	sum := b.z() - root
	if sum <= most {
		return
	}
	for i := levelSuffix; i <= levelPlatform; i++ {
		f.x[weightAt+i] *= most / sum
		f.x[trendAt+i] *= most / sum
	}
	b.zfast = root + most
	b.zslow = b.zfast
	b.fast = sigmoid(b.zfast)
	b.slow = b.fast
	f.chain[rungSuffix], f.chain[rungPlatform] = min(f.chain[rungSuffix], b.zfast), b.zfast
}

// throughNets goes down the networks of each address and takes the mean. It
// reports whether any of the addresses is known.
func (v *view) throughNets(m *Model, b *belief, f *features) (known bool) {
	n := v.nroutes
	if n == 0 || v.isPlatform() {
		return false
	}
	var zfast, zslow float64
	for i := range n {
		a := *b
		for j := range nNets {
			w, trend := a.step(&v.net[i][j], m.KappaAbove)
			f.net[i][j] = w
			f.x[weightAt+levelNet+j] += w / float64(n)
			f.x[trendAt+levelNet+j] += trend / float64(n)
		}
		zfast += a.zfast
		zslow += a.zslow
		s := &v.net[i][netAddr].slow
		known = known || s.bad+s.good > 0
	}
	b.zfast, b.zslow = zfast/float64(n), zslow/float64(n)
	b.fast, b.slow = sigmoid(b.zfast), sigmoid(b.zslow)
	return known
}

func (v *view) gate(f *features, known bool) int {
	gate := gateAllNew
	host := &f.sums[rungTenant]
	if v.lad[rungHost] != 0 {
		host = &f.sums[rungHost]
	}
	if i := purity(host.slow); i >= 0 {
		gate = gateHostBad + i
	} else if i := purity(f.sums[rungTenant].slow); i >= 0 {
		gate = gateTenantBad + i
	} else if known {
		gate = gateAddrKnown
	}
	if v.isPlatform() {
		gate += gatesPerKind
	}
	return gate
}

// purity is 0 for what is all bad, 1 for all good, 2 for mixed; −1 for nothing.
func purity(n counts) int {
	switch {
	case n.bad+n.good == 0:
		return -1
	case n.good < pure:
		return 0
	case n.bad < pure:
		return 1
	}
	return 2
}
