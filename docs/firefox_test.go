//go:build clients

package docs_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestFirefox(t *testing.T) {
	t.Parallel()
	for _, x := range []struct {
		name, file, provider string
		since                int // version of Firefox
	}{
		{"v5", "user.js", "google5", 153},
		{"v4", "user-v4.js", "google4", 0},
	} {
		if version(t) < x.since {
			t.Logf("Firefox %d does not speak %s", version(t), x.name)
			continue
		}
		t.Run(x.name, func(t *testing.T) {
			// One after the other: two browsers at once take longer.
			p := open(t, "firefox.md")
			dir := t.TempDir()
			s := operated(t, dir, "[lists]\nevery = \"1s\"\n")
			site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				io.WriteString(w, "<title>page</title>This is the page itself.")
			}))
			t.Cleanup(site.Close)
			_, port, _ := net.SplitHostPort(site.Listener.Addr().String())
			s.says("url", "http://pages.example/login.html", "phishing")
			s.says("host", "bad.example", "malware")
			s.says("url", "http://front.example/", "phishing")
			s.published(func(list string) bool {
				return strings.Contains(list, "http://pages.example/login.html") && strings.Contains(list, "http://front.example/")
			})
			prefs := p.file(x.file, "http://127.0.0.1:8080", s.url)
			profile := filepath.Join(dir, "profile")

			f := firefox(t, profile, prefs, x.provider)
			f.wants("http://pages.example:"+port+"/login.html", "deceptiveBlocked")
			f.wants("http://www.bad.example:"+port+"/any", "malwareBlocked")
			f.wants("http://pages.example:"+port+"/other.html", "")
			f.wants("http://front.example:"+port+"/below", "") // its front page alone was reported
			f.wants("http://good.example:"+port+"/login.html", "")
			f.quit()

			s.says("url", "http://pages.example/login.html", "retracted")
			s.published(func(list string) bool { return !strings.Contains(list, "http://pages.example/login.html") })
			// The profile is the same: what it has is changed, not taken anew.
			f = firefox(t, profile, prefs, x.provider)
			f.wants("http://pages.example:"+port+"/login.html", "")
			f.wants("http://www.bad.example:"+port+"/any", "malwareBlocked")
			f.quit()
		})
	}
}

// version is the major version of the Firefox that is installed.
func version(t *testing.T) int {
	t.Helper()
	said := command(t, need(t, "firefox-esr"), "--version") // "Mozilla Firefox 153.8.0esr"
	fields := strings.Fields(said[strings.Index(said, "Firefox"):])
	major, _, _ := strings.Cut(fields[1], ".")
	n, err := strconv.Atoi(major)
	if err != nil {
		t.Fatalf("not a version: %q", said)
	}
	return n
}

