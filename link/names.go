package link

import (
	_ "embed"
	"strings"
)

//go:generate go run gen_suffixes.go

// z_suffixes.txt holds the rules of the public suffix list; see its head.
//
//go:embed z_suffixes.txt
var suffixText string

// names holds every name that a rule speaks of: public suffixes, platforms and
// wrappers, and all their parents, so that a walk from the right may stop at the
// first name that is not in it. Built once at start, in about a millisecond.
var names = buildNames()

// nameFlags say which rules a name has.
type nameFlags uint16

const (
	nameICANN nameFlags = 1 << iota
	namePrivate
	nameException  // "!www.ck": the suffix is the parent
	nameWild       // "*.ck": every child is a suffix, of the part that wildICANN says
	nameWildICANN  //
	nameParent     // there are names below this one
	nameSubdomain  // platforms.txt
	nameCDN        // platforms.txt
	namePaths      // platforms.txt: path platforms and shorteners
	nameWrapper    // wrappers.txt: the host itself
	nameWrapperSub // wrappers.txt: every host below
)

type nameEntry struct {
	name     string
	flags    nameFlags
	paths    uint16 // index into nameTable.paths, 0: none
	wrappers uint16 // index into nameTable.wrappers, 0: none
}

// nameTable is a hash table with open addressing. A slot holds 18 bits of the
// hash and 14 bits of an index into entries, so that a miss costs one cache
// line. Its names are our own: nobody can fill it with collisions.
type nameTable struct {
	slots    []uint32
	entries  []nameEntry // entries[0] is not used: a slot of 0 is empty
	paths    []pathRules
	wrappers [][]wrapperRule
}

const (
	nameSlots     = 1 << 15
	nameIndexBits = 14 // at most 16,383 names; insert checks
	nameIndexMask = 1<<nameIndexBits - 1

	hashSeed  = 0x811c9dc5 // FNV-1a, from the last byte to the first
	hashPrime = 0x01000193
)

// spread mixes the high bits of an FNV hash, which are the good ones, downwards.
func spread(h uint32) uint32 { return h ^ h>>15 }

func hashName(name string) uint32 {
	h := uint32(hashSeed)
	for i := len(name) - 1; i >= 0; i-- {
		h = (h ^ uint32(name[i])) * hashPrime
	}
	return h
}

func (t *nameTable) lookup(name string, hash uint32) *nameEntry {
	hash = spread(hash)
	for i := hash % nameSlots; ; i = (i + 1) % nameSlots {
		s := t.slots[i]
		if s == 0 {
			return nil
		}
		if s>>nameIndexBits == hash>>nameIndexBits {
			if e := &t.entries[s&nameIndexMask]; e.name == name {
				return e
			}
		}
	}
}

// insert adds flags to a name, which it and its parents have from then on.
func (t *nameTable) insert(name string, flags nameFlags) *nameEntry {
	if e := t.lookup(name, hashName(name)); e != nil {
		e.flags |= flags
		return e
	}
	if _, parent, ok := strings.Cut(name, "."); ok {
		t.insert(parent, nameParent)
	}
	if len(t.entries) > nameIndexMask {
		panic("link: more names than the table can hold")
	}
	t.entries = append(t.entries, nameEntry{name: name, flags: flags})
	hash := spread(hashName(name))
	i := hash % nameSlots
	for t.slots[i] != 0 {
		i = (i + 1) % nameSlots
	}
	t.slots[i] = hash>>nameIndexBits<<nameIndexBits | uint32(len(t.entries)-1)
	return &t.entries[len(t.entries)-1]
}

func (t *nameTable) addSuffix(line string) error {
	part, rule := line[:2], line[2:]
	flag, wild := namePrivate, nameWild
	if part == "i " {
		flag, wild = nameICANN, nameWild|nameWildICANN
	}
	switch {
	case strings.HasPrefix(rule, "!"):
		t.insert(rule[1:], flag|nameException)
	case strings.HasPrefix(rule, "*."):
		t.insert(rule[2:], wild)
	default:
		t.insert(rule, flag)
	}
	return nil
}

