package headlight_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"headlight.example"
	"headlight.example/evidence"
	"headlight.example/link"
	"headlight.example/message"
	"headlight.example/reputation"
)

func open(t *testing.T, dir string) *headlight.Service {
	t.Helper()
	svc, err := headlight.Open(t.Context(), headlight.Config{Dir: dir, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { svc.Close() })
	return svc
}

func parse(t *testing.T, s string) link.Link {
	t.Helper()
	l, err := link.Parse(s)
	if err != nil {
		t.Fatalf("parse %q: %v", s, err)
	}
	return l
}

// said is a record about a URL.
func said(t *testing.T, rater string, a evidence.Assertion, url string) evidence.Record {
	t.Helper()
	return evidence.Record{Rater: rater, Assertion: a, Subject: evidence.Subject{Kind: evidence.URL, Key: parse(t, url).URL()}}
}

func report(t *testing.T, svc *headlight.Service, rater string, a evidence.Assertion, url string) {
	t.Helper()
	if _, err := svc.Append(t.Context(), said(t, rater, a, url)); err != nil {
		t.Fatal(err)
	}
}

func level(t *testing.T, svc *headlight.Service, url string) reputation.Level {
	t.Helper()
	v := svc.Check(parse(t, url))
	return v.Level
}

func applied(t *testing.T, svc *headlight.Service) uint64 {
	t.Helper()
	st, err := svc.Stats(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return st.Applied
}

func TestAReportIsInTheNextVerdictAndSurvivesARestart(t *testing.T) {
	const bad = "http://login.bad-bank.example/verify?x=1"
	dir := t.TempDir()
	svc := open(t, dir)
	if got := level(t, svc, bad); got != reputation.Unknown {
		t.Fatalf("before any report: got %v, want unknown", got)
	}
	report(t, svc, "feed/openphish", evidence.Phishing, bad)
	if got := level(t, svc, bad); got != reputation.Dangerous {
		t.Errorf("after the report: got %v, want dangerous", got)
	}
	if err := svc.Close(); err != nil {
		t.Fatal(err)
	}

	again := open(t, dir)
	v := again.Check(parse(t, bad))
	if v.Level != reputation.Dangerous || v.Threat != evidence.Phishing {
		t.Errorf("after a restart: got %v %v, want dangerous phishing", v.Level, v.Threat)
	}
	if err := again.Close(); err != nil {
		t.Fatal(err)
	}

	// The log is the truth: without the snapshot the same comes back.
	if err := os.Remove(filepath.Join(dir, "snapshot")); err != nil {
		t.Fatal(err)
	}
	if got := level(t, open(t, dir), bad); got != reputation.Dangerous {
		t.Errorf("without a snapshot: got %v, want dangerous", got)
	}
}

func TestASnapshotThatCannotBeReadCostsTimeNotKnowledge(t *testing.T) {
	const bad = "http://bad.example/x"
	spoil := map[string]func([]byte) []byte{
		"a flipped bit":   func(b []byte) []byte { b[len(b)/2] ^= 1; return b },
		"half of it gone": func(b []byte) []byte { return b[:len(b)/2] },
		"nothing left":    func([]byte) []byte { return nil },
		"another file":    func([]byte) []byte { return []byte("not a snapshot at all, but long enough to be looked at") },
	}
	for name, f := range spoil {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			svc := open(t, dir)
			report(t, svc, "feed/openphish", evidence.Phishing, bad)
			if err := svc.Close(); err != nil {
				t.Fatal(err)
			}
			file := filepath.Join(dir, "snapshot")
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(file, f(b), 0o600); err != nil {
				t.Fatal(err)
			}
			if got := level(t, open(t, dir), bad); got != reputation.Dangerous {
				t.Errorf("got %v, want dangerous", got)
			}
		})
	}
}

func TestASecondProcessIsToldWhoHoldsTheDirectory(t *testing.T) {
	dir := t.TempDir()
	open(t, dir)
	_, err := headlight.Open(t.Context(), headlight.Config{Dir: dir, Logger: slog.New(slog.DiscardHandler)})
	held, ok := errors.AsType[*evidence.HeldError](err)
	if !ok {
		t.Fatalf("got %v, want a HeldError", err)
	}
	if held.PID != os.Getpid() {
		t.Errorf("held by %d, want %d", held.PID, os.Getpid())
	}
}

