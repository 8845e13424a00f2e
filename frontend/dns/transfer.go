package dns

import (
	"context"
	"math/rand/v2"
	"net/netip"
	"time"

	wire "github.com/miekg/dns"

	"headlight.example/blocklist"
)

// transferOf gives the question of a message that asks for the policy zone as a
// whole or for its changes; nil for others.
func (s *Server) transferOf(q *wire.Msg) *wire.Question {
	if q.Opcode != wire.OpcodeQuery || len(q.Question) != 1 || s.policy.name == "" {
		return nil
	}
	question := &q.Question[0]
	if t := question.Qtype; t != wire.TypeAXFR && t != wire.TypeIXFR || question.Qclass != wire.ClassINET || wire.CanonicalName(question.Name) != s.policy.name {
		return nil
	}
	return question
}

// may says whether a client may take the policy zone.
func (s *Server) may(c client) bool { return c.keyed || contains(s.cfg.Transfer, c.addr) }

// perMessage is how many records go into one message: below 64 KiB whatever their
// names are, for two that follow each other share most of theirs.
const perMessage = 400

// transfer sends the policy zone (RFC 5936), or what has changed in it since the
// edition that the client has (RFC 1995). What it cannot tell is sent whole, as
// RFC 1995 §4 allows.
func (s *Server) transfer(w wire.ResponseWriter, q *wire.Msg, question *wire.Question) error {
	x := s.index.Load()
	refuse := func(rcode int) error {
		a := new(wire.Msg)
		a.SetRcode(q, rcode)
		return w.WriteMsg(a)
	}
	if x == nil {
		return refuse(wire.RcodeServerFailure)
	}
	if q.IsTsig() != nil && w.TsigStatus() != nil {
		return refuse(wire.RcodeNotAuth)
	}
	if s.transfers.Add(1) > maxTransfers {
		s.transfers.Add(-1)
		return refuse(wire.RcodeRefused) // they come again
	}
	defer s.transfers.Add(-1)
	out := &outgoing{envelopes: make(chan *wire.Envelope), failed: make(chan struct{})}
	var err error
	go func() {
		defer close(out.failed)
		var t wire.Transfer
		err = t.Out(w, q, out.envelopes)
	}()
	s.write(out, q, question, x.edition)
	close(out.envelopes)
	<-out.failed
	return err
}

// write gives the records of a transfer in their order.
func (s *Server) write(out *outgoing, q *wire.Msg, question *wire.Question, e *blocklist.Edition) {
	soa := s.soa(&s.policy, e.Serial())
	out.add(soa)
	defer out.flush()
	if question.Qtype == wire.TypeIXFR && len(q.Ns) == 1 {
		if has, ok := q.Ns[0].(*wire.SOA); ok {
			if has.Serial == e.Serial() {
				return // the number alone: nothing is new
			}
			if d, ok := s.cfg.Shelf.Between(has.Serial, e.Serial()); ok {
				s.counts.transfers[changes].Add(1)
				out.add(s.soa(&s.policy, has.Serial))
				s.triggers(out, only(d.Removed, d.Added))
				out.add(soa)
				s.triggers(out, only(d.Added, d.Removed))
				out.add(soa)
				return
			}
		}
	}
	s.counts.transfers[whole].Add(1)
	out.add(s.ns(&s.policy))
	s.triggers(out, e.Entries())
	out.add(soa)
}

// only gives the names of a list that are not in another: one that is listed for
// another threat has the same record. Both are in the order of editions.
func only(list, other []blocklist.Entry) (names []blocklist.Entry) {
	for i := range list {
		x := &list[i]
		for len(other) > 0 && other[0].Compare(x) < 0 {
			other = other[1:]
		}
		if len(other) > 0 && other[0].Expression == x.Expression && other[0].Kind == x.Kind {
			continue
		}
		names = append(names, *x)
	}
	return names
}

// triggers adds the records of names.
func (s *Server) triggers(out *outgoing, list []blocklist.Entry) {
	for i := range list {
		name := list[i].Trigger()
		if name == "" {
			continue
		}
		name += "." + s.policy.name
		for _, owner := range []string{name, "*." + name} {
			out.add(&wire.CNAME{Hdr: wire.RR_Header{Name: owner, Rrtype: wire.TypeCNAME, Class: wire.ClassINET, Ttl: ttl}, Target: "."})
		}
	}
}

// outgoing gathers records into messages.
type outgoing struct {
	envelopes chan *wire.Envelope
	failed    chan struct{} // closed when nobody takes envelopes any more
	records   []wire.RR
}

func (o *outgoing) add(r wire.RR) {
	if o.records = append(o.records, r); len(o.records) >= perMessage {
		o.flush()
	}
}

func (o *outgoing) flush() {
	if len(o.records) == 0 {
		return
	}
	select {
	case o.envelopes <- &wire.Envelope{RR: o.records}:
	case <-o.failed:
	}
	o.records = make([]wire.RR, 0, perMessage)
}

// notifyTries and notifyWait: 0.5, 1, 2, 4, 8 seconds, and then their refresh
// finds it (RFC 1996 §3.6).
const (
	notifyTries = 6
	notifyWait  = 500 * time.Millisecond
)

// notify tells a secondary that there is an edition, until it says that it has
// heard, or ctx ends.
func (s *Server) notify(ctx context.Context, to netip.AddrPort, serial uint32) {
	m := new(wire.Msg)
	m.SetNotify(s.policy.name)
	m.Answer = []wire.RR{s.soa(&s.policy, serial)}
	wait := notifyWait
	for try := range notifyTries {
		m.Id = uint16(rand.Uint32())
		ask := wire.Client{Net: "udp", Timeout: wait}
		heard, _, err := ask.ExchangeContext(ctx, m, to.String())
		if err == nil {
			if heard.Rcode != wire.RcodeSuccess {
				s.log.Warn("secondary refuses notice of a new edition", "secondary", to, "rcode", wire.RcodeToString[heard.Rcode])
			}
			return
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
		if wait *= 2; try == notifyTries-1 {
			s.log.Warn("secondary does not answer", "secondary", to, "err", err)
		}
	}
}
