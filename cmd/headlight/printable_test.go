package main

import (
	"bytes"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

func TestPrintable(t *testing.T) {
	for _, tt := range []struct{ name, in, want string }{
		{"plain ASCII is kept", "http://example.com/a?b=c d", "http://example.com/a?b=c d"},
		{"letters of other scripts are kept", "http://пример.рф/日本", "http://пример.рф/日本"},
		{"emoji are kept", "http://example.com/🔥", "http://example.com/🔥"},
		{"an escape sequence is shown", "a\x1b[31mred\x1b[0m", `a\x1b[31mred\x1b[0m`},
		{"an eight-bit control sequence is shown", "a\u009b31m", `a\u009b31m`},
		{"a terminal title is not set", "\x1b]0;title\a", `\x1b]0;title\a`},
		{"a line feed does not make a line", "a\nb\rc\td", `a\nb\rc\td`},
		{"delete is shown", "a\x7fb", `a\x7fb`},
		{"writing is not turned round", "user\u202etxt.exe", `user\u202etxt.exe`},
		{"an isolate is shown", "\u2066x\u2069", `\u2066x\u2069`},
		{"a zero-width space does not hide", "exam\u200bple", `exam\u200bple`},
		{"a tag character does not hide", "a\U000e0041", `a\U000e0041`},
		{"a strange space is shown", "a\u00a0b", `a\u00a0b`},
		{"bytes that are no UTF-8 are shown", "a\xff\xc3", `a\xff\xc3`},
		{"a surrogate in UTF-8 is shown", "\xed\xa0\x80", `\xed\xa0\x80`},
		{"the replacement character itself is kept", "a\ufffd", "a\ufffd"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := printable(tt.in); got != tt.want {
				t.Errorf("printable(%q) = %q, want %q", tt.in, got, tt.want)
			}
		})
	}
}

func FuzzPrintable(f *testing.F) {
	f.Add("a\x1b[31m\u202e\xff")
	f.Fuzz(func(t *testing.T, s string) {
		p := printable(s)
		if !utf8.ValidString(p) {
			t.Errorf("printable(%q) = %q, which is not UTF-8", s, p)
		}
		for _, r := range p {
			if !unicode.IsPrint(r) {
				t.Errorf("printable(%q) holds %U", s, r)
			}
		}
		if again := printable(p); again != p {
			t.Errorf("printable is not a fixed point on %q: %q", p, again)
		}
		for columns := range 5 {
			if w := displayWidth(truncate(p, columns)); w > columns {
				t.Errorf("truncate(%q, %d) takes %d columns", p, columns, w)
			}
		}
	})
}

func TestDisplayWidth(t *testing.T) {
	for s, want := range map[string]int{
		"":             0,
		"abc":          3,
		"日本":           4,
		"ｆｕｌｌ":         8,
		"🔥":            2,
		"e\u0301":      1, // e with a combining acute
		"한국어":          6,
		"пример":       6,
		"a…":           2,
		"\u0e01\u0e34": 1, // Thai: a consonant and the vowel above it
	} {
		if got := displayWidth(s); got != want {
			t.Errorf("displayWidth(%q) = %d, want %d", s, got, want)
		}
	}
}

func TestTruncate(t *testing.T) {
	for _, tt := range []struct {
		in      string
		columns int
		want    string
	}{
		{"abcdef", 6, "abcdef"},
		{"abcdef", 5, "abcd…"},
		{"abcdef", 1, "…"},
		{"abcdef", 0, ""},
		{"日本語", 6, "日本語"},
		{"日本語", 5, "日本…"},
		{"日本語", 4, "日…"},
	} {
		if got := truncate(tt.in, tt.columns); got != tt.want {
			t.Errorf("truncate(%q, %d) = %q, want %q", tt.in, tt.columns, got, tt.want)
		}
	}
}

// terminalOutput is an output as if it were a terminal of so many columns.
func terminalOutput(columns int, color bool) (*output, *bytes.Buffer) {
	var b bytes.Buffer
	o := newOutput(&b)
	o.terminal, o.width, o.color = true, columns, color
	return o, &b
}

func printed(t *testing.T, o *output, b *bytes.Buffer) string {
	t.Helper()
	if err := o.flush(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestTableAlignsByDisplayWidth(t *testing.T) {
	tab := &table{columns: []column{{name: "NAME"}, {name: "N", right: true}, {name: "WHY"}}}
	tab.add(cell{text: "日本"}, cell{text: "7"}, cell{text: "wide"})
	tab.add(cell{text: "abcdef"}, cell{text: "1234"}, cell{text: "narrow"})
	tab.add(cell{text: "x"}, cell{text: ""}, cell{text: "empty"})
	tab.add(cell{text: "y"}, cell{text: "1"}, cell{text: ""})
	o, b := terminalOutput(80, false)
	tab.print(o)
	want := "NAME       N  WHY\n" +
		"日本       7  wide\n" +
		"abcdef  1234  narrow\n" +
		"x             empty\n" +
		"y          1\n"
	if got := printed(t, o, b); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestTableFitsTheTerminal(t *testing.T) {
	long := strings.Repeat("x", 70)
	for _, columns := range []int{60, 79, 80} {
		tab := &table{columns: []column{{name: "LEVEL"}, {name: "LINK", flexible: true}, {name: "WHY", flexible: true}}}
		tab.add(cell{text: "dangerous"}, cell{text: "http://" + long}, cell{text: long})
		o, b := terminalOutput(columns, true)
		tab.print(o)
		for line := range strings.Lines(printed(t, o, b)) {
			if w := displayWidth(unpainted(strings.TrimSuffix(line, "\n"))); w > columns {
				t.Errorf("in %d columns a line takes %d: %q", columns, w, line)
			}
		}
	}
	tab := &table{columns: []column{{name: "LINK", flexible: true}}}
	tab.add(cell{text: long})
	var b bytes.Buffer
	o := newOutput(&b)
	tab.print(o)
	if got := printed(t, o, &b); !strings.Contains(got, long) {
		t.Errorf("in a pipe the link was cut: %q", got)
	}
}

func unpainted(s string) string {
	var b strings.Builder
	for s != "" {
		before, after, ok := strings.Cut(s, "\x1b[")
		b.WriteString(before)
		if !ok {
			break
		}
		_, s, _ = strings.Cut(after, "m")
	}
	return b.String()
}
