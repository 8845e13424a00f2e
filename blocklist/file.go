package blocklist

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"headlight.example/evidence"
)

// The file holds what a restart must not lose: the newest edition, the
// differences that lead to it, and the subjects with the place in the log up to
// which they were taken. It is a head, numbers as uvarints, texts behind their
// lengths, and the SHA-256 of all before.
//
//	through, subjects:    n, then text, domain, said, kind
//	serial, made, entries: n, then place among the subjects + 1 or 0 and text and
//	                      domain, kind, threat, since
//	differences:          n, then from, to, made, removed (n, entries), added
//
// If it is lost or forged, clients take the whole list; what is in the list is
// compared with the table at once after the start.
const (
	fileName = "editions"
	fileHead = "headlight editions 1\n"
)

var errDamaged = errors.New("it is damaged")

// load reads the file. Only a directory that cannot be used is an error.
func (p *Publisher) load() error {
	if err := os.MkdirAll(p.dir, 0o750); err != nil {
		return err
	}
	name := filepath.Join(p.dir, fileName)
	data, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = p.decode(data)
	}
	if err != nil {
		p.log.Warn("editions unusable; clients will take the whole of the next", "file", name, "err", err)
	}
	return nil
}

// save writes the file, unless the newest edition is there already. A crash leaves
// the old file or the new one.
func (p *Publisher) save() (err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	latest := p.shelf.Latest()
	if latest == nil || latest.serial == p.saved {
		return nil
	}
	f, err := os.CreateTemp(p.dir, fileName+"-*.tmp")
	if err != nil {
		return fmt.Errorf("write editions: %w", err)
	}
	defer os.Remove(f.Name()) // fails after the rename, as it should
	_, err = f.Write(p.encode())
	if err == nil {
		err = f.Sync()
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = os.Rename(f.Name(), filepath.Join(p.dir, fileName))
	}
	if err != nil {
		return fmt.Errorf("write editions: %w", err)
	}
	p.saved, p.savedAt = latest.serial, time.Now()
	d, err := os.Open(p.dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

func (p *Publisher) encode() []byte {
	st := p.shelf.state.Load()
	b := append(make([]byte, 0, 64*(len(p.subjects)+1)), fileHead...)
	num := func(n uint64) { b = binary.AppendUvarint(b, n) }
	text := func(s string) {
		num(uint64(len(s)))
		b = append(b, s...)
	}
	entry := func(e *Entry) {
		num(uint64(e.Kind))
		num(uint64(e.Threat))
		num(uint64(e.since))
	}
	num(p.through)
	num(uint64(len(p.subjects)))
	for i := range p.subjects {
		s := &p.subjects[i]
		text(s.text)
		num(uint64(s.domain))
		num(uint64(s.said))
		num(uint64(s.kind))
	}
	num(uint64(st.latest.serial))
	num(uint64(st.latest.made.Unix()))
	num(uint64(len(st.latest.entries)))
	at := 0
	for i := range st.latest.entries {
		e := &st.latest.entries[i]
		// Both are in the order of domain and text.
		for at < len(p.subjects) && compareTo(&p.subjects[at], e) < 0 {
			at++
		}
		if at < len(p.subjects) && compareTo(&p.subjects[at], e) == 0 {
			num(uint64(at) + 1)
		} else {
			num(0)
			text(e.Expression)
			num(uint64(e.domain))
		}
		entry(e)
	}
	list := func(entries []Entry) {
		num(uint64(len(entries)))
		for i := range entries {
			text(entries[i].Expression)
			num(uint64(entries[i].domain))
			entry(&entries[i])
		}
	}
	num(uint64(len(st.deltas)))
	for i := range st.deltas {
		d := &st.deltas[i]
		num(uint64(d.from))
		num(uint64(d.to))
		num(uint64(d.made.Unix()))
		list(d.removed)
		list(d.added)
	}
	sum := sha256.Sum256(b)
	return append(b, sum[:]...)
}

func compareTo(s *subject, e *Entry) int {
	x := Entry{Expression: s.text, domain: s.domain}
	return x.Compare(e)
}

// decode takes a whole file over, or nothing of it.
func (p *Publisher) decode(data []byte) error {
	body, ok := bytes.CutPrefix(data, []byte(fileHead))
	if !ok {
		return errors.New("it is none, or of another version")
	}
	if len(body) < sha256.Size {
		return errDamaged
	}
	body = body[:len(body)-sha256.Size]
	if sum := sha256.Sum256(data[:len(data)-sha256.Size]); !bytes.HasSuffix(data, sum[:]) {
		return errDamaged
	}
	return p.decodeBody(string(body))
}

// reader takes numbers and texts off a string. It fails once and for all.
type reader struct {
	s      string
	failed bool
}

// num reads a number that is at most most.
func (r *reader) num(most uint64) uint64 {
	var n uint64
	for i := 0; i < len(r.s) && i < binary.MaxVarintLen64; i++ {
		c := r.s[i]
		n |= uint64(c&0x7f) << (7 * i)
		if c < 0x80 {
			r.s = r.s[i+1:]
			if n > most {
				break
			}
			return n
		}
	}
	r.s, r.failed = "", true
	return 0
}

// count reads how many things follow, each of at least three bytes.
func (r *reader) count() int { return int(r.num(uint64(len(r.s) / 3))) }

func (r *reader) text() string {
	n := r.num(1<<64 - 1)
	if n > uint64(len(r.s)) {
		r.s, r.failed = "", true
		return ""
	}
	t := r.s[:n]
	r.s = r.s[n:]
	return t
}

// place reads an expression and where its domain begins.
func (r *reader) place() (text string, domain uint16) {
	text = r.text()
	host, _, ok := strings.Cut(text, "/")
	domain = uint16(r.num(min(uint64(len(host)), 1<<16-1)))
	if !ok || len(host) == 0 {
		r.failed = true
	}
	return text, domain
}

func (r *reader) kind() Kind {
	k := Kind(r.num(uint64(Addr)))
	r.failed = r.failed || k < URL
	return k
}

func (r *reader) rest(e *Entry) {
	e.Kind = r.kind()
	e.Threat = evidence.Assertion(r.num(uint64(evidence.Spam)))
	e.since = uint32(r.num(1<<32 - 1))
	r.failed = r.failed || !e.Threat.Threat()
}

func (r *reader) list() []Entry {
	list := make([]Entry, r.count())
	for i := range list {
		e := &list[i]
		e.Expression, e.domain = r.place()
		r.rest(e)
		r.failed = r.failed || i > 0 && list[i-1].Compare(e) >= 0
		if r.failed {
			return nil
		}
	}
	return list
}

func (p *Publisher) decodeBody(body string) error {
	r := &reader{s: body}
	through := r.num(1<<64 - 1)
	subjects := make([]subject, r.count())
	for i := range subjects {
		s := &subjects[i]
		s.text, s.domain = r.place()
		s.said = uint16(r.num(1<<16 - 1))
		s.kind = r.kind()
		if r.failed || i > 0 && subjects[i-1].compare(s) >= 0 {
			return errDamaged
		}
	}
	e := &Edition{serial: uint32(r.num(1<<32 - 1)), made: time.Unix(int64(r.num(1<<40)), 0).UTC()}
	e.entries = make([]Entry, r.count())
	for i := range e.entries {
		x := &e.entries[i]
		if at := r.num(uint64(len(subjects))); at > 0 {
			x.Expression, x.domain = subjects[at-1].text, subjects[at-1].domain
		} else {
			x.Expression, x.domain = r.place()
		}
		r.rest(x)
		if r.failed || i > 0 && e.entries[i-1].Compare(x) >= 0 {
			return errDamaged
		}
	}
	deltas := make([]delta, r.count())
	for i := range deltas {
		d := &deltas[i]
		d.from, d.to = uint32(r.num(1<<32-1)), uint32(r.num(1<<32-1))
		d.made = time.Unix(int64(r.num(1<<40)), 0).UTC()
		d.removed, d.added = r.list(), r.list()
		if r.failed || d.from >= d.to || i > 0 && deltas[i-1].to != d.from {
			return errDamaged
		}
	}
	if r.failed || r.s != "" || len(deltas) > 0 && deltas[len(deltas)-1].to != e.serial {
		return errDamaged
	}
	p.subjects, p.through = subjects, through
	p.saved, p.savedAt = e.serial, time.Now()
	p.shelf.mu.Lock()
	defer p.shelf.mu.Unlock()
	p.shelf.set(&shelved{latest: e, deltas: kept(deltas, len(e.entries))})
	return nil
}
