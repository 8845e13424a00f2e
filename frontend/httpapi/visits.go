package httpapi

import (
	"bytes"
	"context"
	_ "embed"
	"html/template"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"headlight.example"
	"headlight.example/evidence"
	"headlight.example/link"
	"headlight.example/probe"
)

const (
	visitPath   = "/v1/visits/"
	visitsPage  = "/visits"
	visitsSpan  = 10 * time.Minute // around the time of a log line: clocks differ
	maxLogLine  = 4 << 10          // bytes of what is pasted
	maxTold     = 20               // requests on one page
	visitsLimit = 5 * time.Second  // of reading the ledger, for one question
	// The ledger is read from disk for anybody who asks, so a network may ask
	// only so often, this machine too.
	visitsPerSecond, visitsBurst = 1, 20
	maxReaders                   = 4 // at once, of all networks
)

// visit answers GET /v1/visits/{id}: what was asked of whom, when, and by which
// rule. It says nothing of who had the link, nor what the link was.
func (c *call) visit() error {
	id, err := probe.ParseID(strings.TrimPrefix(c.r.URL.Path, visitPath))
	if err != nil {
		return problem(notFound, "want the id of a visit, as it stands in the request's Headlight-Visit")
	}
	account, err := c.requests(func(ctx context.Context) (headlight.Account, error) { return c.s.svc.Visits().Lookup(ctx, id) })
	if err != nil {
		return err
	}
	rs := account.Requests
	if len(rs) == 0 && account.Missing > 0 {
		p := problem(notReady, "no visit has this id, as far as can be told now: %s", missing(account.Missing))
		p.retryAfter = 10 * time.Second
		return p
	}
	if len(rs) == 0 {
		return problem(notFound, "no visit has this id; they are kept for %d days", int(probe.DefaultKeep/(24*time.Hour)))
	}
	b := append(c.out[:0], `{"id":`...)
	b = appendString(b, id.String())
	b = append(b, `,"time":`...)
	b = appendTime(b, id.Time())
	b = append(b, `,"requests":[`...)
	for i := range rs {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendRequest(b, &rs[i])
	}
	c.out = append(b, "]}\n"...)
	c.send(http.StatusOK, jsonType, c.out)
	return nil
}

// requests reads the ledger, within bounds.
func (c *call) requests(read func(context.Context) (headlight.Account, error)) (headlight.Account, error) {
	client, _ := clientOf(c.r.RemoteAddr)
	if err := overRate(c.s.ledger, client); err != nil {
		return headlight.Account{}, err
	}
	if c.s.svc.Visits() == nil {
		return headlight.Account{}, nil
	}
	if !c.s.readers.take(1) {
		p := problem(overloaded, "the ledger of visits is being read by as many as it may")
		p.retryAfter = time.Second
		return headlight.Account{}, p
	}
	defer c.s.readers.give(1)
	ctx, cancel := context.WithTimeout(c.r.Context(), visitsLimit)
	defer cancel()
	account, err := read(ctx)
	if err != nil {
		p := problem(notReady, "the ledger of visits could not be read")
		p.cause = err
		return headlight.Account{}, p
	}
	return account, nil
}

// missing says in words that some machines of a cluster did not answer.
func missing(n int) string {
	if n == 1 {
		return "one of this service's machines, which have each their own account, does not answer"
	}
	return strconv.Itoa(n) + " of this service's machines, which have each their own account, do not answer"
}

func appendRequest(b []byte, r *probe.Request) []byte {
	b = append(b, `{"hop":`...)
	b = strconv.AppendInt(b, int64(r.Hop), 10)
	b = append(b, `,"time":`...)
	b = appendTime(b, r.Time)
	b = append(b, `,"origin":`...)
	b = appendString(b, r.Origin)
	b = append(b, `,"method":"HEAD","mode":`...)
	b = appendString(b, r.Mode.String())
	b = append(b, `,"class":`...)
	b = appendString(b, r.Class.String())
	b = append(b, `,"rule":`...)
	b = appendString(b, r.Rule)
	if p := r.Reply; p != nil {
		b = append(b, `,"outcome":`...)
		b = appendString(b, p.Outcome.String())
		if p.Addr.IsValid() {
			b = append(b, `,"addr":`...)
			b = appendString(b, p.Addr.String())
		}
		if p.Status != 0 {
			b = append(b, `,"status":`...)
			b = strconv.AppendInt(b, int64(p.Status), 10)
		}
	}
	return append(b, '}')
}

