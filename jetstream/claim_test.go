package jetstream_test

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"headlight.example/jetstream"
)

func TestOfThreeThatClaimAtOnceOneGetsIt(t *testing.T) {
	t.Parallel()
	c := startCluster(t, 3)
	const rounds, each = 50, 2
	for round := range rounds {
		key := fmt.Sprintf("%064x", round)
		winners := make([]atomic.Int32, 3)
		var wg sync.WaitGroup
		for i, n := range c.node {
			for range each { // a node may ask twice at once
				wg.Go(func() {
					ours, err := n.Claim(t.Context(), key, time.Minute)
					if err != nil {
						t.Errorf("claim: %v", err)
					}
					if ours {
						winners[i].Add(1)
					}
				})
			}
		}
		wg.Wait()
		got := []int32{winners[0].Load(), winners[1].Load(), winners[2].Load()}
		if fmt.Sprint(got) != "[2 0 0]" && fmt.Sprint(got) != "[0 2 0]" && fmt.Sprint(got) != "[0 0 2]" {
			t.Fatalf("round %d: the nodes were told yes %v times", round, got)
		}
	}
}

func TestAClaimExpiresUnlessItIsRenewed(t *testing.T) {
	t.Parallel()
	c := startCluster(t, 3)
	n, o := c.node[0], c.node[1]
	claim := func(n *jetstream.Node, d time.Duration) bool {
		t.Helper()
		ours, err := n.Claim(t.Context(), "a", d)
		if err != nil {
			t.Fatal(err)
		}
		return ours
	}
	if !claim(n, 2001*time.Millisecond) || claim(o, time.Hour) {
		t.Fatal("want the claim for the first alone, for three seconds")
	}
	begun := time.Now()
	if !claim(n, 3*time.Second) {
		t.Fatal("the holder does not get it again")
	}
	for !claim(o, time.Hour) {
		if time.Since(begun) > 20*time.Second {
			t.Fatal("the claim does not expire")
		}
	}
	if d := time.Since(begun); d < 3*time.Second {
		t.Errorf("a claim renewed for 3 s was over after %v", d)
	}
	if claim(n, time.Hour) {
		t.Error("the first has it again")
	}
}

func TestAClaimHasAPlainKey(t *testing.T) {
	t.Parallel()
	at := addrs(t, 1)
	n := startNode(t, jetstream.Config{Dir: t.TempDir(), Listen: at[0], Nodes: at})
	t.Cleanup(func() { n.Close() })
	for key, ok := range map[string]bool{
		"": false, "a": true, "Az09-_=": true, "a.b": false, "*": false, ">": false, "a b": false, "a\r\nb": false, "é": false,
		strings.Repeat("k", 128): true, strings.Repeat("k", 129): false,
	} {
		if _, err := n.Claim(t.Context(), key, time.Minute); (err == nil) != ok {
			t.Errorf("key %q: got %v", key, err)
		}
	}
	if _, err := n.Claim(t.Context(), "a", 0); err == nil {
		t.Error("a claim for no time was granted")
	}
}
