package jetstream

import (
	"context"

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

// Rename gives a node of another name on the connections and streams of n.
func (n *Node) Rename(name string) *Node {
	return &Node{name: name, replicas: n.replicas, log: n.log, prefix: n.prefix, js: n.js,
		conn: n.conn, reads: n.reads, ctx: n.ctx, prepared: n.prepared}
}
