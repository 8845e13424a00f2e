package milter_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"headlight.example"
	"headlight.example/frontend/milter"
	"headlight.example/link"
)

const (
	bad  = "http://phishing.headlight.example/a"
	odd  = "http://suspicious.headlight.example/a"
	good = "http://nobody-knows.example/a"
)

func newService(t testing.TB) *headlight.Service {
	t.Helper()
	svc, err := headlight.Open(t.Context(), headlight.Config{Dir: t.TempDir(), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { svc.Close() })
	return svc
}

// start runs a milter until the test ends, and gives what connects to it.
func start(t testing.TB, cfg milter.Config) func() net.Conn {
	t.Helper()
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var done sync.WaitGroup
	m := milter.New(newService(t), cfg)
	done.Go(func() {
		if err := m.Serve(ctx, l); err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	var mu sync.Mutex
	var conns []net.Conn
	t.Cleanup(func() {
		for _, c := range conns {
			c.Close()
		}
		cancel()
		done.Wait()
	})
	return func() net.Conn {
		conn, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			panic(err)
		}
		mu.Lock()
		defer mu.Unlock()
		conns = append(conns, conn)
		return conn
	}
}

func TestEachLevelHasItsAction(t *testing.T) {
	t.Parallel()
	connect := start(t, milter.Config{Suspicious: milter.Quarantine, Dangerous: milter.Reject, Exempt: []string{"abuse"}, Contact: "postmaster@example.org"})
	const id = `[0-9a-z]{13}`
	const results = `^mx\.example\.org; x-headlight=`
	for _, test := range []struct {
		name, mail, to                    string
		field, results, reply, quarantine string
	}{
		{"no link", mail("good morning"), "",
			`^safe$`, results + `none\n\tpolicy\.level=safe$`, `^accept$`, `^$`},
		{"a link that nobody knows", mail("see " + good), "",
			`^unknown; host=nobody-knows\.example; id=` + id + `$`, results + `neutral\n\tpolicy\.level=unknown\n\tpolicy.host=nobody-knows.example\n\tpolicy.id=` + id + `$`, `^accept$`, `^$`},
		{"a suspicious link", mail("see " + odd), "",
			`^suspicious; threat=phishing; host=suspicious\.headlight\.example; id=` + id + `$`, results + `softfail\n`, `^accept$`,
			`^its link to suspicious\.headlight\.example is suspicious \(phishing\), id ` + id + `$`},
		{"a dangerous link", mail("see " + bad), "",
			`^$`, `^$`, `^550 5\.7\.1 Message refused: its link to phishing\.headlight\.example is dangerous \(phishing\), id ` + id + `; ask postmaster@example\.org$`, `^$`},
		{"the worst link counts", mail(good + " " + bad + " " + odd), "", `^$`, `^$`, `^550 `, `^$`},
		{"a link in an HTML part in base64", mail("--x\r\nContent-Type: text/html\r\nContent-Transfer-Encoding: base64\r\n\r\nPGEgaHJlZj0iaHR0cDovL3BoaXNoaW5nLmhlYWRsaWdodC5leGFtcGxlLyI+\r\n--x--\r\n", "MIME-Version: 1.0", "Content-Type: multipart/mixed; boundary=x"), "",
			`^$`, `^$`, `^550 `, `^$`},
		{"a link in a forwarded message", mail("Subject: fwd\r\n\r\n"+bad, "Content-Type: message/rfc822"), "", `^$`, `^$`, `^550 `, `^$`},
		{"a link in the subject", "Subject: " + bad + "\r\n\r\nhello", "", `^$`, `^$`, `^550 `, `^$`},
		{"a folded field", mail("hello", "List-Unsubscribe: <mailto:a@example.com>,\r\n <"+bad+">"), "", `^$`, `^$`, `^550 `, `^$`},
		{"a mail that reports it", mail("see " + bad), "Abuse@example.org",
			`^dangerous; threat=phishing; host=phishing\.headlight\.example; id=` + id + `$`, results + `fail\n`, `^accept$`, `^$`},
		{"a mail that reports it, and is for others as well", mail("see " + bad), "abuse@example.org someone@example.org", `^$`, `^$`, `^550 `, `^$`},
		{"a per cent sign in a reply", mail("see http://phishing.headlight.example/a%25"), "", `^$`, `^$`, `^550 [^%]*$`, `^$`},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			for _, version := range []uint32{2, 6} {
				steps := uint32(allSteps)
				if version < 6 {
					steps = 0x7f
				}
				m := dial(t, connect(), version, steps)
				for range 2 { // two mails over one connection
					o := m.deliver(test.mail, 64<<10, strings.Fields(test.to)...)
					for _, got := range [][2]string{
						{o.field("X-Headlight"), test.field}, {o.field("Authentication-Results"), test.results}, {o.reply, test.reply}, {o.quarantine, test.quarantine},
					} {
						if !regexp.MustCompile(got[1]).MatchString(got[0]) {
							t.Errorf("version %d: got %q, want %s", version, got[0], got[1])
						}
					}
					if len(o.removed) > 0 {
						t.Errorf("removed %q", o.removed)
					}
				}
			}
		})
	}
}

