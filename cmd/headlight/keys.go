package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"time"

	"headlight.example/evidence"
	"headlight.example/probe"
)

func keysCommand() *command {
	return &command{
		name: "keys", group: groupOperate,
		synopsis: []string{"keys", "keys make", "keys rotate"},
		short:    "list, make or rotate the keys",
		about: `Lists the keys of the data directory: a fingerprint of the seal key, with which links that nobody reported are hashed, and the keys that visits are signed with, each by its id (a JWK thumbprint, the keyid of signatures). "signs" is the one in use, "previous" the one before it, "next" one that was made by a rotation and is not in use yet; these are published. "past" ones are not, and go with the next rotation. No key is ever printed.

make makes the keys that are missing. A server does so itself; machines of a cluster need the same ones, so make them once and copy keys/ to each before its first start.

rotate makes a new key for visits. It signs two hours later, which is printed, since others may keep the list of published keys for an hour: tell a running server of it within the first hour, by SIGHUP, and on a cluster copy keys/ to each machine before that. From then on it is published, and it comes into use by itself. A server that is told later than that waits until the hour is over.

If others have read a key of visits, remove its file and send SIGHUP: it is published no more, and another signs at once. The seal key is not rotated: all that was sealed depends on it.

The data directory may be in use. Run this as the user that the server runs as: the files are for their owner alone.`,
		examples: []string{
			"headlight keys -data /var/lib/headlight",
			"headlight keys make -data new",
			"headlight keys rotate -data /var/lib/headlight",
		},
		prepare: func(f *flags) action {
			p := f.localPlace()
			return func(_ context.Context, e *env, args []string) error {
				if len(args) > 1 {
					return usagef("%s takes no arguments", args[0])
				}
				cfg, err := p.load()
				if err != nil {
					return err
				}
				run := listKeys
				if len(args) == 1 {
					switch args[0] {
					case "make":
						run = makeKeys
					case "rotate":
						run = rotateKeys
					default:
						return usagef("unknown word %q%s", args[0], didYouMean(args[0], []string{"make", "rotate"}))
					}
				}
				return explainOpen(cfg.Data, run(e, cfg.Data, time.Now()))
			}
		},
	}
}

// keyTime is how times of keys are printed.
const keyTime = "2006-01-02 15:04:05 UTC"

func listKeys(e *env, dir string, now time.Time) error {
	seal, err := evidence.ReadKey(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		e.out.print("seal   none\n")
	case err != nil:
		return err
	default:
		e.out.printf("seal   fingerprint %s\n", seal.Fingerprint())
	}
	visit, err := probe.ReadKeys(filepath.Join(dir, probe.KeysDir))
	if errors.Is(err, fs.ErrNotExist) {
		e.out.print("visit  none\n")
		return nil
	}
	if err != nil {
		return err
	}
	for _, k := range visit.List(now) {
		since := "since"
		if k.State == probe.KeyNext {
			since = "from"
		}
		e.out.printf("visit  %s  %-8s  %-5s %s\n", k.ID, k.State, since, k.From.UTC().Format(keyTime))
	}
	return nil
}

func makeKeys(e *env, dir string, _ time.Time) error {
	_, err := evidence.ReadKey(dir)
	made := errors.Is(err, fs.ErrNotExist)
	seal, err := evidence.LoadKey(dir)
	if err != nil {
		return err
	}
	e.out.printf("%s the seal key, fingerprint %s\n", madeOrKept(made), seal.Fingerprint())
	keys := filepath.Join(dir, probe.KeysDir)
	_, err = probe.ReadKeys(keys)
	made = errors.Is(err, fs.ErrNotExist)
	visit, err := probe.LoadKeys(keys)
	if err != nil {
		return err
	}
	e.out.printf("%s the key of visits, %s\n", madeOrKept(made), visit.ID())
	return nil
}

func madeOrKept(made bool) string {
	if made {
		return "made"
	}
	return "kept"
}

func rotateKeys(e *env, dir string, now time.Time) error {
	next, err := probe.RotateKeys(filepath.Join(dir, probe.KeysDir), now)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w; \"headlight keys make\" makes the first", err)
	}
	if err != nil {
		return err
	}
	e.out.printf("made the key of visits %s, which signs from %s\n", next.ID, next.From.UTC().Format(keyTime))
	e.notef("tell the server of it by SIGHUP before %s, so that it is published in time", next.From.Add(-probe.DirectoryAge).UTC().Format(keyTime))
	return nil
}
