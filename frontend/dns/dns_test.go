package dns_test

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	wire "github.com/miekg/dns"
	"github.com/prometheus/client_golang/prometheus"

	"headlight.example"
	"headlight.example/blocklist"
	"headlight.example/evidence"
	"headlight.example/frontend/dns"
)

const (
	blZone  = "bl.example.org"
	rpzZone = "rpz.example.org"
)

// world is a service whose editions a server answers from.
type world struct {
	t   testing.TB
	svc *headlight.Service
	pub *blocklist.Publisher
	srv *dns.Server
	// addr is where it listens, once it does.
	addr string
}

func newWorld(t testing.TB, cfg dns.Config) *world {
	t.Helper()
	logger := slog.New(slog.DiscardHandler)
	svc, err := headlight.Open(t.Context(), headlight.Config{Dir: t.TempDir(), Logger: logger})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { svc.Close() })
	pub, err := blocklist.Open(blocklist.Config{Dir: t.TempDir(), Source: svc, Logger: logger})
	if err != nil {
		t.Fatal(err)
	}
	cfg.Shelf, cfg.Logger, cfg.Zone, cfg.Policy = pub.Shelf(), logger, blZone, rpzZone
	srv, err := dns.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return &world{t: t, svc: svc, pub: pub, srv: srv}
}

// serve listens on a port of loopback that is free on both.
func (w *world) serve() { w.serveAt("127.0.0.1:0") }

func (w *world) serveAt(at string) {
	w.t.Helper()
	var packets net.PacketConn
	var listener net.Listener
	var err error
	for range 20 {
		if packets, err = net.ListenPacket("udp", at); err != nil {
			w.t.Fatal(err)
		}
		w.addr = packets.LocalAddr().String()
		if listener, err = net.Listen("tcp", w.addr); err == nil {
			break
		}
		packets.Close()
	}
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	end := make(chan error)
	go func() { end <- w.srv.Serve(ctx, packets, listener) }()
	w.t.Cleanup(func() {
		cancel(errors.New("told to stop")) // as signal.NotifyContext does: no error of Serve
		if err := <-end; err != nil {
			w.t.Errorf("serve: %v", err)
		}
	})
}

