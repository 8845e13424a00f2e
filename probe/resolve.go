package probe

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/miekg/dns"
	"golang.org/x/sync/singleflight"
)

// Networks says to whom an address belongs. It is asked while the visit is
// made, so that history stays true when routes move.
type Networks interface {
	// Lookup gives the announced prefix around an address and the autonomous
	// system that originates it.
	Lookup(netip.Addr) (prefix netip.Prefix, as uint32, ok bool)
}

// ResolverConfig says whom to ask. The zero value asks the system's servers.
type ResolverConfig struct {
	// Servers to ask, in turn, each as [ParseServer] gives it: "192.0.2.53:53", or
	// "tls://192.0.2.53:853#dns.example" over TLS. nil means those of
	// /etc/resolv.conf.
	Servers []string
	// Roots that the certificates of servers are verified against; nil means the
	// system's.
	Roots *x509.CertPool
	// Networks stamps addresses; nil leaves them without prefix and AS.
	Networks Networks
	// Timeout of a question to one server; 0 means two seconds.
	Timeout time.Duration
	// CacheSize is how many answers are remembered, about six for each name; 0
	// means 50,000, some 15 MB.
	CacheSize int
}

// Bounds of what is taken from an answer. Who answers is whoever owns the name.
const (
	maxAddrs    = 16   // addresses of a host
	maxAliases  = 8    // steps of a CNAME chain
	maxServers  = 16   // name servers, mail exchangers
	maxText     = 16   // opt-out strings
	maxTextLen  = 1024 // bytes of one
	maxRecords  = 512  // looked at in one answer
	udpSize     = 1232 // RFC 9715 §3.1: fits every path unfragmented
	minTTL      = 30 * time.Second
	maxTTL      = time.Hour // an opt-out shall hold within the hour
	failureTTL  = 30 * time.Second
	lookupTurns = 4 // a question has the time of so many to one server
)

// Address is an address of a host, and whose it was when it was seen.
type Address struct {
	Addr   netip.Addr
	Prefix netip.Prefix // zero if not known
	AS     uint32       // 0 if not known
}

// Names is what DNS said of a host and of its registrable domain. The slices
// are shared and must not be changed.
type Names struct {
	Host    string
	Status  string // of the addresses: "ok", "nxdomain", "nodata", "failed", "not-asked"
	Addrs   []Address
	Aliases []string // the CNAME chain, without the host
	TTL     time.Duration
	// NS, MX and SOA are those of the registrable domain.
	NS  []string
	MX  []string
	SOA SOA
	// Consent is what the host and its domain say of visits.
	Consent Consent
}

// SOA is what tells from a start-of-authority record (RFC 1035 §3.3.13).
type SOA struct {
	MName, RName string
	Serial       uint32
	TTL          time.Duration
}

// Consent says whether visits were declined in DNS.
type Consent uint8

const (
	NotDeclined Consent = iota
	Declined            // "v=headlight1; visit=no"
	NotKnown            // DNS failed: nobody is visited on a guess
)

// Resolver asks DNS and remembers. It is safe for concurrent use.
type Resolver struct {
	cfg     ResolverConfig
	servers []server
	flight  singleflight.Group
	answers cache[cacheKey, *answer]
	names   cache[string, *Names] // put together of answers, not yet stamped
}

// NewResolver reads /etc/resolv.conf if no servers are named.
func NewResolver(cfg ResolverConfig) (*Resolver, error) {
	if cfg.Servers == nil {
		system, err := dns.ClientConfigFromFile("/etc/resolv.conf")
		if err != nil {
			return nil, fmt.Errorf("name servers of the system: %w", err)
		}
		for _, s := range system.Servers {
			cfg.Servers = append(cfg.Servers, net.JoinHostPort(s, system.Port))
		}
	}
	if len(cfg.Servers) == 0 {
		return nil, errors.New("no name servers")
	}
	cfg.Timeout = cmp.Or(cfg.Timeout, 2*time.Second)
	r := &Resolver{cfg: cfg}
	for _, text := range cfg.Servers {
		r.servers = append(r.servers, r.server(text))
	}
	r.answers.size = cmp.Or(cfg.CacheSize, 50_000)
	r.names.size = max(r.answers.size/6, 1)
	return r, nil
}

