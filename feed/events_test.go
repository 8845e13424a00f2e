package feed_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"headlight.example/evidence"
	"headlight.example/feed"
	"headlight.example/netmap"
)

var addrs = cmpopts.EquateComparable(netip.Addr{})

func at(s string) time.Time {
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		panic(err)
	}
	return t.UTC()
}

func TestParseEventReadsWhatTheDesignShows(t *testing.T) {
	t.Parallel()
	got, err := feed.ParseEvent(`{"time":"2026-01-02T15:04:05Z","type":"sighting","url":"http://a.example/x","addrs":["192.0.2.1","::ffff:192.0.2.2"],"ask":true}`)
	if err != nil {
		t.Fatal(err)
	}
	want := feed.Event{
		Time: at("2026-01-02T15:04:05Z"), Type: feed.Sighting, URL: "http://a.example/x",
		Addrs: []netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")}, Ask: true,
	}
	if d := cmp.Diff(want, got, addrs); d != "" {
		t.Error(d)
	}
	got, err = feed.ParseEvent(`{"time":"2026-01-02T15:04:05.25Z","type":"review","rater":"operator/ann","url":"http://a.example/x","assertion":"benign"}`)
	if err != nil {
		t.Fatal(err)
	}
	want = feed.Event{
		Time: at("2026-01-02T15:04:05.25Z"), Type: feed.Review, URL: "http://a.example/x",
		Rater: "operator/ann", Assertion: evidence.Benign,
	}
	if d := cmp.Diff(want, got, addrs); d != "" {
		t.Error(d)
	}
}

func TestEventsGoOnAfterAMalformedLine(t *testing.T) {
	t.Parallel()
	stream := `{"time":"2026-01-02T15:04:05Z","type":"sighting","url":"http://a.example/"}
nonsense

{"time":"2026-01-02T15:04:06Z","type":"sighting","url":"http://b.example/"}
`
	var lines []int
	for e, err := range feed.Events(strings.NewReader(stream)) {
		if bad, ok := errors.AsType[*feed.LineError](err); ok {
			lines = append(lines, -bad.Line)
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, e.Line)
	}
	if d := cmp.Diff([]int{1, -2, 4}, lines); d != "" {
		t.Error(d)
	}
}

// sameEvent compares two ways of reading; errors need only be there in both.
func sameEvent(t *testing.T, line string) {
	t.Helper()
	slow, slowErr := feed.UnmarshalOnly(line)
	got, err := feed.ParseEvent(line)
	if (err != nil) != (slowErr != nil) {
		t.Fatalf("%q: %v; by encoding/json: %v", line, err, slowErr)
	}
	if d := cmp.Diff(slow, got, addrs); d != "" {
		t.Fatalf("%q: against encoding/json:\n%s", line, d)
	}
}

func TestScanReadsAsEncodingJSONDoes(t *testing.T) {
	t.Parallel()
	const begin = `{"time":"2026-01-02T15:04:05Z","type":"sighting","url":"http://a.example/"`
	tests := []struct {
		line string
		fast bool
	}{
		{begin + `}`, true},
		{begin + `,"ask":true,"addrs":["192.0.2.1","2001:db8::1"]}`, true},
		{begin + `,"ask":false}`, true},
		{`{"ask":true,"url":"http://a.example/","type":"sighting","time":"1970-01-01T00:00:00Z"}`, true},
		{`{"time":"2024-02-29T23:59:59.123456789Z","type":"sighting","url":"x"}`, true},
		{`{"time":"2026-01-02T15:04:05Z","type":"report","rater":"feed/x/y","url":"x","assertion":"unwanted"}`, true},
		{`{"time":"2026-01-02T15:04:05Z","type":"review","rater":"operator/y","url":"x","assertion":"benign"}`, true},
		{begin + `} `, false},
		{begin + `, "ask":true}`, false},
		{begin + `,"ask":true,"ask":false}`, false},
		{begin + `,"ASK":true}`, false},
		{begin + `,"note":{"deep":[1,2]}}`, false},
		{begin + `,"addrs":[]}`, false},
		{begin + `,"addrs":null,"ask":null}`, false},
		{begin + `,"assertion":""}`, false},
		{`{"time":"2026-01-02T16:04:05+01:00","type":"sighting","url":"http:\/\/b\u00fc.example\/"}`, false},
		{`{"time":"2026-01-02T15:04:05Z","type":"sighting","url":"http://bü.example/"}`, false},
	}
	for _, test := range tests {
		sameEvent(t, test.line)
		if _, err := feed.ParseEvent(test.line); err != nil {
			t.Errorf("%s: %v", test.line, err)
		}
		if _, ok := feed.ScanOnly(test.line); ok != test.fast {
			t.Errorf("%s: read fast: %v", test.line, ok)
		}
	}
}

