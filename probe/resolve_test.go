package probe_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"

	"headlight.example/probe"
)

func (w *world) resolver() *probe.Resolver {
	w.t.Helper()
	r, err := probe.NewResolver(probe.ResolverConfig{Servers: []string{w.dns}, Networks: networks{}, Timeout: patience})
	if err != nil {
		w.t.Fatal(err)
	}
	return r
}

func TestResolve(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.name("www.a.example CNAME www.b.example.", "www.b.example CNAME c.example.", "c.example A 127.0.0.1", "c.example A 192.0.2.7",
		"c.example AAAA 2001:db8::1", "c.example AAAA ::ffff:127.0.0.9", "a.example NS NS.c.example.", "a.example SOA ns.c.example. root.c.example. 9 1 1 1 60",
		"empty.example TXT x", "broken.example FAIL x")
	r := w.resolver()
	n := r.Resolve(t.Context(), "www.a.example", "a.example")
	p := netip.MustParsePrefix("127.0.0.0/8")
	want := []probe.Address{
		{Addr: netip.MustParseAddr("127.0.0.1"), Prefix: p, AS: 64500}, {Addr: netip.MustParseAddr("192.0.2.7")},
		{Addr: netip.MustParseAddr("2001:db8::1")}, {Addr: netip.MustParseAddr("127.0.0.9"), Prefix: p, AS: 64500},
	}
	if fmt.Sprint(n.Addrs) != fmt.Sprint(want) || fmt.Sprint(n.Aliases) != "[www.b.example c.example]" || fmt.Sprint(n.NS) != "[ns.c.example]" || n.SOA.Serial != 9 {
		t.Errorf("got %+v", n)
	}
	for host, want := range map[string]string{
		"www.a.example": "ok", "nowhere.example": "nxdomain", "empty.example": "nodata", "broken.example": "failed",
		"localhost": "not-asked", "a_b!.example": "not-asked", "192.0.2.1": "ok", "[2001:db8::1]": "ok",
	} {
		if n := r.Resolve(t.Context(), host, host); n.Status != want || (want == "ok") != (len(n.Addrs) > 0) {
			t.Errorf("%s: got %s with %v, want %s", host, n.Status, n.Addrs, want)
		}
	}
	if n := w.count("www.a.example. A"); n != 1 {
		t.Errorf("asked %d times, want once: the answer is remembered", n)
	}
}

func TestALongAnswerIsAskedForOverTCP(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for i := range 200 {
		w.name(fmt.Sprintf("a.example A 127.0.1.%d", i))
	}
	n := w.resolver().Resolve(t.Context(), "a.example", "a.example")
	if len(n.Addrs) != probe.MaxAddrs {
		t.Errorf("%d addresses, want the bound %d", len(n.Addrs), probe.MaxAddrs)
	}
	if w.count("a.example. A") != 2 {
		t.Errorf("asked %d times, want UDP and TCP", w.count("a.example. A"))
	}
}

func TestDNSOverTLS(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.name("a.example A 192.0.2.7")
	cert, roots := certificate(t, "dns.example")
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{cert}})
	if err != nil {
		t.Fatal(err)
	}
	s := &dns.Server{Listener: l, Handler: w}
	started := make(chan bool)
	s.NotifyStartedFunc = func() { close(started) }
	done := make(chan error)
	go func() { done <- s.ActivateAndServe() }()
	<-started
	defer func() { s.Shutdown(); <-done }()
	for name, want := range map[string]string{"dns.example": "ok", "other.example": "failed"} {
		r, err := probe.NewResolver(probe.ResolverConfig{
			Servers: []string{"tls://" + l.Addr().String() + "#" + name}, Roots: roots, Timeout: patience,
		})
		if err != nil {
			t.Fatal(err)
		}
		if n := r.Resolve(t.Context(), "a.example", "a.example"); n.Status != want {
			t.Errorf("server %s: got %s, want %s", name, n.Status, want)
		}
	}
}

