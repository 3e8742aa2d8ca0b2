package store

import (
	"context"

	"github.com/go-json-experiment/json"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"souk/internal/postgres"
	"souk/services/inventory/app"
)

// Reservation implements app.Store.
func (s *Store) Reservation(ctx context.Context, order uuid.UUID) (r app.Reservation, err error) {
	err = postgres.Read(ctx, s.pool, func(q postgres.Querier) error {
		rows, err := q.Query(ctx, "SELECT "+reservationColumns+" FROM reservations WHERE order_id = $1", order)
		if err != nil {
			return err
		}
		found, err := pgx.CollectExactlyOneRow(rows, scanReservation)
		if err != nil {
			return notFound(err, app.ErrNoReservation)
		}
		r = *found
		return nil
	})
	return r, err
}

// Held implements app.Store.
func (s *Store) Held(ctx context.Context, after uuid.UUID, limit int) (all []app.Held, err error) {
	err = postgres.Read(ctx, s.pool, func(q postgres.Querier) error {
		rows, err := q.Query(ctx, "SELECT order_id, state, lines, changed_at FROM reservations WHERE order_id > $1 ORDER BY order_id LIMIT $2", after, limit)
		if err != nil {
			return err
		}
		all, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (h app.Held, err error) {
			var raw []byte
			if err := row.Scan(&h.OrderID, &h.State, &raw, &h.ChangedAt); err != nil {
				return h, err
			}
			h.ChangedAt = h.ChangedAt.UTC()
			var lines []app.Line
			err = json.Unmarshal(raw, &lines)
			h.Lines = app.BySKU(lines)
			return h, err
		})
		return err
	})
	return all, err
}

// totals sums up the books in one statement, so at one moment.
const totals = `WITH page AS (SELECT sku FROM skus WHERE sku > $1 ORDER BY sku LIMIT $2),
	held AS (
		SELECT l ->> 'sku' AS sku,
			sum((l ->> 'quantity')::bigint) FILTER (WHERE r.state = 'reserved') AS reserved,
			sum((l ->> 'quantity')::bigint) FILTER (WHERE r.state = 'committed') AS sold
		FROM reservations r, jsonb_array_elements(r.lines) l WHERE r.state IN ('reserved', 'committed') GROUP BY 1
	),
	there AS (SELECT sku, sum(available) AS available, sum(reserved) AS reserved, sum(sold) AS sold FROM stock JOIN page USING (sku) GROUP BY sku),
	changed AS (SELECT sku, sum(delta) AS adjusted FROM adjustments JOIN page USING (sku) GROUP BY sku)
	SELECT sku, coalesce(there.available, 0)::bigint, coalesce(there.reserved, 0)::bigint, coalesce(there.sold, 0)::bigint,
		coalesce(adjusted, 0)::bigint, coalesce(held.reserved, 0)::bigint, coalesce(held.sold, 0)::bigint
	FROM page LEFT JOIN there USING (sku) LEFT JOIN changed USING (sku) LEFT JOIN held USING (sku) ORDER BY sku`

// Totals implements app.Store.
func (s *Store) Totals(ctx context.Context, after string, limit int) (all []app.Totals, err error) {
	err = postgres.Read(ctx, s.pool, func(q postgres.Querier) error {
		rows, err := q.Query(ctx, totals, after, limit)
		if err != nil {
			return err
		}
		all, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (t app.Totals, err error) {
			return t, row.Scan(&t.SKU, &t.Available, &t.Reserved, &t.Sold, &t.Adjusted, &t.ReservedByReservations, &t.SoldByReservations)
		})
		return err
	})
	return all, err
}
