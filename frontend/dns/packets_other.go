//go:build !linux

package dns

import (
	"net"
	"net/netip"
)

// batch is how many packets are read and written with one call to the system.
const batch = 1

// packets is a UDP socket that reads and writes one packet at a time.
type packets struct {
	net.PacketConn
	question, room [maxUDP]byte // a longer question is cut, and so malformed
	n              int
	from           net.Addr
	reply          []byte
}

// newPackets takes over the socket of a connection.
func newPackets(c net.PacketConn) (*packets, error) { return &packets{PacketConn: c}, nil }

// stop has read give no more packets.
func (p *packets) stop() { p.Close() }

// close frees what newPackets took.
func (p *packets) close() error { return nil } // stop has

// read waits for packets, and gives how many there are.
func (p *packets) read() (n int, err error) {
	if p.n, p.from, err = p.ReadFrom(p.question[:]); err != nil {
		return 0, err
	}
	return 1, nil
}

// packet is the packet that was read, and from whom it is.
func (p *packets) packet(int) ([]byte, netip.Addr) { return p.question[:p.n], addrOf(p.from) }

// space is where the answer may be made.
func (p *packets) space(int) []byte { return p.room[:0] }

// answer makes b the answer.
func (p *packets) answer(_ int, b []byte, _ int) { p.reply = b }

// write sends the answer, if there is one. What cannot be sent is lost, as UDP may be.
func (p *packets) write(m int) {
	if m > 0 {
		p.WriteTo(p.reply, p.from)
	}
}
