package main

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"headlight.example"
	"headlight.example/blocklist"
	"headlight.example/evidence"
	"headlight.example/feed"
	"headlight.example/frontend/httpapi"
	"headlight.example/frontend/lists"
	"headlight.example/frontend/milter"
	"headlight.example/frontend/safebrowsing"
	"headlight.example/frontend/sms"
	"headlight.example/jetstream"
)

func serveCommand() *command {
	return &command{
		name: "serve", group: groupOperate,
		synopsis: []string{"serve [-config FILE] [-data DIR] [-listen ADDR] [-cluster ADDR,ADDR,ADDR]"},
		short:    "run the service",
		about: `Opens the data directory, answers the HTTP API (and DNS, if the config file says where), keeps up with the feeds of the config file, publishes what is dangerous, and writes a snapshot now and then, so that the next start is quick. With no file: on 127.0.0.1:8080, data in ./data.

SIGTERM or SIGINT: takes no more requests, finishes what was begun within 10 seconds, writes a snapshot, and exits with 0. A second signal ends it at once; nothing that was acknowledged is lost by that. SIGHUP reads the config file again: policy, allow and deny lists, tokens, and the keys of visits take effect at once; so does mode = "off" of [probe], which ends all visits; a bad file is refused and the old one stays.

With -cluster, or [cluster] of the config file, it is one of three or five machines that share one log: what one learns all know, a link is visited by one of them and a feed read by one, and one of three may fail, or two of five. They know each other by keys/ of the data directory: "headlight keys make" makes it for the first, the others get a copy.

Under systemd (Type=notify) it says when it is ready.`,
		examples: []string{
			"headlight serve",
			"headlight serve -config /etc/headlight/headlight.toml -log json",
			"headlight serve -data /var/lib/headlight -listen [::1]:8080",
			"headlight serve -data /var/lib/headlight -cluster 10.0.0.1:7420,10.0.0.2:7420,10.0.0.3:7420",
		},
		prepare: func(f *flags) action {
			p := f.localPlace()
			listen := f.String("listen", "", "listen on this `address`, as HOST:PORT (default what the config file says, or 127.0.0.1:8080)")
			nodes := f.String("cluster", "", "share one log with other machines: the `addresses` of all, this one first, as HOST:PORT,HOST:PORT,HOST:PORT (docs/cluster.md)")
			nats := f.String("nats", "", "share one log with other machines on the NATS servers at this `URL` (docs/cluster.md)")
			format := f.String("log", "text", "write the log as `text` or json")
			return func(ctx context.Context, e *env, args []string) error {
				if len(args) > 0 {
					return usagef("takes no arguments")
				}
				logger, err := newLogger(e.stderr, *format, e.verbose)
				if err != nil {
					return &usageError{err: err}
				}
				s := &server{e: e, place: p, listenFlag: *listen, clusterFlag: *nodes, natsFlag: *nats, logger: logger}
				return s.run(ctx)
			}
		},
	}
}

// server is the serve command: what runs, and what a reload replaces.
type server struct {
	e           *env
	place       *place
	listenFlag  string
	clusterFlag string
	natsFlag    string
	logger      *slog.Logger

	cfg      *Config
	node     *jetstream.Node // nil: this machine is alone
	svc      *headlight.Service
	lists    *blocklist.Publisher
	safe     *safebrowsing.Server
	api      *httpapi.Server
	dns      *frontend            // nil: none
	mail     *frontend            // nil: no mail server asks
	texts    *frontend            // nil: no SMS gateway asks
	registry *prometheus.Registry // of metrics

	visitsOff bool // by the configuration as last read
}

