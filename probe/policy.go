package probe

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"headlight.example/link"
)

// Mode says how much of a link is asked for. The zero Mode is the least.
type Mode uint8

const (
	DNSOnly Mode = iota // ask DNS, and the web server nothing
	Origin              // HEAD of "/"
	Path                // HEAD of the path, without the query
	Exact               // HEAD of path and query
)

var modeNames = []string{"dns-only", "origin", "path", "exact"}

// String gives the word of configuration and ledger.
func (m Mode) String() string {
	if int(m) < len(modeNames) {
		return modeNames[m]
	}
	return fmt.Sprintf("Mode(%d)", uint8(m))
}

// MarshalText implements encoding.TextMarshaler.
func (m Mode) MarshalText() ([]byte, error) { return []byte(m.String()), nil }

// UnmarshalText reads what String writes.
func (m *Mode) UnmarshalText(b []byte) error {
	i := slices.Index(modeNames, string(b))
	if i < 0 {
		return fmt.Errorf("mode %q: want one of %s", b, strings.Join(modeNames, ", "))
	}
	*m = Mode(i)
	return nil
}

// Class is what a link looks like to somebody who fears to do harm by asking.
type Class uint8

const (
	Plain       Class = iota
	ShortLink         // on a known shortener: the link says nothing, where it leads says all
	Credential        // carries a user name or a password
	OneTime           // looks as if asking for it did something, or did it only once
	Unsubscribe       // came from a List-Unsubscribe header
	numClasses
)

var classNames = []string{"plain", "short", "credential", "one-time", "unsubscribe"}

// String gives the word of configuration and ledger.
func (c Class) String() string {
	if c < numClasses {
		return classNames[c]
	}
	return fmt.Sprintf("Class(%d)", uint8(c))
}

// MarshalText implements encoding.TextMarshaler.
func (c Class) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// UnmarshalText reads what String writes.
func (c *Class) UnmarshalText(b []byte) error {
	i := slices.Index(classNames, string(b))
	if i < 0 {
		return fmt.Errorf("class %q: want one of %s", b, strings.Join(classNames, ", "))
	}
	*c = Class(i)
	return nil
}

// Policy says how much is asked for of each class of links. The zero Policy
// asks DNS only.
type Policy [numClasses]Mode

// The policies behind the configuration's exact = "safe", "always", "never".
var (
	// Safe asks for a link exactly unless that might do something: then for the
	// front page of its host.
	Safe = Policy{Plain: Exact, ShortLink: Exact, Credential: Origin, OneTime: Origin, Unsubscribe: Origin}
	// Always does what the original system did. It can unsubscribe people, and
	// use up their links.
	Always = Policy{Exact, Exact, Exact, Exact, Exact}
	// Never asks for the front page only.
	Never = Policy{Origin, Origin, Origin, Origin, Origin}
)

// ParsePolicy gives the policy of a word: "safe", "always" or "never".
func ParsePolicy(exact string) (Policy, error) {
	switch exact {
	case "safe":
		return Safe, nil
	case "always":
		return Always, nil
	case "never":
		return Never, nil
	}
	return Policy{}, fmt.Errorf("exact = %q: want safe, always or never", exact)
}

// Decision is what a policy says of a link. It holds no part of the link, and
// so may be kept and published.
type Decision struct {
	Mode  Mode   `json:"mode"`
	Class Class  `json:"class"`
	Rule  string `json:"rule"` // what made the link one of its class: "word reset"
}

// Decide says how much of a link is asked for. unsubscribe says that the link
// was in a List-Unsubscribe header.
func (p *Policy) Decide(l link.Link, unsubscribe bool) Decision {
	class, rule := Classify(l, unsubscribe)
	return Decision{p[class], class, rule}
}

// Classify says what a link looks like, and by which rule. It errs towards
// caution: to take a plain link for a one-time one costs a little knowledge, the
// reverse costs somebody their account. HEAD alone is no protection, since
// most frameworks route it to the handler of GET.
func Classify(l link.Link, unsubscribe bool) (Class, string) {
	if unsubscribe {
		return Unsubscribe, "List-Unsubscribe"
	}
	if l.Userinfo() {
		return Credential, "user information before the host"
	}
	if l.Marks()&link.Cut != 0 {
		return OneTime, "longer than a link that can be asked for"
	}
	_, rest, _ := strings.Cut(l.URL(), "/") // path and query
	// What stands between these is a segment of a path, or a name or a value of
	// a query. Links inside a query fall into their segments too.
	for segment := range strings.FieldsFuncSeq(rest, func(r rune) bool { return strings.ContainsRune("/?&;=#", r) }) {
		if word, secret := oneTimeWord(segment); word != "" {
			if secret {
				return Credential, "word " + word
			}
			return OneTime, "word " + word
		}
		if random(segment) {
			return OneTime, "long random part"
		}
	}
	if l.Platform() == link.Shortener && !l.PlatformRoot() {
		return ShortLink, "known shortener"
	}
	return Plain, "nothing in it looks as if it were used once"
}

