package probe_test

import (
	"bufio"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"headlight.example/probe"
)

var errDisk = errors.New("the disk is on fire")

// A process that writes is killed at a random moment, again and again: each id
// that it had printed, for which a request may have gone out, is there.
func TestKill(t *testing.T) {
	t.Parallel()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	var ids []probe.ID
	for range 10 {
		cmd := exec.Command(exe)
		cmd.Env = append(os.Environ(), "PROBE_TEST_LEDGER="+dir)
		cmd.Stderr = os.Stderr
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			if lines.Text() == "ready" {
				defer time.AfterFunc(time.Duration(5+rand.IntN(60))*time.Millisecond, func() { cmd.Process.Kill() }).Stop()
				continue
			}
			if id, err := probe.ParseID(lines.Text()); err == nil { // or a line that the kill cut short
				ids = append(ids, id)
			}
		}
		cmd.Process.Kill()
		cmd.Wait()
	}
	if len(ids) == 0 {
		t.Fatal("nothing was written: the kills come too early")
	}
	l := openLedger(t, dir)
	all, err := l.About(t.Context(), "a.example", ids[0].Time().Add(-time.Second), time.Now().Add(time.Second), 1<<30)
	if err != nil {
		t.Fatal(err)
	}
	there := make(map[probe.ID]bool)
	for _, r := range all {
		there[r.Visit] = true
	}
	for _, id := range ids {
		if !there[id] {
			t.Errorf("%s was acknowledged and is gone", id)
		}
	}
	t.Logf("10 kills, %d requests acknowledged", len(ids))
}

