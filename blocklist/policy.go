package blocklist

import (
	"math/bits"
	"net/netip"
	"slices"
	"strings"

	"headlight.example/evidence"
	"headlight.example/link"
	"headlight.example/reputation"
)

// A page below a name or path that nobody has ever named: if that is condemned,
// it is not for its own sake.
const unnamed = "-"

// examine asks the table about what is known of one domain, and gives what is to
// be published of it, by expression. Where a page and all below it are bad, only
// the wider is an entry.
func (p *Publisher) examine(subjects []subject, into []Entry) []Entry {
	from := len(into)
	for i := range subjects {
		s := &subjects[i]
		if threat, ok := p.may(s.kind, s.text); ok {
			into = append(into, Entry{Expression: s.text, domain: s.domain, Kind: s.kind, Threat: threat})
		}
	}
	into = p.examineWhole(subjects, into)
	found := into[from:]
	slices.SortFunc(found, func(a, b Entry) int {
		if c := strings.Compare(a.Expression, b.Expression); c != 0 {
			return c
		}
		return int(b.Kind) - int(a.Kind)
	})
	found = slices.CompactFunc(found, func(a, b Entry) bool { return a.Expression == b.Expression })
	return into[:from+len(found)]
}

// examineWhole looks at the paths, hosts and tenants that nobody named, but on
// which so many URLs were that the table may condemn the whole.
func (p *Publisher) examineWhole(subjects []subject, into []Entry) []Entry {
	least := min(p.policy.WholeURLs, p.policy.WholePathURLs)
	if len(subjects) < least {
		return into
	}
	type place struct {
		kind   Kind
		domain uint16
		urls   int
	}
	var places map[string]place
	add := func(text string, kind Kind, domain uint16) {
		x, ok := places[text]
		if !ok {
			x = place{kind: kind, domain: domain}
		}
		x.urls++
		places[text] = x
	}
	for i := range subjects {
		s := &subjects[i]
		if s.kind != URL {
			continue
		}
		l, err := link.Parse("http://" + s.text)
		if err != nil {
			continue
		}
		if places == nil {
			places = make(map[string]place)
		}
		if _, isAddr := l.Addr(); isAddr {
			add(l.Host()+"/", Addr, s.domain)
			continue
		}
		if path := l.Path(); path != "" {
			add(path, Path, s.domain)
		}
		tenant := l.Tenant()
		if strings.Contains(tenant, "/") {
			if l.Path() != tenant+"/" {
				add(tenant+"/", Path, s.domain)
			}
			continue
		}
		add(l.Host()+"/", Name, s.domain)
		if at := len(l.Host()) - len(tenant); at > 0 && strings.HasSuffix(l.Host(), tenant) {
			add(tenant+"/", Name, s.domain-min(s.domain, uint16(at)))
		}
	}
	for text, x := range places {
		if x.kind == Path && x.urls < p.policy.WholePathURLs || x.kind != Path && x.urls < p.policy.WholeURLs {
			continue
		}
		if threat, ok := p.may(x.kind, text); ok {
			into = append(into, Entry{Expression: strings.Clone(text), domain: x.domain, Kind: x.kind, Threat: threat})
		}
	}
	return into
}

// may says whether an expression may be published as one of a kind, and as what.
// The table must find a link to it dangerous, which for anything wider than a
// page must be one that nobody has named. Besides:
//
//   - never a public suffix, the root of a platform or of a house whose customers
//     have paths, or a name of a well-known party: some customers are bad, the
//     others would be blocked with them. The operator's own word makes no
//     difference: it holds in his own answers.
//   - a path only inside of what one party controls
//   - an address as a whole only by the operator's word or that of two groups,
//     since it changes hands, and only if it is a public one
//   - no URL that seems to name who received it: see namesReader
func (p *Publisher) may(kind Kind, text string) (evidence.Assertion, bool) {
	raw := "http://" + text
	if kind != URL {
		raw += unnamed
	}
	l, err := link.Parse(raw)
	if err != nil {
		return 0, false
	}
	host := l.Host()
	if kind == URL && namesReader(text[len(host):]) {
		return 0, false
	}
	v := p.source.Judge(l)
	if v.Level != reputation.Dangerous {
		return 0, false
	}
	if kind == URL && text != host+"/" {
		return v.Threat, true
	}
	tenant := l.Tenant()
	onPath := strings.Contains(tenant, "/")
	switch kind {
	case Path:
		return v.Threat, !l.PlatformRoot() && (!onPath || strings.HasPrefix(text, tenant+"/"))
	case Addr:
		a, ok := l.Addr()
		return v.Threat, ok && public(a) && sure(&v)
	case URL:
		if _, ok := l.Addr(); ok {
			return v.Threat, true
		}
	}
	front, err := link.Parse("http://" + text)
	if err != nil || onPath || front.PlatformRoot() || !strings.Contains(host, ".") {
		return 0, false
	}
	if suffix, _ := link.PublicSuffix(host); suffix == host || l.Suffix() == host {
		return 0, false
	}
	return v.Threat, !p.source.Rate(evidence.Subject{Kind: evidence.Tenant, Key: l.Domain()}).WellKnown
}

// sure says whether a verdict on an address rests on the operator's word or on
// that of two groups who list it.
func sure(v *reputation.Verdict) bool {
	for _, r := range v.Reasons() {
		switch r.Basis {
		case reputation.Anchored, reputation.Ruled:
			return true
		case reputation.Listed:
			return bits.OnesCount32(r.Raters) >= 2
		}
	}
	return false
}

// public says whether an address is one that everybody reaches under it.
func public(a netip.Addr) bool { return a.IsGlobalUnicast() && !a.IsPrivate() }

// namesReader says whether a path or query holds what looks like a mail address:
// phishing mails put the reader's into their links. Such a link is of use to
// nobody else.
func namesReader(s string) bool {
	at := strings.IndexByte(s, '@')
	for at >= 0 {
		rest := s[at+1:]
		if at > 0 && isWord(s[at-1]) {
			n := 0
			for n < len(rest) && (isWord(rest[n]) || rest[n] == '-') {
				n++
			}
			if n > 0 && n+1 < len(rest) && rest[n] == '.' && isWord(rest[n+1]) {
				return true
			}
		}
		next := strings.IndexByte(rest, '@')
		if next < 0 {
			return false
		}
		at += 1 + next
	}
	return false
}

func isWord(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '_'
}
