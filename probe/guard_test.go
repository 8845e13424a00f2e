package probe_test

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"headlight.example/link"
	"headlight.example/probe"
)

func TestGuard(t *testing.T) {
	t.Parallel()
	refused := []string{
		"0.0.0.0", "0.1.2.3", "10.255.255.255", "100.64.0.1", "100.100.100.200", "100.127.255.255", "127.0.0.1", "127.255.255.254",
		"168.63.129.16", "169.254.169.254", "172.16.0.1", "172.31.255.255", "192.0.0.192", "192.0.2.1", "192.88.99.1", "192.168.0.1",
		"198.18.0.1", "198.19.255.255", "198.51.100.1", "203.0.113.1", "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255",
		"::", "::1", "::7f00:1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:0:127.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe",
		"64:ff9b::a00:1", "64:ff9b:1::808:808", "64:ff9b:0:0:1::808:808", "100::1", "100:0:0:1::1", "1::1", "2001::1", "2001:0:53aa:64c::1",
		"2001:1::1", "2001:2::1", "2001:10::1", "2001:20::1", "2001:1ff:ffff::1", "2001:db8::1", "2002:7f00:1::", "2002:808:808::1",
		"2620:4f:8000::1", "3fff::1", "3fff:fff::1", "4000::1", "5f00::1", "fc00::1", "fd00:ec2::254", "fe80::1", "fe80::1%lo", "2606:4700::1%eth0",
		"fec0::1", "ff02::1", "ffff::1",
		"93.184.215.14", "2606:2800:21f:cb07:6820:80da:af6b:8b2c", "64:ff9b::5db8:d70e", // ours, see Own
	}
	allowed := []string{
		"1.1.1.1", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "126.255.255.255", "128.0.0.1", "168.63.129.15", "168.63.129.17",
		"169.253.255.255", "172.15.255.255", "172.32.0.0", "192.0.1.0", "192.0.3.0", "198.17.255.255", "198.20.0.0", "223.255.255.255",
		"2000::1", "2001:200::1", "2001:4860:4860::8888", "2003::1", "2606:4700::1", "3ffe::1", "::ffff:1.1.1.1", "64:ff9b::101:101",
	}
	g := probe.Guard{Own: []netip.Prefix{netip.MustParsePrefix("93.184.215.0/24"), netip.MustParsePrefix("2606:2800::/32")}}
	for _, s := range refused {
		err := g.Check(netip.AddrPortFrom(netip.MustParseAddr(s), 443))
		if r, ok := errors.AsType[*probe.RefusedError](err); !ok || r.What == "" || r.Source == "" {
			t.Errorf("%s: got %v, want a refusal with its source", s, err)
		}
	}
	for _, s := range allowed {
		if err := g.Check(netip.AddrPortFrom(netip.MustParseAddr(s), 443)); err != nil {
			t.Error(err)
		}
	}
	public := netip.MustParseAddr("1.1.1.1")
	for port, want := range map[uint16]bool{0: false, 22: false, 25: false, 79: false, 80: true, 81: false, 443: true, 8080: false, 65535: false} {
		if err := g.Check(netip.AddrPortFrom(public, port)); (err == nil) != want {
			t.Errorf("port %d: %v", port, err)
		}
	}
	if err := g.Check(netip.AddrPort{}); err == nil {
		t.Error("no address was let through")
	}
}

// Both ends of each block of the table are refused, and so is each IPv4 block
// in the clothes of IPv6.
func TestGuardHoldsTheWholeTable(t *testing.T) {
	t.Parallel()
	var g probe.Guard
	table := probe.Special()
	if len(table) < 30 {
		t.Fatalf("%d blocks", len(table))
	}
	for _, p := range table {
		if p != p.Masked() {
			t.Errorf("%s is not a block", p)
		}
		last := p.Addr().AsSlice()
		for i := p.Bits(); i < 8*len(last); i++ {
			last[i/8] |= 0x80 >> (i % 8)
		}
		end, _ := netip.AddrFromSlice(last)
		for _, a := range []netip.Addr{p.Addr(), end} {
			check := []netip.Addr{a}
			if a.Is4() {
				b := a.As4()
				mapped := [16]byte{10: 0xff, 11: 0xff}
				copy(mapped[12:], b[:])
				nat64 := [16]byte{1: 0x64, 2: 0xff, 3: 0x9b}
				copy(nat64[12:], b[:])
				check = append(check, netip.AddrFrom16(mapped), netip.AddrFrom16(nat64))
			}
			for _, a := range check {
				if g.Check(netip.AddrPortFrom(a, 80)) == nil {
					t.Errorf("%s of %s is let through", a, p)
				}
			}
		}
	}
}

