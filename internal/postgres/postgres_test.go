package postgres

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	vaultapi "github.com/hashicorp/vault/api"
	"github.com/jackc/pgx/v5"

	"souk/internal/errs"
	"souk/internal/identity"
	"souk/internal/testenv"
)

// fixture is a pool on the database of the probe, whose leases last 20 seconds.
type fixture struct {
	*Pool
	env     *testenv.Env
	id      *identity.Identity
	journal *journal
}

// journal keeps what is logged, for tests to read.
type journal struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.buf.Write(p)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.buf.String()
}

func open(t *testing.T, opts Options) fixture {
	t.Helper()
	env := testenv.Start(t)
	w := env.Workload(t, "probe")
	w.Setenv(t)
	f := fixture{env: env, journal: &journal{}}
	log := slog.New(slog.NewJSONHandler(f.journal, nil))
	opts.Log = log
	ctx := within(t, 30*time.Second)
	var err error
	if f.id, err = identity.Login(ctx, identity.FromEnv("probe"), log); err != nil {
		t.Fatal(err)
	}
	creds, err := f.id.Database(ctx, "probe")
	if err != nil {
		t.Fatal(err)
	}
	if f.Pool, err = Open(ctx, creds, env.PostgresAddr, "probe", opts); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 10*time.Second)
		defer cancel()
		if err := errors.Join(f.Close(ctx), f.id.Close(ctx)); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Logf("the log:\n%s", f.journal)
		}
	})
	return f
}

func (f fixture) vault(t *testing.T) *vaultapi.Client {
	t.Helper()
	c, err := f.env.Vault()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// table makes a table for the test alone.
func (f fixture) table(t *testing.T, columns string) string {
	t.Helper()
	name := fmt.Sprintf("test_%x", rand.Uint64())
	f.exec(t, fmt.Sprintf("CREATE TABLE %s (%s)", name, columns))
	t.Cleanup(func() { f.exec(t, "DROP TABLE "+name+" CASCADE") })
	return name
}

func (f fixture) exec(t *testing.T, sql string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 20*time.Second)
	defer cancel()
	for {
		err := Tx(ctx, f.Pool, func(tx pgx.Tx) error {
			_, err := tx.Exec(ctx, sql)
			return err
		})
		if err == nil {
			return
		}
		if errs.KindOf(err) != errs.Unavailable || ctx.Err() != nil {
			t.Errorf("%s: %v", sql, err)
			return
		}
	}
}