func (w *world) say(a evidence.Assertion, subjects ...evidence.Subject) *blocklist.Edition {
	w.t.Helper()
	for _, s := range subjects {
		if _, err := w.svc.Append(w.t.Context(), evidence.Record{Rater: "operator/o", Subject: s, Assertion: a}); err != nil {
			w.t.Fatal(err)
		}
	}
	e, err := w.pub.Publish(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	return e
}

func host(name string) evidence.Subject { return evidence.Subject{Kind: evidence.Host, Key: name} }
func addr(a string) evidence.Subject    { return evidence.Subject{Kind: evidence.Addr, Key: a} }

// some publishes something of each sort, and waits until it is answered.
func (w *world) some() *blocklist.Edition {
	w.say(evidence.Phishing, host("www.bad.test"), host("deep.www.two.test"), addr("192.0.2.7"))
	w.say(evidence.Malware, host("worse.test"), addr("2001:db8::7"))
	w.say(evidence.Unwanted, host("unwanted.test"))
	return w.say(evidence.Spam, host("spam.test"), evidence.Subject{Kind: evidence.URL, Key: "page.test/x"})
}

// exchange sends a message over the network given.
func (w *world) exchange(network string, m *wire.Msg) *wire.Msg {
	w.t.Helper()
	c := wire.Client{Net: network, Timeout: 5 * time.Second}
	a, _, err := c.Exchange(m, w.addr)
	if err != nil {
		w.t.Fatalf("%s: %v", m.Question[0].Name, err)
	}
	return a
}

// await waits until the server answers from an edition.
func (w *world) await(e *blocklist.Edition) {
	w.t.Helper()
	m := new(wire.Msg).SetQuestion(blZone+".", wire.TypeSOA)
	for range 1000 {
		if a := w.exchange("udp", m); len(a.Answer) == 1 && a.Answer[0].(*wire.SOA).Serial == e.Serial() {
			return
		}
	}
	w.t.Fatalf("edition %d is not answered from", e.Serial())
}

// say what an answer is: its rcode, and its records.
func told(a *wire.Msg) string {
	parts := []string{wire.RcodeToString[a.Rcode]}
	for _, r := range a.Answer {
		parts = append(parts, strings.TrimPrefix(r.String(), r.Header().String()))
	}
	if len(a.Answer) == 0 && len(a.Ns) == 1 && a.Ns[0].Header().Rrtype == wire.TypeSOA {
		parts = append(parts, "SOA")
	}
	return strings.Join(parts, " ")
}

func TestAnswers(t *testing.T) {
	t.Parallel()
	w := newWorld(t, dns.Config{Lookup: "https://links.example.org/?"})
	w.serve()
	w.await(w.some())
	sum := sha256.Sum256([]byte("worse.test"))
	hashed := hex.EncodeToString(sum[:16])
	six := func(s string) string { // RFC 5782 §2.4
		var nibbles []string
		for _, b := range netip.MustParseAddr(s).As16() {
			nibbles = append(nibbles, fmt.Sprintf("%x", b>>4), fmt.Sprintf("%x", b&15))
		}
		slices.Reverse(nibbles)
		return strings.Join(nibbles, ".")
	}
	for _, x := range []struct {
		name  string
		q     string // below the blocklist zone, unless it ends in a dot
		qtype uint16
		want  string
	}{
		{"a listed name", "www.bad.test", wire.TypeA, "NOERROR 127.0.0.6"},
		{"in any case", "WWW.bAd.TesT", wire.TypeA, "NOERROR 127.0.0.6"},
		{"a name below it", "a.b.www.bad.test", wire.TypeA, "NOERROR 127.0.0.6"},
		{"the name above it is there, but not listed", "bad.test", wire.TypeA, "NOERROR SOA"},
		{"another name below that", "ftp.bad.test", wire.TypeA, "NXDOMAIN SOA"},
		{"malware", "worse.test", wire.TypeA, "NOERROR 127.0.0.10"},
		{"unwanted", "unwanted.test", wire.TypeA, "NOERROR 127.0.0.18"},
		{"spam", "spam.test", wire.TypeA, "NOERROR 127.0.0.18"},
		{"the host of a listed page", "page.test", wire.TypeA, "NXDOMAIN SOA"},
		{"the reason", "www.bad.test", wire.TypeTXT, `NOERROR "phishing: see https://links.example.org/?www.bad.test"`},
		{"any", "www.bad.test", wire.TypeANY, "NOERROR 127.0.0.6"},
		{"another type", "www.bad.test", wire.TypeMX, "NOERROR SOA"},
		{"a name that is not listed", "good.test", wire.TypeA, "NXDOMAIN SOA"},
		{"and why not", "good.test", wire.TypeTXT, "NXDOMAIN SOA"},
		{"a listed address", "7.2.0.192", wire.TypeA, "NOERROR 127.0.0.6"},
		{"its neighbour", "8.2.0.192", wire.TypeA, "NXDOMAIN SOA"},
		{"part of an address", "2.0.192", wire.TypeA, "NOERROR SOA"},
		{"a listed address of IPv6", six("2001:db8::7"), wire.TypeA, "NOERROR 127.0.0.10"},
		{"its neighbour of IPv6", six("2001:db8::8"), wire.TypeA, "NXDOMAIN SOA"},
		{"part of an address of IPv6", "8.b.d.0.1.0.0.2", wire.TypeA, "NOERROR SOA"},
		{"more than an address of IPv6", "0." + six("2001:db8::7"), wire.TypeA, "NXDOMAIN SOA"},
		{"a hashed name", hashed, wire.TypeA, "NOERROR 127.0.0.10"},
		{"a hashed name in upper case", strings.ToUpper(hashed), wire.TypeA, "NOERROR 127.0.0.10"},
		{"another hash", strings.Repeat("0", 32), wire.TypeA, "NXDOMAIN SOA"},
		{"half a hash", hashed[:31], wire.TypeA, "NXDOMAIN SOA"},
		{"no hash", strings.Repeat("z", 32), wire.TypeA, "NXDOMAIN SOA"},
		// RFC 5782 §5
		{"the test entry of addresses", "2.0.0.127", wire.TypeA, "NOERROR 127.0.0.2"},
		{"what must not be listed", "1.0.0.127", wire.TypeA, "NXDOMAIN SOA"},
		{"the test entry of IPv6", six("::ffff:7f00:2"), wire.TypeA, "NOERROR 127.0.0.2"},
		{"what must not be listed of IPv6", six("::ffff:7f00:1"), wire.TypeA, "NXDOMAIN SOA"},
		{"the test entry of names", "TEST", wire.TypeA, "NOERROR 127.0.0.2"},
		{"the name that must not be listed", "INVALID", wire.TypeA, "NXDOMAIN SOA"},
		{"the reason of a test entry", "test", wire.TypeTXT, `NOERROR "listed: see https://links.example.org/?test"`},
		{"Headlight's own test point", "phishing.headlight.example", wire.TypeA, "NOERROR 127.0.0.6"},

		{"the zone's name servers", blZone + ".", wire.TypeNS, "NOERROR localhost."},
		{"the zone's address", blZone + ".", wire.TypeA, "NOERROR SOA"},
		{"another zone", "www.bad.test.", wire.TypeA, "REFUSED"},
		{"the root", ".", wire.TypeNS, "REFUSED"},
		{"a longer name that ends alike", "x" + blZone + ".", wire.TypeA, "REFUSED"},
		{"a name with a dot in a label", `www\.bad.test`, wire.TypeA, "NXDOMAIN SOA"},
		{"a policy", "www.bad.test." + rpzZone + ".", wire.TypeA, "NOERROR ."},
		{"a policy for what is below", "x.www.bad.test." + rpzZone + ".", wire.TypeCNAME, "NOERROR ."},
		{"no policy", "bad.test." + rpzZone + ".", wire.TypeA, "NOERROR SOA"},
		{"no policy at all", "good.test." + rpzZone + ".", wire.TypeA, "NXDOMAIN SOA"},
		{"no test entries in the policy zone", "test." + rpzZone + ".", wire.TypeA, "NOERROR SOA"},
		{"the zone as a whole", blZone + ".", wire.TypeAXFR, "REFUSED"},
	} {
		t.Run(x.name, func(t *testing.T) {
			t.Parallel()
			name := x.q
			if !strings.HasSuffix(name, ".") {
				name += "." + blZone + "."
			}
			m := new(wire.Msg).SetQuestion(name, x.qtype)
			for _, network := range []string{"udp", "tcp"} {
				a := w.exchange(network, m)
				if got := told(a); got != x.want {
					t.Errorf("%s: got %s, want %s", network, got, x.want)
				}
				if refused := a.Rcode == wire.RcodeRefused; a.Authoritative == refused || a.Id != m.Id || a.RecursionAvailable {
					t.Errorf("%s: head %+v", network, a.MsgHdr)
				}
				if len(a.Question) != 1 || a.Question[0].Name != name {
					t.Errorf("%s: the question is not as it was asked: %v", network, a.Question)
				}
			}
		})
	}
}

// A socket for all addresses of both families serves IPv4 as well.
func TestAllAddresses(t *testing.T) {
	t.Parallel()
	w := newWorld(t, dns.Config{})
	w.serveAt(":0")
	_, port, err := net.SplitHostPort(w.addr)
	if err != nil {
		t.Fatal(err)
	}
	w.addr = net.JoinHostPort("127.0.0.1", port)
	w.await(w.some())
	for _, network := range []string{"udp", "tcp"} {
		if got := told(w.exchange(network, new(wire.Msg).SetQuestion("test."+blZone+".", wire.TypeA))); got != "NOERROR 127.0.0.2" {
			t.Errorf("%s: %s", network, got)
		}
	}
}

func TestOtherQuestions(t *testing.T) {
	t.Parallel()
	w := newWorld(t, dns.Config{})
	w.serve()
	ask := func(change func(*wire.Msg)) *wire.Msg {
		m := new(wire.Msg).SetQuestion("test."+blZone+".", wire.TypeA)
		change(m)
		return w.exchange("udp", m)
	}
	if got := told(ask(func(*wire.Msg) {})); got != "SERVFAIL" {
		t.Errorf("before the first edition: %s", got)
	}
	w.await(w.some())
	if a := ask(func(m *wire.Msg) { m.SetEdns0(4096, false) }); a.IsEdns0() == nil || a.IsEdns0().UDPSize() != 1232 || told(a) != "NOERROR 127.0.0.2" {
		t.Errorf("with EDNS: %v", a)
	}
	if a := ask(func(*wire.Msg) {}); a.IsEdns0() != nil {
		t.Error("EDNS to one who did not say that he knows it") // RFC 6891 §7
	}
	if a := ask(func(m *wire.Msg) { m.SetEdns0(4096, false); m.IsEdns0().SetVersion(1) }); a.Rcode != wire.RcodeBadVers {
		t.Errorf("another version of EDNS: %v", a)
	}
	if got := told(ask(func(m *wire.Msg) { m.Question[0].Qclass = wire.ClassCHAOS })); got != "REFUSED" {
		t.Errorf("another class: %s", got)
	}
	if got := told(ask(func(m *wire.Msg) { m.Opcode = wire.OpcodeUpdate })); got != "NOTIMP" {
		t.Errorf("an update: %s", got)
	}
	if got := told(ask(func(m *wire.Msg) { m.Question = append(m.Question, m.Question[0]) })); got != "FORMERR" {
		t.Errorf("two questions: %s", got)
	}
	if got := told(ask(func(m *wire.Msg) { m.SetIxfr(rpzZone+".", 1, "a.", "b.") })); !strings.HasPrefix(got, "NOERROR localhost. hostmaster.localhost.") {
		t.Errorf("IXFR over UDP: %s", got)
	}
}

func TestOnlyTheAllowedAsk(t *testing.T) {
	t.Parallel()
	w := newWorld(t, dns.Config{Allow: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}, Transfer: []netip.Prefix{}})
	w.some()
	w.srv.Load()
	raw, err := new(wire.Msg).SetQuestion("test."+blZone+".", wire.TypeA).Pack()
	if err != nil {
		t.Fatal(err)
	}
	for from, want := range map[string]string{"192.0.2.1": "NOERROR 127.0.0.2", "::ffff:192.0.2.1": "NOERROR 127.0.0.2", "192.0.3.1": "REFUSED", "2001:db8::1": "REFUSED", "127.0.0.1": "REFUSED"} {
		var a wire.Msg
		if err := a.Unpack(w.srv.Packet(raw, netip.MustParseAddr(from))); err != nil {
			t.Fatal(err)
		}
		if got := told(&a); got != want {
			t.Errorf("%s: got %s, want %s", from, got, want)
		}
	}
	w.serve()
	c, err := net.Dial("tcp", w.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := io.ReadAll(c); err != nil && !strings.Contains(err.Error(), "reset") {
		t.Errorf("a stranger's connection: %v", err)
	}
}

func TestLimit(t *testing.T) {
	t.Parallel()
	take := dns.Limiter(3)
	now := time.Unix(1_800_000_000, 0)
	var got []uint8
	for range 7 {
		got = append(got, take(netip.MustParseAddr("192.0.2.1"), now))
	}
	if want := []uint8{0, 0, 0, 2, 1, 2, 1}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if take(netip.MustParseAddr("192.0.2.77"), now) == 0 {
		t.Error("a neighbour has a limit of its own")
	}
	if take(netip.MustParseAddr("192.0.3.1"), now) != 0 {
		t.Error("another network has none")
	}
	if take(netip.MustParseAddr("192.0.2.1"), now.Add(time.Second)) != 0 {
		t.Error("a second later it is the same")
	}
	for range 10 {
		if take(netip.MustParseAddr("127.0.0.1"), now) != 0 {
			t.Error("the machine itself is limited")
		}
	}
}

// Over the limit the answer is empty and truncated, and never larger than the
// question.
func TestSlip(t *testing.T) {
	t.Parallel()
	w := newWorld(t, dns.Config{Rate: 1, Allow: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}})
	w.some()
	w.srv.Load()
	raw, err := new(wire.Msg).SetQuestion("test."+blZone+".", wire.TypeA).Pack()
	if err != nil {
		t.Fatal(err)
	}
	none, cut := 0, 0
	for range 100 {
		out := w.srv.Packet(raw, netip.MustParseAddr("192.0.2.1"))
		if out == nil {
			none++
			continue
		}
		var a wire.Msg
		if err := a.Unpack(out); err != nil {
			t.Fatal(err)
		}
		if a.Truncated {
			if cut++; len(a.Answer) != 0 || len(out) > len(raw) || len(a.Question) != 1 {
				t.Fatalf("a cut answer: %v", &a)
			}
		}
	}
	if none < 30 || cut < 30 { // the seconds may turn in between
		t.Errorf("%d were dropped and %d cut", none, cut)
	}
}

