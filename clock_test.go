package headlight

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"time"
)

func TestAClockThatJumpsIsNotFollowed(t *testing.T) {
	tests := []struct {
		name     string
		jump     time.Duration
		followed bool
	}{
		{"a step of the time daemon is followed", 30 * time.Second, true},
		{"an hour is followed", maxDrift - time.Minute, true},
		{"more than an hour is not", maxDrift + time.Minute, false},
		{"ten years ahead are not", 10 * 365 * 24 * time.Hour, false},
		{"a step back is followed", -30 * time.Second, true},
		{"the year 1970 is not", -50 * 365 * 24 * time.Hour, false},
	}
	for _, tt := range tests {
		var log bytes.Buffer
		var c clock
		c.start(slog.New(slog.NewTextHandler(&log, nil)))
		c.wall = func() time.Time { return time.Now().Add(tt.jump) }
		off := time.Until(c.now())
		if followed := (off - tt.jump).Abs() < time.Second; followed != tt.followed {
			t.Errorf("%s: off by %v after a jump of %v", tt.name, off, tt.jump)
		}
		if !tt.followed && off.Abs() > time.Second {
			t.Errorf("%s: the time counted since the start is off by %v", tt.name, off)
		}
		c.now()
		if n := strings.Count(log.String(), "the clock jumped"); (n == 1) == tt.followed || n > 1 {
			t.Errorf("%s: warned %d times", tt.name, n)
		}
	}
}
