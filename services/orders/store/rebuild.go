package store

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"reflect"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"souk/internal/logs"
	"souk/internal/postgres"
	"souk/services/orders/app"
)

// The table orders is made anew from order_events while the service serves. A request for it is a row of order_rebuilds,
// which `souk rebuild orders` writes and watches; some instance does the work, a few orders in a transaction. What it has
// done is kept, so one that dies half way is followed by another that goes on.

const (
	rebuildLook   = time.Second
	rebuildAtOnce = 100
)

// Rebuild works on requests until ctx ends.
func (s *Store) Rebuild(ctx context.Context) {
	for ctx.Err() == nil {
		worked, err := s.rebuildSome(ctx)
		if err != nil && ctx.Err() == nil {
			s.log.Warn("orders are rebuilt later", logs.Err(err))
		}
		if worked && err == nil {
			continue
		}
		timer := time.NewTimer(rebuildLook)
		select {
		case <-ctx.Done():
			timer.Stop()
		case <-timer.C:
		}
	}
}

// RequestRebuild has all orders rebuilt, and returns the number of the request.
func (s *Store) RequestRebuild(ctx context.Context) (id int64, err error) {
	err = postgres.Tx(ctx, s.pool, func(tx pgx.Tx) error {
		return tx.QueryRow(ctx, `INSERT INTO order_rebuilds DEFAULT VALUES RETURNING id`).Scan(&id)
	})
	return id, err
}

// rebuildSome does the next part of the oldest request, unless another instance does.
func (s *Store) rebuildSome(ctx context.Context) (worked bool, err error) {
	err = postgres.Tx(ctx, s.pool, func(tx pgx.Tx) error {
		worked = false
		var id int64
		var position uuid.UUID
		err := tx.QueryRow(ctx, `SELECT id, position FROM order_rebuilds WHERE finished_at IS NULL ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED`).Scan(&id, &position)
		if errors.Is(err, pgx.ErrNoRows) {
			return nil
		}
		if err != nil {
			return err
		}
		worked = true
		ids, err := streamsAfter(ctx, tx, position)
		if err != nil {
			return err
		}
		last := uuid.Max
		if len(ids) > 0 {
			last = ids[len(ids)-1]
		}
		mended, err := s.rebuild(ctx, tx, ids)
		if err != nil {
			return err
		}
		strays, err := tx.Exec(ctx, `DELETE FROM orders o WHERE o.id > $1 AND o.id <= $2
			AND NOT EXISTS (SELECT FROM order_events e WHERE e.stream_id = o.id)`, position, last)
		if err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `UPDATE order_rebuilds SET position = $2, orders = orders + $3, mended = mended + $4, finished_at = CASE WHEN $5 THEN now() END
			WHERE id = $1`, id, last, len(ids), int64(mended)+strays.RowsAffected(), len(ids) == 0)
		return err
	})
	return worked, err
}

// streamsAfter are the next orders that have events: every one has a first.
func streamsAfter(ctx context.Context, tx pgx.Tx, position uuid.UUID) ([]uuid.UUID, error) {
	rows, err := tx.Query(ctx, `SELECT stream_id FROM order_events WHERE stream_id > $1 AND version = 1 ORDER BY stream_id LIMIT $2`, position, rebuildAtOnce)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[uuid.UUID])
}

// rebuild makes the rows of orders what their events say, and returns how many were not. Nobody adds events meanwhile: who
// does has locked the row first.
func (s *Store) rebuild(ctx context.Context, tx pgx.Tx, ids []uuid.UUID) (mended int, err error) {
	found, err := ordersWhere(ctx, tx, "WHERE o.id = ANY($1) ORDER BY o.id FOR UPDATE", ids)
	if err != nil {
		return 0, err
	}
	is := make(map[uuid.UUID]*app.Order, len(found))
	for _, o := range found {
		is[o.ID] = o
	}
	var missing []uuid.UUID
	for _, id := range ids {
		if is[id] == nil {
			missing = append(missing, id)
		}
	}
	if mended, err = restore(ctx, tx, missing); err != nil {
		return 0, err
	}
	should, err := foldAll(ctx, tx, ids)
	if err != nil {
		return 0, err
	}
	for _, o := range should {
		was, had := is[o.ID]
		if !had {
			continue
		}
		o.DueAt, o.Attempts = was.DueAt, was.Attempts
		if reflect.DeepEqual(was, o) {
			continue
		}
		s.log.Warn("an order was not what its events say", slog.String("order.id", o.ID.String()), slog.Int64("version", was.Version), slog.Int64("should", o.Version))
		row, err := rowOf(o)
		if err != nil {
			return 0, err
		}
		if _, err := tx.Exec(ctx, replaceOrderSQL, row...); err != nil {
			return 0, err
		}
		mended++
	}
	return mended, nil
}

// restore makes rows for orders that have events and no row, unless somebody else has just made them. The saga looks at
// them at once.
func restore(ctx context.Context, tx pgx.Tx, ids []uuid.UUID) (restored int, err error) {
	if len(ids) == 0 {
		return 0, nil
	}
	orders, err := foldAll(ctx, tx, ids)
	if err != nil {
		return 0, err
	}
	for _, o := range orders {
		o.DueAt = o.UpdatedAt.Add(restoredDue)
		row, err := rowOf(o)
		if err != nil {
			return 0, err
		}
		if _, err := tx.Exec(ctx, insertOrderSQL+" ON CONFLICT (id) DO NOTHING", row...); err != nil {
			return 0, err
		}
	}
	return len(orders), nil
}

// restoredDue is how long after its last event an order whose row was lost has to wait for an answer.
const restoredDue = 15 * time.Second

// foldAll makes orders of their events, by id.
func foldAll(ctx context.Context, tx pgx.Tx, ids []uuid.UUID) (orders []*app.Order, err error) {
	events, err := history(ctx, tx, "WHERE e.stream_id = ANY($1) ORDER BY e.stream_id, e.version", ids)
	if err != nil {
		return nil, err
	}
	for len(events) > 0 {
		n := 1
		for n < len(events) && bytes.Equal(events[n].Order[:], events[0].Order[:]) {
			n++
		}
		orders = append(orders, app.Fold(events[:n]))
		events = events[n:]
	}
	return orders, nil
}
