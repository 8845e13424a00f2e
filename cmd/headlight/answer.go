package main

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"headlight.example/message"
	"headlight.example/reputation"
)

// verdict is the VERDICT of the API, whether it came from a server or was
// made in this process: -json prints it as the API does.
type verdict struct {
	Link      string   `json:"link"`
	Canonical string   `json:"canonical"`
	Level     level    `json:"level"`
	Threat    string   `json:"threat"`
	Score     float64  `json:"score"`
	Reasons   []reason `json:"reasons"`
	Expires   string   `json:"expires"`
	ID        string   `json:"id"`
	// Inner is the link inside a wrapper, which was judged with it, and Wrapper
	// whose wrapper it is; "" if Link is none.
	Inner   string `json:"inner,omitempty"`
	Wrapper string `json:"wrapper,omitempty"`
	// Error says why Link is no link; "" if it is one.
	Error string `json:"error,omitempty"`
}

type reason struct {
	Subject about    `json:"subject"`
	Weight  float64  `json:"weight"`
	Bad     float64  `json:"bad"`
	Good    float64  `json:"good"`
	Raters  []string `json:"raters"`
	Text    string   `json:"text"`
}

// about is what a reason or a rung is about: a subject, or what has the form of
// one ("marker", "spelling", "server", "usual").
type about struct {
	Kind string `json:"kind"`
	Key  string `json:"key"`
}

// level is a reputation.Level in JSON.
type level reputation.Level

func (l level) MarshalText() ([]byte, error) { return []byte(reputation.Level(l).String()), nil }

func (l *level) UnmarshalText(b []byte) error {
	v, err := reputation.ParseLevel(string(b))
	*l = level(v)
	return err
}

// checkBatch is how many links the API takes at once.
const checkBatch = 1000

// check judges links, each as given.
func (c *client) check(ctx context.Context, links []string) ([]verdict, error) {
	verdicts := make([]verdict, 0, len(links))
	for len(links) > 0 {
		n := min(len(links), checkBatch)
		b, err := c.post(ctx, "/v1/check", map[string][]string{"links": links[:n]})
		if err != nil {
			return nil, err
		}
		var answer struct {
			Verdicts []verdict `json:"verdicts"`
		}
		if err := json.Unmarshal(b, &answer); err != nil {
			return nil, fmt.Errorf("answer of %s: %w", c.base, err)
		}
		if len(answer.Verdicts) != n {
			return nil, fmt.Errorf("answer of %s: %d verdicts on %d links", c.base, len(answer.Verdicts), n)
		}
		verdicts = append(verdicts, answer.Verdicts...)
		links = links[n:]
	}
	return verdicts, nil
}

// finding is a link of a message and what is thought of it, as in the answer
// to POST /v1/scan.
type finding struct {
	verdict
	Shown  string   `json:"shown"`
	Where  string   `json:"where"`
	Part   string   `json:"part"`
	Offset int      `json:"offset"`
	Marks  []string `json:"marks"`
}

// unscanned is a part of a message that was not looked at.
type unscanned struct {
	Bound string `json:"bound"`
	Part  string `json:"part"`
	Bytes int    `json:"bytes"`
}

// scan is the answer to POST /v1/scan.
type scan struct {
	File      string      `json:"file,omitempty"`
	Level     level       `json:"level"`
	Links     []finding   `json:"links"`
	Unscanned []unscanned `json:"unscanned"`
}

// scan finds the links of a message here and has them judged: to a server go
// the links, never the text.
func (c *client) scan(ctx context.Context, t message.Type, text string) (scan, error) {
	out := scan{Level: level(reputation.Safe), Links: []finding{}, Unscanned: []unscanned{}}
	var links []string
	var at []int // out.Links that wait for the verdict of links
	for found, err := range message.Links(t, text) {
		if err != nil {
			out.leftOut(err)
			continue
		}
		f := finding{
			verdict: verdict{Link: found.Raw, Reasons: []reason{}},
			Shown:   found.Shown, Where: whereName(found.Where), Part: found.Part,
			Offset: found.Offset, Marks: markNames(found.Marks),
		}
		if !found.Link.IsZero() {
			// What is judged is the link as it was understood: Raw may be defanged,
			// relative or broken over lines.
			links, at = append(links, found.Link.String()), append(at, len(out.Links))
		}
		out.Links = append(out.Links, f)
	}
	verdicts, err := c.check(ctx, links)
	if err != nil {
		return scan{}, err
	}
	for i, v := range verdicts {
		f := &out.Links[at[i]]
		v.Link = f.Link
		f.verdict = v
	}
	for i := range out.Links {
		out.Level = max(out.Level, out.Links[i].Level)
	}
	return out, nil
}

func (s *scan) leftOut(err error) {
	s.Level = max(s.Level, level(reputation.Unknown))
	u := unscanned{Bound: err.Error(), Bytes: -1}
	if bound, ok := err.(*message.BoundError); ok {
		u = unscanned{Bound: bound.Bound, Part: bound.Part, Bytes: bound.Unscanned}
	}
	s.Unscanned = append(s.Unscanned, u)
}

var whereNames = map[message.Where]string{
	message.InText: "text", message.Anchor: "anchor", message.Source: "source",
	message.Form: "form", message.Refresh: "refresh", message.Header: "header",
}

func whereName(w message.Where) string { return whereNames[w] }

var markWords = []struct {
	mark message.Marks
	name string
}{
	{message.Defanged, "defanged"}, {message.Schemeless, "schemeless"}, {message.Broken, "broken"},
	{message.Mismatch, "mismatch"}, {message.Script, "script"}, {message.Data, "data"},
	{message.Unsubscribe, "unsubscribe"},
}

func markNames(m message.Marks) []string {
	names := []string{}
	for _, w := range markWords {
		if m&w.mark != 0 {
			names = append(names, w.name)
		}
	}
	return names
}

// expiry reads the time of a verdict's end; zero if it has none.
func (v *verdict) expiry() time.Time {
	t, err := time.Parse(time.RFC3339, v.Expires)
	if err != nil {
		return time.Time{}
	}
	return t
}
