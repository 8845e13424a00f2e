package evidence

import (
	"io"
	"strings"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// freezeFS is the file system that Pebble sees. The first write or sync that
// fails freezes it: from then on nothing that Pebble does changes the disk.
//
// Pebble holds that a failed commit, or a failed write of its manifest, ends
// the process. We must go on answering, so its cry for an exit returns (see
// pebbleLogger), and this makes that safe: what was acknowledged stays on disk
// as it is, to be found by the next Open.
//
// To an error of the write-ahead log Pebble answers with panics, some of which
// cannot be recovered from (DB.rotateWAL panics between an Unlock and a Lock
// over a deferred Unlock). So it never hears of one: the log is failed before
// the operation returns, and then the operation says that it succeeded. Who
// commits must look at DiskLog.Err before it believes Pebble. Errors of tables
// and of the manifest are reported as they are: Pebble then keeps its tables
// in memory, from which it goes on reading.
type freezeFS struct {
	vfs.FS
	broken func(error)   // fails the log, with the first error of a write or sync
	frozen chan struct{} // closed when nothing may be written any more
	pace   sync.Mutex    // held by who waits to be refused a new file
}

// retryPause is how long a new file is kept waiting once frozen: Pebble
// retries a failed flush at once and for ever.
const retryPause = 200 * time.Millisecond

func (f *freezeFS) check() error {
	select {
	case <-f.frozen:
		return ErrFailed
	default:
		return nil
	}
}

// do runs an operation that changes the disk, unless it is frozen.
func (f *freezeFS) do(op func() error) error {
	err := f.check()
	if err == nil {
		if err = op(); err != nil {
			f.broken(err)
		}
	}
	return err
}

// create makes a file. Of the write-ahead log it makes one in any case.
func (f *freezeFS) create(name string, op func() (vfs.File, error)) (file vfs.File, err error) {
	wal := strings.HasSuffix(name, ".log")
	if f.check() != nil && !wal {
		f.wait()
	}
	err = f.do(func() (err error) { file, err = op(); return err })
	if err != nil && wal {
		return &deadFile{fs: f.FS, dir: f.FS.PathDir(name)}, nil
	} else if err != nil {
		return nil, err
	}
	return &freezeFile{file, f, wal}, nil
}

func (f *freezeFS) wait() {
	f.pace.Lock()
	defer f.pace.Unlock()
	time.Sleep(retryPause)
}

func (f *freezeFS) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return f.create(name, func() (vfs.File, error) { return f.FS.Create(name, c) })
}

func (f *freezeFS) ReuseForWrite(old, name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return f.create(name, func() (vfs.File, error) { return f.FS.ReuseForWrite(old, name, c) })
}

func (f *freezeFS) OpenReadWrite(name string, c vfs.DiskWriteCategory, opts ...vfs.OpenOption) (vfs.File, error) {
	return f.create(name, func() (vfs.File, error) { return f.FS.OpenReadWrite(name, c, opts...) })
}

// OpenDir opens a directory to be synced. One directory holds the write-ahead
// log and all the rest, so its errors are kept from Pebble too.
func (f *freezeFS) OpenDir(name string) (vfs.File, error) {
	dir, err := f.FS.OpenDir(name)
	if err != nil {
		return nil, err
	}
	return &freezeFile{dir, f, true}, nil
}

func (f *freezeFS) Link(oldname, newname string) error {
	return f.do(func() error { return f.FS.Link(oldname, newname) })
}

func (f *freezeFS) Rename(oldname, newname string) error {
	return f.do(func() error { return f.FS.Rename(oldname, newname) })
}

// Remove may fail without harm: what is in the way is removed at the next Open.
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

// Lock does nothing: the data directory is held as a whole, see hold.
func (f *freezeFS) Lock(string) (io.Closer, error) { return io.NopCloser(nil), nil }

func (f *freezeFS) Unwrap() vfs.FS { return f.FS }

// freezeFile is a file that was opened to be written.
type freezeFile struct {
	vfs.File
	fs     *freezeFS
	silent bool // keeps its errors from Pebble
}

func (f *freezeFile) do(op func() error) error {
	if err := f.fs.do(op); err != nil && !f.silent {
		return err
	}
	return nil
}

func (f *freezeFile) Write(b []byte) (n int, err error) {
	err = f.do(func() (err error) { n, err = f.File.Write(b); return err })
	if err == nil {
		n = len(b)
	}
	return n, err
}

func (f *freezeFile) WriteAt(b []byte, at int64) (n int, err error) {
	err = f.do(func() (err error) { n, err = f.File.WriteAt(b, at); return err })
	if err == nil {
		n = len(b)
	}
	return n, err
}

func (f *freezeFile) Sync() error     { return f.do(f.File.Sync) }
func (f *freezeFile) SyncData() error { return f.do(f.File.SyncData) }

func (f *freezeFile) SyncTo(length int64) (full bool, err error) {
	err = f.do(func() (err error) { full, err = f.File.SyncTo(length); return err })
	return full, err
}

func (f *freezeFile) Close() error {
	if err := f.File.Close(); err != nil {
		return f.do(func() error { return err })
	}
	return nil
}

// deadFile stands for a write-ahead log that could not be made. What is written
// to it is gone, and nobody was promised that it is not.
type deadFile struct {
	vfs.File // nil: nothing else is done with such a file
	fs       vfs.FS
	dir      string
}

func (*deadFile) Write(b []byte) (int, error)    { return len(b), nil }
func (*deadFile) Sync() error                    { return nil }
func (*deadFile) SyncData() error                { return nil }
func (*deadFile) SyncTo(int64) (bool, error)     { return true, nil }
func (*deadFile) Preallocate(int64, int64) error { return nil }
func (*deadFile) Fd() uintptr                    { return vfs.InvalidFd }
func (*deadFile) Close() error                   { return nil }
func (f *deadFile) Stat() (vfs.FileInfo, error)  { return f.fs.Stat(f.dir) } // any size will do
