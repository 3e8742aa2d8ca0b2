package store

import (
	"context"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"souk/internal/postgres"
	"souk/services/orders/app"
)

// ChangeCart implements app.CartStore.
func (s *Store) ChangeCart(ctx context.Context, id uuid.UUID, skus []string, change func(*app.Cart, map[string]app.Price) error) (cart app.Cart, err error) {
	err = postgres.Tx(ctx, s.pool, func(tx pgx.Tx) error {
		var prices map[string]app.Price
		if cart, prices, err = lockedCart(ctx, tx, id, skus); err != nil {
			return err
		}
		from := cart.Version
		if err := change(&cart, prices); err != nil || cart.Version == from {
			return err
		}
		_, err = updateCart(ctx, tx, cart, from)
		return err
	})
	return cart, err
}

// DeleteCart implements app.CartStore.
func (s *Store) DeleteCart(ctx context.Context, id uuid.UUID, check func(*app.Cart, map[string]app.Price) error) error {
	return postgres.Tx(ctx, s.pool, func(tx pgx.Tx) error {
		cart, prices, err := lockedCart(ctx, tx, id, nil)
		if err != nil {
			return err
		}
		if err := check(&cart, prices); err != nil {
			return err
		}
		_, err = tx.Exec(ctx, "DELETE FROM carts WHERE id = $1", id)
		return err
	})
}

// lockedCart is a cart that nobody else changes until tx ends, with the prices of its lines and of skus.
func lockedCart(ctx context.Context, tx pgx.Tx, id uuid.UUID, skus []string) (app.Cart, map[string]app.Price, error) {
	return cartAndPrices(tx.QueryRow(ctx, "SELECT "+cartColumns+", "+pricesOf(" || $2::text[]")+" FROM carts c WHERE c.id = $1 FOR UPDATE", id, skus))
}

// Marking takes no reading: the version is the one that was checked, so the lines are the same.
const markOrderedSQL = `UPDATE carts SET order_id = $4, version = version + 1
	WHERE id = $1 AND user_id = $2 AND version = $3 AND order_id IS NULL AND merged_into IS NULL`

// queueMarkOrdered adds to b that a cart becomes the order's, in the version that it has here. If it has another by then,
// the error of b's results is app.ErrCartChanged, and the transaction must be undone.
func queueMarkOrdered(b *pgx.Batch, cart app.Cart, order uuid.UUID) {
	b.Queue(markOrderedSQL, cart.ID, cart.User, cart.Version, order).Exec(func(tag pgconn.CommandTag) error {
		if tag.RowsAffected() != 1 {
			return app.ErrCartChanged
		}
		return nil
	})
}

// EraseCarts deletes a user's.
func (s *Store) EraseCarts(ctx context.Context, tx pgx.Tx, user uuid.UUID) error {
	_, err := tx.Exec(ctx, "DELETE FROM carts WHERE user_id = $1", user)
	return err
}
