package chaos

import (
	"context"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
)

// crowd is everybody who wants a piece, and how they are doing.
type crowd struct {
	shop    shop
	goods   goods
	history *history

	active    atomic.Int64 // at work on a purchase
	bought    atomic.Int64
	coming    atomic.Int64 // have not arrived yet
	mu        sync.Mutex
	waiting   []chan struct{} // told that there is nothing left
	surprises []string        // answers that no buyer should get
}

// methods are how a first attempt pays, of a hundred; whoever was declined tries again with one that works. Pieces come
// back from the others, at every stage of an order.
var methods = []struct {
	of   int
	name string
}{
	{78, "pm_sandbox_approve"}, {6, "pm_sandbox_decline"}, {4, "pm_sandbox_insufficient_funds"}, {4, "pm_sandbox_error_once"},
	{4, "pm_sandbox_late_webhook"}, {1, "pm_sandbox_timeout"}, {3, "pm_sandbox_capture_fails"},
}

func draw(r *rand.Rand) string {
	n := r.IntN(100)
	for _, m := range methods {
		if n -= m.of; n < 0 {
			return m.name
		}
	}
	return methods[0].name
}

// buyer wants one piece until it has one, or ctx ends.
type buyer struct {
	*crowd
	number int
	user   user
	method string
}

func (b *buyer) run(ctx context.Context, arrival time.Duration) {
	arrived := pause(ctx, arrival)
	b.active.Add(1)
	b.coming.Add(-1)
	defer b.active.Add(-1)
	for arrived && ctx.Err() == nil {
		id, placed := b.order(ctx)
		if !placed {
			pause(ctx, time.Second)
			continue
		}
		status, reason, known := b.follow(ctx, id)
		switch {
		case !known:
		case status == "confirmed":
			b.bought.Add(1)
			return
		case reason == "insufficient_stock":
			b.wait(ctx)
		default:
			b.method = methods[0].name
			pause(ctx, time.Second+rand.N(3*time.Second)) // people don't hammer at a shop that has trouble
		}
	}
}

// order puts a piece into a new cart and places the order, with one key until the answer says what became of it.
func (b *buyer) order(ctx context.Context) (id uuid.UUID, placed bool) {
	shop := b.shop.as(b.user.token)
	var cart struct {
		ID      uuid.UUID `json:"id"`
		Version int64     `json:"version"`
	}
	items := map[string]any{"items": []any{map[string]any{"sku": b.goods.sku, "quantity": 1}}}
	if err := shop.insist(ctx, http.MethodPost, "/v1/carts", items, &cart); err != nil {
		b.surprise(ctx, err.Error())
		return id, false
	}
	c := call{Buyer: b.number, User: b.user.id, Key: uuid.NewString(), Cart: cart.ID}
	body := map[string]any{"cart_id": cart.ID, "cart_version": cart.Version, "payment_method": b.method}
	for {
		var answer struct {
			ID uuid.UUID `json:"id"`
		}
		c.Began = time.Now()
		c.Status, c.Problem = shop.call(ctx, http.MethodPost, "/v1/orders", body, &answer, "Idempotency-Key", c.Key)
		c.Took, c.Order = time.Since(c.Began), answer.ID
		b.history.add(c)
		switch outcomeOf(c.Status, c.Problem) {
		case ok:
			return answer.ID, true
		case refused:
			b.surprise(ctx, "POST /v1/orders: "+c.Problem)
			return id, false
		}
		if !pause(ctx, 500*time.Millisecond) {
			return id, false
		}
	}
}

// follow asks how the order is until it is over.
func (b *buyer) follow(ctx context.Context, id uuid.UUID) (status, reason string, known bool) {
	for wait := 300 * time.Millisecond; pause(ctx, wait); wait = min(wait*3/2, 5*time.Second) {
		var o struct {
			Status  string `json:"status"`
			Reason  string `json:"reason"`
			Settled bool   `json:"settled"`
		}
		if code, problem := b.shop.as(b.user.token).call(ctx, http.MethodGet, "/v1/orders/"+id.String(), nil, &o); outcomeOf(code, problem) == refused {
			b.surprise(ctx, "GET /v1/orders/{id}: "+problem)
		} else if code == http.StatusOK && o.Settled {
			return o.Status, o.Reason, true
		}
	}
	return "", "", false
}

func (c *crowd) surprise(ctx context.Context, what string) {
	if ctx.Err() != nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.surprises = append(c.surprises, what)
}

// wait until there may be something to buy again.
func (c *crowd) wait(ctx context.Context) {
	woken := make(chan struct{})
	c.mu.Lock()
	c.waiting = append(c.waiting, woken)
	c.mu.Unlock()
	c.active.Add(-1)
	select {
	case <-woken: // who woke it has counted it
	case <-ctx.Done():
		c.active.Add(1)
	}
}

// wake tells so many of those who wait.
func (c *crowd) wake(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for range min(n, len(c.waiting)) {
		c.active.Add(1)
		close(c.waiting[0])
		c.waiting = c.waiting[1:]
	}
}

// scramble is how many buyers run for each piece that is there again.
const scramble = 5

// supervise wakes buyers as pieces come back, and returns when all are sold and nobody is at it any more; delivered says
// that no more pieces come.
func (c *crowd) supervise(ctx context.Context, delivered func() bool) {
	for quiet := 0; quiet < 3 && pause(ctx, 400*time.Millisecond); {
		busy := c.active.Load() > 0 || c.coming.Load() > 0 || !delivered()
		var level struct {
			Available *int64 `json:"available"`
		}
		status, _ := c.shop.call(ctx, http.MethodGet, "/v1/inventory/"+c.goods.sku, nil, &level)
		switch {
		case status != http.StatusOK || level.Available == nil:
			quiet = 0
		case *level.Available > 0:
			quiet = 0
			c.wake(scramble * int(*level.Available))
		case busy:
			quiet = 0
		default:
			quiet++
		}
	}
}

// pause reports whether ctx let it last.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