// transfer takes the policy zone, or what is new since a serial, and gives the
// names of its records; "serial" for SOAs.
func (w *world) transfer(m *wire.Msg, secret map[string]string) ([]string, error) {
	w.t.Helper()
	tr := &wire.Transfer{TsigSecret: secret}
	envelopes, err := tr.In(m, w.addr)
	if err != nil {
		return nil, err
	}
	var got []string
	for e := range envelopes {
		if e.Error != nil {
			return nil, e.Error
		}
		for _, r := range e.RR {
			if soa, ok := r.(*wire.SOA); ok {
				got = append(got, fmt.Sprint(soa.Serial))
			} else if !strings.Contains(r.Header().Name, "headlight.example") {
				got = append(got, strings.TrimSuffix(r.Header().Name, "."+rpzZone+"."))
			}
		}
	}
	return got, nil
}

func TestTransfer(t *testing.T) {
	t.Parallel()
	w := newWorld(t, dns.Config{})
	w.serve()
	first := w.say(evidence.Phishing, host("one.test"), host("two.test"), host("x.rpz-ip"))
	second := w.say(evidence.Malware, host("two.test"), host("three.test"), evidence.Subject{Kind: evidence.URL, Key: "page.test/x"})
	third := w.say(evidence.Retracted, host("one.test"))
	w.await(third)
	serial := func(e *blocklist.Edition) string { return fmt.Sprint(e.Serial()) }
	whole := []string{serial(third), rpzZone + ".", "three.test", "*.three.test", "two.test", "*.two.test", serial(third)}
	for _, x := range []struct {
		name string
		m    *wire.Msg
		want []string
	}{
		{"the whole", new(wire.Msg).SetAxfr(rpzZone + "."), whole},
		{"nothing is new", new(wire.Msg).SetIxfr(rpzZone+".", third.Serial(), "a.", "b."), []string{serial(third)}},
		{"one step", new(wire.Msg).SetIxfr(rpzZone+".", second.Serial(), "a.", "b."),
			[]string{serial(third), serial(second), "one.test", "*.one.test", serial(third), serial(third)}},
		{"two steps; another threat is the same record", new(wire.Msg).SetIxfr(rpzZone+".", first.Serial(), "a.", "b."),
			[]string{serial(third), serial(first), "one.test", "*.one.test", serial(third), "three.test", "*.three.test", serial(third)}},
		{"since what nobody knows", new(wire.Msg).SetIxfr(rpzZone+".", 7, "a.", "b."), whole},
	} {
		got, err := w.transfer(x.m, nil)
		if diff := cmp.Diff(x.want, got); err != nil || diff != "" {
			t.Errorf("%s: %v (-want +got):\n%s", x.name, err, diff)
		}
	}
	if _, err := w.transfer(new(wire.Msg).SetAxfr(blZone+"."), nil); err == nil {
		t.Error("the blocklist zone is given away")
	}
}

