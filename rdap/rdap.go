// Package rdap asks registries since when a domain is registered, by the
// Registration Data Access Protocol (RFC 7480, RFC 9082, RFC 9083).
//
//	c, err := rdap.Open(dir, rdap.Config{Agent: "linkcheck.example (+https://…)", From: "abuse@linkcheck.example", Control: guard.Control})
//	since, err := c.Registered(ctx, "a.example")
//
// A registry learns which domain somebody asks about. So only a registrable
// domain is ever named, each once in 30 days, and never more of a registry than
// a few a minute; what it answers is kept on disk. Which server knows a top-level
// domain says a file of IANA (RFC 9224), which is read anew once a week.
package rdap

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sync/singleflight"
)

// Config of a Client. Agent and Control are needed; the zero value of everything
// else is a default that works.
type Config struct {
	// Agent is the User-Agent: who asks, and where that is explained.
	Agent string
	// From is a mail address where somebody answers (RFC 9110 §10.1.2); "" sends none.
	From string
	// Control lets pass or refuses the address that is about to be connected to,
	// as net.Dialer.ControlContext has it.
	Control func(ctx context.Context, network, address string, c syscall.RawConn) error
	// Bootstrap is the URL of the file that says which server knows which
	// top-level domain; "" means IANA's.
	Bootstrap string
	// PerMinute is how many questions a registry gets in a minute, evenly spread;
	// 0 means 6.
	PerMinute int
	// Roots that the certificates of servers are verified against; nil means the
	// system's.
	Roots *x509.CertPool
}

// IANA is where the file of servers is kept (RFC 9224 §3).
const IANA = "https://data.iana.org/rdap/dns.json"

// Bounds, and how long things hold.
const (
	keepAnswer    = 30 * 24 * time.Hour
	keepFailure   = 24 * time.Hour // a question that was not answered, or not so that it could be understood
	keepServers   = 7 * 24 * time.Hour
	retryServers  = time.Hour
	maxAnswers    = 250_000 // domains, some 35 MB; see Registered
	maxBody       = 1 << 18 // bytes of an answer; those of large registries have 20,000
	maxServers    = 1 << 20 // bytes of IANA's file, which has 60,000
	maxHead       = 1 << 15
	maxRedirects  = 3
	askTimeout    = 10 * time.Second
	defaultQuiet  = time.Minute    // a registry that says "later" and not when
	longestQuiet  = 24 * time.Hour // of Retry-After
	longestDomain = 253            // RFC 1035 §2.3.4, less length octets
)

// Why there is no date.
var (
	// ErrNotTold: the registry was asked, and does not tell; or nobody knows whom
	// to ask. That holds for weeks.
	ErrNotTold = errors.New("the registry does not tell since when the domain is registered")
	// ErrLater: the registry is not to be asked now, or did not answer.
	ErrLater = errors.New("the registry is not to be asked now")
)

// Client asks registries and remembers. It is safe for concurrent use.
type Client struct {
	cfg    Config
	http   *http.Client
	flight singleflight.Group
	dir    string

	mu      sync.Mutex
	answers map[string]answer    // by domain
	turns   map[string]time.Time // by registry: when its next question may go out
	store   store
	servers servers   // nil before they are read
	fresh   time.Time // until when they are, or are not to be fetched
	swept   time.Time // when what is over was last looked for

	counts [len(outcomes)]atomic.Uint64
}

// Outcomes of a question, which are counted.
const (
	answered = iota // by the registry: a date, or that it does not tell one
	cached          // by what was asked earlier
	refused         // the registry wants no questions now
	failed          // it did not answer, or not so that it could be understood
	unasked         // it was not its turn, nobody knows whom to ask, or no other domain can be remembered
)

var outcomes = [...]string{"answered", "cached", "refused", "failed", "not-asked"}

// Counts yields how many questions have ended in each outcome since Open:
// answered, refused and failed ones went out. Those that shared an answer count once.
func (c *Client) Counts(yield func(outcome string, n uint64) bool) {
	for i, name := range outcomes {
		if !yield(name, c.counts[i].Load()) {
			return
		}
	}
}

// answer is what came of asking about a domain.
type answer struct {
	asked  time.Time
	since  time.Time // zero if it was not told
	failed bool
}

// holds says whether the domain is not to be asked about again.
func (a answer) holds(now time.Time) bool {
	keep := keepAnswer
	if a.failed {
		keep = keepFailure
	}
	return now.Sub(a.asked) < keep
}

