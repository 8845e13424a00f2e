package feed_test

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"headlight.example/evidence"
	"headlight.example/feed"
)

// now is when the tests read their lists.
var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func format(t testing.TB, name string) feed.Format {
	t.Helper()
	f, err := feed.Lookup(name)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// said writes what a list says as lines that are easy to compare. Records at
// now by the format's rater leave out both.
func said(f feed.Format, text string, o feed.Options) []string {
	if o.Now.IsZero() {
		o.Now = now
	}
	var lines []string
	for r, err := range f.Read(strings.NewReader(text), o) {
		if err != nil {
			lines = append(lines, err.Error())
			continue
		}
		line := fmt.Sprintf("%v %s %v", r.Subject.Kind, r.Subject.Key, r.Assertion)
		if r.Object.Key != "" {
			line += fmt.Sprintf(" %v %s", r.Object.Kind, r.Object.Key)
		}
		if r.Count != 1 {
			line += fmt.Sprintf(" ×%d", r.Count)
		}
		if !r.Time.Equal(now) {
			line += r.Time.Format(" 2006-01-02T15:04:05.999Z07:00")
		}
		if r.Rater != f.Rater {
			line += " by " + r.Rater
		}
		if !r.Expires.IsZero() {
			line += " until " + r.Expires.Format(time.DateOnly)
		}
		lines = append(lines, line)
	}
	return lines
}

func TestFormatsSayWhatTheirListsSay(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, format, text string
		options            feed.Options
		want               []string
	}{
		{
			name: "OpenPhish, plain and defanged, with its empty label", format: "openphish",
			text: "https://Login.A.example/Path?q=1\nhxxps://b[.]example/c[.]php\r\nhttp[:]//c(.)example/[.]\n# no more\n\nhttp://www..example.com/phishing",
			want: []string{
				"url login.a.example/Path?q=1 phishing",
				"url b.example/c.php phishing",
				"url c.example/[.] phishing",
				"url www.example.com/phishing phishing",
			},
		},
		{
			name: "a byte order mark before the first line", format: "openphish",
			text: "\xef\xbb\xbfhttp://a.example/\n",
			want: []string{"url a.example/ phishing"},
		},
		{
			name: "URLs with an assertion, a rater and a lifetime of the operator's", format: "urls",
			text:    "http://a.example/1\nftp://192.0.2.7/x\n",
			options: feed.Options{Assertion: evidence.Spam, Rater: "feed/ours/ann", Lifetime: 48 * time.Hour},
			want: []string{
				"url a.example/1 spam by feed/ours/ann until 2026-03-03",
				"url 192.0.2.7/x spam by feed/ours/ann until 2026-03-03",
			},
		},
		{
			name: "what leads nowhere in public is malformed", format: "urls",
			text:    "http://a.example/1\nhttp://a.example/2\nhttp://a.example/3\nhttp://a.example/4\na.example/5\nhttp://router/\nhttp://192.168.0.1/\njavascript://a.example/\n",
			options: feed.Options{Assertion: evidence.Malware},
			want: []string{
				"url a.example/1 malware", "url a.example/2 malware", "url a.example/3 malware", "url a.example/4 malware",
				`line 5: a URL without a scheme: "a.example/5"`,
				`line 6: a URL on a name without a dot: "http://router/"`,
				`line 7: a URL on a private address: "http://192.168.0.1/"`,
				`line 8: a URL that is neither http nor https nor ftp: "javascript://a.example/"`,
			},
		},
		{
			name: "a hosts file, with the names of the machine itself", format: "hosts",
			text: "# made by hand\n127.0.0.1 localhost\n::1 ip6-localhost ip6-loopback\n0.0.0.0 0.0.0.0\n" +
				"0.0.0.0 A.example www.a.example # both\n127.0.0.1\tb.example\n192.0.2.1 c.example\n:: d.example.\n0.0.0.0\n",
			options: feed.Options{Assertion: evidence.Malware},
			want: []string{
				"host a.example malware", "host www.a.example malware", "host b.example malware",
				`line 7: leads a name somewhere instead of nowhere: "192.0.2.1 c.example"`,
				"host d.example malware",
				`line 9: 0 names for an address: "0.0.0.0"`,
			},
		},
		{
			name: "names as block lists spell them", format: "domains",
			text: "[Adblock Plus]\n! title\na.example\n*.b.example\n.c.example\n||d.example^\nwww.e.example # a host\n" +
				"||f.example^$third-party\n@@||g.example^\nbücher.example\nco.uk\nh.example/path\n192.0.2.1\n",
			options: feed.Options{Assertion: evidence.Unwanted},
			want: []string{
				"domain a.example unwanted", "domain b.example unwanted", "domain c.example unwanted",
				"domain d.example unwanted", "host www.e.example unwanted",
				`line 8: a filter rule that is more than a name: "||f.example^$third-party"`,
				`line 9: an exception, which says nothing of its own: "@@||g.example^"`,
				"domain xn--bcher-kva.example unwanted",
				`line 11: a name that everybody shares: "co.uk"`,
				`line 12: not a name: "h.example/path"`,
				`line 13: an address, not a name: "192.0.2.1"`,
			},
		},
		{
			name: "addresses and prefixes", format: "ips",
			text: "; a list\n192.0.2.1\n192.0.2.77/24 ; SBL1\n198.51.100.3/32\n2001:DB8::0:1\n2001:db8::/32\n203.0.113.9:443\n" +
				"::ffff:192.0.2.2\t12\n0.0.0.0/0\n2000::/3\nexample.com\n",
			options: feed.Options{Assertion: evidence.Spam},
			want: []string{
				"addr 192.0.2.1 spam", "prefix 192.0.2.0/24 spam", "addr 198.51.100.3 spam",
				"addr 2001:db8::1 spam", "prefix 2001:db8::/32 spam", "addr 203.0.113.9 spam", "addr 192.0.2.2 spam",
				`line 9: a prefix of 0 bits is too wide: "0.0.0.0/0"`,
				`line 10: a prefix of 3 bits is too wide: "2000::/3"`,
				`line 11: neither an address nor a prefix: "example.com"`,
			},
		},
		{
			name: "a ranked list, with a suffix among the names as Umbrella has it", format: "toplist",
			text: "1,com\n2,a.example\n3,www.a.example\nx,b.example\n4,co.uk\n",
			want: []string{`line 4: not a rank: "x,b.example"`, "domain a.example popular ×2", "host www.a.example popular ×3"},
		},
		{
			name: "a bucket by Radar: each has the rank of the last", format: "toplist",
			text: "domain\na.example\nb.example\nc.example\n",
			want: []string{"domain a.example popular ×3", "domain b.example popular ×3", "domain c.example popular ×3"},
		},
		{
			name: "a bucket whose size is given", format: "toplist",
			text:    "a.example\nb.example\n",
			options: feed.Options{Bucket: 200},
			want:    []string{"domain a.example popular ×200", "domain b.example popular ×200"},
		},
		{
			name: "Radar's ranking, with its columns in its own order", format: "toplist",
			text: "rank,domain,categories\n1,a.example,\"Search; News\"\n",
			want: []string{"domain a.example popular"},
		},
		{
			name: "Majestic's columns", format: "toplist",
			text: "GlobalRank,TldRank,Domain,TLD\n7,3,a.example,example\n",
			want: []string{"domain a.example popular ×7"},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if d := cmp.Diff(test.want, said(format(t, test.format), test.text, test.options)); d != "" {
				t.Error(d)
			}
		})
	}
}

