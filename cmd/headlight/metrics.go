package main

import (
	"github.com/prometheus/client_golang/prometheus"

	"headlight.example/blocklist"
)

// registerEditions shows which edition is published.
func registerEditions(reg prometheus.Registerer, shelf *blocklist.Shelf) {
	gauge := func(name, help string, f func(*blocklist.Edition) float64) {
		reg.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, func() float64 {
			if e := shelf.Latest(); e != nil {
				return f(e)
			}
			return 0
		}))
	}
	gauge("headlight_edition_serial", "Number of the newest edition of the lists: its Unix time; 0 before the first.",
		func(e *blocklist.Edition) float64 { return float64(e.Serial()) })
	gauge("headlight_edition_entries", "Entries of the newest edition of the lists.",
		func(e *blocklist.Edition) float64 { return float64(e.Len()) })
}
