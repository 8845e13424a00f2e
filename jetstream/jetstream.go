// Package jetstream keeps the evidence of a cluster in NATS JetStream: one log
// that several machines share, and the right to visit. It is the only package
// that knows NATS.
//
// [Start] runs nats-server in this process: three machines with one binary and
// one key make a cluster, of which any one may fail. What [Node.Append] has
// acknowledged is on the disks of a majority, synced. Each node has the whole
// log on its own disk and follows it from there:
//
//	node, err := jetstream.Start(ctx, jetstream.Config{
//		Dir: "data/jetstream", Listen: "10.0.0.1:7420", Key: key,
//		Nodes: []string{"10.0.0.1:7420", "10.0.0.2:7420", "10.0.0.3:7420"},
//	})
//	…
//	defer node.Close()
//	for entries, err := range node.Follow(ctx, after) { … }
//
// What one Append says is one message of a stream, a batch (see
// [evidence.AppendBatch]). The last record of message m has the sequence
// m<<16, those before it the ones below: sequences ascend, with gaps between
// messages, and tell at once in which message they stand.
package jetstream

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/time/rate"

	"headlight.example/evidence"
)

// Config of a node that runs its own server.
type Config struct {
	// Dir is the directory of the server's files; it is created at need.
	// Nothing is written outside of it. If it is lost, the node gets all from
	// the others; never lose it on a majority of nodes at once.
	Dir string
	// Listen is the HOST:PORT at which the other nodes reach this one. It is
	// one of Nodes, and the node's name.
	Listen string
	// Nodes are the HOST:PORT of all nodes, the same on each: three or five,
	// of which one or two may fail. One alone is not a cluster, but works.
	// Once they share a log, Start refuses Dir with another list.
	Nodes []string
	// Key is the installation's secret, the same on all nodes: they know each
	// other by it and by the list.
	Key *evidence.Key
	// Keep is how long the shared log keeps a record, at least; 0 means for ever.
	// The node that started last has the say.
	Keep time.Duration
	// Logger; nil means slog.Default().
	Logger *slog.Logger

	prefix string // of the names of streams; "" means defaultPrefix
}

// Node is this machine's part of a cluster: an [evidence.Log], and what the nodes
// agree on. It is safe for concurrent use. Whoever starts it closes it.
type Node struct {
	name     string   // of this node, as claims name their holder
	nodes    []string // all of them; nil if the servers are somebody else's
	dir      string   // of the server's files; "" as well
	replicas int
	machines int            // that share the log
	srv      *server.Server // nil if the servers are somebody else's
	dial     []nats.Option  // how to reach it
	log      *slog.Logger

	prefix   string
	patience time.Duration
	keep     time.Duration
	conn     *nats.Conn // for all but reading
	reads    *nats.Conn // a long read delays no Append
	js       jetstream.JetStream
	wake     *nats.Subscription
	woken    signal // the log has grown

	ctx       context.Context // ends with Close
	end       context.CancelFunc
	running   sync.WaitGroup
	prepared  chan struct{} // closed when the streams are there and identity is set
	identity  string
	waiting   atomic.Pointer[error] // why the streams are not there yet
	state     atomic.Pointer[state]
	damaged   rate.Sometimes // tells of damage to this node's copy
	closeOnce sync.Once
}

// Bounds of waiting.
const (
	// patience is how long a call whose context has no deadline waits for a
	// majority: longer than an election, which takes 4 to 9 s when a leader
	// dies (raft.go of nats-server).
	patience = 15 * time.Second
	// reconnect is how long it waits for nodes to come back where less than a
	// majority is here: they may just have lost a connection.
	reconnect = 3 * time.Second
	// attempt is how long one request waits for its answer before it is sent again.
	attempt = 2 * time.Second
	// pause is how long a request waits that was refused, since there is no
	// leader at the moment, say.
	pause = 50 * time.Millisecond
)

// Start runs the server of one node in this process and returns when it is
// listening and has read what is on its disk. It does not wait for the others:
// see [Node.Ready]. ctx bounds the start only; Close ends the node.
func Start(ctx context.Context, cfg Config) (*Node, error) {
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	host, port, err := cfg.check()
	if err != nil {
		return nil, err
	}
	log := cfg.Logger.With("part", "cluster")
	srv, err := startServer(ctx, cfg, host, port, log)
	if err != nil {
		return nil, fmt.Errorf("start node %s: %w", cfg.Listen, err)
	}
	n := &Node{name: cfg.Listen, dir: cfg.Dir, nodes: slices.Clone(cfg.Nodes), replicas: len(cfg.Nodes), machines: len(cfg.Nodes), srv: srv, log: log, prefix: cfg.prefix, keep: cfg.Keep}
	if err := n.connect("", nats.InProcessServer(srv)); err != nil {
		n.Close()
		return nil, fmt.Errorf("start node %s: %w", cfg.Listen, err)
	}
	n.run()
	return n, nil
}

