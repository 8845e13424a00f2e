package sms_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"headlight.example"
	"headlight.example/frontend/sms"
)

const (
	bad  = "http://phishing.headlight.example/a"
	odd  = "http://suspicious.headlight.example/a"
	good = "http://nobody-knows.example/a"
)

func newServer(t testing.TB, cfg sms.Config) http.Handler {
	t.Helper()
	svc, err := headlight.Open(t.Context(), headlight.Config{Dir: t.TempDir(), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { svc.Close() })
	cfg.Logger = slog.New(slog.DiscardHandler)
	return sms.New(svc, cfg).Handler()
}

// ask sends a request and gives status and body.
func ask(h http.Handler, method, target, media, body string, header ...string) (int, string) {
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	r.Header.Set("Content-Type", media)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Code, w.Body.String()
}

const form = "application/x-www-form-urlencoded"

func TestKannelIsAnswered(t *testing.T) {
	t.Parallel()
	h := newServer(t, sms.Config{Secret: "s3cret"})
	for text, want := range map[string]string{
		"is this real? " + bad:               "DANGEROUS (phishing): phishing .headlight .example. Do not open this link, and answer nobody who sent it.",
		good + " " + odd:                     "SUSPICIOUS (phishing): suspicious .headlight .example. Better do not open this link.",
		good:                                 "Nothing bad is known of nobody-knows .example. That does not make it safe.",
		"https://en.wikipedia.org/wiki/Spam": "en .wikipedia .org is held safe.",
		"hello":                              "There is no link in this message.",
		"":                                   "There is no link in this message.",
		"http://" + strings.Repeat("long-", 12) + ".example/":       "Nothing bad is known of " + strings.Repeat("long-", 12)[:59] + ". That does not make it safe.",
		"http://b\u00fccher.example/ and what else there is to say": "Nothing bad is known of xn--bcher-kva .example. That does not make it safe.",
	} {
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			q := url.Values{"text": {text}, "secret": {"s3cret"}}.Encode()
			target, body := "/kannel?"+q, ""
			if method == http.MethodPost {
				target, body = "/kannel", q
			}
			code, got := ask(h, method, target, form, body)
			if code != http.StatusOK || got != want {
				t.Errorf("%s %q: %d %q, want %q", method, text, code, got, want)
			}
			if len(got) > 160 {
				t.Errorf("%q has %d characters, which is more than one message", got, len(got))
			}
		}
	}
	for _, q := range []string{"", "&secret=", "&secret=s3cre", "&secret=s3cret1"} {
		if code, _ := ask(h, http.MethodGet, "/kannel?text=x"+q, "", ""); code != http.StatusForbidden {
			t.Errorf("with %q: %d, want 403", q, code)
		}
	}
}

func TestJasminIsAcknowledged(t *testing.T) {
	t.Parallel()
	h := newServer(t, sms.Config{})
	for body, want := range map[string]int{
		url.Values{"content": {bad}, "coding": {"0"}}.Encode():               200,
		url.Values{"binary": {"0068007400740070"}, "coding": {"8"}}.Encode(): 200,
		url.Values{"binary": {"xyz"}, "coding": {"8"}}.Encode():              400,
	} {
		code, got := ask(h, http.MethodPost, "/jasmin", form, body)
		if code != want || code == 200 && got != "ACK/Jasmin" {
			t.Errorf("%s: %d %q, want %d", body, code, got, want)
		}
	}
}

// The example of Twilio's documentation of its signatures.
func TestTwilioSignsTheURLAndTheForm(t *testing.T) {
	t.Parallel()
	const signature = "RSOYDt4T1cUTdK1PDd93/VVr8B8="
	values := url.Values{
		"CallSid": {"CA1234567890ABCDE"}, "Caller": {"+14158675309"}, "Digits": {"1234"}, "From": {"+14158675309"}, "To": {"+18005551212"},
	}
	direct := newServer(t, sms.Config{TwilioToken: "12345", URL: "https://sms.example"})
	for name, test := range map[string]struct {
		body, sig, method string
		code              int
	}{
		"signed":          {"Body=" + url.QueryEscape(odd) + "&From=%2B1", twilioSignature("12345", "https://sms.example/twilio", "Body", odd, "From", "+1"), "POST", 200},
		"another text":    {"Body=" + url.QueryEscape(bad) + "&From=%2B1", twilioSignature("12345", "https://sms.example/twilio", "Body", odd, "From", "+1"), "POST", 403},
		"another secret":  {"Body=x", twilioSignature("1234", "https://sms.example/twilio", "Body", "x"), "POST", 403},
		"another URL":     {"Body=x", twilioSignature("12345", "https://other.example/twilio", "Body", "x"), "POST", 403},
		"none":            {"Body=x", "", "POST", 403},
		"not base64":      {"Body=x", "*", "POST", 403},
		"another method":  {"Body=x", twilioSignature("12345", "https://sms.example/twilio", "Body", "x"), "GET", 403},
		"the wrong parts": {"Bo=dyx", twilioSignature("12345", "https://sms.example/twilio", "Body", "x"), "POST", 200}, // Twilio's scheme has no separators
	} {
		code, got := ask(direct, test.method, "/twilio", form, test.body, "X-Twilio-Signature", test.sig)
		if code != test.code {
			t.Errorf("%s: %d, want %d", name, code, test.code)
		}
		if name == "signed" && !strings.HasSuffix(got, "<Response><Message>SUSPICIOUS (phishing): suspicious .headlight .example. Better do not open this link.</Message></Response>") {
			t.Errorf("answered with %s", got)
		}
	}
	if got := twilioSignature("12345", "https://mycompany.com/myapp.php?foo=1&bar=2", "CallSid", values.Get("CallSid"), "Caller", values.Get("Caller"), "Digits", "1234", "From", values.Get("From"), "To", values.Get("To")); got != signature {
		t.Errorf("the test signs the example as %s", got)
	}
	if code, _ := ask(newServer(t, sms.Config{}), "POST", "/twilio", form, ""); code != http.StatusNotFound {
		t.Errorf("without a token: %d, want 404", code)
	}
}

