// Package probe asks the servers behind links what they are: a guarded, signed,
// explained HEAD.
//
//	p, err := probe.New(probe.Config{Ledger: ledger, Key: key, Resolver: resolver, Keys: keys,
//		Identity: probe.Identity{About: "https://linkcheck.example/about", From: "abuse@linkcheck.example", Agent: "https://linkcheck.example"}})
//	…
//	visit := p.Probe(ctx, probe.Question{Link: l})
//	log.Append(ctx, visit.Records(key, false)...)
//
// One visit, from the policy to the ledger:
//
//	Decide     how much is asked for: exactly this link, its host's front page, or DNS alone
//	Resolver   names, addresses, whose they are; whether they decline visits
//	Guard      no address but public ones is ever connected to
//	manners    was the URL visited today, the tenant just now, is the address busy?
//	Claims     does another machine visit it?
//	Ledger     to whom, what, why: on disk before the request goes out
//	HEAD       signed, with the visit's id; the head is read within bounds, a body never
//	redirects  at most five, each from the top of this list
//
// A visit ends in evidence, whatever happens: that a server does not answer is
// an [Outcome], not an error.
//
// [Queue] takes links from those who may not wait.
package probe

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"headlight.example/evidence"
	"headlight.example/link"
)

// Config of a Prober. Ledger, Key and Resolver are needed; the zero value of
// everything else is a default that works.
type Config struct {
	Ledger   *Ledger
	Key      *evidence.Key // seals links that nobody reported
	Resolver *Resolver
	Guard    Guard
	Identity Identity
	Keys     *Keys   // nil leaves visits unsigned
	Policy   *Policy // nil means Safe
	Limits   Limits
	// Claims are asked before a server is; nil means that no other machine visits.
	Claims Claims
	// Share is how many machines share the budgets of Limits; each uses its part.
	// 0 means this one alone.
	Share int
	// Follow is asked before a redirect is followed; false ends the visit there,
	// with the outcome NotFollowed. nil follows.
	Follow func(from, to link.Link) bool
	// Roots that certificates are verified against; nil means the system's.
	Roots *x509.CertPool
	// Timeout of a visit with all its redirects; 0 means 15 s.
	Timeout time.Duration
	// ConnectTimeout of one connection; 0 means 3 s.
	ConnectTimeout time.Duration
	// HeadTimeout of one request, from the connection to the end of the head; 0
	// means 5 s.
	HeadTimeout time.Duration

	// dial connects, by the deadline of the context; nil dials TCP through the
	// guard.
	dial func(ctx sooner, addr netip.AddrPort) (net.Conn, error)
}

// Bounds of a visit.
const (
	maxRedirects = 5
	maxHops      = maxRedirects + 2 // the link, five redirects, and the one that was not followed
	maxDials     = 3                // addresses of a host that are tried
)

// Question is a link to be asked about.
type Question struct {
	Link link.Link
	// Reported says that somebody reported the link, so that the ledger may hold
	// it in clear.
	Reported bool
	// Unsubscribe says that it stood in a List-Unsubscribe header, or that the
	// text which a reader clicks speaks of it: many such links do not show it.
	Unsubscribe bool
}

// Prober makes visits. It is safe for concurrent use.
type Prober struct {
	cfg      Config
	policy   Policy
	manners  *manners
	greeting string

	mu      sync.Mutex
	flights map[link.Link]*flight
	halt    context.CancelFunc // ends going
	going   context.Context    // done while halted
	counts  [64]atomic.Uint64  // by Outcome
}

// New reads the last days of the ledger. It starts nothing.
func New(cfg Config) (*Prober, error) {
	if cfg.Ledger == nil || cfg.Key == nil || cfg.Resolver == nil {
		return nil, errors.New("a prober needs a ledger, a key and a resolver")
	}
	if err := cfg.Identity.Validate(); err != nil {
		return nil, err
	}
	if cfg.Share < 0 {
		return nil, fmt.Errorf("budgets are not shared by %d machines", cfg.Share)
	}
	cfg.Timeout = cmp.Or(cfg.Timeout, 15*time.Second)
	cfg.ConnectTimeout = cmp.Or(cfg.ConnectTimeout, 3*time.Second)
	cfg.HeadTimeout = cmp.Or(cfg.HeadTimeout, 5*time.Second)
	p := &Prober{cfg: cfg, policy: Safe, greeting: greeting(cfg.Identity), flights: make(map[link.Link]*flight)}
	if cfg.Policy != nil {
		p.policy = *cfg.Policy
	}
	if p.cfg.dial == nil {
		p.cfg.dial = p.dial
	}
	p.going, p.halt = context.WithCancel(context.Background())
	var err error
	p.manners, err = newManners(cfg.Limits.withDefaults().part(cfg.Share), cfg.Key, cfg.Ledger)
	return p, err
}

