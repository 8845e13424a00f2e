package bench

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	gomilter "github.com/emersion/go-milter"

	"headlight.example"
	"headlight.example/frontend/milter"
)

// BenchmarkMilter puts ours, which judges the links of each mail, beside a
// go-milter that does nothing. The mail servers' side is the same for both: it
// sends what it may without waiting, as Postfix does, and a mail a connection
// after the other. Each mail is a notice of 4 KB in text and HTML with four
// links, of which two are new each time.
func BenchmarkMilter(b *testing.B) {
	svc, err := headlight.Open(b.Context(), headlight.Config{Dir: b.TempDir(), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { svc.Close() })
	ours := listen(b, func(ctx context.Context, l net.Listener) {
		go svc.Run(ctx)
		milter.New(svc, milter.Config{Logger: slog.New(slog.DiscardHandler)}).Serve(ctx, l)
	})
	empty := listen(b, func(ctx context.Context, l net.Listener) {
		s := gomilter.Server{NewMilter: func() gomilter.Milter { return gomilter.NoOpMilter{} }}
		context.AfterFunc(ctx, func() { s.Close() })
		s.Serve(l)
	})
	for _, peer := range []struct{ name, addr string }{{"empty_go-milter", empty}, {"headlight", ours}} {
		for _, mails := range []int{1, 100} {
			b.Run(fmt.Sprintf("%s/%d_a_connection", peer.name, mails), func(b *testing.B) {
				var number atomic.Int64
				before := cpuTime(b)
				var clients sync.WaitGroup
				for range connections {
					clients.Go(func() {
						if err := mailServer(peer.addr, mails, &number, int64(b.N)); err != nil {
							b.Error(err)
						}
					})
				}
				clients.Wait()
				b.ReportMetric(float64((cpuTime(b)-before).Nanoseconds())/float64(b.N), "cpu-ns/mail")
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "mails/s")
			})
		}
	}
}

// mailServer delivers mails until there have been as many as last.
func mailServer(addr string, perConnection int, number *atomic.Int64, last int64) error {
	for {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			return err
		}
		m := &mta{w: bufio.NewWriterSize(conn, 32<<10), r: bufio.NewReader(conn)}
		if err := m.hello(); err != nil {
			return err
		}
		for range perConnection {
			n := number.Add(1)
			if n > last {
				return conn.Close()
			}
			if err := m.deliver(n); err != nil {
				return err
			}
		}
		m.packet('Q', "")
		m.w.Flush()
		conn.Close()
	}
}

type mta struct {
	w     *bufio.Writer
	r     *bufio.Reader
	steps uint32
}

func (m *mta) packet(code byte, data string) {
	var head [5]byte
	binary.BigEndian.PutUint32(head[:4], uint32(1+len(data)))
	head[4] = code
	m.w.Write(head[:])
	m.w.WriteString(data)
}

// ask sends a command and waits for its answer, unless it is agreed that there
// is none.
func (m *mta) ask(code byte, data string, leftOut, quiet uint32) error {
	if m.steps&leftOut != 0 {
		return nil
	}
	m.packet(code, data)
	if m.steps&quiet != 0 {
		return nil
	}
	got, _, err := m.answer()
	if err == nil && got != 'c' && got != 's' {
		err = fmt.Errorf("%q was answered with %q", code, got)
	}
	return err
}

func (m *mta) answer() (byte, []byte, error) {
	if err := m.w.Flush(); err != nil {
		return 0, nil, err
	}
	var head [5]byte
	if _, err := io.ReadFull(m.r, head[:]); err != nil {
		return 0, nil, err
	}
	data := make([]byte, binary.BigEndian.Uint32(head[:4])-1)
	_, err := io.ReadFull(m.r, data)
	return head[4], data, err
}

func (m *mta) hello() error {
	m.packet('O', "\x00\x00\x00\x06\x00\x00\x01\xff\x00\x1f\xff\xff")
	_, data, err := m.answer()
	if err != nil {
		return err
	}
	m.steps = binary.BigEndian.Uint32(data[8:])
	m.packet('D', "Cj\x00mx.example.org\x00")
	if err := m.ask('C', "client.example.com\x004\x00\x19192.0.2.1\x00", 1, 0x1000); err != nil {
		return err
	}
	return m.ask('H', "client.example.com\x00", 2, 0x2000)
}

// notice is the text of the mails around what differs.
var notice = strings.Repeat("Your parcel is on its way and will be with you in a few days, as always.\r\n", 25)

func (m *mta) deliver(n int64) error {
	for _, step := range []struct {
		code           byte
		data           string
		leftOut, quiet uint32
	}{
		{'M', "<a@example.com>\x00", 4, 0x4000},
		{'R', "<b@example.org>\x00", 8, 0x8000},
		{'T', "", 0x200, 0x10000},
		{'L', "Received\x00from a.example.com by mx.example.org; Fri, 27 Nov 2026 12:00:00 +0000\x00", 0x20, 0x80},
		{'L', "From\x00Parcels <a@example.com>\x00", 0x20, 0x80},
		{'L', "To\x00b@example.org\x00", 0x20, 0x80},
		{'L', "Subject\x00Your parcel\x00", 0x20, 0x80},
		{'L', "MIME-Version\x001.0\x00", 0x20, 0x80},
		{'L', "Content-Type\x00multipart/alternative; boundary=b\x00", 0x20, 0x80},
		{'N', "", 0x40, 0x40000},
		{'B', fmt.Sprintf("--b\r\nContent-Type: text/plain\r\n\r\n%shttps://track.site-%d.example/%d and https://en.wikipedia.org/wiki/Parcel\r\n"+
			"--b\r\nContent-Type: text/html\r\n\r\n<p>%s<a href=\"https://track.site-%d.example/%d\">track</a> <img src=\"https://img.site-%d.example/logo.png\">\r\n--b--\r\n",
			notice, n%50_000, n, notice, n%50_000, n, n%50_000), 0x10, 0x80000},
	} {
		if err := m.ask(step.code, step.data, step.leftOut, step.quiet); err != nil {
			return err
		}
	}
	m.packet('E', "")
	for {
		switch got, _, err := m.answer(); {
		case err != nil:
			return err
		case got == 'a' || got == 'c':
			return nil
		case got == 'y' || got == 'r' || got == 't':
			return fmt.Errorf("a mail was answered with %q", got)
		}
	}
}
