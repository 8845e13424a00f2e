package evidence_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"headlight.example/evidence"
)

// faultFS fails writes, syncs and creations of files by a rule. The rule may
// let the operation happen and fail it afterwards all the same.
type faultFS struct {
	vfs.FS
	rule atomic.Pointer[rule]
}

// rule is asked before an operation on a file. fail says that the operation
// reports err; done says how much of it happens before: 0, half or all.
type rule func(op, file string) (done float64, err error)

const all, half, none = 1.0, 0.5, 0.0

func (f *faultFS) ask(op, name string) (float64, error) {
	if r := f.rule.Load(); r != nil {
		return (*r)(op, filepath.Base(name))
	}
	return all, nil
}

func (f *faultFS) wrap(name string, file vfs.File, err error) (vfs.File, error) {
	if err != nil {
		return nil, err
	}
	return &faultFile{file, f, name}, nil
}

func (f *faultFS) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	if _, err := f.ask("create", name); err != nil {
		return nil, err
	}
	file, err := f.FS.Create(name, c)
	return f.wrap(name, file, err)
}

func (f *faultFS) ReuseForWrite(old, name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	if _, err := f.ask("create", name); err != nil {
		return nil, err
	}
	file, err := f.FS.ReuseForWrite(old, name, c)
	return f.wrap(name, file, err)
}

func (f *faultFS) Unwrap() vfs.FS { return f.FS }

type faultFile struct {
	vfs.File
	fs   *faultFS
	name string
}

func (f *faultFile) Write(b []byte) (int, error) {
	done, err := f.fs.ask("write", f.name)
	if err == nil {
		return f.File.Write(b)
	}
	n, werr := f.File.Write(b[:int(done*float64(len(b)))])
	return n, errors.Join(err, werr)
}

func (f *faultFile) sync(do func() error) error {
	done, err := f.fs.ask("sync", f.name)
	if done == all {
		err = errors.Join(err, do())
	}
	return err
}

func (f *faultFile) Sync() error     { return f.sync(f.File.Sync) }
func (f *faultFile) SyncData() error { return f.sync(f.File.SyncData) }
func (f *faultFile) SyncTo(n int64) (full bool, err error) {
	err = f.sync(func() (err error) { full, err = f.File.SyncTo(n); return err })
	return full, err
}

// big gives a record that fills Pebble's tables soon.
func big(n int) evidence.Record {
	return evidence.Record{
		Time: day, Rater: "feed/a", Assertion: evidence.Malware, Count: uint32(n) + 1,
		Subject: url(fmt.Sprintf("host%d.example/%s", n%50, strings.Repeat("x", 3000))),
	}
}

// history is what a test said to a log: groups of three records, one an Append.
type history struct {
	acked int // groups of which the log said that they are durable
	tried int
}

func (h *history) append(ctx context.Context, l *evidence.DiskLog) error {
	n := 3 * h.tried
	h.tried++
	_, err := l.Append(ctx, big(n), big(n+1), big(n+2))
	if err == nil {
		h.acked = h.tried
	}
	return err
}

// check compares a log with what was said to it: what was acknowledged is
// there, nothing is there that was not said, and no half of a group.
func (h *history) check(t *testing.T, l *evidence.DiskLog) {
	t.Helper()
	n := 0
	for e, err := range l.Entries(t.Context(), 0) {
		if err != nil {
			t.Fatalf("after %d entries: %v", n, err)
		}
		if e.Record != big(n) {
			t.Fatalf("entry %d is of record %d", n, e.Count-1)
		}
		n++
	}
	if n < 3*h.acked || n > 3*h.tried || n%3 != 0 {
		t.Errorf("%d entries: %d records were acknowledged and %d sent, by threes", n, 3*h.acked, 3*h.tried)
	}
}

