package jetstream

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"strings"
	"sync"
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
		NoLog:      true,                          // it gets ours
		MaxPayload: evidence.MaxBatchBytes + 4096, // and a message's headers

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

// startServer runs a server until it listens and has recovered its streams.
func startServer(ctx context.Context, cfg Config, host string, port int, log *slog.Logger) (*server.Server, error) {
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return nil, err
	}
	mutual, err := newIdentity(cfg.Key, log)
	if err != nil {
		return nil, err
	}
	srv, err := server.NewServer(options(cfg, host, port, mutual))
	if err != nil {
		return nil, err
	}
	logger := &serverLog{log: log, fatal: make(chan error, 1)}
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

// serverLog is where nats-server logs. What it calls a notice is of interest to
// those who debug; warnings and errors are an operator's, one of a kind a minute.
type serverLog struct {
	log   *slog.Logger
	fatal chan error // the first fatal error; the server then does not start

	mu   sync.Mutex
	seen map[string]*rate.Sometimes
}

func (l *serverLog) Noticef(format string, v ...any) { l.debug(format, v) }
func (l *serverLog) Debugf(format string, v ...any)  { l.debug(format, v) }
func (l *serverLog) Tracef(format string, v ...any)  { l.debug(format, v) }
func (l *serverLog) Warnf(format string, v ...any)   { l.sometimes(slog.LevelWarn, format, v) }
func (l *serverLog) Errorf(format string, v ...any)  { l.sometimes(slog.LevelError, format, v) }

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

func (l *serverLog) debug(format string, v []any) {
	if l.log.Enabled(context.Background(), slog.LevelDebug) {
		l.log.Debug("server", "text", fmt.Sprintf(format, v...))
	}
}

func (l *serverLog) sometimes(level slog.Level, format string, v []any) {
	text := fmt.Sprintf(format, v...)
	for _, s := range expected {
		if strings.Contains(text, s) {
			l.log.Debug("server", "text", text)
			return
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.seen[format]
	if s == nil { // formats are constants of nats-server: there are some hundreds
		if l.seen == nil {
			l.seen = make(map[string]*rate.Sometimes)
		}
		s = &rate.Sometimes{First: 3, Interval: time.Minute}
		l.seen[format] = s
	}
	s.Do(func() { l.log.Log(context.Background(), level, "server", "text", text) })
}

// expected are warnings of what is meant to be so.
var expected = []string{
	"TLS Hostname verification disabled", // VerifyConnection knows nodes by their key
	"Maximum payload is larger",
	"route handshake error", // VerifyConnection has told it better
}
