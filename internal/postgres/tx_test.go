package postgres

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"souk/internal/errs"
)

func TestConflictingTransactionsAreTriedAgainUntilAllCount(t *testing.T) {
	f := open(t, Options{})
	table := f.table(t, "id int PRIMARY KEY, n int NOT NULL")
	f.exec(t, "INSERT INTO "+table+" VALUES (1, 0)")
	runs, done := 0, 0
	var mu sync.Mutex
	var callers sync.WaitGroup
	for range 4 {
		callers.Go(func() {
			for range 25 {
				err := TxAt(t.Context(), f.Pool, pgx.Serializable, func(tx pgx.Tx) error {
					mu.Lock()
					runs++
					mu.Unlock()
					var n int
					if err := tx.QueryRow(t.Context(), "SELECT n FROM "+table+" WHERE id = 1").Scan(&n); err != nil {
						return err
					}
					_, err := tx.Exec(t.Context(), "UPDATE "+table+" SET n = $1 WHERE id = 1", n+1)
					return err
				})
				switch {
				case err == nil:
					mu.Lock()
					done++
					mu.Unlock()
				case errs.CodeOf(err) != "database-busy":
					t.Error(err)
				}
			}
		})
	}
	callers.Wait()
	var n int
	if err := f.QueryRow(t.Context(), "SELECT n FROM "+table).Scan(&n); err != nil || n != done || done < 90 {
		t.Errorf("counted %d, %d of 100 succeeded: %v", n, done, err)
	}
	if runs == 100 {
		t.Error("nothing collided, so nothing was tested")
	}
	t.Logf("%d runs for %d transactions", runs, done)
}

