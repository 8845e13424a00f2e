package bench

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net"
	"net/http"
	"os"
	"sync"
	"testing"

	"google.golang.org/protobuf/proto"

	"headlight.example"
	"headlight.example/blocklist"
	"headlight.example/evidence"
	"headlight.example/frontend/httpapi"
	"headlight.example/frontend/safebrowsing"
	"headlight.example/frontend/safebrowsing/v5"
)

// listed is a server of which a million URLs are on a list.
var listed = sync.OnceValues(func() (*listedServer, error) {
	dir, err := os.MkdirTemp("", "safebrowsing")
	if err != nil {
		return nil, err
	}
	logger := slog.New(slog.DiscardHandler)
	svc, err := headlight.Open(context.Background(), headlight.Config{Dir: dir, Logger: logger})
	if err != nil {
		return nil, err
	}
	pub, err := blocklist.Open(blocklist.Config{Dir: dir + "/editions", Source: svc, Logger: logger})
	if err != nil {
		return nil, err
	}
	s := &listedServer{svc: svc, pub: pub, safe: safebrowsing.New(safebrowsing.Config{Shelf: pub.Shelf()})}
	s.api = httpapi.New(svc, httpapi.Config{SafeBrowsing: s.safe, Logger: logger})
	return s, s.say(0, 1_000_000)
})

type listedServer struct {
	svc  *headlight.Service
	pub  *blocklist.Publisher
	safe *safebrowsing.Server
	api  *httpapi.Server
}

// say publishes an edition with further URLs.
func (s *listedServer) say(from, to int) error {
	var records []evidence.Record
	for i := from; i < to; i++ {
		records = append(records, evidence.Record{Rater: "feed/list", Assertion: evidence.Phishing,
			Subject: evidence.Subject{Kind: evidence.URL, Key: fmt.Sprintf("site-%d.example/a-path/login-%d.html", i/3, i)}})
		if len(records) == 10_000 || i == to-1 {
			if _, err := s.svc.Append(context.Background(), records...); err != nil {
				return err
			}
			records = records[:0]
		}
	}
	_, err := s.pub.Publish(context.Background())
	return err
}

func (s *listedServer) listen(b *testing.B) string {
	return listen(b, func(ctx context.Context, l net.Listener) { s.api.Serve(ctx, l) })
}

// BenchmarkSafeBrowsing: an update for a list of a million, and questions about a
// URL. SBSERVER is the address of google/safebrowsing's sbserver, whose server is
// one of ours: with ServerURL set in its Config, for which it has no flag.
func BenchmarkSafeBrowsing(b *testing.B) {
	s, err := listed()
	if err != nil {
		b.Fatal(err)
	}
	const update = "/v5/hashList/se-4b"
	b.Run("encode_1M", func(b *testing.B) {
		for b.Loop() {
			fresh := safebrowsing.New(safebrowsing.Config{Shelf: s.pub.Shelf()})
			get(b, fresh, update)
		}
	})
	b.Run("full_update_1M", func(b *testing.B) {
		body := get(b, s.safe, update)
		h := new(v5.HashList)
		if err := proto.Unmarshal(body, h); err != nil {
			b.Fatal(err)
		}
		n := float64(h.GetAdditionsFourBytes().EntriesCount) + 1
		addr := s.listen(b)
		c, err := net.Dial("tcp", addr)
		if err != nil {
			b.Fatal(err)
		}
		defer c.Close()
		request := fmt.Appendf(nil, "GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n", update)
		r := bufio.NewReaderSize(c, 256<<10)
		b.SetBytes(int64(len(body)))
		for b.Loop() {
			if _, err := c.Write(request); err != nil {
				b.Fatal(err)
			}
			resp, err := http.ReadResponse(r, nil)
			if err != nil {
				b.Fatal(err)
			}
			if got, err := io.Copy(discard{}, resp.Body); err != nil || got != int64(len(body)) {
				b.Fatalf("%v after %d bytes", err, got)
			}
		}
		b.ReportMetric(float64(len(body)), "bytes")
		b.ReportMetric(float64(len(body))*8/n, "bits/entry")
		b.ReportMetric(float64(len(body))*8/setBits(math.Pow(2, 32), n), "×bound")
	})
	ask := func(url string) []byte {
		return fmt.Appendf(nil, `{"client":{"clientId":"bench"},"threatInfo":{"threatTypes":["MALWARE","SOCIAL_ENGINEERING"],"platformTypes":["ANY_PLATFORM"],"threatEntryTypes":["URL"],"threatEntries":[{"url":%q}]}}`, url)
	}
	servers := []struct{ name, addr string }{{"headlight", s.listen(b)}}
	if addr := os.Getenv("SBSERVER"); addr != "" {
		servers = append(servers, struct{ name, addr string }{"sbserver", addr})
	}
	for _, url := range []struct{ name, url string }{
		{"unlisted", "https://blog.never-seen-before.example/2026/11/a-post?id=17"}, {"listed", "http://phishing.headlight.example/login"},
	} {
		for _, server := range servers {
			b.Run("threatMatches_"+url.name+"/"+server.name, func(b *testing.B) {
				body := ask(url.url)
				request := fmt.Appendf(nil, "POST /v4/threatMatches:find HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
				b.ReportAllocs()
				load(b, server.addr, request)
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "req/s")
			})
		}
	}
}

// discard throws away what it is given, by the 256 KB.
type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }

func (discard) ReadFrom(r io.Reader) (n int64, err error) {
	buf := make([]byte, 256<<10)
	for {
		got, err := r.Read(buf)
		n += int64(got)
		if err == io.EOF {
			return n, nil
		}
		if err != nil {
			return n, err
		}
	}
}

// setBits is what a set of n of m numbers takes at least: the logarithm of how many
// such sets there are. No code of sorted numbers is shorter on average.
func setBits(m, n float64) float64 {
	lgamma := func(x float64) float64 { y, _ := math.Lgamma(x); return y }
	// lgamma(m+1) - lgamma(m-n+1) loses all digits; by Stirling it is:
	falling := m*math.Log(m) - (m-n)*math.Log(m-n) - n
	return (falling - lgamma(n+1)) / math.Ln2
}

// recorder is the least of a ResponseWriter.
type recorder struct {
	header http.Header
	body   bytes.Buffer
	code   int
}

func (r *recorder) Header() http.Header         { return r.header }
func (r *recorder) Write(b []byte) (int, error) { return r.body.Write(b) }
func (r *recorder) WriteHeader(code int)        { r.code = code }

func get(b *testing.B, h http.Handler, path string) []byte {
	b.Helper()
	req, err := http.NewRequest(http.MethodGet, path, nil)
	if err != nil {
		b.Fatal(err)
	}
	rec := &recorder{header: make(http.Header)}
	h.ServeHTTP(rec, req)
	if rec.code != http.StatusOK {
		b.Fatalf("%s: %d %s", path, rec.code, rec.body.Bytes())
	}
	return rec.body.Bytes()
}