func TestParseEventRefuses(t *testing.T) {
	t.Parallel()
	many := func(n int) string { return strings.Repeat(`"192.0.2.1",`, n-1) + `"192.0.2.1"` }
	ok := `{"time":"2026-01-02T15:04:05Z","type":"sighting","url":"x","addrs":[` + many(feed.MaxAddrs) + `]}`
	if _, err := feed.ParseEvent(ok); err != nil {
		t.Errorf("MaxAddrs addresses: %v", err)
	}
	tests := []struct{ line, want string }{
		{``, "unexpected end"},
		{`{}`, "no type"},
		{`[]`, "cannot unmarshal"},
		{`{"time":"2026-01-02T15:04:05Z","type":"rumour","url":"x"}`, `type "rumour": want report, sighting or review`},
		{`{"type":"sighting","url":"x"}`, "no time, or one before 1970"},
		{`{"time":"1969-12-31T23:59:59Z","type":"sighting","url":"x"}`, "no time, or one before 1970"},
		{`{"time":"2026-02-29T00:00:00Z","type":"sighting","url":"x"}`, "parsing time"},
		{`{"time":"2026-01-02T24:00:00Z","type":"sighting","url":"x"}`, "parsing time"},
		{`{"time":"2026-01-02T15:04:05Z","type":"sighting"}`, "no url"},
		{`{"time":"2026-01-02T15:04:05Z","type":"sighting","url":"x","assertion":"spam"}`, "a sighting asserts nothing"},
		{`{"time":"2026-01-02T15:04:05Z","type":"sighting","url":"x","addrs":["192.0.2.256"]}`, "ParseAddr"},
		{`{"time":"2026-01-02T15:04:05Z","type":"sighting","url":"x","addrs":[""]}`, "address 1 is empty"},
		{`{"time":"2026-01-02T15:04:05Z","type":"sighting","url":"x","addrs":["fe80::1%eth0"]}`, "has a zone"},
		{`{"time":"2026-01-02T15:04:05Z","type":"sighting","url":"x","addrs":[` + many(feed.MaxAddrs+1) + `]}`, "129 addresses: at most 128"},
		{`{"time":"2026-01-02T15:04:05Z","type":"report","url":"x","assertion":"spam"}`, "rater"},
		{`{"time":"2026-01-02T15:04:05Z","type":"report","rater":"feed","url":"x","assertion":"spam"}`, "rater"},
		{`{"time":"2026-01-02T15:04:05Z","type":"report","rater":"feed/x","url":"x"}`, "a report without an assertion"},
		{`{"time":"2026-01-02T15:04:05Z","type":"report","rater":"feed/x","url":"x","assertion":"seen"}`, `assertion "seen": want`},
		{`{"time":"2026-01-02T15:04:05Z","type":"review","rater":"feed/x","url":"x","assertion":"spam"}`, `a review by "feed/x", who is no operator`},
	}
	for _, test := range tests {
		if _, err := feed.ParseEvent(test.line); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%.100s: %v, want %q", test.line, err, test.want)
		}
		sameEvent(t, test.line)
	}
}

func TestTimesAreReadAsPackageTimeDoes(t *testing.T) {
	t.Parallel()
	for day := at("1970-01-01T00:00:00Z"); day.Year() < 2401; day = day.AddDate(0, 0, 13) {
		s := day.Add(12345 * time.Second).Format(time.RFC3339)
		if got, ok := feed.ParseRFC3339(s); !ok || !got.Equal(at(s)) {
			t.Fatalf("%s: %v, %v", s, got, ok)
		}
	}
	for _, s := range []string{"2023-02-29T00:00:00Z", "2023-00-10T00:00:00Z", "2023-13-10T00:00:00Z", "2023-04-31T00:00:00Z", "2023-01-00T00:00:00Z",
		"2023-01-01T00:60:00Z", "2023-01-01T00:00:60Z", "2023-01-01T00:00:00.Z", "2023-01-01T00:00:00.1234567890Z", "2023-01-01t00:00:00Z",
		"2023-01-01T00:00:00", "2023-01-01T00:00:00z", "2023-01-01T00:00:00,1Z", "1969-01-01T00:00:00Z", "", "Z"} {
		if got, ok := feed.ParseRFC3339(s); ok {
			t.Errorf("%q was read as %v", s, got)
		}
	}
}

