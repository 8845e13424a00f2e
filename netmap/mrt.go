package netmap

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
)

// MRT, RFC 6396. The path of each peer that has a prefix ends in an origin; the
// origin that most peers saw is taken, of several the lowest AS.
//
// The peers' own names and numbers are of no interest: PEER_INDEX_TABLE is
// stepped over. So are other records: updates, multicast, RIB_GENERIC, and the
// additional paths of RFC 8050.

const (
	mrtHeaderLen = 12 // §2
	// maxRecord is far above what is seen: 1,000 peers with long paths are
	// 100 KB. A longer record is a sign that the offset is wrong.
	maxRecord = 4 << 20

	// §4: types.
	mrtOSPFv2      = 11
	mrtTableDump   = 12
	mrtTableDumpV2 = 13
	mrtBGP4MP      = 16
	mrtBGP4MPET    = 17 // "ET": the body begins with microseconds, §3
	mrtISIS        = 32
	mrtISISET      = 33
	mrtOSPFv3      = 48
	mrtOSPFv3ET    = 49

	// §4.2: subtypes of TABLE_DUMP are address families.
	afiIPv4 = 1
	afiIPv6 = 2

	// §4.3: subtypes of TABLE_DUMP_V2.
	peerIndexTable = 1
	ribIPv4Unicast = 2
	ribIPv6Unicast = 4

	// RFC 4271 §4.3 and RFC 6793 §3: path attributes.
	attrExtended = 0x10 // flag: the length has two bytes
	attrASPath   = 2
	attrAS4Path  = 17

	// RFC 4271 §4.3: kinds of path segments. Confederations (RFC 5065, 3 and
	// 4) are of no interest to the outside.
	asSet      = 1
	asSequence = 2
)

var errShort = errors.New("shorter than what is in it")

func (b *Builder) readMRT(in *bufio.Reader, sum *Summary) error {
	sum.Format = "mrt"
	d := &dump{}
	var head [mrtHeaderLen]byte
	var body []byte
	for {
		at := EntryError{Offset: sum.Bytes}
		if n, err := io.ReadFull(in, head[:]); err == io.EOF {
			return d.flush(b, sum)
		} else if err != nil {
			return d.broken(b, sum, fmt.Errorf("%d bytes of its header: %w", n, err))
		}
		kind, subtype := binary.BigEndian.Uint16(head[4:]), binary.BigEndian.Uint16(head[6:])
		size := binary.BigEndian.Uint32(head[8:])
		if size > maxRecord {
			return d.broken(b, sum, fmt.Errorf("%d bytes long, more than %d", size, maxRecord))
		}
		body = slices.Grow(body[:0], int(size))[:size]
		if n, err := io.ReadFull(in, body); err != nil {
			return d.broken(b, sum, fmt.Errorf("%d of %d bytes: %w", n, size, noEOF(err)))
		}
		var err error
		switch {
		case kind == mrtTableDumpV2 && (subtype == ribIPv4Unicast || subtype == ribIPv6Unicast):
			if err = d.flush(b, sum); err != nil { // the votes of a row are still there
				break
			}
			var kept bool
			kept, at.Err = b.rib(d, body, subtype == ribIPv4Unicast)
			err = sum.take(kept, at)
		case kind == mrtTableDump && (subtype == afiIPv4 || subtype == afiIPv6):
			err = d.route(b, sum, at, body, subtype == afiIPv4)
		case kind == mrtTableDumpV2 && subtype == peerIndexTable:
			sum.Entries++
		case slices.Contains([]uint16{mrtOSPFv2, mrtTableDump, mrtTableDumpV2, mrtBGP4MP, mrtBGP4MPET, mrtISIS, mrtISISET, mrtOSPFv3, mrtOSPFv3ET}, kind):
			sum.Entries++
			sum.Skipped++
		default:
			at.Err = fmt.Errorf("type %d is none that is known", kind)
			err = sum.take(false, at)
		}
		if err != nil {
			return err
		}
		sum.Bytes += mrtHeaderLen + int64(size)
	}
}

// dump is what is remembered between records.
type dump struct {
	votes []uint32 // an origin for each peer

	// TABLE_DUMP has a record for each peer, those of one prefix in a row.
	open  bool
	addr  netip.Addr
	bits  int
	first EntryError // where the row began
}

// broken ends the reading at a record, and keeps what came before it.
func (d *dump) broken(b *Builder, sum *Summary, err error) error {
	at := &EntryError{Offset: sum.Bytes, Err: err}
	return errors.Join(d.flush(b, sum), at)
}

// elect gives the most frequent origin; 0 if there is none.
func (d *dump) elect() (as uint32) {
	slices.Sort(d.votes)
	most := 0
	for i := 0; i < len(d.votes); {
		n := 1
		for i+n < len(d.votes) && d.votes[i+n] == d.votes[i] {
			n++
		}
		if n > most {
			as, most = d.votes[i], n
		}
		i += n
	}
	return as
}

