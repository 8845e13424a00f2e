package message

import (
	"math/rand/v2"
	"testing"
)

// TestNextSign holds the reading by blocks and tables against the conditions
// written out, from each place of texts of all lengths around a block.
func TestNextSign(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	units := []string{
		".", ":", "[", "]", "(", ")", "/", "\\", " ", "a", "t", "d", "7", "-", "é", "\x80", "\n", "{.}", "[dot]", "[DoT]x",
		"1.2.3.4", "10.200.30.4", "1.2.3", "12.50", "7:30", "e.g.", "...", "a.com", "://", "data:", "vbscript:x", "[:]", " and then ",
	}
	signs := 0
	for n := range 4000 {
		var text []byte
		for len(text) < n%150 {
			text = append(text, units[r.IntN(len(units))]...)
		}
		s := string(text)
		want := len(s)
		for i := len(s); i >= 0; i-- {
			if i < len(s) && isSignWritten(s, i) {
				want = i
				signs++
			}
			if got := nextSign(s, i); got != want {
				t.Fatalf("nextSign(%q, %d): got %d, want %d", s, i, got, want)
			}
		}
	}
	if signs < 10000 {
		t.Errorf("only %d signs", signs)
	}
}

// isSignWritten is what the comment on nextSign says.
func isSignWritten(s string, i int) bool {
	if i+1 >= len(s) || s[i+1] <= ' ' {
		return false
	}
	before, after, second := byte(' '), s[i+1], byte(' ')
	if i > 0 {
		before = s[i-1]
	}
	if i+2 < len(s) {
		second = s[i+2]
	}
	is := func(c byte, class uint8) bool { return textClass[c]&class != 0 }
	closed := is(before, opensBracket) && is(after, closesBracket)
	switch s[i] {
	case '.':
		switch {
		case is(after, closesBracket):
			return closed && i+2 < len(s) && second != ' '
		case is(after, isDigit):
			return is(before, isDigit) && quad(s, i)
		}
		return is(before, inHost|closesBracket) && is(after, inName) && is(second, inName) && !is(second, isDigit)
	case ':':
		return after == '/' || after == '\\' || after == '[' || closed || i > 0 && unfollowed(s[:i]) != 0
	case '[':
		return after|0x20 == 'd' && dotAt(s, i) > 0
	}
	return false
}
