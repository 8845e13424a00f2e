package message_test

import (
	"encoding/base64"
	"errors"
	"mime/quotedprintable"
	"strings"
	"testing"
	"unicode/utf16"

	"headlight.example/link"
	"headlight.example/message"
)

// badOnes says that links to bad.example and the hosts below are not to be followed.
func badOnes(page string) func(link.Link) (string, bool) {
	return func(l link.Link) (string, bool) {
		bad := l.Host() == "bad.example" || strings.HasSuffix(l.Host(), ".bad.example")
		if bad && page != "" {
			return page + l.Host(), true
		}
		return "", bad
	}
}

// crlf gives a text the line breaks of mail.
func crlf(s string) string { return strings.ReplaceAll(s, "\n", "\r\n") }

// wide gives a text in UTF-16, the most significant byte first.
func wide(s string) string {
	var b []byte
	for _, u := range utf16.Encode([]rune(s)) {
		b = append(b, byte(u>>8), byte(u))
	}
	return string(b)
}

func TestDefang(t *testing.T) {
	t.Parallel()
	const page = "https://linkcheck.example/?a=1&host="
	for _, test := range []struct{ name, in, want string }{
		{"text", "Subject: hi\n\nsee http://bad.example/a.html?x=http://good.example/, or\nhttp://good.example/b.html\n",
			"Subject: hi\n\nsee hxxp://bad[.]example/a[.]html?x=hxxp://good[.]example/, or\nhttp://good.example/b.html\n"},
		{"no scheme, and capitals", "Subject: hi\n\nWWW.Bad.Example/x and HTTPS://BAD.example and ftp://bad.example/",
			"Subject: hi\n\nWWW[.]Bad[.]Example/x and HXXPS://BAD[.]example and fxp://bad[.]example/"},
		{"web sockets", "Subject: hi\n\nws://bad.example/ and WSS://bad.example", "Subject: hi\n\nws[:]//bad[.]example/ and WSS[:]//bad[.]example"},
		{"defanged already", "Subject: hi\n\nhxxp://bad.example/ http://bad[.]example/", "Subject: hi\n\nhxxp://bad.example/ http://bad[.]example/"},
		{"broken over two lines", "Subject: hi\n\n<http://bad.ex\nample/>\n", "Subject: hi\n\n<hxxp://bad[.]ex\nample/>\n"},
		{"flowed", "Content-Type: text/plain; format=flowed; delsp=yes\n\n> see http://bad.ex \n> ample/a \nb\n",
			"Content-Type: text/plain; format=flowed; delsp=yes\n\n> see hxxp://bad[.]example/a \nb\n"},
		{"an anchor and its text", "Content-Type: text/html\n\n<p>Dear <a class=x href='http://bad.example/?a&amp;b'>http://bad.example/</a>, <a href=http://good.example/>bad.example</a>",
			"Content-Type: text/html\n\n<p>Dear <a class=x href='" + strings.ReplaceAll(page, "&", "&amp;") + "bad.example'>hxxp://bad[.]example/</a>, <a href=http://good.example/>bad.example</a>"},
		{"what is fetched", "Content-Type: text/html\n\n<img src=http://bad.example/a.png alt=x><img srcset='http://good.example/ 1x, http://bad.example/ 2x'><form action='http://bad.example/'>",
			"Content-Type: text/html\n\n<img src=about:blank#blocked alt=x><img srcset='http://good.example/ 1x, about:blank#blocked 2x'><form action='about:blank#blocked'>"},
		{"style, refresh, script", "Content-Type: text/html\n\n<p style='color:red;background:url(http://bad.example/)'><style>@import 'http://bad.example/';</style><meta http-equiv=refresh content='0;url=http://bad.example/'><script>location='http:\\/\\/bad.example\\/'</script>",
			"Content-Type: text/html\n\n<p style='color:red;background:url(about:blank#blocked)'><style>@import 'about:blank#blocked';</style><meta http-equiv=refresh content='0;url=about:blank#blocked'><script></script>"},
		{"an escaped URL", "Content-Type: text/html\n\n<a href='&#104;ttp://bad&#46;example/'>x</a><img src='http&#58;//bad.example/'><p onclick='location=&quot;http://bad.example/&quot;'>",
			"Content-Type: text/html\n\n<a href='" + strings.ReplaceAll(page, "&", "&amp;") + "bad.example'>x</a><img src='about:blank#blocked'><p onclick=''>"},
		{"text over elements, with references", "Content-Type: text/html\n\n<i>see http://b<b>ad.exa</b>mple&#47;?a&amp;b</i> then",
			"Content-Type: text/html\n\n<i>see hxxp://bad[.]example/?a&amp;b<b></b></i> then"},
		{"a base", "Content-Type: text/html\n\n<base href='http://bad.example/x/'><a href='login'>a</a><a href='http://good.example/'>b</a>",
			"Content-Type: text/html\n\n<base href='http://bad.example/x/'><a href='" + strings.ReplaceAll(page, "&", "&amp;") + "bad.example'>a</a><a href='http://good.example/'>b</a>"},
		{"a document in an attribute", "Content-Type: text/html\n\n<iframe srcdoc='&lt;a href=http://bad.example/>'></iframe>", "Content-Type: text/html\n\n<iframe srcdoc=''></iframe>"},
		{"what only Outlook reads", "Content-Type: text/html\n\n<!--[if mso]><v:rect href='http://bad.example/'><![endif]-->",
			"Content-Type: text/html\n\n<!--[if mso]><v:rect href='" + strings.ReplaceAll(page, "&", "&amp;") + "bad.example'><![endif]-->"},
		{"quoted-printable", "Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: quoted-printable\n\nGr=C3=BC=\n=C3=9Fe =3D http://bad.ex=\nample/?a=3Db&c =3D =\nx =20\n",
			"Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: quoted-printable\n\nGr=C3=BC=\n=C3=9Fe =3D =\nhxxp://bad[.]example/?a=3Db&c=\n =3D =\nx =20\n"},
		{"base64", "Content-Transfer-Encoding: base64\n\n" + base64.StdEncoding.EncodeToString([]byte("see http://bad.example/")) + "\n\n",
			"Content-Transfer-Encoding: base64\n\n" + base64.StdEncoding.EncodeToString([]byte("see hxxp://bad[.]example/")) + "\n\n"},
		{"Latin-1", "Content-Type: text/plain; charset=iso-8859-1\n\nGr\xfc\xdfe http://bad.example/\xfc von http://good.example/\xfc\n",
			"Content-Type: text/plain; charset=iso-8859-1\n\nGr\xfc\xdfe hxxp://bad[.]example/\xfc von http://good.example/\xfc\n"},
		{"Shift_JIS in quoted-printable", "Content-Type: text/plain; charset=shift_jis\nContent-Transfer-Encoding: quoted-printable\n\n=83\\=83\\ http://bad.example/ =83\\\n",
			"Content-Type: text/plain; charset=shift_jis\nContent-Transfer-Encoding: quoted-printable\n\n=83\\=83\\ =\nhxxp://bad[.]example/=\n =83\\\n"},
		{"ISO-2022-JP", "Content-Type: text/plain; charset=iso-2022-jp\n\n\x1b$B$3\x1b(B http://bad.example/ \x1b$B$3\x1b(B\n",
			"Content-Type: text/plain; charset=iso-2022-jp\n\n\x1b$B$3\x1b(B hxxp://bad[.]example/ \x1b$B$3\x1b(B\n"},
		{"a mark of UTF-8", "Content-Type: text/plain\n\n\ufeffhttp://bad.example/", "Content-Type: text/plain\n\n\ufeffhxxp://bad[.]example/"},
		{"UTF-16 with a mark, in base64", "Content-Transfer-Encoding: base64\n\n" + base64.StdEncoding.EncodeToString([]byte(wide("\ufeff\u4e16 http://bad.example/"))),
			"Content-Transfer-Encoding: base64\n\n" + base64.StdEncoding.EncodeToString([]byte(wide("\ufeff\u4e16 hxxp://bad[.]example/")))},
		{"parts in parts, and what is around them", "Content-Type: multipart/mixed; boundary=x\n\nhttp://bad.example/1\n--x\nContent-Type: multipart/alternative; boundary=\"y z\"\n\n--y z\n\nhttp://bad.example/2\n--y z\nContent-Type: text/html\n\n<a href=\"http://good.example/\">\n--y z--\n\n--x\nContent-Type: image/png\nContent-Transfer-Encoding: base64\n\niVBORw0KGgo=\n--x--\nhttp://bad.example/3\n",
			"Content-Type: multipart/mixed; boundary=x\n\nhxxp://bad[.]example/1\n--x\nContent-Type: multipart/alternative; boundary=\"y z\"\n\n--y z\n\nhxxp://bad[.]example/2\n--y z\nContent-Type: text/html\n\n<a href=\"http://good.example/\">\n--y z--\n\n--x\nContent-Type: image/png\nContent-Transfer-Encoding: base64\n\niVBORw0KGgo=\n--x--\nhxxp://bad[.]example/3\n"},
		{"a message in a message", "Content-Type: message/rfc822\n\nSubject: inner\n\nhttp://bad.example/\n", "Content-Type: message/rfc822\n\nSubject: inner\n\nhxxp://bad[.]example/\n"},
		{"a page attached", "Content-Type: multipart/mixed; boundary=x\n\n--x\nContent-Type: application/octet-stream; name=a.html\n\n<a href=http://bad.example/>\n--x--\n",
			"Content-Type: multipart/mixed; boundary=x\n\n--x\nContent-Type: application/octet-stream; name=a.html\n\n<a href=" + strings.ReplaceAll(page, "&", "&amp;") + "bad.example>\n--x--\n"},
	} {
		for _, x := range [][2]string{{test.in, test.want}, {crlf(test.in), crlf(test.want)}} {
			out, left, err := message.Defang(x[0], badOnes(page))
			if out != x[1] || left != 0 || err != nil {
				t.Errorf("%s: %d left, %v\ngot  %q\nwant %q", test.name, left, err, out, x[1])
			}
		}
	}
}

