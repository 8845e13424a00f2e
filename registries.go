package headlight

import (
	"context"
	"errors"
	"strings"
	"time"

	"headlight.example/evidence"
	"headlight.example/link"
	"headlight.example/rdap"
)

// registriesDir of the data directory belongs to package rdap.
const registriesDir = "rdap"

// registryRater is who says since when a domain is registered: its registry, as
// far as we have understood it.
const registryRater = "service/rdap"

const (
	// registryWait is how long a host waits for its registry's turn. What is told
	// later than the next visit of the host is not kept.
	registryWait = 2 * time.Minute
	// maxAsked bounds the hosts that wait. Who finds no room is asked about after
	// the next visit.
	maxAsked = 64
)

// askRegistry tells of a host, which was visited, or looked up where no server is
// asked, how long its domain is registered, as soon as the registry has said so:
// with the time of the visit, as it is one of its facts. Of a platform's tenant the
// platform's domain says nothing. v.mu is held.
func (v *Visits) askRegistry(l link.Link, seen time.Time) {
	if _, isAddr := l.Addr(); v.rdap == nil || isAddr || l.Platform() != link.None || l.Domain() == l.Suffix() {
		return
	}
	if v.closed || v.asking.Err() != nil || v.asked == maxAsked {
		return
	}
	v.asked++
	asking, host, domain := v.asking, strings.Clone(l.Host()), strings.Clone(l.Domain()) // not the whole link
	v.group.Go(func() {
		v.tellRegistered(asking, host, domain, seen)
		v.mu.Lock()
		defer v.mu.Unlock()
		v.asked--
	})
}

func (v *Visits) tellRegistered(ctx context.Context, host, domain string, seen time.Time) {
	ctx, cancel := context.WithTimeout(ctx, registryWait)
	defer cancel()
	since, err := v.rdap.Registered(ctx, domain)
	switch {
	case errors.Is(err, rdap.ErrLater), errors.Is(err, rdap.ErrNotTold):
		v.logger.Debug("registry tells nothing", "domain", domain, "err", err)
		return
	case err != nil:
		v.logger.Warn("registry's answer not kept", "domain", domain, "err", err)
		return
	}
	_, err = v.s.Append(context.Background(), evidence.Record{
		Time: seen, Rater: registryRater, Count: 1,
		Subject:   evidence.Subject{Kind: evidence.Host, Key: host},
		Assertion: evidence.Shows,
		Object:    evidence.FactOf(evidence.FactRegistered, evidence.FactRegisteredAge(seen.Sub(since))),
	})
	if err != nil {
		v.logger.Warn("age of a domain not logged", "domain", domain, "err", err)
	}
}
