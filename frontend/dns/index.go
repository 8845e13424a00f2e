package dns

import (
	"crypto/sha256"
	"encoding/hex"
	"hash/maphash"
	"math/bits"
	"net/netip"
	"strings"

	"headlight.example/blocklist"
	"headlight.example/evidence"
)

// index is an edition as DNS asks for it. It never changes. It holds no names but
// 61 bits of a hash of each under a seed of its own, and what is said of it: that
// two names in a list of millions are taken for each other happens once in 10^11
// questions, and nobody can bring it about. A name costs 20 to 45 bytes, with its
// hashed form and the names above it.
type index struct {
	edition *blocklist.Edition
	seed    maphash.Seed
	slots   []uint64 // 0: free; else 61 bits of hash and 3 of what
	shift   int
	soa     []byte // see Server.soaTail
}

// what is said of a key: a threat by its number, or that something lies below.
type what uint8

const (
	nothing what = 0
	below   what = 7 // there are names below it (an empty non-terminal)
)

// Keys of the three sorts never meet: the first byte of a name in wire form is
// the length of a label, which is at most 63.
const (
	addrSort   = 0xf0
	hashedSort = 0xf1
)

// hashedBytes is how much of the SHA-256 of a name is asked for: 32 digits.
const hashedBytes = 16

func newIndex(e *blocklist.Edition) *index {
	x := &index{edition: e, seed: maphash.MakeSeed()}
	names := 0
	for _, entry := range e.Entries() {
		if entry.Kind == blocklist.Name || entry.Kind == blocklist.Addr {
			names++
		}
	}
	// Each name is there as it is and hashed; those above it are shared.
	size := max(1<<bits.Len(uint(names*2+names/4)), 64)
	x.slots, x.shift = make([]uint64, size), 64-bits.Len(uint(size-1))
	used := 0
	var key []byte
	for i := range e.Entries() {
		entry := &e.Entries()[i]
		w := what(entry.Threat)
		switch entry.Kind {
		case blocklist.Addr:
			if a, err := netip.ParseAddr(strings.Trim(entry.Host(), "[]")); err == nil {
				used += x.add(appendAddr(key[:0], a), w)
			}
		case blocklist.Name:
			host := entry.Host()
			var ok bool
			if key, ok = appendWire(key[:0], host); !ok {
				continue
			}
			used += x.add(key, w)
			for n := int(key[0]) + 1; n < len(key); n += int(key[n]) + 1 {
				used += x.add(key[n:], below)
			}
			sum := sha256.Sum256([]byte(host))
			key = append(append(key[:0], hashedSort), sum[:hashedBytes]...)
			used += x.add(key, w)
		}
		if used > len(x.slots)*3/4 {
			x.grow()
		}
	}
	return x
}

// add adds a key; of two words on one the first stands, but for below. It gives 1
// if the key is new.
func (x *index) add(key []byte, w what) int {
	h := maphash.Bytes(x.seed, key) &^ 7
	for i := x.first(h); ; i = (i + 1) & (len(x.slots) - 1) {
		switch s := x.slots[i]; {
		case s == 0:
			x.slots[i] = h | uint64(w)
			return 1
		case s&^7 == h:
			if what(s&7) == below {
				x.slots[i] = h | uint64(w)
			}
			return 0
		}
	}
}

func (x *index) first(h uint64) int { return int(h >> x.shift) }

// grow doubles the table: there were more names above than thought.
func (x *index) grow() {
	old := x.slots
	x.slots = make([]uint64, 2*len(old))
	x.shift--
	for _, s := range old {
		if s == 0 {
			continue
		}
		i := x.first(s)
		for x.slots[i] != 0 {
			i = (i + 1) & (len(x.slots) - 1)
		}
		x.slots[i] = s
	}
}

func (x *index) find(key []byte) what {
	h := maphash.Bytes(x.seed, key) &^ 7
	for i := x.first(h); ; i = (i + 1) & (len(x.slots) - 1) {
		s := x.slots[i]
		if s == 0 {
			return nothing
		}
		if s&^7 == h {
			return what(s & 7)
		}
	}
}

