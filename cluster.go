package headlight

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"headlight.example/evidence"
	"headlight.example/probe"
)

// Cluster is what several machines share: one log, and the right to do once what
// each of them could do. *jetstream.Node is one. It is safe for concurrent use.
type Cluster interface {
	// Append is that of evidence.Log: what it acknowledges is on a quorum of disks.
	Append(ctx context.Context, records ...evidence.Record) (last uint64, err error)
	// Follow yields the entries with a sequence above after, in order, as many at
	// once as there are, and waits for more until ctx is done. Its error is
	// evidence.ErrTrimmed if entries above after are no longer kept.
	Follow(ctx context.Context, after uint64) iter.Seq2[[]evidence.Entry, error]
	// Identity names the shared log: another one has another name.
	Identity(ctx context.Context) (string, error)
	// Agree gives what the machines hold to be the value of a key: what the first of
	// them that was asked gave for it.
	Agree(ctx context.Context, key, value string) (agreed string, err error)
	probe.Claims
	// Ask puts a question to the other machines and gives the answers of those that
	// give one before ctx is done; missing is how many did not. Answer has f answer
	// what they ask, from several goroutines at once.
	Ask(ctx context.Context, question []byte) (answers [][]byte, missing int)
	Answer(f func(ctx context.Context, question []byte) []byte) error
	// Ready says why nothing can be appended now; nil if it can. It does not wait.
	Ready() error
}

// followFile says how far the log of a data directory has followed a cluster.
// It belongs to the log: without the one the other cannot be gone on with.
const followFile = "cluster.json"

// followed is what the file holds: the entry Shared of the cluster's log is the
// entry Sequence of ours, and both end with it or go on alike.
type followed struct {
	Cluster  string `json:"cluster"` // its identity; "" in a directory that has not followed one yet
	Shared   uint64 `json:"shared"`
	Sequence uint64 `json:"sequence"`
}

// errLeft is what appends get in a directory that follows a cluster, opened by
// somebody who does not.
var errLeft = fmt.Errorf("this data directory follows the log of a cluster, and what is said here would not reach it: "+
	"ask the node that holds it, with -server, or start it with its cluster; to leave the cluster for good, remove %s", followFile)

const (
	// saveEvery is how often it is noted how far we are. What lies behind is
	// read twice after a crash, and told apart by counting.
	saveEvery = 10 * time.Second
	// After a failure that may pass it is tried again, after minRetry at first.
	minRetry, maxRetry = time.Second, time.Minute
	// stopWait is how long the last records said here are waited for at the end.
	stopWait = 2 * time.Second
)

// follower copies a cluster's log into our own, entry by entry and in its order,
// so that the same directory, snapshots, explanations and commands serve a machine
// alone and one of many. What is said here goes out to the cluster first and is
// acknowledged when it has come back and is folded.
type follower struct {
	cluster Cluster
	key     *evidence.Key
	log     *evidence.DiskLog
	dir     string
	logger  *slog.Logger

	speaking context.Context // done when nothing more is to be said
	hush     context.CancelFunc
	end      context.CancelFunc
	done     chan struct{} // closed when nothing more comes
	lost     chan error    // gets a trouble that does not pass by itself

	mu      sync.Mutex
	at      followed // folded
	saved   time.Time
	target  uint64        // of the cluster's log when we came to it
	waiting []*batch      // said here and not yet folded, in the order of shared
	saying  bool          // one is on its way out
	passed  []*batch      // folded meanwhile: it may be among them
	empty   chan struct{} // closed when there is none waiting and none will come; nil before
	trouble error         // why it does not go on; nil if it does
}

// openFollower reads how far the log has followed. cluster is nil if this machine is
// alone: then the follower refuses what is said if the directory follows one, and is
// nil if it does not.
func openFollower(cluster Cluster, key *evidence.Key, log *evidence.DiskLog, dir string, logger *slog.Logger) (*follower, error) {
	f := &follower{cluster: cluster, key: key, log: log, dir: dir, logger: logger, done: make(chan struct{}), lost: make(chan error, 1)}
	f.speaking, f.hush = context.WithCancel(context.Background())
	text, err := os.ReadFile(filepath.Join(dir, followFile))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if cluster == nil {
			return nil, nil
		}
		f.at.Sequence = log.Last()
		return f, nil
	case err != nil:
		return nil, err
	}
	if err := json.Unmarshal(text, &f.at); err != nil || f.at.Sequence > log.Last() {
		if err == nil {
			err = fmt.Errorf("it is at entry %d, but the log ends at %d", f.at.Sequence, log.Last())
		}
		return nil, fmt.Errorf("%s in %s: %w; %s", followFile, dir, err, copyMend)
	}
	return f, nil
}

