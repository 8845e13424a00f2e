package main

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"headlight.example"
	"headlight.example/link"
	"headlight.example/probe"
	"headlight.example/rdap"
)

// ProbeConfig says how links that are not known safe are looked into.
type ProbeConfig struct {
	Mode        string    `toml:"mode"`
	Exact       string    `toml:"exact"`
	About       string    `toml:"about"`
	From        string    `toml:"from"`
	Agent       string    `toml:"agent"`
	Resolver    oneOrMore `toml:"resolver"`
	Allow       oneOrMore `toml:"allow"`
	Jitter      duration  `toml:"jitter"`
	RDAP        bool      `toml:"rdap"`
	RDAPServers string    `toml:"rdap_servers"`
}

// oneOrMore is a list of strings that may be written as one string.
type oneOrMore []string

// UnmarshalTOML implements toml.Unmarshaler.
func (l *oneOrMore) UnmarshalTOML(value any) error {
	switch v := value.(type) {
	case string:
		*l = oneOrMore{v}
		return nil
	case []any:
		list := make(oneOrMore, len(v))
		for i := range v {
			s, ok := v[i].(string)
			if !ok {
				return fmt.Errorf("%v is not a string", v[i])
			}
			list[i] = s
		}
		*l = list
		return nil
	}
	return errors.New("want a string or a list of strings")
}

// Modes of visits.
const (
	probeOff  = "off"
	probeDNS  = "dns-only"
	probeHead = "head"
)

func defaultProbeConfig() ProbeConfig {
	return ProbeConfig{Mode: probeOff, Exact: "safe", Resolver: oneOrMore{}, Allow: oneOrMore{}, Jitter: duration(30 * time.Second), RDAPServers: rdap.IANA}
}

// validate checks what types cannot say; the key is that which is wrong.
func (c *ProbeConfig) validate() (key string, err error) {
	if !slices.Contains([]string{probeOff, probeDNS, probeHead}, c.Mode) {
		return "mode", fmt.Errorf("%q: want off, dns-only or head", c.Mode)
	}
	if _, err := probe.ParsePolicy(c.Exact); err != nil {
		return "exact", fmt.Errorf("%q: want always, safe or never", c.Exact)
	}
	asks, or := "servers", `, or set mode = "dns-only"`
	if c.Mode == probeDNS {
		asks, or = "registries", ", or set rdap = false"
	}
	if c.Mode == probeHead || c.Mode == probeDNS && c.RDAP {
		if c.About == "" {
			return "about", fmt.Errorf(`is needed before %s are asked: name the page that says who you are, such as "https://linkcheck.example/visits" (this server has one at /visits)%s`, asks, or)
		}
		if c.From == "" {
			return "from", fmt.Errorf(`is needed before %s are asked: name a mail address that somebody reads, such as "abuse@linkcheck.example"%s`, asks, or)
		}
	}
	if l, err := link.Parse(c.About); c.About != "" && (err != nil || l.Scheme() != "https" && l.Scheme() != "http") {
		return "about", fmt.Errorf("%q is not the URL of a page", c.About)
	}
	if at := strings.IndexByte(c.From, '@'); c.From != "" && (at < 1 || at == len(c.From)-1) {
		return "from", fmt.Errorf("%q is not a mail address", c.From)
	}
	identity := c.identity()
	if err := identity.Validate(); err != nil {
		return "agent", err
	}
	if _, err := c.servers(); err != nil {
		return "resolver", err
	}
	if _, err := c.allowed(); err != nil {
		return "allow", err
	}
	if l, err := link.Parse(c.RDAPServers); c.RDAPServers != "" && (err != nil || l.Scheme() != "https" || !strings.HasPrefix(c.RDAPServers, "https://")) {
		return "rdap_servers", fmt.Errorf("%q is not the https URL of a file", c.RDAPServers)
	}
	if time.Duration(c.Jitter) > time.Hour {
		return "jitter", fmt.Errorf("%s is more than an hour", c.Jitter)
	}
	return "", nil
}

func (c *ProbeConfig) identity() probe.Identity {
	return probe.Identity{About: c.About, From: c.From, Agent: c.Agent}
}

// servers are the name servers to ask; nil means the system's.
func (c *ProbeConfig) servers() (servers []string, err error) {
	for _, s := range c.Resolver {
		server, err := probe.ParseServer(s)
		if err != nil {
			return nil, fmt.Errorf("%q is %w", s, err)
		}
		servers = append(servers, server)
	}
	return servers, nil
}

func (c *ProbeConfig) allowed() (allow []netip.AddrPort, err error) {
	for _, s := range c.Allow {
		ap, err := netip.ParseAddrPort(s)
		if err != nil {
			return nil, fmt.Errorf("%q is not an address and a port, such as 127.0.0.1:8081", s)
		}
		allow = append(allow, ap)
	}
	return allow, nil
}

// policy says how much is asked for of each class of links.
func (c *ProbeConfig) policy() (probe.Policy, error) {
	if c.Mode != probeHead {
		return probe.Policy{}, nil
	}
	return probe.ParsePolicy(c.Exact)
}

// policyLines are the policy in words, a line a class.
func (c *ProbeConfig) policyLines() (lines []string) {
	if c.Mode == probeOff {
		return []string{"nothing is asked of any link"}
	}
	p, err := c.policy()
	if err != nil {
		return nil // not after validate
	}
	about := map[probe.Class]string{
		probe.Plain:       "nothing in it looks as if it were used once",
		probe.ShortLink:   "on a known shortener",
		probe.Credential:  "carries a user name, a password or a token",
		probe.OneTime:     "looks as if asking for it did something, or did it only once",
		probe.Unsubscribe: "offers to leave a mailing list",
	}
	for class := probe.Plain; class <= probe.Unsubscribe; class++ {
		lines = append(lines, fmt.Sprintf("%-12s %-9s %s", class, p[class], about[class]))
	}
	return lines
}

// visits is nil if nobody is to be asked.
func (c *Config) visits() (*headlight.VisitConfig, error) {
	p := &c.Probe
	if p.Mode == probeOff {
		return nil, nil
	}
	policy, err := p.policy()
	if err != nil {
		return nil, err
	}
	servers, err := p.servers()
	if err != nil {
		return nil, err
	}
	allow, err := p.allowed()
	if err != nil {
		return nil, err
	}
	v := &headlight.VisitConfig{
		Policy: policy, Identity: p.identity(), Servers: servers, Allow: allow, Jitter: time.Duration(p.Jitter),
		Registries: p.RDAP, RegistryServers: p.RDAPServers,
	}
	if v.Jitter == 0 {
		v.Jitter = -1
	}
	return v, nil
}
