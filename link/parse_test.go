package link_test

import (
	"encoding/hex"
	"errors"
	"net/netip"
	"strings"
	"testing"

	"headlight.example/link"
)

func TestParse(t *testing.T) {
	for _, tt := range []struct {
		name, raw, want string
		marks           link.Marks
	}{
		{"a link in canonical form stays", "https://www.example.com/a/b?c=d", "https://www.example.com/a/b?c=d", 0},
		{"a fragment is dropped", "https://www.example.com/a#b?c", "https://www.example.com/a", 0},
		{"a missing path is a slash", "https://example.com", "https://example.com/", 0},
		{"a query may follow the host", "https://example.com?q=1", "https://example.com/?q=1", 0},
		{"an empty query is dropped", "https://example.com/a?", "https://example.com/a", 0},
		{"a missing scheme is http", "example.com/a", "http://example.com/a", 0},
		{"a missing scheme with a port", "example.com:8080/a", "http://example.com:8080/a", 0},
		{"two slashes without a scheme", "//example.com/a", "http://example.com/a", 0},
		{"schemes are of any case", "HtTpS://example.com/", "https://example.com/", 0},
		{"other schemes of servers", "ftp://example.com/a", "ftp://example.com/a", 0},
		{"web sockets", "wss://example.com/a", "wss://example.com/a", 0},
		{"any slashes after the scheme", `https:\/\example.com/`, "https://example.com/", 0},
		{"no slashes after the scheme", "https:example.com/", "https://example.com/", 0},
		{"backslashes are slashes", `https://example.com\a\..\b?c\d`, `https://example.com/b?c\d`, 0},
		{"controls and spaces around", "\x00 \t https://example.com/ \r\n", "https://example.com/", 0},
		{"tabs and line ends inside", "ht\ntps://exa\tmple.com/a\r\nb", "https://example.com/ab", 0},

		{"userinfo is not the host", "https://paypal.com@evil.example/", "https://evil.example/", link.Userinfo},
		{"userinfo ends at the last at sign", "https://a:b@c@evil.example/", "https://evil.example/", link.Userinfo},
		{"an escaped slash does not end the userinfo", "https://paypal.com%2F@evil.example/", "https://evil.example/", link.Userinfo},
		{"empty userinfo is none", "https://@evil.example/", "https://evil.example/", 0},
		{"an at sign after the host is none", "https://good.example/@evil.example", "https://good.example/@evil.example", 0},
		{"a backslash ends the host", `https://good.example\@evil.example`, "https://good.example/@evil.example", 0},

		{"the scheme's own port is dropped", "https://example.com:0443/", "https://example.com/", 0},
		{"another port is kept aside", "https://example.com:80/", "https://example.com:80/", 0},
		{"an empty port is none", "https://example.com:/", "https://example.com/", 0},

		{"case is folded in the host only", "https://EXAMPLE.com/A", "https://example.com/A", 0},
		{"the host is percent-decoded to the end", "https://%2565xample.com/", "https://example.com/", 0},
		{"empty labels are dropped", "http://www..example.com./", "http://www.example.com/", 0},
		{"an underscore is fine", "http://a_b.example.com/", "http://a_b.example.com/", 0},
		{"a name of one label", "http://localhost/", "http://localhost/", 0},
		{"an A-label stays", "http://XN--MLAT-zra.com/", "http://xn--mlat-zra.com/", 0},
		{"a bad A-label stays", "http://xn--a/", "http://xn--a/", 0},
		{"U-labels become A-labels", "http://Ümlat.com/", "http://xn--mlat-zra.com/", 0},
		{"percent-encoded U-labels as well", "http://%C3%9Cmlat.com/", "http://xn--mlat-zra.com/", 0},
		{"fullwidth letters and dots", "http://ｅｘａｍｐｌｅ．com。/", "http://example.com/", 0},
		{"a soft hyphen is ignored and marked", "http://exam\u00adple.com/", "http://example.com/", link.Invisible},
		{"a zero-width space is ignored and marked", "http://exam\u200bple.com/", "http://example.com/", link.Invisible},
		{"a bidi override in the host is kept, odd", "http://a\u202eb.com/", "http://xn--ab-g4t.com/", link.Invisible | link.OddHost},
		{"a bidi override in the path is marked", "http://a.com/\u202egpj.exe", "http://a.com/%E2%80%AEgpj.exe", link.Invisible},
		{"a joiner in a path is not", "http://a.com/\u0645\u06cc\u200c\u062e", "http://a.com/%D9%85%DB%8C%E2%80%8C%D8%AE", 0},
		{"a fullwidth percent sign that makes an escape", "http://ｂ％41.com/", "http://ba.com/", link.OddHost},
		{"an A-label that makes an escape", "http://00000.00%0\u008000/", "http://00000.xn--00%000-ea/", link.OddHost},
		{"bytes that are no UTF-8", "http://a\x80b.com/\xff", "http://a%80b.com/%FF", link.OddHost},
		{"a space in the host", "http://a b.com/", "http://a%20b.com/", link.OddHost},

		{"an address", "http://192.0.2.1/", "http://192.0.2.1/", 0},
		{"an address as one number", "http://2130706433/", "http://127.0.0.1/", link.Respelled},
		{"in hexadecimal and two parts", "http://0x7f.1/", "http://127.0.0.1/", link.Respelled},
		{"in two parts", "http://127.1/", "http://127.0.0.1/", link.Respelled},
		{"in octal", "http://0177.0.0.01/", "http://127.0.0.1/", link.Respelled},
		{"in three parts", "http://192.168.257/", "http://192.168.1.1/", link.Respelled},
		{"in fullwidth digits", "http://１９２．0.2.1/", "http://192.0.2.1/", 0},
		{"percent-encoded", "http://%31%392.0.2.1/", "http://192.0.2.1/", 0},
		{"a bare 0x is nought", "http://0x.0x.0/", "http://0.0.0.0/", link.Respelled},
		{"a part too big is cut", "http://256.0.0.1/", "http://0.0.0.1/", link.Respelled | link.OddHost},
		{"five parts are a name that browsers refuse", "http://1.2.3.4.5/", "http://1.2.3.4.5/", link.OddHost},
		{"08 is no number", "http://1.2.3.08/", "http://1.2.3.08/", link.OddHost},
		{"a name that begins with a digit", "http://1and1.com/", "http://1and1.com/", 0},
		{"IPv6 in its shortest form", "http://[2001:DB8:0:0:0::1]:80/", "http://[2001:db8::1]/", 0},
		{"IPv4 mapped to IPv6", "http://[::ffff:192.0.2.1]/", "http://192.0.2.1/", link.Respelled},
		{"IPv4 behind NAT64", "http://[64:ff9b::c000:201]/", "http://192.0.2.1/", link.Respelled},
		{"a zone is dropped", "http://[fe80::1%25eth0]/", "http://[fe80::1]/", link.OddHost},

		{"dot segments", "http://a.com/b/./c/../../d/.", "http://a.com/d/", 0},
		{"dot segments that are encoded", "http://a.com/b/%2e%2E/%252e/c", "http://a.com/c", 0},
		{"above the root is the root", "http://a.com/../../b", "http://a.com/b", 0},
		{"an empty segment is one to go up from", "http://a.com/b//../c", "http://a.com/b/c", 0},
		{"slashes collapse in the path only", "http://a.com//b///c?d//e", "http://a.com/b/c?d//e", 0},
		{"dots that are no segments", "http://a.com/.a/..b/c..", "http://a.com/.a/..b/c..", 0},
		{"escapes in upper case", "http://a.com/%c3%a9%0a%23", "http://a.com/%C3%A9%0A%23", 0},
		{"an encoded question mark begins a query", "http://a.com/b%3Fc", "http://a.com/b?c", 0},
		{"a percent sign alone", "http://a.com/100%", "http://a.com/100%25", 0},
		{"the colon of the scheme is encoded", "http%3A%2F%2Fa.com%2Fb", "http://a.com/b", 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l, err := link.Parse(tt.raw)
			if err != nil || l.String() != tt.want || l.Marks() != tt.marks {
				t.Fatalf("Parse(%q) = %q, marks %05b, %v, want %q, %05b", tt.raw, l, l.Marks(), err, tt.want, tt.marks)
			}
			checkLink(t, tt.raw, l)
		})
	}
}

