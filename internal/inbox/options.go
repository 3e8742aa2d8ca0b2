package inbox

import (
	"cmp"
	"context"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"

	"souk/internal/events"
)

// Options of Run; each zero value of the second half stands for the default named.
type Options struct {
	Group  string   // the consumer group: the service's name, or "<service>-<purpose>" if it has several
	Topics []string // created with the broker's defaults if they are missing
	// Handle does what the event asks for, through tx only: tx is committed together
	// with the note that the event is done, and may be run again from its start. It
	// may be called for several partitions at once. What it returns decides:
	//   - nil: done; this event won't be handed over again.
	//   - Poison(err), or a panic: not worth another try; the event is parked.
	//   - an *errs.Error that says unavailable, timeout, too many or bad gateway, and
	//     whatever PostgreSQL being away looks like: tried again until it works, or
	//     this instance ends. So is Transient(err).
	//   - anything else: tried Attempts times, then parked.
	// ctx carries the trace of the event and ends after Timeout.
	Handle func(ctx context.Context, tx pgx.Tx, m events.Message) error
	// Brokers gives "host:port" of Kafka; it is asked before each connection.
	Brokers func(context.Context) ([]string, error)
	Log     *slog.Logger
	Metrics prometheus.Registerer

	Attempts  int           // 5
	FirstWait time.Duration // before the second attempt, three times as long before each further one; 200 ms
	MaxWait   time.Duration // between two attempts; 15 s
	Timeout   time.Duration // of one attempt; 30 s
	Drain     time.Duration // that what is at work may take when a partition or this instance goes; 5 s
	// Remember is how long an event is known to be done. It must be longer than the
	// topics keep their events, and than an outbox may repeat one: 30 days.
	Remember time.Duration
}

func (o Options) complete() Options {
	o.Attempts = cmp.Or(o.Attempts, 5)
	o.FirstWait = cmp.Or(o.FirstWait, 200*time.Millisecond)
	o.MaxWait = cmp.Or(o.MaxWait, 15*time.Second)
	o.Timeout = cmp.Or(o.Timeout, 30*time.Second)
	o.Drain = cmp.Or(o.Drain, 5*time.Second)
	o.Remember = cmp.Or(o.Remember, 30*24*time.Hour)
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Metrics == nil {
		o.Metrics = prometheus.NewRegistry()
	}
	return o
}