// The id is the one by which the API knows the link.
func TestIDIsThatOfTheLink(t *testing.T) {
	t.Parallel()
	svc := newService(t)
	l, err := link.Parse(bad)
	if err != nil {
		t.Fatal(err)
	}
	if id := svc.ID(l); !strings.HasSuffix(svc.Key().SealName(l).Key, "/#"+id) || len(id) != 13 {
		t.Errorf("got id %q", id)
	}
}

func TestForgedFieldsAreRemoved(t *testing.T) {
	t.Parallel()
	connect := start(t, milter.Config{})
	for _, test := range []struct {
		name   string
		fields []string
		want   []string
	}{
		{"none", nil, nil},
		{"one", []string{"X-Headlight: safe"}, []string{"X-Headlight 1"}},
		{"several, in any case, the last first", []string{"x-headlight: safe", "X-HEADLIGHT : safe"}, []string{"X-Headlight 2", "X-Headlight 1"}},
		{"others that begin or end alike stay", []string{"X-Headlight-Note: a", "Not-X-Headlight: b"}, nil},
		{"results that speak for us, not those of others", []string{
			"Authentication-Results: mx.example.org; dkim=pass",
			"Authentication-Results: mx.example.org; X-Headlight = pass",
			"Authentication-Results: mx.example.org (a comment);\r\n x-headlight=pass",
		}, []string{"Authentication-Results 3", "Authentication-Results 2"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			o := dial(t, connect(), 6, allSteps).deliver(mail("hello", test.fields...), 100)
			if !slices.Equal(o.removed, test.want) {
				t.Errorf("removed %q, want %q", o.removed, test.want)
			}
			if o.field("X-Headlight") != "safe" {
				t.Errorf("inserted %q", o.inserted)
			}
		})
	}
	// A hundred are removed; of more the mail dies.
	forge := func(n int) outcome {
		return dial(t, connect(), 6, allSteps).deliver(mail("hello", slices.Repeat([]string{"X-Headlight: safe", "Authentication-Results: a; x-headlight=pass"}, n)...), 100)
	}
	if o := forge(100); len(o.removed) != 200 || o.reply != "accept" {
		t.Errorf("of 100 forged fields %d were removed: %s", len(o.removed)/2, o.reply)
	}
	if o := forge(101); !strings.HasPrefix(o.reply, "550 5.7.1 ") {
		t.Errorf("101 forged fields: %s", o.reply)
	}
}

