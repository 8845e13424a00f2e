package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"headlight.example"
	"headlight.example/evidence"
	"headlight.example/reputation"
)

// replayResult is what "replay -json" prints.
type replayResult struct {
	Entries  uint64  `json:"entries"`  // folded
	Through  uint64  `json:"through"`  // sequence of the last one
	Subjects int     `json:"subjects"` // in the table
	Digest   string  `json:"digest"`   // of the fresh table
	Restored string  `json:"restored"` // digest of the snapshot and the log's tail
	Same     bool    `json:"same"`
	Seconds  float64 `json:"seconds"`
}

func replayCommand() *command {
	return &command{
		name: "replay", group: groupOperate,
		synopsis: []string{"replay [-json]", "replay [-policy FILE] [-model FILE] [-limit N] [-json]"},
		short:    "fold the log anew and compare with the snapshot, or under other numbers",
		about: `Folds the whole log into a fresh table and compares it, bit for bit, with what a start would restore: the snapshot and the log's tail. It prints the digest of the table, which is the same for the same entries on every machine that has the same key.

Nothing is changed. Where the two differ, the log is right: delete the file "snapshot" in the data directory and tell us.

With -policy or -model the log is folded under other numbers as well, and what follows is compared: how well scores at first sight foretold which of the links that were seen were reported, and at the end of the log the level of each link that somebody reported, and of the front page of each host that was seen. A policy is a config file of which [policy] and the trust in feeds count. A model is a file of lines NAME = VALUE; the names and their defaults are
  ` + modelDefaults() + `.
With learns = false it is the plain chain.`,
		examples: []string{"headlight replay", "headlight replay -data /var/lib/headlight -json", "headlight replay -policy stricter.toml -model plain.toml"},
		prepare: func(f *flags) action {
			p := f.localPlace()
			asJSON := f.Bool("json", false, "print JSON")
			var o compareOptions
			f.StringVar(&o.policy, "policy", "", "compare with the policy of this config `file`")
			f.StringVar(&o.model, "model", "", "compare with the model of this `file`")
			f.IntVar(&o.limit, "limit", 20, "how many links whose level changed to show")
			return func(ctx context.Context, e *env, args []string) error {
				if len(args) > 0 {
					return usagef("takes no arguments")
				}
				if o.limit < 0 {
					return usagef("flag -limit: %d is below 0", o.limit)
				}
				return p.withLog(e, func(d *logDir) error {
					if o.policy == "" && o.model == "" {
						return runReplay(ctx, e, d, *asJSON)
					}
					o.json = *asJSON
					return o.run(ctx, e, p, d)
				})
			}
		},
	}
}

// logDir is a data directory of which only the log is opened.
type logDir struct {
	*evidence.DiskLog
	dir string
	key *evidence.Key
}

// withLog opens the log of a data directory that exists, for as long as f runs.
func (p *place) withLog(e *env, f func(*logDir) error) (err error) {
	cfg, err := p.load()
	if err != nil {
		return err
	}
	if missing(cfg.Data) {
		return fmt.Errorf("data directory %s does not exist; name one with -data", cfg.Data)
	}
	logger := e.logger(slog.LevelWarn)
	log, err := evidence.Open(cfg.Data, evidence.Options{Logger: logger})
	if err != nil {
		return explainOpen(cfg.Data, err)
	}
	defer func() { err = errors.Join(err, log.Close()) }()
	key, err := evidence.LoadKey(cfg.Data)
	if err != nil {
		return err
	}
	return f(&logDir{log, cfg.Data, key})
}

func runReplay(ctx context.Context, e *env, d *logDir, asJSON bool) error {
	start := time.Now()
	fresh, err := headlight.RestoreBase(d.dir, d.key)
	if err != nil {
		return err
	}
	base := fresh.Applied()
	if err := foldShown(ctx, e, "replaying", fresh, d); err != nil {
		return err
	}
	restored, err := headlight.Restore(d.dir, d.key, e.logger(slog.LevelWarn))
	if err != nil {
		return err
	}
	if err := foldShown(ctx, e, "restoring", restored, d); err != nil {
		return err
	}
	r := replayResult{
		Entries: fresh.Applied() - base, Through: fresh.Applied(), Subjects: fresh.Len(),
		Digest: digest(fresh), Restored: digest(restored), Seconds: time.Since(start).Seconds(),
	}
	r.Same = r.Digest == r.Restored
	if asJSON {
		if err := json.NewEncoder(e.out).Encode(r); err != nil {
			return err
		}
	} else {
		e.out.printf("%s entries, %s subjects, %.1f s\n", thousands(r.Entries), thousands(r.Subjects), r.Seconds)
		e.out.printf("digest %s\n", r.Digest)
	}
	if !r.Same {
		return fmt.Errorf("the restored table differs: its digest is %s; the log is right: delete %s/snapshot and start again", r.Restored, d.dir)
	}
	if !asJSON {
		e.out.print("the restored table is the same, bit for bit\n")
	}
	return nil
}

func foldShown(ctx context.Context, e *env, what string, t *reputation.Table, d *logDir) error {
	bar := e.newLateProgress(what, "entries")
	defer bar.end()
	return headlight.Fold(ctx, t, d.DiskLog, bar.fold)
}

func digest(t *reputation.Table) string { return fmt.Sprintf("%x", t.Sum()) }
