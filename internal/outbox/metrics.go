package outbox

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"

	"souk/internal/postgres"
)

type metrics struct {
	leader    prometheus.Gauge
	depth     prometheus.Gauge
	oldest    prometheus.Gauge
	published prometheus.Counter
	failures  prometheus.Counter
}

func newMetrics() metrics {
	return metrics{
		leader: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "outbox_relay_leader", Help: "1 while this instance publishes the outbox; the sum over all instances should be 1.",
		}),
		depth: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "outbox_depth", Help: "Events waiting to be published, as the leader last counted them; 0 on other instances.",
		}),
		oldest: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "outbox_oldest_seconds", Help: "Age of the oldest event that waits; 0 if none, and on other instances.",
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
	return []prometheus.Collector{m.leader, m.depth, m.oldest, m.published, m.failures}
}

func (m *metrics) unregister(from prometheus.Registerer) {
	for _, c := range m.all() {
		from.Unregister(c)
	}
}

const observation = 2 * time.Second

// observe measures the outbox until ctx ends, also while Kafka is away, and tells
// Append whether it is full.
func (r *relay) observe(ctx context.Context) {
	defer r.metrics.depth.Set(0)
	defer r.metrics.oldest.Set(0)
	for ctx.Err() == nil {
		depth, oldest, err := r.measure(ctx)
		switch {
		case err == nil:
			r.metrics.depth.Set(float64(depth))
			r.metrics.oldest.Set(oldest.Seconds())
		case ctx.Err() == nil:
			r.Log.Warn("The outbox can't be measured", "error.message", err.Error())
		}
		sleep(ctx, observation)
	}
}

// measure counts to MaxDepth and no further. A full outbox takes events again when a
// tenth of it is free.
func (r *relay) measure(ctx context.Context) (depth int, oldest time.Duration, err error) {
	err = postgres.Tx(ctx, r.pool, func(tx pgx.Tx) error {
		age := 0.0
		err := tx.QueryRow(ctx, `SELECT (SELECT count(*) FROM (SELECT FROM outbox LIMIT $1) AS waiting),
			coalesce((SELECT extract(epoch FROM clock_timestamp() - created_at)::float8 FROM outbox ORDER BY id LIMIT 1), 0)`,
			r.MaxDepth).Scan(&depth, &age)
		if err != nil {
			return err
		}
		oldest = time.Duration(age * float64(time.Second))
		_, err = tx.Exec(ctx, `UPDATE outbox_state SET full_up = NOT full_up
			WHERE CASE WHEN full_up THEN $1 < $2 * 9 / 10 ELSE $1 >= $2 END`, depth, r.MaxDepth)
		return err
	})
	if err != nil {
		return 0, 0, fmt.Errorf("measure the outbox: %w", err)
	}
	return depth, oldest, nil
}
