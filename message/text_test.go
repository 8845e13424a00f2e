package message_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"headlight.example/message"
)

var markNames = []struct {
	mark message.Marks
	name string
}{
	{message.Defanged, "defanged"}, {message.Schemeless, "schemeless"}, {message.Broken, "broken"},
	{message.Mismatch, "mismatch"}, {message.Script, "script"}, {message.Data, "data"},
}

// describe writes a finding as "raw", "=> link" if that reads otherwise, marks,
// the role unless it is running text, and what is shown.
func describe(f message.Found) string {
	var b strings.Builder
	b.WriteString(f.Raw)
	if l := f.Link.String(); !f.Link.IsZero() && l != f.Raw && l != f.Raw+"/" && l != "http://"+f.Raw && l != "http://"+f.Raw+"/" {
		fmt.Fprintf(&b, " => %s", l)
	}
	for _, m := range markNames {
		if f.Marks&m.mark != 0 {
			fmt.Fprintf(&b, " +%s", m.name)
		}
	}
	switch f.Where {
	case message.Anchor:
		b.WriteString(" anchor")
	case message.Source:
		b.WriteString(" source")
	}
	if f.Shown != "" {
		fmt.Fprintf(&b, " shown %q", f.Shown)
	}
	return b.String()
}

func findAll(t *testing.T, text string) (found []string) {
	t.Helper()
	end := 0
	for f, err := range message.Links(message.Text, text) {
		if err != nil {
			found = append(found, err.Error())
			continue
		}
		found = append(found, describe(f))
		if f.Marks&message.Broken == 0 && text[f.Offset:f.Offset+len(f.Raw)] != f.Raw {
			t.Errorf("%q: offset %d does not hold %q", text, f.Offset, f.Raw)
		}
		if f.Offset < end {
			t.Errorf("%q: %q overlaps what stands before it", text, f.Raw)
		}
		end = f.Offset + len(f.Raw)
	}
	return found
}

func TestText(t *testing.T) {
	for name, tests := range map[string][]struct {
		text string
		want []string
	}{
		"schemes":       schemeTests,
		"punctuation":   punctuationTests,
		"schemeless":    schemelessTests,
		"no links":      noLinkTests,
		"defanged":      defangedTests,
		"hosts":         hostTests,
		"other scripts": scriptTests,
		"mark-up":       markupTests,
		"lines":         lineTests,
	} {
		t.Run(name, func(t *testing.T) {
			for _, tt := range tests {
				if got := findAll(t, tt.text); !slices.Equal(got, tt.want) {
					t.Errorf("%q:\n got %q\nwant %q", tt.text, got, tt.want)
				}
			}
		})
	}
}

func TestListsAreSorted(t *testing.T) {
	for _, list := range message.SortedLists {
		if len(list) == 0 || !slices.IsSorted(list) {
			t.Errorf("%q is not sorted", list)
		}
	}
}

type textTest = struct {
	text string
	want []string
}

var schemeTests = []textTest{
	{"see http://example.com/a and https://example.org/b?c=d#e", []string{"http://example.com/a", "https://example.org/b?c=d#e => https://example.org/b?c=d"}},
	{"HTTPS://Example.COM/Path", []string{"HTTPS://Example.COM/Path => https://example.com/Path"}},
	{"ftp://files.example.com/x.zip wss://chat.example.com/s", []string{"ftp://files.example.com/x.zip", "wss://chat.example.com/s"}},
	{"seehttp://example.com/a", []string{"http://example.com/a"}},
	{"git+https://github.com/x", []string{"https://github.com/x"}},
	{"news://example.invalid", nil},
	{"sftp://files.example.invalid/x", nil},
	{`http:\\example.com\a and http:/\example.com/b and http:///example.com/c`, []string{`http:\\example.com\a => http://example.com/a`, `http:/\example.com/b => http://example.com/b`, "http:///example.com/c => http://example.com/c"}},
	{"http:// example https://", nil},
	{"http://localhost:8080/x http://intranet", []string{"http://localhost:8080/x", "http://intranet"}},
	{"http://a.example/xhttp://b.example/y", []string{"http://a.example/xhttp://b.example/y => http://a.example/xhttp:/b.example/y"}},
	{"http://a.examplehttp://b.example/y", []string{"http://a.example", "http://b.example/y"}},
	{"example.comhttp://b.example/y", []string{"example.com +schemeless", "http://b.example/y"}},
	{"http://http://b.example/y", []string{"http://b.example/y"}},
	{"http://a.example/x,http://b.example/y;https://c.example/z", []string{"http://a.example/x", "http://b.example/y", "https://c.example/z"}},
}

