package main

import (
	"fmt"
	"io"
	"log/slog"
)

// logger is for commands that run and end: what the parts below have to say
// goes to standard error as text.
func (e *env) logger(level slog.Level) *slog.Logger {
	if e.verbose {
		level = slog.LevelInfo
	}
	return slog.New(slog.NewTextHandler(e.stderr, &slog.HandlerOptions{Level: level}))
}

// newLogger makes the logger of a server: text for a person, json for a
// collector; with -v also what matters only when something is wrong.
func newLogger(w io.Writer, format string, verbose bool) (*slog.Logger, error) {
	options := &slog.HandlerOptions{Level: slog.LevelInfo}
	if verbose {
		options.Level = slog.LevelDebug
	}
	switch format {
	case "text":
		return slog.New(slog.NewTextHandler(w, options)), nil
	case "json":
		return slog.New(slog.NewJSONHandler(w, options)), nil
	}
	return nil, fmt.Errorf("flag -log: value %q: want text or json", format)
}