func TestParseRefuses(t *testing.T) {
	for _, tt := range []struct {
		name, raw string
		offset    int
	}{
		{"nothing", "", 0},
		{"white space", " \t ", 3},
		{"a scheme alone", "https://", 8},
		{"a query without a host", "https://?q", 8},
		{"a relative reference", "/a/b", 0},
		{"a mail address as a link", "mailto:a@example.com", 0},
		{"a script", "javascript:alert(1)", 0},
		{"data", " data:text/html,x", 1},
		{"a number to call", "tel:5551", 0},
		{"a port that is no number", "https://example.com:80a/", 20},
		{"a port past 65535", "https://example.com:65536/", 20},
		{"IPv6 without brackets", "https://2001:db8::1:fffff/", 20},
		{"an open bracket", "https://[2001:db8::1/", 8},
		{"IPv4 in brackets", "https://[192.0.2.1]/", 8},
		{"a slash in the host, encoded", "https://good.example%2Fevil.example/", 8},
		{"a character that IDNA maps to two with a slash", "https://good\u2100evil.example/", 8},
		{"a host of dots", "https://.../", 8},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l, err := link.Parse(tt.raw)
			syntax, ok := errors.AsType[*link.SyntaxError](err)
			if !ok || !l.IsZero() || syntax.Offset != tt.offset || syntax.Reason == "" {
				t.Errorf("Parse(%q) = %q, %v, want an error at %d", tt.raw, l, err, tt.offset)
			}
		})
	}
}

