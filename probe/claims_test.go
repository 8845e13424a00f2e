package probe_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"headlight.example/link"
	"headlight.example/probe"
)

// board is where machines claim what they visit; each writes with a hand of its own.
type board struct {
	mu    sync.Mutex
	taken map[string]claimed
	asked int
}

type claimed struct {
	by    string
	until time.Time
}

type hand struct {
	*board
	name string
}

// Claim implements probe.Claims.
func (h hand) Claim(_ context.Context, key string, d time.Duration) (bool, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.asked++
	now := time.Now()
	if c, ok := h.taken[key]; ok && c.by != h.name && c.until.After(now) {
		return false, nil
	}
	h.taken[key] = claimed{h.name, now.Add(d)}
	return true, nil
}

func newBoard() *board { return &board{taken: make(map[string]claimed)} }

// Two machines are asked about the same links at once, two of each tenant, at real
// servers: each tenant is visited once in all.
func TestMachinesMakeOneVisitAmongThem(t *testing.T) {
	t.Parallel()
	const tenants, workers = 50, 4
	w := newWorld(t)
	var mu sync.Mutex
	visits := make(map[string]int)
	port := w.web(func(c net.Conn, head string) {
		_, host, _ := strings.Cut(head, "\r\nHost: ")
		mu.Lock()
		visits[host[:strings.IndexByte(host, ':')]]++
		mu.Unlock()
		fmt.Fprint(c, "HTTP/1.1 200 OK\r\n\r\n")
	})
	var links []link.Link
	for i := range tenants {
		w.name(fmt.Sprintf("t%d.example A 127.0.0.1", i))
		for _, path := range []string{"a", "b"} {
			links = append(links, parse(t, fmt.Sprintf("http://t%d.example:%d/%s", i, port, path)))
		}
	}
	shared := newBoard()
	got := make(map[string]int)
	var machines [2]*probe.Prober
	var wg sync.WaitGroup
	for i := range machines {
		cfg := w.config()
		cfg.Limits = probe.Limits{AddressEvery: -1, Every: -1}
		cfg.Claims, cfg.Share = hand{shared, fmt.Sprint(i)}, len(machines)
		machines[i] = newProber(t, cfg)
		for worker := range workers {
			wg.Go(func() {
				for n := worker; n < len(links); n += workers {
					v := machines[i].Probe(t.Context(), probe.Question{Link: links[n]})
					mu.Lock()
					got[v.Outcome.String()]++
					mu.Unlock()
					if v.Outcome != probe.Answered && !v.Again.After(time.Now()) {
						t.Errorf("%s: %s, and again at %v", links[n], v.Outcome, v.Again)
					}
				}
			})
		}
	}
	wg.Wait()
	for i := range tenants {
		if host := fmt.Sprintf("t%d.example", i); visits[host] != 1 {
			t.Errorf("%s was visited %d times", host, visits[host])
		}
	}
	if got["answered"] != tenants || got["lately"]+got["elsewhere"] != 3*tenants {
		t.Errorf("outcomes %v", got)
	}
	for key := range shared.taken {
		kind, hash, _ := strings.Cut(key, "-")
		if kind != "tenant" && kind != "host" && kind != "url" || len(hash) != 16 || strings.Trim(hash, "0123456789abcdef") != "" {
			t.Errorf("claimed %q", key)
		}
	}

	// Whose claim was lost is remembered: the next link of the tenant costs no
	// question to the other machine.
	asked := shared.asked
	for _, m := range machines {
		if v := m.Probe(t.Context(), probe.Question{Link: parse(t, fmt.Sprintf("http://t0.example:%d/c", port))}); v.Outcome != probe.Lately {
			t.Errorf("a further link: %s", v.Outcome)
		}
	}
	if shared.asked != asked {
		t.Errorf("%d questions more", shared.asked-asked)
	}
}

// A redirect to another's host is claimed as a link is; one within a tenant is
// part of the visit.
func TestRedirectsAreClaimed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	port, asked := w.redirects(map[string]string{"/s": "/within", "/within": "http://b.example:PORT/over"})
	w.name("a.example A 127.0.0.1", "b.example A 127.0.0.1")
	shared := newBoard()
	cfg := w.config()
	cfg.Claims = hand{shared, "other"}
	if v := visit(t, newProber(t, cfg), fmt.Sprintf("http://b.example:%d/", port)); v.Outcome != probe.Answered {
		t.Fatalf("the other machine: %s", v.Outcome)
	}
	cfg = w.config()
	cfg.Claims = hand{shared, "this"}
	v := visit(t, newProber(t, cfg), fmt.Sprintf("http://a.example:%d/s", port))
	if got := outcomes(v); got != "answered answered elsewhere" {
		t.Errorf("got %s", got)
	}
	if _, ok := asked.Load("HEAD /over"); ok {
		t.Error("what the other machine had claimed was asked for")
	}
	if len(shared.taken) != 6 {
		t.Errorf("claimed: %v, want a tenant, a host and a URL of each machine", shared.taken)
	}
}