func TestManyAppendersAreAllAcknowledgedWithSequencesOfTheirOwn(t *testing.T) {
	svc := open(t, t.TempDir())
	const appenders, each = 16, 25
	var mu sync.Mutex
	last := make(map[uint64]bool)
	var wg sync.WaitGroup
	for a := range appenders {
		wg.Go(func() {
			for i := range each {
				rec := evidence.Record{
					Rater: "feed/test", Assertion: evidence.Malware,
					Subject: evidence.Subject{Kind: evidence.URL, Key: fmt.Sprintf("host%d.example/%d", a, i)},
				}
				seq, err := svc.Append(context.Background(), rec)
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				last[seq] = true
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if len(last) != appenders*each {
		t.Errorf("got %d sequences, want %d", len(last), appenders*each)
	}
	if got := applied(t, svc); got != appenders*each {
		t.Errorf("applied %d, want %d", got, appenders*each)
	}
}

func TestAppendRefusesWhatIsNoRecord(t *testing.T) {
	svc := open(t, t.TempDir())
	if _, err := svc.Append(t.Context(), evidence.Record{Rater: "feed/x"}); err == nil {
		t.Error("a record without subject was accepted")
	}
	if got := applied(t, svc); got != 0 {
		t.Errorf("applied %d, want 0", got)
	}
	if last, err := svc.Append(t.Context()); err != nil || last != 0 {
		t.Errorf("nothing to append: got %d, %v", last, err)
	}
}

func TestAppendAfterCloseIsAnError(t *testing.T) {
	svc := open(t, t.TempDir())
	if err := svc.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := svc.Append(t.Context(), said(t, "feed/x", evidence.Spam, "http://a.example/")); err == nil {
		t.Error("appended to a closed service")
	}
	if got := level(t, svc, "http://a.example/"); got != reputation.Unknown {
		t.Errorf("questions after Close: got %v, want unknown", got)
	}
}

func TestATimeAheadOfTheClockIsNotBelieved(t *testing.T) {
	svc := open(t, t.TempDir())
	r := said(t, "feed/x", evidence.Phishing, "http://bad.example/")
	r.Time = time.Now().AddDate(30, 0, 0)
	if _, err := svc.Append(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	entries, _, err := svc.Said(t.Context(), 1, r.Subject)
	if err != nil || len(entries) != 1 {
		t.Fatalf("got %v, %v", entries, err)
	}
	if ahead := time.Until(entries[0].Time); ahead > time.Minute {
		t.Errorf("kept a time %v ahead", ahead)
	}
}

func TestCheckMessage(t *testing.T) {
	svc := open(t, t.TempDir())
	report(t, svc, "feed/openphish", evidence.Phishing, "http://bad.example/login")
	tests := []struct {
		name  string
		typ   message.Type
		text  string
		want  reputation.Level
		links int
	}{
		{"a message without links is safe", message.Text, "see you at eight, bring cake. And wine.", reputation.Safe, 0},
		{"a well-known name is safe", message.Text, "https://www.wikipedia.org/ has it", reputation.Safe, 1},
		{"a name nobody knows is unknown", message.Text, "look: https://never-heard-of.example/a", reputation.Unknown, 1},
		{"the worst link counts", message.Text, "https://www.wikipedia.org/ and http://bad.example/login", reputation.Dangerous, 2},
		{"the link behind an anchor counts", message.HTML, `<a href="http://bad.example/login">https://www.wikipedia.org/</a>`, reputation.Dangerous, 1},
	}
	for _, tt := range tests {
		got := svc.CheckMessage(tt.typ, tt.text)
		if got.Level != tt.want || len(got.Links) != tt.links {
			t.Errorf("%s: got %v with %d links, want %v with %d", tt.name, got.Level, len(got.Links), tt.want, tt.links)
		}
	}
}

func TestAMessageWithoutALinkCostsNoMemory(t *testing.T) {
	svc := open(t, t.TempDir())
	const text = "Did you see the game last night? It was 3:2 in the end... amazing!"
	if n := testing.AllocsPerRun(100, func() { svc.CheckMessage(message.Text, text) }); n != 0 {
		t.Errorf("got %v allocations, want 0", n)
	}
}

func TestAChangedVerdictIsPublishedToThoseWhoAsked(t *testing.T) {
	svc := open(t, t.TempDir())
	changes := svc.Changes()
	defer changes.Close()
	const url = "http://soon-bad.example/a"
	level(t, svc, url)
	level(t, svc, "http://never-bad.example/")
	svc.Observe(t.Context()) // what Run does every second

	report(t, svc, "feed/openphish", evidence.Phishing, url)
	svc.Observe(t.Context())
	select {
	case <-changes.Wake():
	default:
		t.Fatal("nobody was woken")
	}
	got := changes.Since(0)
	if len(got) != 1 {
		t.Fatalf("got %d changes, want 1", len(got))
	}
	c := got[0]
	if c.From != reputation.Unknown || c.Verdict.Level != reputation.Dangerous || c.Verdict.Link.String() != url {
		t.Errorf("got %v → %v of %v", c.From, c.Verdict.Level, c.Verdict.Link)
	}
	svc.Observe(t.Context())
	if again := changes.Since(c.ID); len(again) != 0 {
		t.Errorf("published twice: %v", again)
	}

	// The reversal is news as well.
	report(t, svc, "operator/ann", evidence.Benign, url)
	svc.Observe(t.Context())
	if got := changes.Since(c.ID); len(got) != 1 || got[0].Verdict.Level != reputation.Safe {
		t.Errorf("after the operator's word: got %v", got)
	}
}

// What is said of the first link between the question and the next look is
// news as well.
func TestAVerdictThatChangesAtOnceIsPublished(t *testing.T) {
	svc := open(t, t.TempDir())
	changes := svc.Changes()
	defer changes.Close()
	for i := range 20 { // sightings of one second come in any order
		url := fmt.Sprintf("http://soon-bad-%d.example/a", i)
		level(t, svc, url)
		report(t, svc, "feed/openphish", evidence.Phishing, url)
		level(t, svc, url)
		svc.Observe(t.Context())
		if got := changes.Since(uint64(i)); len(got) != 1 || got[0].Verdict.Level != reputation.Dangerous {
			t.Fatalf("link %d: got %v, want one change", i, got)
		}
	}
}

func TestASightingIsLoggedSealed(t *testing.T) {
	svc := open(t, t.TempDir())
	const url = "http://shop.example/order?id=4711"
	level(t, svc, url)
	level(t, svc, url)
	svc.Observe(t.Context())
	sealed := svc.Key().Seal(parse(t, url))
	entries, _, err := svc.Said(t.Context(), 10, sealed)
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != 1 || entries[0].Subject != sealed || entries[0].Assertion != evidence.Seen {
		t.Fatalf("got %v, want one sighting of %v", entries, sealed)
	}
}

func TestAWrappedLinkIsJudgedByWhereItLeads(t *testing.T) {
	svc := open(t, t.TempDir())
	report(t, svc, "feed/openphish", evidence.Phishing, "http://bad.example/login?id=1")
	tests := []struct {
		name, url, wrapper string
		want               reputation.Level
	}{
		{"a dangerous link behind Safe Links", "https://eur01.safelinks.protection.outlook.com/?url=http%3A%2F%2Fbad.example%2Flogin%3Fid%3D1&data=05%7C01&sdata=x&reserved=0", "safelinks", reputation.Dangerous},
		{"a link nobody knows behind Safe Links", "https://eur01.safelinks.protection.outlook.com/?url=http%3A%2F%2Fnobody.example%2F&data=05", "safelinks", reputation.Unknown},
	}
	for _, tt := range tests {
		got, err := svc.CheckURL(tt.url)
		if err != nil {
			t.Fatal(err)
		}
		if got.Verdict.Level != tt.want || got.Inner.IsZero() || got.Verdict.Link != got.Link {
			t.Errorf("%s: got %v, inner %v", tt.name, got.Verdict.Level, got.Inner)
		}
		scan := svc.CheckMessage(message.Text, "Please look at "+tt.url+" today")
		if scan.Level != tt.want {
			t.Errorf("%s, in a message: got %v, want %v", tt.name, scan.Level, tt.want)
		}
	}
}
