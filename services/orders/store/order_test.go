package store

import (
	"context"
	"log/slog"
	"reflect"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"souk/contracts"
	"souk/internal/events"
	"souk/internal/money"
	"souk/internal/postgres"
	"souk/internal/postgres/postgrestest"
	"souk/services/orders/app"
)

// shop is the store with the use cases on it, in a schema of the test's own. The catalogue is a price list.
type shop struct {
	testing.TB
	pool   *postgres.Pool
	s      *Store
	orders *app.Orders
	prices priceList
	quiet  time.Time // until when nothing is asked again
}

type priceList map[string]app.Price

func (l priceList) Prices(context.Context, []string) (map[string]app.Price, error) { return l, nil }

var patience = app.DefaultDeadlines()

func openShop(t testing.TB) *shop {
	t.Helper()
	h := &shop{TB: t, pool: postgrestest.Open(t, "orders", postgres.Options{MaxConns: 20}), prices: priceList{}}
	h.s = New(h.pool, slog.New(slog.DiscardHandler))
	if err := h.s.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	for sku, minor := range map[string]int64{"lamp": 1290, "shade": 499} {
		h.prices[sku] = app.Price{SKU: sku, ProductID: uuid.New(), Version: 1, Name: sku, Price: money.Amount{Minor: minor, Currency: "EUR"}, Active: true}
		if err := h.s.SavePrices(t.Context(), []app.Price{h.prices[sku]}); err != nil {
			t.Fatal(err)
		}
	}
	h.orders = app.NewOrders(h.s, app.NewCarts(h.s, h.prices, app.DefaultCartSettings), func() app.Deadlines { return patience })
	return h
}

func (h *shop) cart(user uuid.UUID) app.Cart {
	h.Helper()
	cart, _, err := app.NewCarts(h.s, h.prices, app.DefaultCartSettings).Create(h.Context(), user, "", []app.Item{{SKU: "lamp", Quantity: 2}, {SKU: "shade", Quantity: 1}})
	if err != nil {
		h.Fatal(err)
	}
	return cart
}

func onceFor(user uuid.UUID, key string) app.Once {
	return app.Once{Principal: "user/" + user.String(), Route: "POST /v1/orders", Key: key, Fingerprint: []byte("f")}
}

func placementOf(cart app.Cart) app.Placement {
	return app.Placement{User: cart.User, Cart: cart.ID, Version: cart.Version, Method: "pm_sandbox_approve"}
}

func (h *shop) place() *app.Order {
	h.Helper()
	cart := h.cart(uuid.New())
	p := placementOf(cart)
	p.Address = &app.Address{Name: "Ada Lovelace", Line1: "1 Main St", PostalCode: "1010", City: "Vienna", Country: "AT"}
	answer, _, err := h.orders.Place(h.Context(), onceFor(cart.User, "k"), p)
	if err != nil {
		h.Fatal(err)
	}
	return h.order(uuid.MustParse(answer.Location[len("/v1/orders/"):]))
}

func (h *shop) order(id uuid.UUID) *app.Order {
	h.Helper()
	o, _, err := h.s.Order(h.Context(), id)
	if err != nil {
		h.Fatal(err)
	}
	return o
}

func (h *shop) handle(ctx context.Context, replies ...app.Reply) error {
	return postgres.Tx(ctx, h.pool, func(tx pgx.Tx) error { return h.s.HandleReplies(ctx, tx, replies, patience) })
}

// answer has facts happen to an order.
func (h *shop) answer(o *app.Order, facts ...app.Fact) *app.Order {
	h.Helper()
	for _, f := range facts {
		if err := h.handle(h.Context(), app.Reply{Order: o.ID, Fact: f, Currency: "EUR"}); err != nil {
			h.Fatal(err)
		}
	}
	return h.order(o.ID)
}

func (h *shop) confirmed() *app.Order {
	h.Helper()
	o := h.place()
	o = h.answer(o, app.StockReserved{}, app.PaymentAuthorised{Intent: "i", Amount: o.Total}, app.StockCommitted{}, app.PaymentCaptured{Intent: "i", Amount: o.Total})
	if o.Status != app.IsConfirmed || !o.Settled() {
		h.Fatalf("%+v", o)
	}
	return o
}

