package reputation

import (
	"strings"

	"headlight.example/evidence"
)

// testDomain holds the test points: names that are always answered as they
// say, so that an installation can be tried without a feed, as RFC 5782 §5 asks
// of DNS blocklists. RFC 2606 §3 reserves the name: nobody can own it.
//
//	phishing.headlight.example, malware.…, unwanted.…, spam.…   dangerous
//	suspicious.headlight.example                                suspicious
//	safe.headlight.example                                      safe
const testDomain = "headlight.example"

// testPoint settles the case if the link is one of them.
func (c *inquiry) testPoint(v *Verdict) bool {
	if len(c.l.Domain()) != len(testDomain) || c.l.Domain() != testDomain {
		return false
	}
	name, ok := strings.CutSuffix(c.l.Host(), "."+testDomain)
	if !ok {
		return false
	}
	r := Reason{Subject: evidence.Subject{Kind: evidence.Host, Key: c.l.Host()}, Basis: TestPoint}
	if a, err := evidence.ParseAssertion(name); err == nil && a.Threat() {
		c.close(v, a, r)
		return true
	}
	switch name {
	case "safe":
		c.close(v, evidence.Benign, r)
	case "suspicious":
		v.Level, v.Threat = Suspicious, evidence.Phishing
		r.Weight = logit(c.p.Thresholds[c.kind].Suspicious) - logit(c.p.Prior)
		v.Score = sigmoid(logit(c.p.Prior) + r.Weight)
		v.add(r)
	default:
		return false
	}
	return true
}
