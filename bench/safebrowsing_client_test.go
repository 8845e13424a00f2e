package bench

import (
	"context"
	"encoding/base64"
	"log/slog"
	"net/http/httptest"
	"testing"

	"google.golang.org/api/option"
	sb4 "google.golang.org/api/safebrowsing/v4"
	sb5 "google.golang.org/api/safebrowsing/v5"

	"headlight.example"
	"headlight.example/blocklist"
	"headlight.example/frontend/safebrowsing"
	"headlight.example/link"
)

// Google's own clients, generated from its discovery documents, read our answers.
func TestGoogleClients(t *testing.T) {
	t.Parallel()
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
	to := []option.ClientOption{option.WithEndpoint(server.URL), option.WithAPIKey("x")}
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