var punctuationTests = []textTest{
	{"Look at http://example.com/a. Or http://example.com/b, http://example.com/c; http://example.com/d!? Yes: http://example.com/e...", []string{
		"http://example.com/a", "http://example.com/b", "http://example.com/c", "http://example.com/d", "http://example.com/e"}},
	{"(http://example.com/a) [http://example.com/b] {http://example.com/c} <http://example.com/d>", []string{
		"http://example.com/a", "http://example.com/b", "http://example.com/c", "http://example.com/d"}},
	{`"http://example.com/a" 'http://example.com/b' “http://example.com/c” «http://example.com/d» ‘http://example.com/e’ „http://example.com/f“`, []string{
		"http://example.com/a", "http://example.com/b", "http://example.com/c", "http://example.com/d", "http://example.com/e", "http://example.com/f"}},
	{"https://en.wikipedia.org/wiki/Phishing_(disambiguation) (see https://en.wikipedia.org/wiki/Link_(film))", []string{
		"https://en.wikipedia.org/wiki/Phishing_(disambiguation)", "https://en.wikipedia.org/wiki/Link_(film)"}},
	{"http://example.com/a(see there)", []string{"http://example.com/a"}},
	{"*http://example.com/a* **http://example.com/b** _http://example.com/c_ ~http://example.com/d~ _http://example.com/e_f", []string{
		"http://example.com/a", "http://example.com/b", "http://example.com/c", "http://example.com/d", "http://example.com/e_f"}},
	{"&lt;http://example.com/a&gt; http://example.com/b&nbsp; http://example.com/?a=b&amp;c=d", []string{
		"http://example.com/a", "http://example.com/b", "http://example.com/?a=b&amp;c=d"}},
	{"`http://example.com/a` http://example.com/b|c", []string{"http://example.com/a", "http://example.com/b"}},
	{"['http://example.com/a','http://example.com/b']", []string{"http://example.com/a", "http://example.com/b"}},
	{"http://example.com/a—and http://example.com/b…", []string{"http://example.com/a", "http://example.com/b"}},
	{"http://example.com?q=1 http://example.com#frag", []string{"http://example.com?q=1 => http://example.com/?q=1", "http://example.com#frag => http://example.com/"}},
	{"http://example.com: http://example.com:80: http://example.com:8080/, http://example.com:/x", []string{
		"http://example.com", "http://example.com:80 => http://example.com/", "http://example.com:8080/", "http://example.com:/x => http://example.com/x"}},
	{"http://example.com/a\u200b http://example.com/b\ufeff", []string{"http://example.com/a", "http://example.com/b"}},
	{"http://example.com/a\x00b http://example.com/c\xffd", []string{"http://example.com/a", "http://example.com/c"}},
}

