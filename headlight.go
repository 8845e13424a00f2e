// Package headlight is the product without the process: a link reputation
// service that finds links in messages, judges them from memory, and learns
// from what feeds, people and its own observation say.
//
//	svc, err := headlight.Open(ctx, headlight.Config{Dir: "data"})
//	…
//	go svc.Run(ctx)
//	scan := svc.CheckMessage(message.Text, "see http://example.com/")
//	fmt.Println(scan.Level)
//
// Two loops meet in the reputation table and nowhere else. The question loop
// ([Service.Check], [Service.CheckMessage]) reads memory and never waits. The
// learning loop ([Service.Append]) makes evidence durable in the log and folds
// it into the table.
package headlight

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"headlight.example/evidence"
	"headlight.example/link"
	"headlight.example/message"
	"headlight.example/netmap"
	"headlight.example/reputation"
)

// Config says how a Service is to be opened. The zero value of each field is a
// default that works, but for Dir.
type Config struct {
	// Dir is the data directory; it is created if missing.
	Dir string
	// URL is the base URL at which this process can be asked; it is named to
	// others who find the directory held.
	URL string
	// Policy weighs the evidence; nil means reputation.DefaultPolicy.
	Policy *reputation.Policy
	// Networks tells who announces an address; nil knows none.
	Networks *netmap.Map
	// Logger receives what an operator should read; nil means slog.Default.
	Logger *slog.Logger
	// Progress, if set, is called now and then while the log is folded at start:
	// entries folded so far, and how many there are.
	Progress func(done, total uint64)
	// NoSightings turns off the logging of links seen in traffic. A command
	// that asks once sets it; a server should not, for clean sightings are what
	// keeps shared houses from looking bad.
	NoSightings bool
	// Visits has links that are not known safe looked into; nil asks nobody.
	Visits *VisitConfig
	// Cluster is shared with other machines: its log is followed, and what is
	// learnt here is told to it. Nil: this machine is alone. It is to be closed
	// after the Service.
	Cluster Cluster
}

// Service judges and learns. All methods are safe for concurrent use.
type Service struct {
	log     *evidence.DiskLog
	key     *evidence.Key
	table   *reputation.Table
	policy  atomic.Pointer[reputation.Policy]
	nets    atomic.Pointer[netmap.Map]
	logger  *slog.Logger
	dir     string
	clock   clock
	cluster Cluster // nil: this machine is alone

	learn     *learner
	sightings *sightings // nil if not wanted
	recent    *recent
	visits    *Visits // nil if there are none

	saved     atomic.Uint64 // the last entry that is in the snapshot
	closeOnce sync.Once
	closeErr  error
}

// Open opens the data directory, restores the table from its snapshot, and
// folds the rest of the log. It returns an *evidence.HeldError if another
// process holds the directory. Close it when done.
func Open(ctx context.Context, cfg Config) (*Service, error) {
	logger := cfg.Logger
	if logger == nil {
		logger = slog.Default()
	}
	log, err := evidence.Open(cfg.Dir, evidence.Options{Server: cfg.URL, Logger: logger})
	if err != nil {
		return nil, err
	}
	s, err := open(ctx, cfg, log, logger)
	if err != nil {
		return nil, errors.Join(err, log.Close())
	}
	return s, nil
}

func open(ctx context.Context, cfg Config, log *evidence.DiskLog, logger *slog.Logger) (*Service, error) {
	key, err := evidence.LoadKey(cfg.Dir)
	if err != nil {
		return nil, err
	}
	s := &Service{
		log:     log,
		key:     key,
		logger:  logger.With("part", "service"),
		dir:     cfg.Dir,
		cluster: cfg.Cluster,
	}
	s.clock.start(s.logger)
	s.SetPolicy(cfg.Policy)
	s.SetNetworks(cfg.Networks)
	if s.table, err = Restore(cfg.Dir, key, s.logger); err != nil {
		return nil, err
	}
	s.saved.Store(s.table.Applied())
	if err := Fold(ctx, s.table, log, cfg.Progress); err != nil {
		return nil, err
	}
	follow, err := openFollower(cfg.Cluster, key, log, cfg.Dir, logger.With("part", "cluster"))
	if err != nil {
		return nil, err
	}
	s.recent = newRecent()
	if s.visits, err = openVisits(s, cfg.Visits); err != nil {
		return nil, err
	}
	if s.cluster != nil && s.visits != nil {
		if err := s.cluster.Answer(s.visits.answer); err != nil {
			return nil, err
		}
	}
	s.learn = newLearner(log, s.table, s.recent.touch, follow)
	if !cfg.NoSightings {
		s.sightings = newSightings()
	}
	return s, nil
}

// Fold applies to the table what the log holds beyond it. Progress may be nil.
func Fold(ctx context.Context, t *reputation.Table, log *evidence.DiskLog, progress func(done, total uint64)) error {
	after, last := t.Applied(), log.Last()
	if after > last {
		return fmt.Errorf("snapshot is at entry %d but the log ends at %d: the log has lost its tail or belongs to another directory; restore it, or delete the snapshot to go on with what is left", after, last)
	}
	const every = 1 << 14
	n := uint64(0)
	for e, err := range log.Entries(ctx, after) {
		if err != nil {
			return err
		}
		t.Apply(e)
		if n++; progress != nil && n%every == 0 {
			progress(e.Seq-after, last-after)
		}
	}
	if progress != nil && last > after {
		progress(last-after, last-after)
	}
	return nil
}

