package store

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"souk/internal/logs"
	"souk/internal/postgres"
	"souk/services/orders/app"
)

// dueAtOnce is how many orders one transaction looks after.
const dueAtOnce = 100

// Due draws the consequences of deadlines that have passed, and returns of how many orders. Orders that are locked, by a
// reply or by another instance, are left for the next time.
func (s *Store) Due(ctx context.Context, d app.Deadlines) (n int, err error) {
	err = postgres.Tx(ctx, s.pool, func(tx pgx.Tx) error {
		now := app.Now()
		orders, err := ordersWhere(ctx, tx, "WHERE NOT o.settled AND o.due_at <= $1 ORDER BY o.id LIMIT $2 FOR UPDATE SKIP LOCKED", now, dueAtOnce)
		if n = len(orders); err != nil || n == 0 {
			return err
		}
		for _, o := range orders {
			o.Due(now, d)
		}
		return save(ctx, tx, orders)
	})
	return n, err
}

// WatchDeadlines calls Due every so often until ctx ends; both are asked on each use.
func (s *Store) WatchDeadlines(ctx context.Context, every func() time.Duration, deadlines func() app.Deadlines) {
	for {
		n, err := s.Due(ctx, deadlines())
		if err != nil && ctx.Err() == nil {
			s.log.Warn("deadlines of orders are looked after later", logs.Err(err))
		}
		if n == dueAtOnce {
			continue // there may be more
		}
		timer := time.NewTimer(every())
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
	}
}
