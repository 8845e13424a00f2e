package conns_test

import (
	"io"
	"net"
	"sync"
	"testing"

	"headlight.example/frontend/conns"
)

// open connects, and gives both ends.
func open(t *testing.T, l net.Listener) (outer, inner net.Conn) {
	t.Helper()
	outer, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { outer.Close() })
	if inner, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { inner.Close() })
	return outer, inner
}

func listen(t *testing.T, most int) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return conns.Limit(l, most)
}

func say(t *testing.T, from, to net.Conn) {
	t.Helper()
	if _, err := from.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(to, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
}

// At the limit nothing is closed; one past it, what has been silent for longest.
func TestTheMostSilentGoes(t *testing.T) {
	t.Parallel()
	l := listen(t, 3)
	first, firstIn := open(t, l)
	second, secondIn := open(t, l)
	third, thirdIn := open(t, l)
	say(t, first, firstIn)
	say(t, secondIn, second) // an answer counts as well
	say(t, thirdIn, third)
	say(t, first, firstIn) // so that the second is silent for longest
	fourth, fourthIn := open(t, l)
	if _, err := second.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("the most silent: %v, want its end", err)
	}
	if _, err := secondIn.Read(make([]byte, 1)); err == nil {
		t.Error("the most silent can still be read from")
	}
	for _, pair := range [][2]net.Conn{{first, firstIn}, {third, thirdIn}, {fourth, fourthIn}} {
		say(t, pair[0], pair[1])
		say(t, pair[1], pair[0])
	}
}

// What was closed makes room, once.
func TestClosedConnectionsMakeRoom(t *testing.T) {
	t.Parallel()
	l := listen(t, 2)
	stays, staysIn := open(t, l)
	for range 10 {
		_, inner := open(t, l)
		inner.Close()
		inner.Close()
	}
	open(t, l)
	say(t, stays, staysIn)
}

func TestManyAtOnce(t *testing.T) {
	t.Parallel()
	l := listen(t, 4)
	var all sync.WaitGroup
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() { io.Copy(c, c); c.Close() })
		}
	})
	var clients sync.WaitGroup
	for range 8 {
		clients.Go(func() {
			for range 100 {
				c, err := net.Dial("tcp", l.Addr().String())
				if err != nil {
					t.Error(err)
					return
				}
				c.Write([]byte("x")) // it may be closed by now
				c.Read(make([]byte, 1))
				c.Close()
			}
		})
	}
	clients.Wait()
	last, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := last.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(last, make([]byte, 1)); err != nil {
		t.Errorf("whoever comes last: %v", err)
	}
	last.Close()
	l.Close()
	all.Wait()
}