// start begins to follow; what comes is sent to durable, which is closed at the end.
func (f *follower) start(durable chan<- *batch) {
	ctx, end := context.WithCancel(context.Background())
	f.end = end
	if f.cluster == nil {
		f.fail(errLeft)
		f.lost <- errLeft
		close(durable)
		close(f.done)
		return
	}
	go func() {
		defer close(f.done)
		defer close(durable)
		for wait := minRetry; ctx.Err() == nil; wait = min(2*wait, maxRetry) {
			begun := time.Now()
			err := f.run(ctx, durable)
			if time.Since(begun) > maxRetry {
				wait = minRetry
			}
			if ctx.Err() != nil {
				return
			}
			f.fail(err)
			if _, lost := errors.AsType[*lostError](err); lost {
				f.lost <- err
				return
			}
			f.logger.Warn("the cluster cannot be followed", "err", err, "again in", wait)
			select {
			case <-ctx.Done():
			case <-time.After(wait):
			}
		}
	}()
}

// lostError is a trouble that does not pass by itself.
type lostError struct{ err error }

func (e *lostError) Error() string { return e.err.Error() }
func (e *lostError) Unwrap() error { return e.err }

// run follows until ctx is done or something is in the way.
func (f *follower) run(ctx context.Context, durable chan<- *batch) error {
	if err := f.join(ctx); err != nil {
		return err
	}
	f.mu.Lock()
	at := f.at
	f.mu.Unlock()
	for entries, err := range f.cluster.Follow(ctx, at.Shared) {
		if errors.Is(err, evidence.ErrTrimmed) {
			return &lostError{fmt.Errorf("%w from the cluster's log that this node has not read; %s", err, copyMend)}
		}
		if err != nil {
			return err
		}
		// What our log has of them already is folded, or on its way.
		known := min(f.log.Last()-at.Sequence, uint64(len(entries)))
		at.Shared = entries[len(entries)-1].Seq
		at.Sequence += uint64(len(entries))
		b := &batch{shared: at.Shared, first: at.Sequence + 1 - uint64(len(entries)) + known}
		for _, e := range entries[known:] {
			b.records = append(b.records, e.Record)
			b.seqs = append(b.seqs, e.Seq)
		}
		switch last, err := f.log.Append(context.Background(), b.records...); {
		case err != nil:
			return err
		case len(b.records) > 0 && last != at.Sequence:
			return &lostError{fmt.Errorf("the log ends at %d, where it should end at %d: somebody else has written to it", last, at.Sequence)}
		}
		durable <- b
	}
	return ctx.Err()
}

// join makes sure that it is our cluster, and learns how far it is.
func (f *follower) join(ctx context.Context) error {
	id, err := f.cluster.Identity(ctx)
	if err != nil {
		return err
	}
	switch agreed, err := f.cluster.Agree(ctx, "key", f.key.Fingerprint()); {
	case err != nil:
		return err
	case agreed != f.key.Fingerprint():
		return &lostError{fmt.Errorf("keys/seal.key of this data directory is not that of the cluster (fingerprint %s): %s", agreed, copyMend)}
	}
	target, err := f.cluster.Append(ctx) // of nothing: its last sequence
	if err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.at.Cluster == "" {
		if err := f.begin(ctx); err != nil {
			return err
		}
		f.at.Cluster = id
		if err := f.save(time.Now()); err != nil {
			return err
		}
	}
	if f.at.Cluster != id {
		return &lostError{fmt.Errorf("this data directory follows another cluster, %s, than that of these nodes, %s; %s", f.at.Cluster, id, copyMend)}
	}
	if target < f.at.Shared {
		return fmt.Errorf("the cluster's log ends at %d, before what was read of it here, %d: if that does not pass, it has lost its tail", target, f.at.Shared)
	}
	f.target, f.trouble = target, nil
	return nil
}

// copyMend is how a node gets what the shared log does not have.
const copyMend = "stop another node, copy its data directory, and start from that"

