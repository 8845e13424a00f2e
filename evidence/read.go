package evidence

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"time"

	"github.com/cockroachdb/pebble/v2"
)

// Entries implements [Log]. A damaged block is a [*BlockError].
func (l *DiskLog) Entries(ctx context.Context, after uint64) iter.Seq2[Entry, error] {
	last := l.Last()
	return func(yield func(Entry, error) bool) {
		if trimmed := l.trimmed.Load(); after < trimmed {
			yield(Entry{}, fmt.Errorf("%w up to %d, and those after %d were asked for", ErrTrimmed, trimmed, after))
			return
		}
		if after >= last {
			return
		}
		var e Entry
		err := l.eachBlock(ctx, after+1, last, func(r blockReader) error {
			for r.read(&e) {
				if !yield(e, nil) {
					return errStop
				}
			}
			return r.d.err
		})
		if err != nil && err != errStop {
			yield(Entry{}, err)
		}
	}
}

var (
	errStop    = errors.New("stop") // ends a walk whose consumer has had enough
	errMissing = errors.New("it is not there")
)

// readAhead is how much a walk reads from Pebble before it gives it to its
// consumer. Pebble's iterator is not held while the consumer works: it would
// keep old files on disk, and Close waiting.
const (
	readAheadBytes  = 1 << 20
	readAheadBlocks = 4096
)

type storedBlock struct {
	first uint64
	value []byte
}

// eachBlock calls f for each block that holds sequences from to last, with the
// reader set to the first of them. An error of f that is not errStop is
// wrapped in a *BlockError.
func (l *DiskLog) eachBlock(ctx context.Context, from, last uint64, f func(blockReader) error) error {
	var blocks []storedBlock
	var buf []byte
	for from <= last {
		var err error
		if blocks, buf, err = l.readBlocks(from, last, blocks[:0], buf[:0]); err != nil {
			return err
		}
		if len(blocks) == 0 {
			return &BlockError{from, errMissing}
		}
		for _, b := range blocks {
			if err := ctx.Err(); err != nil {
				return err
			}
			r, err := newBlockReader(b.first, b.value)
			if err != nil {
				return &BlockError{b.first, err}
			}
			if from < b.first || from > r.last {
				return &BlockError{from, errMissing}
			}
			r.skipTo(from)
			from = r.last + 1
			r.last = min(r.last, last)
			if err := f(r); err == errStop {
				return err
			} else if err != nil {
				return &BlockError{b.first, err}
			}
		}
	}
	return nil
}

// readBlocks reads the block that holds from, and some of those behind it. The
// values of the blocks are parts of buf.
func (l *DiskLog) readBlocks(from, last uint64, blocks []storedBlock, buf []byte) ([]storedBlock, []byte, error) {
	iter, done, err := l.newIter()
	if err != nil {
		return nil, nil, err
	}
	defer done()
	first, ok := floorBlock(iter, from)
	var ends []int
	for ok && first <= last && len(buf) < readAheadBytes && len(blocks) < readAheadBlocks {
		value, err := iter.ValueAndErr()
		if err != nil {
			return nil, nil, fmt.Errorf("read log block at sequence %d: %w", first, err)
		}
		buf = append(buf, value...)
		blocks, ends = append(blocks, storedBlock{first: first}), append(ends, len(buf))
		first, ok = nextBlock(iter)
	}
	if err := iter.Error(); err != nil {
		return nil, nil, fmt.Errorf("read log from sequence %d: %w", from, err)
	}
	begin := 0
	for i, end := range ends {
		blocks[i].value, begin = buf[begin:end:end], end
	}
	return blocks, buf, nil
}

// newIter gives an iterator over blocks and rows. done closes it.
func (l *DiskLog) newIter() (it *pebble.Iterator, done func(), err error) {
	l.dbMu.RLock()
	select {
	case <-l.ending:
		l.dbMu.RUnlock()
		return nil, nil, ErrClosed
	default:
	}
	it, err = l.db.NewIter(&pebble.IterOptions{UpperBound: metaPrefix})
	if err != nil {
		l.dbMu.RUnlock()
		return nil, nil, err
	}
	return it, func() { it.Close(); l.dbMu.RUnlock() }, nil
}

// floorBlock moves to the last block that begins at or before seq.
func floorBlock(it *pebble.Iterator, seq uint64) (first uint64, ok bool) {
	ok = it.SeekLT(key(seq, blockKind+1))
	if ok && it.Key()[8] == rowKind {
		// The rows of a segment are many; step over them at once.
		ok = it.SeekLT(key(binary.BigEndian.Uint64(it.Key()), blockKind+1))
	}
	return blockAt(it, ok)
}

