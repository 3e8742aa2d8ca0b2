package store

import (
	"context"
	"errors"
	"net/http"

	"github.com/go-json-experiment/json"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"souk/cmd/souk/scaffold/app"
	"souk/internal/postgres"
)

const columns = "id, version, name, created_at, updated_at"

// Insert implements app.Store. The item is kept with its key, so that a request that comes again gets it as it was then.
func (s *Store) Insert(ctx context.Context, item app.Item, once *app.Once) (app.Item, bool, error) {
	if once == nil {
		err := postgres.Tx(ctx, s.pool, func(tx pgx.Tx) error { return insert(ctx, tx, item) })
		return item, false, err
	}
	key := postgres.IdempotencyKey{Principal: once.Principal, Route: once.Route, Key: once.Key, Fingerprint: once.Fingerprint}
	reply, replayed, err := key.Do(ctx, s.pool, func(tx pgx.Tx) (postgres.Reply, error) {
		if err := insert(ctx, tx, item); err != nil {
			return postgres.Reply{}, err
		}
		body, err := json.Marshal(item)
		return postgres.Reply{Status: http.StatusCreated, Body: body}, err
	})
	if err != nil || !replayed {
		return item, false, err
	}
	var made app.Item
	err = json.Unmarshal(reply.Body, &made)
	return made, true, err
}

func insert(ctx context.Context, tx pgx.Tx, i app.Item) error {
	_, err := tx.Exec(ctx, "INSERT INTO items ("+columns+") VALUES ($1, $2, $3, $4, $5)", i.ID, i.Version, i.Name, i.CreatedAt, i.UpdatedAt)
	return err
}

// Item implements app.Store.
func (s *Store) Item(ctx context.Context, id uuid.UUID) (item app.Item, err error) {
	err = postgres.Read(ctx, s.pool, func(q postgres.Querier) error {
		item, err = one(ctx, q, "SELECT "+columns+" FROM items WHERE id = $1", id)
		return err
	})
	return item, err
}

// Items implements app.Store.
func (s *Store) Items(ctx context.Context, before uuid.UUID, limit int) (items []app.Item, err error) {
	if before == uuid.Nil {
		before = uuid.Max
	}
	err = postgres.Read(ctx, s.pool, func(q postgres.Querier) error {
		rows, err := q.Query(ctx, "SELECT "+columns+" FROM items WHERE id < $1 ORDER BY id DESC LIMIT $2", before, limit)
		if err != nil {
			return err
		}
		items, err = pgx.CollectRows(rows, scan)
		return err
	})
	return items, err
}

// Change implements app.Store.
func (s *Store) Change(ctx context.Context, id uuid.UUID, change func(*app.Item) error) (item app.Item, err error) {
	err = postgres.Tx(ctx, s.pool, func(tx pgx.Tx) error {
		if item, err = one(ctx, tx, "SELECT "+columns+" FROM items WHERE id = $1 FOR UPDATE", id); err != nil {
			return err
		}
		version := item.Version
		if err := change(&item); err != nil || item.Version == version {
			return err
		}
		_, err = tx.Exec(ctx, "UPDATE items SET version = $2, name = $3, updated_at = $4 WHERE id = $1", id, item.Version, item.Name, item.UpdatedAt)
		return err
	})
	return item, err
}

// one is the item that the query finds, or app.ErrNotFound.
func one(ctx context.Context, q postgres.Querier, sql string, args ...any) (app.Item, error) {
	rows, err := q.Query(ctx, sql, args...)
	if err != nil {
		return app.Item{}, err
	}
	item, err := pgx.CollectExactlyOneRow(rows, scan)
	if errors.Is(err, pgx.ErrNoRows) {
		err = app.ErrNotFound
	}
	return item, err
}

// scan reads the columns.
func scan(row pgx.CollectableRow) (i app.Item, err error) {
	err = row.Scan(&i.ID, &i.Version, &i.Name, &i.CreatedAt, &i.UpdatedAt)
	i.CreatedAt, i.UpdatedAt = i.CreatedAt.UTC(), i.UpdatedAt.UTC()
	return i, err
}