// server is a name server, and how it is asked.
type server struct {
	addr   string
	client dns.Client
}

func (r *Resolver) server(text string) server {
	s := server{addr: text, client: dns.Client{Net: "udp", Timeout: r.cfg.Timeout, UDPSize: udpSize}}
	if rest, ok := strings.CutPrefix(text, "tls://"); ok {
		addr, name, _ := strings.Cut(rest, "#")
		s.addr, s.client.Net = addr, "tcp-tls"
		s.client.TLSConfig = &tls.Config{RootCAs: r.cfg.Roots, ServerName: name, MinVersion: tls.VersionTLS12} // RFC 9325 §3.1.1
	}
	return s
}

// errServer: a text names no name server.
var errServer = errors.New("not the address of a name server, such as 192.0.2.53, [2001:db8::53]:5353 or tls://192.0.2.53#dns.example")

// ParseServer reads how an operator names a name server: an address, with a port
// if it is not 53; or for DNS over TLS (RFC 7858) "tls://", an address, with a
// port if it is not 853, and behind a "#" the name that its certificate proves.
// It gives the form with the port.
func ParseServer(text string) (string, error) {
	rest, secure := strings.CutPrefix(text, "tls://")
	rest, name, named := strings.Cut(rest, "#")
	if secure != named || named && checkName(name) != nil {
		return "", errServer
	}
	port := uint16(53)
	if secure {
		port = 853
	}
	ap, err := netip.ParseAddrPort(rest)
	if err != nil {
		if inside, ok := strings.CutPrefix(rest, "["); ok && strings.HasSuffix(inside, "]") {
			rest = inside[:len(inside)-1]
		}
		var addr netip.Addr
		addr, err = netip.ParseAddr(rest)
		ap = netip.AddrPortFrom(addr, port)
	}
	if err != nil || ap.Port() == 0 {
		return "", errServer
	}
	if secure {
		return "tls://" + ap.String() + "#" + name, nil
	}
	return ap.String(), nil
}

// Resolve asks for all that is to be known of a host; domain is its registrable
// domain. It gives no error: that nothing could be learnt is part of the answer.
func (r *Resolver) Resolve(ctx context.Context, host, domain string) Names {
	n := Names{Host: host}
	if a, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil {
		n.Status = "ok"
		n.Addrs = []Address{r.stamp(a)}
		return n
	}
	if err := checkName(host); err != nil {
		n.Status = "not-asked"
		return n
	}
	now := time.Now()
	if known, ok := r.names.get(host, now); ok {
		return r.stamped(known)
	}
	host, domain = strings.Clone(host), strings.Clone(domain) // parts of a whole link
	n.Host = host
	keys := [...]cacheKey{
		{host, dns.TypeA}, {host, dns.TypeAAAA}, {optOutLabel + host, dns.TypeTXT},
		{domain, dns.TypeNS}, {domain, dns.TypeMX}, {domain, dns.TypeSOA}, {optOutLabel + domain, dns.TypeTXT},
	}
	asked := len(keys)
	if domain == host {
		asked-- // one opt-out
	}
	if checkName(domain) != nil {
		asked = 3
	}
	var answers [len(keys)]*answer
	var wg sync.WaitGroup
	for i := range answers {
		if answers[i] = new(answer); i < asked {
			wg.Go(func() { answers[i] = r.lookup(ctx, keys[i]) })
		}
	}
	wg.Wait()
	a4, a6, ownText, domainText := answers[0], answers[1], answers[2], answers[6]
	ns, mx, soa := answers[3], answers[4], answers[5]

	n.Aliases, n.TTL = a4.aliases, a4.ttl
	if len(a4.aliases) == 0 {
		n.Aliases = a6.aliases
	}
	if len(a4.addrs) == 0 || len(a6.addrs) > 0 && a6.ttl < n.TTL {
		n.TTL = a6.ttl
	}
	for _, a := range slices.Concat(a4.addrs, a6.addrs) {
		if len(n.Addrs) < maxAddrs {
			n.Addrs = append(n.Addrs, Address{Addr: a})
		}
	}
	switch {
	case len(n.Addrs) > 0:
		n.Status = "ok"
	case a4.failed || a6.failed:
		n.Status = "failed"
	case a4.nxdomain || a6.nxdomain:
		n.Status = "nxdomain"
	default:
		n.Status = "nodata"
	}
	n.NS, n.MX, n.SOA = ns.names, mx.names, soa.soa
	n.Consent = consent(ownText, domainText)
	expires := now.Add(maxTTL)
	for _, a := range answers[:asked] {
		if a.expires.Before(expires) { // one that is not to be remembered was never valid
			expires = a.expires
		}
	}
	r.names.put(host, &n, expires)
	return r.stamped(&n)
}

