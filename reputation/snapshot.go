package reputation

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"maps"
	"math"
	"slices"
	"time"

	"headlight.example/evidence"
)

// A snapshot is a head and a chunk a shard:
//
//	"headlght" | version u32
//	chunk 0: key check u64 | applied u64 | clock 3×u64 | groups | anchors | located and shown u64 | sightings | model | trust
//	chunk 1…1024: entries of 6×u64, by ascending key
//	chunk 1025: the lexicon, 4×u32 for each token that was ever weighed
//
// A chunk is its number u32, its length u32 (in bytes), its bytes, and the
// CRC-32C of all three. Numbers are little-endian. A snapshot is a function of
// what the table holds: two tables with the same content write the same bytes.
//
// If the file is lost, the log is folded again. It is not protected against
// forgery: who can write it can make anything look safe.
const (
	snapshotMagic   = "headlght"
	snapshotVersion = 6
	entryBytes      = 48
	tokenBytes      = 16
	// The least that a sighting takes: it has from none to MaxTokens tokens besides.
	sightingBytes = 8*(1+nRungs+1+nMarkers+2) + 4*(nFeatures+1)
	// maxHead bounds chunk 0: all the sightings that are kept, and half a million anchors.
	maxHead = 1 << 28
)

// What ReadTable may find wrong. The table is then not made at all.
var (
	ErrNotSnapshot     = errors.New("not a snapshot of a reputation table")
	ErrSnapshotVersion = errors.New("snapshot of another version")
	ErrSnapshotKey     = errors.New("snapshot was made under another key")
	ErrSnapshotTorn    = errors.New("snapshot ends too early")
	ErrSnapshotCorrupt = errors.New("snapshot is damaged")
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// WriteTo writes a snapshot. Apply waits while it runs, readers do not; it needs
// memory for one shard besides. Make the file durable before relying on it.
func (t *Table) WriteTo(w io.Writer) (int64, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	out := &counter{w: bufio.NewWriterSize(w, 1<<20)}
	out.write(binary.LittleEndian.AppendUint32([]byte(snapshotMagic), snapshotVersion))
	head := binary.LittleEndian.AppendUint64(nil, t.keyCheck())
	head = binary.LittleEndian.AppendUint64(head, t.applied.Load())
	out.chunk(0, t.appendHead(head, nil))
	var buf []byte
	for i := range t.shards {
		buf = t.shards[i].appendSorted(buf[:0], nil)
		out.chunk(uint32(i+1), buf)
	}
	out.chunk(numShards+1, t.model.appendLexicon(buf[:0]))
	if out.err == nil {
		out.err = out.w.Flush()
	}
	return out.n, out.err
}

// counter writes until the first error.
type counter struct {
	w   *bufio.Writer
	n   int64
	err error
}

func (c *counter) write(b []byte) {
	if c.err == nil {
		var n int
		n, c.err = c.w.Write(b)
		c.n += int64(n)
	}
}

func (c *counter) chunk(number uint32, b []byte) {
	var frame [8]byte
	binary.LittleEndian.PutUint32(frame[:], number)
	binary.LittleEndian.PutUint32(frame[4:], uint32(len(b)))
	c.write(frame[:])
	c.write(b)
	sum := crc32.Update(crc32.Checksum(frame[:], castagnoli), castagnoli, b)
	c.write(binary.LittleEndian.AppendUint32(nil, sum))
}

// keyCheck tells keys apart and gives nothing of them away.
func (t *Table) keyCheck() uint64 { return t.key.Hash(keyKind, "reputation snapshot") }

// appendHead writes what stands beside the shards. Order, if given, renames the
// bits of groups: see Sum.
func (t *Table) appendHead(b []byte, order func(uint32) uint32) []byte {
	u64 := binary.LittleEndian.AppendUint64
	b = u64(u64(u64(b, uint64(t.clock.now)), uint64(t.clock.ahead)), uint64(t.clock.least))
	var names [32][]string
	if n := t.raters.names.Load(); n != nil {
		names = *n
	}
	b = u64(b, uint64(len(t.raters.slots)))
	type slotted struct {
		group string
		slot  uint32
	}
	var groups []slotted
	for slot := range names {
		for _, g := range names[slot] {
			groups = append(groups, slotted{g, uint32(slot)})
		}
	}
	if order != nil { // by name, whoever came first
		slices.SortFunc(groups, func(x, y slotted) int { return bytes.Compare([]byte(x.group), []byte(y.group)) })
	}
	for _, g := range groups {
		slot := g.slot
		if order != nil {
			slot = order(1 << slot)
		}
		b = appendText(u64(b, uint64(slot)), g.group)
	}
	b = t.anchors.append(b)
	located := uint64(0)
	if t.located.Load() {
		located = 1
	}
	if t.shown.Load() {
		located |= 2
	}
	b = t.queue.append(u64(b, located))
	return t.trust.append(t.model.append(b))
}

func (q *sightings) append(b []byte) []byte {
	u64, u32 := binary.LittleEndian.AppendUint64, binary.LittleEndian.AppendUint32
	b = u64(b, uint64(q.len()))
	b = u64(u64(b, q.taught-q.first), q.silent-q.first)
	for i := q.first; i < q.next; i++ {
		s := q.at(i)
		b = u64(b, uint64(s.at))
		for _, h := range s.lad {
			b = u64(b, h)
		}
		above := s.rungsAbove()
		b = u64(b, uint64(len(above)))
		for _, h := range above {
			b = u64(b, h)
		}
		for _, h := range s.marks {
			b = u64(b, h)
		}
		b = u64(b, uint64(s.gate)|uint64(s.kind)<<8|uint64(s.weight)<<16|uint64(s.flags)<<24|uint64(s.gave)<<32)
		b = u32(b, math.Float32bits(s.z))
		for _, x := range s.x {
			b = u32(b, math.Float32bits(x))
		}
		b = u64(b, uint64(s.spelt.n))
		for _, token := range q.tokens.of(s.spelt) {
			b = u32(b, token)
		}
	}
	return b
}

func (m *model) append(b []byte) []byte {
	u64, u32 := binary.LittleEndian.AppendUint64, binary.LittleEndian.AppendUint32
	b = u64(u64(b, uint64(m.delays.n)), uint64(m.delays.wait))
	for _, d := range m.delays.ring {
		b = u32(b, d)
	}
	for k := range m.clean {
		c := &m.clean[k]
		b = u64(b, uint64(c.month))
		b = u64(u64(b, c.limit[0].Load()), c.limit[1].Load())
		for _, n := range c.n {
			b = u32(b, n)
		}
	}
	for g := range m.weights {
		for i := range m.weights[g] {
			b = u64(u64(b, m.weights[g][i].Load()), math.Float64bits(m.squares[g][i]))
		}
	}
	for i := range m.scale {
		b = u64(u64(b, m.scale[i].Load()), math.Float64bits(m.scaleSq[i]))
	}
	return b
}

func (m *model) appendLexicon(b []byte) []byte {
	u32 := binary.LittleEndian.AppendUint32
	lex := m.lexicon.Load()
	if lex == nil {
		return b
	}
	for i := range lex {
		if t := &lex[i]; t.n != 0 {
			b = u32(u32(b, uint32(i)), t.w.Load())
			b = u32(u32(b, math.Float32bits(t.z)), math.Float32bits(t.n))
		}
	}
	return b
}

func appendText(b []byte, s string) []byte {
	return append(binary.LittleEndian.AppendUint32(b, uint32(len(s))), s...)
}

func (a *anchors) append(b []byte) []byte {
	u64 := binary.LittleEndian.AppendUint64
	all := make(map[uint64]Anchor)
	for i := range a.parts {
		if m := a.parts[i].Load(); m != nil {
			maps.Copy(all, *m)
		}
	}
	b = u64(b, uint64(len(all)))
	for _, h := range slices.Sorted(maps.Keys(all)) {
		x := all[h]
		b = u64(u64(b, h), uint64(x.Assertion))
		b = u64(u64(b, uint64(milli(x.Time))), uint64(milli(x.Expires)))
		b = appendText(b, x.Rater)
	}
	return b
}

// milli is a time in milliseconds since 1970, math.MinInt64 for the zero time.
func milli(t time.Time) int64 {
	if t.IsZero() {
		return math.MinInt64
	}
	return t.UnixMilli()
}

func fromMilli(n int64) time.Time {
	if n == math.MinInt64 {
		return time.Time{}
	}
	return time.UnixMilli(n).UTC()
}

// appendSorted writes the entries by key, with the raters' bits in another
// order if one is given.
func (s *shard) appendSorted(b []byte, order func(uint32) uint32) []byte {
	type place struct {
		h uint64
		w []uint64
	}
	places := make([]place, 0, s.n)
	s.buckets.Load().each(func(h uint64, w []uint64) { places = append(places, place{h, w}) })
	slices.SortFunc(places, func(x, y place) int {
		if x.h < y.h {
			return -1
		}
		return 1
	})
	b = slices.Grow(b, len(places)*entryBytes)
	for _, p := range places {
		b = binary.LittleEndian.AppendUint64(b, p.h)
		for i, w := range p.w {
			if i == 0 && order != nil && uint16(w) >= minDay {
				w = w&math.MaxUint32 | uint64(order(uint32(w>>32)))<<32
			}
			b = binary.LittleEndian.AppendUint64(b, w)
		}
	}
	return b
}

// Sum is a digest of all that the table holds but the sequence it has applied.
// It does not depend on the order in which subjects or groups came, so that two
// replays, or a replay and a snapshot, can be compared.
func (t *Table) Sum() (sum [sha256.Size]byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	order := t.raters.byName()
	h := sha256.New()
	buf := t.appendHead(nil, order)
	h.Write(buf)
	for i := range t.shards {
		buf = t.shards[i].appendSorted(buf[:0], order)
		h.Write(buf)
	}
	h.Write(t.model.appendLexicon(buf[:0]))
	h.Sum(sum[:0])
	return sum
}

// byName gives a mapping of raters' bits in which those that groups have for
// themselves follow the groups' names. Shared bits stay.
func (r *raters) byName() func(uint32) uint32 {
	var groups []string
	if names := r.names.Load(); names != nil {
		for slot := range ownBits {
			groups = append(groups, names[slot]...)
		}
	}
	slices.Sort(groups)
	var to [32]uint32
	for slot := range to {
		to[slot] = 1 << slot
	}
	for i, g := range groups {
		to[r.slots[g]] = 1 << i
	}
	return func(bits uint32) (out uint32) {
		for slot := range to {
			if bits&(1<<slot) != 0 {
				out |= to[slot]
			}
		}
		return out
	}
}

// ReadTable makes a table from a snapshot. It verifies everything before it
// returns: an error (one of those above, or of r) means that there is no table.
// It takes no more memory than there are bytes in r, whatever they claim.
func ReadTable(r io.Reader, key *evidence.Key) (*Table, error) {
	in := bufio.NewReaderSize(r, 1<<20)
	head := make([]byte, len(snapshotMagic)+4)
	if _, err := io.ReadFull(in, head); err != nil {
		return nil, torn(err, ErrNotSnapshot)
	}
	if string(head[:len(snapshotMagic)]) != snapshotMagic {
		return nil, ErrNotSnapshot
	}
	if v := binary.LittleEndian.Uint32(head[len(snapshotMagic):]); v != snapshotVersion {
		return nil, fmt.Errorf("%w: version %d, this program reads %d", ErrSnapshotVersion, v, snapshotVersion)
	}
	t := NewTable(key)
	buf, err := readChunk(in, 0, maxHead, nil)
	if err != nil {
		return nil, err
	}
	if err := t.readHead(buf); err != nil {
		return nil, err
	}
	for i := range t.shards {
		if buf, err = readChunk(in, uint32(i+1), math.MaxUint32, buf); err != nil {
			return nil, err
		}
		if err := t.shards[i].fill(uint64(i), buf); err != nil {
			return nil, err
		}
	}
	if buf, err = readChunk(in, numShards+1, tokenBytes<<evidence.TokenBits, buf); err != nil {
		return nil, err
	}
	if err := t.model.readLexicon(buf); err != nil {
		return nil, err
	}
	if _, err := in.ReadByte(); err != io.EOF {
		return nil, fmt.Errorf("%w: there is more behind its end", ErrSnapshotCorrupt)
	}
	return t, nil
}

func torn(err, as error) error {
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return as
	}
	return fmt.Errorf("read snapshot: %w", err)
}