// A zone of more than a message comes whole.
func TestLargeTransfer(t *testing.T) {
	t.Parallel()
	w := newWorld(t, dns.Config{})
	w.serve()
	var hosts []evidence.Subject
	for i := range 1500 {
		hosts = append(hosts, host(fmt.Sprintf("host%d.%s.test", i, strings.Repeat("long-", 12)+"x")))
	}
	w.await(w.say(evidence.Phishing, hosts...))
	got, err := w.transfer(new(wire.Msg).SetAxfr(rpzZone+"."), nil)
	if err != nil || len(got) != 3+2*len(hosts) {
		t.Errorf("%d records, %v", len(got), err)
	}
}

func TestTSIG(t *testing.T) {
	t.Parallel()
	secret := []byte("0123456789abcdef")
	w := newWorld(t, dns.Config{Transfer: []netip.Prefix{}, Keys: map[string][]byte{"Key.Example": secret}})
	w.serve()
	e := w.some()
	w.await(e)
	keys := map[string]string{"key.example.": base64.StdEncoding.EncodeToString(secret)}
	ask := func() *wire.Msg {
		m := new(wire.Msg).SetAxfr(rpzZone + ".")
		m.SetTsig("key.example.", wire.HmacSHA256, 300, time.Now().Unix())
		return m
	}
	if got, err := w.transfer(ask(), keys); err != nil || got[0] != fmt.Sprint(e.Serial()) {
		t.Errorf("with the key: %v, %v", got, err)
	}
	if _, err := w.transfer(new(wire.Msg).SetAxfr(rpzZone+"."), nil); err == nil {
		t.Error("without a key the zone is given away")
	}
	wrong := map[string]string{"key.example.": base64.StdEncoding.EncodeToString([]byte("fedcba9876543210"))}
	if _, err := w.transfer(ask(), wrong); err == nil {
		t.Error("with a wrong key the zone is given away")
	}
	for _, network := range []string{"udp", "tcp"} {
		m := new(wire.Msg).SetQuestion(rpzZone+".", wire.TypeSOA)
		m.SetTsig("key.example.", wire.HmacSHA256, 300, time.Now().Unix())
		c := wire.Client{Net: network, TsigSecret: keys, Timeout: 5 * time.Second}
		if a, _, err := c.Exchange(m, w.addr); err != nil || len(a.Answer) != 1 || a.IsTsig() == nil {
			t.Errorf("SOA with the key over %s: %v, %v", network, a, err)
		}
		m = new(wire.Msg).SetQuestion(rpzZone+".", wire.TypeSOA)
		m.SetTsig("key.example.", wire.HmacSHA256, 300, time.Now().Unix())
		c.TsigSecret = wrong
		if a, _, err := c.Exchange(m, w.addr); err == nil && a.Rcode != wire.RcodeNotAuth {
			t.Errorf("SOA with a wrong key over %s: %v", network, a)
		}
	}
}

