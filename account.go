package headlight

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"
	"time"

	"headlight.example/probe"
)

// Account is what is known of visits that somebody asks about.
type Account struct {
	// Requests, of each visit in order, the oldest visit first.
	Requests []probe.Request
	// Missing is how many machines of the cluster could not be asked: each has the
	// account of its own visits alone.
	Missing int
}

// accountQuestion is what one machine asks the others: for a visit, or for a host.
type accountQuestion struct {
	Visit probe.ID  `json:"visit,omitzero"`
	Host  string    `json:"host,omitempty"`
	From  time.Time `json:"from,omitzero"`
	To    time.Time `json:"to,omitzero"`
	Limit int       `json:"limit,omitempty"`
}

// askedLimit bounds the requests that another machine is told of at once.
const askedLimit = 1000

// Lookup gives the requests of a visit, in order; none if it is not known. In a
// cluster the other machines are asked too if it is not known here; ctx should have
// a deadline.
func (v *Visits) Lookup(ctx context.Context, id probe.ID) (Account, error) {
	return v.account(ctx, accountQuestion{Visit: id})
}

// About gives the requests that went to a host in a span of time, the oldest
// first, at most limit; in a cluster those of all machines, as Lookup does.
func (v *Visits) About(ctx context.Context, host string, from, to time.Time, limit int) (Account, error) {
	return v.account(ctx, accountQuestion{Host: host, From: from, To: to, Limit: limit})
}

func (v *Visits) account(ctx context.Context, q accountQuestion) (a Account, err error) {
	if a.Requests, err = v.own(ctx, q); err != nil || v.s.cluster == nil || !q.Visit.IsZero() && len(a.Requests) > 0 {
		return a, err
	}
	text, err := json.Marshal(q)
	if err != nil {
		return a, err
	}
	answers, missing := v.s.cluster.Ask(ctx, text)
	a.Missing = missing
	for _, text := range answers {
		var others []probe.Request
		if err := json.Unmarshal(text, &others); err != nil {
			a.Missing++ // it is of another version
			continue
		}
		a.Requests = append(a.Requests, others...)
	}
	slices.SortStableFunc(a.Requests, func(x, y probe.Request) int {
		return cmp.Or(x.Visit.Time().Compare(y.Visit.Time()), slices.Compare(x.Visit[:], y.Visit[:]), cmp.Compare(x.Hop, y.Hop))
	})
	if q.Limit > 0 && len(a.Requests) > q.Limit {
		a.Requests = a.Requests[:q.Limit]
	}
	return a, nil
}

// own reads this machine's ledger.
func (v *Visits) own(ctx context.Context, q accountQuestion) ([]probe.Request, error) {
	if !q.Visit.IsZero() {
		return v.ledger.Lookup(ctx, q.Visit)
	}
	return v.ledger.About(ctx, q.Host, q.From, q.To, q.Limit)
}

// answer answers another machine; empty if that cannot be.
func (v *Visits) answer(ctx context.Context, question []byte) []byte {
	var q accountQuestion
	if err := json.Unmarshal(question, &q); err != nil || q.Limit > askedLimit {
		return nil
	}
	requests, err := v.own(ctx, q)
	if err != nil {
		v.logger.Warn("the ledger could not be read for another machine", "err", err)
		return nil
	}
	if requests == nil {
		requests = []probe.Request{}
	}
	text, err := json.Marshal(requests)
	if err != nil {
		return nil
	}
	return text
}
