package main

import (
	"fmt"
	"net"
	"strings"

	"headlight.example/frontend/milter"
)

// MilterConfig says what becomes of mails with bad links.
type MilterConfig struct {
	Listen     string    `toml:"listen"`
	Suspicious string    `toml:"suspicious"`
	Dangerous  string    `toml:"dangerous"`
	Exempt     oneOrMore `toml:"exempt"`
}

func defaultMilterConfig() MilterConfig {
	return MilterConfig{Suspicious: milter.Tag.String(), Dangerous: milter.Reject.String(), Exempt: oneOrMore{"abuse", "postmaster"}}
}

// validate checks what types cannot say; the key is that which is wrong.
func (c *MilterConfig) validate() (key string, err error) {
	if _, _, err := net.SplitHostPort(c.Listen); c.Listen != "" && err != nil {
		return "listen", fmt.Errorf("%q is not HOST:PORT, such as 127.0.0.1:8891", c.Listen)
	}
	if _, err := milter.ParseAction(c.Suspicious); err != nil {
		return "suspicious", err
	}
	if _, err := milter.ParseAction(c.Dangerous); err != nil {
		return "dangerous", err
	}
	for _, name := range c.Exempt {
		if name == "" || strings.Contains(name, "@") {
			return "exempt", fmt.Errorf("%q is not the part of an address before the @, such as abuse", name)
		}
	}
	return "", nil
}

// milter is what the file says of mail.
func (c *Config) milter() (milter.Config, error) {
	suspicious, err := milter.ParseAction(c.Milter.Suspicious)
	if err != nil {
		return milter.Config{}, err
	}
	dangerous, err := milter.ParseAction(c.Milter.Dangerous)
	if err != nil {
		return milter.Config{}, err
	}
	return milter.Config{
		Suspicious: suspicious, Dangerous: dangerous,
		Exempt: c.Milter.Exempt, Lookup: c.DNS.Lookup, Contact: c.Contact, MaxBytes: c.Limits.ScanBytes,
	}, nil
}
