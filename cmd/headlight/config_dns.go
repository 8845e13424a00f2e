package main

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"syscall"

	"headlight.example/frontend/dns"
)

// DNSConfig says what DNS is answered to whom.
type DNSConfig struct {
	Listen   string    `toml:"listen"`
	Zone     string    `toml:"zone"`
	RPZ      string    `toml:"rpz"`
	Server   string    `toml:"server"`
	Lookup   string    `toml:"lookup"`
	Allow    oneOrMore `toml:"allow"`
	Transfer oneOrMore `toml:"transfer"`
	Keys     string    `toml:"keys"`
	Notify   oneOrMore `toml:"notify"`
	Rate     int       `toml:"rate"`
}

func defaultDNSConfig() DNSConfig {
	local := oneOrMore{"127.0.0.0/8", "::1"}
	return DNSConfig{Server: "localhost", Allow: local, Transfer: local, Notify: oneOrMore{}, Rate: 1000}
}

// server is the configuration as the frontend wants it, but for the shelf, the
// keys and the logger; the zero Config if nothing is answered.
func (d *DNSConfig) server(c *Config) (cfg dns.Config, err error) {
	if d.Listen == "" {
		return cfg, nil
	}
	if _, _, err := net.SplitHostPort(d.Listen); err != nil {
		return cfg, fmt.Errorf("listen: %q is not HOST:PORT, such as 127.0.0.1:5353", d.Listen)
	}
	if d.Rate < 0 {
		return cfg, errors.New("rate is below 0")
	}
	cfg = dns.Config{Zone: d.Zone, Policy: d.RPZ, Server: d.Server, Lookup: d.Lookup, Rate: d.Rate}
	if d.Rate == 0 {
		cfg.Rate = -1
	}
	if cfg.Allow, err = networks(d.Allow); err != nil {
		return cfg, fmt.Errorf("allow: %w", err)
	}
	if cfg.Transfer, err = networks(d.Transfer); err != nil {
		return cfg, fmt.Errorf("transfer: %w", err)
	}
	for _, s := range d.Notify {
		a, err := netip.ParseAddrPort(s)
		if err != nil {
			addr, err := netip.ParseAddr(s)
			if err != nil {
				return cfg, fmt.Errorf("notify: %q is not ADDR or ADDR:PORT", s)
			}
			a = netip.AddrPortFrom(addr, 53)
		}
		cfg.Notify = append(cfg.Notify, a)
	}
	_, err = dns.New(cfg)
	return cfg, err
}

// networks reads prefixes and addresses. An empty list is one in which nobody is.
func networks(list oneOrMore) ([]netip.Prefix, error) {
	prefixes := []netip.Prefix{}
	for _, s := range list {
		p, err := netip.ParsePrefix(s)
		if err != nil {
			a, err := netip.ParseAddr(s)
			if err != nil {
				return nil, fmt.Errorf("%q is not an address or a network, such as 192.0.2.0/24", s)
			}
			p = netip.PrefixFrom(a, a.BitLen())
		}
		prefixes = append(prefixes, p.Masked())
	}
	return prefixes, nil
}

// keys reads the file of keys: NAME and SECRET in base64 on each line.
func (d *DNSConfig) keys(e *env, c *Config) (map[string][]byte, error) {
	if d.Keys == "" {
		return nil, nil
	}
	text, err := readSecret(e, c.path(d.Keys))
	if err != nil {
		return nil, fmt.Errorf("dns.keys: %w", err)
	}
	keys := make(map[string][]byte)
	n := 0
	for line := range strings.Lines(string(text)) {
		n++
		line, _, _ = strings.Cut(line, "#")
		f := strings.Fields(line)
		if len(f) == 0 {
			continue
		}
		if len(f) != 2 {
			return nil, fmt.Errorf("%s:%d: want NAME SECRET", d.Keys, n)
		}
		secret, err := base64.StdEncoding.DecodeString(f[1])
		if err != nil || len(secret) < 16 {
			return nil, fmt.Errorf("%s:%d: the secret of %s is not at least 16 bytes in base64", d.Keys, n, f[0])
		}
		keys[f[0]] = secret
	}
	return keys, nil
}

// openDNS opens what answers DNS; nil if nothing does.
func (s *server) openDNS() (*frontend, error) {
	d := &s.cfg.DNS
	if d.Listen == "" {
		return nil, nil
	}
	cfg, err := d.server(s.cfg)
	if err != nil {
		return nil, fmt.Errorf("dns: %w", err)
	}
	if cfg.Keys, err = d.keys(s.e, s.cfg); err != nil {
		return nil, err
	}
	cfg.Shelf, cfg.Logger = s.lists.Shelf(), s.logger
	answers, err := dns.New(cfg)
	if err != nil {
		return nil, fmt.Errorf("dns: %w", err)
	}
	s.registry.MustRegister(answers)
	packets, listener, err := listenDNS(d.Listen)
	if err != nil {
		return nil, fmt.Errorf("dns.listen: %w", err)
	}
	return &frontend{packets.LocalAddr(), func(ctx context.Context) error { return answers.Serve(ctx, packets, listener) }}, nil
}

// listenDNS listens on the same port over UDP and TCP; on port 0, on one that is
// free on both.
func listenDNS(addr string) (packets net.PacketConn, listener net.Listener, err error) {
	const tries = 20 // of port 0, for others come and go
	for range tries {
		packets, err = net.ListenPacket("udp", addr)
		if errors.Is(err, syscall.EADDRINUSE) {
			return nil, nil, fmt.Errorf("address %s is in use, perhaps by a resolver; choose another", addr)
		}
		if err != nil {
			return nil, nil, err
		}
		if listener, err = listen(packets.LocalAddr().String()); err == nil {
			return packets, listener, nil
		}
		err = errors.Join(err, packets.Close())
		if _, port, _ := net.SplitHostPort(addr); port != "0" {
			break
		}
	}
	return nil, nil, err
}