func TestParseServer(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"192.0.2.53":                          "192.0.2.53:53",
		"[2001:db8::53]:5353":                 "[2001:db8::53]:5353",
		"tls://192.0.2.53#dns.example":        "tls://192.0.2.53:853#dns.example",
		"tls://[2001:db8::53]:54#dns.example": "tls://[2001:db8::53]:54#dns.example",
		"[2001:db8::53]":                      "[2001:db8::53]:53",
		"fe80::1%eth0":                        "[fe80::1%eth0]:53",
		"[fe80::1%eth0]:54":                   "[fe80::1%eth0]:54",
		"[2001:db8::53":                       "",
		"tls://192.0.2.53":                    "", // nobody proves anything
		"tls://192.0.2.53#":                   "",
		"tls://192.0.2.53#a b.example":        "",
		"192.0.2.53#dns.example":              "",
		"https://192.0.2.53#dns.example":      "",
		"tls://dns.example#dns.example":       "",
		"192.0.2.53:0":                        "",
		"":                                    "",
	} {
		got, err := probe.ParseServer(text)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%q: got %q, %v, want %q", text, got, err, want)
		}
		if again, err := probe.ParseServer(got); want != "" && (again != got || err != nil) {
			t.Errorf("%q: read again as %q, %v", got, again, err)
		}
	}
}

// What a hostile name server may say.
func TestHostileAnswers(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		special func(m *dns.Msg)
		want    string
	}{
		{"addresses of another name", func(m *dns.Msg) {
			m.Answer = []dns.RR{&dns.A{Hdr: header("b.example.", dns.TypeA), A: net.IPv4(1, 1, 1, 1)}}
		}, "nodata"},
		{"addresses of another class", func(m *dns.Msg) {
			h := header("a.example.", dns.TypeA)
			h.Class = dns.ClassCHAOS
			m.Answer = []dns.RR{&dns.A{Hdr: h, A: net.IPv4(1, 1, 1, 1)}}
		}, "nodata"},
		{"the answer to another question", func(m *dns.Msg) { m.Question[0].Name = "b.example." }, "failed"},
		{"no question", func(m *dns.Msg) { m.Question = nil }, "failed"},
		{"a question", func(m *dns.Msg) { m.Response = false }, "failed"},
		{"refused", func(m *dns.Msg) { m.Rcode = dns.RcodeRefused }, "failed"},
		{"aliases in a circle", func(m *dns.Msg) {
			m.Answer = []dns.RR{
				&dns.CNAME{Hdr: header("a.example.", dns.TypeCNAME), Target: "b.example."},
				&dns.CNAME{Hdr: header("b.example.", dns.TypeCNAME), Target: "a.example."},
			}
		}, "nodata"},
		{"an alias to an odd name", func(m *dns.Msg) {
			m.Answer = []dns.RR{&dns.CNAME{Hdr: header("a.example.", dns.TypeCNAME), Target: `b\.\000.example.`}}
		}, "nodata"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.special = tt.special
			w.name("a.example TXT x")
			if n := w.resolver().Resolve(t.Context(), "a.example", "a.example"); n.Status != tt.want || len(n.Addrs) > 0 {
				t.Errorf("got %s, %v; want %s", n.Status, n.Addrs, tt.want)
			}
		})
	}
}

func header(name string, rtype uint16) dns.RR_Header {
	return dns.RR_Header{Name: name, Rrtype: rtype, Class: dns.ClassINET, Ttl: 300}
}

