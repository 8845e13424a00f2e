package httpapi_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"headlight.example/evidence"
	"headlight.example/frontend/httpapi"
	"headlight.example/probe"
)

// description is openapi.json, taken apart.
var description = sync.OnceValue(func() map[string]any {
	b, err := os.ReadFile("openapi.json")
	if err != nil {
		panic(err)
	}
	var doc map[string]any
	if err := json.Unmarshal(b, &doc); err != nil {
		panic(err)
	}
	return doc
})

// at follows a path of member names.
func at(v any, path ...string) any {
	for _, p := range path {
		m, _ := v.(map[string]any)
		v = m[p]
	}
	return v
}

func resolve(v any) (schema map[string]any, name string) {
	m, _ := v.(map[string]any)
	ref, ok := m["$ref"].(string)
	if !ok {
		return m, ""
	}
	path := strings.Split(strings.TrimPrefix(ref, "#/"), "/")
	m, _ = at(description(), path...).(map[string]any)
	return m, path[len(path)-1]
}

// checker holds values against schemas, as far as openapi.json uses JSON
// Schema, and notes which members it saw.
type checker struct {
	seen map[string]bool // "Schema.member"
}

func (c *checker) check(s any, name string, v any, path string) error {
	m, ref := resolve(s)
	if ref != "" {
		name = ref
	}
	if m == nil {
		return fmt.Errorf("%s: no schema", path)
	}
	if any, ok := m["oneOf"].([]any); ok {
		var errs []error
		for _, s := range any {
			if err := c.check(s, name, v, path); err != nil {
				errs = append(errs, err)
			}
		}
		if len(errs) != len(any)-1 {
			return fmt.Errorf("%s: fits %d of %d: %v", path, len(any)-len(errs), len(any), errs)
		}
		return nil
	}
	switch m["type"] {
	case "object":
		return c.object(m, name, v, path)
	case "array":
		list, ok := v.([]any)
		if !ok {
			return fmt.Errorf("%s: %v is no array", path, v)
		}
		if most, ok := m["maxItems"].(float64); ok && len(list) > int(most) {
			return fmt.Errorf("%s: %d elements", path, len(list))
		}
		for i, e := range list {
			if err := c.check(m["items"], name+"[]", e, fmt.Sprintf("%s[%d]", path, i)); err != nil {
				return err
			}
		}
		return nil
	case "boolean":
		if _, ok := v.(bool); !ok {
			return fmt.Errorf("%s: %v is no boolean", path, v)
		}
		return nil
	case "number", "integer":
		return number(m, v, path)
	case "string":
		return text(m, v, path)
	}
	return fmt.Errorf("%s: a schema of type %v", path, m["type"])
}

func (c *checker) object(m map[string]any, name string, v any, path string) error {
	o, ok := v.(map[string]any)
	if !ok {
		return fmt.Errorf("%s: %v is no object", path, v)
	}
	props, _ := m["properties"].(map[string]any)
	if props == nil {
		return nil // any object
	}
	for k, e := range o {
		if props[k] == nil {
			return fmt.Errorf("%s.%s is not described", path, k)
		}
		c.seen[name+"."+k] = true
		if err := c.check(props[k], name+"."+k, e, path+"."+k); err != nil {
			return err
		}
	}
	required, _ := m["required"].([]any)
	for _, k := range required {
		if _, ok := o[k.(string)]; !ok {
			return fmt.Errorf("%s.%s is missing", path, k)
		}
	}
	return nil
}

func number(m map[string]any, v any, path string) error {
	n, ok := v.(float64)
	if !ok || m["type"] == "integer" && n != math.Trunc(n) {
		return fmt.Errorf("%s: %v is no %s", path, v, m["type"])
	}
	if least, ok := m["minimum"].(float64); ok && n < least {
		return fmt.Errorf("%s: %v is below %v", path, n, least)
	}
	if most, ok := m["maximum"].(float64); ok && n > most {
		return fmt.Errorf("%s: %v is above %v", path, n, most)
	}
	return nil
}

func text(m map[string]any, v any, path string) error {
	s, ok := v.(string)
	if !ok {
		return fmt.Errorf("%s: %v is no string", path, v)
	}
	if words, ok := m["enum"].([]any); ok && !slices.Contains(words, any(s)) {
		return fmt.Errorf("%s: %q is not one of %v", path, s, words)
	}
	if p, ok := m["pattern"].(string); ok && !regexp.MustCompile(p).MatchString(s) {
		return fmt.Errorf("%s: %q does not fit %s", path, s, p)
	}
	if m["format"] == "date-time" {
		if _, err := time.Parse(time.RFC3339, s); err != nil {
			return fmt.Errorf("%s: %v", path, err)
		}
	}
	if least, ok := m["minLength"].(float64); ok && len(s) < int(least) {
		return fmt.Errorf("%s is empty", path)
	}
	return nil
}

