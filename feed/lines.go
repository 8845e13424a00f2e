package feed

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
)

// parseFunc reads one line, or one JSON element, and appends what it says to
// dst. It returns errNothing for a line that is not meant to say anything, and
// another error for one that cannot be understood.
type parseFunc[T any] func(dst []T, text string, line int) ([]T, error)

var errNothing = errors.New("a comment")

// splitter cuts a text into the pieces that parseFunc reads. It returns
// errTooLong for a piece over MaxLine, after which it goes on with the next.
type splitter interface {
	next() (text []byte, line int, err error)
}

var errTooLong = fmt.Errorf("longer than %d bytes", MaxLine)

// read drives a list through its parser into a gate.
func read[T any](r io.Reader, maxBytes int64, elements bool, parse parseFunc[T], g *gate[T]) {
	text, err := Unpack(r, maxBytes)
	if err != nil {
		g.fail(err)
		return
	}
	in := bufio.NewReaderSize(text, MaxLine+2) // a line of MaxLine and its "\r\n"
	if err := foreign(in); err != nil {
		g.fail(err)
		return
	}
	var pieces splitter = &lines{in: in}
	if elements {
		pieces = &jsonElements{in: in}
	}
	var buf []T
	for {
		piece, line, err := pieces.next()
		if err == io.EOF {
			g.end()
			return
		}
		if err != nil && err != errTooLong {
			g.fail(err)
			return
		}
		var bad *LineError
		if err == nil {
			clear(buf)
			s := string(piece)
			if buf, err = parse(buf[:0], s, line); err == errNothing {
				continue
			}
		}
		if err != nil {
			bad = newLineError(line, string(piece[:min(len(piece), maxShown)]), err.Error())
		}
		if !g.line(buf, bad) {
			return
		}
	}
}

// foreign refuses what is often found where a list should be: servers answer
// errors with a page and a status of 200.
func foreign(in *bufio.Reader) error {
	head, err := in.Peek(256)
	if err != nil && err != io.EOF {
		return err
	}
	start := strings.ToLower(string(bytes.TrimSpace(bytes.TrimPrefix(head, bom))))
	for _, mark := range []string{"<!doctype", "<html", "<head", "<?xml"} {
		if strings.HasPrefix(start, mark) {
			return &RefusedError{Reason: "a web page, not a list"}
		}
	}
	return nil
}

var bom = []byte("\xef\xbb\xbf")

// lines cuts at "\n" and "\r\n".
type lines struct {
	in *bufio.Reader // holds MaxLine+2 bytes
	n  int
}

func (l *lines) next() ([]byte, int, error) {
	line, err := l.in.ReadSlice('\n')
	if len(line) == 0 {
		return nil, l.n, err
	}
	l.n++
	if err == bufio.ErrBufferFull {
		line = bytes.Clone(line[:maxShown]) // the skipping overwrites it
		for err == bufio.ErrBufferFull {
			_, err = l.in.ReadSlice('\n')
		}
		if err != nil && err != io.EOF {
			return nil, l.n, err
		}
		return line, l.n, errTooLong
	}
	if err != nil && err != io.EOF {
		return nil, l.n, err
	}
	if l.n == 1 {
		line = bytes.TrimPrefix(line, bom)
	}
	line = bytes.TrimSuffix(line, []byte("\n"))
	line = bytes.TrimSuffix(line, []byte("\r"))
	if len(line) > MaxLine {
		return line, l.n, errTooLong
	}
	return line, l.n, nil
}

// content is the line without the space around it, or errNothing if it is
// empty or a comment: "#" everywhere, and what else begins one in this format.
func content(text string, comments ...string) (string, error) {
	text = strings.TrimSpace(text)
	if text == "" || text[0] == '#' {
		return "", errNothing
	}
	for _, c := range comments {
		if strings.HasPrefix(text, c) {
			return "", errNothing
		}
	}
	return text, nil
}
