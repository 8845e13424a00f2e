package dns

import (
	"errors"
	"net"
	"net/netip"
	"unsafe"

	"golang.org/x/sys/unix"
)

// batch is how many packets are read and written with one call to the system.
const batch = 64

// packets is a UDP socket that reads and writes many packets with one call
// (recvmmsg(2), sendmmsg(2)). An answer takes 70 ns to make and the system 50 times
// as long to send, so what counts is to ask little of the system. The socket
// blocks, and the runtime does not watch it: each packet sent makes it writable
// again, which woke the runtime's poller for nothing. Addresses stay as the system
// writes them. And the runtime does not look after writing, which never waits: its
// monitor took the processor from the writer a hundred times a second. A stop of
// the world may so be late by the time that a batch takes, 0.2 ms.
type packets struct {
	fd        int
	in, out   [batch]message
	inv, outv [batch]unix.Iovec
	names     [batch]unix.RawSockaddrInet6 // or RawSockaddrInet4
	questions [batch][maxUDP]byte          // a longer question is cut, and so malformed
	spaces    [batch][maxUDP]byte
}

// message is struct mmsghdr of recvmmsg(2).
type message struct {
	unix.Msghdr
	n uint32
}

// newPackets takes over the socket of a connection, which it closes.
func newPackets(c net.PacketConn) (*packets, error) {
	defer c.Close()
	u, ok := c.(*net.UDPConn)
	if !ok {
		return nil, errors.New("not a UDP socket")
	}
	raw, err := u.SyscallConn()
	if err != nil {
		return nil, err
	}
	p := &packets{}
	err2 := raw.Control(func(fd uintptr) { p.fd, err = unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 0) })
	if err := errors.Join(err, err2); err != nil {
		return nil, err
	}
	if err := unix.SetNonblock(p.fd, false); err != nil {
		return nil, errors.Join(err, p.close())
	}
	for i := range batch {
		p.inv[i].Base = &p.questions[i][0]
		p.inv[i].SetLen(maxUDP)
		p.in[i].Name = (*byte)(unsafe.Pointer(&p.names[i]))
		p.in[i].Iov = &p.inv[i]
		p.in[i].SetIovlen(1)
		p.out[i].Iov = &p.outv[i]
		p.out[i].SetIovlen(1)
	}
	return p, nil
}

// stop has read give no more packets.
func (p *packets) stop() {
	// It was never connected, and the error says so; but who reads is woken, and
	// gets nothing from now on.
	unix.Shutdown(p.fd, unix.SHUT_RDWR)
}

// close frees what newPackets took. Nothing else may be called any more.
func (p *packets) close() error { return unix.Close(p.fd) }

// read waits for packets, and gives how many there are.
func (p *packets) read() (int, error) {
	for i := range p.in {
		p.in[i].Namelen = unix.SizeofSockaddrInet6
	}
	n, _, errno := unix.Syscall6(unix.SYS_RECVMMSG, uintptr(p.fd), uintptr(unsafe.Pointer(&p.in)), batch, unix.MSG_WAITFORONE, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}

// packet is the i-th packet that was read, and from whom it is.
func (p *packets) packet(i int) ([]byte, netip.Addr) {
	var from netip.Addr
	switch name := &p.names[i]; name.Family {
	case unix.AF_INET:
		from = netip.AddrFrom4((*unix.RawSockaddrInet4)(unsafe.Pointer(name)).Addr)
	case unix.AF_INET6:
		from = netip.AddrFrom16(name.Addr).Unmap()
	}
	return p.questions[i][:p.in[i].n], from
}

// space is where the m-th answer may be made.
func (p *packets) space(m int) []byte { return p.spaces[m][:0] }

// answer makes b, which is not empty, the m-th answer: to the i-th packet.
func (p *packets) answer(m int, b []byte, i int) {
	p.outv[m].Base = &b[0]
	p.outv[m].SetLen(len(b))
	p.out[m].Name, p.out[m].Namelen = p.in[i].Name, p.in[i].Namelen
}

// write sends the first m answers, and waits only if there is no room for them.
// What cannot be sent is lost, as UDP may be.
func (p *packets) write(m int) {
	for sent := 0; sent < m; {
		first, left := &p.out[sent], uintptr(m-sent)
		k, _, errno := unix.RawSyscall6(unix.SYS_SENDMMSG, uintptr(p.fd), uintptr(unsafe.Pointer(first)), left, unix.MSG_DONTWAIT, 0, 0)
		if errno == unix.EAGAIN {
			k, _, errno = unix.Syscall6(unix.SYS_SENDMMSG, uintptr(p.fd), uintptr(unsafe.Pointer(first)), left, 0, 0, 0)
		}
		if errno != 0 {
			k = 1
		}
		sent += int(k)
	}
}