// validate holds one value against a schema.
func validate(t testing.TB, name, value string) {
	t.Helper()
	var v any
	if err := json.Unmarshal([]byte(value), &v); err != nil {
		t.Fatalf("%s: %v in %s", name, err, value)
	}
	c := &checker{seen: make(map[string]bool)}
	if err := c.check(map[string]any{"$ref": "#/components/schemas/" + name}, name, v, name); err != nil {
		t.Errorf("%v\nin %s", err, value)
	}
}

// answer holds an answer against what is described for its call and status.
func (c *checker) answer(method, pattern string, w *httptest.ResponseRecorder) error {
	status := fmt.Sprint(w.Code)
	response, _ := resolve(at(description(), "paths", pattern, strings.ToLower(method), "responses", status))
	if response == nil {
		return fmt.Errorf("%s %s: status %s is not described", method, pattern, status)
	}
	media, _, _ := strings.Cut(w.Header().Get("Content-Type"), ";")
	s := at(response, "content", media, "schema")
	if s == nil {
		return fmt.Errorf("%s %s %s: content type %q is not described", method, pattern, status, media)
	}
	if !strings.HasSuffix(media, "json") {
		return nil
	}
	var v any
	if err := json.Unmarshal(w.Body.Bytes(), &v); err != nil {
		return fmt.Errorf("%s %s %s: %v in %s", method, pattern, status, err, w.Body)
	}
	return c.check(s, "", v, pattern)
}

func TestEveryRouteIsDescribedAndEveryDescribedOneIsThere(t *testing.T) {
	t.Parallel()
	var described, there []string
	for path, item := range at(description(), "paths").(map[string]any) {
		for method := range item.(map[string]any) {
			described = append(described, strings.ToUpper(method)+" "+path)
		}
	}
	for _, r := range newAPI(t, httpapi.Config{}).Routes() {
		there = append(there, r[0]+" "+r[1])
	}
	slices.Sort(described)
	slices.Sort(there)
	if !slices.Equal(described, there) {
		t.Errorf("described %q\nthere %q", described, there)
	}
}

func TestEveryReferenceLeadsSomewhere(t *testing.T) {
	t.Parallel()
	n := 0
	var walk func(v any)
	walk = func(v any) {
		switch v := v.(type) {
		case map[string]any:
			if ref, ok := v["$ref"]; ok {
				if n++; len(v) > 0 {
					if m, _ := resolve(v); m == nil {
						t.Errorf("%v leads nowhere", ref)
					}
				}
			}
			for _, e := range v {
				walk(e)
			}
		case []any:
			for _, e := range v {
				walk(e)
			}
		}
	}
	walk(description())
	if n == 0 {
		t.Error("no references")
	}
}