// Secondaries hear of each edition, again if they do not answer.
func TestNotify(t *testing.T) {
	t.Parallel()
	secondary, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer secondary.Close()
	w := newWorld(t, dns.Config{Notify: []netip.AddrPort{secondary.LocalAddr().(*net.UDPAddr).AddrPort()}})
	w.serve()
	hear := func(answer bool) uint32 {
		b := make([]byte, 512)
		secondary.SetReadDeadline(time.Now().Add(10 * time.Second))
		n, from, err := secondary.ReadFrom(b)
		if err != nil {
			t.Fatal(err)
		}
		var m wire.Msg
		if err := m.Unpack(b[:n]); err != nil || m.Opcode != wire.OpcodeNotify || m.Question[0].Name != rpzZone+"." {
			t.Fatalf("%v, %v", err, &m)
		}
		if answer {
			a, err := new(wire.Msg).SetReply(&m).Pack()
			if err != nil {
				t.Fatal(err)
			}
			secondary.WriteTo(a, from)
		}
		return m.Answer[0].(*wire.SOA).Serial
	}
	first := w.some()
	for {
		if serial := hear(false); serial == first.Serial() {
			break // earlier editions may have been told of as well
		}
	}
	if serial := hear(true); serial != first.Serial() {
		t.Errorf("told again of %d, not %d", serial, first.Serial())
	}
	second := w.say(evidence.Malware, host("more.test"))
	if serial := hear(true); serial != second.Serial() {
		t.Errorf("told of %d, not %d", serial, second.Serial())
	}
}

