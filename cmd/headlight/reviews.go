package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"headlight.example/evidence"
	"headlight.example/reputation"
)

// reviewPage is the answer to GET /v1/reviews.
type reviewPage struct {
	Reviews []review `json:"reviews"`
	Open    int      `json:"open"`
	Dropped int      `json:"dropped"`
	Next    string   `json:"next"`
}

// review is a case that waits for a reviewer.
type review struct {
	ID        string           `json:"id"`
	Subject   evidence.Subject `json:"subject"`
	Threat    string           `json:"threat"`
	Groups    int              `json:"groups"`
	Reporters int              `json:"reporters"`
	Benign    int              `json:"benign"`
	First     string           `json:"first"`
	Appealed  string           `json:"appealed"`
	Verdict   verdict          `json:"verdict"`
}

// settlement is the answer to POST /v1/reviews/ID.
type settlement struct {
	Seq     uint64           `json:"seq"`
	Subject evidence.Subject `json:"subject"`
	Verdict verdict          `json:"verdict"`
}

// settlements are how a case can end.
var settlements = []string{"phishing", "malware", "unwanted", "spam", "benign", "dismiss"}

func reviewsCommand() *command {
	return &command{
		name: "reviews", group: groupLearn,
		synopsis: []string{"reviews [-json] [-limit N] [-after PLACE]", "reviews -as WORD [-json] [-rater NAME] ID…"},
		short:    "list what waits for a reviewer, and settle it",
		about: `Lists what users reported and nobody has settled, and the verdicts that are appealed: first what is appealed, then what most groups of users report, then the older. Users whose reports were never settled have no weight; to settle them is how they earn it, or do not.

With -as the cases named by their IDs are settled with your word as an operator: phishing, malware, unwanted, spam or benign, which is then the verdict; or dismiss, which takes a case off the list and says nothing of the link. What a list that you follow names is settled by itself.`,
		examples: []string{
			"headlight reviews",
			"headlight reviews -as benign 2b71fqtthgqst",
			"headlight reviews -as dismiss -server http://127.0.0.1:8080 -token-file token 2b71fqtthgqst",
		},
		prepare: func(f *flags) action {
			p := f.place()
			as := f.String("as", "", "settle as this `word`: "+strings.Join(settlements, ", "))
			rater := f.String("rater", "", "whose word it is, as operator/`name`")
			limit := f.Int("limit", 50, "how many to list, at most 1000")
			after := f.String("after", "", "list from this `place` on, which the list before names at its end")
			asJSON := f.Bool("json", false, "print JSON, as GET /v1/reviews and POST /v1/reviews/ID answer")
			return func(ctx context.Context, e *env, ids []string) error {
				switch {
				case *as != "" && !slices.Contains(settlements, *as):
					return usagef("flag -as: %q settles nothing%s", *as, didYouMean(*as, settlements))
				case *as != "" && len(ids) == 0:
					return usagef("names no case to settle; \"headlight reviews\" lists them")
				case *as == "" && len(ids) > 0:
					return usagef("needs -as to settle %s: %s", printable(ids[0]), strings.Join(settlements, ", "))
				case *limit < 1 || *limit > 1000:
					return usagef("flag -limit: %d is not between 1 and 1000", *limit)
				case *rater != "" && (evidence.ValidateRater(*rater) != nil || evidence.Role(*rater) != "operator"):
					return usagef("flag -rater: want operator/NAME, got %q", *rater)
				}
				if *as != "" {
					return runSettle(ctx, e, p, *as, *rater, ids, *asJSON)
				}
				return runReviews(ctx, e, p, *limit, *after, *asJSON)
			}
		},
	}
}

func runReviews(ctx context.Context, e *env, p *place, limit int, after string, asJSON bool) (err error) {
	s, err := p.open(ctx, e, reading)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	answer, err := s.get(ctx, fmt.Sprintf("/v1/reviews?limit=%d&after=%s", limit, url.QueryEscape(after)))
	if err != nil {
		return err
	}
	if asJSON {
		e.out.print(string(answer))
		return nil
	}
	var page reviewPage
	if err := json.Unmarshal(answer, &page); err != nil {
		return fmt.Errorf("answer of %s: %w", s.base, err)
	}
	page.print(e.out)
	return nil
}

func (p *reviewPage) print(o *output) {
	if p.Dropped > 0 {
		o.printf("%s cases fell out unreviewed since the start: more wait than there is room for.\n", thousands(int64(p.Dropped)))
	}
	if len(p.Reviews) == 0 {
		o.print("Nothing waits for a reviewer.\n")
		return
	}
	t := &table{columns: []column{
		{name: "ID"}, {name: "CLAIM"}, {name: "GROUPS", right: true}, {name: "USERS", right: true}, {name: "SINCE"}, {name: "VERDICT"},
		{name: "KIND"}, {name: "OF", flexible: true},
	}}
	for i := range p.Reviews {
		r := &p.Reviews[i]
		claim, style := r.claim()
		t.add(
			cell{text: printable(r.ID)},
			cell{claim, style},
			cell{text: thousands(int64(r.Groups))},
			cell{text: thousands(int64(r.Reporters))},
			cell{text: r.since()},
			cell{reputation.Level(r.Verdict.Level).String(), levelStyle(reputation.Level(r.Verdict.Level))},
			cell{text: r.Subject.Kind.String()},
			cell{text: printable(r.Subject.Key)},
		)
	}
	t.print(o)
	if p.Next != "" {
		o.printf("%s\n", o.paint(grey, fmt.Sprintf("… of %s; go on with -after %s", thousands(int64(p.Open)), printable(p.Next))))
	}
}

// claim is what is said of the link, an appeal first.
func (r *review) claim() (string, style) {
	switch {
	case r.Appealed != "" && r.Threat != "":
		return "appeal, " + printable(r.Threat), yellow
	case r.Appealed != "":
		return "appeal", yellow
	case r.Threat == "":
		return "benign", green
	}
	return printable(r.Threat), red
}

// since is when somebody first asked.
func (r *review) since() string {
	first := r.First
	if r.Appealed != "" && (first == "" || r.Appealed < first) {
		first = r.Appealed
	}
	t, err := time.Parse(time.RFC3339, first)
	if err != nil {
		return "–"
	}
	return t.Local().Format("2006-01-02 15:04")
}

func runSettle(ctx context.Context, e *env, p *place, as, rater string, ids []string, asJSON bool) (err error) {
	if p.rater = rater; p.rater == "" {
		p.rater = operatorName()
	} else if p.server != "" {
		return usagef("-rater and -server: a server knows by the token who you are")
	}
	s, err := p.open(ctx, e, writing)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	for _, id := range ids {
		answer, err := s.post(ctx, "/v1/reviews/"+url.PathEscape(id), map[string]string{"assertion": as})
		if err != nil {
			return err
		}
		if asJSON {
			e.out.print(string(answer))
			continue
		}
		var x settlement
		if err := json.Unmarshal(answer, &x); err != nil {
			return fmt.Errorf("answer of %s: %w", s.base, err)
		}
		how := "settled as " + as
		if as == "dismiss" {
			how = "dismissed"
		}
		e.out.printf("entry %d: %s %s is %s\n", x.Seq, x.Subject.Kind, printable(x.Subject.Key), how)
		x.Verdict.print(e.out)
	}
	return nil
}
