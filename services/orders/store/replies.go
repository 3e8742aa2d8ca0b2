package store

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"slices"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"souk/services/orders/app"
)

// HandleReplies takes in what inventory and payments say, in the transaction of their inbox: all orders of the batch are
// read and locked with one statement, decide in memory, and are stored with a few.
func (s *Store) HandleReplies(ctx context.Context, tx pgx.Tx, replies []app.Reply, d app.Deadlines) error {
	orders, err := s.lock(ctx, tx, replies)
	if err != nil {
		return err
	}
	now := app.Now()
	for _, r := range replies {
		o, known := orders[r.Order]
		if !known {
			s.log.Warn("a reply about an order that does not exist", slog.String("order.id", r.Order.String()), slog.String("event.action", r.Fact.Kind()))
			continue
		}
		if err := o.Handle(r, now, d); err != nil {
			return fmt.Errorf("%w: %w", app.ErrImpossibleReply, err)
		}
	}
	changed := make([]*app.Order, 0, len(orders))
	for _, o := range orders {
		changed = append(changed, o)
	}
	slices.SortFunc(changed, func(a, b *app.Order) int { return bytes.Compare(a.ID[:], b.ID[:]) })
	return save(ctx, tx, changed)
}

// lock reads the orders of replies and keeps others from them until tx ends. All who lock several do so in the order of
// ids, so that none waits for another that waits for it. An order whose row is missing gets it from its events.
func (s *Store) lock(ctx context.Context, tx pgx.Tx, replies []app.Reply) (map[uuid.UUID]*app.Order, error) {
	wanted := make(map[uuid.UUID]bool, len(replies))
	ids := make([]uuid.UUID, 0, len(replies))
	for _, r := range replies {
		if !wanted[r.Order] {
			wanted[r.Order] = true
			ids = append(ids, r.Order)
		}
	}
	orders := make(map[uuid.UUID]*app.Order, len(ids))
	for {
		found, err := ordersWhere(ctx, tx, "WHERE o.id = ANY($1) ORDER BY o.id FOR UPDATE", ids)
		if err != nil {
			return nil, err
		}
		for _, o := range found {
			orders[o.ID] = o
		}
		if len(orders) == len(wanted) {
			return orders, nil
		}
		ids = slices.DeleteFunc(ids, func(id uuid.UUID) bool { return orders[id] != nil })
		restored, err := restore(ctx, tx, ids)
		if err != nil || restored == 0 {
			return orders, err
		}
	}
}
