package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	nomadapi "github.com/hashicorp/nomad/api"
	"github.com/jackc/pgx/v5"

	"souk/internal/errs"
)

// load writes a row a transaction from eight goroutines and keeps account of
// what it was told about each.
type load struct {
	f          fixture
	table      string
	stop       context.CancelFunc
	workers    sync.WaitGroup
	mu         sync.Mutex
	ok, failed []string
	unknown    int
	errors     []error
	last       atomic.Int64 // when one succeeded, Unix nanoseconds
}

func (f fixture) load(t *testing.T) *load {
	t.Helper()
	l := &load{f: f, table: f.table(t, "id uuid PRIMARY KEY")}
	ctx, cancel := context.WithCancel(t.Context())
	l.stop = cancel
	for range 8 {
		l.workers.Go(func() {
			for ctx.Err() == nil {
				l.write()
				time.Sleep(2 * time.Millisecond)
			}
		})
	}
	t.Cleanup(l.end)
	return l
}

func (l *load) write() {
	id := uuid.Must(uuid.NewV7()).String()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	err := Tx(ctx, l.f.Pool, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, "INSERT INTO "+l.table+" VALUES ($1)", id)
		return err
	})
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case err == nil:
		l.ok = append(l.ok, id)
		l.last.Store(time.Now().UnixNano())
	case errors.Is(err, ErrOutcomeUnknown):
		l.unknown++
	default:
		l.failed = append(l.failed, id)
	}
	if err != nil {
		l.errors = append(l.errors, err)
	}
}

func (l *load) end() {
	l.stop()
	l.workers.Wait()
}

