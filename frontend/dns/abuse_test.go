package dns_test

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	wire "github.com/miekg/dns"

	"headlight.example/frontend/dns"
)

// questions are those of every kind over every sort of name, plain and with the
// largest EDNS.
func questions(t *testing.T) (all []question) {
	t.Helper()
	long := strings.Repeat("a-label-of-twenty-00.", 10)
	for _, name := range []string{
		"www.bad.test." + blZone, "x.www.bad.test." + blZone, "bad.test." + blZone, "good.test." + blZone, "7.2.0.192." + blZone, "test." + blZone, blZone,
		long + blZone, long[:63] + "www.bad.test." + blZone, "www.bad.test." + rpzZone, "good.test." + rpzZone, rpzZone, "elsewhere.test", ".",
	} {
		for qtype := range wire.TypeToString {
			if qtype == wire.TypeNone || qtype == wire.TypeOPT {
				continue
			}
			for _, class := range []uint16{wire.ClassINET, wire.ClassCHAOS, wire.ClassANY} {
				for _, edns := range []bool{false, true} {
					m := new(wire.Msg).SetQuestion(wire.Fqdn(name), qtype)
					m.Question[0].Qclass = class
					if edns {
						m.SetEdns0(65535, true)
					}
					raw, err := m.Pack()
					if err != nil {
						t.Fatal(err)
					}
					all = append(all, question{fmt.Sprintf("%s %s %s EDNS %v", name, wire.TypeToString[qtype], wire.ClassToString[class], edns), raw, edns})
				}
			}
		}
	}
	return all
}

type question struct {
	name string
	raw  []byte
	edns bool
}

// Nobody can be flooded through us: whoever does not belong gets no more than he
// sent, and so does everybody beyond the rate; all others get what fits.
func TestNoAmplifier(t *testing.T) {
	t.Parallel()
	us, stranger := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("203.0.113.9")
	allow := []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}
	open := func(rate int) *world {
		w := newWorld(t, dns.Config{Allow: allow, Transfer: allow, Rate: rate, Lookup: "https://example.org/why?" + strings.Repeat("x", 200)})
		w.some()
		w.srv.Load()
		return w
	}
	free, limited := open(-1), open(1)
	// Its clock stands, so that no second turns; one question is within the rate.
	ask := func(q question) []byte { return limited.srv.PacketIn(q.raw, us, make([]byte, 0, 1232)) }
	ask(questions(t)[0])
	answered, slipped, most := 0, 0, 0.0
	for _, q := range questions(t) {
		a := free.srv.Packet(q.raw, us)
		bound := 512 // RFC 1035 §4.2.1
		if q.edns {
			bound = 1232
		}
		if len(a) == 0 || len(a) > bound {
			t.Errorf("%s: an answer of %d bytes, want at most %d", q.name, len(a), bound)
		}
		answered++
		most = max(most, float64(len(a))/float64(len(q.raw)))
		if a := free.srv.Packet(q.raw, stranger); len(a) > len(q.raw) {
			t.Errorf("%s: a stranger gets %d bytes for %d", q.name, len(a), len(q.raw))
		}
		if a := ask(q); len(a) > len(q.raw) {
			t.Errorf("%s: beyond the rate %d bytes for %d", q.name, len(a), len(q.raw))
		} else if len(a) > 0 {
			slipped++
			if a[2]&2 == 0 {
				t.Errorf("%s: what is answered beyond the rate is not truncated", q.name)
			}
		}
	}
	if answered < 1000 || slipped != answered/2 {
		t.Errorf("of %d questions %d were answered beyond the rate, want half", answered, slipped)
	}
	// The worst is the text that tells why, to whom may ask.
	t.Logf("an answer has up to %.1f times as many bytes as its question", most)
	if most > 10 {
		t.Errorf("an answer has %.1f times as many bytes as its question", most)
	}
}

// pipes is a listener whose connections are pipes, from loopback.
type pipes struct {
	net.Listener
	conn net.Conn
}

func (p pipes) Accept() (net.Conn, error)          { return p, nil }
func (p pipes) RemoteAddr() net.Addr               { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)} }
func (p pipes) LocalAddr() net.Addr                { return p.RemoteAddr() }
func (p pipes) Addr() net.Addr                     { return p.RemoteAddr() }
func (p pipes) Close() error                       { return p.conn.Close() }
func (p pipes) Read(b []byte) (int, error)         { return p.conn.Read(b) }
func (p pipes) Write(b []byte) (int, error)        { return p.conn.Write(b) }
func (p pipes) SetDeadline(t time.Time) error      { return p.conn.SetDeadline(t) }
func (p pipes) SetReadDeadline(t time.Time) error  { return p.conn.SetReadDeadline(t) }
func (p pipes) SetWriteDeadline(t time.Time) error { return p.conn.SetWriteDeadline(t) }

// Whoever does not take what is sent is given up after ten seconds.
func TestSlowReaderIsGivenUp(t *testing.T) {
	t.Parallel()
	w := newWorld(t, dns.Config{})
	synctest.Test(t, func(t *testing.T) {
		inner, outer := net.Pipe()
		defer outer.Close()
		c, err := w.srv.Guard(pipes{conn: inner}).Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		began := time.Now()
		if _, err := c.Write(make([]byte, 64<<10)); !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(began) != 10*time.Second {
			t.Errorf("after %v: %v", time.Since(began), err)
		}
	})
}
