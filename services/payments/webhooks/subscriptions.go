package webhooks

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"souk/internal/logs"
	"souk/services/payments/app"
)

const (
	// lookEvery is how soon another instance's new endpoint is known.
	lookEvery = time.Second
	// staleAfter is when what is known may not be used any more to pass over events.
	staleAfter = 5 * time.Second
)

// SubscriptionStore has the endpoints.
type SubscriptionStore interface {
	// WebhookSubscriptions are those of the endpoints that are enabled.
	WebhookSubscriptions(ctx context.Context) ([]app.WebhookSubscription, error)
}

// Subscriptions knows who wants which events, so that an event that nobody wants costs a look into memory.
type Subscriptions struct {
	store SubscriptionStore
	log   *slog.Logger
	mu    sync.Mutex // one look at a time, so that a later one has the later state
	known atomic.Pointer[snapshot]
}

// snapshot is what an instance knows at a time.
type snapshot struct {
	at     time.Time // when it was asked for
	all    []app.WebhookSubscription
	wanted map[string][]app.WebhookSubscription // by the type of event
}

// NewSubscriptions makes one that knows nothing until it looks: see Run.
func NewSubscriptions(store SubscriptionStore, log *slog.Logger) *Subscriptions {
	s := &Subscriptions{store: store, log: log}
	s.known.Store(&snapshot{})
	return s
}

// Refresh looks now.
func (s *Subscriptions) Refresh(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	next := &snapshot{at: time.Now(), wanted: map[string][]app.WebhookSubscription{}}
	all, err := s.store.WebhookSubscriptions(ctx)
	if err != nil {
		return err
	}
	next.all = all
	for _, kind := range app.WebhookEvents() {
		for _, sub := range all {
			if wants(sub, kind) {
				next.wanted[kind] = append(next.wanted[kind], sub)
			}
		}
	}
	s.known.Store(next)
	return nil
}

func wants(sub app.WebhookSubscription, kind string) bool {
	for _, pattern := range sub.Patterns {
		if app.WebhookMatches(pattern, kind) {
			return true
		}
	}
	return false
}

// Changed looks now, as an endpoint was changed here. That it fails is no harm: Run looks soon.
func (s *Subscriptions) Changed(ctx context.Context) {
	if err := s.Refresh(ctx); err != nil {
		s.log.WarnContext(ctx, "the webhook endpoints can't be read at the moment", logs.Err(err))
	}
}

// Run looks again and again until ctx ends.
func (s *Subscriptions) Run(ctx context.Context) {
	failing := false
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		err := s.Refresh(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil && !failing:
			s.log.Warn("the webhook endpoints can't be read at the moment", logs.Err(err))
		case err == nil && failing:
			s.log.Info("the webhook endpoints can be read again")
		}
		failing = err != nil
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// Wanted tells whether an event of the type has to be looked at: false only if it is known that nobody wants it.
// inbox.Options.Wants.
func (s *Subscriptions) Wanted(kind string) bool {
	known := s.known.Load()
	return len(known.wanted[kind]) > 0 || time.Since(known.at) > staleAfter
}

// current is what is known, after a look if that is too old.
func (s *Subscriptions) current(ctx context.Context) (*snapshot, error) {
	if known := s.known.Load(); time.Since(known.at) <= staleAfter {
		return known, nil
	}
	if err := s.Refresh(ctx); err != nil {
		return nil, err
	}
	return s.known.Load(), nil
}
