package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/url"
	"strings"
	"time"

	"headlight.example/evidence"
	"headlight.example/link"
)

// explanation is the answer to GET /v1/subjects/url/KEY.
type explanation struct {
	Verdict verdict          `json:"verdict"`
	Change  string           `json:"would_change"`
	Network *network         `json:"network"`
	LeadsTo string           `json:"leads_to"`
	Server  *shown           `json:"server"`
	Rungs   []rung           `json:"rungs"`
	Said    []evidence.Entry `json:"said"`
	More    bool             `json:"more"`
}

// network is who announces the address that is the link's host.
type network struct {
	Prefix string `json:"prefix"`
	AS     uint32 `json:"as"`
	Name   string `json:"name"`
}

// shown is what the server of the link's host showed when it was last visited.
type shown struct {
	Seen  time.Time `json:"seen"`
	Facts []struct {
		Weight float64 `json:"weight"`
		Text   string  `json:"text"`
	} `json:"facts"`
}

// rung is what the table holds of one subject of the ladder.
type rung struct {
	Subject    about    `json:"subject"`
	Fast       counts   `json:"fast"`
	Slow       counts   `json:"slow"`
	URLs       int      `json:"urls"`
	Raters     []string `json:"raters"`
	Listed     []string `json:"listed"`
	Heard      int      `json:"heard"`
	Appealed   bool     `json:"appealed"`
	WellKnown  bool     `json:"wellknown"`
	Popularity float64  `json:"popularity"`
	Anchor     *anchor  `json:"anchor"`
	Posterior  float64  `json:"posterior"`
	Weight     float64  `json:"weight"`
}

// anchor is an operator's word on a rung.
type anchor struct {
	Assertion string `json:"assertion"`
	Rater     string `json:"rater"`
}

// counts are units of evidence as of now, faded by age.
type counts struct {
	Bad  float64 `json:"bad"`
	Good float64 `json:"good"`
}

func explainCommand() *command {
	return &command{
		name: "explain", group: groupAsk,
		synopsis: []string{"explain [-json] [-limit N] URL"},
		short:    "show the whole ladder of a link, and who said what",
		about: `Draws the ladder that the verdict on a link rests on, from the public suffix down to the URL itself: for each rung how many bad and good units of evidence it holds, in the memory of days and in that of months, what it adds to the verdict (in log-odds, natural logarithm; above 0 speaks against the link), and whose word is behind it. If the host was visited, what its server showed stands below, and what each of it weighs. Last stands who said what and when, newest first.

A unit is a day on which something below the rung was judged: a URL up to the site, a site above it.`,
		examples: []string{
			"headlight explain http://example.com/login",
			"headlight explain -json -limit 1000 http://example.com/",
		},
		prepare: func(f *flags) action {
			p := f.place()
			limit := f.Int("limit", 20, "how much to show of who said what, at most 1000")
			asJSON := f.Bool("json", false, "print JSON, as GET /v1/subjects/url/KEY answers")
			return func(ctx context.Context, e *env, args []string) error {
				if len(args) != 1 {
					return usagef("want one link, got %d", len(args))
				}
				if *limit < 0 || *limit > 1000 {
					return usagef("flag -limit: %d is not between 0 and 1000", *limit)
				}
				return runExplain(ctx, e, p, args[0], *limit, *asJSON)
			}
		},
	}
}

func runExplain(ctx context.Context, e *env, p *place, given string, limit int, asJSON bool) (err error) {
	l, err := link.Parse(given)
	if err != nil {
		return fmt.Errorf("%q is no link: %w", given, err)
	}
	s, err := p.open(ctx, e, reading)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	answer, err := s.get(ctx, fmt.Sprintf("/v1/subjects/url/%s?limit=%d", url.PathEscape(l.String()), limit))
	if err != nil {
		return err
	}
	if asJSON {
		e.out.print(string(answer))
		return nil
	}
	var x explanation
	if err := json.Unmarshal(answer, &x); err != nil {
		return fmt.Errorf("answer of %s: %w", s.base, err)
	}
	x.print(e.out)
	return nil
}

func (x *explanation) print(o *output) {
	x.Verdict.print(o)
	if x.Change != "" {
		o.printf("  what would change it: %s\n", printable(x.Change))
	}
	if n := x.Network; n != nil {
		o.printf("  its address is of %s, announced by AS%d %s\n", printable(n.Prefix), n.AS, printable(n.Name))
	}
	if x.LeadsTo != "" {
		o.printf("  leads to host %s, as a visit has shown (the path is not kept)\n", printable(x.LeadsTo))
	}
	o.printf("\n%s\n", o.bold("The ladder, from the widest rung:"))
	x.ladder().print(o)
	if x.Server != nil {
		o.printf("\n%s\n", o.bold("Its server, as a visit on "+x.Server.Seen.Local().Format("2006-01-02 15:04")+" has shown it:"))
		x.Server.table().print(o)
	}
	o.print("\n")
	if len(x.Said) == 0 {
		o.print("Nobody said anything of it.\n")
		return
	}
	o.printf("%s\n", o.bold("Who said what:"))
	t := &table{columns: []column{{name: "WHEN"}, {name: "RATER", flexible: true}, {name: "SAYS"}, {name: "OF"}, {name: "", flexible: true}}, indent: 2}
	for i := range x.Said {
		en := &x.Said[i]
		t.add(
			cell{text: en.Time.Local().Format("2006-01-02 15:04")},
			cell{text: printable(en.Rater)},
			cell{said(en), assertionStyle(en.Assertion)},
			cell{text: en.Subject.Kind.String()},
			cell{text: printable(en.Subject.Key)},
		)
	}
	t.print(o)
	if x.More {
		o.printf("  %s\n", o.paint(grey, "… and more; see them with -limit"))
	}
}

