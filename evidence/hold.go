package evidence

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
)

// lockFile stands in a data directory. The process that holds the directory
// has a lock on it, which the kernel lifts when the process ends however it
// ends; what is written in the file only explains: a line with the process,
// a line with the address of its server.
const lockFile = "lock"

// HeldError says that another process has the data directory open.
type HeldError struct {
	Dir    string
	PID    int    // 0 if not known
	Server string // base URL at which that process answers; "" if it does not, or did not say
}

func (e *HeldError) Error() string {
	s := fmt.Sprintf("data directory %s is held by ", e.Dir)
	switch e.PID {
	case 0:
		s += "another process"
	case os.Getpid():
		s += "this very process"
	default:
		s += fmt.Sprintf("process %d", e.PID)
	}
	if e.Server != "" {
		return s + "; use -server " + e.Server + " or stop it"
	}
	return s + "; stop it or wait for its end"
}

// hold is the lock on a data directory.
type hold struct{ f *os.File }

// takeHold locks dir for this process or returns a *HeldError.
func takeHold(dir, server string) (*hold, error) {
	f, err := os.OpenFile(filepath.Join(dir, lockFile), os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, err
	}
	// flock belongs to the open file: a second Open in this process is refused
	// too, and reading the file elsewhere does not lift it, as it would with fcntl.
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		defer f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, readHolder(dir, f)
		}
		return nil, fmt.Errorf("lock %s: %w", f.Name(), err)
	}
	h := &hold{f}
	if err := h.tell(server); err != nil {
		f.Close()
		return nil, fmt.Errorf("write %s: %w", f.Name(), err)
	}
	return h, nil
}

// tell writes who holds the directory. It is not made durable: a lock does not
// outlive its process. On a full disk the lock holds without the words.
func (h *hold) tell(server string) error {
	b := fmt.Appendf(nil, "%d\n%s\n", os.Getpid(), server)
	if err := h.f.Truncate(0); err != nil {
		return err
	}
	if _, err := h.f.WriteAt(b, 0); err != nil && !errors.Is(err, syscall.ENOSPC) {
		return err
	}
	return nil
}

// release lifts the lock before it closes the file: a child that is just being
// forked has a copy of the descriptor until it executes, and with it the lock.
func (h *hold) release() error {
	return errors.Join(syscall.Flock(int(h.f.Fd()), syscall.LOCK_UN), h.f.Close())
}

// readHolder reads what the holder wrote, which may be half of it.
func readHolder(dir string, r io.Reader) *HeldError {
	e := &HeldError{Dir: dir}
	lines := bufio.NewScanner(io.LimitReader(r, 4096))
	if lines.Scan() {
		e.PID, _ = strconv.Atoi(lines.Text())
	}
	if lines.Scan() {
		e.Server = string(bytes.TrimSpace(lines.Bytes()))
	}
	return e
}