// published waits until the list of URLs is as it should be.
func (s server) published(so func(list string) bool) {
	s.t.Helper()
	await(s.t, "the edition is there", func() bool {
		resp, err := http.Get(s.url + "/lists/urls.txt")
		if err != nil {
			return false
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		return err == nil && resp.StatusCode == http.StatusOK && so(string(b))
	})
}

// A browser is a Firefox without a screen, driven by its own protocol
// (Marionette): "length:[0,id,command,parameters]" over TCP.
type browser struct {
	*daemon
	conn net.Conn
	r    *bufio.Reader
	id   int
}

// firefox starts one with the preferences of the page and waits until it has taken
// the lists.
func firefox(t *testing.T, profile, prefs, provider string) *browser {
	t.Helper()
	port := freePort(t)
	last := ""
	if old, err := os.ReadFile(filepath.Join(profile, "prefs.js")); err == nil {
		last = lineWith(string(old), provider+".lastupdatetime")
	}
	// Test only: names lead to this machine, the driver listens, updates come at once,
	// and the driver does not switch off what is tested.
	write(t, filepath.Join(profile, "user.js"), prefs+fmt.Sprintf(`
user_pref("marionette.port", %s);
user_pref("remote.prefs.recommended", false);
user_pref("network.dns.forceResolve", "127.0.0.1");
user_pref("dom.security.https_first", false);
user_pref("dom.security.https_only_mode", false);
user_pref("browser.safebrowsing.provider.%s.nextupdatetime", "1");
user_pref("browser.shell.checkDefaultBrowser", false);
user_pref("datareporting.policy.dataSubmissionEnabled", false);
user_pref("app.update.enabled", false);
user_pref("network.captive-portal-service.enabled", false);
user_pref("network.connectivity-service.enabled", false);
user_pref("services.settings.server", "http://127.0.0.1:9/");
`, port, provider))
	f := &browser{daemon: run(t, profile, need(t, "firefox-esr"), "--headless", "--no-remote", "--marionette", "--remote-allow-system-access", "--profile", profile)}
	await(t, "Firefox listens", func() bool {
		conn, err := net.Dial("tcp", "127.0.0.1:"+port)
		if err != nil {
			return false
		}
		f.conn, f.r = conn, bufio.NewReader(conn)
		return true
	})
	t.Cleanup(func() { f.conn.Close() })
	f.conn.SetDeadline(time.Now().Add(time.Minute))
	f.read() // its greeting
	f.call("WebDriver:NewSession", map[string]any{"pageLoadStrategy": "normal"})
	await(t, "Firefox has the lists", func() bool {
		f.call("Marionette:SetContext", map[string]any{"value": "chrome"})
		now := f.script(fmt.Sprintf(`return Services.prefs.getCharPref("browser.safebrowsing.provider.%s.lastupdatetime", "")`, provider))
		return now != "" && !strings.Contains(last, `"`+now+`"`)
	})
	f.call("Marionette:SetContext", map[string]any{"value": "content"})
	return f
}

// wants opens a page and holds what is shown against the code of the red page, or
// "" for the page itself.
func (f *browser) wants(url, code string) {
	f.t.Helper()
	f.call("WebDriver:Navigate", map[string]any{"url": url})
	shown := f.script("return document.documentURI + ' ' + document.body.innerText")
	if code == "" && !strings.Contains(shown, "This is the page itself.") {
		f.t.Errorf("%s: got %.200q, want the page itself", url, shown)
	}
	if code != "" && !strings.Contains(shown, "about:blocked?e="+code) {
		f.t.Errorf("%s: got %.200q, want about:blocked?e=%s", url, shown, code)
	}
}

func (f *browser) script(text string) string {
	f.t.Helper()
	var answer struct{ Value any }
	if err := json.Unmarshal(f.call("WebDriver:ExecuteScript", map[string]any{"script": text, "args": []any{}}), &answer); err != nil {
		f.t.Fatal(err)
	}
	return fmt.Sprint(answer.Value)
}

// call gives the result of a command.
func (f *browser) call(command string, parameters map[string]any) json.RawMessage {
	f.t.Helper()
	f.id++
	b, err := json.Marshal([]any{0, f.id, command, parameters})
	if err != nil {
		f.t.Fatal(err)
	}
	if _, err := fmt.Fprintf(f.conn, "%d:%s", len(b), b); err != nil {
		f.t.Fatal(err)
	}
	var answer [4]json.RawMessage
	if err := json.Unmarshal(f.read(), &answer); err != nil {
		f.t.Fatal(err)
	}
	if string(answer[2]) != "null" {
		f.t.Fatalf("%s: %s", command, answer[2])
	}
	return answer[3]
}

func (f *browser) read() []byte {
	f.t.Helper()
	length, err := f.r.ReadString(':')
	if err != nil {
		f.t.Fatal(err)
	}
	n, err := strconv.Atoi(strings.TrimSuffix(length, ":"))
	if err != nil || n > 1<<20 {
		f.t.Fatalf("%q is no length", length)
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(f.r, b); err != nil {
		f.t.Fatal(err)
	}
	return b
}

// quit ends it in the way in which it keeps its profile.
func (f *browser) quit() {
	f.t.Helper()
	f.call("Marionette:Quit", map[string]any{"flags": []string{"eForceQuit"}})
	f.stop(syscall.SIGTERM)
}
