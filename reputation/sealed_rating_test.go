package reputation_test

import (
	"testing"
	"time"

	"headlight.example/evidence"
	"headlight.example/link"
	"headlight.example/reputation"
)

func TestAURLIsRatedByItsHashAsByItsName(t *testing.T) {
	key := &evidence.Key{1}
	table := reputation.NewTable(key)
	now := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	url := evidence.Subject{Kind: evidence.URL, Key: "bad.example/login"}
	table.Apply(evidence.Entry{Seq: 1, Record: evidence.Record{
		Time: now, Rater: "feed/openphish", Subject: url, Assertion: evidence.Phishing, Count: 1,
	}})
	l, err := link.Parse("http://bad.example/login")
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := evidence.ParseSealed(key.Seal(l).Key)
	if err != nil {
		t.Fatal(err)
	}
	p := reputation.DefaultPolicy()
	want := table.Rate(url, p, now)
	got := table.Rate(evidence.Subject{Kind: evidence.URL, Key: sealed.URL}, p, now)
	if !got.Known || got.Slow != want.Slow || got.Fast != want.Fast || got.Raters != want.Raters || got.Threats != want.Threats {
		t.Errorf("by hash: got %+v, want the counts of %+v", got, want)
	}
	other := table.Rate(evidence.Subject{Kind: evidence.URL, Key: "#0000000000002"}, p, now)
	if other.Known {
		t.Errorf("a hash that nothing has is known: %+v", other)
	}
}
