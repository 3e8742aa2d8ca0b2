package store

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"souk/internal/money"
	"souk/internal/postgres"
	"souk/internal/postgres/postgrestest"
	"souk/services/orders/app"
)

func TestCartsInTheStore(t *testing.T) {
	pool := postgrestest.Open(t, "orders", postgres.Options{})
	s := New(pool, slog.New(slog.DiscardHandler))
	if err := s.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	lamp := app.Price{SKU: "lamp", ProductID: uuid.New(), Version: 1, Name: "Lamp", Price: money.Amount{Minor: 1290, Currency: "EUR"}, Active: true}
	if err := s.SavePrices(t.Context(), []app.Price{lamp}); err != nil {
		t.Fatal(err)
	}
	add := func(t *testing.T, expires time.Duration) app.Cart {
		t.Helper()
		c := app.Cart{
			ID: uuid.Must(uuid.NewV7()), Version: 1, User: uuid.New(), Currency: "EUR", ExpiresAt: time.Now().Add(expires).UTC().Truncate(time.Millisecond),
			Lines: []app.CartLine{{SKU: "lamp", ProductID: lamp.ProductID, Version: 1, Name: "Lamp", Quantity: 2, UnitPrice: 1290, Available: true}},
		}
		for range 2 { // as when the answer to the first is lost
			if err := s.InsertCart(t.Context(), c); err != nil {
				t.Fatal(err)
			}
		}
		stored, err := s.Cart(t.Context(), c.ID)
		if err != nil || !reflect.DeepEqual(stored, c) {
			t.Fatalf("%+v, %v", stored, err)
		}
		return stored
	}
	mark := func(ctx context.Context, c app.Cart, order uuid.UUID) error {
		return postgres.Tx(ctx, pool, func(tx pgx.Tx) error {
			var b pgx.Batch
			queueMarkOrdered(&b, c, order)
			return tx.SendBatch(ctx, &b).Close()
		})
	}

	t.Run("one of many orders gets the cart", func(t *testing.T) {
		c := add(t, time.Hour)
		var won atomic.Pointer[uuid.UUID]
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				order := uuid.New()
				switch err := mark(t.Context(), c, order); {
				case err == nil && !won.CompareAndSwap(nil, &order):
					t.Error("two orders have it")
				case err != nil && !errors.Is(err, app.ErrCartChanged):
					t.Error(err)
				}
			})
		}
		wg.Wait()
		got, err := s.Cart(t.Context(), c.ID)
		if err != nil || won.Load() == nil || got.Order != *won.Load() || got.Version != 2 || fmt.Sprint(got.Lines) != fmt.Sprint(c.Lines) {
			t.Errorf("%+v, %v", got, err)
		}
		if saved, err := s.SaveCart(t.Context(), got, got.Version); saved || err != nil {
			t.Errorf("an ordered cart is changed: %v", err)
		}
	})
	t.Run("only the version that was checked, of the user who asked", func(t *testing.T) {
		c := add(t, time.Hour)
		for _, spoil := range []func(*app.Cart){
			func(c *app.Cart) { c.Version++ }, func(c *app.Cart) { c.User = uuid.New() }, func(c *app.Cart) { c.User = uuid.Nil }, func(c *app.Cart) { c.ID = uuid.New() },
		} {
			other := c
			spoil(&other)
			if err := mark(t.Context(), other, uuid.New()); !errors.Is(err, app.ErrCartChanged) {
				t.Errorf("%+v: %v", other, err)
			}
		}
		if got, err := s.Cart(t.Context(), c.ID); err != nil || got.Order != uuid.Nil {
			t.Errorf("%+v, %v", got, err)
		}
	})
	t.Run("what has expired is deleted an hour later", func(t *testing.T) {
		old, recent, open := add(t, -2*time.Hour), add(t, -time.Minute), add(t, time.Hour)
		if n, err := s.tidyCarts(t.Context()); n != 1 || err != nil {
			t.Errorf("%d deleted, %v", n, err)
		}
		for c, want := range map[uuid.UUID]error{old.ID: app.ErrCartNotFound, recent.ID: nil, open.ID: nil} {
			if _, err := s.Cart(t.Context(), c); !errors.Is(err, want) {
				t.Error(err)
			}
		}
	})
}
