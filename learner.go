package headlight

import (
	"context"
	"errors"
	"iter"
	"sync"
	"sync/atomic"
	"time"

	"headlight.example/evidence"
	"headlight.example/reputation"
)

// errClosed is what appends get after Close.
var errClosed = errors.New("the service is closed")

// learner makes evidence durable and folds it, in one order. Two goroutines
// form a pipeline, so that the fold of one batch runs while the next is being
// synced:
//
//	append ─ in ─> write: log.Append ─ durable ─> fold: table.Apply ─> acknowledge
//
// A crash between the two loses nothing: the log is folded again at start. In a
// cluster the records go out to it first and come back in its order, with those
// of the other machines, see [follower]:
//
//	append ─ in ─> write: cluster.Append ··> follow: log.Append ─ durable ─> fold ─> acknowledge
type learner struct {
	log     *evidence.DiskLog
	table   *reputation.Table
	touched func(evidence.Record) // told of each folded record

	in      chan *request
	durable chan *batch
	done    sync.WaitGroup
	follow  *follower // nil: this machine is alone

	mu     sync.RWMutex // held for reading while sending on in
	closed bool

	broken atomic.Pointer[error] // the last append's failure, nil after a success
}

// maxBatch bounds what one sync makes durable, in records and about in bytes. A
// thousand records amortise the sync; more would only make the first of them wait.
// In a cluster it is also what may stand in one message, with a request behind it:
// evidence.MaxBatch and evidence.MaxBatchBytes.
const maxBatch, maxBatchBytes = 4096, 3 << 20

// sizeOf is about what a record takes, and not less.
func sizeOf(r *evidence.Record) int {
	return 64 + len(r.Rater) + len(r.Subject.Key) + len(r.Object.Key)
}

// parts yields records in slices that are within the bounds of a batch.
func parts(records []evidence.Record) iter.Seq[[]evidence.Record] {
	return func(yield func([]evidence.Record) bool) {
		for len(records) > 0 {
			n, size := 0, 0
			for n < len(records) && n < maxBatch && (n == 0 || size+sizeOf(&records[n]) <= maxBatchBytes) {
				size += sizeOf(&records[n])
				n++
			}
			if !yield(records[:n:n]) {
				return
			}
			records = records[n:]
		}
	}
}

type request struct {
	records []evidence.Record
	last    uint64
	err     error
	done    chan struct{}
}

// size is about how many bytes the records take.
func (r *request) size() (n int) {
	for i := range r.records {
		n += sizeOf(&r.records[i])
	}
	return n
}

type batch struct {
	requests []*request
	records  []evidence.Record
	first    uint64
	// In a cluster: the sequences of the records in its log, and of the last one of
	// all that the batch stands for, some of which may have been here before.
	seqs   []uint64
	shared uint64
}

// newLearner begins to learn; follow is nil if this machine is alone.
func newLearner(log *evidence.DiskLog, table *reputation.Table, touched func(evidence.Record), follow *follower) *learner {
	l := &learner{
		log: log, table: table, touched: touched, follow: follow,
		in:      make(chan *request, 64),
		durable: make(chan *batch, 1),
	}
	l.done.Go(l.write)
	l.done.Go(l.fold)
	return l
}

func (l *learner) append(ctx context.Context, records []evidence.Record) (uint64, error) {
	if len(records) == 0 {
		return l.table.Applied(), nil
	}
	r := &request{records: records, done: make(chan struct{})}
	if err := l.send(ctx, r); err != nil {
		return 0, err
	}
	select {
	case <-r.done:
		return r.last, r.err
	case <-ctx.Done():
		return 0, ctx.Err() // it may become durable all the same: see evidence.Log
	}
}

func (l *learner) send(ctx context.Context, r *request) error {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if l.closed {
		return errClosed
	}
	select {
	case l.in <- r:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// write gathers requests and makes them durable with one sync.
func (l *learner) write() {
	if l.follow == nil {
		defer close(l.durable)
	} else {
		l.follow.start(l.durable)
		defer l.follow.stop()
	}
	for r := range l.in {
		b := l.gather(r)
		if err := l.say(b); err != nil {
			l.broken.Store(&err)
			b.acknowledge(err)
			continue
		}
		l.broken.Store(nil)
	}
}

// gather adds to a request those that wait behind it.
func (l *learner) gather(r *request) *batch {
	b := &batch{requests: []*request{r}, records: r.records}
	size := r.size()
	for len(b.records) < maxBatch && size < maxBatchBytes {
		select {
		case r, ok := <-l.in:
			if !ok {
				return b
			}
			size += r.size()
			b.requests = append(b.requests, r)
			b.records = append(b.records[:len(b.records):len(b.records)], r.records...)
		default:
			return b
		}
	}
	return b
}

// say makes a batch durable, and sees to it that it is folded and acknowledged.
func (l *learner) say(b *batch) error {
	if l.follow != nil {
		return l.follow.say(b)
	}
	last, err := l.log.Append(context.Background(), b.records...)
	if err != nil {
		return err
	}
	b.first = last - uint64(len(b.records)) + 1
	l.durable <- b
	return nil
}

func (b *batch) acknowledge(err error) {
	seq := b.first
	for _, r := range b.requests {
		seq += uint64(len(r.records))
		r.last, r.err = seq-1, err
		close(r.done)
	}
}

// fold applies what is durable.
func (l *learner) fold() {
	for b := range l.durable {
		for i, r := range b.records {
			l.table.Apply(evidence.Entry{Seq: b.first + uint64(i), Record: r})
			l.touched(r)
		}
		if l.follow != nil {
			l.follow.folded(b)
		} else {
			b.acknowledge(nil)
		}
	}
}

// stop refuses further appends and returns when all earlier ones are folded.
func (l *learner) stop() error {
	l.mu.Lock()
	if !l.closed {
		l.closed = true
		close(l.in)
	}
	l.mu.Unlock()
	if l.follow == nil {
		l.done.Wait()
		return nil
	}
	late := time.AfterFunc(stopWait, l.follow.hush)
	defer late.Stop()
	l.done.Wait()
	return l.follow.close()
}

// lost gets the reason when the cluster is not followed any more.
func (l *learner) lost() <-chan error {
	if l.follow == nil {
		return nil
	}
	return l.follow.lost
}

func (l *learner) failure() error {
	if l.follow != nil {
		return l.follow.failure()
	}
	if err := l.broken.Load(); err != nil {
		return *err
	}
	return nil
}
