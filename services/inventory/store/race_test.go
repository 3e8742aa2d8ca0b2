package store

import (
	"errors"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"souk/internal/postgres"
	"souk/services/inventory/app"
)

// TestStock shares one schema among what needs PostgreSQL.
func TestStock(t *testing.T) {
	f := open(t)
	for name, test := range map[string]func(fixture){
		"a thousand buyers get a hundred pieces":                     fixture.thousandBuyers,
		"batches that want the same SKUs in other orders never lock": fixture.oppositeOrders,
		"orders, cancellations, expiry and people at once":           fixture.everythingAtOnce,
		"commands that come twice or in another order":               fixture.twiceAndReordered,
		"what is killed half way has done nothing":                   fixture.killed,
		"expired reservations give their stock back, once":           fixture.expiry,
		"a sale after expiry takes stock again if there is some":     fixture.saleAfterExpiry,
		"whoever comes past the locks is refused":                    fixture.pastTheLocks,
		"crossing a limit is told once":                              fixture.crossings,
		"an adjustment that comes again is made once":                fixture.adjustedOnce,
		"adjustments can't be changed":                               fixture.appendOnly,
		"the first stock of a SKU comes to two locations at once":    fixture.firstStock,
	} {
		t.Run(name, func(t *testing.T) { test(fixture{t, f.Store, f.pool}) })
	}
	f.books()
	f.contracts()
}

func (f fixture) thousandBuyers() {
	const buyers, pieces = 1000, 100
	sku := f.sku(app.Level{Location: "main", Available: 60}, app.Level{Location: "shop", Available: 40})
	orders := make([]uuid.UUID, buyers)
	err := side(buyers, func(i int) error {
		orders[i] = newOrder()
		c := newReserve(f, orders[i], time.Hour, map[string]int64{sku: 1})
		return f.once(c)
	})
	if err != nil {
		f.Fatal(err)
	}
	states := map[app.State]int{}
	for _, o := range orders {
		states[f.state(o)]++
		if n := len(f.told(o.String())); n != 1 {
			f.Errorf("%s has %d answers", o, n)
		}
	}
	if states[app.Reserved] != pieces || states[app.Rejected] != buyers-pieces {
		f.Errorf("%v", states)
	}
	if got := f.levels(sku); !slices.Equal(got, []app.Level{{Location: "main", Reserved: 60}, {Location: "shop", Reserved: 40}}) {
		f.Errorf("%+v", got)
	}
	if got := f.told(sku); !slices.Equal(got[len(got)-2:], []string{"stock.low", "stock.availability_changed"}) {
		f.Errorf("%v", got)
	}
}

