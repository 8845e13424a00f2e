package milter

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"time"
)

// A session is one connection of a mail server, over which one mail comes
// after the other.
type session struct {
	s    *Server
	conn net.Conn
	r    *bufio.Reader
	in   []byte // of the packet being read
	out  []byte // answers to be sent

	agreed  bool
	actions uint32 // what we may do to a mail
	steps   uint32 // what is done without
	server  string // the mail server's name, by its macro j
	queue   string // the mail's queue id, by its macro i
	mail    mail

	since time.Time // when it came
	busy  bool      // in a mail; guarded by s.mu
	known bool      // has said what it speaks; guarded by s.mu
}

// A mail is what has come of one.
type mail struct {
	begun  bool
	text   []byte // not to be changed once it has been judged
	fields int    // of its header
	inBody bool
	bodyAt int       // where it begins in text
	over   string    // the first bound that it is over
	held   int64     // of the server's memory
	until  time.Time // when all of its body must have come

	own        int   // X-Headlight fields that it came with
	results    int   // Authentication-Results fields that it came with
	forged     []int // which of them speak for us, from 1
	recipients int
	exempt     int // recipients that are
}

func newSession(s *Server, conn net.Conn) *session {
	return &session{s: s, conn: conn, r: bufio.NewReader(conn), since: time.Now()}
}

// run answers until the mail server quits or the connection breaks.
func (c *session) run() {
	defer func() { c.s.memory.Add(c.mail.held) }()
	for {
		p, err := c.read()
		if err == nil {
			err = c.answer(p)
		}
		if cap(c.in) > freeBytes {
			c.in = nil
		}
		if errors.Is(err, errQuit) || err != nil && !c.mail.begun && ended(err) {
			return
		}
		if err != nil {
			c.s.metrics.broken.Inc()
			level := slog.LevelWarn
			if !c.agreed {
				level = slog.LevelDebug // no mail server: anybody could fill the log
			}
			c.s.log.Log(context.Background(), level, "connection of the mail server broken", "in_mail", c.mail.begun, "err", err)
			return
		}
	}
}

var errQuit = errors.New("quit")

func (c *session) answer(p packet) error {
	if !c.agreed && p.command != cmdOptions {
		return fmt.Errorf("packet %q before it was said what is spoken", p.command)
	}
	switch p.command {
	case cmdOptions:
		return c.agree(p.data)
	case cmdMacro:
		c.macros(p.data)
		return nil
	case cmdQuit:
		return errQuit
	case cmdQuitNew:
		c.server = ""
		return c.reset()
	case cmdAbort:
		return c.reset()
	case cmdConnect:
		return c.proceed(quietConnect)
	case cmdHelo, cmdData, cmdUnknown: // of one who was not asked to leave them out
		return c.proceed(0)
	case cmdMail:
		c.begin()
		return c.proceed(0)
	case cmdRcpt:
		c.begin()
		c.recipient(p.data)
		return c.proceed(quietRcpt)
	case cmdField:
		c.begin()
		c.field(p)
		return c.proceed(quietField)
	case cmdEOH:
		c.begin()
		c.startBody()
		return c.proceed(quietEOH)
	case cmdBody:
		c.begin()
		c.body(p)
		if c.mail.over != "" && c.steps&maySkip != 0 {
			c.add(replySkip)
			return c.flush()
		}
		return c.proceed(0)
	case cmdEnd:
		c.begin()
		c.body(p)
		if err := c.decide(); err != nil {
			return err
		}
		if err := c.flush(); err != nil {
			return err
		}
		return c.reset()
	}
	return fmt.Errorf("packet %q, which there is not", p.command)
}

// proceed lets the mail server go on, unless it does not wait for that.
func (c *session) proceed(quiet uint32) error {
	if c.steps&quiet != 0 {
		return nil
	}
	c.add(replyContinue)
	return c.flush()
}

// agree answers what is spoken: of what is offered, what we want.
func (c *session) agree(data []byte) error {
	if len(data) < 12 {
		return errors.New("options are cut short")
	}
	version := binary.BigEndian.Uint32(data)
	if version < oldestVersion {
		return fmt.Errorf("version %d of the protocol is too old", version)
	}
	version = min(version, newestVersion)
	wanted := uint32(actWanted)
	if c.s.cfg.Suspicious == Rewrite || c.s.cfg.Dangerous == Rewrite {
		wanted |= actChangeBody
	}
	c.actions = binary.BigEndian.Uint32(data[4:]) & wanted
	c.steps = binary.BigEndian.Uint32(data[8:]) & stepsWanted
	if c.actions != wanted {
		c.s.log.Warn("the mail server does not let us do all that we may have to", "actions", c.actions, "wanted", wanted)
	}
	c.agreed = true
	c.s.know(c)
	var b [12]byte
	binary.BigEndian.PutUint32(b[:], version)
	binary.BigEndian.PutUint32(b[4:], c.actions)
	binary.BigEndian.PutUint32(b[8:], c.steps)
	c.add(cmdOptions, b[:])
	return c.flush()
}

