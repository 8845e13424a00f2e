package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"

	"github.com/rogpeppe/go-internal/testscript"
)

// receiver takes the posts of a script's webhook.
type receiver struct {
	server *httptest.Server
	posts  chan *http.Request
	bodies chan []byte
}

var (
	receiversMu sync.Mutex
	receivers   = map[string]*receiver{}
)

// receiver: starts one that refuses the first post; its URL is in $RECEIVER.
func cmdReceiver(ts *testscript.TestScript, _ bool, _ []string) {
	r := &receiver{posts: make(chan *http.Request, 100), bodies: make(chan []byte, 100)}
	var once sync.Once
	r.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		body, err := io.ReadAll(q.Body)
		refused := err != nil
		once.Do(func() { refused = true })
		if refused {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		r.posts <- q
		r.bodies <- body
	}))
	ts.Defer(r.server.Close)
	ts.Setenv("RECEIVER", r.server.URL)
	receiversMu.Lock()
	receivers[ts.Getenv("WORK")] = r
	receiversMu.Unlock()
}

// received SECRET: waits for the next post, holds its signature against the
// secret (whsec_…), and prints what it says.
func cmdReceived(ts *testscript.TestScript, neg bool, args []string) {
	receiversMu.Lock()
	r := receivers[ts.Getenv("WORK")]
	receiversMu.Unlock()
	q, body := <-r.posts, <-r.bodies
	secret, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(args[0], "whsec_"))
	ts.Check(err)
	m := hmac.New(sha256.New, secret)
	fmt.Fprintf(m, "%s.%s.%s", q.Header.Get("webhook-id"), q.Header.Get("webhook-timestamp"), body)
	want := "v1," + base64.StdEncoding.EncodeToString(m.Sum(nil))
	if got := q.Header.Get("webhook-signature"); (got == want) == neg {
		ts.Fatalf("signed as %s, want %s", got, want)
	}
	fmt.Fprintf(ts.Stdout(), "%s %s\n%s\n", q.Method, q.URL.Path, body)
}
