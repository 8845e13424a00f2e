package headlight_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"headlight.example"
	"headlight.example/evidence"
	"headlight.example/jetstream"
	"headlight.example/probe"
	"headlight.example/reputation"
)

// machines are the nodes of a cluster, each with a data directory and a service.
type machines struct {
	t     *testing.T
	addrs []string
	dirs  []string
	cfg   headlight.Config // but Dir and Cluster
	nodes []*jetstream.Node
	svcs  []*headlight.Service
}

// newMachines gives each of three machines a copy of a directory; it starts none.
func newMachines(t *testing.T, of string, cfg headlight.Config) *machines {
	t.Helper()
	const n = 3
	m := &machines{t: t, cfg: cfg, nodes: make([]*jetstream.Node, n), svcs: make([]*headlight.Service, n)}
	m.cfg.Logger = slog.New(slog.DiscardHandler)
	m.cfg.NoSightings = cfg.Visits == nil // else asking is learnt, too
	for range n {
		// In a random net of the loopback, so that nobody else takes it until it is
		// listened on.
		l, err := net.Listen("tcp", fmt.Sprintf("127.%d.%d.1:0", 1+rand.IntN(250), rand.IntN(250)))
		if err != nil {
			t.Fatal(err)
		}
		l.Close()
		m.addrs = append(m.addrs, l.Addr().String())
		m.dirs = append(m.dirs, copyDir(t, of))
	}
	t.Cleanup(func() {
		for i := range m.svcs {
			m.stop(i)
		}
	})
	return m
}

// newKeys is a directory that has keys and nothing else.
func newKeys(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if _, err := evidence.LoadKey(dir); err != nil {
		t.Fatal(err)
	}
	return dir
}

func copyDir(t *testing.T, from string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "copy")
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	return to
}

func (m *machines) join(i int) {
	m.t.Helper()
	key, err := evidence.ReadKey(m.dirs[i])
	if err != nil {
		m.t.Fatal(err)
	}
	m.nodes[i], err = jetstream.Start(m.t.Context(), jetstream.Config{
		Dir: filepath.Join(m.dirs[i], "jetstream", fmt.Sprint(i)), Listen: m.addrs[i], Nodes: m.addrs, Key: key, Logger: m.cfg.Logger,
	})
	if err != nil {
		m.t.Fatal(err)
	}
}

func (m *machines) start(i int) *headlight.Service {
	m.t.Helper()
	m.join(i)
	cfg := m.cfg
	cfg.Dir, cfg.Cluster = m.dirs[i], m.nodes[i]
	svc, err := headlight.Open(context.Background(), cfg)
	if err != nil {
		m.t.Fatal(err)
	}
	m.svcs[i] = svc
	return svc
}

func (m *machines) startAll() {
	m.t.Helper()
	for i := range m.svcs {
		m.start(i)
	}
	for _, svc := range m.svcs {
		m.await("ready", func() bool { return svc.Ready() == nil })
	}
}

func (m *machines) stop(i int) {
	m.t.Helper()
	if m.svcs[i] != nil {
		if err := m.svcs[i].Close(); err != nil {
			m.t.Errorf("close: %v", err)
		}
	}
	if m.nodes[i] != nil {
		if err := m.nodes[i].Close(); err != nil {
			m.t.Errorf("leave: %v", err)
		}
	}
	m.svcs[i], m.nodes[i] = nil, nil
}

// await waits for what comes by itself.
func (m *machines) await(what string, is func() bool) {
	m.t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for range 6000 {
		if is() {
			return
		}
		<-tick.C
	}
	for i, svc := range m.svcs {
		if svc != nil {
			m.t.Logf("machine %d: %v", i, svc.Ready())
		}
	}
	m.t.Fatalf("not %s within a minute", what)
}

