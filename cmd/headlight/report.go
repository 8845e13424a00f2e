package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/user"
	"strings"
	"time"

	"headlight.example/evidence"
)

// reports that the API takes in one call.
const reportBatch = 1000

// report is one of POST /v1/reports.
type report struct {
	URL       string            `json:"url,omitempty"`
	Subject   *evidence.Subject `json:"subject,omitempty"`
	Assertion string            `json:"assertion"`
	Time      string            `json:"time,omitempty"`
	Rater     string            `json:"rater,omitempty"`
}

// receipt is what the server answers to one report.
type receipt struct {
	Seq     uint64   `json:"seq"`
	Verdict *verdict `json:"verdict,omitempty"`
}

func reportCommand() *command {
	return &command{
		name: "report", group: groupLearn,
		synopsis: []string{"report -as THREAT|benign [-rater NAME] URL…"},
		short:    "say something of a link",
		about: `Puts your word on links into the log: phishing, malware, unwanted, spam, benign, or retracted to take back what you said before. It is durable when the command returns, and the verdict that it prints knows of it.

Who opens the data directory is its operator: the default rater is operator/ and your login name, and an operator's word settles a case. Through a server the token says who you are, and -rater is for operators who enter the word of a feed or a user.`,
		examples: []string{
			"headlight report -as phishing http://paypal.example.net/login",
			"headlight report -as benign -rater operator/ann http://example.com/",
			"headlight report -as spam -server http://127.0.0.1:8080 -token-file token http://spam.example/",
		},
		prepare: func(f *flags) action {
			p := f.place()
			as := f.String("as", "", "what is said: phishing, malware, unwanted, spam, benign or retracted")
			rater := f.String("rater", "", "whose word it is, as role/`name`")
			asJSON := f.Bool("json", false, "print JSON, as POST /v1/reports answers")
			return func(ctx context.Context, e *env, links []string) error {
				if len(links) == 0 {
					return usagef("names no link")
				}
				r, err := newReport(*as, *rater)
				if err != nil {
					return err
				}
				return runReport(ctx, e, p, r, links, *asJSON)
			}
		},
	}
}

func newReport(as, rater string) (report, error) {
	if as == "" {
		return report{}, usagef("needs -as: phishing, malware, unwanted, spam, benign or retracted")
	}
	if as != evidence.Retracted.String() {
		if _, err := parseJudgement(as); err != nil {
			return report{}, usagef("flag -as: %v", err)
		}
	}
	if rater != "" {
		if err := evidence.ValidateRater(rater); err != nil {
			return report{}, usagef("flag -rater: %v", err)
		}
	}
	return report{Assertion: as, Rater: rater}, nil
}

// operatorName is who a person is that opens the data directory.
func operatorName() string {
	name := "local"
	if u, err := user.Current(); err == nil {
		name = u.Username[strings.LastIndexByte(u.Username, '\\')+1:]
	}
	if evidence.ValidateRater("operator/"+name) != nil {
		name = "local"
	}
	return "operator/" + name
}

func runReport(ctx context.Context, e *env, p *place, r report, links []string, asJSON bool) (err error) {
	if p.rater = r.Rater; p.rater == "" {
		p.rater = operatorName()
	}
	s, err := p.open(ctx, e, writing)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	reports := make([]report, len(links))
	for i, l := range links {
		reports[i] = r
		reports[i].URL = l
	}
	receipts, err := s.report(ctx, reports)
	if err != nil {
		return err
	}
	if asJSON {
		return json.NewEncoder(e.out).Encode(map[string][]receipt{"receipts": receipts})
	}
	for i, rc := range receipts {
		if i > 0 {
			e.out.print("\n")
		}
		e.out.printf("entry %d: %s\n", rc.Seq, r.Assertion)
		if rc.Verdict != nil {
			rc.Verdict.print(e.out)
		}
	}
	return nil
}

// report sends reports, those of one call together or not at all.
func (c *client) report(ctx context.Context, reports []report) ([]receipt, error) {
	var all []receipt
	for len(reports) > 0 {
		n := min(len(reports), reportBatch)
		b, err := c.post(ctx, "/v1/reports", map[string][]report{"reports": reports[:n]})
		if err != nil {
			return all, err
		}
		var answer struct {
			Receipts []receipt `json:"receipts"`
		}
		if err := json.Unmarshal(b, &answer); err != nil {
			return all, fmt.Errorf("answer of %s: %w", c.base, err)
		}
		all, reports = append(all, answer.Receipts...), reports[n:]
	}
	return all, nil
}

// appendRecords sends records as reports. What is observed and not said
// (ranks, sightings, relations) has no place in the API: it would let anybody
// make a name popular.
func (c *client) appendRecords(ctx context.Context, records []evidence.Record) error {
	reports := make([]report, 0, len(records))
	for _, r := range records {
		if !r.Assertion.Threat() && r.Assertion != evidence.Benign && r.Assertion != evidence.Retracted {
			return fmt.Errorf("a server takes reports only, and this list holds %q; stop the server and import into its data directory, or name the list as a [[feed]] in its config file", r.Assertion)
		}
		if !r.Expires.IsZero() {
			return errors.New("a server takes reports without an end only; leave -lifetime out, or name the list as a [[feed]] in its config file")
		}
		subject := r.Subject
		reports = append(reports, report{
			Subject: &subject, Assertion: r.Assertion.String(), Rater: r.Rater,
			Time: r.Time.UTC().Format(time.RFC3339Nano),
		})
	}
	_, err := c.report(ctx, reports)
	return err
}