// Open reads what was answered earlier from a directory, which it makes at need.
// If the directory is lost, domains are asked about again. Close it when done.
func Open(dir string, cfg Config) (*Client, error) {
	if cfg.Agent == "" || cfg.Control == nil {
		return nil, errors.New("rdap: needs to say who asks, and which addresses may be connected to")
	}
	cfg.Bootstrap = cmp.Or(cfg.Bootstrap, IANA)
	cfg.PerMinute = cmp.Or(cfg.PerMinute, 6)
	c := &Client{cfg: cfg, dir: dir, answers: make(map[string]answer), turns: make(map[string]time.Time)}
	dialer := &net.Dialer{ControlContext: cfg.Control, Timeout: 5 * time.Second}
	c.http = &http.Client{
		Timeout:       askTimeout,
		CheckRedirect: c.mayFollow,
		Transport: &http.Transport{
			DialContext:            dialer.DialContext,
			TLSClientConfig:        &tls.Config{RootCAs: cfg.Roots, MinVersion: tls.VersionTLS12}, // RFC 9325 §3.1.1
			MaxResponseHeaderBytes: maxHead,
			DisableKeepAlives:      true, // net/http asks again when a connection that was kept fails
		},
	}
	return c, c.open()
}

// Registered gives since when a registrable domain, in lower-case A-labels, is
// registered: with its present holder, as far as the registry knows that. It
// blocks until the registry's next turn, if that is 10 s before the deadline of
// ctx, or now, and then until it has answered, 10 s at most. Who asks about the
// same domain meanwhile shares the answer. The error is ErrNotTold, ErrLater, that
// of a text which is no domain, or of a disk on which the answer could not be
// kept. When 250,000 domains are remembered no other one is asked about until
// some are over: to forget would be to ask twice.
func (c *Client) Registered(ctx context.Context, domain string) (time.Time, error) {
	if !isDomain(domain) {
		return time.Time{}, fmt.Errorf("%.60q is not a registrable domain", domain)
	}
	c.mu.Lock()
	now := time.Now()
	a, ok := c.answers[domain]
	full := !ok && c.full(now)
	c.mu.Unlock()
	if ok && a.holds(now) {
		c.counts[cached].Add(1)
		return a.result()
	}
	if full {
		c.counts[unasked].Add(1)
		return time.Time{}, ErrLater
	}
	ch := c.flight.DoChan(domain, func() (any, error) { return c.ask(ctx, domain) })
	select {
	case res := <-ch:
		if res.Err != nil {
			return time.Time{}, res.Err
		}
		return res.Val.(answer).result()
	case <-ctx.Done():
		return time.Time{}, ErrLater
	}
}

// full says whether no other domain can be remembered. c.mu is held.
func (c *Client) full(now time.Time) bool {
	if len(c.answers) >= maxAnswers && now.Sub(c.swept) > time.Hour {
		c.sweep(now)
	}
	return len(c.answers) >= maxAnswers
}

// sweep forgets what is over. c.mu is held.
func (c *Client) sweep(now time.Time) {
	c.swept = now
	maps.DeleteFunc(c.answers, func(_ string, a answer) bool { return !a.holds(now) })
	maps.DeleteFunc(c.turns, func(_ string, turn time.Time) bool { return !turn.After(now) })
}

func (a answer) result() (time.Time, error) {
	switch {
	case a.failed:
		return time.Time{}, ErrLater
	case a.since.IsZero():
		return time.Time{}, ErrNotTold
	}
	return a.since, nil
}

// ask asks the registry of a domain when its turn comes, and notes the answer.
func (c *Client) ask(ctx context.Context, domain string) (answer, error) {
	outcome := unasked
	defer func() { c.counts[outcome].Add(1) }()
	servers, err := c.whom(ctx)
	if err != nil {
		return answer{}, fmt.Errorf("%w: %w", ErrLater, err)
	}
	base := servers.of(domain)
	if base == nil {
		return answer{}, ErrNotTold
	}
	if err := c.await(ctx, base.Host); err != nil {
		return answer{}, err
	}
	a := answer{asked: time.Now().UTC()}
	body, until, err := c.get(ctx, base.JoinPath("domain", domain).String(), maxBody)
	switch {
	case err == nil:
		a.since, a.failed = registration(body, domain, a.asked)
	case errors.Is(err, errNotFound):
	default: // also if ctx is over: it was asked
		a.failed = true
	}
	if !until.IsZero() { // nothing was said of the domain
		outcome = refused
		c.quiet(base.Host, until)
		return answer{}, ErrLater
	}
	if outcome = answered; a.failed {
		outcome = failed
	}
	return a, c.note(domain, base.Host, a)
}

