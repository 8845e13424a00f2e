package bench

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"headlight.example"
	"headlight.example/frontend/httpapi"
)

// connections is how many clients ask at once, each waiting for its answer.
const connections = 64

// BenchmarkHTTP puts the API beside a handler of net/http that does nothing but
// read its JSON and write some: what is between the two is ours. The clients
// run in the same process and take their share of the processors.
func BenchmarkHTTP(b *testing.B) {
	const link = "https://blog.never-seen-before.example/2026/11/a-post?id=17"
	links := make([]string, 100)
	for i := range links {
		links[i] = fmt.Sprintf("https://site-%d.never-seen-before.example/2026/11/a-post?id=%d", i, i)
	}
	one, _ := json.Marshal(map[string][]string{"links": {link}})
	hundred, _ := json.Marshal(map[string][]string{"links": links})
	chat, _ := json.Marshal(map[string]string{"type": "text/plain", "text": "did you read this? " + link + " it's long"})

	empty := listen(b, func(ctx context.Context, l net.Listener) { http.Serve(l, http.HandlerFunc(emptyHandler)) })
	svc, err := headlight.Open(b.Context(), headlight.Config{Dir: b.TempDir(), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { svc.Close() })
	api := httpapi.New(svc, httpapi.Config{Logger: slog.New(slog.DiscardHandler)})
	ours := listen(b, func(ctx context.Context, l net.Listener) {
		go svc.Run(ctx)
		api.Serve(ctx, l)
	})
	for _, call := range []struct {
		name, addr, path string
		body             []byte
		links            int
	}{
		{"empty_handler", empty, "/v1/check", one, 1},
		{"check_1", ours, "/v1/check", one, 1},
		{"check_100", ours, "/v1/check", hundred, 100},
		{"scan_chat", ours, "/v1/scan", chat, 1},
		{"healthz", ours, "/healthz", nil, 0},
	} {
		b.Run(call.name, func(b *testing.B) {
			request := fmt.Appendf(nil, "POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", call.path, len(call.body), call.body)
			if call.body == nil {
				request = fmt.Appendf(nil, "GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n", call.path)
			}
			b.ReportAllocs()
			before := cpuTime(b)
			load(b, call.addr, request)
			b.ReportMetric(float64((cpuTime(b)-before).Nanoseconds())/float64(b.N), "cpu-ns/req")
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "req/s")
			if call.links > 1 {
				b.ReportMetric(float64(b.N*call.links)/b.Elapsed().Seconds(), "links/s")
			}
		})
	}
}

// cpuTime is what the process has used of the processors, clients and all: it
// compares two servers even where other programs run beside them.
func cpuTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// emptyHandler is the least that a JSON API does with net/http.
func emptyHandler(w http.ResponseWriter, r *http.Request) {
	var q struct {
		Links []string `json:"links"`
	}
	if err := json.NewDecoder(r.Body).Decode(&q); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(map[string][]string{"verdicts": {}})
}

func listen(b *testing.B, serve func(context.Context, net.Listener)) (addr string) {
	b.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var done sync.WaitGroup
	done.Go(func() { serve(ctx, l) })
	b.Cleanup(func() { cancel(); l.Close(); done.Wait() })
	return l.Addr().String()
}

// load sends the request b.N times over all connections. It reads as little of
// the answers as tells where they end.
func load(b *testing.B, addr string, request []byte) {
	var left atomic.Int64
	left.Store(int64(b.N))
	conns := make([]net.Conn, connections)
	for i := range conns {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			b.Fatal(err)
		}
		defer c.Close()
		conns[i] = c
	}
	b.ResetTimer()
	var clients sync.WaitGroup
	for _, c := range conns {
		clients.Go(func() {
			r := bufio.NewReaderSize(c, 64<<10)
			for left.Add(-1) >= 0 {
				if _, err := c.Write(request); err != nil {
					b.Error(err)
					return
				}
				if err := answer(r); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	clients.Wait()
	b.StopTimer()
}

func answer(r *bufio.Reader) error {
	length := -1
	for first := true; ; first = false {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return err
		}
		if first && !bytes.HasPrefix(line, []byte("HTTP/1.1 200")) {
			rest, _ := r.Peek(r.Buffered())
			return fmt.Errorf("%s%s", line, rest)
		}
		if len(line) == 2 {
			break
		}
		if name, value, _ := strings.Cut(string(line), ":"); strings.EqualFold(name, "Content-Length") {
			if length, err = strconv.Atoi(strings.TrimSpace(value)); err != nil {
				return err
			}
		}
	}
	if length < 0 {
		return io.ErrUnexpectedEOF
	}
	_, err := r.Discard(length)
	return err
}
