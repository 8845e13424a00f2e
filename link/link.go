// Package link reads a URL as a browser would and names what it belongs to.
//
//	l, err := link.Parse("hTTp://user@WWW.Example.co.uk:8080/a/./b?q#top")
//	l.Canonical() // http://www.example.co.uk/a/b?q   Safe Browsing canonical form
//	l.String()    // http://www.example.co.uk:8080/a/b?q
//	l.Path()      // www.example.co.uk/a/
//	l.Host()      // www.example.co.uk
//	l.Tenant()    // example.co.uk: the unit that one party controls
//	l.Suffix()    // co.uk
//	l.Marks()     // Userinfo
//
// What is read is the URL that a browser would open (URL Standard: odd spellings
// of addresses, backslashes, userinfo, tabs inside). What is kept is its Safe
// Browsing canonical form, where percent-encoding is undone to the end. Where a
// browser would refuse the host but other programs may not, the link is kept and
// carries the mark OddHost.
//
// Everything that a Link names is a part of one string, so that no accessor but
// Addr does more than slice it, and none allocates. The package does no I/O and
// everything in it is safe for concurrent use.
package link

import (
	"net/netip"
	"strings"
)

// Link is a URL in canonical form; only Parse makes one. It is comparable: two
// links are equal if they have the same canonical form, port and marks. The
// zero Link is no link; its accessors return zero values.
//
// If what was parsed is canonical already, the Link shares its memory, and
// keeps a whole message alive if that was cut from one: see Clone.
type Link struct {
	// s is the canonical form; where port is not 0 the form with the port
	// follows behind it. Every rung and expression is a substring.
	s string

	// Offsets into s. host..hostEnd is the host, hostEnd..pathEnd the path,
	// pathEnd..end the query with its question mark, or nothing.
	hostEnd, pathEnd, end uint16
	suffix                uint16 // the ICANN public suffix, to hostEnd
	domain                uint16 // one label more
	site                  uint16 // one label before the longest suffix of the list, private part too; 0 if none
	tenant, tenantEnd     uint16
	port                  uint16 // 0 if the scheme's own
	host                  uint8

	platform Platform
	marks    Marks
	bits     uint8
}

// Bits of Link.bits: what Parse found out about the host.
const (
	isAddr = 1 << iota
	isRoot
	isWrapper
)

// Marks say how a link was written, where that matters to a judge or a reader.
// They are no part of the canonical form: parsing that gives OddHost at most.
type Marks uint8

const (
	Userinfo  Marks = 1 << iota // "name@" or "name:password@" stood before the host
	Invisible                   // the host or path holds characters that are not seen: zero-width, bidi, soft hyphen
	OddHost                     // a browser refuses the host; other programs may not
	Respelled                   // the address was not written in its usual form: 0x7f.1, 2130706433, [::ffff:127.0.0.1]
	Cut                         // longer than MaxLen: the end of the path or query is missing
)

// Marks tells how the link was written.
func (l Link) Marks() Marks { return l.marks }

// Userinfo reports whether the link was written with a user name or password,
// which is not kept.
func (l Link) Userinfo() bool { return l.marks&Userinfo != 0 }

// IsZero reports whether l is no link.
func (l Link) IsZero() bool { return l.s == "" }

// String is the canonical form with the port, if it is not the scheme's own:
// what to show, and what a visit asks for. Parsing it gives the same link but
// for its marks.
func (l Link) String() string {
	if l.port != 0 {
		return l.s[l.end:]
	}
	return l.s
}

// Canonical is the Safe Browsing canonical form: no userinfo, port or fragment.
func (l Link) Canonical() string { return l.s[:l.end] }

// Scheme is http, https, ftp, ws or wss.
func (l Link) Scheme() string {
	if l.s == "" {
		return ""
	}
	return l.s[:l.host-uint8(len("://"))]
}

// Port is 0 if it is the scheme's own (80, 443, 21) or 0 was written.
func (l Link) Port() uint16 { return l.port }

// URL is "host/path?query", the most exact expression.
func (l Link) URL() string { return l.s[l.host:l.end] }

// Query is what follows the question mark, percent-decoded as far as the
// canonical form is; "" if there is none.
func (l Link) Query() string {
	if l.pathEnd == l.end {
		return ""
	}
	return l.s[l.pathEnd+1 : l.end]
}

// Path is the rung "host/first-segment/", or "" where the path has no directory.
func (l Link) Path() string {
	if l.s == "" {
		return ""
	}
	p := l.s[l.hostEnd+1 : l.pathEnd]
	i := strings.IndexByte(p, '/')
	if i < 0 {
		return ""
	}
	return l.s[l.host : int(l.hostEnd)+1+i+1]
}

// Host is a name in lower case (IDNA: its A-labels), an IPv4 address with
// dots, or an IPv6 address in brackets.
func (l Link) Host() string { return l.s[l.host:l.hostEnd] }

// Domain is the registrable domain by the ICANN part of the public suffix list;
// the host itself if it is an address, a public suffix or has one label only.
func (l Link) Domain() string { return l.s[l.domain:l.hostEnd] }

// Suffix is the public suffix by the ICANN part of the list, the last label if
// no rule matches, the whole host if it is an address.
func (l Link) Suffix() string { return l.s[l.suffix:l.hostEnd] }

// Tenant is the unit that one party controls: the label below the longest
// suffix of the whole public suffix list and platforms.txt, "host/segment" or
// "host/segment/segment" on a path platform, an address itself. On the root of
// a platform it is the platform's host.
func (l Link) Tenant() string { return l.s[l.tenant:l.tenantEnd] }

// Platform says what kind of house the tenant lives in.
func (l Link) Platform() Platform { return l.platform }

// PlatformRoot reports whether the link names the platform and not one of its
// tenants (github.io/, docs.google.com/, bit.ly/): what must not be condemned
// for what tenants do.
func (l Link) PlatformRoot() bool { return l.bits&isRoot != 0 }

// Addr is the host as an address, if it is one.
func (l Link) Addr() (netip.Addr, bool) {
	if l.bits&isAddr == 0 {
		return netip.Addr{}, false
	}
	a, err := netip.ParseAddr(strings.Trim(l.Host(), "[]"))
	return a, err == nil
}

// WithoutMarks is the link as if it had been written in canonical form, for
// counting links that differ only in how they were written as one.
func (l Link) WithoutMarks() Link {
	l.marks = 0
	return l
}

// Clone returns an equal link with memory of its own.
func (l Link) Clone() Link {
	l.s = strings.Clone(l.s)
	return l
}
