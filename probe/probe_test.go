package probe_test

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"headlight.example/evidence"
	"headlight.example/link"
	"headlight.example/probe"
	"headlight.example/reputation"
)

func TestAVisitFromLinkToEvidence(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	heads := make(chan string, 1)
	port := w.web(func(c net.Conn, head string) {
		heads <- head
		fmt.Fprint(c, "HTTP/1.1 200 OK\r\nserver: nginx/1.18.0 (Ubuntu)\r\nContent-Type: Text/HTML; charset=utf-8\r\n"+
			"Last-Modified: Tue, 15 Nov 1994 12:45:26 GMT\r\nStrict-Transport-Security: max-age=1\r\n"+
			"Content-Disposition: attachment; filename=\"invoice.exe\"\r\nContent-Length: 7\r\nSet-Cookie: a=b\r\n\r\n")
	})
	w.name("www.a.example CNAME edge.b.example.", "edge.b.example A 127.0.0.1", "a.example NS ns1.dns.example.",
		"a.example MX 10 mx.a.example.", "a.example SOA ns1.dns.example. root.a.example. 7 1 1 1 60")
	cfg := w.config()
	p := newProber(t, cfg)
	v := visit(t, p, fmt.Sprintf("http://www.a.example:%d/dir/page?id=7", port))

	if v.Outcome != probe.Answered || len(v.Hops) != 1 || v.ID.IsZero() {
		t.Fatalf("got %s, %d hops, id %s", v.Outcome, len(v.Hops), v.ID)
	}
	h := v.Hops[0]
	a := *h.Answer
	a.Shape = ""
	want := probe.Answer{Status: 200, Minor: 1, Server: "nginx/1.18.0 (Ubuntu)", Family: "nginx", ContentType: "text/html",
		Length: 7, Attachment: true, Filename: "invoice.exe", HSTS: true, SetsCookie: true,
		LastModified: time.Date(1994, 11, 15, 12, 45, 26, 0, time.UTC)}
	if a != want {
		t.Errorf("got  %+v\nwant %+v", a, want)
	}
	n := h.Names
	if n.Status != "ok" || fmt.Sprint(n.Aliases) != "[edge.b.example]" || fmt.Sprint(n.NS) != "[ns1.dns.example]" ||
		fmt.Sprint(n.MX) != "[mx.a.example]" || n.SOA.Serial != 7 || n.TTL != 300*time.Second {
		t.Errorf("names: %+v", n)
	}

	// What was asked: HEAD, the exact URL, who we are; nothing of the sender.
	head := <-heads
	for _, s := range []string{
		"HEAD /dir/page?id=7 HTTP/1.1\r\n", fmt.Sprintf("\r\nHost: www.a.example:%d\r\n", port),
		"\r\nUser-Agent: Headlight/1 (+https://check.example/about)\r\n", "\r\nFrom: abuse@check.example\r\n",
		"\r\nHeadlight-Visit: " + v.ID.String() + "\r\n", "\r\nSignature-Agent: sig1=\"https://check.example\"\r\n",
	} {
		if !strings.Contains(head, s) {
			t.Errorf("the request lacks %q:\n%s", s, head)
		}
	}
	for _, s := range []string{"cookie", "referer", "authorization", "accept-language", "content-length"} {
		if strings.Contains(strings.ToLower(head), "\n"+s) {
			t.Errorf("the request has %s:\n%s", s, head)
		}
	}

	// The records: of the link itself nothing but its host.
	var got []string
	for _, r := range v.Records(cfg.Key, false) {
		if r.Assertion != evidence.Shows {
			got = append(got, fmt.Sprintf("%s %s %s", r.Subject.Key, r.Assertion, r.Object.Key))
		}
	}
	if want := "www.a.example resolves-to 127.0.0.1\n127.0.0.1 announced-in 127.0.0.0/8\n127.0.0.1 originated-by 64500"; strings.Join(got, "\n") != want {
		t.Errorf("records:\n%s\nwant:\n%s", strings.Join(got, "\n"), want)
	}

	// The ledger explains it, by id and by host and time.
	byID, err := cfg.Ledger.Lookup(t.Context(), v.ID)
	if err != nil || len(byID) != 1 {
		t.Fatalf("lookup: %v, %v", byID, err)
	}
	e := byID[0]
	if e.Origin != fmt.Sprintf("http://www.a.example:%d", port) || e.Mode != probe.Exact || e.Class != probe.Plain || e.Subject.Kind != evidence.Sealed {
		t.Errorf("ledger: %+v", e)
	}
	for e.Reply == nil { // on disk a moment later
		if byID, err = cfg.Ledger.Lookup(t.Context(), v.ID); err != nil {
			t.Fatal(err)
		}
		e = byID[0]
	}
	if e.Reply.Status != 200 || e.Reply.Addr != netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), port) {
		t.Errorf("reply: %+v", e.Reply)
	}
	if byHost, err := cfg.Ledger.About(t.Context(), "www.a.example", v.Time.Add(-time.Minute), v.Time.Add(time.Minute), 10); err != nil || len(byHost) != 1 || byHost[0].Visit != v.ID {
		t.Errorf("by host: %+v, %v", byHost, err)
	}
}

