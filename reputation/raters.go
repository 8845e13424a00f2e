package reputation

import (
	"hash/fnv"
	"math/bits"
	"slices"
	"strings"
	"sync/atomic"
)

// raters gives each group of raters a bit. The first ownBits groups to be
// heard have one each; all later ones share the others by the hash of their
// name. So two bits are always two groups, and two groups may be taken for one,
// which errs on the side of asking for more evidence.
type raters struct {
	names atomic.Pointer[[32][]string] // replaced, never changed: readers hold it
	slots map[string]uint8             // the writer's
}

const (
	ownBits   = 24
	maxShared = 64 // names kept for a shared bit; more are known by the bit only
	heardBits = 8  // bits for users' groups in an entry's marks
	heardDays = 30 // users are forgotten when nothing was heard for so long
)

// bit is the bit of a group; it is assigned at the first call. Writer only.
func (r *raters) bit(group string) uint32 {
	slot, ok := r.slots[group]
	if !ok {
		if slot = uint8(min(len(r.slots), ownBits)); slot == ownBits {
			slot = ownBits + uint8(nameHash(group)%(32-ownBits))
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
// there are more than 24 groups, one bit may stand for several, "a or b".
func (t *Table) RaterNames(raterBits uint32) []string {
	names := t.raters.names.Load()
	if names == nil {
		return nil
	}
	var list []string
	for ; raterBits != 0; raterBits &= raterBits - 1 {
		if n := names[bits.TrailingZeros32(raterBits)]; len(n) > 0 {
			list = append(list, strings.Join(n, " or "))
		}
	}
	return list
}

// heardBit is the mark of a user's group: two marks are two groups.
func heardBit(group string) uint8 { return 1 << (nameHash(group) % heardBits) }

func nameHash(s string) uint32 {
	h := fnv.New32a()
	h.Write([]byte(s))
	return h.Sum32()
}
