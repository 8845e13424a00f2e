package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestMain makes the test binary the program as well: scripts and tests run
// what users run, signals and exit codes and all.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"headlight": func() { os.Exit(runSignalled()) },
	})
}

// Scripts are in testdata/script at the root of the repository: what a user sees.
func TestScripts(t *testing.T) {
	dir := filepath.Join("..", "..", "testdata", "script")
	files, err := filepath.Glob(filepath.Join(dir, "*.txtar"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts in %s: %v", dir, err)
	}
	testscript.Run(t, testscript.Params{
		Dir:                 dir,
		RequireUniqueNames:  true,
		RequireExplicitExec: true,
		Setup: func(env *testscript.Env) error {
			mail, err := filepath.Abs(filepath.Join("..", "..", "testdata", "mail"))
			env.Setenv("MAIL", mail)
			env.Setenv("NO_PROXY", "*")
			env.Setenv("GOCOVERDIR", "") // the scripts compare standard error
			return err
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"serve":    cmdServe,
			"quit":     cmdQuit,
			"hangup":   cmdHangup,
			"http":     cmdHTTP,
			"flip":     cmdFlip,
			"exit":     cmdExit,
			"repeat":   cmdRepeat,
			"world":    cmdWorld,
			"visitor":  cmdVisitor,
			"expand":   cmdExpand,
			"await":    cmdAwait,
			"receiver": cmdReceiver,
			"received": cmdReceived,
		},
	})
}

// serving is a server that a script or a test started.
type serving struct {
	cmd     *exec.Cmd
	url     string
	milter  string // its address, "" if there is none
	sms     string // its URL, "" if there is none
	dns     string // its address, "" if there is none
	log     *lockedBuffer
	drained sync.WaitGroup
}

// program finds the test binary under its name as the program.
func program(path string) (string, error) {
	for _, dir := range filepath.SplitList(path) {
		name := filepath.Join(dir, "headlight")
		if info, err := os.Stat(name); err == nil && info.Mode().IsRegular() {
			return name, nil
		}
	}
	return "", fmt.Errorf("headlight is not in PATH %s", path)
}

// startServer starts "headlight serve" on a free port and waits until it says
// where it listens.
func startServer(dir string, env []string, path string, args ...string) (*serving, error) {
	name, err := program(path)
	if err != nil {
		return nil, err
	}
	s := &serving{log: &lockedBuffer{}}
	s.cmd = exec.Command(name, append([]string{"serve", "-listen", "127.0.0.1:0"}, args...)...) // the last -listen holds
	s.cmd.Dir, s.cmd.Env = dir, env
	stdout, err := s.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	// Files would do, but a pipe has an end: reading it needs no waiting.
	stderr, err := s.cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	s.drained.Go(func() { io.Copy(s.log, stderr) })
	greeting := bufio.NewReader(stdout)
	for {
		line, err := greeting.ReadString('\n')
		if url, ok := strings.CutPrefix(strings.TrimSpace(line), "listens on"); ok {
			s.url = strings.TrimSpace(url)
		}
		if addr, ok := strings.CutPrefix(strings.TrimSpace(line), "mail        milter on "); ok {
			s.milter = addr
		}
		if url, ok := strings.CutPrefix(strings.TrimSpace(line), "sms         webhooks on "); ok {
			s.sms = url
		}
		if addr, ok := strings.CutPrefix(strings.TrimSpace(line), "dns         UDP and TCP on "); ok {
			s.dns = addr
		}
		if strings.HasPrefix(strings.TrimSpace(line), "try ") { // the last one
			break
		}
		if err != nil {
			s.drained.Wait()
			return s, fmt.Errorf("the server ended: %v: %s", s.cmd.Wait(), s.log)
		}
	}
	s.drained.Go(func() { io.Copy(io.Discard, greeting) })
	return s, nil
}

// stop sends a signal and waits for the end. It returns the exit code.
func (s *serving) stop(sig syscall.Signal) (int, error) {
	if err := s.cmd.Process.Signal(sig); err != nil {
		return -1, err
	}
	s.drained.Wait()
	err := s.cmd.Wait()
	if s.cmd.ProcessState == nil {
		return -1, err
	}
	return s.cmd.ProcessState.ExitCode(), nil
}

// The server of a script is kept by the script's directory.
var (
	servingMu sync.Mutex
	servings  = map[string]*serving{}
)

func servingOf(ts *testscript.TestScript) *serving {
	servingMu.Lock()
	defer servingMu.Unlock()
	s := servings[ts.Getenv("WORK")]
	if s == nil {
		ts.Fatalf("no server was started")
	}
	return s
}

// serve [flags]: starts a server, and puts its URL into $SERVER. "! serve"
// wants it to refuse to start, with its words on stderr.
func cmdServe(ts *testscript.TestScript, neg bool, args []string) {
	env := []string{}
	for _, name := range []string{"PATH", "HOME", "TMPDIR", "WORK"} {
		env = append(env, name+"="+ts.Getenv(name))
	}
	s, err := startServer(ts.MkAbs("."), env, ts.Getenv("PATH"), args...)
	if neg {
		if err == nil {
			s.stop(syscall.SIGKILL)
			ts.Fatalf("the server started")
		}
		io.WriteString(ts.Stderr(), s.log.String())
		return
	}
	ts.Check(err)
	ts.Setenv("SERVER", s.url)
	ts.Setenv("ADDR", strings.TrimPrefix(s.url, "http://"))
	servingMu.Lock()
	servings[ts.Getenv("WORK")] = s
	servingMu.Unlock()
	ts.Defer(func() { s.cmd.Process.Kill() })
}

// quit [SIGNAL]: ends the server, which must exit with 0; its log is on stderr.
func cmdQuit(ts *testscript.TestScript, neg bool, args []string) {
	sig := syscall.SIGTERM
	if len(args) == 1 {
		sig = map[string]syscall.Signal{"INT": syscall.SIGINT, "TERM": syscall.SIGTERM, "KILL": syscall.SIGKILL}[args[0]]
	}
	s := servingOf(ts)
	code, err := s.stop(sig)
	ts.Check(err)
	io.WriteString(ts.Stderr(), s.log.String())
	if (code != 0) != neg {
		ts.Fatalf("the server exited with %d", code)
	}
}

// hangup: has the server read its configuration again, and waits until it says so.
func cmdHangup(ts *testscript.TestScript, neg bool, args []string) {
	s := servingOf(ts)
	before := strings.Count(s.log.String(), "reloaded")
	ts.Check(s.cmd.Process.Signal(syscall.SIGHUP))
	s.log.await(func(log string) bool { return strings.Count(log, "reloaded") > before })
	io.WriteString(ts.Stderr(), s.log.String())
}

// http [-token T] METHOD PATH [BODY]: asks the server. The status and the body
// are on stdout; "! http" wants a status of 400 or more.
func cmdHTTP(ts *testscript.TestScript, neg bool, args []string) {
	token := ""
	if len(args) > 2 && args[0] == "-token" {
		token, args = args[1], args[2:]
	}
	if len(args) < 2 {
		ts.Fatalf("usage: http [-token T] METHOD PATH [BODY]")
	}
	var body io.Reader
	if len(args) > 2 {
		body = strings.NewReader(args[2])
	}
	req, err := http.NewRequest(args[0], servingOf(ts).url+args[1], body)
	ts.Check(err)
	req.Header.Set("Content-Type", "application/json")
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := http.DefaultClient.Do(req)
	ts.Check(err)
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	ts.Check(err)
	fmt.Fprintf(ts.Stdout(), "%d\n%s\n", resp.StatusCode, answer)
	if (resp.StatusCode >= 400) != neg {
		ts.Fatalf("%s %s: %d %s", args[0], args[1], resp.StatusCode, answer)
	}
}

// await REGEXP METHOD PATH [BODY]: asks the server again and again until the
// answer matches, for what it does in its own time.
func cmdAwait(ts *testscript.TestScript, _ bool, args []string) {
	want := regexp.MustCompile(args[0])
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for range 1500 {
		body := strings.NewReader(strings.Join(args[3:], ""))
		req, err := http.NewRequest(args[1], servingOf(ts).url+args[2], body)
		ts.Check(err)
		req.Header.Set("Content-Type", "application/json")
		resp, err := http.DefaultClient.Do(req)
		ts.Check(err)
		answer, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		ts.Check(err)
		if want.Match(answer) {
			return
		}
		<-tick.C
	}
	ts.Fatalf("the answer of %s does not come to match %s", args[2], want)
}

// flip FILE OFFSET: changes one byte of a file; an offset below 0 counts from
// its end.
func cmdFlip(ts *testscript.TestScript, _ bool, args []string) {
	name := ts.MkAbs(args[0])
	b, err := os.ReadFile(name)
	ts.Check(err)
	at, err := strconv.Atoi(args[1])
	ts.Check(err)
	if at < 0 {
		at += len(b)
	}
	b[at] ^= 0x40
	ts.Check(os.WriteFile(name, b, 0o600))
}

// exit CODE COMMAND…: runs a command that must exit with the code.
func cmdExit(ts *testscript.TestScript, _ bool, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	got := 0
	if exit, ok := err.(*exec.ExitError); ok {
		got = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

// repeat N FORMAT FILE: writes N lines; %d in the format is the number of each.
func cmdRepeat(ts *testscript.TestScript, _ bool, args []string) {
	n, err := strconv.Atoi(args[0])
	ts.Check(err)
	var b bytes.Buffer
	for i := range n {
		fmt.Fprintf(&b, args[1]+"\n", i)
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[2]), b.Bytes(), 0o600))
}
