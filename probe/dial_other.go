//go:build !linux

package probe

import (
	"net"
	"net/netip"
)

// dialTCP connects by the deadline of ctx, or until its flight ends.
func dialTCP(ctx sooner, addr netip.AddrPort) (net.Conn, error) {
	// One attempt at one address, no keep-alive, no proxy, no environment. DialTCP
	// resolves nothing.
	d := net.Dialer{KeepAlive: -1, FallbackDelay: -1}
	network := "tcp4"
	if addr.Addr().Is6() {
		network = "tcp6"
	}
	c, err := d.DialTCP(ctx, network, netip.AddrPort{}, addr)
	if err != nil {
		return nil, err // not a nil *TCPConn in an interface
	}
	return c, nil
}