func TestADeadlockIsTriedAgain(t *testing.T) {
	f := open(t, Options{})
	table := f.table(t, "id int PRIMARY KEY, n int NOT NULL")
	f.exec(t, "INSERT INTO "+table+" VALUES (1, 0), (2, 0)")
	var met sync.WaitGroup
	met.Add(2)
	var callers sync.WaitGroup
	for _, order := range [][2]int{{1, 2}, {2, 1}} {
		first := true
		callers.Go(func() {
			err := Tx(t.Context(), f.Pool, func(tx pgx.Tx) error {
				for i, id := range order {
					if i == 1 && first { // each holds one row by now
						first = false
						met.Done()
						met.Wait()
					}
					if _, err := tx.Exec(t.Context(), "UPDATE "+table+" SET n = n + 1 WHERE id = $1", id); err != nil {
						return err
					}
				}
				return nil
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	callers.Wait()
	var total int
	if err := f.QueryRow(t.Context(), "SELECT sum(n) FROM "+table).Scan(&total); err != nil || total != 4 {
		t.Errorf("sum %d, want 4: %v", total, err)
	}
}

func TestWhatFailsInsideATransactionIsUndoneAndReturnedAsItIs(t *testing.T) {
	f := open(t, Options{})
	table := f.table(t, "id int CONSTRAINT "+"test_id_key"+" UNIQUE")
	insert := func(ctx context.Context, tx pgx.Tx) error {
		_, err := tx.Exec(ctx, "INSERT INTO "+table+" VALUES (1)")
		return err
	}
	taken := errs.New(errs.Conflict, "sku-taken", "taken")
	runs := 0
	err := Tx(t.Context(), f.Pool, func(tx pgx.Tx) error {
		runs++
		return errors.Join(insert(t.Context(), tx), taken)
	})
	if !errors.Is(err, taken) || errs.KindOf(err) != errs.Conflict || runs != 1 {
		t.Errorf("after %d runs: %v", runs, err)
	}
	func() {
		defer func() {
			if recover() == nil {
				t.Error("the panic was swallowed")
			}
		}()
		_ = Tx(t.Context(), f.Pool, func(tx pgx.Tx) error {
			if err := insert(t.Context(), tx); err != nil {
				t.Error(err)
			}
			panic("a bug")
		})
	}()
	ctx, cancel := context.WithCancel(t.Context())
	err = Tx(ctx, f.Pool, func(tx pgx.Tx) error {
		err := insert(ctx, tx)
		cancel() // the client went away before commit
		return err
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled request: %v", err)
	}
	if n := f.count(t, table); n != 0 {
		t.Errorf("%d rows are left", n)
	}
	eventually(t, 2*time.Second, "every connection is given back", func() error {
		if n := f.Stat().AcquiredConns(); n != 0 {
			return fmt.Errorf("%d are out", n)
		}
		return nil
	})
	f.exec(t, "INSERT INTO "+table+" VALUES (1)")
	err = Tx(t.Context(), f.Pool, func(tx pgx.Tx) error { return insert(t.Context(), tx) })
	if !Violates(err, "test_id_key") || Violates(err, "other_key") || errs.KindOf(err) != errs.Internal {
		t.Errorf("a row twice: %v", err)
	}
	err = Tx(t.Context(), f.Pool, func(tx pgx.Tx) error {
		_ = insert(t.Context(), tx) // the mistake of going on
		return nil
	})
	if !errors.Is(err, pgx.ErrTxCommitRollback) {
		t.Errorf("a commit of what PostgreSQL had given up: %v", err)
	}
}

// TestAnErrorOfCommitIsKept: a constraint that is checked at the end only, and a
// connection that breaks at that very moment.
func TestAnErrorOfCommitIsKept(t *testing.T) {
	f := open(t, Options{})
	table := f.table(t, "id int CONSTRAINT test_late_key UNIQUE DEFERRABLE INITIALLY DEFERRED")
	runs := 0
	err := Tx(t.Context(), f.Pool, func(tx pgx.Tx) error {
		runs++
		_, err := tx.Exec(t.Context(), "INSERT INTO "+table+" VALUES (1), (1)")
		return err
	})
	if !Violates(err, "test_late_key") || errors.Is(err, ErrOutcomeUnknown) || runs != 1 {
		t.Errorf("after %d runs: %v", runs, err)
	}

	f.exec(t, `CREATE FUNCTION `+table+`_die() RETURNS trigger LANGUAGE plpgsql AS
		$$ BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NULL; END $$`)
	t.Cleanup(func() { f.exec(t, "DROP FUNCTION "+table+"_die CASCADE") })
	f.exec(t, `CREATE CONSTRAINT TRIGGER die AFTER INSERT ON `+table+` DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION `+table+`_die()`)
	runs = 0
	err = Tx(t.Context(), f.Pool, func(tx pgx.Tx) error {
		runs++
		_, err := tx.Exec(t.Context(), "INSERT INTO "+table+" VALUES (2)")
		return errors.Join(err, asLogin(t.Context(), tx))
	})
	if !errors.Is(err, ErrOutcomeUnknown) || errs.CodeOf(err) != "outcome-unknown" || errs.KindOf(err) != errs.Unavailable || !hasCode(err, "57P01") || runs != 1 {
		t.Errorf("after %d runs: %v", runs, err)
	}
}

// asLogin acts as the user that logged in, who may end his own sessions.
func asLogin(ctx context.Context, tx pgx.Tx) error {
	_, err := tx.Exec(ctx, "SET LOCAL ROLE NONE")
	return err
}

func TestAConnectionThatEndsBeforeCommitIsReplaced(t *testing.T) {
	f := open(t, Options{})
	table := f.table(t, "id int")
	runs := 0
	err := Tx(t.Context(), f.Pool, func(tx pgx.Tx) error {
		runs++
		if _, err := tx.Exec(t.Context(), "INSERT INTO "+table+" VALUES (1)"); err != nil {
			return err
		}
		if runs == 3 {
			return nil
		}
		if err := asLogin(t.Context(), tx); err != nil {
			return err
		}
		_, err := tx.Exec(t.Context(), "SELECT pg_terminate_backend(pg_backend_pid())")
		return err
	})
	if err != nil || runs != 3 {
		t.Errorf("after %d runs: %v", runs, err)
	}
	if n := f.count(t, table); n != 1 {
		t.Errorf("%d rows, want 1", n)
	}
}

func TestAServerThatIsAwayIsA503InBoundedTime(t *testing.T) {
	f := open(t, Options{Patience: 300 * time.Millisecond})
	addr := f.addr
	f.Reset()
	var mu sync.Mutex
	away := true
	f.addr = func() string {
		mu.Lock()
		defer mu.Unlock()
		if away {
			return "127.0.0.1:1"
		}
		return addr()
	}
	err := Tx(within(t, 20*time.Second), f.Pool, func(pgx.Tx) error { return nil })
	if errs.KindOf(err) != errs.Unavailable || errs.CodeOf(err) != "database-unavailable" {
		t.Errorf("nobody there: %v", err)
	}
	if e := (*errs.Error)(nil); !errors.As(err, &e) || strings.Contains(e.Detail, "127.0.0.1") || e.RetryAfter == 0 {
		t.Errorf("what a client is told: %+v", e)
	}
	if strings.Contains(fmt.Sprintf("%v %+v", err, err), f.active.Load().Password()) {
		t.Error("the error holds the password")
	}
	mu.Lock()
	away = false
	mu.Unlock()
	if err := Tx(within(t, 20*time.Second), f.Pool, func(pgx.Tx) error { return nil }); err != nil {
		t.Errorf("it is back: %v", err)
	}
}

func TestCloseLeavesNoSessionAndNoGoroutine(t *testing.T) {
	f := open(t, Options{})
	creds, err := f.id.Database(t.Context(), "probe")
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Ready(); err != nil {
		t.Error(err)
	}
	opened := runtime.NumGoroutine()
	other, err := Open(within(t, 10*time.Second), creds, f.env.PostgresAddr, "probe", Options{Application: "short-lived"})
	if err != nil {
		t.Fatal(err)
	}
	busy := make(chan error, 1)
	started := make(chan struct{})
	go func() {
		busy <- Tx(t.Context(), other, func(tx pgx.Tx) error {
			close(started)
			_, err := tx.Exec(t.Context(), "SELECT pg_sleep(0.5)")
			return err
		})
	}()
	<-started
	if err := other.Close(within(t, 5*time.Second)); err != nil {
		t.Error(err)
	}
	if err := <-busy; err != nil {
		t.Errorf("what ran when the pool was closed: %v", err)
	}
	eventually(t, 5*time.Second, "no session is left", func() error {
		var n int
		err := Read(t.Context(), f.Pool, func(q Querier) error {
			return q.QueryRow(t.Context(), "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'short-lived'").Scan(&n)
		})
		if err == nil && n > 0 {
			err = fmt.Errorf("%d sessions", n)
		}
		return err
	})
	eventually(t, 5*time.Second, "no goroutine is left", func() error {
		if n := runtime.NumGoroutine(); n > opened+4 { // HTTP connections that idle
			return fmt.Errorf("%d goroutines, %d before", n, opened)
		}
		return nil
	})
}

func TestErrorsAreExplainedByWhatACallerCanDo(t *testing.T) {
	for _, c := range []struct {
		err  error
		kind errs.Kind
		code string
	}{
		{&pgconn.PgError{Code: "40001"}, errs.Unavailable, "database-busy"},
		{&pgconn.PgError{Code: "57014"}, errs.Unavailable, "database-busy"},
		{&pgconn.PgError{Code: "53300"}, errs.Unavailable, "database-unavailable"},
		{&pgconn.PgError{Code: "28P01"}, errs.Unavailable, "database-unavailable"},
		{fmt.Errorf("read: %w", io.ErrUnexpectedEOF), errs.Unavailable, "database-unavailable"},
		{&pgconn.PgError{Code: "42601"}, errs.Internal, ""},
		{&pgconn.PgError{Code: "23505"}, errs.Internal, ""},
		{errs.New(errs.NotFound, "no-such-order", "no"), errs.NotFound, "no-such-order"},
		{NotFound(pgx.ErrNoRows, "no-such-order", "no"), errs.NotFound, "no-such-order"},
	} {
		if got := Explain(c.err); errs.KindOf(got) != c.kind || errs.CodeOf(got) != c.code || !errors.Is(got, c.err) && c.kind == errs.Unavailable {
			t.Errorf("%v: %v", c.err, got)
		}
	}
	if err := Explain(context.DeadlineExceeded); !errors.Is(err, context.DeadlineExceeded) || errs.CodeOf(err) != "" {
		t.Errorf("the request's own deadline: %v", err)
	}
	if Explain(nil) != nil {
		t.Error("nil has become an error")
	}
}
