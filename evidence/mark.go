package evidence

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// markFile notes, in a data directory, the last sequence that was durable. It
// is written after each fsync of the log and not synced itself, so it can lag
// behind the log but never runs ahead of it: if a log ends before its mark,
// acknowledged entries were lost.
//
// Pebble cannot tell that. At the end of its write-ahead log it takes a
// damaged record for one whose writing was cut short, and drops it together
// with all that follow.
const markFile = "mark"

// LossError says that a log ends before a sequence that was acknowledged.
type LossError struct {
	Dir                string
	Last, Acknowledged uint64
}

func (e *LossError) Error() string {
	return fmt.Sprintf("log ends at sequence %d, and %d were acknowledged: its write-ahead log was damaged or removed; "+
		"restore the data directory from a copy, or remove %s to go on without them",
		e.Last, e.Acknowledged, filepath.Join(e.Dir, markFile))
}

type mark struct {
	f vfs.File
	b []byte
}

// openMark opens the mark of a data directory and reads it. A new one is 0.
func openMark(fs vfs.FS, dir string) (*mark, uint64, error) {
	if err := makeDir(fs, dir); err != nil {
		return nil, 0, err
	}
	name := fs.PathJoin(dir, markFile)
	f, err := fs.OpenReadWrite(name, vfs.WriteCategoryUnspecified)
	if err != nil {
		return nil, 0, err
	}
	b := make([]byte, 32)
	n, err := f.ReadAt(b, 0)
	if err != nil && err != io.EOF {
		return nil, 0, errors.Join(err, f.Close())
	}
	m := &mark{f, b[:0]}
	if n == 0 {
		return m, 0, nil
	}
	seq, err := strconv.ParseUint(strings.TrimSpace(string(b[:n])), 10, 64)
	if err != nil {
		return nil, 0, errors.Join(fmt.Errorf("%s does not hold a sequence: remove it", name), f.Close())
	}
	return m, seq, nil
}

// set notes a sequence, always in as many bytes, so that it needs no new room.
func (m *mark) set(seq uint64) error {
	m.b = fmt.Appendf(m.b[:0], "%020d\n", seq)
	_, err := m.f.WriteAt(m.b, 0)
	return err
}

func (m *mark) close() error { return m.f.Close() }
