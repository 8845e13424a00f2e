package link_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"headlight.example/link"
)

// differences are the vectors that we do not follow, each with its reason
// (testdata/differences.txt). One that is not listed fails, and so does one that
// is listed without need.
type differences struct {
	listed map[string]bool
	seen   map[string]bool
}

func readDifferences(t *testing.T) *differences {
	t.Helper()
	text, err := os.ReadFile("testdata/differences.txt")
	if err != nil {
		t.Fatal(err)
	}
	d := &differences{map[string]bool{}, map[string]bool{}}
	reason := ""
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSuffix(line, "\n")
		switch {
		case line == "":
			reason = ""
		case strings.HasPrefix(line, "#"):
			reason += line[1:]
		case reason == "":
			t.Errorf("difference without a reason above it: %s", line)
		default:
			d.listed[line] = true
		}
	}
	return d
}

// check compares one vector.
func (d *differences) check(t *testing.T, table, input, got, want string) {
	t.Helper()
	key := table + " " + strconv.QuoteToASCII(input)
	switch {
	case got == want:
		if d.listed[key] && !d.seen[key] {
			t.Errorf("%s differs no longer: take it off testdata/differences.txt", key)
		}
	case !d.listed[key]:
		t.Errorf("%s: got %q, want %q", key, got, want)
	}
	d.seen[key] = true
}

func (d *differences) checkAllSeen(t *testing.T) {
	t.Helper()
	for key := range d.listed {
		if !d.seen[key] {
			t.Errorf("testdata/differences.txt lists %s, which is no vector", key)
		}
	}
}

func TestVectors(t *testing.T) {
	d := readDifferences(t)
	safeBrowsingVectors(t, d)
	urlStandardVectors(t, d)
	idnaVectors(t, d, "toascii")
	idnaVectors(t, d, "IdnaTestV2")
	percentVectors(t, d)
	d.checkAllSeen(t)
}