func (s *server) run(ctx context.Context) (err error) {
	if err := s.configure(); err != nil {
		return err
	}
	tokens, err := s.cfg.tokens(s.e)
	if err != nil {
		return err
	}
	s.warnOpen(tokens)
	listener, err := listen(s.cfg.Listen)
	if err != nil {
		return err
	}
	// From here on clients are let in, and wait until the table is there.
	if err := s.open(ctx, baseURL(listener.Addr())); err != nil {
		return errors.Join(err, listener.Close())
	}
	defer func() { err = errors.Join(err, s.close()) }()
	s.lists, err = blocklist.Open(blocklist.Config{
		Dir: filepath.Join(s.cfg.Data, "editions"), Source: s.svc, Every: time.Duration(s.cfg.Lists.Every), Logger: s.logger,
	})
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	webhook, err := s.cfg.webhook(s.e)
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	s.registry = prometheus.NewRegistry()
	registerEditions(s.registry, s.lists.Shelf())
	if s.node != nil {
		registerCluster(s.registry, s.node, s.svc)
	}
	id := listID(s.svc.Key(), s.cfg.Cluster.self())
	s.safe = safebrowsing.New(safebrowsing.Config{Shelf: s.lists.Shelf(), ID: [4]byte(id[:])})
	s.api = httpapi.New(s.svc, httpapi.Config{
		Tokens:               tokens,
		RequireTokenForReads: s.cfg.Tokens.Reads,
		AnonymousAppeals:     !s.cfg.Tokens.Appeals,
		Hosts:                s.cfg.Hosts,
		MaxScanBytes:         s.cfg.Limits.ScanBytes,
		Rate:                 cmp.Or(s.cfg.Limits.Rate, -1),
		Lists:                lists.New(lists.Config{Shelf: s.lists.Shelf(), ID: id}),
		SafeBrowsing:         s.safe,
		Webhook:              webhook,
		Registry:             s.registry,
		Logger:               s.logger,
		Version:              thisBuild().String(),
	})
	if s.dns, err = s.openDNS(); err != nil {
		return errors.Join(err, listener.Close())
	}
	fetcher, err := s.fetcher()
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	if s.mail, err = s.openMail(); err != nil {
		return errors.Join(err, listener.Close())
	}
	if s.texts, err = s.openTexts(); err != nil {
		return errors.Join(err, listener.Close())
	}
	if err := s.greet(ctx, listener.Addr()); err != nil {
		return errors.Join(err, listener.Close())
	}
	return s.serve(ctx, listener, fetcher)
}

// configure reads the file and puts the flags over it.
func (s *server) configure() error {
	cfg, err := s.place.load()
	if err != nil {
		return err
	}
	cfg.Listen = cmp.Or(s.listenFlag, cfg.Listen)
	if _, _, err := net.SplitHostPort(cfg.Listen); err != nil {
		return usagef("flag -listen: %q is not HOST:PORT, such as 127.0.0.1:8080", cfg.Listen)
	}
	if s.clusterFlag != "" || s.natsFlag != "" {
		if err := cfg.Cluster.set(s.clusterFlag, s.natsFlag); err != nil {
			return err
		}
	}
	s.cfg = cfg
	return nil
}

// join lets this machine in with the others that share its log, if there are.
func (s *server) join(ctx context.Context) error {
	c := s.cfg.Cluster
	if !c.enabled() {
		return nil
	}
	c.Credentials = s.cfg.path(c.Credentials)
	key, err := evidence.ReadKey(s.cfg.Data)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("there is no keys/seal.key in %s, by which the nodes of a cluster know each other: copy the directory keys/ of another node there; "+
			"if this is the first, make it with \"headlight keys make -data %[1]s\"", s.cfg.Data)
	}
	if err != nil {
		return err
	}
	s.node, err = c.join(ctx, s.cfg.Data, key, time.Duration(s.cfg.Log.Keep), s.logger)
	return err
}

func (s *server) open(ctx context.Context, url string) error {
	policy, err := s.cfg.policy()
	if err != nil {
		return err
	}
	networks, err := s.cfg.networks()
	if err != nil {
		return err
	}
	visits, err := s.cfg.visits()
	if err != nil {
		return err
	}
	if err := s.join(ctx); err != nil {
		return err
	}
	cfg := headlight.Config{Dir: s.cfg.Data, URL: url, Policy: policy, Networks: networks, Visits: visits, Logger: s.logger}
	if s.node != nil {
		cfg.Cluster = s.node
		if visits != nil {
			visits.Share = s.cfg.Cluster.machines()
		}
	}
	bar := s.e.newLateProgress("opening", "entries folded")
	defer bar.end()
	cfg.Progress = bar.fold
	if s.svc, err = headlight.Open(ctx, cfg); err != nil {
		return errors.Join(explainOpen(s.cfg.Data, err), s.leave())
	}
	return nil
}

