package feed

import (
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
