package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"strconv"

	"golang.org/x/term"

	"headlight.example/reputation"
)

// env is what a command may touch of the world around the process.
type env struct {
	stdin   io.Reader
	out     *output   // standard output: what was asked for
	stderr  io.Writer // standard error: what went wrong, and how far the work is
	verbose bool
}

func newEnv(stdin io.Reader, stdout, stderr io.Writer) *env {
	return &env{stdin: stdin, out: newOutput(stdout), stderr: stderr}
}

// notef tells the person at the terminal something beside the answer.
func (e *env) notef(format string, args ...any) {
	fmt.Fprintf(e.stderr, "headlight: "+format+"\n", args...)
}

// verbosef is notef for those who asked for more.
func (e *env) verbosef(format string, args ...any) {
	if e.verbose {
		e.notef(format, args...)
	}
}

func (e *env) setColor(when string) error {
	switch when {
	case "auto":
		e.out.color = e.out.terminal && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
	case "always":
		e.out.color = true
	case "never":
		e.out.color = false
	default:
		return fmt.Errorf("flag -color: value %q: want auto, always or never", when)
	}
	return nil
}

// output is standard output: buffered, remembering the first failed write, and
// aware of whether a person looks at it.
type output struct {
	w        *bufio.Writer
	terminal bool
	color    bool
	width    int // columns; unbounded if it is no terminal
}

// unbounded is the width of what is no terminal: nothing is cut.
const unbounded = 1 << 30

func newOutput(w io.Writer) *output {
	o := &output{w: bufio.NewWriterSize(w, 32<<10), width: unbounded}
	if f, ok := terminalFile(w); ok {
		o.terminal = true
		o.width = terminalWidth(f)
		o.color = os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb" // https://no-color.org
	}
	return o
}

// terminalFile says whether w is a terminal.
func terminalFile(w any) (*os.File, bool) {
	f, ok := w.(*os.File)
	return f, ok && term.IsTerminal(int(f.Fd()))
}

// terminalWidth asks the terminal, then COLUMNS, then assumes 80.
func terminalWidth(f *os.File) int {
	if w, _, err := term.GetSize(int(f.Fd())); err == nil && w > 0 {
		return w
	}
	if w, err := strconv.Atoi(os.Getenv("COLUMNS")); err == nil && w > 0 {
		return w
	}
	return 80
}

// print and printf keep the first error for flush; a bufio.Writer writes
// nothing after it.
func (o *output) print(s string) { o.w.WriteString(s) }

func (o *output) printf(format string, args ...any) { fmt.Fprintf(o.w, format, args...) }

// Write makes output an io.Writer.
func (o *output) Write(p []byte) (int, error) { return o.w.Write(p) }

func (o *output) flush() error {
	if err := o.w.Flush(); err != nil {
		return fmt.Errorf("write standard output: %w", err)
	}
	return nil
}

// style is an SGR sequence (ECMA-48 §8.3.117), without the escape.
type style string

const (
	plain  style = ""
	bold   style = "1"
	grey   style = "90"
	red    style = "1;31"
	green  style = "32"
	yellow style = "33"
	cyan   style = "36"
)

func (o *output) paint(s style, text string) string {
	if !o.color || s == plain || text == "" {
		return text
	}
	return "\x1b[" + string(s) + "m" + text + "\x1b[0m"
}

func (o *output) bold(text string) string { return o.paint(bold, text) }

func levelStyle(l reputation.Level) style {
	switch l {
	case reputation.Safe:
		return green
	case reputation.Suspicious:
		return yellow
	case reputation.Dangerous:
		return red
	}
	return grey
}
