package probe

import (
	"fmt"
	"slices"
)

// Outcome says what came of asking. None of them says that a page is dead or
// that it is bad: HEAD is refused by many servers that answer GET, and a server
// may not like us. They are facts, to be weighed.
type Outcome uint8

const (
	// Answered: a status that is an answer to the request (2xx, 3xx, 404, 410, …).
	Answered Outcome = iota
	// NotTold: 401, 403, 405, 429, 451 or 501: it would not tell us, or not by HEAD.
	NotTold
	// ServerError: another 5xx.
	ServerError
	Timeout
	ConnectionRefused
	ConnectionLost // reset, or closed before the head was whole
	Unreachable    // no route, or another failure to connect
	TLSFailed      // no handshake; a certificate that does not verify is no failure
	NotHTTP        // something else than HTTP/1 was spoken
	TooLong        // the head broke a bound
	// Resolved: DNS was asked, and by policy the web server was not.
	Resolved
	NoName      // DNS knows no address
	DNSFailed   // DNS gave no answer
	NotVisited  // the guard let nobody through: address, port or name
	OptedOut    // the host or its domain declines visits, or Retry-After is not over
	Lately      // this URL within a day, or this tenant within ten minutes
	Elsewhere   // so, but by another machine, which tells what it learns
	Busy        // a budget is used up for now
	Halted      // the kill switch
	NoLedger    // the ledger could not be written
	NoClaim     // the machines that share visits could not agree whose it is
	NoIdentity  // nobody is named to whom a webmaster could turn
	Redirects   // five redirects were followed, and this would be one more
	Loop        // the redirect leads where we have been
	NotWeb      // the redirect leads to no web page
	NotFollowed // by the caller's word, or because the link looks as if it were used once
	Ended       // the caller gave up
)

var outcomeNames = []string{
	"answered", "not-told", "server-error", "timeout", "connection-refused", "connection-lost", "unreachable",
	"tls-failed", "not-http", "too-long", "resolved", "no-name", "dns-failed", "not-visited", "opted-out", "lately",
	"elsewhere", "busy", "halted", "no-ledger", "no-claim", "no-identity", "redirects", "loop", "not-web", "not-followed", "ended",
}

// Outcomes are all words of [Outcome.String], for metrics.
func Outcomes() []string { return slices.Clone(outcomeNames) }

// String gives the word of ledger and metrics.
func (o Outcome) String() string {
	if int(o) < len(outcomeNames) {
		return outcomeNames[o]
	}
	return fmt.Sprintf("Outcome(%d)", uint8(o))
}

// MarshalText implements encoding.TextMarshaler.
func (o Outcome) MarshalText() ([]byte, error) { return []byte(o.String()), nil }

// UnmarshalText reads what String writes.
func (o *Outcome) UnmarshalText(b []byte) error {
	i := slices.Index(outcomeNames, string(b))
	if i < 0 {
		return fmt.Errorf("outcome %q is not known", b)
	}
	*o = Outcome(i)
	return nil
}

// Weak says that the outcome of a request tells little of the page.
func (o Outcome) Weak() bool { return o != Answered }

// Later says that asking again later may end otherwise.
func (o Outcome) Later() bool {
	return o == Lately || o == Busy || o == Halted || o == OptedOut || o == NoClaim
}

// ofStatus gives the outcome for a final status.
func ofStatus(status int) Outcome {
	switch status {
	case 401, 403, 405, 429, 451, 501:
		return NotTold
	}
	if status >= 500 {
		return ServerError
	}
	return Answered
}
