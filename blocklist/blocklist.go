// Package blocklist publishes what the reputation table condemns, as numbered
// editions.
//
//	p, err := blocklist.Open(blocklist.Config{Dir: dir, Source: svc})
//	go p.Run(ctx)
//	e := p.Shelf().Latest()
//	for _, x := range e.Entries() {
//		fmt.Println(x.Expression, x.Kind, x.Threat)
//	}
//	d, ok := p.Shelf().Since(serial) // what a client that has an older edition lacks
//
// The table knows subjects by their hashes only. Their names come from the log:
// whoever calls something bad names it in clear. So a [Publisher] reads the log
// once, remembers what was named, and asks the table again whenever something
// is said of the domain, and of everything once in sixty passes. What the table
// no longer condemns is out in the next edition.
//
// What may be published stands in may: a URL, a path, a name with all below it;
// an address only at high confidence; networks never, since neighbours may warn
// but never block.
package blocklist

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"headlight.example/evidence"
)

// Kind says how much an entry speaks of.
type Kind uint8

const (
	// URL is one page: Expression is all of its URL but the scheme. Of a front
	// page, "a.example/", nothing is said of what lies below it.
	URL Kind = 1 + iota
	// Path is all below a path: Expression ends in its slash.
	Path
	// Name is a host or domain with all names below it and all their URLs:
	// Expression is the name and a slash.
	Name
	// Addr is an address with all URLs on it: Expression is the address as in a
	// URL (IPv6 in brackets) and a slash.
	Addr
)

var kindNames = [...]string{URL: "url", Path: "path", Name: "name", Addr: "address"}

// String gives the word that the list files use.
func (k Kind) String() string {
	if k < URL || k > Addr {
		return "unknown"
	}
	return kindNames[k]
}

// Entry is a bad thing that an edition names. It is 24 bytes and shares its text
// with other editions.
type Entry struct {
	// Expression is Safe Browsing's: host-suffix/path-prefix in canonical form,
	// what link.AppendExpressions gives for the links concerned. It is unique in
	// an edition.
	Expression string
	since      uint32 // Unix seconds
	domain     uint16 // where the registrable domain begins
	Kind       Kind
	// Threat is evidence.Phishing, Malware, Unwanted or Spam.
	Threat evidence.Assertion
}

// Since is when the entry was first published with this expression, to the
// second; it survives restarts.
func (e *Entry) Since() time.Time { return time.Unix(int64(e.since), 0).UTC() }

// Host is the host of the expression, an IPv6 address in brackets.
func (e *Entry) Host() string { return hostOf(e.Expression) }

// Domain is the registrable domain of the host, or the host if it has none.
func (e *Entry) Domain() string { return domainOf(e.Expression, e.domain) }

// Compare is the order of editions: by domain, then by expression, both as bytes.
func (e *Entry) Compare(o *Entry) int {
	return cmp.Or(strings.Compare(e.Domain(), o.Domain()), strings.Compare(e.Expression, o.Expression))
}

// same says whether nobody who reads both would tell them apart.
func (e *Entry) same(o *Entry) bool {
	return e.Kind == o.Kind && e.Threat == o.Threat && e.Expression == o.Expression
}

func hostOf(expression string) string {
	host, _, _ := strings.Cut(expression, "/")
	return host
}

func domainOf(expression string, at uint16) string { return hostOf(expression)[at:] }

// Edition is one state of the list. It never changes, and is safe for any number
// of readers.
type Edition struct {
	serial  uint32
	made    time.Time
	entries []Entry
}

// Serial numbers the edition. A later edition has a larger number, also after a
// restart or the loss of the data directory: it is the Unix time at which the
// edition was made, or one more than the number before if that is larger.
func (e *Edition) Serial() uint32 { return e.serial }

// Made is when the edition was made, UTC, to the second.
func (e *Edition) Made() time.Time { return e.made }

// Len is how many entries there are.
func (e *Edition) Len() int { return len(e.entries) }

// Entries are all, in the order of Entry.Compare. They must not be changed.
func (e *Edition) Entries() []Entry { return e.entries }

// group gives the entries of a registrable domain.
func (e *Edition) group(domain string) []Entry {
	if e == nil {
		return nil
	}
	from, found := slices.BinarySearchFunc(e.entries, domain, func(x Entry, d string) int { return strings.Compare(x.Domain(), d) })
	if !found {
		return nil
	}
	to := from
	for to < len(e.entries) && e.entries[to].Domain() == domain {
		to++
	}
	return e.entries[from:to]
}

// Diff is what turns one edition into another: take the removed out of it, then
// put the added in. An entry whose kind or threat changed is in both.
type Diff struct {
	From, To       *Edition // From is nil where only its serial is kept
	FromSerial     uint32
	Added, Removed []Entry // in the order of Entry.Compare
}

// apply merges a change into the entries of an edition.
func apply(entries, removed, added []Entry) []Entry {
	out := make([]Entry, 0, max(len(entries)+len(added)-len(removed), 0))
	for i := range entries {
		e := &entries[i]
		if len(removed) > 0 && removed[0].Expression == e.Expression {
			removed = removed[1:]
			continue
		}
		for len(added) > 0 && added[0].Compare(e) < 0 {
			out = append(out, added[0])
			added = added[1:]
		}
		out = append(out, *e)
	}
	return append(out, added...)
}

// maxTrigger bounds a trigger, that the name of its zone may follow it (RFC 1035
// §2.3.4: 255 octets in all).
const maxTrigger = 200

// Trigger is the name under which an entry of kind Name stands in a response
// policy zone, relative to the zone; "" for others, and for names that need an
// escape or would mean something else there: rpz-ip and its like are the last
// labels of triggers on addresses.
func (e *Entry) Trigger() string {
	host := e.Host()
	if e.Kind != Name || len(host) > maxTrigger {
		return ""
	}
	last := ""
	for label := range strings.SplitSeq(host, ".") {
		for i := range len(label) {
			if c := label[i]; !('a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '-' || c == '_') {
				return ""
			}
		}
		if label == "" || len(label) > 63 {
			return ""
		}
		last = label
	}
	if strings.HasPrefix(last, "rpz-") {
		return ""
	}
	return host
}
