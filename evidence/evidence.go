// Package evidence holds what is known, by whose word, and the log that keeps it.
//
// A [Record] is a sentence: a rater says of a subject that it asserts
// something, perhaps about an object. Judgements ("phishing") and relations
// ("resolves-to") have the same form, so that reputation is a fold over one
// log and nothing else.
//
// [Open] gives the embedded log of a data directory, [LoadKey] the secret that
// seals the links nobody reported:
//
//	log, err := evidence.Open("./data", evidence.Options{})
//	…
//	defer log.Close()
//	last, err := log.Append(ctx, evidence.Record{
//		Time: now, Rater: "feed/openphish", Count: 1, Assertion: evidence.Phishing,
//		Subject: evidence.Subject{Kind: evidence.URL, Key: l.URL()},
//	})
//
// Every record that enters a log passes [Record.Validate], so that whoever
// reads one back need not check again.
package evidence

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Record is one sentence: Rater says of Subject that Assertion holds.
type Record struct {
	// Time is when the rater observed or said it, UTC, kept to the millisecond.
	Time time.Time `json:"time"`
	// Rater names who says it, as "role/name" or "role/name/member": see [Group].
	Rater   string  `json:"rater"`
	Subject Subject `json:"subject"`
	// Assertion is what is said.
	Assertion Assertion `json:"assertion"`
	// Object is the other end of a relation (what Subject resolves to,
	// redirects to, …); zero for a judgement.
	Object Subject `json:"object,omitzero"`
	// Count is how often it was observed, at least 1; for Popular it is the rank.
	Count uint32 `json:"count"`
	// Expires is when the rater takes its word back by itself; zero: never.
	Expires time.Time `json:"expires,omitzero"`
}

// Entry is a record in its place in the log.
type Entry struct {
	Seq uint64 `json:"seq"` // from 1, in the one order of the log; gaps are allowed
	Record
}

// Subject is what a record speaks of. It is comparable: one key for the whole
// ladder from a URL to an autonomous system.
type Subject struct {
	Kind Kind `json:"kind"`
	// Key in the canonical form of its kind; see the constants.
	Key string `json:"key"`
}

// Kind says what a Subject is. Its numbers are on disk: append, never renumber.
type Kind uint8

const (
	_          Kind = iota
	URL             // Safe Browsing expression host/path?query, without scheme and port
	Path            // host and first path segment: "host/segment/"
	Host            // host name in lower-case A-labels, or an address (IPv6 in brackets)
	Tenant          // the unit that one party controls (link.Link.Tenant)
	Domain          // registrable domain, ICANN part of the public suffix list
	Suffix          // public suffix, ICANN part
	Addr            // netip.Addr in its shortest form, IPv4-mapped unmapped
	Subnet          // /24 or /48 around an address
	Prefix          // announced prefix
	AS              // autonomous system, decimal
	NameServer      // host name of a name server
	// Sealed is a URL of which only the host stands in clear:
	// "host/#P/#U" with P and U keyed hashes of the path and the URL rung
	// (see [Key.Seal]). What is stored of a link that nobody reported.
	Sealed
	Fact // something that a visit has learnt of a server, "name/value": see FactName
)

var kindNames = [...]string{
	URL: "url", Path: "path", Host: "host", Tenant: "tenant", Domain: "domain", Suffix: "suffix",
	Addr: "addr", Subnet: "subnet", Prefix: "prefix", AS: "as", NameServer: "nameserver", Sealed: "sealed",
	Fact: "fact",
}

// String gives the word of the API: "url", "host", "as", …
func (k Kind) String() string {
	if k.valid() {
		return kindNames[k]
	}
	return fmt.Sprintf("Kind(%d)", uint8(k))
}

func (k Kind) valid() bool { return k > 0 && int(k) < len(kindNames) }

