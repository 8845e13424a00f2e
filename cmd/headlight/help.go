package main

import (
	"context"
	"flag"
	"slices"
	"strings"
)

// helpWidth is how wide help is set when the terminal is wider: longer lines
// are hard to read.
const helpWidth = 88

// helpTopics prints the list of commands, or the help of those named.
func helpTopics(e *env, names []string) error {
	if len(names) == 0 {
		return helpAll(e)
	}
	for i, name := range names {
		c := lookup(name)
		if c == nil {
			return usagef("no help on %q%s", name, didYouMean(name, slices.Collect(commandNames())))
		}
		if i > 0 {
			e.out.print("\n")
		}
		if err := c.help(e); err != nil {
			return err
		}
	}
	return nil
}

func helpAll(e *env) error {
	o := e.out
	o.print("Headlight finds the links of messages, judges them, and learns.\n\n")
	o.printf("%s headlight COMMAND [flags] [arguments]\n", o.bold("Usage:"))
	wide := 0
	for name := range commandNames() {
		wide = max(wide, len(name))
	}
	group := ""
	for _, c := range commands() {
		if c.group != group {
			group = c.group
			o.printf("\n%s\n", o.bold(group))
		}
		o.printf("  %-*s  %s\n", wide, c.name, c.short)
	}
	o.print("\nTry it:\n  headlight check http://example.com/\n  headlight serve\n")
	o.print("\nRun \"headlight help COMMAND\" for flags, examples and exit codes.\n")
	return nil
}

// help prints all about one command.
func (c *command) help(e *env) error {
	o := e.out
	f := newFlags(c.name)
	c.prepare(f)
	width := min(o.width, helpWidth)
	for i, s := range c.synopsis {
		lead := "Usage: "
		if i > 0 {
			lead = "       "
		}
		o.printf("%sheadlight %s\n", o.bold(lead), s)
	}
	for paragraph := range strings.SplitSeq(strings.TrimSpace(c.about), "\n\n") {
		o.print("\n" + wrap(paragraph, width, "") + "\n")
	}
	c.helpFlags(e, f, width)
	if len(c.examples) > 0 {
		o.printf("\n%s\n", o.bold("Examples:"))
		for _, x := range c.examples {
			o.printf("  %s\n", x)
		}
	}
	o.printf("\n%s\n", o.bold("Exit codes:"))
	exits := []string{"0  done", "1  failed", "2  the command line was not understood"}
	for _, x := range append(exits, c.exits...) {
		o.printf("  %s\n", x)
	}
	return nil
}

func (c *command) helpFlags(e *env, f *flags, width int) {
	type row struct{ left, right string }
	var rows []row
	wide := 0
	f.VisitAll(func(known *flag.Flag) {
		value, usage := flag.UnquoteUsage(known)
		left := "-" + known.Name
		if value != "" {
			left += " " + strings.ToUpper(value)
		}
		if d := known.DefValue; d != "" && d != "false" && d != "0" {
			usage += " (default " + d + ")"
		}
		rows = append(rows, row{left, usage})
		wide = max(wide, len(left))
	})
	e.out.printf("\n%s\n", e.out.bold("Flags:"))
	for _, r := range rows {
		indent := strings.Repeat(" ", wide+4)
		text := wrap(r.right, max(width-wide-4, 30), indent)
		e.out.printf("  %-*s  %s\n", wide, r.left, text)
	}
}

// wrap breaks words into lines of at most width columns; lines after the first
// begin with indent. A paragraph that begins with a space is left as it is.
func wrap(s string, width int, indent string) string {
	if strings.HasPrefix(s, " ") {
		return s
	}
	var b strings.Builder
	column := 0
	for word := range strings.FieldsSeq(s) {
		w := displayWidth(word)
		switch {
		case column == 0:
		case column+1+w > width:
			b.WriteString("\n" + indent)
			column = 0
		default:
			b.WriteByte(' ')
			column++
		}
		b.WriteString(word)
		column += w
	}
	return b.String()
}

func helpCommand() *command {
	return &command{
		name: "help", group: groupOther,
		synopsis: []string{"help [COMMAND…]"},
		short:    "explain a command",
		about:    "Prints the list of commands, or all about those named: what they do, their flags, examples and exit codes.",
		prepare: func(*flags) action {
			return func(_ context.Context, e *env, args []string) error { return helpTopics(e, args) }
		},
	}
}
