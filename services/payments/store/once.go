package store

import (
	"context"
	"net/http"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"souk/internal/postgres"
	"souk/services/payments/app"
)

// awaited is the status of a key whose request has no final answer yet; its body is the id of what the request moved.
const awaited = 0

func keyOf(once app.Once) postgres.IdempotencyKey {
	return postgres.IdempotencyKey{Principal: once.Principal, Route: once.Route, Key: once.Key, Fingerprint: once.Fingerprint}
}

// ChangeOnce implements app.Store.
func (s *Store) ChangeOnce(ctx context.Context, once app.Once, sel app.Selection, move func(*app.Set) (uuid.UUID, error)) (set *app.Set, kept *app.Kept, err error) {
	reply, replayed, err := keyOf(once).Do(ctx, s.pool, func(tx pgx.Tx) (postgres.Reply, error) {
		var id uuid.UUID
		set, err = s.ChangeIn(ctx, tx, sel, func(set *app.Set) (err error) {
			id, err = move(set)
			return err
		})
		return postgres.Reply{Status: awaited, Body: id[:]}, err
	})
	switch {
	case err != nil:
		return nil, nil, err
	case !replayed:
		return set, nil, nil
	case reply.Status == awaited:
		id, err := uuid.FromBytes(reply.Body)
		return nil, &app.Kept{ID: id}, err
	}
	return nil, &app.Kept{Final: true, Body: reply.Body}, nil
}

// Answer implements app.Store.
func (s *Store) Answer(ctx context.Context, once app.Once, body []byte) error {
	return postgres.Tx(ctx, s.pool, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `UPDATE idempotency_keys SET status = $4, body = $5 WHERE principal = $1 AND route = $2 AND key = $3 AND status = $6`,
			once.Principal, once.Route, once.Key, http.StatusOK, body, awaited)
		return err
	})
}

// Notice implements app.Store.
func (s *Store) Notice(ctx context.Context, provider, id string, sel app.Selection, move func(*app.Set) error) (set *app.Set, err error) {
	err = postgres.Tx(ctx, s.pool, func(tx pgx.Tx) error {
		set = nil
		tag, err := tx.Exec(ctx, `INSERT INTO provider_notices (provider, id) VALUES ($1, $2) ON CONFLICT DO NOTHING`, provider, id)
		if err != nil || tag.RowsAffected() == 0 {
			return err
		}
		set, err = s.ChangeIn(ctx, tx, sel, move)
		return err
	})
	if err != nil {
		return nil, err
	}
	return set, nil
}