func TestAMailOverABoundIsPassedAndSaysSo(t *testing.T) {
	t.Parallel()
	pad := func(n int) string { return strings.Repeat("x ", n/2) + strings.Repeat("y", n%2) }
	header := len(mail(""))
	for _, test := range []struct {
		name  string
		cfg   milter.Config
		mail  string
		field string
		skip  bool
	}{
		{"as long as may be", milter.Config{MaxBytes: 10_000}, mail(pad(10_000 - header)), "safe", false},
		{"one byte longer", milter.Config{MaxBytes: 10_000}, mail(pad(10_001 - header)), "unknown; unscanned=size", true},
		{"a header longer than a mail may be", milter.Config{MaxBytes: 1000}, mail("hello", "X-Long: "+pad(1000)), "unknown; unscanned=size", true},
		{"what comes before the bound is judged", milter.Config{MaxBytes: 10_000}, mail(bad + " " + pad(20_000)), "dangerous; threat=phishing; host=phishing.headlight.example; id=ID; unscanned=size", true},
		{"as much memory as there is", milter.Config{MaxMemory: 3 << 20}, mail(pad(1 << 20)), "safe", false},
		{"not enough memory", milter.Config{MaxMemory: 1 << 20}, mail(pad(1 << 20)), "unknown; unscanned=memory", true},
		{"a small mail needs none of it", milter.Config{MaxMemory: 1}, mail(pad(30 << 10)), "safe", false},
		{"as many fields as may be", milter.Config{}, mail("hello", slices.Repeat([]string{"X-A: b"}, 997)...), "safe", false},
		{"one field more", milter.Config{}, mail("hello", slices.Repeat([]string{"X-A: b"}, 998)...), "unknown; unscanned=header", true},
		{"a field longer than a packet may be", milter.Config{}, mail("hello", "X-A: "+pad(128<<10)), "unknown; unscanned=header", true},
		{"more links than are looked at", milter.Config{}, mail(strings.Repeat("http://a.example/ ", 1001)), "unknown; host=a.example; id=ID; unscanned=links", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			m := dial(t, start(t, test.cfg)(), 6, allSteps)
			for range 2 { // what the first held has been given back
				o := m.deliver(test.mail, 4096)
				field := regexp.MustCompile(`id=[0-9a-z]{13}`).ReplaceAllString(o.field("X-Headlight"), "id=ID")
				if field != test.field || o.reply != "accept" || o.skipped != test.skip {
					t.Errorf("got %q, %s, skipped %t; want %q, skipped %t", field, o.reply, o.skipped, test.field, test.skip)
				}
			}
		})
	}
}

func TestALongForgedFieldIsRemoved(t *testing.T) {
	t.Parallel()
	connect := start(t, milter.Config{})
	long := strings.Repeat("a", 200<<10)
	o := dial(t, connect(), 6, allSteps).deliver(mail("hello", "X-Headlight: "+long, "Authentication-Results: "+long+"; x-headlight=pass"), 100)
	if want := []string{"X-Headlight 1", "Authentication-Results 1"}; !slices.Equal(o.removed, want) {
		t.Errorf("removed %q, want %q", o.removed, want)
	}
}

// raw is a packet that says it has that many bytes.
func raw(length uint32, code byte, data string) string {
	return string(append(binary.BigEndian.AppendUint32(nil, length), code)) + data
}

const options = "\x00\x00\x00\x06\x00\x00\x01\xff\x00\x1f\xff\xff"

func TestBrokenConnectionsHurtNobodyElse(t *testing.T) {
	t.Parallel()
	reg := prometheus.NewRegistry()
	connect := start(t, milter.Config{Registry: reg})
	other := dial(t, connect(), 6, allSteps)
	for name, text := range map[string]string{
		"another protocol":        "EHLO example.com\r\n",
		"TLS":                     "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
		"a length of nothing":     raw(0, 'O', ""),
		"options cut short":       raw(5, 'O', "\x00\x00\x00\x06"),
		"a version too old":       raw(13, 'O', "\x00\x00\x00\x01"+options[4:]),
		"a mail before options":   raw(1, 'N', ""),
		"a command there is not":  raw(13, 'O', options) + raw(1, 'z', ""),
		"a command of no meaning": raw(13, 'O', options) + raw(3, 'c', "ab"),
	} {
		conn := connect()
		if _, err := io.WriteString(conn, text); err != nil {
			t.Fatal(err)
		}
		conn.(*net.TCPConn).CloseWrite()
		if _, err := io.ReadAll(conn); err != nil && !strings.Contains(err.Error(), "reset") {
			t.Errorf("%s: %v", name, err)
		}
		if o := other.deliver(mail(good), 100); o.reply != "accept" {
			t.Errorf("%s: another connection got %q", name, o.reply)
		}
	}
	if n := metric(t, reg, "headlight_milter_broken_connections_total"); n < 7 {
		t.Errorf("%v broken connections were counted", n)
	}
}

func metric(t *testing.T, reg *prometheus.Registry, name string) (sum float64) {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			for _, m := range f.Metric {
				sum += m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
	}
	return sum
}