func TestMetrics(t *testing.T) {
	t.Parallel()
	w := newWorld(t, dns.Config{})
	w.serve()
	e := w.some()
	w.await(e)
	w.exchange("udp", new(wire.Msg).SetQuestion("good.test."+blZone+".", wire.TypeA))
	w.exchange("tcp", new(wire.Msg).SetQuestion("elsewhere.", wire.TypeA))
	for _, m := range []*wire.Msg{new(wire.Msg).SetAxfr(rpzZone + "."), new(wire.Msg).SetIxfr(rpzZone+".", w.pub.Shelf().Serials()[0], "a.", "b.")} {
		if _, err := w.transfer(m, nil); err != nil {
			t.Fatal(err)
		}
	}
	reg := prometheus.NewRegistry()
	reg.MustRegister(w.srv)
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := make(map[string]float64)
	for _, f := range families {
		for _, m := range f.Metric {
			name := f.GetName()
			for _, l := range m.Label {
				name += " " + l.GetValue()
			}
			got[name] = m.Counter.GetValue()
		}
	}
	for name, want := range map[string]float64{
		"headlight_dns_answers_total NXDOMAIN udp": 1, "headlight_dns_answers_total REFUSED tcp": 1,
		"headlight_dns_transfers_total whole": 1, "headlight_dns_transfers_total changes": 1, "headlight_dns_dropped_total": 0,
	} {
		if got[name] != want {
			t.Errorf("%s is %v, want %v", name, got[name], want)
		}
	}
}

