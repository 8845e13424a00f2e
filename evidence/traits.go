package evidence

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"math/bits"
	"strings"
	"unsafe"

	"github.com/dchest/siphash"

	"headlight.example/link"
)

// Traits are what the spelling of a link says of it, as keyed hashes: whole
// parts of it and their shapes, which are counted one by one (markers), and
// words and short runs of letters, which are only weighed together (tokens).
//
// They are all that the fold needs of a link that nobody reported, so that they
// can be logged in its place. Of the query and of what may be a secret no more
// than the shape is taken: whoever has log and key could piece together the rest.
// A shape writes a run of digits as 0, of small letters as a, of large ones as
// A, and all else as it is, and ends in one of five lengths: "wp-login2.php" has
// the shape "a-a0.a2".
type Traits struct {
	// Markers by their constants; 0 where the link has none.
	Markers [NumMarkers]uint64
	n       int
	tokens  [MaxTokens]uint32
	// A hash table of 1 + a token that keeps their order but for collisions: where
	// a token is looked for first follows from its upper bits.
	slot [slots]uint32
	used [slots / 64]uint64 // a bit for each
}

const (
	slotBits = 9 // half of them stay free
	slots    = 1 << slotBits
)

// The markers.
const (
	LastMarker  = iota // the last segment of the path
	FirstMarker        // its first segment and how many there are
	PathShape          // the shapes of all segments, and of the query
	LabelShape         // the shape of the tenant's label, and the suffix or platform
	// Layout (the shapes of all segments, the scheme and the number of dots) and
	// Ending (the suffix or platform) are of use together with where the link is
	// hosted only, for who knows that.
	Layout
	Ending
	NumMarkers
)

const (
	// MaxTokens bounds the tokens of a link. What would be the 257th is left out:
	// the path comes last, the host first.
	MaxTokens = 256
	// TokenBits is the width of a token: its values are below 1<<TokenBits.
	TokenBits = 20

	// How much of a part is looked at, in bytes.
	maxLabel   = 64
	maxPath    = 320
	maxQuery   = 128
	maxGrams   = 40 // runs of letters of one part
	maxWord    = 15 // longer ones are no words
	maxDeep    = 4  // segments of which runs are taken
	maxShape   = 480
	gramLength = 4
)

// Tokens are in no order, none twice. The slice is part of t.
func (t *Traits) Tokens() []uint32 { return t.tokens[:t.n] }

// Add adds the token of a hash, unless t has it or MaxTokens others.
func (t *Traits) Add(h uint64) {
	token := uint32(h >> (64 - TokenBits))
	if t.n == MaxTokens {
		return
	}
	i := token >> (TokenBits - slotBits)
	for ; t.slot[i] != 0; i = (i + 1) % slots {
		if t.slot[i] == token+1 {
			return
		}
	}
	t.tokens[t.n] = token
	t.slot[i] = token + 1
	t.used[i/64] |= 1 << (i % 64)
	t.n++
}

// sort puts the tokens in ascending order. It is the last that is done with them.
func (t *Traits) sort() {
	var sorted [MaxTokens]uint32
	n := 0
	for word, used := range t.used {
		for ; used != 0; used &= used - 1 {
			token := t.slot[64*word+bits.TrailingZeros64(used)] - 1
			i := n
			for ; i > 0 && sorted[i-1] > token; i-- { // they collided
				sorted[i] = sorted[i-1]
			}
			sorted[i] = token
			n++
		}
	}
	copy(t.tokens[:], sorted[:n])
}

// Join makes one hash of two. It keeps no secret that a and b do not keep, and
// is not symmetric.
func Join(a, b uint64) uint64 {
	h := (a ^ b<<32 ^ b>>32) * 0x9e3779b97f4a7c15
	h ^= h >> 29
	h *= 0xbf58476d1ce4e5b9
	return max(h^h>>32, 1)
}

// Traits gives the traits of a link. It does not allocate.
func (k *Key) Traits(l link.Link, t *Traits) {
	s := speller{t: t}
	s.key(k)
	p := partsOf(l)
	s.ofHost(&p)
	if strings.IndexByte(p.tenant, '/') < 0 {
		s.ofLabel(&p)
	}
	s.ofPath(&p)
}

