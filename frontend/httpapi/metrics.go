package httpapi

import (
	"context"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"headlight.example"
	"headlight.example/probe"
	"headlight.example/reputation"
)

// metrics counts. Every label comes from a closed set: routes, status codes
// that we send, levels.
type metrics struct {
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	other    routeMetrics
	verdicts [reputation.Dangerous - reputation.Safe + 1]prometheus.Counter
	records  prometheus.Counter
	handler  http.Handler
}

// routeMetrics are the counters of one route, found once.
type routeMetrics struct {
	pattern string
	seconds prometheus.Observer
	ok      prometheus.Counter // 200, by far the most
	others  sync.Map           // int → prometheus.Counter
}

// buckets reach from a check from memory (tens of microseconds) to a scan of a
// large mail; each is about three times the one before.
var buckets = []float64{30e-6, 100e-6, 300e-6, 1e-3, 3e-3, 10e-3, 30e-3, 100e-3, 300e-3, 1, 3, 10}

func newMetrics(svc *headlight.Service, reg *prometheus.Registry, routes map[string]*route) *metrics {
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "headlight_http_requests_total",
			Help: "Requests answered, by route and status code.",
		}, []string{"route", "code"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "headlight_http_request_seconds",
			Help:    "Time to answer a request, by route.",
			Buckets: buckets,
		}, []string{"route"}),
		records: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "headlight_http_records_total",
			Help: "Reports and appeals stored.",
		}),
	}
	verdicts := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "headlight_http_verdicts_total",
		Help: "Verdicts given, by level.",
	}, []string{"level"})
	for l := reputation.Safe; l <= reputation.Dangerous; l++ {
		m.verdicts[l-reputation.Safe] = verdicts.WithLabelValues(l.String())
	}
	reg.MustRegister(m.requests, m.seconds, m.records, verdicts, &serviceMetrics{svc},
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	for _, r := range routes {
		m.start(&r.counts, r.pattern)
	}
	m.start(&m.other, "other")
	m.handler = promhttp.HandlerFor(reg, promhttp.HandlerOpts{MaxRequestsInFlight: 4})
	return m
}

func (m *metrics) start(r *routeMetrics, pattern string) {
	r.pattern = pattern
	r.seconds = m.seconds.WithLabelValues(pattern)
	r.ok = m.requests.WithLabelValues(pattern, "200")
}

// observe counts a request; route is nil for an unknown path or method.
func (m *metrics) observe(route *route, status int, elapsed time.Duration) {
	r := &m.other
	if route != nil {
		r = &route.counts
	}
	// A stream of changes lasts as long as its listener.
	if route == nil || route.pattern != changesPath {
		r.seconds.Observe(elapsed.Seconds())
	}
	if status == http.StatusOK {
		r.ok.Inc()
		return
	}
	c, ok := r.others.Load(status)
	if !ok {
		c, _ = r.others.LoadOrStore(status, m.requests.WithLabelValues(r.pattern, strconv.Itoa(status)))
	}
	c.(prometheus.Counter).Inc()
}

// judged counts verdicts by level.
type judged [reputation.Dangerous - reputation.Safe + 1]int

func (j *judged) add(l reputation.Level) { j[l-reputation.Safe]++ }

func (m *metrics) judged(j *judged) {
	for i, n := range j {
		if n > 0 {
			m.verdicts[i].Add(float64(n))
		}
	}
}

func (c *call) metrics() error {
	c.status = http.StatusOK
	c.s.metrics.handler.ServeHTTP(c.w, c.r)
	return nil
}

// serviceMetrics shows the counts of the service at the time of the scrape.
type serviceMetrics struct {
	svc *headlight.Service
}

func describe(name, help string) *prometheus.Desc { return prometheus.NewDesc(name, help, nil, nil) }

