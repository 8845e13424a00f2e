package evidence

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// DiskLog is the embedded log: one directory, one process, Pebble below.
//
// Appends are gathered by one goroutine, the committer: what arrives while an
// fsync is under way shares the next one. Pebble shows a commit to readers
// before its fsync is done, so readers go no further than durable.
//
// It is safe for concurrent use. Whoever opens it closes it.
type DiskLog struct {
	dir  string
	opts Options
	log  *slog.Logger
	hold *hold
	mark *mark // written by the committer
	db   *pebble.DB
	fs   *freezeFS

	durable atomic.Uint64 // the last sequence that is on disk and may be read
	trimmed atomic.Uint64 // entries up to this one are gone

	frozen  chan struct{} // closed at the first failure, after failure was set
	failure atomic.Pointer[error]

	mu     sync.Mutex
	queue  []*request // waits for the committer
	closed bool
	wake   chan struct{} // has one place: something is in the queue
	ending chan struct{} // closed by Close
	ended  chan struct{} // closed when the committer has returned

	// commitMu is held while Pebble is written to. broken is set under it if
	// Pebble panicked; then it holds locks of its own for ever.
	commitMu sync.Mutex
	broken   bool

	// tail holds the postings of the segment being filled. The committer is its
	// only writer. tailSegment has no rows on disk, every segment before has.
	tailMu      sync.Mutex
	tail        []posting
	tailSegment uint64

	// dbMu is held for reading while Pebble is read, for writing by Close.
	dbMu sync.RWMutex
}

// Options of Open. The zero value is a working default.
type Options struct {
	// Logger; nil means slog.Default().
	Logger *slog.Logger
	// Server is the base URL at which this process answers, for the error that
	// others get who try to open the directory. "" if it does not answer.
	Server string

	fs       vfs.FS // below Pebble; nil means the operating system's
	memTable uint64 // bytes of a table in memory; 0 means memTableSize
}

// Names in a data directory.
const logDir = "log"

// Numbers that Open gives to Pebble.
const (
	// A restart replays at most the write-ahead logs of the tables in memory.
	memTableSize = 16 << 20
	// Tables in memory that may wait to be flushed before appends wait.
	memTables = 4
	// Appends are refused when less than this is left on the disk: enough for
	// all tables in memory to be flushed, and for a compaction, so that a full
	// disk does not leave Pebble with a write begun and not ended.
	diskReserve = 2 * memTables * memTableSize
)

// Open opens the log of a data directory, and creates both at need. Exactly
// one process can have it open: another gets a [*HeldError]. A log of a later
// version is [ErrNewer], one that lost acknowledged entries a [*LossError], one
// whose last block is damaged a [*BlockError].
func Open(dir string, opts Options) (*DiskLog, error) {
	if opts.Logger == nil {
		opts.Logger = slog.Default()
	}
	if opts.fs == nil {
		opts.fs = vfs.Default
	}
	if err := makeDir(vfs.Default, dir); err != nil {
		return nil, err
	}
	hold, err := takeHold(dir, opts.Server)
	if err != nil {
		return nil, err
	}
	l := &DiskLog{
		dir: dir, opts: opts, hold: hold, log: opts.Logger.With("part", "log"),
		frozen: make(chan struct{}), wake: make(chan struct{}, 1),
		ending: make(chan struct{}), ended: make(chan struct{}),
	}
	if err := l.open(); err != nil {
		return nil, errors.Join(fmt.Errorf("open log in %s: %w", dir, err), hold.release())
	}
	go l.commitAll()
	return l, nil
}

func (l *DiskLog) open() (err error) {
	l.fs = &freezeFS{FS: l.opts.fs, broken: l.fail, frozen: l.frozen}
	var acknowledged uint64
	if l.mark, acknowledged, err = openMark(l.opts.fs, l.dir); err != nil {
		return err
	}
	if err := l.openPebble(); err != nil {
		return errors.Join(err, l.mark.close())
	}
	// Errors of the write-ahead log are found with l alone: see freezeFS.
	err = cmp.Or(l.load(), l.Err())
	if last := l.Last(); err == nil && last < acknowledged {
		err = &LossError{l.dir, last, acknowledged}
	}
	if err != nil {
		return errors.Join(err, l.db.Close(), l.mark.close())
	}
	return nil
}