// rib reads RIB_IPV4_UNICAST or RIB_IPV6_UNICAST, §4.3.2: a prefix and what
// each peer has for it.
func (b *Builder) rib(d *dump, body []byte, is4 bool) (bool, error) {
	r := &cursor{b: body}
	r.next(4) // sequence number
	n := int(r.uint8())
	var a [16]byte
	size := 16
	if is4 {
		size = 4
	}
	if n > 8*size {
		return false, errLength
	}
	copy(a[:], r.next((n+7)/8))
	count := int(r.uint16())
	d.votes = d.votes[:0]
	for range count {
		r.next(2 + 4) // peer index, time
		as, err := originOf(r.next(int(r.uint16())), 4)
		if err != nil {
			return false, err
		}
		if r.short {
			return false, errShort
		}
		if as != 0 {
			d.votes = append(d.votes, as)
		}
	}
	if r.short {
		return false, errShort
	}
	if len(r.b) > 0 {
		return false, errors.New("longer than what is in it")
	}
	addr := netip.AddrFrom16(a)
	if is4 {
		addr = netip.AddrFrom4([4]byte(a[:4]))
	}
	return b.addPrefix(addr, n, d.elect())
}

// route reads TABLE_DUMP, §4.2: what one peer has for a prefix. The prefix is
// kept when the row of its records ends.
func (d *dump) route(b *Builder, sum *Summary, at EntryError, body []byte, is4 bool) error {
	r := &cursor{b: body}
	r.next(2 + 2) // view, sequence number
	var addr netip.Addr
	var peer int
	if is4 {
		addr, peer = netip.AddrFrom4([4]byte(r.pad(4))), 4
	} else {
		addr, peer = netip.AddrFrom16([16]byte(r.pad(16))), 16
	}
	n := int(r.uint8())
	r.next(1 + 4 + peer + 2) // status, time, the peer's address and AS
	as, err := originOf(r.next(int(r.uint16())), 2)
	switch {
	case r.short:
		err = errShort
	case err == nil && len(r.b) > 0:
		err = errors.New("longer than what is in it")
	case err == nil && n > addr.BitLen():
		err = errLength
	}
	if err != nil {
		at.Err = err
		return sum.take(false, at)
	}
	if d.open && (d.addr != addr || d.bits != n) {
		if err := d.flush(b, sum); err != nil {
			return err
		}
	}
	if !d.open {
		d.open, d.addr, d.bits, d.first, d.votes = true, addr, n, at, d.votes[:0]
	} else {
		sum.Entries++ // flush counts the first
	}
	if as != 0 && len(d.votes) < maxRowVotes {
		d.votes = append(d.votes, as)
	}
	return nil
}

const maxRowVotes = 1 << 16 // peers of a row that are heard: as many as TABLE_DUMP_V2 could name

// flush keeps the prefix of a row of TABLE_DUMP.
func (d *dump) flush(b *Builder, sum *Summary) error {
	if !d.open {
		return nil
	}
	d.open = false
	var kept bool
	kept, d.first.Err = b.addPrefix(d.addr, d.bits, d.elect())
	return sum.take(kept, d.first)
}

// originOf gives the AS that a route comes from, out of its path attributes
// with AS numbers of width bytes; 0 if they do not tell.
func originOf(attrs []byte, width int) (uint32, error) {
	var path, path4 asPath
	r := &cursor{b: attrs}
	for len(r.b) > 0 {
		flags, kind := r.uint8(), r.uint8()
		size := int(r.uint8())
		if flags&attrExtended != 0 {
			size = size<<8 | int(r.uint8())
		}
		value := r.next(size)
		if r.short {
			return 0, errShort
		}
		var err error
		switch {
		case kind == attrASPath:
			path, err = parsePath(value, width)
		case kind == attrAS4Path && width == 2:
			path4, err = parsePath(value, 4)
		}
		if err != nil {
			return 0, err
		}
	}
	// RFC 6793 §4.2.3: AS4_PATH tells the end of the path unless it is the
	// longer of the two, when somebody on the way has not kept it up.
	if path4.length > 0 && path4.length <= path.length {
		return path4.origin, nil
	}
	return path.origin, nil
}

// asPath is what of a path is of interest here.
type asPath struct {
	length int // a set counts as one, RFC 4271 §9.1.2.2
	// origin is the last AS that is certain: a set of several, which an
	// aggregate is made of, is passed over for who made the aggregate.
	origin uint32
}

func parsePath(b []byte, width int) (p asPath, err error) {
	r := &cursor{b: b}
	for len(r.b) > 0 {
		kind, n := r.uint8(), int(r.uint8())
		ases := r.next(n * width)
		if r.short {
			return p, errShort
		}
		if n == 0 || kind != asSequence && kind != asSet {
			continue
		}
		if kind == asSequence {
			p.length += n
		} else {
			p.length++
		}
		if kind == asSet && n > 1 {
			continue
		}
		last := ases[(n-1)*width:]
		if width == 2 {
			p.origin = uint32(binary.BigEndian.Uint16(last))
		} else {
			p.origin = binary.BigEndian.Uint32(last)
		}
	}
	return p, nil
}

// cursor reads from the front of b. Where too little is left it sets short and
// gives zeros.
type cursor struct {
	b     []byte
	short bool
}

func (r *cursor) next(n int) []byte {
	if n > len(r.b) {
		r.b, r.short = nil, true
		return nil
	}
	b := r.b[:n]
	r.b = r.b[n:]
	return b
}

// pad is next, with zeros for what is not there.
func (r *cursor) pad(n int) []byte {
	if b := r.next(n); b != nil {
		return b
	}
	return make([]byte, n)
}

func (r *cursor) uint8() uint8 { return r.pad(1)[0] }

func (r *cursor) uint16() uint16 { return binary.BigEndian.Uint16(r.pad(2)) }