// restart opens a log again and checks it: it must be sound and take more.
func (h *history) restart(t *testing.T, dir string, fs vfs.FS) {
	t.Helper()
	l := open(t, dir, quiet().WithFS(fs))
	h.check(t, l)
	if _, err := l.Verify(t.Context(), nil); err != nil {
		t.Errorf("verify: %v", err)
	}
	n := l.Last()
	if last, err := l.Append(t.Context(), big(int(n))); err != nil || last != n+1 {
		t.Errorf("append after a restart: %d, %v", last, err)
	}
	if err := l.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
}

var errDisk = errors.New("disk says no")

// on fails operations of one kind on files whose names contain a part, from
// the skip-th on.
func on(op, part string, skip int, done float64, err error) *rule {
	var n atomic.Int64
	var r rule = func(o, file string) (float64, error) {
		if o != op || !strings.Contains(file, part) || int(n.Add(1)) <= skip {
			return all, nil
		}
		return done, err
	}
	return &r
}

// Every durable write of the log: it fails; it fails but was done; the machine
// dies with it. Then everything that was acknowledged is there.
func TestFaults(t *testing.T) {
	for _, fault := range []struct {
		name string
		rule *rule
	}{
		{"a write to the write-ahead log fails", on("write", ".log", 40, none, errDisk)},
		{"a write to the write-ahead log is torn", on("write", ".log", 40, half, errDisk)},
		{"a write to the write-ahead log is reported failed but was done", on("write", ".log", 40, all, errDisk)},
		{"a sync of the write-ahead log fails", on("sync", ".log", 30, none, errDisk)},
		{"a sync of the write-ahead log is reported failed but was done", on("sync", ".log", 30, all, errDisk)},
		{"the first sync fails", on("sync", ".log", 0, none, errDisk)},
		{"the disk is full for the write-ahead log", on("write", ".log", 40, half, syscall.ENOSPC)},
		{"a new write-ahead log cannot be made", on("create", ".log", 0, none, syscall.ENOSPC)},
		{"a table cannot be made", on("create", ".sst", 0, none, syscall.ENOSPC)},
		{"a table cannot be written", on("write", ".sst", 0, half, errDisk)},
		{"a table cannot be synced", on("sync", ".sst", 0, none, errDisk)},
		{"the manifest cannot be written", on("write", "MANIFEST", 0, half, errDisk)},
		{"the manifest cannot be synced", on("sync", "MANIFEST", 0, none, errDisk)},
		{"the manifest's sync is reported failed but was done", on("sync", "MANIFEST", 0, all, errDisk)},
	} {
		t.Run(fault.name, func(t *testing.T) {
			t.Parallel()
			dir, mem := t.TempDir(), vfs.NewCrashableMem()
			fs := &faultFS{FS: mem}
			l := open(t, dir, quiet().WithFS(fs))
			fs.rule.Store(fault.rule)
			h := new(history)
			var err error
			for h.tried < 20000 && err == nil {
				err = h.append(t.Context(), l)
			}
			if !errors.Is(err, evidence.ErrFailed) || !errors.Is(err, errDisk) && !errors.Is(err, syscall.ENOSPC) {
				t.Fatalf("after %d appends: got %v, want ErrFailed and its cause", h.tried, err)
			}
			if _, err := l.Append(t.Context(), big(0)); !errors.Is(err, evidence.ErrFailed) {
				t.Errorf("the next append: got %v, want ErrFailed", err)
			}
			if err := l.Err(); !errors.Is(err, evidence.ErrFailed) {
				t.Errorf("Err: got %v, want ErrFailed", err)
			}
			h.check(t, l) // what was acknowledged can still be read

			// The machine dies now: only what was synced is there, or that and
			// some of the rest.
			strict := mem.CrashClone(vfs.CrashCloneCfg{})
			loose := mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 50, RNG: rand.New(rand.NewPCG(1, 1))})
			fs.rule.Store(nil) // the disk is mended; a frozen log stays frozen
			if _, err := l.Append(t.Context(), big(0)); !errors.Is(err, evidence.ErrFailed) {
				t.Errorf("an append once the disk is mended: got %v, want ErrFailed", err)
			}
			if err := l.Close(); !errors.Is(err, evidence.ErrFailed) {
				t.Errorf("close: got %v, want ErrFailed", err)
			}
			for _, crashed := range []vfs.FS{strict, loose, mem} {
				h.restart(t, dir, crashed)
			}
		})
	}
}

