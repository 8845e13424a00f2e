package milter_test

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
)

// mta speaks the mail server's side of the protocol, as Postfix does. What it
// says it will not wait for, it does not.
type mta struct {
	t     testing.TB
	conn  net.Conn
	r     *bufio.Reader
	steps uint32
	body  bool // the body may be changed
	skip  bool // no more of this body is wanted
}

// Bits of the protocol.
const (
	allActions = 0x1ff
	changeBody = 0x02
	allSteps   = 0x1fffff
	maySkip    = 0x400
	quietField = 0x80
	quietRcpt  = 0x8000
	quietEOH   = 0x40000
)

func dial(t testing.TB, conn net.Conn, version, steps uint32) *mta {
	t.Helper()
	m := &mta{t: t, conn: conn, r: bufio.NewReader(conn)}
	options := binary.BigEndian.AppendUint32(nil, version)
	options = binary.BigEndian.AppendUint32(options, allActions)
	options = binary.BigEndian.AppendUint32(options, steps)
	m.send('O', string(options))
	code, data := m.receive()
	if code != 'O' || len(data) != 12 {
		t.Fatalf("options were answered with %q %q", code, data)
	}
	if got := binary.BigEndian.Uint32([]byte(data)); got > version || got > 6 {
		t.Fatalf("version %d was answered with %d", version, got)
	}
	actions := binary.BigEndian.Uint32([]byte(data[4:]))
	if actions&^changeBody != 0x31 {
		t.Errorf("actions %#x are asked for, want adding and changing fields and quarantine", actions)
	}
	m.body = actions&changeBody != 0
	m.steps = binary.BigEndian.Uint32([]byte(data[8:]))
	if m.steps&^steps != 0 {
		t.Fatalf("steps %#x were answered with %#x", steps, m.steps)
	}
	return m
}

func (m *mta) send(code byte, data string) {
	m.t.Helper()
	b := binary.BigEndian.AppendUint32(nil, uint32(1+len(data)))
	if _, err := m.conn.Write(append(append(b, code), data...)); err != nil {
		m.t.Fatalf("send %q: %v", code, err)
	}
}

func (m *mta) receive() (code byte, data string) {
	m.t.Helper()
	code, data, err := readPacket(m.r)
	if err != nil {
		m.t.Fatalf("receive: %v", err)
	}
	return code, data
}

func readPacket(r io.Reader) (code byte, data string, err error) {
	var head [5]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, "", err
	}
	n := binary.BigEndian.Uint32(head[:4])
	if n == 0 || n > 1<<20 {
		return 0, "", fmt.Errorf("an answer of %d bytes", n)
	}
	b := make([]byte, n-1)
	_, err = io.ReadFull(r, b)
	return head[4], string(b), err
}

// ask sends a command and expects to go on.
func (m *mta) ask(code byte, data string, quiet uint32) {
	m.t.Helper()
	m.send(code, data)
	if m.steps&quiet != 0 {
		return
	}
	switch got, _ := m.receive(); got {
	case 'c':
	case 's':
		if code != 'B' || m.steps&maySkip == 0 {
			m.t.Fatalf("%q was answered with skip", code)
		}
		m.skip = true
	default:
		m.t.Fatalf("%q was answered with %q", code, got)
	}
}

// An outcome is what a mail was answered with.
type outcome struct {
	inserted   []string // "Name: value", the topmost last
	removed    []string // "Name 3"
	body       string   // in its place
	chunks     []int    // of how many bytes it came
	quarantine string
	reply      string // "accept", or the SMTP reply
	skipped    bool
}

// field gives the value of an inserted field.
func (o outcome) field(name string) string {
	for _, f := range o.inserted {
		if v, ok := strings.CutPrefix(f, name+": "); ok {
			return v
		}
	}
	return ""
}

// deliver sends a mail, its body in chunks of that many bytes.
func (m *mta) deliver(mail string, chunk int, recipients ...string) outcome {
	m.t.Helper()
	m.begin(recipients...)
	header, body, _ := strings.Cut(mail, "\r\n\r\n")
	fields := strings.Split(header, "\r\n")
	for i := 0; i < len(fields); i++ {
		name, value, ok := strings.Cut(fields[i], ":")
		if !ok {
			continue
		}
		for i+1 < len(fields) && strings.HasPrefix(fields[i+1], " ") {
			value += "\n" + fields[i+1]
			i++
		}
		m.ask('L', name+"\x00"+strings.TrimPrefix(value, " ")+"\x00", quietField)
	}
	m.ask('N', "", quietEOH)
	for body != "" && !m.skip {
		n := min(chunk, len(body))
		m.ask('B', body[:n], 0)
		body = body[n:]
	}
	m.send('D', "Ei\x003zQz8R1x\x00")
	m.send('E', "")
	return m.decision()
}

func (m *mta) begin(recipients ...string) {
	m.t.Helper()
	m.skip = false
	m.send('D', "Cj\x00mx.example.org\x00{daemon_name}\x00mx\x00")
	if len(recipients) == 0 {
		recipients = []string{"someone@example.org"}
	}
	for _, r := range recipients {
		m.ask('R', "<"+r+">\x00", quietRcpt)
	}
}

func (m *mta) decision() (o outcome) {
	m.t.Helper()
	o.skipped = m.skip
	for {
		switch code, data := m.receive(); code {
		case 'i':
			if !strings.HasPrefix(data, "\x00\x00\x00\x00") {
				m.t.Errorf("a field is inserted at %q, want the top", data[:4])
			}
			name, value, _ := strings.Cut(data[4:], "\x00")
			o.inserted = append(o.inserted, name+": "+strings.TrimSuffix(value, "\x00"))
		case 'm':
			name, value, _ := strings.Cut(data[4:], "\x00")
			if value != "\x00" {
				m.t.Errorf("field %s is changed to %q", name, value)
			}
			o.removed = append(o.removed, fmt.Sprint(name, " ", binary.BigEndian.Uint32([]byte(data[:4]))))
		case 'b':
			if !m.body {
				m.t.Error("the body is changed, which was not asked for")
			}
			o.body += data
			o.chunks = append(o.chunks, len(data))
		case 'q':
			o.quarantine = strings.TrimSuffix(data, "\x00")
		case 'a':
			o.reply = "accept"
			return o
		case 'y':
			o.reply = strings.TrimSuffix(data, "\x00")
			return o
		default:
			m.t.Fatalf("the mail was answered with %q %q", code, data)
		}
	}
}

// mail makes one with this body.
func mail(body string, fields ...string) string {
	b := bytes.NewBufferString("From: a@example.com\r\nTo: someone@example.org\r\nSubject: hello\r\n")
	for _, f := range fields {
		b.WriteString(f + "\r\n")
	}
	return b.String() + "\r\n" + body
}
