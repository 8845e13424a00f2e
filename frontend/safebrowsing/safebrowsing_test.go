package safebrowsing_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"headlight.example"
	"headlight.example/blocklist"
	"headlight.example/evidence"
	"headlight.example/frontend/safebrowsing"
	"headlight.example/frontend/safebrowsing/v4"
	"headlight.example/frontend/safebrowsing/v5"
	"headlight.example/link"
)

// world is a service whose editions are published.
type world struct {
	t   testing.TB
	svc *headlight.Service
	pub *blocklist.Publisher
	s   *safebrowsing.Server
}

func newWorld(t testing.TB) *world {
	t.Helper()
	logger := slog.New(slog.DiscardHandler)
	svc, err := headlight.Open(context.Background(), headlight.Config{Dir: t.TempDir(), Logger: logger})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { svc.Close() })
	pub, err := blocklist.Open(blocklist.Config{Dir: t.TempDir(), Source: svc, Logger: logger})
	if err != nil {
		t.Fatal(err)
	}
	return &world{t, svc, pub, safebrowsing.New(safebrowsing.Config{Shelf: pub.Shelf(), ID: [4]byte{1, 2, 3, 4}})}
}

func subject(kind evidence.Kind, key string) evidence.Subject {
	return evidence.Subject{Kind: kind, Key: key}
}

// say publishes an edition after the operator's word.
func (w *world) say(a evidence.Assertion, subjects ...evidence.Subject) {
	w.t.Helper()
	var records []evidence.Record
	for _, s := range subjects {
		records = append(records, evidence.Record{Rater: "operator/o", Subject: s, Assertion: a})
	}
	if _, err := w.svc.Append(context.Background(), records...); err != nil {
		w.t.Fatal(err)
	}
	if _, err := w.pub.Publish(context.Background()); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) do(method, path string, body []byte, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, bytes.NewReader(body))
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	rec := httptest.NewRecorder()
	w.s.ServeHTTP(rec, r)
	return rec
}

// get reads a protobuf answer of version 5.
func (w *world) get(path string, m proto.Message) {
	w.t.Helper()
	rec := w.do(http.MethodGet, path, nil)
	if rec.Code != http.StatusOK || rec.Header().Get("Content-Type") != "application/x-protobuf" {
		w.t.Fatalf("%s: %d %s", path, rec.Code, rec.Body)
	}
	if err := proto.Unmarshal(rec.Body.Bytes(), m); err != nil {
		w.t.Fatalf("%s: %v", path, err)
	}
}

// post asks version 4 as google/safebrowsing does.
func (w *world) post(path string, q, m proto.Message) {
	w.t.Helper()
	b, err := proto.Marshal(q)
	if err != nil {
		w.t.Fatal(err)
	}
	rec := w.do(http.MethodPost, path+"?alt=proto&key=x", b, "Content-Type", "application/x-protobuf")
	if rec.Code != http.StatusOK {
		w.t.Fatalf("%s: %d %s", path, rec.Code, rec.Body)
	}
	if err := proto.Unmarshal(rec.Body.Bytes(), m); err != nil {
		w.t.Fatalf("%s: %v", path, err)
	}
}

// client has a list as one of the programs would have it.
type client struct {
	w        *world
	name     string // of version 5
	version  []byte
	prefixes []string // sorted
}

// apply changes what the client has, and holds it against the checksum.
func (c *client) apply(partial bool, removals []int, additions []string, sum []byte) {
	c.w.t.Helper()
	if !partial {
		if len(removals) > 0 {
			c.w.t.Fatal("a full update removes")
		}
		c.prefixes = nil
	}
	gone := make(map[int]bool)
	for _, at := range removals {
		if at >= len(c.prefixes) || gone[at] {
			c.w.t.Fatalf("removal of %d, of %d", at, len(c.prefixes))
		}
		gone[at] = true
	}
	var now []string
	for i, p := range c.prefixes {
		if !gone[i] {
			now = append(now, p)
		}
	}
	c.prefixes = append(now, additions...)
	slices.Sort(c.prefixes)
	if n := len(slices.Compact(slices.Clone(c.prefixes))); n != len(c.prefixes) {
		c.w.t.Errorf("%d prefixes came twice", len(c.prefixes)-n)
	}
	if got := sha256.Sum256([]byte(join(c.prefixes))); sum != nil && !bytes.Equal(got[:], sum) {
		c.w.t.Errorf("the checksum of %d prefixes is not that of the server", len(c.prefixes))
	}
}

// update asks for the list, with limits if there are any.
func (c *client) update(limits string) *v5.HashList {
	c.w.t.Helper()
	h := new(v5.HashList)
	c.w.get("/v5/hashList/"+c.name+"?version="+url.QueryEscape(base64.StdEncoding.EncodeToString(c.version))+limits, h)
	if h.Name != c.name || h.MinimumWaitDuration.GetSeconds() < 300 {
		c.w.t.Errorf("got %s, to wait for %v", h.Name, h.MinimumWaitDuration)
	}
	c.apply(h.PartialUpdate, removalsV5(c.w.t, h), prefixesV5(c.w.t, h), h.Sha256Checksum)
	c.version = h.Version
	return h
}

