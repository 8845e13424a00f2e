package probe

import (
	"crypto/tls"
	"crypto/x509"
	"mime"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"headlight.example/evidence"
	"headlight.example/link"
)

// Rater is who says what a visit has shown: we do.
const Rater = "service/probe"

// Visit is what was learnt by asking for a link. It holds links in clear, and so
// belongs into memory only.
type Visit struct {
	// ID under which the ledger has it; zero if no request went out.
	ID      ID
	Link    link.Link
	Time    time.Time
	Elapsed time.Duration
	Decision
	// Outcome of the link itself, the first hop.
	Outcome Outcome
	// Again is when to ask again, if Outcome.Later; zero if not known.
	Again time.Time
	// Hops are the link and what it redirects to, in order. The last one may not
	// have been asked for; its Outcome says why not.
	Hops []Hop
	// dnsOnly says that DNS alone is asked of any link: its facts are all there
	// will be.
	dnsOnly bool
}

// Final is the link at the end of the redirects that were followed, whether or
// not it was asked for.
func (v *Visit) Final() link.Link { return v.Hops[len(v.Hops)-1].Link }

// Hop is one link of a chain of redirects, and what its server said.
type Hop struct {
	Link    link.Link
	Outcome Outcome
	Names   Names
	// What follows is known only if a request went out.
	Decision
	Addr   netip.AddrPort // connected to; zero if none was
	Answer *Answer        // nil if there was no whole head
	TLS    *TLS           // nil without TLS, or if the handshake failed
	Again  time.Time      // Retry-After or opt-out of the answer, as a time
}

// Answer is what a head says. Strings are as the server sent them, clipped.
type Answer struct {
	Status       int
	Minor        int // HTTP/1.Minor
	Server       string
	Family       string // product in Server, in lower case: "nginx"
	PoweredBy    string
	ContentType  string // media type alone, in lower case
	Length       int64  // Content-Length; -1 if not given
	Attachment   bool   // Content-Disposition: attachment
	Filename     string // suggested there
	LastModified time.Time
	Date         time.Time
	HSTS         bool // Strict-Transport-Security
	CSP          bool // Content-Security-Policy
	SetsCookie   bool
	HTTP3        bool   // Alt-Svc offers it
	Shape        string // see head.shape: the same for servers set up the same way
	Malformed    bool   // some line of the head was no header field
	Location     string // clipped
}

// TLS is what a handshake showed. A certificate that does not verify ends no
// visit, since no secret is sent; it is a fact like others.
type TLS struct {
	Version   string // "TLS 1.3"
	Cipher    string
	ALPN      string
	Verified  bool
	Why       string // it did not verify: a word of "expired", "name", "unknown-issuer", "other"
	Issuer    string // organisation, or common name, of the leaf's issuer
	NotBefore time.Time
	NotAfter  time.Time
	Names     []string // in the leaf, at most 32
	NameCount int      // all of them
	SelfMade  bool     // issuer and subject are one
}

// Age of the certificate when it was seen.
func (t *TLS) Age(seen time.Time) time.Duration { return seen.Sub(t.NotBefore) }

const (
	maxText256 = 256
	maxSANs    = 32
)

// answerOf keeps what is of use of a head.
func answerOf(h *head) *Answer {
	a := &Answer{
		Status: h.status, Minor: h.minor, Malformed: h.malformed, Length: -1, Shape: h.shape(),
		Server: clip(h.get("Server"), maxText256), PoweredBy: clip(h.get("X-Powered-By"), maxText256),
		HSTS: h.get("Strict-Transport-Security") != "", CSP: h.get("Content-Security-Policy") != "",
		SetsCookie: h.get("Set-Cookie") != "", HTTP3: strings.Contains(h.get("Alt-Svc"), "h3"),
		Location: clip(h.get("Location"), maxText256),
	}
	a.Family = family(a.Server)
	media, _, _ := strings.Cut(h.get("Content-Type"), ";")
	a.ContentType = strings.ToLower(clip(strings.TrimSpace(media), 100))
	if n, err := strconv.ParseInt(h.get("Content-Length"), 10, 64); err == nil && n >= 0 {
		a.Length = n
	}
	if d := h.get("Content-Disposition"); d != "" {
		kind, params, err := mime.ParseMediaType(clip(d, 1<<10))
		if err != nil {
			kind, _, _ = strings.Cut(d, ";")
		}
		a.Attachment = strings.EqualFold(strings.TrimSpace(kind), "attachment")
		a.Filename = clip(params["filename"], maxText256)
	}
	a.LastModified, _ = httpDate(h.get("Last-Modified"))
	a.Date, _ = httpDate(h.get("Date"))
	return a
}

