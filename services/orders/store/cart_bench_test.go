package store

import (
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/google/uuid"

	"souk/internal/money"
	"souk/internal/postgres"
	"souk/internal/postgres/postgrestest"
	"souk/services/orders/app"
)

// BenchmarkInsertCart is the database's part of POST /v1/carts, with the prices of 10,000 SKUs to look in.
func BenchmarkInsertCart(b *testing.B) {
	pool := postgrestest.Open(b, "orders", postgres.Options{})
	s := New(pool, slog.New(slog.DiscardHandler))
	if err := s.Migrate(b.Context()); err != nil {
		b.Fatal(err)
	}
	var prices []app.Price
	for i := range 10_000 {
		prices = append(prices, app.Price{
			SKU: fmt.Sprint("sku-", i), ProductID: uuid.New(), Version: 1, Name: "Linen shirt, L", Price: money.Amount{Minor: 4900, Currency: "EUR"}, Active: true,
		})
	}
	if err := s.SavePrices(b.Context(), prices); err != nil {
		b.Fatal(err)
	}
	if _, err := pool.Exec(b.Context(), "ANALYZE prices"); err != nil {
		b.Fatal(err)
	}
	for _, lines := range []int{1, 3, 100} {
		b.Run(fmt.Sprint(lines), func(b *testing.B) {
			b.RunParallel(func(pb *testing.PB) {
				for n := 0; pb.Next(); n++ {
					c := app.Cart{ID: uuid.Must(uuid.NewV7()), Version: 1, User: uuid.New(), Currency: "EUR", ExpiresAt: time.Now().Add(time.Hour)}
					skus := make([]string, lines)
					for i := range skus {
						skus[i] = fmt.Sprint("sku-", (n*lines+i)%10_000)
					}
					known, err := s.PricesOf(b.Context(), skus)
					for _, p := range known {
						c.Lines = append(c.Lines, app.CartLine{SKU: p.SKU, ProductID: p.ProductID, Version: 1, Name: p.Name, Quantity: 1, UnitPrice: p.Price.Minor, Available: true})
					}
					if err := errors.Join(err, s.InsertCart(b.Context(), c)); err != nil || len(c.Lines) != lines {
						b.Error(len(c.Lines), err)
					}
				}
			})
		})
	}
	b.Run("price change", func(b *testing.B) {
		for b.Loop() {
			if err := s.SavePrices(b.Context(), prices[:1]); err != nil {
				b.Error(err)
			}
		}
	})
}
