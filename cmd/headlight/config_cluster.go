package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"headlight.example/evidence"
	"headlight.example/jetstream"
)

// ClusterConfig names the machines that share one log. Without nodes and NATS
// this one is alone.
type ClusterConfig struct {
	Nodes       []string `toml:"nodes"`
	Listen      string   `toml:"listen"`
	NATS        string   `toml:"nats"`
	Credentials string   `toml:"credentials"`
	Name        string   `toml:"name"`
	Machines    int      `toml:"machines"`
	Replicas    int      `toml:"replicas"`
}

// enabled says whether there are others.
func (c *ClusterConfig) enabled() bool { return len(c.Nodes) > 0 || c.NATS != "" }

// self names this machine among those that share its log, "" if it is alone.
func (c *ClusterConfig) self() string { return cmp.Or(c.Listen, c.Name) }

// machines is how many share the log.
func (c *ClusterConfig) machines() int {
	if c.NATS != "" {
		return c.Machines
	}
	return max(len(c.Nodes), 1)
}

// join makes this machine one of those that share a log; dir is its data directory.
func (c *ClusterConfig) join(ctx context.Context, dir string, key *evidence.Key, keep time.Duration, logger *slog.Logger) (*jetstream.Node, error) {
	if c.NATS != "" {
		return jetstream.Connect(ctx, c.NATS, jetstream.ConnectConfig{
			Name: c.Name, Credentials: c.Credentials, Machines: c.Machines, Replicas: c.Replicas, Keep: keep, Logger: logger,
		})
	}
	return jetstream.Start(ctx, jetstream.Config{
		// A directory for each, so that a copy of another node's makes no second of it.
		Dir:    filepath.Join(dir, "jetstream", strings.ReplaceAll(c.Listen, ":", "_")),
		Listen: c.Listen, Nodes: c.Nodes, Key: key, Keep: keep, Logger: logger,
	})
}

// String says in words who shares the log.
func (c *ClusterConfig) String() string {
	switch {
	case c.NATS != "":
		var servers []string
		for s := range strings.SplitSeq(c.NATS, ",") {
			if u, err := url.Parse(s); err == nil {
				s = u.Redacted()
			}
			servers = append(servers, s)
		}
		return fmt.Sprintf("%s, one of %d on NATS at %s", c.self(), c.Machines, strings.Join(servers, ", "))
	case len(c.Nodes) > 0:
		others := slices.DeleteFunc(slices.Clone(c.Nodes), func(n string) bool { return n == c.Listen })
		return c.Listen + " with " + strings.Join(others, ", ")
	}
	return "none (cluster.nodes has machines share one log)"
}

// set takes over the flags: -cluster has all nodes, this one first; -nats servers.
func (c *ClusterConfig) set(nodes, nats string) error {
	if nodes != "" && nats != "" {
		return usagef("-cluster and -nats: want one of the two")
	}
	flag := "cluster"
	if nodes != "" {
		*c = ClusterConfig{Machines: c.Machines, Replicas: c.Replicas}
		for n := range strings.SplitSeq(nodes, ",") {
			c.Nodes = append(c.Nodes, strings.TrimSpace(n))
		}
		c.Listen = c.Nodes[0]
	} else {
		flag = "nats"
		c.NATS, c.Nodes, c.Listen = nats, nil, ""
		if c.Name == "" {
			var err error
			if c.Name, err = os.Hostname(); err != nil {
				return fmt.Errorf("flag -nats: how is this machine called? set cluster.name: %w", err)
			}
		}
	}
	if key, err := c.validate(); err != nil {
		return usagef("flag -%s: %s %v", flag, key, err)
	}
	return nil
}

// validate checks what types cannot say; the key is that which is wrong.
func (c *ClusterConfig) validate() (key string, err error) {
	switch {
	case c.NATS != "" && len(c.Nodes) > 0:
		return "nats", errors.New("stands instead of cluster.nodes: want one of the two")
	case len(c.Nodes) == 0 && c.Listen != "":
		return "listen", errors.New("says which of cluster.nodes this is, but there are none")
	case c.NATS == "" && c.Credentials != "":
		return "credentials", errors.New("is for cluster.nats, which names no server")
	case c.NATS == "" && c.Name != "":
		return "name", errors.New("is for cluster.nats; of cluster.nodes, cluster.listen is the name")
	case c.NATS != "":
		return c.validateNATS()
	case len(c.Nodes) == 0:
		return "", nil
	}
	for i, n := range c.Nodes {
		host, port, err := net.SplitHostPort(n)
		if err != nil || host == "" || port == "" || port == "0" {
			return "nodes", fmt.Errorf("has %q, which is not HOST:PORT, such as 10.0.0.1:7420", n)
		}
		if slices.Contains(c.Nodes[:i], n) {
			return "nodes", fmt.Errorf("has %s twice", n)
		}
	}
	if n := len(c.Nodes); n != 3 && n != 5 {
		return "nodes", fmt.Errorf("names %d; a cluster has 3, of which one may fail, or 5, of which two may", n)
	}
	if !slices.Contains(c.Nodes, c.Listen) {
		return "listen", fmt.Errorf("%q is none of cluster.nodes: want the one that this machine is", c.Listen)
	}
	return "", nil
}

func (c *ClusterConfig) validateNATS() (key string, err error) {
	for s := range strings.SplitSeq(c.NATS, ",") {
		u, err := url.Parse(strings.TrimSpace(s))
		if err != nil || u.Scheme != "nats" && u.Scheme != "tls" || u.Host == "" {
			return "nats", fmt.Errorf("%q is not the URL of a NATS server, such as nats://10.0.0.5:4222 or tls://nats.example:4222", s)
		}
	}
	if c.Name == "" {
		return "name", errors.New("is needed with cluster.nats: how this machine is told from the others, such as \"a\"")
	}
	if c.Machines < 2 || c.Machines > 100 {
		return "machines", fmt.Errorf("%d is not between 2 and 100", c.Machines)
	}
	if c.Replicas != 1 && c.Replicas != 3 && c.Replicas != 5 {
		return "replicas", fmt.Errorf("%d is not 1, 3 or 5", c.Replicas)
	}
	return "", nil
}
