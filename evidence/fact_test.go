package evidence_test

import (
	"strings"
	"testing"
	"time"

	"headlight.example/evidence"
)

func TestFactsAreReadAsTheyWereMade(t *testing.T) {
	t.Parallel()
	for n := range evidence.FactName(evidence.NumFacts) {
		values := evidence.FactValues(n)
		switch n {
		case evidence.FactServer, evidence.FactPoweredBy, evidence.FactCertificate, evidence.FactNameServer:
			values = append(values, "nginx")
		case evidence.FactAnswer:
			values = append(values, "200")
		case evidence.FactType:
			values = append(values, "text/html")
		case evidence.FactShape:
			values = append(values, "0123456789abcdef")
		}
		if len(values) == 0 || n.Closed() && len(values) != len(evidence.FactValues(n)) {
			t.Errorf("%v has the values %q, closed: %v", n, values, n.Closed())
		}
		for _, value := range values {
			s := evidence.FactOf(n, value)
			name, got, err := evidence.ParseFact(s.Key)
			if err != nil || s.Validate() != nil || name != n || got != value {
				t.Errorf("%v is read as %v %q, %v", s, name, got, err)
			}
		}
	}
	if s := evidence.FactName(evidence.NumFacts).String(); s != "FactName(19)" {
		t.Error(s)
	}
}

func TestWhatServersSayIsCutToAWord(t *testing.T) {
	t.Parallel()
	for said, want := range map[string]string{
		"nginx": "nginx", "Microsoft-IIS": "microsoft-iis", "Let's Encrypt": "let-s-encrypt", "  (Ubuntu)  ": "ubuntu",
		"": "", "Ёлка": "", "a\x00\nb": "a-b", "--": "",
		strings.Repeat("a", 40): strings.Repeat("a", 32), strings.Repeat("a", 31) + "-b": strings.Repeat("a", 31),
		strings.Repeat("a", 30) + "-bc": strings.Repeat("a", 30) + "-b",
	} {
		if got := evidence.FactWord(said); got != want {
			t.Errorf("%q: got %q, want %q", said, got, want)
		}
	}
}

func FuzzFactWord(f *testing.F) {
	for _, s := range []string{"nginx", "Let's Encrypt", "\xff", strings.Repeat("a-", 20)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, said string) {
		word := evidence.FactWord(said)
		if again := evidence.FactWord(word); again != word {
			t.Errorf("%q becomes %q and that %q", said, word, again)
		}
		if err := evidence.FactOf(evidence.FactServer, word).Validate(); (err == nil) != (word != "") {
			t.Errorf("%q becomes %q: %v", said, word, err)
		}
	})
}

func TestAgesFallIntoBuckets(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	for _, test := range []struct {
		age  time.Duration
		want string
	}{
		{-time.Hour - 1, "future"}, {-time.Hour, "day"}, {0, "day"}, {day, "day"}, {day + 1, "week"}, {7 * day, "week"}, {7*day + 1, "month"},
		{31 * day, "month"}, {92 * day, "quarter"}, {92*day + 1, "year"}, {366 * day, "year"}, {366*day + 1, "older"}, {1<<63 - 1, "older"}, {-1 << 63, "future"},
	} {
		if got := evidence.FactAge(test.age); got != test.want || evidence.FactOf(evidence.FactModified, got).Validate() != nil {
			t.Errorf("%v: got %q, want %q", test.age, got, test.want)
		}
	}
}

func TestHowLongADomainIsRegistered(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	for _, tt := range []struct {
		most time.Duration
		want string
	}{{day, "day"}, {7 * day, "week"}, {31 * day, "month"}, {92 * day, "quarter"}, {366 * day, "year"}, {1827 * day, "five-years"}, {15000 * day, "older"}} {
		if got := evidence.FactRegisteredAge(tt.most); got != tt.want {
			t.Errorf("%v: got %s, want %s", tt.most, got, tt.want)
		}
		if got := evidence.FactRegisteredAge(tt.most + 1); got == tt.want && tt.want != "older" {
			t.Errorf("just over %v: got %s", tt.most, got)
		}
	}
	if got := evidence.FactRegisteredAge(-time.Hour); got != "day" { // of a clock that is fast
		t.Errorf("got %s", got)
	}
}
