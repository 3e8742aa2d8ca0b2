package outbox

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/cenkalti/backoff/v4"

	"souk/internal/events"
	"souk/internal/postgres"
)

// openLimit bounds connecting to Kafka once.
const openLimit = 15 * time.Second

// Relay publishes what Append stores, on one instance of the service at a time,
// until ctx ends; all instances call it.
//
// Two things keep the order when two relays believe to be the only one: the lock of
// postgres.Lead makes that rare and short, and the broker, which knows all of them by
// one transactional id, voids the older one's unfinished batch and refuses its next
// (events.ErrFenced). As each opens its producer before it looks into the table, what
// the older one may have published is only ever repeated before anything newer.
func Relay(ctx context.Context, pool *postgres.Pool, opts Options) {
	r := &relay{Options: opts.complete(), pool: pool, metrics: newMetrics()}
	r.Metrics.MustRegister(r.metrics.all()...)
	defer r.metrics.unregister(r.Metrics)
	postgres.Lead(ctx, pool, opts.Service+"-outbox", r.lead)
}

type relay struct {
	Options
	pool    *postgres.Pool
	metrics metrics
}

// lead publishes until ctx ends, with a new connection after each failure. It gives
// the leadership up when the broker says that another has it.
func (r *relay) lead(ctx context.Context) error {
	r.metrics.leader.Set(1)
	defer r.metrics.leader.Set(0)
	ctx, stop := context.WithCancel(ctx)
	observed := make(chan struct{})
	go func() {
		defer close(observed)
		r.observe(ctx)
	}()
	defer func() { stop(); <-observed }()

	pause := backoff.NewExponentialBackOff(backoff.WithInitialInterval(200*time.Millisecond), backoff.WithMaxInterval(5*time.Second), backoff.WithMaxElapsedTime(0))
	for ctx.Err() == nil {
		err := r.relay(ctx, pause.Reset)
		if ctx.Err() != nil {
			break
		}
		r.metrics.failures.Inc()
		if errors.Is(err, events.ErrFenced) {
			return err
		}
		wait := pause.NextBackOff()
		r.Log.Warn("Publishing failed; the events wait", "error.message", err.Error(), "event.duration", wait.Nanoseconds())
		sleep(ctx, wait)
	}
	return nil
}

// relay publishes through one connection until something fails.
func (r *relay) relay(ctx context.Context, works func()) error {
	producer, ensured, err := r.open(ctx)
	if err != nil {
		return err
	}
	defer producer.Close()
	gone := 0
	for ctx.Err() == nil {
		rows, full, err := r.pending(ctx)
		if err != nil {
			return err
		}
		if len(rows) == 0 {
			works()
			sleep(ctx, r.Interval)
			continue
		}
		began := time.Now()
		if err := r.ensure(ctx, ensured, rows); err != nil {
			return err
		}
		if err := producer.PublishRecords(ctx, records(rows)); err != nil {
			return err
		}
		r.metrics.published.Add(float64(len(rows)))
		if err := r.takeOut(ctx, rows); err != nil {
			return err
		}
		works()
		if gone += len(rows); gone >= vacuumEvery {
			r.clean(ctx)
			gone = 0
		}
		if !full {
			sleep(ctx, time.Until(began.Add(r.Spacing)))
		}
	}
	return ctx.Err()
}

// open connects, and says which topics are known to be there.
func (r *relay) open(ctx context.Context) (*events.Producer, map[string]bool, error) {
	ctx, cancel := context.WithTimeout(ctx, openLimit)
	defer cancel()
	brokers, err := r.Brokers(ctx)
	if err != nil {
		return nil, nil, fmt.Errorf("find Kafka: %w", err)
	}
	if len(r.Topics) > 0 {
		if err := events.EnsureTopics(ctx, brokers, r.Service, r.Log, r.Topics...); err != nil {
			return nil, nil, err
		}
	}
	ensured := map[string]bool{}
	for _, t := range r.Topics {
		ensured[t.Name] = true
	}
	p, err := events.Open(ctx, events.Options{Brokers: brokers, ClientID: r.Service, TransactionalID: r.Service + "-outbox", Log: r.Log})
	return p, ensured, err
}

// ensure creates topics that nobody announced: one that is missing would hold up
// all that comes after it.
func (r *relay) ensure(ctx context.Context, ensured map[string]bool, rows []row) error {
	missing := map[string]bool{}
	for _, row := range rows {
		if !ensured[row.Topic] {
			missing[row.Topic] = true
		}
	}
	if len(missing) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, openLimit)
	defer cancel()
	brokers, err := r.Brokers(ctx)
	if err != nil {
		return fmt.Errorf("find Kafka: %w", err)
	}
	topics := make([]events.Topic, 0, len(missing))
	for name := range missing {
		topics = append(topics, events.Topic{Name: name})
	}
	if err := events.EnsureTopics(ctx, brokers, r.Service, r.Log, topics...); err != nil {
		return err
	}
	maps.Copy(ensured, missing)
	return nil
}

func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
