package probe_test

import (
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"headlight.example/probe"
)

func TestBoundsOfAHead(t *testing.T) {
	t.Parallel()
	const line = "HTTP/1.1 200 OK\r\n"
	fill := func(n int) string { // a head of n bytes
		return line + "A: " + strings.Repeat("a", n-len(line)-len("A: \r\n\r\n")) + "\r\n\r\n"
	}
	const interim = "HTTP/1.1 100 Continue\r\n\r\n"
	for _, tt := range []struct {
		name string
		in   string
		err  error
	}{
		{"as long as may be", fill(probe.MaxHead), nil},
		{"a byte longer", fill(probe.MaxHead + 1), probe.ErrHeadTooLong},
		{"as many fields as may be", line + strings.Repeat("A: b\r\n", probe.MaxFields) + "\r\n", nil},
		{"a field more", line + strings.Repeat("A: b\r\n", probe.MaxFields+1) + "\r\n", probe.ErrHeadTooLong},
		{"as many interim answers as may be", strings.Repeat(interim, probe.MaxInterim) + line + "\r\n", nil},
		{"an interim answer more", strings.Repeat(interim, probe.MaxInterim+1) + line + "\r\n", probe.ErrHeadTooLong},
		{"nothing", "", io.EOF},
		{"half a line", "HTTP/1", io.ErrUnexpectedEOF},
		{"no empty line", line, io.ErrUnexpectedEOF},
		{"an interim answer only", interim, io.ErrUnexpectedEOF},
		{"a version to come", "HTTP/2.0 200 OK\r\n\r\n", probe.ErrNotHTTP},
		{"no space after the status", "HTTP/1.1 2000\r\n\r\n", probe.ErrNotHTTP},
		{"a status below 100", "HTTP/1.1 099 X\r\n\r\n", probe.ErrNotHTTP},
		{"a space before", " HTTP/1.1 200 OK\r\n\r\n", probe.ErrNotHTTP},
	} {
		for _, chunk := range []int{1, 3, 1 << 20} {
			h, err := probe.ReadHead([]byte(tt.in), chunk)
			if !errors.Is(err, tt.err) {
				t.Errorf("%s, %d bytes at once: got %v, want %v", tt.name, chunk, err, tt.err)
			}
			if h.Read > probe.MaxHead {
				t.Errorf("%s: read %d bytes", tt.name, h.Read)
			}
			if err == nil && h.Status != 200 {
				t.Errorf("%s: status %d", tt.name, h.Status)
			}
		}
	}
}

func TestReadHead(t *testing.T) {
	t.Parallel()
	h, err := probe.ReadHead([]byte("HTTP/1.0 404 Not Found\r\nSERVER:  x  \r\nx-a: 1\r\nX-A: 2\r\n folded\r\nbad name: x\r\n: x\r\nempty:\r\n\r\nbody"), 7)
	if err != nil || h.Status != 404 || h.Minor != 0 || !h.Malformed || h.Fields != 4 {
		t.Errorf("got %+v, %v", h, err)
	}
	if h.Get("server") != "x" || h.Get("x-A") != "1" || h.Get("EMPTY") != "" || h.Get("bad name") != "" {
		t.Error("wrong fields")
	}
}

func TestShape(t *testing.T) {
	t.Parallel()
	shape := func(s string) string {
		h, err := probe.ReadHead([]byte("HTTP/1.1 200 OK\r\n"+s+"\r\n"), 100)
		if err != nil {
			t.Fatal(err)
		}
		return h.Shape
	}
	one := shape("Server: a\r\nSet-Cookie: a\r\nSet-Cookie: b\r\nDate: c\r\n")
	if other := shape("Server: x\r\nSet-Cookie: y\r\nDate: z\r\n"); other != one || len(one) != 16 {
		t.Errorf("values or repetition matter: %s, %s", one, other)
	}
	for _, s := range []string{"server: a\r\nSet-Cookie: a\r\nDate: c\r\n", "Set-Cookie: a\r\nServer: a\r\nDate: c\r\n", "Server: a\r\n", ""} {
		if shape(s) == one {
			t.Errorf("%q has the same shape", s)
		}
	}
}