// What DNS alone tells: the first four addresses, and to whom they belong. The
// fold has a use for each of these records, and for no other form of them.
func TestResolveTellsWhereAHostIs(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for i := range 6 {
		w.name(fmt.Sprintf("a.example A 127.0.0.%d", i+1))
	}
	cfg := w.config()
	p := newProber(t, cfg)
	v := p.Resolve(t.Context(), parse(t, "http://a.example/s3cr3t"))
	if v.Outcome != probe.Resolved || !v.ID.IsZero() {
		t.Errorf("outcome %s, id %s", v.Outcome, v.ID)
	}
	rs := v.Records(cfg.Key, false)
	var got []string
	for _, r := range rs {
		got = append(got, fmt.Sprintf("%s %s", r.Subject.Kind, r.Assertion))
	}
	want := strings.TrimSuffix(strings.Repeat("host resolves-to, addr announced-in, addr originated-by, ", 4), ", ")
	if strings.Join(got, ", ") != want {
		t.Errorf("got %q, want %q", got, want)
	}
	w.name("bad.example A 127.0.0.3")
	bad := p.Resolve(t.Context(), parse(t, "http://bad.example/"))
	rs = append(rs, bad.Records(cfg.Key, false)...)
	rs = append(rs, evidence.Record{
		Time: v.Time, Rater: "feed/list", Subject: evidence.Subject{Kind: evidence.URL, Key: "bad.example/"}, Assertion: evidence.Phishing, Count: 1,
	})
	table := reputation.NewTable(cfg.Key)
	for i, r := range rs {
		table.Apply(evidence.Entry{Seq: uint64(i) + 1, Record: r})
	}
	rungs := make(map[evidence.Kind]int)
	for _, r := range table.Explain(v.Link, reputation.DefaultPolicy(), v.Time) {
		rungs[r.Subject.Kind]++
	}
	if rungs[evidence.Addr] == 0 || rungs[evidence.Prefix] == 0 || rungs[evidence.AS] == 0 {
		t.Errorf("rungs of the link by kind: %v; want the networks that it shares with a bad one too", rungs)
	}

	if v := p.Resolve(t.Context(), parse(t, "http://none.example/")); v.Outcome != probe.NoName || len(v.Records(cfg.Key, false)) != 0 {
		t.Errorf("of a name that is not there: %s, %v", v.Outcome, v.Records(cfg.Key, false))
	}
	p.Halt()
	asked := w.count("b.example. A")
	if v := p.Resolve(t.Context(), parse(t, "http://b.example/")); v.Outcome != probe.Halted || w.count("b.example. A") != asked {
		t.Errorf("halted: %s", v.Outcome)
	}
}

