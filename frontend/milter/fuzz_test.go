package milter_test

import (
	"io"
	"log/slog"
	"net"
	"regexp"
	"strings"
	"testing"

	"headlight.example/frontend/milter"
	"headlight.example/message"
)

// Whatever comes over a connection, its answers are packets of the protocol, it
// ends when the other side does, and another connection goes on being served.
func FuzzSession(f *testing.F) {
	f.Add(raw(13, 'O', options) + raw(1, 'N', "") + raw(6, 'B', "hello") + raw(1, 'E', ""))
	f.Add(raw(13, 'O', options) + raw(20, 'R', "<abuse@example.org>\x00") + raw(16, 'L', "X-Headlight\x00a\x00\x00") + raw(1, 'E', "") + raw(1, 'A', "") + raw(1, 'Q', ""))
	f.Add(raw(13, 'O', options) + raw(12, 'D', "Ei\x00abc\x00j\x00mx\x00") + raw(1<<32-1, 'B', "x"))
	f.Add(raw(13, 'O', "\x00\x00\x00\x02"+options[4:]) + raw(1, 'K', "") + raw(1, 'H', "") + raw(1, 'C', ""))
	f.Add("EHLO x\r\n")
	f.Add(raw(13, 'O', options) + raw(1, 'N', "") + raw(uint32(len(bad)+1), 'B', bad) + raw(1, 'E', ""))
	connect := start(f, milter.Config{MaxBytes: 1000, Dangerous: milter.Rewrite})
	other := dial(f, connect(), 6, allSteps)
	f.Fuzz(func(t *testing.T, text string) {
		conn := connect()
		defer conn.Close()
		go func() {
			io.WriteString(conn, text)
			conn.(*net.TCPConn).CloseWrite()
		}()
		for {
			code, _, err := readPacket(conn)
			if err != nil {
				if !strings.Contains(err.Error(), "reset") && err != io.EOF {
					t.Fatalf("the answers end with %v", err)
				}
				break
			}
			if !strings.ContainsRune("Oabcimqsy", rune(code)) {
				t.Fatalf("an answer is %q", code)
			}
		}
		other.t = t
		if o := other.deliver(mail("hello"), 100); o.field("X-Headlight") != "safe" {
			t.Fatalf("another connection got %+v", o)
		}
	})
}

// A mail has the same level over the wire, in chunks of any length, as it has
// when it is read whole; and what is added is one line that begins with it.
func FuzzMail(f *testing.F) {
	f.Add("Subject", "hello", "see "+bad, uint16(7))
	f.Add("Content-Type", "text/html", "<a href='"+odd+"'>x</a>", uint16(1))
	f.Add("X-Headlight", "safe", good, uint16(0))
	f.Add("", "", "", uint16(0))
	svc := newService(f)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		f.Fatal(err)
	}
	go milter.New(svc, milter.Config{Logger: slog.New(slog.DiscardHandler)}).Serve(f.Context(), l)
	conn, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		f.Fatal(err)
	}
	m := dial(f, conn, 6, allSteps)
	value := regexp.MustCompile(`^(safe|unknown|suspicious|dangerous)(; (threat|host|id|unscanned)=([-._a-zA-Z0-9]+|"([ !#-\[\]-~]|\\["\\])*"))*$`)
	f.Fuzz(func(t *testing.T, name, field, body string, chunk uint16) {
		name = strings.NewReplacer("\x00", "", "\r", "", "\n", "", ":", "").Replace(name)
		field = strings.NewReplacer("\x00", "", "\r", "", "\n", " ").Replace(field)
		text := name + ": " + field + "\r\n\r\n" + body
		if strings.EqualFold(strings.TrimRight(name, " \t"), "x-headlight") || strings.EqualFold(strings.TrimRight(name, " \t"), "authentication-results") && strings.Contains(strings.ToLower(field), "x-headlight") {
			text = "\r\n" + body
		}
		want := svc.CheckMessage(message.Mail, text).Level
		m.t = t
		m.begin()
		m.ask('L', name+"\x00"+field+"\x00", quietField)
		m.ask('N', "", quietEOH)
		for n := int(chunk) + 1; len(body) > n; body = body[n:] {
			m.ask('B', body[:n], 0)
		}
		m.send('E', body)
		got := m.decision().field("X-Headlight")
		if !value.MatchString(got) || !strings.HasPrefix(got, want.String()) {
			t.Errorf("over the wire %q, read whole %s", got, want)
		}
	})
}
