package headlight

import (
	"context"
	"errors"
	"sync"
	"time"

	"headlight.example/evidence"
	"headlight.example/link"
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
// verdicts, writes snapshots and makes visits. It returns nil when ctx is done, and
// an error if this machine has fallen out of its cluster for good.
func (s *Service) Run(ctx context.Context) error {
	var visits sync.WaitGroup
	visits.Go(func() { s.visits.run(ctx) })
	defer visits.Wait()
	drain := time.NewTicker(drainEvery)
	defer drain.Stop()
	snapshot := time.NewTicker(snapshotEvery)
	defer snapshot.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-s.learn.lost():
			return err
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
// for changes and logs them, sealed; some wait for a moment until it is known
// where they are. Then it publishes what has changed.
func (s *Service) observe(ctx context.Context) {
	now := s.clock.now()
	if s.sightings != nil {
		var records []evidence.Record
		seen := make(map[link.Link]int)
		var links []sighting
		for _, x := range s.sightings.drain(nil) {
			if i, ok := seen[x.link]; ok { // a header may say what an anchor does not
				links[i].unsubscribe = links[i].unsubscribe || x.unsubscribe
				// They are in no order; somebody was told the milder level.
				links[i].level = min(links[i].level, x.level)
				continue
			}
			seen[x.link] = len(links)
			links = append(links, x)
		}
		for _, x := range links {
			s.recent.add(x.link, x.level, now)
			r := evidence.Record{
				Time:      now,
				Rater:     evidence.SightingRater,
				Subject:   s.key.Seal(x.link),
				Assertion: evidence.Seen,
				Count:     1,
			}
			if s.visits.await(x, r) {
				continue
			}
			if s.table.Wants(x.link, now) { // what the fold would not count is not worth the log
				records = append(records, r)
			}
		}
		if _, err := s.Append(ctx, records...); err != nil && ctx.Err() == nil {
			s.logger.Warn("sightings not logged", "count", len(records), "err", err)
		}
	}
	s.recent.review(s.judgeLed, s.visits.ledTo, now)
}

// Close logs the last sightings, writes a snapshot and gives the directory
// back. Questions may still be asked; appends get an error.
func (s *Service) Close() error {
	s.closeOnce.Do(func() {
		// With the cluster gone the last sightings are not worth a wait.
		ctx, cancel := context.WithTimeout(context.Background(), stopWait)
		defer cancel()
		s.observe(ctx)
		s.visits.close()
		s.closeErr = s.learn.stop()
		if s.table.Applied() != s.saved.Load() { // who only asked has nothing to save
			s.closeErr = errors.Join(s.closeErr, writeTable(s.dir, snapshotFile, s.table))
		}
		if s.visits != nil {
			s.closeErr = errors.Join(s.closeErr, s.visits.ledger.Close())
			if s.visits.rdap != nil {
				s.closeErr = errors.Join(s.closeErr, s.visits.rdap.Close())
			}
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
