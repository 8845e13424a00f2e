package main

import (
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"
)

// nodes are three servers that share a log, each with a directory of its own.
type nodes struct {
	*crasher
	dirs    []string
	addrs   []string
	servers []*serving // nil: killed
}

func newNodes(t *testing.T) *nodes {
	n := &nodes{crasher: newCrasher(t), servers: make([]*serving, 3)}
	n.refuses = true // without a quorum
	if out, err := n.command("keys", "make"); err != nil {
		t.Fatalf("keys make: %v: %s", err, out)
	}
	for range n.servers {
		// In a random net of the loopback, so that nobody else takes it until it is
		// listened on.
		l, err := net.Listen("tcp", fmt.Sprintf("127.%d.%d.1:0", 1+rand.IntN(250), rand.IntN(250)))
		if err != nil {
			t.Fatal(err)
		}
		l.Close()
		n.addrs = append(n.addrs, l.Addr().String())
		dir := filepath.Join(t.TempDir(), "node")
		if err := os.CopyFS(dir, os.DirFS(n.dir)); err != nil {
			t.Fatal(err)
		}
		n.dirs = append(n.dirs, dir)
	}
	t.Cleanup(func() {
		for i := range n.servers {
			n.end(i, syscall.SIGKILL)
		}
	})
	return n
}

func (n *nodes) start(i int) {
	n.t.Helper()
	all := append([]string{n.addrs[i]}, n.addrs[:i]...)
	all = append(all, n.addrs[i+1:]...)
	s, err := startServer(n.dirs[i], os.Environ(), n.path, "-config", "headlight.toml", "-cluster", strings.Join(all, ","))
	if err != nil {
		n.t.Fatal(err)
	}
	n.servers[i] = s
}

func (n *nodes) end(i int, sig syscall.Signal) {
	if s := n.servers[i]; s != nil {
		n.servers[i] = nil
		code, err := s.stop(sig)
		if err != nil || sig == syscall.SIGTERM && code != 0 {
			n.t.Errorf("node %d ended with %d, %v: %s", i, code, err, s.log)
		}
	}
}

// work reports to the nodes that run until the returned func is called.
func (n *nodes) work(round int) (stop func()) {
	var wg sync.WaitGroup
	done := make(chan struct{})
	for i, s := range n.servers {
		if s == nil {
			continue
		}
		wg.Go(func() {
			for k := 0; n.reportOnce(s.url, round, i, k); k++ {
				select {
				case <-done:
					return
				default:
				}
			}
		})
	}
	return func() {
		close(done)
		wg.Wait()
	}
}

// told waits until so many records more are acknowledged.
func (n *nodes) told(more int) {
	n.t.Helper()
	count := func() int {
		n.mu.Lock()
		defer n.mu.Unlock()
		return len(n.acknowledged)
	}
	before := count()
	n.await(fmt.Sprintf("%d records more acknowledged", more), func() bool { return count() >= before+more })
}

// await waits for what comes by itself.
func (n *nodes) await(what string, is func() bool) {
	n.t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for range 12000 {
		if is() {
			return
		}
		<-tick.C
	}
	for i, s := range n.servers {
		if s != nil {
			n.t.Logf("node %d: %s", i, s.log)
		}
	}
	n.t.Fatalf("within a minute not %s", what)
}

