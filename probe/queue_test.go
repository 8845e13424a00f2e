package probe_test

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"headlight.example/probe"
)

// done collects the visits of a queue.
type done struct {
	mu   sync.Mutex
	urls []string
	at   map[string]time.Duration // since the begin
}

func (d *done) add(q probe.Question, v probe.Visit, begin time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.urls = append(d.urls, q.Link.URL()+" "+v.Outcome.String())
	d.at[q.Link.URL()] = time.Since(begin)
}

// queue runs a queue in a bubble over a prober whose servers answer after delay.
func queue(t *testing.T, dir string, cfg probe.QueueConfig, delay func(netip.Addr) time.Duration) (*probe.Queue, *done) {
	t.Helper()
	d := &done{at: make(map[string]time.Duration)}
	pc := pipes(t, dir, nil).WithDial(func(_ context.Context, a netip.AddrPort) (net.Conn, error) {
		client, server := net.Pipe()
		go func() {
			defer server.Close()
			if _, err := requestHead(server); err != nil {
				return
			}
			<-time.After(delay(a.Addr()))
			fmt.Fprint(server, "HTTP/1.1 200 OK\r\n\r\n")
		}()
		return client, nil
	})
	pc.Limits.TenantEvery = time.Minute
	begin := time.Now()
	cfg.Prober = newProber(t, pc)
	cfg.Done = func(q probe.Question, v probe.Visit) { d.add(q, v, begin) }
	return probe.NewQueue(cfg), d
}

// run runs the queue for a time.
func run(t *testing.T, q *probe.Queue, d time.Duration) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	if err := q.Run(ctx); err != nil {
		t.Error(err)
	}
}

func TestNoHostDelaysAnother(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		q, d := queue(t, dir, probe.QueueConfig{Jitter: -1, Workers: 4}, func(a netip.Addr) time.Duration {
			if a == netip.MustParseAddr("1.1.1.1") {
				return 4 * time.Second
			}
			return 10 * time.Millisecond
		})
		for i := range 16 { // one host floods
			if !q.Push(probe.Question{Link: parse(t, fmt.Sprintf("http://1.1.1.1/%d", i))}) {
				t.Errorf("link %d was not taken", i)
			}
		}
		if q.Push(probe.Question{Link: parse(t, "http://1.1.1.1/16")}) {
			t.Error("a lane took more than it holds")
		}
		for i := range 20 {
			q.Push(probe.Question{Link: parse(t, fmt.Sprintf("http://8.8.8.%d/", i+1))})
		}
		run(t, q, 10*time.Minute+30*time.Second)
		for i := range 20 {
			if at := d.at[fmt.Sprintf("8.8.8.%d/", i+1)]; at == 0 || at > 100*time.Millisecond {
				t.Errorf("host %d was done after %v", i, at)
			}
		}
		// The flood gets a visit a minute, the first at once; the rest waits.
		for i := range 11 {
			if at, want := d.at[fmt.Sprintf("1.1.1.1/%d", i)], time.Duration(i)*time.Minute+4*time.Second; at < want || at > want+time.Duration(i)*time.Second {
				t.Errorf("link %d was done after %v, want about %v", i, at, want)
			}
		}
		if s := q.Stats(); s.Full != 1 || s.Pushed != 36 || s.Waiting != 5 {
			t.Errorf("stats %+v", s)
		}
	})
}

func TestEachLinkOnce(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		q, d := queue(t, dir, probe.QueueConfig{Jitter: -1}, func(netip.Addr) time.Duration { return time.Second })
		l := parse(t, "http://1.1.1.1/")
		took := 0
		for range 100 {
			if q.Push(probe.Question{Link: l}) {
				took++
			}
		}
		run(t, q, 5*time.Second)
		if took != 1 || len(d.urls) != 1 || q.Stats().Known != 99 || q.Stats().Waiting != 0 {
			t.Errorf("taken %d times, visited %v, %+v", took, d.urls, q.Stats())
		}
	})
}

func TestAFullQueueRefuses(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		q, d := queue(t, dir, probe.QueueConfig{Jitter: -1, Size: 10}, func(netip.Addr) time.Duration { return time.Millisecond })
		for i := range 12 {
			if got := q.Push(probe.Question{Link: parse(t, fmt.Sprintf("http://8.8.8.%d/", i+1))}); got != (i < 10) {
				t.Errorf("link %d: %v", i, got)
			}
		}
		run(t, q, time.Second)
		if len(d.urls) != 10 || q.Stats().Full != 2 {
			t.Errorf("visited %d, %+v", len(d.urls), q.Stats())
		}
		if !q.Push(probe.Question{Link: parse(t, "http://8.8.8.11/")}) {
			t.Error("no room once it is empty")
		}
	})
}

func TestJitterAndAge(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		q, d := queue(t, dir, probe.QueueConfig{Jitter: time.Minute, MaxAge: 3 * time.Minute}, func(netip.Addr) time.Duration { return 0 })
		for i := range 100 {
			q.Push(probe.Question{Link: parse(t, fmt.Sprintf("http://8.8.8.%d/", i+1))})
		}
		for i := range 16 { // a visit a minute: not all get their turn in time
			q.Push(probe.Question{Link: parse(t, fmt.Sprintf("http://1.1.1.1/%d", i))})
		}
		run(t, q, 10*time.Minute)
		early, late := 0, 0
		for i := range 100 {
			switch at := d.at[fmt.Sprintf("8.8.8.%d/", i+1)]; {
			case at < 30*time.Second:
				early++
			case at <= time.Minute:
				late++
			default:
				t.Errorf("link %d after %v", i, at)
			}
		}
		if early < 20 || late < 20 {
			t.Errorf("%d early, %d late: want them spread", early, late)
		}
		s := q.Stats()
		if s.Waiting != 0 || len(d.urls)+int(s.Expired) != 116 {
			t.Errorf("%d handed on, %+v: each link must leave one way", len(d.urls), s)
		}
	})
}

func TestTheEndOfAQueueIsSoon(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		q, d := queue(t, dir, probe.QueueConfig{Jitter: -1, Workers: 1}, func(netip.Addr) time.Duration { return 4 * time.Second })
		for i := range 3 {
			q.Push(probe.Question{Link: parse(t, fmt.Sprintf("http://8.8.8.%d/", i+1))})
		}
		begin := time.Now()
		run(t, q, time.Second)
		if time.Since(begin) != time.Second || len(d.urls) != 0 {
			t.Errorf("ended after %v, %v", time.Since(begin), d.urls)
		}
	})
}
