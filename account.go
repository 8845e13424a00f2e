package headlight

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"
	"time"

	"headlight.example/link"
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

// question is what one machine asks the others: for the account of a visit or of a
// host; or it tells them where a link leads.
type question struct {
	Visit probe.ID  `json:"visit,omitzero"`
	Host  string    `json:"host,omitempty"`
	From  time.Time `json:"from,omitzero"`
	To    time.Time `json:"to,omitzero"`
	Limit int       `json:"limit,omitempty"`
	Lead  *toldLead `json:"lead,omitempty"`
}

// toldLead is where a link leads, as a visit has shown. The link itself stays with
// the machine that saw it.
type toldLead struct {
	From uint64 `json:"from"` // keyed hash of the link
	Host string `json:"host"` // of the link
	To   string `json:"to"`
}

// askedLimit bounds the requests that another machine is told of at once.
const askedLimit = 1000

// Lookup gives the requests of a visit, in order; none if it is not known. In a
// cluster the other machines are asked too if it is not known here; ctx should have
// a deadline.
func (v *Visits) Lookup(ctx context.Context, id probe.ID) (Account, error) {
	return v.account(ctx, question{Visit: id})
}

// About gives the requests that went to a host in a span of time, the oldest
// first, at most limit; in a cluster those of all machines, as Lookup does.
func (v *Visits) About(ctx context.Context, host string, from, to time.Time, limit int) (Account, error) {
	return v.account(ctx, question{Host: host, From: from, To: to, Limit: limit})
}

func (v *Visits) account(ctx context.Context, q question) (a Account, err error) {
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
func (v *Visits) own(ctx context.Context, q question) ([]probe.Request, error) {
	if !q.Visit.IsZero() {
		return v.ledger.Lookup(ctx, q.Visit)
	}
	return v.ledger.About(ctx, q.Host, q.From, q.To, q.Limit)
}

// answer answers another machine; empty if that cannot be.
func (v *Visits) answer(ctx context.Context, text []byte) []byte {
	var q question
	if err := json.Unmarshal(text, &q); err != nil || q.Limit > askedLimit {
		return nil
	}
	if q.Lead != nil {
		return v.heed(q.Lead)
	}
	requests, err := v.own(ctx, q)
	if err != nil {
		v.logger.Warn("the ledger could not be read for another machine", "err", err)
		return nil
	}
	if requests == nil {
		requests = []probe.Request{}
	}
	answer, err := json.Marshal(requests)
	if err != nil {
		return nil
	}
	return answer
}

// tellWait is how long the others have to take in where a link leads. One that does
// not learns nothing worse than if it had been away.
const tellWait = 2 * time.Second

// tellLead tells the other machines where a link leads: none of them will visit it.
func (v *Visits) tellLead(x toldLead) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.s.cluster == nil || v.closed {
		return
	}
	v.group.Go(func() {
		ctx, cancel := context.WithTimeout(v.going, tellWait)
		defer cancel()
		text, err := json.Marshal(question{Lead: &x})
		if err != nil {
			return
		}
		v.s.cluster.Ask(ctx, text)
	})
}

// heed takes in where a link leads, by the word of a machine that has visited it.
func (v *Visits) heed(x *toldLead) []byte {
	to, err := link.Parse(x.To)
	if err != nil || len(x.To) > maxLead {
		return nil
	}
	v.leads.learn(x.From, to, v.s.clock.now())
	v.s.recent.touchHost(x.Host)
	return []byte("{}")
}
