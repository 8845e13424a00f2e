package probe

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync/atomic"
	"time"
)

// KeysDir is the directory of keys in a data directory.
const KeysDir = "keys"

// A key has the time from which it signs in its name; that of builds before there
// were rotations has none, and is the oldest. If keys are lost, visits are signed by
// a new one. If they are forged or read, someone else can pretend to be this visitor.
const (
	keyName = "visit-20060102T150405Z.pem" // a layout of package time, in UTC
	oldName = "visit.pem"
)

const (
	// DirectoryAge is how long a key directory may be kept by who has fetched it.
	DirectoryAge = time.Hour
	// handover is how long a new key is there before it signs: the hour that
	// directories are kept, and one in which the server is to be told of it.
	handover = 2 * DirectoryAge
)

// DirectoryPath is where a key directory is to be served
// (draft-meunier-webbotauth-httpsig-protocol).
const DirectoryPath = "/.well-known/http-message-signatures-directory"

// DirectoryType is the media type of a key directory.
const DirectoryType = "application/http-message-signatures-directory+json"

// Keys are the keys that visits are signed with. The newest one whose time has
// come signs. The one before it stays in the directory for those who remember it,
// and one whose time is still to come is in it early, since a directory may be
// kept for an hour.
//
// A key is a file that says in its name from when on it signs. So a rotation is
// one new file, which no crash halves; the clock alone says which key signs, now
// and after a restart; and a copy of the files says the same on another machine.
//
// Keys are safe for concurrent use.
type Keys struct {
	dir string
	all atomic.Pointer[[]*signingKey] // in the order in which they sign; not empty
}

// ReadKeys reads the keys of a directory; the error is fs.ErrNotExist if it has none.
func ReadKeys(dir string) (*Keys, error) {
	all, err := readKeys(dir)
	if err != nil {
		return nil, err
	}
	k := &Keys{dir: dir}
	k.all.Store(&all)
	return k, nil
}

// LoadKeys reads the keys of a directory, and makes the first one at need. It is
// on disk, readable for its owner alone, before LoadKeys returns. Of two that make
// it at once both get the same one.
func LoadKeys(dir string) (*Keys, error) {
	k, err := ReadKeys(dir)
	if !errors.Is(err, fs.ErrNotExist) {
		return k, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	// It is named by the day, and so by one name by all who make it.
	name := time.Now().UTC().Truncate(24 * time.Hour).Format(keyName)
	if err := makeKey(dir, name); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	return ReadKeys(dir)
}

// Reload takes over what has become of the directory since, and makes a key if
// none is left: an operator removes one that others have read. A key that is seen
// too late to be in everybody's directory by its time signs an hour later, unless
// there is none before it. If there is an error nothing changes.
func (k *Keys) Reload() error {
	fresh, err := LoadKeys(k.dir)
	if err != nil {
		return err
	}
	known, all := *k.all.Load(), *fresh.all.Load()
	for _, s := range all {
		s.seen = time.Now()
		if i := slices.IndexFunc(known, func(old *signingKey) bool { return old.id == s.id }); i >= 0 {
			s.seen = known[i].seen
		}
		if public := s.seen.Add(DirectoryAge); !s.seen.IsZero() && s.from.Before(public) {
			s.from = public
		}
	}
	k.all.Store(&all)
	return nil
}

// RotateKeys makes a key that signs two hours after now, and removes those that are
// in no directory any more. A server publishes it when it reloads. If there is no
// key yet the error is fs.ErrNotExist.
func RotateKeys(dir string, now time.Time) (Key, error) {
	all, err := readKeys(dir)
	if err != nil {
		return Key{}, err
	}
	i := signing(all, now)
	if last := all[len(all)-1]; i < len(all)-1 {
		return Key{}, fmt.Errorf("key %s is new already, and signs from %s: the next rotation can be after that", last.id, last.from.UTC().Format(time.RFC3339))
	}
	name := now.Add(handover).UTC().Format(keyName)
	if err := makeKey(dir, name); err != nil {
		return Key{}, err
	}
	made, err := readKey(dir, name)
	if err != nil {
		return Key{}, err
	}
	for _, old := range all[:max(i-1, 0)] {
		if err := os.Remove(filepath.Join(dir, old.file)); err != nil {
			return Key{}, err
		}
	}
	return Key{made.id, made.from, KeyNext}, syncDir(dir)
}

// signing gives which of the keys signs at a time.
func signing(all []*signingKey, now time.Time) int {
	for i := len(all) - 1; i > 0; i-- {
		if !all[i].from.After(now) {
			return i
		}
	}
	return 0
}

// at gives the key that signs at a time.
func (k *Keys) at(now time.Time) *signingKey {
	all := *k.all.Load()
	return all[signing(all, now)]
}

// published gives the keys of the directory, the newest first.
func (k *Keys) published(now time.Time) []*signingKey {
	all := *k.all.Load()
	all = slices.Clone(all[max(signing(all, now)-1, 0):])
	slices.Reverse(all)
	return all
}

// KeyState is what a key is for at a time.
type KeyState uint8

// States of keys, in the order that each goes through.
const (
	KeyNext     KeyState = iota // published, and signs from its time on
	KeySigns                    // published
	KeyPrevious                 // published, for those who remember it
	KeyPast                     // in no directory; the next rotation removes it
)

// String gives the word for a state.
func (s KeyState) String() string { return [...]string{"next", "signs", "previous", "past"}[s] }

// Key tells of a key, and is none.
type Key struct {
	ID    string    // its JWK thumbprint, the keyid of signatures
	From  time.Time // it signs from then on
	State KeyState
}

// List tells of all keys, in the order in which they sign.
func (k *Keys) List(now time.Time) (list []Key) {
	all := *k.all.Load()
	i := signing(all, now)
	for n, s := range all {
		state := KeyPast
		switch {
		case n > i:
			state = KeyNext
		case n == i:
			state = KeySigns
		case n == i-1:
			state = KeyPrevious
		}
		list = append(list, Key{s.id, s.from, state})
	}
	return list
}

// makeKey makes a key and then gives it its name, which must be free, so that no
// crash leaves half a key under one.
func makeKey(dir, name string) error {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return err
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, ".visit-*") // with mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	err = pem.Encode(f, &pem.Block{Type: "PRIVATE KEY", Bytes: der})
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Link(f.Name(), filepath.Join(dir, name)); err != nil {
		return err
	}
	return syncDir(dir)
}

