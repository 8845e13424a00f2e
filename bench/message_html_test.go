package bench

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/mail"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/net/html"

	"headlight.example/message"
)

// BenchmarkHTML finds the links of HTML mail: ours, with each link parsed and
// compared with what is shown, beside the tokenizer and the parser of x/net,
// which only give the values of the attributes. With HEADLIGHT_HTML naming a
// directory of .html files these are read as well, one after the other.
func BenchmarkHTML(b *testing.B) {
	corpora := map[string][]string{
		"newsletter_100KB": {newsletter(1, 70)},
		"notice_4KB":       {newsletter(2, 2)},
	}
	if dir := os.Getenv("HEADLIGHT_HTML"); dir != "" {
		files, err := filepath.Glob(filepath.Join(dir, "*.html"))
		if err != nil || len(files) == 0 {
			b.Fatalf("no .html file in %s: %v", dir, err)
		}
		for _, f := range files {
			doc, err := os.ReadFile(f)
			if err != nil {
				b.Fatal(err)
			}
			corpora["files"] = append(corpora["files"], string(doc))
		}
	}
	finders := []struct {
		name string
		find func(string) int
	}{
		{"headlight", countHTML},
		{"xnet_tokenizer", tokenizerLinks},
		{"xnet_parse", parserLinks},
	}
	for name, docs := range corpora {
		size := 0
		for _, d := range docs {
			size += len(d)
		}
		for _, f := range finders {
			b.Run(name+"/"+f.name, func(b *testing.B) {
				b.SetBytes(int64(size))
				b.ReportAllocs()
				n := 0
				for b.Loop() {
					n = 0
					for _, d := range docs {
						n += f.find(d)
					}
				}
				if n == 0 {
					b.Fatal("no links")
				}
				b.ReportMetric(float64(n), "links")
			})
		}
	}
}

// BenchmarkMail finds the links of a whole mail: text in quoted-printable, the
// newsletter in base64, an image.
func BenchmarkMail(b *testing.B) {
	m := newsletterMail()
	for _, f := range []struct {
		name string
		find func(string) int
	}{
		{"headlight", countMail},
		{"netmail_multipart_xnet", func(s string) int {
			n, err := stdMailLinks(strings.NewReader(s))
			if err != nil {
				b.Fatal(err)
			}
			return n
		}},
	} {
		b.Run(f.name, func(b *testing.B) {
			b.SetBytes(int64(len(m)))
			b.ReportAllocs()
			n := 0
			for b.Loop() {
				n = f.find(m)
			}
			if n == 0 {
				b.Fatal("no links")
			}
			b.ReportMetric(float64(n), "links")
		})
	}
}

func countHTML(s string) (n int) {
	for _, err := range message.Links(message.HTML, s) {
		if err == nil {
			n++
		}
	}
	return n
}

func countMail(s string) (n int) {
	for _, err := range message.Links(message.Mail, s) {
		if err == nil {
			n++
		}
	}
	return n
}

// tokenizerLinks counts the links in href, src, action and background.
func tokenizerLinks(s string) (n int) {
	z := html.NewTokenizer(strings.NewReader(s))
	for {
		switch z.Next() {
		case html.ErrorToken:
			return n
		case html.StartTagToken, html.SelfClosingTagToken:
			_, more := z.TagName()
			for more {
				var key, val []byte
				key, val, more = z.TagAttr()
				switch string(key) {
				case "href", "src", "action", "background":
					if bytes.HasPrefix(val, []byte("http")) {
						n++
					}
				}
			}
		}
	}
}

func parserLinks(s string) (n int) {
	root, err := html.Parse(strings.NewReader(s))
	if err != nil {
		return 0
	}
	for node := range root.Descendants() {
		for _, a := range node.Attr {
			switch a.Key {
			case "href", "src", "action", "background":
				if strings.HasPrefix(a.Val, "http") {
					n++
				}
			}
		}
	}
	return n
}

// stdMailLinks walks a mail with the standard library and x/net.
func stdMailLinks(r io.Reader) (int, error) {
	m, err := mail.ReadMessage(r)
	if err != nil {
		return 0, err
	}
	media, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil || !strings.HasPrefix(media, "multipart/") {
		return 0, fmt.Errorf("type %q: %w", media, err)
	}
	n := 0
	parts := multipart.NewReader(m.Body, params["boundary"])
	for {
		p, err := parts.NextRawPart()
		if errors.Is(err, io.EOF) {
			return n, nil
		}
		if err != nil {
			return n, err
		}
		var body io.Reader = p
		switch p.Header.Get("Content-Transfer-Encoding") {
		case "base64":
			body = base64.NewDecoder(base64.StdEncoding, p)
		case "quoted-printable":
			body = quotedprintable.NewReader(p)
		}
		if !strings.HasPrefix(p.Header.Get("Content-Type"), "text/") {
			continue
		}
		text, err := io.ReadAll(body)
		if err != nil {
			return n, err
		}
		n += tokenizerLinks(string(text))
	}
}

