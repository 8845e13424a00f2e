//go:build race

package link_test

// underRace: the race detector makes allocations of its own.
const underRace = true
