package rdap

import (
	"context"
	"strings"
	"time"
)

// Bounds that tests go up to.
const (
	MaxBody    = maxBody
	MaxServers = maxServers
)

// Parsers, for fuzzing and tables.
var (
	Registration = registration
	QuietUntil   = quietUntil
	IsDomain     = isDomain
)

// Server gives the server that a bootstrap file names for a domain, "" if none.
func Server(file, domain string) (string, error) {
	s, err := readServers([]byte(file))
	if base := s.of(domain); base != nil {
		return base.String(), err
	}
	return "", err
}

// Await waits for the turn of a registry.
func (c *Client) Await(ctx context.Context, registry string) error { return c.await(ctx, registry) }

// Keep notes an answer as if the registry had just given it.
func (c *Client) Keep(domain, registry string, since time.Time) error {
	return c.note(domain, registry, answer{asked: time.Now().UTC(), since: since})
}

// ReadAnswers reads a file of answers and says how many domains and turns were
// taken from it.
func ReadAnswers(text string, now time.Time) (domains, turns int, err error) {
	c := &Client{cfg: Config{PerMinute: 6}, answers: make(map[string]answer), turns: make(map[string]time.Time)}
	err = c.read(strings.NewReader(text), now)
	for _, a := range c.answers {
		if !a.holds(now) {
			panic("an answer that does not hold")
		}
	}
	return len(c.answers), len(c.turns), err
}
