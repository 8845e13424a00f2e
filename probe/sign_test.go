package probe_test

import (
	"bufio"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/yaronf/httpsign"

	"headlight.example/probe"
)

type jwk struct {
	KTY, CRV, X, KID, Use string
	NBF                   int64
}

// directory reads the published keys, as a webmaster's software would.
func directory(t *testing.T, k *probe.Keys) []jwk {
	t.Helper()
	var set struct{ Keys []jwk }
	if err := json.Unmarshal(k.Directory(time.Now()), &set); err != nil {
		t.Fatal(err)
	}
	return set.Keys
}

func (k jwk) public(t *testing.T) ed25519.PublicKey {
	t.Helper()
	b, err := base64.RawURLEncoding.DecodeString(k.X)
	if err != nil || len(b) != ed25519.PublicKeySize || k.KTY != "OKP" || k.CRV != "Ed25519" || k.Use != "sig" {
		t.Fatalf("key %+v: %v", k, err)
	}
	return b
}

// The verifier is somebody else's.
func TestVisitsAreSigned(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	cfg := w.config()
	p := newProber(t, cfg)
	key := directory(t, cfg.Keys)[0]
	verify := func(request string) error {
		r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(request)))
		if err != nil {
			t.Fatalf("%v in\n%s", err, request)
		}
		fields := httpsign.Headers("@authority", "@method", "@path", "@query", "headlight-visit")
		fields.AddDictHeader("signature-agent", "sig1")
		v, err := httpsign.NewEd25519Verifier(key.public(t), httpsign.NewVerifyConfig().SetKeyID(key.KID).SetAllowedAlgs([]string{"ed25519"}).
			SetAllowedTags([]string{"web-bot-auth"}).SetRejectExpired(true).SetVerifyCreated(true).SetNotOlderThan(time.Minute), fields)
		if err != nil {
			t.Fatal(err)
		}
		return httpsign.VerifyRequest("sig1", *v, r)
	}
	for _, raw := range []string{
		"http://a.example/", "http://a.example/dir/page", "http://a.example:8080/x?y=z", "https://a.example:8443/x?y=a+b/c?d", "http://A.EXAMPLE/?x",
		"http://a.example/a b", "http://a.example/ü", `http://a.example/"{}<>`, "http://192.0.2.1/x", "http://[2001:db8::1]:8080/x", "http://a.example/x//y", "http://a.example/a;b=c,d",
	} {
		id := probe.NewID(time.Now())
		request := string(p.RequestFor(parse(t, raw), probe.Exact, id, time.Now()))
		if err := verify(request); err != nil {
			t.Errorf("%s: %v\n%s", raw, err, request)
		}
		for old, changed := range map[string]string{
			"HEAD ": "GET ", "Host: ": "Host: www.", id.String(): probe.NewID(time.Now()).String(), "HEAD /": "HEAD /other/",
			`Signature-Agent: sig1="https://check.example"`: `Signature-Agent: sig1="https://other.example"`, " HTTP/1.1": "&x HTTP/1.1",
		} {
			if err := verify(strings.Replace(request, old, changed, 1)); err == nil {
				t.Errorf("%s: verified after %q had become %q", raw, old, changed)
			}
		}
	}
	for _, age := range []time.Duration{-2 * time.Minute, 2 * time.Minute} {
		if err := verify(string(p.RequestFor(parse(t, "http://a.example/"), probe.Exact, probe.NewID(time.Now()), time.Now().Add(age)))); err == nil {
			t.Errorf("a signature made %v from now was taken", age)
		}
	}
}

// draft-meunier-webbotauth-httpsig-protocol: the thumbprint of RFC 9421's test
// key, appendix B.1.4.
func TestThumbprint(t *testing.T) {
	t.Parallel()
	x, err := base64.RawURLEncoding.DecodeString("JrQLj5P_89iXES9-vFgrIy29clF9CC_oPPsw3c5D0bs")
	if err != nil {
		t.Fatal(err)
	}
	if got := probe.Thumbprint(x); got != "poqkLGiymh_W0uP6PZFw-dvez3QJT5SolqXBCW38r0U" {
		t.Errorf("got %s", got)
	}
}

func TestWithoutAnAgentVisitsAreNotSigned(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	cfg := w.config()
	cfg.Identity.Agent = ""
	if r := string(newProber(t, cfg).RequestFor(parse(t, "http://a.example/"), probe.Exact, probe.ID{}, time.Now())); strings.Contains(r, "Signature") {
		t.Errorf("signed by a key that nobody can look up:\n%s", r)
	}
}

func TestTheKeyDirectory(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "keys")
	first, err := probe.LoadKeys(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(directory(t, first)) != 1 {
		t.Errorf("a new directory has %d keys", len(directory(t, first)))
	}
	age(t, dir)
	for _, ago := range []time.Duration{10 * time.Hour, 0} {
		if _, err := probe.RotateKeys(dir, time.Now().Add(-ago)); err != nil {
			t.Fatal(err)
		}
	}
	second, err := probe.LoadKeys(dir)
	if err != nil {
		t.Fatal(err)
	}
	keys := directory(t, second)
	list := second.List(time.Now())
	if len(keys) != 3 || len(list) != 3 || keys[0].KID != list[2].ID || keys[1].KID != second.ID() || keys[2].KID != first.ID() ||
		time.Unix(keys[0].NBF, 0).Before(time.Now().Add(2*time.Hour-time.Minute)) {
		t.Errorf("published %v of %v", keys, list)
	}

	// As it is served, signed with each of its keys.
	s := httptest.NewServer(second)
	defer s.Close()
	res, err := http.Get(s.URL + probe.DirectoryPath)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != 200 || res.Header.Get("Content-Type") != "application/http-message-signatures-directory+json" || res.Header.Get("Cache-Control") == "" {
		t.Errorf("got %d %v", res.StatusCode, res.Header)
	}
	for i, k := range keys {
		fields := httpsign.NewFields().AddHeaderExt("@authority", false, false, true, false).AddHeader("content-digest")
		v, err := httpsign.NewEd25519Verifier(k.public(t), httpsign.NewVerifyConfig().SetKeyID(k.KID).SetAllowedTags([]string{"http-message-signatures-directory"}), *fields)
		if err != nil {
			t.Fatal(err)
		}
		if err := httpsign.VerifyResponse([]string{"sig1", "sig2", "sig3"}[i], *v, res, res.Request); err != nil {
			t.Errorf("key %d: %v", i, err)
		}
	}
	if res, err := http.Post(s.URL, "text/plain", nil); err != nil || res.StatusCode != 405 {
		t.Errorf("POST: %v, %v", res.StatusCode, err)
	}
}
