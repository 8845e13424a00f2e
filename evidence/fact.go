package evidence

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// A fact is what a visit has shown of a server, as the object of [Shows]:
//
//	host a.example  shows  fact server/nginx
//	host a.example  shows  fact answer/404
//
// Its key is a name and a value. The names are a small closed list, and values
// are words of ours or short ones of the server's, so that facts are shared by
// many servers: a number (an age, a count) falls into one of a few buckets, and
// what a server says of itself is cut down to a word. Nothing of a link is in a
// fact but the kind of file that was offered.

// FactName says of what a fact tells. A server shows one value of each.
type FactName uint8

// The names of facts. Their texts are on disk, in the log; their order is in
// snapshots of a reputation table.
const (
	FactAnswer           FactName = iota // the status, three digits; or why there was none: see FactValues
	FactServer                           // product in Server: a word
	FactPoweredBy                        // product in X-Powered-By: a word
	FactType                             // media type, without parameters; "other" if it is none
	FactAttachment                       // by its name the kind of the file that is offered for saving
	FactModified                         // age of what was asked for, by Last-Modified
	FactHTTP                             // version of HTTP, or that the head was malformed
	FactShape                            // the order and spelling of header names: 16 hexadecimal digits
	FactRedirects                        // where a redirect leads
	FactTLS                              // version of TLS, or that it was not asked for
	FactCertificate                      // who issued the certificate: a word; or why it does not verify
	FactCertificateAge                   // since when it is valid
	FactCertificateNames                 // how many names it has
	FactHSTS                             // Strict-Transport-Security
	FactCSP                              // Content-Security-Policy
	FactCookie                           // Set-Cookie
	FactHTTP3                            // HTTP/3 is offered
	FactRegistered                       // since when the host's domain is registered; a registry says it
	FactNameServer                       // whose name servers the host's domain has: a word
	NumFacts             = iota
)

var factNames = [NumFacts]string{
	"answer", "server", "powered-by", "type", "attachment", "modified", "http", "shape", "redirects",
	"tls", "certificate", "certificate-age", "certificate-names", "hsts", "csp", "cookie", "http3",
	"registered", "nameserver",
}

// The values of facts that are words of ours.
var (
	factAges   = []string{"day", "week", "month", "quarter", "year", "older", "future"}
	factYes    = []string{"yes"}
	factValues = [NumFacts][]string{
		FactAnswer: {"timeout", "refused", "lost", "unreachable", "tls-failed", "not-http", "too-long"},
		FactAttachment: {"unnamed", "other", "exe", "msi", "scr", "com", "bat", "cmd", "ps1", "vbs", "js", "hta", "lnk", "jar",
			"apk", "ipa", "dmg", "pkg", "deb", "rpm", "iso", "img", "zip", "rar", "7z", "gz", "cab", "pdf", "doc", "docx", "docm",
			"xls", "xlsx", "xlsm", "ppt", "pptx", "rtf", "htm", "html", "svg", "txt", "csv", "jpg", "png", "gif", "mp3", "mp4"},
		FactModified:         factAges,
		FactHTTP:             {"1.0", "1.1", "malformed"},
		FactRedirects:        {"here", "away", "nowhere", "loop", "many"},
		FactTLS:              {"none", "1.0", "1.1", "1.2", "1.3"},
		FactCertificateAge:   factAges,
		FactCertificateNames: {"none", "one", "few", "many", "hundred"},
		FactHSTS:             factYes,
		FactCSP:              factYes,
		FactCookie:           factYes,
		FactHTTP3:            factYes,
		FactRegistered:       {"day", "week", "month", "quarter", "year", "five-years", "older"},
	}
	// RFC 6838 §4.2 and the registry of top-level types.
	mediaTypes = []string{"application", "audio", "font", "image", "message", "model", "multipart", "text", "video"}
)

const (
	maxFactWord  = 32 // bytes of a word of the server's; products have less
	maxMediaType = 96 // bytes; those of office documents have 75
)

// Closed says whether a fact has no other values than FactValues gives.
func (n FactName) Closed() bool {
	switch n {
	case FactAnswer, FactServer, FactPoweredBy, FactType, FactShape, FactCertificate, FactNameServer:
		return false
	}
	return true
}

