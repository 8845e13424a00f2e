package headlight

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"headlight.example/evidence"
	"headlight.example/link"
	"headlight.example/message"
	"headlight.example/probe"
	"headlight.example/rdap"
	"headlight.example/reputation"
)

// VisitConfig says how links that are not known safe are looked into: DNS is
// asked where they are, and, as far as the policy has it, their servers what
// they are. See package probe for what such a visit is.
type VisitConfig struct {
	// Policy says how much is asked for of each class of links. The zero Policy
	// asks DNS alone.
	Policy probe.Policy
	// Identity says whose visits these are. Without, DNS alone is asked.
	Identity probe.Identity
	// Servers are the name servers to ask, as probe.ParseServer gives them; nil
	// means the system's.
	Servers []string
	// Allow are addresses that may be visited though they are not public, for tests.
	Allow []netip.AddrPort
	// Jitter is up to how long a link waits before its server is asked; 0 means
	// 30 s, negative none.
	Jitter time.Duration
	// Halted makes no visits until [Visits.Resume].
	Halted bool
	// Registries also asks the registry of a visited host's domain since when that
	// is registered; where DNS alone is asked, that of a host that is looked up. It
	// needs Identity.
	Registries bool
	// Share is how many machines share the budgets of visits; each uses its part. 0
	// means this one alone.
	Share int
	// RegistryServers is the URL of the file that says which server knows which
	// top-level domain; "" means IANA's.
	RegistryServers string
	// Roots that the certificates of registries are verified against; nil means
	// the system's.
	Roots *x509.CertPool
}

// Files of the data directory that belong to visits. The keys are in keys/.
const visitsDir = "visits"

const (
	// seenWait is how long it may take to log that a link was seen while DNS is
	// asked where it is. The fold keeps of a link what was known when it was
	// seen, so the answer is worth a wait; a name server that is down is not.
	seenWait = 3 * time.Second
	// maxLookups bounds the hosts that are asked for at once, seven questions
	// each, and maxWaiting the sightings of one host that wait for that.
	maxLookups, maxWaiting = 128, 256
	// visitedFor is for how long nobody else need ask.
	visitedFor = 24 * time.Hour
	// maxToday bounds what is remembered of a day: about 10 MB.
	maxToday = 100_000
)

// Visits looks into links on behalf of a Service, and accounts for it. It is
// safe for concurrent use.
//
//	sighting ─> await: is it known today where the host is? ── yes ──────────> Seen
//	              │ no                                                          │
//	              └─> lookup: ask DNS, 3 s at most ─> relations, then Seen ─────┤
//	                                                                            ▼
//	            relations, redirects <─ visit <─ queue <─ consider: is it unfamiliar?
//
// A tenant is visited once a day, and a host looked up once a day.
type Visits struct {
	s      *Service
	ledger *probe.Ledger
	keys   *probe.Keys     // nil if visits are not signed
	prober *probe.Prober   // nil if there are no visits any more
	queue  *probe.Queue    // nil with it
	rdap   *rdap.Client    // nil if registries are not asked
	cfg    VisitConfig     // as opened
	logger *slog.Logger    //
	broken sync.Once       // says that the ledger cannot be written
	going  context.Context // done when the service closes
	stop   context.CancelFunc
	group  sync.WaitGroup // lookups under way

	leads leads

	mu      sync.Mutex
	closed  bool
	asking  context.Context // of questions to registries; done while halted
	deter   context.CancelFunc
	asked   int                  // hosts whose registry is being asked
	waiting map[string][]waiting // by host whose lookup is under way
	hosts   today                // looked up
	tenants today                // put on the queue
}

// waiting is a sighting that is to be logged once it is known where the host is.
type waiting struct {
	sighting
	seen evidence.Record
}

// today remembers what was done since midnight (UTC). When it is full it
// forgets: then some is done twice, which costs no more than the doing.
type today struct {
	day  int64
	done map[string]struct{}
}

