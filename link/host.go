package link

import (
	"net/netip"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
	"unsafe"

	"golang.org/x/net/idna"
)

// asBrowser is UTS 46 with the options of the URL Standard §3.3 ("domain to ASCII", not strict).
var asBrowser = idna.New(
	idna.MapForLookup(),
	idna.Transitional(false),
	idna.CheckHyphens(false),
	idna.CheckJoiners(true),
	idna.BidiRule(),
	idna.StrictDomainName(false),
	idna.VerifyDNSLength(false),
)

// ends lists what cannot stand in a host, not even decoded: the canonical form
// would be read as another URL.
const ends = `/\?@:[]`

// oddInHost are the further forbidden domain code points of the URL Standard
// §3.2; Safe Browsing keeps them, escaped where its rule says so.
const oddInHost = " #%<>^|\x7f"

// appendHost appends the canonical form of a host.
func appendHost(dst []byte, raw string) (_ []byte, isAddr bool, marks Marks, err error) {
	switch {
	case raw == "":
		return dst, false, 0, reason("no host")
	case len(raw) > maxHost:
		return dst, false, 0, errHostLen
	case raw[0] == '[':
		dst, marks, err = appendIPv6(dst, raw)
		return dst, true, marks, err
	}
	if end, isAddr := cleanHostEnd(raw, 0); end == len(raw) {
		return append(dst, raw...), isAddr, 0, nil
	}
	var scratch [256]byte
	host, marks, err := mapNames(lower(decode(scratch[:0], raw, maxHost)))
	if err != nil {
		return dst, false, 0, err
	}
	if strings.ContainsAny(view(host), ends) {
		return dst, false, 0, reason("the host holds one of " + ends)
	}
	if host = cleanDots(host); len(host) == 0 {
		return dst, false, 0, reason("the host is made of dots")
	}
	addr, addrMarks, ok := parseIPv4(view(host))
	marks |= addrMarks
	if ok {
		return addr.AppendTo(dst), true, marks, nil
	}
	for _, c := range host {
		if c < 0x20 || c >= utf8.RuneSelf || strings.IndexByte(oddInHost, c) >= 0 {
			marks |= OddHost
		}
	}
	start := len(dst)
	if dst = appendEscaped(dst, host); len(dst)-start > maxHost {
		return dst, false, 0, errHostLen
	}
	return dst, false, marks, nil
}

var errHostLen = reason("the host is longer than " + strconv.Itoa(maxHost) + " bytes")

