package probe_test

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"

	"headlight.example/evidence"
	"headlight.example/link"
	"headlight.example/probe"
)

// world is a small Internet on loopback: a name server and web servers.
type world struct {
	t   *testing.T
	dns string // address of the name server

	mu      sync.Mutex
	zone    map[string][]string // "name. TYPE" → records' data
	asked   map[string]int      // questions that came in
	special func(m *dns.Msg)    // changes each response
	allow   []netip.AddrPort
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, zone: make(map[string][]string), asked: make(map[string]int)}
	l, pc := listenBoth(t)
	w.dns = l.Addr().String()
	for _, s := range []*dns.Server{{PacketConn: pc, Handler: w}, {Listener: l, Handler: w}} {
		started := make(chan bool)
		s.NotifyStartedFunc = func() { close(started) }
		done := make(chan error)
		go func() { done <- s.ActivateAndServe() }()
		<-started
		t.Cleanup(func() { s.Shutdown(); <-done })
	}
	return w
}

// listenBoth listens on one port over TCP and UDP. The first that is free for one
// of them may not be for the other.
func listenBoth(t *testing.T) (net.Listener, net.PacketConn) {
	t.Helper()
	for range 100 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		if pc, err := net.ListenPacket("udp", l.Addr().String()); err == nil {
			return l, pc
		}
		l.Close()
	}
	t.Fatal("no port is free over both TCP and UDP")
	return nil, nil
}

// name adds records, "a.example A 127.0.0.1" each.
func (w *world) name(records ...string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, r := range records {
		f := strings.SplitN(r, " ", 3)
		k := strings.ToLower(f[0]) + ". " + f[1]
		w.zone[k] = append(w.zone[k], f[2])
	}
}

// ServeDNS answers as a recursive server would.
func (w *world) ServeDNS(rw dns.ResponseWriter, q *dns.Msg) {
	w.mu.Lock()
	defer w.mu.Unlock()
	m := new(dns.Msg).SetReply(q)
	name, qtype := strings.ToLower(q.Question[0].Name), dns.TypeToString[q.Question[0].Qtype]
	w.asked[name+" "+qtype]++
	for range 20 {
		target, ok := w.zone[name+" CNAME"]
		if !ok {
			break
		}
		m.Answer = append(m.Answer, rr(w.t, name+" 300 IN CNAME "+target[0]))
		name = strings.ToLower(target[0])
	}
	for _, data := range w.zone[name+" "+qtype] {
		m.Answer = append(m.Answer, rr(w.t, name+" 300 IN "+qtype+" "+data))
	}
	if len(m.Answer) == 0 {
		m.Rcode = dns.RcodeNameError
		for k := range w.zone {
			if strings.HasPrefix(k, name+" ") {
				m.Rcode = dns.RcodeSuccess
			}
		}
		if w.zone[name+" FAIL"] != nil {
			m.Rcode = dns.RcodeServerFailure
		}
	}
	if w.special != nil {
		w.special(m)
	}
	if rw.RemoteAddr().Network() == "udp" {
		m.Truncate(1232)
	}
	rw.WriteMsg(m)
}

func rr(t *testing.T, s string) dns.RR {
	r, err := dns.NewRR(s)
	if err != nil {
		t.Errorf("test record %q: %v", s, err)
	}
	return r
}

func (w *world) count(question string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.asked[question]
}

// web serves connections one by one with handle, which gets the request's head,
// and gives the port. The server is visited at 127.0.0.1 by exception.
func (w *world) web(handle func(c net.Conn, head string)) (port uint16) {
	return w.listen(func(c net.Conn) {
		if head, err := requestHead(c); err == nil {
			handle(c, head)
		}
	})
}

// listen serves connections with handle, which gets them as they come.
func (w *world) listen(handle func(c net.Conn)) (port uint16) {
	w.t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		w.t.Fatal(err)
	}
	ap := l.Addr().(*net.TCPAddr).AddrPort()
	w.allow = append(w.allow, ap)
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer c.Close()
				handle(c)
			})
		}
	})
	w.t.Cleanup(func() { l.Close(); wg.Wait() })
	return ap.Port()
}

