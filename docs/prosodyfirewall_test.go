//go:build clients

package docs_test

import (
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestProsodyFirewall(t *testing.T) {
	t.Parallel()
	p := open(t, "prosody-firewall.md")
	dir := t.TempDir()
	s := operated(t, dir, "[lists]\nevery = \"1s\"\n")
	s.says("host", "bad.example.com", "phishing")
	await(t, "the host is listed", func() bool {
		resp, err := http.Get(s.url + "/lists/hosts.txt")
		if err != nil {
			return false
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		return err == nil && strings.Contains(string(text), "bad.example.com\n")
	})
	port := freePort(t)
	script := write(t, filepath.Join(dir, "headlight.pfw"), p.file("headlight.pfw", "http://127.0.0.1:8080", s.url))
	for _, name := range []string{"ann", "bob"} {
		write(t, filepath.Join(dir, "prosody", "localhost", "accounts", name+".dat"), "return { [\"password\"] = \"secret\" };\n")
	}
	run(t, dir, need(t, "prosody"), "-F", "--config", write(t, filepath.Join(dir, "prosody.cfg.lua"), `
run_as_root = true
pidfile = "`+dir+`/prosody.pid"
data_path = "`+dir+`/prosody"
interfaces = { "127.0.0.1" }
c2s_ports = { `+port+` }
c2s_require_encryption = false
allow_unencrypted_plain_auth = true
authentication = "internal_plain"
modules_disabled = { "s2s", "s2s_auth_certs" }
log = { info = "*console" }
`+p.file("prosody.cfg.lua", "/etc/prosody/headlight.pfw", script)+`
VirtualHost "localhost"
`))
	await(t, "Prosody is there", func() bool {
		c, err := net.Dial("tcp", "127.0.0.1:"+port)
		if err == nil {
			c.Close()
		}
		return err == nil
	})
	ann, bob := newTalker(t, port, "ann"), newTalker(t, port, "bob")
	n := 0
	say := func(text string) {
		n++
		ann.send(fmt.Sprintf(`<message to='bob@localhost' id='m%d' type='chat'><body>%s</body></message>`, n, text))
	}
	// The list is fetched after the start; until then messages pass.
	await(t, "a bad link bounces", func() bool {
		say("see http://bad.example.com/pay")
		// What comes back is the bounce, or the echo of what was said after it.
		ann.send(fmt.Sprintf(`<message to='ann@localhost/x' id='e%d' type='chat'><body>echo</body></message>`, n))
		got := ann.until(fmt.Sprintf("id='e%d'", n))
		ann.until("</message>")
		return strings.Contains(got, "policy-violation")
	})
	say("see http://good.example.com/pay")
	bob.until("http://good.example.com/pay")
	say("see https://bad.example.com?x")
	if got := ann.until("</message>"); !strings.Contains(got, "policy-violation") || !strings.Contains(got, "A link in this message is dangerous") {
		t.Errorf("got %s", got)
	}
	say("the end")
	if got := bob.until("the end"); strings.Contains(got, "bad.example.com") {
		t.Errorf("Bob got %s", got)
	}
}

// talker is the least of an XMPP client (RFC 6120).
type talker struct {
	t    *testing.T
	conn net.Conn
	got  string // not yet looked at
}

func newTalker(t *testing.T, port, name string) *talker {
	t.Helper()
	conn, err := net.Dial("tcp", "127.0.0.1:"+port)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	c := &talker{t: t, conn: conn}
	const stream = `<stream:stream to='localhost' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' version='1.0'>`
	c.send(`<?xml version='1.0'?>` + stream)
	c.until("</stream:features>")
	c.send(`<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>` + base64.StdEncoding.EncodeToString([]byte("\x00"+name+"\x00secret")) + `</auth>`)
	c.until("<success")
	c.send(stream)
	c.until("</stream:features>")
	c.send(`<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>x</resource></bind></iq>`)
	c.until("</iq>")
	c.send(`<presence/>`)
	c.until("<presence")
	return c
}

func (c *talker) send(stanza string) {
	c.t.Helper()
	if _, err := c.conn.Write([]byte(stanza)); err != nil {
		c.t.Fatal(err)
	}
}

// until reads up to a text, and gives what came until then.
func (c *talker) until(text string) string {
	c.t.Helper()
	c.conn.SetReadDeadline(time.Now().Add(10 * time.Second))
	b := make([]byte, 4096)
	for {
		if i := strings.Index(c.got, text); i >= 0 {
			before := c.got[:i+len(text)]
			c.got = c.got[i+len(text):]
			return before
		}
		n, err := c.conn.Read(b)
		if err != nil {
			c.t.Fatalf("waiting for %s: %v, after %s", text, err, c.got)
		}
		c.got += string(b[:n])
	}
}