func (t *today) has(key string, now time.Time) bool {
	_, ok := t.done[key]
	return ok && t.day == now.Unix()/86400
}

func (t *today) add(key string, now time.Time) {
	if day := now.Unix() / 86400; t.done == nil || t.day != day || len(t.done) >= maxToday {
		t.day, t.done = day, make(map[string]struct{})
	}
	t.done[strings.Clone(key)] = struct{}{} // a key is part of a whole link
}

// openVisits opens the ledger and all that makes visits. Without cfg it opens
// only the ledger of earlier visits, which are to be accounted for still; nil
// if there were none.
func openVisits(s *Service, cfg *VisitConfig) (v *Visits, err error) {
	dir := filepath.Join(s.dir, visitsDir)
	if cfg == nil {
		if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
			return nil, nil
		}
	}
	v = &Visits{s: s, leads: leads{key: s.key}, logger: s.logger.With("part", "visits"), waiting: make(map[string][]waiting)}
	v.going, v.stop = context.WithCancel(context.Background())
	v.asking, v.deter = context.WithCancel(v.going)
	if v.ledger, err = probe.OpenLedger(dir, 0); err != nil {
		return nil, err
	}
	if cfg != nil {
		v.cfg = *cfg
		if err := v.start(); err != nil {
			return nil, errors.Join(err, v.ledger.Close())
		}
	}
	return v, nil
}

func (v *Visits) start() (err error) {
	cfg := &v.cfg
	if cfg.Identity.Agent != "" && !v.dnsOnly() {
		if v.keys, err = probe.LoadKeys(filepath.Join(v.s.dir, probe.KeysDir)); err != nil {
			return err
		}
	}
	resolver, err := probe.NewResolver(probe.ResolverConfig{Servers: cfg.Servers, Networks: stamps{v.s}})
	if err != nil {
		return err
	}
	own, err := ownAddresses()
	if err != nil {
		return fmt.Errorf("this machine's addresses, which are not visited: %w (under systemd, RestrictAddressFamilies needs AF_NETLINK)", err)
	}
	guard := probe.Guard{Own: own, Allow: cfg.Allow}
	var claims probe.Claims
	if v.s.cluster != nil {
		claims = v.s.cluster
	}
	v.prober, err = probe.New(probe.Config{
		Ledger: v.ledger, Key: v.s.key, Resolver: resolver, Keys: v.keys, Identity: cfg.Identity, Policy: &cfg.Policy,
		Guard: guard, Claims: claims, Share: cfg.Share,
		// What is known needs no visit.
		Follow: func(_, to link.Link) bool { return unfamiliar(v.s.Judge(to).Level) },
	})
	if err != nil {
		return err
	}
	if cfg.Registries {
		if cfg.Identity.About == "" || cfg.Identity.From == "" {
			return errors.New("registries are asked by somebody whom they can write to: Identity lacks About or From")
		}
		v.rdap, err = rdap.Open(filepath.Join(v.s.dir, registriesDir), rdap.Config{
			Agent: cfg.Identity.UserAgent(), From: cfg.Identity.From, Control: guard.Control, Bootstrap: cfg.RegistryServers, Roots: cfg.Roots,
		})
		if err != nil {
			return err
		}
	}
	if cfg.Halted {
		v.Halt()
	}
	v.queue = probe.NewQueue(probe.QueueConfig{Prober: v.prober, Done: v.visited, Jitter: cfg.Jitter})
	return nil
}

// ownAddresses are those of this machine's interfaces.
func ownAddresses() (own []netip.Prefix, err error) {
	addrs, err := net.InterfaceAddrs()
	for _, a := range addrs {
		if p, err := netip.ParsePrefix(a.String()); err == nil {
			ip := p.Addr().Unmap().WithZone("")
			own = append(own, netip.PrefixFrom(ip, ip.BitLen()))
		}
	}
	return own, err
}

// stamps tells of an address what the tables in use say.
type stamps struct{ s *Service }

