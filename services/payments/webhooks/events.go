package webhooks

import (
	"context"
	"fmt"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/jackc/pgx/v5"

	"souk/internal/events"
	"souk/internal/inbox"
	"souk/services/payments/app"
)

// Group is the consumer group of all instances.
const Group = "payments-webhooks"

// Topics that are consumed.
func Topics() []string { return []string{"orders.events.v1", "payments.events.v1"} }

// Queue is where deliveries are left, in the transaction of the inbox.
type Queue interface {
	QueueWebhooks(ctx context.Context, tx pgx.Tx, ds []app.NewWebhookDelivery) error
}

// message is what a receiver gets: the members that Standard Webhooks names.
type message struct {
	Type      string         `json:"type"`
	Timestamp string         `json:"timestamp"` // when it happened: RFC 3339
	Data      jsontext.Value `json:"data"`      // the event's
}

// Handler is inbox.Options.HandleAll: it makes deliveries of a batch of events, one for each endpoint that wants one.
func Handler(subscriptions *Subscriptions, queue Queue) func(context.Context, pgx.Tx, []events.Message) error {
	return func(ctx context.Context, tx pgx.Tx, ms []events.Message) error {
		known, err := subscriptions.current(ctx)
		if err != nil {
			return inbox.Transient(err)
		}
		var ds []app.NewWebhookDelivery
		for _, m := range ms {
			wanting := known.wanted[m.Event.Type()]
			if len(wanting) == 0 {
				continue
			}
			at := m.Event.Time()
			if at.IsZero() {
				at = time.Unix(0, 0)
			}
			body, err := json.Marshal(message{m.Event.Type(), at.UTC().Format(time.RFC3339Nano), m.Event.Data()})
			if err != nil {
				return inbox.Poison(fmt.Errorf("%s: its data: %w", m.Event.Type(), err))
			}
			for _, sub := range wanting {
				ds = append(ds, app.NewWebhookDelivery{
					ID: app.WebhookDeliveryID(sub.Endpoint, m.Event.Source(), m.Event.ID(), at), Endpoint: sub.Endpoint,
					EventType: m.Event.Type(), Subject: m.Event.Subject(), Traceparent: m.Traceparent, Body: body,
				})
			}
		}
		if len(ds) == 0 {
			return nil
		}
		return queue.QueueWebhooks(ctx, tx, ds)
	}
}
