package reputation

import "headlight.example/evidence"

// A diary is what a tenant has added to the markers on one day: a filter of 256
// bits, in which a marker and a side (bad or good) have one. A bit that is set
// is not counted again, so that a tenant adds one unit of a side to a marker,
// and a campaign of 200,000 URLs at most as many as there are bits. Which of two
// that share a bit is counted depends on which came first: with the two dozen
// markers of a usual day, one in twenty is not.
//
//	word 0: tag 16 | day 16 | lessons 8      words 1–4: the filter
type diary struct {
	w  [5]uint64
	at place
	h  uint64
}

const maxLessons = 3 // bad links of a tenant that teach on one day

// diaryOf is the hash of a tenant's diary.
func diaryOf(tenant uint64) uint64 { return evidence.Join(tenant, tagDiary) }

func (t *Table) openDiary(tenant uint64, d uint16) (y diary, ok bool) {
	y.h = diaryOf(tenant)
	y.w, y.at = t.openWords(y.h)
	day := tagDay(&y.w)
	if y.at.ok && d < day {
		return y, false // what is said late of an earlier day is not counted
	}
	if !y.at.ok || d > day {
		y.w = [5]uint64{tagDiary | uint64(d)<<16}
	}
	return y, true
}

// claim sets the bit of a marker; false if it was set.
func (y *diary) claim(marker uint64, bad bool) bool {
	if bad {
		marker = evidence.Join(marker, 1)
	}
	word, bit := 1+marker>>62, uint64(1)<<(marker>>56&63)
	if y.w[word]&bit != 0 {
		return false
	}
	y.w[word] |= bit
	return true
}

// lesson counts a lesson; false if the day has had enough.
func (y *diary) lesson() bool {
	if uint8(y.w[0]>>32) >= maxLessons {
		return false
	}
	y.w[0] += 1 << 32
	return true
}

func (t *Table) closeDiary(y *diary) { t.putWords(y.h, y.at, &y.w) }
