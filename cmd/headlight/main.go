// Command headlight finds the links of messages, judges them, and learns from
// what feeds and people say. It is the composition root: flags, configuration,
// wiring and signals live here, everything else in the packages below.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
)

// Exit codes, as the help of each command lists them.
const (
	exitOK          = 0
	exitFailed      = 1
	exitUsage       = 2
	exitReached     = 3   // scan -fail-on: a link has the level or a worse one
	exitInterrupted = 130 // 128 + SIGINT, as shells have it
)

func main() {
	os.Exit(runSignalled())
}

// runSignalled runs the program until it ends or is told to: the first SIGINT
// or SIGTERM cancels the context, so that work ends cleanly; a second one finds
// the default handler and ends the process at once.
func runSignalled() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop)
	return run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
}

// exitError ends the program with a code of its own. The message may be empty:
// then the code says it all.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit %d", e.code)
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

// usageError is a command line that cannot be understood.
type usageError struct {
	command string // "" if the command itself is not known
	err     error
}

func (e *usageError) Error() string { return e.err.Error() }

func (e *usageError) Unwrap() error { return e.err }

// usagef makes a usageError; the command's name is filled in by run.
func usagef(format string, args ...any) error {
	return &usageError{err: fmt.Errorf(format, args...)}
}

// run is the whole program. It returns the exit code; only main exits.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	e := newEnv(stdin, stdout, stderr)
	err := dispatch(ctx, e, args)
	if flushErr := e.out.flush(); err == nil {
		err = flushErr
	}
	return e.conclude(ctx, err)
}

// conclude prints what went wrong and gives the exit code for it.
func (e *env) conclude(ctx context.Context, err error) int {
	if err == nil {
		return exitOK
	}
	if usage, ok := errors.AsType[*usageError](err); ok {
		name := strings.TrimSpace("headlight " + usage.command)
		fmt.Fprintf(e.stderr, "%s: %s\n", name, printable(usage.Error()))
		fmt.Fprintf(e.stderr, "Run \"%s\" for usage.\n", strings.TrimSpace("headlight help "+usage.command))
		return exitUsage
	}
	code := exitFailed
	if exit, ok := errors.AsType[*exitError](err); ok {
		if code = exit.code; exit.err == nil {
			return code
		}
	} else if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		code, err = exitInterrupted, errors.New("interrupted")
	}
	fmt.Fprintf(e.stderr, "headlight: %s\n", printableLines(err.Error()))
	return code
}

// dispatch finds the command and runs it.
func dispatch(ctx context.Context, e *env, args []string) error {
	if len(args) == 0 {
		return helpTopics(e, nil)
	}
	name := args[0]
	switch name {
	case "-h", "-help", "--help":
		return helpTopics(e, args[1:])
	case "-version", "--version", "-V":
		name = "version"
	}
	c := lookup(name)
	if c == nil {
		if strings.HasPrefix(name, "-") {
			return usagef("a command is needed before the flag %s", name)
		}
		return usagef("unknown command %q%s", name, didYouMean(name, slices.Collect(commandNames())))
	}
	err := c.invoke(ctx, e, args[1:])
	if usage, ok := errors.AsType[*usageError](err); ok {
		usage.command = c.name
	}
	return err
}
