package inbox

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/cenkalti/backoff/v4"

	"souk/internal/events"
)

// errStopped says that an event was not settled because its worker had to end.
var errStopped = errors.New("stopped")

// settleAll brings events of one partition, in order, to an end: handled, known or
// parked. An error means that ctx ended or stop closed meanwhile, and only the first
// done of them are at an end for certain.
func (c *consumer) settleAll(ctx context.Context, stop <-chan struct{}, records []events.Record) (done int, err error) {
	ds := make([]delivery, len(records))
	for i, r := range records {
		ds[i] = delivered(r)
	}
	left := ds
	if len(ds) > 1 {
		began := time.Now()
		result, err := c.attempt(ctx, ds)
		switch {
		case err == nil:
			c.metrics.settled(ds[0].Topic, len(ds)-result.duplicates-len(result.behind), result.duplicates, time.Since(began))
			left = result.behind
		case ctx.Err() != nil:
			return 0, errStopped
		default:
			c.metrics.undone.WithLabelValues(ds[0].Topic).Inc()
			c.Log.Warn("Events could not be handled together; they are one by one", append(whereabouts(records[0]),
				"error.message", err.Error(), "kafka.records", len(records))...)
		}
	}
	for _, d := range left {
		err := errStopped
		if !closed(stop) {
			err = c.settle(ctx, stop, d)
		}
		if err != nil {
			return slices.IndexFunc(records, func(r events.Record) bool { return r.Offset == d.Offset }), err
		}
	}
	return len(records), nil
}

func closed(stop <-chan struct{}) bool {
	select {
	case <-stop:
		return true
	default:
		return false
	}
}

// settle is settleAll for one event.
func (c *consumer) settle(ctx context.Context, stop <-chan struct{}, d delivery) error {
	pause := c.pause()
	began := time.Now()
	for failed := 0; ; {
		result, err := c.attempt(ctx, []delivery{d})
		switch {
		case err == nil && len(result.behind) > 0:
			err = c.park(ctx, stop, d, nil, 0)
			if errors.Is(err, errReleased) {
				continue // replayed to the end meanwhile: it is this event's turn
			}
			return err
		case err == nil:
			c.metrics.settled(d.Topic, 1-result.duplicates, result.duplicates, time.Since(began))
			return nil
		case ctx.Err() != nil:
			return errStopped
		}
		verdict := judge(err)
		if verdict != transient {
			failed++
		}
		c.metrics.failures.WithLabelValues(d.Topic, verdict.String()).Inc()
		if verdict == poison || failed >= c.Attempts {
			return c.park(ctx, stop, d, err, failed)
		}
		wait := pause.NextBackOff()
		c.Log.Warn("An event could not be handled; it is tried again", append(whereabouts(d.Record),
			"error.message", err.Error(), "event.reason", verdict.String(), "event.duration", wait.Nanoseconds())...)
		if !sleep(ctx, stop, wait) {
			return errStopped
		}
	}
}

func (c *consumer) pause() *backoff.ExponentialBackOff {
	return backoff.NewExponentialBackOff(backoff.WithInitialInterval(c.FirstWait), backoff.WithMultiplier(3),
		backoff.WithMaxInterval(c.MaxWait), backoff.WithMaxElapsedTime(0))
}

// sleep reports false when it was ended early.
func sleep(ctx context.Context, stop <-chan struct{}, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-stop:
		return false
	case <-timer.C:
		return true
	}
}

// whereabouts of a record, for log lines. Its content may be personal.
func whereabouts(r events.Record) []any {
	return []any{"kafka.topic", r.Topic, "kafka.partition", r.Partition, "kafka.offset", r.Offset}
}