// readChunk reads a chunk into buf. It reads a megabyte at a time, so that a
// wrong length costs no memory.
func readChunk(in *bufio.Reader, number uint32, limit uint32, buf []byte) ([]byte, error) {
	var frame [8]byte
	if _, err := io.ReadFull(in, frame[:]); err != nil {
		return nil, torn(err, ErrSnapshotTorn)
	}
	length := binary.LittleEndian.Uint32(frame[4:])
	if binary.LittleEndian.Uint32(frame[:]) != number || length > limit {
		return nil, fmt.Errorf("%w: bad frame of chunk %d", ErrSnapshotCorrupt, number)
	}
	buf = buf[:0]
	for left := int(length); left > 0; {
		n := min(left, 1<<20)
		buf = slices.Grow(buf, n)[:len(buf)+n]
		if _, err := io.ReadFull(in, buf[len(buf)-n:]); err != nil {
			return nil, torn(err, ErrSnapshotTorn)
		}
		left -= n
	}
	var sum [4]byte
	if _, err := io.ReadFull(in, sum[:]); err != nil {
		return nil, torn(err, ErrSnapshotTorn)
	}
	if crc32.Update(crc32.Checksum(frame[:], castagnoli), castagnoli, buf) != binary.LittleEndian.Uint32(sum[:]) {
		return nil, fmt.Errorf("%w: checksum of chunk %d", ErrSnapshotCorrupt, number)
	}
	return buf, nil
}

