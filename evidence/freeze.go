package evidence

import (
	"io"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// freezeFS is the file system that Pebble sees. The first write or sync that
// fails freezes it: from then on nothing that Pebble does changes the disk.
//
// Pebble holds that a failed commit, or a failed write of its manifest, ends
// the process; its state in memory is no longer sound after one. We must go on
// answering, so its cry for an exit returns (see pebbleLogger), and this makes
// that safe: what was acknowledged stays on disk as it is, to be found by the
// next Open.
type freezeFS struct {
	vfs.FS
	broken func(error)   // called with the first error of a write or sync
	frozen chan struct{} // closed when nothing may be written any more
	ending chan struct{} // closed when the log is being closed
	pace   sync.Mutex
}

// retryPause is how long a new file is kept waiting once frozen: Pebble
// retries a failed flush at once and for ever.
const retryPause = time.Second

func (f *freezeFS) check() error {
	select {
	case <-f.frozen:
		return ErrFailed
	default:
		return nil
	}
}

// saw reports an error of a write, if it is one.
func (f *freezeFS) saw(err error) error {
	if err != nil {
		f.broken(err)
	}
	return err
}

func (f *freezeFS) waitIfFrozen() error {
	err := f.check()
	if err != nil {
		f.pace.Lock()
		defer f.pace.Unlock()
		select {
		case <-f.ending:
		case <-time.After(retryPause):
		}
	}
	return err
}

func (f *freezeFS) wrap(file vfs.File, err error) (vfs.File, error) {
	if f.saw(err) != nil {
		return nil, err
	}
	return &freezeFile{file, f}, nil
}

func (f *freezeFS) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	if err := f.waitIfFrozen(); err != nil {
		return nil, err
	}
	return f.wrap(f.FS.Create(name, category))
}

func (f *freezeFS) ReuseForWrite(oldname, newname string, category vfs.DiskWriteCategory) (vfs.File, error) {
	if err := f.waitIfFrozen(); err != nil {
		return nil, err
	}
	return f.wrap(f.FS.ReuseForWrite(oldname, newname, category))
}

func (f *freezeFS) OpenReadWrite(name string, category vfs.DiskWriteCategory, opts ...vfs.OpenOption) (vfs.File, error) {
	if err := f.check(); err != nil {
		return nil, err
	}
	return f.wrap(f.FS.OpenReadWrite(name, category, opts...))
}

func (f *freezeFS) OpenDir(name string) (vfs.File, error) {
	dir, err := f.FS.OpenDir(name)
	if err != nil {
		return nil, err
	}
	return &freezeFile{dir, f}, nil
}

func (f *freezeFS) Link(oldname, newname string) error {
	if err := f.check(); err != nil {
		return err
	}
	return f.FS.Link(oldname, newname)
}

func (f *freezeFS) Remove(name string) error {
	if err := f.check(); err != nil {
		return err
	}
	return f.FS.Remove(name)
}

func (f *freezeFS) RemoveAll(name string) error {
	if err := f.check(); err != nil {
		return err
	}
	return f.FS.RemoveAll(name)
}

func (f *freezeFS) Rename(oldname, newname string) error {
	if err := f.check(); err != nil {
		return err
	}
	return f.saw(f.FS.Rename(oldname, newname))
}

// Lock does nothing: the data directory is held as a whole, see hold.
func (f *freezeFS) Lock(string) (io.Closer, error) { return io.NopCloser(nil), nil }

func (f *freezeFS) Unwrap() vfs.FS { return f.FS }

type freezeFile struct {
	vfs.File
	fs *freezeFS
}

func (f *freezeFile) Write(b []byte) (int, error) {
	if err := f.fs.check(); err != nil {
		return 0, err
	}
	n, err := f.File.Write(b)
	return n, f.fs.saw(err)
}

func (f *freezeFile) WriteAt(b []byte, at int64) (int, error) {
	if err := f.fs.check(); err != nil {
		return 0, err
	}
	n, err := f.File.WriteAt(b, at)
	return n, f.fs.saw(err)
}

func (f *freezeFile) Sync() error {
	if err := f.fs.check(); err != nil {
		return err
	}
	return f.fs.saw(f.File.Sync())
}

func (f *freezeFile) SyncData() error {
	if err := f.fs.check(); err != nil {
		return err
	}
	return f.fs.saw(f.File.SyncData())
}

func (f *freezeFile) SyncTo(length int64) (bool, error) {
	if err := f.fs.check(); err != nil {
		return false, err
	}
	full, err := f.File.SyncTo(length)
	return full, f.fs.saw(err)
}
