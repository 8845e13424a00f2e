package safebrowsing

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"sync"
)

// whole is the last head of all.
const whole = 1<<32 - 1

// token is the version of a list as a client has it: the prefixes with heads up to
// last that the list had in an edition. Where a client limits the size, it gets
// those with the lowest heads, which is an even sample, since they are hashes.
type token struct {
	list   list
	size   int
	serial uint32
	last   uint32
}

// tokenLen is that of a token on the wire. It names the list, for v5 clients send
// versions in any order, and the installation, for another's editions have other
// contents under the same numbers.
const tokenLen = 15

const tokenForm = 1

func (t token) append(b []byte, id [4]byte) []byte {
	b = append(b, tokenForm, byte(t.list), byte(t.size))
	b = append(b, id[:]...)
	b = binary.BigEndian.AppendUint32(b, t.serial)
	return binary.BigEndian.AppendUint32(b, t.last)
}

// readToken is false for what is no token of ours: the client gets the whole.
func readToken(b []byte, id [4]byte) (t token, ok bool) {
	if len(b) != tokenLen || b[0] != tokenForm || list(b[1]) >= numLists || [4]byte(b[3:7]) != id {
		return t, false
	}
	return token{list(b[1]), int(b[2]), binary.BigEndian.Uint32(b[7:]), binary.BigEndian.Uint32(b[11:])}, true
}

// limits are a client's size constraints, in entries; 0: none.
type limits struct{ update, database int }

// leastLimit is the smallest that is heeded (the least that v5 allows): a server
// need not send lists by the spoonful.
const leastLimit = 1024

func newLimits(update, database int32) (l limits) {
	if update > 0 {
		l.update = max(int(update), leastLimit)
	}
	if database > 0 {
		l.database = max(int(database), leastLimit)
	}
	return l
}

// change is what a client must do to its prefixes.
type change struct {
	partial   bool     // else it drops what it has
	removals  []uint32 // places in its sorted prefixes, rising
	additions []byte   // sorted, one behind the other
	sum       hash     // of all that it then has
	last      uint32   // of its token then
}

// full is for a client that has nothing.
func (p *prefixes) full(lim limits) change {
	n := p.len()
	if lim.database > 0 && n > lim.database {
		n = lim.database - lim.database/16 // room to grow without dropping any
	}
	if lim.update > 0 {
		n = min(n, lim.update)
	}
	c := change{last: p.lastOf(n)}
	c.additions = p.all[:p.through(c.last)*p.size]
	c.sum = p.sumOf(c.last)
	return c
}

// lastOf is the largest head such that at most n prefixes have none above it.
func (p *prefixes) lastOf(n int) uint32 {
	if n >= p.len() {
		return whole
	}
	return max(head(p.at(n)), 1) - 1
}

// sumOf is the hash of the prefixes with heads up to last.
func (p *prefixes) sumOf(last uint32) hash {
	if last == whole {
		return p.sum
	}
	return sha256.Sum256(p.all[:p.through(last)*p.size])
}

// since is for a client that has those prefixes with heads up to last that the
// list had before some hashes were removed and others added; false if it takes as
// much to send the whole, or more than the client's limits allow.
func (c *contents) since(p *prefixes, removed, added []hash, last uint32, lim limits) (x change, ok bool) {
	var touched []touch
	for i := range removed {
		touched = append(touched, touch{removed[i][:p.size], -1})
	}
	for i := range added {
		touched = append(touched, touch{added[i][:p.size], 1})
	}
	slices.SortFunc(touched, func(a, b touch) int { return bytes.Compare(a.prefix, b.prefix) })
	x = change{partial: true, last: last}
	gone, came := 0, 0
	for len(touched) > 0 && head(touched[0].prefix) <= last {
		prefix, net := touched[0].prefix, 0
		for len(touched) > 0 && bytes.Equal(touched[0].prefix, prefix) {
			net += touched[0].by
			touched = touched[1:]
		}
		now := len(c.with(prefix))
		before := now - net
		switch {
		case before > 0 && now == 0:
			x.removals = append(x.removals, uint32(p.rank(prefix)-came+gone))
			gone++
		case before == 0 && now > 0:
			x.additions = append(x.additions, prefix...)
			came++
		}
	}
	has := p.through(last)
	if gone+came > 64+p.len()/2 || lim.update > 0 && gone+came > lim.update || lim.database > 0 && has > lim.database {
		return x, false
	}
	if last < whole { // the client has a part: there may be room for more of it
		most := p.len()
		if lim.database > 0 && most > lim.database {
			most = max(has, lim.database-lim.database/16)
		}
		if lim.update > 0 {
			most = min(most, has+lim.update-gone-came)
		}
		if to := p.lastOf(most); to > last {
			x.additions = append(x.additions, p.all[has*p.size:p.through(to)*p.size]...)
			x.last = to
		}
	}
	x.sum = p.sumOf(x.last)
	return x, true
}