// openPebble opens the log's Pebble, which flushes what it finds in its
// write-ahead logs. If that fails it tries for ever and never returns; then it
// is left behind, unable to change anything (see freezeFS).
func (l *DiskLog) openPebble() error {
	if err := l.checkRoom(memTables * memTableSize); err != nil {
		return err
	}
	type opened struct {
		db  *pebble.DB
		err error
	}
	done := make(chan opened, 1)
	go func() {
		db, err := pebble.Open(filepath.Join(l.dir, logDir), l.pebbleOptions())
		done <- opened{db, err}
	}()
	select {
	case o := <-done:
		l.db = o.db
		return o.err
	case <-l.frozen:
	}
	select {
	case o := <-done:
		if o.err == nil {
			o.err = o.db.Close()
		}
		return cmp.Or(l.Err(), o.err)
	case <-time.After(patience):
		return l.Err()
	}
}

// patience is how long a failed Pebble has to come back from what it was doing.
const patience = 10 * retryPause

// makeDir makes a directory and those above it, and makes their names durable.
func makeDir(fs vfs.FS, dir string) error {
	if _, err := fs.Stat(dir); err == nil {
		return nil
	}
	parent := fs.PathDir(dir)
	if parent != dir {
		if err := makeDir(fs, parent); err != nil {
			return err
		}
	}
	if err := fs.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	return syncDir(fs, parent)
}

