package app

import (
	"context"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/google/uuid"

	"souk/internal/errs"
	"souk/internal/logs"
)

// EventType names what happened, with the version of the data's shape.
type EventType string

// The events. The data of the first four is the whole Product, of the last the Tree.
const (
	ProductCreated    EventType = "souk.catalog.product.created.v1"
	ProductUpdated    EventType = "souk.catalog.product.updated.v1"
	ProductArchived   EventType = "souk.catalog.product.archived.v1"
	ProductRestored   EventType = "souk.catalog.product.restored.v1"
	CategoriesChanged EventType = "souk.catalog.categories.changed.v1"
)

// TreeKey is the subject of CategoriesChanged.
const TreeKey = "tree"

// Event is a change that is to be published. It is stored in the same document as the
// change itself, so that neither can be without the other.
type Event struct {
	ID          string // UUIDv7, the same however often the event is published
	Type        EventType
	Subject     string // product id, or TreeKey
	Sequence    int64  // version of the subject that the event tells of
	Time        time.Time
	Traceparent string // of the request that made the change; "" for none
	Data        []byte // JSON
}

// maxData bounds an event's data: twenty of them fit a document of MongoDB (16 MB)
// beside the product, and one fits a Kafka message (1 MB).
const maxData = 512 << 10

func newEvent(ctx context.Context, kind EventType, subject string, version int64, at time.Time, data any) (Event, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return Event{}, err
	}
	raw, err := json.Marshal(data)
	if err != nil {
		return Event{}, err
	}
	if len(raw) > maxData {
		return Event{}, errs.New(errs.Unprocessable, "too-large", "it would take %d bytes as JSON; the limit is %d", len(raw), maxData)
	}
	e := Event{ID: id.String(), Type: kind, Subject: subject, Sequence: version, Time: at, Data: raw}
	if trace, ok := logs.TraceFrom(ctx); ok {
		e.Traceparent = trace.Traceparent()
	}
	return e, nil
}
