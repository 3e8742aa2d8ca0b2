package store

import (
	"fmt"
	"sync"

	"github.com/google/uuid"

	"souk/internal/errs"
	"souk/services/orders/app"
)

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
