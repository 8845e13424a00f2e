package httpapi_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"headlight.example"
	"headlight.example/frontend/httpapi"
)

// pipes is a network of one listener in memory, so that a synctest bubble's
// clock rules deadlines and heartbeats.
type pipes struct {
	accept chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func newPipes() *pipes { return &pipes{accept: make(chan net.Conn), closed: make(chan struct{})} }

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.accept:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { p.once.Do(func() { close(p.closed) }); return nil }
func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipe", Net: "pipe"} }

func (p *pipes) dial(context.Context, string, string) (net.Conn, error) {
	client, server := net.Pipe()
	select {
	case p.accept <- server:
		return client, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

// stage runs a service and a server of it in a bubble.
type stage struct {
	svc    *headlight.Service
	api    *httpapi.Server
	client *http.Client
	stop   func()
}

func onStage(t *testing.T, cfg httpapi.Config, play func(t *testing.T, s *stage)) {
	t.Helper()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		svc, err := headlight.Open(t.Context(), headlight.Config{Dir: dir, Logger: quiet()})
		if err != nil {
			t.Fatal(err)
		}
		s := &stage{svc: svc, api: apiOf(svc, cfg)}
		network := newPipes()
		transport := &http.Transport{DialContext: network.dial}
		s.client = &http.Client{Transport: transport}
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() {
			if err := svc.Run(ctx); err != nil {
				t.Errorf("run: %v", err)
			}
		})
		running.Go(func() {
			if err := s.api.Serve(ctx, network); err != nil {
				t.Errorf("serve: %v", err)
			}
		})
		s.stop = func() { cancel(); running.Wait() }
		defer func() {
			s.stop()
			transport.CloseIdleConnections()
			if err := svc.Close(); err != nil {
				t.Errorf("close: %v", err)
			}
		}()
		play(t, s)
	})
}

func TestShutdownEndsTheStreamsAtOnce(t *testing.T) {
	onStage(t, httpapi.Config{}, func(t *testing.T, s *stage) {
		lines, hangUp := s.listen(t)
		defer hangUp()
		<-lines
		began := time.Now()
		s.stop()
		if line, ok := <-lines; ok {
			t.Errorf("got %q, want the end", line)
		}
		// http.Server.Shutdown polls with growing pauses, up to half a second.
		if got := time.Since(began); got > time.Second {
			t.Errorf("shutdown took %v", got)
		}
	})
}

func TestASlowBodyIsGivenUp(t *testing.T) {
	onStage(t, httpapi.Config{}, func(t *testing.T, s *stage) {
		conn, err := s.client.Transport.(*http.Transport).DialContext(t.Context(), "", "")
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		began := time.Now()
		fmt.Fprintf(conn, "POST /v1/scan HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{")
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		if got := time.Since(began); resp.StatusCode != 408 || got != time.Minute {
			t.Errorf("got %d after %v, want 408 after a minute", resp.StatusCode, got)
		}
	})
}

func TestShutdownLetsTheLastRequestFinish(t *testing.T) {
	onStage(t, httpapi.Config{}, func(t *testing.T, s *stage) {
		conn, err := s.client.Transport.(*http.Transport).DialContext(t.Context(), "", "")
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		fmt.Fprintf(conn, "POST /v1/check HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n", len(oneLink))
		synctest.Wait() // what has not been read is no request yet
		var stopped sync.WaitGroup
		stopped.Go(s.stop)
		time.Sleep(5 * time.Second)
		fmt.Fprint(conn, oneLink)
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil || resp.StatusCode != 200 {
			t.Errorf("got %v, %v, want 200", resp, err)
		}
		conn.Close()
		stopped.Wait()
	})
}

func TestShutdownDoesNotWaitForever(t *testing.T) {
	onStage(t, httpapi.Config{}, func(t *testing.T, s *stage) {
		conn, err := s.client.Transport.(*http.Transport).DialContext(t.Context(), "", "")
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		fmt.Fprintf(conn, "POST /v1/check HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n")
		synctest.Wait()
		began := time.Now()
		s.stop()
		if got := time.Since(began); got != 10*time.Second {
			t.Errorf("shutdown took %v, want 10s", got)
		}
	})
}

func TestHeadersAreBounded(t *testing.T) {
	onStage(t, httpapi.Config{}, func(t *testing.T, s *stage) {
		r, err := http.NewRequest("GET", "http://headlight/healthz", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("X", strings.Repeat("a", 64<<10))
		resp, err := s.client.Do(r)
		if err == nil && resp.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
			t.Errorf("got %d, want 431", resp.StatusCode)
		}
	})
}

func TestServeTellsOfABrokenListener(t *testing.T) {
	t.Parallel()
	l := newPipes()
	l.Close()
	err := newAPI(t, httpapi.Config{}).Serve(t.Context(), l)
	if !errors.Is(err, net.ErrClosed) || !strings.Contains(err.Error(), "serve pipe") {
		t.Errorf("got %v, want what is wrong with the listener", err)
	}
}
