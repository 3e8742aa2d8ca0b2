package store

import (
	"context"
	"errors"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"souk/internal/postgres"
	"souk/services/orders/app"
)

// One merge of a user's at a time: two that find no cart would else make two.
const mergeTurnSQL = "SELECT pg_advisory_xact_lock(hashtextextended('cart-merge/' || $1::text, 0))"

const targetCartSQL = "SELECT " + cartColumns + ` FROM carts c
	WHERE c.user_id = $1 AND c.order_id IS NULL AND c.merged_into IS NULL AND c.expires_at > now()
		AND ($2::text IS NULL OR c.currency IS NULL OR c.currency = $2)
	ORDER BY c.id DESC LIMIT 1 FOR UPDATE`

// MergeCart implements app.CartStore. The anonymous cart is locked before the user's; nobody locks them the other way round.
func (s *Store) MergeCart(ctx context.Context, id, user uuid.UUID, merge func(from, into *app.Cart) (*app.Cart, error)) (merged app.Cart, prices map[string]app.Price, err error) {
	err = postgres.Tx(ctx, s.pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, mergeTurnSQL, user); err != nil {
			return err
		}
		from, err := oneCart(tx.QueryRow(ctx, "SELECT "+cartColumns+" FROM carts c WHERE c.id = $1 FOR UPDATE", id))
		if err != nil {
			return err
		}
		into, err := mergeTarget(ctx, tx, &from, user)
		if err != nil {
			return err
		}
		versions := map[uuid.UUID]int64{from.ID: from.Version}
		changed := []*app.Cart{&from}
		if into != nil && into.ID != from.ID {
			versions[into.ID] = into.Version
			changed = append(changed, into)
		}
		result, err := merge(&from, into)
		if err != nil {
			return err
		}
		for _, c := range changed {
			if c.Version == versions[c.ID] {
				continue
			}
			if _, err := updateCart(ctx, tx, *c, versions[c.ID]); err != nil {
				return err
			}
		}
		merged, prices, err = cartAndPrices(tx.QueryRow(ctx, "SELECT "+cartColumns+", "+pricesOf("")+" FROM carts c WHERE c.id = $1", result.ID))
		return err
	})
	return merged, prices, err
}

// mergeTarget is where an anonymous cart goes or has gone; nil if that is nowhere.
func mergeTarget(ctx context.Context, tx pgx.Tx, from *app.Cart, user uuid.UUID) (*app.Cart, error) {
	sql, args := targetCartSQL, []any{user, textOrNull(from.Currency)}
	if from.MergedInto != uuid.Nil {
		sql, args = "SELECT "+cartColumns+" FROM carts c WHERE c.id = $1", []any{from.MergedInto}
	}
	into, err := oneCart(tx.QueryRow(ctx, sql, args...))
	if errors.Is(err, app.ErrCartNotFound) {
		return nil, nil //nolint:nilnil // there is none
	}
	return &into, err
}
