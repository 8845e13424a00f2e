package message_test

import (
	"fmt"
	"html"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"headlight.example/link"
	"headlight.example/message"
)

var whereNames = [...]string{"text", "anchor", "source", "form", "refresh", "header"}

// line writes a finding as "role link marks, raw "…", shown "…"", leaving out
// what goes without saying.
func line(f message.Found) string {
	var b strings.Builder
	b.WriteString(whereNames[f.Where])
	if !f.Link.IsZero() {
		b.WriteString(" " + f.Link.String())
	}
	for _, m := range markNames {
		if f.Marks&m.mark != 0 {
			b.WriteString(" +" + m.name)
		}
	}
	if f.Marks&message.Unsubscribe != 0 {
		b.WriteString(" +unsubscribe")
	}
	if f.Raw != f.Link.String() {
		fmt.Fprintf(&b, " raw %q", f.Raw)
	}
	if f.Shown != "" {
		fmt.Fprintf(&b, " shown %q", f.Shown)
	}
	return b.String()
}

func linesOf(t message.Type, s string) (lines []string) {
	for f, err := range message.Links(t, s) {
		if err != nil {
			lines = append(lines, err.Error())
			continue
		}
		lines = append(lines, line(f))
	}
	return lines
}

func TestHTML(t *testing.T) {
	for _, test := range []struct {
		name string
		html string
		want []string
	}{
		{"an anchor shows its text", `<p>Dear <a href="http://a.example.com/x">click <b>here</b></a>`,
			[]string{`anchor http://a.example.com/x shown "click here"`}},
		{"white space of an anchor is collapsed", "<a href=http://a.example.com/>\n  our&nbsp;\tshop<br>now </a>",
			[]string{`anchor http://a.example.com/ shown "our shop now"`}},
		{"text that is the link is not shown twice", `<a href="http://a.example.com/x">http://a.example.com/x</a>`,
			[]string{`anchor http://a.example.com/x`}},
		{"text that names another host is a mismatch", `<a href="http://evil.example.com/x">www.paypal.com/login</a>`,
			[]string{`anchor http://evil.example.com/x +mismatch shown "www.paypal.com/login"`}},
		{"an image stands for the text of its anchor",
			`<a href="http://a.example.com/"><img src="http://b.example.com/i.png" alt="Our  shop"></a>`,
			[]string{`anchor http://a.example.com/ shown "Our shop"`, `source http://b.example.com/i.png shown "Our shop"`}},
		{"what stands in an anchor comes behind it", `<a href=http://a.example.com/ ping="http://p.example.com/1 http://p.example.com/2">x</a>`,
			[]string{`anchor http://a.example.com/ shown "x"`, `source http://p.example.com/1`, `source http://p.example.com/2`}},
		{"an anchor ends with the next", `<a href=http://a.example.com/>one <a href=http://b.example.com/>two`,
			[]string{`anchor http://a.example.com/ shown "one"`, `anchor http://b.example.com/ shown "two"`}},
		{"an anchor ends with its cell", `<table><td><a href=http://a.example.com/>one</td><td>see www.example.org</td>`,
			[]string{`anchor http://a.example.com/ shown "one"`, `text http://www.example.org/ +schemeless raw "www.example.org"`}},
		{"an anchor holds a table", `<a href=http://a.example.com/><table><td>one</td><td>two</td></table></a>`,
			[]string{`anchor http://a.example.com/ shown "one two"`}},
		{"text in an anchor that leads nowhere is text", `<a href="#top">http://a.example.com/</a> <a href="mailto:x@example.org">b.example.com</a>`,
			[]string{`text http://a.example.com/`, `text http://b.example.com/ +schemeless raw "b.example.com"`}},

		{"attributes in every form of quoting", `<a href='http://a.example.com/'>1</a><A HREF = "http://b.example.com/">2</A><a/href=http://c.example.com/>3</a><a x=">"href=http://d.example.com/?q=1>4</a>`,
			[]string{`anchor http://a.example.com/ shown "1"`, `anchor http://b.example.com/ shown "2"`,
				`anchor http://c.example.com/ shown "3"`, `anchor http://d.example.com/?q=1 shown "4"`}},
		{"both of two", `<a href=http://a.example.com/ href=http://b.example.com/>x</a>`,
			[]string{`anchor http://a.example.com/ shown "x"`, `anchor http://b.example.com/ shown "x"`}},
		{"character references", `<a href="&#104;ttp&#x3A;//a.example.com/?x=1&amp;copy=2&copy=3&lt=4">x</a>`,
			[]string{`anchor http://a.example.com/?x=1&copy=2&copy=3&lt=4 shown "x"`}},
		{"white space and controls around and inside", "<a href=\"\x01 ht\ntp://a.exa\tmple.com/ \">x</a>",
			[]string{`anchor http://a.example.com/ raw "ht\ntp://a.exa\tmple.com/" shown "x"`}},
		{"no scheme, and backslashes", `<img src="//a.example.com/i"><img src="\\b.example.com\i"><img src="http:\\c.example.com\i">`,
			[]string{`source https://a.example.com/i raw "//a.example.com/i"`, `source https://b.example.com/i raw "\\\\b.example.com\\i"`,
				`source http://c.example.com/i raw "http:\\\\c.example.com\\i"`}},
		{"relative references lead nowhere", `<a href="/x">1</a><a href="?x">2</a><a href="page">3</a><img src="cid:1@example.org"><form action="">`, nil},
		{"a host for a reference, as mail clients take it", `<a href="www.example.com/x">x</a>`,
			[]string{`anchor http://www.example.com/x +schemeless raw "www.example.com/x" shown "x"`}},
		{"a base, wherever it stands", `<a href="x">1</a><base target=_top><!-- <base href="http://no.example.com"> --><base href="http://a.example.com/d/e?q"><a href="/y">2</a><a href="#z">3</a><a href="http:z">4</a><img src="//b.example.com/">`,
			[]string{`anchor http://a.example.com/d/x raw "x" shown "1"`, `anchor http://a.example.com/y raw "/y" shown "2"`,
				`anchor http://a.example.com/d/e raw "#z" shown "3"`, `anchor http://a.example.com/d/z raw "http:z" shown "4"`,
				`source http://b.example.com/ raw "//b.example.com/"`}},

		{"data and scripts are marked", `<a href="data:text/html,x">1</a><a href="java&#10;script:alert(1)">2</a><a href=" VBScript:x">3</a>`,
			[]string{`anchor +data raw "data:text/html,x"`, `anchor +script raw "java\nscript:alert(1)"`, `anchor +script raw "VBScript:x"`}},
		{"a link inside a script", `<a href="javascript:location='http://a.example.com/x'" onclick="go(&quot;https://b.example.com&quot;)">x</a>`,
			[]string{`anchor +script raw "javascript:location='http://a.example.com/x'"`, `text http://a.example.com/x +script`,
				`text https://b.example.com/ +script raw "https://b.example.com"`}},
		{"a script element", `<script>if (a<b) location.href = "http:\/\/a.example.com\/x"; top.location.name</script>`,
			[]string{`text http://a.example.com/x +script`}},
		{"another scheme around a link", `<a href="ms-word:ofe|u|https://a.example.com/x.doc">x</a>`,
			[]string{`anchor https://a.example.com/x.doc raw "ms-word:ofe|u|https://a.example.com/x.doc" shown "x"`}},

		{"sources", `<iframe src="http://a.example.com/1"></iframe><embed src=http://a.example.com/2><object data=http://a.example.com/3></object><video poster=http://a.example.com/4></video><td background=http://a.example.com/5><input type=image src=http://a.example.com/6><link rel=stylesheet href=http://a.example.com/7><svg><image xlink:href="http://a.example.com/8"/></svg>`,
			[]string{`source http://a.example.com/1`, `source http://a.example.com/2`, `source http://a.example.com/3`, `source http://a.example.com/4`,
				`source http://a.example.com/5`, `source http://a.example.com/6`, `source http://a.example.com/7`, `source http://a.example.com/8`}},
		{"candidates", `<img srcset="http://a.example.com/1,2 1x, http://a.example.com/3 2x,http://a.example.com/4">`,
			[]string{`source http://a.example.com/1,2`, `source http://a.example.com/3`, `source http://a.example.com/4`}},
		{"forms", `<form action=http://a.example.com/1><button formaction=http://a.example.com/2>Go</button></form>`,
			[]string{`form http://a.example.com/1`, `form http://a.example.com/2`}},
		{"refresh", `<meta http-equiv="Refresh" content="0; URL = 'http://a.example.com/1'"><meta content="5;http://a.example.com/2" http-equiv=refresh><meta name=x content="0;url=http://a.example.com/3">`,
			[]string{`refresh http://a.example.com/1`, `refresh http://a.example.com/2`}},
		{"style sheets", `<style>@import "http://a.example.com/1.css"; @media (x) { a { background: URL( http://a.example.com/2 ) } }</style><p style="color:rgb(0,0,0);background:url(&quot;http://a.example.com/3&quot;)"><p style="background:url('http\3a//a.example.com/4')">`,
			[]string{`source http://a.example.com/1.css`, `source http://a.example.com/2`, `source http://a.example.com/3`, `source http://a.example.com/4`}},
		{"an svg anchor", `<svg><a xlink:href="http://a.example.com/"><text>go</text></a></svg>`,
			[]string{`anchor http://a.example.com/ shown "go"`}},

		{"text in the clear", `<p>See http://a.example.com/x, or <i>www.example.org</i>.</p>`,
			[]string{`text http://a.example.com/x`, `text http://www.example.org/ +schemeless raw "www.example.org"`}},
		{"text broken by elements", `http://ev<b>il.exam</b>ple.c<!-- -->om/lo<wbr>gin&#47;x&shy;y`,
			[]string{`text http://evil.example.com/login/xy`}},
		{"blocks break text", `<td>http://a.example.com</td><td>/x</td><p>http://b.example.com<br>org</p>`,
			[]string{`text http://a.example.com/ raw "http://a.example.com"`, `text http://b.example.com/ raw "http://b.example.com"`}},
		{"elements that a style sheet may part", `<b>http://a.example.com</b><span>Call us</span>`,
			[]string{`text http://a.example.comcall/ raw "http://a.example.comCall"`, `text http://a.example.com/ raw "http://a.example.com"`}},
		{"hidden text is looked at", `<div style="display:none">http://a.example.com/x</div>`, []string{`text http://a.example.com/x`}},
		{"raw text", `<title>www.example.com</title><textarea><a href="http://no.example.com"></textarea>`,
			[]string{`text http://www.example.com/ +schemeless raw "www.example.com"`, `text http://no.example.com/ raw "http://no.example.com"`}},

		{"comments hide", `<!-- <a href="http://no.example.com/">x</a> --><!--><a href="http://a.example.com/">x</a>--!><!--->`,
			[]string{`anchor http://a.example.com/ shown "x"`}},
		{"but not from Outlook", `<!--[if mso]><v:roundrect href="http://a.example.com/"><center>Go</center></v:roundrect><![endif]--><!--[if !mso]><!--><a href="http://b.example.com/">Go</a><!--<![endif]-->`,
			[]string{`anchor http://a.example.com/ shown "Go"`, `anchor http://b.example.com/ shown "Go"`}},
		{"what some clients render", `<noscript><a href="http://a.example.com/">1</a></noscript><iframe><a href="http://b.example.com/">2</a></iframe>`,
			[]string{`anchor http://a.example.com/ shown "1"`, `anchor http://b.example.com/ shown "2"`}},
		{"raw text that never ends is markup after all", `<title><a href="http://a.example.com/">1</a><style><script><a href="http://b.example.com/">2</a>`,
			[]string{`anchor http://a.example.com/ shown "1"`, `anchor http://b.example.com/ shown "2"`}},
		{"a script within a script's comment", `<script><!--<script></script>"<a href='//no.example.com'></script> <a href="http://a.example.com/">1</a>`,
			[]string{`anchor http://a.example.com/ shown "1"`}},
		{"a character data section", `<svg><![CDATA[http://a.example.com/]]></svg>`, []string{`text http://a.example.com/`}},
		{"a document in an attribute", `<iframe srcdoc="&lt;a href='http://a.example.com/'&gt;x&lt;/a&gt;"></iframe>`,
			[]string{`anchor http://a.example.com/ shown "x"`}},
		{"a tag that never ends is dropped", `<a href="http://a.example.com/">1</a><a href="http://no.example.com/`,
			[]string{`anchor http://a.example.com/ shown "1"`}},
		{"signs that are none", `a < b <3 <> </> <!x> <?php "http://no.example.com" ?> http://a.example.com`,
			[]string{`text http://a.example.com/ raw "http://a.example.com"`}},
		{"XHTML-IM", `<body xmlns="http://www.w3.org/1999/xhtml"><p>see <a href='http://a.example.com/'>this</a><br/></p></body>`,
			[]string{`anchor http://a.example.com/ shown "this"`}},
		{"a byte order mark", "\ufeff<a href=http://a.example.com/>1", []string{`anchor http://a.example.com/ shown "1"`}},
		{"what mark-up inside of text shows has no white space around it", "<![CDATA[[ here\n|http://a.example.com/]]>",
			[]string{`anchor http://a.example.com/ shown "here"`}},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := linesOf(message.HTML, test.html)
			if strings.Join(got, "\n") != strings.Join(test.want, "\n") {
				t.Errorf("%s\n got\n\t%s\nwant\n\t%s", test.html, strings.Join(got, "\n\t"), strings.Join(test.want, "\n\t"))
			}
		})
	}
}