var schemelessTests = []textTest{
	{"go to www.example.com or example.com/path now", []string{"www.example.com +schemeless", "example.com/path +schemeless"}},
	{"bit.ly/abc, t.co/x and youtu.be/dQw4w9WgXcQ?t=1", []string{"bit.ly/abc +schemeless", "t.co/x +schemeless", "youtu.be/dQw4w9WgXcQ?t=1 +schemeless"}},
	{"Reply at Example.COM.", []string{"Example.COM => http://example.com/ +schemeless"}},
	{"shop.example.co.uk:8443/a?b", []string{"shop.example.co.uk:8443/a?b +schemeless"}},
	{"link:bit.ly/abc url=example.com/x", []string{"bit.ly/abc +schemeless", "example.com/x +schemeless"}},
	{"//cdn.example.com/a.js", []string{"cdn.example.com/a.js +schemeless"}},
	{"www.host.invalidtld", []string{"www.host.invalidtld +schemeless"}},
	{"amaz0n-refund.me and my-bank.top", []string{"amaz0n-refund.me +schemeless", "my-bank.top +schemeless"}},
	{"pain.it docs.example.rs www.foo.sh foo.sh/install.sh map1.run Example.Com EXAMPLE.TOP", []string{"pain.it +schemeless", "docs.example.rs +schemeless",
		"www.foo.sh +schemeless", "foo.sh/install.sh +schemeless", "map1.run +schemeless", "Example.Com => http://example.com/ +schemeless", "EXAMPLE.TOP => http://example.top/ +schemeless"}},
	{"wait...example.com, really", []string{"example.com +schemeless"}},
	{"_example.com_ -example.org- (example.net)", []string{"example.com +schemeless", "example.org +schemeless", "example.net +schemeless"}},
	{"198.51.100.7:8080/x 198.51.100.7/x", []string{"198.51.100.7:8080/x +schemeless", "198.51.100.7/x +schemeless"}},
}

var noLinkTests = []textTest{
	{"", nil}, {" ", nil}, {".", nil}, {":", nil}, {"://", nil}, {"[", nil}, {"a.", nil}, {"a:", nil},
	{"e.g. this, i.e. that, at 3.45 p.m. in the U.S.A. (cf. Ph.D.)", nil},
	{"version 1.2.3, 10.0.0.1, 192.0.2.0/24 and 2.5.1.4", nil},
	{"main.go readme.md README.md script.sh foo.py lib.rs setup.zip clip.mov my.app libc.so", nil},
	{"user@example.com, mailto:user@example.com, <first.last@mail.example.com>", nil},
	{"mailto:example.com xmpp:room@conference.example.com sip:example.com tel:+1-555-0100", nil},
	{"@alice:example.org #room:example.org !id:example.org", nil},
	{"/usr/lib/foo.so src/example.com C:\\x\\example.com", nil},
	{"co.uk com.au", nil},
	{"foo.bar2 foo.b-r foo.unknowntld foo.bar.unknowntld", nil},
	{"Good.environment is nice.The food.Available", nil},
	{"javascript:alert(1) data:text/html,x the data: here", nil},
	{"a place.No reason. list.map x.data window.open(x) CategoryTheory.NatTrans.app", nil},
	{"java.util.List org.apache.Foo", nil},
}

var defangedTests = []textTest{
	{"hxxp://example.com/a hXXps://example.com/b HXXPS://example.com", []string{
		"hxxp://example.com/a => http://example.com/a +defanged", "hXXps://example.com/b => https://example.com/b +defanged",
		"HXXPS://example.com => https://example.com/ +defanged"}},
	{"http://example[.]com/a https://www[.]example(.)com/b{.}php", []string{
		"http://example[.]com/a => http://example.com/a +defanged", "https://www[.]example(.)com/b{.}php => https://www.example.com/b.php +defanged"}},
	{"http[:]//example.com/a http[://]example.com/b hxxp[:]//example[.]com/c https:[//]example.com/d", []string{
		"http[:]//example.com/a => http://example.com/a +defanged", "http[://]example.com/b => http://example.com/b +defanged",
		"hxxp[:]//example[.]com/c => http://example.com/c +defanged", "https:[//]example.com/d => https://example.com/d +defanged"}},
	{"h**p://example.com/ htxps://example.com/ fxp://example.com/ http[s]://example.com/", []string{
		"h**p://example.com/ => http://example.com/ +defanged", "htxps://example.com/ => https://example.com/ +defanged",
		"fxp://example.com/ => ftp://example.com/ +defanged", "http[s]://example.com/ => https://example.com/ +defanged"}},
	{"example[.]com evil[.]example[.]co.uk/x", []string{
		"example[.]com => http://example.com/ +defanged +schemeless", "evil[.]example[.]co.uk/x => http://evil.example.co.uk/x +defanged +schemeless"}},
	{"example[dot]com and www.example(DOT)com/x", []string{
		"example[dot]com => http://example.com/ +defanged +schemeless", "www.example(DOT)com/x => http://www.example.com/x +defanged +schemeless"}},
	{"198[.]51[.]100[.]7 and hxxp://198.51.100[.]7:81/a", []string{
		"198[.]51[.]100[.]7 => http://198.51.100.7/ +defanged +schemeless", "hxxp://198.51.100[.]7:81/a => http://198.51.100.7:81/a +defanged"}},
	{"[example[.]com]", []string{"example[.]com => http://example.com/ +defanged +schemeless"}},
	{"a[.]b [.] (dot) [dot] x[dot]y", nil},
}

