// Package milter judges the links of mail for Postfix and Sendmail, before they
// take it.
//
//	m := milter.New(svc, milter.Config{Dangerous: milter.Reject})
//	err := m.Serve(ctx, listener)
//
// Each mail gets a header field that begins with the level of its worst link,
// and one in the manner of Authentication-Results (RFC 8601); those that came
// in with it are removed:
//
//	X-Headlight: dangerous; threat=phishing; host=bad.example; id=03vt1q5jhdm7w
//
// Whatever goes wrong here costs a header field and never a mail: a mail over a
// bound is passed, and its field says what was not looked at; if the service is
// gone, the mail server does what its milter_default_action says.
//
// The protocol is that of libmilter, versions 2 to 6. It knows no passwords:
// the listener belongs on a loopback address or in a closed network. A caller
// can cost it bounded memory and time, and learns what any sender could.
package milter

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"headlight.example"
)

// Action is what becomes of a mail. All of them add the header fields, but for
// Reject, after which there is no mail to add them to.
type Action uint8

const (
	Tag        Action = iota // it goes on
	Rewrite                  // its links of that level are made inert; if it is signed or encrypted, as Tag
	Quarantine               // it waits in the mail server's hold queue
	Reject                   // its sender is told with 550 5.7.1
)

var actionNames = [...]string{Tag: "tag", Rewrite: "rewrite", Quarantine: "quarantine", Reject: "reject"}

func (a Action) String() string { return actionNames[a] }

// ParseAction reads "tag", "rewrite", "quarantine" or "reject".
func ParseAction(s string) (Action, error) {
	for a, name := range actionNames {
		if s == name {
			return Action(a), nil
		}
	}
	return 0, fmt.Errorf("%q: want tag, rewrite, quarantine or reject", s)
}

// Config says what becomes of mails. The zero value of each field is a default
// that works.
type Config struct {
	// Suspicious and Dangerous are what becomes of a mail whose worst link is
	// that; all others are tagged.
	Suspicious, Dangerous Action
	// Exempt are local parts of addresses, such as "abuse": a mail that is for
	// nobody else is at most tagged, since whoever reports a bad link sends it.
	Exempt []string
	// Lookup is a URL of a page about a host, which is put behind it, for Rewrite
	// to have links of HTML lead to; "": they lead nowhere.
	Lookup string
	// Contact is named to the sender of a mail that is rejected: whom to ask.
	Contact string
	// MaxBytes bounds the text of one mail; 0: 32 MiB.
	MaxBytes int64
	// MaxMemory bounds what the mails over 64 KiB that are being read hold in
	// all; 0: eight times MaxBytes.
	MaxMemory int64
	// MaxConnections bounds the mail server's connections; 0: 1000, ten times
	// the processes that Postfix starts by default. One more is closed at once,
	// unless there is one that has not yet said what it speaks: then that is.
	MaxConnections int
	// Registry takes the metrics; nil means one of its own.
	Registry *prometheus.Registry
	// Logger receives what an operator should read; nil means slog.Default.
	Logger *slog.Logger
}

// Limits without a field in Config.
const (
	// maxPacket is how much of one packet is kept; what is longer is read past.
	// A body comes in chunks of 64 KiB, a header field of Postfix has at most
	// 100 KB (header_size_limit).
	maxPacket = 128 << 10
	// freeBytes is how long a mail may be without drawing on MaxMemory.
	freeBytes = 64 << 10
	// maxFields bounds the fields of a header that are looked at. The largest
	// header among a thousand real mails has 37 KB, about 300 fields.
	maxFields = 1000
	// maxForged is how many forged fields are removed from a mail; one that has
	// more is refused. Each server on the way leaves one at most, and Postfix
	// takes fifty of those for a loop (hopcount_limit).
	maxForged = 100

	// helloTimeout is how long a connection may take until it has said what it
	// speaks, which a mail server does at once.
	helloTimeout = 10 * time.Second
	// idleTimeout is how long a connection may be silent between two commands:
	// longer than an SMTP server waits for its client (RFC 5321 §4.5.3.2: five
	// minutes).
	idleTimeout = 10 * time.Minute
	// packetTimeout is how long a packet that has begun may take.
	packetTimeout = 30 * time.Second
	// bodyTimeout is how long all of a body may take, which a mail server reads
	// from its disk.
	bodyTimeout = 2 * time.Minute
	// writeTimeout is how long an answer may take to be taken.
	writeTimeout = 30 * time.Second
	// shutdownTimeout is how long the mails that have begun may take to finish.
	shutdownTimeout = 10 * time.Second
)

