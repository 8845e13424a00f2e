package httpapi

import (
	"context"
	"math"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"

	"headlight.example"
	"headlight.example/evidence"
	"headlight.example/link"
	"headlight.example/reputation"
)

const (
	subjectsPath = "/v1/subjects/"
	// defaultSaid and maxSaid bound who said what in one answer: each is read
	// from disk.
	defaultSaid, maxSaid = 50, 1000
)

// subject answers GET /v1/subjects/{kind}/{key}.
func (c *call) subject() error {
	subject, l, err := subjectOf(c.r.URL)
	if err != nil {
		return err
	}
	limit, err := numberOf(c.r.URL, "limit", defaultSaid, maxSaid)
	if err != nil {
		return err
	}
	return c.explain(subject, l, limit)
}

// subjectOf reads the subject in the path. The key is best percent-encoded,
// but a URL with its slashes is understood too. For a URL there is also "#"
// and the id of a verdict, which tells nobody the URL.
func subjectOf(u *url.URL) (evidence.Subject, link.Link, error) {
	none := evidence.Subject{}
	word, escaped, _ := strings.Cut(strings.TrimPrefix(u.EscapedPath(), subjectsPath), "/")
	key, err := url.PathUnescape(escaped)
	if err != nil || key == "" {
		return none, link.Link{}, problem(badSubject, "want /v1/subjects/KIND/KEY with a percent-encoded key")
	}
	kind, err := evidence.ParseKind(word)
	if err != nil {
		return none, link.Link{}, problem(badSubject, "%q is no kind of subject", clip(word))
	}
	if kind == evidence.URL && key[0] == '#' {
		// The parts of a sealed key are checked as one; the host is of no matter.
		if s, err := evidence.ParseSealed("x/#/" + key); err != nil || s.URL != key {
			return none, link.Link{}, problem(badSubject, "want # and the 13 digits of a verdict's id")
		}
		return evidence.Subject{Kind: kind, Key: key}, link.Link{}, nil
	}
	s, l, err := canonical(kind, key)
	if err != nil {
		return none, l, problem(badSubject, "%v", err)
	}
	return s, l, nil
}

// numberOf reads a number from 0 to most in the query.
func numberOf(u *url.URL, name string, otherwise, most int) (int, error) {
	text := u.Query().Get(name)
	if text == "" {
		return otherwise, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 || n > most {
		return 0, wrong(name, "%s: want a number from 0 to %d", name, most)
	}
	return n, nil
}

// explain says what is known of a subject: for a URL the whole ladder.
func (c *call) explain(subject evidence.Subject, l link.Link, limit int) error {
	ctx, cancel := context.WithTimeout(c.r.Context(), explainTimeout)
	defer cancel()
	var x headlight.Explanation
	var err error
	if !l.IsZero() {
		n := 0 // of a host or path the ladder of its root, and what was said of it alone
		if subject.Kind == evidence.URL {
			n = limit
		}
		x, err = c.s.svc.Explain(ctx, l, n)
	}
	if err == nil && (l.IsZero() || subject.Kind != evidence.URL) {
		x.Said, x.More, err = c.s.svc.Said(ctx, limit, subject)
	}
	if err != nil {
		p := problem(notReady, "who said what could not be read")
		p.cause = err
		return p
	}
	b := append(c.out[:0], `{"subject":`...)
	b = appendSubject(b, subject)
	rating := c.s.svc.Rate(subject)
	b = append(b, `,"rating":`...)
	b = c.appendRating(b, &rating)
	if !l.IsZero() {
		b = append(b, `,"verdict":`...)
		b = append(c.appendVerdict(b, l.String(), &x.Verdict, l), '}')
		b = append(b, `,"would_change":`...)
		b = appendString(b, WouldChange(&x.Verdict, c.s.svc.Policy().ListDays))
	}
	if n, ok := c.network(subject, l); ok {
		b = append(b, `,"network":{"prefix":`...)
		b = appendString(b, n.Prefix.String())
		b = append(b, `,"as":`...)
		b = strconv.AppendUint(b, uint64(n.AS), 10)
		b = append(b, `,"name":`...)
		b = append(appendString(b, n.Name), '}')
	}
	if x.LeadsTo != "" && subject.Kind == evidence.URL {
		b = append(b, `,"leads_to":`...)
		b = appendString(b, x.LeadsTo)
	}
	if len(x.Server) > 0 {
		b = appendServer(b, &x)
	}
	b = append(b, `,"rungs":[`...)
	for i := range x.Rungs {
		if i > 0 {
			b = append(b, ',')
		}
		b = c.appendRating(b, &x.Rungs[i])
	}
	b = append(b, `],"said":[`...)
	for i := range x.Said {
		if i > 0 {
			b = append(b, ',')
		}
		b = c.appendSaid(b, &x.Said[i])
	}
	b = append(b, `],"more":`...)
	b = strconv.AppendBool(b, x.More)
	c.out = append(b, "}\n"...)
	c.send(http.StatusOK, jsonType, c.out)
	return nil
}

// appendServer writes what the server of the host has shown.
func appendServer(b []byte, x *headlight.Explanation) []byte {
	b = append(b, `,"server":{"seen":`...)
	b = appendTime(b, x.ServerSeen)
	b = append(b, `,"facts":[`...)
	for i := range x.Server {
		f := &x.Server[i]
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, `{"name":`...)
		b = appendString(b, f.Name.String())
		b = append(b, `,"value":`...)
		b = appendString(b, f.Value)
		b = append(b, `,"weight":`...)
		b = appendNumber(b, f.Weight)
		b = append(b, `,"text":`...)
		b = append(appendString(b, FactSentence(f.Name, f.Value)), '}')
	}
	return append(b, "]}"...)
}

