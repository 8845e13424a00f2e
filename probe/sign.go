package probe

import (
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"errors"
	"strconv"
	"strings"
	"time"

	"filippo.io/edwards25519"

	"headlight.example/link"
)

// Identity says whose visits these are. A visit that nobody could trace is not
// made: without About and From, DNS is all that is asked.
type Identity struct {
	// About is the page that says what this visitor is and how to decline its
	// visits: the URL in User-Agent.
	About string
	// From is a mail address where somebody answers (RFC 9110 §10.1.2).
	From string
	// Agent is the origin that serves the key directory ([Keys.Directory]), an
	// https URL without a path; "" leaves visits unsigned, as nobody could look
	// up the key.
	Agent string
}

// Validate says what of an identity cannot be sent, or cannot be looked up.
func (i *Identity) Validate() error {
	for _, s := range []string{i.About, i.From, i.Agent} {
		if strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r >= 0x7f || r == '"' || r == '\\' || r == '(' || r == ')' }) {
			return errors.New("identity: want printable ASCII without spaces, quotes and parentheses")
		}
	}
	if i.Agent != "" {
		if l, err := link.Parse(i.Agent); err != nil || !strings.HasPrefix(i.Agent, "https://") || l.URL() != l.Host()+"/" {
			return errors.New("identity: agent is not an https origin such as https://linkcheck.example")
		}
	}
	return nil
}

// UserAgent is the User-Agent field of all that is asked in this name.
func (i *Identity) UserAgent() string { return "Headlight/1 (+" + i.About + ")" }

func (i *Identity) known() bool { return i.About != "" && i.From != "" }

// signatureTTL is how long a signature is good for: the time that a slow
// connection takes, and some clocks' error. The draft allows 24 hours, and
// whoever sees a signature could use it as long.
const signatureTTL = time.Minute

// signingKey is an Ed25519 key with its name.
type signingKey struct {
	scalar *edwards25519.Scalar // the private key,
	prefix [32]byte             // and what its nonces are made with
	public ed25519.PublicKey
	id     string // thumbprint
	file   string
	from   time.Time // it signs from then on
	seen   time.Time // when Reload came upon it; zero if it was there at the start
}

func newSigningKey(private ed25519.PrivateKey, file string, from time.Time) *signingKey {
	public := private.Public().(ed25519.PublicKey)
	k := &signingKey{public: public, id: thumbprint(public), file: file, from: from}
	h := sha512.Sum512(private.Seed())                                  // RFC 8032 §5.1.5
	k.scalar, _ = new(edwards25519.Scalar).SetBytesWithClamping(h[:32]) // fails for another length only
	copy(k.prefix[:], h[32:])
	return k
}

// sign gives what ed25519.Sign would (RFC 8032 §5.1.6), in five sixths of its
// time: it is a fifth of what a visit takes.
func (k *signingKey) sign(message []byte) (signature [ed25519.SignatureSize]byte) {
	var sum [sha512.Size]byte
	var r, s edwards25519.Scalar
	h := sha512.New()
	h.Write(k.prefix[:])
	h.Write(message)
	r.SetUniformBytes(h.Sum(sum[:0]))
	copy(signature[:32], new(edwards25519.Point).ScalarBaseMult(&r).Bytes())
	h.Reset()
	h.Write(signature[:32])
	h.Write(k.public)
	h.Write(message)
	s.SetUniformBytes(h.Sum(sum[:0]))
	copy(signature[32:], s.MultiplyAdd(&s, k.scalar, &r).Bytes())
	return signature
}