// cursor reads numbers until the first that is not there.
type cursor struct {
	b   []byte
	bad bool
}

func (c *cursor) u64() uint64 {
	if len(c.b) < 8 {
		c.bad, c.b = true, nil
		return 0
	}
	v := binary.LittleEndian.Uint64(c.b)
	c.b = c.b[8:]
	return v
}

func (c *cursor) u32() uint32 {
	if len(c.b) < 4 {
		c.bad, c.b = true, nil
		return 0
	}
	v := binary.LittleEndian.Uint32(c.b)
	c.b = c.b[4:]
	return v
}

func (c *cursor) text() string {
	if len(c.b) < 4 || uint64(binary.LittleEndian.Uint32(c.b)) > uint64(len(c.b)-4) {
		c.bad, c.b = true, nil
		return ""
	}
	n := binary.LittleEndian.Uint32(c.b)
	s := string(c.b[4 : 4+n])
	c.b = c.b[4+n:]
	return s
}

// list gives the length of a list whose items have at least size bytes.
func (c *cursor) list(size int) int {
	n := c.u64()
	if n > uint64(len(c.b)/size) {
		c.bad, n = true, 0
	}
	return int(n)
}

func (t *Table) readHead(b []byte) error {
	c := &cursor{b: b}
	if c.u64() != t.keyCheck() {
		return ErrSnapshotKey
	}
	t.applied.Store(c.u64())
	t.clock = clock{int64(c.u64()), int(c.u64()), int64(c.u64())}
	groups := c.list(12)
	if groups > ownBits+(listBits-ownBits)*maxShared {
		c.bad, groups = true, 0
	}
	for range groups {
		slot, group := c.u64(), c.text()
		if !t.raters.mayAssign(slot, group) {
			c.bad = true
			break
		}
		t.raters.assign(uint8(slot), group)
	}
	anchors := make([]map[uint64]Anchor, len(t.anchors.parts))
	before := uint64(0)
	for range c.list(36) {
		h, a := c.u64(), Anchor{Assertion: evidence.Assertion(c.u64())}
		a.Time, a.Expires = fromMilli(int64(c.u64())), fromMilli(int64(c.u64()))
		a.Rater = c.text()
		c.bad = c.bad || h <= before
		before = h
		if anchors[h>>56] == nil {
			anchors[h>>56] = make(map[uint64]Anchor)
		}
		anchors[h>>56][h] = a
	}
	for i := range anchors {
		if anchors[i] != nil {
			t.anchors.parts[i].Store(&anchors[i])
		}
	}
	located := c.u64()
	t.located.Store(located&1 != 0)
	t.shown.Store(located&2 != 0)
	t.queue.read(c)
	t.model.read(c)
	t.trust.read(c)
	if c.bad || len(c.b) != 0 || !t.clock.valid() {
		return fmt.Errorf("%w: its head makes no sense", ErrSnapshotCorrupt)
	}
	return nil
}

