package probe

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"iter"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"time"

	"headlight.example/evidence"
)

// ID names a visit: a UUID of version 7 (RFC 9562 §5.7), the time in
// milliseconds and 74 random bits. Nobody can guess one, so nobody can read
// through the ledger who has not been visited.
type ID [16]byte

func newID(now time.Time) (id ID) {
	rand.Read(id[6:]) // never fails
	ms := now.UnixMilli()
	binary.BigEndian.PutUint16(id[:2], uint16(ms>>32))
	binary.BigEndian.PutUint32(id[2:6], uint32(ms))
	id[6] = id[6]&0x0f | 0x70
	id[8] = id[8]&0x3f | 0x80
	return id
}

// Time is when the visit was begun.
func (id ID) Time() time.Time {
	return time.UnixMilli(int64(binary.BigEndian.Uint16(id[:2]))<<32 | int64(binary.BigEndian.Uint32(id[2:6]))).UTC()
}

// String is the form of RFC 9562 §4, in lower case.
func (id ID) String() string { return string(id.append(make([]byte, 0, 36))) }

func (id ID) append(b []byte) []byte {
	for i, part := range [][]byte{id[:4], id[4:6], id[6:8], id[8:10], id[10:]} {
		if i > 0 {
			b = append(b, '-')
		}
		b = hex.AppendEncode(b, part)
	}
	return b
}

// IsZero says whether there is no id.
func (id ID) IsZero() bool { return id == ID{} }

// MarshalText implements encoding.TextMarshaler.
func (id ID) MarshalText() ([]byte, error) { return id.append(nil), nil }

// UnmarshalText reads what String writes, in letters of either case.
func (id *ID) UnmarshalText(b []byte) error {
	var got ID
	if len(b) != 36 || b[8] != '-' || b[13] != '-' || b[18] != '-' || b[23] != '-' {
		return errors.New("not the id of a visit")
	}
	digits := slices.Concat(b[:8], b[9:13], b[14:18], b[19:23], b[24:])
	if _, err := hex.Decode(got[:], digits); err != nil || got[6]>>4 != 7 || got[8]>>6 != 2 {
		return errors.New("not the id of a visit")
	}
	*id = got
	return nil
}

// ParseID reads what [ID.String] writes.
func ParseID(s string) (id ID, err error) {
	err = id.UnmarshalText([]byte(s))
	return id, err
}

// Ask is what the ledger says before a request goes out: to whom, how much was
// asked for, and why. It never says who had shared the link, and of a link that
// nobody reported it holds the host alone in clear.
type Ask struct {
	Visit ID        `json:"visit"`
	Hop   int       `json:"hop"` // 0 for the link itself, then the redirects that were followed
	Time  time.Time `json:"time"`
	// Origin that the request went to: "https://a.example:8443".
	Origin string `json:"origin"`
	// Addr is the address in whose budget it counts, the first to be tried.
	Addr netip.Addr `json:"addr,omitzero"`
	// Subject is the link, sealed unless it had been reported.
	Subject evidence.Subject `json:"subject"`
	Decision
}

// Reply is what came of it.
type Reply struct {
	Visit   ID             `json:"visit"`
	Hop     int            `json:"hop"`
	Time    time.Time      `json:"time"`
	Addr    netip.AddrPort `json:"addr,omitzero"` // zero if no connection was made
	Outcome Outcome        `json:"outcome"`
	Status  int            `json:"status,omitempty"` // of HTTP
}

// Quiet is a host that is not to be visited until a time: it said so, in its
// answer to a visit.
type Quiet struct {
	Host  string    `json:"host"`
	Until time.Time `json:"until"`
	Why   string    `json:"why"` // "no-visit" or "retry-after"
}

// Line is a line of the ledger: one of its fields is set.
type Line struct {
	Ask   *Ask   `json:"ask,omitempty"`
	Reply *Reply `json:"reply,omitempty"`
	Quiet *Quiet `json:"quiet,omitempty"`
	// At is when it was written; it never goes back from line to line.
	At time.Time `json:"at"`
}

// Request is what the ledger knows of one request: what was asked, and what
// came of it. Reply is nil while it is under way, and if the process ended.
type Request struct {
	Ask
	Reply *Reply `json:"reply,omitempty"`
}

