package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"iter"
	"strings"
)

// command is one word of the command line. Its help is made from its fields
// and from the flags that prepare defines, so that it cannot go stale.
type command struct {
	name     string
	group    string // heading in the list of commands
	synopsis []string
	short    string // one line in the list of commands
	about    string // paragraphs for "headlight help name"
	examples []string
	exits    []string // exit codes beyond 0, 1 and 2
	// prepare defines the flags and gives what is to be run once they are set.
	prepare func(f *flags) action
}

// action runs a command with the arguments that are not flags.
type action func(ctx context.Context, e *env, args []string) error

// errHelp says that the command line asked for help.
var errHelp = errors.New("help asked for")

// invoke reads the flags and runs the command.
func (c *command) invoke(ctx context.Context, e *env, args []string) error {
	f := newFlags(c.name)
	act := c.prepare(f)
	rest, err := f.parse(args)
	if errors.Is(err, errHelp) {
		return c.help(e)
	}
	if err != nil {
		return &usageError{err: err}
	}
	if err := e.setColor(f.color); err != nil {
		return &usageError{err: err}
	}
	e.verbose = f.verbose
	return act(ctx, e, rest)
}

// flags is the flag set of one command. It differs from package flag in that
// flags may stand after arguments, and in that a mistyped one is answered with
// the nearest.
type flags struct {
	*flag.FlagSet
	color   string
	verbose bool
}

func newFlags(name string) *flags {
	f := &flags{FlagSet: flag.NewFlagSet(name, flag.ContinueOnError), color: "auto"}
	f.SetOutput(io.Discard)
	f.Usage = func() {}
	f.StringVar(&f.color, "color", "auto", "colour the output: `auto`, always or never")
	f.BoolVar(&f.verbose, "v", false, "say more on standard error")
	return f
}

// parse sets the flags and returns the other arguments in their order. "--"
// ends the flags; "-" is an argument.
func (f *flags) parse(args []string) (rest []string, err error) {
	for len(args) > 0 {
		arg := args[0]
		args = args[1:]
		if arg == "--" {
			return append(rest, args...), nil
		}
		if arg == "-" || !strings.HasPrefix(arg, "-") {
			rest = append(rest, arg)
			continue
		}
		name, value, hasValue := strings.Cut(strings.TrimPrefix(arg[1:], "-"), "=")
		known := f.Lookup(name)
		if known == nil {
			if name == "h" || name == "help" {
				return nil, errHelp
			}
			return nil, fmt.Errorf("unknown flag -%s%s", name, didYouMeanFlag(name, f))
		}
		if b, ok := known.Value.(interface{ IsBoolFlag() bool }); ok && b.IsBoolFlag() {
			if !hasValue {
				value = "true"
			}
		} else if !hasValue {
			if len(args) == 0 {
				return nil, fmt.Errorf("flag -%s needs a value", name)
			}
			value, args = args[0], args[1:]
		}
		if err := f.Set(name, value); err != nil {
			return nil, fmt.Errorf("flag -%s: value %q: %w", name, value, err)
		}
	}
	return rest, nil
}

func (f *flags) names() iter.Seq[string] {
	return func(yield func(string) bool) {
		more := true
		f.VisitAll(func(known *flag.Flag) { more = more && yield(known.Name) })
	}
}

// commandNames yields the commands as help lists them.
func commandNames() iter.Seq[string] {
	return func(yield func(string) bool) {
		for _, c := range commands() {
			if !yield(c.name) {
				return
			}
		}
	}
}

func lookup(name string) *command {
	for _, c := range commands() {
		if c.name == name {
			return c
		}
	}
	return nil
}
