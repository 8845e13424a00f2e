// Package sms answers people who forward a text message that looks odd to them:
// the webhooks of SMS gateways bring it, and what is thought of its links goes
// back as a text message.
//
//	s := sms.New(svc, sms.Config{})
//	err := s.Serve(ctx, listener)
//
// /kannel is what a sms-service of Kannel gets, /jasmin what Jasmin's httpccm
// posts, /twilio and /vonage what those post for a number; of the latter two
// the signature is checked. What is not signed as it should be gets 403. Text,
// numbers and secrets reach neither the log nor a metric.
package sms

import (
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"mime"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf16"

	"github.com/prometheus/client_golang/prometheus"

	"headlight.example"
	"headlight.example/frontend/conns"
	"headlight.example/message"
	"headlight.example/reputation"
)

// Config says which gateways may ask.
type Config struct {
	// Secret is what Kannel and Jasmin must give as the parameter "secret", for
	// they sign nothing; "" lets anybody who reaches the listener ask.
	Secret string
	// TwilioToken is the auth token by which Twilio signs; "" means no Twilio.
	TwilioToken string
	// URL is how Twilio names this server, without the path: it is signed.
	URL string
	// VonageSecret is the secret by which Vonage signs, by SHA-256 HMAC; ""
	// means no Vonage.
	VonageSecret string
	// Registry takes the metrics; nil means one of its own.
	Registry *prometheus.Registry
	// Logger receives what an operator should read; nil means slog.Default.
	Logger *slog.Logger
}

const (
	// maxBody bounds a request. A text message of 10 parts has 1,530
	// characters, each up to 12 bytes when it is percent-encoded.
	maxBody = 64 << 10
	// maxConns bounds the connections; a gateway has a few. One more, and the most
	// silent is closed.
	maxConns = 256
	// maxHost bounds what an answer says of a host, so that it fits into one
	// part of 160 characters.
	maxHost = 60
	// signedFor is how old a signature of Vonage may be.
	signedFor = 5 * time.Minute

	readTimeout     = 10 * time.Second
	writeTimeout    = 20 * time.Second
	idleTimeout     = 2 * time.Minute
	shutdownTimeout = 10 * time.Second
)

// Server answers webhooks. It is safe for concurrent use.
type Server struct {
	svc      *headlight.Service
	cfg      Config
	log      *slog.Logger
	messages *prometheus.CounterVec
	refused  prometheus.Counter
}

// New makes a server. It starts nothing.
func New(svc *headlight.Service, cfg Config) *Server {
	if cfg.Registry == nil {
		cfg.Registry = prometheus.NewRegistry()
	}
	s := &Server{
		svc: svc, cfg: cfg,
		log: cmp.Or(cfg.Logger, slog.Default()).With("part", "sms"),
		messages: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "headlight_sms_messages_total",
			Help: "Text messages judged, by gateway and the level of their worst link.",
		}, []string{"gateway", "level"}),
		refused: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "headlight_sms_refused_total",
			Help: "Webhooks that were not signed as they should be, or that could not be read.",
		}),
	}
	cfg.Registry.MustRegister(s.messages, s.refused)
	return s
}

// Serve answers on the listener until ctx is done; then it lets begun answers
// finish for up to ten seconds, and returns nil. It closes the listener.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	server := &http.Server{
		Handler:     s.Handler(),
		ReadTimeout: readTimeout, WriteTimeout: writeTimeout, IdleTimeout: idleTimeout,
		MaxHeaderBytes: maxBody, // a message may stand in the query
		ErrorLog:       slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(conns.Limit(l, maxConns)) }()
	select {
	case err := <-failed:
		return fmt.Errorf("serve %s: %w", l.Addr(), err)
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
	defer cancel()
	if err := server.Shutdown(grace); err != nil {
		server.Close()
	}
	<-failed
	return nil
}

