package webhooks

import (
	"context"
	"errors"
	"log/slog"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"souk/internal/events"
	"souk/services/payments/app"
)

type subscribed struct {
	all []app.WebhookSubscription
	err error
}

func (s *subscribed) WebhookSubscriptions(context.Context) ([]app.WebhookSubscription, error) {
	return s.all, s.err
}

func (s *subscribed) QueueWebhooks(context.Context, pgx.Tx, []app.NewWebhookDelivery) error {
	return errors.New("nothing is to be queued")
}

const confirmed = "souk.orders.order.confirmed.v1"

func TestAnEventThatNobodyWantsTouchesNothing(t *testing.T) {
	store := &subscribed{err: errors.New("away")}
	s := NewSubscriptions(store, slog.New(slog.DiscardHandler))
	handle := Handler(s, store)
	batch := []events.Message{{Event: events.New("1", "/orders", confirmed, []byte(`{}`))}, {Event: events.New("2", "/orders", "souk.orders.other.v1", []byte(`{}`))}}

	if !s.Wanted(confirmed) {
		t.Error("before anything is known an event was passed over")
	}
	if err := handle(t.Context(), nil, batch); err == nil {
		t.Error("nobody knows who wants the events, and they count as done")
	}
	store.err = nil
	if err := handle(t.Context(), nil, batch); err != nil {
		t.Error(err)
	}
	if s.Wanted(confirmed) {
		t.Error("nobody wants it")
	}
	store.all = []app.WebhookSubscription{{Endpoint: uuid.New(), Patterns: []string{"souk.orders.*"}}}
	s.Changed(t.Context())
	if !s.Wanted(confirmed) || s.Wanted("souk.payments.payment.captured.v1") || s.Wanted("souk.orders.other.v1") {
		t.Error("an endpoint for orders wants what happens to orders, as far as it is told outside")
	}
}