var hostTests = []textTest{
	{"http://google.com@evil.example/ http://user:pass@evil.example:81/x", []string{
		"http://google.com@evil.example/ => http://evil.example/", "http://user:pass@evil.example:81/x => http://evil.example:81/x"}},
	{"http://a,b;c(d)e@evil.example/", []string{"http://a,b;c(d)e@evil.example/ => http://evil.example/"}},
	{"http://example.com@ http://example.com/@you", []string{"http://example.com", "http://example.com/@you"}},
	{"http://2130706433/ http://0x7f.1/a http://017700000001/b http://127.1", []string{
		"http://2130706433/ => http://127.0.0.1/", "http://0x7f.1/a => http://127.0.0.1/a", "http://017700000001/b => http://127.0.0.1/b", "http://127.1 => http://127.0.0.1/"}},
	{"http://[2001:db8::1]:8080/x http://[::ffff:192.0.2.1] [http://[2001:db8::2]]", []string{
		"http://[2001:db8::1]:8080/x", "http://[::ffff:192.0.2.1] => http://192.0.2.1/", "http://[2001:db8::2]"}},
	{"http://2001:db8::1/x http://[nonsense]/", nil},
	{"http://%65xample.com/x http://ex%61mple.com", []string{"http://%65xample.com/x => http://example.com/x", "http://ex%61mple.com => http://example.com/"}},
	{"http://my_site.example.com/ my_site.example.com/x", []string{"http://my_site.example.com/", "my_site.example.com/x +schemeless"}},
	{"http://example.com:99999/x http://example.com:80x/", []string{"http://example.com"}},
}

var scriptTests = []textTest{
	{"http://bücher.example/ü bücher.de/x пример.рф", []string{
		"http://bücher.example/ü => http://xn--bcher-kva.example/%C3%BC", "bücher.de/x => http://xn--bcher-kva.de/x +schemeless",
		"пример.рф => http://xn--e1afmkfd.xn--p1ai/ +schemeless"}},
	{"http://例え.jp/パス http://中国.中国", []string{
		"http://例え.jp/パス => http://xn--r8jz45g.jp/%E3%83%91%E3%82%B9", "http://中国.中国 => http://xn--fiqs8s.xn--fiqs8s/"}},
	{"请访问http://example.com/a，谢谢。 请访问http://example.com谢谢", []string{"http://example.com/a", "http://example.com"}},
	{"请访问example.com谢谢 見てwww.example.com/aね", []string{"example.com +schemeless", "www.example.com/aね => http://www.example.com/a%E3%81%AD +schemeless"}},
	{"（http://example.com/a）「http://example.com/b」、http://example.com/c！", []string{"http://example.com/a", "http://example.com/b", "http://example.com/c"}},
	{"http://evil。com/x http://evil．com www.evil。com", []string{
		"http://evil。com/x => http://evil.com/x", "http://evil．com => http://evil.com/", "www.evil。com => http://www.evil.com/ +schemeless"}},
	{"http://ｅｖｉｌ.com/", []string{"http://ｅｖｉｌ.com/ => http://evil.com/"}},
	{"http://ev\u200bil.com/ ev\u200bil.com/x", []string{"http://ev\u200bil.com/ => http://evil.com/", "ev\u200bil.com/x => http://evil.com/x +schemeless"}},
	{"привет.как дела evil。com 你好。谢谢 안녕.하세요", nil},
	{"링크http://example.com/가", []string{"http://example.com/가 => http://example.com/%EA%B0%80"}},
	{"http://i❤.example/ 🔥example.com🔥", []string{"http://i❤.example/ => http://xn--i-7iq.example/", "example.com +schemeless"}},
	{"زوروا http://example.com/a، شكرا", []string{"http://example.com/a"}},
}

