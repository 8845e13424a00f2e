package jetstream_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"headlight.example/evidence"
	"headlight.example/jetstream"
)

// appendRecord appends one record, or fails the test.
func appendRecord(t testing.TB, n *jetstream.Node, number int) uint64 {
	t.Helper()
	last, err := n.Append(t.Context(), record(number))
	if err != nil {
		t.Fatalf("append: %v", err)
	}
	return last
}

func TestFollowGivesWhatIsThereAndWhatComes(t *testing.T) {
	t.Parallel()
	c := startCluster(t, 3)
	const before, meanwhile, appenders = 5000, 400, 4
	var rs []evidence.Record
	for i := range before {
		rs = append(rs, record(i))
	}
	for part := rs; len(part) > 0; part = part[500:] {
		if _, err := c.node[0].Append(t.Context(), part[:500]...); err != nil {
			t.Fatal(err)
		}
	}
	var wg sync.WaitGroup
	for a := range appenders {
		wg.Go(func() {
			for i := range meanwhile / appenders {
				appendRecord(t, c.node[i%3], before+a*meanwhile+i)
			}
		})
	}
	orders := make([][]uint64, 3)
	for i, n := range c.node {
		wg.Go(func() {
			after := uint64(0)
			for len(orders[i]) < before+meanwhile {
				for es, err := range n.Follow(t.Context(), after) {
					if err != nil {
						t.Error(err)
						return
					}
					if len(es) == 0 || len(es) > 4096 {
						t.Errorf("a piece of %d entries", len(es))
					}
					for _, e := range es {
						orders[i] = append(orders[i], e.Seq)
						after = e.Seq
					}
					// Follow is left and taken up again in the middle of a message.
					if len(orders[i])%7 == 0 || len(orders[i]) == before+meanwhile {
						break
					}
				}
			}
		})
	}
	wg.Wait()
	all := collect(t, c.node[1], 0)
	for i, order := range orders {
		if len(order) != len(all) {
			t.Fatalf("node %d followed %d entries of %d", i, len(order), len(all))
		}
		for j, seq := range order {
			if seq != all[j].Seq {
				t.Fatalf("node %d: entry %d has sequence %d, want %d", i, j, seq, all[j].Seq)
			}
		}
	}
	for _, after := range []uint64{all[0].Seq, all[700].Seq} {
		for es, err := range c.node[2].Follow(t.Context(), after) {
			if err != nil || es[0].Seq <= after || es[0].Seq > after+1<<16 {
				t.Errorf("after %d comes %d (%v)", after, es[0].Seq, err)
			}
			break
		}
	}
}

func collect(t testing.TB, n *jetstream.Node, after uint64) (es []evidence.Entry) {
	t.Helper()
	for e, err := range n.Entries(t.Context(), after) {
		if err != nil {
			t.Fatalf("entries: %v", err)
		}
		es = append(es, e)
	}
	return es
}

func TestFollowEndsWithItsContextOrTheNode(t *testing.T) {
	t.Parallel()
	at := addrs(t, 1)
	n := startNode(t, jetstream.Config{Dir: t.TempDir(), Listen: at[0], Nodes: at})
	appendRecord(t, n, 0)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for es, err := range n.Follow(ctx, 0) {
		if err != nil || len(es) != 1 {
			t.Fatalf("got %v, %v", es, err)
		}
		cancel()
	}
	var got error
	for es, err := range n.Follow(t.Context(), 0) {
		if got = err; es != nil {
			go n.Close()
		}
	}
	if !errors.Is(got, evidence.ErrClosed) {
		t.Errorf("got %v, want ErrClosed", got)
	}
	if _, err := n.Append(t.Context(), record(1)); !errors.Is(err, evidence.ErrClosed) {
		t.Errorf("append: got %v, want ErrClosed", err)
	}
	if _, err := n.Claim(t.Context(), "a", time.Minute); !errors.Is(err, evidence.ErrClosed) {
		t.Errorf("claim: got %v, want ErrClosed", err)
	}
}