// TestHTMLBounds holds the bounds at n and at one past n.
func TestHTMLBounds(t *testing.T) {
	const anchor = `<a href="http://a.example.com/">x</a>`
	nested := func(depth int) string {
		doc := anchor
		for range depth {
			doc = `<iframe srcdoc="` + html.EscapeString(doc) + `"></iframe>`
		}
		return doc
	}
	for _, test := range []struct {
		name, html string
		links      int
		want       string
	}{
		{"links", strings.Repeat(anchor, message.MaxFound), message.MaxFound, ""},
		{"one link too many", strings.Repeat(anchor, message.MaxFound+1), message.MaxFound, "message: over the bound of links, 28 bytes not scanned"},
		{"links in one anchor", anchor[:len(anchor)-4] + strings.Repeat(`<img src=//b.example.com>`, message.MaxFound), message.MaxFound, "message: over the bound of links, 16 bytes not scanned"},
		{"size", strings.Repeat(" ", message.MaxTextPart-len(anchor)) + anchor, 1, ""},
		{"a byte too many", strings.Repeat(" ", message.MaxTextPart-len(anchor)) + anchor + "x", 1, "message: over the bound of size, 1 bytes not scanned"},
		{"documents in attributes", nested(message.MaxSrcdoc), 1, ""},
		{"one document too deep", nested(message.MaxSrcdoc + 1), 0, "message: over the bound of depth, 37 bytes not scanned"},
	} {
		t.Run(test.name, func(t *testing.T) {
			checkBound(t, message.HTML, test.html, test.links, test.want)
		})
	}
}