func TestAcknowledgedSurvivesACrashAtAnyMoment(t *testing.T) {
	t.Parallel()
	dir, mem := t.TempDir(), vfs.NewCrashableMem()
	l := open(t, dir, quiet().WithFS(mem))
	h := new(history)
	type crash struct {
		h  history
		fs vfs.FS
	}
	var crashes []crash
	var mu sync.Mutex
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			mu.Lock()
			err := h.append(t.Context(), l)
			mu.Unlock()
			if err != nil {
				t.Errorf("append: %v", err)
				return
			}
		}
	})
	for i := range 25 {
		mu.Lock()
		before := *h
		mu.Unlock()
		cfg := vfs.CrashCloneCfg{UnsyncedDataPercent: 25 * (i % 4), RNG: rand.New(rand.NewPCG(1, uint64(i)))}
		clone := mem.CrashClone(cfg)
		mu.Lock()
		before.tried = h.tried // what was sent while the machine died may be there
		mu.Unlock()
		crashes = append(crashes, crash{before, clone})
		waitFor(t, func() bool { mu.Lock(); defer mu.Unlock(); return h.tried >= before.tried+rand.IntN(60) })
	}
	close(stop)
	wg.Wait()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	for _, c := range crashes {
		c.h.restart(t, dir, c.fs)
	}
}

// waitFor polls for something that another goroutine brings about.
func waitFor(t *testing.T, ready func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !ready(); {
		if time.Now().After(deadline) {
			t.Fatal("waited a minute")
		}
		<-time.After(time.Millisecond)
	}
}

