package store

import (
	"context"
	"slices"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"souk/services/inventory/app"
)

// Decide takes a batch of commands to their end in a transaction of the caller's: what they change, and the events that
// answer them. However many there are, it is three round trips.
func (s *Store) Decide(ctx context.Context, tx pgx.Tx, commands []app.Command) error {
	orders := make([]uuid.UUID, 0, len(commands))
	skus := []string{}
	for _, c := range commands {
		orders = append(orders, c.OrderID)
		for _, l := range c.Lines {
			skus = append(skus, l.SKU)
		}
	}
	slices.Sort(skus)
	book, err := s.bookOf(ctx, tx, orders, slices.Compact(skus))
	if err != nil {
		return err
	}
	if err := book.Decide(commands...); err != nil {
		return err
	}
	return s.write(ctx, tx, book)
}

// AddSKUs makes SKUs known. Those that are known already stay as they are.
func (s *Store) AddSKUs(ctx context.Context, tx pgx.Tx, skus []string) error {
	slices.Sort(skus) // one order for all who insert
	_, err := tx.Exec(ctx, "INSERT INTO skus (sku) SELECT unnest($1::text[]) ON CONFLICT DO NOTHING", slices.Compact(skus))
	return err
}
