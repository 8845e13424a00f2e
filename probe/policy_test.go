package probe_test

import (
	"os"
	"strings"
	"testing"

	"headlight.example/link"
	"headlight.example/probe"
)

// corpus reads the links of a file in testdata.
func corpus(t *testing.T, name string) (links []string) {
	t.Helper()
	b, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			links = append(links, line)
		}
	}
	if len(links) < 10 {
		t.Fatalf("%d links in %s", len(links), name)
	}
	return links
}

func TestNoOneTimeLinkIsAskedForExactly(t *testing.T) {
	t.Parallel()
	exact := 0
	for _, raw := range corpus(t, "onetime.txt") {
		if d := probe.Safe.Decide(parse(t, raw), false); d.Mode > probe.Origin {
			exact++
			t.Errorf("%s: %s, %s", raw, d.Mode, d.Rule)
		}
	}
	if exact != 0 {
		t.Errorf("%d links of the corpus would be asked for exactly, want 0", exact)
	}
}

func TestPlainLinksAreAskedForExactly(t *testing.T) {
	t.Parallel()
	for _, raw := range corpus(t, "plain.txt") {
		if d := probe.Safe.Decide(parse(t, raw), false); d.Mode != probe.Exact || d.Class != probe.Plain {
			t.Errorf("%s: %s, %s, %s", raw, d.Mode, d.Class, d.Rule)
		}
		if d := probe.Safe.Decide(parse(t, raw), true); d.Mode != probe.Origin || d.Class != probe.Unsubscribe {
			t.Errorf("%s from List-Unsubscribe: %s, %s", raw, d.Mode, d.Class)
		}
	}
}

func TestClassify(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		raw  string
		want probe.Class
		rule string
	}{
		{"https://bit.ly/3abc", probe.ShortLink, "known shortener"},
		{"https://bit.ly/", probe.Plain, "nothing in it looks as if it were used once"},
		{"https://bit.ly/reset", probe.OneTime, "word reset"},
		{"https://ann@example.com/", probe.Credential, "user information before the host"},
		{"https://example.com/?password=x", probe.Credential, "word password"},
		{"https://example.com/?authKey=x", probe.Credential, "word key"},
		{"https://example.com/?monkey=x", probe.Plain, "nothing in it looks as if it were used once"},
		{"https://example.com/AUTHOR", probe.Plain, "nothing in it looks as if it were used once"},
		{"https://reset.example/", probe.Plain, "nothing in it looks as if it were used once"}, // hosts do nothing
		{"https://example.com/0123456789abcde", probe.Plain, "nothing in it looks as if it were used once"},
		{"https://example.com/0123456789abcdef", probe.OneTime, "long random part"},
		{"https://example.com/aaaaaaaaaaaaaaaaaaaaaa", probe.OneTime, "long random part"}, // hexadecimal
		{"https://example.com/zzzzzzzzzzzzzzzzzzzzzz", probe.Plain, "nothing in it looks as if it were used once"},
		{"https://example.com/ghijklmnopqrstu", probe.Plain, "nothing in it looks as if it were used once"}, // 15
		{"https://example.com/ghijklmnopqrstuv", probe.OneTime, "long random part"},                         // 16
		{"https://example.com/a/" + strings.Repeat("z/", link.MaxLen/2), probe.OneTime, "longer than a link that can be asked for"},
	} {
		class, rule := probe.Classify(parse(t, tt.raw), false)
		if class != tt.want || rule != tt.rule {
			t.Errorf("%.60s: got %s, %s; want %s, %s", tt.raw, class, rule, tt.want, tt.rule)
		}
	}
}

func TestPolicies(t *testing.T) {
	t.Parallel()
	l := parse(t, "https://example.com/reset?x=1")
	for word, want := range map[string]probe.Mode{"safe": probe.Origin, "always": probe.Exact, "never": probe.Origin} {
		p, err := probe.ParsePolicy(word)
		if err != nil || p.Decide(l, false).Mode != want {
			t.Errorf("%s: %v, %v", word, p.Decide(l, false), err)
		}
	}
	if _, err := probe.ParsePolicy("sometimes"); err == nil {
		t.Error("a word that is none was taken")
	}
	if got := new(probe.Policy).Decide(l, false).Mode; got != probe.DNSOnly {
		t.Errorf("the zero policy asks for %s", got)
	}
	if got := probe.Never.Decide(parse(t, "https://example.com/"), false).Mode; got != probe.Origin {
		t.Errorf("never: %s", got)
	}
}