// await takes the registry's next turn and waits for it, unless that is too long.
func (c *Client) await(ctx context.Context, registry string) error {
	now := time.Now()
	c.mu.Lock()
	turn := c.turns[registry]
	if turn.Before(now) {
		turn = now
	}
	deadline, ok := ctx.Deadline()
	if ctx.Err() != nil || turn.After(now) && (!ok || turn.After(deadline.Add(-askTimeout))) {
		c.mu.Unlock()
		return ErrLater
	}
	c.turns[registry] = turn.Add(c.every())
	c.mu.Unlock()
	timer := time.NewTimer(turn.Sub(now))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ErrLater
	}
}

func (c *Client) every() time.Duration { return time.Minute / time.Duration(c.cfg.PerMinute) }

// Why there is no body.
var (
	errNotFound = errors.New("the registry does not know the domain") // RFC 7480 §5.3
	errRedirect = errors.New("redirects too often, or not to https")
)

// get fetches a body of at most so many bytes. until is set if the server wants
// no questions before that.
func (c *Client) get(ctx context.Context, url string, most int64) (body []byte, until time.Time, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, until, err
	}
	req.Header.Set("User-Agent", c.cfg.Agent)
	req.Header.Set("Accept", "application/rdap+json, application/json") // RFC 7480 §4.2
	if c.cfg.From != "" {
		req.Header.Set("From", c.cfg.From)
	}
	res, err := c.http.Do(req)
	if err != nil {
		return nil, until, err
	}
	defer res.Body.Close()
	switch {
	case res.StatusCode == http.StatusOK:
	case res.StatusCode == http.StatusNotFound:
		return nil, until, errNotFound
	case res.StatusCode == http.StatusTooManyRequests, res.StatusCode == http.StatusServiceUnavailable, res.Header.Get("Retry-After") != "":
		return nil, quietUntil(res.Header.Get("Retry-After"), time.Now()), errors.New(res.Status)
	default:
		return nil, until, errors.New(res.Status)
	}
	body, err = io.ReadAll(io.LimitReader(res.Body, most+1))
	if err == nil && int64(len(body)) > most {
		err = fmt.Errorf("body of more than %d bytes", most)
	}
	return body, until, err
}

// mayFollow lets a redirect pass (RFC 7480 §5.2), as long as it is to https and
// its server may be asked now.
func (c *Client) mayFollow(req *http.Request, via []*http.Request) error {
	req.Header.Del("Referer")
	if req.URL.Scheme != "https" || req.URL.User != nil || len(via) > maxRedirects {
		return errRedirect
	}
	registry := req.URL.Host
	if registry == via[len(via)-1].URL.Host {
		return nil
	}
	now := time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.turns[registry].After(now) || len(c.turns) >= maxNames {
		return ErrLater
	}
	c.turns[registry] = now.Add(c.every())
	return nil
}

// quietUntil reads Retry-After (RFC 9110 §10.2.3).
func quietUntil(field string, now time.Time) time.Time {
	wait := defaultQuiet
	if seconds, err := strconv.ParseUint(strings.TrimSpace(field), 10, 31); err == nil {
		wait = max(time.Duration(seconds)*time.Second, time.Second)
	} else if at, err := http.ParseTime(field); err == nil {
		wait = max(at.Sub(now), time.Second)
	}
	return now.Add(min(wait, longestQuiet))
}

// Close closes the file of answers. Nobody may ask any more.
func (c *Client) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.store.close()
}

// isDomain says whether s is a name of two labels or more, of letters, digits and
// hyphens in lower case: no address, and nothing that would be more than a name in
// a URL.
func isDomain(s string) bool {
	if last := s[strings.LastIndexByte(s, '.')+1:]; len(s) > longestDomain || strings.Trim(last, "0123456789") == "" {
		return false
	}
	dots := 0
	for label := range strings.SplitSeq(s, ".") {
		if dots++; label == "" || len(label) > 63 || strings.Trim(label, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
			return false
		}
	}
	return dots > 1
}

// parseBase reads the URL of a server.
func parseBase(s string) *url.URL {
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return nil
	}
	return u
}