func TestEntriesAreSeenOnlyOnceTheyAreDurable(t *testing.T) {
	t.Parallel()
	fs := &faultFS{FS: vfs.NewCrashableMem()}
	l := open(t, t.TempDir(), quiet().WithFS(fs))
	if _, err := l.Append(t.Context(), big(0)); err != nil {
		t.Fatal(err)
	}
	syncing, goOn := make(chan bool, 100), make(chan bool)
	var hang rule = func(op, file string) (float64, error) {
		if op == "sync" && strings.HasSuffix(file, ".log") {
			syncing <- true
			<-goOn
		}
		return all, nil
	}
	fs.rule.Store(&hang)
	appended := make(chan error)
	go func() {
		_, err := l.Append(t.Context(), big(1))
		appended <- err
	}()
	<-syncing // written, not yet on disk
	if got := counts(t, l.Entries(t.Context(), 0)); !slices.Equal(got, []uint32{1}) || l.Last() != 1 {
		t.Errorf("during the fsync there are %v, last %d; want the first alone", got, l.Last())
	}
	if got := counts(t, l.About(t.Context(), url(big(1).Subject.Key))); len(got) != 0 {
		t.Errorf("during the fsync About gives %v, want nothing", got)
	}
	// A caller who gives up meanwhile is not kept waiting.
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(time.Millisecond, cancel)
	if _, err := l.Append(ctx, big(9)); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
	close(goOn)
	if err := <-appended; err != nil {
		t.Fatal(err)
	}
	// What was given up before its turn came is not in the log.
	if got := counts(t, l.Entries(t.Context(), 0)); !slices.Equal(got, []uint32{1, 2}) {
		t.Errorf("after the fsync there are %v, want both", got)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

// counts gives the counts of the entries of a walk, by which tests tell them apart.
func counts(t *testing.T, walk func(func(evidence.Entry, error) bool)) (ns []uint32) {
	t.Helper()
	for e, err := range walk {
		if err != nil {
			t.Fatal(err)
		}
		ns = append(ns, e.Count)
	}
	return ns
}

func TestAFullDiskIsRefusedBeforeItIsFullAndForgivenAfter(t *testing.T) {
	t.Parallel()
	dir, mem := t.TempDir(), vfs.NewMem()
	mem.TestingSetDiskUsage(vfs.DiskUsage{AvailBytes: 1 << 40})
	l := open(t, dir, quiet().WithFS(mem))
	h := new(history)
	if err := h.append(t.Context(), l); err != nil {
		t.Fatal(err)
	}
	mem.TestingSetDiskUsage(vfs.DiskUsage{AvailBytes: evidence.DiskReserve})
	_, err := l.Append(t.Context(), big(0))
	if !errors.Is(err, evidence.ErrFull) || !strings.Contains(err.Error(), "128 MiB are left") {
		t.Errorf("got %v, want ErrFull with how much is left", err)
	}
	h.check(t, l)
	if err := l.Err(); err != nil {
		t.Errorf("a full disk is no failure of the log: %v", err)
	}
	mem.TestingSetDiskUsage(vfs.DiskUsage{AvailBytes: evidence.DiskReserve + 1<<20})
	if err := h.append(t.Context(), l); err != nil {
		t.Errorf("with room again: %v", err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	mem.TestingSetDiskUsage(vfs.DiskUsage{AvailBytes: evidence.DiskReserve/2 - 1})
	if _, err := evidence.Open(dir, quiet().WithFS(mem)); !errors.Is(err, evidence.ErrFull) {
		t.Errorf("open on a full disk: got %v, want ErrFull", err)
	}
	mem.TestingSetDiskUsage(vfs.DiskUsage{AvailBytes: 1 << 40})
	h.restart(t, dir, mem)
}

// A disk that fails while the log is being opened: Open says so, and does not
// hang where Pebble would. Once the disk is mended everything is there.
func TestFaultsAtOpen(t *testing.T) {
	for name, rule := range map[string]func() *rule{
		"a table cannot be made":              func() *rule { return on("create", ".sst", 0, none, syscall.ENOSPC) },
		"a table cannot be written":           func() *rule { return on("write", ".sst", 0, half, syscall.ENOSPC) },
		"a table cannot be synced":            func() *rule { return on("sync", ".sst", 0, none, errDisk) },
		"the manifest cannot be made":         func() *rule { return on("create", "MANIFEST", 0, none, errDisk) },
		"the manifest cannot be written":      func() *rule { return on("write", "MANIFEST", 0, half, errDisk) },
		"the manifest cannot be synced":       func() *rule { return on("sync", "MANIFEST", 0, none, errDisk) },
		"a write-ahead log cannot be made":    func() *rule { return on("create", ".log", 0, none, errDisk) },
		"the options cannot be written":       func() *rule { return on("write", "OPTIONS", 0, none, errDisk) },
		"the format of a log cannot be noted": func() *rule { return on("sync", ".log", 0, none, errDisk) },
	} {
		for _, groups := range []int{0, 10, 200} {
			t.Run(fmt.Sprintf("%s after %d appends", name, groups), func(t *testing.T) {
				t.Parallel()
				dir, mem, h := t.TempDir(), vfs.NewCrashableMem(), new(history)
				if groups > 0 {
					l := open(t, dir, quiet().WithFS(mem))
					for range groups {
						if err := h.append(t.Context(), l); err != nil {
							t.Fatal(err)
						}
					}
					if err := l.Close(); err != nil {
						t.Fatal(err)
					}
				}
				fs := &faultFS{FS: mem}
				fs.rule.Store(rule())
				l, err := evidence.Open(dir, quiet().WithFS(fs))
				if err == nil { // it met no such file
					err = l.Close()
				}
				if err != nil && !errors.Is(err, errDisk) && !errors.Is(err, syscall.ENOSPC) {
					t.Errorf("got %v, want the disk's error", err)
				}
				crashed := mem.CrashClone(vfs.CrashCloneCfg{})
				h.restart(t, dir, crashed)
				h.restart(t, dir, mem)
			})
		}
	}
}
