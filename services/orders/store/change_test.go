package store

import (
	"errors"
	"fmt"
	"sync"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"souk/internal/errs"
	"souk/internal/postgres"
	"souk/services/orders/app"
)

// expire has the deadlines of all orders pass.
func (h *shop) expire() {
	h.Helper()
	if _, err := h.pool.Exec(h.Context(), "UPDATE orders SET due_at = now() - interval '1 second'"); err != nil {
		h.Fatal(err)
	}
	h.look()
}

func (h *shop) look() int {
	h.Helper()
	n, err := h.s.look(h.Context(), patience, &h.quiet)
	if err != nil {
		h.Fatal(err)
	}
	return n
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

func (h *shop) strangers() {
	err := h.handle(h.Context(), app.Reply{Order: uuid.New(), Fact: app.StockReserved{}})
	if err != nil || h.count("SELECT count(*) FROM outbox") != 0 {
		h.Error(err)
	}
}
