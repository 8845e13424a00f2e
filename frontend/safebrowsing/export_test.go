package safebrowsing

import (
	"slices"

	"headlight.example/link"
)

// For the tests of the codes and of what a client with limits gets.

type (
	Change = change
	Token  = token
)

const TokenLen = tokenLen

// Whole is the change for a client without anything, of expressions.
func Whole(size int, expressions ...string) *Change {
	var all []hash
	for _, x := range expressions {
		all = append(all, link.Hash(x))
	}
	slices.SortFunc(all, compareHashes)
	c := newContents(all).prefixes(size).full(limits{})
	return &c
}

func NewChange(removals []uint32, additions []byte) *Change {
	return &Change{partial: len(removals) > 0, removals: removals, additions: additions}
}

var (
	WriteV4Raw    = writeV4Raw
	WriteV4Rice   = writeV4Rice
	WriteV5       = writeV5
	ReadToken     = readToken
	FromBase64    = fromBase64
	ReadPlain     = readPlain
	AppendMatches = appendMatches
)

func (t Token) Append(id [4]byte) []byte { return t.append(nil, id) }

// List is a list of hashes as of one edition.
type List struct{ c *contents }

func NewList(hashes [][32]byte) List {
	slices.SortFunc(hashes, compareHashes)
	return List{newContents(slices.Compact(hashes))}
}

func (l List) Changed(removed, added [][32]byte) List {
	return List{l.c.changed(slices.Clone(removed), slices.Clone(added))}
}

func (l List) Hashes() [][32]byte { return l.c.hashes }

func (l List) With(prefix []byte) [][32]byte { return l.c.with(prefix) }

func (l List) Has(h [32]byte) bool { return l.c.has(&h) }

// Step is what a client gets that has the prefixes of l with heads up to last.
type Step struct {
	Partial   bool
	Removals  []uint32
	Additions []byte
	Sum       [32]byte
	Last      uint32
}

func step(c change) Step { return Step{c.partial, c.removals, c.additions, c.sum, c.last} }

func (l List) Full(size, update, database int) Step {
	return step(l.c.prefixes(size).full(limits{update, database}))
}

func (l List) Since(size int, removed, added [][32]byte, last uint32, update, database int) (Step, bool) {
	c, ok := l.c.since(l.c.prefixes(size), removed, added, last, limits{update, database})
	return step(c), ok
}

func NewToken(l byte, size int, serial, last uint32) Token { return Token{list(l), size, serial, last} }

// LeaveRoom has others hold all but n bytes of what may be held.
func (s *Server) LeaveRoom(n int) { s.held.Store(maxHeld - int64(n)) }

// Room is how much may still be held.
func (s *Server) Room() int { return maxHeld - int(s.held.Load()) }
