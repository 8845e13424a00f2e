//go:build clients

package docs_test

import (
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
)

// What every Kannel needs and no page names.
const kannelAround = `group = core
admin-port = ADMIN
admin-password = secret
smsbox-port = SMSBOX
box-allow-ip = 127.0.0.1
log-level = 0

group = smsc
smsc = fake
smsc-id = fake
port = SMSC
connect-allow-ip = 127.0.0.1

group = smsbox
bearerbox-host = 127.0.0.1
log-level = 0

`

func TestKannel(t *testing.T) {
	t.Parallel()
	page, dir, port := open(t, "sms.md"), t.TempDir(), freePort(t)
	secret := regexp.MustCompile(`secret=(\w+)`).FindStringSubmatch(page.file("kannel.conf"))[1]
	write(t, filepath.Join(dir, "sms.secret"), secret+"\n")
	serve(t, dir, "listen = \"127.0.0.1:0\"\n"+page.file("headlight.toml", "8081", port))
	smsc := freePort(t)
	config := write(t, filepath.Join(dir, "kannel.conf"), strings.NewReplacer("ADMIN", freePort(t), "SMSBOX", freePort(t), "SMSC", smsc).Replace(kannelAround)+
		page.file("kannel.conf", "8081", port))
	bearerbox := run(t, dir, need(t, "bearerbox"), config)
	await(t, "bearerbox runs", func() bool { return strings.Contains(bearerbox.out.String(), "MAIN: Start-up done") })
	run(t, dir, need(t, "smsbox"), config)
	await(t, "smsbox is connected", func() bool { return strings.Contains(bearerbox.out.String(), "Client connected from <127.0.0.1>") })
	phone := func(text string) *daemon {
		return run(t, dir, "/usr/lib/kannel/test/fakesmsc", "-H", "127.0.0.1", "-r", smsc, "-i", "0.01", "-m", "1", "447700900001 7726 text "+text)
	}
	for text, want := range map[string]string{
		"is this real? http://phishing.headlight.example/a?b=c&d": "DANGEROUS (phishing): phishing .headlight .example.",
		"http://nobody-knows.example/ \u00fcber alles":            "Nothing bad is known of nobody-knows .example.",
		"good morning": "There is no link in this message.",
	} {
		p := phone(text)
		await(t, "the phone gets an answer", func() bool { return strings.Contains(p.out.String(), "7726 447700900001 text") })
		if got := lineWith(p.out.String(), "7726 447700900001 text"); !strings.Contains(strings.ReplaceAll(got, "+", " "), want) {
			t.Errorf("%q is answered with %s", text, got)
		}
		p.stop(syscall.SIGKILL) // one phone at a time
	}
}