func (q *sightings) read(c *cursor) {
	n := c.list(sightingBytes)
	taught, silent := c.u64(), c.u64()
	if n > maxKept || taught > silent || silent > uint64(n) {
		c.bad = true
		return
	}
	tokens := make([]uint32, evidence.MaxTokens)
	for range n {
		s := sighting{at: int64(c.u64())}
		for i := range s.lad {
			s.lad[i] = c.u64()
		}
		above := c.list(8)
		if above > maxAbove {
			c.bad = true
			return
		}
		for i := range above {
			s.above[i] = c.u64()
			c.bad = c.bad || s.above[i] == 0
		}
		for i := range s.marks {
			s.marks[i] = c.u64()
		}
		w := c.u64()
		s.gate, s.kind, s.weight, s.flags, s.gave = uint8(w), Class(w>>8), weight(w>>16&0xff), uint8(w>>24), uint16(w>>32)
		s.z = math.Float32frombits(c.u32())
		for i := range s.x {
			s.x[i] = math.Float32frombits(c.u32())
		}
		n := c.list(4)
		c.bad = c.bad || s.lad[rungTenant] == 0 || s.lad[rungURL] == 0 || s.gate >= nGates || s.kind >= NumClasses ||
			s.weight >= nWeights || n > evidence.MaxTokens
		if c.bad {
			return
		}
		tokens = tokens[:n]
		for i := range tokens {
			tokens[i] = c.u32()
			c.bad = c.bad || tokens[i] >= 1<<evidence.TokenBits
		}
		q.push(&s, tokens)
	}
	q.taught, q.silent = taught, silent
}

