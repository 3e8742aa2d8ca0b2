// Package store keeps carts and orders in PostgreSQL.
package store

import (
	"context"
	"embed"
	"io/fs"
	"log/slog"
	"time"

	"souk/internal/logs"
	"souk/internal/postgres"
)

//go:embed migrations/*.sql
var migrations embed.FS

// Store is app.OrderStore and app.CartStore on PostgreSQL.
type Store struct {
	pool    *postgres.Pool
	log     *slog.Logger
	numbers chan int64 // of orders, taken from the sequence and not used yet
}

// New makes a store. Migrate must have succeeded before it is used.
func New(pool *postgres.Pool, log *slog.Logger) *Store {
	return &Store{pool: pool, log: log, numbers: make(chan int64, numbersAtOnce)}
}

// Migrate brings the database to the newest of the migrations. Instances that start together wait for one another.
func (s *Store) Migrate(ctx context.Context) error {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	return postgres.Migrate(ctx, s.pool, files)
}

// tidyEvery is how often what has run out is deleted.
const tidyEvery = 10 * time.Minute

// Tidy deletes idempotency keys and carts that have run out, now and then, until ctx ends.
func (s *Store) Tidy(ctx context.Context) {
	tick := time.NewTicker(tidyEvery)
	defer tick.Stop()
	for {
		deleted, err := postgres.ForgetIdempotencyKeys(ctx, s.pool)
		if err == nil {
			var carts int64
			carts, err = s.tidyCarts(ctx)
			deleted += carts
		}
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			s.log.Warn("what has run out stays for now", logs.Err(err))
		case deleted > 0:
			continue // there may be more
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}
