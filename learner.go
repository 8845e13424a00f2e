package headlight

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"

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
// A crash between the two loses nothing: the log is folded again at start.
type learner struct {
	log     *evidence.DiskLog
	table   *reputation.Table
	touched func(evidence.Record) // told of each folded record

	in      chan *request
	durable chan *batch
	done    sync.WaitGroup

	mu     sync.RWMutex // held for reading while sending on in
	closed bool

	broken atomic.Pointer[error] // the last append's failure, nil after a success
}

// maxBatch bounds what one sync makes durable, in records. A thousand amortise
// the sync; more would only make the first of them wait.
const maxBatch = 4096

type request struct {
	records []evidence.Record
	last    uint64
	err     error
	done    chan struct{}
}

type batch struct {
	requests []*request
	records  []evidence.Record
	first    uint64
}

func newLearner(log *evidence.DiskLog, table *reputation.Table, touched func(evidence.Record)) *learner {
	l := &learner{
		log: log, table: table, touched: touched,
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
	defer close(l.durable)
	for r := range l.in {
		b := &batch{requests: []*request{r}, records: r.records}
		for more := true; more && len(b.records) < maxBatch; {
			select {
			case r, ok := <-l.in:
				if more = ok; ok {
					b.requests = append(b.requests, r)
					b.records = append(b.records[:len(b.records):len(b.records)], r.records...)
				}
			default:
				more = false
			}
		}
		last, err := l.log.Append(context.Background(), b.records...)
		if err != nil {
			l.broken.Store(&err)
			b.acknowledge(err)
			continue
		}
		l.broken.Store(nil)
		b.first = last - uint64(len(b.records)) + 1
		l.durable <- b
	}
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
		b.acknowledge(nil)
	}
}

// stop refuses further appends and returns when all earlier ones are folded.
func (l *learner) stop() {
	l.mu.Lock()
	if !l.closed {
		l.closed = true
		close(l.in)
	}
	l.mu.Unlock()
	l.done.Wait()
}

func (l *learner) failure() error {
	if err := l.broken.Load(); err != nil {
		return *err
	}
	return nil
}