// longest is how long the longest line is, RFC 5322 §2.1.1.
func longest(s string) (n int) {
	for line := range strings.SplitSeq(s, "\n") {
		n = max(n, len(strings.TrimSuffix(line, "\r")))
	}
	return n
}

// A line that may be sent is not made one that may not.
func TestDefangKeepsLinesShort(t *testing.T) {
	t.Parallel()
	const page = "https://linkcheck.example/?host="
	plain := func(line string) string { return "Subject: hi\n\nhello\n" + line + "\nbye\n" }
	markup := func(line string) string { return "Content-Type: text/html\n\n<p>\n" + line + "\n</p>\n" }
	for _, test := range []struct {
		name string
		in   func(line string) string
		raw  string
		n    int    // length of the line with it, before
		want string // in place of raw; "" if it need not be looked at
	}{
		{"there is room", plain, "http://bad.example/a.b", 994, "hxxp://bad[.]example/a[.]b"},
		{"a byte too few", plain, "http://bad.example/a.b", 995, "hxxp://bad[.]exampl..."},
		{"none", plain, "http://bad.example/a.b", 998, "hxxp://bad[.]exampl..."},
		{"a line that is too long anyway", plain, "http://bad.example/a.b", 999, "hxxp://bad[.]example/a[.]b"},
		{"two in a line", plain, "http://bad.example/a http://bad.example/b", 995, "hxxp://bad[.]exam... hxxp://bad[.]exam..."},
		{"a cut within a character", plain, "http://bad.example/üabcd", 998, "hxxp://bad[.]example/..."},
		{"without a scheme", plain, "www.bad.example", 998, "www[.]bad[.]..."},
		{"all of a line", plain, "http://bad.example/" + strings.Repeat("a.", 489) + "b", 998, ""},
		{"an anchor", markup, "<a href='http://bad.example/'>a</a>", 960, "<a href='" + page + "bad.example'>a</a>"},
		{"an anchor without room", markup, "<a href='http://bad.example/'>a</a>", 990, "<a href='about:blank#blocked'>a</a>"},
		{"a picture without room", markup, "<img src=//bad.example/>", 998, "<img src=>"},
		{"text without room", markup, "<i>http://bad.example/?abc&amp;d</i>", 998, "<i>hxxp://bad[.]example/?abc...</i>"},
		{"text in pieces", markup, "<i>http://b<b>ad.example/</b></i>", 998, "<i>hxxp:...<b></b></i>"},
		{"a letter of it", markup, "<i>h<b>ttp://bad.example/</b></i>", 998, "<i><b></b></i>"},
	} {
		for _, newline := range []string{"\n", "\r\n"} {
			fill := strings.Repeat("x", test.n-len(test.raw)) // and as wide as a space
			if len(fill) > 0 {
				fill = fill[1:] + " "
			}
			in := strings.ReplaceAll(test.in(fill+test.raw), "\n", newline)
			out, left, err := message.Defang(in, badOnes(page))
			want := strings.ReplaceAll(test.in(fill+test.want), "\n", newline)
			if test.want == "" {
				want = out
			}
			if out != want || left != 0 || err != nil || out == in || canFollow(out, badOnes(page)) != 0 {
				t.Errorf("%s: %d left, %v\ngot  %q\nwant %q", test.name, left, err, strings.ReplaceAll(out, "xxx", ""), strings.ReplaceAll(want, "xxx", ""))
			}
			if n := longest(out); test.n <= 998 && n > 998 {
				t.Errorf("%s: a line of %d bytes became one of %d", test.name, test.n, n)
			}
		}
	}

	// Lines that the link would join: it stays, and is counted.
	in := "Content-Type: text/plain; format=flowed; delsp=yes\n\n" + strings.Repeat("x", 900) + " http://bad.ex \nample/a " + strings.Repeat("y", 100) + "\n"
	if out, left, err := message.Defang(in, badOnes("")); out != in || left != 1 || err != nil {
		t.Errorf("flowed: %d left, %v, as it was: %t", left, err, out == in)
	}
}

