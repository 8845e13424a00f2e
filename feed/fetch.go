package feed

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"time"

	"headlight.example/evidence"
)

// Source is a list to keep up with.
type Source struct {
	// Name is the operator's word for it, of small letters, digits and "-".
	// Its state is kept in files of that name.
	Name string
	// Format is the name of its Format.
	Format string
	// URL is where it is fetched (http or https), or File where it is read.
	// "{key}" in the URL stands for what is in KeyFile: some lists want their
	// key in the path or the query.
	URL, File string
	// KeyFile holds the key for "{key}". It is read at each visit.
	KeyFile string
	// Header gives request headers by name; each value is the name of a file
	// that holds it, read at each visit: {"Auth-Key": "/etc/headlight/urlhaus.key"}.
	Header map[string]string
	// Every is how often it is visited; 0 means once an hour. A URL is not
	// visited more often than MinEvery.
	Every time.Duration
	// MaxBytes bounds it, packed and unpacked; 0 means 512 MiB.
	MaxBytes int64

	// Rater, Assertion, Lifetime and Bucket are as in Options, but that the
	// rater is "feed/NAME" if not given.
	Rater     string
	Assertion evidence.Assertion
	Lifetime  time.Duration
	Bucket    uint32
}

// MinEvery is the shortest time between two visits to a URL: URLhaus, the most
// lively of the lists, is made anew every five minutes and asks for no more.
const MinEvery = 5 * time.Minute

const (
	defaultEvery = time.Hour
	defaultBytes = 512 << 20
	// After an error a URL is left alone for MinEvery, then twice that, up to
	// maxBackoff, whatever Every says: the server has trouble or we are not wanted.
	maxBackoff = 6 * time.Hour
	// maxRetryAfter bounds what a server may ask for. One that says "in a
	// year" is mistaken, and would never be visited again.
	maxRetryAfter = 24 * time.Hour
	// batchSize is how many records are appended at once: enough to make an
	// fsync cheap, little enough to hold.
	batchSize = 4096
	// atOnce bounds the lists that are read at one time, and with
	// DefaultMaxHeld the memory that takes.
	atOnce = 2
)

// FetcherConfig is what a Fetcher needs. Append and Dir must be given.
type FetcherConfig struct {
	Sources []Source
	// Dir is where it keeps what it must remember of each source; it is made
	// if missing. Lost, all lists are read and said once more.
	Dir string
	// Append makes records durable, as evidence.Log.Append does. It is called
	// from several goroutines.
	Append func(context.Context, []evidence.Record) error
	// Key seals sightings, and keeps what is remembered from being forged.
	Key *evidence.Key
	// Claim, if set, says whether this machine is to visit a source: of those that
	// share one log, one does until d is over, and again if it asks before. An
	// error is a no. Nil: there is no other.
	Claim func(ctx context.Context, source string, d time.Duration) (ours bool, err error)
	// Contact is the address of a page on who we are, for the User-Agent.
	Contact string
	// Logger is told of each visit that changed something, and of each that
	// failed; nil means slog.Default.
	Logger *slog.Logger
	// Transport carries the requests; nil means one of our own, which uses
	// the proxy of the environment: the lists are the operator's choice.
	Transport http.RoundTripper
}

// Fetcher keeps up with lists. What it remembers makes a visit cheap: a list
// that has not changed is not sent again by its server, not read again, and
// what it still says is not said again within a week.
type Fetcher struct {
	cfg     FetcherConfig
	sources []*source
	log     *slog.Logger
	busy    chan struct{} // holds atOnce
}

// source is a Source being followed. Only its own goroutine touches it, but
// for status.
type source struct {
	Source
	format Format
	client *http.Client

	mu     sync.Mutex
	status Status
}

// Status says how a source fares.
type Status struct {
	Name      string
	Tried     time.Time // last visit; zero: none since the start
	Read      time.Time // last visit that succeeded, perhaps without a change
	Next      time.Time // when it is visited next
	Records   int       // in the list when it last changed
	Appended  int       // of them, those that were new
	Malformed int       // lines of it
	Failures  int       // visits in a row that failed
	Err       error     // why the last visit failed; nil if it did not
}