// sent takes what waits in the outbox, and holds it against the contracts.
func (h *shop) sent(ctx context.Context) (all []events.Message, err error) {
	err = postgres.Tx(ctx, h.pool, func(tx pgx.Tx) error {
		all = nil
		rows, err := tx.Query(ctx, `WITH taken AS (DELETE FROM outbox RETURNING id, topic, key, headers, value) SELECT topic, key, headers, value FROM taken ORDER BY id`)
		if err != nil {
			return err
		}
		var r events.Record
		var headers [][]byte
		_, err = pgx.ForEachRow(rows, []any{&r.Topic, &r.Key, &headers, &r.Value}, func() error {
			if r.Headers, err = events.Headers(headers); err != nil {
				return err
			}
			m, err := r.Decode()
			if err == nil {
				err = contracts.Check(m)
			}
			all = append(all, m)
			r, headers = events.Record{}, nil
			return err
		})
		return err
	})
	return all, err
}

// consistent fails unless every order's events have all versions from 1, and its row is what they say.
func (h *shop) consistent() {
	h.Helper()
	ctx := h.Context()
	all, err := history(ctx, h.pool, "ORDER BY e.stream_id, e.version")
	if err != nil {
		h.Fatal(err)
	}
	streams := map[uuid.UUID][]app.Event{}
	for _, e := range all {
		streams[e.Order] = append(streams[e.Order], e)
		if e.Version != int64(len(streams[e.Order])) {
			h.Errorf("order %s: version %d is event %d", e.Order, e.Version, len(streams[e.Order]))
		}
	}
	rows, err := ordersWhere(ctx, h.pool, "")
	if err != nil || len(rows) != len(streams) {
		h.Fatalf("%d rows for %d orders, %v", len(rows), len(streams), err)
	}
	for _, is := range rows {
		should := app.Fold(streams[is.ID])
		should.DueAt, should.Attempts = is.DueAt, is.Attempts
		if !reflect.DeepEqual(is, should) {
			h.Errorf("an order is\n%+v, its events say\n%+v", is, should)
		}
	}
	var settled int
	if err := h.pool.QueryRow(ctx, "SELECT count(*) FROM orders WHERE settled").Scan(&settled); err != nil {
		h.Fatal(err)
	}
	for _, is := range rows {
		if is.Settled() {
			settled--
		}
	}
	if settled != 0 {
		h.Errorf("%d rows are marked settled that are not", settled)
	}
}

func (h *shop) count(sql string, args ...any) (n int) {
	h.Helper()
	if err := h.pool.QueryRow(h.Context(), sql, args...).Scan(&n); err != nil {
		h.Fatal(err)
	}
	return n
}

func TestOrdersInTheStore(t *testing.T) {
	h := openShop(t)
	for name, test := range map[string]func(*shop){
		"one of many placements gets the cart":                    (*shop).raceForCart,
		"one of many requests with a key places the order":        (*shop).raceForKey,
		"what is placed is stored and published together":         (*shop).placed,
		"numbers are short and unique":                            (*shop).numbers,
		"a deadline fails the order, and late answers are undone": (*shop).deadlines,
		"cancelling races with confirming":                        (*shop).raceToCancel,
		"an order's fulfilments add up to what was ordered":       (*shop).fulfilments,
		"an erased user's address is nowhere":                     (*shop).erasure,
		"a lost row is made again by the next reply":              (*shop).lostRow,
		"rows are rebuilt from events":                            (*shop).rebuilt,
		"answers about no order of ours change nothing":           (*shop).strangers,
		"nothing is asked again while the outbox is behind":       (*shop).behind,
		"a full outbox refuses the placement whole":               (*shop).backlog,
	} {
		t.Run(name, func(t *testing.T) {
			own := *h
			own.TB = t
			if _, err := h.pool.Exec(t.Context(), "TRUNCATE orders, order_events, order_addresses, order_rebuilds, carts, idempotency_keys, outbox"); err != nil {
				t.Fatal(err)
			}
			test(&own)
			if !t.Failed() {
				own.consistent()
			}
		})
	}
}