func TestDefangLeaves(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, in string
		left     int
		err      error
	}{
		{"nothing bad", "Subject: http://good.example/\n\nhttp://good.example/", 0, nil},
		{"the header", "Subject: http://bad.example/\nList-Unsubscribe: <http://bad.example/>\n\nhello", 2, nil},
		{"a message in an encoding", "Content-Type: message/rfc822\nContent-Transfer-Encoding: base64\n\n" + base64.StdEncoding.EncodeToString([]byte("Subject: a\n\nhttp://bad.example/")), 1, nil},
		{"parts in an encoding", "Content-Type: multipart/mixed; boundary=x\nContent-Transfer-Encoding: base64\n\n" + base64.StdEncoding.EncodeToString([]byte("--x\n\nhttp://bad.example/")), 1, nil},
		{"UTF-7", "Content-Type: text/plain; charset=utf-7\n\nhttp+ADo-//bad.example/", 1, nil},
		{"uuencode", "Content-Transfer-Encoding: x-uuencode\n\nbegin 644 a\n4:'1T<#HO+V)A9\"YE>&%M<&QE+PH \n \nend\n", 1, nil},
		{"signed", "Content-Type: Multipart/Signed; boundary=x\n\n--x\n\nhttp://bad.example/\n--x\nContent-Type: application/pgp-signature\n\nx\n--x--\n", 0, message.ErrSealed},
		{"encrypted", "Content-Type: multipart/encrypted; boundary=x\n\n--x\n\nhttp://bad.example/\n--x--\n", 0, message.ErrSealed},
		{"S/MIME", "Content-Type: application/pkcs7-mime; name=smime.p7m\n\nhttp://bad.example/", 0, message.ErrSealed},
		{"signed by a list, within", "Content-Type: multipart/mixed; boundary=x\n\n--x\n\nhttp://bad.example/\n--x\nContent-Type: message/rfc822\n\nContent-Type: multipart/signed\n\nhello\n--x--\n", 0, message.ErrSealed},
		{"inline PGP in base64", "Content-Transfer-Encoding: base64\n\n" + base64.StdEncoding.EncodeToString([]byte("hi\r\n-----BEGIN PGP SIGNED MESSAGE-----\r\n\r\nhttp://bad.example/")), 0, message.ErrSealed},
	} {
		for _, in := range []string{test.in, crlf(test.in)} {
			if out, left, err := message.Defang(in, badOnes("")); out != in || left != test.left || !errors.Is(err, test.err) {
				t.Errorf("%s: %d left, %v, want %d, %v; as it was: %t", test.name, left, err, test.left, test.err, out == in)
			}
		}
	}
}

