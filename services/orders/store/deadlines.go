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

// Due draws the consequences of deadlines that have passed, and returns of how many orders: of those that are pending alone
// unless again, as nothing is to be asked again then. Orders that are locked, by a reply or by another instance, are left for
// the next time.
func (s *Store) Due(ctx context.Context, d app.Deadlines, again bool) (n int, err error) {
	err = postgres.Tx(ctx, s.pool, func(tx pgx.Tx) error {
		now := app.Now()
		orders, err := ordersWhere(ctx, tx, `WHERE NOT o.settled AND o.due_at <= $1 AND (o.status = 'pending' OR $2)
			ORDER BY o.id LIMIT $3 FOR UPDATE SKIP LOCKED`, now, again, dueAtOnce)
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

// look calls Due, and has nothing asked again while the outbox is behind, nor for as long after that as an answer may
// take: what was asked before is still in it or has just left, and more of the same would only make it longer. Quiet is until
// when, from one look to the next.
func (s *Store) look(ctx context.Context, d app.Deadlines, quiet *time.Time) (int, error) {
	behind, err := s.behind(ctx, d.Again/3)
	if err != nil {
		return 0, err
	}
	now := time.Now()
	if behind {
		*quiet = now.Add(d.Again)
	}
	return s.Due(ctx, d, !now.Before(*quiet))
}

// behind reports whether something has been in the outbox for longer than that. The relay publishes rows in their order, so
// if not, whatever is older has left: who is due to ask again has asked Deadlines.Again ago or earlier.
func (s *Store) behind(ctx context.Context, than time.Duration) (behind bool, err error) {
	err = postgres.Read(ctx, s.pool, func(q postgres.Querier) error {
		return q.QueryRow(ctx, `SELECT coalesce((SELECT created_at < now() - $1::interval FROM outbox ORDER BY id LIMIT 1), false)`, than).Scan(&behind)
	})
	return behind, err
}

// WatchDeadlines looks at deadlines every so often until ctx ends; both are asked on each use.
func (s *Store) WatchDeadlines(ctx context.Context, every func() time.Duration, deadlines func() app.Deadlines) {
	quiet := time.Time{}
	for {
		n, err := s.look(ctx, deadlines(), &quiet)
		if err != nil && ctx.Err() == nil {
			s.log.Warn("deadlines of orders are looked after later", logs.Err(err))
		}
		if n == dueAtOnce && err == nil {
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
