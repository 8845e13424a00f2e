package message_test

import (
	"bufio"
	"encoding/json"
	"os"
	"strconv"
	"strings"
	"testing"

	"headlight.example/message"
)

// TestXurls holds the finder against the tables of mvdan.cc/xurls. Where it
// differs, testdata/text/xurls_differences.tsv says so and why; a line there
// that is no longer true fails as well.
func TestXurls(t *testing.T) {
	differences := readDifferences(t)
	f, err := os.Open("testdata/text/xurls.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	lines := 0
	for in := bufio.NewScanner(f); in.Scan(); {
		var v struct {
			Table string
			Row   [2]any
		}
		if err := json.Unmarshal(in.Bytes(), &v); err != nil {
			t.Fatal(err)
		}
		lines++
		if v.Table == "TestStrictMatchingSchemeError" {
			continue // tables of regular expressions, not of texts
		}
		text := v.Row[0].(string)
		want := text
		switch w := v.Row[1].(type) {
		case string:
			want = w
		case map[string]any:
			if w["ident"] == "nil" {
				want = ""
			}
		}
		got := ""
		for f := range message.Links(message.Text, text) {
			got = f.Raw
			break
		}
		d, listed := differences[lines]
		switch {
		case got == want && listed:
			t.Errorf("line %d: %q gives %q as in xurls, but is listed as a difference", lines, text, got)
		case got != want && !listed:
			t.Errorf("line %d: %q gives %q, want %q", lines, text, got, want)
		case listed && (d.text != text || d.got != got):
			t.Errorf("line %d: %q gives %q; listed are %q and %q", lines, text, got, d.text, d.got)
		}
		delete(differences, lines)
	}
	if lines != 296 {
		t.Errorf("%d vectors, want 296", lines)
	}
	for line := range differences {
		t.Errorf("line %d is listed as a difference and is no vector", line)
	}
}

type difference struct{ text, got string }

// readDifferences reads lines of: number, text, what we find, reason.
func readDifferences(t *testing.T) map[int]difference {
	b, err := os.ReadFile("testdata/text/xurls_differences.tsv")
	if err != nil {
		t.Fatal(err)
	}
	found := map[int]difference{}
	for line := range strings.Lines(string(b)) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		fields := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		if len(fields) != 4 || fields[3] == "" {
			t.Fatalf("%q: want a number, the text, what is found and the reason", line)
		}
		n, err := strconv.Atoi(fields[0])
		if err != nil {
			t.Fatal(err)
		}
		found[n] = difference{fields[1], fields[2]}
	}
	if len(found) == 0 {
		t.Fatal("no differences read")
	}
	return found
}
