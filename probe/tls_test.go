package probe_test

import (
	"cmp"
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
	cert := sign(t, nil, &x509.Certificate{
		Subject: pkix.Name{Organization: []string{"Test CA"}}, DNSNames: []string{name},
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}, change...)
	roots := x509.NewCertPool()
	roots.AddCert(cert.Leaf)
	return cert, roots
}

// issued makes a certificate for a name by another one's word.
func issued(t *testing.T, ca tls.Certificate, name string, change func(*x509.Certificate)) tls.Certificate {
	t.Helper()
	return sign(t, &ca, &x509.Certificate{Subject: pkix.Name{CommonName: name}, DNSNames: []string{name}}, change)
}

// sign makes a certificate, good for two days more, by the word of ca; by its own
// if that is nil.
func sign(t *testing.T, ca *tls.Certificate, c *x509.Certificate, change ...func(*x509.Certificate)) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c.SerialNumber = big.NewInt(1)
	c.NotBefore, c.NotAfter = time.Now().Add(-48*time.Hour), time.Now().Add(48*time.Hour)
	for _, f := range change {
		f(c)
	}
	by := cmp.Or(ca, &tls.Certificate{PrivateKey: key, Leaf: c})
	der, err := x509.CreateCertificate(rand.Reader, c, by.Leaf, &key.PublicKey, by.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
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

// visitSecured visits a host whose server has a certificate for a.example, made by
// somebody whom we trust or not.
func visitSecured(t *testing.T, host string, change func(*x509.Certificate), trusted bool) probe.Visit {
	t.Helper()
	w := newWorld(t)
	cert, roots := certificate(t, "a.example", change)
	port := w.secure(&tls.Config{Certificates: []tls.Certificate{cert}, NextProtos: []string{"h2", "http/1.1"}})
	w.name(host + " A 127.0.0.1")
	cfg := w.config()
	if cfg.Roots = roots; !trusted {
		cfg.Roots = x509.NewCertPool()
	}
	return visit(t, newProber(t, cfg), fmt.Sprintf("https://%s:%d/", host, port))
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
			v := visitSecured(t, tt.host, tt.change, tt.trusted)
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
