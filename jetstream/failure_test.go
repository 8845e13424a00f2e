package jetstream_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"headlight.example/evidence"
	"headlight.example/jetstream"
)

// awaitReady waits until a node sees a leader of the log.
func awaitReady(t testing.TB, n *jetstream.Node) {
	t.Helper()
	for n.Ready() != nil {
		select {
		case <-time.After(20 * time.Millisecond):
		case <-t.Context().Done():
			t.Fatalf("the test ends, and %v", n.Ready())
		}
	}
}

// awaitError waits until a node says what it waits for.
func awaitError(t testing.TB, n *jetstream.Node, want string) {
	t.Helper()
	for begun := time.Now(); ; <-time.After(20 * time.Millisecond) {
		err := n.Ready()
		if err != nil && strings.HasPrefix(err.Error(), want) {
			return
		}
		if time.Since(begun) > 30*time.Second {
			t.Fatalf("got %v, want %s", err, want)
		}
	}
}

// awaitCurrent waits until a node's copy of the log is not behind.
func awaitCurrent(t testing.TB, n *jetstream.Node) {
	t.Helper()
	awaitReady(t, n)
	for n.Status().Lag > 0 {
		<-time.After(20 * time.Millisecond)
	}
}

// follow gives the first entries of the log, and perhaps more.
func follow(t testing.TB, n *jetstream.Node, records int) (es []evidence.Entry) {
	t.Helper()
	for piece, err := range n.Follow(t.Context(), 0) {
		if err != nil {
			t.Fatal(err)
		}
		if es = append(es, piece...); len(es) >= records {
			break
		}
	}
	return es
}

// sameLog checks that two nodes give the same log.
func sameLog(t testing.TB, a, b *jetstream.Node, records int) {
	t.Helper()
	as, bs := follow(t, a, records), follow(t, b, records)
	if len(as) != records || len(bs) != records {
		t.Fatalf("the nodes have %d and %d entries, want %d", len(as), len(bs), records)
	}
	for i := range as {
		if as[i] != bs[i] {
			t.Fatalf("entry %d is %v here and %v there", i, as[i], bs[i])
		}
	}
}

func TestNodesAreDownAndCatchUp(t *testing.T) {
	t.Parallel()
	for size, down := range map[int][]int{3: {2}, 5: {3, 4}} {
		t.Run(fmt.Sprintf("%d of %d", len(down), size), func(t *testing.T) {
			t.Parallel()
			c := startCluster(t, size)
			appendRecord(t, c.node[0], 0)
			identity, err := c.node[1].Identity(t.Context())
			if err != nil || identity == "" {
				t.Fatalf("got %q, %v", identity, err)
			}
			for _, i := range down {
				c.stop(i)
			}
			ours, err := c.node[0].Claim(t.Context(), "a", time.Hour)
			if err != nil || !ours {
				t.Errorf("a claim with a majority: %v, %v", ours, err)
			}
			for i := range 50 {
				appendRecord(t, c.node[i%2], 1+i)
			}
			for _, i := range down {
				c.start(i)
			}
			for _, i := range down {
				sameLog(t, c.node[0], c.node[i], 51)
				if again, err := c.node[i].Identity(t.Context()); err != nil || again != identity {
					t.Errorf("the log was %q and is %q after a restart (%v)", identity, again, err)
				}
				if ours, err := c.node[i].Claim(t.Context(), "a", time.Hour); err != nil || ours {
					t.Errorf("a node that comes back claims what another holds: %v, %v", ours, err)
				}
				if es := collect(t, c.node[i], 0); len(es) != 51 {
					t.Errorf("%d entries, want 51", len(es))
				}
			}
			if ours, err := c.node[0].Claim(t.Context(), "a", time.Hour); err != nil || !ours {
				t.Errorf("the holder claims it again: %v, %v", ours, err)
			}
		})
	}
}

