package httpapi_test

import (
	"encoding/json"
	"math"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"headlight.example/evidence"
	"headlight.example/frontend/httpapi"
	"headlight.example/link"
)

// FuzzAppendString: what is written is JSON, and says the same string, with
// U+FFFD for what is not UTF-8.
func FuzzAppendString(f *testing.F) {
	for _, s := range []string{"", "a", `"\`, "\x00\n\r\t\x1f\x7f", "é\u2028\U0001f600", "a\xffb\xc3", "\xed\xa0\x80", "\ufffd"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		b := httpapi.AppendString(nil, s)
		var got string
		if err := json.Unmarshal(b, &got); err != nil {
			t.Fatalf("%v in %q", err, b)
		}
		var want strings.Builder
		for _, r := range s { // range decodes each bad byte to U+FFFD
			want.WriteRune(r)
		}
		if got != want.String() || !utf8.Valid(b) {
			t.Errorf("got %q, want %q", got, want.String())
		}
	})
}

func TestAppendNumber(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		f    float64
		want string
	}{
		{0, "0"}, {1, "1"}, {-3, "-3"}, {0.5, "0.5"}, {0.97, "0.97"}, {1.0 / 3, "0.333333"}, {1e-9, "1e-09"},
		{999999, "999999"}, {1234567.8, "1.23457e+06"}, {math.NaN(), "0"}, {math.Copysign(0, -1), "0"},
		{math.Inf(1), "1.79769e+308"}, {math.Inf(-1), "-1.79769e+308"},
	} {
		got := string(httpapi.AppendNumber(nil, test.f))
		if got != test.want {
			t.Errorf("%v: got %s, want %s", test.f, got, test.want)
		}
		var f float64
		if err := json.Unmarshal([]byte(got), &f); err != nil {
			t.Errorf("%v: %v", test.f, err)
		}
	}
}

func TestAppendTimeIsUTCToTheMillisecond(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 1, 31, 1, 2, 3, 456789000, time.FixedZone("", 3600))
	if got, want := string(httpapi.AppendTime(nil, at)), `"2026-01-31T00:02:03.456Z"`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got := string(httpapi.AppendTime(nil, time.Time{})); got != `""` {
		t.Errorf("no time: got %s", got)
	}
}

func TestTheIDIsTheLastPartOfTheSealedLink(t *testing.T) {
	t.Parallel()
	key := &evidence.Key{1, 2, 3}
	for _, s := range []string{"http://a.example/", "https://docs.google.com/document/d/x/edit?usp=1", "http://192.0.2.1/x/y"} {
		l, err := link.Parse(s)
		if err != nil {
			t.Fatal(err)
		}
		sealed, err := evidence.ParseSealed(key.Seal(l).Key)
		if err != nil {
			t.Fatal(err)
		}
		if got := string(httpapi.AppendID(nil, key, l)); "#"+got != sealed.URL {
			t.Errorf("%s: got %s, want %s", s, got, sealed.URL)
		}
	}
}
