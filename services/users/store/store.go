// Package store keeps accounts, sessions and what goes with them in PostgreSQL.
package store

import (
	"context"
	"embed"
	"io/fs"
	"log/slog"

	"souk/internal/postgres"
)

//go:embed migrations/*.sql
var migrations embed.FS

// Store is the stores of app and oauth on PostgreSQL.
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