// pipes is a listener whose connections are made in memory, for time to be
// faked.
type pipes struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

func newPipes() *pipes { return &pipes{conns: make(chan net.Conn), done: make(chan struct{})} }

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}
func (p *pipes) Close() error   { p.once.Do(func() { close(p.done) }); return nil }
func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipe", Net: "unix"} }

func (p *pipes) dial() net.Conn {
	ours, theirs := net.Pipe()
	p.conns <- theirs
	return ours
}

// inBubble runs a milter in a bubble, in which time is faked.
func inBubble(t *testing.T, cfg milter.Config, f func(t *testing.T, p *pipes, stop func())) {
	svc := newService(t)
	cfg.Logger = slog.New(slog.DiscardHandler)
	synctest.Test(t, func(t *testing.T) {
		p := newPipes()
		ctx, cancel := context.WithCancel(t.Context())
		var done sync.WaitGroup
		done.Go(func() {
			if err := milter.New(svc, cfg).Serve(ctx, p); err != nil {
				t.Error(err)
			}
		})
		f(t, p, cancel)
		cancel()
		done.Wait()
	})
}

// endsAfter says how long it takes until the other side closes.
func endsAfter(conn net.Conn) time.Duration {
	began := time.Now()
	io.Copy(io.Discard, conn)
	return time.Since(began)
}

func TestWaitingHasAnEnd(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		do   func(m *mta)
		want time.Duration
	}{
		{"silence between mails", func(*mta) {}, 10 * time.Minute},
		{"a length that lies, and nothing behind it", func(m *mta) { io.WriteString(m.conn, raw(1<<32-1, 'B', "")) }, 30 * time.Second},
		{"a packet that stops", func(m *mta) { io.WriteString(m.conn, raw(100, 'L', "Subj")) }, 30 * time.Second},
		{"half a length", func(m *mta) { io.WriteString(m.conn, "\x00\x00") }, 10 * time.Minute},
		{"a body that does not go on", func(m *mta) { m.begin(); m.ask('N', "", quietEOH); m.ask('B', "hello", 0) }, 2 * time.Minute},
		{"a recipient, and silence", func(m *mta) { m.begin() }, 10 * time.Minute},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, milter.Config{}, func(t *testing.T, p *pipes, _ func()) {
				conn := p.dial()
				m := dial(t, conn, 6, allSteps)
				test.do(m)
				if got := endsAfter(conn); got != test.want {
					t.Errorf("the connection ended after %v, want %v", got, test.want)
				}
			})
		})
	}
}

func TestWhoSaysNothingIsClosed(t *testing.T) {
	t.Parallel()
	inBubble(t, milter.Config{}, func(t *testing.T, p *pipes, _ func()) {
		for _, said := range []string{"", "\x00", raw(13, 'O', options)[:12]} {
			conn := p.dial()
			if _, err := io.WriteString(conn, said); err != nil {
				t.Fatal(err)
			}
			want := 10 * time.Second
			if len(said) > 5 {
				want = 30 * time.Second // of a packet that has begun
			}
			if got := endsAfter(conn); got != want {
				t.Errorf("%q: closed after %v, want %v", said, got, want)
			}
		}
	})
}

func TestNobodyWaitsForOneWhoDoesNotRead(t *testing.T) {
	t.Parallel()
	inBubble(t, milter.Config{}, func(t *testing.T, p *pipes, _ func()) {
		conn := p.dial()
		io.WriteString(conn, raw(13, 'O', options))
		time.Sleep(30*time.Second - time.Nanosecond) // in the bubble
		synctest.Wait()
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
			t.Errorf("after 30 s the answer still waits to be read: %v", err)
		}
	})
}

