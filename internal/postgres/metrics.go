package postgres

import "github.com/prometheus/client_golang/prometheus"

var (
	connsDesc     = prometheus.NewDesc("souk_postgres_connections", "Connections by state.", []string{"state"}, nil)
	maxConnsDesc  = prometheus.NewDesc("souk_postgres_connections_max", "Connections the pool may have.", nil, nil)
	waitsDesc     = prometheus.NewDesc("souk_postgres_waits_total", "Times a caller had to wait for a connection.", nil, nil)
	waitedDesc    = prometheus.NewDesc("souk_postgres_wait_seconds_total", "Time callers spent getting a connection.", nil, nil)
	rotationsDesc = prometheus.NewDesc("souk_postgres_rotations_total", "Times the credentials were replaced under the pool.", nil, nil)
)

// Metrics collects the pool's connections, the waits for them, and rotations.
func (p *Pool) Metrics() prometheus.Collector { return collector{p} }

type collector struct{ p *Pool }

func (c collector) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{connsDesc, maxConnsDesc, waitsDesc, waitedDesc, rotationsDesc} {
		out <- d
	}
}

func (c collector) Collect(out chan<- prometheus.Metric) {
	s := c.p.Stat()
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	counter := func(d *prometheus.Desc, v float64) {
		out <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, v)
	}
	gauge(connsDesc, float64(s.AcquiredConns()), "used")
	gauge(connsDesc, float64(s.IdleConns()), "idle")
	gauge(connsDesc, float64(s.ConstructingConns()), "opening")
	gauge(maxConnsDesc, float64(s.MaxConns()))
	counter(waitsDesc, float64(s.EmptyAcquireCount()))
	counter(waitedDesc, s.AcquireDuration().Seconds())
	counter(rotationsDesc, float64(c.p.rotations.Load()))
}
