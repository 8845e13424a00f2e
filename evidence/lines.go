package evidence

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
)

// Export writes the log as it stands at the call as JSON lines, an [Entry] each:
//
//	{"seq":7,"time":"2026-01-02T03:04:05.678Z","rater":"feed/openphish","subject":
//	 {"kind":"url","key":"a.example/x"},"assertion":"phishing","count":1}
//
// [ReadLines] reads it back without loss. It begins with the oldest entry that
// is there: of a trimmed log the base is not part of it. progress, if not nil,
// is called now and then with the records done and their total.
func (l *DiskLog) Export(ctx context.Context, w io.Writer, progress func(done, total uint64)) error {
	out := bufio.NewWriterSize(w, 1<<16)
	enc := json.NewEncoder(out)
	enc.SetEscapeHTML(false)
	first, last := l.trimmed.Load()+1, l.Last()
	for e, err := range l.Entries(ctx, first-1) {
		if err != nil {
			return errors.Join(err, out.Flush()) // what stands before it can be saved
		}
		if err := enc.Encode(e); err != nil {
			return fmt.Errorf("write entry %d: %w", e.Seq, err)
		}
		if done := e.Seq + 1 - first; progress != nil && (done%4096 == 0 || e.Seq == last) {
			progress(done, last+1-first)
		}
	}
	return out.Flush()
}

// maxLine bounds a JSON line: a byte of a key can take two.
const maxLine = 2*maxRecord + 1024

// LineError says which line of an export cannot be read.
type LineError struct {
	Line int // from 1
	Err  error
}

func (e *LineError) Error() string { return fmt.Sprintf("line %d: %v", e.Line, e.Err) }
func (e *LineError) Unwrap() error { return e.Err }

// ReadLines yields the entries of an export, each valid, with the sequences
// that they had. Empty lines are passed over. A line that is not an entry, has
// a field that we do not know, or is longer than any entry is a [*LineError]
// and ends the walk.
func ReadLines(r io.Reader) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		lines := bufio.NewScanner(r)
		lines.Buffer(make([]byte, 0, 4096), maxLine)
		n := 0
		for lines.Scan() {
			n++
			line := bytes.TrimSpace(lines.Bytes())
			if len(line) == 0 {
				continue
			}
			e, err := parseLine(line)
			if err != nil {
				yield(Entry{}, &LineError{n, err})
				return
			}
			if !yield(e, nil) {
				return
			}
		}
		if err := lines.Err(); errors.Is(err, bufio.ErrTooLong) {
			yield(Entry{}, &LineError{n + 1, fmt.Errorf("longer than %d bytes", maxLine)})
		} else if err != nil {
			yield(Entry{}, err)
		}
	}
}

func parseLine(line []byte) (Entry, error) {
	var e Entry
	dec := json.NewDecoder(bytes.NewReader(line))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&e); err != nil {
		return Entry{}, err
	}
	if _, err := dec.Token(); err != io.EOF {
		return Entry{}, errors.New("more follows the entry")
	}
	e.Time, e.Expires = e.Time.UTC(), e.Expires.UTC()
	return e, e.Validate()
}
