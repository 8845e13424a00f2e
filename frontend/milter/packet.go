package milter

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"
	"time"
)

// A packet is a length of four bytes, most significant first, and as many
// bytes, of which the first says what it is.

// What a mail server sends.
const (
	cmdAbort   = 'A' // this mail is not to be
	cmdBody    = 'B' // a chunk of the body
	cmdConnect = 'C'
	cmdMacro   = 'D' // names and values for the command that follows
	cmdEnd     = 'E' // of the body
	cmdHelo    = 'H'
	cmdQuitNew = 'K' // the connection goes on with another client
	cmdField   = 'L' // of the header
	cmdMail    = 'M' // the sender
	cmdEOH     = 'N' // end of the header
	cmdOptions = 'O' // what is spoken
	cmdQuit    = 'Q'
	cmdRcpt    = 'R' // a recipient
	cmdData    = 'T'
	cmdUnknown = 'U' // an SMTP command that is none
)

// What we answer.
const (
	replyAccept     = 'a'
	replyBody       = 'b' // a chunk of another body
	replyContinue   = 'c'
	replyInsert     = 'i' // a header field at a place
	replyChange     = 'm' // the nth field of a name; to nothing: remove it
	replyQuarantine = 'q'
	replySkip       = 's' // no more of the body
	replyCode       = 'y' // the SMTP reply
)

// Actions that are asked for.
const (
	actAddFields    = 0x01
	actChangeBody   = 0x02 // if links are to be rewritten
	actChangeFields = 0x10
	actQuarantine   = 0x20
	actWanted       = actAddFields | actChangeFields | actQuarantine
)

// What is to be done without: commands that are not sent, and answers that are
// not waited for.
const (
	noHelo       = 0x02
	noMail       = 0x04
	noUnknown    = 0x100
	noData       = 0x200
	maySkip      = 0x400
	quietField   = 0x80
	quietConnect = 0x1000
	quietRcpt    = 0x8000
	quietEOH     = 0x40000
	stepsWanted  = noHelo | noMail | noUnknown | noData | maySkip | quietField | quietConnect | quietRcpt | quietEOH
)

const (
	oldestVersion = 2
	newestVersion = 6
)

// A packet that was read. Its data is good until the next one is read.
type packet struct {
	command byte
	data    []byte
	over    int64 // bytes that were read past, beyond maxPacket
}

var errLength = errors.New("packet of no length")

// read reads the next packet. However long it says that it is, no more is held
// of it than has come and maxPacket.
func (c *session) read() (packet, error) {
	var head [5]byte
	if c.r.Buffered() < len(head) {
		within := idleTimeout
		if !c.agreed {
			within = helloTimeout
		}
		if err := c.conn.SetReadDeadline(c.deadline(within)); err != nil {
			return packet{}, err
		}
	}
	if _, err := io.ReadFull(c.r, head[:]); err != nil {
		return packet{}, err
	}
	length := int64(binary.BigEndian.Uint32(head[:4])) - 1
	if length < 0 {
		return packet{}, errLength
	}
	if int64(c.r.Buffered()) < length {
		if err := c.conn.SetReadDeadline(c.deadline(packetTimeout)); err != nil {
			return packet{}, err
		}
	}
	data, err := c.fill(min(length, maxPacket))
	if err != nil {
		return packet{}, fmt.Errorf("packet %q: %w", head[4], err)
	}
	over := length - int64(len(data))
	if over > 0 {
		if _, err := io.CopyN(io.Discard, c.r, over); err != nil {
			return packet{}, fmt.Errorf("packet %q of %d bytes: %w", head[4], length, err)
		}
	}
	return packet{head[4], data, over}, nil
}

// firstPart is how much room is made for a packet before any of it has come.
const firstPart = 16 << 10

// fill reads n bytes into the buffer, which grows as they come.
func (c *session) fill(n int64) ([]byte, error) {
	for have := int64(0); have < n; {
		if have == int64(len(c.in)) {
			grown := make([]byte, min(n, max(firstPart, 4*have)))
			copy(grown, c.in)
			c.in = grown
		}
		to := min(n, int64(len(c.in)))
		if _, err := io.ReadFull(c.r, c.in[have:to]); err != nil {
			return nil, err
		}
		have = to
	}
	return c.in[:n], nil
}

// deadline is when what is waited for must have come.
func (c *session) deadline(within time.Duration) time.Time {
	at := time.Now().Add(within)
	if !c.mail.until.IsZero() && c.mail.until.Before(at) {
		return c.mail.until
	}
	return at
}

// add puts an answer behind those that wait to be sent.
func (c *session) add(code byte, parts ...[]byte) {
	n := 1
	for _, p := range parts {
		n += len(p)
	}
	c.out = binary.BigEndian.AppendUint32(c.out, uint32(n))
	c.out = append(c.out, code)
	for _, p := range parts {
		c.out = append(c.out, p...)
	}
}

// flush sends the answers.
func (c *session) flush() error {
	if len(c.out) == 0 {
		return nil
	}
	if err := c.conn.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return err
	}
	_, err := c.conn.Write(c.out)
	c.out = c.out[:0]
	return err
}

// passes says whether an error of Accept is one that passes.
func passes(err error) bool {
	return errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) || errors.Is(err, syscall.ECONNABORTED) ||
		errors.Is(err, syscall.ENOBUFS) || errors.Is(err, syscall.ENOMEM)
}

// ended says whether a connection was ended by its peer, or by us at shutdown.
func ended(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed) || errors.Is(err, io.ErrClosedPipe) || errors.Is(err, syscall.ECONNRESET)
}