// Servers that misbehave: each ends in an outcome and in evidence, soon, and in
// little memory.
func TestServersThatMisbehave(t *testing.T) {
	t.Parallel()
	const ok = "HTTP/1.1 200 OK\r\n"
	endless := func(first, more string) func(net.Conn, string) {
		return func(c net.Conn, _ string) {
			fmt.Fprint(c, first)
			for {
				if _, err := fmt.Fprint(c, more); err != nil {
					return
				}
			}
		}
	}
	for _, tt := range []struct {
		name   string
		handle func(net.Conn, string)
		want   probe.Outcome
		status int
	}{
		{"HEAD is not allowed", says("HTTP/1.1 405 Method Not Allowed\r\nAllow: GET\r\n\r\n"), probe.NotTold, 405},
		{"we are not allowed", says("HTTP/1.1 403 Forbidden\r\n\r\n"), probe.NotTold, 403},
		{"it is broken", says("HTTP/1.0 500 Oops\r\n\r\n"), probe.ServerError, 500},
		{"it is gone", says("HTTP/1.1 404 Not Found\r\n\r\n"), probe.Answered, 404},
		{"no reason", says("HTTP/1.1 200\r\n\r\n"), probe.Answered, 200},
		{"lines end in LF", says("HTTP/1.1 200 OK\nA: b\n\n"), probe.Answered, 200},
		{"it answers with a body", endless(ok+"\r\n", strings.Repeat("x", 1<<16)), probe.Answered, 200},
		{"endless fields", endless(ok, "A: b\r\n"), probe.TooLong, 0},
		{"an endless field", endless(ok+"A: ", strings.Repeat("a", 1<<12)), probe.TooLong, 0},
		{"an endless status line", endless("HTTP/1.1 200 ", strings.Repeat("O", 1<<10)), probe.TooLong, 0},
		{"a flood of 100 Continue", endless("", "HTTP/1.1 100 Continue\r\n\r\n"), probe.TooLong, 0},
		{"100 Continue, early hints, then the answer", says("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + ok + "\r\n"), probe.Answered, 200},
		{"it switches protocols", says("HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n"), probe.TooLong, 0},
		{"garbage", says("SSH-2.0-OpenSSH_9.9\r\n"), probe.NotHTTP, 0},
		{"endless garbage", endless("", "\x00\xff\n\n\r\n"), probe.NotHTTP, 0},
		{"HTTP/2", says("\x00\x00\x12\x04\x00\x00\x00\x00\x00\x00\x03"), probe.NotHTTP, 0},
		{"a status of two digits", says("HTTP/1.1 20 OK\r\n\r\n"), probe.NotHTTP, 0},
		{"it hangs up", func(c net.Conn, _ string) {}, probe.ConnectionLost, 0},
		{"it hangs up in the head", says(ok + "Server: x"), probe.ConnectionLost, 0},
		{"it resets", func(c net.Conn, _ string) { c.(*net.TCPConn).SetLinger(0) }, probe.ConnectionLost, 0},
		{"a field without colon", says(ok + "nonsense\r\nServer: x\r\n\r\n"), probe.Answered, 200},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			port := w.web(tt.handle)
			w.name("a.example A 127.0.0.1")
			v := visit(t, w.prober(), fmt.Sprintf("http://a.example:%d/", port))
			if v.Outcome != tt.want {
				t.Errorf("got %s, want %s", v.Outcome, tt.want)
			}
			if got := v.Hops[0].Answer; tt.status == 0 && got != nil || tt.status != 0 && (got == nil || got.Status != tt.status) {
				t.Errorf("answer %+v, want status %d", got, tt.status)
			}
			told := factsOf(v)["a.example"]
			if want := map[probe.Outcome]string{
				probe.ConnectionLost: "lost", probe.NotHTTP: "not-http", probe.TooLong: "too-long",
			}[tt.want]; tt.status == 0 && told != "answer/"+want || tt.status != 0 && !strings.Contains(told, fmt.Sprintf("answer/%d ", tt.status)) {
				t.Errorf("facts: %s", told)
			}
		})
	}
}

func TestAServerThatRefusesConnections(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ap := l.Addr().(*net.TCPAddr).AddrPort()
	l.Close()
	w.allow = append(w.allow, ap)
	w.name("a.example A 127.0.0.1")
	if v := visit(t, w.prober(), fmt.Sprintf("http://a.example:%d/", ap.Port())); v.Outcome != probe.ConnectionRefused || factsOf(v)["a.example"] != "answer/refused" {
		t.Errorf("got %s, facts %v", v.Outcome, factsOf(v))
	}
}

// pipes is a config in a bubble whose connections are pipes to handle.
func pipes(t *testing.T, dir string, handle func(net.Conn)) probe.Config {
	r, err := probe.NewResolver(probe.ResolverConfig{Servers: []string{"192.0.2.53:53"}})
	if err != nil {
		t.Fatal(err)
	}
	l, err := probe.OpenLedger(dir, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		l.Close()
		<-time.After(2 * time.Hour) // until the last server has gone home
	})
	return probe.Config{
		Ledger: l, Key: &evidence.Key{}, Resolver: r, Identity: someone,
		Limits: probe.Limits{AddressEvery: -1, Every: -1},
	}.WithDial(func(ctx context.Context, _ netip.AddrPort) (net.Conn, error) {
		if handle == nil { // a packet filter that says nothing
			deadline, _ := ctx.Deadline()
			ctx, cancel := context.WithDeadline(ctx, deadline)
			defer cancel()
			<-ctx.Done()
			return nil, ctx.Err()
		}
		client, server := net.Pipe()
		go func() {
			defer server.Close()
			handle(server)
		}()
		return client, nil
	})
}

func TestTimeouts(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		url    string
		handle func(net.Conn)
		want   time.Duration
	}{
		{"nobody answers the SYN", "http://1.1.1.1/", nil, 3 * time.Second},
		{"nobody reads", "http://1.1.1.1/", func(c net.Conn) { <-time.After(time.Hour) }, 5 * time.Second},
		{"nobody answers", "http://1.1.1.1/", func(c net.Conn) { requestHead(c); <-time.After(time.Hour) }, 5 * time.Second},
		{"no handshake", "https://1.1.1.1/", func(c net.Conn) { <-time.After(time.Hour) }, 5 * time.Second},
		{"a byte a second", "http://1.1.1.1/", func(c net.Conn) {
			requestHead(c)
			for _, b := range []byte("HTTP/1.1 200 OK\r\nServer: slow loris\r\n\r\n") {
				<-time.After(time.Second)
				if _, err := c.Write([]byte{b}); err != nil {
					return
				}
			}
		}, 5 * time.Second},
		{"each redirect takes its time", "http://1.1.1.1/0", func() func(net.Conn) {
			n := 0
			return func(c net.Conn) {
				requestHead(c)
				<-time.After(4 * time.Second)
				n++
				fmt.Fprintf(c, "HTTP/1.1 302 Found\r\nLocation: /%d\r\n\r\n", n)
			}
		}(), 15 * time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			synctest.Test(t, func(t *testing.T) {
				p := newProber(t, pipes(t, dir, tt.handle))
				begin := time.Now()
				v := visit(t, p, tt.url)
				if last := v.Hops[len(v.Hops)-1]; last.Outcome != probe.Timeout {
					t.Errorf("got %s, want a timeout at the end", outcomes(v))
				}
				if got := time.Since(begin); got != tt.want {
					t.Errorf("took %v, want exactly %v", got, tt.want)
				}
			})
		})
	}
}

