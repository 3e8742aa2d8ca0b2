package store

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"sync"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"souk/contracts"
	"souk/internal/errs"
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

func (h *shop) raceForCart() {
	cart := h.cart(uuid.New())
	var wg sync.WaitGroup
	var mu sync.Mutex
	codes := map[string]int{}
	for i := range 20 {
		wg.Go(func() {
			_, _, err := h.orders.Place(h.Context(), onceFor(cart.User, fmt.Sprint(i)), placementOf(cart))
			mu.Lock()
			defer mu.Unlock()
			codes[errs.CodeOf(err)]++
			if err != nil && errs.CodeOf(err) == "" {
				h.Error(err)
			}
		})
	}
	wg.Wait()
	if codes[""] != 1 || codes["cart-ordered"] != 19 || h.count("SELECT count(*) FROM order_events") != 1 {
		h.Errorf("the placements ended %v", codes)
	}
}

func (h *shop) raceForKey() {
	cart := h.cart(uuid.New())
	var wg sync.WaitGroup
	var mu sync.Mutex
	answers, fresh, inFlight := map[string]int{}, 0, 0
	place := func() {
		answer, replayed, err := h.orders.Place(h.Context(), onceFor(cart.User, "key"), placementOf(cart))
		mu.Lock()
		defer mu.Unlock()
		switch {
		case err == nil:
			answers[answer.Location+string(answer.Body)]++
			if !replayed {
				fresh++
			}
		case errs.CodeOf(err) == "idempotency-in-flight":
			inFlight++
		default:
			h.Error(err)
		}
	}
	for range 50 {
		wg.Go(place)
	}
	wg.Wait()
	place()
	if len(answers) != 1 || fresh != 1 || h.count("SELECT count(*) FROM orders") != 1 || h.count("SELECT count(*) FROM outbox") != 2 {
		h.Errorf("%d answers, %d of them no repetitions, %d in flight", len(answers), fresh, inFlight)
	}
	other := onceFor(cart.User, "key")
	other.Fingerprint = []byte("another body")
	if _, _, err := h.orders.Place(h.Context(), other, placementOf(cart)); errs.CodeOf(err) != "idempotency-key-reused" {
		h.Errorf("the key with another body: %v", err)
	}
	other = onceFor(uuid.New(), "key")
	if _, _, err := h.orders.Place(h.Context(), other, placementOf(cart)); errs.CodeOf(err) != "cart-ordered" {
		h.Errorf("the key of another user: %v", err)
	}
}

func (h *shop) placed() {
	o := h.place()
	ms, err := h.sent(h.Context())
	if err != nil || len(ms) != 2 || ms[0].Event.Type() != "souk.orders.order.placed.v1" || ms[1].Event.Type() != "souk.inventory.reserve.v1" || ms[1].Key != o.ID.String() {
		h.Fatalf("%+v, %v", ms, err)
	}
	if o.Total != 2*1290+499 || o.Status != app.Pending || o.Version != 1 {
		h.Errorf("%+v", o)
	}
	if _, address, err := h.s.Order(h.Context(), o.ID); err != nil || address == nil || address.City != "Vienna" {
		h.Errorf("%+v, %v", address, err)
	}
	if n := h.count("SELECT count(*) FROM order_events WHERE data::text LIKE '%Lovelace%'") + h.count("SELECT count(*) FROM outbox WHERE convert_from(value, 'UTF8') LIKE '%Vienna%'"); n != 0 {
		h.Error("the address is in an event")
	}
}

func (h *shop) numbers() {
	var wg sync.WaitGroup
	var mu sync.Mutex
	seen := map[int64]bool{}
	for range 4 {
		wg.Go(func() {
			for range 60 {
				n, err := h.s.NextNumber(h.Context())
				mu.Lock()
				if err != nil || seen[n] || n < 100_001 || n > 999_999 {
					h.Errorf("%d, %v", n, err)
				}
				seen[n] = true
				mu.Unlock()
			}
		})
	}
	wg.Wait()
}

// expire has the deadlines of all orders pass.
func (h *shop) expire() {
	h.Helper()
	if _, err := h.pool.Exec(h.Context(), "UPDATE orders SET due_at = now() - interval '1 second'"); err != nil {
		h.Fatal(err)
	}
	if _, err := h.s.Due(h.Context(), patience); err != nil {
		h.Fatal(err)
	}
}

