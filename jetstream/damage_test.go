package jetstream_test

import (
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// blocks gives the files that hold a node's copy of the log.
func blocks(t *testing.T, dir string) (names []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err == nil && strings.Contains(name, "headlight-evidence") && strings.HasSuffix(name, ".blk") {
			names = append(names, name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(names) == 0 {
		t.Fatal("found no blocks")
	}
	return names
}

// A byte of one node's copy is changed while the node is down. The others go
// on, and the node takes from them what it lacks, and says so.
func TestOneDamagedCopy(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		at   func(size int) int
	}{
		{"first message", func(int) int { return 60 }},
		{"last message", func(size int) int { return size - 20 }},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			c := startCluster(t, 3)
			for i := range 200 {
				appendRecord(t, c.node[i%2], i)
			}
			sameLog(t, c.node[0], c.node[2], 200)
			c.stop(2)
			for _, name := range blocks(t, filepath.Join(c.dir, "2")) {
				b, err := os.ReadFile(name)
				if err != nil {
					t.Fatal(err)
				}
				b[test.at(len(b))] ^= 0xff
				if err := os.WriteFile(name, b, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			appendRecord(t, c.node[0], 200)
			cfg, log := c.config(2), &lines{wake: make(chan struct{}, 1)}
			cfg.Logger = slog.New(slog.NewTextHandler(log, nil))
			c.node[2] = startNode(t, cfg)
			appendRecord(t, c.node[1], 201)
			want := collect(t, c.node[0], 0)
			if len(want) != 202 {
				t.Fatalf("%d entries, want 202", len(want))
			}
			awaitCurrent(t, c.node[2])
			// Others answer for it until it is current; then its own copy is read.
			for !log.has("this node's copy of the log is damaged") {
				for i, e := range follow(t, c.node[2], 202) {
					if e != want[i] {
						t.Fatalf("entry %d is %v, and was %v", i, e, want[i])
					}
				}
			}
		})
	}
}
