package headlight

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"headlight.example/evidence"
	"headlight.example/reputation"
)

// Files of the data directory that hold a table.
const (
	// snapshotFile makes the start quick; it can be deleted at any time.
	snapshotFile = "snapshot"
	// baseFile is the fold of the entries that retention dropped from the log.
	// Together with the log it is the truth: it must not be deleted.
	baseFile = "base"
)

// Restore reads the table of a data directory as it was last saved. A missing
// snapshot is no news; one that cannot be read costs time, not knowledge,
// since the log is the truth.
func Restore(dir string, key *evidence.Key, logger *slog.Logger) (*reputation.Table, error) {
	t, err := readTable(dir, snapshotFile, key)
	if err == nil {
		return t, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		logger.Warn("snapshot unusable, folding the whole log", "err", err)
	}
	return RestoreBase(dir, key)
}

// RestoreBase gives the table from which the whole log is to be folded: empty,
// unless retention has dropped the beginning of the log.
func RestoreBase(dir string, key *evidence.Key) (*reputation.Table, error) {
	t, err := readTable(dir, baseFile, key)
	if errors.Is(err, fs.ErrNotExist) {
		return reputation.NewTable(key), nil
	}
	return t, err
}

func readTable(dir, name string, key *evidence.Key) (*reputation.Table, error) {
	f, err := os.Open(filepath.Join(dir, name))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	t, err := reputation.ReadTable(f, key)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", f.Name(), err)
	}
	return t, nil
}

// writeTable writes a table as writeFile does. It must be at rest.
func writeTable(dir, name string, t *reputation.Table) error {
	return writeFile(dir, name, func(w io.Writer) error {
		_, err := t.WriteTo(w)
		return err
	})
}

// writeFile writes a file to the side and renames it, so that a crash leaves the
// old one or the new one.
func writeFile(dir, name string, write func(io.Writer) error) (err error) {
	f, err := os.CreateTemp(dir, name+"-*.tmp")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // fails after the rename, as it should
	err = write(f)
	if err == nil {
		err = f.Sync()
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = os.Rename(f.Name(), filepath.Join(dir, name))
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return syncDir(dir)
}

// syncDir makes a rename in the directory durable.
func syncDir(name string) error {
	d, err := os.Open(name)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// Retain forgets who said what before a time: it folds the entries at the
// beginning of the log that are all older into the base, and then drops them.
// What they taught stays in the table. It returns the last sequence dropped, 0
// if there was nothing to drop. It takes as long, and as much memory, as a
// start without a snapshot; questions and appends go on.
//
// A crash between the two leaves entries that the base holds already; they are
// passed over by their sequence.
func (s *Service) Retain(ctx context.Context, before time.Time) (uint64, error) {
	base, err := RestoreBase(s.dir, s.key)
	if err != nil {
		return 0, err
	}
	from := base.Applied()
	for e, err := range s.log.Entries(ctx, from) {
		if err != nil {
			return 0, err
		}
		if !e.Time.Before(before) {
			break
		}
		base.Apply(e)
	}
	if base.Applied() == from {
		return 0, nil
	}
	if err := writeTable(s.dir, baseFile, base); err != nil {
		return 0, err
	}
	return s.log.Trim(ctx, base.Applied())
}