// wants holds the list against the expressions that should be on it.
func (c *client) wants(size int, expressions ...string) {
	c.w.t.Helper()
	var want []string
	for _, x := range expressions {
		h := link.Hash(x)
		want = append(want, string(h[:size]))
	}
	slices.Sort(want)
	if diff := cmp.Diff(want, c.prefixes); diff != "" {
		c.w.t.Errorf("%s (-want +got):\n%s", c.name, diff)
	}
}

const testPoint = "phishing.headlight.example/" // always on the list

func TestUpdatesOfV5(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.say(evidence.Phishing, subject(evidence.Host, "a.test"), subject(evidence.Host, "b.test"))
	for _, size := range []int{4, 8, 16, 32} {
		c := &client{w: w, name: fmt.Sprintf("se-%db", size)}
		if h := c.update(""); h.PartialUpdate {
			t.Error("a client without anything gets a part")
		}
		c.wants(size, "a.test/", "b.test/", testPoint)
		before := c.version
		if h := c.update(""); !h.PartialUpdate || h.Sha256Checksum != nil || h.CompressedAdditions != nil || !bytes.Equal(h.Version, before) {
			t.Errorf("a client that has all gets %v", h)
		}
	}
	c, other := &client{w: w, name: "se-4b"}, &client{w: w, name: "mw-4b"}
	c.update("")
	other.update("")
	old := c.version
	w.say(evidence.Phishing, subject(evidence.Host, "c.test"))
	if h := c.update(""); !h.PartialUpdate || h.CompressedRemovals != nil {
		t.Errorf("after an addition: %v", h)
	}
	c.wants(4, "a.test/", "b.test/", "c.test/", testPoint)
	if h := other.update(""); !h.PartialUpdate || h.CompressedAdditions != nil {
		t.Errorf("of a list that has not changed: %v", h)
	}
	other.wants(4, "malware.headlight.example/")
	w.say(evidence.Retracted, subject(evidence.Host, "a.test"))
	if h := c.update(""); !h.PartialUpdate || h.CompressedRemovals == nil || h.CompressedAdditions != nil {
		t.Errorf("after a retraction: %v", h)
	}
	c.wants(4, "b.test/", "c.test/", testPoint)
	// One that was away for both.
	away := &client{w: w, name: "se-4b", version: old, prefixes: prefixesOf(4, "a.test/", "b.test/", testPoint)}
	if h := away.update(""); !h.PartialUpdate {
		t.Errorf("of two editions: %v", h)
	}
	away.wants(4, "b.test/", "c.test/", testPoint)
	// A threat that is another now goes from list to list.
	w.say(evidence.Malware, subject(evidence.Host, "b.test"))
	c.update("")
	other.update("")
	c.wants(4, "c.test/", testPoint)
	other.wants(4, "b.test/", "malware.headlight.example/")
	// Versions that are not ours, or of an edition that is not kept.
	foreign := slices.Clone(c.version)
	foreign[3]++
	tooOld := slices.Clone(c.version)
	binary.BigEndian.PutUint32(tooOld[7:], 7)
	for _, version := range [][]byte{nil, {}, foreign, tooOld, other.version, c.version[1:], bytes.Repeat([]byte{255}, safebrowsing.TokenLen)} {
		x := &client{w: w, name: "se-4b", version: version, prefixes: []string{"junk"}}
		if h := x.update(""); h.PartialUpdate {
			t.Errorf("version %x: got a part", version)
		}
		x.wants(4, "c.test/", testPoint)
	}
}

func prefixesOf(size int, expressions ...string) (all []string) {
	for _, x := range expressions {
		h := link.Hash(x)
		all = append(all, string(h[:size]))
	}
	slices.Sort(all)
	return all
}

