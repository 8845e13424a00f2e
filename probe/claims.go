package probe

import (
	"context"
	"fmt"
	"time"

	"headlight.example/evidence"
)

// Claims is what several machines share, so that a link is visited by one of them
// and not by each. It is asked from many goroutines at once.
type Claims interface {
	// Claim is true for exactly one of the machines until d from now is over; the
	// one that holds the key gets true again, and for d anew. A key is a kind and a
	// keyed hash, such as tenant-0123456789abcdef, the same on all machines. It
	// gives up when ctx is done. After an error the key may be held or not.
	Claim(ctx context.Context, key string, d time.Duration) (ours bool, err error)
}

// claimWait is how long a visit waits for the other machines: some milliseconds
// where all is well, a second or two while they elect a leader.
const claimWait = 2 * time.Second

// claim asks whether a request is ours to make: Answered if it is. The tenant comes
// first: if the URL is then another machine's, nobody visits the tenant for ten
// minutes, where the other way about nobody would visit the URL for a day. Of a
// further request of a visit the host is all that is asked: it may have declined,
// see silence.
//
// Without an answer nobody is visited: that breaks no promise to a webmaster,
// and two visits would.
func (p *Prober) claim(ctx context.Context, at place, part bool, now time.Time) (Outcome, time.Time) {
	waited, cancel := context.WithTimeout(ctx, claimWait)
	defer cancel()
	l := &p.manners.limits
	o, again := Answered, time.Time{}
	if !part {
		o, again = p.claimOf(waited, evidence.Tenant, at.tenant, l.TenantEvery, now)
	}
	if o == Answered {
		o, again = p.claimOf(waited, evidence.Host, at.host, l.TenantEvery, now)
	}
	if o == Answered && !part {
		o, again = p.claimOf(waited, evidence.URL, at.url, l.URLEvery, now)
	}
	if o == NoClaim && ctx.Err() != nil {
		o, again = Ended, time.Time{}
	}
	return o, again
}

// silence claims a host that declines visits for as long as it does, so that no
// other machine makes any. If they cannot agree just then, the tenant stays claimed
// for its ten minutes and the URL for its day.
func (p *Prober) silence(q Quiet, now time.Time) {
	if p.cfg.Claims == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), claimWait)
	defer cancel()
	p.claimOf(ctx, evidence.Host, p.cfg.Key.Hash(evidence.Host, q.Host), q.Until.Sub(now), now)
}

func (p *Prober) claimOf(ctx context.Context, kind evidence.Kind, hash uint64, every time.Duration, now time.Time) (Outcome, time.Time) {
	if every <= 0 {
		return Answered, time.Time{}
	}
	ours, err := p.cfg.Claims.Claim(ctx, fmt.Sprintf("%s-%016x", kind, hash), every)
	switch {
	case err != nil:
		return NoClaim, now.Add(time.Minute)
	case !ours:
		return Elsewhere, p.manners.leave(kind, hash, now)
	}
	return Answered, time.Time{}
}