// The guard holds at connect time, whatever was thought of the name before.
func TestGuardAtConnectTime(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ap := l.Addr().(*net.TCPAddr).AddrPort()
	for _, tt := range []struct {
		guard probe.Guard
		ok    bool
	}{
		{probe.Guard{}, false},
		{probe.Guard{Ports: []uint16{ap.Port()}}, false},
		{probe.Guard{Allow: []netip.AddrPort{netip.AddrPortFrom(ap.Addr(), ap.Port()-1)}}, false},
		{probe.Guard{Allow: []netip.AddrPort{ap}}, true},
	} {
		for _, address := range []string{ap.String(), fmt.Sprintf("localhost:%d", ap.Port())} {
			d := net.Dialer{ControlContext: tt.guard.Control}
			c, err := d.DialContext(t.Context(), "tcp4", address)
			if err == nil {
				c.Close()
			}
			if _, refused := errors.AsType[*probe.RefusedError](err); (err == nil) != tt.ok || refused == tt.ok {
				t.Errorf("%+v, %s: %v", tt.guard, address, err)
			}
		}
	}
	if err := new(probe.Guard).Control(t.Context(), "udp4", "1.1.1.1:53", nil); err == nil {
		t.Error("UDP was let through")
	}
	if err := new(probe.Guard).Control(t.Context(), "tcp4", "nonsense", nil); err == nil {
		t.Error("nonsense was let through")
	}
}

// Every way that we know to spell or to name loopback and the local network,
// against a real server that nobody must reach.
func TestNobodyReachesLoopback(t *testing.T) {
	t.Setenv("HTTP_PROXY", "http://127.0.0.1:1") // nor a proxy
	t.Setenv("ALL_PROXY", "socks5://127.0.0.1:1")
	w := newWorld(t)
	var reached atomic.Int32
	port := w.listen(func(c net.Conn) { reached.Add(1) })
	w.allow = nil
	w.name("a.example A 127.0.0.1", "b.example AAAA ::1", "c.example AAAA ::ffff:127.0.0.1", "d.example A 0.0.0.0",
		"e.example AAAA 64:ff9b::7f00:1", "f.example CNAME localhost.", "localhost A 127.0.0.1", "g.example A 127.0.0.2",
		"h.example A 10.0.0.1", "h.example A 127.0.0.1", "h.example AAAA ::", "x.localhost A 127.0.0.1", "intranet A 127.0.0.1",
		"printer.local A 127.0.0.1", "metadata.google.internal A 169.254.169.254")
	cfg := w.config()
	cfg.Guard = probe.Guard{Ports: []uint16{port, 80, 443}}
	p := newProber(t, cfg)
	for _, host := range []string{
		"127.0.0.1", "127.0.0.1.", "127.1", "127.0.1", "2130706433", "0x7f000001", "0x7f.1", "0177.0.0.1", "017700000001", "0", "0.0.0.0", "0x0",
		"127.000.000.001", "①②⑦.⓪.⓪.①", "127。0。0。1", "%31%32%37.0.0.1", "user@127.0.0.1", "1.1.1.1@127.0.0.1", "1.1.1.1:80@127.0.0.1",
		"[::1]", "[::]", "[0:0:0:0:0:0:0:1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::127.0.0.1]", "[64:ff9b::7f00:1]", "[fe80::1%25lo]", "[::1%25lo]",
		"localhost", "localhost.", "LOCALHOST", "x.localhost", "ⓛocalhost", "intranet", "printer.local", "metadata.google.internal",
		"a.example", "a.example.", "b.example", "c.example", "d.example", "e.example", "f.example", "g.example", "h.example",
	} {
		l, err := link.Parse(fmt.Sprintf("http://%s:%d/x", host, port))
		if err != nil {
			continue // refused at the door
		}
		v := p.Probe(t.Context(), probe.Question{Link: l})
		if !slices.Contains([]probe.Outcome{probe.NotVisited, probe.NoName}, v.Outcome) || !v.ID.IsZero() {
			t.Errorf("%s: %s", host, v.Outcome)
		}
	}
	if n := reached.Load(); n != 0 {
		t.Errorf("loopback was reached %d times", n)
	}
	for _, name := range []string{"localhost. A", "x.localhost. A", "intranet. A", "printer.local. A", "metadata.google.internal. A"} {
		if w.count(name) != 0 {
			t.Errorf("DNS was asked for %s", name)
		}
	}
}

