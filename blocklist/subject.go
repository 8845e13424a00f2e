package blocklist

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"

	"headlight.example/evidence"
	"headlight.example/link"
)

// subject is something that was called bad, in clear. Whether it is published is
// the table's matter.
type subject struct {
	text   string // as Entry.Expression
	domain uint16 // where the registrable domain begins
	said   uint16 // days since 1970: when it was last called bad
	kind   Kind
}

func (s *subject) domainName() string { return domainOf(s.text, s.domain) }

func (s *subject) compare(o *subject) int {
	return cmp.Or(strings.Compare(s.domainName(), o.domainName()), strings.Compare(s.text, o.text), cmp.Compare(s.kind, o.kind))
}

const (
	// keepUnpublished is for how many days a subject is remembered that the table
	// does not condemn. A word counts for 180 days by half.
	keepUnpublished = 400
	// maxSubjects bounds what is remembered, at about 100 bytes each. Beyond it
	// goes what is not published, from what was called bad longest ago.
	maxSubjects = 8 << 20
)

// toSubject says where something stands that was called bad; false for what no
// list can name: networks, suffixes, sealed URLs.
func toSubject(s evidence.Subject) (x subject, ok bool) {
	switch s.Kind {
	case evidence.URL:
		x = subject{text: s.Key, kind: URL}
	case evidence.Path:
		x = subject{text: s.Key, kind: Path}
	case evidence.Host, evidence.Domain:
		x = subject{text: s.Key + "/", kind: Name}
	case evidence.Tenant:
		x = subject{text: s.Key + "/", kind: Name}
		if strings.Contains(s.Key, "/") {
			x.kind = Path
		}
	case evidence.Addr:
		x = subject{text: s.Key + "/", kind: Addr}
		if strings.Contains(s.Key, ":") {
			x.text = "[" + s.Key + "]/"
		}
	default:
		return x, false
	}
	l, err := link.Parse("http://" + x.text)
	if err != nil {
		return x, false
	}
	host := l.Host()
	if x.kind == Name {
		if _, isAddr := l.Addr(); isAddr {
			x.kind = Addr
		}
	}
	// A key in canonical form parses to itself; anything else is not published.
	if !strings.HasPrefix(x.text, host+"/") || len(l.Domain()) > len(host) {
		return x, false
	}
	x.domain = uint16(len(host) - len(l.Domain()))
	return x, true
}

// domainOfSubject is the registrable domain that a word concerns; "" for none.
func domainOfSubject(s evidence.Subject) string {
	host := s.Host()
	if host == "" {
		return ""
	}
	if a, err := netip.ParseAddr(host); err == nil && a.Is6() {
		host = "[" + host + "]"
	}
	l, err := link.Parse("http://" + host)
	if err != nil {
		return ""
	}
	return l.Domain()
}

// merge adds new subjects, in any order and perhaps more than once, to sorted
// ones. It may change both.
func merge(old, news []subject) []subject {
	slices.SortFunc(news, func(a, b subject) int { return a.compare(&b) })
	out := make([]subject, 0, len(old)+len(news))
	for len(old) > 0 || len(news) > 0 {
		var x subject
		if len(news) == 0 || len(old) > 0 && old[0].compare(&news[0]) <= 0 {
			x, old = old[0], old[1:]
		} else {
			x, news = news[0], news[1:]
			x.text = strings.Clone(x.text) // it may be a part of a large block
		}
		if last := len(out) - 1; last >= 0 && out[last].compare(&x) == 0 {
			out[last].said = max(out[last].said, x.said)
			continue
		}
		out = append(out, x)
	}
	return out
}

// prune forgets the subjects of which nothing is published and that were last
// called bad before a day, and more of them if there would be too many.
func prune(list []subject, published func(*subject) bool, before uint16) []subject {
	if over := len(list) - maxSubjects; over > 0 {
		var days []uint16
		for i := range list {
			if !published(&list[i]) {
				days = append(days, list[i].said)
			}
		}
		slices.Sort(days)
		if n := min(over+maxSubjects/16, len(days)-1); n >= 0 {
			before = max(before, days[n])
		}
	}
	return slices.DeleteFunc(list, func(s subject) bool { return s.said < before && !published(&s) })
}