const urlhausHead = "################\r\n# abuse.ch URLhaus Database Dump (CSV - recent URLs only)      #\r\n#\r\n"

func TestDatedFormatsAreReadOldestFirst(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, format, text string
		want               []string
	}{
		{
			name: "URLhaus, nine columns", format: "urlhaus-csv",
			text: urlhausHead + "# id,dateadded,url,url_status,last_online,threat,tags,urlhaus_link,reporter\r\n" +
				`"2","2026-02-26 12:05:20","http://192.0.2.120:58801/i","online","2026-02-26 12:05:20","malware_download","32-bit,elf","https://urlhaus.example/url/2/","a"` + "\r\n" +
				`"1","2026-02-26 11:51:06","http://a.example/f,g","offline","","malware_download","None","https://urlhaus.example/url/1/","b"` + "\r\n",
			want: []string{
				"url a.example/f,g malware 2026-02-26T11:51:06Z",
				"url 192.0.2.120/i malware 2026-02-26T12:05:20Z",
			},
		},
		{
			name: "URLhaus, eight columns and another threat", format: "urlhaus-csv",
			text: urlhausHead + "# id,dateadded,url,url_status,threat,tags,urlhaus_link,reporter\r\n" +
				`"1","2020-02-26 11:51:06","http://a.example/f","offline","phishing","None","https://urlhaus.example/url/1/","b"` + "\r\n",
			want: []string{"url a.example/f phishing 2020-02-26T11:51:06Z"},
		},
		{
			name: "URLhaus without its comment, told by the number of columns", format: "urlhaus-csv",
			text: `"1","2020-02-26 11:51:06","http://a.example/8","offline","malware_download","None","l","b"` + "\n" +
				`"2","2020-02-26 11:51:07","http://a.example/9","offline","","malware_download","None","l","b"` + "\n",
			want: []string{"url a.example/8 malware 2020-02-26T11:51:06Z", "url a.example/9 malware 2020-02-26T11:51:07Z"},
		},
		{
			name: "URLhaus with columns in another order, and one bad row of each kind", format: "urlhaus-csv",
			text: "# url,dateadded,new\n" +
				"http://a.example/1,2026-01-01 00:00:00,x\nhttp://a.example/2,2026-01-01 00:00:00,x\nhttp://a.example/3,2026-01-01 00:00:00,x\nhttp://a.example/4,2026-01-01 00:00:00,x\n" +
				"http://a.example/5,2026-01-01 00:00:00\n" +
				"http://a.example/6,yesterday,x\n" +
				"http://a.example/7,2027-01-01 00:00:00,x\n" +
				"\"http://a.example/8,2026-01-01 00:00:00,x\n",
			want: []string{
				`line 6: 2 columns: "http://a.example/5,2026-01-01 00:00:00"`,
				`line 7: no time, or not as YYYY-MM-DD hh:mm:ss: "http://a.example/6,yesterday,x"`,
				`line 8: dated 2027-01-01, which is to come: "http://a.example/7,2027-01-01 00:00:00,x"`,
				`line 9: a quotation mark is not closed: "\"http://a.example/8,2026-01-01 00:00:00,x"`,
				"url a.example/1 malware 2026-01-01T00:00:00Z", "url a.example/2 malware 2026-01-01T00:00:00Z",
				"url a.example/3 malware 2026-01-01T00:00:00Z", "url a.example/4 malware 2026-01-01T00:00:00Z",
			},
		},
		{
			name: "URLhaus JSON dump", format: "urlhaus-json",
			text: `{"2":[{"dateadded":"2026-02-26 12:05:20 UTC","url":"http://a.example/{\"2]","url_status":"online","threat":"malware_download","tags":["elf","[{"]}],
"1":[{"dateadded":"2026-02-26 11:05:20 UTC","url":"http://a.example/1","url_status":"offline","threat":"malware_download","tags":null}]}`,
			want: []string{
				"url a.example/1 malware 2026-02-26T11:05:20Z",
				`url a.example/{"2] malware 2026-02-26T12:05:20Z`,
			},
		},
		{
			name: "URLhaus API", format: "urlhaus-json",
			text: `{"query_status":"ok","urls":[{"id":"2","url":"http://a.example/2","date_added":"2026-02-26 12:05:20 UTC","blacklists":{"surbl":"not listed"},"threat":"malware_download","larted":"true"},
{"id":"1","url":"http://a.example/1","date_added":"2026-02-26 11:05:20 UTC","threat":"malware_download"},
{"id":"0","url":17}]}`,
			want: []string{
				`line 3: json: cannot unmarshal number into Go struct field urlhausElement.url of type string: "{\"id\":\"0\",\"url\":17}"`,
				"url a.example/1 malware 2026-02-26T11:05:20Z",
				"url a.example/2 malware 2026-02-26T12:05:20Z",
			},
		},
		{
			name: "URLhaus API without results", format: "urlhaus-json",
			text: `{"query_status":"no_results"}`,
		},
		{
			name: "URLhaus API without a key", format: "urlhaus-json",
			text: `{"query_status": "unknown_auth_key"}`,
			want: []string{`refused: the server answered "unknown_auth_key"`},
		},
		{
			name: "PhishTank CSV: commas, one without a URL, one that nobody verified", format: "phishtank-csv",
			text: "phish_id,url,phish_detail_url,submission_time,verified,verification_time,online,target\n" +
				"3,https://a.example/,http://d.example/3,2022-11-16T14:08:44+00:00,yes,2022-11-16T14:12:55+00:00,yes,AEON Card\n" +
				"2,\"https://b.example/x,y\",http://d.example/2,2022-11-16T14:08:10+00:00,yes,2022-11-16T14:11:55+01:00,yes,\"Big, \"\"the\"\" Bank\"\n" +
				"1,,http://d.example/1,2022-11-16T14:04:22+00:00,yes,2022-11-16T14:12:55+00:00,yes,Other\n" +
				"0,http://c.example/,http://d.example/0,2022-11-16T14:04:22+00:00,no,,yes,Other\n",
			want: []string{
				`line 4: no URL: "1,,http://d.example/1,2022-11-16T14:04:22+00:00,yes,2022-11-16T14:12:55+00:00,yes,Other"`,
				"url b.example/x,y phishing 2022-11-16T13:11:55Z",
				"url a.example/ phishing 2022-11-16T14:12:55Z",
			},
		},
		{
			name: "PhishTank JSON", format: "phishtank-json",
			text: `[{"phish_id":"3","url":"https:\/\/a.example\/","submission_time":"2022-11-16T14:08:44+00:00","verified":"yes","verification_time":"2022-11-16T14:12:55+00:00","online":"yes","details":[{"ip_address":"192.0.2.1"}],"target":"Other"},
{"phish_id":"2","url":"http://b.example/","submission_time":"2022-11-16T14:08:43+00:00","verified":"no","details":[]},
{"phish_id":"1","url":"http://c.example/","submission_time":"2022-11-16T14:08:43+00:00","verified":"yes","details":[]}]`,
			want: []string{
				"url c.example/ phishing 2022-11-16T14:08:43Z",
				"url a.example/ phishing 2022-11-16T14:12:55Z",
			},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if d := cmp.Diff(test.want, said(format(t, test.format), test.text, feed.Options{})); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestWhatIsSomethingElseIsRefused(t *testing.T) {
	t.Parallel()
	good := "http://a.example/\n"
	tests := []struct {
		name, format, text string
		records            int // yielded before the refusal
		want               string
	}{
		{"an error page", "openphish", "\n <!DOCTYPE html>\n<html>…", 0, "refused: a web page, not a list"},
		{"an error in a line", "openphish", "404: Not Found", 0, `refused: not a list of this format: 1 of 1 lines are malformed; line 1: a URL without a scheme: "404: Not Found"`},
		{"prose for JSON", "phishtank-json", "too many requests", 0, "refused: not JSON"},
		{"JSON that closes too much", "phishtank-json", "[]]", 0, "refused: not JSON: line 1 closes what was not opened"},
		{"JSON that is nested too deeply", "phishtank-json", strings.Repeat("[", 9), 0, "refused: the JSON is nested too deeply for a list"},
		{"eleven bad lines among ten good ones", "openphish", strings.Repeat(good, 10) + strings.Repeat("x\n", 11), 0,
			`refused: not a list of this format: 11 of 21 lines are malformed; line 11: a URL without a scheme: "x"`},
		{"a list that turns bad after its head", "openphish", strings.Repeat(good, 1000) + strings.Repeat("x\n", 1001), 1000,
			`refused: not a list of this format: 1001 of 2001 lines are malformed; line 1001: a URL without a scheme: "x"`},
		{"a dated list that turns bad after its head", "urlhaus-csv",
			strings.Repeat("1,2026-01-01 00:00:00,http://a.example/,,,,,,\n", 1000) + strings.Repeat("x\n", 1001), 0,
			`refused: not a list of this format: 1001 of 2001 lines are malformed; line 1001: 1 columns: "x"`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			records, last := 0, error(nil)
			for _, err := range format(t, test.format).Read(strings.NewReader(test.text), feed.Options{Now: now}) {
				if err == nil {
					records++
				}
				last = err
			}
			if _, ok := errors.AsType[*feed.RefusedError](last); !ok || last.Error() != test.want {
				t.Errorf("ended with %v\nwant %s", last, test.want)
			}
			if records != test.records {
				t.Errorf("%d records were yielded, want %d", records, test.records)
			}
		})
	}
}

func TestFewMisprintsAreForgiven(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"http://a.example/\nx\ny\nz\n",                                        // more than half, but few
		strings.Repeat("http://a.example/\n", 11) + strings.Repeat("x\n", 11), // half
		"", "# nothing today\n",
	} {
		for _, err := range format(t, "openphish").Read(strings.NewReader(text), feed.Options{}) {
			if _, ok := errors.AsType[*feed.LineError](err); err != nil && !ok {
				t.Errorf("%.20q…: %v", text, err)
			}
		}
	}
}

