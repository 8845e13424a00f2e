package message_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"headlight.example/message"
)

// outcome is what a message yields: how many links, the last of them, and the
// bounds that were passed.
func outcome(s string) (links int, last message.Found, bounds []message.BoundError) {
	for f, err := range message.Links(message.Text, s) {
		if b, ok := errors.AsType[*message.BoundError](err); ok {
			bounds = append(bounds, *b)
			continue
		}
		links++
		last = f
	}
	return links, last, bounds
}

func TestTextBoundOfLinks(t *testing.T) {
	text := strings.Repeat("http://a.example/\n", message.MaxFound)
	if links, _, bounds := outcome(text); links != message.MaxFound || len(bounds) != 0 {
		t.Errorf("%d links, bounds %v at the limit", links, bounds)
	}
	rest := "http://b.example/ tail"
	links, last, bounds := outcome(text + rest)
	if links != message.MaxFound || last.Link.Host() != "a.example" {
		t.Errorf("%d links, the last %q, past the limit", links, last.Raw)
	}
	if len(bounds) != 1 || bounds[0] != (message.BoundError{Bound: "links", Unscanned: len(rest)}) {
		t.Errorf("bounds %v past the limit, want links and %d bytes", bounds, len(rest))
	}
}

func TestTextBoundOfSize(t *testing.T) {
	const tail = "http://a.example/x"
	text := strings.Repeat(" ", message.MaxTextPart-len(tail)) + tail
	if links, last, bounds := outcome(text); links != 1 || last.Raw != tail || len(bounds) != 0 {
		t.Errorf("%d links, %q, bounds %v at the limit", links, last.Raw, bounds)
	}
	// One byte more, and the link is no longer looked at: half of it would be
	// another link.
	links, _, bounds := outcome(" " + text)
	if links != 0 || len(bounds) != 1 || bounds[0] != (message.BoundError{Bound: "size", Unscanned: len(tail) + 1}) {
		t.Errorf("%d links, bounds %v past the limit", links, bounds)
	}
	links, _, bounds = outcome(text + " " + tail)
	if links != 1 || len(bounds) != 1 || bounds[0].Unscanned != len(tail)+1 {
		t.Errorf("%d links, bounds %v with a link on either side of the limit", links, bounds)
	}
	long := strings.Repeat("x", message.MaxTextPart+1)
	if links, _, bounds = outcome(long); links != 0 || len(bounds) != 1 || bounds[0].Unscanned != 1 {
		t.Errorf("%d links, bounds %v for one long word", links, bounds)
	}
}

func TestTextBoundOfLength(t *testing.T) {
	const head = "http://a.example/"
	for _, pad := range []string{"x", "é", ".", "/x", "%41"} {
		n := message.MaxLink - len(head)
		at := head + strings.Repeat(pad, n/len(pad)+1)[:n-1] + "x"
		if links, last, bounds := outcome(at + " http://b.example/"); links != 2 || last.Link.Host() != "b.example" || len(bounds) != 0 {
			t.Errorf("%q: %d links, bounds %v at the limit", pad, links, bounds)
		}
		links, last, bounds := outcome("see " + at + "yz www.c.example http://b.example/")
		if links != 3 || last.Link.Host() != "b.example" || len(bounds) != 1 || bounds[0] != (message.BoundError{Bound: "length", Unscanned: 2}) {
			t.Errorf("%q: %d links, bounds %v past the limit", pad, links, bounds)
		}
	}
}

// TestTextShownIsBounded: what is shown is cut, not the link.
func TestTextShownIsBounded(t *testing.T) {
	for _, n := range []int{message.MaxShown, message.MaxShown + 1} {
		text := strings.Repeat("x", n)
		for _, s := range []string{"[" + text + "](http://a.example/)", "<http://a.example/|" + text + ">", "[url=http://a.example/]" + text + "[/url]"} {
			links, last, _ := outcome(s)
			if links != 1 || len(last.Shown) > message.MaxShown {
				t.Errorf("%d links, %d bytes shown of %d", links, len(last.Shown), n)
			}
			if n == message.MaxShown && last.Shown != text {
				t.Errorf("%.20q…: shown %.20q…", s, last.Shown)
			}
		}
	}
}