func (h *shop) deadlines() {
	stock, payment := h.place(), h.place()
	payment = h.answer(payment, app.StockReserved{})
	done := h.confirmed()
	h.expire()
	stock, payment = h.order(stock.ID), h.order(payment.ID)
	if stock.Reason != app.StockTimeout || stock.Settled() || payment.Reason != app.PaymentTimeout || payment.Settled() || h.order(done.ID).Version != done.Version {
		h.Fatalf("%+v\n%+v", stock, payment)
	}
	stock = h.answer(stock, app.StockReleased{})
	payment = h.answer(payment, app.StockReleased{}, app.PaymentVoided{})
	if !stock.Settled() || !payment.Settled() {
		h.Fatalf("%+v\n%+v", stock, payment)
	}
	if _, err := h.sent(h.Context()); err != nil {
		h.Fatal(err)
	}
	stock, payment = h.answer(stock, app.StockReserved{}), h.answer(payment, app.PaymentAuthorised{Intent: "late", Amount: payment.Total})
	ms, err := h.sent(h.Context())
	if err != nil || len(ms) != 2 || ms[0].Event.Type() != "souk.inventory.release.v1" || ms[1].Event.Type() != "souk.payments.void.v1" || stock.Settled() || payment.Settled() {
		h.Errorf("%+v, %v", ms, err)
	}
	h.expire() // nobody has answered: they are asked again
	if ms, err := h.sent(h.Context()); err != nil || len(ms) != 2 {
		h.Errorf("%+v, %v", ms, err)
	}
	if again := h.order(stock.ID); again.Version != stock.Version || again.Attempts != 1 {
		h.Errorf("%+v", again)
	}
}

func (h *shop) raceToCancel() {
	var wg sync.WaitGroup
	var all []*app.Order
	for range 10 {
		o := h.answer(h.place(), app.StockReserved{})
		all = append(all, o)
		for range 3 {
			wg.Go(func() {
				_, err := h.orders.Cancel(h.Context(), app.Reader{User: o.User}, o.ID, app.Cancellation{Reason: "changed_mind", By: o.User})
				if err != nil {
					h.Error(err)
				}
			})
		}
		wg.Go(func() {
			if err := h.handle(h.Context(), app.Reply{Order: o.ID, Fact: app.PaymentAuthorised{Intent: "i", Amount: o.Total}, Currency: "EUR"}); err != nil {
				h.Error(err)
			}
		})
	}
	wg.Wait()
	for _, o := range all {
		if o = h.order(o.ID); o.Status != app.WasCancelled || o.StockAsked != app.Release || o.PaymentAsked != app.Void && o.PaymentAsked != app.Capture {
			h.Errorf("%+v", o)
		}
	}
	if n := h.count("SELECT count(*) FROM order_events WHERE kind = 'cancelled'"); n != len(all) {
		h.Errorf("%d cancellations of %d orders", n, len(all))
	}
	if _, err := h.orders.Cancel(h.Context(), app.Reader{User: uuid.New()}, all[0].ID, app.Cancellation{}); !errors.Is(err, app.ErrOrderNotFound) {
		h.Errorf("a stranger cancels: %v", err)
	}
}

func (h *shop) fulfilments() {
	o := h.confirmed()
	fulfil := func(key, sku string, quantity int64) error {
		once := onceFor(o.User, key)
		_, _, err := h.orders.Fulfil(h.Context(), once, o.ID, app.Fulfilment{Lines: []app.FulfilledLine{{SKU: sku, Quantity: quantity}}, Tracking: "1Z"})
		return err
	}
	var wg sync.WaitGroup
	for i := range 10 { // two lamps were ordered
		wg.Go(func() {
			if err := fulfil(fmt.Sprint(i), "lamp", 1); err != nil && errs.CodeOf(err) != "over-fulfilled" {
				h.Error(err)
			}
		})
	}
	wg.Wait()
	if got := h.order(o.ID); got.Fulfilment() != "partial" || got.Lines[0].Fulfilled+got.Lines[1].Fulfilled != 2 {
		h.Errorf("%+v", got.Lines)
	}
	if _, err := h.orders.Cancel(h.Context(), app.Reader{User: o.User}, o.ID, app.Cancellation{}); !errors.Is(err, app.ErrNotCancellable) {
		h.Errorf("cancelled: %v", err)
	}
	for range 2 { // the second is a repetition
		if err := fulfil("last", "shade", 1); err != nil {
			h.Error(err)
		}
	}
	if got := h.order(o.ID); got.Fulfilment() != "complete" {
		h.Errorf("%+v", got.Lines)
	}
	if _, err := h.sent(h.Context()); err != nil {
		h.Error(err)
	}
	pending := h.place()
	if _, _, err := h.orders.Fulfil(h.Context(), onceFor(o.User, "early"), pending.ID, app.Fulfilment{Lines: []app.FulfilledLine{{SKU: "lamp", Quantity: 1}}}); errs.CodeOf(err) != "not-fulfillable" {
		h.Errorf("a pending order is fulfilled: %v", err)
	}
}

