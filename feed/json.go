package feed

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
)

// jsonElements cuts the objects out of a JSON text: those in an array that is
// the whole of it, or that is a member of an object that is.
//
//	[{…}, {…}]   {"3786237": [{…}], …}   {"query_status": "ok", "urls": [{…}]}
//
// It follows brackets and strings alone and leaves judging the objects to
// encoding/json, so that one that is bad or too long costs only itself, and
// only one is in memory.
type jsonElements struct {
	in   *bufio.Reader
	line int // of the byte read last, from 0
	buf  []byte
	// open are the brackets around the place: 'a' for an array, 'o' for an object.
	open  []byte
	begun bool   // something was read
	found bool   // an element was read
	head  []byte // the text until the first element, for what an answer without any says
}

// maxDepth bounds the brackets outside of elements; a list needs two.
const maxDepth = 8

func (j *jsonElements) next() ([]byte, int, error) {
	for {
		c, err := j.byte()
		if err == io.EOF {
			return nil, j.line + 1, j.ended()
		}
		if err != nil {
			return nil, j.line + 1, err
		}
		if !j.begun && !space(c) {
			if j.begun = true; c != '[' && c != '{' {
				return nil, j.line + 1, &RefusedError{Reason: "not JSON"}
			}
		}
		if !j.found && len(j.head) < 1<<10 {
			j.head = append(j.head, c)
		}
		switch c {
		case '{':
			if len(j.open) > 0 && j.open[len(j.open)-1] == 'a' {
				j.found = true
				line := j.line + 1
				long, err := j.element()
				if err == nil && long {
					err = errTooLong
				}
				return j.buf, line, noEOF(err)
			}
			j.open = append(j.open, 'o')
		case '[':
			j.open = append(j.open, 'a')
		case ']', '}':
			if len(j.open) == 0 {
				return nil, j.line + 1, &RefusedError{Reason: fmt.Sprintf("not JSON: line %d closes what was not opened", j.line+1)}
			}
			j.open = j.open[:len(j.open)-1]
		case '"':
			if err := j.skipString(); err != nil {
				return nil, j.line + 1, noEOF(err)
			}
		}
		if len(j.open) > maxDepth {
			return nil, j.line + 1, &RefusedError{Reason: "the JSON is nested too deeply for a list"}
		}
	}
}

// byte reads one and counts lines.
func (j *jsonElements) byte() (byte, error) {
	c, err := j.in.ReadByte()
	if c == '\n' {
		j.line++
	}
	return c, err
}

// element reads to the end of the object whose "{" was just read, into buf as
// far as MaxLine allows.
func (j *jsonElements) element() (long bool, err error) {
	j.buf = append(j.buf[:0], '{')
	depth, inString, escaped := 1, false, false
	for depth > 0 {
		c, err := j.byte()
		if err != nil {
			return long, err
		}
		if len(j.buf) < MaxLine {
			j.buf = append(j.buf, c)
		} else {
			long = true
		}
		switch {
		case escaped:
			escaped = false
		case inString:
			escaped = c == '\\'
			inString = c != '"'
		case c == '"':
			inString = true
		case c == '{' || c == '[':
			depth++
		case c == '}' || c == ']':
			depth--
		}
	}
	return long, nil
}

// skipString reads a string outside of elements: the name of a member, or the
// word of a server.
func (j *jsonElements) skipString() error {
	escaped := false
	for {
		c, err := j.byte()
		if err != nil {
			return err
		}
		if !j.found && len(j.head) < 1<<10 {
			j.head = append(j.head, c)
		}
		switch {
		case escaped:
			escaped = false
		case c == '\\':
			escaped = true
		case c == '"':
			return nil
		}
	}
}

// ended judges the end of the text. An answer of the API that holds no
// elements may say why.
func (j *jsonElements) ended() error {
	if len(j.open) > 0 {
		return io.ErrUnexpectedEOF
	}
	var answer struct {
		Status string `json:"query_status"`
	}
	if j.found || json.Unmarshal(bytes.TrimPrefix(j.head, bom), &answer) != nil {
		return io.EOF
	}
	switch answer.Status {
	case "", "ok", "no_results":
		return io.EOF
	}
	return &RefusedError{Reason: fmt.Sprintf("the server answered %q", answer.Status)}
}

func space(c byte) bool {
	return c == ' ' || c == '\t' || c == '\r' || c == '\n' || bytes.IndexByte(bom, c) >= 0
}
