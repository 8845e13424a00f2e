package main

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
)

// headlightCommand prepares the program, in a directory of its own.
func headlightCommand(t *testing.T, dir string, args ...string) *exec.Cmd {
	t.Helper()
	name, err := program(os.Getenv("PATH"))
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	return cmd
}

// An import that is interrupted ends at once, even if its input says nothing
// more, keeps what is durable, and says how much that is.
func TestImportIsInterrupted(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cmd := headlightCommand(t, dir, "import", "-v", "-format", "openphish", "-")
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go io.WriteString(stdin, strings.Repeat("http://a.example/x\n", importBatch+1)) // and then nothing
	lines := bufio.NewScanner(stderr)
	for lines.Scan() && !strings.Contains(lines.Text(), "are durable") {
	}
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	rest, err := io.ReadAll(stderr)
	if err != nil {
		t.Fatal(err)
	}
	cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != exitInterrupted {
		t.Errorf("exit code %d, want %d", code, exitInterrupted)
	}
	for _, want := range []string{"before that: 4,096 records", "interrupted"} {
		if text := lines.Text() + "\n" + string(rest); !strings.Contains(text, want) {
			t.Errorf("standard error lacks %q: %s", want, text)
		}
	}
	out, err := headlightCommand(t, dir, "log", "verify").Output()
	if err != nil || !bytes.Contains(out, []byte("clean: 4,096 records")) {
		t.Errorf("log verify: %v: %s", err, out)
	}
}

// systemd is told when the service is ready, reloads, and stops.
func TestSystemdIsTold(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	socket, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(dir, "notify"), Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	heard := func() string {
		b := make([]byte, 1<<10)
		// A server that died tells nothing: better an error than a hang.
		if err := socket.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
		n, err := socket.Read(b)
		if err != nil {
			t.Fatal(err)
		}
		return string(b[:n])
	}
	s, err := startServer(dir, append(os.Environ(), "NOTIFY_SOCKET="+filepath.Join(dir, "notify")), os.Getenv("PATH"))
	if err != nil {
		t.Fatal(err)
	}
	defer s.cmd.Process.Kill()
	if got := heard(); got != "READY=1" {
		t.Errorf("at the start: %q", got)
	}
	if err := s.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	if got := heard(); !strings.HasPrefix(got, "RELOADING=1\nMONOTONIC_USEC=") {
		t.Errorf("at a hangup: %q", got)
	}
	if got := heard(); got != "READY=1" {
		t.Errorf("after the reload: %q", got)
	}
	code, err := s.stop(syscall.SIGTERM)
	if err != nil || code != 0 {
		t.Errorf("exit code %d, %v: %s", code, err, s.log)
	}
	if got := heard(); got != "STOPPING=1" {
		t.Errorf("at the end: %q", got)
	}
}

// A log that a newer Headlight wrote is left alone, with a word on what to do.
func TestLogOfANewerVersion(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if out, err := headlightCommand(t, dir, "report", "-as", "spam", "http://a.example/").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	db, err := pebble.Open(filepath.Join(dir, "data", "log"), &pebble.Options{Logger: quietLogger{}, FormatMajorVersion: pebble.FormatNewest})
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Set([]byte("\xffformat"), []byte{99}, pebble.Sync); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"check", "http://a.example/"}, {"serve"}, {"log", "verify"}, {"import", "-format", "urls", "-as", "spam", "-"}} {
		cmd := headlightCommand(t, dir, args...)
		out, err := cmd.CombinedOutput()
		if err == nil || cmd.ProcessState.ExitCode() != exitFailed {
			t.Errorf("headlight %v: exit code %d, want %d", args, cmd.ProcessState.ExitCode(), exitFailed)
		}
		if !bytes.Contains(out, []byte("written by a newer Headlight than this one: upgrade it")) {
			t.Errorf("headlight %v says %s", args, out)
		}
	}
}

type quietLogger struct{}

func (quietLogger) Infof(string, ...any)  {}
func (quietLogger) Errorf(string, ...any) {}
func (quietLogger) Fatalf(string, ...any) {}
