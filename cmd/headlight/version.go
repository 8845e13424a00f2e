package main

import (
	"context"
	"encoding/json"
	"runtime"
	"runtime/debug"
)

// release is what is being built; the commit comes from the build itself.
const release = "0.1.0"

// build says which program this is.
type build struct {
	Version  string `json:"version"`
	Commit   string `json:"commit,omitzero"`
	Modified bool   `json:"modified,omitzero"`
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

func thisBuild() build {
	b := build{Version: release, Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			switch s.Key {
			case "vcs.revision":
				b.Commit = s.Value
			case "vcs.modified":
				b.Modified = s.Value == "true"
			}
		}
	}
	return b
}

func (b build) String() string {
	s := b.Version
	if b.Commit != "" {
		s += " (" + b.Commit[:min(12, len(b.Commit))]
		if b.Modified {
			s += ", modified"
		}
		s += ")"
	}
	return s
}

func versionCommand() *command {
	return &command{
		name: "version", group: groupOther,
		synopsis: []string{"version [-json]"},
		short:    "say which program this is",
		about:    "Prints the version, the commit it was built from, the Go version and the platform.",
		prepare: func(f *flags) action {
			asJSON := f.Bool("json", false, "print JSON")
			return func(_ context.Context, e *env, args []string) error {
				if len(args) > 0 {
					return usagef("takes no arguments")
				}
				b := thisBuild()
				if *asJSON {
					return json.NewEncoder(e.out).Encode(b)
				}
				e.out.printf("headlight %s %s %s\n", b, b.Go, b.Platform)
				return nil
			}
		},
	}
}
