package outbox_test

import (
	"context"
	"fmt"
	"log/slog"
	mathrand "math/rand/v2"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"

	"souk/internal/outbox"
	"souk/internal/postgres"
	"souk/internal/postgres/postgrestest"
)

const (
	relayService = "SOUK_TEST_RELAY_SERVICE"
	relayBroker  = "SOUK_TEST_RELAY_BROKER"
)

// TestMain can be a relay, so that a process of its own can be killed.
func TestMain(m *testing.M) {
	if os.Getenv(relayService) == "" {
		os.Exit(m.Run())
	}
	ctx := context.Background()
	pool, _, err := postgrestest.Dial(ctx, postgres.Options{})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	outbox.Relay(ctx, pool, outbox.Options{
		Service: os.Getenv(relayService), Log: slog.New(slog.DiscardHandler), Metrics: prometheus.NewRegistry(), Batch: 50,
		Brokers: func(context.Context) ([]string, error) { return []string{os.Getenv(relayBroker)}, nil },
	})
}

// process starts a relay of its own; kill is kill -9.
func (f fixture) process() (kill func()) {
	f.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), relayService+"="+f.service, relayBroker+"="+f.broker)
	cmd.Stderr = f.Output()
	if err := cmd.Start(); err != nil {
		f.Fatal(err)
	}
	var once sync.Once
	kill = func() {
		once.Do(func() {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		})
	}
	f.Cleanup(kill)
	return kill
}

func TestARelayKilledBetweenPublishingAndDeletingRepeatsAndLosesNothing(t *testing.T) {
	f := open(t)
	const each = 20
	for n := range each {
		f.append(f.message("a", n), f.message("b", n))
	}
	locked, err := f.pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = locked.Rollback(context.Background()) }()
	if _, err := locked.Exec(t.Context(), "SELECT FROM outbox FOR UPDATE"); err != nil {
		t.Fatal(err)
	}
	kill := f.process()
	f.eventually("all is published", func() bool {
		_, err := locked.Exec(t.Context(), "SELECT") // not idle for too long
		if err != nil {
			t.Fatal(err)
		}
		return len(f.published()) == 2*each
	})
	kill()
	if err := locked.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := f.waiting(); n != 2*each {
		t.Fatalf("%d events wait", n)
	}
	f.append(f.message("a", each), f.message("b", each))
	f.relay(f.options(f.broker))
	f.drained()
	if repeated := f.orderly(f.published(), 2, each+1); repeated != 2*each {
		t.Errorf("%d repeated, want %d", repeated, 2*each)
	}
}

// writeUntil appends to a few keys until stop closes, and gives how many to each.
func (f fixture) writeUntil(stop <-chan struct{}, keys int) (each func() int) {
	written := make(chan int, 1)
	go func() {
		n := 0
		defer func() { written <- n }()
		for {
			select {
			case <-stop:
				return
			default:
			}
			err := postgres.Tx(f.Context(), f.pool, func(tx pgx.Tx) error {
				for k := range keys {
					if err := outbox.Append(f.Context(), tx, f.message(fmt.Sprint(k), n)); err != nil {
						return err
					}
				}
				return nil
			})
			if err != nil {
				f.Error(err)
				return
			}
			n++
		}
	}()
	return func() int { return <-written }
}

func TestRelaysThatAreKilledAtAnyTimeLoseAndReorderNothing(t *testing.T) {
	if testing.Short() {
		t.Skip("takes half a minute")
	}
	f := open(t)
	stop := make(chan struct{})
	each := f.writeUntil(stop, 4)
	for range 5 {
		first, second := f.process(), f.process()
		time.Sleep(time.Second + mathrand.N(time.Second))
		first()
		time.Sleep(mathrand.N(500 * time.Millisecond))
		second()
	}
	close(stop)
	n := each()
	left := f.waiting()
	f.relay(f.options(f.broker))
	f.drained()
	t.Logf("%d events to each of 4 keys, %d left by those that were killed, %d repeated", n, left, f.orderly(f.published(), 4, n))
}

// A leader whose session is ended learns it late: for some seconds there are two.
func TestTwoRelaysAtOnceLoseAndReorderNothing(t *testing.T) {
	f := open(t)
	for range 3 {
		opts := f.options(f.broker)
		opts.Batch = 200
		f.relay(opts)
	}
	stop := make(chan struct{})
	each := f.writeUntil(stop, 4)
	ended := 0
	for range 4 {
		time.Sleep(1500 * time.Millisecond)
		err := postgres.Tx(t.Context(), f.pool, func(tx pgx.Tx) error {
			if _, err := tx.Exec(t.Context(), "SET LOCAL ROLE NONE"); err != nil {
				return err
			}
			tag, err := tx.Exec(t.Context(), `SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'
				AND database = (SELECT oid FROM pg_database WHERE datname = current_database()) AND pid <> pg_backend_pid()`)
			ended += int(tag.RowsAffected())
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	close(stop)
	n := each()
	f.drained()
	t.Logf("%d leaders ended; %d events to each of 4 keys, %d repeated", ended, n, f.orderly(f.published(), 4, n))
}
