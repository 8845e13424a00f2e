package rdap

import (
	"encoding/json"
	"errors"
	"net/url"
	"strings"
	"time"
)

// domain is what is read of a domain object (RFC 9083 §5.3).
type domain struct {
	Class  string  `json:"objectClassName"`
	Name   string  `json:"ldhName"`
	Events []event `json:"events"`
}

type event struct {
	Action string `json:"eventAction"`
	Date   string `json:"eventDate"`
}

// oldest is when the first domain was registered, symbolics.com.
var oldest = time.Date(1985, 3, 15, 0, 0, 0, 0, time.UTC)

// registration reads since when a domain is registered: zero if the answer does
// not say. failed says that the text is no answer to the question.
func registration(body []byte, name string, now time.Time) (since time.Time, failed bool) {
	var d domain
	if err := json.Unmarshal(body, &d); err != nil || d.Class != "domain" ||
		d.Name != "" && !strings.EqualFold(strings.TrimSuffix(d.Name, "."), name) {
		return time.Time{}, true
	}
	for _, e := range d.Events {
		// RFC 9083 §10.2.3: "reregistration" is by somebody else, later.
		if e.Action != "registration" && e.Action != "reregistration" {
			continue
		}
		at, err := time.Parse(time.RFC3339, e.Date) // RFC 9083 §3
		if at = at.UTC(); err == nil && !at.Before(oldest) && !at.After(now.Add(time.Hour)) && at.After(since) {
			since = at
		}
	}
	return since, false
}

// servers are the servers of top-level domains, and of names below them.
type servers map[string]*url.URL

// Bounds of IANA's file, which has 1,200 names.
const maxNames = 50_000

// readServers reads a bootstrap registry (RFC 9224 §3):
//
//	{"version": "1.0", "services": [[["net", "com"], ["https://registry.example.com/rdap/"]]]}
//
// Servers that have no https are left out.
func readServers(text []byte) (servers, error) {
	var file struct {
		Services [][][]string `json:"services"`
	}
	if err := json.Unmarshal(text, &file); err != nil {
		return nil, err
	}
	s := make(servers)
	for _, service := range file.Services {
		if len(service) != 2 {
			continue // of a later version
		}
		var base *url.URL
		for _, text := range service[1] {
			if base = parseBase(text); base != nil {
				break
			}
		}
		for _, name := range service[0] {
			if base != nil && len(s) < maxNames {
				s[strings.ToLower(name)] = base
			}
		}
	}
	if len(s) == 0 {
		return nil, errors.New("the file names no servers")
	}
	return s, nil
}

// of gives the server of the longest name that a domain is below (RFC 9224 §4);
// nil if there is none.
func (s servers) of(domain string) *url.URL {
	for name, rest := "", domain; rest != ""; {
		_, name, _ = strings.Cut(rest, ".")
		if base := s[name]; base != nil {
			return base
		}
		rest = name
	}
	return nil
}