// sealedTraits gives those that the host, which stands in clear, does not tell.
func (k *Key) sealedTraits(l link.Link, t *Traits) {
	s := speller{t: t}
	s.key(k)
	p := partsOf(l)
	s.ofPath(&p)
}

// Unseal gives the traits of a sealed link: those of its host, which is the link
// given, and those that were sealed with it. It is false if none were.
func (k *Key) Unseal(host link.Link, sealed *SealedURL, t *Traits) bool {
	if sealed.Traits == "" {
		return false
	}
	s := speller{t: t}
	s.key(k)
	p := partsOf(host)
	s.ofHost(&p)
	if sealed.Tenant == "" {
		s.ofLabel(&p)
	}
	return t.unpack(sealed.Traits) == nil
}

// parts are the parts of a link that traits are made of.
type parts struct {
	host, tenant, suffix, label, sub string
	path, query, scheme              string
	dots                             int
}

func partsOf(l link.Link) (p parts) {
	p.host, p.tenant, p.suffix, p.scheme = l.Host(), l.Tenant(), l.Suffix(), l.Scheme()
	p.label = strings.TrimSuffix(strings.TrimSuffix(p.tenant, p.suffix), ".")
	if l.Platform() != link.None {
		p.suffix = l.Domain()
		p.label, _, _ = strings.Cut(p.tenant, ".")
	}
	if i := strings.IndexByte(p.tenant, '/'); i >= 0 {
		p.label = p.tenant[i:]
	} else {
		p.sub = strings.TrimSuffix(strings.TrimSuffix(p.host, p.tenant), ".")
	}
	p.path, p.query = l.URL()[len(p.host):], l.Query()
	p.path = p.path[:len(p.path)-len(p.query)]
	if p.query != "" {
		p.path = p.path[:len(p.path)-1] // the question mark
	}
	p.dots = strings.Count(p.host, ".")
	p.path, p.query = p.path[:min(len(p.path), maxPath)], p.query[:min(len(p.query), maxQuery)]
	p.label, p.sub = p.label[:min(len(p.label), maxLabel)], p.sub[:min(len(p.sub), maxLabel)]
	return p
}

// What a hash speaks of, so that "login" as a label is not "login" as a path.
const (
	ofSuffix = 1 + iota
	ofScheme
	ofDots
	ofDepth
	ofPathShape
	ofLabelLength
	ofHostLength
	ofPathLength
	ofLength
	ofLabelShape
	ofRoot
	ofExtension
	ofLabelWord
	ofSubWord
	ofPathWord
	ofLabelGram
	ofSubGram
	ofSegmentGram
	ofSegmentShape0 // and three more
	_
	_
	_
	ofFirst
	ofLast
	ofQueryShape
	ofSub
	ofVowels
	ofDigits
	ofHyphens
	ofNumber
)

// speller hashes the parts of a link under a key.
type speller struct {
	t      *Traits
	k0, k1 uint64
	secret uint64 // for numbers
	room   [maxShape]byte
}

// key derives the key of traits, which is none under which anything else is hashed.
func (s *speller) key(k *Key) {
	s.k0 = binary.LittleEndian.Uint64(k[:8]) ^ 0x7472616974732e31
	s.k1 = binary.LittleEndian.Uint64(k[8:])
	s.secret = s.hash(ofNumber, "")
}

func (s *speller) hash(of int, text string) uint64 {
	return s.hashBytes(of, unsafe.Slice(unsafe.StringData(text), len(text)))
}

func (s *speller) hashBytes(of int, text []byte) uint64 {
	return max(siphash.Hash(s.k0^uint64(of)*0x9e3779b97f4a7c15, s.k1, text), 1)
}

// number hashes a small number; those above 255 are one. It mixes with a secret
// what could be guessed anyway, and need not be as strong as hash.
func (s *speller) number(of, n int) uint64 {
	return Join(s.secret, uint64(of)<<8|uint64(min(n, 255)))
}

func (s *speller) add(of int, text string) uint64 {
	h := s.hash(of, text)
	s.t.Add(h)
	return h
}

func (s *speller) count(of, n int) { s.t.Add(s.number(of, n)) }

// grams adds the runs of gramLength bytes of a part, with a mark before and
// behind it.
func (s *speller) grams(of int, text string) {
	b := s.room[:0]
	b = append(b, '^')
	b = append(b, text...)
	b = append(b, '$')
	for i := 0; i+gramLength <= len(b) && i < maxGrams; i++ {
		s.t.Add(s.hashBytes(of, b[i:i+gramLength]))
	}
}

