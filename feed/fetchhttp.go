package feed

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Bounds of one visit.
const (
	maxRedirects  = 5                // OpenPhish and abuse.ch need one
	headerTimeout = 30 * time.Second // from request to answer
	stallTimeout  = time.Minute      // without a byte
	visitTimeout  = 15 * time.Minute // all in all: 512 MiB at 5 Mbit/s
	maxKey        = 4 << 10          // bytes of a file that holds a key
)

func newTransport() http.RoundTripper {
	return &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            (&net.Dialer{Timeout: 10 * time.Second}).DialContext,
		TLSHandshakeTimeout:    10 * time.Second,
		ResponseHeaderTimeout:  headerTimeout,
		DisableKeepAlives:      true, // the next visit is far away
		ForceAttemptHTTP2:      true,
		MaxResponseHeaderBytes: 64 << 10,
	}
}

// statusError is an answer other than the list.
type statusError struct {
	code       int
	retryAfter time.Duration // 0: the server did not say
}

func (e *statusError) Error() string {
	text := http.StatusText(e.code)
	switch e.code {
	case http.StatusUnauthorized, http.StatusForbidden:
		text += "; is a key missing or wrong?"
	case 509: // not in any RFC; PhishTank's word for "too often"
		text = "Bandwidth Limit Exceeded"
	}
	return strings.TrimSpace(fmt.Sprintf("the server answered %d %s", e.code, text))
}

// body is a list in a file: the operator's own, or a copy of what was fetched,
// which is removed when it is closed.
type body struct {
	*os.File
	temporary bool
}

func (b *body) rewind() error {
	_, err := b.Seek(0, io.SeekStart)
	return err
}

func (b *body) close() {
	b.Close()
	if b.temporary {
		os.Remove(b.Name())
	}
}

// open gives the list if it has changed since m, else nil, and notes in m how
// to tell the next time.
func (f *Fetcher) open(ctx context.Context, s *source, m *memory) (*body, error) {
	var b *body
	var err error
	if s.File != "" {
		b, err = openFile(s, m)
	} else {
		b, err = f.fetch(ctx, s, m)
	}
	if b == nil || err != nil {
		return nil, err
	}
	sum := sha256.New()
	_, err = io.Copy(sum, io.LimitReader(b, s.MaxBytes+1))
	if err == nil {
		err = b.rewind()
	}
	hash := hex.EncodeToString(sum.Sum(nil))
	if err != nil || hash == m.Hash {
		b.close()
		return nil, err
	}
	m.Hash = hash
	return b, nil
}

// openFile opens a list on disk, unless it has the time and size that it had.
func openFile(s *source, m *memory) (*body, error) {
	file, err := os.Open(s.File)
	if err != nil {
		return nil, err
	}
	info, err := file.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = errors.New("not a regular file")
	}
	if err == nil && info.Size() > s.MaxBytes {
		err = &SizeError{Limit: s.MaxBytes}
	}
	if err != nil || info.ModTime().Equal(m.Modified) && info.Size() == m.Size {
		file.Close()
		return nil, err
	}
	m.Modified, m.Size = info.ModTime(), info.Size()
	return &body{File: file}, nil
}

// fetch copies the list into a file, so that one that breaks off is known to
// before a word of it is said, and slow appending does not hold up the server.
func (f *Fetcher) fetch(ctx context.Context, s *source, m *memory) (*body, error) {
	ctx, done := context.WithTimeoutCause(ctx, visitTimeout, errors.New("the visit took too long"))
	defer done()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	req, err := f.request(ctx, s, m)
	if err != nil {
		return nil, err
	}
	resp, err := s.client.Do(req)
	if err != nil {
		return nil, withoutURL(ctx, err)
	}
	defer resp.Body.Close()
	switch resp.StatusCode {
	case http.StatusNotModified:
		return nil, nil
	case http.StatusOK:
	default:
		return nil, &statusError{code: resp.StatusCode, retryAfter: retryAfter(resp, time.Now())}
	}
	if resp.ContentLength > s.MaxBytes {
		return nil, &SizeError{Limit: s.MaxBytes}
	}
	file, err := os.CreateTemp(f.cfg.Dir, s.Name+".body-*")
	if err != nil {
		return nil, err
	}
	b := &body{File: file, temporary: true}
	if err := s.copyBody(ctx, cancel, b, resp.Body); err != nil {
		b.close()
		return nil, err
	}
	if err := b.rewind(); err != nil {
		b.close()
		return nil, err
	}
	m.ETag, m.LastModified = resp.Header.Get("ETag"), resp.Header.Get("Last-Modified")
	return b, nil
}

