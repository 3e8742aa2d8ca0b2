package store

import (
	"context"
	"fmt"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"souk/internal/events"
	"souk/internal/outbox"
	"souk/services/inventory/app"
)

const (
	// The conditions repeat what was decided under the locks: should somebody have come past them, fewer rows are updated
	// than there are changes, and nothing is committed. The table's constraints are the last line.
	updateStock = `UPDATE stock s SET available = s.available + d.available, reserved = s.reserved + d.reserved, sold = s.sold + d.sold
		FROM unnest($1::text[], $2::text[], $3::bigint[], $4::bigint[], $5::bigint[]) AS d (sku, location, available, reserved, sold)
		WHERE s.sku = d.sku AND s.location = d.location
		AND s.available + d.available >= 0 AND s.reserved + d.reserved >= 0 AND s.sold + d.sold >= 0`

	insertStock = `INSERT INTO stock (sku, location, available, reserved, sold)
		SELECT * FROM unnest($1::text[], $2::text[], $3::bigint[], $4::bigint[], $5::bigint[])`

	insertReservations = `INSERT INTO reservations (order_id, state, reason, restocked, lines, shortages, expires_at)
		SELECT n.order_id, n.state, n.reason, n.restocked, n.lines::jsonb, n.shortages::jsonb, n.expires_at
		FROM unnest($1::uuid[], $2::text[], $3::text[], $4::boolean[], $5::text[], $6::text[], $7::timestamptz[])
		AS n (order_id, state, reason, restocked, lines, shortages, expires_at)`

	updateReservations = `UPDATE reservations r SET state = n.state, reason = n.reason, restocked = n.restocked, lines = n.lines::jsonb, changed_at = now()
		FROM unnest($1::uuid[], $2::text[], $3::text[], $4::boolean[], $5::text[], $6::text[])
		AS n (order_id, state, reason, restocked, lines, was)
		WHERE r.order_id = n.order_id AND r.state = n.was`
)

// write stores what has changed in a book, in one round trip, and then its events in another.
func (s *Store) write(ctx context.Context, tx pgx.Tx, b *app.Book) error {
	batch := &pgx.Batch{}
	queueStock(batch, b.Changes())
	if err := queueReservations(batch, b.Reservations()); err != nil {
		return err
	}
	if batch.Len() > 0 {
		if err := tx.SendBatch(ctx, batch).Close(); err != nil {
			return fmt.Errorf("write stock and reservations: %w", err)
		}
	}
	told := b.Events()
	s.metrics.count(told)
	return appendEvents(ctx, tx, told)
}

// exactly fails unless the statement has touched n rows.
func exactly(q *pgx.QueuedQuery, n int, what string) {
	q.Exec(func(tag pgconn.CommandTag) error {
		if tag.RowsAffected() != int64(n) {
			return fmt.Errorf("%s: %d rows instead of %d: they are not as they were when they were locked", what, tag.RowsAffected(), n)
		}
		return nil
	})
}

func queueStock(batch *pgx.Batch, changes []app.Change) {
	type columns struct {
		skus, locations           []string
		available, reserved, sold []int64
	}
	var updated, inserted columns
	for _, c := range changes {
		to := &updated
		if c.NewLevel {
			to = &inserted
		}
		to.skus, to.locations = append(to.skus, c.SKU), append(to.locations, c.Delta.Location)
		to.available, to.reserved, to.sold = append(to.available, c.Delta.Available), append(to.reserved, c.Delta.Reserved), append(to.sold, c.Delta.Sold)
	}
	for sql, c := range map[string]columns{updateStock: updated, insertStock: inserted} {
		if len(c.skus) > 0 {
			exactly(batch.Queue(sql, c.skus, c.locations, c.available, c.reserved, c.sold), len(c.skus), "stock")
		}
	}
}

func queueReservations(batch *pgx.Batch, changed []*app.Reservation) error {
	type columns struct {
		orders                []uuid.UUID
		states, reasons, were []string
		restocked             []bool
		lines                 []string
		shortages             []*string
		expires               []*time.Time
	}
	var updated, inserted columns
	for _, r := range changed {
		lines, err := json.Marshal(r.Lines)
		if err != nil {
			return err
		}
		to := &updated
		if r.Was() == "" {
			to = &inserted
			var shortages *string
			if r.Shortages != nil {
				raw, err := json.Marshal(r.Shortages)
				if err != nil {
					return err
				}
				text := string(raw)
				shortages = &text
			}
			var expires *time.Time
			if !r.ExpiresAt.IsZero() {
				expires = &r.ExpiresAt
			}
			to.shortages, to.expires = append(to.shortages, shortages), append(to.expires, expires)
		}
		to.orders, to.states, to.were = append(to.orders, r.OrderID), append(to.states, string(r.State)), append(to.were, string(r.Was()))
		to.reasons, to.restocked, to.lines = append(to.reasons, r.Reason), append(to.restocked, r.Restocked), append(to.lines, string(lines))
	}
	if n := len(inserted.orders); n > 0 {
		c := inserted
		exactly(batch.Queue(insertReservations, c.orders, c.states, c.reasons, c.restocked, c.lines, c.shortages, c.expires), n, "new reservations")
	}
	if n := len(updated.orders); n > 0 {
		c := updated
		exactly(batch.Queue(updateReservations, c.orders, c.states, c.reasons, c.restocked, c.lines, c.were), n, "reservations")
	}
	return nil
}

// appendEvents stores events with the changes that they tell of, after them.
func appendEvents(ctx context.Context, tx pgx.Tx, told []app.Event) error {
	if len(told) == 0 {
		return nil
	}
	now := time.Now().UTC()
	messages := make([]events.Message, len(told))
	for i, e := range told {
		id, err := uuid.NewV7()
		if err != nil {
			return err
		}
		data, err := json.Marshal(e.Data)
		if err != nil {
			return err
		}
		ce := events.New(id.String(), app.Source, string(e.Type), data)
		ce.SetSubject(e.Key)
		ce.SetTime(now)
		ce.SetDataSchema(e.Type.Schema())
		messages[i] = events.Message{Topic: app.Topic, Key: e.Key, Traceparent: e.Traceparent, Event: ce}
	}
	return outbox.Append(ctx, tx, messages...)
}
