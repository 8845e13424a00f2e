package evidence_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"headlight.example/evidence"
)

// TestMain lets the test binary be the other process of a test.
func TestMain(m *testing.M) {
	switch dir := os.Getenv("EVIDENCE_TEST_DIR"); os.Getenv("EVIDENCE_TEST_CHILD") {
	case "hold":
		os.Exit(child(dir, holdDir))
	case "append":
		os.Exit(child(dir, appendForEver))
	}
	os.Exit(m.Run())
}

func child(dir string, run func(*evidence.DiskLog) error) int {
	opts := quiet()
	opts.Server = "http://127.0.0.1:8080"
	l, err := evidence.Open(dir, opts)
	if err == nil {
		err = run(l)
	}
	fmt.Fprintln(os.Stderr, err)
	return 1
}

// holdDir waits to be killed.
func holdDir(*evidence.DiskLog) error {
	fmt.Println("ready")
	_, err := io.Copy(io.Discard, os.Stdin)
	return err
}

// appendForEver appends in several goroutines, by ones and by hundreds, and
// prints the last sequence and the number of records of each acknowledged Append.
func appendForEver(l *evidence.DiskLog) error {
	var mu sync.Mutex
	errs := make(chan error)
	fmt.Println(l.Last(), 0)
	for g := range 6 {
		go func() {
			for n := 0; ; n++ {
				rs := make([]evidence.Record, 1+99*(g%2))
				for i := range rs {
					rs[i] = killRecord(g, n, i)
				}
				last, err := l.Append(context.Background(), rs...)
				if err != nil {
					errs <- err
				}
				mu.Lock()
				fmt.Println(last, len(rs))
				mu.Unlock()
			}
		}()
	}
	return <-errs
}

func killRecord(g, n, i int) evidence.Record {
	return evidence.Record{
		Time: day, Rater: fmt.Sprintf("feed/g%d/n%d", g, n), Assertion: evidence.Spam, Count: uint32(i) + 1,
		Subject: url(fmt.Sprintf("host%d.example/%s", i, strings.Repeat("y", n%700))),
	}
}

// start runs the test binary as another process on dir.
func start(t *testing.T, what, dir string) (*exec.Cmd, *bufio.Scanner) {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), "EVIDENCE_TEST_CHILD="+what, "EVIDENCE_TEST_DIR="+dir)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { in.Close(); cmd.Process.Kill(); cmd.Wait() })
	return cmd, bufio.NewScanner(out)
}

func TestTheHolderOfADirectoryIsNamed(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cmd, out := start(t, "hold", dir)
	if !out.Scan() {
		t.Fatal("the other process did not open the log")
	}
	_, err := evidence.Open(dir, quiet())
	want := fmt.Sprintf("data directory %s is held by process %d; use -server http://127.0.0.1:8080 or stop it", dir, cmd.Process.Pid)
	if held, ok := errors.AsType[*evidence.HeldError](err); !ok || err.Error() != want ||
		*held != (evidence.HeldError{Dir: dir, PID: cmd.Process.Pid, Server: "http://127.0.0.1:8080"}) {
		t.Errorf("got %v\nwant %s", err, want)
	}
	cmd.Process.Kill()
	cmd.Wait()
	l := open(t, dir, quiet()) // kill -9 leaves no lock
	if _, err := evidence.Open(dir, quiet()); err == nil || !strings.Contains(err.Error(), "held by this very process; stop it") {
		t.Errorf("a second Open in one process: got %v", err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if err := open(t, dir, quiet()).Close(); err != nil {
		t.Fatal(err)
	}
}

func TestALockFileOfAnybodyIsTakenOver(t *testing.T) {
	t.Parallel()
	for _, content := range []string{"", "4711", "4711\nhttp://127.0.0.1:8080\n", strings.Repeat("junk", 5000)} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "lock"), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := open(t, dir, quiet()).Close(); err != nil {
			t.Error(err)
		}
	}
}

// A process that appends is killed at a random moment, again and again, on one
// directory. EVIDENCE_TEST_KILLS sets how often; 20 by default, 4 with -short.
func TestKill(t *testing.T) {
	t.Parallel()
	kills := 20
	if testing.Short() {
		kills = 4
	}
	if s := os.Getenv("EVIDENCE_TEST_KILLS"); s != "" {
		var err error
		if kills, err = strconv.Atoi(s); err != nil {
			t.Fatal(err)
		}
	}
	dir := t.TempDir()
	acked := map[uint64]uint64{} // last sequence → records, of each acknowledged Append
	for n := range kills {
		killOnce(t, dir, acked, n%4 == 3)
	}
	t.Logf("%d kills, %d appends acknowledged", kills, len(acked))
	if len(acked) == 0 {
		t.Error("nothing was acknowledged: the kills come too early")
	}
	checkKilled(t, dir, acked)
}

// killOnce starts a process, notes what it says, and kills it up to 60 ms after
// its first word, or early, while it opens the log. It must begin where the
// last one left off.
func killOnce(t *testing.T, dir string, acked map[uint64]uint64, early bool) {
	cmd, out := start(t, "append", dir)
	kill := func() { cmd.Process.Kill() }
	if early {
		defer time.AfterFunc(time.Duration(rand.IntN(40))*time.Millisecond, kill).Stop()
	}
	begun := false
	for out.Scan() {
		var last, n uint64
		if _, err := fmt.Sscan(out.Text(), &last, &n); err != nil {
			break // a line that the kill cut short
		}
		if !begun {
			begun = true
			for seq := range acked {
				if seq > last {
					t.Fatalf("sequence %d was acknowledged, and after a kill the log ends at %d", seq, last)
				}
			}
			defer time.AfterFunc(time.Duration(rand.IntN(60))*time.Millisecond, kill).Stop()
			continue
		}
		acked[last] = n
	}
	cmd.Wait()
	if !begun && !early {
		t.Fatal("the process did not open the log")
	}
}

// checkKilled checks that the log is sound and holds each acknowledged Append
// where it was said to be; and of the others all or nothing.
func checkKilled(t *testing.T, dir string, acked map[uint64]uint64) {
	l := open(t, dir, quiet())
	defer l.Close()
	if _, err := l.Verify(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	want := uint32(1) // the count of the record that comes next in its Append
	for e, err := range l.Entries(t.Context(), 0) {
		if err != nil {
			t.Fatal(err)
		}
		if e.Count != want {
			t.Fatalf("entry %d is record %d of its Append, want record %d", e.Seq, e.Count, want)
		}
		size := uint32(1)
		if e.Rater[len("feed/g")]%2 == 1 {
			size = 100
		}
		want = e.Count%size + 1
		if n, ok := acked[e.Seq]; ok {
			if uint32(n) != size || e.Count != size {
				t.Fatalf("sequence %d was acknowledged as the last of %d records, and holds record %d of %d", e.Seq, n, e.Count, size)
			}
			delete(acked, e.Seq)
		}
	}
	if len(acked) > 0 {
		t.Errorf("%d acknowledged appends are gone", len(acked))
	}
}
