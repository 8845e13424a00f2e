package evidence

import (
	"context"
	"errors"
	"fmt"
	"iter"
)

// Log is the truth: an append-only, durable, totally ordered series of records.
// Implementations are safe for concurrent use and pass evidence/logtest.
type Log interface {
	// Append makes the records durable, in the order given and without others
	// between them, and returns the sequence of the last one. When it returns
	// nil they are on disk (or on a quorum of disks). When it returns an error
	// they may or may not be in the log: the caller may append them again,
	// since saying a thing twice changes nothing. A record that is not valid
	// is a [*RecordError], and then none of the records is in the log. Append
	// of no records returns the last sequence.
	Append(ctx context.Context, records ...Record) (last uint64, err error)

	// Entries yields the durable entries with a sequence above after, in
	// order, up to the end of the log at the time of the call. An error ends
	// it: [ErrTrimmed] if entries above after were trimmed, the context's if
	// it is done. The strings of an entry may be parts of a larger block:
	// clone what is to be kept for long.
	Entries(ctx context.Context, after uint64) iter.Seq2[Entry, error]
}

// Errors that callers of a log may test for.
var (
	// ErrClosed: the log was used after Close.
	ErrClosed = errors.New("the log is closed")
	// ErrFailed: an earlier write did not reach the disk. What was
	// acknowledged can be read; nothing can be appended until the log is
	// opened again.
	ErrFailed = errors.New("the log has failed and takes no more until it is opened again")
	// ErrFull: too little room is left on the disk. Nothing was written, and
	// appends succeed again once there is room.
	ErrFull = errors.New("disk full")
	// ErrTrimmed: entries that were asked for were trimmed; begin with the
	// base that was written for them.
	ErrTrimmed = errors.New("entries were trimmed")
)

// RecordError says which record of an Append is not valid, and why.
type RecordError struct {
	Index int // from 0, in the order given
	Err   error
}

func (e *RecordError) Error() string { return fmt.Sprintf("record %d: %v", e.Index+1, e.Err) }
func (e *RecordError) Unwrap() error { return e.Err }

// BlockError says that a stored block of records cannot be read.
type BlockError struct {
	First uint64 // the sequence with which the block begins
	Err   error
}

func (e *BlockError) Error() string {
	s := fmt.Sprintf("log block at sequence %d: %v", e.First, e.Err)
	if errors.Is(e.Err, ErrNewer) {
		return s
	}
	return s + "; restore the data directory from a copy, or export what stands before it and import that into a new one"
}
func (e *BlockError) Unwrap() error { return e.Err }