// SetPolicy weighs all further questions by p; nil means the default. It takes
// effect at once, since applying counts and judging weighs.
func (s *Service) SetPolicy(p *reputation.Policy) {
	if p == nil {
		p = reputation.DefaultPolicy()
	}
	s.policy.Store(p)
}

// Policy is what the service judges by. It must not be changed.
func (s *Service) Policy() *reputation.Policy { return s.policy.Load() }

// SetNetworks looks addresses up in m from now on; nil knows none.
func (s *Service) SetNetworks(m *netmap.Map) { s.nets.Store(m) }

// Networks is how many prefixes the tables of networks hold.
func (s *Service) Networks() int { return s.nets.Load().Len() }

// Network is the network of one address, and the name of its AS.
type Network struct {
	netmap.Network
	Name string // "" if the files do not have it
}

// Network says who announces an address; false if that is not known.
func (s *Service) Network(a netip.Addr) (Network, bool) {
	m := s.nets.Load()
	n, ok := m.Lookup(a)
	return Network{n, m.Name(n.AS)}, ok
}

// Check judges a link from memory. It never blocks and never allocates but to
// note a link that is not known safe, so that its sighting can be learnt.
func (s *Service) Check(l link.Link) reputation.Verdict { return s.check(l, nil) }

// check is Check of a link that was found; found is nil if it stood alone.
func (s *Service) check(l link.Link, found *message.Found) reputation.Verdict {
	v := s.Judge(l)
	if v.Level != reputation.Safe {
		s.note(l, &v, found)
	}
	return v
}

// Judge judges a link from memory without noting that anybody asked: for those
// who publish what is thought of links, and not for frontends.
func (s *Service) Judge(l link.Link) reputation.Verdict {
	return s.table.Judge(l, s.policy.Load(), s.clock.now())
}

// note hands a sighting to the learning loop. If it is behind, the sighting is
// dropped and counted: a question never waits. The link is cloned, so that no
// part of a message outlives the call that scans it.
func (s *Service) note(l link.Link, v *reputation.Verdict, found *message.Found) {
	if s.sightings != nil {
		leave := found != nil && s.visits != nil && unsubscribes(found)
		s.sightings.push(sighting{link: l.Clone(), level: v.Level, unsubscribe: leave})
	}
}

// Finding is a link as somebody wrote it, and what is thought of it.
type Finding struct {
	message.Found
	// Verdict is that of Found.Link. Of a link that a mail gateway or a social
	// network has wrapped it is the verdict of the link inside, unless the
	// outer one is known for worse.
	Verdict reputation.Verdict
	// Wrapper names who wrapped the link, and Inner is the link inside; "" and
	// zero if it is not wrapped. Of a link that a visit found to lead elsewhere
	// Wrapper is Redirect and Inner is that place.
	Wrapper string
	Inner   link.Link
}

// Redirect stands for the wrapper of a link whose server leads elsewhere.
const Redirect = "redirect"

// CheckURL judges one link as written. The error is a *link.SyntaxError.
func (s *Service) CheckURL(raw string) (Finding, error) {
	l, err := link.Parse(raw)
	if err != nil {
		return Finding{}, err
	}
	f := Finding{Found: message.Found{Link: l, Raw: raw}}
	s.judge(&f)
	return f, nil
}

func (s *Service) judge(f *Finding) {
	f.Verdict = s.check(f.Link, &f.Found)
	if f.Inner = s.checkBehind(f.Link, &f.Verdict, &f.Found); !f.Inner.IsZero() {
		f.Wrapper = Redirect
	}
	if !f.Link.Wrapper() {
		return
	}
	inner, wrapper, ok := link.Unwrap(f.Raw)
	if !ok {
		return
	}
	f.Inner, f.Wrapper = inner, wrapper
	v := s.check(inner, &f.Found)
	s.checkBehind(inner, &v, &f.Found)
	if f.Verdict.Level < reputation.Suspicious || f.Verdict.Level <= v.Level {
		v.Link = f.Link
		f.Verdict = v
	}
}

// Scan is what CheckMessage answers.
type Scan struct {
	// Level is the most alarming level of all links; Safe if there are none,
	// at least Unknown if part of the message was not looked at.
	Level reputation.Level
	Links []Finding
	// Unscanned says what was left out and why; nil if nothing was.
	Unscanned []*message.BoundError
}