func TestParts(t *testing.T) {
	l, err := link.Parse("http://a.b.example.co.uk:8080/one/two?q=%26")
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ part, got, want string }{
		{"String", l.String(), "http://a.b.example.co.uk:8080/one/two?q=&"},
		{"Canonical", l.Canonical(), "http://a.b.example.co.uk/one/two?q=&"},
		{"Scheme", l.Scheme(), "http"},
		{"URL", l.URL(), "a.b.example.co.uk/one/two?q=&"},
		{"Query", l.Query(), "q=&"},
		{"Path", l.Path(), "a.b.example.co.uk/one/"},
		{"Host", l.Host(), "a.b.example.co.uk"},
		{"Domain", l.Domain(), "example.co.uk"},
		{"Tenant", l.Tenant(), "example.co.uk"},
		{"Suffix", l.Suffix(), "co.uk"},
	} {
		if tt.got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.part, tt.got, tt.want)
		}
	}
	if l.Port() != 8080 {
		t.Errorf("port %d", l.Port())
	}
	if c := l.Clone(); c != l {
		t.Errorf("the clone is %v", c)
	}
}

func TestZeroLinkHasZeroParts(t *testing.T) {
	var l link.Link
	all := l.String() + l.Canonical() + l.Scheme() + l.URL() + l.Query() + l.Path() + l.Host() + l.Domain() + l.Tenant() + l.Suffix()
	if _, isAddr := l.Addr(); !l.IsZero() || all != "" || isAddr || len(link.AppendExpressions(nil, l, link.V4)) > 0 {
		t.Errorf("the zero link has parts: %q", all)
	}
}

func TestPathIsTheFirstDirectory(t *testing.T) {
	for raw, want := range map[string]string{
		"a.com": "", "a.com/b": "", "a.com/b?c/d": "", "a.com/b/": "a.com/b/", "a.com/b/c/d": "a.com/b/",
	} {
		if l, err := link.Parse(raw); err != nil || l.Path() != want {
			t.Errorf("path of %s: got %q, %v, want %q", raw, l.Path(), err, want)
		}
	}
}

func TestAddr(t *testing.T) {
	for raw, want := range map[string]string{
		"http://0x7f.1/a": "127.0.0.1", "http://[2001:DB8::1]:8080/": "2001:db8::1", "http://[::ffff:192.0.2.1]/": "192.0.2.1",
	} {
		l, err := link.Parse(raw)
		got, ok := l.Addr()
		if err != nil || !ok || got != netip.MustParseAddr(want) || l.Tenant() != l.Host() || l.Domain() != l.Host() || l.Suffix() != l.Host() {
			t.Errorf("address of %s: got %v, %v, want %s", raw, got, err, want)
		}
	}
	for _, raw := range []string{"http://1.2.3.4.5/", "http://example.com/", "http://1.2.3.08/", "http://a.1e/"} {
		if l, err := link.Parse(raw); err != nil {
			t.Error(err)
		} else if a, ok := l.Addr(); ok {
			t.Errorf("%s has an address, %v", raw, a)
		}
	}
}

