package main

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	redrawEvery = 100 * time.Millisecond
	// A pipe gets a line this often, and only with -v.
	reportEvery = 10 * time.Second
	barWidth    = 24
)

// progress shows how far long work is: on a terminal a bar with count, rate
// and time left, redrawn in place; in a pipe nothing, or a line now and then
// with -v. Its methods are safe for concurrent use.
type progress struct {
	what, unit string
	done       atomic.Int64 // what the bar measures: bytes, entries, …
	total      atomic.Int64 // 0: not known
	count      atomic.Int64 // what the person counts, in units
	start      time.Time
	quiet      time.Duration // nothing is shown before so much time has passed
	w          io.Writer
	width      int  // 0: no terminal
	silent     bool // draw nothing
	stop       chan struct{}
	stopped    sync.WaitGroup
	once       sync.Once
}

// newProgress starts to show work on standard error. Call end when done.
func (e *env) newProgress(what, unit string, total int64) *progress {
	return e.startProgress(what, unit, total, 0)
}

func (e *env) startProgress(what, unit string, total int64, quiet time.Duration) *progress {
	p := &progress{what: what, unit: unit, quiet: quiet, start: time.Now(), w: e.stderr, stop: make(chan struct{})}
	p.total.Store(total)
	every := reportEvery
	if f, ok := terminalFile(e.stderr); ok {
		every, p.width = redrawEvery, terminalWidth(f)
	} else {
		p.silent = !e.verbose
	}
	if !p.silent {
		p.stopped.Go(func() { p.run(every) })
	}
	return p
}

// newLateProgress is newProgress for work that is mostly over before a person
// could read of it: it shows nothing for the first half second.
func (e *env) newLateProgress(what, unit string) *progress {
	return e.startProgress(what, unit, 0, 500*time.Millisecond)
}

// fold is a callback for those who count what they do in entries.
func (p *progress) fold(done, total uint64) {
	p.total.Store(int64(total))
	p.set(int64(done), int64(done))
}

func (p *progress) run(every time.Duration) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-p.stop:
			if p.width > 0 {
				io.WriteString(p.w, "\r\x1b[K") // the summary takes the bar's place
			}
			return
		case <-tick.C:
			p.draw()
		}
	}
}

// set says how far the work is. Count is what the rate is made of.
func (p *progress) set(done, count int64) {
	p.done.Store(done)
	p.count.Store(count)
}

// end takes the bar away. It may be called twice.
func (p *progress) end() {
	p.once.Do(func() { close(p.stop) })
	p.stopped.Wait()
}

func (p *progress) elapsed() time.Duration { return time.Since(p.start) }

func (p *progress) draw() {
	elapsed := p.elapsed()
	if elapsed < p.quiet {
		return
	}
	line := p.line(elapsed)
	if p.width > 0 {
		fmt.Fprintf(p.w, "\r%s\x1b[K", truncate(line, p.width-1))
		return
	}
	fmt.Fprintln(p.w, line)
}

// line is the state of the work in one line.
func (p *progress) line(elapsed time.Duration) string {
	done, total, count := p.done.Load(), p.total.Load(), p.count.Load()
	var b strings.Builder
	b.WriteString(p.what)
	if total == 0 && count == 0 {
		b.WriteString("…")
		return b.String()
	}
	if total > 0 {
		share := min(float64(done)/float64(total), 1)
		if p.width > 0 {
			full := int(share * barWidth)
			fmt.Fprintf(&b, " [%s%s]", strings.Repeat("█", full), strings.Repeat("░", barWidth-full))
		}
		fmt.Fprintf(&b, " %3d%%", int(share*100))
	}
	fmt.Fprintf(&b, "  %s %s", thousands(count), p.unit)
	if s := elapsed.Seconds(); s > 0 && count > 0 {
		fmt.Fprintf(&b, "  %s/s", thousands(int64(float64(count)/s)))
	}
	if left, ok := timeLeft(done, total, elapsed); ok {
		fmt.Fprintf(&b, "  %s left", left)
	}
	return b.String()
}

// timeLeft assumes that the rest goes as fast as what is done. The first
// second says nothing.
func timeLeft(done, total int64, elapsed time.Duration) (time.Duration, bool) {
	if done <= 0 || total <= done || elapsed < time.Second {
		return 0, false
	}
	left := time.Duration(float64(elapsed) * (float64(total)/float64(done) - 1))
	return left.Round(time.Second), true
}

// thousands writes 1234567 as 1,234,567.
func thousands[N int | int64 | uint64](n N) string {
	s := fmt.Sprint(n)
	sign := ""
	if strings.HasPrefix(s, "-") {
		sign, s = "-", s[1:]
	}
	var b strings.Builder
	for i, c := range s {
		if i > 0 && (len(s)-i)%3 == 0 {
			b.WriteByte(',')
		}
		b.WriteRune(c)
	}
	return sign + b.String()
}