// CheckMessage finds the links of a message and judges them. The text is
// neither kept nor logged, but Found holds slices of it.
func (s *Service) CheckMessage(t message.Type, text string) Scan {
	scan := Scan{Level: reputation.Safe}
	for found, err := range message.Links(t, text) {
		if err != nil {
			scan.Level = max(scan.Level, reputation.Unknown)
			if bound, ok := errors.AsType[*message.BoundError](err); ok {
				scan.Unscanned = append(scan.Unscanned, bound)
			}
			continue
		}
		f := Finding{Found: found}
		if !found.Link.IsZero() {
			s.judge(&f)
		}
		scan.Level = max(scan.Level, f.Verdict.Level)
		scan.Links = append(scan.Links, f)
	}
	return scan
}

// Append makes records durable and folds them into the table before it
// returns: what is acknowledged is both on disk and in every later verdict. It
// returns the sequence of the last one. Zero times become now, times more than
// a minute ahead of the clock as well. In a cluster more than 4,096 records, or about
// 3 MiB, are told in parts: those of others may come between, and an error says
// nothing of the parts before.
func (s *Service) Append(ctx context.Context, records ...evidence.Record) (last uint64, err error) {
	now := s.clock.now().UTC().Truncate(time.Millisecond)
	for i := range records {
		r := &records[i]
		if r.Time.IsZero() || r.Time.Sub(now) > time.Minute {
			r.Time = now
		}
		if r.Count == 0 {
			r.Count = 1
		}
		if err := r.Validate(); err != nil {
			return 0, fmt.Errorf("record %d: %w", i, err)
		}
	}
	if s.cluster == nil || len(records) == 0 {
		return s.learn.append(ctx, records)
	}
	for part := range parts(records) { // a message of the cluster's log holds no more
		if last, err = s.learn.append(ctx, part); err != nil {
			return 0, err
		}
	}
	return last, nil
}

// Explanation is the whole ladder of a link, and who said what of it.
type Explanation struct {
	Verdict reputation.Verdict
	Rungs   []reputation.Rating
	// Said are the log's entries on the rungs, newest first, at most the number asked for.
	Said []evidence.Entry
	// More says that there are more entries than Said holds.
	More bool
	// Server is what the newest visit of the link's host has shown of its server,
	// and ServerSeen when that was, to the minute; empty and zero if none has.
	Server     []ServerFact
	ServerSeen time.Time
	// LeadsTo is the host to which the link led when it was visited, "" if it was
	// not or led nowhere.
	LeadsTo string
}

// Explain reads from memory what the table holds for each rung of the link, and
// from disk who said it, at most limit entries, and what visits have shown.
func (s *Service) Explain(ctx context.Context, l link.Link, limit int) (Explanation, error) {
	now := s.clock.now()
	p := s.policy.Load()
	x := Explanation{Verdict: s.table.Judge(l, p, now), Rungs: s.table.Explain(l, p, now)}
	subjects := make([]evidence.Subject, 0, len(x.Rungs))
	for _, r := range x.Rungs { // networks have too many neighbours to tell what each said
		if k := r.Subject.Kind; k != 0 && k <= evidence.Suffix {
			subjects = append(subjects, r.Subject)
		}
	}
	var err error
	if x.Said, x.More, err = s.Said(ctx, limit, subjects...); err != nil {
		return x, err
	}
	if x.Server, x.ServerSeen, err = s.server(ctx, l, now); err != nil {
		return x, err
	}
	x.LeadsTo, err = s.leadsTo(ctx, l)
	return x, err
}

// Said gives the newest entries about the subjects, newest first, at most limit.
// What servers have shown is left out, unless one of the subjects is a fact: there
// is more of it than of all else, and the newest is told by [Service.Explain].
func (s *Service) Said(ctx context.Context, limit int, subjects ...evidence.Subject) (said []evidence.Entry, more bool, err error) {
	facts := slices.ContainsFunc(subjects, func(x evidence.Subject) bool { return x.Kind == evidence.Fact })
	for e, err := range s.log.About(ctx, subjects...) {
		if err != nil {
			return said, more, err
		}
		if e.Assertion == evidence.Shows && !facts {
			continue
		}
		if len(said) == limit {
			return said, true, nil
		}
		said = append(said, e)
	}
	return said, false, nil
}

// Rate is what the table holds of one subject.
func (s *Service) Rate(subject evidence.Subject) reputation.Rating {
	return s.table.Rate(subject, s.policy.Load(), s.clock.now())
}

// RaterNames gives the groups behind the bits of a reason.
func (s *Service) RaterNames(bits uint32) []string { return s.table.RaterNames(bits) }

// ID is the handle of a link that tells nobody the link: 13 digits, the same
// wherever it is asked about. After "#" they are the key of a URL subject.
func (s *Service) ID(l link.Link) string {
	name := s.key.SealName(l).Key
	return name[len(name)-len("0123456789abc"):]
}

// Key is the installation's secret, for sealing links that are fed in from outside.
func (s *Service) Key() *evidence.Key { return s.key }

// Ready tells why the service should not be asked now; nil if it may be.
func (s *Service) Ready() error { return s.learn.failure() }

// Followed gives the sequence of the cluster's log up to which all is folded here;
// 0 if this machine is alone or has not begun to follow.
func (s *Service) Followed() uint64 {
	if s.learn.follow == nil {
		return 0
	}
	return s.learn.follow.shared()
}
