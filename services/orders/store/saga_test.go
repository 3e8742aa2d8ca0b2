package store

import (
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/google/uuid"

	"souk/internal/events"
	"souk/internal/postgres"
	"souk/services/orders/app"
)

// others are inventory and payments, at work beside the orders: they take commands out of the outbox and answer them, some
// twice, some never, each topic in batches and in order.
type others struct {
	h  *shop
	mu sync.Mutex
	// What they hold, by order.
	stock              map[uuid.UUID]string
	authorised, voided map[uuid.UUID]bool
	captured, refunded map[uuid.UUID]int64
	totals             map[uuid.UUID]int64
}

func newOthers(h *shop) *others {
	return &others{
		h: h, stock: map[uuid.UUID]string{}, authorised: map[uuid.UUID]bool{}, voided: map[uuid.UUID]bool{},
		captured: map[uuid.UUID]int64{}, refunded: map[uuid.UUID]int64{}, totals: map[uuid.UUID]int64{},
	}
}

// answer is what they say to commands.
func (w *others) answer(ms []events.Message) (stock, payments []app.Reply) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, m := range ms {
		id := uuid.MustParse(m.Key)
		var data struct {
			RefundID uuid.UUID `json:"refund_id"`
			Amount   struct {
				Minor    int64  `json:"amount"`
				Currency string `json:"currency"`
			} `json:"amount"`
		}
		if err := json.Unmarshal(m.Event.Data(), &data); err != nil {
			w.h.Error(err)
		}
		reply := func(to *[]app.Reply, f app.Fact) {
			for range 1 + rand.IntN(5)/4 {
				*to = append(*to, app.Reply{Order: id, Fact: f, Currency: "EUR"})
			}
		}
		lost := rand.IntN(12) == 0 // as if the service died, or took too long
		switch m.Event.Type() {
		case "souk.inventory.reserve.v1":
			if w.stock[id] == "" && id[15]%11 == 0 {
				reply(&stock, app.StockRejected{Reason: app.InsufficientStock})
				continue
			}
			w.stock[id] = "reserved"
			if !lost {
				reply(&stock, app.StockReserved{})
			}
		case "souk.inventory.commit.v1":
			w.stock[id] = "committed"
			if !lost {
				reply(&stock, app.StockCommitted{})
			}
		case "souk.inventory.release.v1":
			w.stock[id] = "released"
			reply(&stock, app.StockReleased{})
		case "souk.payments.authorise.v1":
			if w.voided[id] || id[15]%13 == 0 {
				reply(&payments, app.PaymentDeclined{Reason: "no"})
				continue
			}
			w.authorised[id], w.totals[id] = true, data.Amount.Minor
			if !lost {
				reply(&payments, app.PaymentAuthorised{Intent: "i", Amount: data.Amount.Minor})
			}
		case "souk.payments.capture.v1":
			if id[15]%17 == 0 {
				reply(&payments, app.PaymentCaptureFailed{Reason: "no"})
				continue
			}
			w.captured[id] = w.totals[id]
			if !lost {
				reply(&payments, app.PaymentCaptured{Intent: "i", Amount: w.totals[id]})
			}
		case "souk.payments.void.v1":
			w.voided[id], w.authorised[id] = true, false
			reply(&payments, app.PaymentVoided{})
		case "souk.payments.refund.v1":
			w.refunded[id] = data.Amount.Minor
			reply(&payments, app.PaymentRefunded{Refund: data.RefundID, Amount: data.Amount.Minor, RefundedTotal: w.refunded[id]})
		}
	}
	return stock, payments
}