func TestBoundsOfAnswers(t *testing.T) {
	t.Parallel()
	for _, n := range []int{probe.MaxAliases, probe.MaxAliases + 1} {
		m := new(dns.Msg)
		for i := range n {
			m.Answer = append(m.Answer, &dns.CNAME{Hdr: header(fmt.Sprintf("n%d.example.", i), dns.TypeCNAME), Target: fmt.Sprintf("n%d.example.", i+1)})
		}
		m.Answer = append(m.Answer, &dns.A{Hdr: header(fmt.Sprintf("n%d.example.", n), dns.TypeA), A: net.IPv4(1, 1, 1, 1)})
		addrs, aliases, _, _, _ := probe.AnswerCounts(m, "n0.example", dns.TypeA)
		if len(aliases) != probe.MaxAliases || (len(addrs) == 1) != (n == probe.MaxAliases) {
			t.Errorf("%d aliases: kept %d, %d addresses", n, len(aliases), len(addrs))
		}
	}
	for ttl, want := range map[uint32]time.Duration{0: 30 * time.Second, 29: 30 * time.Second, 31: 31 * time.Second, 3600: time.Hour, 1 << 31: time.Hour} {
		h := header("a.example.", dns.TypeA)
		h.Ttl = ttl
		_, _, _, _, got := probe.AnswerCounts(&dns.Msg{Answer: []dns.RR{&dns.A{Hdr: h, A: net.IPv4(1, 1, 1, 1)}}}, "a.example", dns.TypeA)
		if got != want {
			t.Errorf("TTL %d: kept for %v, want %v", ttl, got, want)
		}
	}
	soa := &dns.SOA{Hdr: header("example.", dns.TypeSOA), Minttl: 77}
	if _, _, _, _, ttl := probe.AnswerCounts(&dns.Msg{Ns: []dns.RR{soa}, MsgHdr: dns.MsgHdr{Rcode: dns.RcodeNameError}}, "a.example", dns.TypeA); ttl != 77*time.Second {
		t.Errorf("a name that does not exist: remembered for %v, want 77s", ttl)
	}
}

func TestAnAnswerIsForgottenAfterItsTime(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.name("a.example A 127.0.0.1")
	r := w.resolver()
	synctest.Test(t, func(t *testing.T) {
		for range 2 {
			r.Resolve(context.Background(), "a.example", "a.example")
		}
		if n := w.count("a.example. A"); n != 1 {
			t.Fatalf("asked %d times, want once", n)
		}
		<-time.After(300*time.Second + time.Nanosecond)
		r.Resolve(context.Background(), "a.example", "a.example")
	})
	if n := w.count("a.example. A"); n != 2 {
		t.Errorf("asked %d times in all, want twice", n)
	}
}

func TestOptOut(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		"v=headlight1; visit=no": true, "v=headlight1;visit=no;": true, "v=headlight1; x=y; visit = no ": true, "V=HEADLIGHT1; VISIT=NO": true,
		"": false, "visit=no": false, "v=headlight2; visit=no": false, "v=headlight1": false, "v=headlight1; visit=yes": false,
		"x=y; v=headlight1; visit=no": false, "v=headlight1 visit=no": false, strings.Repeat(";", 1000): false,
	} {
		if got := probe.OptedOutTXT(text); got != want {
			t.Errorf("%.50q: got %v", text, got)
		}
	}
	const day = 24 * time.Hour
	for value, want := range map[string]time.Duration{
		"no-visit": 30 * day, "No-Visit; Max-Age=60": time.Minute, "max-age=60, no-visit": time.Minute, `no-visit; max-age="60"`: time.Minute,
		"no-visit; max-age=x": 30 * day, "no-visit; max-age=-1": 30 * day, "no-visit; max-age=99999999999999999999": 365 * day,
		"no-visit; max-age=31536001": 365 * day, "": 0, "max-age=60": 0, "visit": 0, "no-visits": 0,
	} {
		if got := probe.NoVisit(value); got != want {
			t.Errorf("%q: got %v, want %v", value, got, want)
		}
	}
	now := time.Date(1999, 12, 31, 23, 58, 59, 0, time.UTC)
	for value, want := range map[string]time.Duration{
		"120": 2 * time.Minute, " 0 ": 0, "604800": 7 * day, "604801": 7 * day, "99999999999999999999": 7 * day, "-1": 0, "1.5": 0, "": 0, "soon": 0,
		"Fri, 31 Dec 1999 23:59:59 GMT": time.Minute, "Friday, 31-Dec-99 23:59:59 GMT": time.Minute, "Fri Dec 31 23:59:59 1999": time.Minute,
		"Fri, 31 Dec 1998 23:59:59 GMT": 0, "Fri, 31 Dec 2099 23:59:59 GMT": 7 * day,
	} {
		if got := probe.RetryAfter(value, now); got != want {
			t.Errorf("Retry-After %q: got %v, want %v", value, got, want)
		}
	}
}
