package store

import (
	"context"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"souk/internal/logs"
	"souk/internal/postgres"
	"souk/services/inventory/app"
)

// expireBatch is how many reservations one transaction lets expire.
const expireBatch = 200

// Those that a command or another instance is at are passed over: it settles them, or they come next time.
const lockExpired = "SELECT " + reservationColumns + ` FROM reservations WHERE state = 'reserved' AND expires_at <= now()
	ORDER BY expires_at LIMIT $1 FOR UPDATE SKIP LOCKED`

// Expire releases the stock of reservations whose time is over, until ctx ends. All instances may do so side by side.
// every is asked for the pause between two looks.
func (s *Store) Expire(ctx context.Context, every func() time.Duration) {
	for ctx.Err() == nil {
		n, err := s.expireSome(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			s.log.Warn("reservations whose time is over stay for now", logs.Err(err))
		case n == expireBatch:
			continue // there may be more
		case n > 0:
			s.log.Info("Reservations expired", "event.action", "reservations-expired", "event.count", n)
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

func (s *Store) expireSome(ctx context.Context) (n int, err error) {
	err = postgres.Tx(ctx, s.pool, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, lockExpired, expireBatch)
		if err != nil {
			return err
		}
		over, err := pgx.CollectRows(rows, scanReservation)
		n = len(over)
		if err != nil || n == 0 {
			return err
		}
		var skus []string
		var commands []app.Command
		for _, r := range over {
			commands = append(commands, app.NewExpire(r.OrderID))
			for _, l := range r.Lines {
				skus = append(skus, l.SKU)
			}
		}
		slices.Sort(skus)
		book, err := s.bookOfSKUs(ctx, tx, over, slices.Compact(skus))
		if err != nil {
			return err
		}
		if err := book.Decide(commands...); err != nil {
			return err
		}
		return s.write(ctx, tx, book)
	})
	return n, err
}
