package rdap_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"headlight.example/rdap"
)

var fuzzNow = time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)

// A date that is read is one that a domain can have, and is read again from an
// answer that says it; an answer about another domain says nothing.
func FuzzRegistration(f *testing.F) {
	f.Add([]byte(domainOf("a.example", told)), "a.example")
	f.Add([]byte(domainOf("A.EXAMPLE.", `{"eventAction":"reregistration","eventDate":"2026-11-27T12:30:00Z"}`)), "a.example")
	f.Add([]byte(`{"objectClassName":"domain","events":[{"eventAction":"registration","eventDate":"0001-01-01T00:00:00-23:59"}]}`), "b.example")
	f.Fuzz(func(t *testing.T, body []byte, name string) {
		since, failed := rdap.Registration(body, name, fuzzNow)
		if failed && !since.IsZero() {
			t.Errorf("%v of an answer that is none", since)
		}
		if since.IsZero() {
			return
		}
		if since.Before(time.Date(1985, 3, 15, 0, 0, 0, 0, time.UTC)) || since.After(fuzzNow.Add(time.Hour)) || since.Location() != time.UTC {
			t.Errorf("%v", since)
		}
		type event struct {
			Action string    `json:"eventAction"`
			Date   time.Time `json:"eventDate"`
		}
		again, err := json.Marshal(map[string]any{"objectClassName": "domain", "ldhName": "a.example", "events": []event{{"registration", since}}})
		if err != nil {
			t.Fatal(err)
		}
		if got, failed := rdap.Registration(again, "a.example", fuzzNow); failed || !got.Equal(since) {
			t.Errorf("%v is read as %v, %v", since, got, failed)
		}
		if got, failed := rdap.Registration(again, "b.example", fuzzNow); !failed || !got.IsZero() {
			t.Errorf("another domain's answer: %v", got)
		}
	})
}

// A server that is taken from a file is an https one, and of a name that the domain
// is below.
func FuzzServers(f *testing.F) {
	f.Add(`{"services":[[["com"],["https://r.example/"]]]}`, "a.com")
	f.Add(`{"services":[[["co.uk",""],["https://r.example:8443/x/"]],[["uk"],["http://x/"]]]}`, "a.co.uk")
	f.Fuzz(func(t *testing.T, file, domain string) {
		server, err := rdap.Server(file, domain)
		if server == "" {
			return
		}
		if err != nil || !strings.HasPrefix(server, "https://") || strings.ContainsAny(server, "?#@ ") {
			t.Errorf("%q, %v", server, err)
		}
	})
}

// Whatever stands in the file of answers, what is taken from it holds.
func FuzzAnswers(f *testing.F) {
	f.Add(`{"domain":"a.example","registry":"r.example","asked":"2026-11-27T11:59:59Z","since":"2020-01-01T00:00:00Z"}` + "\n" + `{"registry":"r.example","quiet":"2026-11-27T13:00:00Z"}` + "\n")
	f.Add("\x00\n{}\n")
	f.Fuzz(func(t *testing.T, text string) {
		domains, turns, err := rdap.ReadAnswers(text, fuzzNow)
		if lines := strings.Count(text, "\n"); err != nil || domains > lines || turns > lines {
			t.Errorf("%d domains and %d turns of %d lines: %v", domains, turns, lines, err)
		}
	})
}