func (m *model) read(c *cursor) {
	m.delays.n, m.delays.wait = int(c.u64()), int64(c.u64())
	for i := range m.delays.ring {
		m.delays.ring[i] = c.u32()
	}
	for k := range m.clean {
		h := &m.clean[k]
		h.month = uint16(c.u64())
		h.limit[0].Store(c.u64())
		h.limit[1].Store(c.u64())
		for i := range h.n {
			h.n[i] = c.u32()
			h.total += h.n[i]
		}
	}
	for g := range m.weights {
		for i := range m.weights[g] {
			m.weights[g][i].Store(c.u64())
			m.squares[g][i] = math.Float64frombits(c.u64())
		}
	}
	for i := range m.scale {
		m.scale[i].Store(c.u64())
		m.scaleSq[i] = math.Float64frombits(c.u64())
	}
	c.bad = c.bad || m.delays.n < 0 || m.delays.n > 0 && (m.delays.wait < minWait || m.delays.wait > maxWait)
}

func (m *model) readLexicon(b []byte) error {
	if len(b) == 0 {
		return nil
	}
	lex := new(lexicon)
	c := &cursor{b: b}
	for next := uint32(0); len(c.b) > 0; {
		i := c.u32()
		if i < next || i >= 1<<evidence.TokenBits {
			c.bad = true
			break
		}
		next = i + 1
		lex[i].w.Store(c.u32())
		lex[i].z, lex[i].n = math.Float32frombits(c.u32()), math.Float32frombits(c.u32())
	}
	if c.bad {
		return fmt.Errorf("%w: its lexicon makes no sense", ErrSnapshotCorrupt)
	}
	m.lexicon.Store(lex)
	return nil
}

// mayAssign reports whether a snapshot may give a group this slot: the own ones
// in their order, then shared ones, no group two.
func (r *raters) mayAssign(slot uint64, group string) bool {
	if _, ok := r.slots[group]; ok || slot >= listBits {
		return false
	}
	if len(r.slots) < ownBits {
		return slot == uint64(len(r.slots))
	}
	return slot >= ownBits && len(r.names.Load()[slot]) < maxShared
}

func (c *clock) valid() bool {
	const end = (maxDay + 1) * 86400
	return c.now >= 0 && c.now < end && c.least >= 0 && c.least < end && c.ahead >= 0 && c.ahead < patience
}

// fill makes a shard of sorted entries.
func (s *shard) fill(number uint64, b []byte) error {
	n := len(b) / entryBytes
	if len(b) == 0 {
		return nil
	}
	to := &buckets{n: sizeFor(n)}
	to.words = make([]uint64, to.n*wordsIn)
	before := uint64(0)
	for ; len(b) >= entryBytes; b = b[entryBytes:] {
		h := binary.LittleEndian.Uint64(b)
		if h <= before || h>>(64-shardBits) != number {
			break
		}
		before = h
		w := to.words[to.place(h):]
		for i := range 5 {
			w[i] = binary.LittleEndian.Uint64(b[8+8*i:])
		}
	}
	if len(b) != 0 {
		return fmt.Errorf("%w: keys of shard %d are out of order", ErrSnapshotCorrupt, number)
	}
	s.n = n
	s.buckets.Store(to)
	return nil
}
