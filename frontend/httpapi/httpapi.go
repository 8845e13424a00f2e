// Package httpapi carries questions to the service over HTTP, and its answers
// back as JSON.
//
//	api := httpapi.New(svc, httpapi.Config{Tokens: tokens})
//	err := api.Serve(ctx, listener)
//
// GET /openapi.json describes every call; errors are problem documents (RFC
// 9457). If the service cannot store what it is told, the call fails with 503
// and nothing is acknowledged; questions go on being answered from memory.
//
// The package trusts the address it is given: an API that anybody may ask
// listens on a loopback address, or stands behind a proxy that says who may.
// It speaks no TLS. Text, tokens and the URLs that are asked about reach
// neither the log nor a metric.
package httpapi

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/time/rate"

	"headlight.example"
	"headlight.example/frontend/conns"
)

// Config says who may call, and how much. The zero value of each field is a
// default that works.
type Config struct {
	// Tokens are who may report. Without any, nobody may.
	Tokens []Token
	// RequireTokenForReads asks for a token for questions too.
	RequireTokenForReads bool
	// AnonymousAppeals lets anybody appeal, as "user/anonymous". They are rare
	// and limited to a few an hour from one network.
	AnonymousAppeals bool
	// Hosts are the names by which a server on a loopback address may be
	// called, besides localhost and addresses: those of a proxy before it.
	Hosts []string
	// MaxScanBytes bounds the body of a scan; 0: 32 MiB.
	MaxScanBytes int64
	// MaxBodyMemory bounds what the bodies over 64 KiB that are being read or
	// scanned hold in all; 0: eight times MaxScanBytes. Who comes when it is
	// full gets 503. Small messages are not held up by large ones.
	MaxBodyMemory int64
	// MaxListeners bounds who listens for changes at once; 0: 1000.
	MaxListeners int
	// Rate is how many requests a second a network without a token may make,
	// with a burst of twice as many; 0: 100; below 0: no limit. The machine
	// itself has no limit: that is where gateways run.
	Rate float64
	// Lists answers below /lists/, for whoever may ask; nil: there are none.
	Lists http.Handler
	// SafeBrowsing answers below /v4/ and /v5/, and Web Risk's searches, for whoever
	// may ask; nil: nobody does. Bodies are at most MaxSafeBrowsing bytes.
	SafeBrowsing http.Handler
	// Webhook is told of changes while Serve runs.
	Webhook Webhook
	// Registry takes the metrics, those of the Go runtime and the process too;
	// nil means one of its own. GET /metrics shows all of it.
	Registry *prometheus.Registry
	// Logger receives what an operator should read; nil means slog.Default.
	Logger *slog.Logger
	// Version is what GET / says that this is.
	Version string
}

// Server answers HTTP requests for a Service. It is safe for concurrent use.
type Server struct {
	svc     *headlight.Service
	cfg     Config
	log     *slog.Logger
	tokens  atomic.Pointer[tokens]
	hosts   map[string]bool
	foreign *http.CrossOriginProtection
	metrics *metrics
	hook    *hook             // nil: none
	routes  map[string]*route // by path

	anonymous *limiter // requests by network; nil: no limit
	appeals   *limiter // appeals by network or token
	ledger    *limiter // questions about visits by network

	memory    budget // for large bodies
	listeners budget // for changes
	readers   budget // of the ledger of visits

	start    string        // tells this process from the one before
	requests atomic.Uint64 // numbers them
	unready  atomic.Bool   // what /readyz said last
	stop     chan struct{} // closed when Serve is to end
	stopOnce sync.Once
}

// Limits without a field in Config.
const (
	maxCheckBytes  = 1 << 20 // a thousand links of a kilobyte
	maxReportBytes = 1 << 20
	maxAppealBytes = 64 << 10
	// MaxSafeBrowsing bounds the body of a Safe Browsing request: 500 URLs of half
	// a kilobyte, say.
	MaxSafeBrowsing = 256 << 10
	maxHeaderBytes  = 16 << 10

	// freeBody is how large a body may be without drawing on MaxBodyMemory:
	// larger than any chat message and most mails.
	freeBody = 64 << 10

	// maxConns bounds the connections, of which each costs up to 30 KB; gateways
	// have a few hundred. One more, and the most silent is closed.
	maxConns = 4096

	// A wrong verdict is appealed once or twice; a script would drown the
	// reviewers.
	appealsPerHour = 10
	appealsBurst   = 5

	readHeaderTimeout = 5 * time.Second
	readTimeout       = time.Minute     // 32 MiB at 4.5 Mbit/s
	writeTimeout      = 2 * time.Minute // from the end of the header: it includes the reading
	idleTimeout       = 2 * time.Minute // longer than a gateway's pool keeps its connections
	shutdownTimeout   = 10 * time.Second
)

