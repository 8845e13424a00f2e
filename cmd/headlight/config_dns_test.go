package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestDNSConfig(t *testing.T) {
	t.Parallel()
	for _, x := range []struct {
		name, text, want string // "": it is good
	}{
		{"off", "[dns]\nzone = \"a..b\"\n", ""},
		{"a zone", "[dns]\nlisten = \"127.0.0.1:5353\"\nzone = \"bl.example.org\"\nnotify = [\"192.0.2.1\", \"[2001:db8::1]:54\"]\nallow = \"192.0.2.0/24\"\n", ""},
		{"no zone", "[dns]\nlisten = \"127.0.0.1:5353\"\n", "neither a zone nor a policy zone"},
		{"no port", "[dns]\nlisten = \"127.0.0.1\"\nzone = \"bl.example.org\"\n", "is not HOST:PORT"},
		{"no network", "[dns]\nlisten = \":53\"\nzone = \"bl.example.org\"\nallow = [\"everybody\"]\n", `allow: "everybody" is not an address or a network`},
		{"no secondary", "[dns]\nlisten = \":53\"\nrpz = \"rpz.example.org\"\nnotify = [\"ns.example.org\"]\n", `notify: "ns.example.org" is not ADDR or ADDR:PORT`},
		{"below 0", "[dns]\nlisten = \":53\"\nrpz = \"rpz.example.org\"\nrate = -1\n", "rate is below 0"},
		{"editions too often", "[lists]\nevery = \"1ms\"\n", "lists.every"},
	} {
		_, err := parseConfig("x.toml", []byte(x.text))
		if x.want == "" && err != nil || x.want != "" && (err == nil || !strings.Contains(err.Error(), x.want)) {
			t.Errorf("%s: got %v, want %q", x.name, err, x.want)
		}
	}
}

func TestDNSKeys(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for text, want := range map[string]string{
		"# ours\nhl MDEyMzQ1Njc4OWFiY2RlZg==  # a comment\n\n": "",
		"hl\n":               "keys:1: want NAME SECRET",
		"hl c2hvcnQ=\n":      "keys:1: the secret of hl",
		"# x\nhl not-base64": "keys:2: the secret of hl",
	} {
		if err := os.WriteFile(filepath.Join(dir, "keys"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		c := DefaultConfig()
		c.name, c.DNS.Keys = filepath.Join(dir, "x.toml"), "keys"
		keys, err := c.DNS.keys(new(env), c)
		if want == "" && (err != nil || string(keys["hl"]) != "0123456789abcdef") || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%q: got %v, %v, want %q", text, keys, err, want)
		}
	}
}
