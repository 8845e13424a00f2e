// Package dns answers DNS from the newest edition: a blocklist zone for mail
// filters (RFC 5782), and a response policy zone for resolvers
// (draft-vixie-dnsop-dns-rpz).
//
//	s, err := dns.New(dns.Config{Shelf: shelf, Zone: "bl.example.org", Policy: "rpz.example.org"})
//	err = s.Serve(ctx, packets, listener)
//
// An answer agrees with the published edition, not with what the table thinks in
// between: whoever asks DNS, takes the policy zone or reads a file sees one list.
// While there is no edition yet the answer is SERVFAIL, so that nobody takes an
// empty zone for the truth.
//
// Only whom the configuration allows is answered; everybody else is REFUSED. Over
// UDP an answer is at most 1232 bytes, and a network that asks too much gets
// every second answer empty and truncated, so that it may come back over TCP, and
// no other: nobody can be flooded through us. Names that are asked for reach
// neither the log nor a metric.
package dns

import (
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	wire "github.com/miekg/dns"

	"headlight.example/blocklist"
	"headlight.example/frontend/conns"
)

// Config says what is answered to whom. The zero value of each field is a default
// that works, but for Shelf and one of Zone and Policy.
type Config struct {
	Shelf *blocklist.Shelf
	// Zone is the name of the blocklist zone, Policy that of the response policy
	// zone; "": there is none.
	Zone, Policy string
	// Server is the name of this server, for NS and SOA; "": localhost.
	Server string
	// Lookup is a URL of a page about a name, which is put behind it, for the TXT
	// that tells senders why; "": none.
	Lookup string
	// Allow are the networks that may ask; nil: loopback.
	Allow []netip.Prefix
	// Transfer are the networks that may take the whole policy zone without a key;
	// nil: loopback. Who has a key may from anywhere.
	Transfer []netip.Prefix
	// Keys are for TSIG (RFC 8945): the secret by the name of the key.
	Keys map[string][]byte
	// Notify are the secondaries that are told of each new edition.
	Notify []netip.AddrPort
	// Rate is how many answers a second a network gets over UDP; 0: 1000; below 0:
	// no limit. The machine itself has none.
	Rate int
	// Logger receives what an operator should read; nil means slog.Default.
	Logger *slog.Logger
}

const (
	// ttl is that of all records, in seconds, and of names that are not listed:
	// what is taken back must not live on in caches.
	ttl    = 60
	expire = 7 * 86400 // how long a secondary answers without us

	// maxUDP is what goes through without fragments (DNS flag day 2020).
	maxUDP = 1232

	maxConns     = 256 // over TCP at once; one more, and the most silent is closed
	maxPerConn   = 1000
	maxTransfers = 4 // at once; each takes a processor for a while
	tcpTimeout   = 10 * time.Second
)

// Server answers DNS. It is safe for concurrent use.
type Server struct {
	cfg    Config
	log    *slog.Logger
	zone   zone
	policy zone
	limit  *limiter
	secret map[string]string // base64, as the library wants it

	index     atomic.Pointer[index]
	transfers atomic.Int32
	counts    counts
}

// zone is the name of a zone in the forms that are needed; its name is "" if there
// is none.
type zone struct {
	name string // in lower case, with the final dot
	wire []byte // with the root
}

func newZone(name string) (z zone, err error) {
	if name == "" {
		return z, nil
	}
	z.name = wire.CanonicalName(name)
	if labels, ok := wire.IsDomainName(z.name); !ok || labels == 0 || len(z.name) > 50 {
		return z, fmt.Errorf("%q is not the name of a zone (of at most 50 letters)", name)
	}
	var ok bool
	if z.wire, ok = appendWire(nil, strings.TrimSuffix(z.name, ".")); !ok {
		return z, fmt.Errorf("%q is not the name of a zone", name)
	}
	z.wire = append(z.wire, 0)
	return z, nil
}

var loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}