// Lookup implements probe.Networks.
func (x stamps) Lookup(a netip.Addr) (netip.Prefix, uint32, bool) {
	n, ok := x.s.nets.Load().Lookup(a)
	return n.Prefix, n.AS, ok
}

// unfamiliar says whether a link of a level is worth a visit: a safe one is
// known, and so is a dangerous one.
func unfamiliar(l reputation.Level) bool {
	return l == reputation.Unknown || l == reputation.Suspicious
}

// await takes a sighting that is worth a lookup, and logs it within seenWait,
// after what DNS says of its host. It is false if the caller is to log it at
// once: no lookup is needed, or none can be made.
func (v *Visits) await(x sighting, seen evidence.Record) bool {
	if v == nil || v.prober == nil || v.prober.Halted() {
		return false
	}
	host := x.link.Host()
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.closed {
		return false
	}
	if ws, ok := v.waiting[host]; ok {
		if len(ws) == maxWaiting {
			return false
		}
		v.waiting[host] = append(ws, waiting{x, seen})
		return true
	}
	if v.hosts.has(host, seen.Time) {
		v.consider(x, seen.Time)
		return false
	}
	if len(v.waiting) == maxLookups {
		return false
	}
	v.waiting[host] = []waiting{{x, seen}}
	v.group.Go(func() { v.lookup(x.link) })
	return true
}