// Firefox gives an empty version for lists of which it has nothing, and versions
// in an order of their own.
func TestBatchOfV5(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.say(evidence.Phishing, subject(evidence.Host, "a.test"))
	se := &client{w: w, name: "se-4b"}
	se.update("")
	w.say(evidence.Phishing, subject(evidence.Host, "b.test"))
	batch := new(v5.BatchGetHashListsResponse)
	const names = "/v5/hashLists:batchGet?key=x&names=mw-4b&names=se-4b&names=uws-4b&names=mwb-4b&names=csdda-32b&names=gc-32b&version=&version="
	w.get(names+url.QueryEscape(base64.StdEncoding.EncodeToString(se.version))+"&version=", batch)
	var got []string
	for _, h := range batch.HashLists {
		got = append(got, fmt.Sprint(h.Name, " ", h.PartialUpdate, " ", len(prefixesV5(t, h)) > 0))
	}
	want := []string{"mw-4b false true", "se-4b true true", "uws-4b false true", "mwb-4b false false", "csdda-32b false false", "gc-32b false true"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	// The global cache has well-known names, and nothing else.
	safe := link.Hash("wikipedia.org/")
	if list := prefixesV5(t, batch.HashLists[5]); !slices.Contains(list, string(safe[:])) || len(list) < 500 {
		t.Errorf("%d names are likely safe; wikipedia.org among them?", len(list))
	}
	// The same as JSON, as Google's client for Node asks.
	rec := w.do(http.MethodGet, names, nil, "X-Goog-Api-Client", "gdcl/7", "Accept", "*/*")
	asJSON := new(v5.BatchGetHashListsResponse)
	if err := protojson.Unmarshal(rec.Body.Bytes(), asJSON); err != nil {
		t.Fatalf("%v in %s", err, rec.Body)
	}
	if !strings.Contains(rec.Body.String(), `"sha256Checksum"`) || len(asJSON.HashLists) != 6 {
		t.Errorf("got %s", rec.Body)
	}
	for i, h := range asJSON.HashLists {
		if h.PartialUpdate {
			t.Errorf("%s: got a part without a version", h.Name)
		}
		if i != 1 && !slices.Equal(prefixesV5(t, h), prefixesV5(t, batch.HashLists[i])) {
			t.Errorf("%s: JSON has other prefixes than protobuf", h.Name)
		}
	}
}

func TestWhatIsOnWhichList(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.say(evidence.Phishing,
		subject(evidence.URL, "page.test/login.html"),
		subject(evidence.URL, "page.test/list?id=1/"),
		subject(evidence.URL, "dir.test/kit/one/"),
		subject(evidence.URL, "front.test/"),
		subject(evidence.URL, "front.test/?id=7"),
		subject(evidence.URL, "sites.google.com/view/name/"),
		subject(evidence.URL, "sites.google.com/view/name/below/"),
		subject(evidence.Path, "path.test/kit/"),
		subject(evidence.Host, "www.host.test"),
		subject(evidence.Addr, "192.0.2.7"),
	)
	w.say(evidence.Malware, subject(evidence.Domain, "bad.test"))
	w.say(evidence.Unwanted, subject(evidence.Host, "toolbar.test"))
	w.say(evidence.Spam, subject(evidence.Host, "spam.test"))
	has := func(name string) map[string]bool {
		c := &client{w: w, name: name}
		c.update("")
		m := make(map[string]bool)
		for _, p := range c.prefixes {
			m[p] = true
		}
		return m
	}
	lists := map[string]map[string]bool{"se": has("se-32b"), "mw": has("mw-32b"), "uws": has("uws-32b")}
	for expression, want := range map[string]string{
		"page.test/login.html":   "se",
		"page.test/list?id=1/":   "se",
		"dir.test/kit/one/":      "se",
		"front.test/":            "", // it would block all of front.test
		"front.test/?id=7":       "se",
		"path.test/kit/":         "se",
		"www.host.test/":         "se",
		"bad.test/":              "mw",
		"toolbar.test/":          "uws",
		"spam.test/":             "",
		testPoint:                "se",
		"host.test/":             "",
		"sites.google.com/":      "",
		"sites.google.com/view/": "",
		// The root of a path that is a tenant's is its front page.
		"sites.google.com/view/name/":       "",
		"sites.google.com/view/name/below/": "se",
	} {
		h := link.Hash(expression)
		var got []string
		for name, m := range lists {
			if m[string(h[:])] {
				got = append(got, name)
			}
		}
		if g := strings.Join(got, " "); g != want {
			t.Errorf("%s is on %q, want %q", expression, g, want)
		}
	}
}

func TestSearchesOfV5(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.say(evidence.Phishing, subject(evidence.URL, "bad.test/login.html"))
	want, _ := hex.DecodeString("0a260a208bdba293b6bba5d727d8e87eefddbd61f94b536f3ad17b625a5ea019dd3599c012020802120308ac02")
	for _, path := range []string{
		"/v5/hashes:search?key=x&hashPrefixes=i9uikw%3D%3D", "/v5/hashes:search?hashPrefixes=i9uikw&hashPrefixes=AAAAAA",
		"/v5/hashes:search?$req=" + base64.URLEncoding.EncodeToString([]byte("\x0a\x04\x8b\xdb\xa2\x93")),
	} {
		got, exact := new(v5.SearchHashesResponse), new(v5.SearchHashesResponse)
		w.get(path, got)
		if err := proto.Unmarshal(want, exact); err != nil {
			t.Fatal(err)
		}
		if !proto.Equal(got, exact) {
			t.Errorf("%s: got %v, want %v", path, got, exact)
		}
	}
	none := new(v5.SearchHashesResponse)
	if w.get("/v5/hashes:search?hashPrefixes=AAAAAA%3D%3D", none); len(none.FullHashes) > 0 || none.CacheDuration.GetSeconds() != 300 {
		t.Errorf("of an unlisted prefix: %v", none)
	}
	for _, x := range []struct{ path, want string }{
		{"/v5/hashes:search?alt=json&hashPrefixes=i9uikw", `{"fullHashes":[{"fullHash":"i9uik7a7pdcn2Oh+7929YflLU2860XtiWl6gGd01mcA=","fullHashDetails":[{"threatType":"SOCIAL_ENGINEERING"}]}],"cacheDuration":"300s"}`},
		{"/v5/urls:search?urls=" + url.QueryEscape("http://user@www.bad.test:81/login.html?x#y") + "&urls=http://good.test/&urls=%25", `{"threats":[{"url":"bad.test/login.html","threatTypes":["SOCIAL_ENGINEERING"]}],"cacheDuration":"300s"}`},
		{"/v5/urls:search?urls=good.test", `{"threats":[],"cacheDuration":"300s"}`},
	} {
		rec := w.do(http.MethodGet, x.path, nil)
		if diff := cmp.Diff(compactJSON(t, []byte(x.want)), compactJSON(t, rec.Body.Bytes())); diff != "" || rec.Code != 200 {
			t.Errorf("%s: %d (-want +got):\n%s", x.path, rec.Code, diff)
		}
	}
}

func compactJSON(t *testing.T, b []byte) string {
	t.Helper()
	var out bytes.Buffer
	if err := json.Compact(&out, b); err != nil {
		t.Fatalf("%v in %s", err, b)
	}
	return out.String()
}

func TestListsOfV5(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.say(evidence.Phishing, subject(evidence.Host, "a.test"))
	var names []string
	for token, pages := "", 0; ; pages++ {
		page := new(v5.ListHashListsResponse)
		w.get("/v5/hashLists?pageSize=5&pageToken="+token, page)
		for _, h := range page.HashLists {
			if h.Metadata.HashLength == 0 || h.Metadata.Description == "" {
				t.Errorf("%s: %v", h.Name, h.Metadata)
			}
			names = append(names, h.Name)
		}
		if token = page.NextPageToken; token == "" || pages > 9 {
			break
		}
	}
	want := strings.Fields("se-4b se-8b se-16b se-32b mw-4b mw-8b mw-16b mw-32b uws-4b uws-8b uws-16b uws-32b gc-32b uwsa-4b pha-4b mwb-4b csdda-32b")
	if diff := cmp.Diff(want, names); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// firefoxV4 is the update request of Firefox, in $req.
const firefoxV4 = "0a150a136e6176636c69656e742d6175746f2d66666f781a0a080510022202200228011a0a080110022202200228011a0a080310022202200228011a0a080710022202200228011a0a08091002220220022801"

func TestUpdatesOfV4(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.say(evidence.Phishing, subject(evidence.URL, "bad.test/login.html"), subject(evidence.Host, "a.test"))
	b, _ := hex.DecodeString(firefoxV4)
	rec := w.do(http.MethodGet, "/v4/threatListUpdates:fetch?$ct=application/x-protobuf&key=x&$httpMethod=POST&$req="+base64.URLEncoding.EncodeToString(b), nil,
		"X-HTTP-Method-Override", "POST")
	got := new(v4.FetchThreatListUpdatesResponse)
	if err := proto.Unmarshal(rec.Body.Bytes(), got); err != nil || rec.Code != 200 {
		t.Fatalf("%v %d %s", err, rec.Code, rec.Body)
	}
	var rows []string
	for _, u := range got.ListUpdateResponses {
		rows = append(rows, fmt.Sprint(int(u.ThreatType), u.PlatformType, u.ThreatEntryType, u.ResponseType, len(prefixesV4(t, u))))
	}
	want := []string{"5 LINUX URL FULL_UPDATE 3", "1 LINUX URL FULL_UPDATE 1", "3 LINUX URL FULL_UPDATE 1", "7 LINUX URL FULL_UPDATE 0", "9 LINUX URL FULL_UPDATE 0"}
	if diff := cmp.Diff(want, rows); diff != "" {
		t.Fatalf("-want +got:\n%s", diff)
	}
	empty := sha256.Sum256(nil)
	if last := got.ListUpdateResponses[4]; !bytes.Equal(last.Checksum.Sha256, empty[:]) || len(last.NewClientState) == 0 {
		t.Errorf("a list that is not ours: %v", last)
	}
	// Chains, raw and Rice.
	for _, compression := range []v4.CompressionType{v4.CompressionType_RAW, v4.CompressionType_RICE} {
		w := newWorld(t)
		c := &client{w: w}
		ask := func() *v4.FetchThreatListUpdatesResponse_ListUpdateResponse {
			t.Helper()
			answer := new(v4.FetchThreatListUpdatesResponse)
			w.post("/v4/threatListUpdates:fetch", &v4.FetchThreatListUpdatesRequest{ListUpdateRequests: []*v4.FetchThreatListUpdatesRequest_ListUpdateRequest{{
				ThreatType: v4.ThreatType_SOCIAL_ENGINEERING, PlatformType: v4.PlatformType_ANY_PLATFORM, ThreatEntryType: v4.ThreatEntryType_URL, State: c.version,
				Constraints: &v4.FetchThreatListUpdatesRequest_ListUpdateRequest_Constraints{SupportedCompressions: []v4.CompressionType{compression}},
			}}}, answer)
			u := answer.ListUpdateResponses[0]
			c.apply(u.ResponseType == v4.FetchThreatListUpdatesResponse_ListUpdateResponse_PARTIAL_UPDATE, removalsV4(t, u), prefixesV4(t, u), u.Checksum.Sha256)
			c.version = u.NewClientState
			return u
		}
		w.say(evidence.Phishing, subject(evidence.Host, "a.test"), subject(evidence.Host, "b.test"))
		ask()
		c.wants(4, "a.test/", "b.test/", testPoint)
		w.say(evidence.Retracted, subject(evidence.Host, "a.test"))
		w.say(evidence.Phishing, subject(evidence.Host, "c.test"))
		if u := ask(); u.ResponseType != v4.FetchThreatListUpdatesResponse_ListUpdateResponse_PARTIAL_UPDATE || len(u.Removals) != 1 || len(u.Additions) != 1 {
			t.Errorf("%v: got %v", compression, u)
		}
		c.wants(4, "b.test/", "c.test/", testPoint)
		state := c.version
		if u := ask(); len(u.Additions)+len(u.Removals) > 0 || !bytes.Equal(u.NewClientState, state) || u.ResponseType != v4.FetchThreatListUpdatesResponse_ListUpdateResponse_PARTIAL_UPDATE {
			t.Errorf("%v: a client that has all gets %v", compression, u)
		}
	}
}

func TestSearchesOfV4(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.say(evidence.Phishing, subject(evidence.URL, "bad.test/login.html"))
	full := link.Hash("bad.test/login.html")
	info := &v4.ThreatInfo{
		ThreatTypes:      []v4.ThreatType{v4.ThreatType_MALWARE, v4.ThreatType_SOCIAL_ENGINEERING_INTERNAL, v4.ThreatType_SOCIAL_ENGINEERING},
		PlatformTypes:    []v4.PlatformType{v4.PlatformType_LINUX, v4.PlatformType_ANY_PLATFORM, v4.PlatformType_LINUX, 77},
		ThreatEntryTypes: []v4.ThreatEntryType{v4.ThreatEntryType_URL},
		ThreatEntries:    []*v4.ThreatEntry{{Hash: full[:4]}, {Hash: []byte("none")}},
	}
	hashes := new(v4.FindFullHashesResponse)
	w.post("/v4/fullHashes:find", &v4.FindFullHashesRequest{ThreatInfo: info}, hashes)
	var rows []string
	for _, m := range hashes.Matches {
		rows = append(rows, fmt.Sprint(int(m.ThreatType), m.PlatformType, m.ThreatEntryType, bytes.Equal(m.Threat.Hash, full[:]), m.CacheDuration.GetSeconds()))
	}
	want := []string{"5 LINUX URL true 300", "5 ANY_PLATFORM URL true 300", "2 LINUX URL true 300", "2 ANY_PLATFORM URL true 300"}
	if diff := cmp.Diff(want, rows); diff != "" || hashes.MinimumWaitDuration != nil || hashes.NegativeCacheDuration.GetSeconds() != 300 {
		t.Errorf("%v (-want +got):\n%s", hashes, diff)
	}
	// The forms of a request that stand in the path.
	b, _ := proto.Marshal(&v4.FindFullHashesRequest{ThreatInfo: info})
	rec := w.do(http.MethodGet, "/v4/encodedFullHashes/"+base64.URLEncoding.EncodeToString(b)+"?clientId=x&alt=proto", nil)
	again := new(v4.FindFullHashesResponse)
	if err := proto.Unmarshal(rec.Body.Bytes(), again); err != nil || !proto.Equal(again, hashes) {
		t.Errorf("%v: got %v", err, again)
	}
	b, _ = hex.DecodeString(firefoxV4)
	rec = w.do(http.MethodGet, "/v4/encodedUpdates/"+base64.RawURLEncoding.EncodeToString(b), nil)
	if rec.Code != 200 || strings.Count(rec.Body.String(), "FULL_UPDATE") != 5 {
		t.Errorf("got %d %s", rec.Code, rec.Body)
	}
	// URLs, in JSON.
	const ask = `{"client":{"clientId":"x"},"threatInfo":{"threatTypes":["SOCIAL_ENGINEERING","MALWARE","NEW_ONE"],"platformTypes":["ANY_PLATFORM"],"threatEntryTypes":["URL"],"threatEntries":[{"url":%q}]}}`
	for u, want := range map[string]string{
		"http://Sub.Bad.test/login.html?x": `{"matches":[{"threatType":"SOCIAL_ENGINEERING","platformType":"ANY_PLATFORM","threat":{"url":"http://Sub.Bad.test/login.html?x"},"cacheDuration":"300s","threatEntryType":"URL"}]}`,
		"http://good.test/":                `{}`,
		"http://":                          `{}`,
	} {
		rec := w.do(http.MethodPost, "/v4/threatMatches:find?key=x", fmt.Appendf(nil, ask, u), "Content-Type", "application/json")
		if diff := cmp.Diff(want, compactJSON(t, rec.Body.Bytes())); diff != "" {
			t.Errorf("%s (-want +got):\n%s", u, diff)
		}
	}
	lists := new(v4.ListThreatListsResponse)
	rec = w.do(http.MethodGet, "/v4/threatLists", nil)
	if err := protojson.Unmarshal(rec.Body.Bytes(), lists); err != nil || len(lists.ThreatLists) != 24 {
		t.Errorf("%v: got %s", err, rec.Body)
	}
	if rec = w.do(http.MethodPost, "/v4/threatHits", []byte(`{}`)); rec.Code != 200 || rec.Body.String() != "{}" {
		t.Errorf("got %d %s", rec.Code, rec.Body)
	}
}

func TestWebRisk(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.say(evidence.Phishing, subject(evidence.URL, "bad.test/login.html"))
	for path, want := range map[string]string{
		"/v1/uris:search?threatTypes=MALWARE&threatTypes=SOCIAL_ENGINEERING&uri=http://bad.test/login.html": `"threat":{"threatTypes":["SOCIAL_ENGINEERING"],"expireTime":"20`,
		"/v1/uris:search?threatTypes=MALWARE&uri=http://bad.test/login.html":                                `{}`,
		"/v1/hashes:search?threatTypes=SOCIAL_ENGINEERING&hashPrefix=i9uikw%3D%3D":                          `"hash":"i9uik7a7pdcn2Oh+7929YflLU2860XtiWl6gGd01mcA="`,
		"/v1/hashes:search?threatTypes=MALWARE&hashPrefix=i9uikw":                                           `{"negativeExpireTime":"20`,
	} {
		if rec := w.do(http.MethodGet, path, nil); rec.Code != 200 || !strings.Contains(rec.Body.String(), want) {
			t.Errorf("%s: got %d %s, want it to hold %s", path, rec.Code, rec.Body, want)
		}
	}
}

// Bounds are held at the limit and one past it; errors have Google's form.
func TestRefusals(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if rec := w.do(http.MethodGet, "/v5/hashLists", nil); rec.Code != 503 || rec.Header().Get("Retry-After") == "" || !strings.Contains(rec.Body.String(), `"UNAVAILABLE"`) {
		t.Errorf("before the first edition: %d %s", rec.Code, rec.Body)
	}
	w.say(evidence.Phishing, subject(evidence.Host, "a.test"))
	entries := func(n int) []byte {
		return []byte(`{"threatInfo":{"threatEntries":[` + strings.TrimSuffix(strings.Repeat(`{"url":"x"},`, n), ",") + `]}}`)
	}
	padded := func(n int) []byte { return append([]byte(`{}`), bytes.Repeat([]byte(" "), n-2)...) }
	lists := func(n int) []byte {
		return []byte(`{"listUpdateRequests":[` + strings.TrimSuffix(strings.Repeat(`{},`, n), ",") + `]}`)
	}
	for _, x := range []struct {
		name, method, path string
		body               []byte
		code               int
		status             string
	}{
		{"1000 prefixes", "GET", "/v5/hashes:search?" + strings.Repeat("hashPrefixes=AAAAAA&", 1000), nil, 200, ""},
		{"1001 prefixes", "GET", "/v5/hashes:search?" + strings.Repeat("hashPrefixes=AAAAAA&", 1001), nil, 400, "INVALID_ARGUMENT"},
		{"a prefix of five bytes", "GET", "/v5/hashes:search?hashPrefixes=AAAAAAA", nil, 400, "INVALID_ARGUMENT"},
		{"a prefix that is not base64", "GET", "/v5/hashes:search?hashPrefixes=%21", nil, 400, "INVALID_ARGUMENT"},
		{"no message", "GET", "/v5/hashes:search?$req=_w", nil, 400, "INVALID_ARGUMENT"},
		{"50 URLs", "GET", "/v5/urls:search?" + strings.Repeat("urls=x&", 50), nil, 200, ""},
		{"51 URLs", "GET", "/v5/urls:search?" + strings.Repeat("urls=x&", 51), nil, 400, "INVALID_ARGUMENT"},
		{"no list", "GET", "/v5/hashList/none-4b", nil, 404, "NOT_FOUND"},
		{"64 lists", "GET", "/v5/hashLists:batchGet?" + strings.Repeat("names=se-4b&", 64), nil, 200, ""},
		{"65 lists", "GET", "/v5/hashLists:batchGet?" + strings.Repeat("names=se-4b&", 65), nil, 400, "INVALID_ARGUMENT"},
		{"no names", "GET", "/v5/hashLists:batchGet", nil, 400, "INVALID_ARGUMENT"},
		{"a size that is no number", "GET", "/v5/hashList/se-4b?sizeConstraints.maxUpdateEntries=x", nil, 400, "INVALID_ARGUMENT"},
		{"a page that is none", "GET", "/v5/hashLists?pageToken=99", nil, 400, "INVALID_ARGUMENT"},
		{"no method of v5", "GET", "/v5/none", nil, 404, "NOT_FOUND"},
		{"no name", "GET", "/v5/hashList/", nil, 404, "NOT_FOUND"},
		{"POST for GET", "POST", "/v5/hashLists", nil, 405, "UNIMPLEMENTED"},
		{"GET for POST", "GET", "/v4/threatMatches:find", nil, 405, "UNIMPLEMENTED"},
		{"DELETE", "DELETE", "/v4/threatLists", nil, 405, "UNIMPLEMENTED"},
		{"500 URLs", "POST", "/v4/threatMatches:find", entries(500), 200, ""},
		{"501 URLs", "POST", "/v4/threatMatches:find", entries(501), 400, "INVALID_ARGUMENT"},
		{"64 lists of v4", "POST", "/v4/threatListUpdates:fetch", lists(64), 200, ""},
		{"65 lists of v4", "POST", "/v4/threatListUpdates:fetch", lists(65), 400, "INVALID_ARGUMENT"},
		{"a body at the limit", "POST", "/v4/threatMatches:find", padded(safebrowsing.MaxBody), 200, ""},
		{"a body over it", "POST", "/v4/threatMatches:find", padded(safebrowsing.MaxBody + 1), 413, "INVALID_ARGUMENT"},
		{"no JSON", "POST", "/v4/threatMatches:find", []byte(`{`), 400, "INVALID_ARGUMENT"},
		{"no protobuf", "POST", "/v4/threatMatches:find?alt=proto", []byte{255}, 400, "INVALID_ARGUMENT"},
		{"a full hash that is too long", "POST", "/v4/fullHashes:find", []byte(`{"threatInfo":{"threatEntries":[{"hash":"` + strings.Repeat("A", 44) + `"}]}}`), 400, "INVALID_ARGUMENT"},
		{"Web Risk without types", "GET", "/v1/uris:search?uri=x", nil, 400, "INVALID_ARGUMENT"},
		{"Web Risk without a URL", "GET", "/v1/uris:search?threatTypes=MALWARE", nil, 400, "INVALID_ARGUMENT"},
		{"Web Risk with three bytes", "GET", "/v1/hashes:search?threatTypes=MALWARE&hashPrefix=AAAA", nil, 400, "INVALID_ARGUMENT"},
	} {
		t.Run(x.name, func(t *testing.T) {
			t.Parallel()
			rec := w.do(x.method, x.path, x.body)
			if rec.Code != x.code || !strings.Contains(rec.Body.String(), x.status) {
				t.Errorf("got %d %s, want %d %s", rec.Code, rec.Body, x.code, x.status)
			}
			if x.code < 400 {
				return
			}
			var e struct {
				Error struct {
					Code            int
					Message, Status string
				}
			}
			if err := json.Unmarshal(rec.Body.Bytes(), &e); err != nil || e.Error.Code != x.code || e.Error.Message == "" {
				t.Errorf("%v in %s", err, rec.Body)
			}
		})
	}
}

func someHashes(r *rand.Rand, n int) (all [][32]byte) {
	for range n {
		var h [32]byte
		// Few heads, so that prefixes of several hashes meet.
		binary.BigEndian.PutUint32(h[:], r.Uint32N(1<<12)<<20)
		binary.BigEndian.PutUint64(h[24:], r.Uint64())
		all = append(all, h)
	}
	return all
}

// A client with limits takes many steps through many editions; at each of them it
// has a part of the list from its beginning, never more than it wants, and at the
// end all of it.
func TestSteps(t *testing.T) {
	t.Parallel()
	for seed := range uint64(20) {
		r := rand.New(rand.NewPCG(seed, 1))
		size := []int{4, 8, 16, 32}[seed%4]
		update, database := 0, 0
		if seed%3 > 0 {
			update = 200 + r.IntN(200)
		}
		if seed%5 == 0 {
			database = 600 + r.IntN(300)
		}
		list := safebrowsing.NewList(someHashes(r, 1000))
		w := &world{t: t}
		c := &client{w: w}
		step := list.Full(size, update, database)
		partial, last := 0, uint32(0)
		for n := range 60 {
			var additions []string
			for x := range slices.Chunk(step.Additions, size) {
				additions = append(additions, string(x))
			}
			var removals []int
			for _, x := range step.Removals {
				removals = append(removals, int(x))
			}
			if update > 0 && len(additions)+len(removals) > update {
				t.Fatalf("seed %d, step %d: %d entries, want at most %d", seed, n, len(additions)+len(removals), update)
			}
			c.apply(step.Partial, removals, additions, step.Sum[:])
			if database > 0 && len(c.prefixes) > database {
				t.Fatalf("seed %d, step %d: the client has %d, want at most %d", seed, n, len(c.prefixes), database)
			}
			var want []string
			for _, h := range list.Hashes() {
				if binary.BigEndian.Uint32(h[:]) <= step.Last {
					want = append(want, string(h[:size]))
				}
			}
			if want = slices.Compact(want); !slices.Equal(want, c.prefixes) {
				t.Fatalf("seed %d, step %d: the client has %d prefixes, want %d", seed, n, len(c.prefixes), len(want))
			}
			last = step.Last
			removed, added := [][32]byte(nil), [][32]byte(nil)
			if n < 30 {
				all := slices.Clone(list.Hashes())
				r.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
				removed, added = all[:r.IntN(30)], someHashes(r, r.IntN(30))
				for i := range removed { // some come back in the same edition
					if r.IntN(4) == 0 {
						added = append(added, removed[i])
					}
				}
			}
			list = list.Changed(removed, added)
			var ok bool
			if step, ok = list.Since(size, removed, added, last, update, database); ok {
				partial++
			} else {
				step = list.Full(size, update, database)
			}
		}
		if partial < 30 {
			t.Errorf("seed %d: only %d of the steps were partial", seed, partial)
		}
		if database == 0 && last != 1<<32-1 {
			t.Errorf("seed %d: the client never came to have all", seed)
		}
	}
}

// Looking up agrees with looking at all.
func TestLookups(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, 1, 2, 7, 8, 9, 5000} {
		r := rand.New(rand.NewPCG(uint64(n), 2))
		all := someHashes(r, n)
		if n > 2 {
			all[0], all[1] = [32]byte{}, [32]byte(bytes.Repeat([]byte{255}, 32))
		}
		list := safebrowsing.NewList(slices.Clone(all))
		for _, h := range append(someHashes(r, 100), all...) {
			for _, size := range []int{4, 5, 8, 32} {
				want := 0
				for _, x := range list.Hashes() {
					if bytes.Equal(x[:size], h[:size]) {
						want++
					}
				}
				if got := list.With(h[:size]); len(got) != want {
					t.Fatalf("%d hashes, %d bytes: found %d, want %d", n, size, len(got), want)
				}
				if size == 32 && list.Has(h) != (want > 0) {
					t.Fatalf("%d hashes: has %v, want %v", n, list.Has(h), want > 0)
				}
			}
		}
	}
}

func FuzzTokens(f *testing.F) {
	f.Add([]byte{}, byte(0), byte(4), uint32(1), uint32(2))
	f.Add(safebrowsing.Token{}.Append([4]byte{1}), byte(1), byte(32), uint32(1<<31), uint32(1<<32-1))
	f.Fuzz(func(t *testing.T, b []byte, l, size byte, serial, last uint32) {
		id := [4]byte{1}
		if tok, ok := safebrowsing.ReadToken(b, id); ok && !bytes.Equal(tok.Append(id), b) {
			t.Errorf("%x is read as %v, which is written as %x", b, tok, tok.Append(id))
		}
		made := safebrowsing.NewToken(l%5, int(size), serial, last)
		if got, ok := safebrowsing.ReadToken(made.Append(id), id); !ok || got != made {
			t.Errorf("%v comes back as %v", made, got)
		}
		if _, ok := safebrowsing.ReadToken(made.Append(id), [4]byte{2}); ok {
			t.Error("another installation takes it")
		}
	})
}

// A request gives the same answer in each of the forms in which it may come, and
// whatever comes is answered, within bounds.
func FuzzRequests(f *testing.F) {
	w := newWorld(f)
	w.say(evidence.Phishing, subject(evidence.URL, "bad.test/login.html"), subject(evidence.Host, "a.test"))
	b, _ := hex.DecodeString(firefoxV4)
	f.Add(b, "hashPrefixes=i9uikw&names=se-4b&version=AQ&urls=a.test&uri=a.test&threatTypes=MALWARE")
	f.Add([]byte{0x1a, 0x0a, 0x08, 0x05, 0x10, 0x02, 0x1a, 0x04, 0x0a, 0x00, 0x20, 0x01}, "$req=CgSL26KT&alt=json")
	f.Add([]byte(`{"threatInfo":{"threatEntries":[{"url":"a.test"}]}}`), "sizeConstraints.maxUpdateEntries=-1&pageSize=2&pageToken=3")
	f.Fuzz(func(t *testing.T, body []byte, query string) {
		for _, x := range []struct {
			path string
			m    proto.Message
		}{
			{"/v4/threatListUpdates:fetch", new(v4.FetchThreatListUpdatesRequest)},
			{"/v4/fullHashes:find", new(v4.FindFullHashesRequest)},
			{"/v4/threatMatches:find", new(v4.FindThreatMatchesRequest)},
		} {
			binary := w.do(http.MethodPost, x.path, body, "Content-Type", "application/x-protobuf")
			w.do(http.MethodPost, x.path, body, "Content-Type", "application/json")
			encoded := url.QueryEscape(base64.URLEncoding.EncodeToString(body))
			inURL := w.do(http.MethodGet, x.path+"?$ct=application/x-protobuf&$req="+encoded, nil)
			if len(body) > 0 && (binary.Code != inURL.Code || !bytes.Equal(binary.Body.Bytes(), inURL.Body.Bytes())) {
				t.Errorf("%s: in the body %d %x, in the URL %d %x", x.path, binary.Code, binary.Body, inURL.Code, inURL.Body)
			}
			if err := proto.Unmarshal(body, x.m); (err == nil) != (binary.Code == 200) && binary.Code != 400 {
				t.Errorf("%s: %v, but %d", x.path, err, binary.Code)
			}
			if text, err := protojson.Marshal(x.m); err == nil && binary.Code == 200 {
				asJSON := w.do(http.MethodPost, x.path+"?$ct=application/x-protobuf", text, "Content-Type", "application/json")
				if asJSON.Code != 200 || !bytes.Equal(asJSON.Body.Bytes(), binary.Body.Bytes()) {
					t.Errorf("%s: as JSON %d %x, as protobuf %x", x.path, asJSON.Code, asJSON.Body, binary.Body)
				}
			}
			if n := binary.Body.Len(); n > 1<<20 {
				t.Errorf("%s: %d bytes", x.path, n)
			}
		}
		if _, err := url.ParseQuery(query); err != nil || strings.ContainsFunc(query, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
			return
		}
		for _, path := range []string{"/v5/hashLists:batchGet", "/v5/hashList/se-4b", "/v5/hashLists", "/v5/hashes:search", "/v5/urls:search", "/v1/uris:search", "/v1/hashes:search"} {
			r := httptest.NewRequest(http.MethodGet, path, nil)
			r.URL.RawQuery = query
			rec := httptest.NewRecorder()
			w.s.ServeHTTP(rec, r)
			if rec.Code != 200 && rec.Code != 400 && rec.Code != 404 || rec.Body.Len() > 1<<20 {
				t.Errorf("%s?%s: %d, %d bytes", path, query, rec.Code, rec.Body.Len())
			}
		}
	})
}

func FuzzBase64(f *testing.F) {
	f.Add([]byte{0xfb, 0xff})
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, e := range []*base64.Encoding{base64.StdEncoding, base64.URLEncoding, base64.RawStdEncoding, base64.RawURLEncoding} {
			if got, err := safebrowsing.FromBase64(e.EncodeToString(b)); err != nil || !bytes.Equal(got, b) {
				t.Errorf("%x comes back as %x: %v", b, got, err)
			}
		}
	})
}
