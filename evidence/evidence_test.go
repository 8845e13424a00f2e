package evidence_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"headlight.example/evidence"
)

func TestKindsAndAssertionsHaveOneWordEach(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for k := evidence.URL; k <= evidence.Fact; k++ {
		got, err := evidence.ParseKind(k.String())
		if err != nil || got != k || seen[k.String()] {
			t.Errorf("kind %d: %q is read as %d, %v", k, k, got, err)
		}
		seen[k.String()] = true
	}
	clear(seen)
	for a := evidence.Phishing; a <= evidence.Shows; a++ {
		got, err := evidence.ParseAssertion(a.String())
		if err != nil || got != a || seen[a.String()] {
			t.Errorf("assertion %d: %q is read as %d, %v", a, a, got, err)
		}
		seen[a.String()] = true
		if a.Threat() != (a <= evidence.Spam) || a.Relation() != (a >= evidence.PartOf) {
			t.Errorf("%v: threat %v, relation %v", a, a.Threat(), a.Relation())
		}
	}
	for _, s := range []string{"", "URL", "phishing ", "Kind(0)"} {
		if _, err := evidence.ParseKind(s); err == nil {
			t.Errorf("kind %q is taken", s)
		}
		if _, err := evidence.ParseAssertion(s + "x"); err == nil {
			t.Errorf("assertion %q is taken", s+"x")
		}
	}
	for _, n := range []uint8{0, 14, 255} {
		if _, err := evidence.Kind(n).MarshalText(); err == nil {
			t.Errorf("kind %d has a text", n)
		}
	}
	for _, n := range []uint8{0, 16, 255} {
		if _, err := evidence.Assertion(n).MarshalText(); err == nil {
			t.Errorf("assertion %d has a text", n)
		}
	}
	if s := fmt.Sprint(evidence.Kind(0), evidence.Kind(14), evidence.Assertion(16)); s != "Kind(0) Kind(14) Assertion(16)" {
		t.Errorf("got %s", s)
	}
}

