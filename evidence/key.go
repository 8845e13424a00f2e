package evidence

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"unsafe"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/dchest/siphash"

	"headlight.example/link"
)

// Key is the secret of one installation (or cluster). It seals the links that
// nobody reported, and spreads subjects over the reputation table so that
// nobody outside can make two of them collide.
type Key [16]byte

// Hash is SipHash-2-4 of a subject's key under k, made distinct for each kind;
// never 0. For a sealed part, "#" and 13 base-32 digits, it is the number that
// they spell: a sealed subject and the subject in clear have one hash. (No
// canonical key in clear begins with "#".) It does not allocate.
func (k *Key) Hash(kind Kind, key string) uint64 {
	if len(key) == sealedPart && key[0] == '#' {
		if h, ok := unspell(key[1:]); ok {
			return h
		}
	}
	// Xor with a multiple of the golden ratio, which differs in many bits for
	// each kind, stands in for a byte before the key and saves a copy of it.
	k0 := binary.LittleEndian.Uint64(k[:8]) ^ uint64(kind)*0x9e3779b97f4a7c15
	k1 := binary.LittleEndian.Uint64(k[8:])
	// Hash only reads the bytes, and keeps none of them.
	return max(siphash.Hash(k0, k1, unsafe.Slice(unsafe.StringData(key), len(key))), 1)
}

// Seal gives what may be stored of a link that nobody reported: its host in
// clear, the rungs below as keyed hashes.
//
//	a.example/x/y?z          → a.example/#P/#U
//	a.example/y              → a.example/#/#U        (it has no path rung)
//	docs.example/d/one/edit  → docs.example/#T/#P/#U (where a path is the tenant)
//
// P, U and T are Hash of the path, the URL and the tenant, in 13 base-32 digits.
// Behind them stand, after "/~", the [Traits] that the host does not tell.
func (k *Key) Seal(l link.Link) Subject {
	var room [2 << 10]byte // enough but for the longest hosts
	var t Traits
	k.sealedTraits(l, &t)
	return Subject{Sealed, string(appendTraits(k.seal(room[:0], l), &t))}
}

// SealName is Seal without the traits: enough to tell the link from others.
func (k *Key) SealName(l link.Link) Subject {
	var room [256]byte
	return Subject{Sealed, string(k.seal(room[:0], l))}
}

func (k *Key) seal(b []byte, l link.Link) []byte {
	b = append(b, l.Host()...)
	if tenant := l.Tenant(); strings.IndexByte(tenant, '/') >= 0 {
		b = appendPart(b, k.Hash(Tenant, tenant))
	}
	if path := l.Path(); path != "" {
		b = appendPart(b, k.Hash(Path, path))
	} else {
		b = append(b, "/#"...)
	}
	return appendPart(b, k.Hash(URL, l.URL()))
}

// SealedURL is a sealed key taken apart. Each of Tenant, Path and URL is a
// sealed part, to be given to [Key.Hash] as it is; Tenant and Path are "" where
// the link has no such rung of its own (its tenant then follows from the host).
// Traits is the text of what was sealed with it, "" if nothing was; Unseal reads it.
type SealedURL struct {
	Host, Tenant, Path, URL, Traits string
}

// ParseSealed takes the key of a [Sealed] subject apart, and leaves it to
// [Key.Unseal] to read the traits. It does not allocate unless it fails.
func ParseSealed(key string) (SealedURL, error) {
	s, ok := SealedURL{}, true
	rest := key
	if i := strings.Index(key, "/~"); i >= 0 {
		if rest, s.Traits = key[:i], key[i+2:]; s.Traits == "" {
			return SealedURL{}, errNotSealed(key)
		}
	}
	if s.URL, rest, ok = cutPart(rest); !ok || s.URL == "" {
		return SealedURL{}, errNotSealed(key)
	}
	if s.Path, rest, ok = cutPart(rest); !ok {
		return SealedURL{}, errNotSealed(key)
	}
	if tenant, before, ok := cutPart(rest); ok {
		if tenant == "" {
			return SealedURL{}, errNotSealed(key)
		}
		s.Tenant, rest = tenant, before
	}
	s.Host = rest
	if err := validateHost(s.Host); err != nil {
		return SealedURL{}, err
	}
	return s, nil
}

