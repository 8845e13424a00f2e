//go:build clients

package docs_test

import (
	"encoding/json"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// blocklist starts Headlight as dnsbl.md says, and Unbound with the zone as the
// only thing that it knows.
func blocklist(t *testing.T, dir, ip, port string) server {
	t.Helper()
	p := open(t, "dnsbl.md")
	dnsPort := freePort(t)
	s := operated(t, dir, p.file("headlight.toml", `"10s"`, `"1s"`, ":5353", ":"+dnsPort))
	s.says("host", "bad.example.com", "phishing")
	// First, for that it is not is remembered for a minute.
	await(t, "the name is listed", func() bool {
		return resolver{t, "127.0.0.1", dnsPort}.answer("bad.example.com.bl.headlight.internal") == "NOERROR 127.0.0.6"
	})
	startUnbound(t, dir, ip, port, p.file("unbound.conf", "@5353", "@"+dnsPort))
	r := resolver{t, ip, port}
	await(t, "the resolver says so", func() bool {
		return r.answer("bad.example.com.bl.headlight.internal") == "NOERROR 127.0.0.6"
	})
	if got := r.answer("good.example.com.bl.headlight.internal"); got != "NXDOMAIN" {
		t.Fatalf("another name is %s", got)
	}
	return s
}

// startUnbound starts a resolver that asks nobody but who the configuration names.
func startUnbound(t *testing.T, dir, ip, port, conf string) {
	t.Helper()
	own := `server:
    interface: ` + ip + `
    port: ` + port + `
    do-daemonize: no
    chroot: ""
    directory: "` + dir + `"
    pidfile: ""
    username: ""
    use-syslog: no
    logfile: ""
    module-config: "iterator"
    local-zone: "." static
    local-zone: "headlight.internal." transparent
`
	run(t, dir, need(t, "unbound"), "-d", "-c", write(t, filepath.Join(dir, "unbound.conf"), own+conf))
}

// mail is a message with a link.
func mail(link string) string {
	return "From: Ann <ann@sender.example.net>\r\nTo: bob@example.org\r\nSubject: Your parcel\r\nDate: Fri, 27 Nov 2026 12:00:00 +0000\r\n" +
		"Message-ID: <1@sender.example.net>\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nIt is here: " + link + "\r\n"
}

func TestSpamAssassin(t *testing.T) {
	t.Parallel()
	p := open(t, "spamassassin.md")
	dir := t.TempDir()
	port := freePort(t)
	blocklist(t, dir, "127.0.0.1", port)
	// Of SpamAssassin's own rules only those that know what a domain is: the rest
	// takes seconds to read and says nothing here.
	site := filepath.Join(dir, "site")
	write(t, filepath.Join(site, "init.pre"), "loadplugin Mail::SpamAssassin::Plugin::URIDNSBL\nloadplugin Mail::SpamAssassin::Plugin::Check\n")
	write(t, filepath.Join(site, "headlight.cf"), p.file("headlight.cf"))
	rules := filepath.Join(dir, "rules")
	write(t, filepath.Join(rules, "tlds.cf"), "include /usr/share/spamassassin/20_aux_tlds.cf\n")
	write(t, filepath.Join(site, "test.cf"), "report_safe 0\nadd_header all Tests _TESTSSCORES_\nclear_uridnsbl_skip_domain\ndns_available yes\ndns_server 127.0.0.1:"+port+"\n")
	for link, want := range map[string]bool{"http://bad.example.com/pay": true, "http://good.example.com/pay": false} {
		cmd := exec.CommandContext(t.Context(), need(t, "spamassassin"), "--test-mode", "--nocreate-prefs", "--prefspath=/dev/null",
			"--configpath="+rules, "--siteconfigpath="+site)
		cmd.Stdin = strings.NewReader(mail(link))
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %q", err, out)
		}
		if got := strings.Contains(string(out), "X-Spam-Tests: HEADLIGHT_PHISH=6"); got != want || strings.Contains(string(out), "HEADLIGHT_MALWARE") {
			t.Errorf("%s: hit is %v, want %v\n%s", link, got, want, out)
		}
	}
}