// Handler answers requests, for those who have a server of their own.
func (s *Server) Handler() http.Handler {
	mux := http.NewServeMux()
	handle := func(gateway string, text func(*http.Request) (string, error), answer func(w http.ResponseWriter, reply string)) {
		mux.HandleFunc("/"+gateway, func(w http.ResponseWriter, r *http.Request) {
			r.Body = http.MaxBytesReader(w, r.Body, maxBody)
			t, err := text(r)
			if err != nil {
				s.refused.Inc()
				// The error may quote the request.
				code := http.StatusBadRequest
				if errors.Is(err, errUnsigned) {
					code = http.StatusForbidden
				}
				http.Error(w, http.StatusText(code), code)
				return
			}
			reply, level := s.judge(t)
			s.messages.WithLabelValues(gateway, level.String()).Inc()
			answer(w, reply)
		})
	}
	handle("kannel", s.kannel, answerText)
	// Jasmin takes nothing but this for an answer, and no text to send back.
	handle("jasmin", s.jasmin, func(w http.ResponseWriter, _ string) { answerText(w, "ACK/Jasmin") })
	if s.cfg.TwilioToken != "" {
		handle("twilio", s.twilio, answerTwiML)
	}
	if s.cfg.VonageSecret != "" {
		// Vonage sends nothing back; what was asked is learnt.
		handle("vonage", s.vonage, func(w http.ResponseWriter, _ string) { w.WriteHeader(http.StatusNoContent) })
	}
	return mux
}

var errUnsigned = errors.New("not signed as it should be")

// kannel reads what the get-url or post-url of a sms-service brings, with the
// text as the parameter "text".
func (s *Server) kannel(r *http.Request) (string, error) {
	if err := r.ParseForm(); err != nil {
		return "", err
	}
	return r.Form.Get("text"), s.checkSecret(r)
}

// jasmin reads what httpccm posts: the text as "content", and its bytes as
// "binary" in hex, which hold UTF-16 if coding is 8 (SMPP 3.4 §5.2.19).
func (s *Server) jasmin(r *http.Request) (string, error) {
	if err := r.ParseForm(); err != nil {
		return "", err
	}
	text := r.Form.Get("content")
	if r.Form.Get("coding") == "8" {
		b, err := hex.DecodeString(r.Form.Get("binary"))
		if err != nil {
			return "", err
		}
		units := make([]uint16, len(b)/2)
		for i := range units {
			units[i] = uint16(b[2*i])<<8 | uint16(b[2*i+1])
		}
		text = string(utf16.Decode(units))
	}
	return text, s.checkSecret(r)
}

func (s *Server) checkSecret(r *http.Request) error {
	if s.cfg.Secret != "" && subtle.ConstantTimeCompare([]byte(r.Form.Get("secret")), []byte(s.cfg.Secret)) != 1 {
		return errUnsigned
	}
	return nil
}

// twilio reads a webhook of Twilio: X-Twilio-Signature is the base64 of the
// HMAC-SHA1, by the auth token, of the URL and the sorted parameters of the body.
func (s *Server) twilio(r *http.Request) (string, error) {
	if r.Method != http.MethodPost {
		return "", errUnsigned
	}
	if err := r.ParseForm(); err != nil {
		return "", err
	}
	mac := hmac.New(sha1.New, []byte(s.cfg.TwilioToken))
	mac.Write([]byte(s.cfg.URL + r.URL.RequestURI()))
	for _, name := range slices.Sorted(maps.Keys(r.PostForm)) {
		for _, value := range r.PostForm[name] {
			mac.Write([]byte(name + value))
		}
	}
	given, err := base64.StdEncoding.DecodeString(r.Header.Get("X-Twilio-Signature"))
	if err != nil || !hmac.Equal(given, mac.Sum(nil)) {
		return "", errUnsigned
	}
	return r.PostForm.Get("Body"), nil
}