// stamped gives names whose addresses say to whom they belong now.
func (r *Resolver) stamped(n *Names) Names {
	s := *n
	if r.cfg.Networks != nil {
		s.Addrs = make([]Address, len(n.Addrs))
		for i, a := range n.Addrs {
			s.Addrs[i] = r.stamp(a.Addr)
		}
	}
	return s
}

// consent reads the opt-outs. One no is a no; and without an answer from DNS
// nobody knows.
func consent(answers ...*answer) Consent {
	c := NotDeclined
	for _, a := range answers {
		for _, text := range a.texts {
			if optedOut(text) {
				return Declined
			}
		}
		if a.failed {
			c = NotKnown
		}
	}
	return c
}

func (r *Resolver) stamp(a netip.Addr) Address {
	s := Address{Addr: a.Unmap().WithZone("")}
	if r.cfg.Networks != nil {
		if prefix, as, ok := r.cfg.Networks.Lookup(s.Addr); ok {
			s.Prefix, s.AS = prefix.Masked(), as
		}
	}
	return s
}

// answer is what is kept of a response.
type answer struct {
	addrs    []netip.Addr
	aliases  []string
	names    []string // name servers, mail exchangers
	texts    []string
	soa      SOA
	ttl      time.Duration
	expires  time.Time // zero if it is not to be remembered
	nxdomain bool
	failed   bool
}

// lookup answers from memory, or asks; who asks for the same meanwhile shares
// the answer.
func (r *Resolver) lookup(ctx context.Context, key cacheKey) *answer {
	if a, ok := r.answers.get(key, time.Now()); ok {
		return a
	}
	ch := r.flight.DoChan(dns.Type(key.qtype).String()+" "+key.name, func() (any, error) {
		// Whoever came first may go before the others do.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lookupTurns*r.cfg.Timeout)
		defer cancel()
		a := r.ask(ctx, key.name, key.qtype)
		a.expires = time.Now().Add(a.ttl)
		r.answers.put(key, &a, a.expires)
		return &a, nil
	})
	select {
	case res := <-ch:
		return res.Val.(*answer)
	case <-ctx.Done():
		return &answer{failed: true}
	}
}

// ask asks the servers in turn until one gives an answer that can be used.
func (r *Resolver) ask(ctx context.Context, name string, qtype uint16) answer {
	q := new(dns.Msg).SetQuestion(dns.Fqdn(name), qtype)
	q.SetEdns0(udpSize, false)
	for i := range r.servers {
		s := &r.servers[i]
		q.Id = dns.Id()
		m, _, err := s.client.ExchangeContext(ctx, q, s.addr)
		if err == nil && m.Truncated && s.client.Net == "udp" {
			tcp := dns.Client{Net: "tcp", Timeout: r.cfg.Timeout}
			m, _, err = tcp.ExchangeContext(ctx, q, s.addr)
		}
		if err != nil || !answers(m, q) {
			continue
		}
		if m.Rcode == dns.RcodeSuccess || m.Rcode == dns.RcodeNameError {
			return readAnswer(m, q.Question[0])
		}
	}
	return answer{failed: true, ttl: failureTTL}
}

// answers says whether m answers q and not some other question.
func answers(m, q *dns.Msg) bool {
	return m.Response && m.Id == q.Id && len(m.Question) == 1 &&
		strings.EqualFold(m.Question[0].Name, q.Question[0].Name) &&
		m.Question[0].Qtype == q.Question[0].Qtype && m.Question[0].Qclass == q.Question[0].Qclass
}

