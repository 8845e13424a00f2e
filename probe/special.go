package probe

import "net/netip"

// special is the addresses that a visit never goes to, and why: the IANA IPv4
// and IPv6 Special-Purpose Address Registries (RFC 6890, as updated), and what
// they lack. Blocks that the registries call globally reachable (AS112, AMT)
// are here as well: no web site lives there.
//
// Metadata services of clouds answer at 169.254.169.254, 100.100.100.200,
// 192.0.0.192 and fd00:ec2::254, which are inside of these; Azure's is not.
var special = []struct {
	prefix netip.Prefix
	what   string
	source string
}{
	{netip.MustParsePrefix("0.0.0.0/8"), "this network", "RFC 791 §3.2"},
	{netip.MustParsePrefix("10.0.0.0/8"), "private use", "RFC 1918"},
	{netip.MustParsePrefix("100.64.0.0/10"), "shared address space", "RFC 6598"},
	{netip.MustParsePrefix("127.0.0.0/8"), "loopback", "RFC 1122 §3.2.1.3"},
	{netip.MustParsePrefix("168.63.129.16/32"), "platform of Azure", "learn.microsoft.com/azure/virtual-network/what-is-ip-address-168-63-129-16"},
	{netip.MustParsePrefix("169.254.0.0/16"), "link local", "RFC 3927"},
	{netip.MustParsePrefix("172.16.0.0/12"), "private use", "RFC 1918"},
	{netip.MustParsePrefix("192.0.0.0/24"), "protocol assignments", "RFC 6890 §2.1"},
	{netip.MustParsePrefix("192.0.2.0/24"), "documentation", "RFC 5737"},
	{netip.MustParsePrefix("192.31.196.0/24"), "AS112-v4", "RFC 7535"},
	{netip.MustParsePrefix("192.52.193.0/24"), "AMT", "RFC 7450"},
	{netip.MustParsePrefix("192.88.99.0/24"), "6to4 relay anycast", "RFC 7526"},
	{netip.MustParsePrefix("192.168.0.0/16"), "private use", "RFC 1918"},
	{netip.MustParsePrefix("192.175.48.0/24"), "AS112 service", "RFC 7534"},
	{netip.MustParsePrefix("198.18.0.0/15"), "benchmarking", "RFC 2544"},
	{netip.MustParsePrefix("198.51.100.0/24"), "documentation", "RFC 5737"},
	{netip.MustParsePrefix("203.0.113.0/24"), "documentation", "RFC 5737"},
	{netip.MustParsePrefix("224.0.0.0/4"), "multicast", "RFC 5771"},
	{netip.MustParsePrefix("240.0.0.0/4"), "reserved, broadcast", "RFC 1112 §4, RFC 919 §7"},

	{netip.MustParsePrefix("::1/128"), "loopback", "RFC 4291 §2.5.3"},
	{netip.MustParsePrefix("::/96"), "unspecified, IPv4-compatible", "RFC 4291 §2.5"},
	{netip.MustParsePrefix("64:ff9b:1::/48"), "NAT64 of the local network", "RFC 8215"},
	{netip.MustParsePrefix("100::/64"), "discard only", "RFC 6666"},
	{netip.MustParsePrefix("100:0:0:1::/64"), "dummy prefix", "RFC 9780"},
	{netip.MustParsePrefix("2001::/32"), "Teredo", "RFC 4380"},
	{netip.MustParsePrefix("2001::/23"), "protocol assignments (benchmarking, ORCHID, DRIP, AMT, AS112)", "RFC 2928"},
	{netip.MustParsePrefix("2001:db8::/32"), "documentation", "RFC 3849"},
	{netip.MustParsePrefix("2002::/16"), "6to4", "RFC 3056"},
	{netip.MustParsePrefix("2620:4f:8000::/48"), "AS112 service", "RFC 7534"},
	{netip.MustParsePrefix("3fff::/20"), "documentation", "RFC 9637"},
	{netip.MustParsePrefix("5f00::/16"), "segment routing SIDs", "RFC 9602"},
	{netip.MustParsePrefix("fc00::/7"), "unique local", "RFC 4193"},
	{netip.MustParsePrefix("fe80::/10"), "link local", "RFC 4291 §2.5.6"},
	{netip.MustParsePrefix("fec0::/10"), "site local", "RFC 3879"},
	{netip.MustParsePrefix("ff00::/8"), "multicast", "RFC 4291 §2.7"},
}

var (
	// RFC 6052 §2.1: the last 32 bits are the IPv4 address that is reached.
	nat64 = netip.MustParsePrefix("64:ff9b::/96")
	// All that IANA has given out as global unicast (RFC 4291 §2.4, IPv6 Global
	// Unicast Address Assignments). What lies outside is not the Internet's, even
	// where the table above has no name for it.
	global6 = netip.MustParsePrefix("2000::/3")
)

// specialNames are the domains that DNS must not be asked for, or answers for
// the local network alone. What lies below them is not visited either.
var specialNames = []struct{ name, source string }{
	{"localhost", "RFC 6761 §6.3"},
	{"invalid", "RFC 6761 §6.4"},
	{"local", "RFC 6762 §3"},
	{"onion", "RFC 7686 §2"},
	{"alt", "RFC 9476 §2"},
	{"home.arpa", "RFC 8375 §4"},
	{"internal", "ICANN Board resolution 2024.07.29.06; metadata.google.internal"},
}
