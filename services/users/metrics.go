package main

import (
	"github.com/prometheus/client_golang/prometheus"

	"souk/services/users/app"
)

// passwordMetrics tell how much of the service's work is hashing passwords.
func passwordMetrics(p *app.Passwords) []prometheus.Collector {
	return []prometheus.Collector{
		prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "souk_password_hashes_total", Help: "Passwords hashed, for logins and for new passwords.",
		}, func() float64 { return float64(p.Stats().Hashes) }),
		prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "souk_password_hash_seconds_total", Help: "Time spent within argon2id.",
		}, func() float64 { return p.Stats().Spent.Seconds() }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "souk_password_queue", Help: "Requests that wait for their turn to hash.",
		}, func() float64 { return float64(p.Stats().Waiting) }),
	}
}
