package probe_test

import (
	"bufio"
	"bytes"
	"crypto/ed25519"
	"encoding/json"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"headlight.example/evidence"
	"headlight.example/link"
	"headlight.example/probe"
)

// What is read of a head does not depend on how it arrives; it is within
// bounds; and where net/http reads a head of fields too, both agree on them.
func FuzzReadHead(f *testing.F) {
	f.Add([]byte("HTTP/1.1 200 OK\r\nServer: x\r\n\r\n"), uint8(3))
	f.Add([]byte("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.0 404\nA:b\n c\n\n"), uint8(1))
	f.Add([]byte("HTTP/1.1 302 Found\r\nLocation: //x\r\nA : b\r\n\r\nbody"), uint8(200))
	f.Fuzz(func(t *testing.T, b []byte, chunk uint8) {
		h, err := probe.ReadHead(b, len(b)+1)
		h2, err2 := probe.ReadHead(b, int(chunk)+1)
		if err == nil && err2 == nil && (h.Status != h2.Status || h.Fields != h2.Fields || h.Shape != h2.Shape || h.Malformed != h2.Malformed) {
			t.Errorf("got %+v, and in parts %+v", h, h2)
		}
		if (err == nil) != (err2 == nil) && len(b) < probe.MaxHead {
			t.Errorf("got %v, and in parts %v", err, err2)
		}
		if h.Read > probe.MaxHead || h.Fields > probe.MaxFields {
			t.Errorf("read %d bytes, %d fields", h.Read, h.Fields)
		}
		if err != nil {
			return
		}
		if h.Status < 200 || h.Status > 999 {
			t.Errorf("status %d", h.Status)
		}
		res, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(b)), &http.Request{Method: "HEAD"})
		if err != nil || res.StatusCode < 200 || h.Malformed {
			return
		}
		if res.StatusCode != h.Status {
			t.Errorf("status %d, net/http has %d", h.Status, res.StatusCode)
		}
		for _, name := range []string{"Server", "Location"} {
			if got, want := h.Get(name), res.Header.Get(name); got != want {
				t.Errorf("%s: %q, net/http has %q", name, got, want)
			}
		}
	})
}

// A signature is the one that crypto/ed25519 makes, which is the only one that
// RFC 8032 has for a key and a message.
func FuzzSign(f *testing.F) {
	f.Add([]byte{}, []byte{})
	f.Add([]byte{1}, []byte("\"@authority\": a.example"))
	f.Add(bytes.Repeat([]byte{0xff}, ed25519.SeedSize), bytes.Repeat([]byte{0xff}, 1024))
	for _, size := range []int{63, 64, 79, 80, 111, 112, 127, 128} { // about the ends of SHA-512's blocks
		f.Add([]byte{byte(size)}, make([]byte, size))
	}
	f.Fuzz(func(t *testing.T, b, message []byte) {
		seed := make([]byte, ed25519.SeedSize)
		copy(seed, b)
		private := ed25519.NewKeyFromSeed(seed)
		if got, want := probe.Sign(private, message), ed25519.Sign(private, message); !bytes.Equal(got, want) {
			t.Errorf("got %x, want %x", got, want)
		}
	})
}

// A redirect leads to a web page or nowhere, and following the same Location
// from where it leads, if it is absolute, leads there again.
func FuzzFollow(f *testing.F) {
	for _, s := range []string{"/x", "//b.example", `\\b`, "?q", "#f", "http://b.example:81/../x", "javascript:x", "..", "http:x", "1:2"} {
		f.Add("http://a.example/dir/page?q", s)
	}
	f.Fuzz(func(t *testing.T, from, location string) {
		base, err := link.Parse(from)
		if err != nil || base.Scheme() != "http" && base.Scheme() != "https" {
			return
		}
		to, err := probe.Follow(base, location)
		if err != nil {
			return
		}
		if to.Scheme() != "http" && to.Scheme() != "https" || to.Host() == "" {
			t.Errorf("%q leads to %q", location, to)
		}
		again, err := probe.Follow(base, to.String())
		if err != nil || again.String() != to.String() {
			t.Errorf("%q leads to %q, and that to %q, %v", location, to, again, err)
		}
	})
}

