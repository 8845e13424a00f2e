package message

import (
	"headlight.example/link"
)

// maxLink bounds how far one link is followed, in bytes. It is eight times what
// link.Parse keeps. Of a longer one the beginning is yielded, which names the
// host, and the rest reported as unscanned.
const maxLink = 8 * link.MaxLen

// eachTextLink calls yield with each link of a plain text, as many as one
// message may have, until it returns false. at is the first sign of one in text,
// which is what of s is looked at.
func eachTextLink(s, text string, at int, yield func(Found, error) bool) {
	t := textScan{s: text, next: at}
	for n := 0; t.find(); n++ {
		if n == maxFound {
			yield(Found{}, &BoundError{Bound: "links", Unscanned: len(s) - t.f.Offset})
			return
		}
		if !yield(t.f, nil) {
			return
		}
		if t.cut > 0 && !yield(Found{}, &BoundError{Bound: "length", Unscanned: t.cut}) {
			return
		}
	}
	if len(text) < len(s) {
		yield(Found{}, &BoundError{Bound: "size", Unscanned: len(s) - len(text)})
	}
}

// scanText calls emit with each link of s, without counting them, and with a
// *BoundError for what was not looked at. It stops when emit returns false.
func scanText(s string, emit func(Found, error) bool) {
	t := textScan{s: s, next: nextSign(s, 0)}
	for t.find() {
		if !emit(t.f, nil) || t.cut > 0 && !emit(Found{}, &BoundError{Bound: "length", Unscanned: t.cut}) {
			return
		}
	}
}

// textPart looks at one plain text part of a mail.
func (w *walk) textPart(s string) {
	whole := len(s)
	s = s[:textBound(s)]
	t := textScan{s: s, next: nextSign(s, 0)}
	for t.find() && w.give(t.f, whole-t.f.Offset) {
		if w.edits.bad(&t.f) {
			w.edits.defang(t.f.Offset, t.f.Offset+len(t.f.Raw), t.f.Raw)
		}
		if t.cut > 0 {
			w.bound("length", t.cut)
		}
	}
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

// A textScan is one reading of one text. find jumps from sign to sign; from
// there it reads backwards to where the link or its host begins and forwards to
// where it ends.
//
// It is linear: no byte before floor is read again as a host, and whatever is
// read ahead of a sign is either taken or, when refused, skipped. The few looks
// at what stands around a link go a bounded way.
type textScan struct {
	s     string
	next  int  // the next sign; len(s) if there is none
	bare  bool // mark-up around links is not looked at
	floor int  // what stands before is decided, link or not
	taken int  // where the last link ended
	steps int  // bytes read one by one, for the test of linear time

	// What find has found.
	f   Found
	hit bool
	cut int // bytes of the link that were not looked at, being over maxLink
}

// find looks for the next link and puts it into f.
func (t *textScan) find() bool {
	t.hit, t.cut = false, 0
	for !t.hit {
		if t.next == len(t.s) {
			return false
		}
		if t.s[t.next] == ':' {
			t.floor = t.readScheme(t.next)
		} else {
			t.floor = t.readHost(t.next)
		}
		t.next = nextSign(t.s, t.floor)
	}
	return true
}

// found yields what stands at start..end and gives the place to go on from.
// address is what to parse; the text itself if it is "".
func (t *textScan) found(start, end int, address string, marks Marks) int {
	f := &t.f
	*f = Found{Raw: t.s[start:end], Offset: start, Marks: marks}
	if marks&(Script|Data) == 0 {
		if address == "" {
			address = f.Raw
		}
		var err error
		f.Link, err = link.Parse(address)
		if err != nil || marks&Schemeless != 0 && f.Link.Suffix() == f.Link.Host() && !isAddr(f.Link) {
			return end
		}
	}
	if !t.bare {
		t.markup(f, start, end)
	}
	t.hit, t.taken = true, end
	if end-start < maxLink {
		return end
	}
	// Too long: what follows as far as the next space belongs to it.
	rest := end
	for rest < len(t.s) && textClass[t.s[rest]]&endsText == 0 {
		rest++
	}
	t.steps += rest - end
	t.cut = rest - end
	return rest
}

func isAddr(l link.Link) bool {
	_, ok := l.Addr()
	return ok
}
