package milter

import (
	"github.com/prometheus/client_golang/prometheus"

	"headlight.example/reputation"
)

// metrics counts. Every label comes from a closed set.
type metrics struct {
	mails       [reputation.Dangerous - reputation.Safe + 1][len(actionNames)]prometheus.Counter
	unscanned   prometheus.Counter
	connections prometheus.Gauge
	refused     prometheus.Counter
	broken      prometheus.Counter
}

func newMetrics(reg *prometheus.Registry) *metrics {
	m := &metrics{
		unscanned: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "headlight_milter_unscanned_total",
			Help: "Mails that were passed though not all of them was looked at.",
		}),
		connections: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "headlight_milter_connections",
			Help: "Connections of mail servers.",
		}),
		refused: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "headlight_milter_refused_connections_total",
			Help: "Connections closed at once, as too many were open.",
		}),
		broken: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "headlight_milter_broken_connections_total",
			Help: "Connections closed because of what came over them, or in the midst of a mail.",
		}),
	}
	mails := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "headlight_milter_mails_total",
		Help: "Mails judged, by the level of their worst link and what became of them.",
	}, []string{"level", "action"})
	for l := range m.mails {
		for a, name := range actionNames {
			m.mails[l][a] = mails.WithLabelValues((reputation.Safe + reputation.Level(l)).String(), name)
		}
	}
	reg.MustRegister(mails, m.unscanned, m.connections, m.refused, m.broken)
	return m
}

func (m *metrics) judged(l reputation.Level, a Action) { m.mails[l-reputation.Safe][a].Inc() }
