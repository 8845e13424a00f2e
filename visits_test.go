package headlight_test

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"

	"headlight.example"
	"headlight.example/evidence"
	"headlight.example/message"
	"headlight.example/netmap"
	"headlight.example/probe"
	"headlight.example/reputation"
)

// nameServer answers every question for an address with 127.0.0.1, on loopback.
type nameServer struct {
	addr  string
	asked atomic.Int64
	hold  chan struct{} // questions wait until it is closed; nil: they do not
}

func newNameServer(t *testing.T, hold chan struct{}) *nameServer {
	t.Helper()
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	n := &nameServer{addr: pc.LocalAddr().String(), hold: hold}
	started, done := make(chan bool), make(chan error)
	s := &dns.Server{PacketConn: pc, Handler: n, NotifyStartedFunc: func() { close(started) }}
	go func() { done <- s.ActivateAndServe() }()
	<-started
	t.Cleanup(func() { s.Shutdown(); <-done })
	return n
}

// ServeDNS implements dns.Handler.
func (n *nameServer) ServeDNS(w dns.ResponseWriter, q *dns.Msg) {
	n.asked.Add(1)
	if n.hold != nil {
		<-n.hold
	}
	m := new(dns.Msg).SetReply(q)
	if q.Question[0].Qtype == dns.TypeA {
		h := dns.RR_Header{Name: q.Question[0].Name, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 300}
		m.Answer = append(m.Answer, &dns.A{Hdr: h, A: net.IPv4(127, 0, 0, 1)})
	}
	w.WriteMsg(m)
}

