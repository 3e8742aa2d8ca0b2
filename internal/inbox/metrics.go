package inbox

import (
	"context"
	"slices"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"souk/internal/events"
	"souk/internal/postgres"
)

type metrics struct {
	events   *prometheus.CounterVec
	took     *prometheus.HistogramVec
	batches  *prometheus.CounterVec
	undone   *prometheus.CounterVec
	failures *prometheus.CounterVec
	parked   *prometheus.CounterVec
	replayed *prometheus.CounterVec
	keys     *prometheus.GaugeVec
	lag      *prometheus.GaugeVec
	assigned *prometheus.GaugeVec
}

func newMetrics(c *consumer) *metrics {
	group := prometheus.Labels{"group": c.Group}
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help, ConstLabels: group}, labels)
	}
	gauge := func(name, help string, labels ...string) *prometheus.GaugeVec {
		return prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help, ConstLabels: group}, labels)
	}
	m := &metrics{
		events: counter("inbox_events_total", "Events settled: handled now, a duplicate of one that was settled before, or unwanted.", "topic", "outcome"),
		took: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "inbox_event_seconds", Help: "Time until an event was handled, with its batch and with further attempts.", ConstLabels: group,
			Buckets: []float64{.002, .005, .01, .025, .05, .1, .25, 1, 5, 30},
		}, []string{"topic"}),
		batches:  counter("inbox_batches_total", "Transactions that handled events; inbox_events_total over it is how many each had.", "topic"),
		undone:   counter("inbox_batches_undone_total", "Batches that failed, whose events were settled one by one.", "topic"),
		failures: counter("inbox_failures_total", "Attempts that failed: transient, error (counted) or poison.", "topic", "verdict"),
		parked:   counter("inbox_parked_total", "Events parked: poison, attempts (they ran out) or behind an earlier one of their key.", "topic", "reason"),
		replayed: counter("inbox_replayed_total", "Parked events handled after all.", "topic"),
		keys:     gauge("inbox_parked_keys", "Keys whose events are parked, of the whole group.", "topic"),
		lag:      gauge("inbox_lag", "Offsets between what the group has committed and the end, of partitions that this instance has.", "topic", "partition"),
		assigned: gauge("inbox_partitions", "Partitions that this instance has."),
	}
	// An alert on what hasn't happened yet needs a zero.
	for _, topic := range c.Topics {
		m.events.WithLabelValues(topic, "handled")
		m.events.WithLabelValues(topic, "duplicate")
		m.undone.WithLabelValues(topic)
		for _, v := range []verdict{counted, transient, poison} {
			m.failures.WithLabelValues(topic, v.String())
		}
		m.keys.WithLabelValues(topic)
	}
	return m
}

func (m *metrics) all() []prometheus.Collector {
	return []prometheus.Collector{m.events, m.took, m.batches, m.undone, m.failures, m.parked, m.replayed, m.keys, m.lag, m.assigned}
}

func (m *metrics) unregister(from prometheus.Registerer) {
	for _, c := range m.all() {
		from.Unregister(c)
	}
}

// settled counts what one transaction did.
func (m *metrics) settled(topic string, handled, duplicates int, took time.Duration) {
	m.events.WithLabelValues(topic, "duplicate").Add(float64(duplicates))
	if handled == 0 {
		return
	}
	m.batches.WithLabelValues(topic).Inc()
	m.events.WithLabelValues(topic, "handled").Add(float64(handled))
	each := m.took.WithLabelValues(topic)
	for range handled {
		each.Observe(took.Seconds())
	}
}

const (
	observation = 5 * time.Second
	lagLimit    = 2 * time.Second // for one question to the brokers
)

// followLag measures the lag until ctx ends. When no broker has answered for a while
// and there are others now, as when Kafka has moved, it closes moved and ends.
func (c *consumer) followLag(ctx context.Context, group *events.Group, brokers []string, moved chan<- struct{}) {
	defer c.metrics.lag.Reset()
	for silent := 0; sleep(ctx, nil, observation); {
		lag, err := group.Lag(lagLimit)
		if err == nil {
			silent = 0
			c.metrics.lag.Reset()
			for p, n := range lag {
				c.metrics.lag.WithLabelValues(p.Topic, strconv.Itoa(int(p.Number))).Set(float64(n))
			}
			continue
		}
		c.Log.Warn("The lag can't be measured", "error.message", err.Error())
		if silent++; silent < 3 {
			continue
		}
		now, err := c.Brokers(ctx)
		if err == nil && len(now) > 0 && !slices.Equal(slices.Sorted(slices.Values(now)), slices.Sorted(slices.Values(brokers))) {
			close(moved)
			return
		}
	}
}

// countParked counts the parked keys until ctx ends.
func (c *consumer) countParked(ctx context.Context) {
	for {
		counts := map[string]float64{}
		err := postgres.Read(ctx, c.pool, func(q postgres.Querier) error {
			clear(counts)
			for _, topic := range c.Topics {
				n := 0.0
				err := q.QueryRow(ctx, `SELECT count(*)::float8 FROM inbox_parked_keys WHERE consumer = $1 AND topic = $2`, c.Group, topic).Scan(&n)
				if err != nil {
					return err
				}
				counts[topic] = n
			}
			return nil
		})
		if err == nil {
			for topic, n := range counts {
				c.metrics.keys.WithLabelValues(topic).Set(n)
			}
		}
		if !sleep(ctx, nil, 2*observation) {
			return
		}
	}
}