// maxMacro bounds the macros that are kept: a host's name and a queue id.
const maxMacro = 255

// macros keeps those that are used. The first byte says for which command they are.
func (c *session) macros(data []byte) {
	if len(data) == 0 {
		return
	}
	for rest := data[1:]; len(rest) > 0; {
		var name, value []byte
		name, rest, _ = bytes.Cut(rest, []byte{0})
		value, rest, _ = bytes.Cut(rest, []byte{0})
		if len(value) > maxMacro {
			continue
		}
		switch string(bytes.Trim(name, "{}")) {
		case "j":
			c.server = string(value)
		case "i":
			c.queue = string(value)
		}
	}
}

// begin notes that a mail has begun.
func (c *session) begin() {
	if !c.mail.begun {
		c.mail.begun = true
		c.s.setBusy(c, true)
	}
}

// reset forgets the mail. Between two mails the server may end.
func (c *session) reset() error {
	c.s.memory.Add(c.mail.held)
	c.mail = mail{}
	c.queue = ""
	if !c.s.setBusy(c, false) {
		return errQuit
	}
	return nil
}

// recipient notes whether an address is exempt: "<abuse@example.com>", and
// parameters behind a NUL.
func (c *session) recipient(data []byte) {
	address, _, _ := bytes.Cut(data, []byte{0})
	address = bytes.Trim(address, "<>")
	if i := bytes.LastIndexByte(address, '@'); i >= 0 {
		address = address[:i]
	}
	c.mail.recipients++
	if c.s.exempt[strings.ToLower(string(address))] {
		c.mail.exempt++
	}
}

// field takes a field of the header: its name and value, each with a NUL.
func (c *session) field(p packet) {
	m := &c.mail
	rawName, value, _ := bytes.Cut(p.data, []byte{0})
	value = bytes.TrimSuffix(value, []byte{0})
	name := bytes.TrimRight(rawName, " \t")
	switch {
	case len(name) == len(fieldName) && strings.EqualFold(string(name), fieldName):
		m.own++
		return
	case len(name) == len(resultsName) && strings.EqualFold(string(name), resultsName):
		m.results++
		// Of what is longer than a packet may be nobody knows whether it does.
		if p.over > 0 || bytes.Contains(bytes.ToLower(value), []byte(method)) {
			if len(m.forged) <= maxForged {
				m.forged = append(m.forged, m.results)
			}
			return
		}
	}
	if m.fields++; m.fields > maxFields || p.over > 0 {
		m.exceeds("header")
	}
	if m.fields <= maxFields && c.room(len(rawName)+len(value)+4) {
		m.text = append(m.text, rawName...)
		m.text = append(m.text, ": "...)
		m.text = append(m.text, value...)
		m.text = append(m.text, "\r\n"...)
	}
}

// startBody puts the empty line between header and body.
func (c *session) startBody() {
	if !c.mail.inBody {
		c.mail.inBody = true
		c.mail.until = time.Now().Add(bodyTimeout)
		if c.room(2) {
			c.mail.text = append(c.mail.text, "\r\n"...)
		}
		c.mail.bodyAt = len(c.mail.text)
	}
}

// body takes a chunk of the body.
func (c *session) body(p packet) {
	c.startBody()
	data := p.data
	if left := c.s.cfg.MaxBytes - int64(len(c.mail.text)); int64(len(data)) > left {
		data = data[:max(left, 0)]
		c.mail.exceeds("size")
	}
	if p.over > 0 {
		c.mail.exceeds("packet")
	}
	if len(data) > 0 && c.mail.over != "memory" && c.room(len(data)) {
		c.mail.text = append(c.mail.text, data...)
	}
}

// room makes room for n more bytes of the mail, and says whether there is.
func (c *session) room(n int) bool {
	m := &c.mail
	size := len(m.text) + n
	if int64(size) > c.s.cfg.MaxBytes {
		m.exceeds("size")
		return false
	}
	if size <= cap(m.text) {
		return true
	}
	// Twice as much each time, so that a byte is copied twice at most; while it
	// is copied both are there.
	capacity := max(4<<10, 2*cap(m.text), size)
	if held := int64(capacity) * 3 / 2; capacity > freeBytes && held > m.held {
		if c.s.memory.Add(m.held-held) < 0 {
			c.s.memory.Add(held - m.held)
			m.exceeds("memory")
			return false
		}
		m.held = held
	}
	m.text = append(make([]byte, 0, capacity), m.text...)
	return true
}

// exceeds notes a bound that the mail is over; the first counts.
func (m *mail) exceeds(bound string) {
	if m.over == "" {
		m.over = bound
	}
}
