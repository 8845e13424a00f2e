package feed

import (
	"errors"
	"strings"
	"time"

	"headlight.example/evidence"
	"headlight.example/link"
)

// openphish is the community feed: 300 URLs, replaced at 0:00 and 12:00 UTC,
// without dates. A URL leaves it long before the site is down.
var openphish = Format{
	Name:      "openphish",
	Doc:       "OpenPhish community feed: a URL a line (https://openphish.com/feed.txt)",
	Rater:     "feed/openphish",
	Assertion: evidence.Phishing,
	parser:    urlLines,
}

var urls = Format{
	Name:           "urls",
	Doc:            "a URL a line, plain or defanged (hxxps://example[.]com/); # comments",
	Rater:          "feed/urls",
	NeedsAssertion: true,
	parser:         urlLines,
}

func urlLines(o *Options) parseFunc[evidence.Record] {
	return func(dst []evidence.Record, text string, _ int) ([]evidence.Record, error) {
		text, err := content(text, ";", "//")
		if err != nil {
			return dst, err
		}
		return o.appendURL(dst, refang(text), o.Assertion, o.Now)
	}
}

// appendURL appends that the URL is of kind a, said at t.
func (o *Options) appendURL(dst []evidence.Record, url string, a evidence.Assertion, t time.Time) ([]evidence.Record, error) {
	l, err := parseURL(url)
	if err != nil {
		return dst, err
	}
	r, err := o.record(evidence.Subject{Kind: evidence.URL, Key: l.URL()}, a, t)
	if err != nil {
		return dst, err
	}
	return append(dst, r), nil
}

// parseURL reads what a list calls a URL. Unlike link.Parse it does not guess:
// without a scheme it is not one ("404: Not Found" names a host otherwise),
// and it must lead to somewhere that all the world can reach.
func parseURL(s string) (link.Link, error) {
	if s == "" {
		return link.Link{}, errors.New("no URL")
	}
	scheme, _, ok := strings.Cut(s, "://")
	if !ok {
		return link.Link{}, errors.New("a URL without a scheme")
	}
	switch strings.ToLower(scheme) {
	case "http", "https", "ftp":
	default:
		return link.Link{}, errors.New("a URL that is neither http nor https nor ftp")
	}
	l, err := link.Parse(s)
	if err != nil {
		return link.Link{}, err
	}
	if a, ok := l.Addr(); ok {
		if a.IsPrivate() || a.IsLoopback() || a.IsUnspecified() || a.IsLinkLocalUnicast() {
			return link.Link{}, errors.New("a URL on a private address")
		}
	} else if !strings.Contains(l.Host(), ".") {
		return link.Link{}, errors.New("a URL on a name without a dot")
	}
	return l, nil
}

// refang undoes what lists do to URLs so that nobody clicks on them:
//
//	hxxps://example[.]com/a → https://example.com/a
//	http[:]//example(.)com/ → http://example.com/
//
// Brackets are undone in the scheme and the host, and behind them only if the
// scheme was maimed as well: a path may hold "[.]" for reasons of its own.
func refang(s string) string {
	maimed := len(s) > 4 && (s[0]|0x20) == 'h' && strings.EqualFold(s[1:3], "xx") && (s[3]|0x20) == 'p'
	if maimed {
		s = "http" + s[4:]
	}
	if !strings.ContainsAny(s, "[(") {
		return s
	}
	if maimed {
		return defanged.Replace(s)
	}
	s = strings.Replace(strings.Replace(s, "[://]", "://", 1), "[:]//", "://", 1)
	end := strings.Index(s, "://") + len("://")
	if end < len("://") {
		return s
	}
	if i := strings.IndexAny(s[end:], "/?#"); i >= 0 {
		end += i
	} else {
		end = len(s)
	}
	return defanged.Replace(s[:end]) + s[end:]
}

var defanged = strings.NewReplacer("[.]", ".", "(.)", ".", "[dot]", ".", "(dot)", ".", "[://]", "://", "[:]", ":")
