package httpapi_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"headlight.example/evidence"
	"headlight.example/frontend/httpapi"
)

// later is a transport that is known when the bubble runs.
type later struct{ http.RoundTripper }

// post is what a receiver got, and when.
type post struct {
	id, body string
	at       time.Time
}

// receive lets a receiver run that verifies each post and answers as told.
func receive(t *testing.T, to *later, secret string, answer func(n int, w http.ResponseWriter, r *http.Request)) <-chan post {
	t.Helper()
	got := make(chan post, 1000)
	var n atomic.Int32
	network := newPipes()
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil || r.Method != http.MethodPost || r.URL.Path != "/changed" || r.Header.Get("Content-Type") != "application/json" {
			t.Errorf("got %s %s, %v", r.Method, r.URL, err)
		}
		id, at := r.Header.Get("webhook-id"), r.Header.Get("webhook-timestamp")
		m := hmac.New(sha256.New, []byte(secret))
		fmt.Fprintf(m, "%s.%s.%s", id, at, body)
		if want := "v1," + base64.StdEncoding.EncodeToString(m.Sum(nil)); r.Header.Get("webhook-signature") != want {
			t.Errorf("signed as %s, want %s", r.Header.Get("webhook-signature"), want)
		}
		if want := fmt.Sprint(time.Now().Unix()); at != want {
			t.Errorf("timestamp %s, want %s", at, want)
		}
		got <- post{id, string(body), time.Now()}
		answer(int(n.Add(1)), w, r)
	})}
	go server.Serve(network)
	transport := &http.Transport{DialContext: network.dial}
	to.RoundTripper = transport
	t.Cleanup(func() { transport.CloseIdleConnections(); server.Close() })
	return got
}

const hookSecret = "twenty-four bytes and 64"

func hooked(to *later) httpapi.Config {
	return httpapi.Config{Webhook: httpapi.Webhook{URL: "http://receiver.example/changed", Secret: []byte(hookSecret), Transport: to}}
}

func TestAChangeIsPostedUntilItIsTaken(t *testing.T) {
	to := new(later)
	onStage(t, hooked(to), func(t *testing.T, s *stage) {
		got := receive(t, to, hookSecret, func(n int, w http.ResponseWriter, _ *http.Request) {
			switch n {
			case 1:
				w.WriteHeader(http.StatusInternalServerError)
			case 2:
				w.Header().Set("Location", "/elsewhere")
				w.WriteHeader(http.StatusTemporaryRedirect)
			default:
				w.WriteHeader(http.StatusNoContent)
			}
		})
		const url = "http://bad.example/pay"
		s.check(t, url)
		say(t, s.svc, "operator/ann", url, evidence.Phishing)
		first, second, third := <-got, <-got, <-got
		for _, p := range []post{second, third} {
			if p.id != first.id || p.body != first.body {
				t.Errorf("tried again as %+v, first as %+v", p, first)
			}
		}
		for i, wait := range []time.Duration{second.at.Sub(first.at), third.at.Sub(second.at)} {
			if most := time.Second << i; wait < most/2 || wait > most {
				t.Errorf("wait %d took %v, want half of %v or more", i, wait, most)
			}
		}
		var event struct {
			Type, Timestamp string
			Data            json.RawMessage
		}
		if err := json.Unmarshal([]byte(first.body), &event); err != nil || event.Type != "verdict.changed" || event.Timestamp == "" {
			t.Fatalf("got %s, %v", first.body, err)
		}
		validate(t, "Change", string(event.Data))
		if !strings.Contains(string(event.Data), `"verdict":{"link":"`+url+`"`) {
			t.Errorf("got %s, want the verdict", event.Data)
		}

		say(t, s.svc, "operator/ann", url, evidence.Benign)
		if next := <-got; next.id == first.id || !strings.Contains(next.body, `"from":"dangerous"`) {
			t.Errorf("then got %+v", next)
		}
		synctest.Wait()
		s.metric(t, `headlight_webhook_events_total{result="sent"} 2`)
		s.metric(t, `headlight_webhook_failures_total 2`)
	})
}

// metric holds that a line is among the metrics.
func (s *stage) metric(t *testing.T, line string) {
	t.Helper()
	resp, err := s.client.Get("http://headlight/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if b, err := io.ReadAll(resp.Body); err != nil || !strings.Contains(string(b), "\n"+line+"\n") {
		t.Errorf("%s is not among the metrics, %v", line, err)
	}
}

func TestAReceiverThatHangsHoldsNobodyUp(t *testing.T) {
	to := new(later)
	onStage(t, hooked(to), func(t *testing.T, s *stage) {
		var awake atomic.Bool
		got := receive(t, to, hookSecret, func(_ int, _ http.ResponseWriter, r *http.Request) {
			if !awake.Load() {
				<-r.Context().Done() // the sender has had enough
			}
		})
		for _, url := range []string{"http://bad.example/1", "http://worse.example/2"} {
			s.check(t, url)
			say(t, s.svc, "operator/ann", url, evidence.Phishing)
		}
		began := time.Now()
		p := <-got
		s.check(t, "http://other.example/")
		if took := time.Since(began); took > 5*time.Second { // check sleeps for two
			t.Errorf("a question took %v", took)
		}
		last := p
		for p.id == last.id { // until it is given up
			p, last = <-got, p
		}
		if tried := last.at.Sub(began); tried < 50*time.Minute || tried > time.Hour {
			t.Errorf("it was tried for %v, want an hour", tried)
		}
		s.metric(t, `headlight_webhook_events_total{result="dropped"} 1`)
		awake.Store(true)
		if taken := <-got; !strings.Contains(taken.body, "worse.example") {
			t.Errorf("got %s, want the change behind it", taken.body)
		}
	})
}

func TestSecretsOfWebhooks(t *testing.T) {
	t.Parallel()
	of := func(n int) string {
		return "whsec_" + base64.StdEncoding.EncodeToString([]byte(strings.Repeat("x", n)))
	}
	for text, ok := range map[string]bool{
		of(24): true, of(64) + "\n": true, of(23): false, of(65): false, of(24)[1:]: false, "whsec_???": false, "": false,
	} {
		secret, err := httpapi.ParseWebhookSecret(text)
		if (err == nil) != ok || ok && len(secret) < 24 {
			t.Errorf("%q: got %q, %v", text, secret, err)
		}
		if err != nil && len(text) > 8 && strings.Contains(err.Error(), text[7:]) {
			t.Errorf("the error repeats the secret: %v", err)
		}
	}
}