// audit ends the load and compares what callers were told with what is stored.
func (l *load) audit(t *testing.T) {
	t.Helper()
	l.end()
	stored := map[string]bool{}
	err := Read(t.Context(), l.f.Pool, func(q Querier) error {
		rows, err := q.Query(t.Context(), "SELECT id::text FROM "+l.table)
		if err != nil {
			return err
		}
		ids, err := pgx.CollectRows(rows, pgx.RowTo[string])
		for _, id := range ids {
			stored[id] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range l.ok {
		if !stored[id] {
			t.Errorf("%s was acknowledged and is lost", id)
		}
	}
	for _, id := range l.failed {
		if stored[id] {
			t.Errorf("%s failed and is stored", id)
		}
	}
	t.Logf("%d stored, %d failed, %d unknown", len(l.ok), len(l.failed), l.unknown)
}

func (l *load) noErrors(t *testing.T) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, err := range l.errors {
		if t.Errorf("a caller saw: %v", err); i == 5 {
			break
		}
	}
}

// onlyUnavailable: callers saw nothing but a 503.
func (l *load) onlyUnavailable(t *testing.T) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, err := range l.errors {
		if errs.KindOf(err) != errs.Unavailable {
			t.Errorf("a caller saw: %v", err)
		}
	}
}

func (l *load) heals(t *testing.T, limit time.Duration) {
	t.Helper()
	from := time.Now().UnixNano()
	eventually(t, limit, "transactions succeed", func() error {
		if l.last.Load() < from {
			return errors.New("none has since")
		}
		return nil
	})
}

// users are the ones of Vault's making that can log in for the probe now.
func (f fixture) users(t *testing.T) []string {
	t.Helper()
	var names []string
	err := Read(t.Context(), f.Pool, func(q Querier) error {
		rows, err := q.Query(t.Context(), `SELECT m.rolname FROM pg_auth_members a JOIN pg_roles m ON m.oid = a.member
			JOIN pg_roles o ON o.oid = a.roleid WHERE o.rolname = 'probe_owner' AND m.rolcanlogin AND m.rolname LIKE 'v-%'`)
		if err != nil {
			return err
		}
		names, err = pgx.CollectRows(rows, pgx.RowTo[string])
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// TestThreeRotationsUnderLoadFailNoStatement: also none of the pool's own, which
// nothing tries again, nor a transaction that is at work when the credentials go.
func TestThreeRotationsUnderLoadFailNoStatement(t *testing.T) {
	f := open(t, Options{})
	first := f.active.Load().Username
	l := f.load(t)
	plain, slow := 0, 0
	var others sync.WaitGroup
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	others.Go(func() {
		for ; ctx.Err() == nil; plain++ {
			var one int
			if err := f.QueryRow(context.WithoutCancel(ctx), "SELECT 1").Scan(&one); err != nil {
				t.Errorf("a statement failed: %v", err)
			}
			time.Sleep(time.Millisecond)
		}
	})
	others.Go(func() {
		for ; ctx.Err() == nil; slow++ {
			runs := 0
			err := Tx(context.WithoutCancel(ctx), f.Pool, func(tx pgx.Tx) error {
				runs++
				_, err := tx.Exec(context.WithoutCancel(ctx), "SELECT pg_sleep(2)")
				return err
			})
			if err != nil || runs != 1 {
				t.Errorf("a slow transaction ran %d times: %v", runs, err)
			}
		}
	})
	deadline := time.Now().Add(70 * time.Second)
	for f.rotations.Load() < 3 && time.Now().Before(deadline) && !t.Failed() {
		time.Sleep(100 * time.Millisecond)
		if n := f.Stat().TotalConns(); n > f.opts.MaxConns {
			t.Errorf("%d connections", n)
		}
	}
	time.Sleep(3 * time.Second) // for what hangs on the third
	cancel()
	others.Wait()
	l.audit(t)
	l.noErrors(t)
	if n := f.rotations.Load(); n < 3 {
		t.Errorf("%d rotations", n)
	}
	eventually(t, 10*time.Second, "only the user in use is left", func() error {
		users := f.users(t)
		if len(users) != 1 || users[0] == first || users[0] != f.active.Load().Username {
			return fmt.Errorf("users %v", users)
		}
		return nil
	})
	t.Logf("%d statements straight on the pool, %d slow transactions, over %d rotations", plain, slow, f.rotations.Load())
}

// TestARevokedTokenUnderLoad: all leases die at once and their sessions are
// ended; the pool notices before anybody tells it.
func TestARevokedTokenUnderLoad(t *testing.T) {
	f := open(t, Options{})
	l := f.load(t)
	time.Sleep(3 * time.Second)
	was := f.active.Load().Username
	if err := f.vault(t).Auth().Token().RevokeTreeWithContext(t.Context(), f.id.Vault().Token()); err != nil {
		t.Fatal(err)
	}
	eventually(t, 10*time.Second, "new credentials", func() error {
		if f.active.Load().Username == was {
			return errors.New("the old ones")
		}
		return nil
	})
	l.heals(t, 5*time.Second)
	l.audit(t)
	l.onlyUnavailable(t)
	if n := len(l.failed) + l.unknown; n > 16 {
		t.Errorf("%d transactions failed; all but those in COMMIT should have been tried again", n)
	}
}

// TestADroppedUserUnderLoad: the lease is gone with its user and sessions, the token is good.
func TestADroppedUserUnderLoad(t *testing.T) {
	f := open(t, Options{})
	l := f.load(t)
	time.Sleep(3 * time.Second)
	was := *f.active.Load()
	if _, err := f.vault(t).Logical().WriteWithContext(t.Context(), "sys/leases/revoke/"+was.ID, map[string]any{"sync": true}); err != nil {
		t.Fatal(err)
	}
	eventually(t, 10*time.Second, "new credentials", func() error {
		if f.active.Load().Username == was.Username {
			return errors.New("the old ones")
		}
		return nil
	})
	l.heals(t, 5*time.Second)
	l.audit(t)
	l.onlyUnavailable(t)
	if n := len(l.failed) + l.unknown; n > 16 {
		t.Errorf("%d transactions failed; all but those in COMMIT should have been tried again", n)
	}
}

// TestVaultIsSealedWhenCredentialsAreDue: PostgreSQL serves on meanwhile.
func TestVaultIsSealedWhenCredentialsAreDue(t *testing.T) {
	f := open(t, Options{})
	l := f.load(t)
	time.Sleep(11 * time.Second) // of 20; new ones are due at 13
	was := f.active.Load().Username
	unlock, err := f.env.Lock(t.Context(), func() {}) // keeps others' `souk up` from unsealing it
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(unlock)
	t.Cleanup(func() { f.unseal(t) })
	if err := f.vault(t).Sys().SealWithContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	time.Sleep(4 * time.Second)
	l.heals(t, 2*time.Second)
	l.noErrors(t)
	f.unseal(t)
	unlock()
	eventually(t, 15*time.Second, "new credentials", func() error {
		if f.active.Load().Username == was {
			return errors.New("the old ones")
		}
		return nil
	})
	l.heals(t, 5*time.Second)
	l.audit(t)
	l.onlyUnavailable(t)
}

func (f fixture) unseal(t *testing.T) {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	raw, err := os.ReadFile(f.env.Path("secrets", "vault-init.json"))
	if err != nil {
		t.Fatal(err)
	}
	var keys struct {
		Keys []string `json:"unseal_keys_b64"`
	}
	if err := json.Unmarshal(raw, &keys); err != nil {
		t.Fatal(err)
	}
	if _, err := f.vault(t).Sys().UnsealWithContext(ctx, keys.Keys[0]); err != nil {
		t.Fatal(err)
	}
	eventually(t, 20*time.Second, "Vault is active", func() error {
		health, err := f.vault(t).Sys().HealthWithContext(ctx)
		if err == nil && (health.Sealed || health.Standby) {
			err = errors.New("not active yet")
		}
		return err
	})
}

// TestPostgreSQLCrashesUnderLoad: callers get a 503, what was acknowledged is
// there, what failed is not, and it heals by itself.
func TestPostgreSQLCrashesUnderLoad(t *testing.T) {
	f := open(t, Options{})
	l := f.load(t)
	time.Sleep(2 * time.Second)
	nomad, err := f.env.Nomad()
	if err != nil {
		t.Fatal(err)
	}
	q := &nomadapi.QueryOptions{Namespace: "infra"}
	stubs, _, err := nomad.Jobs().Allocations("postgres", false, q)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := f.env.Souk(context.WithoutCancel(t.Context()), "up", "--servers"); err != nil {
			t.Errorf("repair the test instance: %v", err)
		}
	})
	for _, s := range stubs {
		if s.ClientStatus != nomadapi.AllocClientStatusRunning {
			continue
		}
		alloc, _, err := nomad.Allocations().Info(s.ID, q)
		if err != nil {
			t.Fatal(err)
		}
		// An immediate shutdown: no checkpoint, and recovery at the next start.
		if err := nomad.Allocations().Signal(alloc, q, "postgres", "SIGQUIT"); err != nil {
			t.Fatal(err)
		}
	}
	time.Sleep(time.Second)
	l.heals(t, time.Minute)
	l.audit(t)
	l.onlyUnavailable(t)
}
