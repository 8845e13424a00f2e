package bench

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"

	"headlight.example/evidence"
	"headlight.example/link"
	"headlight.example/probe"
)

const (
	inFlight = 256
	hosts    = 10_000
)

// TestMain lets the test binary be the servers of a benchmark: a process of its
// own, whose memory is not ours.
func TestMain(m *testing.M) {
	if os.Getenv("BENCH_PROBE_SERVERS") != "" {
		fmt.Fprintln(os.Stderr, serve())
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// serve runs a name server that knows every name, a web server, and one with
// TLS, prints where they are, and ends with its input.
func serve() error {
	cert, pool, err := wildcard()
	if err != nil {
		return err
	}
	var addrs []string
	for _, cfg := range []*tls.Config{nil, {Certificates: []tls.Certificate{cert}}} {
		l, err := net.Listen("tcp4", "127.0.0.1:0")
		if err != nil {
			return err
		}
		addrs = append(addrs, l.Addr().String())
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				if cfg != nil {
					c = tls.Server(c, cfg)
				}
				go answerHead(c)
			}
		}()
	}
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	go (&dns.Server{PacketConn: pc, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		m := new(dns.Msg).SetReply(q)
		if q.Question[0].Qtype == dns.TypeA {
			m.Answer = []dns.RR{&dns.A{Hdr: dns.RR_Header{Name: q.Question[0].Name, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 3600}, A: net.IPv4(127, 0, 0, 1)}}
		} else {
			m.Ns = []dns.RR{&dns.SOA{Hdr: dns.RR_Header{Name: ".", Rrtype: dns.TypeSOA, Class: dns.ClassINET, Ttl: 3600}, Minttl: 3600, Ns: ".", Mbox: "."}}
		}
		w.WriteMsg(m)
	})}).ActivateAndServe()
	fmt.Println(strings.Join(addrs, " "), pc.LocalAddr())
	fmt.Printf("%s\n", pool)
	os.Stdout.Close()
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

// held are the requests that came and wait for an answer, and of which nobody
// was told yet.
var held = struct {
	more *sync.Cond
	n    int
}{more: sync.NewCond(new(sync.Mutex))}

func hold() {
	held.more.L.Lock()
	held.n++
	held.more.L.Unlock()
	held.more.Signal()
}

// awaitHeld waits until n requests have come.
func awaitHeld(n int) {
	held.more.L.Lock()
	for held.n < n {
		held.more.Wait()
	}
	held.n -= n
	held.more.L.Unlock()
}

func answerHead(c net.Conn) {
	defer c.Close()
	buf := make([]byte, 4<<10)
	n := 0
	for !strings.HasSuffix(string(buf[:n]), "\r\n\r\n") {
		m, err := c.Read(buf[n:])
		if err != nil {
			return
		}
		n += m
	}
	switch head := string(buf[:n]); {
	case strings.HasPrefix(head, "HEAD /held"):
		// The client's process measures meanwhile, and ends by hanging up.
		hold()
		c.Read(buf)
		return
	case strings.HasPrefix(head, "HEAD /all"):
		awaitHeld(inFlight)
	}
	io.WriteString(c, "HTTP/1.1 200 OK\r\nServer: nginx/1.26.0\r\nDate: Fri, 27 Nov 2026 12:00:00 GMT\r\nContent-Type: text/html; charset=utf-8\r\n"+
		"Content-Length: 5120\r\nLast-Modified: Thu, 26 Nov 2026 12:00:00 GMT\r\nConnection: close\r\nETag: \"5e\"\r\nAccept-Ranges: bytes\r\n\r\n")
}

// wildcard makes a certificate for all hosts of the benchmark.
func wildcard() (tls.Certificate, []byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, nil, err
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"*.example"}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), err
}

// servers are what serve printed.
type servers struct {
	plain, secure netip.AddrPort
	dns           string
	roots         *x509.CertPool
}

func startServers(b *testing.B) servers {
	b.Helper()
	exe, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), "BENCH_PROBE_SERVERS=1")
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { in.Close(); cmd.Wait() })
	text, err := io.ReadAll(out)
	if err != nil {
		b.Fatal(err)
	}
	first, pool, _ := strings.Cut(string(text), "\n")
	f := strings.Fields(first)
	s := servers{plain: netip.MustParseAddrPort(f[0]), secure: netip.MustParseAddrPort(f[1]), dns: f[2], roots: x509.NewCertPool()}
	if !s.roots.AppendCertsFromPEM([]byte(pool)) {
		b.Fatal("no certificate")
	}
	return s
}

// url of host i, and of request n to it, so that no URL is asked for twice.
func (s servers) url(secure bool, i, n int, path string) string {
	if secure {
		return fmt.Sprintf("https://h%d.example:%d/%s%d", i, s.secure.Port(), path, n)
	}
	return fmt.Sprintf("http://h%d.example:%d/%s%d", i, s.plain.Port(), path, n)
}

// netHTTP is a plain client of net/http that finds all hosts on loopback.
func (s servers) netHTTP() func(url string) error {
	c := &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true, // no host is asked twice in a row
		TLSClientConfig:   &tls.Config{RootCAs: s.roots},
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			_, port, _ := net.SplitHostPort(addr)
			var d net.Dialer
			return d.DialContext(ctx, network, "127.0.0.1:"+port)
		},
	}, Timeout: 15 * time.Second}
	return func(url string) error {
		res, err := c.Head(url)
		if err != nil {
			return err
		}
		res.Body.Close()
		if res.StatusCode != 200 {
			return fmt.Errorf("status %d", res.StatusCode)
		}
		return nil
	}
}