func TestTheCallerAndTheKillSwitchEndAVisit(t *testing.T) {
	t.Parallel()
	for _, halt := range []bool{false, true} {
		dir := t.TempDir()
		synctest.Test(t, func(t *testing.T) {
			p := newProber(t, pipes(t, dir, func(c net.Conn) { requestHead(c); <-time.After(time.Hour) }))
			ctx, cancel := context.WithCancel(t.Context())
			want := probe.Ended
			if halt {
				want = probe.Halted
			}
			time.AfterFunc(time.Second, func() {
				if halt {
					p.Halt()
				} else {
					cancel()
				}
			})
			begin := time.Now()
			v := p.Probe(ctx, probe.Question{Link: parse(t, "http://1.1.1.1/")})
			if v.Outcome != want || time.Since(begin) != time.Second {
				t.Errorf("got %s after %v, want %s after a second", v.Outcome, time.Since(begin), want)
			}
			if halt {
				if v := visit(t, p, "http://8.8.8.8/"); v.Outcome != probe.Halted || !p.Halted() {
					t.Errorf("while halted: %s", v.Outcome)
				}
				p.Resume()
				if v := visit(t, p, "http://9.9.9.9/"); v.Outcome != probe.Timeout || p.Halted() {
					t.Errorf("after that: %s", v.Outcome)
				}
			}
			cancel()
		})
	}
}

// redirects serves a table of paths and of where each leads, in which :PORT is that
// of this server. asked has what was asked for, such as "HEAD /".
func (w *world) redirects(to map[string]string) (port uint16, asked *sync.Map) {
	w.t.Helper()
	asked = new(sync.Map)
	port = w.web(func(c net.Conn, head string) {
		path := strings.Fields(head)[1]
		asked.Store(strings.Fields(head)[0]+" "+path, true)
		if l, ok := to[path]; ok {
			fmt.Fprintf(c, "HTTP/1.1 302 Found\r\nLocation: %s\r\n\r\n", strings.ReplaceAll(l, ":PORT", fmt.Sprint(":", c.LocalAddr().(*net.TCPAddr).Port)))
			return
		}
		fmt.Fprint(c, "HTTP/1.1 200 OK\r\n\r\n")
	})
	return port, asked
}

