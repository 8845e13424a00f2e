package message_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"headlight.example/message"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// TestMail compares what is found in testdata/mail/*.eml with the golden file
// beside each: part, offset and finding of every link.
func TestMail(t *testing.T) {
	files, err := filepath.Glob("testdata/mail/*.eml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no mail in testdata: %v", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			raw, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var b strings.Builder
			for f, err := range message.Links(message.Mail, string(raw)) {
				if err != nil {
					fmt.Fprintln(&b, err)
					continue
				}
				fmt.Fprintf(&b, "%s@%d %s\n", f.Part, f.Offset, line(f))
			}
			golden := strings.TrimSuffix(file, ".eml") + ".golden"
			if *update {
				if err := os.WriteFile(golden, []byte(b.String()), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if b.String() != string(want) {
				t.Errorf("got\n%swant\n%s", b.String(), want)
			}
		})
	}
}

// TestMailDeclaredCharset reads HTML whose charset is named by nothing but
// itself.
func TestMailDeclaredCharset(t *testing.T) {
	const anchor = `<a href="http://a.example.com/">` + "\xef\xf0</a>"
	const shown = `anchor http://a.example.com/ shown "пр"`
	for _, test := range []struct{ name, html string }{
		{"a meta element names it", `<meta charset="windows-1251">` + anchor},
		{"whatever the case", `<META CharSet = Windows-1251>` + anchor},
		{"an XML declaration names it", `<?xml version="1.0" encoding='windows-1251'?>` + anchor},
		{"bytes that are no UTF-8 do not move the place where it is named", strings.Repeat("\xa8", 400) + `<meta charset="windows-1251">` + anchor},
		{"nor do letters whose lower case is shorter", strings.Repeat("\u212a", 200) + `<meta charset="windows-1251">` + anchor},
		{"what is no declaration does not hide the next", "charset charset=! charset=utf-16 " + `<meta charset=windows-1251>` + anchor},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := linesOf(message.Mail, "Content-Type: text/html\n\n"+test.html)
			if len(got) != 1 || got[0] != shown {
				t.Errorf("got %q, want %q", got, shown)
			}
		})
	}
}

// mixed writes a multipart of n empty parts, the last of which holds text.
func mixed(n int, text string) string {
	return "Content-Type: multipart/mixed; boundary=b\n\n" + strings.Repeat("--b\n\n", n) + text + "\n--b--\n"
}

// nestedMail writes a text inside of depth multiparts.
func nestedMail(depth int, text string) string {
	var b strings.Builder
	for i := range depth {
		fmt.Fprintf(&b, "Content-Type: multipart/mixed; boundary=b%d.\n\n--b%d.\n", i, i)
	}
	return b.String() + "\n" + text
}

// TestMailBounds holds the bounds at n and at one past n.
func TestMailBounds(t *testing.T) {
	const url = "http://a.example.com/"
	field := func(n int) string { return "X: " + strings.Repeat("x", n-len("X: \n")) + "\n" }
	texts := func(n int) string {
		part := "--b\n\n" + url + strings.Repeat(" ", message.MaxTextPart-len(url)) + "\n"
		return "Content-Type: multipart/mixed; boundary=b\n\n" + strings.Repeat(part, message.MaxDecoded/message.MaxTextPart) +
			"--b\n\n" + strings.Repeat(" ", message.MaxDecoded%message.MaxTextPart-len(url)+n) + url + "\n--b--\n"
	}
	const partLine = "\n--b--\n"
	for _, test := range []struct {
		name, mail string
		links      int
		want       string
	}{
		{"parts", mixed(message.MaxParts-1, url), 1, ""},
		{"one part too many", mixed(message.MaxParts, url), 0, fmt.Sprintf("message: over the bound of parts in part %d, %d bytes not scanned", message.MaxParts, len("\n"+url+partLine))},
		{"depth", nestedMail(message.MaxDepth, url), 1, ""},
		{"one multipart too deep", nestedMail(message.MaxDepth+1, url), 0, "message: over the bound of depth in part " + strings.Repeat("1.", message.MaxDepth-1) + "1, 29 bytes not scanned"},
		{"messages", strings.Repeat("Content-Type: message/rfc822\n\n", message.MaxDepth) + "\n" + url, 1, ""},
		{"one message too deep", strings.Repeat("Content-Type: message/rfc822\n\n", message.MaxDepth+1) + "\n" + url, 0,
			"message: over the bound of depth in part " + strings.Repeat("1.", message.MaxDepth) + "1, 22 bytes not scanned"},
		{"header", field(message.MaxHeader) + "\n" + url, 1, ""},
		{"a byte too many", field(message.MaxHeader+1) + "Subject: " + url + "\n\n" + url, 1,
			fmt.Sprintf("message: over the bound of header in part HEADER, %d bytes not scanned", message.MaxHeader+1+32)},
		{"decoded bytes", texts(0), 4, ""},
		{"a decoded byte too many", texts(1), 4, "message: over the bound of size in part 4, 1 bytes not scanned"},
		{"a text too long", "\n" + url + strings.Repeat(" ", message.MaxTextPart+1-len(url)), 1, "message: over the bound of size in part 1, 1 bytes not scanned"},
		{"links", "\n" + strings.Repeat(url+" ", message.MaxFound), message.MaxFound, ""},
		{"links of all parts", "Subject: " + url + "\nContent-Type: multipart/mixed; boundary=b\n\n--b\n\n" + strings.Repeat(url+" ", message.MaxFound-1) + "\n--b\n\n" + url, message.MaxFound,
			"message: over the bound of links in part 2, 21 bytes not scanned"},
	} {
		t.Run(test.name, func(t *testing.T) {
			checkBound(t, message.Mail, test.mail, test.links, test.want)
		})
	}
}

// TestMailLinear feeds what would make a parser go back over its text.
func TestMailLinear(t *testing.T) {
	grow := func(head, unit string) func(size int) string {
		return func(size int) string { return head + strings.Repeat(unit, size/len(unit)) }
	}
	for name, mail := range map[string]func(size int) string{
		"delimiters":         grow("Content-Type: multipart/mixed; boundary=b\n\n", "--b\n"),
		"longer boundaries":  grow("Content-Type: multipart/mixed; boundary=b\n\n", "--bb\n"),
		"lying boundary":     grow("Content-Type: multipart/mixed; boundary=b\n\n", "--c\nContent-"),
		"nested":             grow("", "Content-Type: multipart/mixed; boundary=b\n\n--b\n"),
		"fields":             grow("", "X: y\n"),
		"folds":              grow("Subject:", " x\n"),
		"no field":           grow("X: y\n", "xyz\n"),
		"encoded words":      grow("Subject:", " =?utf-8?q?x?=\n"),
		"open encoded words": grow("Subject:", "=?utf-8?q?x"),
		"list":               grow("List-Help: ", "<http://a.example.com/>,"),
		"parameters":         grow("Content-Type: text/plain", "; boundary*0=x"),
		"padding":            grow("Content-Transfer-Encoding: base64\n\n", "="),
		"soft breaks":        grow("Content-Transfer-Encoding: quoted-printable\n\n", "= "),
		"utf-7":              grow("Content-Type: text/plain; charset=utf-7\n\n", "+"),
		"mbox":               grow("", "From x\n"),
		"uuencode":           grow("Content-Transfer-Encoding: x-uue\n\n", "M\n"),
	} {
		checkLinear(t, name, func(size int) { linesOf(message.Mail, mail(size)) })
	}
}