// prober is ours with everything on: names from DNS, guard, signature, ledger,
// manners. The limits are so wide that none is met.
func (s servers) prober(b *testing.B) func(url string) error {
	b.Helper()
	r, err := probe.NewResolver(probe.ResolverConfig{Servers: []string{s.dns}, CacheSize: 16 * hosts})
	if err != nil {
		b.Fatal(err)
	}
	keys, err := probe.LoadKeys(b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	ledger, err := probe.OpenLedger(b.TempDir(), 0)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { ledger.Close() })
	p, err := probe.New(probe.Config{
		Ledger: ledger, Key: &evidence.Key{1}, Resolver: r, Keys: keys, Roots: s.roots,
		Identity: probe.Identity{About: "https://check.example/about", From: "abuse@check.example", Agent: "https://check.example"},
		Guard:    probe.Guard{Allow: []netip.AddrPort{s.plain, s.secure}},
		Limits:   probe.Limits{TenantEvery: time.Nanosecond, AddressEvery: time.Nanosecond, AddressBurst: 1 << 30, Every: time.Nanosecond, Burst: 1 << 30},
	})
	if err != nil {
		b.Fatal(err)
	}
	// The names are looked up before: the other client does not do it at all. A
	// few at once, since the name server's one socket loses what it has no room for.
	each(hosts, 8, func(i int) {
		host := fmt.Sprintf("h%d.example", i)
		if n := r.Resolve(b.Context(), host, host); n.Status != "ok" || n.Consent != probe.NotDeclined {
			b.Errorf("%s: %s", host, n.Status)
		}
	})
	return func(url string) error {
		l, err := link.Parse(url)
		if err != nil {
			return err
		}
		v := p.Probe(b.Context(), probe.Question{Link: l})
		if v.Outcome != probe.Answered || v.Hops[0].Answer.Status != 200 || l.Scheme() == "https" && !v.Hops[0].TLS.Verified {
			return fmt.Errorf("%s: %s", url, v.Outcome)
		}
		return nil
	}
}

// each calls f with 0 to n-1, so many at once.
func each(n, atOnce int, f func(int)) {
	var next atomic.Int64
	var wg sync.WaitGroup
	for range atOnce {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				f(i)
			}
		})
	}
	wg.Wait()
}

// BenchmarkHEAD asks 10,000 hosts on loopback, 256 at once, in turns with a
// plain client of net/http and with ours, and gives the medians: of the rates,
// which depend on the servers and on what else the machine does, and of the CPU
// time that the client takes.
func BenchmarkHEAD(b *testing.B) {
	s := startServers(b)
	peer, ours := s.netHTTP(), s.prober(b)
	eachScheme(b, func(b *testing.B, secure bool) {
		var rates, cpu [2][]float64
		var ratios, cpuRatios []float64
		for b.Loop() {
			round++
			var rate [2]float64
			for k := range 2 {
				who := (k + round) % 2
				head := []func(string) error{peer, ours}[who]
				begin, used := time.Now(), cpuTime(b)
				each(hosts, inFlight, func(i int) {
					if err := head(s.url(secure, i, round, "x")); err != nil {
						b.Error(err)
					}
				})
				rate[who] = hosts / time.Since(begin).Seconds()
				rates[who] = append(rates[who], rate[who])
				cpu[who] = append(cpu[who], float64((cpuTime(b)-used).Microseconds())/hosts)
			}
			ratios = append(ratios, rate[1]/rate[0])
			cpuRatios = append(cpuRatios, cpu[1][len(cpu[1])-1]/cpu[0][len(cpu[0])-1])
		}
		b.ReportMetric(median(rates[0]), "net/http-HEAD/s")
		b.ReportMetric(median(rates[1]), "ours-HEAD/s")
		b.ReportMetric(median(ratios), "ratio")
		b.ReportMetric(median(cpu[0]), "net/http-CPU-µs/HEAD")
		b.ReportMetric(median(cpu[1]), "ours-CPU-µs/HEAD")
		b.ReportMetric(median(cpuRatios), "CPU-ratio")
		b.ReportMetric(0, "ns/op")
	})
}

// eachScheme runs f with http and with https.
func eachScheme(b *testing.B, f func(b *testing.B, secure bool)) {
	b.Run("plain", func(b *testing.B) { f(b, false) })
	b.Run("tls", func(b *testing.B) { f(b, true) })
}

var round int

func median(x []float64) float64 {
	slices.Sort(x)
	return x[len(x)/2]
}

// BenchmarkHEADMemory holds 256 requests that wait for their answer and gives
// what each has on the heap and in stacks.
func BenchmarkHEADMemory(b *testing.B) {
	s := startServers(b)
	peer, ours := s.netHTTP(), s.prober(b)
	eachScheme(b, func(b *testing.B, secure bool) {
		var bytes [2][]float64
		for b.Loop() {
			for who, head := range []func(string) error{peer, ours} {
				round++
				before := inUse()
				var wg sync.WaitGroup
				for i := range inFlight {
					url := s.url(secure, i, round, "held")
					wg.Go(func() { head(url) })
				}
				if err := peer(s.url(false, 0, round, "all")); err != nil { // answered when all are held; ours give up after five seconds
					b.Fatal(err)
				}
				bytes[who] = append(bytes[who], float64(inUse()-before)/inFlight)
				wg.Wait()
			}
		}
		b.ReportMetric(median(bytes[0]), "net/http-B/request")
		b.ReportMetric(median(bytes[1]), "ours-B/request")
		b.ReportMetric(median(bytes[1])/median(bytes[0]), "ratio")
		b.ReportMetric(0, "ns/op")
	})
}

// inUse is what is alive on the heap and in stacks.
func inUse() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse)
}
