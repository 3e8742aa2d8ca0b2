package store

import (
	"context"
	"strconv"

	"github.com/go-json-experiment/json"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"souk/internal/events"
	"souk/internal/outbox"
	"souk/services/orders/app"
)

// queueMessages stores the commands and public events of orders in the batch that changes them, after the change.
func queueMessages(ctx context.Context, b *pgx.Batch, orders ...*app.Order) error {
	var all []events.Message
	for _, o := range orders {
		for _, m := range o.Messages() {
			e, err := message(m)
			if err != nil {
				return err
			}
			all = append(all, e)
		}
	}
	return outbox.Queue(ctx, b, all...)
}

// message is m as it goes on its topic. Its key is the order, so what is about one order stays in order.
func message(m app.Message) (events.Message, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return events.Message{}, err
	}
	data, err := json.Marshal(m.Data)
	if err != nil {
		return events.Message{}, err
	}
	key := m.Order.String()
	e := events.New(id.String(), app.Source, m.Type, data)
	e.SetSubject(key)
	e.SetTime(m.At)
	e.SetDataSchema(m.Schema)
	if m.Sequence > 0 {
		e.SetExtension(events.Sequence, strconv.FormatInt(m.Sequence, 10))
	}
	return events.Message{Topic: m.Topic, Key: key, Traceparent: m.Traceparent, Event: e}, nil
}