// nextBlock moves to the block behind the one at which it stands.
func nextBlock(it *pebble.Iterator) (first uint64, ok bool) {
	ok = it.Next()
	if ok && it.Key()[8] == rowKind {
		ok = it.SeekGE(key(binary.BigEndian.Uint64(it.Key())+1, blockKind))
	}
	return blockAt(it, ok)
}

func blockAt(it *pebble.Iterator, ok bool) (uint64, bool) {
	if !ok {
		return 0, false
	}
	return binary.BigEndian.Uint64(it.Key()), true
}

// About yields who said what and when of the subjects and of what they cover
// (see [Subject.Covers]), as subject or as object, newest first. It reads from
// disk what it yields and little else, so a caller who breaks off early has a
// cheap answer. What lies under a public suffix, a prefix or an autonomous
// system is not looked for: of these only the records that name them.
func (l *DiskLog) About(ctx context.Context, subjects ...Subject) iter.Seq2[Entry, error] {
	last := l.Last()
	return func(yield func(Entry, error) bool) {
		terms := make([]uint32, 0, len(subjects))
		for _, s := range subjects {
			terms = append(terms, termOf(s))
		}
		slices.Sort(terms)
		err := l.walkAbout(ctx, slices.Compact(terms), last, func(e *Entry) bool {
			if !concerns(subjects, &e.Record) {
				return true
			}
			return yield(Entry{e.Seq, e.Record.clone()}, nil)
		})
		if err != nil && err != errStop {
			yield(Entry{}, err)
		}
	}
}

func concerns(subjects []Subject, r *Record) bool {
	for _, s := range subjects {
		if s.Covers(r.Subject) || r.Object.Kind != 0 && s.Covers(r.Object) {
			return true
		}
	}
	return false
}

// walkAbout calls f for the entries that have one of the terms, newest first.
func (l *DiskLog) walkAbout(ctx context.Context, terms []uint32, last uint64, f func(*Entry) bool) error {
	l.tailMu.Lock()
	tail, segment := l.tail, l.tailSegment
	l.tailMu.Unlock()
	var seqs []uint64
	for _, p := range tail {
		if slices.Contains(terms, p.term()) {
			seqs = append(seqs, segment<<segmentBits|p.place())
		}
	}
	if err := l.visit(ctx, seqs, last, f); err != nil {
		return err
	}
	oldest := l.trimmed.Load() >> segmentBits
	for segment > oldest {
		segment--
		if err := ctx.Err(); err != nil {
			return err
		}
		seqs, err := l.searchSegment(segment, terms, seqs[:0])
		if err != nil {
			return err
		}
		if err := l.visit(ctx, seqs, last, f); err != nil {
			return err
		}
	}
	return nil
}

// searchSegment appends to seqs those of a complete segment that have one of the terms.
func (l *DiskLog) searchSegment(segment uint64, terms []uint32, seqs []uint64) ([]uint64, error) {
	it, done, err := l.newIter()
	if err != nil {
		return nil, err
	}
	defer done()
	for _, t := range terms {
		k := append(key(segment<<segmentBits|segmentMask, rowKind), byte(t>>(32-rowBits)))
		if !it.SeekGE(k) || !bytes.Equal(it.Key(), k) {
			if err := it.Error(); err != nil {
				return nil, fmt.Errorf("read log index at sequence %d: %w", segment<<segmentBits, err)
			}
			continue
		}
		row, err := it.ValueAndErr()
		if err != nil {
			return nil, fmt.Errorf("read log index at sequence %d: %w", segment<<segmentBits, err)
		}
		seqs = searchRow(seqs, row, t, segment)
	}
	return seqs, nil
}

// visit reads the entries with the given sequences and calls f, last one first.
func (l *DiskLog) visit(ctx context.Context, seqs []uint64, last uint64, f func(*Entry) bool) error {
	slices.Sort(seqs)
	seqs = slices.Compact(seqs)
	for len(seqs) > 0 {
		if err := ctx.Err(); err != nil {
			return err
		}
		newest := seqs[len(seqs)-1]
		entries, first, err := l.readSome(seqs, newest)
		if err != nil {
			return err
		}
		for _, e := range slices.Backward(entries) {
			if e.Seq <= last && !f(&e) {
				return errStop
			}
		}
		i, _ := slices.BinarySearch(seqs, first)
		seqs = seqs[:i]
	}
	return nil
}