// New makes a server. It starts nothing.
func New(svc *headlight.Service, cfg Config) *Server {
	cfg.MaxScanBytes = cmp.Or(cfg.MaxScanBytes, 32<<20)
	cfg.MaxBodyMemory = cmp.Or(cfg.MaxBodyMemory, 8*cfg.MaxScanBytes)
	cfg.MaxListeners = cmp.Or(cfg.MaxListeners, 1000)
	cfg.Rate = cmp.Or(cfg.Rate, 100)
	logger := cfg.Logger
	if logger == nil {
		logger = slog.Default()
	}
	if cfg.Registry == nil {
		cfg.Registry = prometheus.NewRegistry()
	}
	s := &Server{
		svc:     svc,
		cfg:     cfg,
		log:     logger.With("part", "httpapi"),
		hosts:   make(map[string]bool),
		foreign: http.NewCrossOriginProtection(),
		appeals: newLimiter(rate.Every(time.Hour/appealsPerHour), appealsBurst),
		ledger:  newLimiter(visitsPerSecond, visitsBurst),
		start:   strconv.FormatInt(time.Now().UnixMilli(), 36),
		stop:    make(chan struct{}),
	}
	for _, h := range cfg.Hosts {
		s.hosts[strings.ToLower(h)] = true
	}
	if cfg.Rate > 0 {
		s.anonymous = newLimiter(rate.Limit(cfg.Rate), burst(cfg.Rate))
	}
	s.SetTokens(cfg.Tokens)
	s.memory.left.Store(cfg.MaxBodyMemory)
	s.listeners.left.Store(int64(cfg.MaxListeners))
	s.readers.left.Store(maxReaders)
	s.routes = s.resources()
	s.metrics = newMetrics(svc, cfg.Registry, s.routes)
	if cfg.Webhook.URL != "" {
		s.hook = newHook(s, cfg.Webhook)
	}
	return s
}

// SetTokens changes who may call, from the next request on. What a token has
// used of its rate is forgotten.
func (s *Server) SetTokens(list []Token) {
	ts := tokens(slices.Clone(list)) // we keep pointers to them
	for i := range ts {
		if t := &ts[i]; t.Rate > 0 {
			t.limiter = newLimiter(rate.Limit(t.Rate), burst(t.Rate))
		}
	}
	s.tokens.Store(&ts)
}

func burst(perSecond float64) int { return max(1, int(2*perSecond)) }

// Serve answers on the listener until ctx is done; then it takes no more
// requests, ends the streams of changes, lets the others finish for up to ten
// seconds, and returns nil. It closes the listener.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	server := &http.Server{
		Handler:           s.Handler(),
		ReadHeaderTimeout: readHeaderTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
	if s.hook != nil {
		posting, stop := context.WithCancel(ctx)
		var running sync.WaitGroup
		running.Go(func() { s.hook.run(posting) })
		defer running.Wait()
		defer stop()
	}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(conns.Limit(l, maxConns)) }()
	select {
	case err := <-failed:
		return fmt.Errorf("serve %s: %w", l.Addr(), err)
	case <-ctx.Done():
	}
	s.stopOnce.Do(func() { close(s.stop) })
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
	defer cancel()
	err := server.Shutdown(grace)
	if err != nil {
		server.Close()
	}
	<-failed
	if errors.Is(err, context.DeadlineExceeded) {
		s.log.Warn("requests cut off at shutdown", "waited", shutdownTimeout)
		return nil
	}
	return err
}

// Handler answers requests, for those who have a server of their own. It is
// not to be wrapped in a handler that cleans paths (http.ServeMux does not, if
// keys are percent-encoded).
func (s *Server) Handler() http.Handler { return http.HandlerFunc(s.serve) }
