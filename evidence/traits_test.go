package evidence_test

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"headlight.example/evidence"
	"headlight.example/link"
)

func traitsOf(k *evidence.Key, l link.Link) *evidence.Traits {
	t := new(evidence.Traits)
	k.Traits(l, t)
	return t
}

func TestLinksShareTheMarkersThatTheyHaveInCommon(t *testing.T) {
	t.Parallel()
	k := &evidence.Key{1}
	for _, test := range []struct {
		a, b   string
		marker int
		same   bool
	}{
		{"http://a.example/x/login.php", "https://b.test/y/z/login.php", evidence.LastMarker, true},
		{"http://a.example/x/login.php", "https://b.test/x/login.html", evidence.LastMarker, false},
		{"http://a.example/x/1/2", "https://b.test/x/3/4", evidence.FirstMarker, true},
		{"http://a.example/x/1/2", "https://b.test/x/3", evidence.FirstMarker, false},
		{"http://a.example/ab12/cd.php?id=1", "https://b.test/xy34/zz.php?no=77", evidence.PathShape, true},
		{"http://a.example/ab12/cd.php", "https://b.test/12ab/cd.php", evidence.PathShape, false},
		{"http://secure-login1.com/", "http://verify-pages7.com/x", evidence.LabelShape, true},
		{"http://secure-login1.com/", "http://verify-pages7.net/x", evidence.LabelShape, false},
		{"http://a.com/x1/", "http://b.com/y2/", evidence.Layout, true},
		{"http://a.com/x1/", "https://b.com/y2/", evidence.Layout, false},
		{"http://a.com/x1/", "http://www.b.com/y2/", evidence.Layout, false},
		{"http://a.github.io/", "https://b.github.io/x", evidence.Ending, true},
		{"http://a.co.uk/", "https://b.uk/x", evidence.Ending, false},
	} {
		a, b := traitsOf(k, parse(t, test.a)), traitsOf(k, parse(t, test.b))
		if a.Markers[test.marker] == 0 || (a.Markers[test.marker] == b.Markers[test.marker]) != test.same {
			t.Errorf("marker %d of %s and %s: %x and %x, want same: %v", test.marker, test.a, test.b,
				a.Markers[test.marker], b.Markers[test.marker], test.same)
		}
	}
	if m := traitsOf(k, parse(t, "http://a.example/")).Markers; m[evidence.LastMarker] != 0 {
		t.Errorf("a front page has the markers of a path: %x", m)
	}
	if a, b := traitsOf(k, parse(t, "http://a.example/x")), traitsOf(&evidence.Key{2}, parse(t, "http://a.example/x")); a.Markers == b.Markers || slices.Equal(a.Tokens(), b.Tokens()) {
		t.Error("two keys give the same traits")
	}
}

func TestTraitsAreBounded(t *testing.T) {
	t.Parallel()
	k := &evidence.Key{1}
	var words strings.Builder
	for i := range 200 {
		words.WriteString("/w")
		words.WriteByte('a' + byte(i%26))
		words.WriteByte('a' + byte(i/26))
	}
	for _, url := range []string{
		"http://" + strings.Repeat("long-label.", 20) + "example.com" + words.String() + "?" + strings.Repeat("a1=b2&", 300),
		"http://a.example/" + strings.Repeat("x", 5000), "http://a.example" + strings.Repeat("/", 3000) + "?q",
		"http://docs.google.com/" + strings.Repeat("d/", 1000),
	} {
		l := parse(t, url)
		tr := traitsOf(k, l)
		if n := len(tr.Tokens()); n == 0 || n > evidence.MaxTokens {
			t.Errorf("%.60s…: %d tokens", url, n)
		}
		if err := k.Seal(l).Validate(); err != nil {
			t.Errorf("%.60s…: %v", url, err)
		}
	}
	r := rand.New(rand.NewPCG(1, 1))
	letters := func(n int) string {
		b := make([]byte, n)
		for i := range b {
			b[i] = 'a' + byte(r.IntN(26))
		}
		return string(b)
	}
	full := traitsOf(k, parse(t, "http://"+letters(50)+"."+letters(50)+".com/"+letters(50)+"/"+letters(50)+"/"+letters(50)+"/"+letters(50)+words.String()))
	if n := len(full.Tokens()); n != evidence.MaxTokens {
		t.Errorf("%d tokens of a link that has more, want %d", n, evidence.MaxTokens)
	}
	full.Add(1 << 60) // one past
	if n := len(full.Tokens()); n != evidence.MaxTokens {
		t.Errorf("%d tokens after one too many", n)
	}
}

// sealable are links whose traits stand in clear in part, or not at all.
var sealable = []string{
	"http://www.secure-login1.com/wp/login.php?id=7", "https://user.github.io/a/b", "http://github.com/user/repo/x?y",
	"https://bit.ly/abc", "http://192.0.2.1/x", "http://[2001:db8::1]/", "http://docs.google.com/forms/d/e/x/viewform",
	"ftp://a.b.c.co.uk/", "http://localhost/x", "http://xn--bcher-kva.example/%ff",
}