// What a crash leaves of the last write, cut at every byte: what was before it
// is there, and writing goes on.
func TestATornWrite(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	l := openLedger(t, dir)
	var ids []probe.ID
	for range 3 {
		ids = append(ids, probe.NewID(time.Now()))
		if err := l.Ask(t.Context(), someAsk(ids[len(ids)-1], "a.example")); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.log"))
	if err != nil || len(files) != 1 {
		t.Fatal(files, err)
	}
	whole, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	lines := slices.Collect(strings.Lines(string(whole)))
	if len(lines) != 3 {
		t.Fatalf("%d lines", len(lines))
	}
	for cut := len(whole) - len(lines[2]); cut <= len(whole); cut += 7 {
		for _, junk := range []string{"", "\x00\x00\x00\x00", "\n", "00000000 {}\n"} {
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, filepath.Base(files[0])), []byte(string(whole[:cut])+junk), 0o600); err != nil {
				t.Fatal(err)
			}
			l := openLedger(t, dir)
			id := probe.NewID(time.Now())
			if err := l.Ask(t.Context(), someAsk(id, "a.example")); err != nil {
				t.Fatal(err)
			}
			for i, id := range append(slices.Clone(ids[:2]), id) {
				if r, err := l.Lookup(t.Context(), id); err != nil || len(r) != 1 {
					t.Errorf("cut at %d, then %q: request %d: %v, %v", cut, junk, i, r, err)
				}
			}
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// A disk that fails: nobody is told that a request may go out, and none may
// until the ledger is opened again.
func TestADiskThatFails(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]func(f *probe.FaultFile){
		"a write fails":            func(f *probe.FaultFile) { f.OnWrite = func(b []byte) (int, error) { return 0, errDisk } },
		"half a write is written":  func(f *probe.FaultFile) { f.OnWrite = func(b []byte) (int, error) { return len(b) / 2, errDisk } },
		"it is written, and fails": func(f *probe.FaultFile) { f.OnWrite = func(b []byte) (int, error) { return len(b), errDisk } },
		"a sync fails":             func(f *probe.FaultFile) { f.OnSync = func() error { return errDisk } },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			var broken atomic.Bool
			l, err := probe.OpenLedgerWith(dir, 0, func(f *os.File) *probe.FaultFile {
				ff := &probe.FaultFile{File: f}
				fault(ff)
				onWrite, onSync := ff.OnWrite, ff.OnSync
				ff.OnWrite = func(b []byte) (int, error) {
					if broken.Load() && onWrite != nil {
						return onWrite(b)
					}
					return 0, nil
				}
				ff.OnSync = func() error {
					if broken.Load() && onSync != nil {
						return onSync()
					}
					return nil
				}
				return ff
			})
			if err != nil {
				t.Fatal(err)
			}
			good := probe.NewID(time.Now())
			if err := l.Ask(t.Context(), someAsk(good, "a.example")); err != nil {
				t.Fatal(err)
			}
			broken.Store(true)
			for range 2 {
				if err := l.Ask(t.Context(), someAsk(probe.NewID(time.Now()), "a.example")); !errors.Is(err, probe.ErrLedger) || !errors.Is(err, errDisk) {
					t.Errorf("got %v", err)
				}
			}
			broken.Store(false)
			if err := l.Ask(t.Context(), someAsk(probe.NewID(time.Now()), "a.example")); !errors.Is(err, probe.ErrLedger) {
				t.Errorf("once failed, got %v", err)
			}
			// Nobody is visited.
			w := newWorld(t)
			cfg := w.config()
			cfg.Ledger = l
			if v := visit(t, newProber(t, cfg), "http://1.1.1.1/"); v.Outcome != probe.NoLedger {
				t.Errorf("got %s", v.Outcome)
			}
			if err := l.Close(); !errors.Is(err, errDisk) {
				t.Errorf("close: %v", err)
			}
			again := openLedger(t, dir)
			if r, err := again.Lookup(t.Context(), good); err != nil || len(r) != 1 {
				t.Errorf("after it was mended: %v, %v", r, err)
			}
			if err := again.Ask(t.Context(), someAsk(probe.NewID(time.Now()), "a.example")); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestARequestIsOnDiskBeforeAskReturns(t *testing.T) {
	t.Parallel()
	var synced atomic.Int64 // bytes
	var written int64
	l, err := probe.OpenLedgerWith(t.TempDir(), 0, func(f *os.File) *probe.FaultFile {
		return &probe.FaultFile{
			File:    f,
			OnWrite: func(b []byte) (int, error) { written += int64(len(b)); return 0, nil },
			OnSync:  func() error { synced.Store(written); return nil },
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 50 {
				a := someAsk(probe.NewID(time.Now()), "a.example")
				if err := l.Ask(t.Context(), a); err != nil {
					t.Error(err)
				}
				if synced.Load() == 0 {
					t.Error("acknowledged before any sync")
				}
			}
		})
	}
	wg.Wait()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if synced.Load() != written {
		t.Errorf("%d bytes synced of %d", synced.Load(), written)
	}
}

func TestFilesAreKeptForATimeAndFoundByTime(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		const day = 24 * time.Hour
		l, err := probe.OpenLedger(dir, 10*day)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		var ids []probe.ID
		for range 20 * 48 { // for twenty days, each half hour
			id := probe.NewID(time.Now())
			ids = append(ids, id)
			for hop := range 2 {
				a := someAsk(id, fmt.Sprintf("h%d.example", len(ids)%7))
				a.Hop = hop
				if err := l.Ask(t.Context(), a); err != nil {
					t.Fatal(err)
				}
			}
			l.Reply(probe.Reply{Visit: id, Hop: 1, Time: time.Now(), Outcome: probe.Timeout})
			<-time.After(30 * time.Minute)
		}
		files, err := filepath.Glob(filepath.Join(dir, "*"))
		if err != nil || len(files) != 12 { // ten days whole, the eleventh in part, and today's
			t.Errorf("%d files, %v: %v", len(files), err, files)
		}
		now := time.Now()
		for _, id := range ids {
			r, err := l.Lookup(t.Context(), id)
			want := 2
			if now.Sub(id.Time()) > 12*day {
				want = 0
			} else if now.Sub(id.Time()) > 10*day {
				continue
			}
			if err != nil || len(r) != want || want == 2 && (r[0].Reply != nil || r[1].Reply == nil || r[1].Reply.Outcome != probe.Timeout) {
				t.Errorf("%v ago: %+v, %v", now.Sub(id.Time()), r, err)
			}
		}
		if r, err := l.About(t.Context(), "h3.example", now.Add(-2*day), now.Add(-day), 1000); err != nil || len(r) < 12 || len(r) > 16 {
			t.Errorf("a day of one host: %d requests, %v", len(r), err)
		}
		if r, err := l.About(t.Context(), "h3.example", now.Add(-2*day), now, 5); err != nil || len(r) != 5 {
			t.Errorf("at most five: %d, %v", len(r), err)
		}
		if r, err := l.About(t.Context(), "nobody.example", time.Time{}, now, 5); err != nil || len(r) != 0 {
			t.Errorf("nobody: %d, %v", len(r), err)
		}
	})
}

func TestQuietHostsAreCarriedOver(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		const day = 24 * time.Hour
		l, err := probe.OpenLedger(dir, 3*day)
		if err != nil {
			t.Fatal(err)
		}
		l.Silence(probe.Quiet{Host: "short.example", Until: time.Now().Add(day), Why: "retry-after"})
		l.Silence(probe.Quiet{Host: "long.example", Until: time.Now().Add(30 * day), Why: "no-visit"})
		l.Silence(probe.Quiet{Host: "long.example", Until: time.Now().Add(day), Why: "retry-after"}) // not shorter by this
		for range 20 {
			if err := l.Ask(t.Context(), someAsk(probe.NewID(time.Now()), "a.example")); err != nil {
				t.Fatal(err)
			}
			<-time.After(day)
		}
		for range 2 {
			if q, ok := l.Quiet("long.example", time.Now()); !ok || q.Why != "no-visit" {
				t.Errorf("after 20 days: %+v, %v", q, ok)
			}
			if _, ok := l.Quiet("short.example", time.Now()); ok {
				t.Error("quiet for too long")
			}
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
			if l, err = probe.OpenLedger(dir, 3*day); err != nil {
				t.Fatal(err)
			}
		}
		l.Close()
		if err := l.Ask(t.Context(), someAsk(probe.NewID(time.Now()), "a.example")); !errors.Is(err, probe.ErrLedger) {
			t.Errorf("after Close: %v", err)
		}
	})
}

func TestALineThatIsTooLong(t *testing.T) {
	t.Parallel()
	l := openLedger(t, t.TempDir())
	a := someAsk(probe.NewID(time.Now()), "a.example")
	a.Rule = strings.Repeat("x", probe.MaxLine)
	if err := l.Ask(t.Context(), a); !errors.Is(err, probe.ErrLedger) {
		t.Errorf("got %v", err)
	}
	a.Rule = "" // it alone was refused
	if err := l.Ask(t.Context(), a); err != nil {
		t.Error(err)
	}
}