// vonage reads a webhook of Vonage, whose parameters come in the query, in a
// form or as JSON. "sig" is the hex of the SHA-256 HMAC of the others.
func (s *Server) vonage(r *http.Request) (string, error) {
	p := make(map[string]string)
	if media, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); media == "application/json" {
		var body map[string]any
		d := json.NewDecoder(r.Body)
		d.UseNumber()
		if err := d.Decode(&body); err != nil {
			return "", err
		}
		for name, value := range body {
			p[name] = fmt.Sprint(value)
		}
	} else if err := r.ParseForm(); err != nil {
		return "", err
	} else {
		for name := range r.Form {
			p[name] = r.Form.Get(name)
		}
	}
	given, err := hex.DecodeString(p["sig"])
	if err != nil {
		return "", errUnsigned
	}
	mac := hmac.New(sha256.New, []byte(s.cfg.VonageSecret))
	mac.Write([]byte(signedByVonage(p)))
	signed, err := strconv.ParseInt(p["timestamp"], 10, 64)
	if err != nil || !hmac.Equal(given, mac.Sum(nil)) || time.Since(time.Unix(signed, 0)).Abs() > signedFor {
		return "", errUnsigned
	}
	return p["text"], nil
}

// signedByVonage is what Vonage signs: "&name=value" of each parameter but sig,
// sorted by name, with "&" and "=" in values made "_".
func signedByVonage(p map[string]string) string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(p)) {
		if name != "sig" {
			b.WriteString("&" + name + "=" + strings.NewReplacer("&", "_", "=", "_").Replace(p[name]))
		}
	}
	return b.String()
}

func answerText(w http.ResponseWriter, reply string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Write([]byte(reply))
}

// answerTwiML has Twilio send the reply.
func answerTwiML(w http.ResponseWriter, reply string) {
	w.Header().Set("Content-Type", "text/xml; charset=utf-8")
	w.Write([]byte(xml.Header + "<Response><Message>"))
	xml.EscapeText(w, []byte(reply))
	w.Write([]byte("</Message></Response>"))
}

// judge finds the worst link of a text and says what is thought of it, in words
// of the GSM alphabet that fit into one text message.
func (s *Server) judge(text string) (reply string, level reputation.Level) {
	scan := s.svc.CheckMessage(message.Text, text)
	if len(scan.Links) == 0 {
		return "There is no link in this message.", scan.Level
	}
	worst := &scan.Links[0]
	for i := range scan.Links {
		if scan.Links[i].Verdict.Level > worst.Verdict.Level {
			worst = &scan.Links[i]
		}
	}
	l := worst.Verdict.Link
	if !worst.Inner.IsZero() {
		l = worst.Inner
	}
	host := printable(l.Host())
	what := ""
	if t := worst.Verdict.Threat; t.Threat() {
		what = " (" + t.String() + ")"
	}
	switch worst.Verdict.Level {
	case reputation.Dangerous:
		return "DANGEROUS" + what + ": " + host + ". Do not open this link, and answer nobody who sent it.", scan.Level
	case reputation.Suspicious:
		return "SUSPICIOUS" + what + ": " + host + ". Better do not open this link.", scan.Level
	case reputation.Safe:
		return host + " is held safe.", scan.Level
	}
	return "Nothing bad is known of " + host + ". That does not make it safe.", scan.Level
}

// printable is a host as a text message may show it: with " ." for each dot, so
// that phones make no link of it.
func printable(host string) string {
	b := make([]byte, 0, maxHost)
	for i := 0; i < len(host) && len(b) < maxHost-1; i++ {
		switch c := host[i]; {
		case c == '.':
			b = append(b, " ."...)
		case c <= ' ' || c > '~' || strings.IndexByte("`^{}\\[~]|", c) >= 0: // not one septet (3GPP TS 23.038 §6.2.1)
			b = append(b, '?')
		default:
			b = append(b, c)
		}
	}
	return string(b)
}