// claimer is a function that is Claims.
type claimer func(ctx context.Context, key string, d time.Duration) (bool, error)

// Claim implements probe.Claims.
func (f claimer) Claim(ctx context.Context, key string, d time.Duration) (bool, error) {
	return f(ctx, key, d)
}

func TestClaims(t *testing.T) {
	t.Parallel()
	type step struct {
		after time.Duration
		url   string
		want  probe.Outcome
		again time.Duration // from the end of the visit
		took  time.Duration
	}
	down := errors.New("no quorum")
	ours := func(tenant, url bool) claimer {
		return func(_ context.Context, key string, _ time.Duration) (bool, error) {
			return tenant && strings.HasPrefix(key, "tenant-") || url && strings.HasPrefix(key, "url-") || strings.HasPrefix(key, "host-"), nil
		}
	}
	for _, tt := range []struct {
		name   string
		claims claimer
		steps  []step
	}{
		{"ours, as long as it is not too often", ours(true, true), []step{
			{0, "http://1.1.1.1/a", probe.Answered, 0, 0},
			{0, "http://1.1.1.1/b", probe.Lately, 10 * time.Minute, 0},
			{10 * time.Minute, "http://1.1.1.1/b", probe.Answered, 0, 0},
		}},
		{"the tenant is another's", ours(false, true), []step{
			{0, "http://1.1.1.1/a", probe.Elsewhere, 10 * time.Minute, 0},
			{time.Minute, "http://1.1.1.1/b", probe.Lately, 9 * time.Minute, 0},
		}},
		{"the URL is another's", ours(true, false), []step{
			{0, "http://1.1.1.1/a", probe.Elsewhere, 24 * time.Hour, 0},
			{time.Hour, "http://1.1.1.1/a", probe.Lately, 23 * time.Hour, 0},
		}},
		{"no machine answers", func(context.Context, string, time.Duration) (bool, error) { return true, down }, []step{
			{0, "http://1.1.1.1/a", probe.NoClaim, time.Minute, 0},
			{time.Minute, "http://1.1.1.1/a", probe.NoClaim, time.Minute, 0}, // and nothing was taken
		}},
		{"the answer does not come", func(ctx context.Context, _ string, _ time.Duration) (bool, error) {
			<-ctx.Done()
			return false, ctx.Err()
		}, []step{{0, "http://1.1.1.1/a", probe.NoClaim, 58 * time.Second, 2 * time.Second}}},
		{"the answer is slow", func(ctx context.Context, _ string, _ time.Duration) (bool, error) {
			<-time.After(600 * time.Millisecond)
			return true, nil
		}, []step{
			{0, "http://1.1.1.1/a", probe.Answered, 0, 1800 * time.Millisecond},
			{0, "http://1.1.1.1/b", probe.Lately, 10 * time.Minute, 0}, // since the visit, not since it was claimed
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			synctest.Test(t, func(t *testing.T) {
				requests := 0
				cfg := pipes(t, dir, func(c net.Conn) {
					requests++
					requestHead(c)
					fmt.Fprint(c, "HTTP/1.1 200 OK\r\n\r\n")
				})
				cfg.Claims = tt.claims
				p := newProber(t, cfg)
				answered := 0
				for _, s := range tt.steps {
					<-time.After(s.after)
					begin := time.Now()
					v := visit(t, p, s.url)
					now := time.Now()
					if v.Outcome != s.want || now.Sub(begin) != s.took {
						t.Errorf("%s: got %s after %v, want %s after %v", s.url, v.Outcome, now.Sub(begin), s.want, s.took)
					}
					if s.want.Later() && v.Again.Sub(now) != s.again {
						t.Errorf("%s: again in %v, want %v", s.url, v.Again.Sub(now), s.again)
					}
					if s.want == probe.Answered {
						answered++
					}
				}
				if requests != answered {
					t.Errorf("%d requests, want %d", requests, answered)
				}
			})
		})
	}
}

// What has no room in this machine's budgets is not claimed: another may have room.
func TestABusyMachineClaimsNothing(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		shared := newBoard()
		cfg := pipes(t, dir, func(c net.Conn) { requestHead(c); fmt.Fprint(c, "HTTP/1.1 200 OK\r\n\r\n") })
		cfg.Limits = probe.Limits{AddressEvery: -1, Every: time.Second, Burst: 1}
		cfg.Claims = hand{shared, "this"}
		p := newProber(t, cfg)
		if v := visit(t, p, "http://1.1.1.1/"); v.Outcome != probe.Answered || len(shared.taken) != 3 {
			t.Errorf("got %s, claimed %v", v.Outcome, shared.taken)
		}
		if v := visit(t, p, "http://8.8.8.8/"); v.Outcome != probe.Busy || len(shared.taken) != 3 {
			t.Errorf("got %s, claimed %v", v.Outcome, shared.taken)
		}
	})
}

