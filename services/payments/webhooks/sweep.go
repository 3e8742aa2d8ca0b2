package webhooks

import (
	"context"
	"time"

	"souk/internal/logs"
)

// sweepEvery is how often endpoints are judged and old deliveries deleted.
const sweepEvery = 30 * time.Second

// Sweep disables endpoints that nobody seems to miss, and deletes what is not needed any more, until ctx ends. Any number
// of instances may.
func (s *Sender) Sweep(ctx context.Context) {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		more, err := s.sweep(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			s.log.Warn("webhooks are not tidied for now", logs.Err(err))
		case more:
			continue
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (s *Sender) sweep(ctx context.Context) (more bool, err error) {
	settings := s.settings()
	disabled, err := s.store.DisableWebhooks(ctx, settings.DisableAfter, settings.MaxPending)
	if err != nil {
		return false, err
	}
	for id, reason := range disabled {
		s.log.Warn("a webhook endpoint is disabled", "webhook.endpoint", id.String(), "event.reason", reason)
	}
	if more, err = s.store.SweepWebhooks(ctx, settings.Keep); err != nil {
		return false, err
	}
	pending, err := s.store.PendingWebhooks(ctx)
	s.metrics.pending.Set(float64(pending))
	return more, err
}
