package store

import (
	"context"

	"github.com/jackc/pgx/v5"

	"souk/internal/postgres"
)

const tidyCartsSQL = `DELETE FROM carts WHERE id IN (
	SELECT id FROM carts WHERE expires_at < now() - interval '1 hour' LIMIT 1000 FOR UPDATE SKIP LOCKED)`

// tidyCarts deletes carts that have expired, at most 1,000 at a time, and returns how many. It leaves them for an hour, so
// that none goes from under who is at work with it.
func (s *Store) tidyCarts(ctx context.Context) (deleted int64, err error) {
	err = postgres.Tx(ctx, s.pool, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, tidyCartsSQL)
		deleted = tag.RowsAffected()
		return err
	})
	return deleted, err
}
