package store

import (
	"context"
	"strconv"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"souk/internal/events"
	"souk/internal/outbox"
	"souk/services/users/app"
)

// appendEvent stores an event with the change that it tells of, after it. Its key is the subject; version orders the
// events of a user, 0 is for those of nobody.
func appendEvent(ctx context.Context, tx pgx.Tx, kind app.EventType, subject uuid.UUID, version int64, data any) error {
	id, err := uuid.NewV7()
	if err != nil {
		return err
	}
	raw, err := json.Marshal(data)
	if err != nil {
		return err
	}
	e := events.New(id.String(), app.Source, string(kind), raw)
	e.SetSubject(subject.String())
	e.SetTime(time.Now().UTC())
	e.SetDataSchema(kind.Schema())
	if version > 0 {
		e.SetExtension(events.Sequence, strconv.FormatInt(version, 10))
	}
	return outbox.Append(ctx, tx, events.Message{Topic: app.Topic, Key: subject.String(), Event: e})
}
