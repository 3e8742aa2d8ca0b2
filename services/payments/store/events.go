package store

import (
	"time"

	"github.com/go-json-experiment/json"
	"github.com/google/uuid"

	"souk/contracts"
	"souk/internal/events"
	"souk/services/payments/app"
)

// encode makes messages of events.
func encode(all []app.Event) ([]events.Message, error) {
	messages := make([]events.Message, len(all))
	now := time.Now().UTC()
	for k, e := range all {
		id, err := uuid.NewV7()
		if err != nil {
			return nil, err
		}
		data, err := json.Marshal(e.Data)
		if err != nil {
			return nil, err
		}
		key := e.Key.String()
		event := events.New(id.String(), app.Source, string(e.Type), data)
		event.SetSubject(key)
		event.SetTime(now)
		event.SetDataSchema(contracts.Schema(string(e.Type)))
		messages[k] = events.Message{Topic: app.Topic, Key: key, Traceparent: e.Traceparent, Event: event}
	}
	return messages, nil
}
