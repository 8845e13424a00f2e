package message

import "strings"

// A join is a place at which two lines of a flowed text were put together, or
// at which something was left out between them.
type join struct {
	at     int  // in the text put together
	origin int  // of what follows it, in the text as it came
	broken bool // a line went on here
}

// unflow puts the lines of a text together that were broken for its way
// through the mail: format=flowed with DelSp=yes, RFC 3676 §4. There a line
// that ends with a space goes on in the next, without the space, so links may
// be cut anywhere. (With DelSp=no the space stays, so no link crosses a line
// and there is nothing to put together.) Quote marks and stuffed spaces at the
// beginning of lines are left out; a signature's "-- " stands for itself.
func unflow(s string) (text string, joins []join) {
	var b strings.Builder
	b.Grow(len(s))
	flowed, depth := false, 0 // of the line before
	for pos := 0; pos < len(s); {
		end, next := len(s), len(s)
		if n := strings.IndexByte(s[pos:], '\n'); n >= 0 {
			end, next = pos+n, pos+n+1
			if n > 0 && s[end-1] == '\r' {
				end--
			}
		}
		line := s[pos:end]
		quoted := len(line) - len(strings.TrimLeft(line, ">"))
		line = strings.TrimPrefix(line[quoted:], " ")
		// RFC 3676 §4.5: a line of another depth does not go on the one before.
		goesOn := flowed && quoted == depth && line != "-- "
		if !goesOn && pos > 0 {
			b.WriteByte('\n')
		}
		joins = append(joins, join{b.Len(), end - len(line), goesOn})
		flowed = strings.HasSuffix(line, " ") && line != "-- "
		depth = quoted
		b.WriteString(strings.TrimSuffix(line, " "))
		if line == "-- " {
			b.WriteByte(' ')
		}
		pos = next
	}
	return b.String(), joins
}

// flowedPart is textPart for a text in format=flowed with DelSp=yes. A link
// put together from several lines is marked so; its Offset is where its first
// line begins in s.
func (w *walk) flowedPart(s string) {
	whole := len(s)
	s = s[:textBound(s)]
	text, joins := unflow(s)
	t := textScan{s: text, next: nextSign(text, 0)}
	for at := 0; t.find(); {
		f := t.f
		for at+1 < len(joins) && joins[at+1].at <= f.Offset {
			at++
		}
		last := at
		for _, j := range joins[at+1:] {
			if j.at >= f.Offset+len(f.Raw) {
				break
			}
			last++
			if j.broken {
				f.Marks |= Broken
			}
		}
		end := f.Offset + len(f.Raw)
		if at < len(joins) {
			end += joins[last].origin - joins[last].at
			f.Offset += joins[at].origin - joins[at].at
		}
		if w.edits.bad(&f) {
			w.edits.defang(f.Offset, end, f.Raw)
		}
		if !w.give(f, whole-f.Offset) {
			return
		}
		if t.cut > 0 {
			w.bound("length", t.cut)
		}
	}
	if len(s) < whole {
		w.bound("size", whole-len(s))
	}
}
