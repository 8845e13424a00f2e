package feed

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"headlight.example/evidence"
)

// memory is what is remembered of a source between visits, in DIR/NAME.state.
// If it is lost or torn, the list is fetched and said once more, which changes
// nothing. If it is forged, a list can be made to look read.
type memory struct {
	// Source is a keyed hash of what the source is and how it is understood:
	// if that changes, nothing that is remembered holds.
	Source uint64 `json:"source"`
	// Read is when it was last visited with success.
	Read         time.Time `json:"read"`
	ETag         string    `json:"etag,omitempty"`
	LastModified string    `json:"last_modified,omitempty"`
	// Hash is the SHA-256 of the list last taken, as it came.
	Hash string `json:"hash,omitempty"`
	// Modified and Size are those of the file last taken.
	Modified time.Time `json:"modified,omitzero"`
	Size     int64     `json:"size,omitempty"`
}

func (f *Fetcher) path(s *source, what string) string {
	return filepath.Join(f.cfg.Dir, s.Name+what)
}

// fingerprint is memory.Source. The evidence key is in it, so that a new
// installation over old files begins anew.
func (f *Fetcher) fingerprint(s *source) uint64 {
	is := fmt.Sprintf("%q %q %q %q %v %v %v", s.Format, s.URL, s.File, s.Rater, s.Assertion, s.Lifetime, s.Bucket)
	return f.cfg.Key.Hash(0, is)
}

// load gives what is remembered, or a memory of nothing.
func (f *Fetcher) load(s *source) memory {
	nothing := memory{Source: f.fingerprint(s)}
	b, err := os.ReadFile(f.path(s, ".state"))
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			f.log.Warn("feed state not read; the list is read anew", "feed", s.Name, "err", err)
		}
		return nothing
	}
	var m memory
	if err := json.Unmarshal(b, &m); err != nil || m.Source != nothing.Source {
		return nothing
	}
	return m
}

func (f *Fetcher) save(s *source, m *memory) error {
	b, err := json.Marshal(m)
	if err != nil {
		return err
	}
	return replaceFile(f.path(s, ".state"), b)
}

// repeatAfter is how long a list need not be quoted again on what it goes on
// saying without a date. A week is the shorter half-life of evidence: said
// weekly, it does not fade while it is listed, and the log grows by a seventh
// of the list a day. Dated entries are said once.
const repeatAfter = 7 // days

// maxSaid bounds what is remembered to have been said: 48 MB on disk. What a
// longer list says beyond it is said at each change.
const maxSaid = 4 << 20

// repeats tells what a list has not lately said. Records are known by a keyed
// hash, so that nobody who writes to a list can make his entry hide another.
type repeats struct {
	before  map[uint64]uint32 // what the list said when it was last read, and the day it was last appended
	current map[uint64]uint32 // the same, of this reading
	key     *evidence.Key
	dated   bool
	today   uint32 // days since 1970
	buf     []byte
}

func newRepeats(before map[uint64]uint32, key *evidence.Key, dated bool, now time.Time) *repeats {
	return &repeats{
		before: before, current: make(map[uint64]uint32, len(before)),
		key: key, dated: dated, today: uint32(now.Unix() / 86400),
	}
}

// fresh says whether the record is to be appended, and remembers it. A record
// that is twice in a list is fresh once.
func (r *repeats) fresh(rec *evidence.Record) bool {
	id := *rec
	if !r.dated {
		id.Time, id.Expires = time.Unix(0, 0), time.Time{}
	}
	var err error
	if r.buf, err = id.AppendBinary(r.buf[:0]); err != nil {
		return true // Append will say what is wrong with it
	}
	h := r.key.Hash(0, string(r.buf))
	if _, ok := r.current[h]; ok {
		return false
	}
	day, known := r.before[h]
	if !known || !r.dated && (r.today >= day+repeatAfter || day > r.today) {
		day, known = r.today, false
	}
	if len(r.current) < maxSaid {
		r.current[h] = day
	}
	return !known
}

// DIR/NAME.said: the magic, then 12 bytes an entry (hash, day; little-endian),
// then the CRC-32 of all before it.
var saidMagic = []byte("HLSAID1\n")

const saidEntry = 8 + 4

// loadSaid gives what was said before; nothing if that is not known or no
// longer holds.
func (f *Fetcher) loadSaid(s *source, m *memory) map[uint64]uint32 {
	if m.Read.IsZero() {
		return nil // the first visit, or that of another list of the name
	}
	b, err := os.ReadFile(f.path(s, ".said"))
	if err != nil {
		return nil
	}
	return decodeSaid(b)
}

func decodeSaid(b []byte) map[uint64]uint32 {
	n := len(b) - len(saidMagic) - crc32.Size
	if n < 0 || n%saidEntry != 0 || !bytes.HasPrefix(b, saidMagic) {
		return nil
	}
	end := len(saidMagic) + n
	if binary.LittleEndian.Uint32(b[end:]) != crc32.ChecksumIEEE(b[:end]) {
		return nil
	}
	said := make(map[uint64]uint32, n/saidEntry)
	for i := len(saidMagic); i < end; i += saidEntry {
		said[binary.LittleEndian.Uint64(b[i:])] = binary.LittleEndian.Uint32(b[i+8:])
	}
	return said
}

func (f *Fetcher) saveSaid(s *source, said map[uint64]uint32) error {
	return replaceFile(f.path(s, ".said"), encodeSaid(said))
}

func encodeSaid(said map[uint64]uint32) []byte {
	b := make([]byte, 0, len(saidMagic)+len(said)*saidEntry+crc32.Size)
	b = append(b, saidMagic...)
	for hash, day := range said {
		b = binary.LittleEndian.AppendUint64(b, hash)
		b = binary.LittleEndian.AppendUint32(b, day)
	}
	return binary.LittleEndian.AppendUint32(b, crc32.ChecksumIEEE(b))
}

// replaceFile writes a file that is, after a crash at any point, as it was or
// as it should be.
func replaceFile(path string, b []byte) (err error) {
	file, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".new-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			os.Remove(file.Name())
		}
	}()
	_, err = file.Write(b)
	if err == nil {
		err = file.Sync()
	}
	if closeErr := file.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = os.Rename(file.Name(), path)
	}
	if err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer dir.Close()
	return dir.Sync()
}
