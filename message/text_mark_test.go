package message

import (
	"math/rand/v2"
	"testing"
)

// TestMarks holds the assembly, and the Go that stands in for it elsewhere,
// against the obvious, at all lengths.
func TestMarks(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for n := range 1 << 14 {
		block := make([]byte, n%65)
		var want uint64
		for i := range block {
			if block[i] = byte(r.Uint32()); n%2 == 0 {
				block[i] = ".:[/;-Z\\\x00\x80\xae\xba\xdb\n! "[r.IntN(16)]
			}
		}
		for i, c := range block {
			if (c == '.' || c == ':' || c == '[') && (i+1 == len(block) || block[i+1] > ' ') {
				want |= 1 << i
			}
		}
		s := string(block)
		if got := marksOf(s); got != want {
			t.Fatalf("marksOf(%q): got %064b, want %064b", s, got, want)
		}
		if len(s) < 16 {
			continue
		}
		if got := marks(s); got != want {
			t.Fatalf("marks(%q): got %064b, want %064b", s, got, want)
		}
	}
}