func (f fixture) count(t *testing.T, table string) (n int) {
	t.Helper()
	err := Read(t.Context(), f.Pool, func(q Querier) error {
		return q.QueryRow(t.Context(), "SELECT count(*) FROM "+table).Scan(&n)
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

func eventually(t *testing.T, limit time.Duration, what string, f func() error) {
	t.Helper()
	deadline := time.Now().Add(limit)
	for {
		err := f()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within %s: %v", what, limit, err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func TestOpenWaitsForTheServerAndSaysWhy(t *testing.T) {
	f := open(t, Options{})
	for name, c := range map[string]struct {
		addr, database, want string
	}{
		"nobody there":     {"127.0.0.1:1", "probe", "connection refused"},
		"no address known": {"", "probe", "no address of PostgreSQL is known"},
		"another's data":   {f.env.PostgresAddr(), "orders", "permission denied for database"},
	} {
		t.Run(name, func(t *testing.T) {
			creds, err := f.id.Database(t.Context(), "probe")
			if err != nil {
				t.Fatal(err)
			}
			_, err = Open(within(t, time.Second), creds, func() string { return c.addr }, c.database, Options{})
			if err == nil || !strings.Contains(err.Error(), c.want) || !errors.Is(err, context.DeadlineExceeded) || strings.Contains(err.Error(), "\n") {
				t.Errorf("want one line with %q, got %v", c.want, err)
			}
		})
	}
}

func TestSessionsActAsTheOwnerAndAreBounded(t *testing.T) {
	f := open(t, Options{StatementTimeout: 300 * time.Millisecond, LockTimeout: 200 * time.Millisecond})
	var user, session, app string
	err := Read(t.Context(), f.Pool, func(q Querier) error {
		return q.QueryRow(t.Context(), "SELECT current_user, session_user, current_setting('application_name')").Scan(&user, &session, &app)
	})
	if err != nil || user != "probe_owner" || session != f.active.Load().Username || app != "probe" {
		t.Errorf("acts as %s (session of %s), application %s: %v", user, session, app, err)
	}
	err = Read(t.Context(), f.Pool, func(q Querier) error {
		_, err := q.Exec(t.Context(), "SELECT pg_sleep(5)")
		return err
	})
	if errs.KindOf(err) != errs.Unavailable || errs.CodeOf(err) != "database-busy" {
		t.Errorf("a statement without end: %v", err)
	}
	table := f.table(t, "id int PRIMARY KEY")
	f.exec(t, "INSERT INTO "+table+" VALUES (1)")
	err = Tx(t.Context(), f.Pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(t.Context(), "SELECT * FROM "+table+" FOR UPDATE"); err != nil {
			return err
		}
		return Tx(t.Context(), f.Pool, func(tx pgx.Tx) error {
			_, err := tx.Exec(t.Context(), "DELETE FROM "+table)
			return err
		})
	})
	if errs.KindOf(err) != errs.Unavailable || !hasCode(err, "55P03") {
		t.Errorf("a lock that is never given: %v", err)
	}
}

func TestMigrationsRunOnceBelongToTheOwnerAndSurviveTheirUsers(t *testing.T) {
	f := open(t, Options{StatementTimeout: 200 * time.Millisecond})
	for _, table := range []string{"goose_db_version", "souk_kit_version", "idempotency_keys", "outbox", "outbox_state", "inbox", "inbox_parked", "inbox_parked_keys", "test_migrated"} {
		f.exec(t, "DROP TABLE IF EXISTS "+table+" CASCADE")
	}
	ofKit, err := fs.Glob(kit, "kit/*.sql")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		f.exec(t, "DROP TABLE IF EXISTS test_migrated")
		f.exec(t, "DROP TABLE IF EXISTS goose_db_version")
	})
	first := fstest.MapFS{"00001_first.sql": {Data: []byte("-- +goose Up\nCREATE TABLE test_migrated (id int);\nSELECT pg_sleep(0.5);\n")}}
	second := fstest.MapFS{"00001_first.sql": first["00001_first.sql"],
		"00002_second.sql": {Data: []byte("-- +goose Up\nALTER TABLE test_migrated ADD COLUMN name text;\n")}}
	broken := fstest.MapFS{"00001_first.sql": first["00001_first.sql"], "00002_second.sql": second["00002_second.sql"],
		"00003_broken.sql": {Data: []byte("-- +goose Up\nALTER TABLE test_migrated ADD COLUMN more text;\nALTER TABLE nowhere ADD COLUMN x int;\n")}}

	var instances sync.WaitGroup
	for range 4 {
		instances.Go(func() {
			if err := Migrate(within(t, 30*time.Second), f.Pool, first); err != nil {
				t.Error(err)
			}
		})
	}
	instances.Wait()
	for _, files := range []fs.FS{second, second, first /* the previous release */} {
		if err := Migrate(within(t, 30*time.Second), f.Pool, files); err != nil {
			t.Fatal(err)
		}
	}
	if n := strings.Count(f.journal.String(), `"msg":"migrated"`); n != 2+len(ofKit) {
		t.Errorf("%d migrations ran, want first, second and the kit's %d", n, len(ofKit))
	}
	err = Migrate(within(t, 30*time.Second), f.Pool, broken)
	if err == nil || !strings.Contains(err.Error(), "00003_broken.sql") {
		t.Errorf("a broken migration: %v", err)
	}
	rows, err := f.Query(t.Context(), "SELECT tablename, tableowner FROM pg_tables WHERE schemaname = 'public' AND tablename IN ('test_migrated', 'idempotency_keys', 'goose_db_version', 'souk_kit_version')")
	if err != nil {
		t.Fatal(err)
	}
	owners, err := pgx.CollectRows(rows, pgx.RowToStructByPos[struct{ Table, Owner string }])
	if err != nil || len(owners) != 4 {
		t.Errorf("%v, %v", owners, err)
	}
	for _, o := range owners {
		if o.Owner != "probe_owner" {
			t.Errorf("%s belongs to %s", o.Table, o.Owner)
		}
	}
	var columns int
	if err := f.QueryRow(t.Context(), "SELECT count(*) FROM information_schema.columns WHERE table_name = 'test_migrated'").Scan(&columns); err != nil || columns != 2 {
		t.Errorf("%d columns, want 2: the broken migration left something: %v", columns, err)
	}
}
