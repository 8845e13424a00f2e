package reputation_test

import (
	"testing"
	"time"

	"headlight.example/evidence"
	"headlight.example/link"
	"headlight.example/reputation"
)

func TestTestPointsAreAnsweredAsTheySay(t *testing.T) {
	tests := []struct {
		url    string
		level  reputation.Level
		threat evidence.Assertion
	}{
		{"http://phishing.headlight.example/login?x=1", reputation.Dangerous, evidence.Phishing},
		{"http://malware.headlight.example/", reputation.Dangerous, evidence.Malware},
		{"http://unwanted.headlight.example/", reputation.Dangerous, evidence.Unwanted},
		{"http://spam.headlight.example/", reputation.Dangerous, evidence.Spam},
		{"http://suspicious.headlight.example/", reputation.Suspicious, evidence.Phishing},
		{"http://safe.headlight.example/", reputation.Safe, 0},
		{"http://benign.headlight.example/", reputation.Unknown, 0},
		{"http://headlight.example/", reputation.Unknown, 0},
		{"http://a.phishing.headlight.example/", reputation.Unknown, 0},
		{"http://phishing.headlight.example.net/", reputation.Unknown, 0},
		{"http://phishing.xheadlight.example/", reputation.Unknown, 0},
	}
	table := reputation.NewTable(new(evidence.Key))
	for _, tt := range tests {
		l, err := link.Parse(tt.url)
		if err != nil {
			t.Fatal(err)
		}
		v := table.Judge(l, reputation.DefaultPolicy(), time.Now())
		if v.Level != tt.level || v.Threat != tt.threat {
			t.Errorf("%s: got %v %v, want %v %v", tt.url, v.Level, v.Threat, tt.level, tt.threat)
		}
		if tt.level != reputation.Unknown && (len(v.Reasons()) != 1 || v.Reasons()[0].Basis != reputation.TestPoint) {
			t.Errorf("%s: got reasons %v, want one test point", tt.url, v.Reasons())
		}
	}
}