// leave ends the part of this machine in its cluster.
func (s *server) leave() error {
	if s.node == nil {
		return nil
	}
	return s.node.Close()
}

// close writes the snapshot and gives the directory back.
func (s *server) close() error {
	s.tell(stateStopping)
	if err := errors.Join(s.svc.Close(), s.leave()); err != nil {
		return fmt.Errorf("stop: %w", err)
	}
	s.logger.Info("stopped", "part", "serve")
	return nil
}

// frontend is a protocol that others ask in, beside the API.
type frontend struct {
	at    net.Addr
	serve func(context.Context) error
}

// attach lets those in who ask a server of package frontend; key names the listener.
func attach(key, addr string, server interface {
	Serve(context.Context, net.Listener) error
}) (*frontend, error) {
	listener, err := listen(addr)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", key, err)
	}
	return &frontend{listener.Addr(), func(ctx context.Context) error { return server.Serve(ctx, listener) }}, nil
}

// openMail lets mail servers in, if they are to ask.
func (s *server) openMail() (*frontend, error) {
	if s.cfg.Milter.Listen == "" {
		return nil, nil
	}
	cfg, err := s.cfg.milter()
	if err != nil {
		return nil, err
	}
	cfg.Registry, cfg.Logger = s.registry, s.logger
	return attach("milter", s.cfg.Milter.Listen, milter.New(s.svc, cfg))
}

// openTexts lets SMS gateways in, if they are to ask.
func (s *server) openTexts() (*frontend, error) {
	if s.cfg.SMS.Listen == "" {
		return nil, nil
	}
	cfg, err := s.cfg.sms(s.e)
	if err != nil {
		return nil, err
	}
	cfg.Registry, cfg.Logger = s.registry, s.logger
	return attach("sms", s.cfg.SMS.Listen, sms.New(s.svc, cfg))
}

// serve runs all that runs until ctx is done or one of them fails. A line here
// for each shows what a server is made of.
func (s *server) serve(ctx context.Context, listener net.Listener, fetcher *feed.Fetcher) error {
	// Before anybody is told that the service is ready: a hangup that nobody
	// waits for ends the process.
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	defer signal.Stop(hangup)
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return s.api.Serve(ctx, listener) })
	for _, f := range []*frontend{s.dns, s.mail, s.texts} {
		if f != nil {
			group.Go(func() error { return f.serve(ctx) })
		}
	}
	group.Go(func() error { return s.svc.Run(ctx) })
	group.Go(func() error { return fetcher.Run(ctx) })
	group.Go(func() error { return s.lists.Run(ctx) })
	group.Go(func() error { return s.safe.Run(ctx) })
	group.Go(func() error { return s.retain(ctx) })
	group.Go(func() error { return s.reloadOn(ctx, hangup) })
	s.tell(stateReady)
	return group.Wait()
}

func (s *server) fetcher() (*feed.Fetcher, error) {
	var sources []feed.Source
	for i := range s.cfg.Feeds {
		source, err := s.cfg.Feeds[i].source(s.cfg)
		if err != nil {
			return nil, fmt.Errorf("feed %q: %w", s.cfg.Feeds[i].Name, err)
		}
		sources = append(sources, source)
	}
	return feed.NewFetcher(feed.FetcherConfig{
		Sources: sources,
		Dir:     filepath.Join(s.cfg.Data, "feeds"),
		Append: func(ctx context.Context, records []evidence.Record) error {
			_, err := s.svc.Append(ctx, records...)
			return err
		},
		Claim:   s.claimFeed(),
		Key:     s.svc.Key(),
		Contact: s.cfg.Contact,
		Logger:  s.logger,
	})
}

// claimFeed lets one node of a cluster visit a feed; nil if this machine is alone.
func (s *server) claimFeed() func(context.Context, string, time.Duration) (bool, error) {
	if s.node == nil {
		return nil
	}
	return func(ctx context.Context, feed string, d time.Duration) (bool, error) {
		return s.node.Claim(ctx, "feed-"+feed, d)
	}
}

// listID names the installation in lists, without giving its key away. Each node
// of a cluster makes editions of its own.
func listID(k *evidence.Key, node string) (id [16]byte) {
	sum := sha256.Sum256(append(append([]byte("headlight lists "), k[:]...), node...))
	copy(id[:], sum[:])
	return id
}

