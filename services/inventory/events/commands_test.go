package events_test

import (
	"context"
	"crypto/rand"
	"log/slog"
	mathrand "math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"

	kafka "souk/internal/events"
	"souk/internal/events/eventstest"
	"souk/internal/inbox"
	"souk/internal/postgres"
	"souk/internal/postgres/postgrestest"
	"souk/internal/testenv"
	"souk/services/inventory/app"
	"souk/services/inventory/events"
	"souk/services/inventory/store"
)

// shop is the consumer of commands on real servers, with topics of its own.
type shop struct {
	*testing.T
	pool     *postgres.Pool
	store    *store.Store
	broker   string
	topic    string
	producer *kafka.Producer
}

func open(t *testing.T) shop {
	t.Helper()
	pool := postgrestest.Open(t, "inventory", postgres.Options{MaxConns: 12})
	s := shop{T: t, pool: pool, broker: testenv.Start(t).KafkaBroker(), topic: "test-" + strings.ToLower(rand.Text()) + ".commands.v1"}
	s.store = store.New(pool, func() []string { return []string{"main"} }, slog.New(slog.DiscardHandler))
	if err := s.store.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	eventstest.Create(t, s.broker, kafka.Topic{Name: s.topic, Partitions: 4}, kafka.Topic{Name: inbox.DeadLetterTopic(s.topic, s.topic), Partitions: 1})
	var err error
	s.producer, err = kafka.Open(t.Context(), kafka.Options{Brokers: []string{s.broker}, ClientID: "test", TransactionalID: s.topic, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.producer.Close)
	return s
}

// instance consumes until it is stopped.
func (s shop) instance() (stop func()) {
	ctx, cancel := context.WithCancel(s.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		inbox.Run(ctx, s.pool, inbox.Options{
			Group: s.topic, Topics: []string{s.topic}, HandleAll: events.Handler(s.store), FirstWait: 10 * time.Millisecond, Drain: 50 * time.Millisecond,
			Brokers: func(context.Context) ([]string, error) { return []string{s.broker}, nil },
			Log:     slog.New(slog.NewTextHandler(s.Output(), nil)), Metrics: prometheus.NewRegistry(),
		})
	}()
	stop = func() { cancel(); <-done }
	s.Cleanup(stop)
	return stop
}

func (s shop) message(kind, key string, data any) kafka.Message {
	s.Helper()
	raw, err := json.Marshal(data)
	if err != nil {
		s.Fatal(err)
	}
	return kafka.Message{Topic: s.topic, Key: key, Event: kafka.New(uuid.NewString(), "/orders", kind, raw)}
}

type line struct {
	SKU      string `json:"sku"`
	Quantity any    `json:"quantity"`
}

func (s shop) reserve(order string, lines ...line) kafka.Message {
	s.Helper()
	return s.message("souk.inventory.reserve.v1", order, map[string]any{"order_id": order, "expires_at": time.Now().Add(time.Hour), "lines": lines})
}

func (s shop) about(kind, order string) kafka.Message {
	s.Helper()
	return s.message("souk.inventory."+kind+".v1", order, map[string]any{"order_id": order, "reason": "cancelled"})
}

func (s shop) publish(messages ...kafka.Message) {
	s.Helper()
	if err := s.producer.Publish(s.Context(), messages); err != nil {
		s.Fatal(err)
	}
}

// stock has the catalogue tell of a SKU, and brings some of it.
func (s shop) stock(pieces int64) (sku string) {
	s.Helper()
	sku = "E-" + uuid.NewString()
	s.publish(s.message("souk.catalog.product.created.v1", "p", map[string]any{"id": "p", "variants": []any{map[string]any{"sku": sku, "price": 1}}}))
	s.eventually("the SKU is known", func() bool {
		_, err := s.store.Detail(s.Context(), sku)
		return err == nil
	})
	a, err := app.NewAdjustment(sku, "main", pieces, app.Received, "", "user/test", []string{"main"}, time.Now())
	if err != nil {
		s.Fatal(err)
	}
	if _, _, err = s.store.Adjust(s.Context(), a, app.Once{Principal: "user/test", Route: "r", Key: sku, Fingerprint: []byte{1}}); err != nil {
		s.Fatal(err)
	}
	return sku
}

func (s shop) eventually(what string, f func() bool) {
	s.Helper()
	for deadline := time.Now().Add(60 * time.Second); !f(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			s.Fatalf("it never happens that %s", what)
		}
	}
}

func (s shop) count(sql string, args ...any) (n int) {
	s.Helper()
	if err := s.pool.QueryRow(s.Context(), sql, args...).Scan(&n); err != nil {
		s.Fatal(err)
	}
	return n
}