// New makes a server. It starts nothing. An error says what is wrong with the
// configuration.
func New(cfg Config) (*Server, error) {
	logger := cfg.Logger
	if logger == nil {
		logger = slog.Default()
	}
	if cfg.Allow == nil {
		cfg.Allow = loopback
	}
	if cfg.Transfer == nil {
		cfg.Transfer = loopback
	}
	cfg.Server = wire.CanonicalName(cmp.Or(cfg.Server, "localhost"))
	if _, ok := wire.IsDomainName(cfg.Server); !ok || len(cfg.Server) > 200 {
		return nil, fmt.Errorf("%q is not the name of a server", cfg.Server)
	}
	s := &Server{cfg: cfg, log: logger.With("part", "dns"), secret: make(map[string]string)}
	var err error
	if s.zone, err = newZone(cfg.Zone); err != nil {
		return nil, err
	}
	if s.policy, err = newZone(cfg.Policy); err != nil {
		return nil, err
	}
	if s.zone.name == "" && s.policy.name == "" {
		return nil, errors.New("there is neither a zone nor a policy zone to answer for")
	}
	if s.zone.name != "" && s.policy.name != "" && (wire.IsSubDomain(s.zone.name, s.policy.name) || wire.IsSubDomain(s.policy.name, s.zone.name)) {
		return nil, fmt.Errorf("one of %s and %s lies in the other", s.zone.name, s.policy.name)
	}
	for name, secret := range cfg.Keys {
		s.secret[wire.CanonicalName(name)] = base64.StdEncoding.EncodeToString(secret)
	}
	if n := cmp.Or(cfg.Rate, 1000); n > 0 {
		s.limit = newLimiter(uint32(n))
	}
	return s, nil
}