// retainEvery is how often what is too old is dropped. It folds a copy of the
// table, so not often.
const retainEvery = 24 * time.Hour

// retain drops what is older than the configuration wants.
func (s *server) retain(ctx context.Context) error {
	keep := time.Duration(s.cfg.Log.Keep)
	if keep == 0 {
		return nil
	}
	tick := time.NewTicker(retainEvery)
	defer tick.Stop()
	for {
		trimmed, err := s.svc.Retain(ctx, time.Now().Add(-keep))
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			s.logger.Error("log not trimmed; trying again tomorrow", "part", "serve", "err", err)
		case trimmed > 0:
			s.logger.Info("log trimmed", "part", "serve", "through", trimmed)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// reloadOn reads the configuration again at each hangup.
func (s *server) reloadOn(ctx context.Context, hangup <-chan os.Signal) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-hangup:
			s.tell(stateReloading())
			if err := s.reload(); err != nil {
				s.logger.Error("configuration not reloaded; the old one stays", "part", "serve", "err", err)
			}
			s.tell(stateReady)
		}
	}
}

// reload takes over what may change while running; of the rest it says that it
// needs a restart. Nothing changes unless all of the new file is good.
func (s *server) reload() error {
	if s.place.config == "" {
		return errors.New("there is no file: the server was started without -config")
	}
	cfg, err := s.place.load()
	if err != nil {
		return err
	}
	policy, err := cfg.policy()
	if err != nil {
		return err
	}
	tokens, err := cfg.tokens(s.e)
	if err != nil {
		return err
	}
	networks, err := cfg.networks()
	if err != nil {
		return err
	}
	if err := s.svc.Visits().ReloadKeys(); err != nil {
		return fmt.Errorf("keys of visits: %w", err)
	}
	s.svc.SetPolicy(policy)
	s.svc.SetNetworks(networks)
	s.api.SetTokens(tokens)
	if off := cfg.Probe.Mode == probeOff; off != s.visitsOff { // what an operator halted stays so
		s.visitsOff = off
		s.haltVisits(off)
	}
	if keys := s.needRestart(cfg); len(keys) > 0 {
		s.logger.Warn("some changes take effect at the next start only", "part", "serve", "keys", keys)
	}
	s.logger.Info("configuration reloaded", "part", "serve", "tokens", len(tokens),
		"allow", len(policy.Allow), "deny", len(policy.Deny), "networks", networks.Len())
	return nil
}

// haltVisits is the kill switch of visits, by the configuration.
func (s *server) haltVisits(halt bool) {
	v := s.svc.Visits()
	if s.cfg.Probe.Mode == probeOff || v == nil || v.Halted() == halt {
		return // there are none, or it is so
	}
	if halt {
		v.Halt()
	} else {
		v.Resume()
	}
	s.logger.Warn("visits switched by the configuration", "part", "serve", "halted", halt)
}

// tell speaks to systemd; that it cannot is no reason to stop.
func (s *server) tell(state string) {
	if err := notifySystemd(state); err != nil {
		s.logger.Warn("systemd not told", "part", "serve", "err", err)
	}
}

// listen opens the listener; its errors name the mend.
func listen(addr string) (net.Listener, error) {
	l, err := net.Listen("tcp", addr)
	switch {
	case err == nil:
		return l, nil
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("address %s is in use, perhaps by another Headlight; stop that, or choose another with -listen", addr)
	case errors.Is(err, syscall.EACCES):
		return nil, fmt.Errorf("address %s is not for us: ports below 1024 need privileges; choose another with -listen", addr)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return nil, fmt.Errorf("address %s is none of this machine; choose another with -listen", addr)
	}
	return nil, fmt.Errorf("listen on %s: %w", addr, err)
}

// baseURL is how a client on this machine reaches a listener.
func baseURL(a net.Addr) string {
	tcp, ok := a.(*net.TCPAddr)
	if !ok {
		return "http://" + a.String()
	}
	ip, _ := netip.AddrFromSlice(tcp.IP)
	if ip = ip.Unmap(); ip.IsUnspecified() {
		ip = netip.AddrFrom4([4]byte{127, 0, 0, 1})
	}
	return "http://" + net.JoinHostPort(ip.WithZone(tcp.Zone).String(), strconv.Itoa(tcp.Port))
}

