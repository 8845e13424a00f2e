package headlight

import (
	"log/slog"
	"sync/atomic"
	"time"
)

// maxDrift is how far the wall clock may move against the monotonic one before
// we stop believing it. A step by the time daemon is seconds; an hour is a
// dead battery or a typo, and evidence dated by it would age everything else.
const maxDrift = time.Hour

// clock is the wall clock, guarded against jumps while the process runs. The
// mend for a jump that was right (the machine slept, the clock was wrong at
// the start) is a restart.
type clock struct {
	anchor time.Time // carries the monotonic reading
	logger *slog.Logger
	warned atomic.Bool
	wall   func() time.Time // nil: time.Now
}

func (c *clock) start(logger *slog.Logger) {
	c.anchor, c.logger = time.Now(), logger
}

func (c *clock) now() time.Time {
	wall := time.Now()
	if c.wall != nil {
		wall = c.wall()
	}
	steady := c.anchor.Add(time.Since(c.anchor))
	// Round strips the monotonic reading, so that wall times are compared.
	if drift := wall.Round(0).Sub(steady.Round(0)); drift > maxDrift || drift < -maxDrift {
		if c.warned.CompareAndSwap(false, true) {
			c.logger.Warn("the clock jumped; going on with the time counted since the start; restart once the clock is right", "jump", drift)
		}
		return steady
	}
	return wall
}
