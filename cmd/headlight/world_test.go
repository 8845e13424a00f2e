package main

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httputil"
	"os"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/miekg/dns"
	"github.com/rogpeppe/go-internal/testscript"
	"github.com/yaronf/httpsign"

	"headlight.example/probe"
)

// outside is what a script's server meets of the internet: a name server by
// which every name is at 127.0.0.1, and a web server there.
type outside struct {
	names *dns.Server
	web   *http.Server
	heads chan *http.Request // of visits

	dnsAddr, webAddr string
}

var (
	outsideMu sync.Mutex
	outsides  = map[string]*outside{}
)

func newOutside() (w *outside, err error) {
	w = &outside{heads: make(chan *http.Request, 100)}
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return nil, errors.Join(err, pc.Close())
	}
	w.dnsAddr, w.webAddr = pc.LocalAddr().String(), l.Addr().String()
	started := make(chan bool)
	w.names = &dns.Server{PacketConn: pc, Handler: w, NotifyStartedFunc: func() { close(started) }}
	go w.names.ActivateAndServe()
	<-started
	w.web = &http.Server{Handler: w}
	go w.web.Serve(l)
	return w, nil
}

func (w *outside) close() {
	w.names.Shutdown()
	w.web.Close()
}

// world: starts a name server and a web server, and puts their addresses into
// $DNS and $WEB, and the port of the latter into $WEBPORT.
func cmdWorld(ts *testscript.TestScript, _ bool, _ []string) {
	w, err := newOutside()
	ts.Check(err)
	ts.Defer(w.close)
	_, port, err := net.SplitHostPort(w.webAddr)
	ts.Check(err)
	ts.Setenv("DNS", w.dnsAddr)
	ts.Setenv("WEB", w.webAddr)
	ts.Setenv("WEBPORT", port)
	outsideMu.Lock()
	outsides[ts.Getenv("WORK")] = w
	outsideMu.Unlock()
}

// ServeDNS implements dns.Handler.
func (w *outside) ServeDNS(rw dns.ResponseWriter, q *dns.Msg) {
	m := new(dns.Msg).SetReply(q)
	if q.Question[0].Qtype == dns.TypeA {
		h := dns.RR_Header{Name: q.Question[0].Name, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 300}
		m.Answer = append(m.Answer, &dns.A{Hdr: h, A: net.IPv4(127, 0, 0, 1)})
	}
	rw.WriteMsg(m)
}

// ServeHTTP implements http.Handler: it remembers, and says nothing but what it
// is, that /to/HOST/PATH is at http://HOST/PATH, and in every way what it was
// asked for.
func (w *outside) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	echo := path.Base(r.URL.Path)
	rw.Header().Set("Server", "Kit-Panel/3.1 (secret build)")
	rw.Header().Set("X-Powered-By", echo)
	rw.Header().Set("Content-Type", "text/"+strings.ToLower(echo)+"; x="+echo)
	rw.Header().Set("Content-Disposition", `attachment; filename="`+echo+"."+echo+`"`)
	rw.Header().Set("X-"+echo, echo)
	if place, ok := strings.CutPrefix(r.URL.Path, "/to/"); ok {
		rw.Header().Set("Location", "http://"+place)
		rw.WriteHeader(http.StatusFound)
	}
	w.heads <- r.Clone(r.Context())
}

// visitor: waits for the next visit of the web server, checks its signature by
// the keys that the script's server publishes, puts its id into $VISIT, and
// prints its request.
func cmdVisitor(ts *testscript.TestScript, _ bool, _ []string) {
	outsideMu.Lock()
	w := outsides[ts.Getenv("WORK")]
	outsideMu.Unlock()
	r := <-w.heads
	head, err := httputil.DumpRequest(r, false)
	ts.Check(err)
	ts.Stdout().Write(head)
	ts.Setenv("VISIT", r.Header.Get("Headlight-Visit"))

	resp, err := http.Get(servingOf(ts).url + probe.DirectoryPath)
	ts.Check(err)
	defer resp.Body.Close()
	var set struct{ Keys []struct{ X, KID string } }
	ts.Check(json.NewDecoder(resp.Body).Decode(&set))
	n := slices.IndexFunc(set.Keys, func(k struct{ X, KID string }) bool {
		return strings.Contains(r.Header.Get("Signature-Input"), `;keyid="`+k.KID+`";`)
	})
	if n < 0 {
		ts.Fatalf("signed by a key that is not among the %d published: %s", len(set.Keys), head)
	}
	key, err := base64.RawURLEncoding.DecodeString(set.Keys[n].X)
	ts.Check(err)
	fields := httpsign.Headers("@authority", "@method", "@path", "@query", "headlight-visit")
	fields.AddDictHeader("signature-agent", "sig1")
	v, err := httpsign.NewEd25519Verifier(ed25519.PublicKey(key), httpsign.NewVerifyConfig().SetKeyID(set.Keys[n].KID).
		SetAllowedTags([]string{"web-bot-auth"}).SetVerifyCreated(true).SetNotOlderThan(time.Minute), fields)
	ts.Check(err)
	if err := httpsign.VerifyRequest("sig1", *v, r); err != nil {
		ts.Fatalf("the signature: %v in\n%s", err, head)
	}
	fmt.Fprintln(ts.Stdout(), "signature verified, key", set.Keys[n].KID)
}

// expand FILE…: replaces $NAME in files by what it stands for.
func cmdExpand(ts *testscript.TestScript, _ bool, args []string) {
	for _, name := range args {
		text := os.Expand(ts.ReadFile(name), ts.Getenv)
		ts.Check(os.WriteFile(ts.MkAbs(name), []byte(text), 0o600))
	}
}
