package jetstream_test

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"headlight.example/evidence"
	"headlight.example/evidence/logtest"
	"headlight.example/jetstream"
)

var testKey = &evidence.Key{1, 2, 3}

// addrs gives free addresses of the loopback network. They are of a random
// net, so that nobody else takes them before they are listened on.
func addrs(t testing.TB, n int) (as []string) {
	t.Helper()
	for i := range n {
		host := fmt.Sprintf("127.%d.%d.%d", 1+rand.IntN(250), rand.IntN(250), 1+i)
		l, err := net.Listen("tcp", host+":0")
		if err != nil {
			t.Fatal(err)
		}
		as = append(as, l.Addr().String())
		l.Close()
	}
	return as
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

func startNode(t testing.TB, cfg jetstream.Config) *jetstream.Node {
	t.Helper()
	if cfg.Key == nil {
		cfg.Key = testKey
	}
	if cfg.Logger == nil {
		cfg.Logger = quiet()
	}
	n, err := jetstream.Start(context.Background(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// cluster is several nodes in this process.
type cluster struct {
	t     testing.TB
	nodes []string
	dir   string
	node  []*jetstream.Node // nil: is down
}

func startCluster(t testing.TB, size int) *cluster {
	t.Helper()
	c := &cluster{t: t, nodes: addrs(t, size), dir: t.TempDir(), node: make([]*jetstream.Node, size)}
	for i := range c.node {
		c.start(i)
	}
	t.Cleanup(func() {
		var wg sync.WaitGroup
		for i := range c.node {
			wg.Go(func() { c.stop(i) })
		}
		wg.Wait()
	})
	return c
}

func (c *cluster) config(i int) jetstream.Config {
	return jetstream.Config{Dir: filepath.Join(c.dir, fmt.Sprint(i)), Listen: c.nodes[i], Nodes: c.nodes}
}

func (c *cluster) start(i int) { c.node[i] = startNode(c.t, c.config(i)) }

func (c *cluster) stop(i int) {
	if c.node[i] == nil {
		return
	}
	if err := c.node[i].Close(); err != nil {
		c.t.Errorf("close: %v", err)
	}
	c.node[i] = nil
}

func TestASingleNodeIsALog(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	at := map[string][]string{} // where the node of each directory listens
	logtest.Run(t, func(t *testing.T, dir string) evidence.Log {
		mu.Lock()
		defer mu.Unlock()
		if at[dir] == nil {
			at[dir] = addrs(t, 1)
		}
		return startNode(t, jetstream.Config{Dir: filepath.Join(dir, "jetstream"), Listen: at[dir][0], Nodes: at[dir]})
	})
}

func TestAClusterIsALog(t *testing.T) {
	t.Parallel()
	c := startCluster(t, 3)
	logtest.Run(t, func(t *testing.T, dir string) evidence.Log {
		// A restart is another node of the same log: what one was told, all know.
		prefix := strings.NewReplacer("/", "_", ".", "_").Replace(dir[1:])
		return jetstream.Log{Log: c.node[rand.IntN(3)].Beside(t.Context(), prefix)}
	})
}

func record(n int) evidence.Record {
	return evidence.Record{
		Time: time.UnixMilli(1700000000000 + int64(n)).UTC(), Rater: "feed/test", Assertion: evidence.Phishing, Count: 1,
		Subject: evidence.Subject{Kind: evidence.URL, Key: fmt.Sprintf("host%d.example/path", n)},
	}
}
