package jetstream

import (
	"context"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"headlight.example/evidence"
)

// Beside gives another node on the servers and connections of n, with streams
// of its own, whose names begin with prefix. It ends with ctx.
func (n *Node) Beside(ctx context.Context, prefix string) *Node {
	o := &Node{name: n.name, nodes: n.nodes, replicas: n.replicas, log: n.log, prefix: prefix, srv: n.srv}
	if err := o.connect("", n.dial...); err != nil {
		panic(err)
	}
	o.run()
	context.AfterFunc(ctx, o.disconnect)
	return o
}

// Log is a node without its other sides, and without Close.
type Log struct{ evidence.Log }

// SetPatience sets how long calls without a deadline wait; before there are any.
func (n *Node) SetPatience(d time.Duration) { n.patience = d }

// WithPrefix gives a config with streams of other names.
func (c ConnectConfig) WithPrefix(prefix string) ConnectConfig {
	c.prefix = prefix
	return c
}

// MaxAge is how long the shared log keeps a message.
func (n *Node) MaxAge(t testing.TB) time.Duration { return n.info(t).Config.MaxAge }

// SetMaxAge is for tests that cannot wait for days.
func (n *Node) SetMaxAge(t testing.TB, d time.Duration) {
	cfg := n.info(t).Config
	cfg.MaxAge, cfg.Duplicates = d, d
	if _, err := n.js.UpdateStream(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
}

// Empty says that no message is left.
func (n *Node) Empty(t testing.TB) bool { return n.info(t).State.Msgs == 0 }

func (n *Node) info(t testing.TB) *jetstream.StreamInfo {
	t.Helper()
	s, err := n.js.Stream(t.Context(), n.evidenceStream())
	if err != nil {
		t.Fatal(err)
	}
	return s.CachedInfo()
}