// Any error would be a deadlock or a wait that is too long: nothing is tried again here.
func (f fixture) oppositeOrders() {
	var skus []string
	for range 6 {
		skus = append(skus, f.sku(app.Level{Location: "main", Available: 400}))
	}
	err := side(12, func(int) error {
		for range 12 {
			var batch []app.Command
			for range 1 + rand.IntN(8) {
				lines := map[string]int64{}
				for range 1 + rand.IntN(4) {
					lines[skus[rand.IntN(len(skus))]] = 1 + rand.Int64N(3)
				}
				order := newOrder()
				batch = append(batch, newReserve(f, order, time.Hour, lines))
				if rand.IntN(2) == 0 {
					batch = append(batch, commit(order))
				}
			}
			rand.Shuffle(len(batch), func(i, j int) { batch[i], batch[j] = batch[j], batch[i] })
			if err := f.once(batch...); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		f.Error(err)
	}
	f.books()
}

// The property that everything rests on, with all that changes stock at work at the same time.
func (f fixture) everythingAtOnce() {
	var skus []string
	for range 4 {
		skus = append(skus, f.sku(app.Level{Location: "main", Available: 50}, app.Level{Location: "shop", Available: 20}))
	}
	var orders []uuid.UUID
	for range 150 {
		orders = append(orders, newOrder())
	}
	err := side(10, func(worker int) error {
		for range 30 {
			var err error
			switch worker {
			case 0:
				_, err = f.expireSome(f.Context())
			case 1:
				_, err = f.tryAdjust(skus[rand.IntN(len(skus))], []string{"main", "shop"}[rand.IntN(2)], rand.Int64N(30)-15, uuid.NewString())
				if errors.Is(err, app.ErrInsufficientStock) || postgresSays(err, "invalid-adjustment") {
					err = nil
				}
			default:
				var batch []app.Command
				for range 1 + rand.IntN(5) {
					// An order's commands are in one partition, so they never come to two workers at once.
					order := orders[rand.IntN(len(orders)/8)*8+worker-2]
					switch rand.IntN(4) {
					case 0:
						batch = append(batch, commit(order))
					case 1:
						batch = append(batch, release(order))
					default:
						lines := map[string]int64{skus[rand.IntN(len(skus))]: 1 + rand.Int64N(5), skus[rand.IntN(len(skus))]: 1}
						batch = append(batch, newReserve(f, order, rand.N(40*time.Millisecond)-5*time.Millisecond, lines))
					}
				}
				err = f.once(batch...)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		f.Error(err)
	}
	f.books()
}

// killed cuts the connection of a transaction that has done everything but commit.
func (f fixture) killed() {
	sku := f.sku(app.Level{Location: "main", Available: 5})
	order := newOrder()
	batch := []app.Command{newReserve(f, order, time.Hour, map[string]int64{sku: 2}), commit(order)}
	var kills atomic.Int32
	f.in(func(tx pgx.Tx) error { // which tries again
		if err := f.Decide(f.Context(), tx, batch); err != nil {
			return err
		}
		if kills.Add(1) > 2 {
			return nil
		}
		if err := tx.Conn().PgConn().Conn().Close(); err != nil {
			return err
		}
		var none int
		return tx.QueryRow(f.Context(), "SELECT 1").Scan(&none)
	})
	if got := f.levels(sku); kills.Load() != 3 || got[0] != (app.Level{Location: "main", Available: 3, Sold: 2}) {
		f.Errorf("after %d attempts: %+v", kills.Load(), got)
	}
	if got := f.told(order.String()); !slices.Equal(got, []string{"reservation.reserved", "reservation.committed"}) {
		f.Errorf("%v", got)
	}
}

func (f fixture) pastTheLocks() {
	sku := f.sku(app.Level{Location: "main", Available: 2})
	order := newOrder()
	err := pgx.BeginFunc(f.Context(), f.pool, func(tx pgx.Tx) error {
		book, err := f.bookOf(f.Context(), tx, []uuid.UUID{order}, []string{sku})
		if err != nil {
			return err
		}
		// Somebody takes both without asking for the lock.
		if _, err := f.pool.Exec(f.Context(), "UPDATE stock SET available = 0, sold = 2 WHERE sku = $1", sku); err != nil {
			return err
		}
		if err := book.Decide(newReserve(f, order, time.Hour, map[string]int64{sku: 1})); err != nil {
			return err
		}
		return f.write(f.Context(), tx, book)
	})
	if got := f.levels(sku); err == nil || got[0] != (app.Level{Location: "main", Sold: 2}) {
		f.Errorf("%v, %+v", err, got)
	}
	for _, column := range []string{"available", "reserved", "sold"} {
		if _, err := f.pool.Exec(f.Context(), "UPDATE stock SET "+column+" = -1 WHERE sku = $1", sku); !postgres.Violates(err, "stock_"+column) {
			f.Errorf("%s below zero: %v", column, err)
		}
	}
	f.in(func(tx pgx.Tx) error { // so that the books agree again
		_, err := tx.Exec(f.Context(), "UPDATE stock SET available = 2, sold = 0 WHERE sku = $1", sku)
		return err
	})
}

// Two locations are new to a SKU at the same moment: each has to see the other's.
func (f fixture) firstStock() {
	for range 10 {
		sku := f.sku()
		err := side(3, func(i int) error {
			if i == 2 {
				return f.once(newReserve(f, newOrder(), time.Hour, map[string]int64{sku: 7}))
			}
			_, err := f.tryAdjust(sku, []string{"main", "shop"}[i], 4, uuid.NewString())
			return err
		})
		if err != nil {
			f.Fatal(err)
		}
		if got := f.told(sku); got[0] != "stock.availability_changed" || len(got) != 1 && !slices.Equal(got[1:], []string{"stock.low"}) {
			f.Errorf("%v", got)
		}
	}
}
