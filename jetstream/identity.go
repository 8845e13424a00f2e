package jetstream

import (
	"bytes"
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"log/slog"
	"math/big"
	"slices"
	"strings"
	"time"

	"golang.org/x/time/rate"

	"headlight.example/evidence"
)

// identity is how nodes know each other: who holds the installation's secret,
// and has been given the same list of nodes, is one of them. From both comes a
// key pair (HKDF-SHA-256, RFC 5869, to the seed of Ed25519, RFC 8032), and both
// ends of a connection show a certificate of that key and prove, by TLS 1.3,
// that they hold it. Names and dates of certificates mean nothing here, nor
// does any authority.
type identity struct {
	cert   tls.Certificate
	public ed25519.PublicKey
	refuse rate.Sometimes
	log    *slog.Logger
}

// routeLabel parts this use of the secret from others.
const routeLabel = "headlight cluster routes 1"

func newIdentity(key *evidence.Key, nodes []string, log *slog.Logger) (*identity, error) {
	// A machine with another list would be one more node to the servers, and a
	// majority would no longer be what it is.
	info := routeLabel + "\n" + strings.Join(slices.Sorted(slices.Values(nodes)), "\n")
	seed, err := hkdf.Key(sha256.New, key[:], nil, info, ed25519.SeedSize)
	if err != nil {
		return nil, err
	}
	private := ed25519.NewKeyFromSeed(seed)
	id := &identity{
		public: private.Public().(ed25519.PublicKey), log: log,
		refuse: rate.Sometimes{First: 1, Interval: time.Minute},
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: clusterName},
		NotBefore: time.Unix(0, 0), NotAfter: time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC), // RFC 5280 §4.1.2.5: never
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, id.public, private)
	if err != nil {
		return nil, err
	}
	id.cert = tls.Certificate{Certificate: [][]byte{der}, PrivateKey: private}
	return id, nil
}

// config is for both ends of a connection.
func (id *identity) config() *tls.Config {
	return &tls.Config{
		MinVersion:   tls.VersionTLS13,
		Certificates: []tls.Certificate{id.cert},
		ClientAuth:   tls.RequireAnyClientCert,
		// What this skips asks authorities and names. VerifyConnection asks for the key.
		InsecureSkipVerify:     true,
		VerifyConnection:       id.verify,
		SessionTicketsDisabled: true,
	}
}

var errStranger = errors.New("the other node has another key or another list of nodes")

// verify accepts the holders of the key and nobody else.
func (id *identity) verify(s tls.ConnectionState) error {
	if len(s.PeerCertificates) == 1 {
		if public, ok := s.PeerCertificates[0].PublicKey.(ed25519.PublicKey); ok && bytes.Equal(public, id.public) {
			return nil
		}
	}
	id.refuse.Do(func() {
		id.log.Error("refused a node that has another key or another list of nodes: " +
			"copy keys/ of one node to all of this cluster, give all the same list, and start them again")
	})
	return errStranger
}
