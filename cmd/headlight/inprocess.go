package main

import (
	"bytes"
	"io"
	"log/slog"
	"net/http"

	"headlight.example"
	"headlight.example/frontend/httpapi"
)

// inProcess gives a client of an API that lives in this process, so that a
// command says and asks the same things whether it opens the directory itself
// or speaks to the server that holds it.
func (p *place) inProcess(e *env, svc *headlight.Service) *client {
	rater := p.rater
	if rater == "" {
		rater = "operator/local" // it asks only, and may see who said what
	}
	const secret = "in-process" // no listener: nobody else can send it
	api := httpapi.New(svc, httpapi.Config{
		Tokens: []httpapi.Token{httpapi.NewToken("local", rater, secret)},
		Rate:   -1,
		Logger: e.logger(slog.LevelWarn),
	})
	return &client{
		base:  "http://127.0.0.1", // names nothing: the transport goes nowhere
		token: secret,
		http:  &http.Client{Transport: handlerTransport{api.Handler()}},
	}
}

// handlerTransport is an http.RoundTripper that calls a handler.
type handlerTransport struct{ handler http.Handler }

func (t handlerTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.RequestURI, r.RemoteAddr = r.URL.RequestURI(), "127.0.0.1:0"
	if r.Body == nil {
		r.Body = http.NoBody
	}
	rec := &recorder{header: make(http.Header)}
	t.handler.ServeHTTP(rec, r)
	rec.WriteHeader(http.StatusOK) // if the handler has not
	return &http.Response{
		StatusCode: rec.status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: rec.header, Body: io.NopCloser(&rec.body), ContentLength: int64(rec.body.Len()), Request: r,
	}, nil
}

// recorder keeps what a handler answers.
type recorder struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (r *recorder) Header() http.Header { return r.header }

func (r *recorder) WriteHeader(status int) {
	if r.status == 0 && status >= 200 { // 1xx is no answer yet
		r.status = status
	}
}

func (r *recorder) Write(p []byte) (int, error) {
	r.WriteHeader(http.StatusOK)
	return r.body.Write(p)
}