// entries are what the log of a directory says.
func entries(t *testing.T, dir string) (es []evidence.Entry) {
	t.Helper()
	log, err := evidence.Open(dir, evidence.Options{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	for e, err := range log.Entries(t.Context(), 0) {
		if err != nil {
			t.Fatal(err)
		}
		es = append(es, e)
	}
	return es
}

// same checks that all machines, stopped, have the same log and the same table.
func (m *machines) same(want int) []evidence.Entry {
	m.t.Helper()
	var logs [][]evidence.Entry
	var tables [][]byte
	for i, dir := range m.dirs {
		m.stop(i)
		logs = append(logs, entries(m.t, dir))
		table, err := os.ReadFile(filepath.Join(dir, "snapshot"))
		if err != nil {
			m.t.Fatal(err)
		}
		tables = append(tables, table)
	}
	if len(logs[0]) != want {
		m.t.Errorf("the log has %d entries, want %d", len(logs[0]), want)
	}
	for i := range m.dirs {
		if d := cmp.Diff(logs[0], logs[i]); d != "" {
			m.t.Errorf("the logs of machine 0 (-) and %d (+) differ:\n%s", i, d)
		}
		if !slices.Equal(tables[0], tables[i]) {
			m.t.Errorf("the tables of machines 0 and %d differ, of %d and %d bytes", i, len(tables[0]), len(tables[i]))
		}
	}
	return logs[0]
}

func TestMachinesShareWhatIsLearnt(t *testing.T) {
	t.Parallel()
	m := newMachines(t, newKeys(t), headlight.Config{})
	m.startAll()

	// What one is told all know, and whoever is told knows at once.
	report(t, m.svcs[0], "operator/ann", evidence.Phishing, "http://bad.example/login")
	if l := level(t, m.svcs[0], "http://bad.example/login"); l != reputation.Dangerous {
		t.Errorf("where it was reported the link is %v", l)
	}
	for _, svc := range m.svcs[1:] {
		m.await("dangerous on every machine", func() bool { return level(t, svc, "http://bad.example/login") == reputation.Dangerous })
	}

	// Many speak at once; each is told where its word stands.
	const speakers, words, size = 4, 10, 3
	type word struct {
		last uint64
		key  string
	}
	heard := make(chan word, 3*speakers*words)
	var wg sync.WaitGroup
	for i, svc := range m.svcs {
		for s := range speakers {
			wg.Go(func() {
				for w := range words {
					var rs []evidence.Record
					for r := range size {
						rs = append(rs, said(t, "feed/x", evidence.Spam, fmt.Sprintf("http://m%d-s%d.example/%d/%d", i, s, w, r)))
					}
					last, err := svc.Append(t.Context(), rs...)
					if err != nil {
						t.Error(err)
					}
					heard <- word{last, rs[size-1].Subject.Key}
				}
			})
		}
	}
	// What is too long for one message is told in several, also beside others.
	const longs = 600 // of 8 KiB
	for _, svc := range m.svcs[:2] {
		wg.Go(func() {
			r := said(t, "feed/long", evidence.Spam, "http://long.example/"+strings.Repeat("x", evidence.MaxKey-len("long.example/")))
			if _, err := svc.Append(t.Context(), slices.Repeat([]evidence.Record{r}, longs)...); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	close(heard)
	const total = 1 + 3*speakers*words*size + 2*longs
	for _, svc := range m.svcs {
		m.await("all folded", func() bool { return applied(t, svc) == total })
	}
	log := m.same(total)
	for w := range heard {
		if got := log[w.last-1].Subject.Key; got != w.key {
			t.Errorf("entry %d was said to be about %s, and is about %s", w.last, w.key, got)
		}
	}
}

func TestAMachineCatchesUp(t *testing.T) {
	t.Parallel()
	m := newMachines(t, newKeys(t), headlight.Config{})
	m.startAll()
	say := func(i, n int) {
		for k := range n {
			report(t, m.svcs[i], "feed/x", evidence.Spam, fmt.Sprintf("http://site%d.example/%d", i, k))
		}
	}
	say(0, 5)
	m.await("folded", func() bool { return applied(t, m.svcs[2]) == 5 })
	m.stop(2)
	early, err := os.ReadFile(filepath.Join(m.dirs[2], "cluster.json"))
	if err != nil {
		t.Fatal(err)
	}
	was := m.svcs[1].Followed()
	say(1, 7) // two of three are enough
	m.await("seven messages behind", func() bool { return m.nodes[1].Status().Behind(was) == 7 })
	m.start(2)
	m.await("caught up", func() bool { return m.svcs[2].Ready() == nil && applied(t, m.svcs[2]) == 12 })
	m.await("in step", func() bool {
		s := m.nodes[2].Status()
		return s.Behind(was) == 7 && s.Behind(m.svcs[2].Followed()) == 0
	})

	// After a crash it may not know how far it was; it takes nothing twice.
	m.stop(2)
	if err := os.WriteFile(filepath.Join(m.dirs[2], "cluster.json"), early, 0o600); err != nil {
		t.Fatal(err)
	}
	m.start(2)
	m.await("caught up", func() bool { return m.svcs[2].Ready() == nil })
	say(2, 3)
	for _, svc := range m.svcs {
		m.await("all folded", func() bool { return applied(t, svc) == 15 })
	}
	m.same(15)
}

// A machine that was alone goes on as three, each with a copy of its directory; one
// with another log is not let in.
func TestACopyBeginsACluster(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	alone := open(t, dir)
	report(t, alone, "operator/ann", evidence.Phishing, "http://bad.example/login")
	report(t, alone, "operator/ann", evidence.Benign, "http://good.example/")
	if err := alone.Close(); err != nil {
		t.Fatal(err)
	}
	m := newMachines(t, dir, headlight.Config{})
	m.startAll()
	report(t, m.svcs[1], "operator/ann", evidence.Malware, "http://worse.example/x")
	for _, svc := range m.svcs {
		m.await("folded", func() bool { return applied(t, svc) == 3 })
		if l := level(t, svc, "http://bad.example/login"); l != reputation.Dangerous {
			t.Errorf("what the one had learnt is %v", l)
		}
	}

	m.stop(2)
	kept := m.dirs[2]
	m.dirs[2] = t.TempDir()
	if err := os.CopyFS(filepath.Join(m.dirs[2], "keys"), os.DirFS(filepath.Join(kept, "keys"))); err != nil {
		t.Fatal(err)
	}
	err := m.start(2).Run(t.Context())
	if err == nil || !strings.Contains(err.Error(), "is not the one that the cluster began with (2-") {
		t.Errorf("a machine with an empty log: %v", err)
	}
	m.stop(2)

	// A copy of another node's directory is what it says it needs.
	m.stop(0)
	m.dirs[2] = copyDir(t, m.dirs[0])
	m.start(0)
	m.start(2)
	m.await("folded", func() bool { return applied(t, m.svcs[2]) == 3 && m.svcs[2].Ready() == nil })
	m.same(3)
}

func TestWithoutAQuorumQuestionsAreAnswered(t *testing.T) {
	t.Parallel()
	m := newMachines(t, newKeys(t), headlight.Config{})
	m.startAll()
	report(t, m.svcs[0], "operator/ann", evidence.Phishing, "http://bad.example/login")
	m.stop(1)
	m.stop(2)
	m.await("short of a quorum", func() bool { return m.svcs[0].Ready() != nil })
	if l := level(t, m.svcs[0], "http://bad.example/login"); l != reputation.Dangerous {
		t.Errorf("the link is %v", l)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if _, err := m.svcs[0].Append(ctx, said(t, "operator/ann", evidence.Spam, "http://more.example/")); err == nil {
		t.Error("one of three acknowledged a report")
	}
	// It starts without the others, too, and says what it waits for.
	m.stop(0)
	m.start(0)
	if l := level(t, m.svcs[0], "http://bad.example/login"); l != reputation.Dangerous {
		t.Errorf("after a restart the link is %v", l)
	}
	if err := m.svcs[0].Ready(); err == nil || !strings.Contains(err.Error(), "1 of 3") {
		t.Errorf("it is said to wait for %v", err)
	}
	m.start(1)
	m.await("ready", func() bool { return m.svcs[0].Ready() == nil })
	report(t, m.svcs[0], "operator/ann", evidence.Spam, "http://more.example/")
}

// What is said in the directory of a node while that does not run would be known
// nowhere else.
func TestANodesDirectoryIsNotWrittenAlone(t *testing.T) {
	t.Parallel()
	m := newMachines(t, newKeys(t), headlight.Config{})
	m.startAll()
	report(t, m.svcs[0], "operator/ann", evidence.Phishing, "http://bad.example/login")
	m.stop(0)
	alone := open(t, m.dirs[0])
	if l := level(t, alone, "http://bad.example/login"); l != reputation.Dangerous {
		t.Errorf("the link is %v", l)
	}
	_, err := alone.Append(t.Context(), said(t, "operator/ann", evidence.Spam, "http://more.example/"))
	if err == nil || !strings.Contains(err.Error(), "-server") {
		t.Errorf("a report: %v", err)
	}
	if err := alone.Run(t.Context()); err == nil {
		t.Error("it runs alone")
	}
	if err := alone.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(m.dirs[0], "cluster.json")); err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	left := open(t, m.dirs[0])
	report(t, left, "operator/ann", evidence.Spam, "http://more.example/")
}

// All machines see the same links in the same second; each link is visited by one.
func TestOneOfManyMachinesVisits(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	heads := make(map[string]int)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	web := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		heads[r.Host]++
		if strings.HasPrefix(r.Host, "site0.") {
			w.Header().Set("Location", "http://bad.example/login") // it is known, so nobody goes there
			w.WriteHeader(http.StatusFound)
		}
	})}
	served := make(chan error)
	go func() { served <- web.Serve(l) }()
	t.Cleanup(func() { web.Close(); <-served })
	at := netip.MustParseAddrPort(l.Addr().String())

	m := newMachines(t, newKeys(t), headlight.Config{
		Networks: loopbackNetworks(t),
		Visits: &headlight.VisitConfig{
			Policy: probe.Safe, Identity: probe.Identity{About: "https://linkcheck.example/visits", From: "abuse@linkcheck.example"},
			Servers: []string{newNameServer(t, nil).addr}, Allow: []netip.AddrPort{at}, Jitter: -1,
		},
	})
	m.startAll()
	report(t, m.svcs[0], "operator/ann", evidence.Phishing, "http://bad.example/login")
	for _, svc := range m.svcs {
		m.await("reported", func() bool { return level(t, svc, "http://bad.example/login") == reputation.Dangerous })
	}
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	for _, svc := range m.svcs {
		running.Go(func() {
			if err := svc.Run(ctx); err != nil {
				t.Error(err)
			}
		})
	}
	const links = 5 // as many as an address is asked at once
	for n := range links {
		for _, svc := range m.svcs {
			svc.Check(parse(t, fmt.Sprintf("http://site%d.test:%d/page", n, at.Port())))
		}
	}
	finished := func() (n uint64) {
		for _, svc := range m.svcs {
			n += svc.Visits().Count(probe.Answered)
		}
		return n
	}
	m.await("visited", func() bool {
		waiting := 0
		for _, svc := range m.svcs {
			waiting += svc.Visits().Queue().Waiting
		}
		return finished() >= links && waiting == 0
	})
	// Each knows where it leads, and none has visited that.
	for _, svc := range m.svcs {
		m.await("dangerous by where it leads", func() bool {
			f, err := svc.CheckURL(fmt.Sprintf("http://site0.test:%d/page", at.Port()))
			return err == nil && f.Verdict.Level == reputation.Dangerous && f.Inner.String() == "http://bad.example/login"
		})
	}
	cancel()
	running.Wait()
	mu.Lock()
	defer mu.Unlock()
	for n := range links {
		host := fmt.Sprintf("site%d.test:%d", n, at.Port())
		if heads[host] != 1 {
			t.Errorf("%s was visited %d times", host, heads[host])
		}
	}

	// Each can account for it, whoever it was.
	now := time.Now()
	about := func(i int, host string) headlight.Account {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		a, err := m.svcs[i].Visits().About(ctx, host, now.Add(-time.Hour), now.Add(time.Hour), 10)
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	var first probe.Request
	for i, svc := range m.svcs {
		a := about(i, "site0.test")
		if len(a.Requests) != 1 || a.Missing != 0 {
			t.Fatalf("machine %d: %+v", i, a)
		}
		if i == 0 {
			first = a.Requests[0]
		}
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		b, err := svc.Visits().Lookup(ctx, first.Visit)
		if d := cmp.Diff(a, b, cmpopts.EquateComparable(netip.Addr{}, netip.AddrPort{}, probe.Decision{})); err != nil || d != "" || b.Requests[0].Reply == nil {
			t.Errorf("machine %d: about the host (-), about the visit (+), %v:\n%s", i, err, d)
		}
	}
	m.stop(2)
	if a := about(0, "site1.test"); a.Missing != 1 {
		t.Errorf("with a machine gone: %+v", a)
	}
}
