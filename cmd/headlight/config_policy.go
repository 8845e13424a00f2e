package main

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"headlight.example/evidence"
	"headlight.example/link"
	"headlight.example/reputation"
)

// PolicyConfig holds the numbers of reputation.Policy that an operator may
// have reason to touch. The others belong to the model.
type PolicyConfig struct {
	Allow      []string                    `toml:"allow"`
	Deny       []string                    `toml:"deny"`
	FeedTrust  float64                     `toml:"feed_trust"`
	ListTrust  float64                     `toml:"list_trust"`
	ListDays   int                         `toml:"list_days"`
	Heard      int                         `toml:"heard"`
	VetoRank   uint32                      `toml:"veto_rank"`
	Thresholds map[string]ThresholdsConfig `toml:"thresholds"`
}

// ThresholdsConfig are the scores from which links of a class are suspicious
// and dangerous.
type ThresholdsConfig struct {
	Suspicious float64 `toml:"suspicious"`
	Dangerous  float64 `toml:"dangerous"`
}

// classes are the classes of links by name.
func classes() map[string]reputation.Class {
	m := make(map[string]reputation.Class)
	for c := range reputation.NumClasses {
		m[c.String()] = c
	}
	return m
}

func defaultPolicyConfig() PolicyConfig {
	p := reputation.DefaultPolicy()
	c := PolicyConfig{
		Allow: []string{}, Deny: []string{},
		FeedTrust: p.FeedTrust, ListTrust: p.ListTrust, ListDays: p.ListDays,
		Heard: p.Heard, VetoRank: p.VetoRank,
		Thresholds: make(map[string]ThresholdsConfig),
	}
	for name, class := range classes() {
		c.Thresholds[name] = ThresholdsConfig(p.Thresholds[class])
	}
	return c
}

// validate names the key that is wrong.
func (p *PolicyConfig) validate() (key string, err error) {
	for key, names := range map[string][]string{"allow": p.Allow, "deny": p.Deny} {
		for _, name := range names {
			if _, err := hostName(name); err != nil {
				return key, err
			}
		}
	}
	for key, v := range map[string]float64{"feed_trust": p.FeedTrust, "list_trust": p.ListTrust} {
		if v < 0 || v > 1 {
			return key, fmt.Errorf("%v is not between 0 and 1", v)
		}
	}
	switch {
	case p.ListDays < 1 || p.ListDays > 3650:
		return "list_days", fmt.Errorf("%d is not between 1 and 3650", p.ListDays)
	case p.Heard < 0 || p.Heard > 7:
		return "heard", fmt.Errorf("%d is not between 0 and 7", p.Heard)
	case p.VetoRank > 1_000_000:
		return "veto_rank", fmt.Errorf("%d is not between 0 and 1000000", p.VetoRank)
	}
	known := classes()
	for _, name := range slices.Sorted(maps.Keys(p.Thresholds)) {
		key, t := "thresholds."+name, p.Thresholds[name]
		if _, ok := known[name]; !ok {
			return key, fmt.Errorf("no class of links has this name%s", didYouMean(name, slices.Collect(maps.Keys(known))))
		}
		if t.Suspicious <= 0 || t.Dangerous < t.Suspicious {
			return key, errors.New("want 0 < suspicious ≤ dangerous; above 1 means never")
		}
	}
	return "", nil
}

// hostName gives a name of the allow or deny list in canonical form.
func hostName(name string) (string, error) {
	l, err := link.Parse(name)
	if err != nil || l.URL() != l.Host()+"/" {
		return "", fmt.Errorf("%q is not the name of a host or domain", name)
	}
	return l.Host(), nil
}

// policy puts what the file says over the default policy.
func (c *Config) policy() (*reputation.Policy, error) {
	p := reputation.DefaultPolicy()
	f := &c.Policy
	p.FeedTrust, p.ListTrust, p.ListDays = f.FeedTrust, f.ListTrust, f.ListDays
	p.Heard, p.VetoRank = f.Heard, f.VetoRank
	for name, class := range classes() {
		if t, ok := f.Thresholds[name]; ok {
			p.Thresholds[class] = reputation.Thresholds(t)
		}
	}
	var err error
	if p.Allow, err = hostNames(f.Allow); err != nil {
		return nil, err
	}
	if p.Deny, err = hostNames(f.Deny); err != nil {
		return nil, err
	}
	for i := range c.Feeds {
		feed := &c.Feeds[i]
		if feed.Trust == nil {
			continue
		}
		if p.Trust == nil {
			p.Trust = make(map[string]float64)
		}
		source, err := feed.source(c)
		if err != nil {
			return nil, err
		}
		p.Trust[evidence.Group(source.Rater)] = *feed.Trust
	}
	return p, nil
}

func hostNames(names []string) (map[string]bool, error) {
	if len(names) == 0 {
		return nil, nil
	}
	m := make(map[string]bool, len(names))
	for _, name := range names {
		host, err := hostName(name)
		if err != nil {
			return nil, err
		}
		m[host] = true
	}
	return m, nil
}
