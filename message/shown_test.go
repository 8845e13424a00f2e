package message_test

import (
	"testing"

	"headlight.example/link"
	"headlight.example/message"
)

func TestMismatch(t *testing.T) {
	tests := []struct {
		shown, link string
		want        bool
	}{
		{"click here", "http://evil.example/", false},
		{"paypal.com", "http://evil.example/paypal.com", true},
		{"https://www.paypal.com/signin", "https://login.paypal.com/", false},
		{"PayPal.Com", "https://paypal.com/x", false},
		{"paypal.com", "https://paypal.com.evil.example/", true},
		{"Go to paypal.com, not evil.com", "https://evil.com/", true},
		{"joe@paypal.com", "https://evil.com/", false},
		{"bücher.de", "https://xn--bcher-kva.de/", false},
		{"paypal[.]com", "https://evil.com/", true},
		{"http://google.com@evil.com/", "https://evil.com/", false},
		{"alice.github.io", "https://mallory.github.io/", true},
		{"github.io", "https://mallory.github.io/", false},
		{"", "https://evil.com/", false},
		{"example.co.uk", "https://other.co.uk/", true},
		{"paypal.com", "https://www.google.com/url?q=https://paypal.com/x", false},
		{"paypal.com", "https://www.google.com/url?q=https://evil.com/x", true},
		{"192.0.2.1/login", "https://192.0.2.2/login", true},
	}
	for _, tt := range tests {
		l, err := link.Parse(tt.link)
		if err != nil {
			t.Fatal(err)
		}
		if got := message.Mismatches(tt.shown, l); got != tt.want {
			t.Errorf("mismatch of %q and %s: got %v, want %v", tt.shown, tt.link, got, tt.want)
		}
	}
	if message.Mismatches("paypal.com", link.Link{}) {
		t.Error("what leads nowhere mismatches")
	}
}
