package store

import (
	"errors"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"souk/internal/errs"
	"souk/services/inventory/app"
)

func postgresSays(err error, code string) bool { return errs.CodeOf(err) == code }

func (f fixture) twiceAndReordered() {
	sku := f.sku(app.Level{Location: "main", Available: 10})
	take := func(order uuid.UUID) app.Command { return newReserve(f, order, time.Hour, map[string]int64{sku: 2}) }
	for name, x := range map[string]struct {
		commands func(uuid.UUID) []app.Command
		answers  string
		level    app.Level
	}{
		"all of it twice": {func(o uuid.UUID) []app.Command {
			return []app.Command{take(o), take(o), commit(o), commit(o), release(o), release(o)}
		}, "reserved reserved committed committed released released", app.Level{Location: "main", Available: 10}},
		"release before reserve": {func(o uuid.UUID) []app.Command { return []app.Command{release(o), take(o), commit(o)} },
			"released rejected commit_failed", app.Level{Location: "main", Available: 10}},
		"commit before reserve": {func(o uuid.UUID) []app.Command { return []app.Command{commit(o), take(o), release(o)} },
			"commit_failed reserved released", app.Level{Location: "main", Available: 10}},
		"nothing but a sale": {func(o uuid.UUID) []app.Command { return []app.Command{take(o), commit(o), take(o)} },
			"reserved committed committed", app.Level{Location: "main", Available: 8, Sold: 2}},
	} {
		for _, together := range []bool{true, false} { // in one batch, or each alone
			order := newOrder()
			commands := x.commands(order)
			if together {
				f.decide(commands...)
			} else {
				for _, c := range commands {
					f.decide(c)
				}
			}
			answers := strings.ReplaceAll(strings.Join(f.told(order.String()), " "), "reservation.", "")
			if got := f.levels(sku)[0]; answers != x.answers || got != x.level {
				f.Errorf("%s, together: %v: %s; %+v", name, together, answers, got)
			}
			f.decide(release(order))
		}
	}
}

// over lets the time of reservations pass.
func (f fixture) over(commands []app.Command) {
	f.Helper()
	var orders []uuid.UUID
	for _, c := range commands {
		orders = append(orders, c.OrderID)
	}
	if _, err := f.pool.Exec(f.Context(), "UPDATE reservations SET expires_at = now() - interval '1 second' WHERE order_id = ANY($1)", orders); err != nil {
		f.Fatal(err)
	}
}

func (f fixture) expiry() {
	const n = expireBatch + 30
	sku := f.sku(app.Level{Location: "main", Available: n + 1})
	var batch []app.Command
	for range n {
		batch = append(batch, newReserve(f, newOrder(), time.Hour, map[string]int64{sku: 1}))
	}
	kept := newOrder()
	f.decide(append(batch, newReserve(f, kept, time.Hour, map[string]int64{sku: 1}))...)
	if got := f.levels(sku)[0]; got.Reserved != n+1 {
		f.Fatalf("%+v", got)
	}
	f.over(batch)
	err := side(4, func(int) error { // instances
		for range 3 {
			if _, err := f.expireSome(f.Context()); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		f.Fatal(err)
	}
	if got := f.levels(sku)[0]; got != (app.Level{Location: "main", Available: n, Reserved: 1}) || f.state(kept) != app.Reserved {
		f.Errorf("%+v, %s", got, f.state(kept))
	}
	for _, c := range batch {
		if got := f.told(c.OrderID.String()); !slices.Equal(got, []string{"reservation.reserved", "reservation.expired"}) {
			f.Fatalf("%v", got)
		}
	}
}

func (f fixture) saleAfterExpiry() {
	sku := f.sku(app.Level{Location: "main", Available: 3})
	early, late := newOrder(), newOrder()
	batch := []app.Command{newReserve(f, early, time.Hour, map[string]int64{sku: 2}), newReserve(f, late, time.Hour, map[string]int64{sku: 1})}
	f.decide(batch...)
	f.over(batch)
	if _, err := f.expireSome(f.Context()); err != nil {
		f.Fatal(err)
	}
	f.adjust(sku, "main", -1)
	f.decide(commit(early), commit(late))
	if got := f.levels(sku)[0]; got != (app.Level{Location: "main", Sold: 2}) || f.state(early) != app.Committed || f.state(late) != app.Expired {
		f.Errorf("%+v, %s, %s", got, f.state(early), f.state(late))
	}
	if got := f.data(late.String()); got["reason"] != "expired" {
		f.Errorf("%v", got)
	}
}

func (f fixture) crossings() {
	sku := f.sku(app.Level{Location: "main", Available: 8})
	order := newOrder()
	f.decide(newReserve(f, order, time.Hour, map[string]int64{sku: 1})) // 7
	f.decide(release(order))                                            // 8
	f.adjust(sku, "main", -3)                                           // 5: low
	f.adjust(sku, "main", -1)
	f.adjust(sku, "main", -4) // 0
	f.adjust(sku, "shop", 9)  // 9
	if _, err := f.SetThreshold(f.Context(), sku, 9); err != nil {
		f.Fatal(err)
	}
	want := []string{"stock.availability_changed", "stock.low", "stock.availability_changed", "stock.availability_changed", "stock.low"}
	if got := f.told(sku); !slices.Equal(got, want) {
		f.Errorf("%v", got)
	}
	if got := f.data(sku); !reflect.DeepEqual(got, map[string]any{"sku": sku, "available": 9., "threshold": 9.}) {
		f.Errorf("%v", got)
	}
}

func (f fixture) adjustedOnce() {
	sku, key := f.sku(app.Level{Location: "main", Available: 1}), uuid.NewString()
	err := side(20, func(int) error {
		_, err := f.tryAdjust(sku, "main", 5, key)
		if postgresSays(err, "idempotency-in-flight") {
			err = nil
		}
		return err
	})
	if got := f.levels(sku)[0]; err != nil || got.Available != 6 {
		f.Errorf("%v, %+v", err, got)
	}
	if _, err := f.tryAdjust(sku, "main", -7, uuid.NewString()); !errors.Is(err, app.ErrInsufficientStock) {
		f.Error(err)
	}
	if _, err := f.tryAdjust("T-unknown", "main", 1, uuid.NewString()); !errors.Is(err, app.ErrUnknownSKU) {
		f.Error(err)
	}
	if all, err := f.Adjustments(f.Context(), sku, uuid.Nil, 10); err != nil || len(all) != 2 || all[0].Available != 6 || all[0].Delta != 5 {
		f.Errorf("%+v, %v", all, err)
	}
}

func (f fixture) appendOnly() {
	f.sku(app.Level{Location: "main", Available: 1})
	for _, sql := range []string{"UPDATE adjustments SET delta = 2", "DELETE FROM adjustments"} {
		if _, err := f.pool.Exec(f.Context(), sql); err == nil || !strings.Contains(err.Error(), "never changed") {
			f.Errorf("%s: %v", sql, err)
		}
	}
}