// ParseKind reads what [Kind.String] writes.
func ParseKind(s string) (Kind, error) {
	if i := slices.Index(kindNames[1:], s); i >= 0 {
		return Kind(i + 1), nil
	}
	return 0, fmt.Errorf("kind %q: want one of %s", s, strings.Join(kindNames[1:], ", "))
}

// MarshalText implements encoding.TextMarshaler; an unknown kind is an error.
func (k Kind) MarshalText() ([]byte, error) {
	if !k.valid() {
		return nil, fmt.Errorf("no kind has the number %d", uint8(k))
	}
	return []byte(kindNames[k]), nil
}

// UnmarshalText implements encoding.TextUnmarshaler by [ParseKind].
func (k *Kind) UnmarshalText(b []byte) (err error) {
	*k, err = ParseKind(string(b))
	return err
}

// Assertion is what a rater says. Its numbers are on disk: append, never renumber.
type Assertion uint8

const (
	_ Assertion = iota
	// Judgements of threat.
	Phishing
	Malware
	Unwanted
	Spam
	// Benign: the rater says that the subject is good.
	Benign
	// Retracted: the rater takes back what it said of the subject before.
	Retracted
	// Popular: the subject has the rank Count in the rater's list of popular names.
	Popular
	// Seen: the subject was seen in traffic; nobody says that it is good.
	Seen
	// Appealed: somebody says that the verdict on the subject is wrong and asks for review.
	Appealed
	// Relations to Object.
	PartOf
	ResolvesTo
	AnnouncedIn
	OriginatedBy
	RedirectsTo
	Shows // a host, a fact of its server
)

var assertionNames = [...]string{
	Phishing: "phishing", Malware: "malware", Unwanted: "unwanted", Spam: "spam", Benign: "benign",
	Retracted: "retracted", Popular: "popular", Seen: "seen", Appealed: "appealed", PartOf: "part-of",
	ResolvesTo: "resolves-to", AnnouncedIn: "announced-in", OriginatedBy: "originated-by", RedirectsTo: "redirects-to",
	Shows: "shows",
}

// Threat says whether a is a judgement of threat.
func (a Assertion) Threat() bool { return a >= Phishing && a <= Spam }

// Relation says whether a relates its subject to an object.
func (a Assertion) Relation() bool { return a >= PartOf && a <= Shows }

func (a Assertion) valid() bool { return a > 0 && int(a) < len(assertionNames) }

// String gives the word of the API: "phishing", "resolves-to", …
func (a Assertion) String() string {
	if a.valid() {
		return assertionNames[a]
	}
	return fmt.Sprintf("Assertion(%d)", uint8(a))
}

// ParseAssertion reads what [Assertion.String] writes.
func ParseAssertion(s string) (Assertion, error) {
	if i := slices.Index(assertionNames[1:], s); i >= 0 {
		return Assertion(i + 1), nil
	}
	return 0, fmt.Errorf("assertion %q: want one of %s", s, strings.Join(assertionNames[1:], ", "))
}

// MarshalText implements encoding.TextMarshaler; an unknown assertion is an error.
func (a Assertion) MarshalText() ([]byte, error) {
	if !a.valid() {
		return nil, fmt.Errorf("no assertion has the number %d", uint8(a))
	}
	return []byte(assertionNames[a]), nil
}

// UnmarshalText implements encoding.TextUnmarshaler by [ParseAssertion].
func (a *Assertion) UnmarshalText(b []byte) (err error) {
	*a, err = ParseAssertion(string(b))
	return err
}

// Group is the party behind a rater: its first two elements. Raters of one
// group are one voice.
//
//	feed/openphish          → feed/openphish
//	feed/tweetfeed/somebody → feed/tweetfeed
//	operator/ann            → operator/ann
//
// The role, the first element, says what the word is worth: "feed" a list of
// others, "operator" an anchor whose word settles a case, "user" somebody who
// has yet to earn weight, "service" what Headlight itself observed, "starter"
// what was compiled in.
func Group(rater string) string {
	i := strings.IndexByte(rater, '/')
	if i < 0 {
		return rater
	}
	if j := strings.IndexByte(rater[i+1:], '/'); j >= 0 {
		return rater[:i+1+j]
	}
	return rater
}

