package safebrowsing_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/durationpb"

	"headlight.example/evidence"
	"headlight.example/frontend/safebrowsing"
	"headlight.example/frontend/safebrowsing/v4"
)

// usual is a question as clients ask it.
const usual = `{"client":{"clientId":"x","clientVersion":"1"},"threatInfo":{"threatTypes":["SOCIAL_ENGINEERING","NEW_ONE"],` +
	`"platformTypes":["ANY_PLATFORM"],"threatEntryTypes":["URL"],"threatEntries":[{"url":"http://bad.test/?a\u0026b\/\ud83d\ude00ü"},{"url":""},{}]}}`

func TestPlainQuestions(t *testing.T) {
	t.Parallel()
	for _, x := range []struct {
		name, body string
		plain      bool
	}{
		{"the usual one", usual, true},
		{"white space", " {\n\"threatInfo\" :\t{ \"threatTypes\": [ \"MALWARE\" , \"UNWANTED_SOFTWARE\" ] } }\r\n", true},
		{"nothing", `{}`, true},
		{"an escaped quote", `{"threatInfo":{"threatEntries":[{"url":"a\"\\"}]}}`, true},
		{"no body", ``, false},
		{"an array", `[]`, false},
		{"cut off", usual[:len(usual)-1], false},
		{"cut off in an escape", `{"threatInfo":{"threatEntries":[{"url":"\`, false},
		{"more behind it", usual + `x`, false},
		{"a comma too many", `{"threatInfo":{"threatTypes":["MALWARE",]}}`, false},
		{"a member twice", `{"threatInfo":{},"threatInfo":{}}`, false},
		{"a member in capitals", `{"THREATINFO":{}}`, false},
		{"a member of protobuf's name", `{"threat_info":{"threat_types":["MALWARE"]}}`, false},
		{"a member that is not known", `{"new":1}`, false},
		{"a number for a name", `{"threatInfo":{"threatTypes":[1]}}`, false},
		{"null", `{"threatInfo":null}`, false},
		{"a control character", "{\"threatInfo\":{\"threatEntries\":[{\"url\":\"\x01\"}]}}", false},
		{"half a surrogate pair", `{"threatInfo":{"threatEntries":[{"url":"\ud83d"}]}}`, false},
		{"no UTF-8", "{\"threatInfo\":{\"threatEntries\":[{\"url\":\"\xff\"}]}}", false},
		{"a hash", `{"threatInfo":{"threatEntries":[{"hash":"AAAA"}]}}`, false},
	} {
		if got := readsAlike(t, []byte(x.body)); got != x.plain {
			t.Errorf("%s: got %v, want %v", x.name, got, x.plain)
		}
	}
}

// readsAlike says whether the body is one of those that are read by hand. Then
// protojson must take it for the same.
func readsAlike(t *testing.T, body []byte) bool {
	q := new(v4.FindThreatMatchesRequest)
	if !safebrowsing.ReadPlain(body, q) {
		return false
	}
	want := new(v4.FindThreatMatchesRequest)
	if err := (protojson.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(body, want); err != nil {
		t.Errorf("%q is read, but %v", body, err)
	}
	want.Client = nil
	if diff := cmp.Diff(want, q, protocmp.Transform()); diff != "" {
		t.Errorf("%q (-protojson +ours):\n%s", body, diff)
	}
	return true
}

func TestMatchesAreWrittenAsProtojsonDoes(t *testing.T) {
	t.Parallel()
	var all []*v4.ThreatMatch
	for n, url := range []string{"http://bad.test/", "\"\\/\x00\x1f\b\n\x7f", "ü\u2028\ufffd😀<&>", strings.Repeat("long", 1000)} {
		all = append(all, match(url, v4.ThreatType_SOCIAL_ENGINEERING_INTERNAL, v4.PlatformType_CHROME))
		writesAlike(t, all[:n])
		writesAlike(t, all[n:])
	}
	writesAlike(t, all)
}

// match is one as those of findMatches: with a URL, for the empty one is none.
func match(url string, threat v4.ThreatType, platform v4.PlatformType) *v4.ThreatMatch {
	return &v4.ThreatMatch{ThreatType: threat, PlatformType: platform, ThreatEntryType: v4.ThreatEntryType_URL,
		Threat: &v4.ThreatEntry{Url: url}, CacheDuration: &durationpb.Duration{Seconds: 300}}
}

func writesAlike(t *testing.T, all []*v4.ThreatMatch) {
	want, err := protojson.Marshal(&v4.FindThreatMatchesResponse{Matches: all})
	if err != nil {
		t.Fatal(err)
	}
	got := safebrowsing.AppendMatches(nil, all)
	read := new(v4.FindThreatMatchesResponse)
	if err := protojson.Unmarshal(got, read); err != nil || !proto.Equal(read, &v4.FindThreatMatchesResponse{Matches: all}) {
		t.Errorf("%v: %s is read as %v", err, got, read)
	}
	sameJSON(t, got, want)
}

func sameJSON(t *testing.T, got, want []byte) {
	t.Helper()
	var x, y any
	if err := json.Unmarshal(got, &x); err != nil {
		t.Fatalf("%v in %s", err, got)
	}
	if err := json.Unmarshal(want, &y); err != nil {
		t.Fatalf("%v in %s", err, want)
	}
	if diff := cmp.Diff(y, x); diff != "" {
		t.Errorf("%s (-want +got):\n%s", got, diff)
	}
}

// Whatever the body is, it is answered as if protojson had read and written it.
func FuzzPlain(f *testing.F) {
	w := newWorld(f)
	w.say(evidence.Phishing, subject(evidence.Host, "bad.test"))
	f.Add([]byte(usual))
	f.Add([]byte(`{"threatInfo":{"threatEntryTypes":["URL"],"platformTypes":["LINUX"],"threatTypes":["SOCIAL_ENGINEERING"],"threatEntries":[{"url":"bad.test/\"\u0000\ud83d\ude00"}]}}`))
	f.Add([]byte(`{"threatInfo":{"threatEntries":[{"url":"\ud83d"}]}}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		readsAlike(t, body)
		got := w.do(http.MethodPost, "/v4/threatMatches:find", body, "Content-Type", "application/json")
		q := new(v4.FindThreatMatchesRequest)
		if err := (protojson.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(body, q); err != nil && len(body) > 0 {
			if got.Code != http.StatusBadRequest {
				t.Errorf("%v, but %d %s", err, got.Code, got.Body)
			}
			return
		}
		b, err := proto.Marshal(q)
		if err != nil {
			t.Fatal(err)
		}
		binary := w.do(http.MethodPost, "/v4/threatMatches:find", b, "Content-Type", "application/x-protobuf")
		if binary.Code != got.Code {
			t.Fatalf("as JSON %d %s, as protobuf %d", got.Code, got.Body, binary.Code)
		}
		if got.Code != http.StatusOK {
			if !bytes.Equal(got.Body.Bytes(), binary.Body.Bytes()) {
				t.Errorf("as JSON %s, as protobuf %s", got.Body, binary.Body)
			}
			return
		}
		answer := new(v4.FindThreatMatchesResponse)
		if err := proto.Unmarshal(binary.Body.Bytes(), answer); err != nil {
			t.Fatal(err)
		}
		want, err := protojson.Marshal(answer)
		if err != nil {
			t.Fatal(err)
		}
		sameJSON(t, got.Body.Bytes(), want)
	})
}
