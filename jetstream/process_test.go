package jetstream_test

import (
	"bufio"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"sync"
	"testing"
	"time"

	"headlight.example/evidence"
	"headlight.example/jetstream"
)

// TestMain lets the test binary be a node of a cluster of processes. Four tests
// run at once also on small machines: they mostly wait for elections.
func TestMain(m *testing.M) {
	if cfg := os.Getenv("JETSTREAM_TEST_NODE"); cfg != "" {
		fmt.Fprintln(os.Stderr, child(cfg))
		os.Exit(1)
	}
	flag.Parse()
	if runtime.GOMAXPROCS(0) < 4 {
		flag.Set("test.parallel", "4")
	}
	os.Exit(m.Run())
}

// child starts a node and then appends and follows until it is killed. It
// prints what was acknowledged, "ack SEQUENCE RECORDS RATER", and the sequences
// that Follow gave, "saw SEQUENCE".
func child(config string) error {
	var cfg jetstream.Config
	if err := json.Unmarshal([]byte(config), &cfg); err != nil {
		return err
	}
	cfg.Key, cfg.Logger = testKey, quiet()
	n, err := jetstream.Start(context.Background(), cfg)
	if err != nil {
		return err
	}
	fmt.Println("up")
	var mu sync.Mutex
	say := func(what string, words ...any) {
		mu.Lock()
		defer mu.Unlock()
		fmt.Println(append([]any{what}, words...)...)
	}
	errs := make(chan error)
	for g := range 3 {
		go func() {
			for i := 0; ; i++ {
				rater := fmt.Sprintf("feed/p%d/g%d-%d", os.Getpid(), g, i)
				rs := make([]evidence.Record, 1+20*(g%2))
				for j := range rs {
					rs[j] = record(j)
					rs[j].Rater = rater
				}
				// Without a majority an Append fails, and is another one then.
				if last, err := n.Append(context.Background(), rs...); err == nil {
					say("ack", last, len(rs), rater)
				}
			}
		}()
	}
	go func() {
		for es, err := range n.Follow(context.Background(), 0) {
			if err != nil {
				errs <- err
			}
			for _, e := range es {
				say("saw", e.Seq)
			}
		}
	}()
	return <-errs
}

// acked is an Append that was acknowledged.
type acked struct {
	records int
	rater   string
}

// process is a node that is another process.
type process struct {
	cmd  *exec.Cmd
	done chan struct{} // closed when all that it said is heard

	mu   sync.Mutex
	cond *sync.Cond
	acks map[uint64]acked
	saw  []uint64
	over bool
}

func startProcess(t *testing.T, cfg jetstream.Config) *process {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	config, err := json.Marshal(cfg)
	if err != nil {
		t.Fatal(err)
	}
	p := &process{cmd: exec.Command(exe), done: make(chan struct{}), acks: map[uint64]acked{}}
	p.cond = sync.NewCond(&p.mu)
	p.cmd.Env = append(os.Environ(), "JETSTREAM_TEST_NODE="+string(config))
	p.cmd.Stderr = os.Stderr
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.kill)
	go func() {
		defer close(p.done)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			p.hear(lines.Text())
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		p.over = true
		p.cond.Broadcast()
	}()
	return p
}

func (p *process) hear(line string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var seq uint64
	var a acked
	if n, _ := fmt.Sscanf(line, "ack %d %d %s", &seq, &a.records, &a.rater); n == 3 {
		p.acks[seq] = a
		p.cond.Broadcast()
	} else if n, _ := fmt.Sscanf(line, "saw %d", &seq); n == 1 {
		p.saw = append(p.saw, seq)
	}
}

// await waits until n more appends of the process are acknowledged.
func (p *process) await(t *testing.T, n int) {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	for want := len(p.acks) + n; len(p.acks) < want; p.cond.Wait() {
		if p.over {
			t.Fatal("a node has ended by itself")
		}
	}
}

