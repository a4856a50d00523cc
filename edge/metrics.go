package edge

import (
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"levee/edge/accesslog"
	"levee/edge/cache"
	"levee/edge/collapse"
	"levee/edge/policy"
)

// maxSites is the number of sites that have their own label; the rest share
// "other", so that a config cannot make the metrics grow without bound.
const maxSites = 1000

// Metrics are the figures of an edge, for Prometheus. What a request needs is
// bound ahead: to count it costs a few atomic additions.
type Metrics struct {
	requests *prometheus.CounterVec
	duration *prometheus.HistogramVec
	ttfb     *prometheus.HistogramVec
	sent     *prometheus.CounterVec
	fetched  *prometheus.CounterVec
	statuses *prometheus.CounterVec

	faults, truncated   prometheus.Counter
	refusedConns        *prometheus.CounterVec
	conns               prometheus.Gauge
	nosite              *siteMetrics
	reloads, badReloads prometheus.Counter

	mu    sync.Mutex // guards sites
	sites map[string]*siteMetrics
}

// siteMetrics are one site's, by outcome and reason. A cell is made at its
// first use.
type siteMetrics struct {
	m        *Metrics
	label    string
	requests [noutcomes][]atomic.Pointer[prometheus.Counter]
	status   [6]prometheus.Counter // by class, 1 to 5
	duration [noutcomes]prometheus.Observer
	ttfb     [noutcomes]prometheus.Observer
	sent     prometheus.Counter
	fetched  prometheus.Counter
}

// NewMetrics registers the figures with reg.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		v := prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
		reg.MustRegister(v)
		return v
	}
	buckets := []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30}
	histogram := func(name, help string) *prometheus.HistogramVec {
		v := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets}, []string{"site", "outcome"})
		reg.MustRegister(v)
		return v
	}
	m := &Metrics{
		requests: counter("levee_requests_total", "Requests by what became of them, and why they were not stored.", "site", "outcome", "reason"),
		statuses: counter("levee_responses_total", "Responses to clients by the class of their status.", "site", "class"),
		duration: histogram("levee_request_duration_seconds", "Time from a request's head to the last byte of its answer."),
		ttfb:     histogram("levee_request_ttfb_seconds", "Time from a request's head to the head of its answer."),
		sent:     counter("levee_sent_bytes_total", "Bytes of bodies sent to clients.", "site"),
		fetched:  counter("levee_fetched_bytes_total", "Bytes of bodies fetched from origins; with levee_sent_bytes_total: byte offload = 1 - fetched/sent.", "site"),
		sites:    make(map[string]*siteMetrics),
	}
	m.refusedConns = counter("levee_connections_refused_total", "Connections closed at once, by the limit that they met.", "limit")
	m.faults = counter("levee_faults_total", "Requests that met a fault of this program.").WithLabelValues()
	m.truncated = counter("levee_origin_bodies_broken_total", "Bodies from origins that broke off or were not as announced.").WithLabelValues()
	m.reloads = counter("levee_config_reloads_total", "Configurations taken over.").WithLabelValues()
	m.badReloads = counter("levee_config_reload_failures_total", "Configurations refused because of mistakes.").WithLabelValues()
	m.conns = prometheus.NewGauge(prometheus.GaugeOpts{Name: "levee_connections", Help: "Connections that are open."})
	reg.MustRegister(m.conns)
	m.nosite = m.site("")
	return m
}

// Reloaded counts a configuration that was taken over, or refused.
func (m *Metrics) Reloaded(ok bool) {
	if ok {
		m.reloads.Inc()
	} else {
		m.badReloads.Inc()
	}
}

// Watch registers the figures that are read when they are asked for.
func (m *Metrics) Watch(reg prometheus.Registerer, store *cache.Store, flights *collapse.Table, log *accesslog.Log) {
	gauge := func(name, help string, f func() float64, labels prometheus.Labels) {
		reg.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help, ConstLabels: labels}, f))
	}
	count := func(name, help string, f func() float64) {
		reg.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: help}, f))
	}
	ram := prometheus.Labels{"tier": "ram"}
	gauge("levee_cache_bytes", "Bytes of stored responses with their overhead.", func() float64 { return float64(store.Stats().Bytes) }, ram)
	gauge("levee_cache_responses", "Stored responses, each variant of a key counted.", func() float64 { return float64(store.Stats().Stored) }, ram)
	gauge("levee_cache_keys", "Keys under which responses are stored.", func() float64 { return float64(store.Stats().Keys) }, ram)
	gauge("levee_cache_transit_bytes", "Bytes of bodies in RAM beside the cache: flights, and what slow readers hold.", func() float64 { return float64(store.Stats().Transit) }, nil)
	count("levee_cache_rejected_total", "Keys that the admission to the RAM tier refused.", func() float64 { return float64(store.Stats().Rejected) })
	gauge("levee_flights", "Fetches under way.", func() float64 { return float64(flights.Flights()) }, nil)
	gauge("levee_flight_waiters", "Requests that wait for the head of another's fetch.", func() float64 { return float64(flights.Waiters()) }, nil)
	if log != nil {
		count("levee_access_log_dropped_total", "Lines that the access log had no room for.", func() float64 { return float64(log.Dropped()) })
	}
}

// site returns the figures of a site, the same ones for the same name over all
// reloads.
func (m *Metrics) site(name string) *siteMetrics {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.sites) >= maxSites && m.sites[name] == nil {
		name = "other"
	}
	if s := m.sites[name]; s != nil {
		return s
	}
	s := &siteMetrics{m: m, label: name, sent: m.sent.WithLabelValues(name), fetched: m.fetched.WithLabelValues(name)}
	for o := range noutcomes {
		s.requests[o] = make([]atomic.Pointer[prometheus.Counter], len(policy.Reasons()))
		s.duration[o] = m.duration.WithLabelValues(name, o.String())
		s.ttfb[o] = m.ttfb.WithLabelValues(name, o.String())
	}
	for class := 1; class < len(s.status); class++ {
		s.status[class] = m.statuses.WithLabelValues(name, strconv.Itoa(class)+"xx")
	}
	m.sites[name] = s
	return s
}

func (s *siteMetrics) originBytes(n int64) { s.fetched.Add(float64(n)) }

// observe counts a request that has ended.
func (m *Metrics) observe(x *Exchange, took time.Duration) {
	s := m.nosite
	if x.site != nil {
		s = x.site.metrics
	}
	cell := &s.requests[x.outcome][x.reason]
	c := cell.Load()
	if c == nil {
		made := m.requests.WithLabelValues(s.label, x.outcome.String(), x.reason.String())
		cell.Store(&made)
		c = &made
	}
	(*c).Inc()
	s.status[min(max(x.status/100, 1), len(s.status)-1)].Inc()
	s.duration[x.outcome].Observe(took.Seconds())
	if x.started {
		s.ttfb[x.outcome].Observe(x.ttfb.Seconds())
	}
	s.sent.Add(float64(x.sent))
	if x.originBytes > 0 {
		s.fetched.Add(float64(x.originBytes))
	}
}
