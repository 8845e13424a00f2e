//go:build clients

// Package docs_test runs the pages of this directory: each shows the
// configuration that connects a program to Headlight, and the test beside it
// starts that very program with exactly that configuration. The programs are
// Debian's; tools/install-debian.sh installs them.
package docs_test

import (
	"bufio"
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// headlight is the program, built once for all pages.
var headlight string

func TestMain(m *testing.M) {
	flag.Parse()
	dir, err := os.MkdirTemp("", "headlight-docs")
	if err != nil {
		panic(err)
	}
	headlight = filepath.Join(dir, "headlight")
	build := exec.Command("go", "build", "-o", headlight, "../cmd/headlight")
	build.Stderr = os.Stderr
	code := 1
	if err := build.Run(); err == nil {
		code = m.Run()
	}
	os.RemoveAll(dir)
	os.Exit(code)
}

// A page is one of the documents beside this file.
type page struct {
	t    *testing.T
	name string
	text string
}

func open(t *testing.T, name string) page {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return page{t, name, string(text)}
}

// file gives the block of the page that is headed by the name, as in
// "```ini unbound.conf". In it, each old string is replaced by the new one that
// follows it, and must be there: what a test has to change is an address, a
// port or a directory, and the test shows which.
func (p page) file(name string, oldnew ...string) string {
	p.t.Helper()
	var block strings.Builder
	in, found := false, false
	for line := range strings.Lines(p.text) {
		switch {
		case !in && strings.HasPrefix(line, "```"):
			fields := strings.Fields(strings.TrimPrefix(line, "```"))
			in = len(fields) == 2 && fields[1] == name
			found = found || in
		case in && strings.HasPrefix(line, "```"):
			in = false
		case in:
			block.WriteString(line)
		}
	}
	if !found {
		p.t.Fatalf("%s has no block named %s", p.name, name)
	}
	text := block.String()
	for i := 0; i < len(oldnew); i += 2 {
		if !strings.Contains(text, oldnew[i]) {
			p.t.Fatalf("%s: %s does not hold %q", p.name, name, oldnew[i])
		}
		text = strings.ReplaceAll(text, oldnew[i], oldnew[i+1])
	}
	return text
}

// write puts text into a new file, which everybody may read: most daemons give
// up their rights when they start.
func write(t *testing.T, name, text string) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return name
}

// need finds a program of Debian's.
func need(t *testing.T, name string) string {
	t.Helper()
	for _, dir := range append(filepath.SplitList(os.Getenv("PATH")), "/usr/sbin", "/sbin") {
		if p := filepath.Join(dir, name); exec.Command("test", "-x", p).Run() == nil {
			return p
		}
	}
	t.Fatalf("%s is not installed: run \"make install\"", name)
	return ""
}

// freePort gives a port of 127.0.0.1 that was free a moment ago, on TCP and UDP.
func freePort(t *testing.T) string {
	t.Helper()
	for range 20 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		_, port, _ := net.SplitHostPort(l.Addr().String())
		u, err := net.ListenPacket("udp", l.Addr().String())
		l.Close()
		if err == nil {
			u.Close()
			return port
		}
	}
	t.Fatal("no port is free on both TCP and UDP")
	return ""
}

// A daemon is a program that a test started; it ends with the test.
type daemon struct {
	t   *testing.T
	cmd *exec.Cmd
	out *output
}

// run starts a program in its own process group.
func run(t *testing.T, dir, name string, args ...string) *daemon {
	t.Helper()
	return runWith(t, nil, dir, name, args...)
}

// runWith is run of a program that is told things on its standard input.
func runWith(t *testing.T, stdin io.Reader, dir, name string, args ...string) *daemon {
	t.Helper()
	d := &daemon{t: t, cmd: exec.Command(name, args...), out: &output{}}
	d.cmd.Dir, d.cmd.Stdin, d.cmd.Stdout, d.cmd.Stderr = dir, stdin, d.out, d.out
	d.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	d.cmd.WaitDelay = 5 * time.Second
	if err := d.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		d.stop(syscall.SIGTERM)
		if t.Failed() {
			t.Logf("%s said:\n%s", filepath.Base(name), d.out)
		}
	})
	return d
}

// stop sends a signal and waits for the end, of which it kills what is left.
func (d *daemon) stop(sig syscall.Signal) {
	if d.cmd.ProcessState != nil {
		return
	}
	d.cmd.Process.Signal(sig)
	kill := time.AfterFunc(10*time.Second, func() { syscall.Kill(-d.cmd.Process.Pid, syscall.SIGKILL) })
	d.cmd.Wait()
	kill.Stop()
	syscall.Kill(-d.cmd.Process.Pid, syscall.SIGKILL) // children that outlived it
}

// server is a running "headlight serve".
type server struct {
	*daemon
	url string // of the API, as http://127.0.0.1:1234
}

// serve starts Headlight with the configuration, in a directory of its own that
// stays the same when it is started again, and waits until it is ready.
func serve(t *testing.T, dir, config string) server {
	t.Helper()
	s := server{daemon: run(t, dir, headlight, "serve", "-config", write(t, filepath.Join(dir, "headlight.toml"), config))}
	await(t, "headlight is ready", func() bool {
		if line := lineWith(s.out.String(), "listens on"); line != "" {
			s.url = strings.Fields(line[strings.Index(line, "listens on"):])[2]
			resp, err := http.Get(s.url + "/readyz")
			if err == nil {
				resp.Body.Close()
				return resp.StatusCode == http.StatusOK
			}
		}
		return false
	})
	return s
}

// headlight runs a command against the server and gives what it prints.
func (s server) headlight(args ...string) string {
	s.t.Helper()
	return command(s.t, headlight, append([]string{args[0], "-server", s.url}, args[1:]...)...)
}

// command runs a program to its end and gives what it prints.
func command(t *testing.T, name string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", filepath.Base(name), strings.Join(args, " "), err, out)
	}
	return string(out)
}

// await asks every 20 ms until something is so, for two minutes at most: machines of CI are slow.
func await(t *testing.T, what string, so func() bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(2 * time.Minute); time.Now().Before(end); <-tick.C {
		if so() {
			return
		}
	}
	t.Fatalf("after two minutes it is not so that %s", what)
}

func lineWith(text, part string) string {
	scanner := bufio.NewScanner(strings.NewReader(text))
	for scanner.Scan() {
		if strings.Contains(scanner.Text(), part) {
			return scanner.Text()
		}
	}
	return ""
}

// output keeps what a program prints.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

var _ io.Writer = (*output)(nil)
var _ fmt.Stringer = (*output)(nil)

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}