// safeBrowsingVectors are pairs of google/safebrowsing: input and result of the
// function that the table tests.
func safeBrowsingVectors(t *testing.T, d *differences) {
	f, err := os.Open("testdata/safebrowsing/safebrowsing_pairs.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	count := 0
	for s := bufio.NewScanner(f); s.Scan(); count++ {
		var v struct {
			Row   []json.RawMessage
			Table string
		}
		if err := json.Unmarshal(s.Bytes(), &v); err != nil {
			t.Fatal(err)
		}
		var input string
		if err := json.Unmarshal(v.Row[0], &input); err != nil {
			t.Fatal(err)
		}
		input = strings.ReplaceAll(input, "\ufffd", "\x80") // JSON could not hold the byte
		got, want := safeBrowsingResult(t, v.Table, input), safeBrowsingWant(t, v.Row[1])
		d.check(t, v.Table, input, got, want)
	}
	if count < 100 {
		t.Errorf("%d vectors of Safe Browsing", count)
	}
}

// safeBrowsingWant makes one text of the result: "" for an error, a list sorted.
func safeBrowsingWant(t *testing.T, raw json.RawMessage) string {
	var one string
	if json.Unmarshal(raw, &one) == nil {
		return one
	}
	var list []string
	if json.Unmarshal(raw, &list) == nil {
		slices.Sort(list)
		return strings.Join(list, " ")
	}
	if strings.Contains(string(raw), "ident") { // an error is wanted
		return ""
	}
	t.Fatalf("a result of no known kind: %s", raw)
	return ""
}

func safeBrowsingResult(t *testing.T, table, input string) string {
	l, err := link.Parse(input)
	if err != nil {
		return ""
	}
	canonical, _, _ := strings.Cut(l.Canonical(), "?") // as their canonicalURL leaves it
	path := canonical[len(l.Scheme())+len("://")+len(l.Host()):]
	expressions := link.AppendExpressions(nil, l, link.V4)
	part := map[string]bool{}
	switch table {
	case "TestCanonicalURL":
		return canonical
	case "TestCanonicalHost":
		return l.Host()
	case "TestCanonicalPath":
		return path
	case "TestParseIPAddress":
		if _, ok := l.Addr(); !ok {
			return ""
		}
		return l.Host()
	case "TestGeneratePatterns":
		for _, e := range expressions {
			part[e] = true
		}
	case "TestGenerateLookupHosts":
		for _, e := range expressions {
			host, _, _ := strings.Cut(e, "/")
			part[host] = true
		}
	case "TestGenerateLookupPaths":
		for _, e := range expressions {
			if p, ok := strings.CutPrefix(e, l.Host()); ok {
				part[p] = true
			}
		}
	default:
		t.Fatalf("unknown table %s", table)
	}
	list := make([]string, 0, len(part))
	for p := range part {
		list = append(list, p)
	}
	slices.Sort(list)
	return strings.Join(list, " ")
}

// absolute are the inputs that do not depend on the base they are tested with.
var absolute = regexp.MustCompile(`(?i)^[\x00-\x20]*(https?|ftp|wss?):[/\\]{2}`)

// urlStandardVectors are those of the URL Standard (web-platform-tests) that are
// of a scheme we read. A link equals what a browser makes of it if both have
// one canonical form, and host, port and userinfo are the browser's. What a
// browser refuses must be refused or marked.
func urlStandardVectors(t *testing.T, d *differences) {
	var vectors []json.RawMessage
	readJSON(t, "testdata/wpt/urltestdata.json", &vectors)
	count := 0
	for _, raw := range vectors {
		var v struct {
			Input, Href, Protocol, Hostname, Port, Username, Password string
			Failure                                                   bool
		}
		if json.Unmarshal(raw, &v) != nil || !absolute.MatchString(noTabs.Replace(v.Input)) {
			continue // a comment, or of no interest
		}
		count++
		l, err := link.Parse(v.Input)
		if v.Failure {
			d.check(t, "url", v.Input, refusal(l, err), "refused")
			continue
		}
		browser, err2 := link.Parse(v.Href)
		if err2 != nil {
			d.check(t, "url", v.Input, err2.Error(), v.Href)
			continue
		}
		port, _ := strconv.Atoi(v.Port)
		got := fmt.Sprintf("%s %s: host %s port %d userinfo %v %s", l.Canonical(), l.Scheme(), l.Host(), l.Port(), l.Userinfo(), refusal(l, err))
		want := fmt.Sprintf("%s %s host %s port %d userinfo %v read", browser.Canonical(), v.Protocol, withoutDots(v.Hostname), port, v.Username+v.Password != "")
		d.check(t, "url", v.Input, got, want)
	}
	if count < 250 {
		t.Errorf("%d vectors of the URL Standard", count)
	}
}

// withoutDots applies the rule that a browser does not have: no dots before,
// behind or beside one another (Safe Browsing, "Canonicalization").
func withoutDots(host string) string {
	return strings.Join(strings.FieldsFunc(host, func(r rune) bool { return r == '.' }), ".")
}

func refusal(l link.Link, err error) string {
	if err != nil || l.Marks()&link.OddHost != 0 {
		return "refused"
	}
	return "read"
}

var noTabs = strings.NewReplacer("\t", "", "\r", "", "\n", "")

// idnaVectors are inputs and outputs of the URL Standard's "domain to ASCII".
func idnaVectors(t *testing.T, d *differences, table string) {
	var vectors []json.RawMessage
	readJSON(t, "testdata/wpt/"+table+".json", &vectors)
	count := 0
	for _, raw := range vectors {
		var v struct {
			Input  string
			Output *string
		}
		if json.Unmarshal(raw, &v) != nil {
			continue // a comment
		}
		count++
		l, err := link.Parse("http://" + v.Input + "/x")
		if v.Output == nil {
			d.check(t, table, v.Input, refusal(l, err), "refused")
			continue
		}
		host := withoutDots(*v.Output)
		if host == "" { // nothing but dots
			d.check(t, table, v.Input, refusal(l, err), "refused")
			continue
		}
		d.check(t, table, v.Input, l.Host()+" "+refusal(l, err), host+" read")
	}
	if count < 80 {
		t.Errorf("%d vectors of %s", count, table)
	}
}

// percentVectors are what a browser makes of a query in UTF-8.
func percentVectors(t *testing.T, d *differences) {
	var vectors []json.RawMessage
	readJSON(t, "testdata/wpt/percent-encoding.json", &vectors)
	count := 0
	for _, raw := range vectors {
		var v struct {
			Input  string
			Output map[string]string
		}
		if json.Unmarshal(raw, &v) != nil {
			continue // a comment
		}
		count++
		got, _ := link.Parse("http://h.example/?" + v.Input)
		want, _ := link.Parse("http://h.example/?" + v.Output["utf-8"])
		d.check(t, "percent", v.Input, got.Canonical(), want.Canonical())
	}
	if count < 5 {
		t.Errorf("%d vectors of percent-encoding", count)
	}
}

func readJSON(t *testing.T, name string, v any) {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, v); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}
