package tokens

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// tokenMetrics counts without a look-up on the way of a request.
type tokenMetrics struct {
	checks       *prometheus.CounterVec
	seen, unseen prometheus.Counter
	refused      map[reason]prometheus.Counter
	fetches      *prometheus.CounterVec
}

func newMetrics() *tokenMetrics {
	checks := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "souk_token_checks_total", Help: "Access tokens checked: seen (remembered), unseen (verified), or why they were refused.",
	}, []string{"result"})
	m := &tokenMetrics{
		checks: checks, seen: checks.WithLabelValues("seen"), unseen: checks.WithLabelValues("unseen"), refused: map[reason]prometheus.Counter{},
		fetches: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "souk_token_fetches_total", Help: "Questions to users, by what they were for.",
		}, []string{"what", "outcome"}),
	}
	for _, r := range reasons {
		m.refused[r] = checks.WithLabelValues(string(r))
	}
	for _, what := range []string{"keys", "revocations"} {
		for _, outcome := range []string{"answered", "failed"} {
			m.fetches.WithLabelValues(what, outcome)
		}
	}
	return m
}

func (m *tokenMetrics) register(reg prometheus.Registerer, v *Verifier) {
	if reg == nil {
		return
	}
	age := func(last func() time.Time) func() float64 {
		return func() float64 {
			since := last()
			if since.IsZero() {
				since = v.opened
			}
			return time.Since(since).Seconds()
		}
	}
	gauge := func(name, help string, f func() float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, f)
	}
	reg.MustRegister(m.checks, m.fetches,
		gauge("souk_token_keys", "Keys that can verify a token.", func() float64 { return float64(len(v.keys.set.Load().Keys)) }),
		gauge("souk_token_keys_age_seconds", "Since users last published the keys; without any answer, since the start. Below 40 while all is well.", age(v.keys.fetched)),
		gauge("souk_token_revocations", "Revocations of tokens that have not expired.", func() float64 { return float64(v.revoked.len()) }),
		gauge("souk_token_revocations_age_seconds", "Since users last answered about revocations; without any answer, since the start. Below 25 while all is well.", age(v.follower.lastAnswer)),
		gauge("souk_token_cache_entries", "Verified tokens that are remembered.", func() float64 { return float64(v.cache.len()) }),
	)
}

// fetched counts one kind of question.
func (m *tokenMetrics) fetched(what string) func(error) {
	return func(err error) {
		outcome := "answered"
		if err != nil {
			outcome = "failed"
		}
		m.fetches.WithLabelValues(what, outcome).Inc()
	}
}
