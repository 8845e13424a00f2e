package jetstream

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/nats-io/nats.go"
)

// ConnectConfig is for a node on NATS servers that somebody else runs. The
// zero value works.
type ConnectConfig struct {
	// Name tells this machine from others that share the log, as the holder of
	// claims; "" means the host's name.
	Name string
	// Replicas is how many servers keep the log, 1, 3 or 5, if this node is
	// the first and makes it; 0 means 3.
	Replicas int
	// Machines is how many share the log, this one among them; 0 means 3. It is
	// what Ask expects answers of.
	Machines int
	// Keep is that of Config.
	Keep time.Duration
	// Credentials is the file of a user's JWT and seed; "" if there is none.
	// A user and a password, or a token, can stand in the URL.
	Credentials string
	// Logger; nil means slog.Default().
	Logger *slog.Logger

	prefix string
}

// Connect makes a node that keeps its log on existing NATS servers with
// JetStream, 2.12 or later, at "nats://…" or "tls://…", several separated by
// commas. It does not wait for a connection: see [Node.Ready]. The servers
// have to be set up with "sync_interval: always", or what is acknowledged may
// be lost when they lose power, and with a max_payload of 8 MB and a little,
// or what is larger is refused.
func Connect(ctx context.Context, url string, cfg ConnectConfig) (*Node, error) {
	name := cfg.Name
	if name == "" {
		var err error
		if name, err = os.Hostname(); err != nil {
			return nil, err
		}
	}
	replicas := cmp.Or(cfg.Replicas, 3)
	if replicas != 1 && replicas != 3 && replicas != 5 {
		return nil, fmt.Errorf("%d replicas: want 1, 3 or 5", replicas)
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	n := &Node{name: name, replicas: replicas, machines: cmp.Or(cfg.Machines, 3), keep: cfg.Keep, log: cmp.Or(cfg.Logger, slog.Default()).With("part", "cluster"), prefix: cfg.prefix}
	opts := []nats.Option{nats.RetryOnFailedConnect(true)}
	if cfg.Credentials != "" {
		if _, err := os.Stat(cfg.Credentials); err != nil {
			return nil, err
		}
		opts = append(opts, nats.UserCredentials(cfg.Credentials))
	}
	if err := n.connect(url, opts...); err != nil {
		n.Close()
		return nil, fmt.Errorf("connect to NATS: %w", err)
	}
	n.run()
	return n, nil
}
