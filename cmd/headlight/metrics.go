package main

import (
	"github.com/prometheus/client_golang/prometheus"

	"headlight.example"
	"headlight.example/blocklist"
	"headlight.example/jetstream"
)

// registerEditions shows which edition is published.
func registerEditions(reg prometheus.Registerer, shelf *blocklist.Shelf) {
	gauge := func(name, help string, f func(*blocklist.Edition) float64) {
		reg.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, func() float64 {
			if e := shelf.Latest(); e != nil {
				return f(e)
			}
			return 0
		}))
	}
	gauge("headlight_edition_serial", "Number of the newest edition of the lists: its Unix time; 0 before the first.",
		func(e *blocklist.Edition) float64 { return float64(e.Serial()) })
	gauge("headlight_edition_entries", "Entries of the newest edition of the lists.",
		func(e *blocklist.Edition) float64 { return float64(e.Len()) })
}

// registerCluster shows what a node knows of its cluster.
func registerCluster(reg prometheus.Registerer, node *jetstream.Node, svc *headlight.Service) {
	gauge := func(name, help string, f func(jetstream.Status) float64) {
		reg.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, func() float64 { return f(node.Status()) }))
	}
	gauge("headlight_cluster_nodes", "Nodes of the cluster.", func(s jetstream.Status) float64 { return float64(len(s.Nodes)) })
	gauge("headlight_cluster_nodes_here", "Nodes of the cluster that this one is connected to, itself among them.", func(s jetstream.Status) float64 {
		here := 0
		for _, n := range s.Nodes {
			if n.Here {
				here++
			}
		}
		return float64(here)
	})
	gauge("headlight_cluster_leads", "1 if this node leads the shared log, 0 if another does or none.", func(s jetstream.Status) float64 {
		if len(s.Nodes) > 0 && s.Leader == s.Nodes[0].Addr {
			return 1
		}
		return 0
	})
	gauge("headlight_cluster_copy_lag", "Messages of the shared log that this node's disk does not have yet.", func(s jetstream.Status) float64 { return float64(s.Lag) })
	gauge("headlight_cluster_lag", "Messages of the shared log that this node's verdicts do not know yet.", func(s jetstream.Status) float64 {
		return float64(s.Behind(svc.Followed()))
	})
	gauge("headlight_cluster_log_bytes", "Bytes of the shared log on the disk of each node.", func(s jetstream.Status) float64 { return float64(s.Bytes) })
	for i, n := range node.Status().Nodes { // always in this order
		labels := prometheus.Labels{"node": n.Addr}
		each := func(name, help string, is func(jetstream.Status) bool) {
			reg.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help, ConstLabels: labels}, func() float64 {
				if is(node.Status()) {
					return 1
				}
				return 0
			}))
		}
		each("headlight_cluster_node_here", "1 if this node is connected to that one, or is it.", func(s jetstream.Status) bool { return s.Nodes[i].Here })
		each("headlight_cluster_node_leads", "1 if that node leads the shared log, as this one sees it.", func(s jetstream.Status) bool { return s.Leader == n.Addr })
	}
}
