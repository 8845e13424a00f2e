package headlight_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"testing"

	"headlight.example"
	"headlight.example/evidence"
	"headlight.example/link"
	"headlight.example/probe"
	"headlight.example/reputation"
)

// A link that leads to a bad one is told to whoever has asked about it before
// anybody knew. So is one in a wrapper. What is too long to keep is not kept.
func TestALinkIsJudgedByWhereItLeads(t *testing.T) {
	t.Parallel()
	ns := newNameServer(t, nil)
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ap := l.Addr().(*net.TCPAddr).AddrPort()
	at := func(host string) string { return fmt.Sprintf("http://%s:%d", host, ap.Port()) }
	bad := at("bad.test") + "/login"
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		to := bad
		switch host, _, _ := strings.Cut(r.Host, ":"); host {
		case "listed-later.test":
			return
		case "late.test":
			to = at("listed-later.test") + "/x"
		}
		w.Header().Set("Location", to)
		w.WriteHeader(http.StatusMovedPermanently)
	})}
	go server.Serve(l)
	t.Cleanup(func() { server.Close() })
	svc := openVisiting(t, t.TempDir(), headlight.VisitConfig{
		Policy: probe.Safe, Servers: []string{ns.addr}, Allow: []netip.AddrPort{ap}, Jitter: -1,
		Identity: probe.Identity{About: "https://check.test/about", From: "abuse@check.test"},
	})
	changes := svc.Changes()
	defer changes.Close()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- svc.Run(ctx) }()
	report(t, svc, "operator/ann", evidence.Phishing, bad)

	short, long := at("short.test")+"/1", at("long.test")+"/"+strings.Repeat("x", headlight.MaxLead)
	for _, url := range []string{short, long} {
		if v := svc.Check(parse(t, url)); v.Level != reputation.Unknown {
			t.Errorf("at first %s is %v", url, v.Level)
		}
	}
	<-changes.Wake()
	got := changes.Since(0)
	if len(got) != 1 || got[0].Verdict.Link.Host() != "short.test" || got[0].From != reputation.Unknown || got[0].Verdict.Level != reputation.Dangerous {
		t.Errorf("changed: %+v", got)
	}
	f, err := svc.CheckURL(short)
	if err != nil || f.Wrapper != headlight.Redirect || f.Inner.String() != bad || f.Verdict.Level != reputation.Dangerous || f.Verdict.Link != f.Link {
		t.Errorf("then: %+v, %v", f, err)
	}
	wrapped, err := svc.CheckURL("https://www.google.com/url?q=" + short)
	if err != nil || wrapped.Verdict.Level != reputation.Dangerous || wrapped.Inner.String() != short {
		t.Errorf("in a wrapper: %+v, %v", wrapped, err)
	}
	for svc.Visits().Queue().Waiting > 0 {
		svc.SettleVisits()
	}
	if f, err := svc.CheckURL(long); err != nil || f.Inner != (link.Link{}) {
		t.Errorf("what is too long to keep is kept: %+v, %v", f, err)
	}

	// Its front page leads elsewhere; the link, which works once, was not asked for.
	once := at("once.test") + "/reset?token=0123456789abcdef"
	svc.Check(parse(t, once))
	// Nobody has reported the place yet.
	late := at("late.test") + "/1"
	svc.Check(parse(t, late))
	for f.Wrapper = ""; f.Wrapper != headlight.Redirect; {
		if f, err = svc.CheckURL(late); err != nil || f.Verdict.Level > reputation.Unknown {
			t.Fatalf("%+v, %v", f, err)
		}
		runtime.Gosched()
	}
	svc.Observe(t.Context()) // who asked is taken note of
	after := changes.Last()
	report(t, svc, "operator/ann", evidence.Phishing, at("listed-later.test")+"/x")
	told := func() bool {
		return slices.ContainsFunc(changes.Since(after), func(c headlight.Change) bool {
			return c.Verdict.Link.Host() == "late.test" && c.Verdict.Level == reputation.Dangerous
		})
	}
	for !told() {
		<-changes.Wake()
	}
	for svc.Visits().Queue().Waiting > 0 {
		runtime.Gosched()
	}
	if f, err := svc.CheckURL(once); err != nil || f.Wrapper != "" {
		t.Errorf("a link that works once is judged by its front page: %+v, %v", f, err)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