// oneTime reports whether a segment may be a secret: it has a run of 16 letters
// and digits or more, of both. Of such no more than the shape is told.
func oneTime(segment string) bool {
	run, digits := 0, 0
	for i := range len(segment) {
		switch c := segment[i]; {
		case c >= '0' && c <= '9':
			digits++
			run++
		case c|0x20 >= 'a' && c|0x20 <= 'z':
			run++
		default:
			run, digits = 0, 0
		}
		if run >= 16 && digits > 0 && digits < run {
			return true
		}
	}
	return false
}

// words adds the runs of letters and digits of a part, in small letters.
func (s *speller) words(of int, text string) {
	n := 0
	for i := 0; i <= len(text); i++ {
		if i < len(text) {
			switch c := text[i]; {
			case c >= 'A' && c <= 'Z':
				s.room[n] = c | 0x20
				n++
				continue
			case c >= 'a' && c <= 'z' || c >= '0' && c <= '9':
				s.room[n] = c
				n++
				continue
			}
		}
		if n > 0 && n <= maxWord {
			s.t.Add(s.hashBytes(of, s.room[:n]))
		}
		n = 0
	}
}

// appendShape writes the shape of a part.
func appendShape(b []byte, text string) []byte {
	last := byte(0)
	for i := range len(text) {
		c := text[i]
		switch {
		case c >= '0' && c <= '9':
			c = '0'
		case c >= 'a' && c <= 'z':
			c = 'a'
		case c >= 'A' && c <= 'Z':
			c = 'A'
		}
		if c != last {
			b = append(b, c)
		}
		last = c
	}
	return b
}

// appendSizedShape is appendShape with one of five lengths behind it.
func appendSizedShape(b []byte, text string) []byte {
	size := byte('4')
	for i, most := range [...]int{4, 8, 13, 21} {
		if len(text) <= most {
			size = '0' + byte(i)
			break
		}
	}
	return append(appendShape(b, text), size)
}

func (s *speller) sized(of int, text string) uint64 {
	return s.hashBytes(of, appendSizedShape(s.room[:0], text))
}

// ofHost adds what the host says but for the tenant's label.
func (s *speller) ofHost(p *parts) {
	t := s.t
	suffix := s.add(ofSuffix, p.suffix)
	t.Markers[Ending] = suffix
	s.count(ofDots, p.dots)
	s.count(ofHostLength, len(p.host)/6)
	s.add(ofSub, p.sub)
	s.words(ofSubWord, p.sub)
	s.grams(ofSubGram, p.sub)
}

// ofLabel adds what the tenant's label says.
func (s *speller) ofLabel(p *parts) {
	t := s.t
	suffix := s.hash(ofSuffix, p.suffix)
	shape := s.sized(ofLabelShape, p.label)
	t.Add(shape)
	t.Markers[LabelShape] = Join(shape, suffix)
	t.Add(t.Markers[LabelShape])
	s.count(ofLabelLength, len(p.label)/3)
	digits, hyphens, vowels := 0, 0, 0
	for i := range len(p.label) {
		switch c := p.label[i]; {
		case c >= '0' && c <= '9':
			digits++
		case c == '-':
			hyphens++
		case c == 'a' || c == 'e' || c == 'i' || c == 'o' || c == 'u':
			vowels++
		}
	}
	s.count(ofDigits, min(digits, 6))
	s.count(ofHyphens, hyphens)
	if n := len(p.label); n > 0 {
		s.count(ofVowels, 10*vowels/n*5+min(n/5, 4))
	}
	s.words(ofLabelWord, p.label)
	s.grams(ofLabelGram, p.label)
}