// tlsOf keeps what is of use of a handshake. roots nil means the system's.
func tlsOf(cs *tls.ConnectionState, host string, roots *x509.CertPool, now time.Time) *TLS {
	t := &TLS{Version: tls.VersionName(cs.Version), Cipher: tls.CipherSuiteName(cs.CipherSuite), ALPN: clip(cs.NegotiatedProtocol, 20)}
	if len(cs.PeerCertificates) == 0 {
		t.Why = "other"
		return t
	}
	leaf := cs.PeerCertificates[0]
	t.NotBefore, t.NotAfter = leaf.NotBefore.UTC(), leaf.NotAfter.UTC()
	if t.Issuer = leaf.Issuer.CommonName; len(leaf.Issuer.Organization) > 0 {
		t.Issuer = leaf.Issuer.Organization[0]
	}
	t.Issuer = clip(t.Issuer, maxText256)
	t.SelfMade = string(leaf.RawIssuer) == string(leaf.RawSubject)
	t.NameCount = len(leaf.DNSNames) + len(leaf.IPAddresses)
	for _, name := range leaf.DNSNames[:min(len(leaf.DNSNames), maxSANs)] {
		t.Names = append(t.Names, clip(name, 253))
	}
	opts := x509.VerifyOptions{Roots: roots, DNSName: strings.Trim(host, "[]"), CurrentTime: now, Intermediates: x509.NewCertPool()}
	for _, c := range cs.PeerCertificates[1:] {
		opts.Intermediates.AddCert(c)
	}
	_, err := leaf.Verify(opts)
	switch e := err.(type) {
	case nil:
		t.Verified = true
	case x509.HostnameError:
		t.Why = "name"
	case x509.UnknownAuthorityError:
		t.Why = "unknown-issuer"
	case x509.CertificateInvalidError:
		t.Why = "other"
		if e.Reason == x509.Expired {
			t.Why = "expired"
		}
	default:
		t.Why = "other"
	}
	return t
}

// toldAddrs is how many addresses of a host are told: as many as the fold keeps.
const toldAddrs = 4

// Records are the relations that a visit has shown, to be appended to the log:
// each host that was resolved, its first four addresses, the prefix and the
// system of each, where links that were asked for redirect to, and the facts of each host that was
// asked, all at the time of the visit. The subject of a network is the address:
// which network it is in is a matter of the time of the visit. Links are sealed
// under key, since nobody reported them by redirecting there; the one that was
// asked about stands in clear if reported says that somebody had reported it.
func (v *Visit) Records(key *evidence.Key, reported bool) []evidence.Record {
	var rs []evidence.Record
	seen := make(map[evidence.Record]bool)
	say := func(s evidence.Subject, a evidence.Assertion, o evidence.Subject) {
		r := evidence.Record{Time: v.Time, Rater: Rater, Subject: s, Assertion: a, Object: o, Count: 1}
		if !seen[r] && r.Validate() == nil { // what does not validate is a host too odd for evidence
			seen[r] = true
			rs = append(rs, r)
		}
	}
	subject := func(i int) evidence.Subject {
		l := v.Hops[i].Link
		if i == 0 && reported {
			return evidence.Subject{Kind: evidence.URL, Key: l.URL()}
		}
		return key.Seal(l)
	}
	for i := range v.Hops {
		h := &v.Hops[i]
		_, literal := h.Link.Addr()
		host := evidence.Subject{Kind: evidence.Host, Key: h.Link.Host()}
		for _, a := range h.Names.Addrs[:min(len(h.Names.Addrs), toldAddrs)] {
			addr := evidence.Subject{Kind: evidence.Addr, Key: a.Addr.String()}
			if !literal {
				say(host, evidence.ResolvesTo, addr)
			}
			if !a.Prefix.IsValid() {
				continue
			}
			say(addr, evidence.AnnouncedIn, evidence.Subject{Kind: evidence.Prefix, Key: a.Prefix.String()})
			if a.AS != 0 {
				say(addr, evidence.OriginatedBy, evidence.Subject{Kind: evidence.AS, Key: strconv.FormatUint(uint64(a.AS), 10)})
			}
		}
		if i > 0 && v.Hops[i-1].Mode == Exact { // where a front page leads says nothing of the link
			say(subject(i-1), evidence.RedirectsTo, subject(i))
		}
	}
	for _, x := range v.facts() {
		host := evidence.Subject{Kind: evidence.Host, Key: x.host}
		for n, value := range x.facts {
			if value != "" {
				say(host, evidence.Shows, evidence.FactOf(evidence.FactName(n), value))
			}
		}
	}
	return slices.Clip(rs)
}
