package probe_test

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"headlight.example/evidence"
	"headlight.example/probe"
)

// factsOf gives what the records of a visit say that each host shows, but for the
// shape, which is told by its length.
func factsOf(v probe.Visit) map[string]string {
	facts := make(map[string]string)
	for _, r := range v.Records(&evidence.Key{1}, false) {
		if r.Assertion != evidence.Shows {
			continue
		}
		key := r.Object.Key
		if name, shape, _ := strings.Cut(key, "/"); name == "shape" {
			key = fmt.Sprintf("shape/%d", len(shape))
		}
		if facts[r.Subject.Key] != "" {
			key = " " + key
		}
		facts[r.Subject.Key] += key
		if !r.Time.Equal(v.Time) || r.Rater != probe.Rater {
			panic(fmt.Sprint("a fact of another time or rater: ", r))
		}
	}
	return facts
}

func TestAnswersAreToldAsFacts(t *testing.T) {
	t.Parallel()
	ago := func(d time.Duration) string { return time.Now().Add(-d).UTC().Format("Mon, 02 Jan 2006 15:04:05 GMT") }
	const plain = " http/1.1 shape/16 tls/none"
	for _, tt := range []struct {
		name, answer, want string
	}{
		{"nothing but a status", "HTTP/1.1 200 OK\r\n\r\n", "answer/200" + plain},
		{"an old server", "HTTP/1.0 200 OK\r\n\r\n", "answer/200 http/1.0 shape/16 tls/none"},
		{"a line that is no field", "HTTP/1.1 200 OK\r\nnonsense\r\n\r\n", "answer/200 http/malformed shape/16 tls/none"},
		{"a server that says what it is", "HTTP/1.1 200 OK\r\nServer: Microsoft-IIS/10.0\r\nX-Powered-By: PHP/8.1.2 (x)\r\n\r\n", "answer/200 server/microsoft-iis powered-by/php" + plain},
		{"a page", "HTTP/1.1 200 OK\r\nContent-Type: Text/HTML; charset=x\r\nLast-Modified: " + ago(3*24*time.Hour) + "\r\n\r\n", "answer/200 type/text/html modified/week" + plain},
		{"a page of the future", "HTTP/1.1 200 OK\r\nLast-Modified: " + ago(-48*time.Hour) + "\r\n\r\n", "answer/200 modified/future" + plain},
		{"no media type", "HTTP/1.1 200 OK\r\nContent-Type: my own/thing\r\n\r\n", "answer/200 type/other" + plain},
		{"a program for an invoice", "HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Disposition: attachment; filename=\"Invoice.PDF.EXE. \"\r\n\r\n", "answer/200 type/application/octet-stream attachment/exe" + plain},
		{"a file without a name", "HTTP/1.1 200 OK\r\nContent-Disposition: attachment\r\n\r\n", "answer/200 attachment/unnamed" + plain},
		{"a file without an ending", "HTTP/1.1 200 OK\r\nContent-Disposition: attachment; filename=exe\r\n\r\n", "answer/200 attachment/other" + plain},
		{"a file with an ending of its own", "HTTP/1.1 200 OK\r\nContent-Disposition: attachment; filename=a.password\r\n\r\n", "answer/200 attachment/other" + plain},
		{"an inline picture", "HTTP/1.1 200 OK\r\nContent-Disposition: inline; filename=a.png\r\n\r\n", "answer/200" + plain},
		{"hygiene", "HTTP/1.1 200 OK\r\nStrict-Transport-Security: max-age=1\r\nContent-Security-Policy: x\r\nSet-Cookie: a=b\r\nAlt-Svc: h3=\":443\"\r\n\r\n", "answer/200" + plain + " hsts/yes csp/yes cookie/yes http3/yes"},
		{"a page that is not there has no type", "HTTP/1.1 404 Not Found\r\nContent-Type: text/html\r\nLast-Modified: " + ago(time.Hour) + "\r\n\r\n", "answer/404" + plain},
		{"HEAD is not allowed", "HTTP/1.1 405 No\r\nServer: nginx\r\n\r\n", "answer/405 server/nginx" + plain},
		{"an app is opened", "HTTP/1.1 302 Found\r\nLocation: intent://x\r\n\r\n", "answer/302" + plain[:len(" http/1.1 shape/16")] + " redirects/nowhere tls/none"},
		{"what stands in the link is not told", "HTTP/1.1 200 OK\r\nServer: Ba-Nana\r\nX-Powered-By: page\r\nContent-Type: text/banana\r\n\r\n", "answer/200 type/other" + plain},
		{"what stands in many links is", "HTTP/1.1 200 OK\r\nX-Powered-By: PHP\r\nContent-Type: text/html\r\n\r\n", "answer/200 powered-by/php type/text/html" + plain},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			port := w.web(says(tt.answer))
			w.name("a.example A 127.0.0.1")
			v := visit(t, w.prober(), fmt.Sprintf("http://a.example:%d/banana/page.php?x=html", port))
			if got := factsOf(v)["a.example"]; got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

// A front page that was asked for in a link's place says what server it is, and
// nothing of the link.
func TestFactsOfAPageNeedThePage(t *testing.T) {
	t.Parallel()
	for mode, want := range map[probe.Mode]string{
		probe.DNSOnly: "",
		probe.Origin:  "server/nginx http/1.1 shape/16 tls/none",
		probe.Path:    "server/nginx http/1.1 shape/16 tls/none",
		probe.Exact:   "answer/200 server/nginx type/text/html modified/older http/1.1 shape/16 tls/none",
	} {
		w := newWorld(t)
		port := w.web(says("HTTP/1.1 200 OK\r\nServer: nginx\r\nContent-Type: text/html\r\nLast-Modified: Tue, 15 Nov 1994 12:45:26 GMT\r\n\r\n"))
		w.name("a.example A 127.0.0.1")
		cfg := w.config()
		cfg.Policy = &probe.Policy{probe.Plain: mode}
		v := visit(t, newProber(t, cfg), fmt.Sprintf("http://a.example:%d/dir/page?a=b", port))
		if got := factsOf(v)["a.example"]; got != want {
			t.Errorf("%s: got %q, want %q", mode, got, want)
		}
	}
}

func TestNameServersAreToldAsFacts(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, host string
		names      []string
		want       string
	}{
		{"its own", "a.example", []string{"a.example NS ns1.a.example."}, "a-example"},
		{"of a host below", "www.b.a.example", []string{"a.example NS ns7.dns.example."}, "dns-example"},
		{"of two houses", "a.example", []string{"a.example NS ns1.zone.example.", "a.example NS ns2.dns.co.uk."}, "dns-co-uk"},
		{"of a platform", "a.github.io", []string{"github.io NS ns1.dns.example."}, ""},
		{"none", "a.example", nil, ""},
	} {
		w := newWorld(t)
		port := w.web(says("HTTP/1.1 200 OK\r\n\r\n"))
		w.name(append(tt.names, tt.host+" A 127.0.0.1")...)
		nameServer := func(v probe.Visit) string {
			for _, fact := range strings.Fields(factsOf(v)[tt.host]) {
				if word, ok := strings.CutPrefix(fact, "nameserver/"); ok {
					return word
				}
			}
			return ""
		}
		url := fmt.Sprintf("http://%s:%d/", tt.host, port)
		p := w.prober()
		if got := nameServer(visit(t, p, url)); got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
		// A look-up says it only if nobody else will.
		if got := nameServer(p.Resolve(t.Context(), parse(t, url))); got != "" {
			t.Errorf("%s: looked up beside visits it is %q", tt.name, got)
		}
		cfg := w.config()
		cfg.Policy = &probe.Policy{}
		if got := nameServer(newProber(t, cfg).Resolve(t.Context(), parse(t, url))); got != tt.want {
			t.Errorf("%s: looked up alone it is %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestRedirectsAreToldAsFacts(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		to   map[string]string
		want map[string]string
	}{
		{"within the site", map[string]string{"/s": "/t"}, map[string]string{"a.example": "answer/200 http/1.1 shape/16 redirects/here tls/none"}},
		{"to another site", map[string]string{"/s": "http://b.example:PORT/t"}, map[string]string{
			"a.example": "answer/302 http/1.1 shape/16 redirects/away tls/none", "b.example": "answer/200 http/1.1 shape/16 tls/none"}},
		{"to another site that does not exist", map[string]string{"/s": "http://nowhere.example/"}, map[string]string{"a.example": "answer/302 http/1.1 shape/16 redirects/away tls/none"}},
		{"in a circle", map[string]string{"/s": "/t", "/t": "/s"}, map[string]string{"a.example": "answer/302 http/1.1 shape/16 redirects/loop tls/none"}},
		{"without an end", map[string]string{"/s": "/1", "/1": "/2", "/2": "/3", "/3": "/4", "/4": "/5", "/5": "/6"},
			map[string]string{"a.example": "answer/302 http/1.1 shape/16 redirects/many tls/none"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			port, _ := w.redirects(tt.to)
			w.name("a.example A 127.0.0.1", "b.example A 127.0.0.1")
			v := visit(t, w.prober(), fmt.Sprintf("http://a.example:%d/s", port))
			if got := factsOf(v); fmt.Sprint(got) != fmt.Sprint(tt.want) {
				t.Errorf("got  %v\nwant %v", got, tt.want)
			}
		})
	}
}

// Where the front page leads is told of no link.
func TestAFrontPageLeadsNowhereForItsLinks(t *testing.T) {
	t.Parallel()
	for mode, want := range map[probe.Mode]int{probe.Origin: 0, probe.Exact: 1} {
		w := newWorld(t)
		port := w.web(says("HTTP/1.1 302 Found\r\nLocation: http://nowhere.example/\r\n\r\n"))
		w.name("a.example A 127.0.0.1")
		cfg := w.config()
		cfg.Policy = &probe.Policy{probe.Plain: mode}
		v := visit(t, newProber(t, cfg), fmt.Sprintf("http://a.example:%d/dir/page", port))
		n := 0
		for _, r := range v.Records(cfg.Key, false) {
			if r.Assertion == evidence.RedirectsTo {
				n++
			}
		}
		if n != want || strings.Contains(factsOf(v)["a.example"], "redirects/away") != (want == 1) {
			t.Errorf("%s: %d redirects, facts %v", mode, n, factsOf(v))
		}
	}
}

func TestCertificatesAreToldAsFacts(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		host    string
		change  func(*x509.Certificate)
		trusted bool
		want    string
	}{
		{"sound", "a.example", func(*x509.Certificate) {}, true, "certificate/test-ca certificate-age/week certificate-names/one"},
		{"of another name", "b.example", func(*x509.Certificate) {}, true, "certificate/self-signed certificate-age/week certificate-names/one"},
		{"self-signed", "a.example", func(*x509.Certificate) {}, false, "certificate/self-signed certificate-age/week certificate-names/one"},
		{"an issuer that takes our word", "a.example", func(c *x509.Certificate) { c.Subject.Organization[0] = "Self Signed" }, true, "certificate/other certificate-age/week certificate-names/one"},
		{"an issuer that we cannot spell", "a.example", func(c *x509.Certificate) { c.Subject.Organization[0] = "Ёлка" }, true, "certificate/other certificate-age/week certificate-names/one"},
		{"many names, and new", "a.example", func(c *x509.Certificate) {
			c.NotBefore = time.Now().Add(-time.Hour)
			for i := range 99 {
				c.DNSNames = append(c.DNSNames, fmt.Sprintf("n%d.example", i))
			}
		}, true, "certificate/test-ca certificate-age/day certificate-names/hundred"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			v := visitSecured(t, tt.host, tt.change, tt.trusted)
			if got, want := factsOf(v)[tt.host], "answer/200 http/1.1 shape/16 tls/1.3 "+tt.want; got != want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
		})
	}
	// One that somebody else issued, and that has expired.
	w := newWorld(t)
	ca, roots := certificate(t, "ca.example")
	cert := issued(t, ca, "a.example", func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Hour) })
	port := w.secure(&tls.Config{Certificates: []tls.Certificate{cert}})
	w.name("a.example A 127.0.0.1")
	cfg := w.config()
	cfg.Roots = roots
	v := visit(t, newProber(t, cfg), fmt.Sprintf("https://a.example:%d/", port))
	if got, want := factsOf(v)["a.example"], "answer/200 http/1.1 shape/16 tls/1.3 certificate/unverified-expired certificate-age/week certificate-names/one"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestAHandshakeThatFailsIsAFact(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	port := w.listen(func(c net.Conn) { fmt.Fprint(c, "HTTP/1.1 400 Bad Request\r\n\r\n") })
	w.name("a.example A 127.0.0.1")
	v := visit(t, w.prober(), fmt.Sprintf("https://a.example:%d/", port))
	if got := factsOf(v)["a.example"]; got != "answer/tls-failed" && got != "answer/lost" {
		t.Errorf("got %s after %s", got, v.Outcome)
	}
}