// keyDirectory serves the keys that visits are signed with.
func (c *call) keyDirectory() error {
	v := c.s.svc.Visits()
	if v == nil || v.Keys() == nil {
		return problem(notFound, "no visits are signed here")
	}
	c.status = http.StatusOK
	v.Keys().ServeHTTP(c.w, c.r)
	return nil
}

//go:embed visits.html
var visitsHTML string

var visitsTemplate = template.Must(template.New("visits").Parse(visitsHTML))

var htmlType = []string{"text/html; charset=utf-8"}

// visitsView is what the page shows.
type visitsView struct {
	Line, Host, Time string // as asked
	From             string // whom to write to; "" if nobody visits
	Halted           bool
	Keep             int // days
	Asked            bool
	Mend             string // what is missing in the question, "" if nothing
	Requests         []requestView
	More             bool
	Missing          string // which machines could not be asked, "" if all were
	Appeals          bool   // anybody may appeal
	Appealed         string // a thank-you instead of all else
}

type requestView struct {
	ID, Time, Origin, What, Why, Came string
}

// visits is the page for a webmaster who found us in his log.
func (c *call) visits() error {
	q := c.r.URL.Query()
	view := visitsView{Line: strings.TrimSpace(q.Get("line")), Host: strings.TrimSpace(q.Get("host")), Time: strings.TrimSpace(q.Get("time"))}
	view.Asked = view.Line != "" || view.Host != "" || view.Time != ""
	if view.Asked {
		if err := c.account(&view); err != nil {
			return err
		}
	}
	return c.page(http.StatusOK, &view)
}

// account looks up what was asked for.
func (c *call) account(view *visitsView) error {
	read, mend := c.question(view)
	if view.Mend = mend; mend != "" {
		return nil
	}
	account, err := c.requests(read)
	if err != nil {
		return err
	}
	if account.Missing > 0 {
		view.Missing = missing(account.Missing)
	}
	rs := account.Requests
	if view.More = len(rs) > maxTold; view.More {
		rs = rs[:maxTold]
	}
	for i := range rs {
		view.Requests = append(view.Requests, inWords(&rs[i]))
	}
	return nil
}

var (
	idForm = regexp.MustCompile(`(?i)[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}`)
	// Common Log Format, and ISO 8601 in the forms that logs have.
	timeForm = regexp.MustCompile(`\d{2}/[A-Z][a-z]{2}/\d{4}:\d{2}:\d{2}:\d{2} [+-]\d{4}|\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}([.,]\d+)?)?(Z|[+-]\d{2}:?\d{2})?)?`)
)

// question says how to look up what was asked for, or what is missing in it.
func (c *call) question(view *visitsView) (read func(context.Context) (headlight.Account, error), mend string) {
	if len(view.Line) > maxLogLine || len(view.Host) > maxLogLine {
		return nil, "That is longer than a log line. Please paste one line."
	}
	if found := idForm.FindString(view.Line); found != "" {
		if id, err := probe.ParseID(found); err == nil {
			return func(ctx context.Context) (headlight.Account, error) { return c.s.svc.Visits().Lookup(ctx, id) }, ""
		}
	}
	at, span, ok := when(view.Time)
	if !ok {
		at, span, ok = when(view.Line)
	}
	switch {
	case view.Host == "":
		return nil, "There is no id of a visit in that. Please say which host was visited as well: most server logs leave it out."
	case !ok:
		return nil, "Please say when that was, such as 2026-03-01 14:05 (UTC)."
	}
	l, err := link.Parse(view.Host)
	if err != nil {
		return nil, "That is not the name of a host, such as www.example.com."
	}
	host := l.Host()
	return func(ctx context.Context) (headlight.Account, error) {
		return c.s.svc.Visits().About(ctx, host, at.Add(-span), at.Add(span), maxTold+1)
	}, ""
}