// Ledger is the durable account of visits: a directory of text files, one a
// day, a line an entry, each with a checksum, so that it can be read with less
// and grep by somebody who trusts none of our programs:
//
//	8f2a11c3 {"ask":{"visit":"0198…","hop":0,"time":"…","origin":"https://a.example",…},"at":"…"}
//
// It is written by one goroutine, an fsync at a time: what arrives meanwhile is
// the next group, and under load that one waits for more. Files are sorted by
// time, which is how entries are found without an index. It is safe for
// concurrent use. One process has it open.
type Ledger struct {
	dir    string
	keep   time.Duration
	wake   chan struct{} // there is something, or enough, in next
	done   chan struct{} // Close was called
	closed chan struct{} // all is on disk

	mu    sync.Mutex
	quiet map[string]Quiet // in force, by host; carried over to each new file
	err   error            // why it takes no more
	next  *group           // to be written next
	spare []byte           // of a group that was written
	last  time.Time        // At of the last line

	// Owned by run.
	file fileWriter
	name string

	create func(name string) (fileWriter, error)
}

// group is lines that are written and synced together.
type group struct {
	text        []byte
	lines       int
	first, last time.Time     // At of the first and the last line
	durable     chan struct{} // closed once they are on disk, or will not be:
	err         error         // set before that
}

// fileWriter is what the ledger needs of a file.
type fileWriter interface {
	io.Writer
	Sync() error
	Close() error
}

// Bounds of the ledger.
const (
	maxLine  = 16 << 10 // bytes: a URL that was reported is the longest part
	maxQuiet = 100_000  // hosts; see addQuiet
	maxGroup = 1024     // lines in one write
	maxSpare = 1 << 20  // bytes kept to be used again: some two thousand usual lines
	// While more than manyLines arrive for a write, the next one waits until
	// syncEvery after it or for enoughLines, so that many share an fsync.
	syncEvery, manyLines, enoughLines = 8 * time.Millisecond, 8, 256
	// visitSpan is longer than any visit takes from its id to its last line.
	visitSpan = 5 * time.Minute
)

// DefaultKeep is how long entries are kept: long enough for somebody who goes
// through last month's server log.
const DefaultKeep = 90 * 24 * time.Hour

// ErrLedger: the ledger cannot be written, so nobody is visited until it is
// opened again.
var ErrLedger = errors.New("the ledger of visits cannot be written")

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// OpenLedger opens the ledger in a directory, creates it at need, cuts off what
// a crash left half written, and deletes files older than keep (0 means
// [DefaultKeep]). Close it when done.
func OpenLedger(dir string, keep time.Duration) (*Ledger, error) {
	return openLedger(dir, keep, func(name string) (fileWriter, error) {
		return os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	})
}

