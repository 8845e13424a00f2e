package evidence

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/cockroachdb/pebble/v2"
)

// request is an Append on its way to the committer.
type request struct {
	chunks  []chunk
	records int
	bytes   int
	done    chan outcome // has one place
}

type outcome struct {
	last uint64
	err  error
}

// chunk is part of an Append that fits in one block. The committer puts small
// chunks of several Appends into one block; it never splits one.
type chunk struct {
	records  []byte // each with its length, as they stand in a block
	count    int
	postings []posting // their places are record numbers in the chunk
}

// maxAppend bounds the encoded records of one Append: they go to disk in one
// piece, which must fit in memory several times.
const maxAppend = 64 << 20

// maxGroup bounds what the committer takes from its queue for one fsync.
const maxGroup = 4 << 20

// Append implements [Log]. All the records reach the disk, or after a crash
// perhaps none: never some of them. At most 64 MiB of records are taken in one call.
//
// It waits while earlier appends are being written; that is the only bound on
// how many may wait. [ErrFull] means that nothing was written, [ErrFailed]
// that the log must be opened again, [ErrClosed] that it was closed. If the
// context ends while the records are being written, its error is returned and
// they will be in the log.
func (l *DiskLog) Append(ctx context.Context, records ...Record) (uint64, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	req, err := newRequest(records)
	if err != nil {
		return 0, err
	}
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return 0, ErrClosed
	}
	if len(records) == 0 {
		l.mu.Unlock()
		return l.Last(), l.Err()
	}
	l.queue = append(l.queue, req)
	l.mu.Unlock()
	select {
	case l.wake <- struct{}{}:
	default:
	}
	select {
	case o := <-req.done:
		return o.last, o.err
	case <-l.frozen:
		// The committer may be stuck in a failed Pebble: do not wait for it.
		select {
		case o := <-req.done:
			return o.last, o.err
		default:
			return 0, l.Err()
		}
	case <-ctx.Done():
		l.withdraw(req)
		return 0, ctx.Err()
	}
}

// withdraw takes a request back, if the committer has not taken it.
func (l *DiskLog) withdraw(req *request) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if i := slices.Index(l.queue, req); i >= 0 {
		l.queue = slices.Delete(l.queue, i, i+1)
	}
}

// newRequest validates and encodes the records, in the caller's goroutine so
// that the committer has little to do.
func newRequest(records []Record) (*request, error) {
	req := &request{records: len(records), done: make(chan outcome, 1)}
	var c chunk
	for i := range records {
		r := &records[i]
		if err := r.Validate(); err != nil {
			return nil, &RecordError{i, err}
		}
		if c.records == nil {
			rest := min(len(records)-i, blockRecords)
			c.records = make([]byte, 0, min(rest*96, blockBytes)+64)
			c.postings = make([]posting, 0, 2*rest)
		}
		c.records = appendSized(c.records, r)
		c.postings = appendPostings(c.postings, r, c.count)
		c.count++
		if c.count == blockRecords || len(c.records) >= blockBytes || i == len(records)-1 {
			req.chunks = append(req.chunks, c)
			req.bytes += len(c.records)
			c = chunk{}
		}
		if req.bytes > maxAppend {
			return nil, fmt.Errorf("more than %d MiB of records in one append", maxAppend>>20)
		}
	}
	return req, nil
}

// appendSized appends a record behind its length. The length is guessed to
// take one byte, as it does for most, and the record moved if it takes more.
func appendSized(b []byte, r *Record) []byte {
	at := len(b)
	b = r.appendValid(append(b, 0))
	n := len(b) - at - 1
	if n < 0x80 {
		b[at] = byte(n)
		return b
	}
	var size [binary.MaxVarintLen64]byte
	w := binary.PutUvarint(size[:], uint64(n))
	b = append(b, size[1:w]...)
	copy(b[at+w:], b[at+1:at+1+n])
	copy(b[at:], size[:w])
	return b
}

// commitAll is the committer. After Close it serves what is in the queue and returns.
func (l *DiskLog) commitAll() {
	defer close(l.ended)
	for ending := false; ; {
		group := l.take()
		if len(group) > 0 {
			l.commit(group)
			continue
		}
		if ending {
			return
		}
		select {
		case <-l.wake:
		case <-l.ending:
			ending = true
		}
	}
}

// take takes from the queue what one fsync shall serve.
func (l *DiskLog) take() []*request {
	l.mu.Lock()
	defer l.mu.Unlock()
	n, bytes := 0, 0
	for n < len(l.queue) && (n == 0 || bytes+l.queue[n].bytes <= maxGroup) {
		bytes += l.queue[n].bytes
		n++
	}
	group := slices.Clone(l.queue[:n])
	l.queue = slices.Delete(l.queue, 0, n)
	return group
}

// commit writes a group and tells those who wait.
func (l *DiskLog) commit(group []*request) {
	l.commitMu.Lock()
	last := l.durable.Load()
	err := l.commitChunks(group)
	l.commitMu.Unlock()
	for _, req := range group {
		last += uint64(req.records)
		if err != nil {
			req.done <- outcome{0, err}
		} else {
			req.done <- outcome{last, nil}
		}
	}
}

