// Package store keeps payments and their ledger in PostgreSQL.
package store

import (
	"context"
	"embed"
	"io/fs"
	"log/slog"
	"time"

	"souk/internal/postgres"
)

//go:embed migrations/*.sql
var migrations embed.FS

// DefaultLease is how long an operation is left to whoever stored or claimed it.
const DefaultLease = 5 * time.Second

// Store is app.Store on PostgreSQL.
type Store struct {
	Lease time.Duration // longer than a call of a provider takes at most

	pool *postgres.Pool
	log  *slog.Logger
}

// New makes a store. Migrate must have succeeded before it is used.
func New(pool *postgres.Pool, log *slog.Logger) *Store {
	return &Store{Lease: DefaultLease, pool: pool, log: log}
}

// Migrate brings the database to the newest of the migrations. Instances that start together wait for one another.
func (s *Store) Migrate(ctx context.Context) error {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	return postgres.Migrate(ctx, s.pool, files)
}