// Server is a milter for a Service. It is safe for concurrent use.
type Server struct {
	svc     *headlight.Service
	cfg     Config
	exempt  map[string]bool
	log     *slog.Logger
	metrics *metrics
	memory  atomic.Int64 // what is left of MaxMemory

	mu       sync.Mutex
	sessions map[*session]bool
	stopping bool
}

// New makes a server. It starts nothing.
func New(svc *headlight.Service, cfg Config) *Server {
	cfg.MaxBytes = cmp.Or(cfg.MaxBytes, 32<<20)
	cfg.MaxMemory = cmp.Or(cfg.MaxMemory, 8*cfg.MaxBytes)
	cfg.MaxConnections = cmp.Or(cfg.MaxConnections, 1000)
	logger := cfg.Logger
	if logger == nil {
		logger = slog.Default()
	}
	if cfg.Registry == nil {
		cfg.Registry = prometheus.NewRegistry()
	}
	s := &Server{
		svc: svc, cfg: cfg,
		exempt:   make(map[string]bool),
		log:      logger.With("part", "milter"),
		metrics:  newMetrics(cfg.Registry),
		sessions: make(map[*session]bool),
	}
	for _, name := range cfg.Exempt {
		s.exempt[strings.ToLower(name)] = true
	}
	s.memory.Store(cfg.MaxMemory)
	return s
}

// Serve answers mail servers on the listener until ctx is done; then it takes
// no more connections, lets the mails that have begun finish for up to ten
// seconds, and returns nil. It closes the listener.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	var running sync.WaitGroup
	stop := context.AfterFunc(ctx, func() { l.Close() })
	defer stop()
	err := s.accept(ctx, l, &running)
	l.Close()
	s.drain()
	cut := time.AfterFunc(shutdownTimeout, s.cutOff)
	running.Wait()
	cut.Stop()
	return err
}

func (s *Server) accept(ctx context.Context, l net.Listener, running *sync.WaitGroup) error {
	const pause = 100 * time.Millisecond
	for {
		conn, err := l.Accept()
		switch {
		case ctx.Err() != nil:
			if err == nil {
				conn.Close()
			}
			return nil
		case err != nil && passes(err):
			s.log.Warn("connection not accepted; trying on", "err", err)
			select {
			case <-ctx.Done():
			case <-time.After(pause):
			}
			continue
		case err != nil:
			return fmt.Errorf("serve %s: %w", l.Addr(), err)
		}
		c := newSession(s, conn)
		if !s.enter(c) {
			s.metrics.refused.Inc()
			conn.Close()
			continue
		}
		running.Go(func() {
			defer s.leave(c)
			c.run()
		})
	}
}

// enter counts a session in, if there is room.
func (s *Server) enter(c *session) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopping || len(s.sessions) >= s.cfg.MaxConnections && !s.makeRoom() {
		return false
	}
	s.sessions[c] = true
	s.metrics.connections.Set(float64(len(s.sessions)))
	return true
}

// makeRoom closes the connection that has said nothing for longest, of those that
// have said nothing at all; false if there is none.
func (s *Server) makeRoom() bool {
	var silent *session
	for c := range s.sessions {
		if !c.known && (silent == nil || c.since.Before(silent.since)) {
			silent = c
		}
	}
	if silent == nil {
		return false
	}
	delete(s.sessions, silent)
	silent.conn.Close()
	return true
}

// know notes that a connection is one of a mail server.
func (s *Server) know(c *session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c.known = true
}

func (s *Server) leave(c *session) {
	c.conn.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.sessions, c)
	s.metrics.connections.Set(float64(len(s.sessions)))
}

// drain ends the sessions that are between two mails, and has the others end
// behind theirs.
func (s *Server) drain() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stopping = true
	for c := range s.sessions {
		if !c.busy {
			c.conn.Close()
		}
	}
}

func (s *Server) cutOff() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.log.Warn("mails cut off at shutdown", "connections", len(s.sessions), "waited", shutdownTimeout)
	for c := range s.sessions {
		c.conn.Close()
	}
}

// setBusy notes whether a session is in a mail; false if it is to end now.
func (s *Server) setBusy(c *session, busy bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	c.busy = busy
	return busy || !s.stopping
}