func TestEventsBecomeRecords(t *testing.T) {
	t.Parallel()
	stream := `{"time":"2026-01-02T15:04:05Z","type":"report","rater":"feed/x/ann","url":"HTTP://A.example:80/b?secret","assertion":"phishing"}
{"time":"2026-01-02T15:04:06Z","type":"report","rater":"feed/x/ann","url":"http://a.example/b?secret","assertion":"benign"}
{"time":"2026-01-02T15:04:07Z","type":"review","rater":"operator/bo","url":"http://a.example/","assertion":"benign"}
{"time":"2026-01-02T15:04:08Z","type":"sighting","url":"http://a.example/b?secret","addrs":["192.0.2.1","::ffff:192.0.2.2"]}
{"time":"2026-01-02T15:04:09Z","type":"sighting","url":"http://192.0.2.9/x","addrs":["192.0.2.9"]}
{"time":"2026-01-02T15:04:10Z","type":"sighting","url":"nowhere:x"}
`
	want := []string{
		"url a.example/b?secret phishing 2026-01-02T15:04:05Z by feed/x/ann",
		"url a.example/b?secret benign 2026-01-02T15:04:06Z by feed/x/ann",
		"url a.example/ benign 2026-01-02T15:04:07Z by operator/bo",
		"host a.example resolves-to addr 192.0.2.1 2026-01-02T15:04:08Z by service/sighting",
		"host a.example resolves-to addr 192.0.2.2 2026-01-02T15:04:08Z by service/sighting",
		"host a.example seen 2026-01-02T15:04:08Z by service/sighting",
		"host 192.0.2.9 seen 2026-01-02T15:04:09Z by service/sighting",
	}
	got := said(format(t, "events"), stream, feed.Options{})
	if d := cmp.Diff(want, got[:len(got)-1]); d != "" {
		t.Error(d)
	}
	if !strings.HasPrefix(got[len(got)-1], "line 6: ") {
		t.Errorf("a URL that leads nowhere: %q", got[len(got)-1])
	}
	// Of a link that nobody reported, no more than the host is told.
	key := &evidence.Key{1}
	for r, err := range format(t, "events").Read(strings.NewReader(stream), feed.Options{Key: key}) {
		if err == nil && r.Assertion == evidence.Seen && (r.Subject.Kind != evidence.Sealed || strings.Contains(r.Subject.Key, "secret")) {
			t.Errorf("a sighting says %v", r.Subject)
		}
	}
}

func TestSightingsAreStampedWithNetworks(t *testing.T) {
	t.Parallel()
	var b netmap.Builder
	if _, err := b.Read(strings.NewReader("192.0.2.0,192.0.2.127,64496,Example\n2001:db8::,2001:db8:0:ffff:ffff:ffff:ffff:ffff,4294967295,Far\n")); err != nil {
		t.Fatal(err)
	}
	stream := `{"time":"2026-01-02T15:04:08Z","type":"sighting","url":"http://a.example/","addrs":["::ffff:192.0.2.1","198.51.100.1","2001:DB8::0:1"]}
{"time":"2026-01-02T15:04:09Z","type":"sighting","url":"http://3221225993/x","addrs":["198.51.100.7"]}
{"time":"2026-01-02T15:04:10Z","type":"sighting","url":"http://many.example/","addrs":["203.0.113.1","203.0.113.2","203.0.113.3","192.0.2.4","192.0.2.5"]}
{"time":"2026-01-02T15:04:11Z","type":"report","rater":"feed/x","url":"http://192.0.2.9/","assertion":"spam","addrs":["192.0.2.9"]}
{"time":"2026-01-02T15:04:12Z","type":"sighting","url":"http://b.example/","addrs":["192.0.2.1"]}
{"time":"2026-01-03T00:00:00Z","type":"sighting","url":"http://c.example/","addrs":["192.0.2.1"]}
`
	seen := func(second int, what ...string) (lines []string) {
		for _, w := range what {
			lines = append(lines, fmt.Sprintf("%s 2026-01-02T15:04:%02dZ by service/sighting", w, second))
		}
		return lines
	}
	want := slices.Concat(
		seen(8,
			"host a.example resolves-to addr 192.0.2.1",
			"addr 192.0.2.1 announced-in prefix 192.0.2.0/25",
			"addr 192.0.2.1 originated-by as 64496",
			"host a.example resolves-to addr 198.51.100.1",
			"host a.example resolves-to addr 2001:db8::1",
			"addr 2001:db8::1 announced-in prefix 2001:db8::/48",
			"addr 2001:db8::1 originated-by as 4294967295",
			"host a.example seen"),
		seen(9,
			"addr 192.0.2.9 announced-in prefix 192.0.2.0/25", // it is where it says, whatever else is said
			"addr 192.0.2.9 originated-by as 64496",
			"host 192.0.2.9 seen"),
		seen(10,
			"host many.example resolves-to addr 203.0.113.1",
			"host many.example resolves-to addr 203.0.113.2",
			"host many.example resolves-to addr 203.0.113.3",
			"host many.example resolves-to addr 192.0.2.4", // the fourth is the last
			"addr 192.0.2.4 announced-in prefix 192.0.2.0/25",
			"addr 192.0.2.4 originated-by as 64496",
			"host many.example seen"),
		[]string{"url 192.0.2.9/ spam 2026-01-02T15:04:11Z by feed/x"},
		seen(12, // where the address is was told on that day
			"host b.example resolves-to addr 192.0.2.1",
			"host b.example seen"),
		[]string{
			"host c.example resolves-to addr 192.0.2.1 2026-01-03T00:00:00Z by service/sighting",
			"addr 192.0.2.1 announced-in prefix 192.0.2.0/25 2026-01-03T00:00:00Z by service/sighting",
			"addr 192.0.2.1 originated-by as 64496 2026-01-03T00:00:00Z by service/sighting",
			"host c.example seen 2026-01-03T00:00:00Z by service/sighting",
		},
	)
	if d := cmp.Diff(want, said(format(t, "events"), stream, feed.Options{Networks: b.Map()})); d != "" {
		t.Error(d)
	}
}

