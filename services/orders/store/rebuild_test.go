package store

import (
	"sync"

	"souk/services/orders/app"
)

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
