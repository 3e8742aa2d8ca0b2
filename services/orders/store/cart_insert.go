package store

import (
	"context"
	"fmt"

	"github.com/go-json-experiment/json"

	"souk/internal/postgres"
	"souk/services/orders/app"
)

// InsertCart implements app.CartStore, with a statement that is a transaction of its own. Where its answer is lost it runs
// again: the id, which is new with every call, makes that harmless.
func (s *Store) InsertCart(ctx context.Context, cart app.Cart) error {
	lines, err := json.Marshal(cart.Lines)
	if err != nil {
		return fmt.Errorf("encode the lines of a cart: %w", err)
	}
	return postgres.Read(ctx, s.pool, func(q postgres.Querier) error {
		_, err := q.Exec(ctx, `INSERT INTO carts (id, version, user_id, token_hash, currency, lines, expires_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (id) DO NOTHING`,
			cart.ID, cart.Version, orNull(cart.User), cart.TokenHash, textOrNull(cart.Currency), lines, cart.ExpiresAt)
		return err
	})
}
