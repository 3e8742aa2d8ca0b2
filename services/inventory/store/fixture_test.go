package store

import (
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"souk/contracts"
	"souk/internal/events"
	"souk/internal/postgres"
	"souk/internal/postgres/postgrestest"
	"souk/services/inventory/app"
)

type fixture struct {
	testing.TB
	*Store
	pool *postgres.Pool
}

func open(t testing.TB) fixture {
	t.Helper()
	pool := postgrestest.Open(t, "inventory", postgres.Options{MaxConns: 16, LockTimeout: 20 * time.Second, StatementTimeout: 30 * time.Second})
	s := New(pool, func() []string { return []string{"main", "shop"} }, slog.New(slog.NewTextHandler(t.Output(), nil)))
	if err := s.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	return fixture{t, s, pool}
}

// sku makes one known that no other test uses, with stock at locations.
func (f fixture) sku(at ...app.Level) string {
	f.Helper()
	sku := "T-" + uuid.NewString()
	f.in(func(tx pgx.Tx) error { return f.AddSKUs(f.Context(), tx, []string{sku}) })
	for _, l := range at {
		f.adjust(sku, l.Location, l.Available)
	}
	return sku
}

func (f fixture) adjust(sku, location string, delta int64) {
	f.Helper()
	if _, err := f.tryAdjust(sku, location, delta, uuid.NewString()); err != nil {
		f.Fatal(err)
	}
}

func (f fixture) tryAdjust(sku, location string, delta int64, key string) (app.Adjustment, error) {
	a, err := app.NewAdjustment(sku, location, delta, app.Correction, "", "user/test", []string{"main", "shop"}, time.Now())
	if err != nil {
		return a, err
	}
	made, _, err := f.Adjust(f.Context(), a, app.Once{Principal: "user/test", Route: "POST /v1/inventory/:sku/adjustments", Key: key, Fingerprint: []byte{1}})
	return made, err
}

func (f fixture) in(work func(pgx.Tx) error) {
	f.Helper()
	if err := postgres.Tx(f.Context(), f.pool, work); err != nil {
		f.Fatal(err)
	}
}

// once decides in one transaction that is not tried again.
func (f fixture) once(commands ...app.Command) error {
	return pgx.BeginFunc(f.Context(), f.pool, func(tx pgx.Tx) error { return f.Decide(f.Context(), tx, commands) })
}

func (f fixture) decide(commands ...app.Command) {
	f.Helper()
	if err := f.once(commands...); err != nil {
		f.Fatal(err)
	}
}

// told are the events in the outbox about a key, oldest first: type without prefix, then data.
func (f fixture) told(key string) (events []string) {
	f.Helper()
	rows, err := f.pool.Query(f.Context(), "SELECT headers, value FROM outbox WHERE key = $1 ORDER BY id", key)
	if err != nil {
		f.Fatal(err)
	}
	events, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (string, error) {
		var headers [][]byte
		var value []byte
		err := row.Scan(&headers, &value)
		for i := 0; i+1 < len(headers); i += 2 {
			if string(headers[i]) == "ce_type" {
				return label(app.EventType(headers[i+1])), err
			}
		}
		return "?", err
	})
	if err != nil {
		f.Fatal(err)
	}
	return events
}

// data is that of the last event about a key.
func (f fixture) data(key string) (data map[string]any) {
	f.Helper()
	var raw []byte
	if err := f.pool.QueryRow(f.Context(), "SELECT value FROM outbox WHERE key = $1 ORDER BY id DESC LIMIT 1", key).Scan(&raw); err != nil {
		f.Fatal(err)
	}
	if err := json.Unmarshal(raw, &data); err != nil {
		f.Fatal(err)
	}
	return data
}

func (f fixture) levels(sku string) []app.Level {
	f.Helper()
	d, err := f.Detail(f.Context(), sku)
	if err != nil {
		f.Fatal(err)
	}
	return d.Locations
}

// contracts fails unless every event is as its schema says.
func (f fixture) contracts() {
	f.Helper()
	rows, err := f.pool.Query(f.Context(), "SELECT topic, key, headers, value FROM outbox")
	if err != nil {
		f.Fatal(err)
	}
	kinds := map[string]bool{}
	var r events.Record
	var headers [][]byte
	_, err = pgx.ForEachRow(rows, []any{&r.Topic, &r.Key, &headers, &r.Value}, func() error {
		h, err := events.Headers(headers)
		if err != nil {
			return err
		}
		m, err := events.Record{Topic: r.Topic, Key: r.Key, Headers: h, Value: r.Value}.Decode()
		if err != nil {
			return err
		}
		kinds[m.Event.Type()] = true
		return contracts.Check(m)
	})
	if err != nil || len(kinds) != 8 {
		f.Errorf("%v; of 8 types there were %v", err, slices.Sorted(maps.Keys(kinds)))
	}
}

// books fails unless stock, adjustments and reservations agree about all SKUs.
func (f fixture) books() {
	f.Helper()
	all, err := f.Totals(f.Context(), "", 100_000)
	if err != nil || len(all) == 0 {
		f.Fatal(len(all), err)
	}
	for _, t := range all {
		if t.Available+t.Reserved+t.Sold != t.Adjusted || t.Reserved != t.ReservedByReservations || t.Sold != t.SoldByReservations || t.Available < 0 {
			f.Errorf("the books disagree: %+v", t)
		}
	}
}

func newReserve(t testing.TB, id uuid.UUID, within time.Duration, lines map[string]int64) app.Command {
	t.Helper()
	var all []app.Line
	for _, sku := range slices.Sorted(maps.Keys(lines)) {
		all = append(all, app.Line{SKU: sku, Quantity: lines[sku]})
	}
	c, err := app.NewReserve(id, time.Now().Add(within), all)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func newOrder() uuid.UUID { return uuid.Must(uuid.NewV7()) }

func commit(order uuid.UUID) app.Command { return app.Command{Type: app.Commit, OrderID: order} }

func release(order uuid.UUID) app.Command {
	return app.Command{Type: app.Release, OrderID: order, Reason: "cancelled"}
}

// side runs f n times at once, and gives the errors.
func side(n int, f func(i int) error) error {
	errs := make(chan error, n)
	for i := range n {
		go func() { errs <- f(i) }()
	}
	var first error
	for range n {
		if err := <-errs; err != nil && first == nil {
			first = err
		}
	}
	return first
}

func (f fixture) state(order uuid.UUID) app.State {
	f.Helper()
	r, err := f.Reservation(f.Context(), order)
	if err != nil {
		f.Fatal(fmt.Errorf("order %s: %w", order, err))
	}
	return r.State
}
