package headlight

import "context"

// Observe does at once what Run does every second.
func (s *Service) Observe(ctx context.Context) { s.observe(ctx) }

// SettleVisits waits for the lookups under way.
func (s *Service) SettleVisits() { s.visits.group.Wait() }

const MaxLead = maxLead