// SightingRater is who says that a link was seen in traffic: we do.
const SightingRater = "service/sighting"

// Role is the first element of a rater's name.
func Role(rater string) string {
	role, _, _ := strings.Cut(rater, "/")
	return role
}

// Bounds of a record. The longest key is a URL: link.Parse takes no longer one,
// and a browser shows an error page for much less.
const (
	MaxKey   = 8 << 10 // bytes of a Subject's key
	MaxRater = 200     // bytes of a rater's name
)

// Times that a record can carry: what RFC 3339 can spell (four-digit years),
// from the Unix epoch on, since no evidence on links is older.
const (
	minMilli = 0
	maxMilli = 253402300799999 // 9999-12-31T23:59:59.999Z
)

// Validate says whether r may enter a log: known words, a canonical subject,
// an object exactly where the assertion is a relation, facts exactly where a
// host shows them, a count, times between 1970 and 9999. Time and Expires may be finer than a millisecond: the log
// keeps the millisecond they fall in.
func (r *Record) Validate() error {
	if !r.Assertion.valid() {
		return fmt.Errorf("no assertion has the number %d", uint8(r.Assertion))
	}
	if err := ValidateRater(r.Rater); err != nil {
		return err
	}
	if err := r.Subject.Validate(); err != nil {
		return fmt.Errorf("subject: %w", err)
	}
	if r.Assertion.Relation() {
		if err := r.Object.Validate(); err != nil {
			return fmt.Errorf("object of %s: %w", r.Assertion, err)
		}
	} else if r.Object != (Subject{}) {
		return fmt.Errorf("%s takes no object", r.Assertion)
	}
	if (r.Assertion == Shows) != (r.Object.Kind == Fact) || r.Assertion == Shows && r.Subject.Kind != Host || r.Subject.Kind == Fact {
		return fmt.Errorf("%s %s %s: facts are what hosts show", r.Subject.Kind, r.Assertion, clip(r.Object.Key))
	}
	if r.Count == 0 {
		return errors.New("count is 0: a record says a thing at least once")
	}
	if ms := r.Time.UnixMilli(); ms < minMilli || ms > maxMilli {
		return fmt.Errorf("time %v is not between 1970 and 9999", r.Time)
	}
	if ms := r.Expires.UnixMilli(); !r.Expires.IsZero() && (ms < minMilli || ms > maxMilli) {
		return fmt.Errorf("expiry %v is not between 1970 and 9999", r.Expires)
	}
	return nil
}

// ValidateRater checks a rater's name: two or three elements of letters,
// digits and "._-@:+=~%", parted by "/", the first ("role") of small letters;
// at most MaxRater bytes.
func ValidateRater(rater string) error {
	if len(rater) > MaxRater {
		return fmt.Errorf("rater of %d bytes: at most %d", len(rater), MaxRater)
	}
	slashes, begin := 0, 0
	for i := 0; i <= len(rater); i++ {
		switch {
		case i == len(rater) || rater[i] == '/':
			if i == begin {
				return fmt.Errorf("rater %q has an empty element", rater)
			}
			begin = i + 1
			if i < len(rater) {
				slashes++
			}
		case slashes == 0 && (rater[i] < 'a' || rater[i] > 'z'):
			return fmt.Errorf("rater %q: its role is written in small letters", rater)
		case !raterByte[rater[i]]:
			return fmt.Errorf("rater %q: byte %d (%q) is not allowed in a name", rater, i, rater[i])
		}
	}
	if slashes < 1 || slashes > 2 {
		return fmt.Errorf("rater %q: want role/name or role/name/member", rater)
	}
	return nil
}

var raterByte = byteSet("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-@:+=~%")

func byteSet(s string) (set [256]bool) {
	for i := range len(s) {
		set[s[i]] = true
	}
	return set
}
