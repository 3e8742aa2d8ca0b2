package oauth

import (
	"github.com/prometheus/client_golang/prometheus"
)

// grantMetrics count what was asked for, and how it ended.
type grantMetrics struct{ grants *prometheus.CounterVec }

// newGrantMetrics registers souk_oauth_requests_total{grant,outcome}; outcome is "ok" or the error of RFC 6749.
func newGrantMetrics(r prometheus.Registerer) *grantMetrics {
	m := &grantMetrics{prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "souk_oauth_requests_total", Help: "Requests for tokens and about them, by grant type or endpoint, and outcome.",
	}, []string{"grant", "outcome"})}
	if r != nil {
		r.MustRegister(m.grants)
	}
	return m
}

func (m *grantMetrics) count(grant string, err error) {
	outcome := "ok"
	if err != nil {
		e, _ := explain(err)
		outcome = e.ErrorField
	}
	if grant == "" {
		grant = "none"
	}
	m.grants.WithLabelValues(grant, outcome).Inc()
}
