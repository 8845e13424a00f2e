package feed

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"headlight.example/evidence"
	"headlight.example/link"
)

var hosts = Format{
	Name:           "hosts",
	Doc:            "hosts file: 0.0.0.0 or 127.0.0.1, then names; # comments",
	Rater:          "feed/hosts",
	NeedsAssertion: true,
	parser:         hostsLines,
}

var domains = Format{
	Name:           "domains",
	Doc:            "a name a line, plain or as *.name, .name or ||name^; # or ! comments",
	Rater:          "feed/domains",
	NeedsAssertion: true,
	parser:         domainLines,
}

// maxNames bounds the names on one line of a hosts file. Windows reads nine.
const maxNames = 100

func hostsLines(o *Options) parseFunc[evidence.Record] {
	return func(dst []evidence.Record, text string, _ int) ([]evidence.Record, error) {
		text, _, _ = strings.Cut(text, "#")
		fields := strings.Fields(text)
		if len(fields) == 0 {
			return dst, errNothing
		}
		addr, err := netip.ParseAddr(fields[0])
		if err != nil {
			return dst, errors.New("a line of a hosts file begins with an address")
		}
		names := fields[1:]
		if len(names) == 0 || len(names) > maxNames {
			return dst, fmt.Errorf("%d names for an address", len(names))
		}
		said := len(dst)
		ours := true // names of the machine itself, and nothing else
		for _, name := range names {
			if machineName(name) {
				continue
			}
			ours = false
			if !addr.IsLoopback() && !addr.IsUnspecified() {
				return dst[:said], errors.New("leads a name somewhere instead of nowhere")
			}
			l, err := parseName(name)
			if err != nil {
				return dst[:said], err
			}
			r, err := o.record(evidence.Subject{Kind: evidence.Host, Key: l.Host()}, o.Assertion, o.Now)
			if err != nil {
				return dst[:said], err
			}
			dst = append(dst, r)
		}
		if ours {
			return dst, errNothing
		}
		return dst, nil
	}
}

// machineName says whether a hosts file names by it the machine it is on, or a
// special address: what stands at the head of each.
func machineName(name string) bool {
	switch name {
	case "localhost", "localhost.localdomain", "local", "broadcasthost", "0.0.0.0":
		return true
	}
	return strings.HasPrefix(name, "ip6-")
}

func domainLines(o *Options) parseFunc[evidence.Record] {
	return func(dst []evidence.Record, text string, _ int) ([]evidence.Record, error) {
		text, err := content(text, "!", ";", "//", "[Adblock")
		if err != nil {
			return dst, err
		}
		text, _, _ = strings.Cut(text, " #")
		name, err := listedName(strings.TrimSpace(text))
		if err != nil {
			return dst, err
		}
		l, err := parseName(name)
		if err != nil {
			return dst, err
		}
		r, err := o.record(nameSubject(l), o.Assertion, o.Now)
		if err != nil {
			return dst, err
		}
		return append(dst, r), nil
	}
}

// listedName takes the name out of the ways to say "and what is below it".
func listedName(s string) (string, error) {
	if strings.HasPrefix(s, "@@") {
		return "", errors.New("an exception, which says nothing of its own")
	}
	if rest, ok := strings.CutPrefix(s, "||"); ok {
		name, options, ok := strings.Cut(rest, "^")
		if !ok || options != "" && options != "$all" && options != "$document" {
			return "", errors.New("a filter rule that is more than a name")
		}
		return name, nil
	}
	return strings.TrimPrefix(strings.TrimPrefix(s, "*"), "."), nil
}

// errShared is for "com" and "co.uk": to list them is to list everybody.
var errShared = errors.New("a name that everybody shares")

// parseName reads a host name, and only that: link.Parse would also take
// "example.com:80" and "user@example.com/path".
func parseName(s string) (link.Link, error) {
	s = strings.TrimSuffix(s, ".")
	if s == "" || len(s) > 4*253 || strings.ContainsAny(s, "/\\?#@:%*[]<>\"' \t") {
		return link.Link{}, errors.New("not a name")
	}
	l, err := link.Parse("http://" + s + "/")
	if err != nil {
		return link.Link{}, err
	}
	if _, ok := l.Addr(); ok {
		return link.Link{}, errors.New("an address, not a name")
	}
	if !strings.Contains(l.Host(), ".") || l.Host() == l.Suffix() {
		return link.Link{}, errShared
	}
	return l, nil
}

// nameSubject is what a list of names speaks of: all of a registrable domain
// if that is what it names, else the host alone. Who lists "shop.example.com"
// has chosen not to list "example.com".
func nameSubject(l link.Link) evidence.Subject {
	if l.Host() == l.Domain() {
		return evidence.Subject{Kind: evidence.Domain, Key: l.Domain()}
	}
	return evidence.Subject{Kind: evidence.Host, Key: l.Host()}
}