// checkBound expects so many links of a message, and of what was not looked at
// so many words.
func checkBound(t *testing.T, typ message.Type, text string, wantLinks int, want string) {
	t.Helper()
	links, got := 0, ""
	for _, err := range message.Links(typ, text) {
		if err != nil {
			got += err.Error()
		} else {
			links++
		}
	}
	if links != wantLinks || got != want {
		t.Errorf("got %d links and %q, want %d and %q", links, got, wantLinks, want)
	}
}

// TestHTMLShownBound cuts a long text at a character's end.
func TestHTMLShownBound(t *testing.T) {
	for f := range message.Links(message.HTML, "<a href=http://a.example.com/>"+strings.Repeat("é", message.MaxShown)+"</a>") {
		if len(f.Shown) != message.MaxShown || !utf8.ValidString(f.Shown) {
			t.Errorf("shown is %d bytes, want %d of whole characters", len(f.Shown), message.MaxShown)
		}
	}
}

// TestHTMLOffsets puts a link into every place that holds one and asks for it
// where it stands.
func TestHTMLOffsets(t *testing.T) {
	const link = "http://a.example.com/x"
	for _, doc := range []string{
		"<a href='%'>x</a>", "<img src= % >", "<p>&nbsp;&amp; see %</p>", "a\u200bb<i>c</i> % d", "<img srcset='x 1x, % 2x'>",
		"<p style='background:url( % )'>", "<style>@import '%';</style>", "<meta http-equiv=refresh content='0;url=%'>",
		`<script>a="\/"; b="%"</script>`, "<!--[if mso]><v:rect href='%'><![endif]-->", "<title>%</title>",
	} {
		at := strings.IndexByte(doc, '%')
		found := false
		for f, err := range message.Links(message.HTML, strings.Replace(doc, "%", link, 1)) {
			found = true
			if err != nil || f.Offset != at || f.Raw != link {
				t.Errorf("%s: got %q at %d, want %q at %d (%v)", doc, f.Raw, f.Offset, link, at, err)
			}
		}
		if !found {
			t.Errorf("%s: nothing found", doc)
		}
	}
}

