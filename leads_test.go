package headlight_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"
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
		w.Header().Set("Location", bad)
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
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