func TestRspamd(t *testing.T) {
	t.Parallel()
	p := open(t, "rspamd.md")
	dir := t.TempDir()
	port, scan, control := freePort(t), freePort(t), freePort(t)
	s := blocklist(t, dir, "127.0.0.1", port)
	s.says("url", "page.example.com/one?two=3", "malware")
	local := filepath.Join(dir, "rspamd", "local.d")
	write(t, filepath.Join(local, "rbl.conf"), p.file("rbl.conf"))
	write(t, filepath.Join(local, "groups.conf"), p.file("groups.conf"))
	write(t, filepath.Join(local, "phishing.conf"), p.file("phishing.conf", "http://127.0.0.1:8080", s.url))
	write(t, filepath.Join(dir, "rspamd", "override.d", "options.inc"), "dns { nameserver = [\"127.0.0.1:"+port+":10\"]; }\nmap_watch_interval = 1s;\ndisable_hyperscan = true;\n")
	write(t, filepath.Join(dir, "rspamd", "override.d", "fuzzy_check.conf"), "enabled = false;\n") // it asks its makers' servers
	write(t, filepath.Join(local, "worker-normal.inc"), "bind_socket = \"127.0.0.1:"+scan+"\";\ncount = 1;\n")
	write(t, filepath.Join(local, "worker-controller.inc"), "bind_socket = \"127.0.0.1:"+control+"\";\n")
	write(t, filepath.Join(local, "worker-proxy.inc"), "enabled = false;\n")
	write(t, filepath.Join(local, "worker-fuzzy.inc"), "enabled = false;\n")
	write(t, filepath.Join(local, "logging.inc"), "type = \"console\";\n")
	d := run(t, dir, need(t, "rspamd"), "-f", "-i", "-c", "/etc/rspamd/rspamd.conf", "--var", "LOCAL_CONFDIR="+filepath.Join(dir, "rspamd"),
		"--var", "DBDIR="+dir, "--var", "RUNDIR="+dir, "--var", "LOGDIR="+dir)
	t.Cleanup(func() { d.stop(syscall.SIGKILL) }) // it takes half a minute over SIGTERM
	symbols := func(link string) map[string]any {
		resp, err := http.Post("http://127.0.0.1:"+scan+"/checkv2", "", strings.NewReader(mail(link)))
		if err != nil {
			return nil
		}
		defer resp.Body.Close()
		var answer struct{ Symbols map[string]any }
		if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
			return nil
		}
		return answer.Symbols
	}
	for _, x := range []struct{ link, symbol string }{
		{"http://bad.example.com/pay", "HEADLIGHT_PHISH"},
		{"http://page.example.com/one?two=3", "HEADLIGHT_URL"},
	} {
		await(t, x.link+" has "+x.symbol, func() bool { return symbols(x.link)[x.symbol] != nil })
	}
	for _, link := range []string{"http://good.example.com/pay", "http://page.example.com/other"} {
		got := symbols(link)
		for symbol := range got {
			if strings.HasPrefix(symbol, "HEADLIGHT") {
				t.Errorf("%s has %s", link, symbol)
			}
		}
		if len(got) == 0 {
			t.Errorf("%s was not looked at", link)
		}
	}
}

func TestPostfixDNSBL(t *testing.T) {
	t.Parallel()
	p := open(t, "postfix-dnsbl.md")
	dir := t.TempDir()
	// Postfix asks the system's resolver, at port 53. Its own is what stands in the
	// resolv.conf of the directory that it locks itself into.
	const system = "127.53.53.53"
	blocklist(t, dir, system, "53")
	port := freePort(t)
	queue := filepath.Join(dir, "queue")
	write(t, filepath.Join(queue, "etc", "resolv.conf"), "nameserver "+system+"\n")
	write(t, filepath.Join(dir, "postfix", "main.cf"), p.file("main.cf")+`
compatibility_level = 3.6
queue_directory = `+queue+`
data_directory = `+filepath.Join(dir, "lib")+`
maillog_file = /dev/stdout
maillog_file_prefixes = /dev
inet_interfaces = 127.0.0.1
mynetworks = 192.0.2.0/24
mydestination = example.org
myhostname = mail.example.org
local_recipient_maps =
local_transport = discard:
alias_maps =
`)
	write(t, filepath.Join(dir, "postfix", "master.cf"), `127.0.0.1:`+port+` inet n - y - - smtpd
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
proxymap unix - - n - - proxymap
anvil unix - - n - 1 anvil
discard unix - - n - - discard
error unix - - n - - error
postlog unix-dgram n - n - 1 postlogd
`)
	command(t, "install", "-d", "-o", "postfix", filepath.Join(dir, "lib"))
	command(t, "chmod", "755", filepath.Dir(dir))
	run(t, dir, need(t, "postfix"), "-c", filepath.Join(dir, "postfix"), "start-fg")
	t.Cleanup(func() { exec.Command(need(t, "postfix"), "-c", filepath.Join(dir, "postfix"), "abort").Run() }) // its master left the process group
	send := func(from, helo string) string {
		out, _ := exec.CommandContext(t.Context(), need(t, "swaks"), "--server", "127.0.0.1", "--port", port,
			"--from", from, "--helo", helo, "--to", "bob@example.org", "--timeout", "10").CombinedOutput()
		return string(out)
	}
	await(t, "Postfix is there", func() bool {
		c, err := net.Dial("tcp", "127.0.0.1:"+port)
		if err == nil {
			c.Close()
		}
		return err == nil
	})
	const reason = "phishing: see https://links.example.org/?bad.example.com"
	for _, x := range []struct{ from, helo, want string }{
		{"ann@bad.example.com", "good.example.com", "554 5.7.1"},
		{"ann@good.example.com", "bad.example.com", "554 5.7.1"},
		{"ann@good.example.com", "good.example.com", "250 2.0.0 Ok: queued"},
	} {
		got := send(x.from, x.helo)
		if !strings.Contains(got, x.want) || strings.Contains(x.want, "554") && !strings.Contains(got, reason) {
			t.Errorf("from %s, HELO %s: want %s in\n%s", x.from, x.helo, x.want, got)
		}
	}
}