// check says what is wrong with a Config, and takes Listen apart.
func (c *Config) check() (host string, port int, err error) {
	if c.Dir == "" || c.Key == nil {
		return "", 0, errors.New("a node has a directory and a key")
	}
	if n := len(c.Nodes); n != 1 && n != 3 && n != 5 {
		return "", 0, fmt.Errorf("%d nodes: want 3 or 5, so that there is a majority when one or two fail", n)
	}
	for i, node := range c.Nodes {
		h, p, err := net.SplitHostPort(node)
		if err != nil {
			return "", 0, fmt.Errorf("node %q: want HOST:PORT: %w", node, err)
		}
		num, err := strconv.ParseUint(p, 10, 16)
		if err != nil || num == 0 || h == "" {
			return "", 0, fmt.Errorf("node %q: want HOST:PORT with a host that the others reach and a port from 1 to 65535", node)
		}
		if ip := net.ParseIP(h); ip != nil && ip.IsUnspecified() {
			return "", 0, fmt.Errorf("node %q: want the address at which the others reach it", node)
		}
		if slices.Contains(c.Nodes[:i], node) {
			return "", 0, fmt.Errorf("node %s is there twice", node)
		}
		if node == c.Listen {
			host, port = h, int(num)
		}
	}
	if port == 0 {
		return "", 0, fmt.Errorf("this node, %q, is not among the nodes %v: give the same list to all, and to each its own address of it", c.Listen, c.Nodes)
	}
	return host, port, nil
}

// connect makes the two connections of a node.
func (n *Node) connect(url string, opts ...nats.Option) (err error) {
	n.ctx, n.end = context.WithCancel(context.Background())
	n.prepared = make(chan struct{})
	n.woken.init()
	n.patience = patience
	n.damaged.Interval = time.Minute
	if n.prefix == "" {
		n.prefix = defaultPrefix
	}
	n.dial = opts
	opts = append(slices.Clip(opts),
		nats.Name("headlight "+n.name),
		nats.MaxReconnects(-1), nats.ReconnectWait(100*time.Millisecond),
		// What is sent while the connection is away would be answered to
		// nobody: requests are sent again by those who wait for them.
		nats.ReconnectBufSize(-1),
		nats.ErrorHandler(func(_ *nats.Conn, sub *nats.Subscription, err error) {
			n.log.Warn("connection to the cluster's log", "err", err)
		}),
	)
	if n.conn, err = nats.Connect(url, opts...); err != nil {
		return err
	}
	if n.reads, err = nats.Connect(url, opts...); err != nil {
		return err
	}
	if n.js, err = jetstream.New(n.conn); err != nil {
		return err
	}
	n.wake, err = n.conn.Subscribe(n.prefix+".appended", func(*nats.Msg) { n.woken.send() })
	return err
}

// run starts what goes on until Close.
func (n *Node) run() {
	n.running.Go(n.prepare)
	n.running.Go(n.watch)
}

// Close ends the node: it hands leadership over to others and stops the server.
// Calls that wait return [evidence.ErrClosed]. Further calls of Close do nothing.
func (n *Node) Close() error {
	n.closeOnce.Do(func() {
		n.disconnect()
		if n.srv != nil {
			n.srv.Shutdown()
			n.srv.WaitForShutdown()
		}
	})
	return nil
}

// disconnect ends all of a node but its server.
func (n *Node) disconnect() {
	n.end()
	n.running.Wait()
	if n.conn != nil {
		n.conn.Close()
	}
	if n.reads != nil {
		n.reads.Close()
	}
}

// signal wakes all who wait for it. The zero value needs init.
type signal struct{ ch atomic.Pointer[chan struct{}] }

func (s *signal) init() { s.ch.Store(new(make(chan struct{}))) }

// wait gives what is closed by the next send.
func (s *signal) wait() <-chan struct{} { return *s.ch.Load() }

func (s *signal) send() { close(*s.ch.Swap(new(make(chan struct{})))) }