// requestHead reads up to the empty line.
func requestHead(c net.Conn) (string, error) {
	var b strings.Builder
	r := bufio.NewReader(c)
	for {
		line, err := r.ReadString('\n')
		b.WriteString(line)
		if err != nil || line == "\r\n" {
			return b.String(), err
		}
	}
}

// says answers every request with the same bytes.
func says(answer string) func(net.Conn, string) {
	return func(c net.Conn, _ string) { fmt.Fprint(c, answer) }
}

var someone = probe.Identity{About: "https://check.example/about", From: "abuse@check.example", Agent: "https://check.example"}

// networks says that everything on loopback is AS 64500's (RFC 5398).
type networks struct{}

func (networks) Lookup(a netip.Addr) (netip.Prefix, uint32, bool) {
	p := netip.MustParsePrefix("127.0.0.0/8")
	return p, 64500, p.Contains(a)
}

// config is that of a prober that may visit the servers made so far.
// patience is for servers that are slow because the machine is busy; what waits
// on purpose is tested in bubbles of time.
const patience = time.Minute

func (w *world) config() probe.Config {
	w.t.Helper()
	r, err := probe.NewResolver(probe.ResolverConfig{Servers: []string{w.dns}, Networks: networks{}, Timeout: patience})
	if err != nil {
		w.t.Fatal(err)
	}
	keys, err := probe.LoadKeys(w.t.TempDir())
	if err != nil {
		w.t.Fatal(err)
	}
	return probe.Config{
		Ledger: openLedger(w.t, w.t.TempDir()), Key: &evidence.Key{1, 2, 3}, Resolver: r, Keys: keys, Identity: someone,
		Guard:   probe.Guard{Allow: w.allow},
		Limits:  probe.Limits{AddressBurst: 100},
		Timeout: patience, ConnectTimeout: patience, HeadTimeout: patience,
	}
}

func openLedger(t *testing.T, dir string) *probe.Ledger {
	t.Helper()
	l, err := probe.OpenLedger(dir, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

func newProber(t *testing.T, cfg probe.Config) *probe.Prober {
	t.Helper()
	p, err := probe.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func (w *world) prober() *probe.Prober {
	w.t.Helper()
	return newProber(w.t, w.config())
}

func parse(t testing.TB, raw string) link.Link {
	t.Helper()
	l, err := link.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func visit(t *testing.T, p *probe.Prober, raw string) probe.Visit {
	t.Helper()
	return p.Probe(t.Context(), probe.Question{Link: parse(t, raw)})
}

// outcomes of the hops of a visit.
func outcomes(v probe.Visit) string {
	var s []string
	for _, h := range v.Hops {
		s = append(s, h.Outcome.String())
	}
	return strings.Join(s, " ")
}

// TestMain lets the test binary be the process that is killed.
func TestMain(m *testing.M) {
	if dir := os.Getenv("PROBE_TEST_LEDGER"); dir != "" {
		fmt.Fprintln(os.Stderr, writeForEver(dir))
		os.Exit(1)
	}
	if dir := os.Getenv("PROBE_TEST_KEYS"); dir != "" {
		now, err := time.Parse(time.RFC3339, os.Getenv("PROBE_TEST_NOW"))
		if err == nil {
			err = rotateForEver(dir, now)
		}
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// writeForEver asks and replies, and prints each id once its request is durable.
func writeForEver(dir string) error {
	l, err := probe.OpenLedger(dir, 0)
	if err != nil {
		return err
	}
	fmt.Println("ready")
	for {
		id := probe.NewID(time.Now())
		a := someAsk(id, "a.example")
		if err := l.Ask(context.Background(), a); err != nil {
			return err
		}
		fmt.Println(id)
		l.Reply(probe.Reply{Visit: id, Time: time.Now(), Outcome: probe.Answered, Status: 200})
	}
}

func someAsk(id probe.ID, host string) probe.Ask {
	return probe.Ask{
		Visit: id, Time: id.Time(), Origin: "http://" + host, Subject: evidence.Subject{Kind: evidence.URL, Key: host + "/"},
		Decision: probe.Decision{Mode: probe.Exact, Rule: "test"},
	}
}