func unsealed(t testing.TB, k *evidence.Key, l link.Link) *evidence.Traits {
	t.Helper()
	s := k.Seal(l)
	sealed, err := evidence.ParseSealed(s.Key)
	if err != nil {
		t.Fatalf("%s: %v", s.Key, err)
	}
	host, err := link.Parse("http://" + sealed.Host + "/")
	if err != nil {
		t.Fatalf("%s: %v", sealed.Host, err)
	}
	tr := new(evidence.Traits)
	if !k.Unseal(host, &sealed, tr) {
		t.Fatalf("%s holds no traits", s.Key)
	}
	return tr
}

func TestASealedLinkHasTheTraitsOfTheLink(t *testing.T) {
	t.Parallel()
	k := &evidence.Key{7}
	for _, url := range sealable {
		l := parse(t, url)
		sameTraits(t, url, unsealed(t, k, l), traitsOf(k, l))
	}
}

// sameTraits compares traits whose tokens may come in another order.
func sameTraits(t testing.TB, url string, got, want *evidence.Traits) {
	t.Helper()
	if got.Markers != want.Markers {
		t.Errorf("%s: markers %x, want %x", url, got.Markers, want.Markers)
	}
	if a, b := slices.Sorted(slices.Values(got.Tokens())), slices.Sorted(slices.Values(want.Tokens())); !slices.Equal(a, b) && len(b) < evidence.MaxTokens {
		t.Errorf("%s: tokens %x, want %x", url, a, b)
	}
}

// Two links that differ in query or secret only have the same tokens.
func TestSecretsLeaveNoTokens(t *testing.T) {
	t.Parallel()
	k := &evidence.Key{7}
	for _, pair := range [][2]string{
		{"http://a.example/login?user=ann&password=geheim", "http://a.example/login?user=bob&password=nothing"},
		{"http://a.example/reset/0123456789abcdef0123", "http://a.example/reset/9876543210fedcba3210"},
		{"http://a.example/r/a1b2c3d4e5f6a7b8c9d0e1f2/x", "http://a.example/r/f1b2c3d4e5f6a7b8c9d0e1f3/x"},
	} {
		a, b := unsealed(t, k, parse(t, pair[0])), unsealed(t, k, parse(t, pair[1]))
		differ := 0
		for _, token := range a.Tokens() {
			if !slices.Contains(b.Tokens(), token) {
				differ++
			}
		}
		if differ > 1 { // the hash of the whole last segment, and the length
			t.Errorf("%s: %d tokens tell it from %s", pair[0], differ, pair[1])
		}
	}
}

func TestASealedLinkDoesNotShowItsPath(t *testing.T) {
	t.Parallel()
	k := &evidence.Key{7}
	s := k.Seal(parse(t, "http://a.example/topsecret/hushhush?password=geheim"))
	for _, word := range []string{"topsecret", "hushhush", "geheim", "password"} {
		if strings.Contains(s.Key, word) {
			t.Errorf("%s shows %q", s.Key, word)
		}
	}
	if name := k.SealName(parse(t, "http://a.example/topsecret/hushhush?password=geheim")); !name.Covers(s) || !s.Covers(name) {
		t.Errorf("%v and %v are not one link", name, s)
	}
}

func TestWrongTraitsAreRefused(t *testing.T) {
	t.Parallel()
	good := (&evidence.Key{7}).Seal(parse(t, "http://a.example/x")).Key
	name, traits, _ := strings.Cut(good, "/~")
	for _, key := range []string{
		name + "/~", name + "/~" + traits[:40], name + "/~" + traits + "A", name + "/~" + traits + "=", name + "/~!" + traits[1:],
		name + "/~" + traits + "/~" + traits, name + "/~" + traits + "____", // a token above the bound
		name + "/~" + traits + traits[len(traits)-4:], // one twice
		name + "/~" + strings.Repeat("A", 75+4*256+4), // one token too many
	} {
		if err := (evidence.Subject{Kind: evidence.Sealed, Key: key}).Validate(); err == nil {
			t.Errorf("%s is taken", key)
		}
	}
	for _, key := range []string{name, good} {
		if err := (evidence.Subject{Kind: evidence.Sealed, Key: key}).Validate(); err != nil {
			t.Errorf("%s: %v", key, err)
		}
	}
}

func FuzzTraits(f *testing.F) {
	for _, url := range sealable {
		f.Add(url)
	}
	k := &evidence.Key{9}
	f.Fuzz(func(t *testing.T, url string) {
		l, err := link.Parse(url)
		if err != nil {
			return
		}
		s := k.Seal(l)
		if s.Validate() != nil { // a key that is too long for the log
			return
		}
		sameTraits(t, url, unsealed(t, k, l), traitsOf(k, l))
	})
}