func (p *process) kill() {
	p.cmd.Process.Kill()
	<-p.done
	p.cmd.Wait()
}

// Nodes that append are killed at random moments: one, while the others go on,
// two, and all at once. JETSTREAM_TEST_KILLS sets how often all three are killed,
// and before each time one and two, twice; by default, one is, and then all.
func TestKill(t *testing.T) {
	t.Parallel()
	rounds, victims := 1, []int{1}
	if s := os.Getenv("JETSTREAM_TEST_KILLS"); s != "" {
		var err error
		if rounds, err = strconv.Atoi(s); err != nil {
			t.Fatal(err)
		}
		victims = []int{1, 2, 1, 2}
	}
	c := &cluster{t: t, nodes: addrs(t, 3), dir: t.TempDir(), node: make([]*jetstream.Node, 3)}
	var all []*process // that ever were
	nodes := make([]*process, 3)
	start := func(i int) {
		nodes[i] = startProcess(t, c.config(i))
		all = append(all, nodes[i])
	}
	for range rounds {
		for i := range nodes {
			start(i)
		}
		for _, n := range victims {
			for _, p := range nodes {
				p.await(t, 20)
			}
			wait(time.Duration(rand.IntN(100)) * time.Millisecond)
			killed := rand.Perm(3)[:n]
			for _, i := range killed {
				nodes[i].kill()
			}
			if n == 1 {
				nodes[(killed[0]+1)%3].await(t, 20) // two of three go on
			}
			for _, i := range killed {
				start(i)
			}
		}
		for _, p := range nodes {
			p.await(t, 20)
		}
		wait(time.Duration(rand.IntN(100)) * time.Millisecond)
		var wg sync.WaitGroup
		for _, p := range nodes {
			wg.Go(p.kill)
		}
		wg.Wait()
	}
	acks := map[uint64]acked{}
	for _, p := range all {
		maps.Copy(acks, p.acks)
	}
	t.Logf("%d processes killed, %d appends acknowledged", len(all), len(acks))
	checkKilled(t, c, acks, all)
}

// wait passes a random time, of which the test hopes for nothing.
func wait(d time.Duration) { <-time.After(d) }

// checkKilled checks that each node's copy of the log holds each acknowledged
// Append where it was said to be, of the others all or nothing, all copies the
// same; and that who followed saw the log from its beginning on, each entry once.
func checkKilled(t *testing.T, c *cluster, acks map[uint64]acked, all []*process) {
	for i := range c.node {
		c.start(i)
		defer c.stop(i)
	}
	es := collect(t, c.node[0], 0)
	for i, e := range es {
		if a, ok := acks[e.Seq]; ok {
			first := i - a.records + 1
			if first < 0 || e.Rater != a.rater || es[first].Rater != a.rater || first > 0 && es[first-1].Rater == a.rater && es[first-1].Seq>>16 == e.Seq>>16 {
				t.Fatalf("sequence %d was acknowledged as the last of %d records of %s, and holds one of %s", e.Seq, a.records, a.rater, e.Rater)
			}
			delete(acks, e.Seq)
		}
	}
	if len(acks) > 0 {
		t.Errorf("%d acknowledged appends are gone", len(acks))
	}
	for i, n := range c.node {
		at := 0
		for piece, err := range n.Follow(t.Context(), 0) {
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range piece {
				if at == len(es) {
					break // what comes of no Append in this process: there is none
				}
				if e != es[at] {
					t.Fatalf("node %d has %v in place %d, the first node %v", i, e, at, es[at])
				}
				at++
			}
			if at == len(es) {
				break
			}
		}
	}
	for _, p := range all {
		if len(p.saw) > len(es) {
			t.Fatalf("a node has seen %d entries of %d", len(p.saw), len(es))
		}
		for i, seq := range p.saw {
			if seq != es[i].Seq {
				t.Fatalf("a node has seen sequence %d in place %d, where %d stands", seq, i, es[i].Seq)
			}
		}
	}
}
