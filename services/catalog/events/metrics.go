package events

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"souk/services/catalog/app"
)

type metrics struct {
	leader    prometheus.Gauge
	oldest    prometheus.Gauge
	published prometheus.Counter
	failures  prometheus.Counter
}

func newMetrics() metrics {
	return metrics{
		leader: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "outbox_relay_leader", Help: "1 while this instance publishes the outbox; the sum over all instances should be 1.",
		}),
		oldest: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "outbox_oldest_seconds", Help: "Age of the oldest event that the relay last saw waiting; 0 if none.",
		}),
		published: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "outbox_published_total", Help: "Events published, repetitions included.",
		}),
		failures: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "outbox_relay_failures_total", Help: "Times that publishing failed and was begun anew.",
		}),
	}
}

func (m *metrics) all() []prometheus.Collector {
	return []prometheus.Collector{m.leader, m.oldest, m.published, m.failures}
}

func (m *metrics) saw(events []app.Event) {
	oldest := time.Duration(0)
	for _, e := range events {
		oldest = max(oldest, time.Since(e.Time))
	}
	m.oldest.Set(oldest.Seconds())
}
