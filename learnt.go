package headlight

import (
	"context"
	"errors"
	"iter"

	"headlight.example/evidence"
)

// Learnt yields, in the order of the log, the entries above a sequence that are
// in the table at the time of the call. Where they were dropped it begins with
// the oldest that is there, and so it does where the log ends before them: then it
// is another log.
func (s *Service) Learnt(ctx context.Context, after uint64) iter.Seq2[evidence.Entry, error] {
	applied := s.table.Applied()
	return func(yield func(evidence.Entry, error) bool) {
		if after > applied {
			after = 0
		}
		for e, err := range s.log.Entries(ctx, after) {
			if errors.Is(err, evidence.ErrTrimmed) {
				s.learntAfterTrim(ctx, applied, yield)
				return
			}
			if err == nil && e.Seq > applied || !yield(e, err) {
				return
			}
		}
	}
}

func (s *Service) learntAfterTrim(ctx context.Context, applied uint64, yield func(evidence.Entry, error) bool) {
	stats, err := s.log.Stats(ctx)
	if err != nil {
		yield(evidence.Entry{}, err)
		return
	}
	for e, err := range s.log.Entries(ctx, max(stats.First, 1)-1) {
		if err == nil && e.Seq > applied || !yield(e, err) {
			return
		}
	}
}
