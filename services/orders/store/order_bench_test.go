package store

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"souk/services/orders/app"
)

// BenchmarkPlace is a placement without the cart's making and the catalogue's answering.
func BenchmarkPlace(b *testing.B) {
	h := openShop(b)
	carts := make([]app.Cart, b.N)
	for i := range carts {
		carts[i] = h.cart(uuid.New())
	}
	var next atomic.Int64
	b.SetParallelism(4)
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			cart := carts[next.Add(1)-1]
			if _, _, err := h.orders.Place(b.Context(), onceFor(cart.User, "k"), placementOf(cart)); err != nil {
				b.Error(err)
			}
		}
	})
}

// BenchmarkReplies brings orders from placed to settled, so many at once; the figure is for one order.
func BenchmarkReplies(b *testing.B) {
	for _, batch := range []int{1, 10, 100} {
		b.Run(fmt.Sprint(batch), func(b *testing.B) {
			h := openShop(b)
			var orders []*app.Order
			for range b.N {
				orders = append(orders, h.place())
			}
			b.ResetTimer()
			start := time.Now()
			for len(orders) > 0 {
				part := orders[:min(batch, len(orders))]
				orders = orders[len(part):]
				for _, f := range []app.Fact{app.StockReserved{}, app.PaymentAuthorised{Intent: "i", Amount: 2*1290 + 499}, app.StockCommitted{}, app.PaymentCaptured{Intent: "i", Amount: 2*1290 + 499}} {
					replies := make([]app.Reply, len(part))
					for i, o := range part {
						replies[i] = app.Reply{Order: o.ID, Fact: f, Currency: "EUR"}
					}
					if err := h.handle(b.Context(), replies...); err != nil {
						b.Fatal(err)
					}
				}
			}
			b.ReportMetric(float64(b.N)/time.Since(start).Seconds(), "orders/s")
		})
	}
}
