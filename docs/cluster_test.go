//go:build clients

package docs_test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// machines are servers that share a log.
type machines struct {
	t       *testing.T
	dirs    []string
	configs []string
	servers []server
}

const clusterToken = "0123456789abcdef0123"

// newMachines gives each configuration a directory with a copy of the same keys.
func newMachines(t *testing.T, configs ...string) *machines {
	t.Helper()
	m := &machines{t: t, configs: configs, servers: make([]server, len(configs))}
	first := t.TempDir()
	command(t, headlight, "keys", "make", "-data", filepath.Join(first, "data"))
	token := filepath.Join(first, "tokens")
	if err := os.WriteFile(token, []byte("ann operator/ann "+clusterToken+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for i := range configs {
		dir := filepath.Join(t.TempDir(), "machine")
		if err := os.CopyFS(dir, os.DirFS(first)); err != nil {
			t.Fatal(err)
		}
		m.dirs = append(m.dirs, dir)
		m.configs[i] = fmt.Sprintf("data = %q\nlisten = \"127.0.0.1:0\"\n[tokens]\nfile = %q\n%s", filepath.Join(dir, "data"), token, configs[i])
	}
	return m
}

func (m *machines) start(i int) {
	m.t.Helper()
	m.servers[i] = server{daemon: run(m.t, m.dirs[i], headlight, "serve", "-config", write(m.t, filepath.Join(m.dirs[i], "headlight.toml"), m.configs[i]))}
}

// ready waits until a machine can be told something.
func (m *machines) ready(i int) {
	m.t.Helper()
	s := &m.servers[i]
	await(m.t, "machine "+fmt.Sprint(i)+" is ready", func() bool {
		line := lineWith(s.out.String(), "listens on")
		if line == "" {
			return false
		}
		s.url = strings.Fields(line)[2]
		resp, err := http.Get(s.url + "/readyz")
		if err != nil {
			return false
		}
		resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	})
}

// metrics reads what a machine says of itself.
func (m *machines) metrics(i int) string {
	m.t.Helper()
	resp, err := http.Get(m.servers[i].url + "/metrics")
	if err != nil {
		m.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		m.t.Fatal(err)
	}
	return string(text)
}

func (m *machines) report(i int, url string) {
	m.t.Helper()
	token := write(m.t, filepath.Join(m.dirs[i], "token"), clusterToken)
	m.servers[i].headlight("report", "-token-file", token, "-as", "phishing", url)
}

func (m *machines) knows(i int, url string) {
	m.t.Helper()
	await(m.t, "machine "+fmt.Sprint(i)+" knows "+url, func() bool {
		return strings.Contains(m.servers[i].headlight("check", url), "dangerous")
	})
}

// share starts all machines, tells one of a link and waits until the others know.
func (m *machines) share() {
	m.t.Helper()
	for i := range m.servers {
		m.start(i)
	}
	for i := range m.servers {
		m.ready(i)
	}
	m.report(0, "http://bad.example/login")
	m.knows(1, "http://bad.example/login")
	m.knows(2, "http://bad.example/login")
}

func TestCluster(t *testing.T) {
	t.Parallel()
	page := open(t, "cluster.md")
	// A random net of the loopback's: nobody else listens there meanwhile.
	network := fmt.Sprintf("127.%d.%d.", 1+rand.IntN(250), rand.IntN(250))
	var configs []string
	for i := range 3 {
		here := fmt.Sprintf("listen = \"%s%d:7420\"", network, i+1)
		configs = append(configs, page.file("headlight.toml", "10.0.0.", network, "listen = \""+network+"1:7420\"", here))
	}
	m := newMachines(t, configs...)
	m.share()
	var names []string
	for _, name := range regexp.MustCompile("`(headlight_[a-z_]+)(?:`|\\{)").FindAllStringSubmatch(page.text, -1) {
		names = append(names, name[1])
	}
	if len(names) == 0 {
		t.Fatal("cluster.md names no metric")
	}
	for i := range m.servers {
		metrics := m.metrics(i)
		for _, name := range names {
			if !strings.Contains(metrics, "\n"+name) {
				t.Errorf("machine %d has no metric %s", i, name)
			}
		}
		await(t, "machine "+fmt.Sprint(i)+" is in step, and knows who is here and leads", func() bool {
			metrics := m.metrics(i)
			return strings.Contains(metrics, "\nheadlight_cluster_lag 0\n") &&
				len(regexp.MustCompile(`(?m)^headlight_cluster_node_here\{.*\} 1$`).FindAllString(metrics, -1)) == 3 &&
				len(regexp.MustCompile(`(?m)^headlight_cluster_node_leads\{.*\} 1$`).FindAllString(metrics, -1)) == 1
		})
	}
	m.servers[0].stop(syscall.SIGKILL)
	m.report(1, "http://worse.example/login")
	m.knows(2, "http://worse.example/login")
	m.start(0)
	m.ready(0)
	m.knows(0, "http://worse.example/login")
}

// One of three dies for good, and the log goes to five, three of them new. All that
// anybody was told to be stored is known to all five, however the others ended.
func TestClusterMoves(t *testing.T) {
	t.Parallel()
	page := open(t, "cluster.md")
	network := fmt.Sprintf("127.%d.%d.", 1+rand.IntN(250), rand.IntN(250))
	const three = `"10.0.0.1:7420", "10.0.0.2:7420", "10.0.0.3:7420"`
	config := func(i int, nodes ...int) string {
		var list []string
		for _, n := range nodes {
			list = append(list, fmt.Sprintf("%q", fmt.Sprintf("%s%d:7420", network, n)))
		}
		return page.file("headlight.toml", three, strings.Join(list, ", "), `listen = "10.0.0.1:7420"`, fmt.Sprintf("listen = \"%s%d:7420\"", network, i),
			"10.0.0.", network)
	}
	old := newMachines(t, config(1, 1, 2, 3), config(2, 1, 2, 3), config(3, 1, 2, 3))
	old.share()

	var mu sync.Mutex
	stored := []string{"http://bad.example/login"}
	count := func() int {
		mu.Lock()
		defer mu.Unlock()
		return len(stored)
	}
	var load sync.WaitGroup
	for i, s := range old.servers {
		load.Go(func() {
			for k := 0; ; k++ {
				url := fmt.Sprintf("http://m%d-%d.example/login", i, k)
				req, err := http.NewRequest(http.MethodPost, s.url+"/v1/reports", strings.NewReader(`{"url":"`+url+`","assertion":"phishing"}`))
				if err != nil {
					t.Error(err)
					return
				}
				req.Header.Set("Authorization", "Bearer "+clusterToken)
				req.Header.Set("Content-Type", "application/json")
				resp, err := http.DefaultClient.Do(req)
				if err != nil {
					return // it is gone
				}
				resp.Body.Close()
				if resp.StatusCode == http.StatusCreated {
					mu.Lock()
					stored = append(stored, url)
					mu.Unlock()
				}
			}
		})
	}
	await(t, "much is reported", func() bool { return count() > 50 })
	old.servers[2].stop(syscall.SIGKILL)
	before := count()
	await(t, "more is reported", func() bool { return count() > before+50 })

	// One that is given the new list too early refuses, and the other still goes on.
	old.servers[0].stop(syscall.SIGTERM)
	early := write(t, filepath.Join(old.dirs[0], "early.toml"), strings.Replace(old.configs[0], network+"3", network+"4", 1))
	out, err := exec.Command(headlight, "serve", "-config", early).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "give this node the old list again") {
		t.Errorf("with another list: %v\n%s", err, out)
	}
	old.servers[1].stop(syscall.SIGKILL)
	load.Wait()

	from, last := "", uint64(0)
	for _, dir := range old.dirs[:2] {
		data := filepath.Join(dir, "data")
		var log struct{ Last uint64 }
		if err := json.Unmarshal([]byte(command(t, headlight, "log", "verify", "-json", "-data", data)), &log); err != nil {
			t.Fatal(err)
		}
		if log.Last > last {
			from, last = data, log.Last
		}
	}
	command(t, "sh", "-ec", page.file("move.sh", "/var/lib/headlight", from))
	five := []int{1, 2, 4, 5, 6}
	var configs []string
	for _, i := range five {
		configs = append(configs, config(i, five...))
	}
	now := newMachines(t, configs...)
	for _, dir := range now.dirs {
		data := filepath.Join(dir, "data")
		if err := cmp.Or(os.RemoveAll(data), os.CopyFS(data, os.DirFS(from))); err != nil {
			t.Fatal(err)
		}
	}
	for i := range now.servers {
		now.start(i)
	}
	for i := range now.servers {
		now.ready(i)
	}
	now.report(4, "http://worse.example/login")
	for i := range now.servers {
		now.knows(i, "http://worse.example/login")
		for urls := range slices.Chunk(stored, 50) {
			if out := now.servers[i].headlight(append([]string{"check"}, urls...)...); strings.Count(out, "dangerous") < len(urls) {
				t.Errorf("machine %d has lost some of\n%s", i, out)
			}
		}
	}
	t.Logf("%d reports were stored, and are known to all five", len(stored))
}

func TestClusterOnNATS(t *testing.T) {
	t.Parallel()
	page := open(t, "cluster.md")
	nats := filepath.Join(t.TempDir(), "nats-server")
	command(t, "go", "build", "-o", nats, "github.com/nats-io/nats-server/v2")
	network := fmt.Sprintf("127.%d.%d.", 1+rand.IntN(250), rand.IntN(250))
	for i := range 3 {
		dir := t.TempDir()
		run(t, dir, nats, "-c", write(t, filepath.Join(dir, "nats.conf"), fmt.Sprintf(`
server_name: n%d
listen: "%s%[3]d:4222"
max_payload: 9MB
jetstream { store_dir: %[4]q, sync_interval: always }
cluster { name: test, listen: "%[2]s%[3]d:6222", routes: ["nats://%[2]s5:6222", "nats://%[2]s6:6222", "nats://%[2]s7:6222"] }
`, i, network, i+5, dir)))
	}
	var configs []string
	for _, name := range []string{"a", "b", "c"} {
		configs = append(configs, page.file("headlight-nats.toml", "10.0.0.", network, `"a"`, `"`+name+`"`))
	}
	m := newMachines(t, configs...)
	m.share()
	m.servers[2].stop(syscall.SIGTERM)
	if out := m.servers[2].out.String(); strings.Contains(out, "level=ERROR") {
		t.Errorf("it ended with\n%s", out)
	}
}