// thumbprint names a key (RFC 7638, RFC 8037 appendix A.3).
func thumbprint(key ed25519.PublicKey) string {
	sum := sha256.Sum256([]byte(`{"crv":"Ed25519","kty":"OKP","x":"` + base64.RawURLEncoding.EncodeToString(key) + `"}`))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// appendRequest appends the head of a visit's request. target is the request
// target in origin form.
//
// It is signed as draft-meunier-webbotauth-httpsig-protocol says (HTTP Message
// Signatures, RFC 9421, with the tag web-bot-auth): besides what the draft asks
// for, the query and the visit's id, so that the signature is good for this one
// request alone.
func (p *Prober) appendRequest(b []byte, l link.Link, target string, id ID, now time.Time) []byte {
	authority := origin(l)[len(l.Scheme())+len("://"):]
	b = append(b, "HEAD "...)
	b = append(b, target...)
	b = append(b, " HTTP/1.1\r\nHost: "...)
	b = append(b, authority...)
	b = append(b, p.greeting...)
	b = id.append(b)
	b = append(b, "\r\n"...)
	if k := p.cfg.Keys; k != nil && p.cfg.Identity.Agent != "" {
		b = p.appendSignature(b, k.at(now), authority, target, id, now)
	}
	return append(b, "\r\n"...)
}

// greeting is what all requests have in common, up to the visit's id.
func greeting(i Identity) string {
	return "\r\nUser-Agent: " + i.UserAgent() + "\r\nFrom: " + i.From + "\r\nAccept: */*\r\nConnection: close\r\nHeadlight-Visit: "
}

func (p *Prober) appendSignature(b []byte, k *signingKey, authority, target string, id ID, now time.Time) []byte {
	path, query := target, "?"
	for i := range len(target) {
		if target[i] == '?' {
			path, query = target[:i], target[i:]
			break
		}
	}
	b = append(b, `Signature-Agent: sig1="`...)
	b = append(b, p.cfg.Identity.Agent...)
	b = append(b, "\"\r\nSignature-Input: sig1="...)
	// RFC 9421 §2.3: the parameters, which are signed as they are sent.
	begin := len(b)
	b = append(b, `("@authority" "@method" "@path" "@query" "signature-agent";key="sig1" "headlight-visit");created=`...)
	b = strconv.AppendInt(b, now.Unix(), 10)
	b = append(b, ";expires="...)
	b = strconv.AppendInt(b, now.Add(signatureTTL).Unix(), 10)
	b = append(b, `;keyid="`...)
	b = append(b, k.id...)
	b = append(b, `";alg="ed25519";tag="web-bot-auth"`...)
	params := b[begin:]
	// RFC 9421 §2.5: the signature base. It is not on the stack, since with that
	// signing would need a larger one.
	base := buffers.Get().(*[headSize]byte)
	defer buffers.Put(base)
	s := append(base[:0], `"@authority": `...)
	s = append(s, authority...)
	s = append(s, "\n\"@method\": HEAD\n\"@path\": "...)
	s = append(s, path...)
	s = append(s, "\n\"@query\": "...)
	s = append(s, query...)
	s = append(s, "\n\"signature-agent\";key=\"sig1\": \""...)
	s = append(s, p.cfg.Identity.Agent...)
	s = append(s, "\"\n\"headlight-visit\": "...)
	s = id.append(s)
	s = append(s, "\n\"@signature-params\": "...)
	s = append(s, params...)

	b = append(b, "\r\nSignature: sig1=:"...)
	signature := k.sign(s)
	b = base64.StdEncoding.AppendEncode(b, signature[:])
	return append(b, ":\r\n"...)
}

// target is the request target for a link in a mode. The canonical form of a
// link has neither spaces nor controls; what else a browser would escape in a
// path or a query is escaped here (URL Standard, percent-encode sets).
func target(l link.Link, m Mode) string {
	if m <= Origin {
		return "/"
	}
	_, rest, _ := strings.Cut(l.URL(), "/")
	if m == Path {
		rest, _, _ = strings.Cut(rest, "?")
	}
	b := make([]byte, 1, len(rest)+16)
	b[0] = '/'
	query := false
	for i := range len(rest) {
		c := rest[i]
		escape := c <= ' ' || c >= 0x7f || c == '"' || c == '<' || c == '>' || c == '#' ||
			!query && (c == '`' || c == '{' || c == '}' || c == '^')
		if c == '?' {
			query = true
		}
		if escape {
			const hex = "0123456789ABCDEF"
			b = append(b, '%', hex[c>>4], hex[c&15])
		} else {
			b = append(b, c)
		}
	}
	return string(b)
}
