package link

import (
	"crypto/sha256"
	"encoding"
	"encoding/binary"
	"hash"
	"sync"
	"unsafe"
)

// Hash is the SHA-256 of an expression.
func Hash(expression string) [sha256.Size]byte {
	return sha256.Sum256(unsafe.Slice(unsafe.StringData(expression), len(expression)))
}

// AppendHashes appends the hash of each expression of l, in their order.
func AppendHashes(dst [][sha256.Size]byte, l Link, rule Rule) [][sha256.Size]byte {
	var space [MaxExpressions]string
	h := hashers.Get().(*hasher)
	for _, e := range AppendExpressions(space[:0], l, rule) {
		dst = append(dst, h.hash(e))
	}
	hashers.Put(h)
	return dst
}

// hasher makes SHA-256 of short texts in two thirds of the time that Sum256 takes:
// it pads the text itself, so that what it reads from the running state is the hash,
// and nothing is copied or finished.
type hasher struct {
	running hash.Hash
	state   encoding.BinaryAppender // the same
	blocks  [2 * sha256.BlockSize]byte
	saved   []byte
}

// The state, as crypto/sha256 saves it, begins with a name of four bytes and
// the eight words of the hash.
const stateStart = 4

var hashers = sync.Pool{New: func() any {
	h := &hasher{running: sha256.New(), saved: make([]byte, 0, 128)}
	h.state, _ = h.running.(encoding.BinaryAppender)
	return h
}}

// savesState reports whether crypto/sha256 saves its state as hasher thinks; if
// it ever should not, Sum256 is used.
var savesState = func() bool {
	h := hashers.Get().(*hasher)
	got, ok := h.short("a.example/")
	return ok && got == Hash("a.example/")
}()

func (h *hasher) hash(text string) [sha256.Size]byte {
	if savesState {
		if sum, ok := h.short(text); ok {
			return sum
		}
	}
	return Hash(text)
}

// short hashes a text that fits two blocks with its padding (FIPS 180-4 §5.1.1):
// a bit, noughts, and the length in bits.
func (h *hasher) short(text string) (sum [sha256.Size]byte, ok bool) {
	const padding = 1 + 8
	if len(text) > len(h.blocks)-padding || h.state == nil {
		return sum, false
	}
	blocks := h.blocks[:]
	if len(text) <= sha256.BlockSize-padding {
		blocks = blocks[:sha256.BlockSize]
	}
	n := copy(blocks, text)
	blocks[n] = 0x80
	clear(blocks[n+1 : len(blocks)-8])
	binary.BigEndian.PutUint64(blocks[len(blocks)-8:], uint64(n)*8)

	h.running.Reset()
	h.running.Write(blocks)
	saved, err := h.state.AppendBinary(h.saved[:0])
	if err != nil || len(saved) < stateStart+len(sum) {
		return sum, false
	}
	copy(sum[:], saved[stateStart:])
	return sum, true
}
