package store

import (
	"context"
	"net/http"

	"github.com/go-json-experiment/json"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"souk/internal/postgres"
	"souk/services/inventory/app"
)

const adjustmentColumns = "id, sku, location, delta, reason, note, available, by, created_at"

// Adjust implements app.Store.
func (s *Store) Adjust(ctx context.Context, a app.Adjustment, once app.Once) (made app.Adjustment, replayed bool, err error) {
	key := postgres.IdempotencyKey{Principal: once.Principal, Route: once.Route, Key: once.Key, Fingerprint: once.Fingerprint}
	reply, replayed, err := key.Do(ctx, s.pool, func(tx pgx.Tx) (postgres.Reply, error) {
		if made, err = s.adjust(ctx, tx, a); err != nil {
			return postgres.Reply{}, err
		}
		body, err := json.Marshal(made)
		return postgres.Reply{Status: http.StatusCreated, Body: body}, err
	})
	if err == nil && replayed {
		err = json.Unmarshal(reply.Body, &made)
	}
	return made, replayed, err
}

func (s *Store) adjust(ctx context.Context, tx pgx.Tx, a app.Adjustment) (app.Adjustment, error) {
	book, err := s.bookOfSKUs(ctx, tx, nil, []string{a.SKU})
	if err != nil {
		return a, err
	}
	item, err := book.Item(a.SKU)
	if err != nil {
		return a, err
	}
	level, err := item.Adjust(a.Location, a.Delta)
	if err != nil {
		return a, err
	}
	a.Available = level.Available
	_, err = tx.Exec(ctx, "INSERT INTO adjustments ("+adjustmentColumns+") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
		a.ID, a.SKU, a.Location, a.Delta, a.Reason, a.Note, a.Available, a.By, a.CreatedAt)
	if err != nil {
		return a, err
	}
	return a, s.write(ctx, tx, book)
}

// Adjustments implements app.Store.
func (s *Store) Adjustments(ctx context.Context, sku string, before uuid.UUID, limit int) (all []app.Adjustment, err error) {
	if before == uuid.Nil {
		before = uuid.Max
	}
	err = postgres.Read(ctx, s.pool, func(q postgres.Querier) error {
		rows, err := q.Query(ctx, "SELECT "+adjustmentColumns+" FROM adjustments WHERE sku = $1 AND id < $2 ORDER BY id DESC LIMIT $3", sku, before, limit)
		if err != nil {
			return err
		}
		all, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (a app.Adjustment, err error) {
			err = row.Scan(&a.ID, &a.SKU, &a.Location, &a.Delta, &a.Reason, &a.Note, &a.Available, &a.By, &a.CreatedAt)
			a.CreatedAt = a.CreatedAt.UTC()
			return a, err
		})
		return err
	})
	return all, err
}
