package headlight

import (
	"context"
	"time"

	"headlight.example/evidence"
	"headlight.example/link"
)

// ServerFact is something that the server of a link's host has shown.
type ServerFact struct {
	Name evidence.FactName
	// Value as in the log; "" if it is no longer there.
	Value string
	// Weight is what it adds to the score of the link, in log-odds.
	Weight float64
}

const (
	// maxLookBack bounds the entries on a host that are read to find what its
	// server has shown, or where a link leads: they stand in a row, and on a busy
	// host much was said since.
	maxLookBack = 1024
	// maxLeads is how many redirects are followed: as many as a visit does.
	maxLeads = 5
)

// server gives what the newest visit has shown of the server of a link's host, and
// when that was. What it weighs is in memory, the words are in the log.
func (s *Service) server(ctx context.Context, l link.Link, now time.Time) (facts []ServerFact, seen time.Time, err error) {
	weights, seen := s.table.Facts(l, s.policy.Load(), now)
	if len(weights) == 0 {
		return nil, time.Time{}, nil
	}
	values, left := make(map[evidence.FactName]string), maxLookBack
	host := evidence.Subject{Kind: evidence.Host, Key: l.Host()}
	for e, err := range s.log.About(ctx, host) {
		if err != nil {
			return nil, time.Time{}, err
		}
		if left--; left < 0 || len(values) == len(weights) {
			break
		}
		if e.Assertion != evidence.Shows || e.Subject != host || !e.Time.Truncate(time.Minute).Equal(seen) {
			continue
		}
		if name, value, err := evidence.ParseFact(e.Object.Key); err == nil && values[name] == "" {
			values[name] = value
		}
	}
	for _, w := range weights {
		facts = append(facts, ServerFact{w.Name, values[w.Name], w.Weight})
	}
	return facts, seen, nil
}

// leadsTo gives the host to which a link leads by the newest redirects that visits
// have seen; "" if there is none, or it is that of the link. The log has no more of it.
func (s *Service) leadsTo(ctx context.Context, l link.Link) (host string, err error) {
	at := evidence.Subject{Kind: evidence.URL, Key: l.URL()}
	for range maxLeads {
		to, ok, err := s.redirect(ctx, at)
		if err != nil {
			return "", err
		}
		if !ok {
			break
		}
		host, at = to.Host(), to
	}
	if host == l.Host() {
		return "", nil
	}
	return host, nil
}

// redirect finds the newest redirect of a link, in clear or sealed, to another one:
// a change of scheme is none.
func (s *Service) redirect(ctx context.Context, from evidence.Subject) (to evidence.Subject, ok bool, err error) {
	id, left := s.urlHash(from), maxLookBack
	for e, err := range s.log.About(ctx, evidence.Subject{Kind: evidence.Host, Key: from.Host()}) {
		if err != nil {
			return to, false, err
		}
		if left--; left < 0 {
			break
		}
		if e.Assertion == evidence.RedirectsTo && s.urlHash(e.Subject) == id && s.urlHash(e.Object) != id {
			return e.Object, true, nil
		}
	}
	return to, false, nil
}

// urlHash is that of a URL, the same in clear and sealed; 0 of anything else.
func (s *Service) urlHash(x evidence.Subject) uint64 {
	switch x.Kind {
	case evidence.URL:
		return s.key.Hash(evidence.URL, x.Key)
	case evidence.Sealed:
		if sealed, err := evidence.ParseSealed(x.Key); err == nil {
			return s.key.Hash(evidence.URL, sealed.URL)
		}
	}
	return 0
}