// readSome reads those of seqs, ascending, that are in the block of newest.
// first is where that block begins. A block that was trimmed has none.
func (l *DiskLog) readSome(seqs []uint64, newest uint64) (entries []Entry, first uint64, err error) {
	it, done, err := l.newIter()
	if err != nil {
		return nil, 0, err
	}
	defer done()
	first, ok := floorBlock(it, newest)
	if !ok {
		return nil, 0, it.Error()
	}
	value, err := it.ValueAndErr()
	if err != nil {
		return nil, 0, fmt.Errorf("read log block at sequence %d: %w", first, err)
	}
	r, err := newBlockReader(first, value)
	if err != nil {
		return nil, 0, &BlockError{first, err}
	}
	i, _ := slices.BinarySearch(seqs, first)
	for _, seq := range seqs[i:] {
		var e Entry
		if r.skipTo(seq); r.read(&e) {
			entries = append(entries, e)
		}
	}
	if r.d.err != nil {
		return nil, 0, &BlockError{first, r.d.err}
	}
	return entries, first, nil
}

// Stats says how large the log is.
type Stats struct {
	First, Last uint64 // sequences that can be read; First > Last if there are none
	Records     uint64
	Bytes       uint64    // on disk, all files together
	FirstTime   time.Time // of the record First; zero if there is none
	LastTime    time.Time // of the record Last
}

// Stats reads the first and the last record; it is quick.
func (l *DiskLog) Stats(ctx context.Context) (Stats, error) {
	s := Stats{First: l.trimmed.Load() + 1, Last: l.Last()}
	s.Records = s.Last + 1 - s.First
	l.dbMu.RLock()
	select {
	case <-l.ending:
		l.dbMu.RUnlock()
		return Stats{}, ErrClosed
	default:
	}
	s.Bytes = l.db.Metrics().DiskSpaceUsage()
	l.dbMu.RUnlock()
	for e, err := range l.Entries(ctx, s.First-1) {
		if err != nil {
			return Stats{}, err
		}
		s.FirstTime = e.Time
		break
	}
	if s.Records > 0 {
		for e, err := range l.Entries(ctx, s.Last-1) {
			if err != nil {
				return Stats{}, err
			}
			s.LastTime = e.Time
		}
	}
	return s, nil
}

// Trim drops the entries with sequences up to before, for good, and returns
// the last one that is gone; it drops whole blocks, so that may be a smaller
// one. From then on Entries of what is gone is [ErrTrimmed].
//
// What is dropped can no longer be replayed. Whoever trims must before have
// made a base durable, a snapshot of the fold up to before or later, and must
// keep it as long as the log: base and the rest of the log together are then
// the truth that the log alone was. A base says nothing of who said what, so
// About and explanations begin after it. Policies apply to it as ever, since
// the fold counts and only judging weighs; a change of the fold itself can
// reach back no further than the base.
func (l *DiskLog) Trim(ctx context.Context, before uint64) (trimmed uint64, err error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	l.commitMu.Lock()
	defer l.commitMu.Unlock()
	select {
	case <-l.ending:
		return 0, ErrClosed
	default:
	}
	if err := l.Err(); err != nil {
		return 0, err
	}
	if before = min(before, l.Last()); before <= l.trimmed.Load() {
		return l.trimmed.Load(), nil
	}
	keep, err := l.firstKept(before)
	if err != nil {
		return 0, err
	}
	trimmed = keep - 1
	batch := l.db.NewBatch()
	if err := batch.DeleteRange(key(0, 0), key(keep, 0), nil); err != nil {
		return 0, err
	}
	if err := batch.Set(metaTrimmed, binary.BigEndian.AppendUint64(nil, trimmed), nil); err != nil {
		return 0, err
	}
	// First the note in memory: a walk that begins now must not find a gap.
	l.trimmed.Store(trimmed)
	return trimmed, l.apply(batch)
}

// firstKept is the sequence after before, or the beginning of its block.
func (l *DiskLog) firstKept(before uint64) (uint64, error) {
	it, done, err := l.newIter()
	if err != nil {
		return 0, err
	}
	defer done()
	first, ok := floorBlock(it, before+1)
	if !ok {
		return 0, errors.Join(fmt.Errorf("no block holds sequence %d", before), it.Error())
	}
	_, count, err := openBlock(first, it.Value())
	if err != nil {
		return 0, &BlockError{first, err}
	}
	if end := first + uint64(count); end <= before+1 {
		return end, nil
	}
	return first, nil
}

var _ io.Closer = (*DiskLog)(nil)
var _ Log = (*DiskLog)(nil)