// begin makes sure that all nodes begin with the same log: an empty one, or copies
// of that of the machine that was alone before.
func (f *follower) begin(ctx context.Context) error {
	last := f.log.Last()
	sum := sha256.New()
	for e, err := range f.log.Entries(ctx, max(last, 1)-1) {
		if errors.Is(err, evidence.ErrTrimmed) {
			break
		}
		if err != nil {
			return err
		}
		text, err := e.AppendBinary(nil)
		if err != nil {
			return err
		}
		sum.Write(text)
	}
	ours := fmt.Sprintf("%d-%x", last, sum.Sum(nil)[:8])
	agreed, err := f.cluster.Agree(ctx, "beginning", ours)
	if err == nil && agreed != ours {
		err = &lostError{fmt.Errorf("the log of this data directory (%s) is not the one that the cluster began with (%s); %s", ours, agreed, copyMend)}
	}
	return err
}

// say sends a batch to the cluster; it is acknowledged when it comes back.
func (f *follower) say(b *batch) error {
	select {
	case <-f.done: // nothing comes back any more
		return f.failure()
	default:
	}
	f.mu.Lock()
	f.saying = true
	f.mu.Unlock()
	last, err := f.cluster.Append(f.speaking, b.records...)
	f.mu.Lock()
	defer f.mu.Unlock()
	passed := f.passed
	f.saying, f.passed = false, nil
	if err != nil {
		return err
	}
	b.shared = last
	for _, came := range passed {
		if came.answers(b) {
			return nil
		}
	}
	f.waiting = append(f.waiting, b)
	return nil
}

// answers acknowledges what was said here, if this is it, come back and folded.
func (b *batch) answers(said *batch) bool {
	i, ok := slices.BinarySearch(b.seqs, said.shared)
	if ok {
		said.first = b.first + uint64(i) + 1 - uint64(len(said.records))
		said.acknowledge(nil)
	}
	return ok
}

// folded notes that a batch of the cluster's log is in the table.
func (f *follower) folded(b *batch) {
	f.mu.Lock()
	defer f.mu.Unlock()
	behind := f.at.Shared < f.target
	if b.shared > f.at.Shared { // or it was read again
		f.at.Shared, f.at.Sequence = b.shared, b.first+uint64(len(b.records))-1
	}
	if behind && f.at.Shared >= f.target {
		f.logger.Info("the cluster's log is folded", "entries", f.at.Sequence)
	}
	if f.saying {
		f.passed = append(f.passed, &batch{first: b.first, seqs: b.seqs})
	}
	f.waiting = slices.DeleteFunc(f.waiting, b.answers)
	if f.empty != nil && len(f.waiting) == 0 {
		close(f.empty)
		f.empty = nil
	}
	if now := time.Now(); now.Sub(f.saved) >= saveEvery {
		if err := f.save(now); err != nil {
			f.logger.Error("not noted how far the cluster is followed; a restart reads more of it again", "err", err)
		}
	}
}

// save notes how far we are; f.mu is held.
func (f *follower) save(now time.Time) error {
	f.saved = now
	text, err := json.Marshal(f.at)
	if err != nil {
		return err
	}
	return writeFile(f.dir, followFile, func(w io.Writer) error {
		_, err := w.Write(append(text, '\n'))
		return err
	})
}

func (f *follower) fail(err error) {
	f.mu.Lock()
	f.trouble = err
	f.mu.Unlock()
}

// shared gives how far the cluster's log is folded.
func (f *follower) shared() uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.at.Shared
}

// failure says why this node is not in step with the cluster.
func (f *follower) failure() error {
	if f.cluster != nil {
		if err := f.cluster.Ready(); err != nil {
			return err
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.trouble != nil:
		return f.trouble
	case f.at.Shared < f.target || f.at.Cluster == "":
		return fmt.Errorf("the cluster's log is being folded: %d entries so far", f.at.Sequence)
	}
	return nil
}

// stop waits for what was said here, as long as that may take, and ends.
func (f *follower) stop() {
	f.mu.Lock()
	wait := make(chan struct{})
	if len(f.waiting) > 0 {
		f.empty = wait
	} else {
		close(wait)
	}
	f.mu.Unlock()
	select {
	case <-wait:
	case <-f.done:
	case <-time.After(stopWait):
	}
	f.end()
	<-f.done
}

// close is for when all that came is folded: it notes how far that is. What was
// said here and has not come back is in the cluster's log all the same.
func (f *follower) close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, b := range f.waiting {
		b.acknowledge(errClosed)
	}
	f.waiting = nil
	if f.cluster == nil {
		return nil
	}
	return f.save(time.Now())
}