func TestCheckCounts(t *testing.T) {
	t.Parallel()
	got, err := format(t, "openphish").Check(strings.NewReader("http://a.example/\nhttp://b.example/\nx\n"), feed.Options{})
	if err != nil || got.Records != 2 || got.Malformed != 1 || got.First.Line != 3 {
		t.Errorf("got %+v, %v", got, err)
	}
	if _, err := format(t, "openphish").Check(strings.NewReader("x"), feed.Options{}); err == nil {
		t.Error("a list of nothing but misprints passed")
	}
}

func TestLinesAreReadUpToTheirBound(t *testing.T) {
	t.Parallel()
	// A comment makes a line long without making a URL long.
	line := func(n int) string { return "0.0.0.0 a.example #" + strings.Repeat("x", n-len("0.0.0.0 a.example #")) }
	for _, end := range []string{"\n", "\r\n", ""} {
		text := line(feed.MaxLine) + end
		if got := said(format(t, "hosts"), text, feed.Options{Assertion: evidence.Spam}); !slices.Equal(got, []string{"host a.example spam"}) {
			t.Errorf("MaxLine bytes, then %q: %.200q", end, got)
		}
	}
	for _, n := range []int{1, 2, 3, 100000, 200000} {
		for _, end := range []string{"\n", "\r\n", ""} {
			text := "0.0.0.0 b.example\n" + line(feed.MaxLine+n) + end
			if end != "" {
				text += "0.0.0.0 c.example"
			}
			got := said(format(t, "hosts"), text, feed.Options{Assertion: evidence.Spam})
			want := []string{"host b.example spam", `line 2: longer than 65536 bytes: "` + line(feed.MaxLine)[:120] + `"`}
			if end != "" {
				want = append(want, "host c.example spam")
			}
			if d := cmp.Diff(want, got); d != "" {
				t.Errorf("MaxLine+%d bytes, then %q:\n%s", n, end, d)
			}
		}
	}
}

