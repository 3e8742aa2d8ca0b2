package events_test

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"souk/contracts"
	kafka "souk/internal/events"
	"souk/internal/money"
	"souk/internal/postgres"
	"souk/internal/postgres/postgrestest"
	"souk/services/payments/app"
	"souk/services/payments/events"
	"souk/services/payments/provider/sandbox"
	"souk/services/payments/store"
)

// checkout is the service behind its commands, on the real PostgreSQL and with the sandbox as the bank. Kafka is left out: a test
// says in which order, how often and how late a command comes.
type checkout struct {
	t        testing.TB
	pool     *postgres.Pool
	store    *store.Store
	bank     *sandbox.Bank
	provider *between
	commands *events.Commands
	worker   *app.Worker
}

func open(t testing.TB) *checkout {
	t.Helper()
	pool := postgrestest.Open(t, "payments", postgres.Options{MaxConns: 10})
	log := slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelError}))
	st := store.New(pool, log)
	if err := st.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	st.Lease = 700 * time.Millisecond
	c := &checkout{t: t, pool: pool, store: st}
	c.bank = sandbox.New(pool, sandbox.Options{Log: log, Late: time.Hour, Secrets: func() []string { return []string{"secret"} }})
	c.background(c.bank.Run)
	c.provider = &between{Bank: c.bank}
	c.run()
	return c
}

// run is an instance of the service with a worker; stop ends it.
func (c *checkout) run() (stop func()) {
	c.worker = app.NewWorker(c.store, []app.Provider{c.provider}, app.WorkerOptions{
		Log: slog.New(slog.DiscardHandler), Timeout: 500 * time.Millisecond, Poll: 50 * time.Millisecond,
	})
	c.commands = events.NewCommands(c.store, func() string { return sandbox.Name }, c.worker.Submit)
	return c.background(c.worker.Run)
}

func (c *checkout) background(f func(context.Context)) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var done sync.WaitGroup
	done.Go(func() { f(ctx) })
	stop = func() {
		cancel()
		done.Wait()
	}
	c.t.Cleanup(stop)
	return stop
}

// between is the way to the bank, where answers get lost.
type between struct {
	*sandbox.Bank
	mu   sync.Mutex
	lose map[app.Kind]int // so many answers are lost after the bank has done what it was asked
	hold chan struct{}    // authorisations wait here before they reach the bank
}

var errLost = errors.New("connection reset by peer")

func (b *between) lost(k app.Kind) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.lose[k] == 0 {
		return false
	}
	b.lose[k]--
	return true
}

func (b *between) Authorise(ctx context.Context, r app.Request) (app.Result, error) {
	b.mu.Lock()
	hold := b.hold
	b.mu.Unlock()
	if hold != nil {
		<-hold
		ctx = context.WithoutCancel(ctx) // it is on its way, whoever has given up meanwhile
	}
	result, err := b.Bank.Authorise(ctx, r)
	if err == nil && b.lost(app.OpAuthorise) {
		return app.Result{}, errLost
	}
	return result, err
}

func (b *between) Capture(ctx context.Context, r app.Request) (app.Result, error) {
	result, err := b.Bank.Capture(ctx, r)
	if err == nil && b.lost(app.OpCapture) {
		return app.Result{}, errLost
	}
	return result, err
}

func eur(minor int64) money.Amount { return money.Amount{Minor: minor, Currency: "EUR"} }

// order is a customer's order, and the commands about it.
type order struct {
	id, user uuid.UUID
	amount   money.Amount
	method   string
	deadline time.Time
}

func newOrder(minor int64, method string) order {
	return order{id: uuid.Must(uuid.NewV7()), user: uuid.New(), amount: eur(minor), method: method, deadline: time.Now().Add(20 * time.Second)}
}

func (o order) authorise() kafka.Message {
	return message(events.Authorise, o.id, map[string]any{
		"order_id": o.id, "user_id": o.user, "amount": o.amount, "payment_method": o.method, "deadline": o.deadline,
	})
}

func (o order) capture() kafka.Message {
	return message(events.Capture, o.id, map[string]any{"order_id": o.id})
}

func (o order) void() kafka.Message {
	return message(events.Void, o.id, map[string]any{"order_id": o.id, "reason": "cancelled"})
}

func (o order) refund(id uuid.UUID, amount money.Amount) kafka.Message {
	return message(events.Refund, o.id, map[string]any{"order_id": o.id, "refund_id": id, "amount": amount, "reason": "returned"})
}

func message(kind string, key uuid.UUID, data any) kafka.Message {
	raw, err := json.Marshal(data)
	if err != nil {
		panic(err)
	}
	e := kafka.New(uuid.NewString(), "/orders", kind, raw)
	e.SetSubject(key.String())
	e.SetDataSchema(contracts.Schema(kind))
	return kafka.Message{Topic: events.CommandsTopic, Key: key.String(), Event: e}
}

// store has a batch of commands take effect, and hands nothing to the worker: as if the process died right after the commit.
func (c *checkout) stored(ms ...kafka.Message) error {
	return postgres.Tx(c.t.Context(), c.pool, func(tx pgx.Tx) error { return c.commands.HandleAll(c.t.Context(), tx, ms) })
}

