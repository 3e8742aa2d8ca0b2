package postgres

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/jackc/pgx/v5"

	"souk/internal/errs"
)

// orders is a pool with the kit's tables and one for effects.
func orders(t *testing.T) (f fixture, table string, k IdempotencyKey) {
	t.Helper()
	f = open(t, Options{MaxConns: 20})
	if err := Migrate(within(t, 30*time.Second), f.Pool, fstest.MapFS{}); err != nil {
		t.Fatal(err)
	}
	f.exec(t, "DELETE FROM idempotency_keys")
	k = IdempotencyKey{Principal: "user:1", Route: "POST /v1/orders", Key: t.Name(), Fingerprint: []byte("hash of the body")}
	return f, f.table(t, "id int"), k
}

func effect(ctx context.Context, table string) func(pgx.Tx) (Reply, error) {
	return func(tx pgx.Tx) (Reply, error) {
		_, err := tx.Exec(ctx, "INSERT INTO "+table+" VALUES (1)")
		return Reply{Status: 201, Header: map[string]string{"Location": "/v1/orders/1"}, Body: []byte("{\"id\":1}\n")}, err
	}
}

func TestFiftyCallsWithOneKeyHaveOneEffectAndOneReply(t *testing.T) {
	for _, level := range []pgx.TxIsoLevel{pgx.ReadCommitted, pgx.Serializable} {
		t.Run(string(level), func(t *testing.T) {
			f, table, k := orders(t)
			do := func(ctx context.Context) (reply Reply, replayed bool, err error) {
				if level == pgx.ReadCommitted {
					return k.Do(ctx, f.Pool, effect(ctx, table))
				}
				err = TxAt(ctx, f.Pool, level, func(tx pgx.Tx) error {
					earlier, err := k.Begin(ctx, tx)
					if replayed = earlier != nil; err != nil || replayed {
						if replayed {
							reply = *earlier
						}
						return err
					}
					if reply, err = effect(ctx, table)(tx); err != nil {
						return err
					}
					return k.Finish(ctx, tx, reply)
				})
				return reply, replayed, err
			}
			var callers sync.WaitGroup
			var mu sync.Mutex
			first, again, inFlight := 0, 0, 0
			for range 50 {
				callers.Go(func() {
					for {
						reply, replayed, err := do(within(t, 30*time.Second))
						mu.Lock()
						switch {
						case errs.CodeOf(err) == "idempotency-in-flight" && errs.KindOf(err) == errs.Conflict:
							inFlight++
						case errs.KindOf(err) == errs.Unavailable: // a busy machine
						case err != nil:
							t.Error(err)
						case reply.Status != 201 || string(reply.Body) != "{\"id\":1}\n" || reply.Header["Location"] != "/v1/orders/1":
							t.Errorf("reply %+v", reply)
						case replayed:
							again++
						default:
							first++
						}
						mu.Unlock()
						if kind := errs.KindOf(err); kind != errs.Conflict && kind != errs.Unavailable {
							return
						}
						time.Sleep(5 * time.Millisecond) // as a client does that is told 409 or 503
					}
				})
			}
			callers.Wait()
			if n := f.count(t, table); n != 1 || first != 1 || again != 49 {
				t.Errorf("%d effects; %d first, %d replayed", n, first, again)
			}
			t.Logf("%d were told that it is in flight", inFlight)
		})
	}
}

func TestAKeyIsInFlightUntilItsTransactionEnds(t *testing.T) {
	f, table, k := orders(t)
	_, _, err := k.Do(t.Context(), f.Pool, func(tx pgx.Tx) (Reply, error) {
		if _, _, err := k.Do(t.Context(), f.Pool, effect(t.Context(), table)); !errors.Is(err, errs.IdempotencyInFlight()) {
			t.Errorf("the same key meanwhile: %v", err)
		}
		return effect(t.Context(), table)(tx)
	})
	if err != nil {
		t.Fatal(err)
	}
	if n := f.count(t, table); n != 1 {
		t.Errorf("%d effects", n)
	}
}

