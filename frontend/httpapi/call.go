package httpapi

import (
	"compress/gzip"
	"errors"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"time"
)

// call is a request being answered. Its buffers are used again for the next
// one, so nothing that outlives the call may point into them.
type call struct {
	s     *Server
	w     http.ResponseWriter
	r     *http.Request
	token *Token // nil: the caller showed none

	route  *route // nil until found
	number uint64 // of the request; 0 until asked for
	status int    // sent; 0 while nothing is
	cause  error  // what the operator should know

	body  []byte // of the request
	text  []byte // the links of a check, one after the other
	ends  []int  // where each ends in text
	links []string
	out   []byte // of the answer
	held  int64  // of the server's memory, for body
}

// keepBuffer is how large a buffer may be to be used again. A larger one would
// sit in the pool for a message that comes once a day.
const keepBuffer = 256 << 10

var calls = sync.Pool{New: func() any { return new(call) }}

func (c *call) release() {
	c.s.memory.give(c.held)
	next := call{body: c.body[:0], text: c.text[:0], ends: c.ends[:0], links: c.links[:0], out: c.out[:0]}
	if cap(next.body) > freeBody+1 { // such a one is paid for
		next.body = nil
	}
	if cap(next.text) > keepBuffer {
		next.text = nil
	}
	if cap(next.out) > keepBuffer {
		next.out = nil
	}
	clear(next.links[:cap(next.links)]) // they hold the text
	*c = next
	calls.Put(c)
}

// serve answers one request.
func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	began := time.Now()
	c := calls.Get().(*call)
	c.s, c.w, c.r = s, w, r
	defer func() {
		if p := recover(); p != nil {
			c.panicked(p)
		}
		c.record(time.Since(began))
		c.release()
	}()
	if err := c.answer(); err != nil {
		c.failed(err)
	}
}

func (c *call) answer() error {
	if !c.s.rightHost(c.r) {
		return problem(misdirected, "the server does not go by the name in Host; call it by its address, or add the name to hosts in its configuration")
	}
	route, err := c.s.find(c.r)
	if err != nil {
		return err
	}
	c.route = route
	refused := c.s.admit(c, route)
	if err := c.limit(); err != nil { // before refused, so that guessing tokens is limited too
		return err
	}
	if refused != nil {
		return refused
	}
	return route.handle(c)
}

// limit holds the caller to its rate.
func (c *call) limit() error {
	l, client := c.s.anonymous, ""
	if c.token != nil {
		l = c.token.limiter
	} else if l != nil {
		var local bool
		if client, local = clientOf(c.r.RemoteAddr); local {
			return nil
		}
	}
	if l == nil {
		return nil
	}
	return overRate(l, client)
}

func overRate(l *limiter, client string) error {
	wait, ok := l.take(client, time.Now())
	if ok {
		return nil
	}
	p := problem(tooMany, "too many requests; come back in %s", wait.Round(time.Millisecond))
	p.retryAfter = wait
	return p
}

// failed answers with what went wrong.
func (c *call) failed(err error) {
	p, ok := errors.AsType[*Problem](err)
	if !ok {
		p = problem(internal, "the request could not be answered")
		p.cause = err
	}
	c.cause = p.cause
	if c.status != 0 {
		return // the answer had begun: it ends here
	}
	c.fail(p)
}

// panicked answers for a bug. What is panicked with may hold the client's
// text, unless the runtime made it.
func (c *call) panicked(p any) {
	if p == http.ErrAbortHandler {
		panic(p)
	}
	attrs := []any{"request", c.instance(), "route", c.pattern(), "stack", string(debug.Stack())}
	if e, ok := p.(runtime.Error); ok {
		attrs = append(attrs, "err", e)
	}
	c.s.log.Error("request panicked", attrs...)
	if c.status == 0 {
		c.out = nil // may be half written
		c.fail(problem(internal, "the request could not be answered"))
	}
}

// instance names the request, to the client and in the log (RFC 4151 for the form).
func (c *call) instance() string {
	if c.number == 0 {
		c.number = c.s.requests.Add(1)
	}
	return "tag:headlight.example,2026:" + c.s.start + "-" + strconv.FormatUint(c.number, 10)
}

func (c *call) pattern() string {
	if c.route == nil {
		return "other"
	}
	return c.route.pattern
}

// record counts and logs the request, once it is answered. The path is not
// logged, for it may hold a URL: the pattern is.
func (c *call) record(elapsed time.Duration) {
	c.s.metrics.observe(c.route, c.status, elapsed)
	level := slog.LevelDebug
	if c.status >= 500 && c.cause != nil {
		level = slog.LevelError
	}
	ctx := c.r.Context()
	if !c.s.log.Enabled(ctx, level) {
		return
	}
	attrs := []slog.Attr{
		slog.String("method", knownMethod(c.r.Method)), slog.String("route", c.pattern()),
		slog.Int("status", c.status), slog.Duration("elapsed", elapsed),
	}
	if c.number != 0 {
		attrs = append(attrs, slog.String("request", c.instance()))
	}
	if c.token != nil {
		attrs = append(attrs, slog.String("token", c.token.Name))
	}
	if c.cause != nil {
		attrs = append(attrs, slog.Any("err", c.cause))
	}
	c.s.log.LogAttrs(ctx, level, "request answered", attrs...)
}