func TestBounds(t *testing.T) {
	query := "http://a.com/b?"
	path := "http://a.com/b/"
	for _, tt := range []struct {
		name, raw string
		length    int
		cut       bool
	}{
		{"a query as long as may be", query + strings.Repeat("x", link.MaxLen-len(query)), link.MaxLen, false},
		{"a query one byte longer", query + strings.Repeat("x", link.MaxLen-len(query)+1), link.MaxLen, true},
		{"a query cut within an escape", query + "x" + strings.Repeat("\xff", link.MaxLen), link.MaxLen - (link.MaxLen-len(query)-1)%3, true},
		{"a path as long as may be", path + strings.Repeat("x", link.MaxLen-len(path)), link.MaxLen, false},
		{"a path one byte longer loses its last segment", path + strings.Repeat("x", link.MaxLen-len(path)+1), len(path), true},
		{"escapes that grow", query + strings.Repeat("\xff", link.MaxLen/3-len(query)/3), link.MaxLen - link.MaxLen%3 - len(query)%3, false},
		{"escapes that vanish", path + "%" + strings.Repeat("25", 10_000) + "41", len(path) + 1, false},
		{"a short path that was long", path + strings.Repeat("a/../", 10_000), len(path), true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l, err := link.Parse(tt.raw)
			if err != nil || (l.Marks()&link.Cut != 0) != tt.cut {
				t.Fatalf("marks %05b, %v", l.Marks(), err)
			}
			if got := len(l.Canonical()); got != tt.length && tt.name != "escapes that grow" {
				t.Errorf("got %d bytes, want %d", got, tt.length)
			}
			checkLink(t, tt.name, l)
		})
	}
	label := strings.Repeat("a", 1020)
	if l, err := link.Parse("http://" + label + ".com/"); err != nil || len(l.Host()) != 1024 {
		t.Errorf("a host of 1024 bytes: %v", err)
	}
	if l, err := link.Parse("http://" + label + "a.com/"); err == nil {
		t.Errorf("a host of 1025 bytes is %q", l.Host())
	}
	if l, err := link.Parse("http://" + strings.Repeat("u", 1<<16) + "@a.com/"); err != nil || l.String() != "http://a.com/" {
		t.Errorf("a host behind 64 KiB of userinfo: %q, %v", l, err)
	}
}

