package postgres

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
)

//go:embed kit/*.sql
var kit embed.FS

// Migrate brings the database to the newest of the migrations, goose SQL files
// such as 00001_orders.sql at the root of fsys, and makes the tables of this
// package. Instances that start together wait for one another. A database that
// is newer than fsys is left alone, so that the previous release still starts.
// What it makes belongs to the role <service>_owner, as every session acts as it.
func Migrate(ctx context.Context, p *Pool, fsys fs.FS) error {
	own, err := fs.Sub(kit, "kit")
	if err != nil {
		return err
	}
	p.migrating.Add(1)
	defer p.migrating.Add(-1)
	// A pool of its own, with the same credentials: a migration may take longer than statements may.
	config := p.config.Copy()
	config.MaxConns = 2
	config.ConnConfig.RuntimeParams["statement_timeout"] = "0"
	config.ConnConfig.RuntimeParams["idle_in_transaction_session_timeout"] = "0"
	config.ConnConfig.RuntimeParams["lock_timeout"] = "10s"
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return fmt.Errorf("postgres: migrate: %w", err)
	}
	defer pool.Close()
	for _, set := range []struct {
		versions string // the table that says which ran
		files    fs.FS
	}{{"souk_kit_version", own}, {"goose_db_version", fsys}} {
		if err := p.up(ctx, pool, set.versions, set.files); err != nil {
			return fmt.Errorf("postgres: migrate %s: %w", p.config.ConnConfig.Database, err)
		}
	}
	return nil
}

func (p *Pool) up(ctx context.Context, pool *pgxpool.Pool, versions string, files fs.FS) error {
	// Waits up to ten minutes for another instance, looking every second.
	locker, err := lock.NewPostgresSessionLocker(lock.WithLockTimeout(1, 600))
	if err != nil {
		return err
	}
	db := stdlib.OpenDBFromPool(pool)
	defer func() { _ = db.Close() }()
	provider, err := goose.NewProvider(goose.DialectPostgres, db, files,
		goose.WithSessionLocker(locker), goose.WithTableName(versions), goose.WithDisableGlobalRegistry(true))
	if errors.Is(err, goose.ErrNoMigrations) {
		return nil
	}
	if err != nil {
		return err
	}
	results, err := provider.Up(ctx)
	for _, r := range results {
		p.opts.Log.Info("migrated", "file", r.Source.Path, "took", r.Duration.String())
	}
	if partial := (*goose.PartialError)(nil); errors.As(err, &partial) && partial.Failed != nil {
		return fmt.Errorf("%s: %w", partial.Failed.Source.Path, partial.Err)
	}
	return err
}
