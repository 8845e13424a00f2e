//go:build clients

package docs_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What every Prosody of a test needs and no page names.
const prosodyAround = `
run_as_root = true
pidfile = "DIR/prosody.pid"
data_path = "DIR/data"
log = { { levels = { min = "info" }, to = "console" } }
interfaces = { "127.0.0.1" }
c2s_ports = { C2S }
s2s_ports = { 5269 }
s2s_interfaces = { "ADDRESS" }
s2s_require_encryption = false
component_ports = { COMPONENT }
component_interfaces = { "127.0.0.1" }
modules_enabled = { "saslauth", "roster", "carbons", "s2s", "dialback" }
c2s_require_encryption = false
authentication = "internal_plain"
storage = "internal"
`

func TestProsody(t *testing.T) {
	t.Parallel()
	page, dir := open(t, "prosody.md"), t.TempDir()
	write(t, filepath.Join(dir, "tokens"), page.file("tokens")+"ann operator/ann 0123456789abcdef\n")
	head := serve(t, dir, "listen = \"127.0.0.1:0\"\n[tokens]\nfile = \"tokens\"\n")
	between := standBetween(t, head.url)
	modules, err := filepath.Abs("../clients/prosody")
	if err != nil {
		t.Fatal(err)
	}
	c2s, component := freePort(t), freePort(t)
	// Two servers find each other without DNS if they are named by addresses;
	// their port is fixed, and so they have addresses of their own.
	here, there := fmt.Sprintf("127.%d.%d.1", os.Getpid()>>8&127+1, os.Getpid()&255), fmt.Sprintf("127.%d.%d.2", os.Getpid()>>8&127+1, os.Getpid()&255)
	other, otherPort := filepath.Join(dir, "other"), freePort(t)
	write(t, filepath.Join(other, "data", strings.ReplaceAll(there, ".", "%2e"), "accounts", "eve.dat"), "return { password = \"secret\" };\n")
	write(t, filepath.Join(dir, "data", strings.ReplaceAll(here, ".", "%2e"), "accounts", "carol.dat"), "return { password = \"secret\" };\n")
	run(t, dir, need(t, "prosody"), "-F", "--config", write(t, filepath.Join(other, "prosody.cfg.lua"),
		strings.NewReplacer("DIR", other, "C2S", otherPort, "COMPONENT", freePort(t), "ADDRESS", there).Replace(prosodyAround)+"VirtualHost \""+there+"\"\n"))
	config := strings.NewReplacer("DIR", dir, "C2S", c2s, "COMPONENT", component, "ADDRESS", here).Replace(prosodyAround) +
		page.file("prosody.cfg.lua", "/usr/local/lib/prosody/modules", modules, "http://127.0.0.1:8080", between.URL) +
		"Component \"" + bot + "\"\n    component_secret = \"secret\"\n" +
		"VirtualHost \"" + here + "\"\n    modules_enabled = { \"headlight\" }\n"
	file := write(t, filepath.Join(dir, "prosody.cfg.lua"), config)
	for _, user := range []string{"alice", "bob"} { // as "prosodyctl adduser" would, were it not for its user
		write(t, filepath.Join(dir, "data", "chat%2eexample", "accounts", user+".dat"), "return { password = \"secret\" };\n")
	}
	prosody := run(t, dir, need(t, "prosody"), "-F", "--config", file)
	await(t, "Prosody answers", func() bool { return strings.Contains(prosody.out.String(), "Activated service 'c2s'") })
	carol, eve := "carol@"+here, "eve@"+there
	c := startChat(t, c2s, component, alice, bob, "component:"+bot, carol, eve+":"+otherPort)
	exchange(t, c, head, between, carol, eve)
}