// Serve answers on both until ctx is done, which is no error. It closes them.
func (s *Server) Serve(ctx context.Context, conn net.PacketConn, listener net.Listener) error {
	p, err := newPackets(conn)
	if err != nil {
		return errors.Join(fmt.Errorf("answer DNS: %w", err), listener.Close())
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var broken error // read when all have ended
	var all sync.WaitGroup
	all.Go(func() { s.follow(ctx) })
	all.Go(func() { s.servePackets(ctx, p) })
	tcp := &wire.Server{
		Listener:      conns.Limit(&guarded{listener, s}, maxConns),
		Handler:       wire.HandlerFunc(s.serveTCP),
		ReadTimeout:   tcpTimeout,
		IdleTimeout:   func() time.Duration { return tcpTimeout },
		MaxTCPQueries: maxPerConn,
		TsigSecret:    s.secret,
		MsgAcceptFunc: func(wire.Header) wire.MsgAcceptAction { return wire.MsgAccept }, // answer says what is wrong
	}
	all.Go(func() {
		if err := tcp.ActivateAndServe(); err != nil && ctx.Err() == nil {
			broken = fmt.Errorf("answer DNS: %w", err)
			cancel()
		}
	})
	<-ctx.Done()
	p.stop()
	listener.Close()
	stop, done := context.WithTimeout(context.WithoutCancel(ctx), tcpTimeout)
	defer done()
	tcp.ShutdownContext(stop) // it has not started, or it ends
	all.Wait()
	return errors.Join(broken, p.close())
}

// follow keeps the index at the newest edition, and tells the secondaries.
func (s *Server) follow(ctx context.Context) {
	e, err := s.cfg.Shelf.Wait(ctx, 0)
	for err == nil {
		s.store(e)
		notices, cancel := context.WithCancel(ctx)
		var all sync.WaitGroup
		if s.policy.name != "" {
			for _, to := range s.cfg.Notify {
				all.Go(func() { s.notify(notices, to, e.Serial()) })
			}
		}
		next, err2 := s.cfg.Shelf.Wait(ctx, e.Serial())
		cancel() // who has not heard by now hears of the next
		all.Wait()
		e, err = next, err2
	}
}

// store has questions answered from an edition from now on.
func (s *Server) store(e *blocklist.Edition) {
	x := newIndex(e)
	x.soa = s.soaTail(e.Serial())
	s.index.Store(x)
}

func contains(list []netip.Prefix, a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	for _, p := range list {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// guarded lets only those connect who may be answered.
type guarded struct {
	net.Listener
	s *Server
}

func (g *guarded) Accept() (net.Conn, error) {
	for {
		c, err := g.Listener.Accept()
		if err != nil {
			return nil, err
		}
		from := addrOf(c.RemoteAddr())
		if len(g.s.secret) > 0 || contains(g.s.cfg.Allow, from) || contains(g.s.cfg.Transfer, from) {
			return &hurried{c}, nil
		}
		c.Close()
	}
}

// hurried gives each write a time, which the library does not: whoever stops
// reading in the midst of a transfer would keep one of the few for ever.
type hurried struct{ net.Conn }

func (h *hurried) Write(b []byte) (int, error) {
	if err := h.SetWriteDeadline(time.Now().Add(tcpTimeout)); err != nil {
		return 0, err
	}
	return h.Conn.Write(b)
}

func addrOf(a net.Addr) netip.Addr {
	switch a := a.(type) {
	case *net.UDPAddr:
		return a.AddrPort().Addr().Unmap()
	case *net.TCPAddr:
		return a.AddrPort().Addr().Unmap()
	}
	return netip.Addr{}
}

// servePackets answers packets until ctx is done and reading stopped. One
// goroutine does: two that took turns spent 7.0 µs of processor time on an answer
// where one spent 4.9 (bench/dnsbl.sh).
func (s *Server) servePackets(ctx context.Context, p *packets) {
	for {
		n, err := p.read()
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			continue // of one packet: an ICMP error of an earlier answer
		}
		now, m := time.Now(), 0
		for i := range n {
			q, from := p.packet(i)
			if a := s.packet(q, from, now, p.space(m)); len(a) > 0 {
				p.answer(m, a, i)
				s.counts.answers[overUDP][a[3]&15].Add(1)
				m++
			} else {
				s.counts.dropped.Add(1)
			}
		}
		p.write(m)
	}
}

// packet answers a packet, in the space given; nil for none.
func (s *Server) packet(raw []byte, from netip.Addr, now time.Time, space []byte) []byte {
	if len(raw) < 12 || raw[2]&0x80 != 0 {
		return nil // no question: an answer to it would be a loop
	}
	switch s.limit.take(from, now) {
	case dropped:
		return nil
	case slipped:
		// The head and the question: not larger than what was asked.
		end := questionEnd(raw)
		if end == 0 {
			return nil
		}
		a := append(space, raw[:end]...)
		a[2], a[3] = raw[2]&0x79|0x82, 0
		clear(a[6:12])
		return a
	}
	if a := s.plain(raw, from, space); a != nil {
		return a
	}
	return s.other(raw, from, now, space)
}

// other answers what plain does not.
func (s *Server) other(raw []byte, from netip.Addr, now time.Time, space []byte) []byte {
	var q wire.Msg
	// The library takes a question that ends before its type, too.
	if err := q.Unpack(raw); err != nil || questionEnd(raw) == 0 {
		return append(space, raw[0], raw[1], raw[2]&0x79|0x80, wire.RcodeFormatError, 0, 0, 0, 0, 0, 0, 0, 0)
	}
	c := client{addr: from}
	mac := ""
	if t := q.IsTsig(); t != nil {
		c.keyed = wire.TsigVerify(raw, s.secret[wire.CanonicalName(t.Hdr.Name)], "", false) == nil && s.secret[wire.CanonicalName(t.Hdr.Name)] != ""
		mac = t.MAC
	}
	a := s.answer(&q, c)
	if a == nil {
		return nil
	}
	size := uint16(wire.MinMsgSize)
	if o := q.IsEdns0(); o != nil {
		size = min(max(o.UDPSize(), wire.MinMsgSize), maxUDP)
	}
	if c.keyed {
		t := q.IsTsig()
		a.Truncate(int(size) - 200) // a signature takes room
		a.SetTsig(t.Hdr.Name, t.Algorithm, 300, now.Unix())
		signed, _, err := wire.TsigGenerate(a, s.secret[wire.CanonicalName(t.Hdr.Name)], mac, false)
		if err != nil {
			return nil
		}
		return signed
	}
	a.Truncate(int(size))
	packed, err := a.PackBuffer(space[:cap(space)])
	if err != nil {
		return nil
	}
	return packed
}

// questionEnd is where the one question of a message ends; 0 if there is not one,
// or its name is compressed.
func questionEnd(raw []byte) int {
	if raw[4] != 0 || raw[5] != 1 {
		return 0
	}
	at := 12
	for at < len(raw) && raw[at] != 0 {
		if raw[at] > 63 {
			return 0
		}
		at += int(raw[at]) + 1
	}
	if at += 5; at > len(raw) || at-5-12 > 254 {
		return 0
	}
	return at
}

// serveTCP answers a message over TCP.
func (s *Server) serveTCP(w wire.ResponseWriter, q *wire.Msg) {
	c := client{addr: addrOf(w.RemoteAddr()), tcp: true, keyed: q.IsTsig() != nil && w.TsigStatus() == nil}
	if transfer := s.transferOf(q); transfer != nil && s.may(c) {
		if err := s.transfer(w, q, transfer); err != nil {
			s.log.Warn("policy zone not transferred", "to", c.addr, "err", err)
		}
		return
	}
	a := s.answer(q, c)
	if a == nil {
		w.Close()
		return
	}
	if c.keyed {
		t := q.IsTsig()
		a.SetTsig(t.Hdr.Name, t.Algorithm, 300, time.Now().Unix())
	}
	s.counts.answers[overTCP][a.Rcode&15].Add(1)
	w.WriteMsg(a) // the client may be gone
}
