package safebrowsing

import (
	"encoding/binary"
	"math/bits"
)

// riceCode is a Golomb-Rice code of rising numbers: the first as it is, then for
// each the difference from the one before, divided by 2^k: the quotient in unary
// (as many one-bits and a zero), then the k low bits, the least significant first.
// Bits fill each byte from its least significant (Safe Browsing "Rice-Golomb
// Encoding", the same in both versions).
type riceCode struct {
	first word256
	k     int // 0 if there is but one number
	count int // of differences
	data  []byte
}

// word256 is an unsigned number; the first word has the highest bits.
type word256 [4]uint64

// wordOf reads up to 32 bytes, the most significant first.
func wordOf(b []byte) (w word256) {
	if len(b) == 4 {
		w[3] = uint64(binary.BigEndian.Uint32(b))
		return w
	}
	for i := 3; len(b) > 0; i-- {
		w[i] = binary.BigEndian.Uint64(b[len(b)-8:])
		b = b[:len(b)-8]
	}
	return w
}

func (w word256) minus(o word256) (d word256) {
	var borrow uint64
	for i := 3; i >= 0; i-- {
		d[i], borrow = bits.Sub64(w[i], o[i], borrow)
	}
	return d
}

// bitLen is the number of the highest bit that is set, from 1; 0 for zero.
func (w word256) bitLen() int {
	for i, x := range w {
		if x != 0 {
			return 64*(3-i) + bits.Len64(x)
		}
	}
	return 0
}

// over shifts right; what is left fits a word, by the choice of k.
func (w word256) over(k int) uint64 {
	i, n := 3-k/64, uint(k%64)
	q := w[i] >> n
	if n > 0 && i > 0 {
		q |= w[i-1] << (64 - n)
	}
	return q
}

// riceEncode codes the numbers of size 4, 8, 16 or 32 bytes, of which there is at
// least one, sorted. k is the logarithm of the mean difference, within the bounds
// that clients accept: within 0.05 bits a number of the best.
func riceEncode(sorted []byte, size, least, most int) riceCode {
	n := len(sorted)/size - 1
	first := wordOf(sorted[:size])
	c := riceCode{first: first, count: n}
	if n == 0 {
		return c
	}
	span := wordOf(sorted[n*size:]).minus(first)
	c.k = min(max(log2Of(span, n), least), most)
	// Quotients are at most span/2^k in all, which is below 2n if k was not bounded.
	w := bitWriter{b: make([]byte, 0, (n*(c.k+2)+7)/8+int(min(span.over(c.k), uint64(2*n)))/8+8)}
	last := first
	for at := size; at < len(sorted); at += size {
		x := wordOf(sorted[at : at+size])
		d := x.minus(last)
		last = x
		w.unary(d.over(c.k))
		left := c.k
		for i := 3; left > 0; i-- {
			w.put(d[i], min(left, 64))
			left -= 64
		}
	}
	c.data = w.end()
	return c
}

// log2Of is the logarithm of span/n, rounded down; 0 for a span that is less.
func log2Of(span word256, n int) int {
	k := span.bitLen() - bits.Len(uint(n))
	if k < 0 {
		return 0
	}
	// span/n is in [2^(k-1), 2^(k+1)).
	if span.over(k) < uint64(n) {
		return max(k-1, 0)
	}
	return k
}

// riceOfNumbers codes rising 32-bit numbers.
func riceOfNumbers(rising []uint32, least, most int) riceCode {
	b := make([]byte, 0, 4*len(rising))
	for _, x := range rising {
		b = binary.BigEndian.AppendUint32(b, x)
	}
	return riceEncode(b, 4, least, most)
}

// bitWriter gathers bits, the first in the least significant bit of a byte.
type bitWriter struct {
	b   []byte
	acc uint64
	n   int // bits in acc, below 64
}

// put writes the n low bits of x, n from 1 to 64.
func (w *bitWriter) put(x uint64, n int) {
	if n < 64 {
		x &= 1<<n - 1
	}
	w.acc |= x << w.n
	if w.n += n; w.n >= 64 {
		w.b = binary.LittleEndian.AppendUint64(w.b, w.acc)
		w.n -= 64
		w.acc = 0
		if w.n > 0 {
			w.acc = x >> (n - w.n)
		}
	}
}

// unary writes q one-bits and a zero.
func (w *bitWriter) unary(q uint64) {
	for ; q >= 63; q -= 63 {
		w.put(1<<63-1, 63)
	}
	w.put(1<<q-1, int(q)+1)
}

// end gives what was written, filled up with zeros to a byte.
func (w *bitWriter) end() []byte {
	for ; w.n > 0; w.n -= 8 {
		w.b = append(w.b, byte(w.acc))
		w.acc >>= 8
	}
	w.n = 0
	return w.b
}