func (h *shop) erasure() {
	o, other := h.place(), h.place()
	h.cart(o.User)
	for range 2 {
		err := postgres.Tx(h.Context(), h.pool, func(tx pgx.Tx) error { return h.s.EraseUser(h.Context(), tx, o.User) })
		if err != nil {
			h.Fatal(err)
		}
	}
	for _, table := range []string{"order_addresses", "idempotency_keys", "orders", "carts", "order_events", "outbox"} {
		if n := h.count("SELECT count(*) FROM " + table + " t WHERE t::text LIKE '%Lovelace%' OR t::text LIKE '%'||encode('Lovelace'::bytea, 'hex')||'%'"); n > 1 || n == 1 && table != "order_addresses" && table != "idempotency_keys" {
			h.Errorf("%s: %d rows have the name", table, n)
		}
	}
	if n := h.count("SELECT count(*) FROM carts WHERE user_id = $1", o.User); n != 0 {
		h.Errorf("%d carts are left", n)
	}
	if _, address, err := h.s.Order(h.Context(), other.ID); err != nil || address == nil {
		h.Errorf("another's address: %v, %v", address, err)
	}
	h.answer(o, app.StockReserved{}) // the order goes on
}

func (h *shop) lostRow() {
	o := h.answer(h.place(), app.StockReserved{})
	if _, err := h.pool.Exec(h.Context(), "DELETE FROM orders"); err != nil {
		h.Fatal(err)
	}
	if got := h.answer(o, app.PaymentAuthorised{Intent: "i", Amount: o.Total}); got.Status != app.IsConfirmed || got.Version != 4 {
		h.Errorf("%+v", got)
	}
}

func (h *shop) rebuilt() {
	for range rebuildAtOnce/10 + 3 {
		h.confirmed()
	}
	h.place()
	for _, damage := range []string{
		"UPDATE orders SET status = 'failed', total = total + 1, version = 99 WHERE number % 4 = 0",
		"DELETE FROM orders WHERE number % 4 = 1",
		`INSERT INTO orders SELECT ('ffffffff-ffff-7fff-bfff-' || right(id::text, 12))::uuid, number, version, user_id, status, reason, settled, stock, payment, stock_asked, payment_asked,
			currency, total, captured, refunded, intent, refund, asking, method, lines, placed_at, confirmed_at, updated_at, due_at, attempts FROM orders WHERE number % 4 = 2`,
	} {
		if _, err := h.pool.Exec(h.Context(), damage); err != nil {
			h.Fatal(err)
		}
	}
	if _, err := h.s.RequestRebuild(h.Context()); err != nil {
		h.Fatal(err)
	}
	stop := make(chan struct{})
	var serving sync.WaitGroup
	serving.Go(func() { // meanwhile it serves
		for {
			select {
			case <-stop:
				return
			default:
				h.confirmed()
			}
		}
	})
	for {
		worked, err := h.s.rebuildSome(h.Context())
		if err != nil {
			h.Fatal(err)
		}
		if !worked {
			break
		}
	}
	close(stop)
	serving.Wait()
	if n := h.count("SELECT count(*) FROM order_rebuilds WHERE finished_at IS NOT NULL AND mended > 5"); n != 1 {
		h.Error("the request is not finished, or mended nothing")
	}
}

func (h *shop) strangers() {
	err := h.handle(h.Context(), app.Reply{Order: uuid.New(), Fact: app.StockReserved{}})
	if err != nil || h.count("SELECT count(*) FROM outbox") != 0 {
		h.Error(err)
	}
}

func (h *shop) backlog() {
	cart := h.cart(uuid.New())
	if _, err := h.pool.Exec(h.Context(), "UPDATE outbox_state SET full_up = true"); err != nil {
		h.Fatal(err)
	}
	_, _, err := h.orders.Place(h.Context(), onceFor(cart.User, "k"), placementOf(cart))
	if errs.CodeOf(err) != "events-backlog" || h.count("SELECT count(*) FROM orders")+h.count("SELECT count(*) FROM order_events") != 0 {
		h.Errorf("placed: %v", err)
	}
	if _, err := h.pool.Exec(h.Context(), "UPDATE outbox_state SET full_up = false"); err != nil {
		h.Fatal(err)
	}
	if _, _, err := h.orders.Place(h.Context(), onceFor(cart.User, "k"), placementOf(cart)); err != nil {
		h.Errorf("the same request later: %v", err)
	}
}