// FactValues are the values of a fact that are words of ours.
func FactValues(n FactName) []string { return slices.Clone(factValues[n]) }

// String gives the name as it stands in a key: "server", "certificate-age", …
func (n FactName) String() string {
	if n < NumFacts {
		return factNames[n]
	}
	return fmt.Sprintf("FactName(%d)", uint8(n))
}

// FactOf makes a fact. It is valid if the value is one of the name's.
func FactOf(n FactName, value string) Subject { return Subject{Fact, n.String() + "/" + value} }

// ParseFact takes the key of a fact apart. It does not allocate unless it fails.
func ParseFact(key string) (n FactName, value string, err error) {
	name, value, _ := strings.Cut(key, "/")
	i := slices.Index(factNames[:], name)
	if i < 0 || !FactName(i).takes(value) {
		return 0, "", fmt.Errorf("%q is not a fact", clip(key))
	}
	return FactName(i), value, nil
}

// takes says whether a fact of the name can have the value.
func (n FactName) takes(value string) bool {
	if slices.Contains(factValues[n], value) {
		return true
	}
	switch n {
	case FactAnswer:
		return len(value) == 3 && value[0] >= '1' && value[0] <= '9' && isDigit(value[1]) && isDigit(value[2])
	case FactServer, FactPoweredBy, FactCertificate, FactNameServer:
		return isFactWord(value)
	case FactType:
		top, sub, ok := strings.Cut(value, "/")
		return value == "other" || ok && len(value) <= maxMediaType && slices.Contains(mediaTypes, top) && isWord(sub, "-.+_")
	case FactShape:
		return len(value) == 16 && strings.Trim(value, "0123456789abcdef") == ""
	}
	return false
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

func isFactWord(s string) bool { return len(s) <= maxFactWord && isWord(s, "-") }

// isWord says whether s is small letters and digits, with single marks only
// between them.
func isWord(s, marks string) bool {
	mark := true
	for i := range len(s) {
		switch c := s[i]; {
		case c >= 'a' && c <= 'z', isDigit(c):
			mark = false
		case !mark && strings.IndexByte(marks, c) >= 0:
			mark = true
		default:
			return false
		}
	}
	return !mark
}

// FactWord cuts what a server or an issuer calls itself down to a word, "" if
// nothing is left: small letters and digits, with a hyphen for all between them,
// at most 32 bytes.
//
//	Let's Encrypt → let-s-encrypt
func FactWord(s string) string {
	b := make([]byte, 0, maxFactWord)
	gap := false
	for i := 0; i < len(s) && len(b) < maxFactWord; i++ {
		c := s[i]
		if c >= 'A' && c <= 'Z' {
			c |= 0x20
		}
		if (c < 'a' || c > 'z') && !isDigit(c) {
			gap = len(b) > 0
			continue
		}
		if gap && len(b)+1 == maxFactWord {
			break
		}
		if gap {
			b = append(b, '-')
		}
		b, gap = append(b, c), false
	}
	return string(b)
}

// FactAge gives the bucket of an age: a day at most, a week, a month (31 days), a
// quarter (92), a year (366), or older. What is dated more than an hour ahead is
// of the future.
func FactAge(d time.Duration) string {
	if d < -time.Hour {
		return "future"
	}
	for i, most := range ages {
		if d <= most {
			return factAges[i]
		}
	}
	return "older"
}

// FactRegisteredAge gives the bucket of how long a domain has been registered: as
// FactAge has them up to a year, then five years (1827 days), or older.
func FactRegisteredAge(d time.Duration) string {
	if last := ages[len(ages)-1]; d > last && d <= 1827*24*time.Hour {
		return "five-years"
	}
	if age := FactAge(d); age != "future" {
		return age
	}
	return "day"
}

// ages are what buckets of ages reach up to.
var ages = [...]time.Duration{24 * time.Hour, 7 * 24 * time.Hour, 31 * 24 * time.Hour, 92 * 24 * time.Hour, 366 * 24 * time.Hour}
