package outbox

import (
	"cmp"
	"context"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"souk/internal/events"
)

// Options of a Relay.
type Options struct {
	Service string // "orders": names the lock of the leader and the producer (<service>-outbox)
	// Brokers gives "host:port" of Kafka; it is asked before each connection.
	Brokers func(context.Context) ([]string, error)
	// Topics that the service publishes to, created if they are missing. Others that
	// events name are created with the broker's defaults.
	Topics  []events.Topic
	Log     *slog.Logger
	Metrics prometheus.Registerer

	Interval time.Duration // between looks at an empty outbox; 50 ms if zero
	// Spacing is between the beginnings of two batches, unless the first was full; 100 ms
	// if zero. A batch costs Kafka the same whether it has one event or hundreds, so under
	// load the events of that time share it; one that comes alone doesn't wait.
	Spacing  time.Duration
	Batch    int // events published at once, at most; 1000 if zero
	MaxDepth int // events that may wait before Append refuses more; 1,000,000 if zero
}

func (o Options) complete() Options {
	o.Interval = cmp.Or(o.Interval, 50*time.Millisecond)
	o.Spacing = cmp.Or(o.Spacing, 100*time.Millisecond)
	o.Batch = cmp.Or(o.Batch, 1000)
	o.MaxDepth = cmp.Or(o.MaxDepth, 1_000_000)
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Metrics == nil {
		o.Metrics = prometheus.NewRegistry()
	}
	return o
}
