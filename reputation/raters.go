package reputation

import (
	"hash/fnv"
	"math"
	"math/bits"
	"slices"
	"strings"
	"sync/atomic"
)

// raters gives each group of raters a bit. The first ownBits groups to be
// heard have one each; all later ones share the next by the hash of their name,
// and users' groups, of which there may be any number, the last ones. So two bits are always two groups, and two groups may be taken for one,
// which errs on the side of asking for more evidence.
type raters struct {
	names atomic.Pointer[[32][]string] // replaced, never changed: readers hold it
	slots map[string]uint8             // the writer's
}

const (
	ownBits   = 16
	listBits  = 24 // those behind ownBits are shared by lists, those behind listBits by users
	maxShared = 64 // names kept for a shared bit; more are known by the bit only
	heardBits = 7  // bits for users' groups in an entry's marks
	heardDays = 30 // users are forgotten when nothing was heard for so long
)

// bit is the bit of a group; it is assigned at the first call. Writer only.
func (r *raters) bit(group string) uint32 {
	slot, ok := r.slots[group]
	if !ok {
		if slot = uint8(min(len(r.slots), ownBits)); slot == ownBits {
			slot = ownBits + uint8(nameHash(group)%(listBits-ownBits))
			if names := r.names.Load(); len(names[slot]) >= maxShared {
				return 1 << slot
			}
		}
		r.assign(slot, group)
	}
	return 1 << slot
}

func (r *raters) assign(slot uint8, group string) {
	var names [32][]string
	if old := r.names.Load(); old != nil {
		names = *old
	}
	names[slot] = append(slices.Clip(names[slot]), group)
	if r.slots == nil {
		r.slots = make(map[string]uint8)
	}
	r.slots[group] = slot
	r.names.Store(&names)
}

// lookup is bit for a group that may never have been heard: then 0.
func (r *raters) lookup(group string) uint32 {
	if slot, ok := r.slots[group]; ok {
		return 1 << slot
	}
	return 0
}

// RaterNames says which groups the bits of a [Reason] or [Rating] stand for. If
// there are more than 16 lists, one bit may stand for several, "a or b". Users
// are not told apart: "user".
func (t *Table) RaterNames(raterBits uint32) []string {
	names := t.raters.names.Load()
	if names == nil {
		names = new([32][]string)
	}
	var list []string
	if raterBits&userBits != 0 {
		list = append(list, "user")
	}
	for ; raterBits != 0; raterBits &= raterBits - 1 {
		if n := names[bits.TrailingZeros32(raterBits)]; len(n) > 0 {
			list = append(list, strings.Join(n, " or "))
		}
	}
	return list
}

// userBit is the bit of a user's group, userBits are all of those.
func userBit(group string, taken uint32) uint32 {
	return probe(group, 32-listBits, taken>>listBits) << listBits
}

const userBits = math.MaxUint32 &^ (1<<listBits - 1)

// heardBit is the mark of a user's group. voiceMark is set when those who were
// heard had half a voice together (see trust).
func heardBit(group string, taken uint8) uint8 { return uint8(probe(group, heardBits, uint32(taken))) }

const (
	heardMarks = 1<<heardBits - 1
	voiceMark  = 1 << heardBits
)

// probe gives a group one of n bits: that of its hash or, if others have taken
// it, the next free one. In linear probing the places that a set of keys takes
// do not depend on their order and are part of those that a larger set takes: so
// two bits are two groups, on one URL and on all URLs of a site together.
func probe(group string, n int, taken uint32) uint32 {
	i := nameHash(group) % uint32(n)
	for taken&(1<<i) != 0 && taken != 1<<n-1 {
		i = (i + 1) % uint32(n)
	}
	return 1 << i
}

func nameHash(s string) uint32 {
	h := fnv.New32a()
	h.Write([]byte(s))
	return h.Sum32()
}
