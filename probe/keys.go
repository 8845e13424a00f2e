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
	"strconv"
	"sync"
	"time"
)

// Names in the directory of keys. If they are lost, visits are signed by a new
// key. If they are forged or read, someone else can pretend to be this visitor.
const (
	currentKey  = "visit.pem"
	previousKey = "visit-previous.pem"
)

// DirectoryPath is where a key directory is to be served
// (draft-meunier-webbotauth-httpsig-protocol).
const DirectoryPath = "/.well-known/http-message-signatures-directory"

// DirectoryType is the media type of a key directory.
const DirectoryType = "application/http-message-signatures-directory+json"

// signingKey is an Ed25519 key with its name.
type signingKey struct {
	private ed25519.PrivateKey
	id      string // thumbprint
	since   time.Time
}

// Keys are the keys that visits are signed with: the current one, and the one
// before it, which stays in the directory for those who remember it. They do
// not change once loaded; after [RotateKeys] they are loaded anew.
type Keys struct {
	current  *signingKey
	previous *signingKey // nil if there was none
}

var keyDirMu sync.Mutex // makes and rotates keys one at a time in this process

// LoadKeys reads the keys of a directory, and makes the first one at need. It is
// on disk, readable for its owner alone, before LoadKeys returns.
func LoadKeys(dir string) (*Keys, error) {
	keyDirMu.Lock()
	defer keyDirMu.Unlock()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	current, err := readKey(filepath.Join(dir, currentKey))
	if errors.Is(err, fs.ErrNotExist) {
		if err := makeKey(dir); err != nil {
			return nil, err
		}
		current, err = readKey(filepath.Join(dir, currentKey))
	}
	if err != nil {
		return nil, err
	}
	previous, err := readKey(filepath.Join(dir, previousKey))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return &Keys{current, previous}, nil
}

// RotateKeys makes a new current key; the one that was current becomes the
// previous one. Killed between, it leaves keys that can be loaded: in the worst
// case none is current, and LoadKeys makes one.
func RotateKeys(dir string) error {
	keyDirMu.Lock()
	defer keyDirMu.Unlock()
	err := os.Rename(filepath.Join(dir, currentKey), filepath.Join(dir, previousKey))
	if err != nil {
		return err
	}
	return makeKey(dir)
}

func makeKey(dir string) error {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return err
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, "new-*") // with mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // in vain once it has its name
	err = pem.Encode(f, &pem.Block{Type: "PRIVATE KEY", Bytes: der})
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), filepath.Join(dir, currentKey)); err != nil {
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

func readKey(name string) (*signingKey, error) {
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
	info, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	return &signingKey{private, thumbprint(private.Public().(ed25519.PublicKey)), info.ModTime()}, nil
}

// ID names the current key: its JWK thumbprint, the keyid of signatures.
func (k *Keys) ID() string { return k.current.id }

// Directory is the key directory: a JSON Web Key Set of the current and the
// previous key.
func (k *Keys) Directory() []byte {
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
	for _, s := range []*signingKey{k.current, k.previous} {
		if s != nil {
			x := base64.RawURLEncoding.EncodeToString(s.private.Public().(ed25519.PublicKey))
			set.Keys = append(set.Keys, jwk{"OKP", "Ed25519", x, s.id, "sig", s.since.Unix()})
		}
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
	body := k.Directory()
	sum := sha256.Sum256(body)
	digest := "sha-256=:" + base64.StdEncoding.EncodeToString(sum[:]) + ":"
	now := time.Now()
	var input, signature string
	for i, s := range []*signingKey{k.current, k.previous} {
		if s == nil {
			continue
		}
		params := fmt.Sprintf(`("@authority";req "content-digest");created=%d;expires=%d;keyid="%s";alg="ed25519";tag="http-message-signatures-directory"`,
			now.Unix(), now.Add(directoryAge).Unix(), s.id)
		base := "\"@authority\";req: " + r.Host + "\n\"content-digest\": " + digest + "\n\"@signature-params\": " + params
		name := "sig" + strconv.Itoa(i+1)
		sep := ""
		if input != "" {
			sep = ", "
		}
		input += sep + name + "=" + params
		signature += sep + name + "=:" + base64.StdEncoding.EncodeToString(ed25519.Sign(s.private, []byte(base))) + ":"
	}
	h := w.Header()
	h.Set("Content-Type", DirectoryType)
	h.Set("Cache-Control", "max-age="+strconv.Itoa(int(directoryAge.Seconds())))
	h.Set("Content-Digest", digest)
	h.Set("Signature-Input", input)
	h.Set("Signature", signature)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.Write(body) // which net/http leaves out of an answer to HEAD
}

// directoryAge is how long a directory may be kept. A new key signs at once, so
// it must not be long.
const directoryAge = time.Hour
