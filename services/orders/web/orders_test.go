package web_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/uuid"

	"souk/services/orders/app"
)

func TestOrders(t *testing.T) {
	a := serve(t)
	for _, x := range []struct {
		name string
		test func(*api)
	}{
		{"an order from cart to doorstep", (*api).life},
		{"what the customer has not seen is not ordered", (*api).unseen},
		{"a key has one effect", (*api).once},
		{"other people's orders are not there", (*api).strangers},
		{"who may do what", (*api).access},
		{"pages hold every order once, newest first", (*api).pages},
		{"hostile requests are refused and change nothing", (*api).hostile},
		{"reconciliation sees every order", (*api).reconciliation},
		{"events are followed live to the end", (*api).follow},
		{"a follower that comes again gets the rest", (*api).resume},
		{"a slow follower holds up nobody", (*api).slow},
	} {
		t.Run(x.name, func(t *testing.T) {
			own := *a
			own.t = t
			x.test(&own)
		})
	}
}

func (a *api) life() {
	token, support := a.customer(), a.issuer.User("admin")
	placed := a.place(token)
	path := placed.Header.Get("Location")
	if path != "/v1/orders/"+placed.ID.String() || placed.state() != "pending none none" || placed.Total.Minor != total || placed.Address == nil || placed.Version != 1 {
		a.t.Fatalf("%s", placed.body)
	}
	if read := a.want(200, call{method: "GET", path: path, token: token}); read.body != placed.body || read.Header.Get("ETag") != `"1"` {
		a.t.Errorf("it was %s\nand is read as %s", placed.body, read.body)
	}
	fulfil := call{method: "POST", path: path + "/fulfillments", token: support, key: "1", body: `{"lines":[{"sku":"lamp","quantity":1}],"tracking":"1Z"}`}
	if early := a.want(409, fulfil); early.Code != "not-fulfillable" {
		a.t.Error(early.body)
	}
	a.happen(placed.ID, confirming()...)
	read := a.want(200, call{method: "GET", path: path, token: token})
	if read.state() != "confirmed committed captured" || !read.Settled || read.Confirmed.IsZero() {
		a.t.Error(read.body)
	}
	first := a.want(201, fulfil)
	if again := a.want(201, fulfil); again.body != first.body || again.Header.Get("Idempotent-Replayed") != "true" {
		a.t.Errorf("%s\n%s", first.body, again.body)
	}
	fulfil.key, fulfil.body = "2", `{"lines":[{"sku":"lamp","quantity":2}]}`
	if over := a.want(409, fulfil); over.Code != "over-fulfilled" {
		a.t.Error(over.body)
	}
	if late := a.want(409, call{method: "POST", path: path + "/cancel", token: token}); late.Code != "not-cancellable" {
		a.t.Error(late.body)
	}
	fulfil.key, fulfil.body = "3", `{"lines":[{"sku":"lamp","quantity":1},{"sku":"shade","quantity":1}]}`
	a.want(201, fulfil)
	if list := a.want(200, call{method: "GET", path: path + "/fulfillments", token: token}); strings.Count(list.body, "fulfilled_at") != 2 {
		a.t.Error(list.body)
	}
	if read := a.want(200, call{method: "GET", path: path, token: token}); read.Fulfilment != "complete" || read.Version != 8 {
		a.t.Error(read.body)
	}
	if story := a.want(200, call{method: "GET", path: path + "/events", token: token}); strings.Count(story.body, `"version":`) != 8 {
		a.t.Error(story.body)
	}

	gone := a.place(token)
	cancel := call{method: "POST", path: gone.Header.Get("Location") + "/cancel", token: token, body: `{"reason":"changed_mind"}`}
	if got := a.want(200, cancel); got.OrderView.Status != "cancelled" || got.Reason != "changed_mind" || got.Settled {
		a.t.Error(got.body)
	}
	if got := a.want(200, cancel); got.Version != 2 {
		a.t.Error(got.body)
	}
	a.happen(gone.ID, app.StockReleased{})
	if got := a.want(200, call{method: "GET", path: gone.Header.Get("Location"), token: token}); !got.Settled {
		a.t.Error(got.body)
	}
}

