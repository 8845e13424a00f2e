package main

import (
	"bytes"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// lockedBuffer is written by one goroutine and read by another, which may wait
// until there is what it wants.
type lockedBuffer struct {
	mu      sync.Mutex
	changed sync.Cond
	b       bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.changed.L = &l.mu
	l.changed.Broadcast()
	return l.b.Write(p)
}

// await blocks until the text satisfies the condition. A test that waits in
// vain is ended by the test's time limit.
func (l *lockedBuffer) await(ok func(string) bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.changed.L = &l.mu
	for !ok(l.b.String()) {
		l.changed.Wait()
	}
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func TestProgressLine(t *testing.T) {
	for _, tt := range []struct {
		name               string
		done, total, count int64
		elapsed            time.Duration
		width              int
		want               string
	}{
		{"nothing yet", 0, 100, 0, 0, 0, "importing   0%  0 records"},
		{"half", 50, 100, 1234567, 10 * time.Second, 0, "importing  50%  1,234,567 records  123,456/s  10s left"},
		{"the first second says nothing of the rest", 50, 100, 10, time.Second / 2, 0, "importing  50%  10 records  20/s"},
		{"the total is not known", 0, 0, 30, 10 * time.Second, 0, "importing  30 records  3/s"},
		{"more than was announced", 150, 100, 30, 10 * time.Second, 0, "importing 100%  30 records  3/s"},
		{"on a terminal a bar", 25, 100, 5, time.Minute, 80, "importing [██████░░░░░░░░░░░░░░░░░░]  25%  5 records  0/s  3m0s left"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := &progress{what: "importing", unit: "records", width: tt.width}
			p.total.Store(tt.total)
			p.set(tt.done, tt.count)
			if got := p.line(tt.elapsed); got != tt.want {
				t.Errorf("got  %q\nwant %q", got, tt.want)
			}
		})
	}
}

func TestProgressInAPipe(t *testing.T) {
	for _, verbose := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			var b lockedBuffer
			e := &env{stderr: &b, verbose: verbose}
			p := e.newProgress("folding", "entries", 1000)
			time.Sleep(25 * time.Second)
			synctest.Wait()
			p.set(500, 500)
			time.Sleep(10 * time.Second)
			synctest.Wait()
			p.end()
			p.end()
			lines := strings.Count(b.String(), "\n")
			if want := map[bool]int{false: 0, true: 3}[verbose]; lines != want {
				t.Errorf("verbose %v: %d lines in 35 s, want %d:\n%s", verbose, lines, want, b.String())
			}
			if strings.ContainsAny(b.String(), "\r\x1b") {
				t.Errorf("a pipe got terminal codes: %q", b.String())
			}
		})
	}
}

func TestThousands(t *testing.T) {
	for n, want := range map[int64]string{0: "0", 999: "999", 1000: "1,000", 1234567: "1,234,567", -1234: "-1,234"} {
		if got := thousands(n); got != want {
			t.Errorf("thousands(%d) = %s, want %s", n, got, want)
		}
	}
}
