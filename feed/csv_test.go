package feed_test

import (
	"slices"
	"testing"

	"headlight.example/feed"
)

func TestSplitCSV(t *testing.T) {
	t.Parallel()
	for line, want := range map[string][]string{
		``:                       {""},
		`a,b`:                    {"a", "b"},
		`a,,`:                    {"a", "", ""},
		`"a,b","c ""d"" e",`:     {"a,b", `c "d" e`, ""},
		`"http://a/?q="x"&r",b`:  {`http://a/?q="x"&r`, "b"},
		`a "b",c`:                {`a "b"`, "c"},
		`"",""`:                  {"", ""},
		`"1","2026-01-01","a\b"`: {"1", "2026-01-01", `a\b`},
	} {
		if got, err := feed.SplitCSV(nil, line); err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: %q, %v; want %q", line, got, err, want)
		}
	}
	for _, line := range []string{`"a`, `a,"b""`, `"a" ,b`, `"`} {
		if got, err := feed.SplitCSV(nil, line); err == nil {
			t.Errorf("%s: %q", line, got)
		}
	}
}

func TestRefang(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]string{
		"hxxps://api[.]a[.]example/x[.]php": "https://api.a.example/x.php",
		"hXXp://a(.)example":                "http://a.example",
		"http://a[.]example/b[.]c?d(.)e":    "http://a.example/b[.]c?d(.)e",
		"https[:]//a[dot]example":           "https://a.example",
		"https[://]a[.]example/":            "https://a.example/",
		"http://[2001:db8::1]/[.]":          "http://[2001:db8::1]/[.]",
		"a[.]example":                       "a[.]example", // no scheme, no URL
		"http://a.example/":                 "http://a.example/",
		"hxx":                               "hxx",
		"":                                  "",
	} {
		if got := feed.Refang(s); got != want {
			t.Errorf("%s: %s, want %s", s, got, want)
		}
	}
}
