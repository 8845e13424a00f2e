package httpapi

import (
	"crypto/sha256"
	"crypto/subtle"
	"net"
	"net/http"
	"net/netip"
	"strings"

	"headlight.example/evidence"
)

// Token lets its holder call. Of the secret itself only the hash is kept, so
// that neither a core dump nor a log of the configuration gives it away.
type Token struct {
	// Name stands for the token in the log.
	Name string
	// Rater is in whose name the holder reports, "role/name"; "" for a holder
	// who may only ask. A holder whose role is "operator" may report in the
	// name of feeds and users as well.
	Rater string
	// SHA256 is the hash of the secret.
	SHA256 [sha256.Size]byte
	// Rate is how many requests a second the holder may make, with a burst of
	// twice as many; 0: no limit.
	Rate float64

	limiter *limiter // of Rate; nil: no limit
}

// NewToken makes the Token of a secret.
func NewToken(name, rater, secret string) Token {
	return Token{Name: name, Rater: rater, SHA256: sha256.Sum256([]byte(secret))}
}

func (t *Token) operator() bool { return t != nil && evidence.Role(t.Rater) == "operator" }

// mayReportAs says whether the holder may report in the name of rater: its
// own, and for an operator that of feeds and users, whose mail or list he
// enters. Not that of another operator, whose word would be an anchor, nor
// what only Headlight itself says.
func (t *Token) mayReportAs(rater string) bool {
	if rater == t.Rater {
		return true
	}
	role := evidence.Role(rater)
	return t.operator() && (role == "feed" || role == "user")
}

// tokens are those of the configuration.
type tokens []Token

// find gives the token of a request. A request without one gets nil; one with
// a wrong one is refused, even where none is needed, so that a slip shows.
func (ts tokens) find(h http.Header) (*Token, error) {
	header := h["Authorization"]
	if len(header) == 0 {
		return nil, nil
	}
	scheme, secret, _ := strings.Cut(header[0], " ")
	if len(header) > 1 || !strings.EqualFold(scheme, "Bearer") { // RFC 9110 §11.1: in any case
		return nil, problem(unauthenticated, "want the header \"Authorization: Bearer TOKEN\"")
	}
	found := ts.holding(strings.TrimSpace(secret))
	if found == nil {
		return nil, problem(unauthenticated, "the token is not known")
	}
	return found, nil
}

// holding gives the token of a secret, nil if there is none.
func (ts tokens) holding(secret string) (found *Token) {
	sum := sha256.Sum256([]byte(secret))
	for i := range ts { // all of them, so that the time tells nothing
		if subtle.ConstantTimeCompare(sum[:], ts[i].SHA256[:]) == 1 {
			found = &ts[i]
		}
	}
	return found
}

// byKey finds a token in the header or parameter where Google's clients put their
// key. They cannot do without one, so that any other key is as good as none.
func (ts tokens) byKey(r *http.Request) *Token {
	key := r.Header.Get("X-Goog-Api-Key")
	if key == "" && strings.Contains(r.URL.RawQuery, "key=") {
		key = r.URL.Query().Get("key")
	}
	if key == "" {
		return nil
	}
	return ts.holding(key)
}

// access says who may make a call.
type access uint8

const (
	open      access = iota // anybody, always: what a monitor or a newcomer needs
	asking                  // anybody, unless the configuration asks for a token
	appealing               // a token, unless the configuration lets anybody
	reporting               // a token with a rater
	reviewing               // an operator's token
)

// admit says whether the request may be made, and finds its token.
func (s *Server) admit(c *call, to *route) (err error) {
	a := to.access
	if a == open {
		return nil
	}
	if c.token, err = s.tokens.Load().find(c.r.Header); err != nil {
		return err
	}
	if c.token == nil && to.keyed {
		c.token = s.tokens.Load().byKey(c.r)
	}
	if a == reporting || a == appealing || a == reviewing {
		// A page of another site may send a form or a fetch to us from the
		// browser of somebody who can reach us: it has nothing to say here.
		if err := s.foreign.Check(c.r); err != nil {
			return problem(forbidden, "the call comes from a page of another site")
		}
	}
	switch {
	case c.token != nil:
		if (a == reporting || a == appealing) && c.token.Rater == "" {
			return problem(forbidden, "the token is for asking only: it is bound to no rater")
		}
		if a == reviewing && !c.token.operator() {
			return problem(forbidden, "the call is for operators: the token is bound to none")
		}
	case a == asking && s.cfg.RequireTokenForReads, a == appealing && !s.cfg.AnonymousAppeals, a == reporting, a == reviewing:
		return problem(unauthenticated, "the call needs a token")
	}
	return nil
}

// rightHost refuses a name that is not ours where we listen on a loopback
// address. A page may have its own name resolve to 127.0.0.1 (DNS rebinding)
// and would then be of our origin; but its name stands in Host. An address in
// Host cannot be rebound. Behind a reverse proxy on the same machine the name
// is in Config.Hosts. On other addresses who can reach us needs no such trick.
func (s *Server) rightHost(r *http.Request) bool {
	local, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	if !ok {
		return true // not from a listener: somebody called the handler
	}
	if tcp, ok := local.(*net.TCPAddr); !ok || !tcp.IP.IsLoopback() {
		return true
	}
	host := r.Host
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	if host == "localhost" || host == "" {
		return true
	}
	if _, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil {
		return true
	}
	host = strings.TrimSuffix(strings.ToLower(host), ".")
	return strings.HasSuffix(host, ".localhost") || host == "localhost" || s.hosts[host] // RFC 6761 §6.3
}
