package link_test

import (
	"strings"
	"testing"

	"golang.org/x/net/publicsuffix"

	"headlight.example/link"
)

// icannSuffix is the suffix by the ICANN rules alone, by the oracle: where its
// answer is a private rule, what lies above that decides. Its second answer is
// of the last name it saw, not of the suffix, unless that is all it is asked for.
func icannSuffix(host string) string {
	for {
		suffix, _ := publicsuffix.PublicSuffix(host)
		if _, icann := publicsuffix.PublicSuffix(suffix); icann || !strings.Contains(suffix, ".") {
			return suffix
		}
		_, host, _ = strings.Cut(suffix, ".")
	}
}

// derived are names around a rule: it, names below it, what it is below of, and
// names that merely look like it.
func derived(rule string) []string {
	name := strings.TrimPrefix(strings.TrimPrefix(rule, "!"), "*.")
	names := []string{
		name, "a." + name, "b.a." + name, "www.c.b.a." + name, "x" + name, name + "x",
		"a.x" + name, "xn--a-b." + name, "1." + name, "a--_z." + name,
	}
	if _, parent, ok := strings.Cut(name, "."); ok {
		names = append(names, parent, "q."+parent, "w.q."+parent)
	}
	return names
}

func TestSuffixesAreThoseOfTheListAsXNetReadsIt(t *testing.T) {
	rules := link.SuffixRules()
	if len(rules) < 9000 {
		t.Fatalf("%d rules: too few for the public suffix list", len(rules))
	}
	for _, rule := range append(rules, "example", "localhost", "a.b.c.example") {
		for _, host := range derived(rule) {
			want, _ := publicsuffix.PublicSuffix(host)
			if got, _ := link.PublicSuffix(host); got != want {
				t.Errorf("suffix of %s (rule %s): got %s, want %s", host, rule, got, want)
			}
			if got, want := link.ICANNSuffix(host), icannSuffix(host); got != want {
				t.Errorf("ICANN suffix of %s (rule %s): got %s, want %s", host, rule, got, want)
			}
		}
	}
}

func TestListIsTheOneThatGoModNames(t *testing.T) {
	// go generate after upgrading x/net; this test says when it was forgotten,
	// together with the one above.
	if got := publicsuffix.List.String(); !strings.Contains(link.SuffixSource(), got) {
		t.Errorf("z_suffixes.txt is not of %q: run go generate", got)
	}
}

func TestSuffixIsListed(t *testing.T) {
	for host, want := range map[string]bool{
		"a.com": true, "com": true, "a.b.kawasaki.jp": true, "a.github.io": true, "city.kobe.jp": true,
		"a.example": false, "localhost": false, "192.0.2.1": false, "[::1]": false, "": false, "a.b.invalidtld": false,
	} {
		if suffix, got := link.PublicSuffix(host); got != want {
			t.Errorf("%q has suffix %q, listed %v, want %v", host, suffix, got, want)
		}
	}
}
