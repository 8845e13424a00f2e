package link_test

import (
	"strings"
	"testing"

	"headlight.example/link"
)

func FuzzParse(f *testing.F) {
	for _, s := range []string{
		"http://host/%25%32%35", "http%3A%2F%2Fwackyurl.com:80/", "http://[::ffff:1.2.3.4]:8080/a/../b?c#d",
		"hTTps:\\\\u:p@EXAMPLE.com:0443/\\a//./b/%2e%2e/c?%3f%23", "http://\x01\x80.com/", "http://www.ümlat.com",
		"http://xn--a/", "http://xn--a\u00fc.com/", "10.192.95.89 xy", "0x7f.1", "http://a\u00ad\u202eb.com/\u200b",
		"http://h/" + strings.Repeat("%25", link.MaxLen/3), "http://h/a?" + strings.Repeat("é", link.MaxLen/2),
		"http://h/" + strings.Repeat("../.", link.MaxLen/4), "//a.b/c", "a.b:80", "https://github.com/user/repo",
		"http://\u2100.com/", "http://a\u3002\uff0eb\uff61.c./", "http://0300.168.0xF0", "http://256.1.1.99999999999",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		l, err := link.Parse(raw)
		if err != nil {
			if !l.IsZero() {
				t.Fatalf("Parse(%q) = %q and an error", raw, l)
			}
			return
		}
		checkLink(t, raw, l)
	})
}

// checkLink asserts what is true of every link.
func checkLink(t *testing.T, raw string, l link.Link) {
	t.Helper()
	again, err := link.Parse(l.String())
	if err != nil {
		t.Fatalf("%q is %q, which does not parse: %v", raw, l, err)
	}
	if again.WithoutMarks() != l.WithoutMarks() {
		t.Fatalf("%q is %q, which is %q (%s, %s)", raw, l, again, l.Tenant(), again.Tenant())
	}
	if extra := again.Marks() &^ l.Marks(); extra != 0 {
		t.Fatalf("%q is %q, which has further marks %b", raw, l, extra)
	}
	c := l.Canonical()
	if len(c) > link.MaxLen {
		t.Fatalf("%q has %d bytes", raw, len(c))
	}
	for i := range len(c) {
		if c[i] <= 0x20 || c[i] >= 0x7f || c[i] == '#' {
			t.Fatalf("%q is %q, with a byte that is to be escaped at %d", raw, c, i)
		}
	}
	if want := l.Scheme() + "://" + l.URL(); c != want {
		t.Fatalf("%q: canonical %q, want %q", raw, c, want)
	}
	checkRungs(t, raw, l)
	for _, rule := range []link.Rule{link.V4, link.V5} {
		checkExpressions(t, raw, l, rule)
	}
}

func checkRungs(t *testing.T, raw string, l link.Link) {
	t.Helper()
	if l.Host() == "" || strings.ToLower(l.Host()) != l.Host() && l.Marks()&link.OddHost == 0 {
		t.Fatalf("%q: host %q", raw, l.Host())
	}
	if !strings.HasPrefix(l.URL(), l.Path()) || !strings.HasPrefix(l.URL(), l.Host()+"/") {
		t.Fatalf("%q: URL %q, path %q, host %q", raw, l.URL(), l.Path(), l.Host())
	}
	if !strings.HasSuffix(l.Host(), l.Domain()) || !strings.HasSuffix(l.Domain(), l.Suffix()) {
		t.Fatalf("%q: host %q, domain %q, suffix %q", raw, l.Host(), l.Domain(), l.Suffix())
	}
	if !strings.Contains(l.URL(), l.Tenant()) || l.Tenant() == "" {
		t.Fatalf("%q: tenant %q", raw, l.Tenant())
	}
	if a, ok := l.Addr(); ok && (a.Is4In6() || !strings.Contains(l.Host(), a.String()) || l.Tenant() != l.Host()) {
		t.Fatalf("%q: address %v of %q", raw, a, l.Host())
	}
}

func checkExpressions(t *testing.T, raw string, l link.Link, rule link.Rule) {
	t.Helper()
	got := link.AppendExpressions(nil, l, rule)
	if len(got) > link.MaxExpressions || got[0] != l.URL() {
		t.Fatalf("%q: %d expressions, the first %q", raw, len(got), got[0])
	}
	seen := map[string]bool{}
	for _, e := range got {
		if !strings.Contains(l.URL(), e) || seen[e] {
			t.Fatalf("%q: expression %q is no part of %q or twice", raw, e, l.URL())
		}
		seen[e] = true
	}
}
