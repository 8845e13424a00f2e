package headlight

import "context"

// Observe does at once what Run does every second.
func (s *Service) Observe(ctx context.Context) { s.observe(ctx) }

// SettleVisits waits for the lookups under way.
func (s *Service) SettleVisits() { s.visits.group.Wait() }

// AskingRegistries is how many hosts' registries are being asked.
func (s *Service) AskingRegistries() int {
	s.visits.mu.Lock()
	defer s.visits.mu.Unlock()
	return s.visits.asked
}

const MaxLead = maxLead