// anywhere are words that tell wherever they stand in a segment, in all their
// forms and in names run together: resetPassword, unsubscribe_me, tokenId.
var anywhere = []struct {
	word   string
	secret bool
}{
	{"password", true}, {"passwd", true}, {"token", true}, {"secret", true}, {"credential", true}, {"apikey", true},
	{"reset", false}, {"unsub", false}, {"confirm", false}, {"verif", false}, {"magic", false}, {"invit", false},
	{"optout", false}, {"opt-out", false}, {"opt_out", false}, {"session", false}, {"login", false}, {"logon", false},
	{"logout", false}, {"signin", false}, {"sign-in", false}, {"sign_in", false}, {"signature", false}, {"oauth", false},
	{"activat", false}, {"one-time", false}, {"onetime", false}, {"recover", false}, {"optin", false}, {"opt-in", false},
	{"deactivate", false}, {"delete", false}, {"cancel", false}, {"approve", false}, {"authenti", false}, {"authoriz", false},
}

// alone are words that tell only if no letter stands before or after them, as
// many other words hold them: monkey, design, author.
var alone = []struct {
	word   string
	secret bool
}{
	{"key", true}, {"pwd", true}, {"pass", true}, {"auth", false}, {"sig", false}, {"otp", false}, {"jwt", true},
	{"sso", false}, {"sid", false}, {"rsvp", false}, {"accept", false}, {"nonce", false}, {"csrf", false}, {"ticket", false},
}

// oneTimeWord finds a word that tells in a segment. secret says that what
// follows such a word is one.
func oneTimeWord(segment string) (word string, secret bool) {
	lower := strings.ToLower(segment)
	for i := range anywhere {
		if strings.Contains(lower, anywhere[i].word) {
			return anywhere[i].word, anywhere[i].secret
		}
	}
	for i := range alone {
		if standsAlone(segment, lower, alone[i].word) {
			return alone[i].word, alone[i].secret
		}
	}
	return "", false
}

// standsAlone finds a word with no letter around it; a capital begins a word
// (authKey).
func standsAlone(segment, lower, word string) bool {
	for from := 0; ; {
		i := strings.Index(lower[from:], word)
		if i < 0 {
			return false
		}
		begin, end := from+i, from+i+len(word)
		from = begin + 1
		begins := begin == 0 || !isLetter(lower[begin-1]) || isUpper(segment[begin]) && !isUpper(segment[begin-1])
		ends := end == len(lower) || !isLetter(lower[end]) || isUpper(segment[end]) && !isUpper(segment[end-1])
		if begins && ends {
			return true
		}
	}
}

func isLetter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }
func isUpper(c byte) bool  { return c >= 'A' && c <= 'Z' }

// Bounds of a random part. Long headlines in paths are over them too; see
// [Classify] on which side to err.
const (
	randomLen  = 16
	randomBits = 3.5 // a character
)

// random says whether a segment is as long and as mixed as a token. Sixteen
// random hexadecimal digits have 3.3 bits a digit by their own frequencies, and
// decimal ones no more than log2(10) = 3.3, so those are told by their alphabet.
func random(s string) bool {
	if len(s) < randomLen {
		return false
	}
	var count [256]int
	for i := range len(s) {
		count[s[i]]++
	}
	hex := 0
	for i := range len("0123456789abcdef") {
		c := "0123456789abcdef"[i]
		hex += count[c]
		if c >= 'a' {
			hex += count[c-'a'+'A']
		}
	}
	if hex >= randomLen && hex+count['-'] == len(s) { // a UUID has hyphens
		return true
	}
	bits, n := 0.0, float64(len(s))
	for _, c := range count {
		if c > 0 {
			p := float64(c) / n
			bits -= p * math.Log2(p)
		}
	}
	return bits > randomBits
}
