package feed

import (
	"fmt"
	"strconv"
)

// LineError is a line that could not be understood and was skipped.
type LineError struct {
	// Line counts from 1; in JSON it is the line on which the element begins.
	Line int
	// Text is how the line begins, at most 120 bytes of it, escaped so that
	// it may be shown on a terminal.
	Text   string
	Reason string
}

func (e *LineError) Error() string {
	return fmt.Sprintf("line %d: %s: \"%s\"", e.Line, e.Reason, e.Text) // Text is escaped already
}

const maxShown = 120 // bytes of a malformed line: enough to find it by

func newLineError(line int, text, reason string) *LineError {
	if len(text) > maxShown {
		text = text[:maxShown]
	}
	q := strconv.QuoteToASCII(text)
	return &LineError{Line: line, Text: q[1 : len(q)-1], Reason: reason}
}

// RefusedError says that a list was not taken, because it is mostly malformed
// or something else altogether (an error page, say).
type RefusedError struct {
	Lines     int // read so far, without comments and empty ones
	Malformed int
	First     *LineError // the first malformed line; nil if Reason says it all
	Reason    string
}

func (e *RefusedError) Error() string {
	if e.First == nil {
		return "refused: " + e.Reason
	}
	return fmt.Sprintf("refused: %s: %d of %d lines are malformed; %v", e.Reason, e.Malformed, e.Lines, e.First)
}

const (
	// headLines are read before the first record is yielded. Error pages and
	// files of another format show themselves in far fewer.
	headLines = 1000
	// fewMalformed are forgiven while anything at all was understood, so that
	// a list of five entries may hold three misprints.
	fewMalformed = 10
)

// gate stands between a parser and the caller. It holds the head of a list
// back until that is known to be mostly good, and closes when that changes.
type gate[T any] struct {
	yield  func(T, error) bool
	whole  int       // if not 0: hold all until the end, and at most so many
	finish func([]T) // given all that was held, if whole

	held      []step[T] // the head, in the order of the file
	items     []T       // if whole
	lines     int       // that said something, or should have
	malformed int
	first     *LineError
	open      bool // the head was good enough
	closed    bool // the caller wants no more, or was given the last error
}

// step is one thing to yield.
type step[T any] struct {
	item T
	err  *LineError
}

// line takes what one line said, or what is wrong with it. It returns false
// when no more lines are wanted.
func (g *gate[T]) line(items []T, bad *LineError) bool {
	g.lines++
	if bad != nil {
		g.malformed++
		if g.first == nil {
			g.first = bad
		}
	}
	if g.open && bad != nil && g.mostlyMalformed() {
		return g.refuse()
	}
	if bad != nil {
		return g.step(step[T]{err: bad}) && g.settle(headLines)
	}
	for _, item := range items {
		if !g.step(step[T]{item: item}) {
			return false
		}
	}
	return g.settle(headLines)
}

func (g *gate[T]) step(s step[T]) bool {
	switch {
	case s.err == nil && g.whole > 0:
		if len(g.items) == g.whole {
			g.fail(&RefusedError{Reason: fmt.Sprintf("more than %d entries; split it, oldest first", g.whole)})
			return false
		}
		g.items = append(g.items, s.item)
	case !g.open:
		g.held = append(g.held, s)
	default:
		return g.pass(s)
	}
	return true
}

func (g *gate[T]) pass(s step[T]) bool {
	var err error
	if s.err != nil {
		err = s.err
	}
	g.closed = !g.yield(s.item, err)
	return !g.closed
}

// settle opens the gate once at least n lines have been read, or refuses.
func (g *gate[T]) settle(n int) bool {
	if g.open || g.lines < n {
		return !g.closed
	}
	if g.mostlyMalformed() {
		return g.refuse()
	}
	g.open = true
	for _, s := range g.held {
		if !g.pass(s) {
			return false
		}
	}
	g.held = nil
	return true
}

// mostlyMalformed: more than half of the lines, and more than a few misprints
// or nothing else.
func (g *gate[T]) mostlyMalformed() bool {
	return 2*g.malformed > g.lines && (g.malformed > fewMalformed || g.malformed == g.lines)
}

func (g *gate[T]) refuse() bool {
	g.fail(&RefusedError{Lines: g.lines, Malformed: g.malformed, First: g.first, Reason: "not a list of this format"})
	return false
}

// end tells the gate that the list was read to its end.
func (g *gate[T]) end() {
	if g.closed || !g.settle(0) {
		return
	}
	if g.whole > 0 {
		if g.mostlyMalformed() {
			g.refuse()
			return
		}
		g.finish(g.items)
		for _, item := range g.items {
			if !g.pass(step[T]{item: item}) {
				return
			}
		}
	}
}

// fail yields err as the last thing; what is still held is dropped.
func (g *gate[T]) fail(err error) {
	if !g.closed {
		g.closed = true
		var zero T
		g.yield(zero, err)
	}
}