func TestWithoutAMajorityNothingIsAcknowledged(t *testing.T) {
	t.Parallel()
	c := startCluster(t, 3)
	for i := range 3 {
		appendRecord(t, c.node[i], i)
	}
	n := c.node[0]
	n.SetPatience(2 * time.Second)
	sameLog(t, n, c.node[1], 3)
	for n.Status().Last < 3<<16 {
		<-time.After(20 * time.Millisecond)
	}
	c.stop(1)
	c.stop(2)
	const want = "no quorum: 1 of 3 nodes are here"
	awaitError(t, n, want)
	if es := follow(t, n, 3); len(es) != 3 {
		t.Errorf("what is on its own disk: %d entries, want 3", len(es))
	}
	if s := n.Status(); s.Last < 3<<16 {
		t.Errorf("got %+v, though the node knew more", s)
	}
	var wg sync.WaitGroup
	check := func(what string, call func(context.Context) error) {
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			if err := call(ctx); err == nil || !strings.Contains(err.Error(), want) || !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%s: got %v", what, err)
			}
		})
		wg.Go(func() { // a caller that sets no deadline waits all the same not for ever
			begun := time.Now()
			if err := call(t.Context()); err == nil || !strings.HasSuffix(err.Error(), want) || time.Since(begun) < 2*time.Second {
				t.Errorf("%s: got %v after %v", what, err, time.Since(begun))
			}
		})
	}
	check("append", func(ctx context.Context) error { _, err := n.Append(ctx, record(3)); return err })
	check("last", func(ctx context.Context) error { _, err := n.Append(ctx); return err })
	check("claim", func(ctx context.Context) error { _, err := n.Claim(ctx, "a", time.Minute); return err })
	check("entries", func(ctx context.Context) (got error) {
		for _, err := range n.Entries(ctx, 0) {
			got = err
		}
		return got
	})
	wg.Wait()
	n.SetPatience(time.Minute)
	c.start(1)
	awaitReady(t, n)
	appendRecord(t, n, 4)
	if es := collect(t, n, 0); es[len(es)-1].Record != record(4) {
		t.Errorf("the last entry is %v", es[len(es)-1])
	}
}

// lines is a log that a test can wait for.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
	wake chan struct{}
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case l.wake <- struct{}{}:
	default:
	}
	return l.text.Write(b)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func (l *lines) has(text string) bool { return strings.Contains(l.String(), text) }

func (l *lines) await(t *testing.T, want string) {
	t.Helper()
	for {
		if l.has(want) {
			return
		}
		select {
		case <-l.wake:
		case <-time.After(20 * time.Second):
			t.Fatalf("nobody logs %q", want)
		}
	}
}

func TestANodeThatIsNotOfTheClusterIsRefused(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		change func(*testing.T, *jetstream.Config)
	}{
		{"another key", func(_ *testing.T, cfg *jetstream.Config) { cfg.Key = &evidence.Key{4, 5, 6} }},
		{"another list", func(t *testing.T, cfg *jetstream.Config) {
			cfg.Nodes = slices.Concat(cfg.Nodes, addrs(t, 2)) // of five, with the three
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			c := &cluster{t: t, nodes: addrs(t, 3), dir: t.TempDir(), node: make([]*jetstream.Node, 3)}
			logs := make([]*lines, 3)
			for i := range c.node {
				cfg := c.config(i)
				logs[i] = &lines{wake: make(chan struct{}, 1)}
				cfg.Logger = slog.New(slog.NewTextHandler(logs[i], nil))
				if i == 2 {
					test.change(t, &cfg)
				}
				c.node[i] = startNode(t, cfg)
				defer c.stop(i)
			}
			awaitError(t, c.node[0], "the cluster's log has no leader at the moment: 2 of 3 nodes are here, and a first start needs all")
			awaitError(t, c.node[2], "no quorum: 1 of ")
			for i, l := range logs {
				l.await(t, "refused a node that has another key or another list of nodes: copy keys/ of one node to all")
				if n := strings.Count(l.String(), "refused a node"); n > 2 {
					t.Errorf("node %d said it %d times", i, n)
				}
			}
		})
	}
}

// A node that is given another list says so and does not start, whichever way the
// list has changed; with the old one it goes on, and the others never stopped.
func TestANodeGoesOnWithItsOldListOnly(t *testing.T) {
	t.Parallel()
	c := startCluster(t, 3)
	appendRecord(t, c.node[0], 0)
	awaitReady(t, c.node[2])
	other := addrs(t, 2)
	c.stop(2)
	for _, nodes := range [][]string{
		{c.nodes[0], other[0], c.nodes[2]}, // one is replaced
		slices.Concat(c.nodes, other),      // two more
		{c.nodes[2]},                       // alone
		{c.nodes[2], other[0], other[1]},   // elsewhere
	} {
		cfg := c.config(2)
		cfg.Nodes, cfg.Key, cfg.Logger = nodes, testKey, quiet()
		n, err := jetstream.Start(t.Context(), cfg)
		if err == nil {
			n.Close()
		}
		if want := "give this node the old list again"; err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("with %v: got %v, want %q", nodes, err, want)
		}
	}
	appendRecord(t, c.node[1], 1)
	slices.Reverse(c.nodes) // the order says nothing
	slices.Reverse(c.node)
	cfg := c.config(2)
	cfg.Dir, cfg.Listen = filepath.Join(c.dir, "2"), c.nodes[0]
	c.node[0] = startNode(t, cfg)
	appendRecord(t, c.node[0], 2)
	sameLog(t, c.node[0], c.node[1], 3)
}

