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
	Group  string // the consumer group: the service's name, or "<service>-<purpose>" if it has several
	Topics []string
	// Create says how those of Topics are made that are missing because their publisher has
	// not come yet, and dead letter topics with as many replicas; whatever is not named here
	// has the broker's defaults.
	Create []events.Topic
	// HandleAll does what the events ask for, through tx only: tx is committed together
	// with the notes that the events are done, and may be run again from its start. The
	// events are of one partition, in their order, from 1 to Batch: what is queued, never
	// waited for, without duplicates and without events of parked keys. It may be called
	// for several partitions at once, so it must lock rows that events of several keys
	// change in an order that is the same everywhere (by SKU, say).
	//
	// An error undoes it all. After a batch each of its events is handed over alone, and
	// what is then returned decides:
	//   - nil: done; this event won't be handed over again.
	//   - Poison(err), or a panic: not worth another try; the event is parked.
	//   - an *errs.Error that says unavailable, timeout, too many or bad gateway, and
	//     whatever PostgreSQL being away looks like: tried again until it works, or
	//     this instance ends. So is Transient(err).
	//   - anything else: tried Attempts times, then parked.
	// ctx ends after Timeout. It carries the trace of an event that came alone; among
	// several use Traced for what one of them caused, or pass its Traceparent on.
	HandleAll func(ctx context.Context, tx pgx.Tx, ms []events.Message) error
	// Handle is HandleAll for one event at a time. Exactly one of the two must be set;
	// Run panics otherwise.
	Handle func(ctx context.Context, tx pgx.Tx, m events.Message) error
	// Committed, if set, is told what HandleAll or Handle did when that is stored, so that
	// work can go on at once that a look into the database would find later: after a crash
	// it is not told. It must be quick; the next events wait for it.
	Committed func(ms []events.Message)
	// Wants says of an event's type whether it is handed over; nil: all are. One that is
	// not is passed over without a look into the database, and leaves no note: when Wants
	// changes its mind, which it may at any time, those that went by don't come again.
	// It is asked for each record, so it must be quick; and not at a replay.
	Wants func(kind string) bool
	// Brokers gives "host:port" of Kafka; it is asked before each connection.
	Brokers func(context.Context) ([]string, error)
	Log     *slog.Logger
	Metrics prometheus.Registerer

	Batch     int           // events that HandleAll gets at once, at most; 100
	Attempts  int           // 5
	FirstWait time.Duration // before the second attempt, three times as long before each further one; 200 ms
	MaxWait   time.Duration // between two attempts; 15 s
	Timeout   time.Duration // of one attempt, of a batch or of an event; 30 s
	Drain     time.Duration // that what is at work may take when a partition or this instance goes; 5 s
	// Remember is how long an event is known to be done. It must be longer than the
	// topics keep their events, and than an outbox may repeat one: 30 days.
	Remember time.Duration
}

func (o Options) complete() Options {
	if (o.Handle == nil) == (o.HandleAll == nil) {
		panic("inbox: exactly one of Options.Handle and Options.HandleAll must be set")
	}
	if handle := o.Handle; handle != nil {
		o.Batch, o.HandleAll = 1, func(ctx context.Context, tx pgx.Tx, ms []events.Message) error { return handle(ctx, tx, ms[0]) }
	}
	o.Batch = cmp.Or(o.Batch, 100)
	o.Attempts = cmp.Or(o.Attempts, 5)
	o.FirstWait = cmp.Or(o.FirstWait, 200*time.Millisecond)
	o.MaxWait = cmp.Or(o.MaxWait, 15*time.Second)
	o.Timeout = cmp.Or(o.Timeout, 30*time.Second)
	o.Drain = cmp.Or(o.Drain, 5*time.Second)
	o.Remember = cmp.Or(o.Remember, 30*24*time.Hour)
	if o.Committed == nil {
		o.Committed = func([]events.Message) {}
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Metrics == nil {
		o.Metrics = prometheus.NewRegistry()
	}
	return o
}
