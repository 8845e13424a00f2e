package headlight

import (
	"context"
	"time"

	"headlight.example/evidence"
	"headlight.example/link"
	"headlight.example/reputation"
)

const (
	// drainEvery is how long a sighting may wait to be logged, and a change of
	// verdict to be published.
	drainEvery = time.Second
	// A snapshot is worth its stall of learning (about a second at ten million
	// subjects) after so much time if there is anything new.
	snapshotEvery = 15 * time.Minute
)

// Run does what goes on in the background: it logs sightings, publishes changed
// verdicts and writes snapshots. It returns nil when ctx is done.
func (s *Service) Run(ctx context.Context) error {
	drain := time.NewTicker(drainEvery)
	defer drain.Stop()
	snapshot := time.NewTicker(snapshotEvery)
	defer snapshot.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-drain.C:
			s.observe(ctx)
		case <-snapshot.C:
			applied := s.table.Applied() // what is folded meanwhile is saved next time
			if applied == s.saved.Load() {
				continue
			}
			if err := writeTable(s.dir, snapshotFile, s.table); err != nil {
				s.logger.Error("snapshot not written; the next start will be slower", "err", err)
				continue
			}
			s.saved.Store(applied)
		}
	}
}

// observe takes the sightings out of the question loop: it watches their links
// for changes and logs them, sealed. Then it publishes what has changed.
func (s *Service) observe(ctx context.Context) {
	now := s.clock.now()
	if s.sightings != nil {
		var records []evidence.Record
		seen := make(map[link.Link]bool)
		for _, x := range s.sightings.drain(nil) {
			if seen[x.link] {
				continue
			}
			seen[x.link] = true
			s.recent.add(x.link, x.level, now)
			if !s.table.Wants(x.link, now) {
				continue // the fold would not count it: it is not worth the log
			}
			records = append(records, evidence.Record{
				Time:      now,
				Rater:     evidence.SightingRater,
				Subject:   s.key.Seal(x.link),
				Assertion: evidence.Seen,
				Count:     1,
			})
		}
		if _, err := s.Append(ctx, records...); err != nil && ctx.Err() == nil {
			s.logger.Warn("sightings not logged", "count", len(records), "err", err)
		}
	}
	s.recent.review(func(l link.Link) reputation.Verdict {
		return s.table.Judge(l, s.policy.Load(), now)
	}, now)
}

// Close logs the last sightings, writes a snapshot and gives the directory
// back. Questions may still be asked; appends get an error.
func (s *Service) Close() error {
	s.closeOnce.Do(func() {
		s.observe(context.Background())
		s.learn.stop()
		if s.table.Applied() != s.saved.Load() { // who only asked has nothing to save
			s.closeErr = writeTable(s.dir, snapshotFile, s.table)
		}
		if err := s.log.Close(); err != nil {
			s.closeErr = err
		}
	})
	return s.closeErr
}

// Stats are counts for metrics and pages.
type Stats struct {
	Applied          uint64 // sequence of the last entry folded
	Subjects         int    // in the table
	SightingsDropped uint64 // since the start, because the learning loop was behind
	ReviewsOpen      int    // cases that wait for a reviewer
	ReviewsDropped   uint64 // cases that fell out unreviewed since the start, for want of room
	Log              evidence.Stats
}

// Stats counts what the service holds. It reads two records from disk.
func (s *Service) Stats(ctx context.Context) (Stats, error) {
	log, err := s.log.Stats(ctx)
	st := Stats{Applied: s.table.Applied(), Subjects: s.table.Len(), Log: log}
	st.ReviewsOpen, st.ReviewsDropped = s.table.OpenReviews()
	if s.sightings != nil {
		st.SightingsDropped = s.sightings.dropped.Load()
	}
	return st, err
}
