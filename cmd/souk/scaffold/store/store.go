// Package store keeps items in PostgreSQL.
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

// Store is app.Store on PostgreSQL.
type Store struct {
	pool *postgres.Pool
	log  *slog.Logger
}

// New makes a store. Migrate must have succeeded before it is used.
func New(pool *postgres.Pool, log *slog.Logger) *Store { return &Store{pool: pool, log: log} }

// Migrate brings the database to the newest of the migrations. Instances that start together wait for one another.
func (s *Store) Migrate(ctx context.Context) error {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	return postgres.Migrate(ctx, s.pool, files)
}

// tidyEvery is how often idempotency keys that have run out are deleted.
const tidyEvery = time.Hour

// Tidy deletes what is not needed any more, now and then, until ctx ends.
func (s *Store) Tidy(ctx context.Context) {
	tick := time.NewTicker(tidyEvery)
	defer tick.Stop()
	for {
		deleted, err := postgres.ForgetIdempotencyKeys(ctx, s.pool)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			s.log.Warn("idempotency keys that have run out stay for now", logs.Err(err))
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
