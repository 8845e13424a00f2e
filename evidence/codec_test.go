package evidence_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"headlight.example/evidence"
)

var day = time.Date(2026, 3, 4, 5, 6, 7, 89e6, time.UTC)

func url(key string) evidence.Subject { return evidence.Subject{Kind: evidence.URL, Key: key} }

// samples are valid records of every form.
func samples() []evidence.Record {
	long := evidence.Subject{Kind: evidence.URL, Key: "a.example/" + strings.Repeat("x", evidence.MaxKey-10)}
	rs := []evidence.Record{
		{Time: day, Rater: "feed/openphish", Subject: url("a.example/x?y=1"), Assertion: evidence.Phishing, Count: 1},
		{Time: day, Rater: "feed/urlhaus/ann", Subject: url("a.example/"), Assertion: evidence.Malware, Count: 3, Expires: day.Add(time.Hour)},
		{Time: time.UnixMilli(0).UTC(), Rater: "user/a@b.example", Subject: url(`a.example/"\<`), Assertion: evidence.Appealed, Count: 1, Expires: time.UnixMilli(0).UTC()},
		{Time: day, Rater: "feed/tranco", Subject: evidence.Subject{Kind: evidence.Domain, Key: "a.example"}, Assertion: evidence.Popular, Count: 1<<32 - 1},
		{Time: time.UnixMilli(253402300799999).UTC(), Rater: "service/" + strings.Repeat("r", evidence.MaxRater-8), Subject: long, Assertion: evidence.RedirectsTo, Object: long, Count: 200, Expires: day},
		{Time: day, Rater: "service/sighting", Subject: evidence.Subject{Kind: evidence.Host, Key: "a.example"}, Assertion: evidence.ResolvesTo, Object: evidence.Subject{Kind: evidence.Addr, Key: "192.0.2.1"}, Count: 1},
		{Time: day, Rater: "service/sighting", Subject: evidence.Subject{Kind: evidence.Addr, Key: "2001:db8::1"}, Assertion: evidence.AnnouncedIn, Object: evidence.Subject{Kind: evidence.Prefix, Key: "2001:db8::/32"}, Count: 1},
		{Time: day, Rater: "service/netmap", Subject: evidence.Subject{Kind: evidence.Prefix, Key: "192.0.2.0/23"}, Assertion: evidence.OriginatedBy, Object: evidence.Subject{Kind: evidence.AS, Key: "64496"}, Count: 1},
		{Time: day, Rater: "service/probe", Subject: evidence.Subject{Kind: evidence.Host, Key: "a.example"}, Assertion: evidence.Shows, Object: evidence.FactOf(evidence.FactType, "application/zip"), Count: 1},
	}
	return rs
}

func TestARecordIsReadAsItWasWritten(t *testing.T) {
	for _, want := range samples() {
		b, err := want.AppendBinary([]byte("before"))
		if err != nil {
			t.Fatalf("%v: %v", want, err)
		}
		var got evidence.Record
		if err := got.UnmarshalBinary(b[len("before"):]); err != nil {
			t.Fatalf("%v: %v", want, err)
		}
		if got != want {
			t.Errorf("binary: got %v, want %v", got, want)
		}
		line, err := json.Marshal(evidence.Entry{Seq: 7, Record: want})
		if err != nil {
			t.Fatal(err)
		}
		for e, err := range evidence.ReadLines(bytes.NewReader(line)) {
			if err != nil {
				t.Fatalf("%s: %v", line, err)
			}
			if e.Record != want || e.Seq != 7 {
				t.Errorf("JSON: got %v, want %v", e, want)
			}
		}
	}
}

func TestTimesAreCutToTheMillisecond(t *testing.T) {
	r := samples()[1]
	r.Time = r.Time.Add(999999).In(time.FixedZone("elsewhere", 3600))
	r.Expires = r.Expires.Add(1)
	b, err := r.AppendBinary(nil)
	if err != nil {
		t.Fatal(err)
	}
	var got evidence.Record
	if err := got.UnmarshalBinary(b); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(samples()[1], got); d != "" {
		t.Error(d)
	}
}

func TestALaterVersionOfARecordIsNamedSo(t *testing.T) {
	b, _ := (&samples()[0]).AppendBinary(nil)
	version, assertion, kind := bytes.Clone(b), bytes.Clone(b), bytes.Clone(b)
	version[0] += 0x10
	assertion[1] = 200
	kind[bytes.Index(b, []byte("a.example"))-2] = 200 // before the length of the key
	for name, b := range map[string][]byte{"version": version, "assertion": assertion, "kind": kind} {
		if err := new(evidence.Record).UnmarshalBinary(b); !errors.Is(err, evidence.ErrNewer) {
			t.Errorf("%s: got %v, want ErrNewer", name, err)
		}
	}
}

func FuzzRecord(f *testing.F) {
	for _, r := range samples() {
		b, err := r.AppendBinary(nil)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var r evidence.Record
		if r.UnmarshalBinary(b) != nil {
			return
		}
		again, err := r.AppendBinary(nil)
		if err != nil {
			t.Fatalf("decoded %v does not encode: %v", r, err)
		}
		if !bytes.Equal(b, again) {
			t.Fatalf("%v has two encodings:\n%x\n%x", r, b, again)
		}
		line, err := json.Marshal(r)
		if err != nil {
			t.Fatalf("%v has no JSON form: %v", r, err)
		}
		var back evidence.Record
		if err := json.Unmarshal(line, &back); err != nil || back != r {
			t.Fatalf("got %v from JSON, want %v (%v)", back, r, err)
		}
	})
}
