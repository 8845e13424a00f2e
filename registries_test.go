package headlight_test

import (
	"context"
	"crypto/x509"
	"fmt"
	"io"
	"log"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"headlight.example"
	"headlight.example/probe"
)

// Of the host that was visited the log tells how long its domain is registered;
// its registry is asked about the domain alone, and once.
func TestRegistriesAreAskedAboutDomains(t *testing.T) {
	t.Parallel()
	ns := newNameServer(t, nil)
	var mu sync.Mutex
	var asked []string
	var inner *httptest.Server // of this machine, where nobody is to be led
	serve := func(h http.HandlerFunc) *httptest.Server {
		s := httptest.NewUnstartedServer(h)
		s.Config.ErrorLog = log.New(io.Discard, "", 0)
		s.StartTLS()
		t.Cleanup(s.Close)
		return s
	}
	note := func(r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		asked = append(asked, r.Method+" "+r.URL.String()+" "+r.UserAgent()+" "+r.Header.Get("From"))
	}
	evil := serve(func(w http.ResponseWriter, r *http.Request) {
		note(r)
		http.Redirect(w, r, inner.URL, http.StatusFound)
	})
	registry := serve(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/dns.json" {
			fmt.Fprintf(w, `{"services":[[["test"],["https://%s/rdap/"]],[["evil"],["%s"]]]}`, r.Host, evil.URL)
			return
		}
		note(r)
		fmt.Fprintf(w, `{"objectClassName":"domain","ldhName":"new.test","events":[{"eventAction":"registration","eventDate":%q}]}`,
			time.Now().Add(-3*24*time.Hour).UTC().Format(time.RFC3339))
	})
	inner = serve(func(http.ResponseWriter, *http.Request) { t.Error("led to an address of this machine") })
	arrived := make(chan struct{}, 10)
	site := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { arrived <- struct{}{} }))
	t.Cleanup(site.Close)
	addr := func(s *httptest.Server) netip.AddrPort { return netip.MustParseAddrPort(s.Listener.Addr().String()) }
	roots := x509.NewCertPool()
	roots.AddCert(registry.Certificate()) // which is that of all servers of httptest

	dir := t.TempDir()
	cfg := headlight.VisitConfig{
		Policy: probe.Safe, Servers: []string{ns.addr}, Allow: []netip.AddrPort{addr(site), addr(registry), addr(evil)}, Jitter: -1,
		Identity:   probe.Identity{About: "https://check.test/about", From: "abuse@check.test"},
		Registries: true, RegistryServers: registry.URL + "/dns.json", Roots: roots,
	}
	svc := openVisiting(t, dir, cfg)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- svc.Run(ctx) }()
	check := func(hosts ...string) {
		for _, host := range hosts {
			svc.Check(parse(t, fmt.Sprintf("http://%s:%d/page?id=secret", host, addr(site).Port())))
		}
		svc.Observe(t.Context())
	}
	visit := func(hosts ...string) {
		check(hosts...)
		for range hosts {
			<-arrived
		}
		for svc.Visits().Queue().Waiting > 0 || svc.AskingRegistries() > 0 {
			runtime.Gosched()
		}
	}
	visit("www.new.test")
	svc.Visits().Halt()
	check("later.test")
	svc.Visits().Resume()
	visit("a.evil", "someone.github.io", "a.unknown", "127.0.0.1") // a registry's redirect, a platform, nobody to ask, an address
	x, err := svc.Explain(t.Context(), parse(t, "http://www.new.test/"), 10)
	if err != nil || !strings.Contains(fmt.Sprint(x.Server), "{registered week 0}") {
		t.Errorf("explained as %v, %v", x.Server, err)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	wantRegisteredWeek(t, svc, dir)

	// After a restart its answer is known, also for another host; which is visited at
	// once only as nobody knows any more that its tenant was.
	if err := os.RemoveAll(filepath.Join(dir, "visits")); err != nil {
		t.Fatal(err)
	}
	svc = openVisiting(t, dir, cfg)
	ctx, cancel = context.WithCancel(t.Context())
	go func() { ended <- svc.Run(ctx) }()
	visit("mail.new.test")
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	mu.Lock()
	defer mu.Unlock()
	const from = " Headlight/1 (+https://check.test/about) abuse@check.test"
	if want := []string{"GET /rdap/domain/new.test" + from, "GET /domain/a.evil" + from}; !slices.Equal(asked, want) {
		t.Errorf("asked %q, want %q", asked, want)
	}
}

// Where servers are not asked registries may be: about the domains of hosts that
// are looked up, and in the same name.
func TestRegistriesAreAskedWhereServersAreNot(t *testing.T) {
	t.Parallel()
	ns := newNameServer(t, nil)
	asked := make(chan string, 10)
	registry := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/dns.json" {
			fmt.Fprintf(w, `{"services":[[["test"],["https://%s/rdap/"]]]}`, r.Host)
			return
		}
		asked <- r.URL.Path
		fmt.Fprintf(w, `{"objectClassName":"domain","ldhName":"new.test","events":[{"eventAction":"registration","eventDate":%q}]}`,
			time.Now().Add(-3*24*time.Hour).UTC().Format(time.RFC3339))
	}))
	t.Cleanup(registry.Close)
	site := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("a server was asked") }))
	t.Cleanup(site.Close)
	roots := x509.NewCertPool()
	roots.AddCert(registry.Certificate())
	addr := func(s *httptest.Server) netip.AddrPort { return netip.MustParseAddrPort(s.Listener.Addr().String()) }
	dir := t.TempDir()
	cfg := headlight.VisitConfig{
		Servers: []string{ns.addr}, Allow: []netip.AddrPort{addr(site), addr(registry)}, Jitter: -1,
		Identity:   probe.Identity{About: "https://check.test/about", From: "abuse@check.test", Agent: "https://check.test"},
		Registries: true, RegistryServers: registry.URL + "/dns.json", Roots: roots,
	}
	svc := openVisiting(t, dir, cfg)
	for _, host := range []string{"www.new.test", "www.new.test", "someone.github.io"} {
		svc.Check(parse(t, fmt.Sprintf("http://%s:%d/page?id=secret", host, addr(site).Port())))
		svc.Observe(t.Context())
		svc.SettleVisits()
	}
	if got := <-asked; got != "/rdap/domain/new.test" || len(asked) > 0 {
		t.Errorf("asked %q and %d more", got, len(asked))
	}
	wantRegisteredWeek(t, svc, dir)
	counts := maps.Collect(svc.Visits().Registries)
	if len(counts) != 5 || counts["answered"] != 1 || counts["failed"] != 0 {
		t.Errorf("counted %v", counts)
	}
	if v := svc.Visits(); v.Identity() != (probe.Identity{}) || v.Keys() != nil {
		t.Errorf("visits are made by %v", v.Identity())
	}

	cfg.Identity.From = ""
	if _, err := headlight.Open(t.Context(), headlight.Config{Dir: t.TempDir(), Visits: &cfg}); err == nil {
		t.Error("registries are asked by nobody")
	}
}

// wantRegisteredWeek closes the service and wants its log to tell one age of a domain.
func wantRegisteredWeek(t *testing.T, svc *headlight.Service, dir string) {
	t.Helper()
	var told []string
	for _, line := range logged(t, svc, dir) {
		if strings.Contains(line, "registered/") {
			told = append(told, line)
		}
	}
	if want := []string{"www.new.test shows registered/week"}; !slices.Equal(told, want) {
		t.Errorf("the log tells %q, want %q", told, want)
	}
}