// obey has a batch of commands take effect as the inbox does.
func (c *checkout) obey(ms ...kafka.Message) {
	c.t.Helper()
	if err := c.stored(ms...); err != nil {
		c.t.Fatal(err)
	}
	c.commands.Committed(ms)
}

// told is what was published about an order, in its order.
func (c *checkout) told(o order) (all []told) {
	c.t.Helper()
	rows, err := c.pool.Query(c.t.Context(), "SELECT headers, value FROM outbox WHERE key = $1 ORDER BY id", o.id.String())
	if err != nil {
		c.t.Fatal(err)
	}
	var headers [][]byte
	var value []byte
	_, err = pgx.ForEachRow(rows, []any{&headers, &value}, func() error {
		named, err := kafka.Headers(headers)
		if err != nil {
			return err
		}
		m, err := kafka.Record{Topic: app.Topic, Key: []byte(o.id.String()), Headers: named, Value: value}.Decode()
		if err != nil {
			return err
		}
		if err := contracts.Check(m); err != nil {
			return err
		}
		var data app.EventData
		if err := json.Unmarshal(m.Event.Data(), &data); err != nil {
			return err
		}
		all = append(all, told{app.EventType(m.Event.Type()), data})
		return nil
	})
	if err != nil {
		c.t.Fatal(err)
	}
	return all
}

type told struct {
	kind app.EventType
	data app.EventData
}

// awaits waits until so many events were published about the order, and wants them to be these.
func (c *checkout) awaits(o order, kinds ...app.EventType) []told {
	c.t.Helper()
	var got []told
	c.until(func() bool { got = c.told(o); return len(got) >= len(kinds) })
	for i, kind := range kinds {
		if i >= len(got) || got[i].kind != kind || len(got) > len(kinds) {
			c.t.Fatalf("published: %+v, want %v", got, kinds)
		}
	}
	return got
}

// becomes waits until the order's payment has a status.
func (c *checkout) becomes(o order, status app.Status) app.Intent {
	c.t.Helper()
	var i app.Intent
	c.until(func() bool {
		i, _ = c.store.IntentOfOrder(c.t.Context(), o.id)
		return i.Status == status
	})
	if i.Status != status {
		c.t.Fatalf("the payment is %+v, want it %s", i, status)
	}
	return i
}

func (c *checkout) until(f func() bool) {
	for deadline := time.Now().Add(15 * time.Second); !f() && time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
	}
}

// books are the bank's about the order's payment.
func (c *checkout) books(o order) app.Totals {
	c.t.Helper()
	i, err := c.store.IntentOfOrder(c.t.Context(), o.id)
	if err != nil {
		c.t.Fatal(err)
	}
	totals, err := c.bank.Totals(c.t.Context(), []app.Request{{IntentID: i.ID}})
	if err != nil {
		c.t.Fatal(err)
	}
	return totals[0]
}

// entries are how often the bank has done something for the order's payment.
func (c *checkout) entries(o order, outcome app.Outcome) (n int) {
	return c.count("SELECT count(*) FROM sandbox_entries s JOIN intents i ON i.id = s.payment WHERE i.order_id = $1 AND s.outcome = $2", o.id, string(outcome))
}

func (c *checkout) count(sql string, args ...any) (n int) {
	c.t.Helper()
	if err := c.pool.QueryRow(c.t.Context(), sql, args...).Scan(&n); err != nil {
		c.t.Fatal(err)
	}
	return n
}

// balanced wants ledger, intents and the bank to agree about every payment, and nothing to be under way.
func (c *checkout) balanced() {
	c.t.Helper()
	c.until(func() bool { return c.count("SELECT count(*) FROM operations") == 0 })
	if n := c.count("SELECT count(*) FROM operations"); n != 0 {
		var what string
		_ = c.pool.QueryRow(c.t.Context(), "SELECT string_agg(concat(o.kind, ' ', o.attempts, ' ', o.asked, ' ', i.status, ' ', i.method), ', ') FROM operations o JOIN intents i ON i.id = o.intent_id").Scan(&what)
		c.t.Errorf("%d operations are under way: %s", n, what)
	}
	if sum := c.count("SELECT coalesce(sum(amount), 0)::bigint FROM ledger_entries"); sum != 0 {
		c.t.Errorf("the ledger sums up to %d", sum)
	}
	var after uuid.UUID
	payments := app.New(c.store, app.NewWorker(c.store, nil, app.WorkerOptions{}), app.Options{Providers: []app.Provider{c.bank}})
	for {
		page, err := payments.Positions(c.t.Context(), after, 1000)
		if err != nil {
			c.t.Fatal(err)
		}
		for _, p := range page {
			if p.Captured != p.LedgerCaptured || p.Captured != p.ProviderCaptured || p.Refunded != p.LedgerRefunded || p.Refunded != p.ProviderRefunded ||
				(p.ProviderHeld.Minor != 0) != (p.Status == app.IsAuthorised || p.Status == app.CaptureFailed) {
				c.t.Errorf("the books differ: %+v", p)
			}
			after = p.OrderID
		}
		if len(page) < 1000 {
			return
		}
	}
}