// A host that declined to one machine is left alone by all, also when another host
// of its tenant leads there.
func TestWhoDeclinesToOneDeclinesToAll(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.name("example.com A 127.0.0.1", "www.example.com A 127.0.0.1", "shop.example.com A 127.0.0.1")
	port := w.web(func(c net.Conn, head string) {
		if _, port, moved := strings.Cut(head, "\r\nHost: www.example.com:"); moved {
			port, _, _ = strings.Cut(port, "\r\n")
			fmt.Fprintf(c, "HTTP/1.1 301 Moved\r\nLocation: http://example.com:%s/\r\n\r\n", port)
			return
		}
		fmt.Fprint(c, "HTTP/1.1 200 OK\r\nRetry-After: 7200\r\n\r\n")
	})
	shared := newBoard()
	machines := make([]*probe.Prober, 2)
	for i := range machines {
		cfg := w.config()
		cfg.Limits = probe.Limits{TenantEvery: 1, AddressEvery: -1, Every: -1} // no tenant is held for long
		cfg.Claims = hand{shared, fmt.Sprint(i)}
		machines[i] = newProber(t, cfg)
	}
	for _, s := range []struct {
		machine         int
		host, path, got string
	}{
		{0, "example.com", "/a", "answered"},
		{1, "example.com", "/b", "elsewhere"},
		{1, "www.example.com", "/", "answered elsewhere"},
		{1, "shop.example.com", "/", "answered"},
		{0, "shop.example.com", "/b", "elsewhere"},
	} {
		if got := outcomes(visit(t, machines[s.machine], fmt.Sprintf("http://%s:%d%s", s.host, port, s.path))); got != s.got {
			t.Errorf("machine %d, %s%s: %s, want %s", s.machine, s.host, s.path, got, s.got)
		}
	}
	for key, c := range shared.taken {
		if left := time.Until(c.until); strings.HasPrefix(key, "host-") && left > 0 && (left < time.Hour || left > 2*time.Hour) {
			t.Errorf("%s is held for %v", key, left)
		}
	}
}

// Whoever gives up while the other machines are asked, or pulls the kill switch,
// need not wait for them.
func TestTheKillSwitchEndsAClaim(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		cfg := pipes(t, dir, func(net.Conn) { t.Error("visited") })
		cfg.Claims = claimer(func(ctx context.Context, _ string, _ time.Duration) (bool, error) {
			<-ctx.Done()
			return false, ctx.Err()
		})
		p := newProber(t, cfg)
		time.AfterFunc(time.Second, p.Halt)
		begin := time.Now()
		if v := visit(t, p, "http://1.1.1.1/"); v.Outcome != probe.Halted || time.Since(begin) != time.Second {
			t.Errorf("got %s after %v", v.Outcome, time.Since(begin))
		}
	})
}

// Machines that share the budgets make no more requests together than one alone,
// but that each may make one.
func TestMachinesShareBudgets(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		share     int
		addr, all int // requests at once
		wait      time.Duration
	}{
		{0, 6, 12, time.Second}, {1, 6, 12, time.Second}, {2, 3, 6, 2 * time.Second}, {3, 2, 4, 3 * time.Second}, {100, 1, 1, 100 * time.Second},
	} {
		t.Run(fmt.Sprint(tt.share), func(t *testing.T) {
			t.Parallel()
			for _, many := range []bool{false, true} {
				dir := t.TempDir()
				synctest.Test(t, func(t *testing.T) {
					cfg := pipes(t, dir, func(c net.Conn) { requestHead(c); fmt.Fprint(c, "HTTP/1.1 200 OK\r\n\r\n") })
					cfg.Share = tt.share
					cfg.Limits = probe.Limits{TenantEvery: -1, URLEvery: -1, AddressEvery: time.Second, AddressBurst: 6, Every: -1}
					host, want := func(int) string { return "1.1.1.1" }, tt.addr
					if many {
						cfg.Limits = probe.Limits{TenantEvery: -1, URLEvery: -1, AddressEvery: -1, Every: time.Second, Burst: 12}
						host, want = func(i int) string { return fmt.Sprintf("1.1.1.%d", i+1) }, tt.all
					}
					p := newProber(t, cfg)
					n, now := 0, time.Now()
					for {
						v := visit(t, p, "http://"+host(n)+"/")
						if v.Outcome != probe.Answered {
							if n != want || v.Outcome != probe.Busy || v.Again.Sub(now) != tt.wait {
								t.Errorf("%d requests, then %s until %v; want %d and %v", n, v.Outcome, v.Again.Sub(now), want, tt.wait)
							}
							return
						}
						n++
					}
				})
			}
		})
	}
	cfg := newWorld(t).config()
	cfg.Share = -1
	if _, err := probe.New(cfg); err == nil {
		t.Error("budgets were shared by -1 machines")
	}
}