func TestJSONElementsAreReadUpToTheirBound(t *testing.T) {
	t.Parallel()
	element := func(n int) string {
		head := `{"url":"http://a.example/","submission_time":"2022-11-16T14:08:43Z","x":"`
		return head + strings.Repeat("x", n-len(head)-2) + `"}`
	}
	got, err := format(t, "phishtank-json").Check(strings.NewReader("["+element(feed.MaxLine)+","+element(feed.MaxLine)+"]"), feed.Options{})
	if err != nil || got.Records != 2 {
		t.Errorf("at the bound: %+v, %v", got, err)
	}
	got, err = format(t, "phishtank-json").Check(strings.NewReader("["+element(feed.MaxLine+1)+",\n"+element(100)+"]"), feed.Options{})
	if err != nil || got.Records != 1 || got.Malformed != 1 || got.First.Line != 1 || got.First.Reason != "longer than 65536 bytes" {
		t.Errorf("one past the bound: %+v, %v", got, err)
	}
}

func TestBoundsOfALine(t *testing.T) {
	t.Parallel()
	names := func(n int) string { return "0.0.0.0" + strings.Repeat(" a.example", n) }
	if got := said(format(t, "hosts"), names(100), feed.Options{Assertion: evidence.Spam}); len(got) != 100 {
		t.Errorf("100 names on a line gave %d records", len(got))
	}
	if got := said(format(t, "hosts"), names(101), feed.Options{Assertion: evidence.Spam}); len(got) != 1 || !strings.Contains(got[0], "101 names") {
		t.Errorf("101 names on a line: %q", got)
	}
	columns := func(n int) string { return "1,a.example" + strings.Repeat(",x", n-2) }
	if got := said(format(t, "toplist"), columns(64), feed.Options{}); !slices.Equal(got, []string{"domain a.example popular"}) {
		t.Errorf("64 columns: %q", got)
	}
	if got := said(format(t, "toplist"), columns(65), feed.Options{}); len(got) != 1 || !strings.Contains(got[0], "too many columns") {
		t.Errorf("65 columns: %q", got)
	}
	if got := said(format(t, "ips"), "10.0.0.0/8\n2001::/16\n", feed.Options{Assertion: evidence.Spam}); len(got) != 2 || strings.Contains(got[0]+got[1], "line") {
		t.Errorf("the widest prefixes: %q", got)
	}
	if got := said(format(t, "ips"), "1.2.3.4\n10.0.0.0/7\n2001::/15\n", feed.Options{Assertion: evidence.Spam}); len(got) != 3 ||
		!strings.Contains(got[1], "too wide") || !strings.Contains(got[2], "too wide") {
		t.Errorf("a bit wider: %q", got)
	}
}