func TestConfigMistakes(t *testing.T) {
	t.Parallel()
	for _, x := range []struct {
		name string
		cfg  dns.Config
		want string
	}{
		{"no zone", dns.Config{}, "neither"},
		{"no name", dns.Config{Zone: "a..b"}, "not the name of a zone"},
		{"the root", dns.Config{Zone: "."}, "not the name of a zone"},
		{"too long", dns.Config{Zone: strings.Repeat("a.", 30) + "example"}, "not the name of a zone"},
		{"one in the other", dns.Config{Zone: "example.org", Policy: "rpz.example.org"}, "lies in the other"},
		{"the same", dns.Config{Zone: "example.org", Policy: "Example.org."}, "lies in the other"},
		{"no server", dns.Config{Zone: "example.org", Server: "a..b"}, "not the name of a server"},
	} {
		if _, err := dns.New(x.cfg); err == nil || !strings.Contains(err.Error(), x.want) {
			t.Errorf("%s: got %v, want %q", x.name, err, x.want)
		}
	}
}

// What mail filters ask is answered by hand, and without garbage.
func TestPlain(t *testing.T) {
	t.Parallel()
	w := newWorld(t, dns.Config{})
	w.some()
	w.srv.Load()
	local := netip.MustParseAddr("127.0.0.1")
	for _, x := range []struct {
		name  string
		qtype uint16
		plain bool
	}{
		{"www.bad.test." + blZone + ".", wire.TypeA, true},
		{"WWW.bad.test." + blZone + ".", wire.TypeTXT, true},
		{"good.test." + blZone + ".", wire.TypeAAAA, true},
		{"good.test." + blZone + ".", wire.TypeMX, false},
		{"www.bad.test." + rpzZone + ".", wire.TypeA, false},
		{blZone + ".", wire.TypeA, false},
		{"bl.example.org.bad.test." + blZone + ".", wire.TypeA, true},
		{"bad.test.x" + blZone + ".", wire.TypeA, false},
		{`a\.b.` + blZone + ".", wire.TypeA, false},
	} {
		raw, err := new(wire.Msg).SetQuestion(x.name, x.qtype).Pack()
		if err != nil {
			t.Fatal(err)
		}
		if got := w.srv.Plain(raw, local) != nil; got != x.plain {
			t.Errorf("%s is plain: %v, want %v", x.name, got, x.plain)
		}
	}
}