// TestOrdersEndRightHoweverMuchGoesOnAtOnce runs whole sagas on the database: replies of both services in batches side by
// side, cancellations, deadlines, rebuilding, rows that are lost.
func TestOrdersEndRightHoweverMuchGoesOnAtOnce(t *testing.T) {
	h := openShop(t)
	w := newOthers(h)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var at sync.WaitGroup
	loop := func(pause time.Duration, f func()) {
		at.Go(func() {
			for ctx.Err() == nil {
				f()
				time.Sleep(pause)
			}
		})
	}
	stock, payments := make(chan []app.Reply, 10_000), make(chan []app.Reply, 10_000)
	loop(5*time.Millisecond, func() {
		ms, err := h.sent(context.WithoutCancel(ctx))
		if err != nil {
			t.Error(err)
		}
		s, p := w.answer(ms)
		for part := range slices.Chunk(s, 20) {
			stock <- part
		}
		for part := range slices.Chunk(p, 20) {
			payments <- part
		}
	})
	for _, queue := range []chan []app.Reply{stock, payments} {
		loop(0, func() {
			select {
			case <-ctx.Done():
			case replies := <-queue:
				if err := h.handle(context.WithoutCancel(ctx), replies...); err != nil {
					t.Error(err)
				}
			}
		})
	}
	impatient := app.Deadlines{Stock: time.Second, Payment: time.Second, Again: 300 * time.Millisecond, Reservation: time.Minute}
	loop(50*time.Millisecond, func() {
		if _, err := h.pool.Exec(ctx, `UPDATE orders SET due_at = least(due_at, updated_at + interval '1 second')
			WHERE id IN (SELECT id FROM orders WHERE NOT settled AND attempts = 0 FOR UPDATE SKIP LOCKED)`); err != nil && ctx.Err() == nil {
			t.Error(err)
		}
		if _, err := h.s.Due(context.WithoutCancel(ctx), impatient, true); err != nil {
			t.Error(err)
		}
	})
	var bought atomic.Bool
	loop(20*time.Millisecond, func() {
		if bought.Load() { // else there would always be one missing
			return
		}
		if _, err := h.pool.Exec(ctx, "DELETE FROM orders WHERE id IN (SELECT id FROM orders ORDER BY random() LIMIT 1)"); err != nil && ctx.Err() == nil {
			t.Error(err)
		}
	})
	loop(100*time.Millisecond, func() {
		if _, err := h.s.RequestRebuild(context.WithoutCancel(ctx)); err != nil {
			t.Error(err)
		}
		for worked := true; worked && ctx.Err() == nil; {
			var err error
			if worked, err = h.s.rebuildSome(context.WithoutCancel(ctx)); err != nil {
				t.Error(err)
				return
			}
		}
	})

	const buyers, each = 6, 25
	var buying sync.WaitGroup
	for range buyers {
		buying.Go(func() {
			for range each {
				cart := h.cart(uuid.New())
				answer, _, err := h.orders.Place(ctx, onceFor(cart.User, "k"), placementOf(cart))
				if err != nil {
					t.Error(err)
					return
				}
				if rand.IntN(3) == 0 {
					time.Sleep(time.Duration(rand.IntN(30)) * time.Millisecond)
					_, err := h.orders.Cancel(ctx, app.Reader{All: true}, uuid.MustParse(answer.Location[len("/v1/orders/"):]), app.Cancellation{})
					if err != nil && err.Error() != app.ErrNotCancellable.Error() && err.Error() != app.ErrOrderNotFound.Error() { // its row was lost just then
						t.Error(err)
					}
				}
			}
		})
	}
	buying.Wait()
	bought.Store(true)
	for deadline := time.Now().Add(30 * time.Second); h.count("SELECT count(DISTINCT stream_id) - (SELECT count(*) FROM orders WHERE settled) FROM order_events") > 0; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Error("not all orders end")
			break
		}
	}
	stop()
	at.Wait()
	for worked := true; worked; { // what was deleted last
		var err error
		if worked, err = h.s.rebuildSome(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	h.consistent()
	if ends := w.compare(t, buyers*each); len(ends) != 3 {
		t.Errorf("the orders ended %v", ends)
	}
}

// compare holds what the services have against what the orders say, and returns how many ended how.
func (w *others) compare(t *testing.T, orders int) map[app.Status]int {
	t.Helper()
	var all []*app.Order
	err := postgres.Read(t.Context(), w.h.pool, func(q postgres.Querier) (err error) {
		all, err = ordersWhere(t.Context(), q, "")
		return err
	})
	if err != nil || len(all) != orders {
		t.Fatalf("%d orders, %v", len(all), err)
	}
	ends := map[app.Status]int{}
	for _, o := range all {
		ends[o.Status]++
		stock, money := w.stock[o.ID], w.captured[o.ID]-w.refunded[o.ID]
		switch {
		case o.Status == app.IsConfirmed && (stock != "committed" || money != o.Total):
			t.Errorf("order %s is confirmed; its stock is %q, its money %d of %d", o.ID, stock, money, o.Total)
		case o.Ended() && (stock == "reserved" || stock == "committed" || money != 0 || w.authorised[o.ID] && w.captured[o.ID] == 0):
			t.Errorf("order %s %s (%s); its stock is %q, its money %d, authorised %t", o.ID, o.Status, o.Reason, stock, money, w.authorised[o.ID])
		}
	}
	t.Log(ends)
	return ends
}
