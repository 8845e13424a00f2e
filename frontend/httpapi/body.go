package httpapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// Bounds of what a body may hold.
const (
	// maxLinks is how many links one check may name: at a few microseconds
	// each, a call stays within some milliseconds.
	maxLinks = 1000
	// maxReports is how many reports one call may make: they are made durable
	// together, and others wait for them.
	maxReports = 1000
)

// scanBody is what POST /v1/scan takes.
type scanBody struct {
	typ, text string
}

// report is one report or appeal, as written.
type report struct {
	at         string // where it stands in the body: "" or "reports[2]."
	url        string
	kind, key  string
	hasURL     bool
	hasSubject bool
	assertion  string
	rater      string
	time       time.Time
}

// decoder reads a JSON body strictly: names are matched exactly, each may stand
// once, and values must be of the type that is asked for (null is none).
// encoding/json alone would take "LINKS", twice, and let null pass.
type decoder struct {
	*json.Decoder
}

// decode checks that body is one JSON object and lets read take it apart.
func decode(body []byte, read func(d decoder) error) error {
	if err := syntax(body); err != nil {
		return err
	}
	d := decoder{json.NewDecoder(bytes.NewReader(body))}
	d.UseNumber()
	return read(d)
}

// syntax finds what the token reader would let pass, and says where.
func syntax(body []byte) error {
	var raw json.RawMessage
	err := json.Unmarshal(body, &raw)
	if err == nil {
		return nil
	}
	offset := int64(0)
	if s, ok := errors.AsType[*json.SyntaxError](err); ok {
		offset = max(s.Offset-1, 0) // Offset counts the bytes read
	}
	if len(bytes.TrimSpace(body)) == 0 {
		return problem(notJSON, "the body is empty; want a JSON object")
	}
	return problem(notJSON, "byte %d: %s", offset, strings.TrimPrefix(err.Error(), "json: "))
}

// next is Token where the syntax is known to be good: it cannot fail but for a
// number that is no number, which is then no string either.
func (d decoder) next() json.Token {
	t, err := d.Token()
	if err != nil {
		return nil
	}
	return t
}

// object reads an object; member is called for each name, and reads its value.
// At is where the object stands, "" or a path that ends in ".".
func (d decoder) object(at string, known []string, member func(name string) error) error {
	if t := d.next(); t != json.Delim('{') {
		field := strings.TrimSuffix(at, ".")
		return wrong(field, "%s: want an object, got %s", orBody(field), typeName(t))
	}
	var seen []string
	for d.More() {
		name, _ := d.next().(string)
		switch {
		case !slices.Contains(known, name):
			return wrong(at+clip(name), "%s is unknown%s", at+clip(name), suggestion(name, known))
		case slices.Contains(seen, name):
			return wrong(at+name, "%s is given twice", at+name)
		}
		seen = append(seen, name)
		if err := member(name); err != nil {
			return err
		}
	}
	d.next()
	return nil
}

// array reads an array of at most max elements; element reads each.
func (d decoder) array(at string, max int, element func(i int) error) error {
	if t := d.next(); t != json.Delim('[') {
		return wrong(at, "%s: want an array, got %s", at, typeName(t))
	}
	for i := 0; d.More(); i++ {
		if i == max {
			p := problem(tooLarge, "%s: more than %d elements", at, max)
			p.field = at
			return p
		}
		if err := element(i); err != nil {
			return err
		}
	}
	d.next()
	return nil
}

// str reads a string.
func (d decoder) str(at string, into *string) error {
	t := d.next()
	s, ok := t.(string)
	if !ok {
		return wrong(at, "%s: want a string, got %s", at, typeName(t))
	}
	*into = s
	return nil
}

func orBody(field string) string {
	if field == "" {
		return "the body"
	}
	return field
}

func typeName(t json.Token) string {
	switch t := t.(type) {
	case json.Delim:
		if t == '[' {
			return "an array"
		}
		return "an object"
	case string:
		return "a string"
	case json.Number:
		return "a number"
	case bool:
		return "a boolean"
	}
	return "null"
}

// suggestion names the known name nearest to a wrong one, or all of them.
func suggestion(name string, known []string) string {
	best, distance := "", 3 // three slips are another word
	for _, k := range known {
		if n := edits(strings.ToLower(name), k); n < distance {
			best, distance = k, n
		}
	}
	if best != "" {
		return fmt.Sprintf("; did you mean %q?", best)
	}
	return "; known are " + strings.Join(known, ", ")
}

// edits is the Levenshtein distance, at most 3 where it is more.
func edits(a, b string) int {
	if len(a) > len(b)+3 || len(b) > len(a)+3 {
		return 3
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			substitute := diagonal
			if a[i] != b[j] {
				substitute++
			}
			diagonal = row[j+1]
			row[j+1] = min(substitute, row[j]+1, row[j+1]+1)
		}
	}
	return min(row[len(b)], 3)
}

// clip shortens what a client sent for a sentence.
func clip(s string) string {
	const most = 60
	if len(s) <= most {
		return s
	}
	n := most
	for n > 0 && s[n]&0xc0 == 0x80 {
		n--
	}
	return s[:n] + "…"
}

var scanMembers = []string{"type", "text"}

