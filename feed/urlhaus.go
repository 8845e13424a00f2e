package feed

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"headlight.example/evidence"
)

// URLhaus dumps are newest first. A URL that is offline is still one that
// served malware: its status takes nothing back.
var (
	urlhausCSV = Format{
		Name:      "urlhaus-csv",
		Doc:       "URLhaus dump as CSV, of 8 or 9 columns (https://urlhaus-api.abuse.ch/files/exports/recent.csv)",
		Rater:     "feed/urlhaus",
		Assertion: evidence.Malware,
		Dated:     true,
		finish:    inOrder,
		parser:    urlhausLines,
	}
	urlhausJSON = Format{
		Name:      "urlhaus-json",
		Doc:       "URLhaus dump or API answer as JSON (https://urlhaus-api.abuse.ch/files/exports/recent.json)",
		Rater:     "feed/urlhaus",
		Assertion: evidence.Malware,
		Dated:     true,
		elements:  true,
		finish:    inOrder,
		parser:    urlhausElements,
	}
)

// inOrder sorts by time. What was said at one time keeps its place.
func inOrder(_ *Options, records []evidence.Record) {
	slices.SortStableFunc(records, func(a, b evidence.Record) int { return a.Time.Compare(b.Time) })
}

// Columns where the file does not name them. The second form is from before
// 2022, without last_online.
var (
	urlhausNine  = columns{"id", "dateadded", "url", "url_status", "last_online", "threat", "tags", "urlhaus_link", "reporter"}
	urlhausEight = columns{"id", "dateadded", "url", "url_status", "threat", "tags", "urlhaus_link", "reporter"}
)

func urlhausLines(o *Options) parseFunc[evidence.Record] {
	var named columns
	var row []string
	return func(dst []evidence.Record, text string, _ int) ([]evidence.Record, error) {
		line, err := content(text)
		if err != nil {
			// The names of the columns stand in the last line of the comment.
			if c, ok := header(strings.TrimSpace(strings.TrimLeft(text, "# ")), "url", "dateadded"); ok {
				named = c
			}
			return dst, errNothing
		}
		if c, ok := header(line, "url", "dateadded"); ok {
			named = c
			return dst, errNothing
		}
		if row, err = splitCSV(row[:0], line); err != nil {
			return dst, err
		}
		c := named
		switch {
		case c == nil && len(row) == len(urlhausNine):
			c = urlhausNine
		case c == nil && len(row) == len(urlhausEight):
			c = urlhausEight
		case len(row) != len(c):
			return dst, fmt.Errorf("%d columns", len(row))
		}
		return o.appendURLhaus(dst, c.of(row, "url"), c.of(row, "dateadded"), c.of(row, "threat"))
	}
}

// urlhausElement has the names of the dump and of the API.
type urlhausElement struct {
	URL       string `json:"url"`
	DateAdded string `json:"dateadded"`
	Added     string `json:"date_added"`
	Threat    string `json:"threat"`
}

func urlhausElements(o *Options) parseFunc[evidence.Record] {
	return func(dst []evidence.Record, text string, _ int) ([]evidence.Record, error) {
		var e urlhausElement
		if err := json.Unmarshal([]byte(text), &e); err != nil {
			return dst, err
		}
		if e.DateAdded == "" {
			e.DateAdded = e.Added
		}
		return o.appendURLhaus(dst, e.URL, e.DateAdded, e.Threat)
	}
}

func (o *Options) appendURLhaus(dst []evidence.Record, url, added, threat string) ([]evidence.Record, error) {
	t, err := parseTime(added)
	if err != nil {
		return dst, err
	}
	a := o.Assertion
	switch threat {
	case "malware_download":
		a = evidence.Malware
	case "phishing":
		a = evidence.Phishing
	}
	return o.appendURL(dst, url, a, t)
}

// parseTime reads the ways in which lists write a time: RFC 3339, or
// "2026-02-26 12:05:20" with or without "UTC", which it is in any case.
func parseTime(s string) (time.Time, error) {
	s = strings.TrimSuffix(strings.TrimSpace(s), " UTC")
	for _, layout := range []string{time.DateTime, time.RFC3339} {
		if t, err := time.Parse(layout, s); err == nil {
			t = t.UTC().Truncate(time.Millisecond)
			if t.Before(earliest) {
				return time.Time{}, fmt.Errorf("dated %s, before there was a web", t.Format(time.DateOnly))
			}
			return t, nil
		}
	}
	return time.Time{}, errors.New("no time, or not as YYYY-MM-DD hh:mm:ss")
}

// earliest is when the first web server was put up, in 1990 at CERN.
var earliest = time.Date(1990, 1, 1, 0, 0, 0, 0, time.UTC)
