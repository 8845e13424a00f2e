package feed

import (
	"context"
	"os"
	"time"
)

// ScanOnly reads an event by the fast path alone.
func ScanOnly(line string) (e Event, ok bool) { return e, e.scan(line) }

// UnmarshalOnly reads an event by encoding/json alone.
func UnmarshalOnly(line string) (Event, error) {
	var e Event
	if err := e.unmarshal(line); err != nil {
		return Event{}, err
	}
	if err := e.validate(); err != nil {
		return Event{}, err
	}
	return e, nil
}

var (
	ParseRFC3339 = parseRFC3339
	SplitCSV     = splitCSV
	Refang       = refang
	EncodeSaid   = encodeSaid
	DecodeSaid   = decodeSaid
	StallTimeout = stallTimeout
	VisitTimeout = visitTimeout
	RepeatAfter  = repeatAfter * 24 * time.Hour
)

// Visit visits a source once, as Run would, with what is remembered on disk.
func (f *Fetcher) Visit(ctx context.Context, name string) error {
	if err := os.MkdirAll(f.cfg.Dir, 0o700); err != nil {
		return err
	}
	for _, s := range f.sources {
		if s.Name == name {
			m := f.load(s)
			err := f.visit(ctx, s, &m)
			if err != nil {
				f.log.WarnContext(ctx, "feed not read", "feed", s.Name, "err", loggable(err))
			}
			return err
		}
	}
	panic("no source " + name)
}
