package httpapi

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"headlight.example"
	"headlight.example/evidence"
	"headlight.example/reputation"
)

const (
	reviewsPath = "/v1/reviews/"
	// defaultReviews and maxReviews bound one page.
	defaultReviews, maxReviews = 50, 1000
	maxSettleBytes             = 4 << 10
)

// dismiss is the word for sending a case away without a word on the link.
const dismiss = "dismiss"

var settlements = []string{"phishing", "malware", "unwanted", "spam", "benign", dismiss}

// reviews answers GET /v1/reviews: what users reported and nobody settled, and
// verdicts that are appealed.
func (c *call) reviews() error {
	limit, err := numberOf(c.r.URL, "limit", defaultReviews, maxReviews)
	if err != nil {
		return err
	}
	after, err := cursorOf(c.r.URL.Query().Get("after"))
	if err != nil {
		return err
	}
	list, open, dropped := c.s.svc.Reviews(after, limit)
	b := append(c.out[:0], `{"reviews":[`...)
	for i := range list {
		if i > 0 {
			b = append(b, ',')
		}
		b = c.spill(c.appendReview(b, &list[i]))
	}
	b = append(b, `],"open":`...)
	b = strconv.AppendInt(b, int64(open), 10)
	b = append(b, `,"dropped":`...)
	b = strconv.AppendUint(b, dropped, 10)
	b = append(b, `,"next":"`...)
	if n := len(list); n > 0 && n == limit {
		b = appendCursor(b, &list[n-1].Review)
	}
	c.out = append(b, "\"}\n"...)
	c.send(http.StatusOK, jsonType, c.out)
	return nil
}

func (c *call) appendReview(b []byte, r *headlight.Review) []byte {
	b = append(b, `{"id":"`...)
	b = appendHash(b, r.ID)
	b = append(b, `","subject":`...)
	b = appendSubject(b, r.Subject)
	b = append(b, `,"threat":"`...)
	if r.Threat != 0 {
		b = append(b, r.Threat.String()...)
	}
	b = append(b, `","groups":`...)
	b = strconv.AppendInt(b, int64(r.Groups), 10)
	b = append(b, `,"reporters":`...)
	b = strconv.AppendInt(b, int64(r.Reporters), 10)
	b = append(b, `,"benign":`...)
	b = strconv.AppendInt(b, int64(r.Benign), 10)
	b = append(b, `,"voice":`...)
	b = appendNumber(b, r.Voice)
	b = append(b, `,"first":`...)
	b = appendTime(b, r.First)
	b = append(b, `,"last":`...)
	b = appendTime(b, r.Last)
	b = append(b, `,"appealed":`...)
	b = appendTime(b, r.Appealed)
	b = append(b, `,"verdict":`...)
	b = append(c.appendVerdict(b, r.Verdict.Link.String(), &r.Verdict, r.Verdict.Link), '}')
	return append(b, '}')
}

// appendCursor writes the place of a case in the order of the list, from which
// the next page goes on even if the case itself has been settled meanwhile.
func appendCursor(b []byte, r *reputation.Review) []byte {
	seconds := func(t time.Time) int64 {
		if t.IsZero() {
			return 0
		}
		return t.Unix()
	}
	b = fmt.Appendf(b, "%d.%d.%d.", r.Groups, seconds(r.First), seconds(r.Appealed))
	return appendHash(b, r.ID)
}

// cursorOf reads what appendCursor writes; "" is nil.
func cursorOf(text string) (*reputation.Review, error) {
	if text == "" {
		return nil, nil
	}
	r := new(reputation.Review)
	if parts := strings.Split(text, "."); len(parts) == 4 {
		r.Groups, _ = strconv.Atoi(parts[0])
		for i, t := range []*time.Time{&r.First, &r.Appealed} {
			if n, _ := strconv.ParseInt(parts[1+i], 10, 64); n != 0 {
				*t = time.Unix(n, 0)
			}
		}
		r.ID, _ = hashOf(parts[3])
	}
	if string(appendCursor(nil, r)) != text {
		return nil, wrong("after", "after: want what the page before gave as next")
	}
	return r, nil
}

// hashOf reads the 13 digits of an id.
func hashOf(id string) (uint64, bool) {
	s, err := evidence.ParseSealed("x/#/#" + id) // the host is of no matter
	if err != nil || s.URL != "#"+id {
		return 0, false
	}
	return new(evidence.Key).Hash(evidence.URL, s.URL), true // what is sealed is its own hash
}

// settle answers POST /v1/reviews/{id} with the word of the token's operator.
func (c *call) settle() error {
	id, ok := hashOf(strings.TrimPrefix(c.r.URL.Path, reviewsPath))
	if !ok {
		return problem(notFound, "no case has this id")
	}
	if err := c.read(maxSettleBytes); err != nil {
		return err
	}
	assertion, err := decodeSettle(c.body)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(c.r.Context()), storeTimeout)
	defer cancel()
	seq, r, err := c.s.svc.Settle(ctx, id, c.token.Rater, assertion)
	if errors.Is(err, headlight.ErrNoReview) {
		return problem(notFound, "no case with this id waits for a review; it may have been settled meanwhile")
	}
	if err != nil {
		return notStored(err)
	}
	c.s.metrics.records.Inc()
	b := append(c.out[:0], `{"seq":`...)
	b = strconv.AppendUint(b, seq, 10)
	b = append(b, `,"subject":`...)
	b = appendSubject(b, r.Subject)
	b = append(b, `,"verdict":`...)
	c.out = append(c.appendVerdict(b, r.Verdict.Link.String(), &r.Verdict, r.Verdict.Link), "}}\n"...)
	c.send(http.StatusOK, jsonType, c.out)
	return nil
}

func decodeSettle(body []byte) (a evidence.Assertion, err error) {
	word := ""
	err = decode(body, func(d decoder) error {
		return d.object("", []string{"assertion"}, func(name string) error { return d.str(name, &word) })
	})
	switch {
	case err != nil:
		return 0, err
	case !slices.Contains(settlements, word):
		return 0, wrong("assertion", "assertion: %q is not one of %s", clip(word), strings.Join(settlements, ", "))
	case word == dismiss:
		return evidence.Retracted, nil
	}
	return evidence.ParseAssertion(word)
}