func buildNames() *nameTable {
	t := &nameTable{
		slots:    make([]uint32, nameSlots),
		entries:  make([]nameEntry, 1, 1<<nameIndexBits),
		paths:    make([]pathRules, 1),
		wrappers: make([][]wrapperRule, 1),
	}
	for _, f := range []struct {
		text, comment string
		add           func(string) error
	}{
		{suffixText, "//", t.addSuffix},
		{platformText, "#", t.addPlatform},
		{wrapperText, "#", t.addWrapper},
	} {
		for line := range strings.Lines(f.text) {
			line = strings.TrimSpace(line)
			if line == "" || strings.HasPrefix(line, f.comment) {
				continue
			}
			if err := f.add(line); err != nil {
				panic("link: built-in table: " + err.Error())
			}
		}
	}
	return t
}

// lineage is what the rules say of a host. All but the entries are offsets into it.
type lineage struct {
	icann    int  // the suffix by the ICANN rules
	suffix   int  // the longest suffix by all rules of the list
	listed   bool // a rule of the list gave the suffix
	platform int  // the longest name of a platform with subdomains, that is longer than icann; else -1
	kind     Platform

	paths    int // where the longest name with path rules begins; -1: none
	pathRule *nameEntry
	wrapper  *nameEntry

	left, right int // where the last label looked at begins, and the one to its right, if any
}

// PublicSuffix is the longest public suffix of a host in canonical form, by all
// rules of the list, ICANN's and private ones; listed is false if no rule matches and it is
// the last label only, as of a name that nobody can register. An address has none.
func PublicSuffix(host string) (suffix string, listed bool) {
	if host == "" || host[0] == '[' || isDottedQuad(host) {
		return "", false
	}
	var r lineage
	r.find(host)
	return host[r.suffix:], r.listed
}

// find walks the labels of a host from the right and fills in r, which is zero.
// Where no rule matches, the last label is the suffix (publicsuffix.org: "if no
// rules match, the prevailing rule is '*'").
//
// r is not returned, nor is a Link on the way to Parse's caller: a copy of what
// has just been written field by field waits for all of the writes, as long as it
// takes to look up a name.
func (r *lineage) find(host string) {
	r.platform, r.paths = -1, -1
	hash := uint32(hashSeed)
	var above nameFlags
	first := true
	for i := len(host) - 1; i >= 0; {
		for ; i >= 0 && host[i] != '.'; i-- {
			hash = (hash ^ uint32(host[i])) * hashPrime
		}
		start := i + 1
		if first {
			r.icann, r.suffix, first = start, start, false
		}
		if above&nameWild != 0 {
			r.suffix, r.listed = start, true
			if above&nameWildICANN != 0 {
				r.icann = start
			} else {
				r.platform, r.kind = start, Subdomain
			}
		}
		r.left = start
		e := names.lookup(host[start:], hash)
		if e == nil {
			break
		}
		if e.flags&nameException != 0 {
			parent := start + strings.IndexByte(host[start:], '.') + 1
			r.suffix = parent
			if e.flags&nameICANN != 0 {
				r.icann = parent
			} else {
				r.platform = parent
			}
			break
		}
		r.take(e, start)
		above = e.flags
		if above&(nameParent|nameWild) == 0 || start == 0 {
			break
		}
		hash = (hash ^ '.') * hashPrime
		r.right = start
		i = start - 2
	}
}

// take applies the rules of a name that begins at start.
func (r *lineage) take(e *nameEntry, start int) {
	switch {
	case e.flags&nameICANN != 0:
		r.icann, r.suffix, r.listed = start, start, true
	case e.flags&namePrivate != 0:
		r.suffix, r.platform, r.kind, r.listed = start, start, Subdomain, true
	}
	if e.flags&nameSubdomain != 0 {
		r.platform, r.kind = start, Subdomain
	}
	if e.flags&nameCDN != 0 {
		r.platform, r.kind = start, CDN
	}
	if e.flags&namePaths != 0 {
		r.paths, r.pathRule = start, e
	}
	if e.flags&nameWrapperSub != 0 || e.flags&nameWrapper != 0 && start == 0 {
		r.wrapper = e
	}
}

// before returns where the label before offset at begins; at itself if it is 0.
func (r *lineage) before(host string, at int) int {
	switch {
	case at < 2:
		return 0
	case at == r.right: // most often
		return r.left
	}
	return strings.LastIndexByte(host[:at-1], '.') + 1
}
