package evidence

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// A batch is what one Append says, in one piece, for logs that keep it as a
// message somewhere else. It has the form of a block (see block.go) of which
// nobody knows yet at which sequence it will stand: its checksum is that of
// first sequence 0. Its records are read as those of a stranger, since others
// may write where it is kept.
const (
	// MaxBatch is the most records of a batch: a log can number them in 16 bits.
	MaxBatch = 1 << 16
	// MaxBatchBytes bounds an encoded batch.
	MaxBatchBytes = 8 << 20
)

// TooLargeError says that the records of one Append are more than a batch holds.
type TooLargeError struct{ Records int }

func (e *TooLargeError) Error() string {
	return fmt.Sprintf("%d records in one append: at most %d, and %d MiB, stand together; append them in parts",
		e.Records, MaxBatch, MaxBatchBytes>>20)
}

// AppendBatch validates the records and appends their batch to b. Its errors
// are [*RecordError] and [*TooLargeError]; no records are an error as well.
func AppendBatch(b []byte, records ...Record) ([]byte, error) {
	if len(records) == 0 {
		return b, errors.New("a batch has at least one record")
	}
	at := len(b)
	b = append(b, make([]byte, blockHeader)...)
	for i := range records {
		if err := records[i].Validate(); err != nil {
			return b[:at], &RecordError{i, err}
		}
		if len(b)-at <= MaxBatchBytes {
			b = appendSized(b, &records[i])
		}
	}
	if len(records) > MaxBatch || len(b)-at > MaxBatchBytes {
		return b[:at], &TooLargeError{len(records)}
	}
	putBlockHeader(b[at:], 0, len(records))
	return b, nil
}

// ReadBatch gives the entries of a batch, of consecutive sequences that end at
// last. A batch or record of a later version is [ErrNewer]; anything else that
// AppendBatch would not write is an error as well. It copies what it keeps.
func ReadBatch(batch []byte, last uint64) ([]Entry, error) {
	if len(batch) < blockHeader || len(batch) > MaxBatchBytes {
		return nil, fmt.Errorf("batch of %d bytes: want %d to %d", len(batch), blockHeader, MaxBatchBytes)
	}
	if batch[0] > blockVersion {
		return nil, ErrNewer
	}
	if batch[0] != blockVersion || binary.LittleEndian.Uint32(batch[5:]) != blockSum(0, [5]byte(batch[:5]), batch[blockHeader:]) {
		return nil, errors.New("checksum of a batch differs: its bytes were changed")
	}
	n := binary.LittleEndian.Uint32(batch[1:])
	// The shortest record takes 11 bytes with its length: the count of a
	// stranger makes nobody allocate much more than he sent.
	if n == 0 || n > MaxBatch || uint64(n) > last || int(n) > len(batch)/11 {
		return nil, fmt.Errorf("a batch of %d bytes cannot hold %d records that end at sequence %d", len(batch), n, last)
	}
	r := blockReader{decoder{rest: string(batch[blockHeader:])}, last - uint64(n) + 1, last}
	entries := make([]Entry, n)
	for i := range entries {
		e := &entries[i]
		if r.read(e); r.d.err == nil {
			r.d.err = e.Validate()
		}
		if r.d.err != nil {
			return nil, fmt.Errorf("record %d of a batch: %w", i+1, r.d.err)
		}
	}
	if r.read(new(Entry)); r.d.err != nil {
		return nil, r.d.err
	}
	return entries, nil
}
