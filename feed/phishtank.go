package feed

import (
	"encoding/json"
	"fmt"
	"strings"

	"headlight.example/evidence"
)

// PhishTank dumps are newest first. Entries that nobody has verified are
// somebody's guess and are skipped; those that are offline are not.
var (
	phishtankCSV = Format{
		Name:      "phishtank-csv",
		Doc:       "PhishTank dump as CSV (http://data.phishtank.com/data/KEY/online-valid.csv.gz)",
		Rater:     "feed/phishtank",
		Assertion: evidence.Phishing,
		Dated:     true,
		finish:    inOrder,
		parser:    phishtankLines,
	}
	phishtankJSON = Format{
		Name:      "phishtank-json",
		Doc:       "PhishTank dump as JSON (http://data.phishtank.com/data/KEY/online-valid.json.gz)",
		Rater:     "feed/phishtank",
		Assertion: evidence.Phishing,
		Dated:     true,
		elements:  true,
		finish:    inOrder,
		parser:    phishtankElements,
	}
)

var phishtankColumns = columns{"phish_id", "url", "phish_detail_url", "submission_time", "verified", "verification_time", "online", "target"}

func phishtankLines(o *Options) parseFunc[evidence.Record] {
	named := phishtankColumns
	var row []string
	return func(dst []evidence.Record, text string, _ int) ([]evidence.Record, error) {
		line, err := content(text)
		if err != nil {
			return dst, err
		}
		if c, ok := header(line, "url", "submission_time"); ok {
			named = c
			return dst, errNothing
		}
		if row, err = splitCSV(row[:0], line); err != nil {
			return dst, err
		}
		if len(row) != len(named) {
			return dst, fmt.Errorf("%d columns", len(row))
		}
		return o.appendPhishTank(dst, phishtankElement{
			URL:       named.of(row, "url"),
			Submitted: named.of(row, "submission_time"),
			Verified:  named.of(row, "verified"),
			VerifiedT: named.of(row, "verification_time"),
		})
	}
}

type phishtankElement struct {
	URL       string `json:"url"`
	Submitted string `json:"submission_time"`
	Verified  string `json:"verified"`
	VerifiedT string `json:"verification_time"`
}

func phishtankElements(o *Options) parseFunc[evidence.Record] {
	return func(dst []evidence.Record, text string, _ int) ([]evidence.Record, error) {
		var e phishtankElement
		if err := json.Unmarshal([]byte(text), &e); err != nil {
			return dst, err
		}
		return o.appendPhishTank(dst, e)
	}
}

// appendPhishTank dates the entry by its verification: that is when PhishTank
// itself, and not somebody who wrote to it, said so.
func (o *Options) appendPhishTank(dst []evidence.Record, e phishtankElement) ([]evidence.Record, error) {
	if v := strings.ToLower(e.Verified); v == "no" || v == "n" {
		return dst, errNothing
	}
	said := e.VerifiedT
	if said == "" {
		said = e.Submitted
	}
	t, err := parseTime(said)
	if err != nil {
		return dst, err
	}
	return o.appendURL(dst, e.URL, o.Assertion, t)
}
