package message

import (
	"iter"
	"strings"

	"headlight.example/link"
)

// maxLink bounds how far one link is followed, in bytes. It is eight times what
// link.Parse keeps. Of a longer one the beginning is yielded, which names the
// host, and the rest reported as unscanned.
const maxLink = 8 * link.MaxLen

// textLinks finds the links of a plain text.
func textLinks(s string) iter.Seq2[Found, error] {
	return func(yield func(Found, error) bool) {
		w := walk{yield: yield}
		w.textPart(s)
	}
}

// textPart looks at one plain text part.
func (w *walk) textPart(s string) {
	whole := len(s)
	s = s[:textBound(s)]
	scanText(s, func(f Found, err error) bool {
		if e, ok := err.(*BoundError); ok {
			w.bound(e.Bound, e.Unscanned)
			return !w.done
		}
		return w.give(f, whole-f.Offset)
	})
	if len(s) < whole {
		w.bound("size", whole-len(s))
	}
}

// textBound says how much of a text is looked at: maxTextPart bytes, less what
// would cut a word in two, for half a link names another host.
func textBound(s string) int {
	if len(s) <= maxTextPart {
		return len(s)
	}
	for i := maxTextPart; i > maxTextPart-maxLink; i-- {
		if textClass[s[i]]&endsText != 0 {
			return i
		}
	}
	return maxTextPart
}

// A textScan is one reading of one text. Four things in a text may be the sign
// of a link, and each is rare in prose when its neighbours are looked at too:
//
//	:  with a slash or a bracket behind it        http://   hxxp[:]//   javascript:
//	.  between what may be the parts of a host    www.example.com   example[.]com
//	[  or ( with "dot" behind it                  example[dot]com
//	。 and its like, with a letter behind it      example。com
//
// So next remembers where each comes next, found by strings.IndexByte at the
// speed of memory, and the scan jumps to the nearest. From there it reads
// backwards to where the link or its host begins and forwards to where it ends.
//
// It is linear: no byte before floor is read again as a host, and whatever is
// read ahead of a sign is either taken or, when refused, skipped. The few looks
// at what stands around a link go a bounded way.
type textScan struct {
	s     string
	emit  func(Found, error) bool
	floor int  // what stands before is decided, link or not
	taken int  // where the last link ended
	bare  bool // mark-up around links is not looked at
	over  bool // emit wants no more
	steps int  // bytes read one by one, for the test of linear time
	next  [signs]int
}

// The signs of a link.
const (
	colonSign = iota
	dotSign
	squareSign
	roundSign
	wideSign
	signs
)

// scanText calls emit with each link of s, without counting them, and with a
// *BoundError for what was not looked at. It stops when emit returns false.
func scanText(s string, emit func(Found, error) bool) {
	t := textScan{s: s, emit: emit}
	t.run()
}

func (t *textScan) run() {
	n := len(t.s)
	t.next[colonSign] = t.nextColon(0)
	t.next[dotSign] = t.nextDot(0)
	t.next[squareSign] = t.nextWord(0, '[')
	t.next[roundSign] = t.nextWord(0, '(')
	t.next[wideSign] = t.nextWide(0)
	for !t.over {
		at := min(t.next[colonSign], t.next[dotSign], t.next[squareSign], t.next[roundSign], t.next[wideSign])
		if at == n {
			return
		}
		var end int
		if at == t.next[colonSign] {
			end = t.colon(at)
		} else {
			end = t.schemeless(at)
		}
		t.floor = end
		t.pass(end)
	}
}

// pass moves the signs that lie before end to the first behind it.
func (t *textScan) pass(end int) {
	if t.next[colonSign] < end {
		t.next[colonSign] = t.nextColon(end)
	}
	if t.next[dotSign] < end {
		t.next[dotSign] = t.nextDot(end)
	}
	if t.next[squareSign] < end {
		t.next[squareSign] = t.nextWord(end, '[')
	}
	if t.next[roundSign] < end {
		t.next[roundSign] = t.nextWord(end, '(')
	}
	if t.next[wideSign] < end {
		t.next[wideSign] = t.nextWide(end)
	}
}