func knownMethod(m string) string {
	switch m {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
		return m
	}
	return "other"
}

var (
	jsonType = []string{"application/json"}
	noSniff  = []string{"nosniff"}
	noStore  = []string{"no-store"}
)

// spillAt is when an answer begins to be written before it is whole. The
// links of a large mail would else hold as much again as their mail.
const spillAt = 64 << 10

// spill writes what there is of a JSON answer that has grown large, and gives
// back what is left of it: nothing, or all of a small one.
func (c *call) spill(b []byte) []byte {
	if len(b) < spillAt {
		return b
	}
	c.begin(http.StatusOK, jsonType)
	c.w.Write(b)
	return b[:0]
}

// begin writes the head of the answer, once.
func (c *call) begin(status int, contentType []string) {
	if c.status != 0 {
		return
	}
	h := c.w.Header()
	h["Content-Type"] = contentType
	h["X-Content-Type-Options"] = noSniff
	if _, ok := h["Cache-Control"]; !ok {
		h["Cache-Control"] = noStore
	}
	c.status = status
	c.w.WriteHeader(status)
}

// send writes the answer, or the end of it. The client may be gone, which is
// no concern of ours.
func (c *call) send(status int, contentType []string, body []byte) {
	if c.status == 0 && len(body) > 2048 { // net/http counts what fits its own buffer
		c.w.Header()["Content-Length"] = []string{strconv.Itoa(len(body))}
	}
	c.begin(status, contentType)
	c.w.Write(body)
}

// read reads the request's body, which must be JSON, into c.body, at most max
// bytes after decompression.
func (c *call) read(max int64) error {
	if err := c.jsonBody(); err != nil {
		return err
	}
	return c.readBody(max)
}

func (c *call) readBody(max int64) error {
	over := func() error { return problem(tooLarge, "the body is over %d bytes", max) }
	if c.r.ContentLength > max {
		return over()
	}
	// Past the bound, MaxBytesReader has the connection closed, so that the
	// rest need not be read.
	var r io.Reader = http.MaxBytesReader(c.w, c.r.Body, max)
	if c.r.Header.Get("Content-Encoding") == "gzip" {
		z, err := gzip.NewReader(r)
		if err != nil {
			return c.broken(err, max)
		}
		r = &limitedReader{z, max}
	}
	for {
		if len(c.body) == cap(c.body) {
			if err := c.grow(max); err != nil {
				return err
			}
		}
		n, err := r.Read(c.body[len(c.body):cap(c.body)])
		c.body = c.body[:len(c.body)+n]
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return c.broken(err, max)
		}
	}
}

// grow doubles c.body, and draws on the server's memory for what goes beyond
// freeBody: so a client holds only as much of it as it has sent.
func (c *call) grow(max int64) error {
	most := max + 1 // one more to see the end
	if n := c.r.ContentLength; n >= 0 && c.r.Header.Get("Content-Encoding") != "gzip" {
		most = n + 1
	}
	size := int64(2 * cap(c.body))
	if size == 0 {
		size = 4096
		if most <= freeBody {
			size = most
		}
	}
	size = min(size, most)
	if size <= int64(cap(c.body)) {
		size = int64(cap(c.body)) + 512 // more came than was announced
	}
	if size > freeBody && size > c.held {
		if !c.s.memory.take(size - c.held) {
			p := problem(overloaded, "the server holds as many large bodies as it may")
			p.retryAfter = time.Second
			return p
		}
		c.held = size
	}
	grown := make([]byte, len(c.body), size)
	copy(grown, c.body)
	c.body = grown
	return nil
}

// broken says why a body could not be read.
func (c *call) broken(err error, max int64) error {
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok || errors.Is(err, errTooLong) {
		return problem(tooLarge, "the body is over %d bytes", max)
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return problem(tooSlow, "the body did not arrive in time")
	}
	return problem(brokenBody, "the body could not be read to its end")
}

// jsonBody checks what the body is sent as. That it must be application/json
// also keeps out the forms and plain posts that a browser lets any page send.
func (c *call) jsonBody() error {
	h := c.r.Header
	if v := h["Content-Encoding"]; len(v) > 1 || len(v) == 1 && v[0] != "gzip" && v[0] != "identity" && v[0] != "" {
		c.w.Header().Set("Accept-Encoding", "gzip") // RFC 9110 §12.5.3
		return problem(wrongMediaType, "the body's encoding is not understood; send it plain or gzipped")
	}
	given := h.Get("Content-Type")
	if given == "application/json" {
		return nil
	}
	t, params, err := mime.ParseMediaType(given)
	charset, has := params["charset"]
	if err != nil || t != "application/json" || has && !strings.EqualFold(charset, "utf-8") {
		return problem(wrongMediaType, "want Content-Type: application/json")
	}
	return nil
}