// endless is a list without end. Its last line may be cut by who reads it.
type endless struct{ line string }

func (e endless) Read(p []byte) (int, error) {
	n := 0
	for n < len(p) {
		n += copy(p[n:], e.line)
	}
	return n, nil
}

func TestReadIsLazyAndStops(t *testing.T) {
	t.Parallel()
	n := 0
	for _, err := range format(t, "openphish").Read(endless{"http://a.example/\n"}, feed.Options{}) {
		if err != nil {
			t.Fatal(err)
		}
		if n++; n == 5000 {
			break
		}
	}
	if n != 5000 {
		t.Errorf("read %d records of an endless list", n)
	}
}

func TestSizeIsBounded(t *testing.T) {
	t.Parallel()
	text := strings.Repeat("http://a.example/\n", 10)
	got, err := format(t, "openphish").Check(strings.NewReader(text), feed.Options{MaxBytes: int64(len(text))})
	if err != nil || got.Records != 10 {
		t.Errorf("at the bound: %+v, %v", got, err)
	}
	_, err = format(t, "openphish").Check(strings.NewReader(text), feed.Options{MaxBytes: int64(len(text)) - 1})
	if size, ok := errors.AsType[*feed.SizeError](err); !ok || size.Limit != int64(len(text))-1 {
		t.Errorf("one past the bound: %v", err)
	}
}