// readAnswer takes what belongs to the question: records of its class, at its
// name or at the end of the chain of aliases that begins there.
func readAnswer(m *dns.Msg, q dns.Question) answer {
	a := answer{nxdomain: m.Rcode == dns.RcodeNameError, ttl: maxTTL}
	records := m.Answer[:min(len(m.Answer), maxRecords)]
	lower := func(h *dns.RR_Header) { a.ttl = min(a.ttl, time.Duration(h.Ttl)*time.Second) }
	owner := q.Name
	for len(a.aliases) < maxAliases {
		i := slices.IndexFunc(records, func(rr dns.RR) bool {
			c, ok := rr.(*dns.CNAME)
			return ok && c.Hdr.Class == q.Qclass && strings.EqualFold(c.Hdr.Name, owner)
		})
		if i < 0 {
			break
		}
		c := records[i].(*dns.CNAME)
		name, ok := hostName(c.Target)
		if !ok || dns.Fqdn(name) == strings.ToLower(q.Name) || slices.Contains(a.aliases, name) {
			break
		}
		a.aliases = append(a.aliases, name)
		owner = c.Target
		lower(&c.Hdr)
	}
	found := false
	for _, rr := range records {
		h := rr.Header()
		if h.Class != q.Qclass || h.Rrtype != q.Qtype || !strings.EqualFold(h.Name, owner) {
			continue
		}
		found = true
		lower(h)
		a.take(rr)
	}
	if !found { // RFC 2308 §5: the authority's SOA says how long to believe it
		a.ttl = 5 * time.Minute
		for _, rr := range m.Ns[:min(len(m.Ns), maxRecords)] {
			if soa, ok := rr.(*dns.SOA); ok {
				a.ttl = time.Duration(min(soa.Hdr.Ttl, soa.Minttl)) * time.Second
			}
		}
	}
	a.ttl = min(max(a.ttl, minTTL), maxTTL)
	return a
}

// take adds what a record says, as far as there is room.
func (a *answer) take(rr dns.RR) {
	addAddr := func(ip net.IP) {
		if addr, ok := netip.AddrFromSlice(ip); ok && len(a.addrs) < maxAddrs && !slices.Contains(a.addrs, addr.Unmap()) {
			a.addrs = append(a.addrs, addr.Unmap())
		}
	}
	addName := func(s string) {
		if name, ok := hostName(s); ok && len(a.names) < maxServers && !slices.Contains(a.names, name) {
			a.names = append(a.names, name)
		}
	}
	switch rr := rr.(type) {
	case *dns.A:
		addAddr(rr.A)
	case *dns.AAAA:
		addAddr(rr.AAAA)
	case *dns.NS:
		addName(rr.Ns)
	case *dns.MX:
		addName(rr.Mx)
	case *dns.SOA:
		mname, _ := hostName(rr.Ns)
		rname, _ := hostName(rr.Mbox)
		a.soa = SOA{mname, rname, rr.Serial, time.Duration(rr.Hdr.Ttl) * time.Second}
	case *dns.TXT:
		// RFC 7208 §3.3, as everybody does: the strings of a record are one.
		if text := strings.Join(rr.Txt, ""); len(a.texts) < maxText {
			a.texts = append(a.texts, text[:min(len(text), maxTextLen)])
		}
	}
}

// hostName gives a name as evidence spells it: lower case, no dot at its end.
func hostName(s string) (string, bool) {
	name := strings.ToLower(strings.TrimSuffix(s, "."))
	err := checkName(name)
	return name, err == nil || errors.Is(err, errSpecialName) && name != ""
}

// cache remembers what DNS said in two generations: when the young one is full
// the old one is forgotten. That is bounded, and costs no list to keep in order.
type cache[K comparable, V any] struct {
	mu         sync.Mutex
	size       int // entries, both generations together
	young, old map[K]cached[V]
}

type cacheKey struct {
	name  string
	qtype uint16
}

type cached[V any] struct {
	value   V // must not be changed
	expires time.Time
}

func (c *cache[K, V]) get(k K, now time.Time) (V, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.young[k]
	if !ok {
		e, ok = c.old[k]
	}
	return e.value, ok && now.Before(e.expires)
}

func (c *cache[K, V]) put(k K, v V, expires time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.young == nil || len(c.young) >= (c.size+1)/2 {
		c.old, c.young = c.young, make(map[K]cached[V])
	}
	c.young[k] = cached[V]{v, expires}
}
