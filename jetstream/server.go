package jetstream

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"golang.org/x/time/rate"

	"headlight.example/evidence"
)

// options are those of nats-server. It has no port for clients or for
// monitoring: this process is its only client, by a pipe, and the only port is
// the one for other nodes.
func options(cfg Config, host string, port int, mutual *identity) *server.Options {
	o := &server.Options{
		ServerName: cfg.Listen,
		DontListen: true,
		NoSigs:     true,
		NoLog:      true, // it gets ours
		MaxPayload: maxPayload,

		JetStream: true,
		StoreDir:  cfg.Dir,
		// Each message is on disk before it is acknowledged. The default syncs
		// every two minutes, and loses acknowledged messages if a majority
		// loses power within them (Jepsen on NATS 2.12.1; nats-server #7564).
		SyncAlways: true,
		// No stream is kept in memory; this is for what the server itself may want to.
		JetStreamMaxMemory:     64 << 20,
		DisableJetStreamBanner: true,
	}
	if len(cfg.Nodes) == 1 {
		return o
	}
	o.Cluster = server.ClusterOpts{
		Name: clusterName, Host: host, Port: port,
		TLSConfig: mutual.config(), TLSTimeout: 5,
		NoAdvertise: true,
		// A machine that is gone without a word is noticed after 15 s.
		PingInterval: 5 * time.Second, MaxPingsOut: 2,
	}
	for _, node := range cfg.Nodes { // itself among them: so the server knows how many there are
		o.Routes = append(o.Routes, &url.URL{Scheme: "nats-route", Host: node})
	}
	return o
}

const clusterName = "headlight"

// maxPayload bounds a message, which is a batch and headers.
const (
	maxPayload = evidence.MaxBatchBytes + headerRoom
	headerRoom = 4096
)

// startServer runs a server until it listens and has recovered its streams.
func startServer(ctx context.Context, cfg Config, host string, port int, log *slog.Logger) (*server.Server, error) {
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return nil, err
	}
	if err := sameNodes(cfg.Dir, cfg.Nodes); err != nil {
		return nil, err
	}
	mutual, err := newIdentity(cfg.Key, cfg.Nodes, log)
	if err != nil {
		return nil, err
	}
	srv, err := server.NewServer(options(cfg, host, port, mutual))
	if err != nil {
		return nil, err
	}
	logger := &serverLog{log: log, fatal: make(chan error, 1), limit: rate.NewLimiter(rate.Every(6*time.Second), 20)}
	srv.SetLoggerV2(logger, log.Enabled(ctx, slog.LevelDebug), false, false)
	srv.Start() // returns when its streams are read, or after a fatal error
	if err = logger.failed(); err == nil && len(cfg.Nodes) > 1 {
		// Start leaves the routes to a goroutine that waits for the port for
		// clients, and with DontListen there is none: it waits for ever, and
		// what it would have done, and be waited for, is done here.
		open := make(chan struct{})
		close(open)
		srv.StartRouting(open)
		err = logger.failed()
	}
	if err = cmp.Or(err, ctx.Err()); err != nil {
		srv.Shutdown()
		srv.WaitForShutdown()
		return nil, err
	}
	return srv, nil
}

// nodesFile is where a directory holds the list of nodes that it belongs to.
const nodesFile = "nodes"

// sameNodes makes sure that a directory is gone on with by the nodes that it was
// made for. With others it would count a majority that is none: the Raft groups on
// its disk hold the old ones, and know nothing of the list.
func sameNodes(dir string, nodes []string) error {
	want := lines(nodes)
	text, err := os.ReadFile(filepath.Join(dir, nodesFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil // there is no log yet: a misprint in the list may still be mended
	}
	if err != nil {
		return err
	}
	if string(text) != want {
		return fmt.Errorf("%s holds the shared log of the nodes %s: it cannot be gone on with by %s; "+
			"give this node the old list again, or give the log to other nodes as docs/cluster.md says",
			dir, list(string(text)), list(want))
	}
	return nil
}

func lines(nodes []string) string {
	return strings.Join(slices.Sorted(slices.Values(nodes)), "\n") + "\n"
}

func list(lines string) string { return strings.Join(strings.Fields(lines), ", ") }

// bindNodes notes in a directory which nodes it belongs to, when they share a log.
// The file is whole and on disk, or not there.
func bindNodes(dir string, nodes []string) error {
	name := filepath.Join(dir, nodesFile)
	if _, err := os.Stat(name); err == nil {
		return nil
	}
	f, err := os.CreateTemp(dir, nodesFile+"-*")
	if err != nil {
		return err
	}
	_, err = f.WriteString(lines(nodes))
	err = cmp.Or(err, f.Sync())
	err = cmp.Or(err, f.Close())
	if err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		os.Remove(f.Name())
	}
	return err
}

// serverLog is where nats-server logs. What it calls an error is a warning here:
// mostly another node that is away, and it goes on. Texts hold addresses of
// whoever connects, so that all together are limited, not each of a kind.
type serverLog struct {
	log     *slog.Logger
	fatal   chan error // the first fatal error; the server then does not start
	limit   *rate.Limiter
	dropped atomic.Int64 // lines since the last one that was logged
}

func (l *serverLog) Noticef(format string, v ...any) { l.write(slog.LevelDebug, format, v) }
func (l *serverLog) Debugf(format string, v ...any)  { l.write(slog.LevelDebug, format, v) }
func (l *serverLog) Tracef(format string, v ...any)  { l.write(slog.LevelDebug, format, v) }
func (l *serverLog) Warnf(format string, v ...any)   { l.write(slog.LevelInfo, format, v) }
func (l *serverLog) Errorf(format string, v ...any)  { l.write(slog.LevelWarn, format, v) }

func (l *serverLog) Fatalf(format string, v ...any) {
	err := fmt.Errorf(format, v...)
	select {
	case l.fatal <- err:
	default:
		l.log.Error("server", "err", err)
	}
}

// failed gives a fatal error, nil if there was none.
func (l *serverLog) failed() error {
	select {
	case err := <-l.fatal:
		return err
	default:
		return nil
	}
}

func (l *serverLog) write(level slog.Level, format string, v []any) {
	ctx := context.Background()
	if !l.log.Enabled(ctx, level) {
		return
	}
	text := fmt.Sprintf(format, v...)
	if level > slog.LevelDebug {
		if slices.ContainsFunc(expected, func(s string) bool { return strings.Contains(text, s) }) {
			level = slog.LevelDebug
		} else if !l.limit.Allow() {
			l.dropped.Add(1)
			return
		}
	}
	if n := l.dropped.Swap(0); n > 0 {
		l.log.Log(ctx, level, "server", "text", text, "left out before", n)
		return
	}
	l.log.Log(ctx, level, "server", "text", text)
}

// expected are warnings of what is meant to be so, or what the watch tells better.
var expected = []string{
	"TLS Hostname verification disabled",    // VerifyConnection knows nodes by their key
	"TLS certificate chain and hostname of", // so it does
	"Maximum payload",                       // of a batch
	"route handshake error",                 // VerifyConnection has told it better
	"Error trying to connect to route",      // a node is not here
	"Waiting for routing to be established", // nor here
	"JetStream has not established contact", // nor ready
	"JetStream cluster no metadata leader",  //
	"JetStream cluster stream '",            // has no quorum
	"has NO quorum, stalled",                //
	"Metalayer blocking snapshot",           // of no interest
}