// newsletter writes a newsletter as the usual editors do: tables in tables,
// styles in every tag, pictures, tracked links. It has a link in 680 bytes and
// a start tag in 100, as has the HTML of 900 real mails (780 and 86). 70
// stories make 100 KB.
func newsletter(seed uint64, stories int) string {
	r := rand.New(rand.NewPCG(seed, 0))
	words := strings.Fields("the new season brings lower prices for all our customers and more to discover each week " +
		"with free delivery until Sunday read what others say about it before you order or visit our store today")
	prose := func(n int) string {
		var b strings.Builder
		for i := range n {
			b.WriteString(words[r.IntN(len(words))])
			switch {
			case i == n-1:
				b.WriteByte('.')
			case i%11 == 10:
				b.WriteString(". ")
			default:
				b.WriteByte(' ')
			}
		}
		return b.String()
	}
	var b strings.Builder
	b.WriteString(`<!DOCTYPE html><html lang="en"><head><meta http-equiv="Content-Type" content="text/html; charset=utf-8">
<title>Weekly offers</title><style type="text/css">
body { margin: 0; padding: 0; -webkit-text-size-adjust: 100%; } table td { border-collapse: collapse; }
@media only screen and (max-width:480px) { .column { width: 100% !important; } .hide { display: none !important; } }
</style><!--[if mso]><style>table { font-family: Arial, sans-serif !important; }</style><![endif]--></head>
<body style="margin:0;padding:0;background-color:#f4f4f4;"><div style="display:none;max-height:0;overflow:hidden;">` + prose(12) + strings.Repeat("&nbsp;&zwnj;", 40) + `</div>
<table width="100%" border="0" cellspacing="0" cellpadding="0" role="presentation">`)
	for i := range stories {
		fmt.Fprintf(&b, `
<tr>
  <td align="center" valign="top" class="column" style="padding:10px 20px 10px 20px;font-family:Arial,Helvetica,sans-serif;font-size:14px;line-height:20px;color:#333333;">
    <a href="https://click.news.example.com/ls/click?upn=%x-%x&amp;campaign=%d&amp;utm_source=newsletter" target="_blank" style="color:#0073aa;text-decoration:none;"><img src="https://images.example.net/%d/story-%d.jpg" width="560" height="280" alt="Story %d" border="0" style="display:block;max-width:100%%;"></a>
    <h2 style="margin:0;font-size:20px;">%s</h2>
    <p style="margin:0 0 10px 0;">%s <b>%s</b> %s</p>
    <table border="0" cellpadding="0" cellspacing="0" role="presentation" width="100%%" style="border-collapse:collapse;mso-table-lspace:0pt;mso-table-rspace:0pt;">
      <tbody><tr><td style="font-size:0px;padding:10px 25px;word-break:break-word;" align="left"><div style="font-family:Arial,sans-serif;font-size:13px;line-height:1.5;text-align:left;color:rgb(85,87,93);">%s</div></td></tr>
      <tr><td style="border-top:solid 1px #e0e0e0;font-size:1px;line-height:1px;" height="1">&nbsp;</td></tr></tbody>
    </table>
  </td>
</tr>`, r.Uint64(), r.Uint64(), i, i%7, i, i, prose(5), prose(16), prose(2), prose(5), prose(12))
	}
	b.WriteString(`
</table><p style="font-size:11px;">You get this because you asked for it at www.example.com. <a href="https://news.example.com/unsubscribe?id=4711">Unsubscribe</a></p>
<img src="https://open.news.example.com/o.gif" width="1" height="1" alt=""></body></html>`)
	return b.String()
}

func newsletterMail() string {
	var b, qp strings.Builder
	doc := newsletter(3, 70)
	w := quotedprintable.NewWriter(&qp)
	fmt.Fprint(w, "Weekly offers, with fewer pictures.\r\n\r\nhttps://news.example.com/2026/30?from=mail&day=monday\r\n\r\n")
	for i := range 60 {
		fmt.Fprintf(w, "Story %d costs nothing to read = nothing at all. More: https://news.example.com/story/%d\r\n", i, i)
	}
	w.Close()
	const from = "From: \"The news\" <news@example.com>\r\nTo: reader@example.org\r\nSubject: =?utf-8?q?Weekly_offers?=\r\n" +
		"Date: Mon, 27 Jul 2026 08:00:00 +0000\r\nMessage-ID: <1@example.com>\r\nMIME-Version: 1.0\r\n"
	b.WriteString(from + "Content-Type: multipart/alternative; boundary=\"b1\"\r\n\r\n")
	b.WriteString("--b1\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n")
	b.WriteString(qp.String())
	b.WriteString("\r\n--b1\r\nContent-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n")
	base64Lines(&b, doc)
	b.WriteString("\r\n--b1\r\nContent-Type: image/gif; name=o.gif\r\nContent-Transfer-Encoding: base64\r\n\r\n")
	base64Lines(&b, strings.Repeat("GIF89a", 2000))
	b.WriteString("\r\n--b1--\r\n")
	return b.String()
}

func base64Lines(b *strings.Builder, s string) {
	enc := base64.StdEncoding.EncodeToString([]byte(s))
	for len(enc) > 76 {
		b.WriteString(enc[:76] + "\r\n")
		enc = enc[76:]
	}
	b.WriteString(enc)
}
