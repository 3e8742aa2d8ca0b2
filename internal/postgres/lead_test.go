package postgres

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// TestOneLeadsAtATime also when the leader gives up, its session is killed, and
// its credentials are replaced.
func TestOneLeadsAtATime(t *testing.T) {
	f := open(t, Options{})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var leading, terms atomic.Int32
	quit := make(chan struct{})
	var candidates sync.WaitGroup
	for range 3 {
		candidates.Go(func() {
			Lead(ctx, f.Pool, t.Name(), func(ctx context.Context) error {
				if leading.Add(1) > 1 {
					t.Error("two lead")
				}
				defer leading.Add(-1)
				terms.Add(1)
				select {
				case <-ctx.Done():
				case <-quit:
					return errors.New("had enough")
				}
				return nil
			})
		})
	}
	next := func(after int32, limit time.Duration, why string) {
		t.Helper()
		eventually(t, limit, "a leader after "+why, func() error {
			if leading.Load() != 1 || terms.Load() <= after {
				return errors.New("none yet")
			}
			return nil
		})
	}
	next(0, 5*time.Second, "the start")
	n := terms.Load()
	quit <- struct{}{}
	next(n, 5*time.Second, "one gave up")
	n = terms.Load()
	was := f.rotations.Load()
	eventually(t, 20*time.Second, "a rotation", func() error {
		if f.rotations.Load() == was {
			return errors.New("not yet")
		}
		return nil
	})
	next(n, 10*time.Second, "a rotation")
	cancel()
	candidates.Wait()
	if leading.Load() != 0 {
		t.Error("somebody leads on after the end")
	}
}

func TestAKilledLeaderIsFollowed(t *testing.T) {
	f := open(t, Options{})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	terms := make(chan context.Context, 8)
	var candidates sync.WaitGroup
	for range 2 {
		candidates.Go(func() {
			Lead(ctx, f.Pool, t.Name(), func(ctx context.Context) error {
				terms <- ctx
				<-ctx.Done()
				return nil
			})
		})
	}
	first := <-terms
	err := Tx(t.Context(), f.Pool, func(tx pgx.Tx) error {
		if err := asLogin(t.Context(), tx); err != nil {
			return err
		}
		_, err := tx.Exec(t.Context(), "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND pid <> pg_backend_pid()")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	select {
	case <-terms:
	case <-time.After(10 * time.Second):
		t.Error("nobody follows")
	}
	select {
	case <-first.Done():
	case <-time.After(2 * heartbeat):
		t.Error("the first does not learn that it leads no more")
	}
	cancel()
	candidates.Wait()
}
