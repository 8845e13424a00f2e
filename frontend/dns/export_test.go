package dns

import (
	"net/netip"
	"time"
)

// Packet answers a packet.
func (s *Server) Packet(raw []byte, from netip.Addr) []byte {
	return s.packet(raw, from, time.Now(), make([]byte, 0, maxUDP))
}

// Load makes the index of the newest edition, as Serve does.
func (s *Server) Load() { s.index.Store(newIndex(s.cfg.Shelf.Latest())) }

// Limiter counts as the server does: 0 admitted, 1 dropped, 2 slipped.
func Limiter(most uint32) func(netip.Addr, time.Time) uint8 {
	l := newLimiter(most)
	return func(a netip.Addr, now time.Time) uint8 { return uint8(l.take(a, now)) }
}
