package safebrowsing

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"sort"
	"strings"
	"sync"

	"headlight.example/blocklist"
	"headlight.example/evidence"
	"headlight.example/link"
	"headlight.example/reputation"
)

// list numbers what is published. The numbers stand in version tokens and so must
// not change.
type list uint8

const (
	social   list = iota // phishing
	malware              // malware
	unwanted             // unwanted software
	safe                 // likely safe: the global cache
	nothing              // lists that browsers ask for and that we have nothing for
	numLists
)

// listOf says on which list an entry is; false for what no list of Safe Browsing
// can say:
//
//   - Spam is no threat there.
//   - An expression that ends in a slash speaks of all below it, and of a front page
//     of all of its host, while an entry of kind URL is one page. Below a directory
//     are pages of whoever made the page, so that it is published, unless it is the
//     root of a host, or of a path that is a tenant's, or above it.
//   - An expression also speaks of the same path on the hosts below. Below a public
//     suffix or the root of a platform these are other people's.
func listOf(e *blocklist.Entry) (list, bool) {
	var to list
	switch e.Threat {
	case evidence.Phishing:
		to = social
	case evidence.Malware:
		to = malware
	case evidence.Unwanted:
		to = unwanted
	default:
		return 0, false
	}
	if e.Kind != blocklist.URL {
		return to, true
	}
	host := e.Host()
	if suffix, _ := link.PublicSuffix(host); suffix == host {
		return 0, false
	}
	l, err := link.Parse("http://" + e.Expression)
	if err != nil || l.PlatformRoot() {
		return 0, false
	}
	if strings.HasSuffix(e.Expression, "/") && l.Query() == "" {
		root := host + "/"
		if t := l.Tenant(); strings.Contains(t, "/") {
			root = t + "/"
		}
		if len(e.Expression) <= len(root) {
			return 0, false
		}
	}
	return to, true
}

// hash is the SHA-256 of an expression.
type hash = [sha256.Size]byte

func compareHashes(a, b hash) int { return bytes.Compare(a[:], b[:]) }

// contents is one state of a list. It never changes, but for what is made of it on
// demand, and is safe for concurrent use.
type contents struct {
	hashes []hash   // sorted, each once
	starts []uint32 // where the hashes begin whose first bits are at least the index
	shift  uint     // 32 less the number of those bits

	mu    sync.Mutex
	sizes map[int]*prefixes
}

// newContents takes sorted hashes.
func newContents(sorted []hash) *contents {
	bits := uint(0)
	for len(sorted)>>(bits+3) > 0 && bits < 24 {
		bits++
	}
	c := &contents{hashes: sorted, shift: 32 - bits, starts: make([]uint32, 1<<bits+1), sizes: make(map[int]*prefixes)}
	next := 0
	for i := range sorted {
		for at := int(uint64(head(sorted[i][:])) >> c.shift); next <= at; next++ {
			c.starts[next] = uint32(i)
		}
	}
	for ; next < len(c.starts); next++ {
		c.starts[next] = uint32(len(sorted))
	}
	return c
}

// head is the first four bytes of a hash or prefix.
func head(b []byte) uint32 { return binary.BigEndian.Uint32(b) }

// with gives the hashes that start with a prefix of four bytes or more.
func (c *contents) with(prefix []byte) []hash {
	at := int(uint64(head(prefix)) >> c.shift)
	part := c.hashes[c.starts[at]:c.starts[at+1]]
	n := len(prefix)
	from := sort.Search(len(part), func(i int) bool { return bytes.Compare(part[i][:n], prefix) >= 0 })
	to := from
	for to < len(part) && bytes.Equal(part[to][:n], prefix) {
		to++
	}
	return part[from:to]
}

func (c *contents) has(h *hash) bool {
	at := int(uint64(head(h[:])) >> c.shift)
	for _, x := range c.hashes[c.starts[at]:c.starts[at+1]] { // eight, on average
		if x == *h {
			return true
		}
	}
	return false
}

// changed gives the contents without some hashes and with others.
func (c *contents) changed(removed, added []hash) *contents {
	if len(removed) == 0 && len(added) == 0 {
		return c
	}
	slices.SortFunc(removed, compareHashes)
	slices.SortFunc(added, compareHashes)
	out := make([]hash, 0, len(c.hashes)+len(added))
	for _, h := range c.hashes {
		for len(added) > 0 && compareHashes(added[0], h) <= 0 {
			out = append(out, added[0])
			added = added[1:]
		}
		for len(removed) > 0 && compareHashes(removed[0], h) < 0 {
			removed = removed[1:]
		}
		if len(removed) > 0 && removed[0] == h {
			continue
		}
		out = append(out, h)
	}
	return newContents(slices.Compact(append(out, added...)))
}

// prefixes are those of one size: sorted, each once, one behind the other.
type prefixes struct {
	size int
	all  []byte
	sum  hash // of all

	mu    sync.Mutex
	forms map[form]*encoded
}

// prefixes gives those of a size of four to 32 bytes, made when first asked for.
func (c *contents) prefixes(size int) *prefixes {
	c.mu.Lock()
	defer c.mu.Unlock()
	if p := c.sizes[size]; p != nil {
		return p
	}
	p := &prefixes{size: size, all: make([]byte, 0, size*len(c.hashes)), forms: make(map[form]*encoded)}
	for i := range c.hashes {
		x := c.hashes[i][:size]
		if n := len(p.all); n == 0 || !bytes.Equal(p.all[n-size:], x) {
			p.all = append(p.all, x...)
		}
	}
	p.sum = sha256.Sum256(p.all)
	c.sizes[size] = p
	return p
}

func (p *prefixes) len() int { return len(p.all) / p.size }

func (p *prefixes) at(i int) []byte { return p.all[i*p.size : (i+1)*p.size] }

// rank is how many are below a prefix.
func (p *prefixes) rank(prefix []byte) int {
	return sort.Search(p.len(), func(i int) bool { return bytes.Compare(p.at(i), prefix) >= 0 })
}

// through is how many have a head of at most last.
func (p *prefixes) through(last uint32) int {
	if last == whole {
		return p.len()
	}
	return sort.Search(p.len(), func(i int) bool { return head(p.at(i)) > last })
}

// state is all lists as of one edition.
type state struct {
	edition *blocklist.Edition
	lists   [numLists]*contents
}

// after makes the state of an edition, from the one before if the changes are
// known.
func (s *Server) after(old *state, e *blocklist.Edition) *state {
	now := &state{edition: e}
	if old != nil {
		if d, ok := s.cfg.Shelf.Between(old.edition.Serial(), e.Serial()); ok {
			removed, added := hashesByList(d.Removed), hashesByList(d.Added)
			for l := range now.lists {
				now.lists[l] = old.lists[l].changed(removed[l], added[l])
			}
			return now
		}
	}
	all := hashesByList(e.Entries())
	for name := range reputation.WellKnownNames() {
		if l, err := link.Parse("http://" + name + "/"); err == nil && !l.PlatformRoot() {
			all[safe] = append(all[safe], link.Hash(name+"/"))
		}
	}
	for l := range now.lists {
		slices.SortFunc(all[l], compareHashes)
		now.lists[l] = newContents(slices.Compact(all[l]))
	}
	return now
}

// hashesByList hashes the expressions of entries that are on a list.
func hashesByList(entries []blocklist.Entry) (all [numLists][]hash) {
	for i := range entries {
		if l, ok := listOf(&entries[i]); ok {
			all[l] = append(all[l], link.Hash(entries[i].Expression))
		}
	}
	return all
}
