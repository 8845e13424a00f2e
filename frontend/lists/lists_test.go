package lists_test

import (
	"bytes"
	"compress/gzip"
	"encoding/csv"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"

	"headlight.example"
	"headlight.example/blocklist"
	"headlight.example/evidence"
	"headlight.example/frontend/lists"
)

type world struct {
	t     *testing.T
	svc   *headlight.Service
	pub   *blocklist.Publisher
	files *lists.Files
}

func newWorld(t *testing.T) *world {
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
	return &world{t, svc, pub, lists.New(lists.Config{Shelf: pub.Shelf(), ID: [16]byte{1}})}
}

func (w *world) say(a evidence.Assertion, subjects ...evidence.Subject) {
	w.t.Helper()
	for _, s := range subjects {
		if _, err := w.svc.Append(w.t.Context(), evidence.Record{Rater: "operator/o", Subject: s, Assertion: a}); err != nil {
			w.t.Fatal(err)
		}
	}
	if _, err := w.pub.Publish(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
}

// some says something of each kind.
func (w *world) some() {
	w.say(evidence.Phishing,
		evidence.Subject{Kind: evidence.URL, Key: "shop.test/a,b/\"it's\"?x=1"},
		evidence.Subject{Kind: evidence.Path, Key: "shop.test/kit/"},
		evidence.Subject{Kind: evidence.Host, Key: "www.bad.test"},
		evidence.Subject{Kind: evidence.Domain, Key: "worse.test"},
		evidence.Subject{Kind: evidence.Host, Key: "7.113.0.203.rpz-ip"},
		evidence.Subject{Kind: evidence.Addr, Key: "192.0.2.7"},
		evidence.Subject{Kind: evidence.Addr, Key: "2001:db8::7"})
}

func (w *world) get(method, path string, header ...string) *httptest.ResponseRecorder {
	w.t.Helper()
	r := httptest.NewRequest(method, path, nil)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	rec := httptest.NewRecorder()
	w.files.ServeHTTP(rec, r)
	return rec
}

func (w *world) text(name string) string {
	w.t.Helper()
	rec := w.get(http.MethodGet, "/lists/"+name)
	if rec.Code != http.StatusOK {
		w.t.Fatalf("%s: %d %s", name, rec.Code, rec.Body)
	}
	return rec.Body.String()
}

// without leaves out the lines of test points and what differs in each run.
func without(text string) []string {
	var lines []string
	for line := range strings.Lines(text) {
		if !strings.Contains(line, "headlight.example") {
			lines = append(lines, regexp.MustCompile(`20\d\d-\d\d-\d\dT[0-9:]+Z|\b1\d{9}\b`).ReplaceAllString(strings.TrimRight(line, "\r\n"), "TIME"))
		}
	}
	return lines
}

func TestPlainForms(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.some()
	for name, want := range map[string][]string{
		"hosts.txt":     {"192.0.2.7", "7.113.0.203.rpz-ip", "2001:db8::7", "www.bad.test", "worse.test"},
		"domains.txt":   {"worse.test"},
		"hostsfile.txt": {"# Headlight, edition TIME, TIME", "0.0.0.0 7.113.0.203.rpz-ip", "0.0.0.0 www.bad.test", "0.0.0.0 worse.test"},
		"urls.txt": {"http://192.0.2.7/", "http://7.113.0.203.rpz-ip/", "http://[2001:db8::7]/", "http://www.bad.test/",
			`http://shop.test/a,b/"it's"?x=1`, "http://shop.test/kit/", "http://worse.test/"},
		"list.csv": {"expression,kind,threat,since", "192.0.2.7/,address,phishing,TIME", "7.113.0.203.rpz-ip/,name,phishing,TIME",
			"[2001:db8::7]/,address,phishing,TIME", "www.bad.test/,name,phishing,TIME", `"shop.test/a,b/""it's""?x=1",url,phishing,TIME`,
			"shop.test/kit/,path,phishing,TIME", "worse.test/,name,phishing,TIME"},
		"rpz.zone": {"$TTL 60", "@ SOA localhost. hostmaster.localhost. TIME 60 60 604800 60", "@ NS localhost.",
			"www.bad.test CNAME .", "*.www.bad.test CNAME .", "worse.test CNAME .", "*.worse.test CNAME ."},
	} {
		if diff := cmp.Diff(want, without(w.text(name))); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	if records, err := csv.NewReader(strings.NewReader(w.text("list.csv"))).ReadAll(); err != nil || len(records) != 12 {
		t.Errorf("list.csv has %d records, %v", len(records), err)
	}
	zone := dns.NewZoneParser(strings.NewReader(w.text("rpz.zone")), "rpz.example.", "")
	n := 0
	for _, ok := zone.Next(); ok; _, ok = zone.Next() {
		n++
	}
	if zone.Err() != nil || n != 2+2*6 {
		t.Errorf("rpz.zone has %d records, %v", n, zone.Err())
	}
	n = 0
	for line := range strings.Lines(w.text("list.jsonl")) {
		var x struct{ Expression, Kind, Threat, Since string }
		if err := json.Unmarshal([]byte(line), &x); err != nil || x.Expression == "" || x.Kind == "" || x.Threat == "" || x.Since == "" {
			t.Errorf("%v in %s", err, line)
		}
		n++
	}
	if n != 11 {
		t.Errorf("list.jsonl has %d lines", n)
	}
}

func TestMISP(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.some()
	var manifest map[string]struct{ Info string }
	if err := json.Unmarshal([]byte(w.text("misp/manifest.json")), &manifest); err != nil || len(manifest) != 1 {
		t.Fatalf("manifest of %d events, %v", len(manifest), err)
	}
	for id := range manifest {
		var event struct {
			Event struct {
				UUID      string
				Attribute []struct{ Type, Value, UUID, Timestamp, Comment string }
			}
		}
		if err := json.Unmarshal([]byte(w.text("misp/"+id+".json")), &event); err != nil || event.Event.UUID != id {
			t.Fatalf("event %s, want %s: %v", event.Event.UUID, id, err)
		}
		types := make(map[string]string)
		seen := make(map[string]bool)
		for _, a := range event.Event.Attribute {
			types[a.Value] = a.Type
			if seen[a.UUID] || a.Timestamp == "" || a.Comment == "" {
				t.Errorf("attribute %+v", a)
			}
			seen[a.UUID] = true
		}
		for value, want := range map[string]string{
			"http://shop.test/kit/": "url", "www.bad.test": "hostname", "worse.test": "domain", "192.0.2.7": "ip-dst", "2001:db8::7": "ip-dst",
		} {
			if types[value] != want {
				t.Errorf("%s has type %q, want %q", value, types[value], want)
			}
		}
		if got, want := strings.Count(w.text("misp/hashes.csv"), ","+id+"\n"), len(event.Event.Attribute); got != want {
			t.Errorf("%d hashes of %d attributes", got, want)
		}
	}
}

func TestSTIX(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.say(evidence.Benign, evidence.Subject{Kind: evidence.URL, Key: "good.test/"})
	w.some()
	w.say(evidence.Retracted, evidence.Subject{Kind: evidence.Domain, Key: "worse.test"})
	w.say(evidence.Malware, evidence.Subject{Kind: evidence.Domain, Key: "worst.test"})
	w.say(evidence.Retracted, evidence.Subject{Kind: evidence.Domain, Key: "worst.test"})
	w.say(evidence.Phishing, evidence.Subject{Kind: evidence.URL, Key: "last.test/x"})
	var bundle struct {
		Type, ID string
		Objects  []struct {
			Type, ID, Pattern string
			Revoked           bool
			Labels            []string
		}
	}
	if err := json.Unmarshal([]byte(w.text("stix.json")), &bundle); err != nil {
		t.Fatal(err)
	}
	ids := make(map[string]bool)
	var got []string
	for _, o := range bundle.Objects {
		if ids[o.ID] || !regexp.MustCompile(`^[a-z]+--[0-9a-f]{8}-[0-9a-f]{4}-5[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`).MatchString(o.ID) {
			t.Errorf("id %q", o.ID)
		}
		ids[o.ID] = true
		if o.Type == "indicator" && !strings.Contains(o.Pattern, "headlight.example") {
			word := ""
			if o.Revoked {
				word = "revoked "
			}
			got = append(got, word+strings.Join(o.Labels, ",")+" "+o.Pattern)
		}
	}
	want := []string{
		"phishing [ipv4-addr:value = '192.0.2.7']",
		"phishing [domain-name:value = '7.113.0.203.rpz-ip']",
		"phishing [ipv6-addr:value = '2001:db8::7']",
		"phishing [domain-name:value = 'www.bad.test']",
		"phishing [url:value = 'http://last.test/x' OR url:value = 'https://last.test/x']",
		`phishing [url:value = 'http://shop.test/a,b/"it\'s"?x=1' OR url:value = 'https://shop.test/a,b/"it\'s"?x=1']`,
		`phishing [url:value MATCHES '^https?://shop\\.test/kit/']`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}

	// A client that saw worse.test between finds it revoked.
	w = newWorld(t)
	w.some()
	w.say(evidence.Retracted, evidence.Subject{Kind: evidence.Domain, Key: "worse.test"})
	if text := w.text("stix.json"); strings.Count(text, `"revoked":true`) != 1 || !strings.Contains(text, "worse.test") {
		t.Errorf("worse.test is not revoked:\n%s", text)
	}
}

func TestConditionalRequests(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, path := range []string{"/lists/", "/lists/urls.txt"} {
		if rec := w.get(http.MethodGet, path); rec.Code != http.StatusServiceUnavailable || rec.Header().Get("Retry-After") == "" {
			t.Errorf("%s before the first edition: %d", path, rec.Code)
		}
	}
	w.some()
	plain := w.get(http.MethodGet, "/lists/urls.txt")
	zipped := w.get(http.MethodGet, "/lists/urls.txt", "Accept-Encoding", "br, gzip;q=0.5")
	tag, zipTag, date := plain.Header().Get("ETag"), zipped.Header().Get("ETag"), plain.Header().Get("Last-Modified")
	if tag == "" || tag == zipTag || strings.HasPrefix(tag, "W/") {
		t.Errorf("strong tags %s and %s", tag, zipTag)
	}
	z, err := gzip.NewReader(zipped.Body)
	if err != nil {
		t.Fatal(err)
	}
	if text, err := io.ReadAll(z); err != nil || !bytes.Equal(text, plain.Body.Bytes()) {
		t.Errorf("the compressed text is another: %v", err)
	}
	head := w.get(http.MethodHead, "/lists/urls.txt")
	if head.Code != http.StatusOK || head.Body.Len() != 0 || head.Header().Get("Content-Length") != plain.Header().Get("Content-Length") || head.Header().Get("ETag") != tag {
		t.Errorf("HEAD: %d, %v", head.Code, head.Header())
	}
	for _, x := range []struct {
		name   string
		header []string
		want   int
	}{
		{"the same tag", []string{"If-None-Match", tag}, 304},
		{"the tag of the other coding", []string{"If-None-Match", zipTag}, 304},
		{"one of several, weak", []string{"If-None-Match", `"x", W/` + tag}, 304},
		{"any", []string{"If-None-Match", "*"}, 304},
		{"another tag", []string{"If-None-Match", `"x"`}, 200},
		{"another tag goes before the date", []string{"If-None-Match", `"x"`, "If-Modified-Since", date}, 200},
		{"the same date", []string{"If-Modified-Since", date}, 304},
		{"an earlier date", []string{"If-Modified-Since", "Mon, 02 Jan 2006 15:04:05 GMT"}, 200},
		{"no date", []string{"If-Modified-Since", "yesterday"}, 200},
		{"no gzip", []string{"Accept-Encoding", "gzip;q=0"}, 200},
	} {
		rec := w.get(http.MethodGet, "/lists/urls.txt", x.header...)
		if rec.Code != x.want || x.want == 304 && rec.Body.Len() != 0 || rec.Header().Get("Content-Encoding") != "" {
			t.Errorf("%s: got %d, want %d", x.name, rec.Code, x.want)
		}
	}
	hosts := w.get(http.MethodGet, "/lists/hosts.txt").Header().Get("ETag")
	w.say(evidence.Phishing, evidence.Subject{Kind: evidence.URL, Key: "new.test/x"})
	if rec := w.get(http.MethodGet, "/lists/urls.txt", "If-None-Match", tag); rec.Code != http.StatusOK || !strings.Contains(rec.Body.String(), "http://new.test/x\n") {
		t.Errorf("a changed list: %d", rec.Code)
	}
	if rec := w.get(http.MethodGet, "/lists/hosts.txt", "If-None-Match", hosts); rec.Code != http.StatusNotModified {
		t.Errorf("a list that the edition did not change: %d", rec.Code)
	}
}

// What the index names is there; nothing else is.
func TestIndex(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.some()
	links := regexp.MustCompile(`href="([^"]+)"`).FindAllStringSubmatch(w.get(http.MethodGet, "/lists").Body.String(), -1)
	if len(links) != 11 {
		t.Errorf("%d links", len(links))
	}
	for _, l := range links {
		if rec := w.get(http.MethodGet, l[1]); rec.Code != http.StatusOK || rec.Body.Len() == 0 || rec.Header().Get("Content-Type") == "" {
			t.Errorf("%s: %d", l[1], rec.Code)
		}
	}
	for _, path := range []string{"/lists/none", "/lists/misp/", "/lists/../urls.txt", "/lists/urls.txt/", "/other"} {
		if rec := w.get(http.MethodGet, path); rec.Code != http.StatusNotFound {
			t.Errorf("%s: %d", path, rec.Code)
		}
	}
	if rec := w.get(http.MethodPost, "/lists/urls.txt"); rec.Code != http.StatusMethodNotAllowed {
		t.Errorf("POST: %d", rec.Code)
	}
}