// breakConnections ends sessions at random, whatever they are at, until ctx ends, and says how many.
func (s shop) breakConnections(ctx context.Context) (broken int) {
	for ctx.Err() == nil {
		time.Sleep(30*time.Millisecond + mathrand.N(40*time.Millisecond))
		var n int
		// Only as the user that it logged in as may a session end others of that user.
		err := s.pool.AcquireFunc(ctx, func(c *pgxpool.Conn) error {
			defer c.Conn().Close(ctx)
			if _, err := c.Exec(ctx, "SET ROLE NONE"); err != nil {
				return err
			}
			return c.QueryRow(ctx, `SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
				WHERE usename = session_user AND pid <> pg_backend_pid() AND state <> 'idle' AND random() < 0.3`).Scan(&n)
		})
		if err == nil {
			broken += n
		}
	}
	return broken
}

func (s shop) parked() int { return s.count("SELECT count(*) FROM inbox_parked_keys") }

// Instances come and go, connections break in the middle of transactions, and every command is delivered twice; still each
// piece is sold once, and each order is answered as if nothing had been.
func TestAHundredPiecesAreSoldOnceWhateverBreaks(t *testing.T) {
	s := open(t)
	stop := s.instance()
	sku, other := s.stock(100), s.stock(1000)
	const buyers = 600
	var orders []string
	for range buyers {
		orders = append(orders, uuid.Must(uuid.NewV7()).String())
	}
	breaking, enough := context.WithCancel(t.Context())
	broken := make(chan int, 1)
	go func() { broken <- s.breakConnections(breaking) }()
	for at := 0; at < buyers; at += 100 {
		var batch []kafka.Message
		for _, o := range orders[at : at+100] {
			lines := []line{{sku, 1}, {other, 1}}
			if mathrand.IntN(2) == 0 {
				slices.Reverse(lines)
			}
			take, sell := s.reserve(o, lines...), s.about("commit", o)
			batch = append(batch, take, take, sell, sell)
		}
		s.publish(batch...)
		stop()
		stop = s.instance()
	}
	stopped := s.instance() // a second one beside it
	defer stopped()
	s.eventually("all are answered", func() bool {
		return s.count("SELECT count(*) FROM reservations") == buyers && s.count("SELECT count(*) FROM reservations WHERE state = 'reserved'") == 0
	})
	enough()
	if n := <-broken; n == 0 {
		t.Error("no connection was broken: nothing was shown")
	} else {
		t.Logf("%d connections were broken", n)
	}
	committed, rejected := s.count("SELECT count(*) FROM reservations WHERE state = 'committed'"), s.count("SELECT count(*) FROM reservations WHERE state = 'rejected'")
	if committed != 100 || rejected != buyers-100 || s.parked() != 0 {
		t.Errorf("%d sold, %d rejected, %d parked", committed, rejected, s.parked())
	}
	totals, err := s.store.Totals(t.Context(), "", 10)
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range totals {
		if x.Sold != 100 || x.SoldByReservations != 100 || x.Reserved != 0 || x.Available+x.Sold != x.Adjusted {
			t.Errorf("%+v", x)
		}
	}
	s.eventually("each command has its answer", func() bool { return s.count("SELECT count(*) FROM outbox WHERE key = ANY($1)", orders) == 2*buyers })
}

func TestWhatCannotBeMeantIsParkedAloneAndTheRestGoesOn(t *testing.T) {
	s := open(t)
	s.instance()
	sku := s.stock(10)
	id := func() string { return uuid.Must(uuid.NewV7()).String() }
	var all []kafka.Message
	var poison int
	for _, quantity := range []any{0, -1, 1.5, 1e30, 1<<53 + 1, uint64(1) << 63, "1", nil, true} {
		all = append(all, s.reserve(id(), line{sku, quantity}))
		poison++
	}
	bad := s.reserve(id(), line{sku, 1})
	bad.Key = id()
	all = append(all, bad, s.reserve(id()), s.reserve(id(), line{"'; DROP TABLE stock --", 1}), s.about("commit", uuid.Nil.String()), s.message("souk.inventory.release.v1", "x", "x"))
	poison += 5
	good := id()
	all = slices.Insert(all, len(all)/2, s.reserve(good, line{sku, 2}), s.message("souk.inventory.unheard_of.v1", good, 1), s.about("commit", good))
	s.publish(all...)
	s.eventually("the poison is parked", func() bool { return s.parked() == poison })
	s.eventually("the good order is done", func() bool {
		r, err := s.store.Reservation(t.Context(), uuid.MustParse(good))
		return err == nil && r.State == app.Committed
	})
	if n := s.count("SELECT count(*) FROM reservations"); n != 1 {
		t.Errorf("%d reservations", n)
	}
	if d, err := s.store.Detail(t.Context(), sku); err != nil || d.Available != 8 {
		t.Errorf("%+v, %v", d, err)
	}
}