// Halt is the kill switch: it ends all visits under way, and makes no more until
// [Prober.Resume].
func (p *Prober) Halt() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.halt()
	for _, f := range p.flights {
		f.end(errHalted)
	}
}

// Resume ends what Halt began.
func (p *Prober) Resume() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.going.Err() != nil {
		p.going, p.halt = context.WithCancel(context.Background())
	}
}

// Halted says whether visits are halted.
func (p *Prober) Halted() bool { return p.running().Err() != nil }

func (p *Prober) running() context.Context {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.going
}

// Count is how many visits have ended in an outcome since the start.
func (p *Prober) Count(o Outcome) uint64 { return p.counts[o].Load() }

// Decide says how much of a link would be asked for.
func (p *Prober) Decide(q Question) Decision { return p.policy.Decide(q.Link, q.Unsubscribe) }

// Probe asks about a link, and blocks until that is done or ctx is: some seconds
// at most. Who asks about the same link meanwhile gets the same visit. The link
// is kept in memory until then and no longer.
func (p *Prober) Probe(ctx context.Context, q Question) Visit {
	for {
		p.mu.Lock()
		going := p.going
		f, shared := p.flights[q.Link]
		if !shared {
			f = newFlight(ctx, p.cfg.Timeout)
			p.flights[q.Link] = f
		}
		p.mu.Unlock()
		if !shared {
			p.fly(going, q, f)
			return f.visit
		}
		select {
		case <-f.landed:
			if f.visit.Outcome != Ended {
				return f.visit
			}
			// Whoever came first gave up; then it is our turn.
		case <-ctx.Done():
			return ended(q.Link, Ended)
		}
	}
}

