package store

import (
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"souk/internal/postgres"
	"souk/services/orders/app"
)

// behind: Kafka is away for long, and deadlines pass.
func (h *shop) behind() {
	paid := h.answer(h.place(), app.StockReserved{})
	paid = h.answer(paid, app.PaymentAuthorised{Intent: "i", Amount: paid.Total})
	if _, err := h.sent(h.Context()); err != nil { // it has asked, and the answers can't come
		h.Fatal(err)
	}
	cancelled, pending := h.place(), h.place()
	if _, err := h.orders.Cancel(h.Context(), app.Reader{All: true}, cancelled.ID, app.Cancellation{}); err != nil {
		h.Fatal(err)
	}
	age := func() {
		if _, err := h.pool.Exec(h.Context(), "UPDATE outbox SET created_at = created_at - interval '6 seconds'"); err != nil {
			h.Fatal(err)
		}
	}
	age()
	before := h.count("SELECT count(*) FROM outbox")
	h.expire()
	if o := h.order(pending.ID); o.Reason != app.StockTimeout || o.StockAsked != app.Release {
		h.Errorf("its customer waits in vain: %+v", o)
	}
	if n := h.count("SELECT count(*) FROM outbox"); n != before+2 { // failed, release
		h.Errorf("%d messages more", n-before)
	}
	before += 2
	for range 30 {
		age()
		h.expire()
	}
	if n := h.count("SELECT count(*) FROM outbox"); n != before {
		h.Errorf("%d messages more", n-before)
	}

	if ms, err := h.sent(h.Context()); err != nil || len(ms) != before { // Kafka is back
		h.Errorf("%d of %d, %v", len(ms), before, err)
	}
	if n := h.look(); n != 0 {
		h.Errorf("%d orders don't wait for the answers to what has just left", n)
	}
	h.quiet = h.quiet.Add(-patience.Again)
	if n := h.look(); n != 3 {
		h.Errorf("%d orders ask again", n)
	}
	var asked []string
	ms, err := h.sent(h.Context())
	for _, m := range ms {
		asked = append(asked, m.Event.Type())
	}
	slices.Sort(asked)
	if want := []string{"souk.inventory.commit.v1", "souk.inventory.release.v1", "souk.inventory.release.v1", "souk.payments.capture.v1"}; err != nil || !slices.Equal(asked, want) {
		h.Errorf("asked again: %v, %v", asked, err)
	}
	paid = h.answer(paid, app.StockCommitted{}, app.PaymentCaptured{Intent: "i", Amount: paid.Total})
	if cancelled, pending = h.answer(cancelled, app.StockReleased{}), h.answer(pending, app.StockReleased{}); !paid.Settled() || !cancelled.Settled() || !pending.Settled() {
		h.Errorf("%+v\n%+v\n%+v", paid, cancelled, pending)
	}
}

// TestAnOutboxThatIsBehindDoesNotGrow has Kafka away for many times the deadlines, while they are watched; then it comes
// back, and some answers are lost.
func TestAnOutboxThatIsBehindDoesNotGrow(t *testing.T) {
	h := openShop(t)
	hasty := app.Deadlines{Stock: 500 * time.Millisecond, Payment: 500 * time.Millisecond, Again: 300 * time.Millisecond, Reservation: time.Minute}
	w := newOthers(h)
	exchange := func() {
		t.Helper()
		ms, err := h.sent(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		stock, payments := w.answer(ms)
		err = postgres.Tx(t.Context(), h.pool, func(tx pgx.Tx) error { return h.s.HandleReplies(t.Context(), tx, append(stock, payments...), hasty) })
		if err != nil {
			t.Fatal(err)
		}
	}
	const orders = 30
	for i := range orders {
		if i == orders/2 { // these are confirmed, most of them, and have asked for more
			exchange()
			exchange()
		}
		h.place()
	}
	if _, err := h.pool.Exec(t.Context(), "UPDATE orders SET due_at = now() + interval '500 milliseconds'"); err != nil {
		t.Fatal(err)
	}
	for range 2 { // instances
		go h.s.WatchDeadlines(t.Context(), func() time.Duration { return 20 * time.Millisecond }, func() app.Deadlines { return hasty })
	}
	for deadline := time.Now().Add(10 * time.Second); h.count("SELECT count(*) FROM orders WHERE status = 'pending'") > 0; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("pending orders don't fail")
		}
	}
	before := h.count("SELECT count(*) FROM outbox")
	time.Sleep(10 * hasty.Again)
	if n := h.count("SELECT count(*) FROM outbox"); n != before {
		t.Errorf("%d messages, and %d before", n, before)
	}

	for deadline := time.Now().Add(20 * time.Second); h.count("SELECT count(*) FROM orders WHERE NOT settled") > 0; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("not all orders end")
		}
		exchange()
	}
	h.consistent()
	if ends := w.compare(t, orders); ends[app.IsConfirmed] == 0 || ends[app.HasFailed] < orders/2 {
		t.Errorf("the orders ended %v", ends)
	}
}
