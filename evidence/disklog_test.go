package evidence_test

import (
	"log/slog"
	"testing"

	"headlight.example/evidence"
	"headlight.example/evidence/logtest"
)

func quiet() evidence.Options {
	return evidence.Options{Logger: slog.New(slog.DiscardHandler)}
}

func open(t *testing.T, dir string, opts evidence.Options) *evidence.DiskLog {
	t.Helper()
	l, err := evidence.Open(dir, opts)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestDiskLogConforms(t *testing.T) {
	logtest.Run(t, func(t *testing.T, dir string) evidence.Log { return open(t, dir, quiet()) })
}
