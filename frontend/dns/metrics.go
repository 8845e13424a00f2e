package dns

import (
	"sync/atomic"

	wire "github.com/miekg/dns"
	"github.com/prometheus/client_golang/prometheus"
)

// counts are for an operator. No label comes from a question.
type counts struct {
	answers   [2][16]atomic.Uint64 // over UDP and TCP, by the lower bits of the rcode
	dropped   atomic.Uint64
	transfers [2]atomic.Uint64 // whole, changes
}

const overUDP, overTCP = 0, 1
const whole, changes = 0, 1

var (
	answersDesc   = prometheus.NewDesc("headlight_dns_answers_total", "Answers over DNS, by transport and response code.", []string{"transport", "rcode"}, nil)
	droppedDesc   = prometheus.NewDesc("headlight_dns_dropped_total", "Packets not answered: no questions, or over the rate of their network.", nil, nil)
	transfersDesc = prometheus.NewDesc("headlight_dns_transfers_total", "Transfers of the policy zone begun.", []string{"what"}, nil)
)

// Describe implements prometheus.Collector.
func (s *Server) Describe(c chan<- *prometheus.Desc) {
	c <- answersDesc
	c <- droppedDesc
	c <- transfersDesc
}

// Collect implements prometheus.Collector.
func (s *Server) Collect(c chan<- prometheus.Metric) {
	count := func(d *prometheus.Desc, n *atomic.Uint64, labels ...string) {
		c <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(n.Load()), labels...)
	}
	for i, transport := range [...]string{"udp", "tcp"} {
		for _, rcode := range [...]int{wire.RcodeSuccess, wire.RcodeFormatError, wire.RcodeServerFailure, wire.RcodeNameError,
			wire.RcodeNotImplemented, wire.RcodeRefused, wire.RcodeNotAuth} {
			count(answersDesc, &s.counts.answers[i][rcode], transport, wire.RcodeToString[rcode])
		}
	}
	count(droppedDesc, &s.counts.dropped)
	count(transfersDesc, &s.counts.transfers[whole], "whole")
	count(transfersDesc, &s.counts.transfers[changes], "changes")
}
