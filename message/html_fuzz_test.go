package message_test

import (
	"strings"
	"testing"

	"golang.org/x/net/html"

	"headlight.example/link"
	"headlight.example/message"
)

// FuzzHTML compares with the tokenizer of x/net: every web link in an href,
// src or action that it sees must be found, save where we read a document
// otherwise on purpose. Whatever is found must be in bounds.
func FuzzHTML(f *testing.F) {
	for _, seed := range []string{
		`<p>Dear <a href="http://a.example.com/x?a=1&amp;b=2">www.example.org</a> http://ev<b>il.exam</b>ple/`,
		`<!--[if mso]><v:rect href='http://a.example.com'><![endif]--><base href="http://b.example.com/x/"><img src=y srcset="z 1x">`,
		`<script><!--<script></script>"</script>--></script><style>@import "http://a.example.com"; a{b:url(http://c.example.com)}</style>`,
		`<meta http-equiv=refresh content="0;url=http://a.example.com"><form action=//a.example.com><iframe srcdoc="&lt;a href=http://a.example.com&gt;">`,
		"<a href=\"java\nscript:x('http://a.example.com')\" onclick=x href='data:,'>&#104;ttp&colon;//a.example.com&shy;/</a><![CDATA[http://b.example.com]]>",
		"<textarea></textareax></textarea ><title/><a/href=http://a.example.com/ /=x ==y>\u200bwww.\u200cexample.com",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		ours := map[link.Link]bool{}
		for f, err := range message.Links(message.HTML, s) {
			if err != nil {
				return // past a bound anything may be missing
			}
			checkFound(t, f, len(s))
			ours[f.Link] = true
		}
		for _, v := range tokenizerLinks(s) {
			if l, err := link.Parse(v); err == nil && !ours[l] {
				t.Errorf("missed %q", v)
			}
		}
	})
}

// checkFound holds what is true of every finding in a part of size bytes.
func checkFound(t *testing.T, f message.Found, size int) {
	t.Helper()
	if f.Link.IsZero() != (f.Marks&(message.Data|message.Script) != 0) && !(f.Marks&message.Script != 0 && f.Where == message.InText) {
		t.Errorf("%q leads to %q with marks %b", f.Raw, f.Link, f.Marks)
	}
	if f.Offset < 0 || f.Offset > size {
		t.Errorf("%q stands at %d of %d", f.Raw, f.Offset, size)
	}
	if len(f.Shown) > message.MaxShown || f.Raw == "" {
		t.Errorf("%q shows %d bytes", f.Raw, len(f.Shown))
	}
	if strings.Trim(f.Shown, " \t\r\n") != f.Shown {
		t.Errorf("%q shows %q", f.Raw, f.Shown)
	}
}

// tokenizerLinks gives the values that begin with a web scheme. A base is left
// out, and so is everything in a document that has one: "http:x" is relative
// there.
func tokenizerLinks(s string) (links []string) {
	z := html.NewTokenizer(strings.NewReader(s))
	for {
		switch z.Next() {
		case html.ErrorToken:
			return links
		case html.StartTagToken, html.SelfClosingTagToken:
			t := z.Token()
			for _, a := range t.Attr {
				switch {
				case t.Data == "base" && a.Key == "href":
					return nil
				case a.Key == "href" || a.Key == "src" || a.Key == "action":
					if v := strings.Trim(a.Val, "\t\n\r\f "); strings.HasPrefix(v, "http://") || strings.HasPrefix(v, "https://") {
						links = append(links, v)
					}
				}
			}
		}
	}
}
