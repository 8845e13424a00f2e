package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"strings"

	"headlight.example"
	"headlight.example/evidence"
)

// place says where a command finds what is known: in a data directory that it
// opens itself, or at a server.
type place struct {
	flags     *flags
	data      string
	server    string
	config    string
	tokenFile string
	// rater is in whose name reports are made of one who opens the directory
	// himself; "" for commands that only ask.
	rater string
}

// place defines the flags that most commands share.
func (f *flags) place() *place {
	p := &place{flags: f}
	p.local()
	f.StringVar(&p.server, "server", "", "ask the server at this `URL` instead of opening a data directory")
	f.StringVar(&p.tokenFile, "token-file", "", "read the token for the server from this `file`")
	return p
}

// localPlace defines the flags of commands that work on a data directory only.
func (f *flags) localPlace() *place {
	p := &place{flags: f}
	p.local()
	return p
}

func (p *place) local() {
	p.flags.StringVar(&p.data, "data", "", "data `directory` (default what the config file says, or ./data)")
	p.flags.StringVar(&p.config, "config", "", "read this config `file`")
}

// load reads the configuration, and puts the flags over it.
func (p *place) load() (*Config, error) {
	cfg := DefaultConfig()
	if p.config != "" {
		var err error
		if cfg, err = LoadConfig(p.config); err != nil {
			return nil, err
		}
	}
	if p.data != "" {
		cfg.Data = p.data
	}
	return cfg, nil
}

// purpose says what a command does to what is known.
type purpose uint8

const (
	reading purpose = iota // a missing directory is not made
	writing
)

// session is what a command asks and tells, always through the API: that of a
// server, or one in this process over the data directory.
type session struct {
	*client
	svc     *headlight.Service // nil if a server is asked
	cfg     *Config            // that svc was opened by
	dir     string             // that svc has opened
	cleanup func() error
}

// open opens the directory, or finds the server. A directory that a server
// holds is asked through that server.
func (p *place) open(ctx context.Context, e *env, why purpose) (*session, error) {
	cfg, err := p.load()
	if err != nil {
		return nil, err
	}
	if p.server != "" {
		if p.data != "" {
			return nil, usagef("-data and -server: want one of the two")
		}
		return p.dial(e, p.server)
	}
	if why == reading {
		if missing(cfg.Data) {
			return p.openStarter(ctx, e, cfg)
		}
	}
	s, err := p.openService(ctx, e, cfg, cfg.Data)
	if held, ok := errors.AsType[*evidence.HeldError](err); ok && held.Server != "" {
		e.verbosef("data directory %s is held by process %d: asking %s instead", cfg.Data, held.PID, held.Server)
		return p.dial(e, held.Server)
	}
	if err != nil {
		return nil, explainOpen(cfg.Data, err)
	}
	return s, nil
}

// openLocal opens a directory that exists, and does not look for a server.
func (p *place) openLocal(ctx context.Context, e *env) (*session, error) {
	cfg, err := p.load()
	if err != nil {
		return nil, err
	}
	if missing(cfg.Data) {
		return nil, fmt.Errorf("data directory %s does not exist; name one with -data", cfg.Data)
	}
	s, err := p.openService(ctx, e, cfg, cfg.Data)
	if err != nil {
		return nil, explainOpen(cfg.Data, err)
	}
	return s, nil
}

// missing says that there is no data directory, or an empty one.
func missing(dir string) bool {
	entries, err := os.ReadDir(dir)
	return errors.Is(err, fs.ErrNotExist) || err == nil && len(entries) == 0
}

// openStarter opens a directory that lives as long as the command: it knows
// what is compiled in. Who only asks gets no ./data as a souvenir.
func (p *place) openStarter(ctx context.Context, e *env, cfg *Config) (*session, error) {
	if p.data != "" {
		e.notef("data directory %s does not exist: answering from the starter knowledge alone", printable(cfg.Data))
	} else {
		e.verbosef("no data directory %s yet: answering from the starter knowledge alone", printable(cfg.Data))
	}
	// Nothing of it must survive, so it is best in memory: a busy disk takes
	// seconds for the syncs of a new log.
	s, err := p.openPassing(ctx, e, cfg, "/dev/shm")
	if err != nil && ctx.Err() == nil {
		s, err = p.openPassing(ctx, e, cfg, "")
	}
	return s, err
}

// openPassing opens a service in a new directory below parent ("": that for
// temporary files), which goes with the session.
func (p *place) openPassing(ctx context.Context, e *env, cfg *Config, parent string) (*session, error) {
	dir, err := os.MkdirTemp(parent, "headlight-*")
	if err != nil {
		return nil, fmt.Errorf("make a directory for the while: %w", err)
	}
	s, err := p.openService(ctx, e, cfg, dir)
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	closeService := s.cleanup
	s.cleanup = func() error { return errors.Join(closeService(), os.RemoveAll(dir)) }
	return s, nil
}

func (p *place) openService(ctx context.Context, e *env, cfg *Config, dir string) (*session, error) {
	policy, err := cfg.policy()
	if err != nil {
		return nil, err
	}
	bar := e.newLateProgress("opening", "entries folded")
	defer bar.end()
	svc, err := headlight.Open(ctx, headlight.Config{
		Dir:         dir,
		Policy:      policy,
		Logger:      e.logger(slog.LevelWarn),
		Progress:    bar.fold,
		NoSightings: true,
	})
	if err != nil {
		return nil, err
	}
	return &session{client: p.inProcess(e, svc), svc: svc, cfg: cfg, dir: dir, cleanup: svc.Close}, nil
}

// explainOpen adds the mend to an error of opening a data directory.
func explainOpen(dir string, err error) error {
	switch {
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%w; run as the owner of %s, or name another with -data", err, dir)
	case errors.Is(err, evidence.ErrNewer):
		return fmt.Errorf("%w (data directory %s)", err, dir)
	}
	return err
}

func (p *place) dial(e *env, server string) (*session, error) {
	token := ""
	if p.tokenFile != "" {
		b, err := readSecret(e, p.tokenFile)
		if err != nil {
			return nil, fmt.Errorf("read token: %w", err)
		}
		token = strings.TrimSpace(string(b))
	}
	c, err := newClient(server, token)
	if err != nil {
		return nil, err
	}
	return &session{client: c, cleanup: func() error { return nil }}, nil
}

// close ends the session. Its error matters to those who wrote.
func (s *session) close() error { return s.cleanup() }
