package probe_test

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"headlight.example/probe"
)

// silent is a port of 127.0.0.1 that answers no SYN: its queue of connections that
// nobody accepts is full.
func silent(t *testing.T) netip.AddrPort {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Close(fd) })
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Listen(fd, 0); err != nil { // so that there is room for one
		t.Fatal(err)
	}
	name, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	ap := netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), uint16(name.(*syscall.SockaddrInet4).Port))
	c, err := net.Dial("tcp4", ap.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return ap
}

// awaitSYN waits until somebody connects to an address in vain (proc(5): state 2
// is SYN_SENT).
func awaitSYN(t *testing.T, to netip.AddrPort) {
	t.Helper()
	for want := fmt.Sprintf(" 0100007F:%04X 02 ", to.Port()); ; {
		table, err := os.ReadFile("/proc/net/tcp")
		if err != nil || strings.Contains(string(table), want) {
			if err != nil {
				t.Error(err)
			}
			return
		}
	}
}

func TestConnectingEnds(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		timeout time.Duration
		end     func(p *probe.Prober, cancel func())
		want    probe.Outcome
	}{
		{"in time", 10 * time.Millisecond, nil, probe.Timeout},
		{"with its caller", patience, func(_ *probe.Prober, cancel func()) { cancel() }, probe.Ended},
		{"by the kill switch", patience, func(p *probe.Prober, _ func()) { p.Halt() }, probe.Halted},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			to := silent(t)
			w := newWorld(t)
			w.allow = append(w.allow, to)
			cfg := w.config()
			cfg.ConnectTimeout = tt.timeout
			p := newProber(t, cfg)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			var wg sync.WaitGroup
			defer wg.Wait()
			if tt.end != nil {
				wg.Go(func() {
					awaitSYN(t, to)
					tt.end(p, cancel)
				})
			}
			begin := time.Now()
			v := p.Probe(ctx, probe.Question{Link: parse(t, "http://"+to.String()+"/")})
			if v.Outcome != tt.want || time.Since(begin) > patience/2 {
				t.Errorf("got %s after %v, want %s soon", v.Outcome, time.Since(begin), tt.want)
			}
		})
	}
}

func TestTheNextAddressIsTried(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	port := w.web(says("HTTP/1.1 204 No Content\r\n\r\n"))
	w.name("a.example A 127.0.0.2", "a.example A 127.0.0.1")
	w.allow = append(w.allow, netip.AddrPortFrom(netip.MustParseAddr("127.0.0.2"), port))
	v := visit(t, w.prober(), fmt.Sprintf("http://a.example:%d/", port))
	if want := w.allow[0]; v.Outcome != probe.Answered || v.Hops[0].Addr != want {
		t.Errorf("%s at %v, want an answer of %v", v.Outcome, v.Hops[0].Addr, want)
	}
}

func TestVisitOverIPv6(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	to, want := netip.MustParseAddrPort("[::1]:80"), probe.Unreachable // a machine may know IPv4 alone
	if l, err := net.Listen("tcp6", "[::1]:0"); err == nil {
		defer l.Close()
		to, want = l.Addr().(*net.TCPAddr).AddrPort(), probe.Answered
		go func() {
			if c, err := l.Accept(); err == nil {
				defer c.Close()
				requestHead(c)
				fmt.Fprint(c, "HTTP/1.1 204 No Content\r\n\r\n")
			}
		}()
	}
	w.allow = append(w.allow, to)
	if v := visit(t, w.prober(), "http://"+to.String()+"/"); v.Outcome != want {
		t.Errorf("got %s, want %s", v.Outcome, want)
	}
}
