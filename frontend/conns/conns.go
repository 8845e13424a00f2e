// Package conns bounds how many connections of a listener are open.
//
//	l = conns.Limit(l, 4096)
//
// A bound at which newcomers wait lets whoever opens connections and says nothing
// keep everybody out. Here the newcomer is let in, and the connection that has been
// silent for longest is closed: that of a client which works is rarely the one, and
// whoever is cut off between two questions connects again.
package conns

import (
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// Limit gives a listener of whose connections at most most are open, 1 or more.
// A connection has been silent since a byte was last read from it or written to it.
func Limit(l net.Listener, most int) net.Listener {
	return &listener{Listener: l, most: most, start: time.Now(), open: make(map[*conn]struct{})}
}

type listener struct {
	net.Listener
	most  int
	start time.Time

	mu   sync.Mutex
	open map[*conn]struct{}
}

func (l *listener) Accept() (net.Conn, error) {
	accepted, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	c := &conn{Conn: accepted, l: l}
	c.heard()
	l.mu.Lock()
	var silent *conn
	if len(l.open) >= l.most {
		for o := range l.open {
			if silent == nil || o.last.Load() < silent.last.Load() {
				silent = o
			}
		}
		delete(l.open, silent)
	}
	l.open[c] = struct{}{}
	l.mu.Unlock()
	if silent != nil {
		silent.Conn.Close()
	}
	return c, nil
}

type conn struct {
	net.Conn
	l    *listener
	last atomic.Int64 // nanoseconds from the listener's start until it was heard of last
}

func (c *conn) heard() { c.last.Store(int64(time.Since(c.l.start))) }

func (c *conn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if n > 0 {
		c.heard()
	}
	return n, err
}

func (c *conn) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	if n > 0 {
		c.heard()
	}
	return n, err
}

func (c *conn) Close() error {
	c.l.mu.Lock()
	delete(c.l.open, c)
	c.l.mu.Unlock()
	return c.Conn.Close()
}