// NewFetcher checks the sources. It does no I/O: a key file that is missing
// shows at the first visit, and may be mended until the next.
func NewFetcher(cfg FetcherConfig) (*Fetcher, error) {
	if cfg.Append == nil || cfg.Dir == "" {
		return nil, errors.New("a fetcher needs Append and Dir")
	}
	if cfg.Key == nil {
		cfg.Key = new(evidence.Key)
	}
	if cfg.Transport == nil {
		cfg.Transport = newTransport()
	}
	f := &Fetcher{
		cfg:  cfg,
		log:  cmp.Or(cfg.Logger, slog.Default()).With("part", "feed"),
		busy: make(chan struct{}, atOnce),
	}
	names := map[string]bool{}
	for _, src := range cfg.Sources {
		s, err := f.newSource(src)
		if err != nil {
			return nil, fmt.Errorf("feed %q: %w", src.Name, err)
		}
		if names[src.Name] {
			return nil, fmt.Errorf("feed %q is named twice", src.Name)
		}
		names[src.Name] = true
		f.sources = append(f.sources, s)
	}
	return f, nil
}

var sourceName = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,63}$`)

func (f *Fetcher) newSource(src Source) (*source, error) {
	if !sourceName.MatchString(src.Name) {
		return nil, errors.New("a name has 1 to 64 small letters, digits and dashes")
	}
	format, err := Lookup(src.Format)
	if err != nil {
		return nil, err
	}
	src.Rater = cmp.Or(src.Rater, "feed/"+src.Name)
	if err := evidence.ValidateRater(src.Rater); err != nil {
		return nil, err
	}
	if format.NeedsAssertion && src.Assertion == 0 {
		return nil, fmt.Errorf("format %s does not say what its lists are of: set assertion", format.Name)
	}
	if (src.URL == "") == (src.File == "") {
		return nil, errors.New("set either url or file")
	}
	src.Every = cmp.Or(src.Every, defaultEvery)
	src.MaxBytes = cmp.Or(src.MaxBytes, defaultBytes)
	if src.Every < 0 || src.MaxBytes < 0 || src.Lifetime < 0 {
		return nil, errors.New("a time or size below zero")
	}
	if src.URL != "" {
		src.Every = max(src.Every, MinEvery)
		u, err := url.Parse(strings.ReplaceAll(src.URL, "{key}", "key"))
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
			return nil, errors.New("the url is not one of http or https")
		}
		if strings.Contains(src.URL, "{key}") != (src.KeyFile != "") {
			return nil, errors.New("{key} in the url and a key file go together")
		}
	}
	s := &source{Source: src, format: format, status: Status{Name: src.Name}}
	s.client = &http.Client{Transport: f.cfg.Transport, CheckRedirect: s.redirect}
	return s, nil
}

// Status gives that of each source, in the order of the configuration.
// It is safe for concurrent use.
func (f *Fetcher) Status() []Status {
	all := make([]Status, 0, len(f.sources))
	for _, s := range f.sources {
		s.mu.Lock()
		all = append(all, s.status)
		s.mu.Unlock()
	}
	return all
}

// Run visits the sources until ctx is done, and then returns nil once the
// visits under way have ended. It returns an error only if Dir cannot be made.
// The troubles of a source are logged, told by Status, and tried again.
func (f *Fetcher) Run(ctx context.Context) error {
	if err := os.MkdirAll(f.cfg.Dir, 0o700); err != nil {
		return fmt.Errorf("make the directory of feeds: %w", err)
	}
	var wg sync.WaitGroup
	for _, s := range f.sources {
		wg.Go(func() { f.follow(ctx, s) })
	}
	wg.Wait()
	return nil
}

// follow visits one source again and again.
func (f *Fetcher) follow(ctx context.Context, s *source) {
	removeLeftovers(f.cfg.Dir, s.Name)
	remembered := f.load(s)
	// A crowd of servers started by one hand should not come at one moment.
	wait := rand.N(min(s.Every/10, 10*time.Second) + 1)
	if due := remembered.Read.Add(s.Every); !remembered.Read.After(time.Now()) {
		wait = max(wait, time.Until(due))
	}
	for {
		s.update(func(st *Status) { st.Next = time.Now().Add(wait) })
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
		ours, err := f.claim(ctx, s, s.Every)
		if ours {
			select {
			case <-ctx.Done():
				return
			case f.busy <- struct{}{}:
			}
			err = f.visit(ctx, s, &remembered)
			<-f.busy
		}
		if ctx.Err() != nil {
			return
		}
		wait = s.settle(err)
		if ours { // the rest of the list, and how patient to be, is known here alone
			f.claim(ctx, s, wait+s.Every)
		}
		if err != nil {
			f.log.WarnContext(ctx, "feed not read", "feed", s.Name, "err", loggable(err), "next", wait.Round(time.Second))
		}
	}
}

// claim says whether the source is ours to visit.
func (f *Fetcher) claim(ctx context.Context, s *source, d time.Duration) (ours bool, err error) {
	if f.cfg.Claim == nil {
		return true, nil
	}
	return f.cfg.Claim(ctx, s.Name, d)
}

// settle notes how a visit ended and says how long to wait for the next: Every
// and up to a tenth of it, or after an error the back-off and what the server
// asked for.
func (s *source) settle(err error) time.Duration {
	var failures int
	s.update(func(st *Status) {
		st.Err = err
		if err == nil {
			st.Failures = 0
		} else {
			st.Failures++
		}
		failures = st.Failures
	})
	wait := s.Every
	if failures > 0 && s.URL != "" {
		wait = min(MinEvery<<min(failures-1, 16), maxBackoff)
		if answer, ok := errors.AsType[*statusError](err); ok {
			wait = max(wait, min(answer.retryAfter, maxRetryAfter))
		}
	}
	return wait + rand.N(wait/10+1)
}

func (s *source) update(change func(*Status)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(&s.status)
}

// visit reads the source once. What it has to say is durable, and only then
// remembered, when visit returns nil.
func (f *Fetcher) visit(ctx context.Context, s *source, m *memory) error {
	begun := time.Now()
	s.update(func(st *Status) { st.Tried = begun })
	next := *m
	body, err := f.open(ctx, s, &next)
	if err != nil {
		return err
	}
	var counts counts
	if body != nil {
		defer body.close()
		if counts, err = f.take(ctx, s, body, &next); err != nil {
			return err
		}
	}
	next.Read = begun.UTC()
	if err := f.save(s, &next); err != nil {
		return err
	}
	*m = next
	s.update(func(st *Status) {
		st.Read = begun
		if body != nil {
			st.Records, st.Appended, st.Malformed = counts.records, counts.appended, counts.malformed
		}
	})
	if body != nil {
		f.log.InfoContext(ctx, "feed read", "feed", s.Name, "records", counts.records, "new", counts.appended,
			"malformed", counts.malformed, "elapsed", time.Since(begun).Round(time.Millisecond))
	}
	return nil
}

type counts struct{ records, appended, malformed int }

// take reads a list twice: once to see that all of it can be read, and once to
// append what it says and has not lately said.
func (f *Fetcher) take(ctx context.Context, s *source, body *body, next *memory) (counts, error) {
	o := Options{
		Rater: s.Rater, Assertion: s.Assertion, Now: time.Now(), Lifetime: s.Lifetime, Bucket: s.Bucket,
		Key: f.cfg.Key, MaxBytes: s.MaxBytes,
	}
	sum, err := s.format.Check(body, o)
	if err != nil {
		return counts{}, err
	}
	if err := body.rewind(); err != nil {
		return counts{}, err
	}
	n := counts{malformed: sum.Malformed}
	said := newRepeats(f.loadSaid(s, next), f.cfg.Key, s.format.Dated, o.Now)
	batch := make([]evidence.Record, 0, batchSize)
	flush := func() error {
		if len(batch) == 0 {
			return nil
		}
		if err := f.cfg.Append(ctx, batch); err != nil {
			return fmt.Errorf("append: %w", err)
		}
		n.appended += len(batch)
		batch = make([]evidence.Record, 0, batchSize) // the old one may be held on to
		return nil
	}
	for r, err := range s.format.Read(body, o) {
		if bad, ok := errors.AsType[*LineError](err); ok {
			f.log.DebugContext(ctx, "malformed line", "feed", s.Name, "err", bad)
			continue
		}
		if err != nil {
			return n, err
		}
		n.records++
		if !said.fresh(&r) {
			continue
		}
		if batch = append(batch, r); len(batch) == batchSize {
			if err := flush(); err != nil {
				return n, err
			}
		}
	}
	if err := flush(); err != nil {
		return n, err
	}
	return n, f.saveSaid(s, said.current)
}

// loggable is err without the text of the list: an error page may repeat the
// key that was sent, and a line is a link.
func loggable(err error) error {
	if r, ok := errors.AsType[*RefusedError](err); ok && r.First != nil {
		return fmt.Errorf("refused: %s: %d of %d lines are malformed; line %d: %s",
			r.Reason, r.Malformed, r.Lines, r.First.Line, r.First.Reason)
	}
	return err
}

// removeLeftovers deletes what a crash left half-written.
func removeLeftovers(dir, name string) {
	for _, kind := range []string{".body-*", ".state.new-*", ".said.new-*"} {
		old, _ := filepath.Glob(filepath.Join(dir, name+kind)) // the pattern is well-formed
		for _, path := range old {
			os.Remove(path) // if it cannot be, it is in nobody's way
		}
	}
}
