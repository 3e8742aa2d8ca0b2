// Package store keeps stock and reservations in PostgreSQL.
package store

import (
	"context"
	"embed"
	"io/fs"
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"

	"souk/internal/postgres"
)

//go:embed migrations/*.sql
var migrations embed.FS

// Store is app.Store on PostgreSQL, and that of the commands that events bring.
type Store struct {
	pool      *postgres.Pool
	log       *slog.Logger
	locations func() []string
	metrics   metrics
}

// New makes a store. Migrate must have succeeded before it is used. locations names those from which stock is taken first,
// in that order; it is asked at each use.
func New(pool *postgres.Pool, locations func() []string, log *slog.Logger) *Store {
	return &Store{pool: pool, log: log, locations: locations, metrics: newMetrics()}
}

// Migrate brings the database to the newest of the migrations. Instances that start together wait for one another.
func (s *Store) Migrate(ctx context.Context) error {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	return postgres.Migrate(ctx, s.pool, files)
}

// Metrics of what was decided.
func (s *Store) Metrics() []prometheus.Collector { return s.metrics.all() }