// syncDir makes the names in a directory durable.
func syncDir(fs vfs.FS, dir string) error {
	d, err := fs.OpenDir(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func (l *DiskLog) pebbleOptions() *pebble.Options {
	o := &pebble.Options{
		FS:                          l.fs,
		FormatMajorVersion:          pebble.FormatNewest,
		Logger:                      pebbleLogger{l},
		MemTableSize:                cmp.Or(l.opts.memTable, memTableSize),
		MemTableStopWritesThreshold: memTables,
		L0CompactionThreshold:       4,
		L0StopWritesThreshold:       1000,
		EventListener: &pebble.EventListener{
			BackgroundError: l.fail,
			// Reads return the error too; nothing is to be done here.
			DataCorruption: func(info pebble.DataCorruptionInfo) {
				l.log.Error("log is damaged", "path", info.Path, "err", info.Details)
			},
		},
	}
	o.ApplyCompressionSettings(func() pebble.DBCompressionSettings { return pebble.DBCompressionFastest })
	return o
}

// load finds where the log ends and fills the tail of the index.
func (l *DiskLog) load() error {
	if err := l.loadMeta(); err != nil {
		return err
	}
	iter, err := l.db.NewIter(&pebble.IterOptions{UpperBound: metaPrefix})
	if err != nil {
		return err
	}
	defer iter.Close()
	last := l.trimmed.Load()
	if first, ok := floorBlock(iter, 1<<64-1); ok {
		_, count, err := openBlock(first, iter.Value())
		if err != nil {
			return &BlockError{first, err}
		}
		last = max(last, first+uint64(count)-1)
	} else if err := iter.Error(); err != nil {
		return err
	}
	l.durable.Store(last)
	l.tailSegment = (last + 1) >> segmentBits
	from := max(l.tailSegment<<segmentBits, l.trimmed.Load()+1)
	err = l.eachBlock(context.Background(), from, last, func(r blockReader) error {
		var e Entry
		for r.read(&e) {
			if e.Seq>>segmentBits == l.tailSegment {
				l.tail = appendPostings(l.tail, &e.Record, int(e.Seq&segmentMask))
			}
		}
		return r.d.err
	})
	return err
}

// Meta keys stand behind all sequences.
var (
	metaPrefix  = []byte{0xff}
	metaFormat  = []byte("\xffformat")  // version of all that is below, one byte
	metaTrimmed = []byte("\xfftrimmed") // the sequence up to which entries are gone
)

const logFormat = 1

// loadMeta reads what is noted of the log as a whole, or notes it of a new one.
func (l *DiskLog) loadMeta() error {
	format, closer, err := l.db.Get(metaFormat)
	if errors.Is(err, pebble.ErrNotFound) {
		return l.db.Set(metaFormat, []byte{logFormat}, pebble.Sync)
	} else if err != nil {
		return err
	}
	newer := len(format) != 1 || format[0] > logFormat
	closer.Close()
	if newer {
		return ErrNewer
	}
	trimmed, closer, err := l.db.Get(metaTrimmed)
	if errors.Is(err, pebble.ErrNotFound) {
		return nil
	} else if err != nil {
		return err
	}
	defer closer.Close()
	if len(trimmed) != 8 {
		return fmt.Errorf("note of what was trimmed has %d bytes instead of 8", len(trimmed))
	}
	l.trimmed.Store(binary.BigEndian.Uint64(trimmed))
	return nil
}

// Last is the sequence of the last durable entry; 0 in a new log.
func (l *DiskLog) Last() uint64 { return l.durable.Load() }

// Err is nil while the log takes entries, else what made it fail.
func (l *DiskLog) Err() error {
	if err := l.failure.Load(); err != nil {
		return *err
	}
	return nil
}

// fail freezes the log at its first failure. It may be called by Pebble with
// any of its locks held.
func (l *DiskLog) fail(cause error) {
	err := fmt.Errorf("%w: %w", ErrFailed, cause)
	if l.failure.CompareAndSwap(nil, &err) {
		close(l.frozen)
		l.log.Error("log failed and takes no more entries: see to the disk and restart", "err", cause)
	}
}

// Close waits for the appends that were begun, closes the log and lets go of
// the directory. Walks that go on after it get [ErrClosed]. It returns the
// failure of a log that had failed.
func (l *DiskLog) Close() error {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return ErrClosed
	}
	l.closed = true
	l.mu.Unlock()
	close(l.ending)
	select {
	case <-l.ended:
	case <-l.stuck():
		// A failed Pebble can keep a commit waiting for a flush that will never
		// succeed. Its disk is frozen; leaving it is all that can be done.
		return errors.Join(l.Err(), l.hold.release())
	}
	l.commitMu.Lock() // a Trim may be under way
	defer l.commitMu.Unlock()
	l.dbMu.Lock()
	defer l.dbMu.Unlock()
	err := l.Err()
	if !l.broken {
		if cerr := l.db.Close(); err == nil && cerr != nil {
			err = fmt.Errorf("close log in %s: %w", l.dir, cerr)
		}
	}
	return errors.Join(err, l.mark.close(), l.hold.release())
}

// stuck is ready when the log has failed and the committer had its time to notice.
func (l *DiskLog) stuck() <-chan struct{} {
	c := make(chan struct{})
	go func() {
		select {
		case <-l.ended:
			return
		case <-l.frozen:
		}
		select {
		case <-l.ended:
		case <-time.After(patience):
			close(c)
		}
	}()
	return c
}

// pebbleLogger hands Pebble's words to slog. Fatalf returns: see freezeFS.
type pebbleLogger struct{ l *DiskLog }

func (p pebbleLogger) Infof(format string, args ...any) {
	if p.l.log.Enabled(context.Background(), slog.LevelDebug) {
		p.l.log.Debug("pebble", "says", fmt.Sprintf(format, args...))
	}
}

func (p pebbleLogger) Errorf(format string, args ...any) {
	p.l.log.Warn("pebble", "says", fmt.Sprintf(format, args...))
}

func (p pebbleLogger) Fatalf(format string, args ...any) { p.l.fail(fmt.Errorf(format, args...)) }