// touch is a prefix of which there is one more hash, or one less.
type touch struct {
	prefix []byte
	by     int
}

// form is how a change is written, and from where; what is asked for again and
// again is kept.
type form struct {
	rice bool   // else raw
	v4   bool   // else v5
	from uint32 // the edition that the client has; 0: none
}

// encoded is the part of an answer that is the same for all clients.
type encoded struct {
	once sync.Once
	change
	body []byte
	own  bool // it is made for one client, and not kept
}

// maxForms bounds what is kept of one list and size, each at most half as large as
// the whole: clients come with the same few editions, and one that does not waits
// for some milliseconds.
const maxForms = 64

// get gives an encoding that is kept, or a place for it.
func (p *prefixes) get(f form) *encoded {
	p.mu.Lock()
	defer p.mu.Unlock()
	e := p.forms[f]
	if e == nil {
		e = &encoded{own: true}
		if len(p.forms) < maxForms || f.from == 0 {
			e.own = false
			p.forms[f] = e
		}
	}
	return e
}

// update is what a client gets of a list.
type update struct {
	*encoded
	token token
	same  bool // it has all: nothing was encoded
}

// ownBytes is what of an update only this client's answer holds.
func (u update) ownBytes() int {
	if u.own {
		return len(u.body)
	}
	return 0
}

// update finds out what a client lacks. write encodes a change of prefixes. Of a
// list that is empty clients keep no version: they get the whole, which is nothing.
func (s *Server) update(st *state, l list, size int, have *token, lim limits, f form, write func(*change, int) []byte) update {
	c := st.lists[l]
	p := c.prefixes(size)
	serial := st.edition.Serial()
	t := token{list: l, size: size, serial: serial, last: whole}
	known := have != nil && have.list == l && have.size == size
	if known && have.serial == serial && have.last == whole && p.len() > 0 && (lim.database == 0 || p.len() <= lim.database) {
		return update{&encoded{change: change{partial: true, sum: p.sum, last: whole}}, t, true}
	}
	if known && p.len() > 0 {
		if d, ok := s.cfg.Shelf.Between(have.serial, serial); ok {
			find := func() (change, bool) {
				return c.since(p, hashesByList(d.Removed)[l], hashesByList(d.Added)[l], have.last, lim)
			}
			if e, ok := p.partial(f, have, lim, find, write); ok {
				t.last = e.last
				return update{e, t, false}
			}
		}
	}
	f.from = 0
	if lim.update > 0 && lim.update < p.len() || lim.database > 0 && lim.database < p.len() {
		s.slots <- struct{}{}
		defer func() { <-s.slots }()
		e := &encoded{change: p.full(lim), own: true}
		e.body = write(&e.change, size)
		t.last = e.last
		return update{e, t, false}
	}
	e := p.get(f)
	e.once.Do(func() {
		e.change = p.full(limits{})
		e.body = write(&e.change, size)
	})
	return update{e, t, false}
}

// partial makes a partial update, or gives one that is kept; false if the whole is
// better.
func (p *prefixes) partial(f form, have *token, lim limits, find func() (change, bool), write func(*change, int) []byte) (*encoded, bool) {
	f.from = have.serial
	e := &encoded{own: true}
	if have.last == whole && lim == (limits{}) {
		e = p.get(f)
	}
	e.once.Do(func() {
		var ok bool
		if e.change, ok = find(); ok {
			e.body = write(&e.change, p.size)
		} else {
			e.change = change{}
		}
	})
	return e, e.partial
}
