package dns

import (
	"net"
	"net/netip"
	"time"
)

// Packet answers a packet.
func (s *Server) Packet(raw []byte, from netip.Addr) []byte {
	return s.packet(raw, from, time.Now(), make([]byte, 0, maxUDP))
}

// Load makes the index of the newest edition, as Serve does.
func (s *Server) Load() { s.store(s.cfg.Shelf.Latest()) }

// Limiter counts as the server does: 0 admitted, 1 dropped, 2 slipped.
func Limiter(most uint32) func(netip.Addr, time.Time) uint8 {
	l := newLimiter(most)
	return func(a netip.Addr, now time.Time) uint8 { return uint8(l.take(a, now)) }
}

// Plain answers a packet if it is plain, Other as if it were not.
func (s *Server) Plain(raw []byte, from netip.Addr) []byte {
	return s.plain(raw, from, make([]byte, 0, maxUDP))
}

func (s *Server) Other(raw []byte, from netip.Addr) []byte {
	return s.other(raw, from, time.Now(), make([]byte, 0, maxUDP))
}

// PacketIn is Packet in the space given.
func (s *Server) PacketIn(raw []byte, from netip.Addr, space []byte) []byte {
	return s.packet(raw, from, time.Time{}, space)
}

// Guard is the listener of Serve.
func (s *Server) Guard(l net.Listener) net.Listener { return &guarded{l, s} }
