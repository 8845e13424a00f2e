//go:build clients

package docs_test

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// postfix is a Postfix of the test's own, with one mailbox for everybody.
type postfix struct {
	*daemon
	dir, port string
}

// What every Postfix needs and no page names: where it lives and what runs.
const postfixMain = `
compatibility_level = 3.6
myhostname = mx.example.org
mydestination =
inet_interfaces = loopback-only
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
smtpd_recipient_restrictions = reject_unauth_destination
smtpd_peername_lookup = no
virtual_mailbox_domains = example.org
virtual_mailbox_base = DIR/mail
virtual_mailbox_maps = static:box
virtual_uid_maps = static:65534
virtual_gid_maps = static:65534
queue_directory = DIR/queue
data_directory = DIR/data
maillog_file = /dev/stdout
`

const postfixMaster = `
127.0.0.1:PORT inet n - n - - smtpd
postlog unix-dgram n - n - 1 postlogd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
proxymap unix - - n - - proxymap
virtual unix - n n - - virtual
error unix - - n - - error
retry unix - - n - - error
anvil unix - - n - 1 anvil
`

func startPostfix(t *testing.T, main, checks string) *postfix {
	t.Helper()
	p := &postfix{port: freePort(t)}
	var err error
	if p.dir, err = os.MkdirTemp("", "headlight-postfix"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(p.dir) })
	uid, gid := idOf(t, "-u", "postfix"), idOf(t, "-g", "postfix")
	for name, owner := range map[string][2]int{"": {0, 0}, "queue": {0, 0}, "data": {uid, gid}, "mail": {65534, 65534}} {
		dir := filepath.Join(p.dir, name)
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Chown(dir, owner[0], owner[1]); err != nil {
			t.Fatal(err)
		}
	}
	write(t, filepath.Join(p.dir, "main.cf"), strings.ReplaceAll(postfixMain, "DIR", p.dir)+main)
	write(t, filepath.Join(p.dir, "master.cf"), strings.ReplaceAll(postfixMaster, "PORT", p.port))
	write(t, filepath.Join(p.dir, "headlight_header_checks"), checks)
	p.daemon = run(t, p.dir, need(t, "postfix"), "-c", p.dir, "start-fg")
	// Its master is not of the same process group, and would stay.
	t.Cleanup(func() { exec.Command(need(t, "postfix"), "-c", p.dir, "abort").Run() })
	await(t, "Postfix answers", func() bool {
		return exec.Command(need(t, "swaks"), "--server", "127.0.0.1", "--port", p.port, "--quit-after", "BANNER").Run() == nil
	})
	return p
}