// network is that of a subject whose host is an address.
func (c *call) network(subject evidence.Subject, l link.Link) (headlight.Network, bool) {
	a, ok := l.Addr()
	if subject.Kind == evidence.Addr {
		parsed, err := netip.ParseAddr(subject.Key)
		a, ok = parsed, err == nil
	}
	if !ok {
		return headlight.Network{}, false
	}
	return c.s.svc.Network(a)
}

// explainTimeout bounds the reading from disk for one question.
const explainTimeout = 20 * time.Second

// appendSaid writes one entry of the log. When somebody met a link is told to
// the day only: the minute would tell who.
func (c *call) appendSaid(b []byte, e *evidence.Entry) []byte {
	when := e.Time
	if e.Assertion == evidence.Seen && !c.token.operator() {
		when = when.UTC().Truncate(24 * time.Hour)
	}
	b = append(b, `{"seq":`...)
	b = strconv.AppendUint(b, e.Seq, 10)
	b = append(b, `,"time":`...)
	b = appendTime(b, when)
	b = append(b, `,"rater":`...)
	b = appendString(b, c.mayKnow(e.Rater))
	b = append(b, `,"subject":`...)
	b = appendSubject(b, withoutTraits(e.Subject))
	b = append(b, `,"assertion":"`...)
	b = append(b, e.Assertion.String()...)
	b = append(b, '"')
	if e.Object != (evidence.Subject{}) {
		b = append(b, `,"object":`...)
		b = appendSubject(b, withoutTraits(e.Object))
	}
	b = append(b, `,"count":`...)
	b = strconv.AppendUint(b, uint64(e.Count), 10)
	if !e.Expires.IsZero() {
		b = append(b, `,"expires":`...)
		b = appendTime(b, e.Expires)
	}
	return append(b, '}')
}

// withoutTraits is a subject without what is for the fold of a sealed URL.
func withoutTraits(s evidence.Subject) evidence.Subject {
	if s.Kind == evidence.Sealed {
		s.Key, _, _ = strings.Cut(s.Key, "/~")
	}
	return s
}

// appendRating writes what the table holds of one subject.
func (c *call) appendRating(b []byte, r *reputation.Rating) []byte {
	b = append(b, `{"subject":`...)
	b = appendAbout(b, r.Subject, r.Basis, r.Marker)
	b = append(b, `,"known":`...)
	b = strconv.AppendBool(b, r.Known)
	b = append(b, `,"fast":`...)
	b = appendUnits(b, r.Fast.Bad, r.Fast.Good)
	b = append(b, `,"slow":`...)
	b = appendUnits(b, r.Slow.Bad, r.Slow.Good)
	b = append(b, `,"threats":{`...)
	for i, n := range r.Threats {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendString(b, (evidence.Phishing + evidence.Assertion(i)).String())
		b = appendNumber(append(b, ':'), n)
	}
	b = append(b, `},"urls":`...)
	b = strconv.AppendInt(b, int64(r.URLs), 10)
	b = append(b, `,"raters":`...)
	b = appendStrings(b, c.raters(r.Raters))
	b = append(b, `,"listed":`...)
	b = appendStrings(b, c.raters(r.Listed))
	b = append(b, `,"heard":`...)
	b = strconv.AppendInt(b, int64(r.Heard), 10)
	b = append(b, `,"appealed":`...)
	b = strconv.AppendBool(b, r.Appealed)
	if a := r.Anchor; a != nil {
		b = append(b, `,"anchor":{"assertion":`...)
		b = appendString(b, a.Assertion.String())
		b = append(b, `,"rater":`...)
		b = appendString(b, c.mayKnow(a.Rater))
		b = append(b, `,"time":`...)
		b = appendTime(b, a.Time)
		b = append(b, `,"expires":`...)
		b = appendTime(b, a.Expires)
		b = append(b, '}')
	}
	b = append(b, `,"wellknown":`...)
	b = strconv.AppendBool(b, r.WellKnown)
	b = append(b, `,"popularity":`...)
	b = appendNumber(b, r.Popularity)
	if !math.IsNaN(r.Posterior) {
		b = append(b, `,"posterior":`...)
		b = appendNumber(b, r.Posterior)
	}
	b = append(b, `,"weight":`...)
	b = appendNumber(b, r.Weight)
	b = append(b, `,"newest":`...)
	b = appendTime(b, r.Newest)
	return append(b, '}')
}

func appendUnits(b []byte, bad, good float64) []byte {
	b = append(b, `{"bad":`...)
	b = appendNumber(b, bad)
	b = append(b, `,"good":`...)
	b = appendNumber(b, good)
	return append(b, '}')
}