func loopbackNetworks(t *testing.T) *netmap.Map {
	t.Helper()
	name := filepath.Join(t.TempDir(), "networks.csv")
	if err := os.WriteFile(name, []byte("127.0.0.0,127.255.255.255,64500,Loopback\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	m, _, err := netmap.Load(name)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func openVisiting(t *testing.T, dir string, cfg headlight.VisitConfig) *headlight.Service {
	t.Helper()
	svc, err := headlight.Open(t.Context(), headlight.Config{
		Dir: dir, Logger: slog.New(slog.DiscardHandler), Networks: loopbackNetworks(t), Visits: &cfg,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { svc.Close() })
	return svc
}

// logged closes the service and gives what its log says, a line an entry.
func logged(t *testing.T, svc *headlight.Service, dir string) (lines []string) {
	t.Helper()
	if err := svc.Close(); err != nil {
		t.Fatal(err)
	}
	for _, e := range entries(t, dir) {
		lines = append(lines, fmt.Sprintf("%s %s %s", e.Subject.Host(), e.Assertion, e.Object.Key))
	}
	return lines
}

// Where a host is stands in the log before the first sighting of it, once a day.
func TestAHostIsLookedUpBeforeItIsSeen(t *testing.T) {
	t.Parallel()
	dir, ns := t.TempDir(), newNameServer(t, nil)
	svc := openVisiting(t, dir, headlight.VisitConfig{Servers: []string{ns.addr}})
	for _, url := range []string{"http://a.example/x", "http://a.example/y"} {
		svc.Check(parse(t, url))
	}
	svc.Observe(t.Context())
	svc.SettleVisits()
	asked := ns.asked.Load()
	svc.Check(parse(t, "http://a.example/z"))
	svc.Observe(t.Context())
	if n := ns.asked.Load(); n != asked || n == 0 {
		t.Errorf("DNS was asked %d times, then %d times", asked, n)
	}
	want := []string{
		"a.example resolves-to 127.0.0.1", "127.0.0.1 announced-in 127.0.0.0/8", "127.0.0.1 originated-by 64500",
		"a.example seen ", "a.example seen ", "a.example seen ",
	}
	if got := logged(t, svc, dir); strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("the log says\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// A name server that does not answer delays no end, and costs no sighting.
func TestASightingDoesNotNeedDNS(t *testing.T) {
	t.Parallel()
	for name, cfg := range map[string]headlight.VisitConfig{"slow": {}, "halted": {Halted: true}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			hold := make(chan struct{})
			dir, ns := t.TempDir(), newNameServer(t, hold)
			t.Cleanup(func() { close(hold) })
			cfg.Servers = []string{ns.addr}
			svc := openVisiting(t, dir, cfg)
			svc.Check(parse(t, "http://a.example/x"))
			svc.Observe(t.Context())
			if got := logged(t, svc, dir); len(got) != 1 || got[0] != "a.example seen " {
				t.Errorf("the log says %q, want one sighting alone", got)
			}
			if cfg.Halted && ns.asked.Load() != 0 {
				t.Errorf("halted, DNS was asked %d questions", ns.asked.Load())
			}
		})
	}
}

// What DNS shows may change a verdict that was given a moment ago; whoever
// listens for changes is told.
func TestALookupThatChangesAVerdictIsTold(t *testing.T) {
	t.Parallel()
	ns := newNameServer(t, nil)
	svc := openVisiting(t, t.TempDir(), headlight.VisitConfig{Servers: []string{ns.addr}})
	var rs []evidence.Record
	addr := evidence.Subject{Kind: evidence.Addr, Key: "127.0.0.1"}
	for i := range 200 {
		host := fmt.Sprintf("bad%d.example", i)
		rs = append(rs,
			evidence.Record{Rater: probe.Rater, Subject: evidence.Subject{Kind: evidence.Host, Key: host}, Assertion: evidence.ResolvesTo, Object: addr},
			evidence.Record{Rater: "feed/list", Subject: evidence.Subject{Kind: evidence.URL, Key: host + "/x"}, Assertion: evidence.Phishing})
	}
	if _, err := svc.Append(t.Context(), rs...); err != nil {
		t.Fatal(err)
	}
	strict := reputation.DefaultPolicy()
	for i := range strict.Thresholds {
		strict.Thresholds[i].Suspicious = .1 // the neighbourhood alone is worth some .13
	}
	svc.SetPolicy(strict)
	changes := svc.Changes()
	defer changes.Close()
	before := svc.Check(parse(t, "http://new.test/x")).Level
	svc.Observe(t.Context())
	svc.SettleVisits()
	svc.Observe(t.Context())
	got := changes.Since(0)
	if before != reputation.Unknown || len(got) != 1 || got[0].Verdict.Link.Host() != "new.test" || got[0].Verdict.Level != reputation.Suspicious {
		t.Errorf("at first %v, then %+v; want unknown, then suspicious", before, got)
	}
}

// One visit of a tenant a day, and none of what is known, would unsubscribe, or was
// visited by another machine.
func TestUnfamiliarServersAreVisited(t *testing.T) {
	t.Parallel()
	ns := newNameServer(t, nil)
	var mu sync.Mutex
	var heads []string
	arrived := make(chan struct{}, 10)
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		heads = append(heads, r.Method+" "+r.Host+r.RequestURI)
		mu.Unlock()
		arrived <- struct{}{}
	})}
	go server.Serve(l)
	t.Cleanup(func() { server.Close() })
	ap := l.Addr().(*net.TCPAddr).AddrPort()
	dir := t.TempDir()
	svc := openVisiting(t, dir, headlight.VisitConfig{
		Policy: probe.Safe, Servers: []string{ns.addr}, Allow: []netip.AddrPort{ap}, Jitter: -1,
		Identity: probe.Identity{About: "https://check.test/about", From: "abuse@check.test"},
	})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- svc.Run(ctx) }()
	at := func(host string) string { return fmt.Sprintf("http://%s:%d", host, ap.Port()) }
	report(t, svc, "feed/list", evidence.Phishing, at("bad.test")+"/x")
	svc.Check(parse(t, at("bad.test")+"/x"))
	// Another machine with the same log was there an hour ago.
	if _, err := svc.Append(ctx, evidence.Record{Time: time.Now().Add(-time.Hour), Rater: probe.Rater, Count: 1, Assertion: evidence.Shows,
		Subject: evidence.Subject{Kind: evidence.Host, Key: "elsewhere.test"}, Object: evidence.FactOf(evidence.FactServer, "nginx")}); err != nil {
		t.Fatal(err)
	}
	svc.Check(parse(t, at("elsewhere.test")+"/page"))
	svc.Check(parse(t, at("www.new.test")+"/page?id=1"))
	svc.CheckMessage(message.HTML, `<a href="`+at("list.test")+`/u?id=7">Unsubscribe here</a>`)
	for range 2 {
		<-arrived
	}
	for svc.Visits().Queue().Waiting > 0 { // until the answers have been read
		runtime.Gosched()
	}
	svc.Check(parse(t, at("www.new.test")+"/another"))
	svc.Observe(t.Context())
	svc.SettleVisits()
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	mu.Lock()
	defer mu.Unlock()
	got := strings.Join(heads, "\n")
	exact, origin := "HEAD "+strings.TrimPrefix(at("www.new.test"), "http://")+"/page?id=1", "HEAD "+strings.TrimPrefix(at("list.test"), "http://")+"/"
	if got != exact+"\n"+origin && got != origin+"\n"+exact {
		t.Errorf("asked:\n%s\nwant, in either order:\n%s\n%s", got, exact, origin)
	}
	now := time.Now()
	asked, err := svc.Visits().About(t.Context(), "www.new.test", now.Add(-time.Hour), now.Add(time.Hour), 10)
	if err != nil || len(asked.Requests) != 1 || asked.Requests[0].Subject.Kind != evidence.Sealed {
		t.Errorf("the ledger has %+v, %v", asked, err)
	}

	// Switched off, earlier visits are accounted for still.
	if err := svc.Close(); err != nil {
		t.Fatal(err)
	}
	off := open(t, dir)
	if v := off.Visits(); v == nil || !v.Halted() {
		t.Fatal("without visits, the ledger of earlier ones is not open")
	} else if rs, err := v.Lookup(t.Context(), asked.Requests[0].Visit); err != nil || len(rs.Requests) != 1 || rs.Requests[0].Reply == nil || rs.Requests[0].Reply.Status != 200 {
		t.Errorf("the ledger has %+v, %v", rs, err)
	}
	if open(t, t.TempDir()).Visits() != nil {
		t.Error("a directory without visits has an account of them")
	}
}