func (l *DiskLog) commitChunks(group []*request) error {
	if err := l.Err(); err != nil {
		return err
	}
	need := uint64(diskReserve)
	for _, req := range group {
		need += 2 * uint64(req.bytes) // write-ahead log and table
	}
	if err := l.checkRoom(need); err != nil {
		return err
	}
	batch := l.db.NewBatch()
	b := builder{batch: batch, next: l.durable.Load() + 1, segment: l.tailSegment, postings: l.tail}
	for _, req := range group {
		for i := range req.chunks {
			b.add(&req.chunks[i])
		}
	}
	b.endBlock()
	if err := l.apply(batch); err != nil {
		return err
	}
	// At this point the group is on disk. A crash before it is acknowledged
	// leaves records that nobody was promised: they are in the log all the same.
	l.tailMu.Lock()
	l.tail, l.tailSegment = b.postings, b.segment
	l.tailMu.Unlock()
	l.durable.Store(b.next - 1)
	if err := l.mark.set(b.next - 1); err != nil {
		l.fail(err) // this group is durable all the same
	}
	return nil
}

// checkRoom is [ErrFull] if less than need is left on the disk.
func (l *DiskLog) checkRoom(need uint64) error {
	usage, err := l.opts.fs.GetDiskUsage(l.dir)
	if err != nil || usage.AvailBytes >= need {
		return nil // where free space cannot be asked for, writing will tell
	}
	return fmt.Errorf("%w: %d MiB are left for %s and %d MiB are needed: free some and try again",
		ErrFull, usage.AvailBytes>>20, l.dir, need>>20)
}

// apply commits a batch with fsync. commitMu is held. An error is final: the
// batch may or may not be on disk, and Pebble takes no other.
func (l *DiskLog) apply(batch *pebble.Batch) (err error) {
	defer func() {
		// We know of no way to this, but Pebble has many panics in its commit
		// pipeline, and keeps its lock then.
		if p := recover(); p != nil {
			l.broken = true
			l.fail(fmt.Errorf("pebble: %v", p))
			err = l.Err()
		}
	}()
	if err := batch.Commit(pebble.Sync); err != nil {
		l.fail(err)
	}
	// Pebble does not know of a failed fsync: see freezeFS.
	if err := l.Err(); err != nil {
		return err
	}
	return batch.Close()
}

// builder puts chunks into blocks and postings into rows.
type builder struct {
	batch    *pebble.Batch
	block    []*chunk // of the block being built
	count    int
	bytes    int
	next     uint64 // sequence of the next record
	segment  uint64
	postings []posting // of segment
}

func (b *builder) add(c *chunk) {
	if b.count > 0 && (b.count+c.count > blockRecords || b.bytes+len(c.records) > blockBytes) {
		b.endBlock()
	}
	b.block = append(b.block, c)
	b.count += c.count
	b.bytes += len(c.records)
}

// endBlock writes the block, and the rows of a segment that it completes.
func (b *builder) endBlock() {
	if b.count == 0 {
		return
	}
	op := b.batch.SetDeferred(9, blockHeader+b.bytes)
	putKey(op.Key, b.next, blockKind)
	at := blockHeader
	for _, c := range b.block {
		at += copy(op.Value[at:], c.records)
	}
	putBlockHeader(op.Value, b.next, b.count)
	op.Finish()
	for _, c := range b.block {
		b.index(c)
		b.next += uint64(c.count)
	}
	if b.next>>segmentBits > b.segment { // it ended with the segment
		b.endSegment()
	}
	b.block, b.count, b.bytes = b.block[:0], 0, 0
}

// index gives the postings of a chunk, which begins at b.next, their sequences.
func (b *builder) index(c *chunk) {
	for _, p := range c.postings {
		seq := b.next + p.place()
		if seq>>segmentBits > b.segment {
			b.endSegment()
		}
		b.postings = append(b.postings, p&^(1<<32-1)|posting(seq&segmentMask))
	}
}

func (b *builder) endSegment() {
	end := b.segment<<segmentBits | segmentMask
	for i, row := range rows(b.postings) {
		if len(row) == 0 {
			continue
		}
		op := b.batch.SetDeferred(10, len(row))
		putKey(op.Key, end, rowKind)
		op.Key[9] = byte(i)
		copy(op.Value, row)
		op.Finish()
	}
	// A new slice: readers may hold the old one.
	b.segment, b.postings = b.segment+1, nil
}

// Keys begin with a sequence, so that new ones always stand behind old ones and
// Pebble has nothing to merge: a block under its first sequence, the rows of a
// segment under its last.
const (
	blockKind = 'b'
	rowKind   = 'i' // and one byte: the upper bits of its terms
)

func putKey(b []byte, seq uint64, kind byte) {
	binary.BigEndian.PutUint64(b, seq)
	b[8] = kind
}

func key(seq uint64, kind byte) []byte {
	b := make([]byte, 9)
	putKey(b, seq, kind)
	return b
}
