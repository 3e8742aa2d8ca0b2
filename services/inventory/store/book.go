package store

import (
	"context"
	"fmt"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"souk/services/inventory/app"
)

const (
	reservationColumns = "order_id, state, reason, restocked, lines, shortages, expires_at, created_at, changed_at"

	// Locks are taken in one order everywhere: reservations by id, then SKUs.
	lockReservations = "SELECT " + reservationColumns + " FROM reservations WHERE order_id = ANY($1) ORDER BY order_id FOR UPDATE"

	lockSKUs = "SELECT sku, low_stock_threshold FROM skus WHERE sku = ANY($1) ORDER BY sku FOR NO KEY UPDATE"

	// lockSKUsOf is of the SKUs given and of those that the orders' reservations hold.
	lockSKUsOf = `SELECT sku, low_stock_threshold FROM skus WHERE sku = ANY(ARRAY(
		SELECT unnest($1::text[]) UNION
		SELECT l ->> 'sku' FROM reservations r, jsonb_array_elements(r.lines) l WHERE r.order_id = ANY($2)
	)) ORDER BY sku FOR NO KEY UPDATE`

	// It is a statement of its own, so it sees what was committed while the one before waited for its locks.
	readStock   = "SELECT sku, location, available, reserved, sold FROM stock WHERE sku = ANY($1)"
	readStockOf = `SELECT sku, location, available, reserved, sold FROM stock WHERE sku = ANY(ARRAY(
		SELECT unnest($1::text[]) UNION
		SELECT l ->> 'sku' FROM reservations r, jsonb_array_elements(r.lines) l WHERE r.order_id = ANY($2)
	))`
)

// bookOf locks and reads, in one round trip, what commands about these orders and SKUs can touch.
func (s *Store) bookOf(ctx context.Context, tx pgx.Tx, orders []uuid.UUID, skus []string) (*app.Book, error) {
	batch := &pgx.Batch{}
	batch.Queue(lockReservations, orders)
	batch.Queue(lockSKUsOf, skus, orders)
	batch.Queue(readStockOf, skus, orders)
	answers := tx.SendBatch(ctx, batch)
	defer answers.Close() // what it says was said before
	reservations, err := readReservations(answers)
	if err != nil {
		return nil, err
	}
	items, err := s.readItems(answers)
	if err != nil {
		return nil, err
	}
	return app.NewBook(items, reservations, time.Now()), answers.Close()
}

// bookOfSKUs is bookOf for what is not about orders. The reservations, if any, are locked already, and hold these SKUs.
func (s *Store) bookOfSKUs(ctx context.Context, tx pgx.Tx, reservations []*app.Reservation, skus []string) (*app.Book, error) {
	batch := &pgx.Batch{}
	batch.Queue(lockSKUs, skus)
	batch.Queue(readStock, skus)
	answers := tx.SendBatch(ctx, batch)
	defer answers.Close() // what it says was said before
	items, err := s.readItems(answers)
	if err != nil {
		return nil, err
	}
	return app.NewBook(items, reservations, time.Now()), answers.Close()
}

func readReservations(answers pgx.BatchResults) ([]*app.Reservation, error) {
	rows, err := answers.Query()
	if err != nil {
		return nil, err
	}
	reservations, err := pgx.CollectRows(rows, scanReservation)
	if err != nil {
		return nil, fmt.Errorf("lock reservations: %w", err)
	}
	return reservations, nil
}

func scanReservation(row pgx.CollectableRow) (*app.Reservation, error) {
	r := &app.Reservation{}
	var lines, shortages []byte
	var expires *time.Time
	err := row.Scan(&r.OrderID, &r.State, &r.Reason, &r.Restocked, &lines, &shortages, &expires, &r.CreatedAt, &r.ChangedAt)
	if err != nil {
		return nil, err
	}
	if expires != nil {
		r.ExpiresAt = expires.UTC()
	}
	r.CreatedAt, r.ChangedAt = r.CreatedAt.UTC(), r.ChangedAt.UTC()
	if err := json.Unmarshal(lines, &r.Lines); err != nil {
		return nil, err
	}
	if shortages != nil {
		if err := json.Unmarshal(shortages, &r.Shortages); err != nil {
			return nil, err
		}
	}
	r.Read()
	return r, nil
}

// readItems takes two answers: the SKUs, then their stock.
func (s *Store) readItems(answers pgx.BatchResults) (items []*app.Item, err error) {
	rows, err := answers.Query()
	if err != nil {
		return nil, err
	}
	type known struct {
		sku       string
		threshold int64
	}
	skus, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (k known, err error) {
		return k, row.Scan(&k.sku, &k.threshold)
	})
	if err != nil {
		return nil, fmt.Errorf("lock stock: %w", err)
	}
	if rows, err = answers.Query(); err != nil {
		return nil, err
	}
	levels := make(map[string][]app.Level, len(skus))
	var sku string
	var l app.Level
	_, err = pgx.ForEachRow(rows, []any{&sku, &l.Location, &l.Available, &l.Reserved, &l.Sold}, func() error {
		levels[sku] = append(levels[sku], l)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read stock: %w", err)
	}
	locations := s.locations()
	for _, k := range skus {
		items = append(items, app.NewItem(k.sku, k.threshold, levels[k.sku], locations))
	}
	return items, nil
}
