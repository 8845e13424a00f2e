package main

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
)

// ClusterConfig names the machines that share one log. Without nodes and NATS
// this one is alone.
type ClusterConfig struct {
	Nodes  []string `toml:"nodes"`
	Listen string   `toml:"listen"`
}

// enabled says whether there are others.
func (c *ClusterConfig) enabled() bool { return len(c.Nodes) > 0 }

// set takes over the flag -cluster: all nodes, this one first.
func (c *ClusterConfig) set(flag string) {
	c.Nodes = strings.Split(flag, ",")
	for i := range c.Nodes {
		c.Nodes[i] = strings.TrimSpace(c.Nodes[i])
	}
	c.Listen = c.Nodes[0]
}

// validate checks what types cannot say; the key is that which is wrong.
func (c *ClusterConfig) validate() (key string, err error) {
	if !c.enabled() {
		if c.Listen != "" {
			return "listen", errors.New("says which of cluster.nodes this is, but there are none")
		}
		return "", nil
	}
	for i, n := range c.Nodes {
		host, port, err := net.SplitHostPort(n)
		if err != nil || host == "" || port == "" || port == "0" {
			return "nodes", fmt.Errorf("%q is not HOST:PORT, such as 10.0.0.1:7420", n)
		}
		if slices.Contains(c.Nodes[:i], n) {
			return "nodes", fmt.Errorf("%s is there twice", n)
		}
	}
	if n := len(c.Nodes); n != 3 && n != 5 {
		return "nodes", fmt.Errorf("are %d; a cluster has 3, of which one may fail, or 5, of which two may", n)
	}
	if !slices.Contains(c.Nodes, c.Listen) {
		return "listen", fmt.Errorf("%q is none of cluster.nodes: want the one that this machine is", c.Listen)
	}
	return "", nil
}
