package httpapi

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"headlight.example"
)

// Webhook says where changes are posted: each as one JSON document, signed as
// Standard Webhooks 1.0 asks (github.com/standard-webhooks/standard-webhooks).
// What a listener of GET /v1/changes with a token is told stands in its "data".
//
// They go out one by one in their order. One that is not answered with 2xx is
// tried again, after a second first and five minutes at last, for an hour; it is
// then given up, as are those before the last thousand. Nobody else waits for it.
type Webhook struct {
	// URL takes the posts; "": there is no webhook. Redirects are not followed.
	URL string
	// Secret signs them: 24 to 64 bytes.
	Secret []byte
	// Transport carries them; nil: HTTP or HTTPS, through the proxy of the
	// environment if there is one.
	Transport http.RoundTripper
}

const (
	hookTimeout  = 15 * time.Second // that of many senders
	hookFirst    = time.Second      // the first wait between attempts; it doubles
	hookLongest  = 5 * time.Minute
	hookGivesUp  = time.Hour // who was to be warned has read the message by then
	hookAnswer   = 64 << 10  // so much of an answer is read, so that the connection can be used again
	secretPrefix = "whsec_"
	secretLeast  = 24 // bytes, as the standard says
	secretMost   = 64
)

// ParseWebhookSecret reads "whsec_" and 24 to 64 bytes in base64. Its errors do not
// repeat the secret.
func ParseWebhookSecret(text string) ([]byte, error) {
	rest, ok := strings.CutPrefix(strings.TrimSpace(text), secretPrefix)
	secret, err := base64.StdEncoding.DecodeString(rest)
	if !ok || err != nil || len(secret) < secretLeast || len(secret) > secretMost {
		return nil, fmt.Errorf("want whsec_ and %d to %d bytes in base64, such as: echo whsec_$(openssl rand -base64 32)", secretLeast, secretMost)
	}
	return secret, nil
}

// ParseWebhookURL says whether posts can go to a URL.
func ParseWebhookURL(text string) error {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.Fragment != "" {
		return fmt.Errorf("%q is not an http or https URL", text)
	}
	return nil
}

// hook posts changes.
type hook struct {
	s      *Server
	cfg    Webhook
	client *http.Client

	sent, dropped, failures prometheus.Counter
}

func newHook(s *Server, cfg Webhook) *hook {
	h := &hook{s: s, cfg: cfg, client: &http.Client{
		Transport:     cfg.Transport,
		Timeout:       hookTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	events := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "headlight_webhook_events_total",
		Help: "Changes of verdicts for the webhook, by what became of them.",
	}, []string{"result"})
	h.sent, h.dropped = events.WithLabelValues("sent"), events.WithLabelValues("dropped")
	h.failures = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "headlight_webhook_failures_total",
		Help: "Attempts to post a change that were not answered with 2xx.",
	})
	s.cfg.Registry.MustRegister(events, h.failures)
	return h
}

// run posts what changes, until ctx is done.
func (h *hook) run(ctx context.Context) {
	sub := h.s.svc.Changes()
	defer sub.Close()
	for after := sub.Last(); ctx.Err() == nil; {
		waiting := sub.Since(after)
		if len(waiting) == 0 {
			select {
			case <-ctx.Done():
			case <-sub.Wake():
			}
			continue
		}
		ch := &waiting[0] // by the time the next is due there may be newer ones, and some may be gone
		h.dropped.Add(float64(ch.ID - after - 1))
		after = ch.ID
		if h.deliver(ctx, ch) {
			h.sent.Inc()
		} else if ctx.Err() == nil {
			h.dropped.Inc()
			h.s.log.Warn("a change was not taken by the webhook; it is given up", "tried", hookGivesUp)
		}
	}
}

// deliver posts one change until it is taken.
func (h *hook) deliver(ctx context.Context, ch *headlight.Change) bool {
	id := "change_" + h.s.start + "-" + strconv.FormatUint(ch.ID, 10)
	body := h.body(ch)
	began := time.Now()
	for wait := hookFirst; ; wait = min(2*wait, hookLongest) {
		err := h.post(ctx, id, body)
		if err == nil {
			return true
		}
		h.failures.Inc()
		if wait == hookFirst && ctx.Err() == nil {
			h.s.log.Warn("the webhook does not take a change; it is tried again", "err", err)
		}
		// Half of the wait is by chance, so that receivers are not hit all at once.
		wait := wait/2 + rand.N(wait/2)
		if time.Since(began)+wait > hookGivesUp {
			return false
		}
		select {
		case <-ctx.Done():
			return false
		case <-time.After(wait):
		}
	}
}

func (h *hook) body(ch *headlight.Change) []byte {
	c := call{s: h.s, token: new(Token)} // the operator's own receiver
	b := append([]byte(nil), `{"type":"verdict.changed","timestamp":`...)
	b = appendTime(b, ch.Time)
	b = append(b, `,"data":`...)
	return append(c.appendChange(b, ch), '}')
}

func (h *hook) post(ctx context.Context, id string, body []byte) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, h.cfg.URL, bytes.NewReader(body))
	if err != nil {
		return err
	}
	at := strconv.FormatInt(time.Now().Unix(), 10)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "Headlight/"+h.s.cfg.Version)
	req.Header.Set("webhook-id", id)
	req.Header.Set("webhook-timestamp", at)
	req.Header.Set("webhook-signature", h.sign(id, at, body))
	resp, err := h.client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	io.Copy(io.Discard, io.LimitReader(resp.Body, hookAnswer))
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return fmt.Errorf("it answers %s", resp.Status)
	}
	return nil
}

// sign gives the signature of "id.timestamp.body" by HMAC-SHA256.
func (h *hook) sign(id, at string, body []byte) string {
	m := hmac.New(sha256.New, h.cfg.Secret)
	m.Write([]byte(id + "." + at + "."))
	m.Write(body)
	return "v1," + base64.StdEncoding.EncodeToString(m.Sum(nil))
}