// Whatever comes, the answer is one to it, and can be read.
func FuzzPacket(f *testing.F) {
	w := newWorld(f, dns.Config{Keys: map[string][]byte{"key.": []byte("0123456789abcdef")}})
	w.some()
	w.srv.Load()
	add := func(m *wire.Msg) {
		raw, err := m.Pack()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	for _, name := range []string{"www.bad.test.", "good.test.", "7.2.0.192.", "test.", ""} {
		for _, t := range []uint16{wire.TypeA, wire.TypeTXT, wire.TypeSOA, wire.TypeIXFR} {
			add(new(wire.Msg).SetQuestion(name+blZone+".", t))
			add(new(wire.Msg).SetQuestion(name+rpzZone+".", t).SetEdns0(4096, true))
		}
	}
	for _, name := range []string{"www.bad.test.", "x.WWW.Bad.tesT.", "good.test.", "bad.test.", "7.2.0.192.", "7.2.0.", "test.", strings.Repeat("label.", 30), "a-b_c.test."} {
		for _, t := range []uint16{wire.TypeA, wire.TypeTXT, wire.TypeAAAA, wire.TypeMX} {
			add(new(wire.Msg).SetQuestion(name+blZone+".", t))
			cookie := new(wire.Msg).SetQuestion(name+strings.ToUpper(blZone)+".", t).SetEdns0(600, true)
			cookie.IsEdns0().Option = []wire.EDNS0{&wire.EDNS0_COOKIE{Code: wire.EDNS0COOKIE, Cookie: "0011223344556677"}}
			cookie.CheckingDisabled = true
			add(cookie)
		}
	}
	signed := new(wire.Msg).SetQuestion(rpzZone+".", wire.TypeSOA).SetTsig("key.", wire.HmacSHA256, 300, time.Now().Unix())
	raw, _, err := wire.TsigGenerate(signed, base64.StdEncoding.EncodeToString([]byte("0123456789abcdef")), "", false)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw)
	local := netip.MustParseAddr("127.0.0.1")
	f.Fuzz(func(t *testing.T, raw []byte) {
		if plain := w.srv.Plain(raw, local); plain != nil {
			var got, want wire.Msg
			if err := got.Unpack(plain); err != nil {
				t.Fatalf("the plain answer cannot be read: %v", err)
			}
			if err := want.Unpack(w.srv.Other(raw, local)); err != nil {
				t.Fatal(err)
			}
			// The owner of an SOA is as the question wrote it, or as the zone is.
			if !strings.EqualFold(got.String(), want.String()) || !slices.Equal(got.Question, want.Question) {
				t.Errorf("plain:\n%v\nother:\n%v", &got, &want)
			}
		}
		if out := w.srv.Packet(slices.Clone(raw), netip.MustParseAddr("203.0.113.9")); len(out) > len(raw) && !signedByUs(raw) {
			t.Errorf("a stranger gets %d bytes for %d", len(out), len(raw))
		}
		// The library puts the number that was signed into the packet that it verifies.
		out := w.srv.Packet(slices.Clone(raw), local)
		if out == nil {
			return
		}
		if len(out) > 1232 {
			t.Fatalf("%d bytes", len(out))
		}
		var a wire.Msg
		if err := a.Unpack(out); err != nil {
			t.Fatalf("the answer cannot be read: %v", err)
		}
		if !a.Response || out[0] != raw[0] || out[1] != raw[1] {
			t.Errorf("no answer to the question: %v", a.MsgHdr)
		}
		var q wire.Msg
		if q.Unpack(raw) != nil && a.Rcode != wire.RcodeFormatError {
			t.Errorf("malformed, and answered %v", &a)
		}
	})
}

// signedByUs says whether a packet names our key: only who has it can be known by
// it, and is no stranger.
func signedByUs(raw []byte) bool {
	var m wire.Msg
	return m.Unpack(raw) == nil && m.IsTsig() != nil && wire.CanonicalName(m.IsTsig().Hdr.Name) == "key."
}

// A plain question, without the network.
func BenchmarkPacket(b *testing.B) {
	w := newWorld(b, dns.Config{})
	w.some()
	w.srv.Load()
	local := netip.MustParseAddr("127.0.0.1")
	for _, name := range []string{"www.bad.test", "host123.site41.test"} {
		raw, err := new(wire.Msg).SetQuestion(name+"."+blZone+".", wire.TypeA).Pack()
		if err != nil {
			b.Fatal(err)
		}
		space := make([]byte, 0, 1232)
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				w.srv.PacketIn(raw, local, space)
			}
		})
	}
}