func TestAKeyHoldsForOnePrincipalRouteAndBody(t *testing.T) {
	f, table, k := orders(t)
	do := func(k IdempotencyKey) (bool, error) {
		_, replayed, err := k.Do(t.Context(), f.Pool, effect(t.Context(), table))
		return replayed, err
	}
	if reply, err := k.Answered(t.Context(), f.Pool); err != nil || reply != nil {
		t.Errorf("answered already: %+v, %v", reply, err)
	}
	if replayed, err := do(k); err != nil || replayed {
		t.Fatal(replayed, err)
	}
	if reply, err := k.Answered(t.Context(), f.Pool); err != nil || reply == nil || reply.Status != 201 || reply.Header["Location"] != "/v1/orders/1" {
		t.Errorf("answered: %+v, %v", reply, err)
	}
	other := k
	other.Fingerprint = []byte("hash of another body")
	if _, err := other.Answered(t.Context(), f.Pool); !errors.Is(err, errs.IdempotencyKeyReused()) {
		t.Errorf("another body was answered: %v", err)
	}
	if _, err := do(other); !errors.Is(err, errs.IdempotencyKeyReused()) || errs.KindOf(err) != errs.Unprocessable {
		t.Errorf("another body: %v", err)
	}
	other = k
	other.Principal = "user:2"
	if replayed, err := do(other); err != nil || replayed {
		t.Errorf("another principal with the same key: %v, %v", replayed, err)
	}
	other = k
	other.Route = "POST /v1/refunds"
	if replayed, err := do(other); err != nil || replayed {
		t.Errorf("another route: %v, %v", replayed, err)
	}
	if replayed, err := do(k); err != nil || !replayed {
		t.Errorf("the same again: %v, %v", replayed, err)
	}
	for _, change := range []func(*IdempotencyKey){
		func(k *IdempotencyKey) { k.Principal = "" }, func(k *IdempotencyKey) { k.Route = "" },
		func(k *IdempotencyKey) { k.Key = "" }, func(k *IdempotencyKey) { k.Fingerprint = nil },
	} {
		bad := k
		change(&bad)
		if _, err := do(bad); err == nil {
			t.Errorf("%+v was taken", bad)
		}
	}
	if n := f.count(t, table); n != 3 {
		t.Errorf("%d effects, want 3", n)
	}
}

// TestACrashBetweenEffectAndReplyIsHealedByTheRepetition: before COMMIT nothing
// is there and the key is free; after it the reply is there for the next.
func TestACrashBetweenEffectAndReplyIsHealedByTheRepetition(t *testing.T) {
	f, table, k := orders(t)
	crash := errors.New("the process is gone")
	_, _, err := k.Do(t.Context(), f.Pool, func(tx pgx.Tx) (Reply, error) {
		reply, err := effect(t.Context(), table)(tx)
		return reply, errors.Join(err, crash)
	})
	if !errors.Is(err, crash) || f.count(t, table) != 0 {
		t.Fatalf("%v, %d effects", err, f.count(t, table))
	}
	// The machine is gone: nobody rolls back, the session just ends.
	conn, err := f.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	tx, err := conn.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := k.Begin(t.Context(), tx); err != nil {
		t.Fatal(err)
	}
	if _, err := effect(t.Context(), table)(tx); err != nil {
		t.Fatal(err)
	}
	_ = conn.Conn().PgConn().Conn().Close()
	conn.Release()
	eventually(t, 5*time.Second, "the repetition is the first that counts", func() error {
		_, replayed, err := k.Do(t.Context(), f.Pool, effect(t.Context(), table))
		if replayed {
			t.Error("it was replayed")
		}
		return err
	})
	// The reply was lost on its way to the client.
	reply, replayed, err := k.Do(t.Context(), f.Pool, effect(t.Context(), table))
	if err != nil || !replayed || reply.Status != 201 || f.count(t, table) != 1 {
		t.Errorf("%+v, %v, %v, %d effects", reply, replayed, err, f.count(t, table))
	}
}

func TestAKeyIsForgottenAfterADay(t *testing.T) {
	f, table, k := orders(t)
	do := func() bool {
		_, replayed, err := k.Do(t.Context(), f.Pool, effect(t.Context(), table))
		if err != nil {
			t.Fatal(err)
		}
		return replayed
	}
	do()
	f.exec(t, "UPDATE idempotency_keys SET created_at = now() - interval '23 hours 59 minutes'")
	if !do() {
		t.Error("forgotten before a day was over")
	}
	f.exec(t, "UPDATE idempotency_keys SET created_at = now() - interval '24 hours'")
	if do() {
		t.Error("remembered for more than a day")
	}
	f.exec(t, "UPDATE idempotency_keys SET created_at = now() - interval '25 hours'")
	if n, err := ForgetIdempotencyKeys(t.Context(), f.Pool); err != nil || n != 1 {
		t.Errorf("%d deleted: %v", n, err)
	}
	if n := f.count(t, "idempotency_keys"); n != 0 {
		t.Errorf("%d are left", n)
	}
}