func TestHTMLOffsetBehindAScript(t *testing.T) {
	const link = "http://a.example.com/x"
	const doc = `<p>&lt;&lt;javascript:x='http:\/\/b.example.com/' <b>see</b> &amp; ` + link
	for f, err := range message.Links(message.HTML, doc) {
		if err == nil && f.Raw == link {
			if at := strings.Index(doc, link); f.Offset != at {
				t.Errorf("got offset %d, want %d", f.Offset, at)
			}
			return
		}
	}
	t.Error("it is not found")
}

// TestHTMLLinear feeds what would make a scanner go back over its text: eight
// times the text may not take much more than eight times as long.
func TestHTMLLinear(t *testing.T) {
	for _, unit := range []string{
		"<a href='", "<title>", "<script>", "<!--", "<![CDATA[", "<iframe>", "<noscript>", "<!--[if x]>", "<script><!--", "<b>.", "<b>a.",
		"<a href=x>", "<td>", "&", "&#1", "<a b=c ", "http://a<b>.", "<style>@import '", "<p style='x(", "<img srcset='(,", "--!", "</", "<base>",
		"<a href=relative>", "<?", "<img src=x alt=' '>", "&shy;.a<i>",
	} {
		checkLinear(t, unit, func(size int) {
			linesOf(message.HTML, strings.Repeat(unit, size/len(unit)))
		})
	}
}