func errNotSealed(key string) error { return fmt.Errorf("%q is not a sealed URL", clip(key)) }

// cutPart takes the last part, "/#" and 13 digits or none, off a sealed key.
// The part is given with its "#", or as "" if it has no digits.
func cutPart(key string) (part, before string, ok bool) {
	i := strings.LastIndexByte(key, '/')
	if i < 0 || i+1 == len(key) || key[i+1] != '#' {
		return "", key, false
	}
	part, before = key[i+1:], key[:i]
	if part == "#" {
		return "", before, true
	}
	if len(part) != sealedPart {
		return "", key, false
	}
	_, ok = unspell(part[1:])
	return part, before, ok
}

// A sealed part is "#" and 13 digits: 64 bits, most significant first, and a
// last bit that is 0. The digits are Crockford's without i, l, o, u, in lower case.
const (
	sealedPart   = 1 + 13
	sealedDigits = "0123456789abcdefghjkmnpqrstvwxyz"
)

var sealedValue = func() (v [256]byte) {
	for i := range v {
		v[i] = 0xff
	}
	for i := range len(sealedDigits) {
		v[sealedDigits[i]] = byte(i)
	}
	return v
}()

func appendPart(b []byte, h uint64) []byte {
	b = append(b, '/', '#')
	for shift := 59; shift >= 0; shift -= 5 {
		b = append(b, sealedDigits[h>>shift&31])
	}
	return append(b, sealedDigits[h<<1&31])
}

// unspell reads 13 digits. A spelling that Seal would not write is refused, so
// that one hash has one spelling.
func unspell(digits string) (h uint64, ok bool) {
	for i := range 12 {
		v := sealedValue[digits[i]]
		if v > 31 {
			return 0, false
		}
		h = h<<5 | uint64(v)
	}
	v := sealedValue[digits[12]]
	if v > 31 || v&1 != 0 {
		return 0, false
	}
	h = h<<4 | uint64(v>>1)
	return h, h != 0
}

// keyFile is where an installation keeps its key, in its data directory.
const keyFile = "keys/seal.key"

// LoadKey reads the key of a data directory, and makes one at the first start.
// It is written with mode 0600 and is on disk before LoadKey returns. If it is
// lost, what was sealed under it can no longer be told apart by path and URL;
// if it leaks, its holder can test the log for a link that he can name.
func LoadKey(dir string) (*Key, error) {
	k, err := ReadKey(dir)
	if !errors.Is(err, fs.ErrNotExist) {
		return k, err
	}
	name := filepath.Join(dir, keyFile)
	if err := createKey(name); err != nil {
		return nil, fmt.Errorf("create %s: %w", name, err)
	}
	return ReadKey(dir)
}

// ReadKey is LoadKey of a directory that has a key; else the error is fs.ErrNotExist.
func ReadKey(dir string) (*Key, error) {
	name := filepath.Join(dir, keyFile)
	b, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	k := new(Key)
	if len(b) != len(k) {
		return nil, fmt.Errorf("%s has %d bytes instead of %d: restore it from a copy; "+
			"or remove it, and what was sealed before is known by its host only", name, len(b), len(k))
	}
	copy(k[:], b)
	return k, nil
}

// Fingerprint tells one key from another, in 32 hex digits, and gives nothing of
// it away.
func (k *Key) Fingerprint() string {
	sum := sha256.Sum256(append([]byte("headlight seal key "), k[:]...))
	return hex.EncodeToString(sum[:16])
}

// createKey writes a new key beside name and links it in its place, so that no
// crash leaves half a key and of two that start at once both read the same one.
func createKey(name string) error {
	dir := filepath.Dir(name)
	if err := makeDir(vfs.Default, dir); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, ".seal-*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	var k Key
	rand.Read(k[:])
	_, err = f.Write(k[:])
	if err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := os.Link(f.Name(), name); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return syncDir(vfs.Default, dir)
}