func TestExpressions(t *testing.T) {
	for _, tt := range []struct {
		name, raw string
		rule      link.Rule
		want      string
	}{
		{"suffixes of the last five labels", "http://a.b.c.d.e.f.g/1.html", link.V4,
			"a.b.c.d.e.f.g/1.html a.b.c.d.e.f.g/ c.d.e.f.g/1.html c.d.e.f.g/ d.e.f.g/1.html d.e.f.g/ e.f.g/1.html e.f.g/ f.g/1.html f.g/"},
		{"a host of five labels is there once", "http://a.b.c.d.e/", link.V4, "a.b.c.d.e/ b.c.d.e/ c.d.e/ d.e/"},
		{"the old rule asks for public suffixes", "http://a.co.uk/", link.V4, "a.co.uk/ co.uk/"},
		{"the new rule begins at the registrable domain", "http://a.b.c.d.e.f.example.co.uk/", link.V5,
			"a.b.c.d.e.f.example.co.uk/ d.e.f.example.co.uk/ e.f.example.co.uk/ f.example.co.uk/ example.co.uk/"},
		{"private suffixes count for the new rule", "http://a.user.github.io/", link.V5, "a.user.github.io/ user.github.io/"},
		{"a public suffix has itself only", "http://co.uk/", link.V5, "co.uk/"},
		{"three directories below the root", "http://e.com/1/2/3/4/5.html?q=1", link.V5,
			"e.com/1/2/3/4/5.html?q=1 e.com/1/2/3/4/5.html e.com/ e.com/1/ e.com/1/2/ e.com/1/2/3/"},
		{"a directory is there once", "http://e.com/1/2/", link.V4, "e.com/1/2/ e.com/ e.com/1/"},
		{"an address has no suffixes", "http://192.0.2.1/a", link.V4, "192.0.2.1/a 192.0.2.1/"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l, err := link.Parse(tt.raw)
			if err != nil {
				t.Fatal(err)
			}
			got := strings.Join(link.AppendExpressions(nil, l, tt.rule), " ")
			if got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

// The hosts and paths that Firefox 153 asked a server for.
func TestThirtyExpressionsAsFirefoxAsks(t *testing.T) {
	l, err := link.Parse("https://a.b.c.d.e.f.example.co.uk/1/2/3/4/5.html?q=1")
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]bool{}
	for _, e := range link.AppendExpressions(nil, l, link.V4) {
		got[e] = true
	}
	if len(got) != link.MaxExpressions {
		t.Errorf("%d expressions, want %d", len(got), link.MaxExpressions)
	}
	for _, host := range []string{"co.uk", "example.co.uk", "f.example.co.uk", "e.f.example.co.uk", "a.b.c.d.e.f.example.co.uk"} {
		for _, path := range []string{"/", "/1/", "/1/2/", "/1/2/3/", "/1/2/3/4/5.html", "/1/2/3/4/5.html?q=1"} {
			if !got[host+path] {
				t.Errorf("%s%s is missing", host, path)
			}
		}
	}
}

func TestHashes(t *testing.T) {
	// FIPS 180-2, and two that Firefox accepted in a list.
	for expression, want := range map[string]string{
		"abc":                     "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
		"a.example/":              "6fd0ae0f361afd6ad3d194b15903ff71bd2f5f3ab0a19c12328eb742ba442018",
		"evil.example/x.html?y=1": "f1004233516eceddd8dc6c2166fdcc05f548ad58843bc41242d6239f72e5ba40",
	} {
		if got := link.Hash(expression); hexOf(got) != want {
			t.Errorf("hash of %q: got %x, want %s", expression, got, want)
		}
	}
	if !link.SavesState {
		t.Error("crypto/sha256 saves its state in another way: hashing is slower")
	}
	for n := range 300 { // one block, two blocks, more
		l, err := link.Parse("http://evil.example/" + strings.Repeat("x", n))
		if err != nil {
			t.Fatal(err)
		}
		got := link.AppendHashes(nil, l, link.V4)
		for i, e := range link.AppendExpressions(nil, l, link.V4) {
			if got[i] != link.Hash(e) {
				t.Errorf("hash %d is not that of %s", i, e)
			}
		}
	}
}

func TestAllocations(t *testing.T) {
	var l link.Link
	for _, tt := range []struct {
		name, raw string
		most      float64
	}{
		{"canonical", "https://www.example.com/a/b?c=d#e", 0},
		{"no path", "https://www.example.com", 1},
		{"escapes, case, dots and a port", "HTTPS://user@www.Example.com:8080/a%20b/../c%2Fd?e=%26", 1},
		{"an address", "http://2130706433/a", 1},
		{"no scheme", "www.example.com/a", 1},
	} {
		if got := testing.AllocsPerRun(100, func() { l, _ = link.Parse(tt.raw) }); got > tt.most {
			t.Errorf("%s: %v allocations, want %v", tt.name, got, tt.most)
		}
	}
	l, _ = link.Parse("http://www.example.co.uk:81/a/b/c?d")
	expressions := make([]string, 0, link.MaxExpressions)
	hashes := make([][32]byte, 0, link.MaxExpressions)
	sum := 0
	got := testing.AllocsPerRun(100, func() {
		for _, part := range [...]string{l.String(), l.Canonical(), l.Scheme(), l.URL(), l.Path(), l.Host(), l.Domain(), l.Tenant(), l.Suffix(), l.Query()} {
			sum += len(part)
		}
		l.Addr()
		expressions = link.AppendExpressions(expressions[:0], l, link.V5)
		hashes = link.AppendHashes(hashes[:0], l, link.V4)
	})
	if got != 0 && !underRace || sum == 0 {
		t.Errorf("accessors, expressions and hashes: %v allocations", got)
	}
}

func hexOf(hash [32]byte) string { return hex.EncodeToString(hash[:]) }
