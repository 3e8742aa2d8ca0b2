package webhooks

import (
	"github.com/prometheus/client_golang/prometheus"

	"souk/services/payments/app"
)

type metrics struct {
	attempts *prometheus.CounterVec
	seconds  prometheus.Counter
	pending  prometheus.Gauge
}

func newMetrics() metrics {
	return metrics{
		attempts: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "souk_webhook_attempts_total", Help: "Attempts to deliver a webhook, by what became of them.",
		}, []string{"outcome"}),
		seconds: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "souk_webhook_attempt_seconds_total", Help: "Time spent waiting for receivers of webhooks.",
		}),
		pending: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "souk_webhooks_pending", Help: "Webhooks that wait to be delivered, of all instances.",
		}),
	}
}

// Metrics of deliveries.
func (s *Sender) Metrics() []prometheus.Collector {
	return []prometheus.Collector{s.metrics.attempts, s.metrics.seconds, s.metrics.pending}
}

func (m metrics) attempt(o app.WebhookOutcome) {
	result := o.Problem
	if result == "" {
		result = "delivered"
	}
	m.attempts.WithLabelValues(result).Inc()
	m.seconds.Add(o.Duration.Seconds())
}