// TestAnswersAreAsDescribed makes calls of every sort, holds the answers
// against the description, and then asks whether every described member of an
// answer was met.
func TestAnswersAreAsDescribed(t *testing.T) {
	t.Parallel()
	svc, visited := visitedService(t)
	api := apiOf(svc, httpapi.Config{Version: "test"})
	svc.SetNetworks(networks(t))
	say(t, svc, "feed/openphish", "http://bad.example/pay", evidence.Phishing)
	addr := evidence.Subject{Kind: evidence.Addr, Key: "192.0.2.1"}
	host := evidence.Subject{Kind: evidence.Host, Key: "bad.example"}
	_, err := svc.Append(t.Context(), evidence.Record{
		Rater: "service/probe", Subject: host, Assertion: evidence.ResolvesTo, Object: addr, Count: 1,
		Expires: time.Now().Add(time.Hour),
	}, evidence.Record{
		Rater: "service/probe", Subject: host, Assertion: evidence.Shows, Object: evidence.FactOf(evidence.FactServer, "nginx"), Count: 1,
	}, evidence.Record{
		Rater: "service/probe", Subject: evidence.Subject{Kind: evidence.URL, Key: "bad.example/pay"}, Assertion: evidence.RedirectsTo,
		Object: evidence.Subject{Kind: evidence.Sealed, Key: "worse.example/#/#0000000000002"}, Count: 1,
	})
	if err != nil {
		t.Fatal(err)
	}
	c := &checker{seen: make(map[string]bool)}
	send := func(pattern string, q request) {
		t.Helper()
		method := http.MethodGet
		if q.body != "" {
			method = http.MethodPost
		}
		w := q.send(t, api)
		var sent any
		if json.Unmarshal([]byte(q.body), &sent) == nil && w.Code < 300 {
			s := at(description(), "paths", pattern, "post", "requestBody", "content", "application/json", "schema")
			if err := c.check(s, "", sent, pattern); err != nil {
				t.Errorf("accepted, but not as described: %v\nin %s", err, q.body)
			}
		}
		if err := c.answer(method, pattern, w); err != nil {
			t.Errorf("%v\nin %s", err, w.Body)
		}
	}
	// The examples of the description itself.
	for path, item := range at(description(), "paths").(map[string]any) {
		content := at(item, "post", "requestBody", "content", "application/json")
		examples := []any{at(content, "example")}
		for _, e := range asMap(at(content, "examples")) {
			examples = append(examples, at(e, "value"))
		}
		for _, e := range examples {
			if e == nil {
				continue
			}
			if err := c.check(at(content, "schema"), "", e, path); err != nil {
				t.Errorf("example: %v", err)
			}
			b, _ := json.Marshal(e)
			q := request{path: path, body: string(b), token: operatorSecret}
			if w := q.send(t, api); w.Code >= 300 {
				t.Errorf("%s: the example %s was refused: %s", path, b, w.Body)
			}
			send(path, q)
		}
	}
	for _, path := range []string{"/", "/healthz", "/readyz", "/metrics", "/openapi.json", "/visits", probe.DirectoryPath} {
		send(path, request{path: path})
	}
	send("/problems/{name}", request{path: "/problems/not-json"})
	send("/problems/{name}", request{path: "/problems/none"})
	send("/v1/visits/{id}", request{path: "/v1/visits/" + idOf(t, svc, visited)})
	send("/v1/visits/{id}", request{path: "/v1/visits/none"})
	send("/v1/check", request{path: "/v1/check", body: `{"links":["http://bad.example/pay","http://"]}`})
	send("/v1/check", request{path: "/v1/check", body: `{"links":0}`})
	send("/v1/check", request{path: "/v1/check", body: `{"links":[]}`, token: "guess"})
	send("/v1/scan", request{path: "/v1/scan", body: `{"type":"text/html","text":"<a href=\"https://www.google.com/url?q=http://bad.example/pay\">http://good.example/</a>"}`})
	send("/v1/check", request{path: "/v1/check", body: `{"links":["https://www.google.com/url?q=http://bad.example/pay"]}`})
	send("/v1/reports", request{path: "/v1/reports", token: operatorSecret, body: `{"url":"http://shop.example/x","assertion":"malware","rater":"feed/letters","time":"2026-01-01T00:00:00+01:00"}`})
	send("/v1/reports", request{path: "/v1/reports", token: operatorSecret, body: `{"url":"http://anchored.example/x","assertion":"malware"}`})
	send("/v1/appeals", request{path: "/v1/appeals", token: userSecret, body: `{"subject":{"kind":"host","key":"shop.example"}}`})
	send("/v1/reports", request{path: "/v1/reports", token: userSecret, body: `{"url":"http://queued.example/x","assertion":"spam"}`})
	send("/v1/reviews", request{path: "/v1/reviews?limit=1", token: operatorSecret})
	send("/v1/reviews", request{path: "/v1/reviews", token: operatorSecret})
	send("/v1/reviews", request{path: "/v1/reviews?after=x", token: operatorSecret})
	send("/v1/reviews", request{path: "/v1/reviews", token: userSecret})
	list, _, _ := svc.Reviews(nil, 10)
	for _, r := range list {
		send("/v1/reviews/{id}", request{path: "/v1/reviews/" + httpapi.IDOf(r.ID), token: operatorSecret, body: `{"assertion":"benign"}`})
	}
	send("/v1/reviews/{id}", request{path: "/v1/reviews/0000000000002", token: operatorSecret, body: `{"assertion":"dismiss"}`})
	send("/v1/visits/halt", request{path: "/v1/visits/halt", token: operatorSecret, body: `{"halt":true}`})
	for _, key := range []string{"url/" + url.PathEscape("http://bad.example/pay"), "url/anchored.example%2Fx", "host/bad.example", "tenant/bad.example",
		"domain/bad.example", "addr/192.0.2.1", "as/64500", "suffix/example", "prefix/192.0.2.0%2F24", "fact/server%2Fnginx", "planet/x", "url/%230000000000002"} {
		send("/v1/subjects/{kind}/{key}", request{path: "/v1/subjects/" + key, token: operatorSecret})
	}
	// The events of streams are met in the tests of changes.
	elsewhere := []string{"Change", "Gap"}
	big := strings.Repeat("<p>http://a.example/</p>", 1<<20)
	send("/v1/scan", request{path: "/v1/scan", body: `{"type":"text/html","text":"` + big + `"}`})
	for name, s := range asMap(at(description(), "components", "schemas")) {
		for _, member := range slices.Sorted(maps.Keys(asMap(at(s, "properties")))) {
			if !c.seen[name+"."+member] && !slices.Contains(elsewhere, name) {
				t.Errorf("no answer had %s.%s", name, member)
			}
		}
	}
}

func asMap(v any) map[string]any {
	m, _ := v.(map[string]any)
	return m
}
