// Package outbox publishes events of a service whose database is PostgreSQL: a
// change and its events are stored in one transaction (Append), and one instance
// at a time brings them to Kafka (Relay). Nothing is published that did not
// happen, and nothing that happened stays unpublished.
//
// What is guaranteed of the order. The relay reads rows in the order of their
// ids, and deletes by id exactly those that Kafka has confirmed; it keeps no
// position. So a transaction that took a low id and commits late is published
// late and never skipped. Ids of one key follow the order of the commits if the
// transactions that append to the key are serialised by something they lock first:
// append after the row of the aggregate has been updated or selected FOR UPDATE,
// or its next version inserted under a unique constraint. Between keys there is no
// order.
//
// What is guaranteed of the number. An event is published at least once: when the
// relay dies between Kafka's commit and the deletion, its successor publishes the
// batch again, under the same event ids and before anything newer of those keys.
// Consumers know a repetition by source and id, as internal/inbox does.
package outbox

import (
	"context"
	"fmt"
	"regexp"

	"github.com/jackc/pgx/v5"

	"souk/internal/events"
	"souk/internal/logs"
)

// maxMessage bounds an event with its headers, in bytes; Kafka takes 1,000,000 and
// counts some of its own on top.
const maxMessage = 900_000

// topicName is what Kafka takes for one.
var topicName = regexp.MustCompile(`^[a-zA-Z0-9._-]{1,249}$`)

// Append stores events in the transaction of the change that they tell of. They are
// published after its commit, those of one key in the order of the calls and of the
// arguments. It should come after the change itself: see the package about the order.
//
// An event without a Traceparent gets the one of ctx. One that could not be published
// (no id, source or type, a bad topic, over 900 kB) is refused here, where it harms
// no others. When a million events wait, Kafka has been away for long: Append fails
// with errs.Unavailable "events-backlog", and so should the change.
func Append(ctx context.Context, tx pgx.Tx, messages ...events.Message) error {
	batch := &pgx.Batch{}
	if err := Queue(ctx, batch, messages...); err != nil || batch.Len() == 0 {
		return err
	}
	if err := tx.SendBatch(ctx, batch).Close(); err != nil {
		return fmt.Errorf("outbox: append: %w", err)
	}
	return nil
}

// Queue is Append for a batch of statements of the caller's, so that a change and its
// events are one round trip. That the outbox is full is an error of the batch's Close,
// which must be what reads this part of the results: don't read past the statements that
// were queued before.
func Queue(ctx context.Context, batch *pgx.Batch, messages ...events.Message) error {
	parent := ""
	if trace, has := logs.TraceFrom(ctx); has {
		parent = trace.Traceparent()
	}
	var next rows
	for _, m := range messages {
		if m.Traceparent == "" {
			m.Traceparent = parent
		}
		r, err := record(m)
		if err != nil {
			return fmt.Errorf("outbox: %w", err)
		}
		if next.add(r); len(next.topics) == rowsAtOnce {
			next.queue(batch)
			next = rows{}
		}
	}
	next.queue(batch)
	return nil
}

// record is the message as it is stored and sent.
func record(m events.Message) (events.Record, error) {
	r, err := events.Encode(m)
	if err != nil {
		return r, err
	}
	if !topicName.MatchString(r.Topic) {
		return r, fmt.Errorf("event %q: %q is no name of a topic", m.Event.ID(), r.Topic)
	}
	if size := r.Size(); size > maxMessage {
		return r, fmt.Errorf("event %q: %d bytes, more than %d", m.Event.ID(), size, maxMessage)
	}
	if r.Value == nil {
		r.Value = []byte{} // a tombstone has no place among events
	}
	return r, nil
}
