package dns

import (
	"net"
	"net/netip"
	"strings"

	wire "github.com/miekg/dns"

	"headlight.example/evidence"
)

// client is who asks.
type client struct {
	addr  netip.Addr
	tcp   bool
	keyed bool // the question is signed with one of our keys
}

// Bits of the address that says that a name is listed, and as what (RFC 5782 §2.3
// leaves their meaning to the list).
const (
	bitListed   = 2 // always
	bitPhishing = 4
	bitMalware  = 8
	bitUnwanted = 16 // unwanted software and spam
)

// addressOf is the answer to a question for A.
func addressOf(w what) [4]byte {
	bits := byte(bitListed)
	switch evidence.Assertion(w) {
	case evidence.Phishing:
		bits |= bitPhishing
	case evidence.Malware:
		bits |= bitMalware
	case evidence.Unwanted, evidence.Spam:
		bits |= bitUnwanted
	}
	return [4]byte{127, 0, 0, bits}
}

// reason is the answer to a question for TXT; name is what was asked for.
func (s *Server) reason(w what, name string) string {
	said := "listed"
	if w != testEntry {
		said = evidence.Assertion(w).String()
	}
	text := said + ": " + name
	if s.cfg.Lookup != "" {
		text = said + ": see " + s.cfg.Lookup + name
	}
	return text[:min(len(text), 255)] // RFC 1035 §3.3.14
}

// answer answers a message; nil means that none is due.
func (s *Server) answer(q *wire.Msg, c client) *wire.Msg {
	if q.Response {
		return nil
	}
	a := new(wire.Msg)
	a.SetReply(q)
	a.Compress = true
	if o := q.IsEdns0(); o != nil {
		a.SetEdns0(maxUDP, false)
		if o.Version() != 0 {
			a.Rcode = wire.RcodeBadVers
			a.IsEdns0().SetExtendedRcode(wire.RcodeBadVers)
			return a
		}
	}
	fail := func(rcode int) *wire.Msg {
		a.Rcode = rcode
		return a
	}
	switch {
	case !contains(s.cfg.Allow, c.addr) && !s.may(c):
		return fail(wire.RcodeRefused)
	case q.IsTsig() != nil && !c.keyed:
		return fail(wire.RcodeNotAuth)
	case q.Opcode != wire.OpcodeQuery:
		return fail(wire.RcodeNotImplemented)
	case len(q.Question) != 1:
		return fail(wire.RcodeFormatError)
	}
	question := &q.Question[0]
	name := strings.ToLower(question.Name)
	z, rest := s.zoneOf(name)
	if z == nil || question.Qclass != wire.ClassINET {
		return fail(wire.RcodeRefused)
	}
	x := s.index.Load()
	if x == nil {
		return fail(wire.RcodeServerFailure)
	}
	switch question.Qtype {
	case wire.TypeAXFR:
		return fail(wire.RcodeRefused) // who may was answered before
	case wire.TypeIXFR:
		if c.tcp || z != &s.policy || !s.may(c) {
			return fail(wire.RcodeRefused)
		}
		question.Qtype = wire.TypeSOA // RFC 1995 §2: over UDP the number alone; who wants more comes over TCP
		defer func() { question.Qtype = wire.TypeIXFR }()
	}
	a.Authoritative = true
	if rest == "" {
		s.apex(a, z, question.Qtype, x)
		return a
	}
	found := nothing
	if labels, ok := wireOf(rest); ok {
		found = x.lookup(labels)
		if z == &s.policy {
			found = x.trigger(labels)
		}
	}
	hdr := wire.RR_Header{Name: question.Name, Rrtype: question.Qtype, Class: wire.ClassINET, Ttl: ttl}
	switch {
	case found == nothing:
		a.Rcode = wire.RcodeNameError
	case found == below:
	case z == &s.policy:
		hdr.Rrtype = wire.TypeCNAME
		a.Answer = []wire.RR{&wire.CNAME{Hdr: hdr, Target: "."}}
	case question.Qtype == wire.TypeA || question.Qtype == wire.TypeANY: // RFC 8482 §4.1: of any, one
		hdr.Rrtype = wire.TypeA
		addr := addressOf(found)
		a.Answer = []wire.RR{&wire.A{Hdr: hdr, A: net.IP(addr[:])}}
	case question.Qtype == wire.TypeTXT:
		a.Answer = []wire.RR{&wire.TXT{Hdr: hdr, Txt: []string{s.reason(found, rest)}}}
	}
	if len(a.Answer) == 0 {
		a.Ns = []wire.RR{s.soa(z, x.edition.Serial())}
	}
	return a
}

// zoneOf tells in which zone a name lies, and what of it is left; nil for none.
func (s *Server) zoneOf(name string) (z *zone, rest string) {
	for _, z := range []*zone{&s.zone, &s.policy} {
		if z.name == "" {
			continue
		}
		if name == z.name {
			return z, ""
		}
		if rest, ok := strings.CutSuffix(name, "."+z.name); ok {
			return z, rest
		}
	}
	return nil, ""
}

// wireOf is the wire form of a part of a name, as index.lookup wants it; false if
// it has letters that need an escape, which no entry has.
func wireOf(rest string) ([]byte, bool) {
	if strings.Contains(rest, `\`) {
		return nil, false
	}
	return appendWire(nil, rest)
}

// trigger is lookup for the policy zone, where there are names only.
func (x *index) trigger(name []byte) what {
	found := x.find(name)
	for at := int(name[0]) + 1; at < len(name) && (found == nothing || found == below); at += int(name[at]) + 1 {
		if w := x.find(name[at:]); w != nothing && w != below {
			return w
		}
	}
	return found
}

// apex answers for the zone's own name.
func (s *Server) apex(a *wire.Msg, z *zone, qtype uint16, x *index) {
	soa := s.soa(z, x.edition.Serial())
	switch qtype {
	case wire.TypeSOA, wire.TypeANY:
		a.Answer = []wire.RR{soa}
	case wire.TypeNS:
		a.Answer = []wire.RR{s.ns(z)}
	default:
		a.Ns = []wire.RR{soa}
	}
}

func (s *Server) ns(z *zone) *wire.NS {
	return &wire.NS{Hdr: wire.RR_Header{Name: z.name, Rrtype: wire.TypeNS, Class: wire.ClassINET, Ttl: ttl}, Ns: s.cfg.Server}
}

func (s *Server) soa(z *zone, serial uint32) *wire.SOA {
	return &wire.SOA{
		Hdr: wire.RR_Header{Name: z.name, Rrtype: wire.TypeSOA, Class: wire.ClassINET, Ttl: ttl},
		Ns:  s.cfg.Server, Mbox: "hostmaster." + s.cfg.Server, Serial: serial,
		Refresh: ttl, Retry: ttl, Expire: expire, Minttl: ttl,
	}
}