func TestRedirects(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		to    map[string]string
		want  string
		final string
	}{
		{"to another host", map[string]string{"/s": "http://b.example:PORT/end"}, "answered answered", "/end"},
		{"relative", map[string]string{"/s": "next?a=b"}, "answered answered", "/next?a=b"},
		{"five are followed", map[string]string{"/s": "/1", "/1": "/2", "/2": "/3", "/3": "/4", "/4": "/5"}, "answered answered answered answered answered answered", "/5"},
		{"six are not", map[string]string{"/s": "/1", "/1": "/2", "/2": "/3", "/3": "/4", "/4": "/5", "/5": "/6"}, "answered answered answered answered answered answered redirects", "/6"},
		{"a loop", map[string]string{"/s": "/1", "/1": "/s"}, "answered answered loop", "/s"},
		{"to itself", map[string]string{"/s": "/s"}, "answered loop", "/s"},
		{"to a script", map[string]string{"/s": "javascript:alert(1)"}, "answered", "/s"},
		{"to FTP", map[string]string{"/s": "ftp://a.example/"}, "answered", "/s"},
		{"to nowhere", map[string]string{"/s": "http://"}, "answered", "/s"},
		{"to somebody's reset link", map[string]string{"/s": "http://b.example:PORT/reset?t=1"}, "answered not-followed", "/reset?t=1"},
		{"to loopback", map[string]string{"/s": "http://127.0.0.1/"}, "answered not-visited", "/"},
		{"to loopback, oddly spelled", map[string]string{"/s": "http://0x7f.1/"}, "answered not-visited", "/"},
		{"to this network", map[string]string{"/s": "http://0.0.0.0/"}, "answered not-visited", "/"},
		{"to the metadata of a cloud", map[string]string{"/s": "http://169.254.169.254/latest/"}, "answered not-visited", "/latest/"},
		{"to a local name", map[string]string{"/s": "http://metadata.google.internal/"}, "answered not-visited", "/"},
		{"to one label", map[string]string{"/s": "http://intranet/"}, "answered not-visited", "/"},
		{"to a name that does not exist", map[string]string{"/s": "http://nowhere.example/"}, "answered no-name", "/"},
		{"to a port that is not for visits", map[string]string{"/s": "http://b.example:22/"}, "answered not-visited", "/"},
		{"to a name that resolves to loopback", map[string]string{"/s": "http://inside.example/"}, "answered not-visited", "/"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			port, asked := w.redirects(tt.to)
			w.name("a.example A 127.0.0.1", "b.example A 127.0.0.1", "inside.example A 10.0.0.1", "inside.example AAAA ::1")
			cfg := w.config()
			p := newProber(t, cfg)
			v := visit(t, p, fmt.Sprintf("http://a.example:%d/s", port))
			if got := outcomes(v); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
			if got := v.Final().String(); !strings.HasSuffix(got, tt.final) {
				t.Errorf("ends at %s, want …%s", got, tt.final)
			}
			asked.Range(func(k, _ any) bool {
				if s := k.(string); !strings.HasPrefix(s, "HEAD ") || strings.Contains(s, "reset") {
					t.Errorf("asked %s", s)
				}
				return true
			})
			// Each hop that was asked is in the ledger.
			entries, err := cfg.Ledger.Lookup(t.Context(), v.ID)
			n := 0
			for _, h := range v.Hops {
				if h.Answer != nil {
					n++
				}
			}
			if err != nil || len(entries) != n {
				t.Errorf("%d entries in the ledger, want %d: %v", len(entries), n, err)
			}
			// And each redirect is evidence, without the links in clear.
			redirects := 0
			for _, r := range v.Records(cfg.Key, false) {
				if r.Assertion == evidence.RedirectsTo {
					redirects++
					if r.Subject.Kind != evidence.Sealed || r.Object.Kind != evidence.Sealed {
						t.Errorf("record %+v", r)
					}
				}
			}
			if redirects != len(v.Hops)-1 && !strings.Contains(tt.want, "loop") {
				t.Errorf("%d redirects in evidence, want %d", redirects, len(v.Hops)-1)
			}
		})
	}
}

func TestAShortLinkNamesItsTarget(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	port, _ := w.redirects(map[string]string{"/code": "http://tinyurl.com:PORT/more", "/more": "http://phish.example:PORT/bank"})
	w.name("bit.ly A 127.0.0.1", "tinyurl.com A 127.0.0.1", "phish.example A 127.0.0.1")
	v := visit(t, w.prober(), fmt.Sprintf("http://bit.ly:%d/code", port))
	if v.Class != probe.ShortLink || v.Mode != probe.Exact || len(v.Hops) != 3 || v.Final().URL() != "phish.example/bank" {
		t.Errorf("got %s %s %s, %s", v.Class, v.Mode, outcomes(v), v.Final())
	}
}

func TestFollowHasTheLastWord(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	port, asked := w.redirects(map[string]string{"/s": "/known"})
	w.name("a.example A 127.0.0.1")
	cfg := w.config()
	cfg.Follow = func(from, to link.Link) bool { return !strings.HasSuffix(to.URL(), "/known") }
	if v := visit(t, newProber(t, cfg), fmt.Sprintf("http://a.example:%d/s", port)); outcomes(v) != "answered not-followed" {
		t.Errorf("got %s", outcomes(v))
	}
	if _, ok := asked.Load("HEAD /known"); ok {
		t.Error("it was asked for all the same")
	}
}

func TestModes(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		mode probe.Mode
		want string // the target; "" if nobody is asked
	}{
		{probe.DNSOnly, ""}, {probe.Origin, "/"}, {probe.Path, "/dir/page"}, {probe.Exact, "/dir/page?a=b"},
	} {
		w := newWorld(t)
		port, asked := w.redirects(nil)
		w.name("a.example A 127.0.0.1")
		cfg := w.config()
		cfg.Policy = &probe.Policy{probe.Plain: tt.mode}
		v := visit(t, newProber(t, cfg), fmt.Sprintf("http://a.example:%d/dir/page?a=b", port))
		n := 0
		asked.Range(func(k, _ any) bool {
			n++
			if k != "HEAD "+tt.want {
				t.Errorf("%s asked %v, want %q", tt.mode, k, tt.want)
			}
			return true
		})
		if n == 0 != (tt.want == "") || v.Mode != tt.mode || (tt.want == "") != v.ID.IsZero() {
			t.Errorf("%s: %d requests, mode %s, id %s", tt.mode, n, v.Mode, v.ID)
		}
		if tt.mode == probe.DNSOnly && (v.Outcome != probe.Resolved || len(v.Records(cfg.Key, false)) == 0) {
			t.Errorf("dns-only: %s, records %v", v.Outcome, v.Records(cfg.Key, false))
		}
	}
}

