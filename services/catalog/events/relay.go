package events

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/prometheus/client_golang/prometheus"

	kafka "souk/internal/events"
	"souk/services/catalog/app"
)

// Outbox holds the events that are to be published.
type Outbox interface {
	// Pending gives events, at most about limit of them; those of a subject in order,
	// from its first.
	Pending(ctx context.Context, limit int) ([]app.Event, error)
	// Published takes events out for good. Those that are gone already are no error.
	Published(ctx context.Context, events []app.Event) error
	// Sweep forgets idempotency keys that have expired.
	Sweep(ctx context.Context, now time.Time) error
}

// Lease lets one instance at a time relay.
type Lease interface {
	// Acquire takes or keeps the lease and reports whether this instance has it.
	Acquire(ctx context.Context) (bool, error)
	Release(ctx context.Context) error
}

// Publisher writes a batch to Kafka, whole or not at all.
type Publisher interface {
	Publish(ctx context.Context, messages []kafka.Message) error
	Close()
}

// Settings may change while the relay runs.
type Settings struct {
	Interval time.Duration // between looks at an empty outbox
	Batch    int           // events published at once
}

// Relay publishes what waits in the outbox: at least once, and in order for each
// subject. Two things keep it so when two relays believe to be the only one: the lease
// makes that rare, and the broker, which knows all of them by one transactional id,
// makes the older one's unfinished batch void and refuses its next (kafka.ErrFenced).
// What is left is a batch that was published but not yet taken out of the outbox: it
// is published again, under the same event ids, before anything newer.
type Relay struct {
	outbox   Outbox
	lease    Lease
	open     func(context.Context) (Publisher, error)
	settings func() Settings
	log      *slog.Logger
	metrics  metrics
}

// Renewals of the lease, and looks at one that another holds.
const leaseInterval = time.Second

// LeaseTTL is how long a relay that was killed keeps the others waiting.
const LeaseTTL = 5 * time.Second

const sweepInterval = 10 * time.Minute

// NewRelay makes a relay; open connects to Kafka, and is called again after a failure.
func NewRelay(outbox Outbox, lease Lease, open func(context.Context) (Publisher, error), settings func() Settings, log *slog.Logger) *Relay {
	return &Relay{outbox: outbox, lease: lease, open: open, settings: settings, log: log, metrics: newMetrics()}
}

// Metrics of the relay, to be registered.
func (r *Relay) Metrics() []prometheus.Collector { return r.metrics.all() }

// Run relays whenever this instance has the lease, until ctx ends, and gives it back.
func (r *Relay) Run(ctx context.Context) {
	for r.awaitLease(ctx) {
		r.metrics.leader.Set(1)
		r.log.Info("This instance publishes the catalogue's events now", "event.action", "relay-started")
		leading, lost := context.WithCancel(ctx)
		kept := make(chan struct{})
		go func() {
			defer close(kept)
			defer lost()
			r.keepLease(leading)
		}()
		r.lead(leading)
		lost()
		<-kept
		r.metrics.leader.Set(0)
		r.log.Info("This instance no longer publishes events", "event.action", "relay-stopped")
	}
	release, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	if err := r.lease.Release(release); err != nil {
		r.log.Warn("The relay's lease could not be given back; another instance takes it when it runs out", "error.message", err.Error())
	}
}

// awaitLease reports false when ctx ended first.
func (r *Relay) awaitLease(ctx context.Context) bool {
	for ctx.Err() == nil {
		held, err := r.lease.Acquire(ctx)
		if err != nil && ctx.Err() == nil {
			r.log.Warn("The relay's lease can't be read", "error.message", err.Error())
		}
		if held {
			return true
		}
		sleep(ctx, leaseInterval)
	}
	return false
}

// keepLease returns when the lease is lost or ctx ends.
func (r *Relay) keepLease(ctx context.Context) {
	for {
		sleep(ctx, leaseInterval)
		if ctx.Err() != nil {
			return
		}
		held, err := r.lease.Acquire(ctx)
		if err != nil && ctx.Err() == nil {
			r.log.Warn("The relay's lease could not be renewed", "error.message", err.Error())
		}
		if !held {
			return
		}
	}
}

// lead publishes until ctx ends, with a new connection after each failure.
func (r *Relay) lead(ctx context.Context) {
	pause := backoff.NewExponentialBackOff(backoff.WithInitialInterval(200*time.Millisecond), backoff.WithMaxInterval(5*time.Second), backoff.WithMaxElapsedTime(0))
	for ctx.Err() == nil {
		err := r.relay(ctx, pause.Reset)
		if ctx.Err() != nil {
			return
		}
		r.metrics.failures.Inc()
		wait := pause.NextBackOff()
		if errors.Is(err, kafka.ErrFenced) {
			// Another relay took over although our lease seems good: let it be seen first.
			wait = max(wait, leaseInterval)
		}
		r.log.Warn("Publishing failed; the events wait", "error.message", err.Error(), "event.duration", wait.Nanoseconds())
		sleep(ctx, wait)
	}
}

// relay publishes through one connection until something fails. Opening it first is
// what makes the reading safe: from then on no other relay can commit.
func (r *Relay) relay(ctx context.Context, works func()) error {
	publisher, err := r.open(ctx)
	if err != nil {
		return err
	}
	defer publisher.Close()
	swept := time.Time{}
	for ctx.Err() == nil {
		settings := r.settings()
		events, err := r.outbox.Pending(ctx, settings.Batch)
		if err != nil {
			return err
		}
		r.metrics.saw(events)
		if len(events) == 0 {
			works()
			if time.Since(swept) > sweepInterval {
				swept = time.Now()
				if err := r.outbox.Sweep(ctx, swept); err != nil {
					r.log.Warn("Expired idempotency keys could not be removed", "error.message", err.Error())
				}
			}
			sleep(ctx, settings.Interval)
			continue
		}
		if err := publisher.Publish(ctx, messages(events)); err != nil {
			return err
		}
		r.metrics.published.Add(float64(len(events)))
		if err := r.takeOut(ctx, events); err != nil {
			return err
		}
		works()
	}
	return ctx.Err()
}

// takeOut insists: what was published must not be published over and over because the
// database takes no writes just now.
func (r *Relay) takeOut(ctx context.Context, events []app.Event) error {
	pause := backoff.NewExponentialBackOff(backoff.WithInitialInterval(100*time.Millisecond), backoff.WithMaxInterval(5*time.Second), backoff.WithMaxElapsedTime(0))
	return backoff.RetryNotify(func() error { return r.outbox.Published(ctx, events) }, backoff.WithContext(pause, ctx),
		func(err error, _ time.Duration) {
			r.log.Warn("Published events could not be taken out of the outbox", "error.message", err.Error())
		})
}

func messages(events []app.Event) []kafka.Message {
	all := make([]kafka.Message, len(events))
	for i, e := range events {
		all[i] = message(e)
	}
	return all
}

func sleep(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