func idOf(t *testing.T, flag, user string) int {
	t.Helper()
	n, err := strconv.Atoi(strings.TrimSpace(command(t, "id", flag, user)))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// send sends a mail with swaks and gives the server's last answer to it.
func (p *postfix) send(body string, args ...string) string {
	p.t.Helper()
	out, _ := exec.Command(need(p.t, "swaks"), append([]string{
		"--server", "127.0.0.1", "--port", p.port, "--ehlo", "client.example.com",
		"--from", "someone@example.com", "--to", "reader@example.org", "--body", body}, args...)...).Output()
	answer := ""
	for line := range strings.Lines(string(out)) {
		for _, mark := range []string{"<-  ", "<** "} {
			if a, ok := strings.CutPrefix(line, mark); ok && !strings.HasPrefix(a, "221 ") {
				answer = strings.TrimSpace(a)
			}
		}
	}
	return answer
}

// mailbox gives what was delivered, the header of each mail as one string.
func (p *postfix) mailbox() []string {
	b, err := os.ReadFile(filepath.Join(p.dir, "mail", "box"))
	if err != nil {
		return nil
	}
	return strings.Split(strings.TrimPrefix(string(b), "From "), "\nFrom ")
}

// delivered waits for the mail with this subject.
func (p *postfix) delivered(subject string) (mail string) {
	p.t.Helper()
	await(p.t, subject+" is delivered", func() bool {
		for _, m := range p.mailbox() {
			if strings.Contains(m, "\nSubject: "+subject+"\n") {
				mail = m
				return true
			}
		}
		return false
	})
	return mail
}

func subject(s string) []string { return []string{"--header", "Subject: " + s} }

func TestPostfix(t *testing.T) {
	t.Parallel()
	page, port, dir := open(t, "postfix.md"), freePort(t), t.TempDir()
	config := page.file("headlight.toml", "8891", port) + "\n"
	head := serve(t, dir, "listen = \"127.0.0.1:0\"\n"+config)
	main := page.file("main.cf", "8891", port, "= 10s", "= 1s", "= 60s", "= 1s", "/etc/postfix/", "$config_directory/")
	p := startPostfix(t, main, page.file("headlight_header_checks"))
	const (
		good = "see http://nobody-knows.example/a"
		odd  = "see http://suspicious.headlight.example/a"
		bad  = "see http://phishing.headlight.example/a"
	)
	field := func(mail string) string {
		all := regexp.MustCompile(`(?mi)^X-Headlight *: (.*)$`).FindAllStringSubmatch(mail, -1)
		if len(all) != 1 {
			t.Errorf("the mail has %d fields X-Headlight, want 1:\n%s", len(all), mail)
			return ""
		}
		return all[0][1]
	}

	// The steps share Postfix and Headlight, and go one after the other.
	step := func(name string, f func()) { t.Log(name); f() }
	step("tag", func() {
		p.send(good, append(subject("good"), "--add-header", "X-Headlight: safe", "--add-header", "x-headlight : safe", "--add-header", "Authentication-Results: mx.example.org;\n x-headlight=pass", "--add-header", "Authentication-Results: mx.example.org; dkim=pass")...)
		mail := p.delivered("good")
		if !regexp.MustCompile(`^unknown; host=nobody-knows\.example; id=[0-9a-z]{13}$`).MatchString(field(mail)) {
			t.Errorf("a mail with an unknown link has the field %q", field(mail))
		}
		if !strings.Contains(mail, "\nAuthentication-Results: mx.example.org; x-headlight=neutral\n\tpolicy.level=unknown\n") || strings.Contains(mail, "x-headlight=pass") || !strings.Contains(mail, "dkim=pass") {
			t.Errorf("the results are not as they should be:\n%s", mail)
		}
		p.send(odd, subject("odd")...)
		if got := field(p.delivered("odd")); !strings.HasPrefix(got, "suspicious; threat=phishing; host=suspicious.headlight.example; id=") {
			t.Errorf("a mail with a suspicious link has the field %q", got)
		}
		p.send("no link", subject("none")...)
		if got := field(p.delivered("none")); got != "safe" {
			t.Errorf("a mail without links has the field %q", got)
		}
		p.send(bad, append(subject("complaint"), "--to", "abuse@example.org")...)
		if got := field(p.delivered("complaint")); !strings.HasPrefix(got, "dangerous; ") {
			t.Errorf("a mail to abuse has the field %q", got)
		}
	})
	step("reject", func() {
		answer := p.send(bad, subject("bad")...)
		m := regexp.MustCompile(`^550 5\.7\.1 Message refused: its link to phishing\.headlight\.example is dangerous \(phishing\), id ([0-9a-z]{13}); ask postmaster@example\.org$`).FindStringSubmatch(answer)
		if m == nil {
			t.Fatalf("a dangerous link is answered with %q", answer)
		}
		if !strings.Contains(lineWith(head.out.String(), "mail rejected"), "id="+m[1]) || !strings.Contains(lineWith(p.out.String(), "milter-reject"), m[1]) {
			t.Errorf("the logs do not name the id %s", m[1])
		}
		resp, err := http.Get(head.url + "/v1/subjects/url/%23" + m[1])
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			t.Errorf("the id is looked up with %s", resp.Status)
		}
	})
	step("multipart and forwarded", func() {
		attached := write(t, filepath.Join(dir, "part.html"), "<p><a href='http://phishing.headlight.example/b'>your bank</a></p>")
		if answer := p.send("see below", "--attach-type", "text/html", "--attach", "@"+attached); !strings.HasPrefix(answer, "550 5.7.1 ") {
			t.Errorf("a link in an attached page is answered with %q", answer)
		}
		attached = write(t, filepath.Join(dir, "fwd.eml"), "Subject: fwd\n\nhttp://phishing.headlight.example/c\n")
		if answer := p.send("see below", "--attach-type", "message/rfc822", "--attach", "@"+attached); !strings.HasPrefix(answer, "550 5.7.1 ") {
			t.Errorf("a link in a forwarded mail is answered with %q", answer)
		}
	})
	// again is what the sender's server does: it tries until it is taken.
	again := func(name, body string) {
		await(t, name+" is taken", func() bool { return strings.HasPrefix(p.send(body, subject(name)...), "250 ") })
		field(p.delivered(name))
	}
	step("down", func() {
		head.stop(syscall.SIGTERM)
		if answer := p.send(good, subject("down")...); !strings.HasPrefix(answer, "451 4.7.1 ") {
			t.Errorf("with Headlight down: %q", answer)
		}
		head = serve(t, dir, "listen = \"127.0.0.1:0\"\n"+config)
		again("down", good)
	})
	step("slow", func() {
		head.cmd.Process.Signal(syscall.SIGSTOP)
		answer := p.send(good, subject("slow")...)
		head.cmd.Process.Signal(syscall.SIGCONT)
		if !strings.HasPrefix(answer, "451 4.7.1 ") {
			t.Errorf("with Headlight stopped: %q", answer)
		}
		again("slow", good)
	})
	step("restarted", func() {
		const mails = 8
		var senders sync.WaitGroup
		for i := range mails {
			senders.Go(func() { again(fmt.Sprint("restart-", i), good) })
		}
		head.stop(syscall.SIGTERM)
		head = serve(t, dir, "listen = \"127.0.0.1:0\"\n"+strings.Replace(config, `"reject"`, `"quarantine"`, 1))
		senders.Wait()
		for i := range mails {
			n := 0
			for _, m := range p.mailbox() {
				if strings.Contains(m, fmt.Sprintf("\nSubject: restart-%d\n", i)) {
					n++
				}
			}
			if n != 1 {
				t.Errorf("mail %d was delivered %d times", i, n)
			}
		}
	})
	step("quarantine", func() {
		answer := p.send(bad, subject("held")...)
		m := regexp.MustCompile(`^250 .* queued as ([0-9A-F]+)$`).FindStringSubmatch(answer)
		if m == nil {
			t.Fatalf("a mail to be held is answered with %q", answer)
		}
		if list := command(t, need(t, "postqueue"), "-c", p.dir, "-p"); !strings.Contains(list, m[1]+"!") {
			t.Errorf("the mail is not held: %s", list)
		}
		command(t, need(t, "postsuper"), "-c", p.dir, "-H", m[1])
		command(t, need(t, "postqueue"), "-c", p.dir, "-f")
		if got := field(p.delivered("held")); !strings.HasPrefix(got, "dangerous; threat=phishing; ") {
			t.Errorf("the mail that was let go has the field %q", got)
		}
	})
	step("accept", func() {
		head.stop(syscall.SIGTERM)
		write(t, filepath.Join(p.dir, "main.cf"), strings.ReplaceAll(postfixMain, "DIR", p.dir)+strings.Replace(main, "tempfail", "accept", 1))
		command(t, need(t, "postfix"), "-c", p.dir, "reload")
		await(t, "mail is accepted with Headlight down", func() bool {
			return strings.HasPrefix(p.send(good, append(subject("accept"), "--add-header", "X-Headlight: safe")...), "250 ")
		})
		if mail := p.delivered("accept"); strings.Contains(mail, "X-Headlight") {
			t.Errorf("the mail has a forged field:\n%s", mail)
		}
	})
}

