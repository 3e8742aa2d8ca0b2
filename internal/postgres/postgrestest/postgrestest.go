// Package postgrestest gives tests a schema of their own in a service's database, and
// lets programs that a test starts reach it too.
package postgrestest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"souk/internal/identity"
	"souk/internal/postgres"
	"souk/internal/testenv"
)

const address = "SOUK_TEST_POSTGRES"

// Open gives a pool on a new schema that has the tables of postgres.Migrate and goes
// with the test. The service decides whose database and Nomad job it is; tests that want
// the same one wait for one another. The probe's credentials change every few seconds,
// those of others live an hour.
func Open(t testing.TB, service string, opts postgres.Options) *postgres.Pool {
	t.Helper()
	env := testenv.Start(t)
	for _, pair := range append(env.Workload(t, service).Env, address+"="+env.PostgresAddr()) {
		setenv(t, pair)
	}
	admin := dial(t, postgres.Options{})
	schema := pgx.Identifier{"test_" + uuid.NewString()}.Sanitize()
	exec(t, admin, "CREATE SCHEMA "+schema)
	t.Cleanup(func() { exec(t, admin, "DROP SCHEMA "+schema+" CASCADE") })
	setenv(t, "PGOPTIONS=-c search_path="+schema)
	p := dial(t, opts)
	if err := postgres.Migrate(t.Context(), p, fstest.MapFS{}); err != nil {
		t.Fatal(err)
	}
	return p
}

// Dial opens a pool on the schema of the test that started this program.
func Dial(ctx context.Context, opts postgres.Options) (pool *postgres.Pool, closing func() error, err error) {
	log := slog.New(slog.DiscardHandler)
	service := os.Getenv("NOMAD_JOB_ID")
	id, err := identity.Login(ctx, identity.FromEnv(service), log)
	if err != nil {
		return nil, nil, err
	}
	credentials, err := id.Database(ctx, service)
	if err == nil {
		pool, err = postgres.Open(ctx, credentials, func() string { return os.Getenv(address) }, service, opts)
	}
	if err != nil {
		return nil, nil, errors.Join(err, id.Close(ctx))
	}
	return pool, func() error {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		return errors.Join(pool.Close(ctx), id.Close(ctx))
	}, nil
}

func dial(t testing.TB, opts postgres.Options) *postgres.Pool {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	p, closing, err := Dial(ctx, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := closing(); err != nil {
			t.Error(err)
		}
	})
	return p
}

func exec(t testing.TB, p *postgres.Pool, sql string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	err := postgres.Tx(ctx, p, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, sql)
		return err
	})
	if err != nil {
		t.Error(fmt.Errorf("%s: %w", sql, err))
	}
}

func setenv(t testing.TB, pair string) {
	for i := range pair {
		if pair[i] == '=' {
			t.Setenv(pair[:i], pair[i+1:])
			return
		}
	}
}

// Cut takes the database away from p, and from every pool of this program, until the
// function it returns is called: sessions end, and no others can be made.
func Cut(t testing.TB, p *postgres.Pool) (mend func()) {
	t.Helper()
	at := os.Getenv(address)
	if err := os.Setenv(address, "127.0.0.1:1"); err != nil {
		t.Fatal(err)
	}
	mend = func() {
		if err := os.Setenv(address, at); err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(mend)
	p.Reset()
	for _, c := range p.AcquireAllIdle(t.Context()) {
		_ = c.Conn().Close(t.Context())
		c.Release()
	}
	return mend
}
