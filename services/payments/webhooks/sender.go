package webhooks

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/google/uuid"

	"souk/internal/logs"
	"souk/services/payments/app"
)

// Store has the deliveries. Leases count by the database's clock.
type Store interface {
	SubscriptionStore
	ClaimWebhooks(ctx context.Context, slots []app.WebhookSlots, lease time.Duration) ([]app.WebhookClaim, error)
	SettleWebhook(ctx context.Context, c app.WebhookClaim, o app.WebhookOutcome) (held bool, err error)
	ReleaseWebhook(ctx context.Context, c app.WebhookClaim, after time.Duration) error
	DisableWebhooks(ctx context.Context, failing time.Duration, most int) (map[uuid.UUID]string, error)
	SweepWebhooks(ctx context.Context, keep time.Duration) (more bool, err error)
	PendingWebhooks(ctx context.Context) (int, error)
}

const (
	pollEvery = 250 * time.Millisecond // when nothing is due
	// leaseFor is longer than an attempt may take with all that belongs to it (Settings.Timeout is 30 s at most).
	leaseFor = 90 * time.Second
	// perEndpoint is how many deliveries an endpoint gets at once, of one instance; one that fails gets one.
	perEndpoint = 4
	// lastWords is how long what is being sent may still take when the sender is stopped.
	lastWords = 5 * time.Second
	// withoutVault is when a delivery is tried again whose secret could not be opened.
	withoutVault = 10 * time.Second
)

// Sender sends what is queued. Any number of instances may.
type Sender struct {
	store         Store
	subscriptions *Subscriptions
	secrets       *Secrets
	client        *Client
	settings      func() Settings
	log           *slog.Logger
	metrics       metrics

	mu    sync.Mutex
	busy  map[uuid.UUID]int // deliveries under way, by endpoint
	total int
	freed chan struct{} // one is done
}

// NewSender makes one; Run starts it. settings are asked for on each use, the number of workers by Run alone.
func NewSender(store Store, subscriptions *Subscriptions, secrets *Secrets, client *Client, settings func() Settings, log *slog.Logger) *Sender {
	return &Sender{
		store: store, subscriptions: subscriptions, secrets: secrets, client: client, settings: settings, log: log,
		metrics: newMetrics(), busy: map[uuid.UUID]int{}, freed: make(chan struct{}, 1),
	}
}

// Run sends until ctx ends and what is under way is done, or put back.
func (s *Sender) Run(ctx context.Context) {
	workers := s.settings().Workers
	var wg sync.WaitGroup
	defer s.client.Close()
	defer wg.Wait()
	for ctx.Err() == nil {
		claims := s.claim(ctx, workers)
		for _, c := range claims {
			wg.Go(func() {
				defer s.done(c.Endpoint)
				s.deliver(ctx, c)
			})
		}
		if len(claims) == 0 {
			s.wait(ctx)
		}
	}
}

// wait ends when a worker is free again, or something may have become due.
func (s *Sender) wait(ctx context.Context) {
	timer := time.NewTimer(pollEvery)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	case <-s.freed:
	}
}

// claim takes what is due, as far as workers are free.
func (s *Sender) claim(ctx context.Context, workers int) []app.WebhookClaim {
	slots := s.slots(s.subscriptions.known.Load().all, workers)
	if len(slots) == 0 {
		return nil
	}
	claims, err := s.store.ClaimWebhooks(ctx, slots, leaseFor)
	if err != nil {
		if ctx.Err() == nil {
			s.log.Warn("the queue of webhooks can't be read at the moment", logs.Err(err))
		}
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range claims {
		s.busy[c.Endpoint]++
		s.total++
	}
	return claims
}

// slots shares the free workers out among the endpoints, in another order each time. Those that fail have half of the
// workers at most, so that a few receivers that only cost time don't hold up the rest.
func (s *Sender) slots(subscriptions []app.WebhookSubscription, workers int) []app.WebhookSlots {
	s.mu.Lock()
	defer s.mu.Unlock()
	free, failing := workers-s.total, max(workers/2, 1)
	for _, sub := range subscriptions {
		if sub.Failing {
			failing -= s.busy[sub.Endpoint]
		}
	}
	var slots []app.WebhookSlots
	for _, i := range rand.Perm(len(subscriptions)) {
		sub := subscriptions[i]
		n := min(perEndpoint-s.busy[sub.Endpoint], free)
		if sub.Failing {
			n = min(1-s.busy[sub.Endpoint], free, failing)
		}
		if n <= 0 {
			continue
		}
		free -= n
		if sub.Failing {
			failing -= n
		}
		slots = append(slots, app.WebhookSlots{Endpoint: sub.Endpoint, Free: n})
	}
	return slots
}

// done gives a worker back.
func (s *Sender) done(endpoint uuid.UUID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.total--
	if s.busy[endpoint]--; s.busy[endpoint] == 0 {
		delete(s.busy, endpoint)
	}
	select {
	case s.freed <- struct{}{}:
	default:
	}
}
