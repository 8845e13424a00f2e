package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"unicode/utf8"

	"headlight.example"
	"headlight.example/message"
	"headlight.example/reputation"
)

// maxMessage bounds what is read of one message. Mail servers stop at 25 to
// 150 MB; the finder has bounds of its own below that and says what it left.
const maxMessage = 256 << 20

// scanner is the scan command with its flags set.
type scanner struct {
	e      *env
	asJSON bool
	typ    *message.Type     // nil: guess
	failOn *reputation.Level // nil: never
}

func scanCommand() *command {
	return &command{
		name: "scan", group: groupAsk,
		synopsis: []string{"scan [-json] [-type text|html|mail] [-fail-on LEVEL] [FILE…|-]"},
		short:    "find the links of a message and judge them",
		about: `Reads messages from files or standard input, finds their links, and prints a line a link: its level, its threat, the probability that it is bad, the link, and the first reason.

The text stays here: with -server only the links are sent. What was not looked at because the message is over a bound is said below the table.

With -json each message is one JSON document, as POST /v1/scan answers; of several files each has its name in "file".`,
		examples: []string{
			"headlight scan mail.eml",
			"headlight scan -fail-on suspicious -type mail - < mail.eml",
			"headlight scan -json chat.txt page.html",
		},
		exits: []string{"3  a link has the level of -fail-on, or a more alarming one"},
		prepare: func(f *flags) action {
			p := f.place()
			asJSON := f.Bool("json", false, "print JSON, a line a message")
			typ := f.String("type", "", "read the message as `type` text, html or mail (default: by the name of the file and how it begins)")
			failOn := f.String("fail-on", "", "exit with 3 if a link has this `level` or a more alarming one: unknown, suspicious or dangerous")
			return func(ctx context.Context, e *env, files []string) error {
				s := &scanner{e: e, asJSON: *asJSON}
				if err := s.set(*typ, *failOn); err != nil {
					return err
				}
				if len(files) == 0 {
					files = []string{"-"}
					if f, ok := terminalFile(e.stdin); ok && f != nil {
						e.notef("reading a message from the terminal; end it with Ctrl-D")
					}
				}
				return s.run(ctx, p, files)
			}
		},
	}
}

func (s *scanner) set(typ, failOn string) error {
	if typ != "" {
		t, err := message.ParseType(typ)
		if err != nil {
			return usagef("flag -type: %q is not text, html or mail%s", typ, didYouMean(typ, []string{"text", "html", "mail"}))
		}
		s.typ = &t
	}
	if failOn != "" {
		l, err := reputation.ParseLevel(failOn)
		if err != nil {
			return usagef("flag -fail-on: %q is not a level%s", failOn, didYouMean(failOn, []string{"safe", "unknown", "suspicious", "dangerous"}))
		}
		s.failOn = &l
	}
	return nil
}

func (s *scanner) run(ctx context.Context, p *place, files []string) (err error) {
	session, err := p.open(ctx, s.e, reading)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, session.close()) }()
	reached := false
	for i, name := range files {
		text, err := s.e.readMessage(ctx, name)
		if err != nil {
			return err
		}
		t := s.typeOf(name, text)
		result, err := session.scan(ctx, t, text)
		if err != nil {
			return err
		}
		if len(files) > 1 {
			result.File = name
		}
		if s.failOn != nil && len(result.Links) > 0 && reputation.Level(result.Level) >= *s.failOn {
			reached = true
		}
		if s.asJSON {
			if err := json.NewEncoder(s.e.out).Encode(&result); err != nil {
				return err
			}
			continue
		}
		if i > 0 {
			s.e.out.print("\n")
		}
		result.print(s.e.out)
	}
	if reached {
		return &exitError{code: exitReached}
	}
	return nil
}

// readMessage reads a file, or standard input for as long as nobody
// interrupts: a terminal may never end.
func (e *env) readMessage(ctx context.Context, name string) (string, error) {
	r := e.stdin
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return "", err
		}
		defer f.Close()
		r = f
	}
	var b []byte
	var err error
	done := make(chan struct{})
	go func() {
		defer close(done)
		b, err = io.ReadAll(io.LimitReader(r, maxMessage+1))
	}()
	select {
	case <-done:
	case <-ctx.Done():
		return "", ctx.Err()
	}
	if err != nil {
		return "", fmt.Errorf("read %s: %w", displayName(name), err)
	}
	if len(b) > maxMessage {
		return "", fmt.Errorf("%s is larger than %d MB; cut it", displayName(name), maxMessage>>20)
	}
	return string(b), nil
}

func (s *scanner) typeOf(name, text string) message.Type {
	if s.typ != nil {
		return *s.typ
	}
	t, why := guessType(name, text)
	s.e.verbosef("%s is read as %s, %s", displayName(name), t, why)
	return t
}