func TestAStreamFromElsewhereSpeaksForNobodyElse(t *testing.T) {
	t.Parallel()
	stream := `{"time":"2026-01-02T15:04:05Z","type":"review","rater":"operator/bo","url":"http://a.example/","assertion":"phishing"}
{"time":"2026-01-02T15:04:06Z","type":"report","rater":"user/x","url":"http://a.example/","assertion":"benign"}
{"time":"2026-01-02T15:04:08Z","type":"sighting","url":"http://a.example/"}
`
	want := []string{
		"url a.example/ phishing 2026-01-02T15:04:05Z by feed/theirs",
		"url a.example/ benign 2026-01-02T15:04:06Z by feed/theirs",
		"host a.example seen 2026-01-02T15:04:08Z by feed/theirs",
	}
	if d := cmp.Diff(want, said(format(t, "events"), stream, feed.Options{Rater: "feed/theirs"})); d != "" {
		t.Error(d)
	}
}

func TestEventsRoundTrip(t *testing.T) {
	t.Parallel()
	for _, e := range []feed.Event{
		{Time: at("2026-01-02T15:04:05.000000001Z"), Type: feed.Sighting, URL: "http://a.example/\"<é&\\\x7f", Ask: true,
			Addrs: []netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")}},
		{Time: at("2026-01-02T15:04:05Z"), Type: feed.Report, Rater: "user/a@b", URL: "x", Assertion: evidence.Spam},
	} {
		line := e.AppendJSON(nil)
		got, err := feed.ParseEvent(string(line))
		if err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		if d := cmp.Diff(e, got, addrs); d != "" {
			t.Error(d)
		}
		b, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		var again feed.Event
		if err := json.Unmarshal(b, &again); err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(e, again, addrs); d != "" {
			t.Error(d)
		}
	}
}

func TestParseEventAllocatesForAddressesOnly(t *testing.T) {
	line := `{"time":"2026-01-02T15:04:05Z","type":"report","rater":"feed/x","url":"http://a.example/","assertion":"phishing"}`
	if n := testing.AllocsPerRun(100, func() {
		if _, err := feed.ParseEvent(line); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// TestPublishedReports reads what three lists once said: testdata/README.md.
func TestPublishedReports(t *testing.T) {
	t.Parallel()
	b, err := os.ReadFile("testdata/reports.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	var out []byte
	raters := map[string]int{}
	for e, err := range feed.Events(bytes.NewReader(b)) {
		if err != nil {
			t.Fatal(err)
		}
		out = append(e.AppendJSON(out), '\n')
		l, err := e.Link()
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range e.Records(nil, l, nil, nil) {
			if err := r.Validate(); err != nil {
				t.Error(err)
			}
			raters[r.Rater]++
		}
	}
	if !bytes.Equal(b, out) {
		t.Error("written again, they are not as they were")
	}
	if d := cmp.Diff(map[string]int{"feed/urlhaus": 19, "feed/threatfox": 12, "feed/scamblocklist": 8}, raters); d != "" {
		t.Error(d)
	}
}
