package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"headlight.example/evidence"
	"headlight.example/feed"
)

// FeedConfig is a [[feed]]: a list to keep up with.
type FeedConfig struct {
	Name      string            `toml:"name"`
	Format    string            `toml:"format"`
	URL       string            `toml:"url"`
	File      string            `toml:"file"`
	Every     duration          `toml:"every"`
	Trust     *float64          `toml:"trust"`
	Rater     string            `toml:"rater"`
	Assertion string            `toml:"assertion"`
	Lifetime  duration          `toml:"lifetime"`
	Bucket    uint32            `toml:"bucket"`
	KeyFile   string            `toml:"key_file"`
	Header    map[string]string `toml:"header"`
}

// source is the feed as package feed wants it. The error is complete: a
// fetcher takes what is given here.
func (f *FeedConfig) source(c *Config) (feed.Source, error) {
	s := feed.Source{
		Name: f.Name, Format: f.Format, URL: f.URL, File: c.path(f.File), KeyFile: c.path(f.KeyFile),
		Every: time.Duration(f.Every), Lifetime: time.Duration(f.Lifetime), Bucket: f.Bucket,
		Rater: cmp.Or(f.Rater, "feed/"+f.Name),
	}
	if f.Name == "" {
		return s, errors.New("has no name")
	}
	if f.Trust != nil && (*f.Trust < 0 || *f.Trust > 1) {
		return s, fmt.Errorf("trust: %v is not between 0 and 1", *f.Trust)
	}
	if f.Assertion != "" {
		a, err := parseJudgement(f.Assertion)
		if err != nil {
			return s, fmt.Errorf("assertion: %w", err)
		}
		s.Assertion = a
	}
	if len(f.Header) > 0 {
		s.Header = make(map[string]string, len(f.Header))
		for name, file := range f.Header {
			s.Header[name] = c.path(file)
		}
	}
	// The fetcher knows best what it can take; it does no I/O here.
	_, err := feed.NewFetcher(feed.FetcherConfig{
		Sources: []feed.Source{s}, Dir: "unused",
		Append: func(context.Context, []evidence.Record) error { return nil },
	})
	return s, bare(err, f.Name)
}

// bare takes off the name that the caller puts before the error anyway.
func bare(err error, name string) error {
	if err == nil {
		return nil
	}
	if inner := errors.Unwrap(err); inner != nil && err.Error() == fmt.Sprintf("feed %q: %v", name, inner) {
		return inner
	}
	return err
}