func decodeScan(body []byte) (s scanBody, err error) {
	var hasType, hasText bool
	err = decode(body, func(d decoder) error {
		return d.object("", scanMembers, func(name string) error {
			if name == "type" {
				hasType = true
				return d.str(name, &s.typ)
			}
			hasText = true
			return d.str(name, &s.text)
		})
	})
	switch {
	case err != nil:
		return scanBody{}, err
	case !hasType:
		return scanBody{}, wrong("type", "type is missing: want text/plain, text/html or message/rfc822")
	case !hasText:
		return scanBody{}, wrong("text", "text is missing: want the message to be scanned")
	}
	return s, nil
}

var checkMembers = []string{"links"}

func decodeCheck(body []byte) (links []string, err error) {
	has := false
	err = decode(body, func(d decoder) error {
		return d.object("", checkMembers, func(name string) error {
			has = true
			return d.array(name, maxLinks, func(i int) error {
				var s string
				if err := d.str(fmt.Sprintf("links[%d]", i), &s); err != nil {
					return err
				}
				links = append(links, s)
				return nil
			})
		})
	})
	if err == nil && !has {
		err = wrong("links", "links is missing: want an array of URLs")
	}
	if err != nil {
		return nil, err
	}
	return links, nil
}

var (
	reportMembers  = []string{"url", "subject", "assertion", "time", "rater"}
	appealMembers  = []string{"url", "subject"}
	subjectMembers = []string{"kind", "key"}
)

// decodeReports reads one report, or {"reports":[…]}; list says which.
func decodeReports(body []byte) (reports []report, list bool, err error) {
	var one report
	single := ""
	err = decode(body, func(d decoder) error {
		return d.object("", append([]string{"reports"}, reportMembers...), func(name string) error {
			if name != "reports" {
				single = name
				return d.report(&one, name)
			}
			list = true
			return d.array(name, maxReports, func(i int) error {
				r := report{at: fmt.Sprintf("reports[%d].", i)}
				err := d.object(r.at, reportMembers, func(name string) error { return d.report(&r, name) })
				reports = append(reports, r)
				return err
			})
		})
	})
	switch {
	case err != nil:
		return nil, false, err
	case list && single != "":
		return nil, false, wrong(single, "%s stands beside reports: give one report, or a list of them", single)
	case !list:
		reports = []report{one}
	case len(reports) == 0:
		return nil, false, wrong("reports", "reports is empty")
	}
	for i := range reports {
		if err := reports[i].complete(true); err != nil {
			return nil, false, err
		}
	}
	return reports, list, nil
}

func decodeAppeal(body []byte) (r report, err error) {
	err = decode(body, func(d decoder) error {
		return d.object("", appealMembers, func(name string) error { return d.report(&r, name) })
	})
	if err == nil {
		err = r.complete(false)
	}
	return r, err
}

// report reads one member of a report.
func (d decoder) report(r *report, name string) error {
	at := r.at + name
	switch name {
	case "url":
		r.hasURL = true
		return d.str(at, &r.url)
	case "assertion":
		return d.str(at, &r.assertion)
	case "rater":
		return d.str(at, &r.rater)
	case "time":
		return d.time(at, &r.time)
	}
	r.hasSubject = true
	return d.object(at+".", subjectMembers, func(name string) error {
		if name == "kind" {
			return d.str(at+".kind", &r.kind)
		}
		return d.str(at+".key", &r.key)
	})
}

func (d decoder) time(at string, into *time.Time) error {
	var s string
	if err := d.str(at, &s); err != nil {
		return err
	}
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return wrong(at, "%s: want a time as in RFC 3339, such as 2026-01-31T12:00:00Z", at)
	}
	// What was observed before the web is a slip, and the log would refuse it.
	if t.Year() < 1990 || t.Year() > 9998 {
		return wrong(at, "%s: the year %d cannot be meant", at, t.Year())
	}
	*into = t.UTC()
	return nil
}

// complete says what is missing of a report or, without assertion, an appeal.
func (r *report) complete(withAssertion bool) error {
	switch {
	case r.hasURL == r.hasSubject:
		return wrong(r.at+"url", "%surl or %ssubject: want exactly one of the two", r.at, r.at)
	case r.hasSubject && r.kind == "":
		return wrong(r.at+"subject.kind", "%ssubject.kind is missing", r.at)
	case r.hasSubject && r.key == "":
		return wrong(r.at+"subject.key", "%ssubject.key is missing", r.at)
	case withAssertion && r.assertion == "":
		return wrong(r.at+"assertion", "%sassertion is missing: want one of %s", r.at, strings.Join(reportable, ", "))
	}
	return nil
}

// errTooLong is what a limitedReader gives past its bound.
var errTooLong = errors.New("over the bound")

// limitedReader gives errTooLong where io.LimitReader gives a quiet end.
type limitedReader struct {
	r    io.Reader
	left int64 // bytes that may still be read
}

func (l *limitedReader) Read(b []byte) (int, error) {
	if int64(len(b)) > l.left+1 {
		b = b[:l.left+1]
	}
	n, err := l.r.Read(b)
	if l.left -= int64(n); l.left < 0 {
		return n, errTooLong
	}
	return n, err
}