// nextColon finds the next colon that may belong to a scheme, or len(s).
func (t *textScan) nextColon(i int) int {
	s := t.s
	for {
		n := strings.IndexByte(s[i:], ':')
		if n < 0 || i+n+1 >= len(s) {
			return len(s)
		}
		i += n
		switch c := s[i+1]; {
		case c == '/' || c == '\\' || c == '[':
			return i
		case i > 0 && textClass[c]&closesBracket != 0 && textClass[s[i-1]]&opensBracket != 0:
			return i
		case i > 0 && (s[i-1]|0x20 == 't' || s[i-1]|0x20 == 'a') && unfollowed(s[:i]) != 0:
			return i
		}
		i++
	}
}

// nextDot finds the next dot that may be the last but one thing in a host: a
// letter or more stand behind it, for no top-level domain has fewer than two,
// nor a digit in front.
func (t *textScan) nextDot(i int) int {
	s := t.s
	for {
		n := strings.IndexByte(s[i:], '.')
		if n < 0 || i+n+2 >= len(s) {
			return len(s)
		}
		i += n
		switch c := textClass[s[i+1]]; {
		case c&inName == 0:
			if c&closesBracket != 0 && i > 0 && textClass[s[i-1]]&opensBracket != 0 {
				return i
			}
		case i == 0 || textClass[s[i-1]]&(inHost|closesBracket) == 0:
		case c&isDigit == 0:
			if textClass[s[i+2]]&(inName|isDigit) == inName {
				return i
			}
		case textClass[s[i-1]]&isDigit != 0 && quad(s, i):
			return i
		}
		i++
	}
}

// quad reports whether a dot between digits is the first of three.
func quad(s string, i int) bool {
	for dots := 1; i < len(s) && dots <= 3; dots++ {
		n := 1
		for i+n < len(s) && textClass[s[i+n]]&isDigit != 0 {
			n++
		}
		i += n
		if n == 1 || n > 4 || dots < 3 && (i >= len(s) || s[i] != '.') {
			return false
		}
	}
	return true
}

// nextWord finds the next "[dot]" or "(dot)".
func (t *textScan) nextWord(i int, bracket byte) int {
	s := t.s
	for {
		n := strings.IndexByte(s[i:], bracket)
		if n < 0 || i+n+len("[dot]") > len(s) {
			return len(s)
		}
		i += n
		if s[i+1]|0x20 == 'd' && dotAt(s, i) > 0 {
			return i
		}
		i++
	}
}

// nextWide finds the next dot that is not ASCII and stands before a letter
// that is: "evil。com" is a link to browsers, but 。 ends a sentence, too.
func (t *textScan) nextWide(i int) int {
	s := t.s
	if t.next[wideSign] == 0 && allASCII(s) {
		return len(s)
	}
	at := len(s)
	for _, dot := range wideDots {
		for j := i; j < at; {
			n := strings.Index(s[j:at], dot)
			if n < 0 {
				break
			}
			j += n
			if k := j + len(dot); k+1 < len(s) && isAlpha(s[k]) && isAlpha(s[k+1]) {
				at = j
				break
			}
			j += len(dot)
		}
	}
	return at
}

// allASCII looks at eight bytes at a time; the compiler makes one load of them.
func allASCII(s string) bool {
	for len(s) >= 8 {
		w := uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 |
			uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56
		if w&0x8080808080808080 != 0 {
			return false
		}
		s = s[8:]
	}
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}

// found yields what stands at start..end and gives the place to go on from.
// address is what to parse; the text itself if it is "".
func (t *textScan) found(start, end int, address string, marks Marks) int {
	f := Found{Raw: t.s[start:end], Offset: start, Marks: marks}
	if marks&(Script|Data) == 0 {
		if address == "" {
			address = f.Raw
		}
		l, err := link.Parse(address)
		if err != nil || marks&Schemeless != 0 && l.Suffix() == l.Host() && !isAddr(l) {
			return end
		}
		f.Link = l
	}
	if !t.bare {
		t.markup(&f, start, end)
	}
	t.taken = end
	t.over = !t.emit(f, nil)
	if end-start < maxLink || t.over {
		return end
	}
	// Too long: what follows as far as the next space belongs to it.
	rest := end
	for rest < len(t.s) && textClass[t.s[rest]]&endsText == 0 {
		rest++
	}
	t.steps += rest - end
	if rest > end {
		t.over = !t.emit(Found{}, &BoundError{Bound: "length", Unscanned: rest - end})
	}
	return rest
}

func isAddr(l link.Link) bool {
	_, ok := l.Addr()
	return ok
}