// hostile texts make finders slow that go back, or look ahead without end.
var hostile = []string{
	"http://", "http://a/", "http://a.b/(", "http://a/[", "*http://a/", "_http://a/", "http://a@", "http://[", "http://a:", "http://a.b,",
	"hxxp[:]//a[.]", "www.", "www.a.com/", "a.b.", ".", "..a", "a.", "[", "](", "[a](http://b/)", "](http://b/", "<http://a/\n", "<http://a/|", "[url=http://a/]",
	"[.]", "a[.]b", "[dot]", "a[dot]b[dot]", "javascript:", "](javascript:", "data:", "|data:a", ":", "://", ":/", "@a.com", "a.com@", "a@b.com.",
	"&lt;http://a", "http://a/&", "http://a/;", "http://a/;;", "example.com", "example.com/", "example.com:", "1.1.1.1/", "1.1.", "中.", "中。com", "中文example.com",
	"é.", "\u200b.", "http://a/\u200b", "\xff.", "a.\xff", "http://é/", "h**p://", "http[s]://", "'http://a/'", "\"http://a/", "http://a/((((((", "http://a/))))",
}

// TestTextIsLinear counts bytes read, not time: four times the text may take
// four times the steps, and no byte is read more than a bounded number of times.
func TestTextIsLinear(t *testing.T) {
	t.Parallel()
	const (
		n       = 1 << 11
		perByte = 600 // maxBracketed and maxShown bytes for a link of ten or so
	)
	try := func(unit string) {
		short, long := strings.Repeat(unit, n/len(unit)), strings.Repeat(unit, 4*n/len(unit))
		a, b := message.Steps(short), message.Steps(long)
		// Six times, for the looks around links reach their bound in the long text
		// only; what is quadratic takes sixteen times.
		if b > 6*a+1<<13 || b > perByte*len(long) {
			t.Errorf("%q: %d steps for %d bytes, %d for %d", unit, a, len(short), b, len(long))
		}
	}
	for _, u := range hostile {
		try(u)
		for _, v := range hostile {
			try(u + v)
		}
	}
}

// TestTextAllocates nothing where there is no link, though the loop's body has
// variables of its own.
func TestTextAllocates(t *testing.T) {
	for _, s := range []string{
		"", "hey are you coming over tonight? it is at 7:30, e.g. at Anna's (no. 12)...", "user@example.com main.go see.This",
		strings.Repeat("Nobody was surprised by the figures. And so on: nothing. ", 1000),
	} {
		n, failed := 0, false
		if allocs := testing.AllocsPerRun(100, func() {
			for f, err := range message.Links(message.Text, s) {
				n += len(f.Raw)
				failed = failed || err != nil
			}
		}); allocs != 0 || n != 0 || failed {
			t.Errorf("%.40q: %v allocations, %d bytes of links", s, allocs, n)
		}
	}
}

func TestFlowed(t *testing.T) {
	tests := []struct{ text, want string }{
		{"see http://a.example/very/ \r\nlong/path\r\nnext", "http://a.example/very/long/path at 4 broken"},
		{"> see http://a.example/very/ \n> long/path\n> http://b.example/", "http://a.example/very/long/path at 6 broken, http://b.example/ at 44"},
		{"> http://a.example/x \nhttp://b.example/", "http://a.example/x at 2, http://b.example/ at 22"},
		{" From http://a.exa \nmple/ \n x", "http://a.example/x at 6 broken"},
		{"http://a.example/ \n-- \nhttp://b.example/", "http://a.example/ at 0, http://b.example/ at 23"},
		{"no links \nhere", ""},
		{"", ""},
	}
	for _, tt := range tests {
		var got []string
		for _, f := range message.Flowed(tt.text) {
			s := fmt.Sprintf("%s at %d", f.Raw, f.Offset)
			if f.Marks&message.Broken != 0 {
				s += " broken"
			}
			got = append(got, s)
		}
		if got := strings.Join(got, ", "); got != tt.want {
			t.Errorf("%q:\n got %s\nwant %s", tt.text, got, tt.want)
		}
	}
}
