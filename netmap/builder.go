package netmap

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Bounds of what a Builder takes. The global routing table of 2026 has some
// 1.3 million prefixes and 120,000 autonomous systems.
const (
	defaultMaxPrefixes = 4 << 20
	defaultMaxBytes    = 16 << 30 // of one file, unpacked: dumps of big collectors are gigabytes
	maxNames           = 1 << 19
	maxNameBytes       = 256 // the longest in the tables looked at has 167
)

// Builder gathers what files say and makes a [Map] of it. The zero value is
// ready for use. It is not safe for concurrent use. It needs 24 bytes a prefix,
// and twice that while a Map is made.
type Builder struct {
	// MaxPrefixes bounds what is gathered; 0 stands for 4,194,304. A range
	// counts as the prefixes that it is made of, at most 254.
	MaxPrefixes int
	// MaxBytes bounds one file, unpacked; 0 stands for 16 GB.
	MaxBytes int64

	v4, v6 []entry
	names  map[uint32]string
}

// Load makes a Map of files and says what it found in each. The order is that
// of [Builder.Read] calls. With an error there is no Map, and the last Summary
// is of the file that broke.
func Load(files ...string) (*Map, []Summary, error) {
	var b Builder
	var found []Summary
	for _, name := range files {
		f, err := os.Open(name)
		if err != nil {
			return nil, found, err
		}
		sum, err := b.Read(f)
		f.Close()
		found = append(found, sum)
		if err != nil {
			return nil, found, fmt.Errorf("read %s: %w", name, err)
		}
	}
	return b.Map(), found, nil
}

// Map makes a Map of what was read up to now. The Builder may read on.
func (b *Builder) Map() *Map {
	m := &Map{names: pack(b.names)}
	b.v4, b.v6 = tidy(b.v4), tidy(b.v6)
	m.v4, m.v6 = newIPv4(b.v4), newIPv6(b.v6)
	m.n = len(b.v4) + len(b.v6)
	return m
}

// tidy sorts entries, and of equal prefixes keeps what was said last.
func tidy(entries []entry) []entry {
	slices.SortStableFunc(entries, entry.compare)
	kept := entries[:0]
	for _, e := range entries {
		if n := len(kept); n > 0 && kept[n-1].compare(e) == 0 {
			kept[n-1] = e
		} else {
			kept = append(kept, e)
		}
	}
	return kept
}

func pack(m map[uint32]string) names {
	n := names{as: slices.Sorted(maps.Keys(m)), ends: make([]uint32, len(m))}
	var text strings.Builder
	for i, as := range n.as {
		text.WriteString(m[as])
		n.ends[i] = uint32(text.Len())
	}
	n.text = strings.Clone(text.String())
	return n
}

var (
	errRange    = errors.New("the range ends before it begins")
	errFamilies = errors.New("the range begins and ends in different families")
	errLength   = errors.New("the prefix is longer than an address")
)

// fullError ends the reading of a file.
type fullError struct{ what string }

func (e *fullError) Error() string { return "more than " + e.what }

// add keeps the range from first to last, both inclusive, as the fewest
// prefixes that fill it. It returns false if the range is nobody's.
func (b *Builder) add(first, last netip.Addr, as uint32) (bool, error) {
	first, last = first.Unmap(), last.Unmap()
	switch {
	case first.Is4() != last.Is4():
		return false, errFamilies
	case last.Less(first):
		return false, errRange
	}
	begin, end := keyOf(first), keyOf(last)
	if first.Is4() {
		end = end.last(32)
	}
	if as == 0 || begin == (key{}) && end == begin.last(0) {
		return false, nil
	}
	for more := true; more; {
		n := begin.shortest()
		for begin.last(n).compare(end) > 0 {
			n++
		}
		if err := b.keep(first.Is4(), entry{begin, origin{as, uint8(n)}}); err != nil {
			return false, err
		}
		if begin, more = begin.last(n).next(); more {
			more = begin.compare(end) <= 0
		}
	}
	return true, nil
}

// addPrefix keeps the prefix of n bits that holds a.
func (b *Builder) addPrefix(a netip.Addr, n int, as uint32) (bool, error) {
	if a.Is4In6() && n >= 96 {
		a, n = a.Unmap(), n-96
	}
	if n < 0 || n > a.BitLen() {
		return false, errLength
	}
	p, err := a.Prefix(n)
	if err != nil {
		return false, err
	}
	if as == 0 || n == 0 {
		return false, nil
	}
	return true, b.keep(a.Is4(), entry{keyOf(p.Addr()), origin{as, uint8(n)}})
}

func (b *Builder) keep(is4 bool, e entry) error {
	limit := b.MaxPrefixes
	if limit == 0 {
		limit = defaultMaxPrefixes
	}
	if len(b.v4)+len(b.v6) >= limit {
		return &fullError{fmt.Sprintf("%d prefixes", limit)}
	}
	if is4 {
		b.v4 = append(b.v4, e)
	} else {
		b.v6 = append(b.v6, e)
	}
	return nil
}

// name keeps the name of an AS, made fit to be shown.
func (b *Builder) name(as uint32, name string) error {
	if name == "" || b.names[as] == name {
		return nil
	}
	name = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == utf8.RuneError {
			return -1
		}
		return r
	}, name)
	if len(name) > maxNameBytes {
		cut := maxNameBytes
		for !utf8.RuneStart(name[cut]) {
			cut--
		}
		name = name[:cut]
	}
	if name = strings.TrimSpace(name); name == "" {
		return nil
	}
	if b.names == nil {
		b.names = make(map[uint32]string)
	}
	if _, ok := b.names[as]; !ok && len(b.names) == maxNames {
		return &fullError{fmt.Sprintf("%d names", maxNames)}
	}
	b.names[as] = strings.Clone(name)
	return nil
}