func TestHeldRecordsAreBounded(t *testing.T) {
	t.Parallel()
	text := strings.Repeat("a.example\n", 3000)
	if got, err := format(t, "toplist").Check(strings.NewReader(text), feed.Options{MaxHeld: 3000}); err != nil || got.Records != 3000 {
		t.Errorf("at the bound: %+v, %v", got, err)
	}
	got, err := format(t, "toplist").Check(strings.NewReader(text), feed.Options{MaxHeld: 2999})
	if _, ok := errors.AsType[*feed.RefusedError](err); !ok || got.Records != 0 {
		t.Errorf("one past the bound: %+v, %v", got, err)
	}
}

func TestReadErrorsEndTheReading(t *testing.T) {
	t.Parallel()
	broken := errors.New("the disk is gone")
	for _, f := range feed.Formats() {
		r := io.MultiReader(strings.NewReader("#\n"), iotestErr{broken})
		if _, err := f.Check(r, feed.Options{Assertion: evidence.Spam}); !errors.Is(err, broken) {
			t.Errorf("%s: %v", f.Name, err)
		}
	}
	_, err := format(t, "phishtank-json").Check(io.MultiReader(strings.NewReader("[{"), iotestErr{broken}), feed.Options{})
	if !errors.Is(err, broken) {
		t.Errorf("within an element: %v", err)
	}
	for _, text := range []string{"[", `[{"url":`, `{"a`, `[{"url":"http://a.example/"}`} {
		if _, err := format(t, "phishtank-json").Check(strings.NewReader(text), feed.Options{}); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

type iotestErr struct{ err error }

func (e iotestErr) Read([]byte) (int, error) { return 0, e.err }

func TestFormatsWithoutAMeaningOfTheirOwnWantOne(t *testing.T) {
	t.Parallel()
	for _, f := range feed.Formats() {
		_, err := f.Check(strings.NewReader(""), feed.Options{})
		if (err != nil) != f.NeedsAssertion {
			t.Errorf("%s: NeedsAssertion is %v, and without one: %v", f.Name, f.NeedsAssertion, err)
		}
	}
}

func TestLookup(t *testing.T) {
	t.Parallel()
	for _, f := range feed.Formats() {
		got, err := feed.Lookup(f.Name)
		if err != nil || got.Name != f.Name || got.Doc == "" {
			t.Errorf("%s: %v, %v", f.Name, got.Name, err)
		}
	}
	for name, want := range map[string]string{
		"openfish": `"openphish"`, "URLHAUS-CSV": `"urlhaus-csv"`, "urlhaus": `"urlhaus-csv"`, "domain": `"domains"`,
		"ip": `"ips"`, "top-list": `"toplist"`, "zonefile-master": "headlight formats", "": "headlight formats",
	} {
		if _, err := feed.Lookup(name); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want a hint of %s", name, err, want)
		}
	}
	names := []string{}
	for _, f := range feed.Formats() {
		names = append(names, f.Name)
	}
	if !slices.IsSorted(names) || len(names) != 11 {
		t.Errorf("formats: %q", names)
	}
}

func TestLineErrorsMayBeShown(t *testing.T) {
	t.Parallel()
	got := said(format(t, "openphish"), "http://a.example/\n\x1b[2Jé\n", feed.Options{})
	if want := `line 2: a URL without a scheme: "\x1b[2J\u00e9"`; len(got) != 2 || got[1] != want {
		t.Errorf("got %q, want %s", got, want)
	}
}
