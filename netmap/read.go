package netmap

import (
	"bufio"
	"bytes"
	"compress/bzip2"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/gzip"
)

// Summary is what was found in a file.
type Summary struct {
	Format string // "csv", "pfx2as" or "mrt"; "" if that did not become clear
	// Bytes is how much was read whole, unpacked: up to the end of the last
	// line or record.
	Bytes     int64
	Entries   int         // lines, without comments and empty ones; or MRT records
	Kept      int         // ranges, or prefixes as they stand in the file
	Nobody    int         // of AS 0, a default route, or without an origin
	Skipped   int         // MRT records that are not of a unicast table
	Malformed int         // and were passed over
	First     *EntryError // the first malformed entry
}

// EntryError says what is wrong with a line or an MRT record.
type EntryError struct {
	Line   int   // from 1; 0 in MRT
	Offset int64 // of its first byte, unpacked
	Err    error
}

func (e *EntryError) Error() string {
	if e.Line > 0 {
		return fmt.Sprintf("line %d: %v", e.Line, e.Err)
	}
	return fmt.Sprintf("record at byte %d: %v", e.Offset, e.Err)
}

func (e *EntryError) Unwrap() error { return e.Err }

const (
	// headEntries are read before a file may be refused for what is in it;
	// at its end it may always be.
	headEntries = 1000
	// fewMalformed are forgiven in a file of which anything was understood.
	fewMalformed = 10
)

// Read reads one file, in a format and packing that it finds out. Lines and
// records that are malformed are counted and passed over, but a file of which
// more than half is malformed is refused, as is one that holds no network.
// What is cut short gives an error that is [io.ErrUnexpectedEOF] and tells the
// offset of what is not whole; text that is not packed and ends in the midst
// of a line cannot be told from one that ends there.
//
// What was read before an error is kept: who does not want it drops the
// Builder, who does can see in the Summary how much it is.
func (b *Builder) Read(r io.Reader) (Summary, error) {
	var sum Summary
	limit := b.MaxBytes
	if limit == 0 {
		limit = defaultMaxBytes
	}
	text, err := unpack(r)
	if err != nil {
		return sum, err
	}
	in := bufio.NewReaderSize(&bounded{text, limit}, maxLine)
	head, err := in.Peek(mrtHeaderLen)
	if len(head) == mrtHeaderLen && head[4] == 0 {
		// An MRT header has the type in two bytes, and none is above 255. No
		// text has a NUL there.
		err = b.readMRT(in, &sum)
	} else if err == nil || err == io.EOF {
		err = b.readText(in, &sum)
	}
	if err == nil {
		err = sum.judge(0)
	}
	if err == nil && sum.Kept == 0 {
		err = errors.New("it holds no network")
	}
	return sum, err
}

// take counts what became of one entry.
func (s *Summary) take(kept bool, at EntryError) error {
	s.Entries++
	if _, full := errors.AsType[*fullError](at.Err); full {
		return &at
	}
	switch {
	case at.Err != nil:
		s.Malformed++
		if s.First == nil {
			s.First = &at
		}
	case kept:
		s.Kept++
	default:
		s.Nobody++
	}
	return s.judge(headEntries)
}

// judge refuses what is mostly malformed, once n entries have been seen.
func (s *Summary) judge(n int) error {
	if s.Entries < n || 2*s.Malformed <= s.Entries || s.Malformed <= fewMalformed && s.Kept > 0 {
		return nil
	}
	return fmt.Errorf("%d of %d entries are malformed; the first: %w", s.Malformed, s.Entries, s.First)
}

func unpack(r io.Reader) (io.Reader, error) {
	in := bufio.NewReaderSize(r, 64<<10)
	head, err := in.Peek(3)
	if err != nil && err != io.EOF {
		return nil, err
	}
	switch {
	case bytes.HasPrefix(head, []byte("\x1f\x8b")):
		z, err := gzip.NewReader(in)
		if err != nil {
			return nil, fmt.Errorf("unpack gzip: %w", noEOF(err))
		}
		return z, nil
	case bytes.HasPrefix(head, []byte("BZh")):
		return bzip2.NewReader(in), nil
	}
	return in, nil
}

// bounded gives an error in place of what follows left bytes.
type bounded struct {
	r    io.Reader
	left int64
}

var errTooBig = errors.New("the file is bigger than it may be")

func (b *bounded) Read(p []byte) (int, error) {
	if b.left == 0 {
		var one [1]byte
		if n, err := io.ReadFull(b.r, one[:]); n == 0 {
			return 0, err
		}
		return 0, errTooBig
	}
	if int64(len(p)) > b.left {
		p = p[:b.left]
	}
	n, err := b.r.Read(p)
	b.left -= int64(n)
	return n, err
}

// noEOF is for places where an end is not the end of a file.
func noEOF(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