// listenTwice listens on one port of 127.0.0.2 and of 127.0.0.1.
func listenTwice(t *testing.T) (two, one net.Listener) {
	t.Helper()
	for range 20 { // what is free on one may be taken on the other
		two, err := net.Listen("tcp4", "127.0.0.2:0")
		if err != nil {
			t.Fatal(err)
		}
		port := two.Addr().(*net.TCPAddr).Port
		if one, err := net.Listen("tcp4", fmt.Sprintf("127.0.0.1:%d", port)); err == nil {
			return two, one
		}
		two.Close()
	}
	t.Fatal("no port is free on both")
	return nil, nil
}

// A name that resolves to another address each time: what is connected to is
// what was checked.
func TestRebinding(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var good, bad atomic.Int32
	l, g := listenTwice(t)
	defer l.Close()
	defer g.Close()
	port := l.Addr().(*net.TCPAddr).AddrPort().Port()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			bad.Add(1)
			c.Close()
		}
	}()
	go func() {
		for {
			c, err := g.Accept()
			if err != nil {
				return
			}
			requestHead(c)
			good.Add(1)
			fmt.Fprint(c, "HTTP/1.1 200 OK\r\n\r\n")
			c.Close()
		}
	}()
	w.allow = append(w.allow, g.Addr().(*net.TCPAddr).AddrPort())
	w.name("a.example A 127.0.0.1", "a.example A 127.0.0.2", "b.example A 127.0.0.2")
	p := w.prober()
	if v := visit(t, p, fmt.Sprintf("http://a.example:%d/", port)); v.Outcome != probe.Answered || v.Hops[0].Addr.Addr() != netip.MustParseAddr("127.0.0.1") {
		t.Errorf("got %s from %s", v.Outcome, v.Hops[0].Addr)
	}
	if v := visit(t, p, fmt.Sprintf("http://b.example:%d/", port)); v.Outcome != probe.NotVisited {
		t.Errorf("got %s", v.Outcome)
	}
	// The first server goes away; the second address is not a way in.
	g.Close()
	cfg := w.config()
	if v := visit(t, newProber(t, cfg), fmt.Sprintf("http://a.example:%d/", port)); v.Outcome != probe.ConnectionRefused {
		t.Errorf("got %s", v.Outcome)
	}
	if good.Load() != 1 || bad.Load() != 0 {
		t.Errorf("%d and %d connections", good.Load(), bad.Load())
	}
}

func TestNamesThatAreNotAskedFor(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("a", 63)
	for name, want := range map[string]bool{
		"a.example": true, "_dmarc.a-b.example": true, "xn--bcher-kva.example": true, long + ".example": true,
		"a" + long + ".example": false, "": false, ".": false, "a..example": false, ".a.example": false, "a.example.": false,
		"a b.example": false, "a%20b.example": false, "a\x00.example": false, "A.example": false, "bücher.example": false, "localhost": false,
		"a.localhost": false, "a.onion": false, "a.b.local": false, "home.arpa": true, "a.home.arpa": false, "notlocal.example": true, "xlocal.xonion": true,
		long + "." + long + "." + long + "." + long[:61]: true, long + "." + long + "." + long + "." + long[:62]: false,
	} {
		if err := probe.CheckName(name); (err == nil) != want {
			t.Errorf("%q: %v", name, err)
		}
	}
	for _, s := range probe.SpecialNames() {
		if probe.CheckName("a."+s) == nil {
			t.Errorf("a.%s is asked for", s)
		}
	}
}

func TestATimeoutOfTheNameServerIsNoVisit(t *testing.T) {
	t.Parallel()
	pc, err := net.ListenPacket("udp", "127.0.0.1:0") // and nobody answers
	if err != nil {
		t.Fatal(err)
	}
	defer pc.Close()
	w := newWorld(t)
	cfg := w.config()
	cfg.Resolver, err = probe.NewResolver(probe.ResolverConfig{Servers: []string{pc.LocalAddr().String()}, Timeout: 50 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	if v := visit(t, newProber(t, cfg), "http://a.example/"); v.Outcome != probe.DNSFailed {
		t.Errorf("got %s", v.Outcome)
	}
}