// guessType says what a message most likely is, and why.
func guessType(name, text string) (message.Type, string) {
	switch ext := strings.ToLower(filepath.Ext(name)); ext {
	case ".eml", ".mbox", ".mail", ".msg":
		return message.Mail, "by its name"
	case ".html", ".htm", ".xhtml":
		return message.HTML, "by its name"
	case ".txt", ".md":
		return message.Text, "by its name"
	}
	const lookAt = 4 << 10
	head := text[:min(len(text), lookAt)]
	if looksLikeMail(head) {
		return message.Mail, "since it begins with mail headers"
	}
	lower := strings.ToLower(strings.TrimLeft(strings.TrimPrefix(head, "\ufeff"), " \t\r\n"))
	for _, begin := range []string{"<!doctype html", "<html", "<body", "<head", "<div", "<p>", "<p ", "<a ", "<table", "<?xml"} {
		if strings.HasPrefix(lower, begin) {
			return message.HTML, "since it begins with a tag"
		}
	}
	return message.Text, "since it looks like neither mail nor HTML"
}

// looksLikeMail: it begins with header fields (RFC 5322 §2.2), and one of them
// is a field that mail has and other texts have not.
func looksLikeMail(head string) bool {
	known, first := false, true
	for line := range strings.Lines(head) {
		line = strings.TrimRight(line, "\r\n")
		if first && strings.HasPrefix(line, "From ") { // mbox
			continue
		}
		if line == "" {
			break
		}
		if !first && (line[0] == ' ' || line[0] == '\t') {
			continue
		}
		name, _, ok := strings.Cut(line, ":")
		if !ok || name == "" || strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r >= utf8.RuneSelf }) {
			return false
		}
		first = false
		switch strings.ToLower(name) {
		case "from", "to", "received", "return-path", "message-id", "mime-version", "delivered-to", "subject", "content-type":
			known = true
		}
	}
	return known
}

// print writes the table of a scanned message.
func (r *scan) print(o *output) {
	if r.File != "" {
		o.printf("%s\n", o.bold(displayName(r.File)+":"))
	}
	if len(r.Links) == 0 {
		o.print("no links\n")
	} else {
		r.table().print(o)
		o.printf("\n%s\n", r.counts(o))
	}
	for _, u := range r.Unscanned {
		o.printf("%s\n", o.paint(yellow, u.String()))
	}
}

func (r *scan) table() *table {
	t := &table{columns: []column{{name: "LEVEL"}, {name: "THREAT"}, {name: "SCORE", right: true}, {name: "LINK", flexible: true}, {name: "WHY", flexible: true}}}
	for i := range r.Links {
		f := &r.Links[i]
		l := reputation.Level(f.Level)
		score, threat := fmt.Sprintf("%.2f", f.Score), f.Threat
		shown := cmp.Or(f.Inner, f.Canonical)
		if shown == "" {
			shown, score = f.Link, ""
		}
		if threat == "" {
			threat = "–"
		}
		t.add(cell{l.String(), levelStyle(l)}, cell{text: threat}, cell{text: score}, cell{text: printable(shown)}, cell{text: f.why()})
	}
	return t
}

// why is the first reason, and what a reader of the message should know.
func (f *finding) why() string {
	var words []string
	for _, m := range f.Marks {
		switch m {
		case "mismatch":
			words = append(words, `shows "`+printable(f.Shown)+`" but leads elsewhere`)
		case "script", "data":
			words = append(words, "a "+m+" URL: leads to no server")
		case "defanged":
			words = append(words, "written so that nobody can click it")
		}
	}
	switch {
	case f.Wrapper == headlight.Redirect:
		words = append(words, "leads to "+printable(f.Inner))
	case f.Inner != "":
		words = append(words, "inside a wrapper of "+printable(f.Wrapper))
	}
	switch {
	case f.Error != "":
		words = append(words, printable(f.Error))
	case len(f.Reasons) > 0:
		words = append(words, f.Reasons[0].words())
	case f.Canonical != "":
		words = append(words, "nothing is known of it")
	}
	return strings.Join(words, "; ")
}

func (r *scan) counts(o *output) string {
	n := make(map[reputation.Level]int)
	for i := range r.Links {
		n[reputation.Level(r.Links[i].Level)]++
	}
	var parts []string
	for _, l := range []reputation.Level{reputation.Dangerous, reputation.Suspicious, reputation.Unknown, reputation.Safe} {
		if n[l] > 0 {
			parts = append(parts, o.paint(levelStyle(l), fmt.Sprintf("%d %s", n[l], l)))
		}
	}
	links := "links"
	if len(r.Links) == 1 {
		links = "link"
	}
	return fmt.Sprintf("%d %s: %s", len(r.Links), links, strings.Join(parts, ", "))
}

func (u unscanned) String() string {
	s := "not all of it was looked at: over the bound of " + printable(u.Bound)
	if u.Part != "" {
		s += " in part " + printable(u.Part)
	}
	if u.Bytes >= 0 {
		s += fmt.Sprintf(", %s bytes left out", thousands(u.Bytes))
	}
	return s
}
