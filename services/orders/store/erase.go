package store

import (
	"context"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// EraseUser deletes what is personal of a user's orders, and the carts. The orders stay: they are accounts, and hold
// nothing of the user but an id.
func (s *Store) EraseUser(ctx context.Context, tx pgx.Tx, user uuid.UUID) error {
	if err := s.EraseCarts(ctx, tx, user); err != nil {
		return err
	}
	_, err := tx.Exec(ctx, `DELETE FROM order_addresses a USING orders o WHERE o.user_id = $1 AND a.order_id = o.id`, user)
	if err != nil {
		return err
	}
	// Answers that are kept for Idempotency-Keys repeat the address.
	_, err = tx.Exec(ctx, `DELETE FROM idempotency_keys WHERE principal = $1`, "user/"+user.String())
	return err
}
