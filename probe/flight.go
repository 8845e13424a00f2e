package probe

import (
	"context"
	"errors"
	"net"
	"slices"
	"sync"
	"time"
)

// errHalted: the kill switch ended a flight.
var errHalted = errors.New("visits are halted")

// flight is a visit under way, shared by all who ask for it, and the context of
// what is done for it. It ends with the context of whoever came first, when its
// time is over, or by the kill switch. One context of our own costs half of what
// the four of package context do that it stands for.
type flight struct {
	context.Context // of whoever came first
	deadline        time.Time
	landed          chan struct{} // closed when visit is there
	visit           Visit

	mu   sync.Mutex
	done chan struct{}
	err  error     // set when done is closed
	then []*func() // to be called then
	conn net.Conn  // on which it waits; nil: none
}

func newFlight(ctx context.Context, timeout time.Duration) *flight {
	f := &flight{Context: ctx, deadline: time.Now().Add(timeout), landed: make(chan struct{}), done: make(chan struct{})}
	if at, ok := ctx.Deadline(); ok && at.Before(f.deadline) {
		f.deadline = at
	}
	return f
}

// begin lets the flight end in time; stop frees what that takes.
func (f *flight) begin() (stop func()) {
	timer := time.AfterFunc(time.Until(f.deadline), func() { f.end(context.DeadlineExceeded) })
	forget := context.AfterFunc(f.Context, func() { f.end(f.Context.Err()) })
	return func() {
		timer.Stop()
		forget()
	}
}

// end ends the flight, if it has not ended.
func (f *flight) end(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err == nil {
		f.err = err
		close(f.done)
		if f.conn != nil {
			f.conn.SetDeadline(time.Unix(1, 0))
		}
		for _, then := range f.then {
			go (*then)()
		}
	}
}

// waitOn lets the end of the flight end what waits on a connection, too. What is
// to be its deadline is set before. nil: there is nothing that waits.
func (f *flight) waitOn(c net.Conn) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.conn = c
	if c != nil && f.err != nil {
		c.SetDeadline(time.Unix(1, 0))
	}
}

// Deadline implements context.Context.
func (f *flight) Deadline() (time.Time, bool) { return f.deadline, true }

// Done implements context.Context.
func (f *flight) Done() <-chan struct{} { return f.done }

// Err implements context.Context.
func (f *flight) Err() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.err
}

// AfterFunc is what context.AfterFunc looks for, which would start a goroutine
// without.
func (f *flight) AfterFunc(then func()) (stop func() bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err != nil {
		go then()
		return func() bool { return false }
	}
	f.then = append(f.then, &then)
	return func() bool {
		f.mu.Lock()
		defer f.mu.Unlock()
		i := slices.Index(f.then, &then)
		if f.err != nil || i < 0 {
			return false
		}
		f.then = slices.Delete(f.then, i, i+1)
		return true
	}
}
