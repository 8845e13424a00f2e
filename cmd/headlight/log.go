package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"
)

func logCommand() *command {
	return &command{
		name: "log", group: groupOperate,
		synopsis: []string{"log export [-o FILE]", "log verify [-json]", "log trim -before TIME|AGE"},
		short:    "export, verify or trim the log",
		about: `export writes every entry as a line of JSON, to standard output or to FILE; "headlight import -format log" reads it back.

verify reads the whole log and checks every checksum, every record, the order and the index.

trim folds the entries that are older than TIME (RFC 3339) or AGE (such as 400d) into the file "base" and drops them from the log. What they taught stays; who said it is forgotten. It cannot be undone.`,
		examples: []string{
			"headlight log verify",
			"headlight log export -o log.jsonl",
			"headlight log export | gzip > log.jsonl.gz",
			"headlight log trim -before 400d",
		},
		exits: []string{"130  stopped by SIGINT"},
		prepare: func(f *flags) action {
			p := f.localPlace()
			asJSON := f.Bool("json", false, "verify: print JSON")
			file := f.String("o", "", "export: write to this `file` instead of standard output")
			before := f.String("before", "", "trim: drop what is older than this `time` or age")
			return func(ctx context.Context, e *env, args []string) error {
				subcommands := []string{"export", "verify", "trim"}
				if len(args) == 0 {
					return usagef("say what to do with it: export, verify or trim")
				}
				if len(args) > 1 {
					return usagef("%s takes no arguments", args[0])
				}
				switch args[0] {
				case "export":
					return p.withLog(e, func(d *logDir) error { return runExport(ctx, e, d, *file) })
				case "verify":
					return p.withLog(e, func(d *logDir) error { return runVerify(ctx, e, d, *asJSON) })
				case "trim":
					return runTrim(ctx, e, p, *before, time.Now())
				}
				return usagef("unknown word %q%s", args[0], didYouMean(args[0], subcommands))
			}
		},
	}
}

// shownWork gives a callback for work that is counted in entries.
func (e *env) shownWork(what string) (callback func(done, total uint64), end func()) {
	bar := e.newLateProgress(what, "entries")
	return bar.fold, bar.end
}

func runExport(ctx context.Context, e *env, d *logDir, file string) error {
	show, end := e.shownWork("exporting")
	defer end()
	if file == "" || file == "-" {
		return d.Export(ctx, e.out, show)
	}
	if err := writeAside(file, func(w io.Writer) error { return d.Export(ctx, w, show) }); err != nil {
		return err
	}
	end()
	e.notef("%s entries written to %s", thousands(d.Last()), printable(file))
	return nil
}

// writeAside writes a file to the side and renames it, so that nobody takes
// half of it for the whole.
func writeAside(name string, write func(io.Writer) error) (err error) {
	f, err := os.CreateTemp(filepath.Dir(name), filepath.Base(name)+"-*.tmp")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(f.Name()))
		}
	}()
	err = write(f)
	if err == nil {
		err = f.Sync()
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = os.Rename(f.Name(), name)
	}
	return err
}

// verifyResult is what "log verify -json" prints.
type verifyResult struct {
	Clean   bool    `json:"clean"`
	Records uint64  `json:"records"`
	Blocks  int     `json:"blocks"`
	First   uint64  `json:"first"`
	Last    uint64  `json:"last"`
	Error   string  `json:"error,omitzero"`
	Seconds float64 `json:"seconds"`
}

func runVerify(ctx context.Context, e *env, d *logDir, asJSON bool) error {
	show, end := e.shownWork("verifying")
	defer end()
	start := time.Now()
	report, err := d.Verify(ctx, show)
	end()
	if err != nil && ctx.Err() != nil {
		e.notef("%s records were sound until then", thousands(report.Records))
		return err
	}
	r := verifyResult{
		Clean: err == nil, Records: report.Records, Blocks: report.Blocks,
		First: report.First, Last: report.Last, Seconds: time.Since(start).Seconds(),
	}
	if asJSON {
		if err != nil {
			r.Error = err.Error()
		}
		return errors.Join(err, json.NewEncoder(e.out).Encode(r))
	}
	if err != nil {
		return fmt.Errorf("%w; %s records before it are sound", err, thousands(report.Records))
	}
	e.out.printf("the log is clean: %s records in %s blocks, entries %d to %d\n",
		thousands(report.Records), thousands(report.Blocks), report.First, report.Last)
	return nil
}

// parseBefore reads a time, or an age before now.
func parseBefore(s string, now time.Time) (time.Time, error) {
	if t, err := time.Parse(time.RFC3339, s); err == nil {
		return t, nil
	}
	if t, err := time.Parse(time.DateOnly, s); err == nil {
		return t, nil
	}
	age, err := parseDuration(s)
	if err != nil {
		return time.Time{}, fmt.Errorf("%q is neither a time such as 2026-01-31T00:00:00Z nor an age such as 400d", s)
	}
	return now.Add(-age), nil
}

func runTrim(ctx context.Context, e *env, p *place, before string, now time.Time) (err error) {
	if before == "" {
		return usagef("trim needs -before")
	}
	t, err := parseBefore(before, now)
	if err != nil {
		return usagef("flag -before: %v", err)
	}
	s, err := p.openLocal(ctx, e)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	trimmed, err := s.svc.Retain(ctx, t)
	if err != nil {
		return err
	}
	if trimmed == 0 {
		e.out.printf("nothing in the log is older than %s\n", t.UTC().Format(time.RFC3339))
		return nil
	}
	e.out.printf("the log is trimmed through entry %d; its sum is in %s\n", trimmed, filepath.Join(s.dir, "base"))
	return nil
}
