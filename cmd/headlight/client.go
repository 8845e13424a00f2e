package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"time"
)

// client speaks to a Headlight server.
type client struct {
	base  string // without a slash at the end
	token string
	http  *http.Client
}

const (
	// clientTimeout is for a call that is answered from memory; a thousand
	// reports are synced to disk within it many times over.
	clientTimeout = time.Minute
	// maxAnswer bounds what is read of an answer: a thousand verdicts of a few
	// kilobytes.
	maxAnswer = 64 << 20
)

func newClient(server, token string) (*client, error) {
	if !strings.Contains(server, "://") {
		server = "http://" + server
	}
	u, err := url.Parse(server)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, usagef("flag -server: %q is not a URL such as http://127.0.0.1:8080", server)
	}
	return &client{
		base:  strings.TrimRight(server, "/"),
		token: token,
		http:  &http.Client{Timeout: clientTimeout},
	}, nil
}

// problem is a problem document (RFC 9457) that the server answered with.
type problem struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail"`
	server string
}

func (p *problem) Error() string {
	s := fmt.Sprintf("%s answers %d", p.server, p.Status)
	if p.Title != "" {
		s += ": " + p.Title
	}
	if p.Detail != "" {
		s += ": " + p.Detail
	}
	switch p.Status {
	case http.StatusUnauthorized, http.StatusForbidden:
		s += "; give a token that may do this with -token-file"
	}
	return s
}

// post sends body as JSON and gives the answer's body.
func (c *client) post(ctx context.Context, path string, body any) ([]byte, error) {
	b, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	return c.do(ctx, http.MethodPost, path, b)
}

func (c *client) get(ctx context.Context, path string) ([]byte, error) {
	return c.do(ctx, http.MethodGet, path, nil)
}

func (c *client) do(ctx context.Context, method, path string, body []byte) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "headlight/"+release)
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, c.unreachable(ctx, err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return nil, c.unreachable(ctx, err)
	}
	if resp.StatusCode/100 == 2 {
		return answer, nil
	}
	p := &problem{server: c.base, Status: resp.StatusCode}
	if json.Unmarshal(answer, p) != nil || p.Title == "" {
		p.Title = http.StatusText(resp.StatusCode)
	}
	return nil, p
}

// unreachable says what to do about a server that does not answer.
func (c *client) unreachable(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if wrapped, ok := errors.AsType[*url.Error](err); ok {
		err = wrapped.Err // it repeats the URL
	}
	hint := ""
	if op, ok := errors.AsType[*net.OpError](err); ok && errors.Is(op, syscall.ECONNREFUSED) {
		hint = "; is \"headlight serve\" running there?"
	}
	return fmt.Errorf("ask %s: %w%s", c.base, err, hint)
}
