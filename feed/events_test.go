package feed_test

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"headlight.example/evidence"
	"headlight.example/feed"
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
