// Package store keeps the queue of mails and the log of what became of them in PostgreSQL.
package store

import (
	"context"
	"embed"
	"io/fs"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"

	"souk/internal/logs"
	"souk/internal/postgres"
)

//go:embed migrations/*.sql
var migrations embed.FS

// Store is app.Store on PostgreSQL, and where events leave what they ask for.
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

// tidyEvery is how often the log is cut.
const tidyEvery = time.Hour

// Tidy deletes what the log has had for longer than keep, now and then, until ctx ends.
func (s *Store) Tidy(ctx context.Context, keep func() time.Duration) {
	tick := time.NewTicker(tidyEvery)
	defer tick.Stop()
	for {
		deleted, err := s.forget(ctx, keep())
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			s.log.Warn("the log of mails is not cut for now", logs.Err(err))
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

// forgetBatch bounds one statement.
const forgetBatch = 1000

func (s *Store) forget(ctx context.Context, keep time.Duration) (deleted int64, err error) {
	err = postgres.Tx(ctx, s.pool, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, `DELETE FROM mails WHERE id IN (
			SELECT id FROM mails WHERE finished_at < now() - $1::interval ORDER BY finished_at LIMIT $2 FOR UPDATE SKIP LOCKED)`, keep, forgetBatch)
		deleted = tag.RowsAffected()
		return err
	})
	return deleted, err
}