// lookup asks DNS for the host of a link, and logs what it said and then that
// the links of that host were seen.
func (v *Visits) lookup(l link.Link) {
	ctx, cancel := context.WithTimeout(v.going, seenWait)
	defer cancel()
	told := v.prober.Resolve(ctx, l)
	records := told.Records(v.s.key, false)
	v.mu.Lock()
	ws := v.waiting[l.Host()]
	delete(v.waiting, l.Host())
	if told.Outcome != probe.DNSFailed && told.Outcome != probe.Ended && told.Outcome != probe.Halted {
		v.hosts.add(l.Host(), told.Time)
	}
	v.mu.Unlock()
	for _, w := range ws {
		records = append(records, w.seen)
	}
	if _, err := v.s.Append(context.Background(), records...); err != nil {
		v.logger.Warn("sightings not logged", "count", len(ws), "err", err)
		return
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, w := range ws {
		v.consider(w.sighting, told.Time)
	}
	if v.dnsOnly() && told.Outcome == probe.Resolved && slices.ContainsFunc(ws, func(w waiting) bool { return unfamiliar(w.level) }) {
		v.askRegistry(l, told.Time)
	}
}

// dnsOnly says that no server is asked, whatever the link.
func (v *Visits) dnsOnly() bool { return v.cfg.Policy == probe.Policy{} }

// consider puts a link on the queue if its server is to be asked: not if it was in
// the last day, here or by another machine whose records are in the same log. v.mu
// is held.
func (v *Visits) consider(x sighting, now time.Time) {
	q := probe.Question{Link: x.link, Unsubscribe: x.unsubscribe}
	if v.closed || !unfamiliar(x.level) || v.tenants.has(x.link.Tenant(), now) || now.Sub(v.s.table.Shown(x.link)) < visitedFor || v.prober.Decide(q).Mode == probe.DNSOnly {
		return
	}
	if v.queue.Push(q) {
		v.tenants.add(x.link.Tenant(), now)
	}
}

// visited logs what a visit has shown.
func (v *Visits) visited(q probe.Question, visit probe.Visit) {
	v.logger.Debug("visited", "host", q.Link.Host(), "visit", visit.ID, "outcome", visit.Outcome, "elapsed", visit.Elapsed)
	if visit.Outcome == probe.NoLedger {
		v.broken.Do(func() {
			v.logger.Error("the ledger of visits cannot be written; no server is visited until a restart", "err", v.ledger.Err())
		})
	}
	if _, err := v.s.Append(context.Background(), visit.Records(v.s.key, q.Reported)...); err != nil {
		v.logger.Warn("visit not logged", "host", q.Link.Host(), "err", err)
	}
	if from, to, ok := led(&visit); ok {
		v.leads.learn(v.leads.hash(from), to, v.s.clock.now())
		v.s.recent.touchHost(from.Host())
		v.tellLead(toldLead{From: v.leads.hash(from), Host: from.Host(), To: to.String()})
	}
	if !visit.ID.IsZero() {
		v.mu.Lock()
		defer v.mu.Unlock()
		v.askRegistry(visit.Link, visit.Time)
	}
}

// ledTo gives where a link leads, if a visit has shown it. It takes no lock.
func (v *Visits) ledTo(l link.Link) (to link.Link, ok bool) {
	if v == nil {
		return link.Link{}, false
	}
	return v.leads.of(l, v.s.clock.now)
}

// run visits what is on the queue until ctx is done.
func (v *Visits) run(ctx context.Context) {
	if v != nil && v.queue != nil {
		v.queue.Run(ctx)
	}
}

// close ends the lookups, so that their sightings are logged as they are, and the
// questions to registries.
func (v *Visits) close() {
	if v == nil {
		return
	}
	v.mu.Lock()
	v.closed = true
	v.mu.Unlock()
	v.stop()
	v.group.Wait()
}

// Keys are what visits are signed with; nil if they are not.
func (v *Visits) Keys() *probe.Keys { return v.keys }

// ReloadKeys takes over the keys in the data directory as they are now, where
// visits are signed.
func (v *Visits) ReloadKeys() error {
	if v == nil || v.keys == nil {
		return nil
	}
	return v.keys.Reload()
}

// Identity says whose visits these are; zero if none are made.
func (v *Visits) Identity() probe.Identity {
	if v.dnsOnly() {
		return probe.Identity{}
	}
	return v.cfg.Identity
}

// Registries yields how many questions to registries have ended in each outcome, as
// [rdap.Client.Counts] does; nothing if none are asked.
func (v *Visits) Registries(yield func(outcome string, n uint64) bool) {
	if v.rdap != nil {
		v.rdap.Counts(yield)
	}
}

// Halt is the kill switch: it ends the visits under way and makes no more, and
// asks no DNS and no registry, until Resume.
func (v *Visits) Halt() {
	if v.prober != nil {
		v.prober.Halt()
		v.mu.Lock()
		v.deter()
		v.mu.Unlock()
	}
}

// Resume ends what Halt began.
func (v *Visits) Resume() {
	if v.prober != nil {
		v.prober.Resume()
		v.mu.Lock()
		v.deter() // whoever halted twice, or never
		v.asking, v.deter = context.WithCancel(v.going)
		v.mu.Unlock()
	}
}

// Halted says whether no visits are made at present.
func (v *Visits) Halted() bool { return v.prober == nil || v.prober.Halted() }

// Count is how many visits have ended in an outcome since the start.
func (v *Visits) Count(o probe.Outcome) uint64 {
	if v.prober == nil {
		return 0
	}
	return v.prober.Count(o)
}

// Queue counts the links that wait for a visit.
func (v *Visits) Queue() probe.QueueStats {
	if v.queue == nil {
		return probe.QueueStats{}
	}
	return v.queue.Stats()
}

// Visits gives the account of the visits; nil if there were none, and none are
// made.
func (s *Service) Visits() *Visits { return s.visits }

// leaving are the beginnings of words by which a link that unsubscribes is
// offered, in the languages that most mail is in. To miss one costs somebody a
// subscription; such a link is then told by its own words alone.
var leaving = []string{"unsubscri", "opt out", "opt-out", "abbestell", "abmeld", "désabonn", "désinscri", "darse de baja", "cancelar suscri", "disiscri", "afmeld", "uitschrijv"}

// unsubscribes says whether a link is offered to leave a mailing list.
func unsubscribes(f *message.Found) bool {
	if f.Marks&message.Unsubscribe != 0 {
		return true
	}
	for _, word := range leaving {
		for i := 0; i+len(word) <= len(f.Shown); i++ {
			if strings.EqualFold(f.Shown[i:i+len(word)], word) {
				return true
			}
		}
	}
	return false
}
