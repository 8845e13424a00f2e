package probe

import (
	"fmt"
	"slices"
	"strings"

	"headlight.example/evidence"
	"headlight.example/link"
)

// asked says whether a request went out, or was to: the outcome is then one of
// those that tell of the server.
func (h *Hop) asked() bool { return h.Outcome <= TooLong }

// hostFacts are what a visit has shown of one host.
type hostFacts struct {
	host  string
	facts [evidence.NumFacts]string // values by name; "" if there is none
}

// facts gives what a visit has shown of the hosts that were asked, in their order.
// Where DNS alone is ever asked that is what DNS says; else it would take the place
// of what a server has shown.
// Of a host that was asked more than once it is the last answer that counts, and
// where the last of its redirects led. What only the page can say is told only
// where it was asked for: a front page says nothing of another.
func (v *Visit) facts() (all []hostFacts) {
	for i := range v.Hops {
		h := &v.Hops[i]
		if !h.asked() && !(v.dnsOnly && h.Outcome == Resolved) {
			continue
		}
		f := hostFacts{host: h.Link.Host()}
		h.tell(&f, v)
		f.facts[evidence.FactNameServer] = h.nameServer()
		if h.Mode == Exact {
			f.facts[evidence.FactRedirects] = v.redirects(i)
		}
		at := slices.IndexFunc(all, func(x hostFacts) bool { return x.host == f.host })
		if at < 0 {
			all = append(all, f)
			continue
		}
		if f.facts[evidence.FactRedirects] == "" {
			f.facts[evidence.FactRedirects] = all[at].facts[evidence.FactRedirects]
		}
		all[at] = f
	}
	return all
}

// tell says what a hop has shown, but for where it led.
func (h *Hop) tell(f *hostFacts, v *Visit) {
	set := func(n evidence.FactName, value string) { f.facts[n] = value }
	yes := func(n evidence.FactName, is bool) {
		if is {
			set(n, "yes")
		}
	}
	h.tellTLS(set, v)
	a := h.Answer
	if a == nil {
		set(evidence.FactAnswer, failures[h.Outcome])
		return
	}
	if h.TLS == nil {
		set(evidence.FactTLS, "none")
	}
	if h.Mode == Exact {
		set(evidence.FactAnswer, fmt.Sprintf("%03d", a.Status))
		if a.Status/100 == 2 {
			h.tellPage(set, v)
		}
	}
	set(evidence.FactServer, h.word(a.Family))
	set(evidence.FactPoweredBy, h.word(family(a.PoweredBy)))
	set(evidence.FactShape, a.Shape)
	switch {
	case a.Malformed:
		set(evidence.FactHTTP, "malformed")
	case a.Minor == 0:
		set(evidence.FactHTTP, "1.0")
	default:
		set(evidence.FactHTTP, "1.1")
	}
	yes(evidence.FactHSTS, a.HSTS)
	yes(evidence.FactCSP, a.CSP)
	yes(evidence.FactCookie, a.SetsCookie)
	yes(evidence.FactHTTP3, a.HTTP3)
}

var failures = map[Outcome]string{
	Timeout: "timeout", ConnectionRefused: "refused", ConnectionLost: "lost", Unreachable: "unreachable",
	TLSFailed: "tls-failed", NotHTTP: "not-http", TooLong: "too-long",
}

// tellPage says what the answer tells of the page that was asked for.
func (h *Hop) tellPage(set func(evidence.FactName, string), v *Visit) {
	a := h.Answer
	if a.ContentType != "" {
		media := a.ContentType
		if _, sub, _ := strings.Cut(media, "/"); h.echoes(sub) || evidence.FactOf(evidence.FactType, media).Validate() != nil {
			media = "other"
		}
		set(evidence.FactType, media)
	}
	if a.Attachment {
		set(evidence.FactAttachment, kindOfFile(a.Filename))
	}
	if !a.LastModified.IsZero() {
		set(evidence.FactModified, evidence.FactAge(v.Time.Sub(a.LastModified)))
	}
}

