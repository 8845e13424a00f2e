package probe

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"fmt"
	"hash/crc32"
	"net"
	"net/netip"
	"os"
	"time"

	"github.com/miekg/dns"

	"headlight.example/link"
)

// Bounds that tests go up to.
const (
	MaxHead      = maxHead
	MaxFields    = maxFields
	MaxInterim   = maxInterim
	MaxRedirects = maxRedirects
	MaxAliases   = maxAliases
	MaxAddrs     = maxAddrs
	MaxLine      = maxLine
)

// Errors that tests tell apart.
var (
	ErrNotHTTP     = errNotHTTP
	ErrHeadTooLong = errHeadTooLong
)

// Special gives the table of the guard.
func Special() (prefixes []netip.Prefix) {
	for _, s := range special {
		prefixes = append(prefixes, s.prefix)
	}
	return prefixes
}

// SpecialNames gives the domains that are not asked for.
func SpecialNames() (names []string) {
	for _, s := range specialNames {
		names = append(names, s.name)
	}
	return names
}

// Sign signs as visits are signed.
func Sign(private ed25519.PrivateKey, message []byte) []byte {
	signature := newSigningKey(private, "", time.Time{}).sign(message)
	return signature[:]
}

// WithDial makes connections by another way than TCP.
func (c Config) WithDial(dial func(context.Context, netip.AddrPort) (net.Conn, error)) Config {
	c.dial = func(ctx sooner, addr netip.AddrPort) (net.Conn, error) { return dial(ctx, addr) }
	return c
}

// Head is a head as it was read.
type Head struct {
	Status, Minor, Fields int
	Malformed             bool
	Shape                 string
	Get                   func(string) string
	Read                  int // bytes taken from the reader
}

// ReadHead reads a head from bytes, as many at once as chunk says.
func ReadHead(b []byte, chunk int) (Head, error) {
	r := &chunks{b, chunk, 0}
	h, _, err := readHead(r, make([]byte, 0, 4<<10))
	return Head{h.status, h.minor, len(h.fields), h.malformed, h.shape(), h.get, r.n}, err
}

type chunks struct {
	b    []byte
	size int
	n    int
}

func (c *chunks) Read(p []byte) (int, error) {
	if c.n == len(c.b) {
		return bytes.NewReader(nil).Read(p)
	}
	n := copy(p[:min(len(p), c.size)], c.b[c.n:])
	c.n += n
	return n, nil
}

// Parsers, for fuzzing and tables.
var (
	Follow      = follow
	OptedOutTXT = optedOut
	NoVisit     = noVisit
	RetryAfter  = retryAfter
	Target      = target
	CheckName   = checkName
	DecodeLine  = decodeLine
	AppendLine  = appendLine
	NewID       = newID
	Thumbprint  = thumbprint
	Bucket      = bucket
)

// AnswerCounts reads a DNS response to a question and says how much was kept.
func AnswerCounts(m *dns.Msg, name string, qtype uint16) (addrs []netip.Addr, aliases, names, texts []string, ttl time.Duration) {
	a := readAnswer(m, dns.Question{Name: dns.Fqdn(name), Qtype: qtype, Qclass: dns.ClassINET})
	return a.addrs, a.aliases, a.names, a.texts, a.ttl
}

// RequestFor gives the request of a visit as it is sent.
func (p *Prober) RequestFor(l link.Link, m Mode, id ID, now time.Time) []byte {
	return p.appendRequest(nil, l, target(l, m), id, now)
}

// FaultFile wraps a file of the ledger.
type FaultFile struct {
	*os.File
	OnWrite func(b []byte) (int, error) // nil writes
	OnSync  func() error                // nil syncs
}

func (f *FaultFile) Write(b []byte) (int, error) {
	if f.OnWrite != nil {
		if n, err := f.OnWrite(b); err != nil {
			f.File.Write(b[:n])
			return n, err
		}
	}
	return f.File.Write(b)
}

func (f *FaultFile) Sync() error {
	if f.OnSync != nil {
		if err := f.OnSync(); err != nil {
			return err
		}
	}
	return f.File.Sync()
}

// OpenLedgerWith opens a ledger whose files go through wrap.
func OpenLedgerWith(dir string, keep time.Duration, wrap func(*os.File) *FaultFile) (*Ledger, error) {
	return openLedger(dir, keep, func(name string) (fileWriter, error) {
		f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
		if err != nil {
			return nil, err
		}
		return wrap(f), nil
	})
}

// Checked gives text as a line with the right checksum.
func Checked(text []byte) []byte {
	b := fmt.Appendf(nil, "%08x ", crc32.Checksum(text, castagnoli))
	return append(append(b, text...), '\n')
}
