package headlight

import "context"

// Observe does at once what Run does every second.
func (s *Service) Observe(ctx context.Context) { s.observe(ctx) }

// Settle waits for the lookups under way.
func (s *Service) Settle() { s.visits.group.Wait() }