// ofPath adds what path and query say, and the label where it is part of a path.
func (s *speller) ofPath(p *parts) {
	t := s.t
	if strings.IndexByte(p.tenant, '/') >= 0 {
		s.ofLabel(p)
	}
	var shapeRoom [maxShape]byte
	shape := shapeRoom[:0]
	depth := 0
	first, last := "-", ""
	for rest := p.path; rest != ""; {
		var segment string
		if segment, rest, _ = strings.Cut(rest, "/"); segment == "" {
			continue
		}
		if depth == 0 {
			first = segment
		}
		last = segment
		if len(shape)+len(segment)+2 < maxShape {
			shape = appendSizedShape(append(shape, '/'), segment)
		}
		depth++
	}
	if strings.HasSuffix(p.path, "/") {
		shape = append(shape, '/')
	}
	pathShape := s.hashBytes(ofPathShape, shape)
	scheme := s.add(ofScheme, p.scheme)
	if last != "" {
		t.Markers[LastMarker] = s.add(ofLast, last)
	}
	firstHash := s.add(ofFirst, first)
	depthHash := s.number(ofDepth, depth)
	t.Markers[FirstMarker] = Join(firstHash, depthHash)
	t.Markers[PathShape] = Join(pathShape, s.hashBytes(ofQueryShape, appendShape(s.room[:0], p.query)))
	t.Markers[Layout] = Join(pathShape, Join(scheme, s.number(ofDots, p.dots)))

	t.Add(pathShape)
	t.Add(Join(pathShape, scheme))
	t.Add(depthHash)
	s.count(ofPathLength, len(p.path)/8)
	s.count(ofLength, (len(p.host)+len(p.path)+len(p.query))/4)
	if depth == 0 {
		t.Add(Join(s.number(ofRoot, min(len(p.query), 1)), s.number(ofDots, p.dots)))
	}
	if i := strings.LastIndexByte(last, '.'); i >= 0 {
		s.add(ofExtension, last[i:])
	}
	s.words(ofPathWord, p.path)
	depth = 0
	for rest := p.path; rest != "" && depth < maxDeep; {
		var segment string
		if segment, rest, _ = strings.Cut(rest, "/"); segment == "" {
			continue
		}
		t.Add(s.sized(ofSegmentShape0+depth, segment))
		if !oneTime(segment) {
			s.grams(ofSegmentGram, segment)
		}
		depth++
	}
}

// A sealed link carries its traits behind "/~", in base64 (RFC 4648 §5, without
// padding): the markers from LastMarker to Layout, 8 bytes each,
// big-endian, 0 for those that the host tells; then 3 bytes a token, in
// ascending order.
const sealedMarkers = 5

var (
	traitsText = base64.RawURLEncoding.Strict()
	errTraits  = errors.New("not the traits of a sealed URL")
)

func appendTraits(b []byte, t *Traits) []byte {
	t.sort() // their order would tell that of the letters
	var room packedTraits
	for i, h := range t.Markers[:sealedMarkers] {
		binary.BigEndian.PutUint64(room[8*i:], h)
	}
	n := sealedMarkers * 8
	for _, token := range t.Tokens() {
		room[n], room[n+1], room[n+2] = byte(token>>16), byte(token>>8), byte(token)
		n += 3
	}
	return traitsText.AppendEncode(append(b, "/~"...), room[:n])
}

// unpack adds what appendTraits wrote.
func (t *Traits) unpack(text string) error {
	var room packedTraits
	packed, err := room.decode(text)
	if err != nil {
		return err
	}
	for i := range sealedMarkers {
		if h := binary.BigEndian.Uint64(packed[8*i:]); h != 0 {
			t.Markers[i] = h
		}
	}
	for b := packed[sealedMarkers*8:]; len(b) > 0; b = b[3:] {
		t.Add(uint64(unpackToken(b)) << (64 - TokenBits))
	}
	return nil
}

type packedTraits [sealedMarkers*8 + 3*MaxTokens]byte

// decode gives the bytes that a text stands for, if it is one that appendTraits
// could have written.
func (room *packedTraits) decode(text string) ([]byte, error) {
	if len(text) > traitsText.EncodedLen(len(room)) {
		return nil, errTraits
	}
	n, err := traitsText.Decode(room[:], unsafe.Slice(unsafe.StringData(text), len(text)))
	if err != nil || n < sealedMarkers*8 || n%3 != sealedMarkers*8%3 {
		return nil, errTraits
	}
	next := uint32(0)
	for b := room[sealedMarkers*8 : n]; len(b) > 0; b = b[3:] {
		token := unpackToken(b)
		if token < next || token >= 1<<TokenBits {
			return nil, errTraits
		}
		next = token + 1
	}
	return room[:n], nil
}

func unpackToken(b []byte) uint32 { return uint32(b[0])<<16 | uint32(b[1])<<8 | uint32(b[2]) }