// state is the order's state in three words.
func (a answer) state() string { return fmt.Sprint(a.OrderView.Status, " ", a.Stock, " ", a.Payment) }

func (a *api) unseen() {
	defer a.shelf.price("lamp", 1290)
	token := a.customer()
	c := a.cart(token)
	order := placing(token, c)
	a.want(200, call{method: "PUT", path: "/v1/carts/" + c.ID.String() + "/items/lamp", token: token, body: `{"quantity":3}`})
	if got := a.want(409, order); got.Code != "cart-changed" {
		a.t.Error(got.body)
	}
	c.Version++
	a.shelf.price("lamp", 1500)
	if got := a.want(409, placing(token, c)); got.Code != "price-changed" || !strings.Contains(got.body, "EUR 49.99") {
		a.t.Error(got.body)
	}
	read := a.want(200, call{method: "GET", path: "/v1/carts/" + c.ID.String(), token: token})
	if !strings.Contains(read.body, `"version":3`) || !strings.Contains(read.body, `"amount":4999`) {
		a.t.Error(read.body)
	}
	c.Version++
	a.shelf.mu.Lock()
	a.shelf.away = true
	a.shelf.mu.Unlock()
	away := placing(token, c)
	if got := a.want(503, away); got.Code != "catalog-unavailable" {
		a.t.Error(got.body)
	}
	a.shelf.mu.Lock()
	a.shelf.away = false
	a.shelf.mu.Unlock()
	if got := a.want(202, away); got.Total.Minor != 4999 {
		a.t.Error(got.body)
	}
	if got := a.want(409, placing(token, c)); got.Code != "cart-ordered" {
		a.t.Error(got.body)
	}
	other := a.customer()
	if got := a.want(404, placing(other, a.cart(token))); got.Code != "cart-not-found" {
		a.t.Error(got.body)
	}
}

func (a *api) once() {
	token := a.customer()
	order := placing(token, a.cart(token))
	first := a.want(202, order)
	again := a.want(202, order)
	if again.body != first.body || again.Header.Get("Location") != first.Header.Get("Location") || again.Header.Get("Idempotent-Replayed") != "true" || first.Header.Get("Idempotent-Replayed") != "" {
		a.t.Errorf("%s\n%s", first.body, again.body)
	}
	order.body = strings.Replace(order.body, "approve", "decline", 1)
	if got := a.want(422, order); got.Code != "idempotency-key-reused" {
		a.t.Error(got.body)
	}
	order.key, order.wrong = "", true
	if got := a.want(400, order); got.Code != "idempotency-key-required" {
		a.t.Error(got.body)
	}
}

func (a *api) pages() {
	token := a.customer()
	var want []uuid.UUID
	for range 5 {
		want = append([]uuid.UUID{a.place(token).ID}, want...)
	}
	a.want(200, call{method: "POST", path: "/v1/orders/" + want[0].String() + "/cancel", token: token})
	for query, count := range map[string]int{"": 5, "?limit=1": 5, "?limit=100": 5, "?status=pending": 4, "?status=cancelled&limit=1": 1, "?status=confirmed": 0} {
		var got []uuid.UUID
		for path := "/v1/orders" + query; path != ""; {
			page := a.want(200, call{method: "GET", path: path, token: token})
			for _, o := range page.Items {
				got = append(got, o.ID)
			}
			path = page.Next
		}
		if len(got) != count || count == 5 && fmt.Sprint(got) != fmt.Sprint(want) {
			a.t.Errorf("%s: %v", query, got)
		}
	}
	first := a.want(200, call{method: "GET", path: "/v1/orders?limit=1", token: token})
	if got := a.do(call{method: "GET", path: first.Next, token: a.customer()}); got.StatusCode != 400 || got.Code != "bad-cursor" {
		a.t.Errorf("another's cursor: %s", got.body)
	}
	user := first.Items[0].User.String()
	if got := a.want(200, call{method: "GET", path: "/v1/orders?limit=100&user_id=" + user, token: a.issuer.User("support")}); len(got.Items) != 5 {
		a.t.Error(got.body)
	}
}
