package bench

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"log/slog"
	"net/http/httptest"
	"os"
	"os/exec"
	"testing"
	"time"

	"google.golang.org/api/option"
	sb4 "google.golang.org/api/safebrowsing/v4"
	sb5 "google.golang.org/api/safebrowsing/v5"

	"headlight.example"
	"headlight.example/blocklist"
	"headlight.example/frontend/safebrowsing"
	"headlight.example/link"
)

// listing is the URL of a server that lists the test points.
func listing(t *testing.T) string {
	t.Helper()
	logger := slog.New(slog.DiscardHandler)
	svc, err := headlight.Open(t.Context(), headlight.Config{Dir: t.TempDir(), Logger: logger})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { svc.Close() })
	pub, err := blocklist.Open(blocklist.Config{Dir: t.TempDir(), Source: svc, Logger: logger})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := pub.Publish(t.Context()); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(safebrowsing.New(safebrowsing.Config{Shelf: pub.Shelf()}))
	t.Cleanup(server.Close)
	return server.URL
}

// Google's Go clients, generated from its discovery documents, read our answers.
func TestGoogleClients(t *testing.T) {
	t.Parallel()
	url := listing(t)
	to := []option.ClientOption{option.WithEndpoint(url), option.WithAPIKey("x")}
	full := link.Hash("phishing.headlight.example/")

	five, err := sb5.NewService(context.Background(), to...)
	if err != nil {
		t.Fatal(err)
	}
	found, err := five.Hashes.Search().HashPrefixes(base64.StdEncoding.EncodeToString(full[:4])).Do()
	if err != nil {
		t.Fatal(err)
	}
	if len(found.FullHashes) != 1 || found.FullHashes[0].FullHash != base64.StdEncoding.EncodeToString(full[:]) ||
		found.FullHashes[0].FullHashDetails[0].ThreatType != "SOCIAL_ENGINEERING" || found.CacheDuration != "300s" {
		t.Errorf("v5 hashes: got %+v", found)
	}
	lists, err := five.HashLists.BatchGet().Names("se-4b", "gc-32b").Do()
	if err != nil {
		t.Fatal(err)
	}
	if len(lists.HashLists) != 2 || lists.HashLists[0].AdditionsFourBytes == nil || lists.HashLists[1].AdditionsThirtyTwoBytes == nil {
		t.Errorf("v5 lists: got %+v", lists)
	}

	four, err := sb4.NewService(context.Background(), to...)
	if err != nil {
		t.Fatal(err)
	}
	info := &sb4.GoogleSecuritySafebrowsingV4ThreatInfo{
		ThreatTypes: []string{"SOCIAL_ENGINEERING"}, PlatformTypes: []string{"ANY_PLATFORM"}, ThreatEntryTypes: []string{"URL"},
		ThreatEntries: []*sb4.GoogleSecuritySafebrowsingV4ThreatEntry{{Url: "http://phishing.headlight.example/x"}, {Url: "http://good.example/"}},
	}
	matches, err := four.ThreatMatches.Find(&sb4.GoogleSecuritySafebrowsingV4FindThreatMatchesRequest{ThreatInfo: info}).Do()
	if err != nil {
		t.Fatal(err)
	}
	if len(matches.Matches) != 1 || matches.Matches[0].Threat.Url != "http://phishing.headlight.example/x" {
		t.Errorf("v4 matches: got %+v", matches)
	}
	updates, err := four.ThreatListUpdates.Fetch(&sb4.GoogleSecuritySafebrowsingV4FetchThreatListUpdatesRequest{
		ListUpdateRequests: []*sb4.GoogleSecuritySafebrowsingV4FetchThreatListUpdatesRequestListUpdateRequest{{
			ThreatType: "SOCIAL_ENGINEERING", PlatformType: "ANY_PLATFORM", ThreatEntryType: "URL",
			Constraints: &sb4.GoogleSecuritySafebrowsingV4FetchThreatListUpdatesRequestListUpdateRequestConstraints{SupportedCompressions: []string{"RAW"}},
		}},
	}).Do()
	if err != nil {
		t.Fatal(err)
	}
	if u := updates.ListUpdateResponses; len(u) != 1 || u[0].ResponseType != "FULL_UPDATE" || u[0].Additions[0].RawHashes.RawHashes != base64.StdEncoding.EncodeToString(full[:4]) {
		t.Errorf("v4 update: got %+v", updates)
	}
}

// So does its Node client. Its packages are those of node/package-lock.json, from the
// npm registry.
func TestGoogleNodeClients(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS("node")); err != nil {
		t.Fatal(err)
	}
	run := func(name string, args ...string) []byte {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
		defer cancel()
		cmd := exec.CommandContext(ctx, name, args...)
		var stderr bytes.Buffer
		cmd.Dir, cmd.Stderr = dir, &stderr
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("%s %v: %v (\"make install\" installs it)\n%s%s", name, args, err, out, &stderr)
		}
		return out
	}
	run("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
	full := link.Hash("phishing.headlight.example/")
	whole, prefix := base64.StdEncoding.EncodeToString(full[:]), base64.StdEncoding.EncodeToString(full[:4])
	var got struct {
		Hashes  sb5.GoogleSecuritySafebrowsingV5SearchHashesResponse
		Lists   sb5.GoogleSecuritySafebrowsingV5BatchGetHashListsResponse
		List    sb5.GoogleSecuritySafebrowsingV5HashList
		Matches sb4.GoogleSecuritySafebrowsingV4FindThreatMatchesResponse
		Full    sb4.GoogleSecuritySafebrowsingV4FindFullHashesResponse `json:"fullHashes"`
		Updates sb4.GoogleSecuritySafebrowsingV4FetchThreatListUpdatesResponse
	}
	out := run("node", "ask.cjs", listing(t)+"/", prefix)
	if err := json.Unmarshal(out, &got); err != nil {
		t.Fatalf("%v in %s", err, out)
	}
	if h := got.Hashes.FullHashes; len(h) != 1 || h[0].FullHash != whole || h[0].FullHashDetails[0].ThreatType != "SOCIAL_ENGINEERING" {
		t.Errorf("v5 hashes: %s", out)
	}
	if l := got.Lists.HashLists; len(l) != 2 || l[0].AdditionsFourBytes == nil || l[1].AdditionsThirtyTwoBytes == nil || got.List.Sha256Checksum != l[0].Sha256Checksum {
		t.Errorf("v5 lists: %s", out)
	}
	if m := got.Matches.Matches; len(m) != 1 || m[0].Threat.Url != "http://phishing.headlight.example/x" {
		t.Errorf("v4 matches: %s", out)
	}
	if m := got.Full.Matches; len(m) != 1 || m[0].Threat.Hash != whole {
		t.Errorf("v4 hashes: %s", out)
	}
	if u := got.Updates.ListUpdateResponses; len(u) != 1 || u[0].ResponseType != "FULL_UPDATE" || u[0].Additions[0].RawHashes.RawHashes != prefix {
		t.Errorf("v4 update: %s", out)
	}
}