func TestFollow(t *testing.T) {
	t.Parallel()
	base := parse(t, "https://a.example:8443/dir/page?q=/x")
	for location, want := range map[string]string{
		"https://b.example/x?y": "https://b.example/x?y", "//b.example/x": "https://b.example/x", "/x": "https://a.example:8443/x",
		"x": "https://a.example:8443/dir/x", "../x": "https://a.example:8443/x", "?z": "https://a.example:8443/dir/page?z",
		"#f": "https://a.example:8443/dir/page?q=/x", `\\b.example\x`: "https://b.example/x", `/\b.example/`: "https://b.example/",
		"HTTP://B.EXAMPLE": "http://b.example/", "http://user@b.example/": "http://b.example/", " /x ": "https://a.example:8443/x",
		"": "", "javascript:alert(1)": "", "mailto:a@b.example": "", "ftp://b.example/": "", "data:text/html,x": "", "http://": "", "http://[": "",
		"intent://x#Intent;end": "", "x:y": "", "/" + strings.Repeat("a", 9000): "",
	} {
		got, err := probe.Follow(base, location)
		if (err == nil) != (want != "") || err == nil && got.String() != want {
			t.Errorf("%.60q: got %s, %v; want %s", location, got, err, want)
		}
	}
}

func TestTarget(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string]string{
		"http://a.example": "/", "http://a.example/a b?c d": "/a%20b?c%20d", `http://a.example/a"b<c>{d}?"<>{`: "/a%22b%3Cc%3E%7Bd%7D?%22%3C%3E{",
		"http://a.example/ü?ü": "/%C3%BC?%C3%BC", "http://a.example/a%0d%0aCookie: x": "/a%0D%0ACookie:%20x", "http://a.example/?a?b": "/?a?b",
	} {
		if got := probe.Target(parse(t, raw), probe.Exact); got != want {
			t.Errorf("%s: got %s, want %s", raw, got, want)
		}
	}
}

func TestBucket(t *testing.T) {
	t.Parallel()
	now := time.Unix(1000, 0)
	empty := time.Time{}
	for i := range 3 {
		var ok bool
		if empty, _, ok = probe.Bucket(empty, now, time.Second, 3); !ok {
			t.Fatalf("no room for request %d of a burst of 3", i+1)
		}
	}
	if _, wait, ok := probe.Bucket(empty, now, time.Second, 3); ok || wait != time.Second {
		t.Errorf("a fourth: %v, %v", wait, ok)
	}
	if _, wait, ok := probe.Bucket(empty, now.Add(time.Second), time.Second, 3); !ok {
		t.Errorf("a second later: %v", wait)
	}
	if _, _, ok := probe.Bucket(now.Add(time.Hour), now, -1, 1); !ok {
		t.Error("no limit is no limit")
	}
}

func TestIDs(t *testing.T) {
	t.Parallel()
	now := time.UnixMilli(1_700_000_000_123).UTC()
	seen := map[probe.ID]bool{}
	for range 1000 {
		id := probe.NewID(now)
		back, err := probe.ParseID(strings.ToUpper(id.String()))
		if err != nil || back != id || !id.Time().Equal(now) || seen[id] || id.String()[14] != '7' {
			t.Fatalf("%s: %v, %s, %v", id, err, back, id.Time())
		}
		seen[id] = true
	}
	for _, s := range []string{"", "x", strings.Repeat("0", 36), "00000000-0000-0000-0000-000000000000", "0188b4a2-0000-4000-8000-000000000000", "0188b4a2-0000-7000-8000-00000000000g"} {
		if id, err := probe.ParseID(s); err == nil {
			t.Errorf("%q was read as %s", s, id)
		}
	}
}
