package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/go-json-experiment/json"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"souk/internal/postgres"
	"souk/services/orders/app"
)

const cartColumns = "c.id, c.version, c.user_id, c.token_hash, c.currency, c.lines, c.order_id, c.merged_into, c.expires_at"

// pricesOf is a column with the prices of a cart's SKUs and of others, as JSON.
func pricesOf(others string) string {
	return `(SELECT json_agg(json_build_object('sku', p.sku, 'product', p.product_id, 'version', p.version, 'name', p.name,
		'minor', p.minor, 'currency', p.currency, 'active', p.active)) FROM prices p
		WHERE p.sku = ANY(ARRAY(SELECT l ->> 'sku' FROM json_array_elements(c.lines) l)` + others + `))`
}

// Cart implements app.CartStore.
func (s *Store) Cart(ctx context.Context, id uuid.UUID) (cart app.Cart, err error) {
	err = postgres.Read(ctx, s.pool, func(q postgres.Querier) error {
		cart, err = oneCart(q.QueryRow(ctx, "SELECT "+cartColumns+" FROM carts c WHERE c.id = $1", id))
		return err
	})
	return cart, err
}

// CartAndPrices implements app.CartStore.
func (s *Store) CartAndPrices(ctx context.Context, id uuid.UUID) (cart app.Cart, prices map[string]app.Price, err error) {
	err = postgres.Read(ctx, s.pool, func(q postgres.Querier) error {
		cart, prices, err = cartAndPrices(q.QueryRow(ctx, "SELECT "+cartColumns+", "+pricesOf("")+" FROM carts c WHERE c.id = $1", id))
		return err
	})
	return cart, prices, err
}

// CartsOf implements app.CartStore.
func (s *Store) CartsOf(ctx context.Context, f app.CartFilter) (carts []app.Cart, prices map[string]app.Price, err error) {
	before := f.Before
	if before == uuid.Nil {
		before = uuid.Max
	}
	sql := "SELECT " + cartColumns + ", CASE WHEN c.order_id IS NULL THEN " + pricesOf("") + ` END FROM carts c
		WHERE c.user_id = $1 AND c.id < $2 AND c.merged_into IS NULL AND c.expires_at > now()`
	switch f.Status {
	case app.CartOpen:
		sql += " AND c.order_id IS NULL"
	case app.CartOrdered:
		sql += " AND c.order_id IS NOT NULL"
	}
	err = postgres.Read(ctx, s.pool, func(q postgres.Querier) error {
		carts, prices = nil, map[string]app.Price{}
		rows, err := q.Query(ctx, sql+" ORDER BY c.id DESC LIMIT $3", f.User, before, f.Limit)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var raw []byte
			cart, err := scanCart(rows, &raw)
			if err == nil {
				err = addPrices(prices, raw)
			}
			if err != nil {
				return err
			}
			carts = append(carts, cart)
		}
		return rows.Err()
	})
	return carts, prices, err
}

// SaveCart implements app.CartStore.
func (s *Store) SaveCart(ctx context.Context, cart app.Cart, from int64) (saved bool, err error) {
	err = postgres.Tx(ctx, s.pool, func(tx pgx.Tx) error {
		saved, err = updateCart(ctx, tx, cart, from)
		return err
	})
	return saved, err
}

// updateCart writes a cart, unless its version is another than from.
func updateCart(ctx context.Context, tx pgx.Tx, c app.Cart, from int64) (updated bool, err error) {
	lines, err := json.Marshal(c.Lines)
	if err != nil {
		return false, fmt.Errorf("encode the lines of a cart: %w", err)
	}
	tag, err := tx.Exec(ctx, `UPDATE carts SET version = $3, user_id = $4, currency = $5, lines = $6, merged_into = $7, expires_at = $8
		WHERE id = $1 AND version = $2 AND order_id IS NULL AND merged_into IS NULL`,
		c.ID, from, c.Version, orNull(c.User), textOrNull(c.Currency), lines, orNull(c.MergedInto), c.ExpiresAt)
	return tag.RowsAffected() == 1, err
}

// oneCart reads the columns, or is app.ErrCartNotFound. more are what else the row has.
func oneCart(row pgx.Row, more ...any) (app.Cart, error) {
	cart, err := scanCart(row, more...)
	if errors.Is(err, pgx.ErrNoRows) {
		err = app.ErrCartNotFound
	}
	return cart, err
}

func scanCart(row pgx.Row, more ...any) (c app.Cart, err error) {
	var user, order, merged uuid.NullUUID
	var currency *string
	var lines []byte
	err = row.Scan(append([]any{&c.ID, &c.Version, &user, &c.TokenHash, &currency, &lines, &order, &merged, &c.ExpiresAt}, more...)...)
	if err != nil {
		return app.Cart{}, err
	}
	if err := json.Unmarshal(lines, &c.Lines); err != nil {
		return app.Cart{}, fmt.Errorf("the lines of cart %s: %w", c.ID, err)
	}
	if currency != nil {
		c.Currency = *currency
	}
	c.User, c.Order, c.MergedInto, c.ExpiresAt = user.UUID, order.UUID, merged.UUID, c.ExpiresAt.UTC()
	return c, nil
}

// cartAndPrices reads the columns and pricesOf.
func cartAndPrices(row pgx.Row) (app.Cart, map[string]app.Price, error) {
	var raw []byte
	cart, err := oneCart(row, &raw)
	if err != nil {
		return app.Cart{}, nil, err
	}
	prices := make(map[string]app.Price, len(cart.Lines))
	return cart, prices, addPrices(prices, raw)
}

// addPrices reads what pricesOf gives; it is null where there are none.
func addPrices(prices map[string]app.Price, raw []byte) error {
	if len(raw) == 0 {
		return nil
	}
	var rows []priceRow
	if err := json.Unmarshal(raw, &rows); err != nil {
		return fmt.Errorf("prices as JSON: %w", err)
	}
	for i := range rows {
		rows[i].take(prices)
	}
	return nil
}

func orNull(id uuid.UUID) uuid.NullUUID { return uuid.NullUUID{UUID: id, Valid: id != uuid.Nil} }

func textOrNull(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}
