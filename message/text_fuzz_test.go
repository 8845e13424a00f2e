package message_test

import (
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"headlight.example/message"
)

func collect(s string) (found []message.Found) {
	for f, err := range message.Links(message.Text, s) {
		if err != nil {
			return found // what follows is cut differently
		}
		found = append(found, f)
	}
	return found
}

// FuzzText: findings are inside the text, in order, and read as they stand
// there; the same text gives the same again; a space behind changes nothing.
func FuzzText(f *testing.F) {
	for _, tests := range [][]textTest{schemeTests, punctuationTests, schemelessTests, noLinkTests, defangedTests, hostTests, scriptTests, markupTests, lineTests} {
		for _, tt := range tests {
			f.Add(tt.text)
		}
	}
	for _, s := range hostile {
		f.Add(s + s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		found := collect(s)
		end := 0
		for _, f := range found {
			switch {
			case f.Offset < end || f.Offset+len(f.Raw) > len(s) || f.Raw == "":
				t.Fatalf("%q stands at %d, behind %d, of %d", f.Raw, f.Offset, end, len(s))
			case s[f.Offset:f.Offset+len(f.Raw)] != f.Raw:
				t.Fatalf("%q does not stand at %d", f.Raw, f.Offset)
			case f.Link.IsZero() != (f.Marks&(message.Script|message.Data) != 0):
				t.Fatalf("%q has marks %b and link %q", f.Raw, f.Marks, f.Link)
			case len(f.Shown) > message.MaxShown:
				t.Fatalf("%q shows %d bytes", f.Raw, len(f.Shown))
			case strings.Trim(f.Shown, " \t\r\n") != f.Shown:
				t.Fatalf("%q shows %q", f.Raw, f.Shown)
			case f.Marks&message.Mismatch != 0 && f.Shown == "":
				t.Fatalf("%q mismatches what is not shown", f.Raw)
			}
			if utf8.ValidString(s) && !utf8.ValidString(f.Raw) {
				t.Fatalf("%q is cut inside a character", f.Raw)
			}
			end = f.Offset + len(f.Raw)
		}
		if again := collect(s); !slices.Equal(found, again) {
			t.Fatalf("first %v, then %v", found, again)
		}
		if spaced := collect(s + " "); !slices.Equal(found, spaced) {
			t.Fatalf("%v, with a space behind %v", found, spaced)
		}
	})
}