// syncDir makes the names in a directory durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// readKeys reads the keys of a directory in the order in which they sign.
func readKeys(dir string) (all []*signingKey, err error) {
	entries, err := os.ReadDir(dir) // by name, and so by time
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		if _, err := time.Parse(keyName, e.Name()); err != nil && e.Name() != oldName {
			continue // the seal's key, or one that a crash left without a name
		}
		k, err := readKey(dir, e.Name())
		if err != nil {
			return nil, err
		}
		if k.file == oldName { // though a copy of it is younger than others
			all = slices.Insert(all, 0, k)
		} else {
			all = append(all, k)
		}
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("keys of visits in %s: %w", dir, fs.ErrNotExist)
	}
	return all, nil
}

func readKey(dir, file string) (*signingKey, error) {
	name := filepath.Join(dir, file)
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, fmt.Errorf("read key %s: not PEM", name)
	}
	k, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("read key %s: %w", name, err)
	}
	private, ok := k.(ed25519.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("read key %s: a %T, want an Ed25519 key", name, k)
	}
	from, err := time.Parse(keyName, file)
	if err != nil { // oldName: since it was made
		info, err := os.Stat(name)
		if err != nil {
			return nil, err
		}
		from = info.ModTime()
	}
	return newSigningKey(private, file, from), nil
}

// ID names the key that signs now: its JWK thumbprint, the keyid of signatures.
func (k *Keys) ID() string { return k.at(time.Now()).id }

// Directory is the key directory at a time: a JSON Web Key Set of the key that
// signs, the one before it, and those whose time is still to come.
func (k *Keys) Directory(now time.Time) []byte { return directory(k.published(now)) }

func directory(keys []*signingKey) []byte {
	type jwk struct {
		KTY string `json:"kty"`
		CRV string `json:"crv"`
		X   string `json:"x"`
		KID string `json:"kid"`
		Use string `json:"use"`
		NBF int64  `json:"nbf"`
	}
	var set struct {
		Keys []jwk `json:"keys"`
	}
	for _, s := range keys {
		x := base64.RawURLEncoding.EncodeToString(s.public)
		set.Keys = append(set.Keys, jwk{"OKP", "Ed25519", x, s.id, "sig", s.from.Unix()})
	}
	b, err := json.Marshal(set)
	if err != nil {
		panic(err) // strings and numbers only
	}
	return b
}

// ServeHTTP serves the directory, at [DirectoryPath]. The answer is signed with
// each of its keys, so that nobody can list a key that he does not hold
// (draft-meunier-webbotauth-httpsig-protocol, on the directory's response).
func (k *Keys) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		w.WriteHeader(http.StatusMethodNotAllowed)
		return
	}
	now := time.Now()
	keys := k.published(now)
	body := directory(keys)
	sum := sha256.Sum256(body)
	digest := "sha-256=:" + base64.StdEncoding.EncodeToString(sum[:]) + ":"
	var input, signature string
	for i, s := range keys {
		params := fmt.Sprintf(`("@authority";req "content-digest");created=%d;expires=%d;keyid="%s";alg="ed25519";tag="http-message-signatures-directory"`,
			now.Unix(), now.Add(DirectoryAge).Unix(), s.id)
		base := "\"@authority\";req: " + r.Host + "\n\"content-digest\": " + digest + "\n\"@signature-params\": " + params
		name := "sig" + strconv.Itoa(i+1)
		sep := ""
		if input != "" {
			sep = ", "
		}
		signed := s.sign([]byte(base))
		input += sep + name + "=" + params
		signature += sep + name + "=:" + base64.StdEncoding.EncodeToString(signed[:]) + ":"
	}
	h := w.Header()
	h.Set("Content-Type", DirectoryType)
	h.Set("Cache-Control", "max-age="+strconv.Itoa(int(DirectoryAge.Seconds())))
	h.Set("Content-Digest", digest)
	h.Set("Signature-Input", input)
	h.Set("Signature", signature)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.Write(body) // which net/http leaves out of an answer to HEAD
}
