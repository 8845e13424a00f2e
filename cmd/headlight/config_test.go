package main

import (
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"headlight.example"
)

// headlight.toml is the reference: it says what holds without it.
func TestReferenceSaysTheDefaults(t *testing.T) {
	got, err := parseConfig("headlight.toml", []byte(headlight.ConfigReference))
	if err != nil {
		t.Fatal(err)
	}
	want := DefaultConfig()
	want.name = got.name
	if !reflect.DeepEqual(got, want) {
		t.Errorf("headlight.toml decodes to\n%+v\nand DefaultConfig is\n%+v", got, want)
	}
}

// The reference names every key, those of tables that may be repeated as well.
func TestReferenceNamesEveryKey(t *testing.T) {
	table, named := "", make(map[string]bool)
	for line := range strings.Lines(headlight.ConfigReference) {
		line = strings.TrimPrefix(strings.TrimSpace(line), "#")
		if name, ok := strings.CutPrefix(line, "["); ok {
			name, _, _ = strings.Cut(strings.TrimPrefix(name, "["), "]")
			table = name + "."
			named[name] = true
		}
		if key, _, ok := strings.Cut(line, " = "); ok && !strings.Contains(key, " ") {
			named[table+key] = true
		}
	}
	for key := range configKeys() {
		if !named[key] {
			t.Errorf("headlight.toml does not name %s", key)
		}
		delete(named, key)
	}
	for key := range named {
		if !strings.HasPrefix(key, "policy.thresholds.") { // its keys are classes
			t.Errorf("headlight.toml names %s, which there is not", key)
		}
	}
	for class := range classes() {
		if !named["policy.thresholds."+class] {
			t.Errorf("headlight.toml does not name the thresholds of %s", class)
		}
	}
}

// The example of a feed in the reference is a good one.
func TestReferenceFeedsAreGood(t *testing.T) {
	_, feeds, ok := strings.Cut(headlight.ConfigReference, "#[[feed]]")
	if !ok {
		t.Fatal("there is no [[feed]]")
	}
	feeds = strings.ReplaceAll("\n#[[feed]]"+feeds, "\n#", "\n")
	c, err := parseConfig("feeds.toml", []byte(feeds))
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Feeds) != 2 || c.Feeds[0].Name != "openphish" || c.Feeds[1].Name != "urlhaus" {
		t.Errorf("got feeds %+v", c.Feeds)
	}
	p, err := c.policy()
	if err != nil {
		t.Fatal(err)
	}
	if p.Trust["feed/openphish"] != .9 {
		t.Errorf("trust of feed/openphish is %v", p.Trust["feed/openphish"])
	}
}

func TestDurations(t *testing.T) {
	for s, want := range map[string]time.Duration{
		"0": 0, "90d": 90 * day, "1.5d": 36 * time.Hour, "12h": 12 * time.Hour, "1h30m": 90 * time.Minute, "36500d": 36500 * day,
	} {
		got, err := parseDuration(s)
		if err != nil || got != want {
			t.Errorf("parseDuration(%q) = %v, %v; want %v", s, got, err, want)
		}
		var d duration
		text, err := duration(want).MarshalText()
		if err != nil || d.UnmarshalText(text) != nil || time.Duration(d) != want {
			t.Errorf("%v is written as %q, which reads as %v", want, text, d)
		}
	}
	for _, s := range []string{"", "d", "-1h", "-1d", "1 day", "90", "NaNd", "infd", "36501d"} {
		if got, err := parseDuration(s); err == nil {
			t.Errorf("parseDuration(%q) = %v, want an error", s, got)
		}
	}
}

func TestAValueOfTheWrongTypeIsNamedWithItsLine(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"listen = 5\n":                   "a.toml:1: listen takes a value of type string, not int64",
		"[policy]\nfeed_trust = \"x\"\n": "a.toml:2: policy.feed_trust takes a value of type float, not string",
	} {
		if _, err := parseConfig("a.toml", []byte(text)); err == nil || err.Error() != want {
			t.Errorf("%q: got %v, want %s", text, err, want)
		}
	}
}

func FuzzParseConfig(f *testing.F) {
	f.Add(headlight.ConfigReference)
	f.Add("[policy]\nalow = 1\n")
	f.Add("[[feed]]\nname = \"a\"\nformat = \"urls\"\n")
	f.Fuzz(func(t *testing.T, text string) {
		c, err := parseConfig("fuzz.toml", []byte(text))
		if err != nil {
			if !strings.HasPrefix(err.Error(), "fuzz.toml") {
				t.Errorf("error %q does not name the file", err)
			}
			return
		}
		if _, err := c.policy(); err != nil {
			t.Errorf("a config that is valid makes no policy: %v", err)
		}
	})
}

func TestANameServerMayBeOneOrMany(t *testing.T) {
	t.Parallel()
	parse := func(text string) (*Config, error) {
		return parseConfig("headlight.toml", []byte("[probe]\nmode = \"dns-only\"\n"+text+"\n"))
	}
	for text, want := range map[string][]string{
		`resolver = "192.0.2.53"`:                       {"192.0.2.53"},
		`resolver = ["192.0.2.53", "[2001:db8::1]:54"]`: {"192.0.2.53", "[2001:db8::1]:54"},
		`resolver = []`:                                 {},
	} {
		c, err := parse(text)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(c.Probe.Resolver, want) {
			t.Errorf("%s: %q", text, c.Probe.Resolver)
		}
	}
	for _, text := range []string{`resolver = 53`, `resolver = [53]`} {
		if _, err := parse(text); err == nil || !strings.Contains(err.Error(), "string") {
			t.Errorf("%s: %v", text, err)
		}
	}
}