// when reads the first time in a text, and how far around it to look. Without a
// zone it is UTC.
func when(text string) (at time.Time, span time.Duration, ok bool) {
	found := strings.Replace(timeForm.FindString(text), ",", ".", 1)
	for _, layout := range []string{
		"02/Jan/2006:15:04:05 -0700", "2006-01-02T15:04:05Z07:00", "2006-01-02T15:04:05Z0700", "2006-01-02 15:04:05Z07:00", "2006-01-02 15:04:05Z0700",
		"2006-01-02T15:04:05", "2006-01-02 15:04:05", "2006-01-02T15:04", "2006-01-02 15:04",
	} {
		if at, err := time.Parse(layout, found); err == nil {
			return at, visitsSpan, true
		}
	}
	if day, err := time.Parse(time.DateOnly, found); err == nil {
		return day.Add(12 * time.Hour), 12 * time.Hour, true
	}
	return at, 0, false
}

// What is said of each mode, class and outcome.
var (
	modeWords = map[probe.Mode]string{
		probe.Origin: "the front page of the host", probe.Path: "the path of the link, without its query", probe.Exact: "the link itself",
	}
	classWords = map[probe.Class]string{
		probe.Plain:       "Somebody asked this service about a link to this host, which it did not know.",
		probe.ShortLink:   "Somebody asked this service about a short link, which says nothing of where it leads.",
		probe.Credential:  "Somebody asked this service about a link to this host. The link carries what looks like a secret, so it was not asked for itself.",
		probe.OneTime:     "Somebody asked this service about a link to this host. The link looks as if it were good for one use, so it was not asked for itself.",
		probe.Unsubscribe: "Somebody asked this service about a link to this host. The link leaves a mailing list, so it was not asked for itself.",
	}
	outcomeWords = map[probe.Outcome]string{
		probe.Answered: "The server answered", probe.NotTold: "The server would not tell", probe.ServerError: "The server had an error",
		probe.Timeout: "No answer came in time", probe.ConnectionRefused: "The connection was refused", probe.ConnectionLost: "The connection was lost",
		probe.Unreachable: "The server could not be reached", probe.TLSFailed: "There was no TLS connection", probe.NotHTTP: "What came was no HTTP",
		probe.TooLong: "The answer was longer than what is read",
	}
)

func inWords(r *probe.Request) requestView {
	v := requestView{
		ID: r.Visit.String(), Time: r.Time.UTC().Format("2006-01-02 15:04:05 UTC"), Origin: r.Origin, What: modeWords[r.Mode], Why: classWords[r.Class],
		Came: "Nothing is known yet of what came of it.",
	}
	if r.Hop > 0 {
		v.Why = "A link that somebody asked about redirects to this host."
	}
	if p := r.Reply; p != nil {
		if v.Came = outcomeWords[p.Outcome]; v.Came == "" {
			v.Came = "It ended: " + p.Outcome.String()
		}
		if p.Status != 0 {
			v.Came += " with status " + strconv.Itoa(p.Status)
		}
		v.Came += "."
	}
	return v
}

// page writes the page. It loads nothing, from us or from others.
func (c *call) page(status int, view *visitsView) error {
	view.Keep, view.Appeals = int(probe.DefaultKeep/(24*time.Hour)), c.s.cfg.AnonymousAppeals
	view.Halted = true
	if v := c.s.svc.Visits(); v != nil {
		view.From, view.Halted = v.Identity().From, v.Halted()
	}
	var b bytes.Buffer
	if err := visitsTemplate.Execute(&b, view); err != nil {
		return err
	}
	h := c.w.Header()
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'")
	h.Set("Referrer-Policy", "no-referrer")
	c.send(status, htmlType, b.Bytes())
	return nil
}

// formType is what the page's forms are sent as.
const formType = "application/x-www-form-urlencoded"

func (c *call) isForm() bool {
	media, _, _ := strings.Cut(c.r.Header.Get("Content-Type"), ";")
	return strings.EqualFold(strings.TrimSpace(media), formType)
}

// appealForm reads an appeal from the page: a URL, or the name of a host. That
// no page of another site sent it has been seen to.
func (c *call) appealForm() (r report, err error) {
	if err := c.readBody(maxAppealBytes); err != nil {
		return r, err
	}
	form, err := url.ParseQuery(string(c.body))
	about := strings.TrimSpace(form.Get("about"))
	if err != nil || about == "" {
		return r, wrong("about", "about: want a link or the name of a host")
	}
	if strings.ContainsAny(about, "/?") {
		return report{url: about, hasURL: true}, nil
	}
	return report{kind: evidence.Host.String(), key: about, hasSubject: true}, nil
}