func TestWithoutIdentityNobodyIsVisited(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	port := w.web(func(net.Conn, string) { t.Error("visited") })
	w.name("a.example A 127.0.0.1")
	for _, i := range []probe.Identity{{}, {About: "https://check.example/"}, {From: "a@check.example"}} {
		cfg := w.config()
		cfg.Identity = i
		if v := visit(t, newProber(t, cfg), fmt.Sprintf("http://a.example:%d/", port)); v.Outcome != probe.NoIdentity {
			t.Errorf("%+v: got %s", i, v.Outcome)
		}
	}
	cfg := w.config()
	cfg.Identity.From = "a@check.example\r\nCookie: x"
	if _, err := probe.New(cfg); err == nil {
		t.Error("an identity with a line end was taken")
	}
	cfg.Identity = someone
	cfg.Identity.Agent = "https://check.example/path"
	if _, err := probe.New(cfg); err == nil {
		t.Error("an agent with a path was taken")
	}
}

func TestOneVisitIsSharedByAllWhoAsk(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var requests atomic.Int32
	release := make(chan bool)
	port := w.web(func(c net.Conn, _ string) {
		requests.Add(1)
		<-release
		fmt.Fprint(c, "HTTP/1.1 200 OK\r\n\r\n")
	})
	w.name("a.example A 127.0.0.1")
	p := w.prober()
	l := parse(t, fmt.Sprintf("http://a.example:%d/", port))
	ids := make(chan probe.ID, 20)
	var begun, wg sync.WaitGroup
	for range 20 {
		begun.Add(1)
		wg.Go(func() {
			begun.Done()
			ids <- p.Probe(t.Context(), probe.Question{Link: l}).ID
		})
	}
	begun.Wait()
	for requests.Load() == 0 {
		<-time.After(time.Millisecond)
	}
	close(release)
	wg.Wait()
	close(ids)
	first := <-ids
	shared := 1
	for id := range ids {
		if id == first || id.IsZero() { // whoever came after the end is told that it was lately
			shared++
		}
	}
	if requests.Load() != 1 || shared != 20 {
		t.Errorf("%d requests, %d of 20 shared one", requests.Load(), shared)
	}
}

func TestNobodyIsVisitedTooOften(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		cfg := pipes(t, dir, func(c net.Conn) { requestHead(c); fmt.Fprint(c, "HTTP/1.1 200 OK\r\n\r\n") })
		cfg.Limits = probe.Limits{AddressEvery: time.Second, AddressBurst: 2, Every: -1}
		p := newProber(t, cfg)
		step := func(url string, want probe.Outcome, again time.Duration) {
			t.Helper()
			now := time.Now()
			v := visit(t, p, url)
			if v.Outcome != want {
				t.Errorf("%s: got %s, want %s", url, v.Outcome, want)
			}
			if want.Later() && v.Again.Sub(now) != again {
				t.Errorf("%s: again in %v, want %v", url, v.Again.Sub(now), again)
			}
		}
		step("http://1.1.1.1/a", probe.Answered, 0)
		step("http://1.1.1.1/a", probe.Lately, 24*time.Hour)
		step("http://1.1.1.1/b", probe.Lately, 10*time.Minute) // one tenant
		<-time.After(10*time.Minute - time.Nanosecond)
		step("http://1.1.1.1/b", probe.Lately, time.Nanosecond)
		<-time.After(time.Nanosecond)
		step("http://1.1.1.1/b", probe.Answered, 0)
		<-time.After(24*time.Hour - 10*time.Minute - time.Nanosecond)
		step("http://1.1.1.1/a", probe.Lately, time.Nanosecond)
		<-time.After(time.Nanosecond)
		step("http://1.1.1.1/a", probe.Answered, 0)

		// A restart breaks no promise: the ledger remembers.
		p = newProber(t, cfg)
		step("http://1.1.1.1/a", probe.Lately, 24*time.Hour)
		step("http://1.1.1.1/c", probe.Lately, 10*time.Minute)
	})
}

func TestBudgets(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		cfg := pipes(t, dir, func(c net.Conn) { requestHead(c); fmt.Fprint(c, "HTTP/1.1 200 OK\r\n\r\n") })
		cfg.Limits = probe.Limits{TenantEvery: -1, URLEvery: -1, AddressEvery: time.Second, AddressBurst: 2, Every: 100 * time.Millisecond, Burst: 4}
		p := newProber(t, cfg)
		var got []string
		for _, a := range []string{"1.1.1.1", "1.1.1.1", "1.1.1.1", "8.8.8.8", "8.8.8.8", "9.9.9.9"} {
			v := visit(t, p, "http://"+a+"/")
			got = append(got, fmt.Sprintf("%s %v", v.Outcome, max(time.Until(v.Again), 0)))
		}
		want := []string{"answered 0s", "answered 0s", "busy 1s", "answered 0s", "answered 0s", "busy 100ms"}
		if strings.Join(got, ", ") != strings.Join(want, ", ") {
			t.Errorf("got  %v\nwant %v", got, want)
		}
	})
}