// A request is one request: a line, fields that we know, an empty line, whatever
// the link holds; and net/http reads the target that was meant.
func FuzzRequest(f *testing.F) {
	for _, s := range []string{"http://a.example/x?y", "http://a.example/%0d%0aX: y", "http://a.example/\x00\xff{}\"", "http://[::1]:8/", "a.example?x#y"} {
		f.Add(s, uint8(3))
	}
	r, err := probe.NewResolver(probe.ResolverConfig{Servers: []string{"192.0.2.53:53"}})
	if err != nil {
		f.Fatal(err)
	}
	keys, err := probe.LoadKeys(f.TempDir())
	if err != nil {
		f.Fatal(err)
	}
	l, err := probe.OpenLedger(f.TempDir(), 0)
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { l.Close() })
	p, err := probe.New(probe.Config{Ledger: l, Key: &evidence.Key{}, Resolver: r, Keys: keys, Identity: someone})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, raw string, mode uint8) {
		l, err := link.Parse(raw)
		if err != nil {
			return
		}
		if probe.CheckName(l.Host()) != nil {
			if _, ok := l.Addr(); !ok {
				return // such a host is not visited
			}
		}
		m := probe.Mode(mode % 4)
		b := p.RequestFor(l, m, probe.NewID(time.Now()), time.Now())
		if n := bytes.Count(b, []byte("\n")); n != 11 || bytes.Count(b, []byte("\r\n")) != n || !bytes.HasSuffix(b, []byte("\r\n\r\n")) {
			t.Fatalf("%d lines:\n%q", n, b)
		}
		req, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(b)))
		if err != nil {
			t.Fatalf("%v:\n%q", err, b)
		}
		if want := probe.Target(l, m); req.RequestURI != want || req.Method != "HEAD" {
			t.Errorf("%s %q, want %q", req.Method, req.RequestURI, want)
		}
		if m <= probe.Origin && req.RequestURI != "/" || m == probe.Path && strings.Contains(req.RequestURI, "?") {
			t.Errorf("%s asks for %q", m, req.RequestURI)
		}
	})
}

// Times away are within bounds, and spaces and letter case do not matter.
func FuzzOptOut(f *testing.F) {
	for _, s := range []string{"v=headlight1; visit=no", "no-visit; max-age=60", "120", "Fri, 31 Dec 1999 23:59:59 GMT", ";=;=", "no-visit;max-age=\"9\""} {
		f.Add(s)
	}
	now := time.Date(1999, 12, 31, 0, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, s string) {
		if d := probe.NoVisit(s); d < 0 || d > 365*24*time.Hour {
			t.Errorf("no-visit %q: %v", s, d)
		}
		if d := probe.RetryAfter(s, now); d < 0 || d > 7*24*time.Hour {
			t.Errorf("Retry-After %q: %v", s, d)
		}
		if no := probe.OptedOutTXT(s); no != probe.OptedOutTXT(strings.ReplaceAll(s, ";", " ; ")) {
			t.Errorf("%q: spaces matter", s)
		} else if no && !strings.Contains(strings.ToLower(s), "visit") {
			t.Errorf("%q is taken for a no", s)
		}
	})
}

// Whatever a response holds, what is kept is within bounds and of a form that
// evidence takes.
func FuzzDNSAnswer(f *testing.F) {
	m := new(dns.Msg).SetQuestion("a.example.", dns.TypeA)
	m.Response = true
	m.Answer = []dns.RR{
		&dns.CNAME{Hdr: header("a.example.", dns.TypeCNAME), Target: "b.example."},
		&dns.A{Hdr: header("b.example.", dns.TypeA), A: []byte{1, 2, 3, 4}},
		&dns.NS{Hdr: header("a.example.", dns.TypeNS), Ns: "ns.example."}, &dns.TXT{Hdr: header("a.example.", dns.TypeTXT), Txt: []string{"a", "b"}},
		&dns.MX{Hdr: header("a.example.", dns.TypeMX), Mx: "."}, &dns.AAAA{Hdr: header("a.example.", dns.TypeAAAA), AAAA: make([]byte, 16)},
	}
	if b, err := m.Pack(); err == nil {
		for _, q := range []uint16{dns.TypeA, dns.TypeAAAA, dns.TypeNS, dns.TypeMX, dns.TypeTXT, dns.TypeSOA} {
			f.Add(b, q)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte, qtype uint16) {
		m := new(dns.Msg)
		if m.Unpack(b) != nil {
			return
		}
		addrs, aliases, names, texts, ttl := probe.AnswerCounts(m, "a.example", qtype)
		if len(addrs) > probe.MaxAddrs || len(aliases) > probe.MaxAliases || len(names) > 16 || len(texts) > 16 || ttl < 30*time.Second || ttl > time.Hour {
			t.Errorf("kept %d addresses, %d aliases, %d names, %d texts for %v", len(addrs), len(aliases), len(names), len(texts), ttl)
		}
		for _, a := range addrs {
			if s := (evidence.Subject{Kind: evidence.Addr, Key: a.String()}); s.Validate() != nil || a != a.Unmap() || a == (netip.Addr{}) {
				t.Errorf("address %v: %v", a, s.Validate())
			}
		}
		for _, n := range append(aliases, names...) {
			if s := (evidence.Subject{Kind: evidence.NameServer, Key: n}); s.Validate() != nil {
				t.Errorf("name %q: %v", n, s.Validate())
			}
		}
	})
}

