package inbox

import (
	"context"
	"errors"
	"time"

	"github.com/cenkalti/backoff/v4"

	"souk/internal/events"
)

// errStopped says that an event was not settled because its worker had to end.
var errStopped = errors.New("stopped")

// settle brings an event to an end: handled, known or parked. An error means that it
// is in none of these states, because ctx ended or stop closed meanwhile.
func (c *consumer) settle(ctx context.Context, stop <-chan struct{}, r events.Record) error {
	pause := c.pause()
	began := time.Now()
	for failed := 0; ; {
		result, err := c.attempt(ctx, r)
		switch {
		case err == nil && result == behind:
			err = c.park(ctx, stop, r, nil, 0)
			if errors.Is(err, errReleased) {
				continue // replayed to the end meanwhile: it is this event's turn
			}
			return err
		case err == nil:
			c.metrics.settled(r.Topic, result, time.Since(began))
			return nil
		case ctx.Err() != nil:
			return errStopped
		}
		verdict := judge(err)
		if verdict != transient {
			failed++
		}
		c.metrics.failures.WithLabelValues(r.Topic, verdict.String()).Inc()
		if verdict == poison || failed >= c.Attempts {
			return c.park(ctx, stop, r, err, failed)
		}
		wait := pause.NextBackOff()
		c.Log.Warn("An event could not be handled; it is tried again", append(whereabouts(r),
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
