//go:build clients

package docs_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A resolver of a page, and how it is asked.
type resolver struct {
	t        *testing.T
	ip, port string
}

// answer gives the status and the addresses of a question: "NOERROR 192.0.2.1";
// "" if nobody answers, as long as the resolver starts.
func (r resolver) answer(name string) string {
	dig := exec.CommandContext(r.t.Context(), need(r.t, "dig"), "@"+r.ip, "-p", r.port, "+tries=1", "+time=5", "+noall", "+comments", "+answer", name, "A")
	raw, err := dig.CombinedOutput()
	const noReply = 9 // of dig's exit codes
	if exit, ok := errors.AsType[*exec.ExitError](err); ok && exit.ExitCode() == noReply {
		return ""
	} else if err != nil {
		r.t.Fatalf("dig: %v: %s", err, raw)
	}
	out := string(raw)
	var parts []string
	if _, after, ok := strings.Cut(out, "status: "); ok {
		status, _, _ := strings.Cut(after, ",")
		parts = append(parts, status)
	}
	for line := range strings.Lines(out) {
		if f := strings.Fields(line); len(f) == 5 && f[3] == "A" {
			parts = append(parts, f[4])
		}
	}
	return strings.Join(parts, " ")
}

// reports says that a name is bad and takes it back, and holds the resolver to
// its two seconds.
func (r resolver) follows(s server) {
	r.t.Helper()
	await(r.t, "the zone is loaded", func() bool { return r.answer("phishing.headlight.example") == "NXDOMAIN" })
	const there = "NOERROR 192.0.2.1"
	if got := r.answer("www.bad.example"); got != there {
		r.t.Fatalf("before the report: %s", got)
	}
	for _, step := range []struct{ word, want string }{{"phishing", "NXDOMAIN"}, {"retracted", there}} {
		s.says("host", "bad.example", step.word)
		began := time.Now()
		await(r.t, "the answer is "+step.want, func() bool { return r.answer("www.bad.example") == step.want })
		// A second until the next edition, as configured below, and two.
		if took := time.Since(began); took > 3*time.Second {
			r.t.Errorf("%s took %v", step.word, took)
		}
		if got := r.answer("www.good.example"); got != there {
			r.t.Errorf("%s: another name is %s", step.word, got)
		}
	}
}

// operated is a configuration with an operator's token, and served on a free port.
func operated(t *testing.T, dir, config string) server {
	t.Helper()
	write(t, filepath.Join(dir, "tokens"), "ann operator/ann "+operatorSecret+"\n")
	return serve(t, dir, "listen = \"127.0.0.1:0\"\n"+config+"\n[tokens]\nfile = \"tokens\"\n")
}

const operatorSecret = "s3cret-of-an-operator"

// says reports in the operator's name.
func (s server) says(kind, key, word string) {
	s.t.Helper()
	body := fmt.Sprintf(`{"subject":{"kind":%q,"key":%q},"assertion":%q}`, kind, key, word)
	req, err := http.NewRequestWithContext(s.t.Context(), http.MethodPost, s.url+"/v1/reports", strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+operatorSecret)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	if answer, err := io.ReadAll(resp.Body); err != nil || resp.StatusCode != http.StatusCreated {
		s.t.Fatalf("%s: %v %s", resp.Status, err, answer)
	}
}

func TestUnbound(t *testing.T) {
	t.Parallel()
	p := open(t, "unbound.md")
	dir := t.TempDir()
	dnsPort, port := freePort(t), freePort(t)
	s := operated(t, dir, p.file("headlight.toml", `"10s"`, `"1s"`, ":5353", ":"+dnsPort, ":53\"", ":"+port+"\""))
	unbound(t, dir, port, p.file("unbound.conf", "@5353", "@"+dnsPort, "/var/lib/unbound", dir))
	resolver{t, "127.0.0.1", port}.follows(s)
	s.transferred(t)
}

// Unbound takes the zone as a file, too.
func TestUnboundHTTP(t *testing.T) {
	t.Parallel()
	p := open(t, "unbound.md")
	dir := t.TempDir()
	port := freePort(t)
	s := operated(t, dir, "")
	await(t, "there is an edition", func() bool {
		resp, err := http.Get(s.url + "/lists/rpz.zone")
		if err != nil {
			return false
		}
		resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	})
	unbound(t, dir, port, p.file("unbound-http.conf", "http://127.0.0.1:8080", s.url, "/var/lib/unbound", dir))
	r := resolver{t, "127.0.0.1", port}
	await(t, "the zone is loaded", func() bool { return r.answer("phishing.headlight.example") == "NXDOMAIN" })
	if got := r.answer("www.good.example"); got != "NOERROR 192.0.2.1" {
		t.Errorf("another name is %s", got)
	}
}

// unbound starts Unbound with a page's part of its configuration. What answers for
// the names of the test stands around it.
func unbound(t *testing.T, dir, port, conf string) {
	t.Helper()
	own := `server:
    interface: 127.0.0.1
    port: ` + port + `
    do-daemonize: no
    chroot: ""
    directory: "` + dir + `"
    pidfile: ""
    username: ""
    use-syslog: no
    logfile: ""
    do-not-query-localhost: no
    local-zone: "example." transparent
`
	run(t, dir, need(t, "unbound"), "-d", "-c", write(t, filepath.Join(dir, "unbound.conf"), own+conf+world(t, dir)))
}

func TestBIND(t *testing.T) {
	t.Parallel()
	p := open(t, "bind.md")
	dir := t.TempDir()
	dnsPort, port := freePort(t), freePort(t)
	write(t, filepath.Join(dir, "dns.keys"), p.file("dns.keys"))
	s := operated(t, dir, p.file("headlight.toml", `"10s"`, `"1s"`, ":5353", ":"+dnsPort, ":53\"", ":"+port+"\""))
	write(t, filepath.Join(dir, "example.zone"), zoneText)
	conf := p.file("named.conf", "port 5353", "port "+dnsPort, "options {", `options {
    directory "`+dir+`"; pid-file none; session-keyfile "`+dir+`/session.key"; listen-on port `+port+` { 127.0.0.1; }; listen-on-v6 { none; };
    recursion yes; dnssec-validation no;`)
	conf += `controls { };
zone "example" { type primary; file "example.zone"; };
`
	run(t, dir, need(t, "named"), "-g", "-n", "1", "-c", write(t, filepath.Join(dir, "named.conf"), conf))
	resolver{t, "127.0.0.1", port}.follows(s)
	s.transferred(t)
}

// transferred holds that the zone came once as a whole, and then by its changes.
func (s server) transferred(t *testing.T) {
	t.Helper()
	resp, err := http.Get(s.url + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	for what, want := range map[string]string{"whole": " 1", "changes": " 2"} {
		if got := lineWith(string(text), `headlight_dns_transfers_total{what="`+what+`"}`); !strings.HasSuffix(got, want) {
			t.Errorf("transfers: %q, want%s", got, want)
		}
	}
}

// zoneText is what the rest of the world says of the names of the tests.
const zoneText = `$TTL 1
@ SOA localhost. hostmaster.localhost. 1 60 60 60 1
@ NS localhost.
*.bad A 192.0.2.1
*.good A 192.0.2.1
`

// world is the part of unbound.conf that knows it.
func world(t *testing.T, dir string) string {
	write(t, filepath.Join(dir, "example.zone"), zoneText)
	return `
auth-zone:
    name: "example."
    zonefile: "` + dir + `/example.zone"
    for-downstream: no
    for-upstream: yes
    fallback-enabled: no
`
}