// What a kill leaves of the ledger is enough to keep all limits: those of a URL
// and a tenant, of an address and of all.
func TestARestartFillsNoBudget(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		handle := func(c net.Conn) { requestHead(c); fmt.Fprint(c, "HTTP/1.1 200 OK\r\n\r\n") }
		limits := probe.Limits{AddressEvery: time.Minute, AddressBurst: 2, Every: 10 * time.Second, Burst: 4}
		starts := 0
		start := func() *probe.Prober {
			dir, before := filepath.Join(root, strconv.Itoa(starts)), filepath.Join(root, strconv.Itoa(starts-1))
			if starts++; starts > 1 {
				if err := os.CopyFS(dir, os.DirFS(before)); err != nil { // its process goes on, as if it had been killed
					t.Fatal(err)
				}
			}
			cfg := pipes(t, dir, handle)
			cfg.Limits = limits
			return newProber(t, cfg)
		}
		p := start()
		for _, step := range []struct {
			after   time.Duration
			restart bool
			url     string
			want    probe.Outcome
			again   time.Duration
		}{
			{0, false, "http://1.1.1.1/a", probe.Answered, 0},
			{0, false, "http://1.1.1.1:8080/a", probe.NotVisited, 0}, // and not counted
			{0, true, "http://1.1.1.1/a", probe.Lately, 24 * time.Hour},
			{0, true, "http://1.1.1.1/b", probe.Lately, 10 * time.Minute},
			{10*time.Minute - time.Second, true, "http://1.1.1.1/b", probe.Lately, time.Second},
			{time.Second, true, "http://1.1.1.1/b", probe.Answered, 0},
			{10 * time.Minute, false, "http://1.1.1.1/c", probe.Answered, 0},
			// Four at once.
			{time.Hour, true, "http://1.1.1.2/", probe.Answered, 0},
			{0, false, "http://1.1.1.3/", probe.Answered, 0},
			{0, true, "http://1.1.1.4/", probe.Answered, 0},
			{0, false, "http://1.1.1.5/", probe.Answered, 0},
			{0, true, "http://1.1.1.6/", probe.Busy, 10 * time.Second},
			{9 * time.Second, true, "http://1.1.1.6/", probe.Busy, time.Second},
			{time.Second, true, "http://1.1.1.6/", probe.Answered, 0},
			{0, true, "http://1.1.1.7/", probe.Busy, 10 * time.Second},
			{24 * time.Hour, true, "http://1.1.1.2/", probe.Answered, 0},
		} {
			<-time.After(step.after)
			if step.restart {
				p = start()
			}
			now := time.Now()
			v := visit(t, p, step.url)
			if v.Outcome != step.want || step.want.Later() && v.Again.Sub(now) != step.again {
				t.Errorf("%s: got %s, again in %v, want %s, %v", step.url, v.Outcome, v.Again.Sub(now), step.want, step.again)
			}
		}

		// Two requests to one address at once, the limits of its URL and tenant aside.
		limits = probe.Limits{URLEvery: -1, TenantEvery: -1, AddressEvery: time.Minute, AddressBurst: 2, Every: -1}
		<-time.After(time.Hour)
		for _, step := range []struct {
			after time.Duration
			url   string
			want  probe.Outcome
			again time.Duration
		}{
			{0, "http://1.1.1.1/", probe.Answered, 0},
			{0, "http://1.1.1.1/", probe.Answered, 0},
			{0, "http://1.1.1.1/", probe.Busy, time.Minute},
			{0, "http://1.1.1.2/", probe.Answered, 0},
			{59 * time.Second, "http://1.1.1.1/", probe.Busy, time.Minute},
			{time.Second, "http://1.1.1.1/", probe.Answered, 0},
			{0, "http://1.1.1.1/", probe.Busy, time.Minute},
		} {
			<-time.After(step.after)
			p = start()
			now := time.Now()
			if v := visit(t, p, step.url); v.Outcome != step.want || step.want.Later() && v.Again.Sub(now) != step.again {
				t.Errorf("%s: got %s, again in %v, want %s, %v", step.url, v.Outcome, v.Again.Sub(now), step.want, step.again)
			}
		}
	})
}

func TestWhoDeclinesIsNotVisited(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		records []string
		want    probe.Outcome
	}{
		{"the host in DNS", []string{`_headlight.www.a.example TXT "v=headlight1; visit=no"`}, probe.OptedOut},
		{"its domain in DNS", []string{`_headlight.a.example TXT "v=headlight1; visit=no"`}, probe.OptedOut},
		{"in another letter case and two strings", []string{`_headlight.a.example TXT "V=Headlight1;" " Visit=NO"`}, probe.OptedOut},
		{"another host", []string{`_headlight.b.a.example TXT "v=headlight1; visit=no"`}, probe.Answered},
		{"yes is not no", []string{`_headlight.a.example TXT "v=headlight1; visit=yes"`}, probe.Answered},
		{"other text", []string{`_headlight.a.example TXT "visit=no"`}, probe.Answered},
		{"DNS cannot say", []string{`_headlight.www.a.example FAIL -`}, probe.DNSFailed},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			port := w.web(func(c net.Conn, _ string) {
				if tt.want != probe.Answered {
					t.Error("visited")
				}
				fmt.Fprint(c, "HTTP/1.1 200 OK\r\n\r\n")
			})
			w.name("www.a.example A 127.0.0.1")
			w.name(tt.records...)
			if v := visit(t, w.prober(), fmt.Sprintf("http://www.a.example:%d/", port)); v.Outcome != tt.want {
				t.Errorf("got %s, want %s", v.Outcome, tt.want)
			}
		})
	}
}

