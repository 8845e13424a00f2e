package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"headlight.example"
	"headlight.example/reputation"
)

func checkCommand() *command {
	return &command{
		name: "check", group: groupAsk,
		synopsis: []string{"check [-json] URL…"},
		short:    "judge links, with reasons",
		about: `Says of each link whether people may follow it: safe, unknown, suspicious or dangerous, with the probability that it is bad and what that rests on, heaviest first. A weight above 0 speaks against the link.

Nothing is requested from the net: the answer comes from what is known already. Without a data directory that is the starter knowledge alone.`,
		examples: []string{
			"headlight check http://example.com/",
			"headlight check -json bit.ly/abc http://paypal.example.net/login",
			"headlight check -server http://127.0.0.1:8080 example.com",
		},
		exits: []string{"   1 also if an argument is no link; the others are judged all the same"},
		prepare: func(f *flags) action {
			p := f.place()
			asJSON := f.Bool("json", false, "print JSON, as POST /v1/check answers")
			return func(ctx context.Context, e *env, links []string) error {
				if len(links) == 0 {
					return usagef("names no link")
				}
				return runCheck(ctx, e, p, links, *asJSON)
			}
		},
	}
}

func runCheck(ctx context.Context, e *env, p *place, links []string, asJSON bool) (err error) {
	s, err := p.open(ctx, e, reading)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	verdicts, err := s.check(ctx, links)
	if err != nil {
		return err
	}
	if asJSON {
		err = json.NewEncoder(e.out).Encode(map[string][]verdict{"verdicts": verdicts})
	} else {
		for i := range verdicts {
			if i > 0 {
				e.out.print("\n")
			}
			verdicts[i].print(e.out)
		}
	}
	for _, v := range verdicts {
		if v.Error != "" {
			return errors.Join(err, &exitError{code: exitFailed})
		}
	}
	return err
}

// print writes a verdict and all its reasons.
func (v *verdict) print(o *output) {
	if v.Error != "" {
		o.printf("%s  %s\n  %s\n", o.paint(red, "no link"), printable(v.Link), printable(v.Error))
		return
	}
	o.printf("%s  %s\n", o.paint(levelStyle(reputation.Level(v.Level)), reputation.Level(v.Level).String()), printable(v.Canonical))
	switch {
	case v.Wrapper == headlight.Redirect:
		o.printf("  leads to %s, as a visit has shown\n", printable(v.Inner))
	case v.Inner != "":
		o.printf("  %s wrapper around %s\n", printable(v.Wrapper), printable(v.Inner))
	}
	line := fmt.Sprintf("score %.2f", v.Score)
	if v.Threat != "" {
		line = printable(v.Threat) + ", " + line
	}
	if t := v.expiry(); !t.IsZero() {
		line += ", ask again after " + t.Local().Format("2006-01-02 15:04")
	}
	o.printf("  %s\n", line)
	if len(v.Reasons) == 0 {
		o.printf("  %s\n", o.paint(grey, "nothing is known of it"))
		return
	}
	t := &table{columns: []column{{right: true}, {}, {flexible: true}, {flexible: true}}, bare: true, indent: 2}
	for _, r := range v.Reasons {
		t.add(
			cell{signed(r.Weight), weightStyle(r.Weight)},
			cell{text: printable(r.Subject.Kind)},
			cell{text: printable(r.Subject.Key)},
			cell{text: r.words()},
		)
	}
	t.print(o)
}

// words is the reason's text, with the raters that it does not name.
func (r *reason) words() string {
	var unnamed []string
	for _, name := range r.Raters {
		if !strings.Contains(r.Text, name) {
			unnamed = append(unnamed, name)
		}
	}
	if len(unnamed) == 0 {
		return printable(r.Text)
	}
	return printable(r.Text + " (" + strings.Join(unnamed, ", ") + ")")
}

// signed writes a weight with its sign: what speaks against a link is above 0.
func signed(w float64) string {
	s := fmt.Sprintf("%+.1f", w)
	if s == "+0.0" || s == "-0.0" {
		return "0.0"
	}
	return strings.Replace(s, "-", "−", 1)
}

func weightStyle(w float64) style {
	switch {
	case w > 0.05:
		return red
	case w < -0.05:
		return green
	}
	return grey
}
