package evidence

import (
	"encoding/binary"
	"strings"
)

// The index answers "which records speak of this name?" without reading the
// whole log. The log is cut into segments of 2^16 sequences. Each record has
// terms: 32-bit hashes of the names it concerns. When a segment is complete,
// its postings (term, place in the segment) are written in rows by the upper
// eight bits of the term, in the commit that completes it; those of the
// segment that is being filled are kept in memory, and are made anew from the
// blocks at Open. A row costs one read: 150 reads find a name in 10 million
// records. Terms may collide; whoever looks up compares the subjects.
//
// A row, version 1, holds for each posting the lower 24 bits of the term and
// the lower 16 of the sequence, both big-endian, in the order of the log.
const (
	segmentBits = 16
	segmentMask = 1<<segmentBits - 1
	rowBits     = 8
	postingSize = 3 + 2
)

// posting is a term in the upper half, and below it a place: the lower bits of
// a sequence, or until it has one the number of a record in its chunk.
type posting uint64

func (p posting) term() uint32  { return uint32(p >> 32) }
func (p posting) place() uint64 { return uint64(uint32(p)) }

// maxTerms bounds the terms of one name: itself and its nearest seven parents
// from the root down. The deepest suffix in the public suffix list has five labels.
const maxTerms = 8

// appendPostings adds the terms of a record at a place. Both its ends are
// indexed: an address must find the hosts that resolved to it.
func appendPostings(ps []posting, r *Record, place int) []posting {
	ps = appendTerms(ps, r.Subject, place)
	if r.Object.Kind != 0 {
		ps = appendTerms(ps, r.Object, place)
	}
	return ps
}

// appendTerms adds the terms of a subject: its whole key where it has no host;
// else its host and the parents of it that have two labels or more, so that a
// tenant or a domain finds what was said of the hosts below it.
//
//	url a.b.example/x → a.b.example, b.example
func appendTerms(ps []posting, s Subject, place int) []posting {
	name := termName(s)
	h := uint64(fnvOffset)
	// From the end to the front, so that one pass gives the hash of each parent.
	labels, terms := 1, 0
	isName := s.Kind != Addr && s.Kind != Fact && !isAddr(name)
	for i := len(name) - 1; i >= 0; i-- {
		if name[i] == '.' && isName {
			if labels >= 2 && terms < maxTerms-1 {
				ps = append(ps, posting(mix(h))<<32|posting(place))
				terms++
			}
			labels++
		}
		h = (h ^ uint64(name[i])) * fnvPrime
	}
	return append(ps, posting(mix(h))<<32|posting(place))
}

// termOf is the term by which what s covers is found.
func termOf(s Subject) uint32 {
	name := termName(s)
	h := uint64(fnvOffset)
	for i := len(name) - 1; i >= 0; i-- {
		h = (h ^ uint64(name[i])) * fnvPrime
	}
	return mix(h)
}

// termName is the host of a subject in clear, or its key where it has none. An
// address has one term, be it a host or not.
func termName(s Subject) string {
	name := s.Key
	switch s.Kind {
	case URL, Path, Tenant, Sealed:
		name, _, _ = strings.Cut(name, "/")
	}
	return unbracket(name)
}

// isAddr tells an address from a name: no top-level domain ends in a digit.
func isAddr(host string) bool {
	return host == "" || host[len(host)-1] >= '0' && host[len(host)-1] <= '9'
}

// FNV-1a with 64 bits, mixed down to 32. Terms are on disk: they never change.
const (
	fnvOffset = 14695981039346656037
	fnvPrime  = 1099511628211
)

func mix(h uint64) uint32 {
	h *= 0x9e3779b97f4a7c15
	return uint32(h >> 32)
}

// rows puts the postings of one segment, in the order of the log, into rows.
func rows(ps []posting) *[1 << rowBits][]byte {
	var counts [1 << rowBits]int
	for _, p := range ps {
		counts[p.term()>>(32-rowBits)]++
	}
	var r [1 << rowBits][]byte
	all := make([]byte, 0, len(ps)*postingSize)
	for i, n := range counts {
		r[i], all = all[:0:n*postingSize], all[n*postingSize:n*postingSize]
	}
	for _, p := range ps {
		t := p.term()
		row := &r[t>>(32-rowBits)]
		*row = append(*row, byte(t>>16), byte(t>>8), byte(t), byte(p.place()>>8), byte(p.place()))
	}
	return &r
}

// searchRow appends to seqs the sequences in a row of a segment that have the term.
func searchRow(seqs []uint64, row []byte, term uint32, segment uint64) []uint64 {
	for ; len(row) >= postingSize; row = row[postingSize:] {
		if row[2] == byte(term) && row[1] == byte(term>>8) && row[0] == byte(term>>16) {
			seqs = append(seqs, segment<<segmentBits|uint64(binary.BigEndian.Uint16(row[3:])))
		}
	}
	return seqs
}
