//go:build evaldata

// This test holds the policy against the links of real mail that may not be
// published. It runs by `make eval-data`, with HEADLIGHT_DATA naming the
// directory that holds messages/phishing_pot_sample.tar.gz. Nothing is asked for.

package probe_test

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"headlight.example/link"
	"headlight.example/message"
	"headlight.example/probe"
)

// Words in a link and in the text that a reader clicks: the oracle, which knows
// nothing of the policy's own lists.
var (
	linkWords  = regexp.MustCompile(`(?i)unsub|opt-?out|reset|confirm|verif|magic|invit|token|session|login|password`)
	shownWords = regexp.MustCompile(`(?i)unsubscribe|opt out|reset|confirm|verify|password|activate|sign in|log in|abmelden|désabonner`)
)

func TestRealOneTimeLinks(t *testing.T) {
	dir := os.Getenv("HEADLIGHT_DATA")
	if dir == "" {
		t.Fatal("HEADLIGHT_DATA is not set")
	}
	f, err := os.Open(filepath.Join(dir, "messages/phishing_pot_sample.tar.gz"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[link.Link]bool{}
	var links, marked, worded, shown, shownExact, exact int
	classes := map[probe.Class]int{}
	for archive := tar.NewReader(z); ; {
		hdr, err := archive.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if hdr.Typeflag != tar.TypeReg {
			continue
		}
		raw, err := io.ReadAll(archive)
		if err != nil {
			t.Fatal(err)
		}
		for found, err := range message.Links(message.Mail, string(raw)) {
			if err != nil || found.Link.IsZero() || found.Link.Scheme() != "http" && found.Link.Scheme() != "https" || seen[found.Link] {
				continue
			}
			seen[found.Link.Clone()] = true
			unsubscribe := found.Marks&message.Unsubscribe != 0
			d := probe.Safe.Decide(found.Link, unsubscribe)
			links++
			classes[d.Class]++
			if d.Mode > probe.Origin {
				exact++
			}
			rest := found.Link.URL()[len(found.Link.Host()):]
			switch {
			case unsubscribe:
				marked++
			case linkWords.MatchString(rest):
				worded++
			case shownWords.MatchString(found.Shown):
				if shown++; d.Mode > probe.Origin {
					shownExact++
				}
				continue
			default:
				continue
			}
			if d.Mode > probe.Origin {
				t.Errorf("%s: a link on %s would be asked for in mode %s", hdr.Name, found.Link.Host(), d.Mode)
			}
		}
	}
	if links == 0 || marked+worded == 0 {
		t.Fatalf("%d links, %d marked, %d with a word", links, marked, worded)
	}
	t.Logf("%d links: %d from List-Unsubscribe, %d with a word of the oracle, none of these asked for exactly", links, marked, worded)
	t.Logf("%d more whose text says so, %d of them asked for exactly: their URLs show nothing", shown, shownExact)
	t.Logf("by class: %v; %d of all asked for exactly", classes, exact)
}
