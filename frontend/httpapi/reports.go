package httpapi

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"headlight.example/evidence"
	"headlight.example/link"
)

// anonymous is who appeals without a token.
const anonymous = "user/anonymous"

// reportable are the words that a report may say. Popularity, sightings and
// relations are observed, not reported.
var reportable = []string{"phishing", "malware", "unwanted", "spam", "benign", "retracted"}

// report answers POST /v1/reports. All reports of a call are stored, or none.
func (c *call) report() error {
	if err := c.read(maxReportBytes); err != nil {
		return err
	}
	reports, list, err := decodeReports(c.body)
	if err != nil {
		return err
	}
	records := make([]evidence.Record, len(reports))
	for i := range reports {
		if records[i], err = c.recordOf(&reports[i]); err != nil {
			return err
		}
	}
	last, err := c.store(records)
	if err != nil {
		return err
	}
	b := c.out[:0]
	if list {
		b = append(b, `{"receipts":[`...)
	}
	first := last - uint64(len(records)) + 1
	for i := range reports {
		if i > 0 {
			b = append(b, ',')
		}
		b = c.appendReceipt(b, first+uint64(i), &reports[i], records[i].Subject)
	}
	if list {
		b = append(b, "]}"...)
	}
	c.out = append(b, '\n')
	c.send(http.StatusCreated, jsonType, c.out)
	return nil
}

// recordOf makes evidence of a report in the name of the token's rater.
func (c *call) recordOf(r *report) (evidence.Record, error) {
	none := evidence.Record{}
	subject, err := r.subject()
	if err != nil {
		return none, err
	}
	if !slices.Contains(reportableKinds, subject.Kind) && !(c.token.operator() && slices.Contains(operatorKinds, subject.Kind)) {
		return none, wrong(r.at+"subject.kind", "%ssubject.kind: the token does not report of a %s", r.at, subject.Kind)
	}
	if !slices.Contains(reportable, r.assertion) {
		return none, wrong(r.at+"assertion", "%sassertion: %q is not one of %s", r.at, clip(r.assertion), strings.Join(reportable, ", "))
	}
	assertion, err := evidence.ParseAssertion(r.assertion)
	if err != nil {
		return none, err
	}
	rater := c.token.Rater
	if r.rater != "" {
		if err := evidence.ValidateRater(r.rater); err != nil {
			return none, wrong(r.at+"rater", "%srater: %v", r.at, err)
		}
		if !c.token.mayReportAs(r.rater) {
			return none, problem(forbidden, "%srater: the token may not report in this name", r.at)
		}
		rater = r.rater
	}
	return evidence.Record{Time: r.time, Rater: rater, Subject: subject, Assertion: assertion, Count: 1}, nil
}

// reportableKinds are what anybody may report, operatorKinds what an operator
// may besides: they are shared by too many for anybody else's word. A public
// suffix is never condemned, and a sealed URL is for what nobody reported.
var (
	reportableKinds = []evidence.Kind{evidence.URL, evidence.Path, evidence.Host, evidence.Tenant, evidence.Domain, evidence.Addr}
	operatorKinds   = []evidence.Kind{evidence.Subnet, evidence.Prefix, evidence.AS, evidence.NameServer}
)

// store makes records durable.
func (c *call) store(records []evidence.Record) (last uint64, err error) {
	// Who hangs up after sending has still said it. The wait is bounded, for a
	// disk may hang.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(c.r.Context()), storeTimeout)
	defer cancel()
	last, err = c.s.svc.Append(ctx, records...)
	if err != nil {
		return 0, notStored(err)
	}
	c.s.metrics.records.Add(float64(len(records)))
	return last, nil
}

func notStored(err error) *Problem {
	p := problem(notReady, "what was said could not be stored; it is not acknowledged, send it again later")
	p.retryAfter = 10 * time.Second
	p.cause = err
	return p
}

// storeTimeout leaves time to say so before the write timeout.
const storeTimeout = 20 * time.Second

// appendReceipt says where the record stands in the log, and of a URL what is
// thought of it now. The question counts as one: whoever reports a link has
// met it, and wants to hear if its level changes later.
func (c *call) appendReceipt(b []byte, seq uint64, r *report, subject evidence.Subject) []byte {
	b = append(b, `{"seq":`...)
	b = strconv.AppendUint(b, seq, 10)
	given := r.url
	if r.hasSubject {
		given = r.key
	}
	if subject.Kind == evidence.URL {
		if f, err := c.s.svc.CheckURL(given); err == nil { // it has been parsed before
			b = append(b, `,"verdict":`...)
			b = append(c.appendFinding(b, given, &f), '}')
		}
	}
	return append(b, '}')
}

// appeal answers POST /v1/appeals: somebody says that a verdict is wrong. It
// is evidence for a reviewer, and moves nothing by itself.
func (c *call) appeal() error {
	r, err := c.readAppeal()
	if err != nil {
		return err
	}
	subject, err := r.subject()
	if err != nil {
		return err
	}
	if !slices.Contains(reportableKinds, subject.Kind) {
		return wrong("subject.kind", "subject.kind: nobody appeals for a %s", subject.Kind)
	}
	rater := anonymous
	client, _ := clientOf(c.r.RemoteAddr)
	if c.token != nil {
		rater, client = c.token.Rater, "token "+c.token.Name
	}
	if err := overRate(c.s.appeals, client); err != nil {
		return err
	}
	last, err := c.store([]evidence.Record{{Rater: rater, Subject: subject, Assertion: evidence.Appealed, Count: 1}})
	if err != nil {
		return err
	}
	if c.isForm() {
		return c.page(http.StatusCreated, &visitsView{Appealed: subject.Key})
	}
	c.out = append(c.appendReceipt(c.out[:0], last, &r, subject), '\n')
	c.send(http.StatusCreated, jsonType, c.out)
	return nil
}

// readAppeal reads an appeal as a program or as the page of visits sends it.
func (c *call) readAppeal() (report, error) {
	if c.isForm() {
		return c.appealForm()
	}
	if err := c.read(maxAppealBytes); err != nil {
		return report{}, err
	}
	return decodeAppeal(c.body)
}

// subject is what the report is about, in canonical form. Who reports a link
// that a gateway has wrapped means the link inside: the gateway is not bad.
func (r *report) subject() (evidence.Subject, error) {
	if !r.hasURL {
		k, err := evidence.ParseKind(r.kind)
		if err != nil {
			return evidence.Subject{}, wrong(r.at+"subject.kind", "%ssubject.kind: %q is no kind of subject", r.at, clip(r.kind))
		}
		s, _, err := canonical(k, r.key)
		if err != nil {
			return s, wrong(r.at+"subject.key", "%ssubject.key: %v", r.at, err)
		}
		return s, nil
	}
	l, err := link.Parse(r.url)
	if err != nil {
		return evidence.Subject{}, wrong(r.at+"url", "%surl: %v", r.at, err)
	}
	if l.Wrapper() {
		if inner, _, ok := link.Unwrap(r.url); ok {
			l = inner
		}
	}
	return evidence.Subject{Kind: evidence.URL, Key: l.URL()}, nil
}