// warnOpen warns of an API that others can reach and anybody may ask. It is
// allowed: a closed network is a good reason.
func (s *server) warnOpen(tokens []httpapi.Token) {
	if !s.cfg.Tokens.Reads && !isLoopback(s.cfg.Listen) {
		s.logger.Warn("anybody who reaches this address may ask; set tokens.reads, or listen on a loopback address behind a proxy",
			"part", "serve", "listen", s.cfg.Listen, "tokens", len(tokens))
	}
	if l := s.cfg.Milter.Listen; l != "" && !isLoopback(l) {
		s.logger.Warn("anybody who reaches this address may ask as a mail server does; see to it that only mail servers can",
			"part", "serve", "milter.listen", l)
	}
	if l := s.cfg.SMS.Listen; l != "" && s.cfg.SMS.Secret == "" && !isLoopback(l) {
		s.logger.Warn("anybody who reaches this address may ask as Kannel and Jasmin do; set sms.secret_file",
			"part", "serve", "sms.listen", l)
	}
}

func isLoopback(listen string) bool {
	host, _, err := net.SplitHostPort(listen)
	ip, _ := netip.ParseAddr(host) // the zero Addr is none
	return err == nil && (ip.IsLoopback() || host == "localhost")
}

// greet says on standard output what runs, for whoever started it by hand.
func (s *server) greet(ctx context.Context, a net.Addr) error {
	stats, err := s.svc.Stats(ctx)
	if err != nil {
		return err
	}
	o, url := s.e.out, baseURL(a)
	config := s.place.config
	if config == "" {
		config = "the defaults (\"headlight config\" prints them)"
	}
	o.printf("%s %s\n", o.bold("Headlight"), thisBuild())
	mail := "none (milter.listen lets a mail server ask)"
	if s.mail != nil {
		mail = "milter on " + s.mail.at.String()
	}
	texts := "none (sms.listen lets an SMS gateway ask)"
	if s.texts != nil {
		texts = "webhooks on " + baseURL(s.texts.at)
	}
	names := "none (dns.listen lets mail filters and resolvers ask)"
	if s.dns != nil {
		names = "UDP and TCP on " + s.dns.at.String()
	}
	for _, row := range [][2]string{
		{"listens on", url},
		{"mail", mail},
		{"sms", texts},
		{"dns", names},
		{"data in", fmt.Sprintf("%s: %s subjects from %s entries", s.cfg.Data, thousands(stats.Subjects), thousands(stats.Applied))},
		{"cluster", s.cfg.Cluster.String()},
		{"feeds", fmt.Sprint(len(s.cfg.Feeds))},
		{"networks", s.networksKnown()},
		{"visits", s.visitsMade()},
		{"lists", s.listsPublished(url)},
		{"config", config},
		{"try", fmt.Sprintf(`curl -s %s/v1/check -H 'Content-Type: application/json' -d '{"links":["http://example.com/"]}'`, url)},
	} {
		o.printf("  %-11s %s\n", row[0], row[1])
	}
	o.print("\n")
	if err := o.flush(); err != nil {
		s.logger.Warn("standard output is gone", "part", "serve", "err", err)
	}
	return nil
}

// networksKnown is how many prefixes the tables of networks hold.
func (s *server) networksKnown() string {
	if n := s.svc.Networks(); n > 0 {
		return thousands(n) + " prefixes"
	}
	return "none (netmap.files names tables of them)"
}

// listsPublished says where what is dangerous can be had.
func (s *server) listsPublished(url string) string {
	at := url + "/lists/"
	for _, zone := range []string{s.cfg.DNS.Zone, s.cfg.DNS.RPZ} {
		if s.cfg.DNS.Listen != "" && zone != "" {
			at += ", zone " + zone
		}
	}
	return at
}

// visitsMade says how links that are not known are looked into.
func (s *server) visitsMade() string {
	switch p := &s.cfg.Probe; p.Mode {
	case probeDNS:
		if p.RDAP {
			return "none; DNS is asked where a link is, and registries since when its domain is, in the name of " + p.From
		}
		return "none; DNS is asked where a link is"
	case probeHead:
		return fmt.Sprintf("HEAD, exact = %q, in the name of %s", p.Exact, p.From)
	}
	return "none (probe.mode has links looked into that are not known)"
}