func TestPostfixRewrites(t *testing.T) {
	t.Parallel()
	page, port, dir := open(t, "postfix.md"), freePort(t), t.TempDir()
	serve(t, dir, "listen = \"127.0.0.1:0\"\n"+page.file("rewrite.toml", "8891", port))
	p := startPostfix(t, page.file("main.cf", "8891", port, "/etc/postfix/", "$config_directory/"), page.file("headlight_header_checks"))
	const (
		bad      = "http://phishing.headlight.example/a?b=c"
		good     = "http://nobody-knows.example/a"
		fangless = "hxxp://phishing[.]headlight[.]example/a?b=c"
	)
	html := "<p>Dear G\u00fcnther, <a href=\"" + bad + "\">" + bad + "</a> or <a href=\"" + good + "\">this</a></p>"
	inert := "<p>Dear G\u00fcnther, <a href=\"https://linkcheck.example.org/?host=phishing.headlight.example\">" + fangless + "</a> or <a href=\"" + good + "\">this</a></p>"
	long := strings.Repeat("x", 998-1-len(bad)) + " "
	in64 := func(s string) string {
		return "Content-Type: text/html; charset=utf-8\nContent-Transfer-Encoding: base64\n\n" + base64.StdEncoding.EncodeToString([]byte(s)) + "\n"
	}
	for _, test := range []struct{ name, in, want, rewritten string }{
		{"text", "\nsee " + bad + "\nor " + good + "\n", "\nsee " + fangless + "\nor " + good + "\n", "all"},
		{"html", "Content-Type: text/html; charset=utf-8\n\n" + html + "\n", "Content-Type: text/html; charset=utf-8\n\n" + inert + "\n", "all"},
		{"base64", "Content-Type: multipart/alternative; boundary=x\n\n--x\n\nsee " + good + "\n--x\n" + in64(html) + "--x--\n",
			"Content-Type: multipart/alternative; boundary=x\n\n--x\n\nsee " + good + "\n--x\n" + lines(in64(inert)) + "--x--\n", "all"},
		{"quoted", "Content-Transfer-Encoding: quoted-printable\n\nGr=C3=BC=C3=9Fe http://phishing.head=\nlight.example/a?b=3Dc =E2=80=94\n",
			"Content-Transfer-Encoding: quoted-printable\n\nGr=C3=BC=C3=9Fe =\n" + strings.ReplaceAll(fangless, "=", "=3D") + "=\n =E2=80=94\n", "all"},
		{"signed", "Content-Type: multipart/signed; protocol=\"application/pgp-signature\"; boundary=x\n\n--x\n\nsee " + bad + "\n--x\nContent-Type: application/pgp-signature\n\nabc\n--x--\n", "", "none"},
		// Postfix would break the line within a word if it were longer than the 998 bytes that it has.
		{"full", "\n" + long + bad + "\n", "\n" + long + "hxxp://phishing[.]headlight[.]exampl...\n", "all"},
		{"good", "\nsee " + good + "\n", "", ""},
	} {
		if test.want == "" {
			test.want = test.in
		}
		file := write(t, filepath.Join(dir, test.name), "From: someone@example.com\nTo: reader@example.org\nSubject: "+test.name+"\nDate: Fri, 27 Nov 2026 12:00:00 +0000\nMessage-Id: <"+test.name+"@example.com>\nMIME-Version: 1.0\n"+test.in)
		if answer := p.send("unused", "--data", "@"+file); !strings.HasPrefix(answer, "250 ") {
			t.Errorf("%s: answered with %q", test.name, answer)
		}
		mail := p.delivered(test.name)
		if !strings.HasSuffix(strings.TrimRight(mail, "\n"), strings.TrimRight("MIME-Version: 1.0\n"+test.want, "\n")) {
			t.Errorf("%s: want it to end in\n%s\ngot\n%s", test.name, test.want, mail)
		}
		if m := regexp.MustCompile(`(?m)^X-Headlight: .*?(?:; rewritten=(.*))?$`).FindStringSubmatch(mail); m == nil || m[1] != test.rewritten {
			t.Errorf("%s: the field is %q, want rewritten=%s", test.name, m, test.rewritten)
		}
	}
}

// lines breaks the last line of a text as base64 is broken.
func lines(s string) string {
	head, body, _ := strings.Cut(s, "\n\n")
	for i := 76; i < len(strings.TrimRight(body, "\n")); i += 77 {
		body = body[:i] + "\n" + body[i:]
	}
	return head + "\n\n" + body
}
