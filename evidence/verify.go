package evidence

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
)

// Report is what Verify found.
type Report struct {
	Blocks  int
	Records uint64
	First   uint64 // sequence of the first record; 0 if there is none
	Last    uint64 // of the last one
}

// Verify reads the whole log as it stands at the call: each block's checksum,
// the form and content of each record, sequences without a gap, and the index
// against the records. The first thing that is wrong is the error, a
// [*BlockError] where it belongs to a block; the report says what was found
// sound until then. progress, if not nil, is called now and then with the
// records done and their total.
func (l *DiskLog) Verify(ctx context.Context, progress func(done, total uint64)) (Report, error) {
	v := verifier{l: l, from: l.trimmed.Load() + 1, last: l.Last()}
	v.segment = v.from >> segmentBits
	err := l.eachBlock(ctx, v.from, v.last, func(r blockReader) error {
		if err := v.block(ctx, r); err != nil {
			return err
		}
		if progress != nil {
			progress(v.Records, v.last+1-v.from)
		}
		return nil
	})
	return v.Report, err
}

type verifier struct {
	Report
	l          *DiskLog
	from, last uint64
	segment    uint64
	postings   []posting // of segment
}

func (v *verifier) block(ctx context.Context, r blockReader) error {
	if v.First == 0 {
		v.First = r.next
	}
	v.Blocks++
	var e Entry
	for r.read(&e) {
		if err := e.Validate(); err != nil {
			return fmt.Errorf("record %d: %w", e.Seq, err)
		}
		v.postings = appendPostings(v.postings, &e.Record, int(e.Seq&segmentMask))
		v.Records++
		v.Last = e.Seq
		if e.Seq&segmentMask == segmentMask {
			if err := v.endSegment(ctx); err != nil {
				return err
			}
		}
	}
	return r.d.err
}

// endSegment compares the rows of a segment with its records. A segment of
// which a part was trimmed has postings for what is gone, and is passed over.
func (v *verifier) endSegment(ctx context.Context) error {
	segment, postings := v.segment, v.postings
	v.segment, v.postings = segment+1, nil
	if segment<<segmentBits < v.from && v.from > 1 {
		return nil
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	it, done, err := v.l.newIter()
	if err != nil {
		return err
	}
	defer done()
	for i, want := range rows(postings) {
		k := append(key(segment<<segmentBits|segmentMask, rowKind), byte(i))
		var got []byte
		if it.SeekGE(k) && bytes.Equal(it.Key(), k) {
			if got, err = it.ValueAndErr(); err != nil {
				return fmt.Errorf("row %d of its index: %w", i, err)
			}
		}
		if !bytes.Equal(got, want) {
			return errors.Join(fmt.Errorf("row %d of the index of sequences %d to %d differs from the records",
				i, segment<<segmentBits, binary.BigEndian.Uint64(k)), it.Error())
		}
	}
	return nil
}