// Acknowledged means on a quorum of disks: one node, or all at once, are killed
// again and again while reports come in. Whatever was acknowledged is in the logs
// of all, which are the same.
func TestKilledNodes(t *testing.T) {
	t.Parallel()
	n := newNodes(t)
	for i := range n.servers {
		n.start(i)
	}
	rounds := max(crashes(t)/3, 2)
	for round := range rounds {
		stop := n.work(round)
		n.told(1 + n.rand.IntN(60))
		killed := []int{0, 1, 2}
		if round%2 == 0 { // one, and the others go on
			killed = killed[:1]
			killed[0] = n.rand.IntN(3)
		}
		for _, i := range killed {
			if err := n.servers[i].cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
		if len(killed) == 1 {
			n.told(30)
		}
		stop()
		for _, i := range killed {
			n.end(i, syscall.SIGKILL)
			n.start(i)
		}
		stop = n.work(1000 + round)
		n.told(3)
		stop()
		if t.Failed() {
			t.Fatalf("after round %d", round)
		}
	}
	t.Logf("%d rounds, %d records acknowledged", rounds, len(n.acknowledged))
	// A message to which nobody got an answer may come into the log later, but not
	// after one that its node sends next.
	for i, s := range n.servers {
		n.await(fmt.Sprintf("one record more acknowledged by node %d", i), func() bool {
			before := len(n.acknowledged)
			return n.reportOnce(s.url, 2000, i, before) && len(n.acknowledged) > before
		})
	}
	for _, s := range n.servers {
		n.same(s)
	}
	for i := range n.servers {
		n.end(i, syscall.SIGTERM)
	}
	var first []string
	for i := range n.dirs {
		n.dir = n.dirs[i]
		n.look()
		out, err := n.command("log", "export")
		if err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(string(out), "\n")
		if i == 0 {
			first = lines
		}
		if d := cmp.Diff(first, lines); d != "" {
			t.Errorf("the logs of nodes 0 and %d differ, of %d and %d lines:\n%s", i, len(first), len(lines), d)
		}
	}
}

// Nodes that see the same links in the same second are killed while they visit: no
// site is visited twice, and the nodes that are left visit.
func TestKilledNodesVisitOnce(t *testing.T) {
	t.Parallel()
	rounds := max(crashes(t)/3, 3)
	const sites = 12 // a round, each at an address of its own
	n := newNodes(t)

	var mu sync.Mutex
	heads := make(map[string]int)
	l, err := net.Listen("tcp4", "0.0.0.0:0")
	if err != nil {
		t.Fatal(err)
	}
	web := &http.Server{Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		heads[r.Host]++
	})}
	go web.Serve(l)
	t.Cleanup(func() { web.Close() })
	port := l.Addr().(*net.TCPAddr).Port
	addr := func(site int) string { return fmt.Sprintf("127.77.%d.%d", site/200, 1+site%200) }
	var allow []string
	for site := range rounds * sites {
		allow = append(allow, fmt.Sprintf("%q", fmt.Sprint(addr(site), ":", port)))
	}
	names, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	resolver := &dns.Server{PacketConn: names, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		m := new(dns.Msg).SetReply(q)
		var site int
		if _, err := fmt.Sscanf(q.Question[0].Name, "site%d.test.", &site); err == nil && q.Question[0].Qtype == dns.TypeA {
			h := dns.RR_Header{Name: q.Question[0].Name, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 300}
			m.Answer = append(m.Answer, &dns.A{Hdr: h, A: net.ParseIP(addr(site))})
		}
		w.WriteMsg(m)
	})}
	go resolver.ActivateAndServe()
	t.Cleanup(func() { resolver.Shutdown() })
	for i := range n.servers {
		n.dir = n.dirs[i]
		n.write("headlight.toml", fmt.Sprintf("[probe]\nmode = \"head\"\nabout = \"https://linkcheck.example/visits\"\nfrom = \"abuse@linkcheck.example\"\n"+
			"jitter = \"0\"\nresolver = %q\nallow = [%s]\n", names.LocalAddr(), strings.Join(allow, ", ")))
		n.start(i)
	}
	for i := range n.servers {
		n.ready(i)
	}

	visited := func(round int) (sum int) {
		mu.Lock()
		defer mu.Unlock()
		for site := round * sites; site < (round+1)*sites; site++ {
			sum += heads[fmt.Sprintf("site%d.test:%d", site, port)]
		}
		return sum
	}
	for round := range rounds {
		var links []string
		for site := round * sites; site < (round+1)*sites; site++ {
			links = append(links, fmt.Sprintf("%q", fmt.Sprintf("http://site%d.test:%d/page", site, port)))
		}
		for _, s := range n.servers {
			resp, err := http.Post(s.url+"/v1/check", "application/json", strings.NewReader(`{"links":[`+strings.Join(links, ",")+`]}`))
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
		}
		begun := 1 + n.rand.IntN(sites/2)
		n.await("visiting", func() bool { return visited(round) >= begun })
		i := n.rand.IntN(3)
		n.end(i, syscall.SIGKILL)
		n.start(i)
		n.ready(i)
	}
	mu.Lock()
	defer mu.Unlock()
	for host, times := range heads {
		if times != 1 {
			t.Errorf("%s was visited %d times", host, times)
		}
	}
	t.Logf("%d of %d sites were visited in %d rounds", len(heads), rounds*sites, rounds)
}

// ready waits until a node can be told something.
func (n *nodes) ready(i int) {
	n.t.Helper()
	n.await(fmt.Sprintf("node %d ready", i), func() bool {
		resp, err := http.Get(n.servers[i].url + "/readyz")
		if err != nil {
			n.t.Fatal(err)
		}
		resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	})
}

// same waits until a node has all that any node acknowledged.
func (n *nodes) same(s *serving) {
	n.t.Helper()
	newest := uint64(0)
	for seq := range n.acknowledged {
		newest = max(newest, seq)
	}
	n.await(fmt.Sprintf("entry %d folded by a node", newest), func() bool {
		return s.metric(n.t, "headlight_log_applied") >= float64(newest)
	})
}