// twilioSignature signs as Twilio does: names and values in their order.
func twilioSignature(token, url string, parts ...string) string {
	mac := hmac.New(sha1.New, []byte(token))
	mac.Write([]byte(url + strings.Join(parts, "")))
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// The example of Vonage's own library: "&a=1&b=2&timestamp=1461605396" and the
// secret, by the older method.
func TestVonageSignsSortedParameters(t *testing.T) {
	t.Parallel()
	p := map[string]string{"timestamp": "1461605396", "b": "2", "a": "1", "sig": "x"}
	if sum := md5.Sum([]byte(sms.SignedByVonage(p) + "secret")); hex.EncodeToString(sum[:]) != "6af838ef94998832dbfc29020b564830" {
		t.Errorf("%q is signed", sms.SignedByVonage(p))
	}
	h := newServer(t, sms.Config{VonageSecret: "secret"})
	signed := func(age time.Duration, secret string) map[string]string {
		p := map[string]string{"msisdn": "447700900001", "text": "a=b&c " + bad, "timestamp": strconv.FormatInt(time.Now().Add(-age).Unix(), 10)}
		mac := hmac.New(sha256.New, []byte(secret))
		mac.Write([]byte(sms.SignedByVonage(p)))
		p["sig"] = hex.EncodeToString(mac.Sum(nil))
		return p
	}
	for name, test := range map[string]struct {
		p    map[string]string
		code int
	}{
		"signed":         {signed(0, "secret"), 204},
		"a while ago":    {signed(4*time.Minute, "secret"), 204},
		"too long ago":   {signed(6*time.Minute, "secret"), 403},
		"in the future":  {signed(-6*time.Minute, "secret"), 403},
		"another secret": {signed(0, "secre"), 403},
		"not at all":     {map[string]string{"text": "x"}, 403},
	} {
		q := url.Values{}
		for k, v := range test.p {
			q.Set(k, v)
		}
		body, err := json.Marshal(test.p)
		if err != nil {
			t.Fatal(err)
		}
		for i, code := range []int{
			first(ask(h, "GET", "/vonage?"+q.Encode(), "", "")), first(ask(h, "POST", "/vonage", form, q.Encode())), first(ask(h, "POST", "/vonage", "application/json", string(body))),
		} {
			if code != test.code {
				t.Errorf("%s, way %d: %d, want %d", name, i, code, test.code)
			}
		}
	}
}

func first(code int, _ string) int { return code }

func TestRequestsAreBounded(t *testing.T) {
	t.Parallel()
	h := newServer(t, sms.Config{})
	fill := func(n int) string { return "text=" + strings.Repeat("a", n-len("text=")) }
	if code, _ := ask(h, "POST", "/kannel", form, fill(64<<10)); code != 200 {
		t.Errorf("64 KiB: %d", code)
	}
	if code, _ := ask(h, "POST", "/kannel", form, fill(64<<10+1)); code != 400 {
		t.Errorf("a byte more: %d", code)
	}
}

// Whatever comes, it is answered, and nothing unsigned is judged.
func FuzzWebhook(f *testing.F) {
	for _, path := range []string{"kannel", "jasmin", "twilio", "vonage"} {
		f.Add(path, form, "text=hello&content=x&coding=8&binary=00&sig=00&timestamp=1", "a")
		f.Add(path, "application/json", `{"text":1,"sig":null,"timestamp":"x"}`, "%")
	}
	h := newServer(f, sms.Config{Secret: "s3cret", TwilioToken: "12345", VonageSecret: "secret"})
	f.Fuzz(func(t *testing.T, path, media, body, query string) {
		r := httptest.NewRequest(http.MethodPost, "/", bytes.NewReader([]byte(body)))
		r.URL.Path, r.URL.RawQuery = "/"+path, query
		r.Header.Set("Content-Type", media)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code < 300 && !strings.Contains(body+query, "s3cret") {
			t.Errorf("an unsigned request was answered with %d", w.Code)
		}
	})
}
