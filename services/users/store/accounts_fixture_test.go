package store

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"souk/internal/identity"
	"souk/internal/postgres"
	"souk/internal/testenv"
	"souk/services/users/app"
)

const (
	password = "a quiet river, 7 stones"
	other    = "the lamp hums at night 4"
)

// accounts are the use cases on the real database, in a schema of the test's own.
type accounts struct {
	*app.Accounts
	db     *Store
	t      testing.TB
	schema string
	hasher *countingHasher
}

// countingHasher says how many hashes were made.
type countingHasher struct {
	app.Hasher
	hashed atomic.Int64
}

func (h *countingHasher) Hash(ctx context.Context, from netip.Addr, p string) (string, error) {
	h.hashed.Add(1)
	return h.Hasher.Hash(ctx, from, p)
}

func (h *countingHasher) Verify(ctx context.Context, from netip.Addr, p, hash string) (bool, bool, error) {
	h.hashed.Add(1)
	return h.Hasher.Verify(ctx, from, p, hash)
}

func (h *countingHasher) VerifyNothing(ctx context.Context, from netip.Addr, p string) error {
	h.hashed.Add(1)
	return h.Hasher.VerifyNothing(ctx, from, p)
}

func openAccounts(t testing.TB, lockout app.Lockout) accounts {
	t.Helper()
	pool, schema := openSchema(t)
	st := New(pool, slog.New(slog.NewTextHandler(t.Output(), nil)))
	if err := st.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	passwords, err := app.NewPasswords(app.PasswordOptions{})
	if err != nil {
		t.Fatal(err)
	}
	hasher := &countingHasher{Hasher: passwords}
	// Tests move the hands of the database's clock: nothing is remembered beside it.
	a := app.New(st, hasher, app.Options{Issuer: "https://souk.example", Lockout: func() app.Lockout { return lockout }, LockMemory: time.Nanosecond})
	return accounts{Accounts: a, db: st, t: t, schema: schema, hasher: hasher}
}

// openSchema is a pool on the service's database whose sessions work in a schema that no other test uses.
func openSchema(t testing.TB) (pool *postgres.Pool, schema string) {
	t.Helper()
	env := testenv.Start(t)
	w := env.Workload(t, "users")
	opts := identity.Options{Service: "users", VaultAddr: env.VaultAddr(), JWTFile: w.Secrets + "/nomad_vault.jwt"}
	id, err := identity.Login(t.Context(), opts, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = id.Close(context.Background()) })
	creds, err := id.Database(t.Context(), "users")
	if err != nil {
		t.Fatal(err)
	}
	schema = "test_" + strings.ReplaceAll(uuid.NewString(), "-", "")
	base, err := postgres.Open(t.Context(), creds, env.PostgresAddr, "users", postgres.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = base.Close(context.Background()) })
	run := func(sql string) {
		err := postgres.Tx(context.Background(), base, func(tx pgx.Tx) error {
			_, err := tx.Exec(context.Background(), sql)
			return err
		})
		if err != nil {
			t.Error(err)
		}
	}
	run("CREATE SCHEMA " + schema)
	t.Cleanup(func() { run("DROP SCHEMA " + schema + " CASCADE") })
	t.Setenv("PGOPTIONS", "-c search_path="+schema)
	if pool, err = postgres.Open(t.Context(), creds, env.PostgresAddr, "users", postgres.Options{MaxConns: 20}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = pool.Close(context.Background()) })
	return pool, schema
}

// from is a client's address; each n is another.
func from(n int) netip.Addr { return netip.AddrFrom4([4]byte{192, 0, 2, byte(n)}) }

func newEmail() string { return "jane." + uuid.NewString()[24:] + "@mail.example" }

// user registers, follows the link, and has the account.
func (a accounts) user(email string) app.User {
	a.t.Helper()
	a.must(a.Register(a.t.Context(), app.Registration{Email: email, Password: password, Name: "Jane Doe", From: from(1)}))
	a.must(a.VerifyEmail(a.t.Context(), a.token(a.newestMail(email))))
	u, err := a.FindByEmail(a.t.Context(), email)
	a.must(err)
	return u
}

func (a accounts) admin() app.User {
	a.t.Helper()
	u := a.user(newEmail())
	u, err := a.SetRoles(a.t.Context(), uuid.Nil, u.ID, nil, []string{app.Admin})
	a.must(err)
	return u
}

// mails that were asked for, newest first.
func (a accounts) mails(email string) []uuid.UUID {
	a.t.Helper()
	rows, err := a.db.pool.Query(a.t.Context(), "SELECT id FROM mails WHERE login = sha256(convert_to($1, 'UTF8')) ORDER BY id DESC", email)
	a.must(err)
	ids, err := pgx.CollectRows(rows, pgx.RowTo[uuid.UUID])
	a.must(err)
	return ids
}

func (a accounts) newestMail(email string) uuid.UUID {
	a.t.Helper()
	ids := a.mails(email)
	if len(ids) == 0 {
		a.t.Fatal("there is no mail")
	}
	return ids[0]
}

// token is that of the link which a mail has when it is asked for now.
func (a accounts) token(mail uuid.UUID) string {
	a.t.Helper()
	m, err := a.MailContent(a.t.Context(), mail)
	a.must(err)
	_, token, found := strings.Cut(m.Link, "?token=")
	if !found {
		a.t.Fatalf("a mail of kind %s has no link", m.Kind)
	}
	return token
}

// events of a key, in their order: type, sequence and data.
func (a accounts) events(key uuid.UUID) []string {
	a.t.Helper()
	rows, err := a.db.pool.Query(a.t.Context(), `SELECT (SELECT convert_from(headers[i + 1], 'UTF8') FROM generate_subscripts(headers, 1) i WHERE headers[i] = 'ce_type')
		|| ' ' || coalesce((SELECT convert_from(headers[i + 1], 'UTF8') FROM generate_subscripts(headers, 1) i WHERE headers[i] = 'ce_sequence'), '-')
		|| ' ' || convert_from(value, 'UTF8') FROM outbox WHERE key = $1 ORDER BY id`, key.String())
	a.must(err)
	events, err := pgx.CollectRows(rows, pgx.RowTo[string])
	a.must(err)
	return events
}

func (a accounts) count(sql string, args ...any) (n int) {
	a.t.Helper()
	a.must(a.db.pool.QueryRow(a.t.Context(), sql, args...).Scan(&n))
	return n
}

func (a accounts) exec(sql string, args ...any) {
	a.t.Helper()
	_, err := a.db.pool.Exec(a.t.Context(), sql, args...)
	a.must(err)
}

func (a accounts) must(err error) {
	a.t.Helper()
	if err != nil {
		a.t.Fatal(err)
	}
}

// atOnce runs f n times side by side, and sorts the outcomes by error code; "" is success.
func atOnce(n int, code func(error) string, f func(i int) error) map[string]int {
	type outcome struct{ code string }
	start, outcomes := make(chan struct{}), make(chan outcome)
	for i := range n {
		go func() {
			<-start
			outcomes <- outcome{code(f(i))}
		}()
	}
	close(start)
	codes := map[string]int{}
	for range n {
		codes[(<-outcomes).code]++
	}
	return codes
}

func is(codes map[string]int, want string) bool { return fmt.Sprint(codes) == want }

// strict locks long enough for tests not to outlast a lock.
func strict() app.Lockout {
	l := app.DefaultLockout()
	l.First, l.Longest = time.Minute, time.Hour
	return l
}