// view lends bytes as a string, to functions that do not keep it.
func view(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// maxMappings bounds how often IDNA may make new percent-encoding of a host.
const maxMappings = 4

// mapNames applies IDNA to a name that is not ASCII. One that is stays as it is,
// good A-labels or not (URL Standard §3.3, since 2025).
//
// IDNA may bring a "%" before two digits, from a fullwidth one or by moving characters in
// an A-label. Then the name is decoded again, for whoever reads the canonical form would
// do so.
func mapNames(host []byte) ([]byte, Marks, error) {
	var marks Marks
	for range maxMappings {
		ascii := true
		for _, c := range host {
			ascii = ascii && c < utf8.RuneSelf
		}
		if ascii || !utf8.Valid(host) {
			return host, marks, nil // what is no UTF-8 is escaped, and odd
		}
		if hasInvisible(host) || hasJoiner(host) {
			marks |= Invisible
		}
		name := strings.Map(sinceUnicode15, string(host))
		mapped, err := asBrowser.ToASCII(name)
		if err != nil {
			marks |= OddHost
			mapped = mapLabels(name)
		}
		host = lower(decode(nil, mapped, maxHost))
		if len(host) != len(mapped) {
			marks |= OddHost
		}
	}
	return nil, 0, reason("the host is encoded in itself")
}

// lower makes ASCII letters small, in place.
func lower(b []byte) []byte {
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return b
}

// sinceUnicode15 maps a character as UTS 46 does since its revision 31, where that
// differs from the tables of Unicode 15 that x/net uses before Go 1.27: some
// capitals were refused, some characters that are not seen were not ignored.
func sinceUnicode15(r rune) rune {
	switch {
	case r == 'ẞ':
		return 'ß'
	case r == 0x4c0, r == 0x2132, r == 0x2183, 0x10a0 <= r && r <= 0x10c5:
		return unicode.ToLower(r)
	case r == 0x115f, r == 0x1160, r == 0x3164, r == 0xffa0, r == 0x17b4, r == 0x17b5, r == 0x180e,
		0x206a <= r && r <= 0x206f, 0x1d173 <= r && r <= 0x1d17a:
		return -1
	case r == 0x2f868:
		return 0x36fc
	case r == 0x2f874:
		return 0x5f53
	case r == 0x2f91f:
		return 0x243ab
	case r == 0x2f95f:
		return 0x7aee
	case r == 0x2f9bf:
		return 0x45d7
	}
	return r
}

// mapLabels makes ASCII of a host that UTS 46 refuses, label by label, so that
// one bad label (an emoji newer than our tables, say) does not change what the
// others are called.
func mapLabels(host string) string {
	labels := strings.FieldsFunc(host, func(r rune) bool {
		return r == '.' || r == '\u3002' || r == '\uff0e' || r == '\uff61'
	})
	for i, label := range labels {
		if mapped, err := asBrowser.ToASCII(label); err == nil {
			labels[i] = mapped
		} else if mapped, err := idna.Punycode.ToASCII(strings.ToLower(label)); err == nil {
			labels[i] = mapped
		}
	}
	return strings.Join(labels, ".")
}

// cleanDots drops dots before and behind and makes runs of them one, in place.
func cleanDots(host []byte) []byte {
	kept := host[:0]
	for _, c := range host {
		if c != '.' || len(kept) > 0 && kept[len(kept)-1] != '.' {
			kept = append(kept, c)
		}
	}
	if n := len(kept); n > 0 && kept[n-1] == '.' {
		kept = kept[:n-1]
	}
	return kept
}

// parseIPv4 reads an address in any spelling that inet_aton knows: one to four
// numbers, decimal, octal or hexadecimal, the last filling what is left. Numbers
// that are too big for their place are cut as Safe Browsing cuts them
// ("276.2.3" is 20.2.0.3), and marked, for browsers refuse them.
func parseIPv4(host string) (addr netip.Addr, marks Marks, ok bool) {
	if quad, ok := beforeSpace(host); ok {
		marks |= OddHost
		host = quad
	}
	last := host[strings.LastIndexByte(host, '.')+1:]
	if last[0] < '0' || last[0] > '9' {
		return addr, 0, false
	}
	var parts [4]uint32
	n, odd := 0, false
	for rest, more := host, true; more; n++ {
		var part string
		part, rest, more = strings.Cut(rest, ".")
		v, ok := parseNumber(part)
		if !ok || n == len(parts) {
			if isNumeric(last) { // URL Standard §3.5: what ends in a number is an address or refused
				marks |= OddHost
			}
			return addr, marks, false
		}
		odd = odd || more && v > 255
		parts[n] = v
	}
	bits := 8 * (5 - n)
	odd = odd || uint64(parts[n-1])>>bits != 0
	v := uint32(uint64(parts[n-1]) & (1<<bits - 1))
	for i := range n - 1 {
		v |= parts[i] & 0xff << (24 - 8*i)
	}
	if odd {
		marks |= OddHost
	}
	addr = netip.AddrFrom4([4]byte{byte(v >> 24), byte(v >> 16), byte(v >> 8), byte(v)})
	var usual [len("255.255.255.255")]byte
	if string(addr.AppendTo(usual[:0])) != host {
		marks |= Respelled
	}
	return addr, marks, true
}

// beforeSpace finds the quad of "10.192.95.89 xy": Windows' resolver ignores
// what follows a space, up to 15 characters in all (Safe Browsing's rule).
func beforeSpace(host string) (string, bool) {
	quad, _, ok := strings.Cut(host, " ")
	if !ok || len(host) > 15 || strings.Count(quad, ".") != 3 {
		return "", false
	}
	for rest, more := quad, true; more; {
		var part string
		part, rest, more = strings.Cut(rest, ".")
		if len(part) < 1 || len(part) > 3 || strings.Trim(part, "0123456789") != "" {
			return "", false
		}
	}
	return quad, true
}

// parseNumber reads a number of an IPv4 address (URL Standard §3.5): "0x" alone is 0.
func parseNumber(s string) (uint32, bool) {
	base := 10
	switch {
	case strings.HasPrefix(s, "0x"):
		s, base = s[2:], 16
		if s == "" {
			return 0, true
		}
	case len(s) > 1 && s[0] == '0':
		s, base = s[1:], 8
	}
	v, err := strconv.ParseUint(s, base, 32)
	return uint32(v), err == nil && s[0] != '+'
}

// isNumeric reports whether a label is a number for the "ends in a number checker".
func isNumeric(label string) bool {
	if hex, ok := strings.CutPrefix(label, "0x"); ok {
		return strings.Trim(hex, "0123456789abcdef") == ""
	}
	return strings.Trim(label, "0123456789") == ""
}

// nat64 is the well-known prefix (RFC 6052 §2.1); the last four bytes are an IPv4 address.
var nat64 = netip.MustParsePrefix("64:ff9b::/96")

// appendIPv6 appends an address in brackets in its shortest form (RFC 5952). One that holds
// an IPv4 address becomes that (Safe Browsing v5).
func appendIPv6(dst []byte, raw string) ([]byte, Marks, error) {
	if raw[len(raw)-1] != ']' {
		return dst, 0, reason("no ] after the address")
	}
	text, _, zone := strings.Cut(raw[1:len(raw)-1], "%")
	addr, err := netip.ParseAddr(text)
	if err != nil || addr.Is4() {
		return dst, 0, reason("no IPv6 address between the brackets")
	}
	var marks Marks
	if zone { // browsers have no zones (RFC 6874)
		marks |= OddHost
	}
	if nat64.Contains(addr) {
		bytes := addr.As16()
		addr = netip.AddrFrom4([4]byte(bytes[12:]))
	}
	if addr = addr.Unmap(); addr.Is4() {
		return addr.AppendTo(dst), marks | Respelled, nil
	}
	dst = append(dst, '[')
	dst = addr.AppendTo(dst)
	return append(dst, ']'), marks, nil
}

// hasInvisible reports whether text holds a character that is not seen and has
// no use in a link: soft hyphen, zero-width space, bidi controls and the like.
func hasInvisible(text []byte) bool {
	for i := 0; i < len(text); {
		if text[i] < utf8.RuneSelf {
			i++
			continue
		}
		r, n := utf8.DecodeRune(text[i:])
		i += n
		switch {
		case r == 0xad, r == 0x34f, r == 0x61c, r == 0x180e, r == 0xfeff, r == 0x200b,
			0x200e <= r && r <= 0x200f, 0x202a <= r && r <= 0x202e,
			0x2060 <= r && r <= 0x2064, 0x2066 <= r && r <= 0x206f:
			return true
		}
	}
	return false
}

// hasJoiner looks for the zero-width joiners, which Persian and Indic words in a path need.
func hasJoiner(text []byte) bool {
	return strings.ContainsAny(string(text), "\u200c\u200d")
}