// kindOfFile is the ending of a name, if it is one that says what opens the file:
// "Invoice.PDF.exe" → "exe". Nothing else of a name is told.
func kindOfFile(name string) string {
	if name == "" {
		return "unnamed"
	}
	name = strings.TrimRight(name, " .") // as Windows has it
	ending := strings.ToLower(name[strings.LastIndexByte(name, '.')+1:])
	if len(ending) == len(name) || ending == "unnamed" || !slices.Contains(evidence.FactValues(evidence.FactAttachment), ending) {
		return "other"
	}
	return ending
}

// tellTLS says what the handshake has shown.
func (h *Hop) tellTLS(set func(evidence.FactName, string), v *Visit) {
	t := h.TLS
	if t == nil {
		return
	}
	set(evidence.FactTLS, strings.TrimPrefix(t.Version, "TLS "))
	issuer := evidence.FactWord(t.Issuer)
	switch {
	case t.Verified && (issuer == "" || issuer == selfSigned || strings.HasPrefix(issuer, unverified)):
		issuer = "other"
	case t.Verified:
	case t.SelfMade:
		issuer = selfSigned
	default:
		issuer = unverified + t.Why
	}
	set(evidence.FactCertificate, issuer)
	if !t.NotBefore.IsZero() {
		set(evidence.FactCertificateAge, evidence.FactAge(t.Age(v.Time)))
		set(evidence.FactCertificateNames, howMany(t.NameCount))
	}
}

// What a certificate that does not verify is told as, in place of its issuer.
const (
	selfSigned = "self-signed"
	unverified = "unverified-" // and TLS.Why
)

func howMany(names int) string {
	switch {
	case names == 0:
		return "none"
	case names == 1:
		return "one"
	case names <= 5:
		return "few"
	case names < 100:
		return "many"
	}
	return "hundred"
}

// nameServer says whose name servers the host's domain has, by the first of their
// own domains in alphabetical order; "" if it has none, or if it is a platform's,
// since those say nothing of a tenant.
func (h *Hop) nameServer() (word string) {
	if h.Link.Platform() != link.None {
		return ""
	}
	for _, name := range h.Names.NS {
		if l, err := link.Parse("http://" + name + "/"); err == nil {
			if w := evidence.FactWord(l.Domain()); w != "" && (word == "" || w < word) {
				word = w
			}
		}
	}
	return word
}

// redirects says where the answer of a hop led; "" if it was no redirect.
func (v *Visit) redirects(i int) string {
	h := &v.Hops[i]
	if h.Answer == nil || h.Answer.Location == "" {
		return ""
	}
	switch h.Answer.Status {
	case 301, 302, 303, 307, 308:
	default:
		return ""
	}
	if i+1 == len(v.Hops) {
		return "nowhere" // an app, a script
	}
	switch next := &v.Hops[i+1]; {
	case next.Outcome == Loop:
		return "loop"
	case next.Outcome == Redirects:
		return "many"
	case next.Link.Tenant() != h.Link.Tenant():
		return "away"
	}
	return "here"
}

// word cuts down what a server calls itself; "" if it is nothing, or is taken from
// the link: a server may tell us by it what we asked for.
func (h *Hop) word(said string) string {
	if word := evidence.FactWord(said); !h.echoes(word) {
		return word
	}
	return ""
}

// usual are words that stand in links by no fault of the server: index.php is
// powered by php, and a page that ends in .html is text/html.
var usual = []string{
	"php", "aspnet", "nginx", "apache", "express", "iis",
	"html", "plain", "css", "javascript", "json", "xml", "pdf", "zip", "png", "jpeg", "gif", "webp", "svgxml", "mpeg", "mp4",
}

// echoes says whether a word stands in the path or query of the link, whatever
// stands between its letters and digits.
func (h *Hop) echoes(word string) bool {
	word = bare(word)
	l := h.Link
	return word != "" && !slices.Contains(usual, word) && strings.Contains(bare(l.URL()[len(l.Host()):]), word)
}

// bare gives the letters and digits of a text, in small letters.
func bare(text string) string {
	b := make([]byte, 0, len(text))
	for i := range len(text) {
		switch c := text[i]; {
		case c >= 'A' && c <= 'Z':
			b = append(b, c|0x20)
		case isLetter(c), c >= '0' && c <= '9':
			b = append(b, c)
		}
	}
	return string(b)
}