// said is an assertion with what belongs to it.
func said(e *evidence.Entry) string {
	s := e.Assertion.String()
	switch {
	case e.Assertion == evidence.Popular:
		s += fmt.Sprintf(" (rank %s)", thousands(int64(e.Count)))
	case e.Assertion.Relation():
		s += " " + printable(e.Object.Key)
	case e.Count > 1:
		s += fmt.Sprintf(" ×%d", e.Count)
	}
	if !e.Expires.IsZero() {
		s += " until " + e.Expires.Local().Format(time.DateOnly)
	}
	return s
}

func assertionStyle(a evidence.Assertion) style {
	switch {
	case a.Threat():
		return red
	case a == evidence.Benign:
		return green
	}
	return plain
}

func (x *explanation) ladder() *table {
	t := &table{columns: []column{
		{name: "RUNG"}, {name: "", flexible: true}, {name: "BAD/GOOD 7d", right: true}, {name: "180d", right: true},
		{name: "WEIGHT", right: true}, {name: ""}, {name: "BEHIND IT", flexible: true},
	}, indent: 2}
	for i := range x.Rungs {
		r := &x.Rungs[i]
		t.add(
			cell{text: printable(r.Subject.Kind)},
			cell{text: printable(r.Subject.Key)},
			cell{text: r.Fast.String()},
			cell{text: r.Slow.String()},
			cell{signed(r.Weight), weightStyle(r.Weight)},
			cell{bar(r.Weight), weightStyle(r.Weight)},
			cell{text: r.behind()},
		)
	}
	return t
}

func (s *shown) table() *table {
	t := &table{columns: []column{{name: "FACT", flexible: true}, {name: "WEIGHT", right: true}, {name: ""}}, indent: 2}
	for i := range s.Facts {
		f := &s.Facts[i]
		t.add(cell{text: printable(f.Text)}, cell{signed(f.Weight), weightStyle(f.Weight)}, cell{bar(f.Weight), weightStyle(f.Weight)})
	}
	return t
}

func (c counts) String() string {
	if c.Bad == 0 && c.Good == 0 {
		return "–"
	}
	return amount(c.Bad) + "/" + amount(c.Good)
}

// amount writes a faded count: whole where it is large, to a tenth where it is
// small, and not as 0 while something is left.
func amount(x float64) string {
	switch {
	case x == 0:
		return "0"
	case x < .05:
		return "~0"
	case x < 9.95 && math.Abs(x-math.Round(x)) >= .05:
		return fmt.Sprintf("%.1f", x)
	}
	return thousands(int64(math.Round(x)))
}

// A bar of half this many characters stands for barFull log-odds, which takes
// a probability of one half to 99.8 %.
const (
	barHalf = 6
	barFull = 6.0
)

// bar draws a weight: to the right of the middle what speaks against the link,
// to the left what speaks for it.
func bar(w float64) string {
	n := int(math.Round(math.Abs(w) / barFull * barHalf))
	n = min(n, barHalf)
	left, right := 0, n
	if w < 0 {
		left, right = n, 0
	}
	return strings.Repeat(" ", barHalf-left) + strings.Repeat("█", left) + "│" + strings.Repeat("█", right) + strings.Repeat(" ", barHalf-right)
}

// behind says whose word a rung rests on.
func (r *rung) behind() string {
	var parts []string
	if r.Anchor != nil {
		parts = append(parts, printable(r.Anchor.Rater)+" says "+printable(r.Anchor.Assertion))
	}
	if r.WellKnown {
		parts = append(parts, "well-known")
	}
	if r.Popularity > 0 {
		parts = append(parts, fmt.Sprintf("popular (%.0f %%)", r.Popularity*100))
	}
	if len(r.Listed) > 0 {
		parts = append(parts, "listed by "+printable(strings.Join(r.Listed, ", ")))
	} else if len(r.Raters) > 0 {
		parts = append(parts, printable(strings.Join(r.Raters, ", ")))
	}
	if r.Heard > 0 {
		parts = append(parts, fmt.Sprintf("%d users", r.Heard))
	}
	if r.Appealed {
		parts = append(parts, "appealed")
	}
	return strings.Join(parts, "; ")
}