func TestAStrangerGetsNoConnection(t *testing.T) {
	t.Parallel()
	c := startCluster(t, 3)
	conn, err := net.Dial("tcp", c.nodes[0])
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	// A server that took it for a route in clear would answer with its INFO.
	fmt.Fprintf(conn, "CONNECT {\"verbose\":true}\r\nPING\r\n")
	answer := make([]byte, 4096)
	for {
		n, err := conn.Read(answer)
		if bytes.Contains(answer[:n], []byte("INFO")) || bytes.Contains(answer[:n], []byte("PONG")) {
			t.Fatalf("got %q", answer[:n])
		}
		if err != nil {
			break
		}
	}
}

func TestStatusTellsWhoIsHere(t *testing.T) {
	t.Parallel()
	c := startCluster(t, 3)
	last := appendRecord(t, c.node[0], 0)
	for i, n := range c.node {
		awaitReady(t, n)
		for n.Status().Last != last {
			<-time.After(20 * time.Millisecond)
		}
		s := n.Status()
		if len(s.Nodes) != 3 || s.Nodes[0] != (jetstream.NodeStatus{Addr: c.nodes[i], Here: true}) ||
			!s.Nodes[1].Here || !s.Nodes[2].Here || s.Leader != c.node[0].Status().Leader {
			t.Errorf("got %+v", s)
		}
	}
	c.stop(2)
	gone := func() bool {
		return slices.Contains(c.node[0].Status().Nodes, jetstream.NodeStatus{Addr: c.nodes[2]})
	}
	for !gone() {
		<-time.After(20 * time.Millisecond)
	}
	if nodes := c.node[0].Status().Nodes; !slices.Contains(nodes, jetstream.NodeStatus{Addr: c.nodes[1], Here: true}) {
		t.Errorf("after one of three has left: %+v", nodes)
	}
}

func TestStartSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	at := taken.Addr().String()
	for _, test := range []struct {
		listen string
		nodes  []string
		want   string
	}{
		{at, []string{at, "127.0.0.1:1", "127.0.0.1:2"}, "address already in use"},
		{"127.0.0.1:3", []string{at, "127.0.0.1:1", "127.0.0.1:2"}, "is not among the nodes"},
		{at, []string{at, "127.0.0.1:1"}, "2 nodes: want 3 or 5"},
		{at, nil, "0 nodes"},
		{at, []string{at, "127.0.0.1:1", "127.0.0.1:1"}, "is there twice"},
		{at, []string{at, "127.0.0.1:1", "127.0.0.1"}, "missing port"},
		{at, []string{at, "127.0.0.1:1", "127.0.0.1:0"}, "a port from 1 to 65535"},
		{at, []string{at, "127.0.0.1:1", "127.0.0.1:65536"}, "a port from 1 to 65535"},
		{at, []string{at, "127.0.0.1:1", ":5"}, "a host that the others reach"},
		{at, []string{at, "127.0.0.1:1", "[::]:5"}, "the address at which the others reach it"},
	} {
		dir := t.TempDir()
		n, err := jetstream.Start(t.Context(), jetstream.Config{Dir: dir, Listen: test.listen, Nodes: test.nodes, Key: testKey, Logger: quiet()})
		if err == nil {
			n.Close()
		}
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%v: got %v, want %q", test.nodes, err, test.want)
		}
	}
}

func TestAnAppendFitsInOneMessage(t *testing.T) {
	t.Parallel()
	at := addrs(t, 1)
	n := startNode(t, jetstream.Config{Dir: t.TempDir(), Listen: at[0], Nodes: at})
	t.Cleanup(func() { n.Close() })
	rs := make([]evidence.Record, evidence.MaxBatch+1)
	for i := range rs {
		rs[i] = record(i)
	}
	if _, err := n.Append(t.Context(), rs...); !errors.As(err, new(*evidence.TooLargeError)) {
		t.Errorf("got %v, want a *TooLargeError", err)
	}
	last, err := n.Append(t.Context(), rs[:evidence.MaxBatch]...)
	if err != nil || last != 1<<16 {
		t.Fatalf("got %d, %v", last, err)
	}
	es := collect(t, n, 0)
	if len(es) != evidence.MaxBatch || es[0].Seq != 1 || es[len(es)-1].Seq != last {
		t.Errorf("%d entries from %d to %d", len(es), es[0].Seq, es[len(es)-1].Seq)
	}
}
