package identity

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

var (
	expiresDesc = prometheus.NewDesc("souk_identity_expires_seconds",
		"Seconds until what Vault issued runs out; negative once it has.", []string{"kind", "name"}, nil)
	renewalsDesc = prometheus.NewDesc("souk_identity_renewals_total",
		"How often it was got or renewed.", []string{"kind", "name"}, nil)
	failuresDesc = prometheus.NewDesc("souk_identity_renewal_failures_total",
		"Attempts to get or renew it that failed.", []string{"kind", "name"}, nil)
)

// Metrics collects, for the token, each lease, the certificate and the trusted
// authorities: seconds to the end, renewals, failures.
func (id *Identity) Metrics() prometheus.Collector { return collector{id} }

type collector struct{ id *Identity }

func (c collector) Describe(out chan<- *prometheus.Desc) {
	out <- expiresDesc
	out <- renewalsDesc
	out <- failuresDesc
}

func (c collector) Collect(out chan<- prometheus.Metric) {
	for _, k := range c.id.held() {
		out <- prometheus.MustNewConstMetric(expiresDesc, prometheus.GaugeValue, time.Until(k.expiry()).Seconds(), k.kind, k.name)
		out <- prometheus.MustNewConstMetric(renewalsDesc, prometheus.CounterValue, float64(k.renewed.Load()), k.kind, k.name)
		out <- prometheus.MustNewConstMetric(failuresDesc, prometheus.CounterValue, float64(k.failures.Load()), k.kind, k.name)
	}
}
