package main

import (
	"slices"
	"strings"
	"testing"
)

func TestFlagsMayFollowArguments(t *testing.T) {
	for _, tt := range []struct {
		name string
		args []string
		rest []string
		json bool
		as   string
		err  string
	}{
		{name: "before", args: []string{"-json", "-as", "spam", "a", "b"}, rest: []string{"a", "b"}, json: true, as: "spam"},
		{name: "after", args: []string{"a", "b", "-json", "-as=spam"}, rest: []string{"a", "b"}, json: true, as: "spam"},
		{name: "between, with two dashes", args: []string{"a", "--as", "spam", "b"}, rest: []string{"a", "b"}, as: "spam"},
		{name: "two dashes end the flags", args: []string{"-json", "--", "-as", "b"}, rest: []string{"-as", "b"}, json: true},
		{name: "one dash is an argument", args: []string{"-", "-json"}, rest: []string{"-"}, json: true},
		{name: "a boolean takes no argument", args: []string{"-json", "false"}, rest: []string{"false"}, json: true},
		{name: "a boolean may be told", args: []string{"-json=false"}},
		{name: "a bad boolean", args: []string{"-json=perhaps"}, err: `flag -json: value "perhaps"`},
		{name: "a value is missing", args: []string{"a", "-as"}, err: "flag -as needs a value"},
		{name: "a mistyped flag names the nearest", args: []string{"-jsn"}, err: "unknown flag -jsn; did you mean -json?"},
		{name: "a strange flag names none", args: []string{"-zzzzzz"}, err: "unknown flag -zzzzzz"},
		{name: "help", args: []string{"a", "--help"}, err: errHelp.Error()},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFlags("test")
			asJSON := f.Bool("json", false, "")
			as := f.String("as", "", "")
			rest, err := f.parse(tt.args)
			if tt.err != "" {
				if err == nil || !strings.HasPrefix(err.Error(), tt.err) {
					t.Fatalf("got error %v, want %s", err, tt.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(rest, tt.rest) || *asJSON != tt.json || *as != tt.as {
				t.Errorf("got %q, json %v, as %q; want %q, %v, %q", rest, *asJSON, *as, tt.rest, tt.json, tt.as)
			}
		})
	}
}

func TestNearest(t *testing.T) {
	known := []string{"serve", "scan", "check", "import", "report", "explain", "eval", "replay", "log", "config", "formats", "version", "help"}
	for word, want := range map[string]string{
		"chek":    "check",
		"chekc":   "check",
		"Check":   "check",
		"sevre":   "serve",
		"imprt":   "import",
		"exp":     "explain",
		"vers":    "version",
		"format":  "formats",
		"xyzzy":   "",
		"banana":  "",
		"q":       "",
		"":        "",
		"replays": "replay",
	} {
		if got := nearest(word, known); got != want {
			t.Errorf("nearest(%q) = %q, want %q", word, got, want)
		}
	}
}

func TestDistance(t *testing.T) {
	for _, tt := range []struct {
		a, b string
		want int
	}{
		{"", "", 0}, {"", "abc", 3}, {"abc", "", 3}, {"abc", "abc", 0},
		{"abc", "acb", 1}, {"kitten", "sitting", 3}, {"ca", "abc", 3},
	} {
		if got := distance(tt.a, tt.b); got != tt.want {
			t.Errorf("distance(%q, %q) = %d, want %d", tt.a, tt.b, got, tt.want)
		}
	}
}

// What help says must be there for every command, and fit a terminal.
func TestEveryCommandExplainsItself(t *testing.T) {
	for _, c := range commands() {
		t.Run(c.name, func(t *testing.T) {
			if c.group == "" || c.short == "" || c.about == "" || len(c.synopsis) == 0 {
				t.Errorf("group %q, short %q, about %q, synopsis %q: none may be empty", c.group, c.short, c.about, c.synopsis)
			}
			o, b := terminalOutput(80, false)
			if err := c.help(&env{out: o}); err != nil {
				t.Fatal(err)
			}
			text := printed(t, o, b)
			for line := range strings.Lines(text) {
				if w := displayWidth(strings.TrimSuffix(line, "\n")); w > 100 {
					t.Errorf("a line of %d columns: %s", w, line)
				}
			}
			for _, want := range []string{"Usage: headlight " + c.name, "Flags:", "Exit codes:"} {
				if !strings.Contains(text, want) {
					t.Errorf("help lacks %q:\n%s", want, text)
				}
			}
		})
	}
}
