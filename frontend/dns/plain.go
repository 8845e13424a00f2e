package dns

import (
	"encoding/binary"
	"net/netip"

	wire "github.com/miekg/dns"
)

// plain answers the questions that mail filters ask, by hand: one for A, AAAA or
// TXT of a plain name in the blocklist zone, with or without EDNS. It is nil for
// all others, which answer answers; a fuzz test holds both to the same.
func (s *Server) plain(raw []byte, from netip.Addr, space []byte) []byte {
	x := s.index.Load()
	if x == nil || s.zone.name == "" || len(raw) < 12 ||
		raw[2]&^0x01 != 0 || raw[3]&^0x30 != 0 || // QUERY; RD, AD and CD at most
		binary.BigEndian.Uint64(raw[4:])&^1 != 1<<48 || // one question, and perhaps one additional record
		!contains(s.cfg.Allow, from) {
		return nil
	}
	// The name in lower case; where its labels begin, newest last.
	var name [255]byte
	n, at, zoneAt := 0, 12, -1
	for {
		if at+n >= len(raw) {
			return nil
		}
		size := int(raw[at+n])
		if len(raw)-at-n < size+1 || n+size+1 > len(name) {
			return nil
		}
		if len(raw)-at-n > len(s.zone.wire) && size == int(s.zone.wire[0]) && zoneAt < 0 && s.isZone(raw[at+n:]) {
			zoneAt = n
		}
		name[n] = byte(size)
		if size == 0 {
			break
		}
		if size > 63 {
			return nil
		}
		for i, c := range raw[at+n+1 : at+n+1+size] {
			if 'A' <= c && c <= 'Z' {
				c += 'a' - 'A'
			} else if !('a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '-' || c == '_') {
				return nil
			}
			name[n+1+i] = c
		}
		n += size + 1
	}
	end := at + n + 1
	if zoneAt <= 0 || len(raw) < end+4 || raw[end+2] != 0 || raw[end+3] != wire.ClassINET {
		return nil
	}
	qtype := binary.BigEndian.Uint16(raw[end:])
	end += 4
	size := wire.MinMsgSize
	edns := raw[11] == 1
	if edns {
		var ok bool
		if size, ok = plainOPT(raw[end:]); !ok {
			return nil
		}
	} else if end != len(raw) {
		return nil
	}

	found := x.lookup(name[:zoneAt])
	a := append(space, raw[:end]...)
	a[2], a[3] = raw[2]|0x84, raw[3]&0x10 // an authoritative answer; RD and CD are echoed
	clear(a[6:12])
	listed := found != nothing && found != below
	switch {
	case qtype == wire.TypeA && listed:
		addr := addressOf(found)
		a = append(a, 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, ttl, 0, 4, addr[0], addr[1], addr[2], addr[3])
		a[7] = 1
	case qtype == wire.TypeTXT && listed:
		text := s.reason(found, dotted(name[:zoneAt]))
		a = append(a, 0xc0, 12, 0, byte(wire.TypeTXT), 0, 1, 0, 0, 0, ttl, byte((len(text)+1)>>8), byte(len(text)+1), byte(len(text)))
		a = append(a, text...)
		a[7] = 1
	case qtype == wire.TypeA || qtype == wire.TypeTXT || qtype == wire.TypeAAAA:
		if found == nothing {
			a[3] |= wire.RcodeNameError
		}
		a = append(a, 0xc0|byte((12+zoneAt)>>8), byte(12+zoneAt))
		a = append(a, x.soa...)
		a[9] = 1
	default:
		return nil
	}
	if edns {
		a = append(a, 0, 0, byte(wire.TypeOPT), maxUDP>>8, maxUDP&0xff, 0, 0, 0, 0, 0, 0)
		a[11] = 1
	}
	if len(a) > size {
		return nil
	}
	return a
}

// isZone says whether a name in wire form, at the begin of a label, is the zone's.
func (s *Server) isZone(b []byte) bool {
	if len(b) < len(s.zone.wire) {
		return false
	}
	for i, want := range s.zone.wire {
		c := b[i]
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c != want {
			return false
		}
	}
	return true
}

// plainOPT reads the record that says what EDNS the client knows (RFC 6891
// §6.1.2), and gives the size of answers that it takes. Of options it takes only
// cookies (RFC 7873), which any content may have.
func plainOPT(b []byte) (size int, ok bool) {
	if len(b) < 11 || b[0] != 0 || b[1] != 0 || b[2] != byte(wire.TypeOPT) || b[5] != 0 || b[6] != 0 ||
		int(binary.BigEndian.Uint16(b[9:])) != len(b)-11 {
		return 0, false
	}
	size = min(max(int(binary.BigEndian.Uint16(b[3:])), wire.MinMsgSize), maxUDP)
	for b = b[11:]; len(b) > 0; {
		if len(b) < 4 || binary.BigEndian.Uint16(b) != wire.EDNS0COOKIE {
			return 0, false
		}
		n := 4 + int(binary.BigEndian.Uint16(b[2:]))
		if n > len(b) {
			return 0, false
		}
		b = b[n:]
	}
	return size, true
}

// dotted is the text of a name without its zone.
func dotted(name []byte) string {
	b := make([]byte, 0, len(name))
	for at := 0; at < len(name); at += int(name[at]) + 1 {
		if at > 0 {
			b = append(b, '.')
		}
		b = append(b, name[at+1:at+1+int(name[at])]...)
	}
	return string(b)
}

// soaTail is the zone's SOA record without its owner, in wire form.
func (s *Server) soaTail(serial uint32) []byte {
	if s.zone.name == "" {
		return nil
	}
	b := make([]byte, wire.MaxMsgSize)
	n, err := wire.PackRR(s.soa(&s.zone, serial), b, 0, nil, false)
	if err != nil {
		panic(err) // its parts were looked at in New
	}
	return append([]byte(nil), b[len(s.zone.wire):n]...)
}
