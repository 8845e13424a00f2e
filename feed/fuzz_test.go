package feed_test

import (
	"archive/zip"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"headlight.example/evidence"
	"headlight.example/feed"
)

// FuzzFormats gives every format every text. Whatever it is: the reading ends
// without a panic, records are such as a log takes, dated ones come in order,
// what is shown of a malformed line is short and printable and lines are told
// in their order, and nothing follows the error that ends it.
func FuzzFormats(f *testing.F) {
	seeds := []string{
		"", "#\n", "http://a.example/\nx\n", "hxxps://b[.]example/c\r\n",
		urlhausHead + "# id,dateadded,url,url_status,threat,tags,urlhaus_link,reporter\r\n\"1\",\"2020-02-26 11:51:06\",\"http://a.example/f\",\"offline\",\"\",\"None\",\"l\",\"b\"\r\n",
		`{"1":[{"dateadded":"2026-02-26 12:05:20 UTC","url":"http://a.example/","threat":"malware_download"}]}`,
		`{"query_status":"ok","urls":[{"url":"http://a.example/","date_added":"2026-02-26 12:05:20 UTC"},{"url":"}"}]}`,
		"phish_id,url,phish_detail_url,submission_time,verified,verification_time,online,target\n1,\"http://a.example/,\"\"\",d,2022-11-16T14:08:44+00:00,yes,,yes,Other\n",
		`[{"url":"http://a.example/","submission_time":"2022-11-16T14:08:44+00:00","verified":"yes","details":[{}]}]`,
		"0.0.0.0 a.example b.example # c\n::1 localhost\n", "||a.example^\n*.b.example\n", "192.0.2.1\n192.0.2.0/24 ;\n2001:db8::/32\n",
		"1,a.example\n2,com\n", "domain\na.example\n", "rank,domain,categories\n1,a.example,\"x;y\"\n",
		`{"time":"2026-01-02T15:04:05Z","type":"sighting","url":"http://a.example/x","addrs":["192.0.2.1"],"ask":true}` + "\n" +
			`{"time":"2026-01-02T15:04:05Z","type":"report","rater":"feed/x","url":"http://a.example/x","assertion":"spam"}`,
		string(gzipped(f, "http://a.example/\n")), string(zipped(f, zip.Deflate, "a", "http://a.example/\n")), bzipped,
	}
	formats := feed.Formats()
	for _, text := range seeds {
		for i := range formats {
			f.Add(uint8(i), text)
		}
	}
	key := &evidence.Key{7}
	f.Fuzz(func(t *testing.T, i uint8, text string) {
		format := formats[int(i)%len(formats)]
		o := feed.Options{Now: now, Key: key, MaxBytes: 1 << 20, Assertion: evidence.Malware}
		line, ended := 0, false
		var last time.Time
		for r, err := range format.Read(strings.NewReader(text), o) {
			if ended {
				t.Fatalf("%s: something follows the last error", format.Name)
			}
			if bad, ok := errors.AsType[*feed.LineError](err); ok {
				if bad.Line < line || bad.Line < 1 {
					t.Fatalf("%s: line %d after line %d", format.Name, bad.Line, line)
				}
				line = bad.Line
				if len(bad.Text) > 120*len(`\U0010ffff`) || strings.ContainsFunc(bad.Text, func(c rune) bool { return c < ' ' || c > '~' }) {
					t.Fatalf("%s: shown: %q", format.Name, bad.Text)
				}
				continue
			}
			if err != nil {
				ended = true
				continue
			}
			if err := r.Validate(); err != nil {
				t.Fatalf("%s: %+v: %v", format.Name, r, err)
			}
			if format.Dated && format.Name != "events" && r.Time.Before(last) {
				t.Fatalf("%s: %v after %v", format.Name, r.Time, last)
			}
			last = r.Time
		}
	})
}

// FuzzEvent: the fast way of reading an event and that of encoding/json give
// the same event or both none, and what is written is read back the same.
func FuzzEvent(f *testing.F) {
	for _, line := range []string{
		`{"time":"2026-01-02T15:04:05Z","type":"sighting","url":"http://a.example/x","addrs":["192.0.2.1","2001:db8::1"],"ask":true}`,
		`{"time":"2026-01-02T15:04:05.123Z","type":"report","rater":"feed/x","url":"http://a.example/x","assertion":"spam"}`,
		`{"time":"2026-01-02T15:04:05+01:00","type":"review","rater":"operator/x","url":"\u00fc","assertion":"benign","x":1}`,
		`{"ask":false,"URL":"y","url":"x","time":null}`,
	} {
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, line string) {
		sameEvent(t, line)
		e, err := feed.ParseEvent(line)
		if err != nil {
			return
		}
		got, err := feed.ParseEvent(string(e.AppendJSON(nil)))
		if err != nil {
			t.Fatalf("%q was written as %q: %v", line, e.AppendJSON(nil), err)
		}
		if d := cmp.Diff(e, got, addrs); d != "" {
			t.Fatalf("%q: written and read back:\n%s", line, d)
		}
	})
}

// FuzzUnpack: unpacking never yields more than its bound, and ends.
func FuzzUnpack(f *testing.F) {
	f.Add(gzipped(f, "http://a.example/\n"))
	f.Add(zipped(f, zip.Deflate, "a", "http://a.example/\n"))
	f.Add(stored(f, "http://a.example/\n"))
	f.Add([]byte(bzipped))
	f.Fuzz(func(t *testing.T, packed []byte) {
		r, err := feed.Unpack(strings.NewReader(string(packed)), 1000)
		if err != nil {
			return
		}
		n, err := io.Copy(io.Discard, r)
		if _, ok := errors.AsType[*feed.SizeError](err); n > 1000 || ok && n != 1000 {
			t.Fatalf("%d bytes, %v", n, err)
		}
	})
}

// FuzzSaid: what is remembered of a list is read back as written, and nothing
// else is taken for it.
func FuzzSaid(f *testing.F) {
	f.Add(feed.EncodeSaid(map[uint64]uint32{1: 2, 3: 4}))
	f.Fuzz(func(t *testing.T, b []byte) {
		said := feed.DecodeSaid(b)
		if d := cmp.Diff(said, feed.DecodeSaid(feed.EncodeSaid(said)), cmpopts.EquateEmpty()); d != "" {
			t.Fatal(d)
		}
	})
}
