package dns_test

import (
	"encoding/binary"
	"net"
	"testing"
	"time"

	wire "github.com/miekg/dns"

	"headlight.example/frontend/dns"
)

// Many packets at once, some of which are no questions: who asks gets the answers
// to his questions, each once, and nothing of others.
func TestManyAtOnce(t *testing.T) {
	t.Parallel()
	for _, at := range []string{"127.0.0.1:0", ":0"} { // on the second, addresses of IPv4 come as ones of IPv6
		t.Run(at, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, dns.Config{})
			w.serveAt(at)
			_, port, err := net.SplitHostPort(w.addr)
			if err != nil {
				t.Fatal(err)
			}
			w.addr = net.JoinHostPort("127.0.0.1", port)
			w.await(w.some())

			const askers, each = 3, 30 // with the garbage more than a batch, and less than what the system keeps
			var conns [askers]net.Conn
			for i := range conns {
				if conns[i], err = net.Dial("udp", w.addr); err != nil {
					t.Fatal(err)
				}
				defer conns[i].Close()
			}
			names := [askers]string{"www.bad.test.", "good.test.", "a-longer-name-than-the-others.worse.test."}
			for n := range each {
				for i, c := range conns {
					q := new(wire.Msg).SetQuestion(names[i]+blZone+".", wire.TypeA)
					q.Id = uint16(i*each + n)
					raw, err := q.Pack()
					if err != nil {
						t.Fatal(err)
					}
					for _, b := range [][]byte{raw[:n%12], raw} {
						if _, err := c.Write(b); err != nil {
							t.Fatal(err)
						}
					}
				}
			}
			want := [askers]string{"NOERROR 127.0.0.6", "NXDOMAIN SOA", "NOERROR 127.0.0.10"}
			for i, c := range conns {
				seen := make(map[uint16]bool)
				for range each {
					b := make([]byte, 1500)
					c.SetReadDeadline(time.Now().Add(10 * time.Second))
					n, err := c.Read(b)
					if err != nil {
						t.Fatalf("asker %d, after %d answers: %v", i, len(seen), err)
					}
					var a wire.Msg
					if err := a.Unpack(b[:n]); err != nil {
						t.Fatal(err)
					}
					id := binary.BigEndian.Uint16(b)
					if int(id)/each != i || seen[id] || told(&a) != want[i] || a.Question[0].Name != names[i]+blZone+"." {
						t.Fatalf("asker %d got %v", i, &a)
					}
					seen[id] = true
				}
			}
		})
	}
}