func TestAnAnswerCanDeclineFurtherVisits(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		field string
		quiet time.Duration
	}{
		{"Headlight: no-visit", 30 * 24 * time.Hour},
		{"Headlight: no-visit; max-age=172800", 48 * time.Hour},
		{"Retry-After: 172800", 48 * time.Hour},
		{"Retry-After: 172800\r\nHeadlight: no-visit; max-age=60", 48 * time.Hour},
		{"Retry-After: 60\r\nHeadlight: no-visit; max-age=172800", 48 * time.Hour},
		{"Retry-After: Sun, 02 Jan 2000 00:00:00 GMT", 24 * time.Hour}, // bubbles begin at 2000-01-01
	} {
		dir := t.TempDir()
		synctest.Test(t, func(t *testing.T) {
			cfg := pipes(t, dir, func(c net.Conn) { requestHead(c); fmt.Fprintf(c, "HTTP/1.1 503 Later\r\n%s\r\n\r\n", tt.field) })
			cfg.Limits.TenantEvery, cfg.Limits.URLEvery = -1, -1
			p := newProber(t, cfg)
			begin := time.Now()
			if v := visit(t, p, "http://1.1.1.1/"); v.Outcome != probe.ServerError {
				t.Fatalf("got %s", v.Outcome)
			}
			<-time.After(tt.quiet - time.Second - time.Since(begin))
			if v := visit(t, p, "http://1.1.1.1/other"); v.Outcome != probe.OptedOut {
				t.Errorf("%s: got %s", tt.field, v.Outcome)
			}
			// It is in the ledger, and so outlives a restart and the turn of the day.
			if err := cfg.Ledger.Close(); err != nil {
				t.Fatal(err)
			}
			again := pipes(t, dir, func(c net.Conn) { requestHead(c); fmt.Fprint(c, "HTTP/1.1 200 OK\r\n\r\n") })
			again.Limits = cfg.Limits
			p = newProber(t, again)
			if v := visit(t, p, "http://1.1.1.1/third"); v.Outcome != probe.OptedOut {
				t.Errorf("%s, after a restart: got %s", tt.field, v.Outcome)
			}
			<-time.After(2 * time.Second)
			if v := visit(t, p, "http://1.1.1.1/fourth"); v.Outcome != probe.Answered {
				t.Errorf("%s, after its time: got %s", tt.field, v.Outcome)
			}
			if err := again.Ledger.Close(); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// A secret in a link is in no file afterwards, whatever became of the visit.
func TestAnUnreportedLinkIsNotStored(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	port := w.web(func(c net.Conn, head string) {
		if strings.Contains(head, "s3cr3t") {
			fmt.Fprint(c, "HTTP/1.1 302 Found\r\nLocation: /other-s3cr3t?s3cr3t\r\nServer: s3cr3t\r\nX-Powered-By: s3cr3t/1\r\n"+
				"Content-Type: text/s3cr3t; s3cr3t=1\r\nContent-Disposition: attachment; filename=\"s3cr3t.s3cr3t\"\r\nETag: s3cr3t\r\n\r\n")
		}
	})
	w.name("a.example A 127.0.0.1", "b.example A 127.0.0.1")
	cfg := w.config()
	dir := t.TempDir()
	cfg.Ledger = openLedger(t, dir)
	p := newProber(t, cfg)
	v := visit(t, p, fmt.Sprintf("http://a.example:%d/s3cr3t?s3cr3t=1", port))
	if v.Outcome != probe.Answered {
		t.Fatalf("got %s", outcomes(v))
	}
	reported := p.Probe(t.Context(), probe.Question{Link: parse(t, fmt.Sprintf("http://b.example:%d/r3port3d", port)), Reported: true})
	if reported.ID.IsZero() {
		t.Fatalf("got %s", outcomes(reported))
	}
	if err := cfg.Ledger.Close(); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no files: %v", err)
	}
	all := ""
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		all += string(b)
	}
	for _, r := range v.Records(cfg.Key, false) {
		all += fmt.Sprint(r)
	}
	if strings.Contains(strings.ToLower(all), "s3cr3t") || !strings.Contains(all, "r3port3d") || !strings.Contains(all, "a.example") {
		t.Errorf("want the host and what was reported, and nothing else:\n%s", all)
	}
}
