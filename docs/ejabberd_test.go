//go:build clients

package docs_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// What every ejabberd of a test needs and no page names.
const ejabberdAround = `
hosts: ["chat.example", "HERE"]
loglevel: warning
auth_method: internal
certfiles: []
ca_file: "/etc/ssl/certs/ca-certificates.crt"
s2s_use_starttls: false
listen:
  - { port: C2S, ip: "127.0.0.1", module: ejabberd_c2s, starttls: false, access: all }
  - { port: 5269, ip: "HERE", module: ejabberd_s2s_in }
  - { port: COMPONENT, ip: "127.0.0.1", module: ejabberd_service, hosts: { "bot.chat.example": { password: "secret" } } }
`

// The modules that the page takes for granted.
const ejabberdModules = `modules:
  mod_muc: { host: "rooms.chat.example", access_create: all, default_room_options: { mam: true } }
  mod_mam: { default: always }
  mod_privacy: {}
  mod_blocking: {}
  mod_roster: {}
  mod_s2s_dialback: {}
`

func TestEjabberd(t *testing.T) {
	t.Parallel()
	page, dir := open(t, "ejabberd.md"), t.TempDir()
	write(t, filepath.Join(dir, "tokens"), page.file("tokens")+"ann operator/ann 0123456789abcdef\n")
	head := serve(t, dir, "listen = \"127.0.0.1:0\"\n[tokens]\nfile = \"tokens\"\n")
	between := standBetween(t, head.url)
	source, err := filepath.Abs("../clients/ejabberd/mod_headlight.erl")
	if err != nil {
		t.Fatal(err)
	}
	ebin := filepath.Join(dir, "ebin")
	need(t, "erlc")
	if out, err := exec.Command("sh", "-ec", page.file("compile", "/usr/local/lib/ejabberd", ebin, "mod_headlight.erl", source)).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	here, there := fmt.Sprintf("127.%d.%d.3", os.Getpid()>>8&127+1, os.Getpid()&255), fmt.Sprintf("127.%d.%d.4", os.Getpid()>>8&127+1, os.Getpid()&255)
	other, otherPort := filepath.Join(dir, "other"), freePort(t)
	write(t, filepath.Join(other, "data", strings.ReplaceAll(there, ".", "%2e"), "accounts", "eve.dat"), "return { password = \"secret\" };\n")
	run(t, dir, need(t, "prosody"), "-F", "--config", write(t, filepath.Join(other, "prosody.cfg.lua"),
		strings.NewReplacer("DIR", other, "C2S", otherPort, "COMPONENT", freePort(t), "ADDRESS", there).Replace(prosodyAround)+"VirtualHost \""+there+"\"\n"))
	c2s, component := freePort(t), freePort(t)
	config := write(t, filepath.Join(dir, "ejabberd.yml"), strings.NewReplacer("HERE", here, "C2S", c2s, "COMPONENT", component).Replace(ejabberdAround)+
		page.file("ejabberd.yml", "modules:\n", ejabberdModules, "http://127.0.0.1:8080", between.URL))
	// As ejabberdctl starts it, but for its user; it also makes the accounts.
	libs, err := filepath.Glob("/usr/lib/*/ejabberd-*/ebin")
	if err != nil || len(libs) == 0 {
		t.Fatalf("ejabberd is not installed: run \"make install\" (%v)", err)
	}
	e := run(t, dir, "env", "EJABBERD_CONFIG_PATH="+config, "EJABBERD_LOG_PATH="+filepath.Join(dir, "ejabberd.log"), "HOME="+dir,
		"erl", "-noinput", "-pa", ebin, libs[len(libs)-1], "-mnesia", "dir", `"`+filepath.Join(dir, "mnesia")+`"`, "-eval",
		fmt.Sprintf(`{ok, _} = application:ensure_all_started(ejabberd),
			[ok = ejabberd_auth:try_register(U, H, <<"secret">>) || {U, H} <- [{<<"alice">>, <<"chat.example">>}, {<<"bob">>, <<"chat.example">>}, {<<"carol">>, <<"%s">>}]],
			io:format("accounts are made~n").`, here))
	await(t, "ejabberd answers", func() bool { return strings.Contains(e.out.String(), "accounts are made") })
	t.Cleanup(func() {
		if t.Failed() {
			log, _ := os.ReadFile(filepath.Join(dir, "ejabberd.log"))
			t.Logf("ejabberd's log:\n%s", log)
		}
	})
	carol, eve := "carol@"+here, "eve@"+there
	c := startChat(t, c2s, component, alice, bob, "component:"+bot, carol, eve+":"+otherPort)
	exchange(t, c, head, between, carol, eve)
}