// A line that is read is written as a line that reads the same, in the words of
// package json; a line with a changed byte is not read.
func FuzzLedgerLine(f *testing.F) {
	id := probe.NewID(time.UnixMilli(1_700_000_000_000))
	a := someAsk(id, "a.example")
	for _, l := range []probe.Line{
		{Ask: &a}, {Reply: &probe.Reply{Visit: id, Outcome: probe.Timeout, Addr: netip.MustParseAddrPort("192.0.2.1:80")}},
		{Quiet: &probe.Quiet{Host: "a.example", Why: "no-visit"}},
		{Ask: &a, Reply: &probe.Reply{Visit: id, Status: 200}, At: time.UnixMilli(1_700_000_000_001)},
		{Reply: &probe.Reply{Visit: id, Hop: -1, Status: 404, Addr: netip.MustParseAddrPort("[fe80::1%<z\"]:443")}},
		{Ask: &probe.Ask{Visit: id, Origin: "https://a.example/<\u2028\x7f\"\\>", Addr: netip.MustParseAddr("fe80::1%<z\""), Subject: a.Subject}},
		{Ask: &probe.Ask{Visit: id, Addr: netip.MustParseAddr("2001:db8::1"), Subject: a.Subject}},
	} {
		b, err := probe.AppendLine(nil, &l)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b, 12)
		f.Add(b[9:], 0)
	}
	f.Fuzz(func(t *testing.T, b []byte, flip int) {
		l, err := probe.DecodeLine(b)
		if err != nil {
			// The same with a right checksum, so that the fuzzer gets past it.
			if l, err = probe.DecodeLine(probe.Checked(b)); err != nil {
				return
			}
		}
		once, err := probe.AppendLine(nil, &l)
		if err != nil {
			return // it grew past the bound, or a time has no form
		}
		if text, err := json.Marshal(&l); err != nil || !bytes.Equal(once, probe.Checked(text)) {
			t.Errorf("%v\n%q\n%q", err, once, text)
		}
		l2, err := probe.DecodeLine(once)
		if err != nil {
			t.Fatalf("%v: %q", err, once)
		}
		twice, err := probe.AppendLine(nil, &l2)
		if err != nil || !bytes.Equal(once, twice) {
			t.Errorf("%v\n%q\n%q", err, once, twice)
		}
		if flip >= 9 && flip < len(once)-1 {
			once[flip] ^= 0x20
			if _, err := probe.DecodeLine(once); err == nil {
				t.Errorf("a changed byte was not noticed: %q", once)
			}
		}
	})
}

// A name server is an address and a port, with the name that it proves exactly
// where it is asked over TLS; and what was read is read again as itself.
func FuzzParseServer(f *testing.F) {
	for _, s := range []string{"192.0.2.53", "[2001:db8::53]:5353", "tls://192.0.2.53#dns.example", "tls://[2001:db8::53]:54#dns.example",
		"fe80::1%eth0", "::ffff:192.0.2.53", "192.0.2.53:0", "tls://192.0.2.53#a b"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, err := probe.ParseServer(text)
		if err != nil {
			if got != "" {
				t.Errorf("%q: got %q and %v", text, got, err)
			}
			return
		}
		if again, err := probe.ParseServer(got); again != got || err != nil {
			t.Errorf("%q is read as %q, and that as %q: %v", text, got, again, err)
		}
		rest, secure := strings.CutPrefix(got, "tls://")
		rest, name, named := strings.Cut(rest, "#")
		if ap, err := netip.ParseAddrPort(rest); err != nil || ap.Port() == 0 || !ap.Addr().IsValid() {
			t.Errorf("%q is read as %q, which has no address and port: %v", text, got, err)
		}
		if secure != named || secure && probe.CheckName(name) != nil || secure != strings.HasPrefix(text, "tls://") {
			t.Errorf("%q is read as %q: what is asked over TLS proves a name, and nothing else does", text, got)
		}
	})
}