// copyBody copies at most MaxBytes, and cancels the request that ctx belongs
// to when nothing comes for a while.
func (s *source) copyBody(ctx context.Context, cancel context.CancelCauseFunc, to io.Writer, from io.Reader) error {
	timer := time.AfterFunc(stallTimeout, func() { cancel(fmt.Errorf("nothing came for %v", stallTimeout)) })
	defer timer.Stop()
	n, err := io.Copy(to, io.LimitReader(readFunc(func(p []byte) (int, error) {
		n, err := from.Read(p)
		timer.Reset(stallTimeout)
		return n, err
	}), s.MaxBytes+1))
	if err != nil {
		return fmt.Errorf("the list broke off after %d bytes: %w", n, withoutURL(ctx, err))
	}
	if n > s.MaxBytes {
		return &SizeError{Limit: s.MaxBytes}
	}
	return nil
}

type readFunc func([]byte) (int, error)

func (f readFunc) Read(p []byte) (int, error) { return f(p) }

// request asks for the list if it has changed. Keys are read from their files
// here and are in the request alone.
func (f *Fetcher) request(ctx context.Context, s *source, m *memory) (*http.Request, error) {
	address := s.URL
	if s.KeyFile != "" {
		key, err := readKey(s.KeyFile)
		if err != nil {
			return nil, err
		}
		if !urlKey.MatchString(key) {
			return nil, fmt.Errorf("%s: a key in a URL has letters, digits and ._~- only", s.KeyFile)
		}
		address = strings.ReplaceAll(address, "{key}", key)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, withoutURL(ctx, err)
	}
	req.Header.Set("User-Agent", userAgent(f.cfg.Contact))
	for name, file := range s.Header {
		key, err := readKey(file)
		if err != nil {
			return nil, err
		}
		req.Header.Set(name, key)
	}
	if m.ETag != "" {
		req.Header.Set("If-None-Match", m.ETag)
	}
	if m.LastModified != "" {
		req.Header.Set("If-Modified-Since", m.LastModified)
	}
	return req, nil
}

var urlKey = regexp.MustCompile(`^[A-Za-z0-9._~-]+$`)

// userAgent says who comes, and where to read about it.
func userAgent(contact string) string {
	if contact == "" {
		return "Headlight/1"
	}
	return "Headlight/1 (+" + contact + ")"
}

func readKey(file string) (string, error) {
	f, err := os.Open(file)
	if err != nil {
		return "", err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxKey+1))
	if err != nil {
		return "", err
	}
	key := strings.TrimSpace(string(b))
	if key == "" || len(b) > maxKey {
		return "", fmt.Errorf("%s: a key has 1 to %d bytes", file, maxKey)
	}
	return key, nil
}

// redirect follows a few, within the web, and gives no key to another server:
// net/http would pass on headers that it does not know to be secret, and the
// URL of the last request, which may hold a key, as Referer.
func (s *source) redirect(req *http.Request, via []*http.Request) error {
	req.Header.Del("Referer")
	if len(via) > maxRedirects {
		return fmt.Errorf("redirected more than %d times", maxRedirects)
	}
	if req.URL.Scheme != "http" && req.URL.Scheme != "https" {
		return errors.New("redirected out of the web")
	}
	first := via[0].URL
	if req.URL.Host != first.Host || first.Scheme == "https" && req.URL.Scheme != "https" {
		for name := range s.Header {
			req.Header.Del(name)
		}
	}
	return nil
}

// withoutURL takes the URL, and with it the key, out of an error.
func withoutURL(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	for {
		u, ok := errors.AsType[*url.Error](err)
		if !ok {
			return err
		}
		err = u.Err
	}
}

// retryAfter reads how long the server wants to be left alone: Retry-After in
// seconds or as a date (RFC 9110 §10.2.3), or the interval of PhishTank's limit.
func retryAfter(resp *http.Response, now time.Time) time.Duration {
	value := resp.Header.Get("Retry-After")
	if value == "" && resp.StatusCode == 509 {
		value = resp.Header.Get("X-Request-Limit-Interval")
	}
	if seconds, err := strconv.ParseUint(value, 10, 31); err == nil {
		return time.Duration(seconds) * time.Second
	}
	if date, err := http.ParseTime(value); err == nil {
		return max(0, date.Sub(now))
	}
	return 0
}