// Resolve asks DNS about a link and no web server, whatever the policy says. It
// blocks until that is done or ctx is.
func (p *Prober) Resolve(ctx context.Context, l link.Link) Visit {
	going := p.running()
	if going.Err() != nil {
		return ended(l, Halted)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(going, cancel)()
	v := ended(l, Resolved)
	h := &v.Hops[0]
	h.Names = p.cfg.Resolver.Resolve(ctx, l.Host(), l.Domain())
	if h.Outcome = p.mayAsk(ctx, h, 0, v.Time); len(h.Names.Addrs) > 0 {
		h.Outcome = Resolved // also if the time was over before all was told
	}
	v.Outcome, v.Elapsed = h.Outcome, time.Since(v.Time)
	v.dnsOnly = p.policy == Policy{} || !p.cfg.Identity.known()
	return v
}

// fly makes the visit of a flight.
func (p *Prober) fly(going context.Context, q Question, f *flight) {
	defer func() {
		p.counts[f.visit.Outcome].Add(1)
		p.mu.Lock()
		delete(p.flights, q.Link)
		p.mu.Unlock()
		close(f.landed)
	}()
	if going.Err() != nil {
		f.visit.begin(q.Link)
		f.visit.Outcome, f.visit.Hops[0].Outcome = Halted, Halted
		return
	}
	defer f.begin()()
	p.visit(f, &q)
	if over(f.Context) && f.visit.Outcome == Timeout {
		f.visit.Outcome = Ended // it was the caller's time that was over
	}
	if f.Err() == errHalted && f.visit.Outcome == Ended {
		f.visit.Outcome = Halted
	}
}

// over says whether a caller's time is over. A connection has the same deadline
// and may notice it before the context does.
func over(ctx context.Context) bool {
	deadline, ok := ctx.Deadline()
	return ctx.Err() != nil || ok && !time.Now().Before(deadline)
}

// begin begins a visit of a link.
func (v *Visit) begin(l link.Link) {
	v.Link, v.Time, v.Hops = l, time.Now().UTC(), make([]Hop, 1)
	v.Hops[0].Link = l
}

// ended is a visit that was not made.
func ended(l link.Link, o Outcome) (v Visit) {
	v.begin(l)
	v.Outcome, v.Hops[0].Outcome = o, o
	return v
}

// visit asks about a link and what it redirects to. What it waits in, with all that
// it calls, has 3 KB of stack: a fourth of what signing needs, so that the rest is
// given back while a server is slow.
func (p *Prober) visit(ctx *flight, q *Question) {
	v := &ctx.visit
	v.begin(q.Link)
	v.Decision = p.Decide(*q)
	v.Hops[0].Decision = v.Decision
	for n := 0; ; n++ {
		next := p.hop(ctx, q, n)
		if next.IsZero() {
			break
		}
		v.Hops = append(v.Hops, make([]Hop, 1)...)
		v.Hops[n+1].Link, v.Hops[n+1].Decision = next, p.policy.Decide(next, false)
	}
	v.Outcome = v.Hops[0].Outcome
	v.Again = v.Hops[0].Again
	v.Elapsed = time.Since(v.Time)
}

// hop asks about link n of a chain, and gives the next one if there is one.
func (p *Prober) hop(ctx *flight, q *Question, n int) link.Link {
	addrs := p.permit(ctx, q, n)
	if addrs == nil {
		return link.Link{}
	}
	h := &ctx.visit.Hops[n]
	return p.reply(ctx, n, p.request(ctx, h, addrs))
}

// reply writes down what came of the request of hop n, and gives the link that it
// redirects to, if it does.
func (p *Prober) reply(ctx *flight, n int, location string) link.Link {
	h := &ctx.visit.Hops[n]
	p.cfg.Ledger.Reply(Reply{Visit: ctx.visit.ID, Hop: n, Time: time.Now().UTC(), Addr: h.Addr, Outcome: h.Outcome, Status: h.status()})
	if location == "" {
		return link.Link{}
	}
	next, err := follow(asked(h.Link, h.Mode), location)
	if err != nil {
		return link.Link{} // to an app, a script, nowhere; Answer.Location has it
	}
	return next
}

// permit finds out whether the server of link n may be asked, and writes down that
// it is. It gives the addresses to try, or none and says in the hop why not.
func (p *Prober) permit(ctx *flight, q *Question, n int) []netip.AddrPort {
	v := &ctx.visit
	h := &v.Hops[n]
	l := h.Link
	if l.Scheme() != "http" && l.Scheme() != "https" {
		h.Outcome = NotWeb
		return nil
	}
	part := false // of what was granted for the link before
	if n > 0 {
		from := v.Hops[n-1].Link
		part = l.Tenant() == from.Tenant()
		if slices.ContainsFunc(v.Hops[:n], func(before Hop) bool { return before.Link.String() == l.String() }) {
			h.Outcome = Loop
			return nil
		}
		if p.cfg.Follow != nil && !p.cfg.Follow(from, l) {
			h.Outcome = NotFollowed
			return nil
		}
	}
	h.Names = p.cfg.Resolver.Resolve(ctx, l.Host(), l.Domain())
	now := time.Now()
	if h.Outcome = p.mayAsk(ctx, h, n, now); h.Outcome != Answered {
		return nil
	}
	ports := portOf(l)
	allowed := make([]Address, 0, maxAddrs)
	for _, a := range h.Names.Addrs {
		if p.cfg.Guard.Check(netip.AddrPortFrom(a.Addr, ports)) == nil {
			allowed = append(allowed, a)
		}
	}
	if len(allowed) == 0 {
		h.Outcome = NotVisited
		return nil
	}
	at := p.manners.place(l)
	if p.cfg.Claims != nil {
		// What has no room here is left to the other machines.
		if h.Outcome, h.Again = p.manners.grant(at, allowed, part, now); h.Outcome == Answered {
			h.Outcome, h.Again = p.claim(ctx, at, part, now)
		}
		if h.Outcome != Answered {
			return nil
		}
		now = time.Now() // agreeing took its time, and is good from here on
	}
	var first netip.Addr
	if h.Outcome, first, h.Again = p.manners.take(at, allowed, part, now); h.Outcome != Answered {
		return nil
	}
	if v.ID.IsZero() {
		v.ID = newID(now)
	}
	subject := p.cfg.Key.SealName(l)
	if n == 0 && q.Reported {
		subject = evidence.Subject{Kind: evidence.URL, Key: l.URL()}
	}
	err := p.cfg.Ledger.Ask(ctx, Ask{
		Visit: v.ID, Hop: n, Time: now.UTC(), Origin: origin(l), Addr: first, Subject: subject, Decision: h.Decision,
	})
	if err != nil {
		if h.Outcome = NoLedger; ctx.Err() != nil {
			h.Outcome = Ended
		}
		return nil
	}
	// The address whose budget it is comes first.
	addrs := make([]netip.AddrPort, 0, min(len(allowed), maxDials))
	addrs = append(addrs, netip.AddrPortFrom(first, ports))
	for _, a := range allowed {
		if a.Addr != first && len(addrs) < cap(addrs) {
			addrs = append(addrs, netip.AddrPortFrom(a.Addr, ports))
		}
	}
	return addrs
}

// mayAsk says whether a server may be asked at all, before anything is taken
// from a budget: Answered, or why not.
func (p *Prober) mayAsk(ctx context.Context, h *Hop, n int, now time.Time) Outcome {
	switch {
	case ctx.Err() != nil:
		return Ended
	case h.Names.Status == "not-asked":
		return NotVisited
	case h.Names.Status == "failed":
		return DNSFailed
	case len(h.Names.Addrs) == 0:
		return NoName
	case h.Mode == DNSOnly:
		return Resolved
	case !p.cfg.Identity.known():
		return NoIdentity
	case h.Names.Consent == Declined:
		return OptedOut
	case h.Names.Consent == NotKnown:
		return DNSFailed
	case n > maxRedirects:
		return Redirects
	case n > 0 && h.Class != Plain && h.Class != ShortLink && h.Mode != Exact:
		// Somebody's link led to one that should be asked for by its owner alone:
		// its name is what we wanted to know.
		return NotFollowed
	}
	if q, ok := p.cfg.Ledger.Quiet(h.Link.Host(), now); ok {
		h.Again = q.Until
		return OptedOut
	}
	return Answered
}

func portOf(l link.Link) uint16 {
	switch {
	case l.Port() != 0:
		return l.Port()
	case l.Scheme() == "https":
		return 443
	}
	return 80
}

// origin is the scheme, the host, and the port if it is not the scheme's own.
func origin(l link.Link) string {
	s := l.String()
	host := len(l.Scheme()) + len("://")
	return s[:host+strings.IndexByte(s[host:], '/')]
}

// asked is the link that a request was for, to which a Location is relative.
func asked(l link.Link, m Mode) link.Link {
	if m == Exact {
		return l
	}
	whole := l.String()
	end := len(origin(l)) + len("/")
	if m == Path {
		if end = strings.IndexByte(whole, '?'); end < 0 {
			return l
		}
	}
	base, err := link.Parse(whole[:end])
	if err != nil {
		return l // cannot be: a prefix of a canonical link is one
	}
	return base
}

func (h *Hop) status() int {
	if h.Answer == nil {
		return 0
	}
	return h.Answer.Status
}

// request connects, asks, and notes the answer in h. It gives the Location of a
// redirect, "" if there is none.
func (p *Prober) request(ctx *flight, h *Hop, addrs []netip.AddrPort) (location string) {
	l := h.Link
	raw, addr, err := p.connect(ctx, addrs)
	if err != nil {
		h.Outcome = failure(ctx, err)
		return ""
	}
	defer raw.Close()
	h.Addr = addr
	deadline := time.Now().Add(p.cfg.HeadTimeout)
	if d, ok := ctx.Deadline(); ok && d.Before(deadline) {
		deadline = d
	}
	raw.SetDeadline(deadline)
	// Whoever gives up, or pulls the kill switch, need not wait for the deadline.
	ctx.waitOn(raw)
	defer ctx.waitOn(nil)
	conn := raw
	if l.Scheme() == "https" {
		if conn, err = p.secure(h, raw); err != nil {
			if h.Outcome = failure(ctx, err); h.Outcome == Unreachable {
				h.Outcome = TLSFailed
			}
			return ""
		}
	}
	var hd head
	if hd, err = p.exchange(conn, l, target(l, h.Mode), ctx.visit.ID); err != nil {
		h.Outcome = failure(ctx, err)
		return ""
	}
	return p.read(h, &hd)
}

// read notes in a hop what its head says, and gives the Location of a redirect.
func (p *Prober) read(h *Hop, hd *head) (location string) {
	h.Answer = answerOf(hd)
	h.Outcome = ofStatus(hd.status)
	p.heed(h, hd)
	switch hd.status {
	case 301, 302, 303, 307, 308:
		return hd.get("Location")
	}
	return ""
}

// secure makes the connection of a hop one with TLS.
func (p *Prober) secure(h *Hop, conn net.Conn) (net.Conn, error) {
	// The certificate is verified below, and what is found is noted: there is no
	// secret to lose, and half of what is bad has a bad certificate.
	secured := tls.Client(conn, &tls.Config{
		InsecureSkipVerify: true,
		ServerName:         serverName(h.Link),
		NextProtos:         []string{"http/1.1"},
		MinVersion:         tls.VersionTLS10,
	})
	// A handshake needs a deep stack, which its own goroutine gives back; this one
	// would have it for as long as the server lets us wait.
	shaken := make(chan error)
	go func() {
		err := secured.Handshake()
		if err == nil {
			cs := secured.ConnectionState()
			h.TLS = tlsOf(&cs, h.Link.Host(), p.cfg.Roots, time.Now())
		}
		shaken <- err
	}()
	return secured, <-shaken
}

// serverName is the host for SNI: a name, never an address (RFC 6066 §3).
func serverName(l link.Link) string {
	if _, ok := l.Addr(); ok {
		return ""
	}
	return l.Host()
}

// exchange writes the request and reads the head of the answer.
func (p *Prober) exchange(conn net.Conn, l link.Link, target string, id ID) (head, error) {
	buf := buffers.Get().(*[headSize]byte)
	defer buffers.Put(buf)
	request := p.appendRequest(buf[:0], l, target, id, time.Now())
	_, werr := conn.Write(request)
	// A server that closes early may have answered first, with 400 perhaps.
	h, _, err := readHead(conn, buf[:0])
	if err != nil && werr != nil {
		err = werr
	}
	return h, err
}

// heed notes what an answer says of further visits.
func (p *Prober) heed(h *Hop, hd *head) {
	visit, retry := hd.get("Headlight"), hd.get("Retry-After")
	if visit == "" && retry == "" {
		return
	}
	now := time.Now().UTC()
	q := Quiet{Host: h.Link.Host()}
	no, later := noVisit(visit), retryAfter(retry, now)
	switch { // if it says both, the longer one
	case no > 0 && no >= later:
		q.Until, q.Why = now.Add(no), "no-visit"
	case later > 0:
		q.Until, q.Why = now.Add(later), "retry-after"
	}
	if q.Why != "" {
		h.Again = q.Until
		p.cfg.Ledger.Silence(q)
		p.silence(q, now)
	}
}

// sooner is a flight with an earlier deadline that ends nothing: who dials sets
// it on the socket, which costs no timer and nothing to clean up.
type sooner struct {
	*flight
	at time.Time
}

// Deadline implements context.Context.
func (c sooner) Deadline() (time.Time, bool) {
	if c.at.Before(c.deadline) {
		return c.at, true
	}
	return c.deadline, true
}

// connect tries the addresses in turn.
func (p *Prober) connect(ctx *flight, addrs []netip.AddrPort) (conn net.Conn, addr netip.AddrPort, err error) {
	for _, addr = range addrs {
		conn, err = p.cfg.dial(sooner{ctx, time.Now().Add(p.cfg.ConnectTimeout)}, addr)
		if err == nil {
			return conn, addr, nil
		}
		if ctx.Err() != nil {
			break
		}
	}
	return nil, netip.AddrPort{}, err
}

// dial connects to the very address that the guard lets pass.
func (p *Prober) dial(ctx sooner, addr netip.AddrPort) (net.Conn, error) {
	if err := p.cfg.Guard.Check(addr); err != nil {
		return nil, err
	}
	return dialTCP(ctx, addr)
}

// failure gives the outcome for an error of a connection.
func failure(ctx context.Context, err error) Outcome {
	var timeout net.Error
	switch {
	case ctx.Err() != nil && !errors.Is(ctx.Err(), context.DeadlineExceeded):
		return Ended
	case errors.Is(err, errNotHTTP):
		return NotHTTP
	case errors.Is(err, errHeadTooLong):
		return TooLong
	case errors.As(err, &timeout) && timeout.Timeout():
		return Timeout
	case errors.Is(err, syscall.ECONNREFUSED):
		return ConnectionRefused
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE), errors.Is(err, io.ErrClosedPipe):
		return ConnectionLost
	}
	if _, ok := errors.AsType[*RefusedError](err); ok {
		return NotVisited
	}
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		return TLSFailed
	}
	return Unreachable
}