// appendWire appends a host in wire form: each label behind its length, without
// the root. It is false for what is no name of DNS.
func appendWire(b []byte, host string) ([]byte, bool) {
	for label := range strings.SplitSeq(host, ".") {
		if label == "" || len(label) > 63 {
			return b, false
		}
		b = append(append(b, byte(len(label))), label...)
	}
	return b, len(b) < 254
}

func appendAddr(b []byte, a netip.Addr) []byte {
	raw := a.As16()
	return append(append(b, addrSort), raw[:]...)
}

const maxLabels = 127 // RFC 1035 §2.3.4: 255 octets, and a label has two at least

// lookup says what is known of a name, given in lower case and wire form without
// the zone. What it is depends on its form:
//
//	7.2.0.192                   an IPv4 address, reversed (RFC 5782 §2.1)
//	7.0.0.0.….8.b.d.0.1.0.0.2   an IPv6 address (§2.4)
//	32 hexadecimal digits       the first half of the SHA-256 of a listed name
//	www.bad.example             a name (§3): itself, or the first above it that is listed
//	test, invalid, 127.0.0.2    the test entries (§5)
func (x *index) lookup(name []byte) what {
	var starts [maxLabels + 1]uint8
	n, numbers, nibbles := 0, true, true
	for at := 0; at < len(name) && n < maxLabels; n++ {
		starts[n] = uint8(at)
		label := name[at+1 : at+1+int(name[at])]
		numbers = numbers && isNumber(label)
		nibbles = nibbles && len(label) == 1 && hexValue(label[0]) >= 0
		at += len(label) + 1
	}
	switch {
	case n == 0:
		return below
	case numbers && n <= 4:
		if n < 4 {
			return below // there may be, and nobody loses by it
		}
		return x.addr(reversed4(name))
	case nibbles:
		if n < 32 {
			return below
		}
		if n > 32 {
			return nothing
		}
		return x.addr(reversed6(name))
	case n == 1:
		switch label := string(name[1:]); label {
		case "test":
			return testEntry
		case "invalid":
			return nothing
		default:
			var key [1 + hashedBytes]byte
			key[0] = hashedSort
			if len(label) == hex.EncodedLen(hashedBytes) {
				if _, err := hex.Decode(key[1:], name[1:]); err == nil {
					return x.find(key[:])
				}
			}
		}
	}
	found := nothing
	for i := range n {
		if w := x.find(name[starts[i]:]); w != nothing && w != below {
			return w
		} else if i == 0 {
			found = w
		}
	}
	return found
}

// testEntry says that a name is listed without saying for what.
const testEntry = what(evidence.Spam) + 1

func (x *index) addr(a netip.Addr) what {
	if a == netip.AddrFrom4([4]byte{127, 0, 0, 2}) { // RFC 5782 §5, and §5.1 for ::FFFF:7F00:2
		return testEntry
	}
	var key [1 + 16]byte
	return x.find(appendAddr(key[:0], a))
}

// isNumber reports a number of 0 to 255 without leading noughts.
func isNumber(label []byte) bool {
	if len(label) == 0 || len(label) > 3 || len(label) > 1 && label[0] == '0' {
		return false
	}
	n := 0
	for _, c := range label {
		if c < '0' || c > '9' {
			return false
		}
		n = n*10 + int(c-'0')
	}
	return n <= 255
}

func hexValue(c byte) int {
	switch {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'a' <= c && c <= 'f':
		return int(c-'a') + 10
	}
	return -1
}

func reversed4(name []byte) netip.Addr {
	var a [4]byte
	for i := 3; i >= 0; i-- {
		n := int(name[0])
		for _, c := range name[1 : 1+n] {
			a[i] = a[i]*10 + c - '0'
		}
		name = name[1+n:]
	}
	return netip.AddrFrom4(a)
}

func reversed6(name []byte) netip.Addr {
	var a [16]byte
	for i := range 32 { // the first label is the last nibble
		v := byte(hexValue(name[2*i+1]))
		if at := 15 - i/2; i%2 == 0 {
			a[at] = v
		} else {
			a[at] |= v << 4
		}
	}
	return netip.AddrFrom16(a).Unmap()
}
