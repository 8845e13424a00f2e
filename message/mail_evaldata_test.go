//go:build evaldata

// These tests hold the finder against real mail and chat that may not be
// published. They run by `make eval-data`, with HEADLIGHT_DATA naming the
// directory that holds messages/phishing_pot_sample.tar.gz and
// messages/lean_zulip_sample.jsonl.gz.

package message

import (
	"archive/tar"
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/mail"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/net/html"
	"golang.org/x/text/encoding/htmlindex"

	"headlight.example/link"
)

func openData(t *testing.T, name string) io.Reader {
	t.Helper()
	dir := os.Getenv("HEADLIGHT_DATA")
	if dir == "" {
		t.Fatal("HEADLIGHT_DATA is not set: name the directory that holds " + name)
	}
	f, err := os.Open(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	return z
}

// TestRealMail compares with an oracle made of net/mail, mime/multipart and
// x/net/html: every web link that it finds in an href, src or action must be
// found by us.
func TestRealMail(t *testing.T) {
	archive := tar.NewReader(openData(t, "messages/phishing_pot_sample.tar.gz"))
	var mails, bytesIn, refused, wanted, missed, found, bounds int
	byWhere := map[Where]int{}
	byMark := map[Marks]int{}
	for {
		hdr, err := archive.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if hdr.Typeflag != tar.TypeReg {
			continue
		}
		raw, err := io.ReadAll(archive)
		if err != nil {
			t.Fatal(err)
		}
		mails++
		bytesIn += len(raw)
		ours := map[link.Link]bool{}
		for f, err := range Links(Mail, string(raw)) {
			if err != nil {
				bounds++
				t.Logf("%s: %v", hdr.Name, err)
				continue
			}
			found++
			byWhere[f.Where]++
			for m := Marks(1); m <= Unsubscribe; m <<= 1 {
				if f.Marks&m != 0 {
					byMark[m]++
				}
			}
			ours[f.Link] = true
		}
		oracle, err := oracleMail(raw)
		if err != nil {
			refused++
		}
		for _, v := range oracle {
			l, err := link.Parse(v)
			if err != nil {
				continue
			}
			wanted++
			if !ours[l] {
				missed++
				t.Errorf("%s: missed %s, written %.200q", hdr.Name, l.Host(), v)
			}
		}
	}
	if mails == 0 {
		t.Fatal("no mail in the archive")
	}
	t.Logf("%d mails, %d bytes; the oracle refused some part of %d", mails, bytesIn, refused)
	t.Logf("the oracle found %d links, of which we missed %d; we found %d, past %d bounds", wanted, missed, found, bounds)
	t.Logf("by role (text, anchor, source, form, refresh, header): %v", byWhere)
	t.Logf("by mark: defanged %d, schemeless %d, broken %d, mismatch %d, script %d, data %d, unsubscribe %d",
		byMark[Defanged], byMark[Schemeless], byMark[Broken], byMark[Mismatch], byMark[Script], byMark[Data], byMark[Unsubscribe])
}

// TestRealChat does the same with chat messages in HTML.
func TestRealChat(t *testing.T) {
	lines := bufio.NewScanner(openData(t, "messages/lean_zulip_sample.jsonl.gz"))
	lines.Buffer(nil, 16<<20)
	var messages, wanted, missed, found int
	for lines.Scan() {
		var m struct{ HTML string }
		if err := json.Unmarshal(lines.Bytes(), &m); err != nil {
			t.Fatal(err)
		}
		messages++
		ours := map[link.Link]bool{}
		for f, err := range Links(HTML, m.HTML) {
			if err != nil {
				t.Errorf("message %d: %v", messages, err)
				continue
			}
			found++
			ours[f.Link] = true
		}
		for _, v := range oracleHTML(m.HTML) {
			l, err := link.Parse(v)
			if err != nil {
				continue
			}
			wanted++
			if !ours[l] {
				missed++
				t.Errorf("message %d: missed %.200q", messages, v)
			}
		}
	}
	if err := lines.Err(); err != nil || messages == 0 {
		t.Fatalf("%d messages, %v", messages, err)
	}
	t.Logf("%d messages; the oracle found %d links, of which we missed %d; we found %d", messages, wanted, missed, found)
}

// oracleMail gives the web links in the HTML parts of a mail, as written. The
// error says that a part could not be read, by the oracle at least.
func oracleMail(raw []byte) ([]string, error) {
	m, err := mail.ReadMessage(bytes.NewReader(raw))
	if err != nil {
		return nil, err
	}
	return oraclePart(m.Header.Get("Content-Type"), m.Header.Get("Content-Transfer-Encoding"), m.Body)
}

func oraclePart(contentType, encoding string, body io.Reader) (links []string, err error) {
	media, params, err := mime.ParseMediaType(contentType)
	if err != nil && contentType != "" {
		return nil, err
	}
	switch strings.ToLower(strings.TrimSpace(encoding)) {
	case "base64":
		body = base64.NewDecoder(base64.StdEncoding, body)
	case "quoted-printable":
		body = quotedprintable.NewReader(body)
	}
	switch {
	case strings.HasPrefix(media, "multipart/"):
		parts := multipart.NewReader(body, params["boundary"])
		for {
			p, err := parts.NextRawPart()
			if errors.Is(err, io.EOF) {
				return links, nil
			}
			if err != nil {
				return links, err
			}
			more, err := oraclePart(p.Header.Get("Content-Type"), p.Header.Get("Content-Transfer-Encoding"), p)
			links = append(links, more...)
			if err != nil {
				return links, err
			}
		}
	case media == "message/rfc822":
		raw, err := io.ReadAll(body)
		if err != nil {
			return nil, err
		}
		return oracleMail(raw)
	case media == "text/html":
		raw, err := io.ReadAll(body)
		if enc, e := htmlindex.Get(params["charset"]); e == nil {
			raw, _ = enc.NewDecoder().Bytes(raw)
		}
		return oracleHTML(string(raw)), err
	}
	return nil, nil
}

// oracleHTML gives the values of href, src and action that begin with http.
func oracleHTML(s string) (links []string) {
	z := html.NewTokenizer(strings.NewReader(s))
	for {
		switch z.Next() {
		case html.ErrorToken:
			return links
		case html.StartTagToken, html.SelfClosingTagToken:
			t := z.Token()
			for _, a := range t.Attr {
				switch a.Key {
				case "href", "src", "action":
					v := strings.TrimSpace(a.Val)
					if t.Data != "base" && len(v) > 4 && strings.EqualFold(v[:4], "http") {
						links = append(links, v)
					}
				}
			}
		}
	}
}