// checkLinear fails if eight times the size takes much more than eight times
// as long, five times in a row. Quadratic would be 64 times; on a busy machine
// one measurement says little.
func checkLinear(t *testing.T, name string, f func(size int)) {
	t.Helper()
	const small, big = 1 << 15, 1 << 18
	var time1, time8 time.Duration
	for range 5 {
		start := time.Now()
		f(small)
		time1 = time.Since(start)
		start = time.Now()
		f(big)
		if time8 = time.Since(start); time8 < 24*time1+20*time.Millisecond {
			return
		}
	}
	t.Errorf("%.20s: %d bytes take %v, %d take %v", name, small, time1, big, time8)
}

// TestHTMLAgainstTokenizer reads documents put together from what is hard to
// read: each web link that the tokenizer of x/net sees in an attribute must be
// found.
func TestHTMLAgainstTokenizer(t *testing.T) {
	fragments := []string{
		"<", ">", "/", "=", `"`, "'", " ", "\n", "!", "-", "--", "-->", "--!>", "<!--", "<!", "</", "<?", "<![CDATA[", "]]>", "&", "&amp;", "&lt", "&#x61;",
		"a", "href", "x", "src", "<a ", "<a href=", `<img src="`, "</a>", "<p>", "<title>", "</title>", "</title ", "<script>", "</script>", "<script", "</script",
		"<style>", "</style>", "<textarea>", "</textarea>", "<xmp>", "</xmp>", "<iframe>", "</iframe>", "<noscript>", "</noscript>",
		"<td>", "</td>", "<b>", "</b>", "<br>", "<!--[if mso]>", "<![endif]-->", "<plaintext>", "text", "\x00", "é", "[if",
		"http://a.example.com/", "http://b.example.com/x?y=1&amp;z", `href="http://c.example.com/"`, "src='https://d.example.com/'", "action=http://e.example.com/",
		`<a href="http://f.example.com/">`, `<img src='http://g.example.com/' `, "<a href = http://h.example.com>", `<form action="http://i.example.com/"x>`,
	}
	r := rand.New(rand.NewPCG(1, 2))
	links := 0
	for range 20_000 {
		var b strings.Builder
		for range 2 + r.IntN(30) {
			i := r.IntN(len(fragments) + 20)
			b.WriteString(fragments[min(i, len(fragments)-1-i%8)]) // the last ones more often
		}
		doc := b.String()
		ours := map[link.Link]bool{}
		for f, err := range message.Links(message.HTML, doc) {
			if err != nil {
				t.Fatalf("%q: %v", doc, err)
			}
			checkFound(t, f, len(doc))
			ours[f.Link] = true
		}
		for _, v := range tokenizerLinks(doc) {
			if l, err := link.Parse(v); err == nil {
				links++
				if !ours[l] {
					t.Fatalf("%q: missed %q", doc, v)
				}
			}
		}
	}
	if links < 1000 {
		t.Errorf("the documents hold %d links, too few to tell", links)
	}
}
