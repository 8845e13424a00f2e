package jetstream

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Status is what a node knows of its cluster.
type Status struct {
	Nodes  []NodeStatus // all of the cluster, this one first; nil if the servers are somebody else's
	Leader string       // name of the node (or server) that leads the log; "" if there is none, or it is not known
	Last   uint64       // last sequence of the log, as far as known
	Lag    uint64       // messages that this node's copy is behind
	Bytes  uint64       // of the log, on the disk of a node
}

// NodeStatus is what a node knows of another, or of itself.
type NodeStatus struct {
	Addr string // HOST:PORT, its name
	Here bool   // this node is connected to it
}

// state is what the watch has learnt last.
type state struct {
	err    error // why there is no leader
	leader string
	last   uint64
	lag    uint64
	bytes  uint64
}

// watch asks for the state of the log every second, so that nobody waits for it.
func (n *Node) watch() {
	var here []string
	ready := errors.New("not yet known")
	for n.ctx.Err() == nil {
		s := n.look()
		n.state.Store(&s)
		now := n.here()
		for _, node := range n.nodes {
			switch was, is := slices.Contains(here, node), slices.Contains(now, node); {
			case is && !was && node != n.name:
				n.log.Info("node is here", "node", node)
			case was && !is:
				n.log.Warn("node is gone", "node", node)
			}
		}
		here = now
		if err := n.Ready(); n.ctx.Err() == nil && (err == nil) != (ready == nil) {
			ready = err
			if err == nil {
				n.log.Info("the cluster is ready", "leader", s.leader)
			} else {
				n.log.Warn("the cluster is not ready; questions are answered from what is known", "err", err)
			}
		}
		sleep(n.ctx, time.Second)
	}
}

func (n *Node) look() state {
	ctx, cancel := context.WithTimeout(n.ctx, attempt)
	defer cancel()
	info, err := n.led(ctx)
	if err != nil {
		var s state
		if before := n.state.Load(); before != nil {
			s = *before
		}
		s.err, s.leader = err, ""
		return s
	}
	s := state{last: info.State.LastSeq << messageBits, bytes: info.State.Bytes, leader: n.name}
	if c := info.Cluster; c != nil && c.Leader != "" {
		s.leader = c.Leader
		for _, r := range c.Replicas {
			if r.Name == n.name {
				s.lag = r.Lag
			}
		}
	}
	return s
}

// led asks for the state of the log, and takes it from its leader only.
func (n *Node) led(ctx context.Context) (*jetstream.StreamInfo, error) {
	if err := n.majority(); err != nil {
		return nil, err // a leader that is alone does not know it at once
	}
	stream, err := n.js.Stream(ctx, n.evidenceStream())
	if err != nil {
		return nil, err
	}
	info := stream.CachedInfo()
	if n.replicas > 1 && (info.Cluster == nil || info.Cluster.Leader == "") {
		return nil, errNoLeader
	}
	return info, nil
}

// Status gives what is known at the moment; it asks nobody.
func (n *Node) Status() Status {
	var s Status
	if known := n.state.Load(); known != nil {
		s = Status{Leader: known.leader, Last: known.last, Lag: known.lag, Bytes: known.bytes}
	}
	here := n.here()
	for _, node := range n.nodes {
		s.Nodes = append(s.Nodes, NodeStatus{node, slices.Contains(here, node)})
	}
	slices.SortStableFunc(s.Nodes, func(a, b NodeStatus) int {
		return cmp.Compare(boolInt(a.Addr != n.name), boolInt(b.Addr != n.name))
	})
	return s
}

// Behind gives how many messages of the log are above a sequence, as far as known.
func (s Status) Behind(seq uint64) uint64 {
	if last, at := s.Last>>messageBits, seq>>messageBits; last > at {
		return last - at
	}
	return 0
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

// here gives the names of the nodes to which this one is connected, its own among them.
func (n *Node) here() []string {
	names := []string{n.name}
	if n.srv == nil {
		return nil
	}
	routes, err := n.srv.Routez(nil)
	if err != nil {
		return names
	}
	for _, r := range routes.Routes {
		if !slices.Contains(names, r.RemoteName) {
			names = append(names, r.RemoteName)
		}
	}
	return names
}

// Ready is nil when the log has a leader that this node sees, and else says
// what it waits for. It asks nobody, and is at most some seconds old.
func (n *Node) Ready() error {
	if err := n.majority(); err != nil {
		return err
	}
	select {
	case <-n.prepared:
	default:
		err := errNoLeader
		if here := len(n.here()); here < len(n.nodes) {
			err = fmt.Errorf("%w: %d of %d nodes are here, and a first start needs all", err, here, len(n.nodes))
		}
		if why := n.waiting.Load(); why != nil && !errors.Is(*why, context.DeadlineExceeded) {
			err = fmt.Errorf("%w (%w)", err, *why)
		}
		return err
	}
	if s := n.state.Load(); s == nil || s.err != nil {
		return errNoLeader
	}
	return nil
}

var errNoLeader = errors.New("the cluster's log has no leader at the moment")

// majority is an error if this node is connected to less than a majority, or
// to none of somebody else's servers.
func (n *Node) majority() error {
	if n.srv == nil {
		if !n.conn.IsConnected() {
			return fmt.Errorf("no connection to NATS: %w", cmp.Or(n.conn.LastError(), nats.ErrDisconnected))
		}
		return nil
	}
	if here := len(n.here()); here <= len(n.nodes)/2 {
		return fmt.Errorf("no quorum: %d of %d nodes are here", here, len(n.nodes))
	}
	return nil
}