var (
	subjectsDesc = describe("headlight_table_subjects", "Subjects in the reputation table.")
	appliedDesc  = describe("headlight_log_applied", "Sequence of the last record that was folded into the table.")
	recordsDesc  = describe("headlight_log_records", "Records in the log.")
	bytesDesc    = describe("headlight_log_bytes", "Bytes of the log on disk.")
	newestDesc   = describe("headlight_log_newest_timestamp_seconds", "When the last record was said.")
	droppedDesc  = describe("headlight_sightings_dropped_total", "Links seen in traffic that were not learnt, for want of room.")
	reviewsDesc  = describe("headlight_reviews_open", "Reports and appeals that wait for a reviewer.")
	lostDesc     = describe("headlight_reviews_dropped_total", "Reports and appeals that fell out unreviewed, for want of room.")
	visitsDesc   = prometheus.NewDesc("headlight_visits_total", "Visits that ended since the start, by outcome.", []string{"outcome"}, nil)
	haltedDesc   = describe("headlight_visits_halted", "1 if no visits are made, 0 if they are.")
	waitingDesc  = describe("headlight_visits_waiting", "Links that wait for a visit.")
	refusedDesc  = describe("headlight_visits_refused_total", "Links that were not visited, as too many waited.")
	expiredDesc  = describe("headlight_visits_expired_total", "Links that were not visited in time, and forgotten.")
	rdapDesc     = prometheus.NewDesc("headlight_rdap_total", "Domains that registries were to be asked about since the start, by outcome; answered, refused and failed ones were asked about.", []string{"outcome"}, nil)
	readyDesc    = describe("headlight_ready", "1 if the service can store evidence, 0 if its last attempt failed.")
)

// Describe implements prometheus.Collector.
func (s *serviceMetrics) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{subjectsDesc, appliedDesc, recordsDesc, bytesDesc, newestDesc, droppedDesc, reviewsDesc, lostDesc, visitsDesc, haltedDesc, waitingDesc, refusedDesc, expiredDesc, rdapDesc, readyDesc} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (s *serviceMetrics) Collect(ch chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v)
	}
	ctx, cancel := context.WithTimeout(context.Background(), scrapeTimeout)
	defer cancel()
	st, err := s.svc.Stats(ctx)
	gauge(subjectsDesc, float64(st.Subjects))
	gauge(appliedDesc, float64(st.Applied))
	if err == nil { // what cannot be read is left out; the table is in memory
		gauge(recordsDesc, float64(st.Log.Records))
		gauge(bytesDesc, float64(st.Log.Bytes))
		if !st.Log.LastTime.IsZero() {
			gauge(newestDesc, float64(st.Log.LastTime.UnixMilli())/1000)
		}
	}
	ch <- prometheus.MustNewConstMetric(droppedDesc, prometheus.CounterValue, float64(st.SightingsDropped))
	gauge(reviewsDesc, float64(st.ReviewsOpen))
	ch <- prometheus.MustNewConstMetric(lostDesc, prometheus.CounterValue, float64(st.ReviewsDropped))
	if v := s.svc.Visits(); v != nil {
		s.collectVisits(ch, v)
	}
	ready := 1.0
	if s.svc.Ready() != nil {
		ready = 0
	}
	gauge(readyDesc, ready)
}

func (s *serviceMetrics) collectVisits(ch chan<- prometheus.Metric, v *headlight.Visits) {
	for i, name := range probe.Outcomes() {
		ch <- prometheus.MustNewConstMetric(visitsDesc, prometheus.CounterValue, float64(v.Count(probe.Outcome(i))), name)
	}
	halted := 0.0
	if v.Halted() {
		halted = 1
	}
	ch <- prometheus.MustNewConstMetric(haltedDesc, prometheus.GaugeValue, halted)
	q := v.Queue()
	ch <- prometheus.MustNewConstMetric(waitingDesc, prometheus.GaugeValue, float64(q.Waiting))
	ch <- prometheus.MustNewConstMetric(refusedDesc, prometheus.CounterValue, float64(q.Full))
	ch <- prometheus.MustNewConstMetric(expiredDesc, prometheus.CounterValue, float64(q.Expired))
	for outcome, n := range v.Registries {
		ch <- prometheus.MustNewConstMetric(rdapDesc, prometheus.CounterValue, float64(n), outcome)
	}
}

// scrapeTimeout is shorter than the ten seconds that Prometheus waits.
const scrapeTimeout = 5 * time.Second