func openLedger(dir string, keep time.Duration, create func(string) (fileWriter, error)) (*Ledger, error) {
	if keep == 0 {
		keep = DefaultKeep
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	if err := syncDir(filepath.Dir(dir)); err != nil {
		return nil, err
	}
	l := &Ledger{
		dir: dir, keep: keep, create: create, quiet: make(map[string]Quiet), next: newGroup(nil),
		wake: make(chan struct{}, 1), done: make(chan struct{}), closed: make(chan struct{}),
	}
	names, err := l.files()
	if err != nil {
		return nil, err
	}
	if len(names) > 0 {
		last := names[len(names)-1]
		if err := mend(filepath.Join(dir, last)); err != nil {
			return nil, err
		}
		for line, err := range l.lines(l.since(names, 2)) {
			if err != nil {
				return nil, err
			}
			l.last = line.At
			if line.Quiet != nil {
				l.addQuiet(*line.Quiet)
			}
		}
	}
	go l.run()
	return l, nil
}

// since gives the last n files.
func (l *Ledger) since(names []string, n int) []string { return names[max(len(names)-n, 0):] }

// files lists the ledger's files, the oldest first.
func (l *Ledger) files() ([]string, error) {
	entries, err := os.ReadDir(l.dir)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if _, err := time.Parse(fileForm, e.Name()); err == nil {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

const fileForm = "2006-01-02.log"

// mend cuts off a last line that a crash left half written: it was not
// acknowledged.
func mend(name string) error {
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	// Of a group of lines that was being written any part may be missing. The
	// part that counts is up to the last sound line.
	tail := make([]byte, min(size, maxGroup*maxLine))
	if _, err := f.ReadAt(tail, size-int64(len(tail))); err != nil {
		return err
	}
	end := len(tail)
	for end > 0 {
		begin := bytes.LastIndexByte(tail[:end-1], '\n') + 1
		if _, err := decodeLine(tail[begin:end]); err == nil {
			break
		}
		end = begin
	}
	if end == len(tail) {
		return nil
	}
	if err := f.Truncate(size - int64(len(tail)-end)); err != nil {
		return err
	}
	return f.Sync()
}

// appendLine appends a line with its checksum.
func appendLine(b []byte, line *Line) ([]byte, error) {
	const sumLen = len("8f2a11c3 ")
	begin := len(b)
	b, err := appendText(append(b, "00000000 "...), line)
	text := b[begin+sumLen:]
	if size := sumLen + len(text) + len("\n"); err == nil && size > maxLine {
		err = fmt.Errorf("line of %d bytes: at most %d", size, maxLine)
	}
	if err != nil {
		return b[:begin], err
	}
	var sum [4]byte
	binary.BigEndian.PutUint32(sum[:], crc32.Checksum(text, castagnoli))
	hex.Encode(b[begin:], sum[:])
	return append(b, '\n'), nil
}

// appendText appends what json.Marshal gives for a line. Two lines are written
// for each visit, so those are spelt here, in a fifth of its time.
func appendText(b []byte, line *Line) (_ []byte, err error) {
	switch {
	case line.Reply == nil && line.Quiet == nil && line.Ask != nil && line.Ask.Addr.Zone() == "":
		a := line.Ask
		b = append(b, `{"ask":{"visit":"`...)
		b = a.Visit.append(b)
		b = append(b, `","hop":`...)
		b = strconv.AppendInt(b, int64(a.Hop), 10)
		if b, err = appendTime(append(b, `,"time":`...), a.Time); err != nil {
			return b, err
		}
		kind, err := a.Subject.Kind.MarshalText()
		if err != nil {
			return b, err
		}
		b = appendString(append(b, `,"origin":`...), a.Origin)
		if a.Addr != (netip.Addr{}) {
			b = a.Addr.AppendTo(append(b, `,"addr":"`...))
			b = append(b, '"')
		}
		b = append(append(b, `,"subject":{"kind":"`...), kind...)
		b = appendString(append(b, `","key":`...), a.Subject.Key)
		b = appendString(append(b, `},"mode":`...), a.Mode.String())
		b = appendString(append(b, `,"class":`...), a.Class.String())
		b = appendString(append(b, `,"rule":`...), a.Rule)
	case line.Ask == nil && line.Quiet == nil && line.Reply != nil && line.Reply.Addr.Addr().Zone() == "":
		r := line.Reply
		b = append(b, `{"reply":{"visit":"`...)
		b = r.Visit.append(b)
		b = append(b, `","hop":`...)
		b = strconv.AppendInt(b, int64(r.Hop), 10)
		if b, err = appendTime(append(b, `,"time":`...), r.Time); err != nil {
			return b, err
		}
		if r.Addr != (netip.AddrPort{}) {
			b = r.Addr.AppendTo(append(b, `,"addr":"`...))
			b = append(b, '"')
		}
		b = appendString(append(b, `,"outcome":`...), r.Outcome.String())
		if r.Status != 0 {
			b = strconv.AppendInt(append(b, `,"status":`...), int64(r.Status), 10)
		}
	default:
		text, err := json.Marshal(line)
		return append(b, text...), err
	}
	b, err = appendTime(append(b, `},"at":`...), line.At)
	return append(b, '}'), err
}

// appendTime appends a time as JSON has it (RFC 3339).
func appendTime(b []byte, t time.Time) ([]byte, error) {
	b, err := t.AppendText(append(b, '"'))
	return append(b, '"'), err
}

// appendString appends a string as JSON has it.
func appendString(b []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c >= 0x7f || c == '"' || c == '\\' || c == '<' || c == '>' || c == '&' {
			quoted, _ := json.Marshal(s) // which does not fail for a string
			return append(b, quoted...)
		}
	}
	return append(append(append(b, '"'), s...), '"')
}

// errLine: a line is damaged.
var errLine = errors.New("damaged line in the ledger of visits")

// decodeLine reads a line with its end.
func decodeLine(b []byte) (Line, error) {
	var sum [4]byte
	if len(b) < 11 || len(b) > maxLine || b[8] != ' ' || b[len(b)-1] != '\n' {
		return Line{}, errLine
	}
	text := b[9 : len(b)-1]
	if _, err := hex.Decode(sum[:], b[:8]); err != nil || binary.BigEndian.Uint32(sum[:]) != crc32.Checksum(text, castagnoli) {
		return Line{}, errLine
	}
	var line Line
	if err := json.Unmarshal(text, &line); err != nil {
		return Line{}, fmt.Errorf("%w: %w", errLine, err)
	}
	if line.Ask == nil && line.Reply == nil && line.Quiet == nil ||
		line.Ask != nil && line.Ask.Visit.IsZero() || line.Reply != nil && line.Reply.Visit.IsZero() {
		return Line{}, errLine
	}
	return line, nil
}

// Ask writes down a request and returns when it is on disk: only then may the
// request go out. ErrLedger says that it may not.
func (l *Ledger) Ask(ctx context.Context, a Ask) error {
	g, err := l.write(ctx, &Line{Ask: &a})
	if err != nil {
		return err
	}
	select {
	case <-g.durable:
		return g.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Reply writes down what came of a request. It is on disk a moment later, and
// at the latest when Close returns.
func (l *Ledger) Reply(r Reply) { l.write(context.Background(), &Line{Reply: &r}) }

// Silence writes down that a host wants no visits until a time, on disk a moment
// later.
func (l *Ledger) Silence(q Quiet) {
	l.mu.Lock()
	l.addQuiet(q)
	l.mu.Unlock()
	l.write(context.Background(), &Line{Quiet: &q})
}

// addQuiet keeps the later of two times for a host. If there are too many, some
// other one gives way: a bound is needed, since a stranger could say it for each
// of his names.
func (l *Ledger) addQuiet(q Quiet) {
	if old, ok := l.quiet[q.Host]; ok && old.Until.After(q.Until) {
		return
	}
	if len(l.quiet) >= maxQuiet {
		for host := range l.quiet {
			delete(l.quiet, host)
			break
		}
	}
	l.quiet[q.Host] = q
}

// Quiet says whether a host wants no visits now.
func (l *Ledger) Quiet(host string, now time.Time) (Quiet, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	q, ok := l.quiet[host]
	if ok && !now.Before(q.Until) {
		delete(l.quiet, host)
		ok = false
	}
	return q, ok
}

// Err is nil while the ledger can be written.
func (l *Ledger) Err() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}

func newGroup(text []byte) *group { return &group{text: text[:0], durable: make(chan struct{})} }

// write adds a line to the next group. If that is full it waits for room.
func (l *Ledger) write(ctx context.Context, line *Line) (*group, error) {
	for {
		l.mu.Lock()
		g, err := l.next, l.err
		full := g.lines >= maxGroup
		if err == nil && !full {
			err = l.add(line)
		}
		due := g.lines == 1 || g.lines == enoughLines
		l.mu.Unlock()
		switch {
		case err != nil:
			return nil, err
		case full:
			select {
			case <-g.durable:
				continue
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		case due: // run may be waiting for it
			select {
			case l.wake <- struct{}{}:
			default:
			}
		}
		return g, nil
	}
}

// add appends a line to the next group. l.mu is held.
func (l *Ledger) add(line *Line) (err error) {
	select {
	case <-l.done:
		return fmt.Errorf("%w: it was closed", ErrLedger)
	default:
	}
	line.At = time.Now().UTC()
	if line.At.Before(l.last) { // the clock was set back; lines stay in order
		line.At = l.last
	}
	g := l.next
	if g.text, err = appendLine(g.text, line); err != nil {
		return fmt.Errorf("%w: %w", ErrLedger, err)
	}
	l.last = line.At
	if g.last = line.At; g.lines == 0 {
		g.first = line.At
	}
	g.lines++
	return nil
}

// Close waits until all is on disk.
func (l *Ledger) Close() error {
	l.mu.Lock()
	select {
	case <-l.done:
	default:
		close(l.done)
	}
	l.mu.Unlock()
	<-l.closed
	return l.Err()
}

// run writes what arrives, a group at a time.
func (l *Ledger) run() {
	defer close(l.closed)
	var free time.Time // when the next write may begin, if
	var busy bool      // the last one was of many lines
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-l.wake:
		case <-l.done:
			l.commit() // what was given before the end
			if l.file != nil {
				if err := l.file.Close(); err != nil {
					l.fail(err)
				}
			}
			return
		}
		if wait := time.Until(free); busy && wait > 0 {
			timer.Reset(wait)
			select {
			case <-timer.C:
			case <-l.wake:
			case <-l.done:
			}
		}
		free = time.Now().Add(syncEvery)
		busy = l.commit() > manyLines
	}
}

// commit makes the next group durable, tells those who wait, and gives its
// number of lines. After a failure no group is taken any more: nobody knows what
// of it is on disk.
func (l *Ledger) commit() int {
	l.mu.Lock()
	g, err := l.next, l.err
	if g.lines == 0 {
		l.mu.Unlock()
		return 0
	}
	l.next, l.spare = newGroup(l.spare), nil
	l.mu.Unlock()
	if err == nil {
		if err = l.turn(g); err == nil {
			if _, err = l.file.Write(g.text); err == nil {
				err = l.file.Sync()
			}
		}
		if err != nil {
			err = l.fail(err)
		}
	}
	l.mu.Lock()
	if cap(g.text) <= maxSpare {
		l.spare = g.text
	}
	l.mu.Unlock()
	g.text, g.err = nil, err
	close(g.durable)
	return g.lines
}

func (l *Ledger) fail(err error) error {
	err = fmt.Errorf("%w: %w", ErrLedger, err)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err == nil {
		l.err = err
	}
	return err
}

// turn opens the file of the day of a group's last line, if it is not open: who
// is quiet is carried over, and files that were kept long enough are deleted.
func (l *Ledger) turn(g *group) error {
	now := g.last
	name := now.Format(fileForm)
	if name == l.name {
		return nil
	}
	if l.file != nil {
		if err := l.file.Close(); err != nil {
			return err
		}
	}
	names, err := l.files()
	if err != nil {
		return err
	}
	if l.file, err = l.create(filepath.Join(l.dir, name)); err != nil {
		return err
	}
	l.name = name
	var b []byte
	l.mu.Lock()
	for host, q := range l.quiet {
		if !now.Before(q.Until) {
			delete(l.quiet, host)
		} else if b, err = appendLine(b, &Line{Quiet: &q, At: g.first}); err != nil {
			break
		}
	}
	l.mu.Unlock()
	if err != nil {
		return err
	}
	if _, err := l.file.Write(b); err != nil {
		return err
	}
	if err := errors.Join(l.file.Sync(), syncDir(l.dir)); err != nil {
		return err
	}
	for _, old := range names {
		if day, err := time.Parse(fileForm, old); err == nil && now.Sub(day) > l.keep+24*time.Hour {
			if err := os.Remove(filepath.Join(l.dir, old)); err != nil {
				return err
			}
		}
	}
	return nil
}

// Lookup gives the requests of a visit, in order; none if it is not known.
func (l *Ledger) Lookup(ctx context.Context, id ID) ([]Request, error) {
	from := id.Time()
	return l.gather(ctx, from, from.Add(visitSpan), func(a *Ask) bool { return a.Visit == id }, maxHops)
}

// About gives the requests that went to a host in a span of time, the oldest
// first, at most limit. A whole day of a busy ledger is read in some seconds.
func (l *Ledger) About(ctx context.Context, host string, from, to time.Time, limit int) ([]Request, error) {
	return l.gather(ctx, from, to, func(a *Ask) bool {
		return a.Subject.Host() == host && !a.Time.Before(from) && a.Time.Before(to)
	}, limit)
}

// gather collects the requests that match, with their replies.
func (l *Ledger) gather(ctx context.Context, from, to time.Time, match func(*Ask) bool, limit int) ([]Request, error) {
	type key struct {
		id  ID
		hop int
	}
	var found []Request
	at := make(map[key]int)
	for line, err := range l.walk(from.Add(-visitSpan)) {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return found, err
		}
		switch {
		case line.At.After(to.Add(visitSpan)):
			return found, nil
		case line.Ask != nil && len(found) < limit && match(line.Ask):
			at[key{line.Ask.Visit, line.Ask.Hop}] = len(found)
			found = append(found, Request{Ask: *line.Ask})
		case line.Reply != nil:
			if i, ok := at[key{line.Reply.Visit, line.Reply.Hop}]; ok {
				found[i].Reply = line.Reply
			}
		}
	}
	return found, nil
}

// walk yields the lines from a time on.
func (l *Ledger) walk(from time.Time) iter.Seq2[Line, error] {
	names, err := l.files()
	if err != nil {
		return func(yield func(Line, error) bool) { yield(Line{}, err) }
	}
	first := from.UTC().Format(fileForm)
	i, _ := slices.BinarySearch(names, first)
	return func(yield func(Line, error) bool) {
		for n, name := range names[i:] {
			f, err := os.Open(filepath.Join(l.dir, name))
			if errors.Is(err, os.ErrNotExist) {
				continue // it was kept long enough
			}
			if err != nil {
				yield(Line{}, err)
				return
			}
			if n == 0 && name == first {
				err = seekTime(f, from)
			}
			goOn := err == nil && readLines(f, yield)
			if err != nil {
				yield(Line{}, err)
			}
			f.Close()
			if !goOn {
				return
			}
		}
	}
}

// lines yields all lines of some files.
func (l *Ledger) lines(names []string) iter.Seq2[Line, error] {
	return func(yield func(Line, error) bool) {
		for _, name := range names {
			f, err := os.Open(filepath.Join(l.dir, name))
			if err != nil {
				yield(Line{}, err)
				return
			}
			goOn := readLines(f, yield)
			f.Close()
			if !goOn {
				return
			}
		}
	}
}

// readLines yields the lines of a file that is being written: its last line may
// not be whole yet. A damaged line is passed over, so that it hides no other.
func readLines(r io.Reader, yield func(Line, error) bool) bool {
	buf, begin := make([]byte, 0, 4*maxLine), 0
	for {
		for {
			n := bytes.IndexByte(buf[begin:], '\n')
			if n < 0 {
				break
			}
			line, err := decodeLine(buf[begin : begin+n+1])
			begin += n + 1
			if err == nil && !yield(line, nil) {
				return false
			}
		}
		buf = buf[:copy(buf, buf[begin:])]
		begin = 0
		if len(buf) == cap(buf) {
			buf = buf[:0] // no line is so long
		}
		n, err := r.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		if n == 0 && err == io.EOF {
			return true
		}
		if n == 0 && err != nil {
			yield(Line{}, err)
			return false
		}
	}
}

// seekTime sets the file to the begin of a line that was written before a time
// (or to the file's begin), near to the first that was not.
func seekTime(f *os.File, from time.Time) error {
	low, high := int64(0), int64(0)
	high, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	buf := make([]byte, 2*maxLine) // holds a whole line, wherever it begins
	for high-low > int64(len(buf)) {
		middle := low + (high-low)/2
		n, err := f.ReadAt(buf, middle)
		if err != nil && err != io.EOF {
			return err
		}
		before := false
		if _, rest, ok := bytes.Cut(buf[:n], []byte{'\n'}); ok {
			if end := bytes.IndexByte(rest, '\n'); end >= 0 {
				line, err := decodeLine(rest[:end+1])
				before = err == nil && line.At.Before(from)
			}
		}
		if before {
			low = middle
		} else {
			high = middle
		}
	}
	if low > 0 { // to the begin of a line
		n, err := f.ReadAt(buf, low)
		if err != nil && err != io.EOF {
			return err
		}
		low += int64(bytes.IndexByte(buf[:n], '\n') + 1)
	}
	_, err = f.Seek(low, io.SeekStart)
	return err
}
