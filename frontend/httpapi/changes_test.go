package httpapi_test

import (
	"bufio"
	"context"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"headlight.example/evidence"
	"headlight.example/frontend/httpapi"
)

// listen opens the stream and gives its lines.
func (s *stage) listen(t *testing.T, header ...string) (lines <-chan string, hangUp func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	r, err := http.NewRequestWithContext(ctx, "GET", "http://headlight/v1/changes", nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	resp, err := s.client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != 200 || resp.Header.Get("Content-Type") != "text/event-stream" {
		t.Fatalf("got %d, %s", resp.StatusCode, resp.Header.Get("Content-Type"))
	}
	c := make(chan string, 1000)
	go func() {
		defer close(c)
		defer resp.Body.Close()
		for sc := bufio.NewScanner(resp.Body); sc.Scan(); {
			if sc.Text() != "" {
				c <- sc.Text()
			}
		}
	}()
	return c, cancel
}

func (s *stage) check(t *testing.T, url string) {
	t.Helper()
	resp, err := s.client.Post("http://headlight/v1/check", "application/json", strings.NewReader(`{"links":["`+url+`"]}`))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != 200 {
		t.Fatalf("check: got %d", resp.StatusCode)
	}
	time.Sleep(2 * time.Second) // until the service has taken note
}

func TestAChangeIsToldToWhoeverListens(t *testing.T) {
	onStage(t, httpapi.Config{}, func(t *testing.T, s *stage) {
		const url = "http://bad.example/pay?session=hush"
		s.check(t, url)
		anybody, hangUp := s.listen(t)
		defer hangUp()
		gateway, hangUp2 := s.listen(t, "Authorization", "Bearer "+readerSecret)
		defer hangUp2()
		if a, b := <-anybody, <-gateway; a != ": listening" || b != ": listening" {
			t.Fatalf("got %q and %q, want a first comment", a, b)
		}
		say(t, s.svc, "operator/ann", url, evidence.Phishing)
		time.Sleep(2 * time.Second)

		id, event, data := <-gateway, <-gateway, <-gateway
		if !strings.HasPrefix(id, "id: ") || !strings.HasSuffix(id, "-1") || event != "event: change" {
			t.Errorf("got %q, %q, want the first change", id, event)
		}
		validate(t, "Change", strings.TrimPrefix(data, "data: "))
		for _, part := range []string{`"from":"unknown","to":"dangerous"`, `"host":"bad.example"`, `"verdict":{"link":"` + url + `"`} {
			if !strings.Contains(data, part) {
				t.Errorf("got %s, want %s in it", data, part)
			}
		}
		<-anybody
		<-anybody
		data = <-anybody
		validate(t, "Change", strings.TrimPrefix(data, "data: "))
		if strings.Contains(data, "hush") || !strings.Contains(data, `"host":"bad.example"`) {
			t.Errorf("without a token: got %s, want the host and not the URL", data)
		}

		// Who lost the connection before that hears it again, and nothing twice.
		again, hangUp3 := s.listen(t, "Last-Event-ID", strings.Replace(strings.TrimPrefix(id, "id: "), "-1", "-0", 1))
		defer hangUp3()
		if <-again; <-again != id {
			t.Error("resumed before the change: it did not come")
		}
		restarted, hangUp4 := s.listen(t, "Last-Event-ID", "formerprocess-17")
		defer hangUp4()
		if <-restarted; <-restarted != id {
			t.Error("resumed after a restart: the change did not come")
		}
		after, hangUp5 := s.listen(t, "Last-Event-ID", strings.TrimPrefix(id, "id: "))
		defer hangUp5()
		<-after
		if got := <-after; got != ": alive" {
			t.Errorf("resumed after the change: got %q, want a heartbeat", got)
		}
	})
}

func TestASilentStreamShowsThatItLives(t *testing.T) {
	onStage(t, httpapi.Config{}, func(t *testing.T, s *stage) {
		lines, hangUp := s.listen(t)
		defer hangUp()
		<-lines
		began := time.Now()
		for i := range 20 { // five minutes: past every timeout of a request
			if line, ok := <-lines; !ok || line != ": alive" {
				t.Fatalf("beat %d: got %q, %v", i, line, ok)
			}
			if got, want := time.Since(began), time.Duration(i+1)*15*time.Second; got != want {
				t.Fatalf("beat %d: after %v, want %v", i, got, want)
			}
		}
	})
}

func TestListenersAreBounded(t *testing.T) {
	onStage(t, httpapi.Config{MaxListeners: 2}, func(t *testing.T, s *stage) {
		_, hangUp := s.listen(t)
		_, hangUp2 := s.listen(t)
		defer hangUp2()
		get := func() int {
			resp, err := s.client.Get("http://headlight/v1/changes")
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			return resp.StatusCode
		}
		if got := get(); got != 503 {
			t.Errorf("one too many: got %d, want 503", got)
		}
		hangUp()
		synctest.Wait()
		if got := get(); got != 200 {
			t.Errorf("after one hung up: got %d, want 200", got)
		}
	})
}
