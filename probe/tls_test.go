package probe_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"net"
	"testing"
	"time"

	"headlight.example/probe"
)

// certificate makes one for a name, and the pool that trusts it.
func certificate(t *testing.T, name string, change ...func(*x509.Certificate)) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{Organization: []string{"Test CA"}}, DNSNames: []string{name},
		NotBefore: time.Now().Add(-48 * time.Hour), NotAfter: time.Now().Add(48 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	for _, f := range change {
		f(c)
	}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(leaf)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, roots
}

// issued makes a certificate for a name by another one's word.
func issued(t *testing.T, ca tls.Certificate, name string, change func(*x509.Certificate)) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: time.Now().Add(-48 * time.Hour), NotAfter: time.Now().Add(48 * time.Hour),
	}
	change(c)
	der, err := x509.CreateCertificate(rand.Reader, c, ca.Leaf, &key.PublicKey, ca.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func (w *world) secure(cfg *tls.Config) uint16 {
	return w.listen(func(c net.Conn) {
		s := tls.Server(c, cfg)
		if _, err := requestHead(s); err == nil {
			fmt.Fprint(s, "HTTP/1.1 200 OK\r\n\r\n")
		}
		s.Close()
	})
}

func TestCertificatesAreFacts(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		host    string
		change  func(*x509.Certificate)
		trusted bool
		why     string
	}{
		{"sound", "a.example", func(*x509.Certificate) {}, true, ""},
		{"of another name", "b.example", func(*x509.Certificate) {}, true, "name"},
		{"expired", "a.example", func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Hour) }, true, "expired"},
		{"of nobody we know", "a.example", func(*x509.Certificate) {}, false, "unknown-issuer"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			cert, roots := certificate(t, "a.example", tt.change)
			port := w.secure(&tls.Config{Certificates: []tls.Certificate{cert}, NextProtos: []string{"h2", "http/1.1"}})
			w.name("a.example A 127.0.0.1", "b.example A 127.0.0.1")
			cfg := w.config()
			if cfg.Roots = roots; !tt.trusted {
				cfg.Roots = x509.NewCertPool()
			}
			v := visit(t, newProber(t, cfg), fmt.Sprintf("https://%s:%d/", tt.host, port))
			got := v.Hops[0].TLS
			if v.Outcome != probe.Answered || got == nil {
				t.Fatalf("got %s, %+v: a bad certificate is no reason not to ask", v.Outcome, got)
			}
			if got.Verified != (tt.why == "") || got.Why != tt.why || got.Version != "TLS 1.3" || got.ALPN != "http/1.1" ||
				got.Issuer != "Test CA" || !got.SelfMade || fmt.Sprint(got.Names) != "[a.example]" || got.NameCount != 1 ||
				got.Age(v.Time) < 47*time.Hour || got.Age(v.Time) > 49*time.Hour {
				t.Errorf("got %+v", got)
			}
		})
	}
}

func TestHandshakesThatFail(t *testing.T) {
	t.Parallel()
	for name, handle := range map[string]func(net.Conn){
		"plain HTTP": func(c net.Conn) { fmt.Fprint(c, "HTTP/1.1 400 Bad Request\r\n\r\n") },
		"an alert":   func(c net.Conn) { c.Read(make([]byte, 4096)); c.Write([]byte{21, 3, 1, 0, 2, 2, 40}) },
		"garbage":    func(c net.Conn) { c.Read(make([]byte, 4096)); c.Write(make([]byte, 4096)) },
		"a record too large": func(c net.Conn) {
			c.Read(make([]byte, 4096))
			c.Write(append([]byte{22, 3, 3, 255, 255}, make([]byte, 65535)...))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			port := w.listen(handle)
			w.name("a.example A 127.0.0.1")
			v := visit(t, w.prober(), fmt.Sprintf("https://a.example:%d/", port))
			if v.Outcome != probe.TLSFailed && v.Outcome != probe.ConnectionLost || len(v.Hops[0].Names.Addrs) != 1 {
				t.Errorf("got %s", v.Outcome)
			}
		})
	}
}
