package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"headlight.example/evidence"
)

// crashes is how often the program is killed: HEADLIGHT_CRASHES, or a few.
// "make crash" makes a thousand.
func crashes(t *testing.T) int {
	t.Helper()
	s := os.Getenv("HEADLIGHT_CRASHES")
	if s == "" {
		return 10
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 {
		t.Fatalf("HEADLIGHT_CRASHES is %q, want a number above 0", s)
	}
	return n
}

// Acknowledged means durable: the program is killed again and again while
// reports come in over the API and a file is imported. Whatever was
// acknowledged is in the log after the restart, the log verifies, and the
// replay gives the restored table bit for bit.
func TestKilledWhileLearning(t *testing.T) {
	t.Parallel()
	n := crashes(t)
	c := newCrasher(t)
	all := 0
	for i := range n {
		if i%2 == 0 {
			c.killServer(i)
		} else {
			c.killImport(i)
		}
		if t.Failed() {
			t.Fatalf("after %d crashes", i+1)
		}
		if i%2 == 1 || i == n-1 {
			c.look()
		}
		// No crash leaves a snapshot, so each start folds all there is: begin
		// anew before that takes long.
		if i%20 == 19 {
			all += len(c.acknowledged)
			c = newCrasher(t)
		}
	}
	all += len(c.acknowledged)
	t.Logf("%d crashes, %d records acknowledged", n, all)
	if all == 0 {
		t.Error("nothing was acknowledged: the test kills too early to show anything")
	}
}

type crasher struct {
	t         *testing.T
	dir, path string
	rand      *rand.Rand
	refuses   bool // 503 is an answer to expect

	mu           sync.Mutex
	acknowledged map[uint64]string // by sequence, the URL's key
	imported     uint64            // entries that an import said are durable
}

const crashToken = "0123456789abcdef0123"

func newCrasher(t *testing.T) *crasher {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	c := &crasher{
		t: t, dir: t.TempDir(), path: os.Getenv("PATH"),
		rand: rand.New(rand.NewPCG(seed, 0)), acknowledged: make(map[uint64]string),
	}
	c.write("tokens", "ann operator/ann "+crashToken+"\n")
	c.write("headlight.toml", "[tokens]\nfile = \"tokens\"\n")
	return c
}

func (c *crasher) write(name, text string) {
	c.t.Helper()
	if err := os.WriteFile(filepath.Join(c.dir, name), []byte(text), 0o600); err != nil {
		c.t.Fatal(err)
	}
}

// killServer reports from several clients at once and kills the server after a
// random number of acknowledgements, while others are under way.
func (c *crasher) killServer(round int) {
	s, err := startServer(c.dir, os.Environ(), c.path, "-config", "headlight.toml")
	if err != nil {
		c.t.Fatal(err)
	}
	const clients = 4
	quota := make(chan struct{}, 1<<10)
	enough := 1 + c.rand.IntN(60)
	var wg sync.WaitGroup
	for client := range clients {
		wg.Go(func() {
			for i := 0; c.reportOnce(s.url, round, client, i); i++ {
				quota <- struct{}{}
			}
		})
	}
	for range enough {
		<-quota
	}
	if _, err := s.stop(syscall.SIGKILL); err != nil {
		c.t.Fatal(err)
	}
	go func() { // the clients may have more to tell than fits
		for range quota {
		}
	}()
	wg.Wait()
	close(quota)
}

// reportOnce sends three reports in one call and notes their receipts. It
// returns false when the server is gone.
func (c *crasher) reportOnce(url string, round, client, i int) bool {
	var keys []string
	var reports []string
	for j := range 3 {
		key := fmt.Sprintf("r%d.example/c%d/i%d/j%d", round, client, i, j)
		keys = append(keys, key)
		reports = append(reports, fmt.Sprintf(`{"url":"http://%s","assertion":"phishing"}`, key))
	}
	req, err := http.NewRequest(http.MethodPost, url+"/v1/reports", strings.NewReader(`{"reports":[`+strings.Join(reports, ",")+`]}`))
	if err != nil {
		c.t.Error(err)
		return false
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+crashToken)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	var answer struct {
		Receipts []receipt `json:"receipts"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
		return false // the answer was cut off: not acknowledged
	}
	if resp.StatusCode == http.StatusServiceUnavailable && c.refuses {
		return true
	}
	if resp.StatusCode != http.StatusCreated || len(answer.Receipts) != len(keys) {
		c.t.Errorf("reports were answered with %d and %d receipts", resp.StatusCode, len(answer.Receipts))
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for j, r := range answer.Receipts {
		if old, ok := c.acknowledged[r.Seq]; ok {
			c.t.Errorf("entry %d was acknowledged twice: for %s and %s", r.Seq, old, keys[j])
		}
		c.acknowledged[r.Seq] = keys[j]
	}
	return true
}

// killImport imports a file and kills the import after a random number of
// batches that it said are durable.
func (c *crasher) killImport(round int) {
	var b strings.Builder
	for i := range 4 * importBatch {
		fmt.Fprintf(&b, "http://m%d.example/f%d/%d\n", i%997, round, i)
	}
	c.write("feed.txt", b.String())
	name, err := program(c.path)
	if err != nil {
		c.t.Fatal(err)
	}
	cmd := exec.Command(name, "import", "-v", "-format", "openphish", "feed.txt")
	cmd.Dir = c.dir
	stderr, err := cmd.StderrPipe()
	if err != nil {
		c.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		c.t.Fatal(err)
	}
	batches := c.rand.IntN(3) // several may share a sync
	lines := bufio.NewScanner(stderr)
	for batches > 0 && lines.Scan() {
		if _, through, ok := strings.Cut(lines.Text(), "are durable, through entry "); ok {
			seq, err := strconv.ParseUint(through, 10, 64)
			if err != nil {
				c.t.Fatal(err)
			}
			c.imported = seq
			batches--
		}
	}
	if err := cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		c.t.Fatal(err)
	}
	cmd.Wait() // it says that it was killed
}

// look starts the program on what the crash left and compares.
func (c *crasher) look() {
	c.t.Helper()
	if out, err := c.command("log", "verify"); err != nil {
		c.t.Errorf("log verify: %v: %s", err, out)
	}
	out, err := c.command("replay", "-json")
	var r replayResult
	if err != nil || json.Unmarshal(out, &r) != nil || !r.Same {
		c.t.Errorf("replay: %v: %s", err, out)
	}
	if r.Through < c.imported {
		c.t.Errorf("the log ends at entry %d, but an import was told that %d is durable", r.Through, c.imported)
	}
	if out, err = c.command("log", "export"); err != nil {
		c.t.Fatalf("log export: %v", err)
	}
	missing := make(map[uint64]string, len(c.acknowledged))
	for seq, key := range c.acknowledged {
		missing[seq] = key
	}
	for e, err := range evidence.ReadLines(bytes.NewReader(out)) {
		if err != nil {
			c.t.Fatalf("read the export: %v", err)
		}
		if key, ok := missing[e.Seq]; ok && key == e.Subject.Key {
			delete(missing, e.Seq)
		}
	}
	for seq, key := range missing {
		c.t.Errorf("entry %d, acknowledged for %s, is not in the log", seq, key)
	}
}

func (c *crasher) command(args ...string) ([]byte, error) {
	name, err := program(c.path)
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(name, args...)
	cmd.Dir = c.dir
	return cmd.Output()
}
