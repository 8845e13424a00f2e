package probe

import (
	"net"
	"net/netip"
	"os"
	"syscall"
)

// conn is a connection that is written to, read and closed. One of package net
// asks the system besides for both addresses and for the state, and has a goroutine
// of its own while it connects: a twentieth of what a visit takes.
type conn struct {
	*os.File
	remote netip.AddrPort
}

// LocalAddr implements net.Conn. Nobody has asked for the address.
func (c conn) LocalAddr() net.Addr { return new(net.TCPAddr) }

// RemoteAddr implements net.Conn.
func (c conn) RemoteAddr() net.Addr { return net.TCPAddrFromAddrPort(c.remote) }

// dialTCP connects by the deadline of ctx, or until its flight ends.
func dialTCP(ctx sooner, addr netip.AddrPort) (net.Conn, error) {
	domain, port := syscall.AF_INET, int(addr.Port())
	var to syscall.Sockaddr
	if a := addr.Addr().Unmap(); a.Is4() {
		to = &syscall.SockaddrInet4{Addr: a.As4(), Port: port}
	} else {
		domain, to = syscall.AF_INET6, &syscall.SockaddrInet6{Addr: a.As16(), Port: port}
	}
	fd, err := syscall.Socket(domain, syscall.SOCK_STREAM|syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	// Nothing of a handshake of TLS is held back until something before it was
	// acknowledged (tcp(7)).
	syscall.SetsockoptInt(fd, syscall.IPPROTO_TCP, syscall.TCP_NODELAY, 1)
	err = syscall.Connect(fd, to)
	c := conn{os.NewFile(uintptr(fd), "tcp"), addr}         // after that: before, the poller would say that it is closed
	if err == syscall.EINPROGRESS || err == syscall.EINTR { // it goes on in either case: connect(2)
		err = c.await(ctx, to)
	}
	if err != nil {
		c.Close()
		return nil, os.NewSyscallError("connect", err)
	}
	return c, nil
}

// await waits until the socket is connected.
func (c conn) await(ctx sooner, to syscall.Sockaddr) error {
	deadline, _ := ctx.Deadline()
	if err := c.SetDeadline(deadline); err != nil {
		return err // the poller took no more
	}
	ctx.waitOn(c)
	defer ctx.waitOn(nil)
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	// connect(2) again says what came of it: EALREADY while nothing has.
	werr := raw.Write(func(fd uintptr) bool {
		err = syscall.Connect(int(fd), to)
		return err != syscall.EALREADY
	})
	if werr != nil {
		return werr
	}
	return err
}