// canFollow counts the links that can be followed to places that are bad.
func canFollow(mail string, instead func(link.Link) (string, bool)) (n int) {
	for f, err := range message.Links(message.Mail, mail) {
		if err != nil || f.Link.IsZero() || f.Marks&message.Defanged != 0 {
			continue
		}
		if _, bad := instead(f.Link); bad {
			n++
		}
	}
	return n
}

const linkcheck = "https://linkcheck.example/?host="

// allBad says that all links are bad but those to the page.
func allBad(l link.Link) (string, bool) { return linkcheck, l.Host() != "linkcheck.example" }

// Where nothing is bad nothing changes; where all is bad, what is left is counted,
// and in a plain mail nothing is.
func FuzzDefang(f *testing.F) {
	addMails(f)
	f.Add("<a href='&#104;ttp://bad&#46;example/'>http://b<b>ad.exa</b>mple</a><style>@import 'http:\\//a.example'</style>")
	f.Add("<p>http://1.2.3.4/ www.example.com<b>.example.org</b> [::1] http://[::1]/ \u200bhttp://a\u3002example/")
	f.Fuzz(func(t *testing.T, s string) {
		none := func(link.Link) (string, bool) { return "", false }
		if out, left, err := message.Defang(s, none); out != s || left != 0 || err != nil && !errors.Is(err, message.ErrSealed) {
			t.Errorf("without a bad link: %d left, %v; as it was: %t", left, err, out == s)
		}
		out, left, err := message.Defang(s, allBad)
		switch {
		case err != nil && out != s:
			t.Error("a sealed mail is written anew")
		case err == nil && canFollow(out, allBad) != left:
			t.Errorf("%d are said to be left, %d are:\n%q", left, canFollow(out, allBad), out)
		}
		if strings.HasPrefix(s, "\xff\xfe") || strings.HasPrefix(s, "\xfe\xff") || strings.IndexByte(s, 0) >= 0 {
			return // UTF-16, in which half a character cannot be written
		}
		// In lines that have no room, the first hundred of them.
		var full strings.Builder
		full.WriteString("Content-Type: text/html; charset=utf-8\n\n")
		for _, line := range strings.SplitAfterN(strings.ReplaceAll(s, "\r", ""), "\n", 100) {
			full.WriteString(strings.Repeat("x", max(997-len(strings.TrimSuffix(line, "\n")), 0)) + " " + line)
		}
		for _, in := range []string{s, full.String(), strings.Replace(full.String(), "html", "plain", 1)} {
			out, left, err := message.Defang(in, allBad)
			if before, after := longest(in), longest(out); before <= 998 && after > 998 {
				t.Errorf("the longest line had %d bytes, and has %d", before, after)
			}
			if err == nil && canFollow(out, allBad) != left {
				t.Errorf("%d are said to be left, %d are:\n%q", left, canFollow(out, allBad), out)
			}
		}
		var quoted strings.Builder
		q := quotedprintable.NewWriter(&quoted)
		q.Write([]byte(s))
		q.Close()
		for _, kind := range []string{"text/plain", "text/html"} {
			for encoding, body := range map[string]string{"8bit": s, "base64": base64.StdEncoding.EncodeToString([]byte(s)), "quoted-printable": quoted.String()} {
				in := "Content-Type: " + kind + "; charset=utf-8\nContent-Transfer-Encoding: " + encoding + "\n\n" + body
				out, left, err := message.Defang(in, allBad)
				if n := canFollow(out, allBad); err == nil && (left > 0 || n > 0) {
					t.Errorf("%s in %s: %d are said to be left, %d are:\n%q\nbecame\n%q", kind, encoding, left, n, in, out)
				}
			}
		}
	})
}