func TestStopLetsBegunMailsFinish(t *testing.T) {
	t.Parallel()
	inBubble(t, milter.Config{}, func(t *testing.T, p *pipes, stop func()) {
		idle, begun, slow := dial(t, p.dial(), 6, allSteps), dial(t, p.dial(), 6, allSteps), dial(t, p.dial(), 6, allSteps)
		begun.begin()
		slow.begin()
		synctest.Wait()
		stopped := time.Now()
		stop()
		if got := endsAfter(idle.conn); got != 0 {
			t.Errorf("an idle connection ended after %v", got)
		}
		begun.ask('N', "", quietEOH)
		begun.send('E', bad)
		if o := begun.decision(); !strings.HasPrefix(o.field("X-Headlight"), "dangerous; ") || o.reply != "accept" {
			t.Errorf("the begun mail got %+v", o)
		}
		if got := endsAfter(begun.conn); got != 0 {
			t.Errorf("its connection ended %v later", got)
		}
		endsAfter(slow.conn)
		if got := time.Since(stopped); got != 10*time.Second {
			t.Errorf("a mail that does not go on was cut off after %v, want 10 s", got)
		}
	})
}

func TestConnectionsAreBounded(t *testing.T) {
	t.Parallel()
	inBubble(t, milter.Config{MaxConnections: 2}, func(t *testing.T, p *pipes, _ func()) {
		first, second := p.dial(), p.dial()
		dial(t, first, 6, allSteps)
		dial(t, second, 6, allSteps)
		if got := endsAfter(p.dial()); got != 0 {
			t.Errorf("one too many was closed after %v", got)
		}
		first.Close()
		synctest.Wait()
		silent := p.dial() // which has said nothing, and makes room for one that does
		synctest.Wait()
		third := p.dial()
		dial(t, third, 6, allSteps)
		if got := endsAfter(silent); got != 0 {
			t.Errorf("a connection that says nothing was closed after %v", got)
		}
		first = third
		first.Close()
		synctest.Wait()
		if o := dial(t, p.dial(), 6, allSteps).deliver(mail(good), 100); o.reply != "accept" {
			t.Errorf("when there is room again: %+v", o)
		}
	})
}

// A mail that is given up leaves nothing for the next one.
func TestAbortForgets(t *testing.T) {
	t.Parallel()
	m := dial(t, start(t, milter.Config{})(), 6, allSteps)
	for _, code := range []byte{'A', 'K'} {
		m.begin()
		m.ask('L', "X-Headlight\x00safe\x00", quietField)
		m.ask('L', "Subject\x00"+bad+"\x00", quietField)
		m.ask('N', "", quietEOH)
		m.ask('B', bad, 0)
		m.send(code, "")
		if o := m.deliver(mail("hello"), 100); o.field("X-Headlight") != "safe" || len(o.removed) > 0 {
			t.Errorf("after %q: %+v", code, o)
		}
	}
}

func TestLogNamesWhatWasRejected(t *testing.T) {
	t.Parallel()
	var log lockedBuffer
	reg := prometheus.NewRegistry()
	connect := start(t, milter.Config{Dangerous: milter.Reject, Registry: reg, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	m := dial(t, connect(), 6, allSteps)
	o := m.deliver(mail(bad+"?secret"), 100)
	id := o.reply[strings.Index(o.reply, "id ")+3:]
	for _, want := range []string{`msg="mail rejected"`, "queue=3zQz8R1x", "level=dangerous", "threat=phishing", "host=phishing.headlight.example", "id=" + id} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the log does not say %s: %s", want, log.String())
		}
	}
	if strings.Contains(log.String(), "secret") || strings.Contains(log.String(), "someone") {
		t.Errorf("the log says too much: %s", log.String())
	}
	if n := metric(t, reg, "headlight_milter_mails_total"); n != 1 {
		t.Errorf("%v mails were counted", n)
	}
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// The real mails of package message get the level that it gives them, whatever
// the chunks in which they come.
func TestRealMails(t *testing.T) {
	t.Parallel()
	names, err := filepath.Glob("../../message/testdata/mail/*.eml")
	if err != nil || len(names) == 0 {
		t.Fatalf("found %d mails: %v", len(names), err)
	}
	connect := start(t, milter.Config{})
	m := dial(t, connect(), 6, allSteps)
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		s := strings.ReplaceAll(strings.ReplaceAll(string(text), "\r\n", "\n"), "\n", "\r\n")
		one := m.deliver(s, 1<<16)
		if many := m.deliver(s, 7); fmt.Sprint(many) != fmt.Sprint(one) {
			t.Errorf("%s: in one piece %+v, in many %+v", name, one, many)
		}
	}
}
