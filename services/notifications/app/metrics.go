package app

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	depth    prometheus.Gauge
	oldest   prometheus.Gauge
	finished *prometheus.CounterVec
	retried  *prometheus.CounterVec
	doubts   prometheus.Counter
	open     *prometheus.GaugeVec
	took     prometheus.Histogram
}

func newMetrics() metrics {
	m := metrics{
		depth: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "souk_mails_queued", Help: "Mails that are not finished, of all instances.",
		}),
		oldest: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "souk_mails_oldest_seconds", Help: "How long ago the oldest of them was asked for; 0 if there is none.",
		}),
		finished: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "souk_mails_finished_total", Help: "Mails that ended here: sent, failed, dropped.",
		}, []string{"kind", "status"}),
		retried: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "souk_mails_retried_total", Help: "Attempts that failed and are made again: for want of users, the mail server, or another reason.",
		}, []string{"kind", "cause"}),
		doubts: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "souk_mails_in_doubt_total", Help: "Mails sent again although an earlier attempt may have reached the server.",
		}),
		open: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "souk_mails_circuit_open", Help: "1 while a server is down and asked only now and then.",
		}, []string{"server"}),
		took: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "souk_mails_sent_after_seconds", Help: "From the event that asks for a mail to its being sent.",
			Buckets: []float64{.1, .25, .5, 1, 2, 5, 15, 60, 300, 1800, 7200, 86400},
		}),
	}
	for _, kind := range append(AccountKinds(), OrderKinds()...) { // so that a rate exists from the first one on
		for _, status := range []Status{Sent, Failed, Dropped} {
			m.finished.WithLabelValues(string(kind), string(status))
		}
	}
	m.open.WithLabelValues(usersServer).Set(0)
	m.open.WithLabelValues(mailServer).Set(0)
	return m
}

func (m *metrics) all() []prometheus.Collector {
	return []prometheus.Collector{m.depth, m.oldest, m.finished, m.retried, m.doubts, m.open, m.took}
}

func (m *metrics) finish(c Claim, status Status) {
	m.finished.WithLabelValues(string(c.Kind), string(status)).Inc()
	if status == Sent {
		m.took.Observe(time.Since(c.RequestedAt).Seconds())
	}
}

func (m *metrics) circuit(name string, open bool) {
	value := 0.
	if open {
		value = 1
	}
	m.open.WithLabelValues(name).Set(value)
}
