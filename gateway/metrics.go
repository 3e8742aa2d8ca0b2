package main

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// gatewayMetrics are what an operator watches beside the HTTP server's own:
//
//	souk_gateway_requests_total{route,service,status}      answers, by route template and status code
//	souk_gateway_upstream_duration_seconds{service}        one call to one instance
//	souk_gateway_retries_total{service,reason}             second calls: unreachable, broken
//	souk_gateway_streams{service}                          open now
//	souk_gateway_streams_ended_total{service,outcome}      complete, broken (by the service), left (by the client, or us), revoked
//	souk_gateway_instances{service}                        in the catalogue now
//	souk_gateway_catalogue_age_seconds{service}            since Consul last answered
//	souk_gateway_table_changes_total{outcome}              new routing tables: applied, failed
type gatewayMetrics struct {
	requests *prometheus.CounterVec
	upstream *prometheus.HistogramVec
	retries  *prometheus.CounterVec
	tables   *prometheus.CounterVec
	streams  *prometheus.GaugeVec
	ended    *prometheus.CounterVec
}

func newMetrics(r prometheus.Registerer, b *balancer) *gatewayMetrics {
	m := &gatewayMetrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "souk_gateway_requests_total", Help: "Requests for a service, by route template and the status that the client got.",
		}, []string{"route", "service", "status"}),
		upstream: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "souk_gateway_upstream_duration_seconds", Help: "Time of one call to one instance, failed ones too.",
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
		}, []string{"service"}),
		retries: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "souk_gateway_retries_total", Help: "Requests sent to one more instance, by why the one before failed.",
		}, []string{"service", "reason"}),
		tables: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "souk_gateway_table_changes_total", Help: "Configurations that became the routing table, or failed to.",
		}, []string{"outcome"}),
		streams: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "souk_gateway_streams", Help: "Streams of events that are open.",
		}, []string{"service"}),
		ended: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "souk_gateway_streams_ended_total", Help: "Streams of events that have ended: complete, broken by the service, left by the client or the gateway, revoked.",
		}, []string{"service", "outcome"}),
	}
	r.MustRegister(m.requests, m.upstream, m.retries, m.tables, m.streams, m.ended, catalogue{b})
	return m
}

func (m *gatewayMetrics) request(r *route, status int) {
	m.requests.WithLabelValues(r.pattern, r.service, strconv.Itoa(status)).Inc()
}

func (m *gatewayMetrics) call(service string, d time.Duration) {
	m.upstream.WithLabelValues(service).Observe(d.Seconds())
}

func (m *gatewayMetrics) retry(service, reason string) {
	m.retries.WithLabelValues(service, reason).Inc()
}

// catalogue reads the balancer when it is scraped.
type catalogue struct{ *balancer }

func (catalogue) instances() *prometheus.Desc {
	return prometheus.NewDesc("souk_gateway_instances", "Instances of a service that requests go to.", []string{"service"}, nil)
}

func (catalogue) age() *prometheus.Desc {
	return prometheus.NewDesc("souk_gateway_catalogue_age_seconds", "Time since Consul last answered for a service; below 40 while all is well.", []string{"service"}, nil)
}

// Describe implements prometheus.Collector.
func (c catalogue) Describe(out chan<- *prometheus.Desc) {
	out <- c.instances()
	out <- c.age()
}

// Collect implements prometheus.Collector.
func (c catalogue) Collect(out chan<- prometheus.Metric) {
	c.each(func(s *service) {
		out <- prometheus.MustNewConstMetric(c.instances(), prometheus.GaugeValue, float64(s.count()), s.name)
		out <- prometheus.MustNewConstMetric(c.age(), prometheus.GaugeValue, s.watcher.Age().Seconds(), s.name)
	})
}
