package feed

import (
	"errors"
	"strings"
)

// maxColumns is more than any list here has (9).
const maxColumns = 64

// splitCSV appends the fields of one line to dst, by RFC 4180 but for two
// things: a field ends with its line, so that one stray quotation mark does
// not swallow the file; and a mark inside a quoted field that is not followed
// by a comma is itself, as lists that escape nothing write it.
func splitCSV(dst []string, line string) ([]string, error) {
	for {
		if len(dst) == maxColumns {
			return dst, errors.New("too many columns")
		}
		if !strings.HasPrefix(line, `"`) {
			field, rest, more := strings.Cut(line, ",")
			dst = append(dst, field)
			if !more {
				return dst, nil
			}
			line = rest
			continue
		}
		field, rest, err := quoted(line[1:])
		if err != nil {
			return dst, err
		}
		dst = append(dst, field)
		if rest == "" {
			return dst, nil
		}
		line = rest[1:] // the comma
	}
}

// quoted reads a field after its opening mark. What is left begins with a
// comma or is empty.
func quoted(s string) (field, rest string, err error) {
	for i := 0; i < len(s); i++ {
		if s[i] != '"' {
			continue
		}
		if i+1 == len(s) || s[i+1] == ',' {
			return strings.ReplaceAll(s[:i], `""`, `"`), s[i+1:], nil
		}
		if s[i+1] == '"' {
			i++
		}
	}
	return "", "", errors.New("a quotation mark is not closed")
}

// columns finds fields by name, so that a list may gain or move some.
type columns []string

// header reads a line of names if it has all of want, or says false; quickly
// where the last of them is not in the line, as in all but one.
func header(line string, want ...string) (columns, bool) {
	if !strings.Contains(line, want[len(want)-1]) {
		return nil, false
	}
	fields, err := splitCSV(nil, line)
	if err != nil {
		return nil, false
	}
	c := columns(fields)
	for i := range c {
		c[i] = strings.Clone(strings.TrimSpace(c[i]))
	}
	for _, name := range want {
		if c.index(name) < 0 {
			return nil, false
		}
	}
	return c, true
}

func (c columns) index(name string) int {
	for i, n := range c {
		if n == name {
			return i
		}
	}
	return -1
}

// of gives the field of a row in the named column; "" if there is none.
func (c columns) of(row []string, name string) string {
	if i := c.index(name); i >= 0 && i < len(row) {
		return row[i]
	}
	return ""
}
