package jetstream_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"headlight.example/evidence"
	"headlight.example/jetstream"
)

func TestNodesAgree(t *testing.T) {
	t.Parallel()
	c := startCluster(t, 3)
	for round := range 20 {
		key := fmt.Sprint("beginning", round)
		agreed := make([]string, len(c.node))
		var wg sync.WaitGroup
		for i, n := range c.node {
			wg.Go(func() {
				var err error
				if agreed[i], err = n.Agree(t.Context(), key, fmt.Sprint("of node ", i)); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if agreed[0] == "" || agreed[0] != agreed[1] || agreed[0] != agreed[2] {
			t.Fatalf("round %d: the nodes agreed on %q", round, agreed)
		}
		if again, err := c.node[round%3].Agree(t.Context(), key, "something else"); err != nil || again != agreed[0] {
			t.Errorf("later it is %q, %v; want %q", again, err, agreed[0])
		}
	}
	if _, err := c.node[0].Agree(t.Context(), "a.b", "x"); err == nil {
		t.Error("a key with a dot is taken")
	}
}

// What is older than Keep goes, and whoever needed it is told.
func TestWhatIsOldGoes(t *testing.T) {
	t.Parallel()
	at := addrs(t, 1)
	n := startNode(t, jetstream.Config{Dir: t.TempDir(), Listen: at[0], Nodes: at, Keep: 24 * time.Hour})
	t.Cleanup(func() { n.Close() })
	first := appendRecord(t, n, 1)
	if age := n.MaxAge(t); age != 72*time.Hour {
		t.Fatalf("messages are kept for %v, want Keep and two days more", age)
	}
	n.SetMaxAge(t, time.Second)
	next := func(after uint64) (es []evidence.Entry, err error) {
		for es, err = range n.Follow(t.Context(), after) {
			break
		}
		return es, err
	}
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !n.Empty(t) {
		<-tick.C
	}
	second := appendRecord(t, n, 2)
	if _, err := next(0); !errors.Is(err, evidence.ErrTrimmed) {
		t.Errorf("from the beginning: %v, want ErrTrimmed", err)
	}
	if es, err := next(first); err != nil || len(es) != 1 || es[0].Seq != second {
		t.Errorf("from the second on: %v, %v", es, err)
	}
	for _, err := range n.Entries(t.Context(), 0) {
		if !errors.Is(err, evidence.ErrTrimmed) {
			t.Errorf("entries from the beginning: %v, want ErrTrimmed", err)
		}
	}
}