func TestSubjectsAreTakenInCanonicalFormOnly(t *testing.T) {
	t.Parallel()
	host := func(n int) string { return strings.Repeat("a", n-3) + ".bc" }
	for _, test := range []struct {
		kind      evidence.Kind
		good, bad []string
	}{
		{evidence.URL,
			[]string{"a.example/", "a.example/x/y?z=1&u=http://b/", "192.0.2.1/x", "[2001:db8::1]/", "a_b.example/%25", `a.example/"\`, "a.example/" + strings.Repeat("x", evidence.MaxKey-10)},
			[]string{"", "a.example", "http://a.example/", "A.example/", "a.example:80/", "/x", "a.example/ x", "a.example/\x7f", "a.example/é", "a.example/#x", "u@a.example/", "a..example/", ".a.example/", "a.example./", "a.example/" + strings.Repeat("x", evidence.MaxKey-9), "[::1/x"[1:]}},
		{evidence.Path,
			[]string{"a.example/x/", "192.0.2.1/x.php/"},
			[]string{"a.example/", "a.example/x", "a.example/x/y/", "a.example//", "a.example/x?/", "x/"}},
		{evidence.Host,
			[]string{"a.example", "xn--bcher-kva.example", "localhost", "192.0.2.1", "[2001:db8::1]", host(evidence.MaxHost)},
			[]string{"", "a.example/", "a.example:80", "a.Example", "a?b", "2001:db8::1", "[2001:DB8::1]", "[2001:db8::1", "[[2001:db8::1]]", "[192.0.2.1]", "[fe80::1%eth0]", "fe80::1%eth0", "a@b", host(evidence.MaxHost + 1)}},
		{evidence.Tenant,
			[]string{"a.example", "docs.example/d", "docs.example/d/one"},
			[]string{"docs.example/", "docs.example/d?x", "/d", "docs.example/d#x"}},
		{evidence.Domain, []string{"a.example", "a.co.uk"}, []string{"a.example/x", "A.example"}},
		{evidence.Suffix, []string{"example", "co.uk"}, []string{".uk", "co..uk"}},
		{evidence.Addr, []string{"192.0.2.1", "2001:db8::1"}, []string{"192.0.2.01", "192.0.2.1/32", "2001:DB8::1", "2001:db8:0::1", "::ffff:192.0.2.1", "fe80::1%eth0", "a.example"}},
		{evidence.Subnet, []string{"192.0.2.0/24", "2001:db8:1::/48"}, []string{"192.0.2.1/24", "192.0.2.0/23", "192.0.2.0/25", "2001:db8::/47", "2001:db8::/64", "::ffff:192.0.2.0/120"}},
		{evidence.Prefix, []string{"192.0.2.0/23", "0.0.0.0/0", "2001:db8::/32"}, []string{"192.0.2.0", "192.0.3.0/23", "192.0.2.0/33", "192.0.2.0/023"}},
		{evidence.AS, []string{"1", "64496", "4294967295"}, []string{"0", "AS1", "01", "4294967296", "-1", "+1"}},
		{evidence.NameServer, []string{"ns1.a.example"}, []string{"ns1.a.example."}},
		{evidence.Sealed,
			[]string{"a.example/#0000000000002/#zzzzzzzzzzzzy", "a.example/#/#0000000000002", "a.example/#0000000000002/#/#0000000000002"},
			[]string{"a.example/#0000000000002", "a.example/#/#", "a.example/#/#000000000000", "a.example/#/#00000000000002", "a.example/#/#0000000000001", "a.example/#/#0000000000000",
				"a.example/#/#000000000000i", "a.example/#/#000000000000U", "a.example/#/#/#0000000000002", "a.example/x/#/#0000000000002", "/#/#0000000000002", "a.example/#0000000000002/#0000000000002/#0000000000002/#0000000000002"}},
		{evidence.Fact,
			[]string{"answer/404", "answer/999", "answer/timeout", "server/nginx", "server/microsoft-iis", "powered-by/php", "certificate/let-s-encrypt", "certificate/" + strings.Repeat("a", 32),
				"type/text/html", "type/application/vnd.ms-excel", "type/image/svg+xml", "type/other", "attachment/exe", "attachment/unnamed", "modified/day", "http/malformed", "shape/0123456789abcdef", "redirects/away",
				"tls/1.3", "tls/none", "certificate-age/week", "certificate-names/many", "hsts/yes", "csp/yes", "cookie/yes", "http3/yes", "registered/week", "registered/five-years"},
			[]string{"server", "server/", "/nginx", "Server/nginx", "server/Nginx", "server/nginx/1.18", "server/-nginx", "server/nginx-", "server/a--b", "server/github.com", "server/" + strings.Repeat("a", 33), "answer/099", "answer/40", "answer/4040", "answer/dead",
				"type/text", "type/text/", "type/text/html/x", "type/secret/html", "type/text/.html", "type/text/" + strings.Repeat("a", 92), "attachment/invoice.exe", "attachment/password", "modified/2026-01-02", "shape/0123456789abcde", "shape/0123456789ABCDEF", "shape/0123456789abcdef0", "redirects/b.example", "hsts/no", "registered/2020", "registered/future", "path/login"}},
		{0, nil, []string{"a.example"}},
		{evidence.Fact + 1, nil, []string{"a.example"}},
	} {
		for _, key := range test.good {
			if err := (evidence.Subject{Kind: test.kind, Key: key}).Validate(); err != nil {
				t.Errorf("%.60s: %v", key, err)
			}
		}
		for _, key := range test.bad {
			if err := (evidence.Subject{Kind: test.kind, Key: key}).Validate(); err == nil {
				t.Errorf("%v %.60q is taken", test.kind, key)
			} else if len(err.Error()) > 300 {
				t.Errorf("an error of %d bytes repeats a hostile key", len(err.Error()))
			}
		}
	}
}

func TestRatersAreNamedInTwoOrThreeElements(t *testing.T) {
	t.Parallel()
	long := "user/" + strings.Repeat("a", evidence.MaxRater-5)
	for _, good := range []string{"feed/openphish", "feed/tweetfeed/Some_Body", "user/@ann:b.example", "operator/ann+x=~%41", long} {
		if err := evidence.ValidateRater(good); err != nil {
			t.Error(err)
		}
	}
	for _, bad := range []string{"", "feed", "feed/", "/x", "feed//x", "feed/a/", "feed/a/b/c", "Feed/x", "feed1/x", "feed/a b", "feed/é", "feed/a\n", "feed/a?", long + "a"} {
		if err := evidence.ValidateRater(bad); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
	for rater, want := range map[string][2]string{
		"feed/openphish": {"feed", "feed/openphish"}, "feed/tweetfeed/somebody": {"feed", "feed/tweetfeed"}, "odd": {"odd", "odd"},
	} {
		if got := [2]string{evidence.Role(rater), evidence.Group(rater)}; got != want {
			t.Errorf("%s: got %v, want %v", rater, got, want)
		}
	}
}

func TestARecordIsASentence(t *testing.T) {
	t.Parallel()
	relation := samples()[5]
	for _, test := range []struct {
		name   string
		change func(*evidence.Record)
		want   string
	}{
		{"nothing is changed", func(r *evidence.Record) {}, ""},
		{"the first time", func(r *evidence.Record) { r.Time = time.Unix(0, 0) }, ""},
		{"before the first time", func(r *evidence.Record) { r.Time = time.Unix(0, -1) }, "not between 1970 and 9999"},
		{"no time", func(r *evidence.Record) { r.Time = time.Time{} }, "not between 1970 and 9999"},
		{"after the last time", func(r *evidence.Record) { r.Time = time.UnixMilli(253402300800000) }, "not between 1970 and 9999"},
		{"the last expiry", func(r *evidence.Record) { r.Expires = time.UnixMilli(253402300799999) }, ""},
		{"after the last expiry", func(r *evidence.Record) { r.Expires = time.UnixMilli(253402300800000) }, "expiry"},
		{"no count", func(r *evidence.Record) { r.Count = 0 }, "count is 0"},
		{"no rater", func(r *evidence.Record) { r.Rater = "" }, "rater"},
		{"no subject", func(r *evidence.Record) { r.Subject = evidence.Subject{} }, "subject: no kind"},
		{"no assertion", func(r *evidence.Record) { r.Assertion = 0 }, "no assertion has the number 0"},
		{"an unknown assertion", func(r *evidence.Record) { r.Assertion = 16 }, "no assertion has the number 16"},
		{"a host that shows a fact", func(r *evidence.Record) {
			r.Assertion, r.Object = evidence.Shows, evidence.FactOf(evidence.FactServer, "nginx")
		}, ""},
		{"a URL that shows a fact", func(r *evidence.Record) {
			r.Subject, r.Assertion, r.Object = url("a.example/x"), evidence.Shows, evidence.FactOf(evidence.FactServer, "nginx")
		}, "facts are what hosts show"},
		{"a host that shows an address", func(r *evidence.Record) { r.Assertion = evidence.Shows }, "facts are what hosts show"},
		{"a host that resolves to a fact", func(r *evidence.Record) { r.Object = evidence.FactOf(evidence.FactServer, "nginx") }, "facts are what hosts show"},
		{"a fact that is bad", func(r *evidence.Record) {
			r.Subject, r.Assertion, r.Object = evidence.FactOf(evidence.FactServer, "nginx"), evidence.Phishing, evidence.Subject{}
		}, "facts are what hosts show"},
		{"a relation without object", func(r *evidence.Record) { r.Object = evidence.Subject{} }, "object of resolves-to"},
		{"a judgement with object", func(r *evidence.Record) { r.Assertion = evidence.Benign }, "benign takes no object"},
	} {
		r := relation
		test.change(&r)
		if err := r.Validate(); err == nil && test.want != "" || err != nil && (test.want == "" || !strings.Contains(err.Error(), test.want)) {
			t.Errorf("%s: got %v, want %q", test.name, err, test.want)
		}
	}
}

func TestCovers(t *testing.T) {
	t.Parallel()
	sub := func(s string) evidence.Subject {
		kind, key, _ := strings.Cut(s, " ")
		k, err := evidence.ParseKind(kind)
		if err != nil {
			t.Fatal(err)
		}
		return evidence.Subject{Kind: k, Key: key}
	}
	const p, u, v = "#0000000000002", "#0000000000004", "#0000000000006"
	for _, test := range []struct {
		s       string
		yes, no []string
	}{
		{"url a.b.example/x", []string{"url a.b.example/x"}, []string{"url a.b.example/xy", "host a.b.example", "path a.b.example/x/"}},
		{"path a.example/x/", []string{"path a.example/x/", "url a.example/x/", "url a.example/x/y", "tenant a.example/x/y"}, []string{"url a.example/x", "url a.example/xy/", "host a.example"}},
		{"host a.example", []string{"url a.example/x", "path a.example/x/", "tenant a.example", "domain a.example", "sealed a.example/" + p + "/" + u}, []string{"url b.a.example/", "host xa.example", "prefix 192.0.2.0/24"}},
		{"tenant a.example", []string{"url b.a.example/", "host a.example", "nameserver ns.a.example"}, []string{"host ba.example", "host example"}},
		{"tenant d.example/one", []string{"url d.example/one", "url d.example/one/edit", "url d.example/one?x", "path d.example/one/"}, []string{"url d.example/onetwo", "host d.example", "url x.d.example/one"}},
		{"domain a.example", []string{"url b.a.example/", "domain a.example", "tenant c.b.a.example"}, []string{"host ba.example"}},
		{"addr 192.0.2.1", []string{"url 192.0.2.1/x", "host 192.0.2.1"}, []string{"subnet 192.0.2.0/24", "addr 192.0.2.10"}},
		{"addr 2001:db8::1", []string{"url [2001:db8::1]/x", "host [2001:db8::1]"}, []string{"host [2001:db8::2]"}},
		{"suffix example", []string{"suffix example"}, []string{"host a.example"}},
		{"fact server/nginx", []string{"fact server/nginx"}, []string{"fact server/nginx-b", "fact powered-by/nginx"}},
		{"prefix 192.0.2.0/24", []string{"prefix 192.0.2.0/24"}, []string{"subnet 192.0.2.0/24", "addr 192.0.2.1"}},
		{"sealed a.example/#/" + u, []string{"sealed a.example/#/" + u, "sealed a.example/" + p + "/" + u}, []string{"sealed a.example/#/" + v, "sealed b.example/#/" + u, "url a.example/x"}},
	} {
		s := sub(test.s)
		for _, y := range test.yes {
			if !s.Covers(sub(y)) {
				t.Errorf("%s does not cover %s", test.s, y)
			}
		}
		for _, n := range test.no {
			if s.Covers(sub(n)) {
				t.Errorf("%s covers %s", test.s, n)
			}
		}
	}
}

func TestSubnetOf(t *testing.T) {
	t.Parallel()
	for addr, want := range map[string]string{
		"192.0.2.77": "192.0.2.0/24", "::ffff:192.0.2.77": "192.0.2.0/24", "2001:db8:1:2::3": "2001:db8:1::/48", "fe80::1%eth0": "fe80::/48",
	} {
		got := evidence.SubnetOf(netip.MustParseAddr(addr))
		if got.Key != want || got.Validate() != nil {
			t.Errorf("%s: got %v, want %s", addr, got, want)
		}
	}
}
