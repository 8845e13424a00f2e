package main

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
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
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for range 12000 {
		if count() >= before+more {
			return
		}
		<-tick.C
	}
	for i, s := range n.servers {
		if s != nil {
			n.t.Logf("node %d: %s", i, s.log)
		}
	}
	n.t.Fatalf("%d records acknowledged within a minute, want %d", count()-before, more)
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
	for i, s := range n.servers {
		n.same(s)
		n.end(i, syscall.SIGTERM)
	}
	first := ""
	for i := range n.dirs {
		n.dir = n.dirs[i]
		n.look()
		out, err := n.command("log", "export")
		if err != nil {
			t.Fatal(err)
		}
		if first == "" {
			first = string(out)
		}
		if string(out) != first {
			t.Errorf("the logs of nodes 0 and %d differ", i)
		}
	}
}

// same waits until a node has all that any node acknowledged.
func (n *nodes) same(s *serving) {
	n.t.Helper()
	newest := uint64(0)
	for seq := range n.acknowledged {
		newest = max(newest, seq)
	}
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for range 12000 {
		if s.metric(n.t, "headlight_log_applied") >= float64(newest) {
			return
		}
		<-tick.C
	}
	n.t.Fatalf("a node has not folded entry %d within a minute: %s", newest, s.log)
}

// metric is a number that the server shows.
func (s *serving) metric(t *testing.T, name string) float64 {
	t.Helper()
	resp, err := http.Get(s.url + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, name+" "); ok {
			f, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
			if err != nil {
				t.Fatalf("%s: %v", line, err)
			}
			return f
		}
	}
	t.Fatalf("no %s in\n%s", name, text)
	return 0
}