var markupTests = []textTest{
	{`[here](http://example.com/a "title") and ![alt](http://example.com/b.png)`, []string{
		`http://example.com/a anchor shown "here"`, `http://example.com/b.png source shown "alt"`}},
	{"[paypal.com](http://evil.example/x)", []string{"paypal.com +schemeless", `http://evil.example/x +mismatch anchor shown "paypal.com"`}},
	{"[www.example.com](http://login.example.com/x)", []string{"www.example.com +schemeless", `http://login.example.com/x anchor shown "www.example.com"`}},
	{"[a [b] c](<http://example.com/a b>)", []string{`http://example.com/a anchor shown "a [b] c"`}},
	{"[text]: http://example.com/a 'title'", []string{`http://example.com/a anchor shown "text"`}},
	{"<http://example.com/a|https://example.org> <http://example.com/a|click>", []string{
		`http://example.com/a +mismatch anchor shown "https://example.org"`, "https://example.org", `http://example.com/a anchor shown "click"`}},
	{"[click|http://example.com/a] [x|http://example.com/b|smart-link]", []string{`http://example.com/a anchor shown "click"`, `http://example.com/b anchor shown "x"`}},
	{"[url=http://example.com/a]bank.example.org[/url] [url]http://example.com/b[/url] [IMG]http://example.com/c[/IMG]", []string{
		`http://example.com/a +mismatch anchor shown "bank.example.org"`, "bank.example.org +schemeless", "http://example.com/b", "http://example.com/c source"}},
	{`[URL="http://example.com/a"]b[/URL]`, []string{`http://example.com/a anchor shown "b"`}},
	{"[x](javascript:alert(1)) <data:text/html,a|y> [z]: vbscript:run", []string{
		`javascript:alert(1) +script anchor shown "x"`, `data:text/html,a +data anchor shown "y"`, `vbscript:run +script anchor shown "z"`}},
	{"[mail](mailto:user@example.com) [up](../x.html)", nil},
	{"[docs](example.com/docs)", []string{`example.com/docs +schemeless anchor shown "docs"`}},
	{"[a.github.io](https://b.github.io/) [http://example.com/](http://example.com/)", []string{
		"a.github.io +schemeless", `https://b.github.io/ +mismatch anchor shown "a.github.io"`, "http://example.com/", "http://example.com/ anchor"}},
	{"[ here\n](http://example.com/a) <http://example.com/b| there > [ ](http://example.com/c) [\u00a0http://example.com/d ](http://example.com/d)", []string{
		`http://example.com/a anchor shown "here"`, `http://example.com/b anchor shown "there"`, "http://example.com/c anchor",
		"http://example.com/d", "http://example.com/d anchor"}},
	{"see](http://example.com/a) ](http://example.com/b)", []string{"http://example.com/a anchor", "http://example.com/b anchor"}},
}

var lineTests = []textTest{
	{"<http://example.com/a/very/\nlong/path> <http://example.com/b\r\n  /c>", []string{
		"http://example.com/a/very/\nlong/path => http://example.com/a/very/long/path +broken",
		"http://example.com/b\r\n  /c => http://example.com/b/c +broken"}},
	{"<http://example.com/a\n\nb> <http://example.com/c\nand so on>", []string{"http://example.com/a", "http://example.com/c"}},
	{"http://example.com/a\nhttp://example.com/b", []string{"http://example.com/a", "http://example.com/b"}},
}
