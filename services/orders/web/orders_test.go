package web_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

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

func (a *api) strangers() {
	order := a.place(a.customer()).Header.Get("Location")
	stranger := a.customer()
	for _, c := range []call{
		{method: "GET", path: order}, {method: "GET", path: order + "/events"}, {method: "GET", path: order + "/fulfillments"},
		{method: "POST", path: order + "/cancel"}, {method: "GET", path: order + "/events", accept: "text/event-stream"},
	} {
		c.token = stranger
		if got := a.want(404, c); got.Code != "order-not-found" {
			a.t.Errorf("%s %s: %s", c.method, c.path, got.body)
		}
	}
	if got := a.want(200, call{method: "GET", path: "/v1/orders", token: stranger}); len(got.Items) != 0 {
		a.t.Error(got.body)
	}
	if got := a.want(403, call{method: "GET", path: "/v1/orders?user_id=" + uuid.NewString(), token: stranger}); got.Code != "insufficient-scope" {
		a.t.Error(got.body)
	}
}

// access asks every route as everybody, about a customer's order that is somebody else's.
func (a *api) access() {
	owner := a.customer()
	order := a.place(owner).Header.Get("Location")
	read, write := a.issuer.Scoped("orders:read"), a.issuer.Scoped("orders:write")
	tokens := []string{"", a.issuer.Expired("admin"), a.issuer.WrongAudience("admin"), a.issuer.Scoped("account"), a.customer(), read, write, a.issuer.Client("erp", "orders:read", "orders:write"), a.issuer.Client("erp", "orders"), owner}
	for _, x := range []struct {
		call
		want string
	}{
		{call{method: "POST", path: "/v1/orders"}, "401 401 401 403 400 403 403 403 403 400"},
		{call{method: "GET", path: "/v1/orders"}, "401 401 401 403 200 200 403 200 403 200"},
		{call{method: "GET", path: order}, "401 401 401 403 404 200 403 200 404 200"},
		{call{method: "GET", path: order + "/events"}, "401 401 401 403 404 200 403 200 404 200"},
		{call{method: "GET", path: order + "/fulfillments"}, "401 401 401 403 404 200 403 200 404 200"},
		{call{method: "POST", path: order + "/fulfillments"}, "401 401 401 403 403 403 400 400 403 403"},
		{call{method: "POST", path: order + "/cancel"}, "401 401 401 403 404 403 200 200 404 200"},
		{call{method: "GET", path: "/internal/reconciliation"}, "401 401 401 401 401 401 401 401 401 401"},
		{call{method: "GET", path: "/internal/reconciliation", peer: "gateway"}, "403 403 403 403 403 403 403 403 403 403"},
		{call{method: "GET", path: "/openapi.yaml"}, "200 200 200 200 200 200 200 200 200 200"},
	} {
		var got []string
		for _, token := range tokens {
			x.token = token
			got = append(got, fmt.Sprint(a.do(x.call).StatusCode))
		}
		if strings.Join(got, " ") != x.want {
			a.t.Errorf("%s %s by %q:\n%s, want\n%s", x.method, x.path, x.peer, strings.Join(got, " "), x.want)
		}
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

func (a *api) hostile() {
	token := a.customer()
	c := a.cart(token)
	good := placing(token, c)
	before := a.rows()
	var calls []call
	body := func(from, to string) {
		bad := good
		bad.body = strings.Replace(good.body, from, to, 1)
		bad.key = uuid.NewString()
		if bad.body == good.body {
			a.t.Fatalf("%q is not in %s", from, good.body)
		}
		calls = append(calls, bad)
	}
	version := fmt.Sprintf(`"cart_version":%d`, c.Version)
	for _, v := range []string{`0`, `-1`, `1.5`, `1e400`, `"1"`, `9223372036854775808`, `null`, `{"$gt":0}`, `[1]`, `true`} {
		body(version, `"cart_version":`+v)
	}
	for _, id := range []string{`"x"`, `{"$ne":null}`, `7`, `""`, `"' OR 1=1 --"`, `"` + uuid.Nil.String() + `"`, `"` + strings.ToUpper(c.ID.String()) + `"`} {
		body(fmt.Sprintf("%q", c.ID), id)
	}
	for _, m := range []string{`""`, `"PM"`, `"a b"`, `"` + strings.Repeat("a", 65) + `"`, `"a\u0000"`, `{"$where":"1"}`, `["pm_sandbox_approve"]`} {
		body(`"pm_sandbox_approve"`, m)
	}
	for _, extra := range []string{`"total":{"amount":1,"currency":"EUR"},`, `"user_id":"` + uuid.NewString() + `",`, `"status":"confirmed",`, `"price":1,`, `"Cart_id":"x",`, `"cart_version":1,`, `"__proto__":{},`, `"lines":[],`} {
		body(`{"cart_id"`, `{`+extra+`"cart_id"`)
	}
	for _, city := range []string{`""`, `" Vienna"`, `"Vie\nnna"`, `"Vie\u202enna"`, `"` + strings.Repeat("ö", 101) + `"`, `7`} {
		body(`"Vienna"`, city)
	}
	body(`"AT"`, `"at"`)
	body(`"AT"`, `"AUT"`)
	body(`}`, ``)
	body(address, `[`+address+`]`)
	body(address, strings.Repeat(`{"name":`, 10_000)+`1`+strings.Repeat(`}`, 10_000))
	body(`"Ada Lovelace"`, "\"\xff\"")
	body(`"Ada Lovelace"`, `"`+strings.Repeat("a", 200<<10)+`"`)
	for _, x := range calls {
		x.wrong = true
		if got := a.do(x); got.StatusCode < 400 || got.StatusCode >= 500 || got.Code == "" {
			a.t.Errorf("%.300s: %s %.300s", x.body, got.Response.Status, got.body)
		}
	}
	placed := a.place(a.customer())
	for _, x := range []call{
		{method: "GET", path: "/v1/orders/1"}, {method: "GET", path: "/v1/orders/" + strings.ToUpper(placed.ID.String())}, {method: "GET", path: "/v1/orders/%00"},
		{method: "GET", path: "/v1/orders/..%2f" + placed.ID.String()}, {method: "GET", path: "/v1/orders?limit=0"}, {method: "GET", path: "/v1/orders?limit=101"},
		{method: "GET", path: "/v1/orders?limit=1&limit=2"}, {method: "GET", path: "/v1/orders?status=open"}, {method: "GET", path: "/v1/orders?status[$ne]=x"},
		{method: "GET", path: "/v1/orders?cursor=x"}, {method: "GET", path: "/v1/orders?user_id=x"}, {method: "GET", path: "/v1/orders?sort=id"},
		{method: "GET", path: "/v1/orders/" + placed.ID.String() + "?verbose=1"},
		{method: "POST", path: "/v1/orders/" + placed.ID.String() + "/cancel", body: `{"reason":"a text, with commas"}`},
		{method: "POST", path: "/v1/orders/" + placed.ID.String() + "/cancel", body: `{"status":"confirmed"}`},
		{method: "POST", path: "/v1/orders/" + placed.ID.String() + "/cancel", body: `[]`},
		{method: "POST", path: "/v1/orders/" + placed.ID.String() + "/fulfillments", key: "a", body: `{"lines":[]}`},
		{method: "POST", path: "/v1/orders/" + placed.ID.String() + "/fulfillments", key: "b", body: `{"lines":[{"sku":"lamp","quantity":-1}]}`},
		{method: "POST", path: "/v1/orders/" + placed.ID.String() + "/fulfillments", key: "c", body: `{"lines":[{"sku":"lamp","quantity":1},{"sku":"lamp","quantity":1}]}`},
		{method: "POST", path: "/v1/orders/" + placed.ID.String() + "/fulfillments", key: "d", body: `{"lines":[{"sku":"other","quantity":1}]}`},
		{method: "POST", path: "/v1/orders/" + placed.ID.String() + "/fulfillments", key: "e", body: `{"lines":[{"sku":"lamp","quantity":1}],"tracking":"a\u0007b"}`},
	} {
		x.token, x.wrong = a.issuer.User("admin"), true
		if got := a.do(x); got.StatusCode < 400 || got.StatusCode >= 500 || got.Code == "" {
			a.t.Errorf("%s %s %s: %s %.300s", x.method, x.path, x.body, got.Response.Status, got.body)
		}
	}
	if got := a.want(200, call{method: "GET", path: placed.Header.Get("Location"), token: a.issuer.User("support")}); got.Version != 1 {
		a.t.Error(got.body)
	}
	if _, err := a.pool.Exec(a.t.Context(), "DELETE FROM orders WHERE id = $1", placed.ID); err != nil {
		a.t.Fatal(err)
	}
	if after := a.rows(); after != before {
		a.t.Errorf("there were %s orders, and now %s", before, after)
	}
	a.want(202, good)
	if _, err := a.pool.Exec(a.t.Context(), "DELETE FROM order_events WHERE stream_id = $1", placed.ID); err != nil {
		a.t.Fatal(err)
	}
}

func (a *api) rows() (n string) {
	a.t.Helper()
	if err := a.pool.QueryRow(a.t.Context(), "SELECT count(*)::text FROM orders").Scan(&n); err != nil {
		a.t.Fatal(err)
	}
	return n
}

func (a *api) reconciliation() {
	o := a.place(a.customer())
	a.happen(o.ID, confirming()...)
	seen := 0
	after := ""
	for {
		got := a.want(200, call{method: "GET", path: "/internal/reconciliation?limit=3" + after, peer: "reconcile"})
		seen += strings.Count(got.body, `"order_id"`)
		if strings.Contains(got.body, o.ID.String()) && !strings.Contains(got.body, `"captured":{"amount":3079,"currency":"EUR"}`) {
			a.t.Error(got.body)
		}
		_, next, _ := strings.Cut(got.body, `"next":"`)
		if next = strings.TrimSuffix(strings.TrimSpace(next), `"}`); next == "" {
			break
		}
		after = "&after=" + next
	}
	if fmt.Sprint(seen) != a.rows() {
		a.t.Errorf("%d of %s orders", seen, a.rows())
	}
	a.want(400, call{method: "GET", path: "/internal/reconciliation?after=x", peer: "reconcile", wrong: true})
}

// stream follows an order, and gives the ids and names of events as they come.
func (a *api) stream(ctx context.Context, token, path, seen string) <-chan string {
	a.t.Helper()
	request := a.request(call{method: "GET", path: path + "/events", token: token, accept: "text/event-stream", seen: seen}).WithContext(ctx)
	response, err := a.callers[""].Do(request) //nolint:bodyclose // the goroutine below closes it
	if err != nil || response.StatusCode != 200 || response.Header.Get("Content-Type") != "text/event-stream" {
		a.t.Fatalf("%+v, %v", response, err)
	}
	lines := make(chan string, 100)
	go func() {
		defer response.Body.Close()
		defer close(lines)
		readEvents(response.Body, func(id, name string) { lines <- id + " " + name })
	}()
	return lines
}

func (a *api) next(lines <-chan string) string {
	a.t.Helper()
	select {
	case line, open := <-lines:
		if !open {
			return "end"
		}
		return line
	case <-time.After(10 * time.Second):
		a.t.Fatal("nothing comes")
		return ""
	}
}

func (a *api) expect(lines <-chan string, want ...string) {
	a.t.Helper()
	for _, w := range want {
		if got := a.next(lines); got != w {
			a.t.Fatalf("got %q, want %q", got, w)
		}
	}
}

func (a *api) follow() {
	token := a.customer()
	o := a.place(token)
	path := o.Header.Get("Location")
	one, two := a.stream(a.t.Context(), token, path, ""), a.stream(a.t.Context(), token, path, "")
	a.expect(one, "1 placed")
	facts := confirming()
	a.happen(o.ID, facts[0])
	a.expect(one, "2 stock_reserved")
	a.happen(o.ID, facts[1:]...)
	rest := []string{"3 payment_authorised", "4 confirmed", "5 stock_committed", "6 payment_captured", "end"}
	a.expect(one, rest...)
	a.expect(two, append([]string{"1 placed", "2 stock_reserved"}, rest...)...)
}

func (a *api) resume() {
	token := a.customer()
	o := a.place(token)
	path := o.Header.Get("Location")
	ctx, leave := context.WithCancel(a.t.Context())
	first := a.stream(ctx, token, path, "")
	a.expect(first, "1 placed")
	leave()
	facts := confirming()
	a.happen(o.ID, facts[:2]...)
	again := a.stream(a.t.Context(), token, path, "1")
	a.expect(again, "2 stock_reserved", "3 payment_authorised", "4 confirmed")
	a.happen(o.ID, facts[2:]...)
	a.expect(again, "5 stock_committed", "6 payment_captured", "end")
	a.expect(a.stream(a.t.Context(), token, path, "5"), "6 payment_captured", "end")
	for _, nonsense := range []string{"x", "-1", "99999999999999999999", "1; DROP"} {
		a.expect(a.stream(a.t.Context(), token, path, nonsense), "1 placed")
	}
	for _, all := range []string{"6", "7"} {
		a.want(204, call{method: "GET", path: path + "/events", token: token, accept: "text/event-stream", seen: all})
	}
}

// slow has a client that takes nothing: another one of the same order must get everything meanwhile.
func (a *api) slow() {
	token := a.customer()
	o := a.place(token)
	path := o.Header.Get("Location")
	request := a.request(call{method: "GET", path: path + "/events", token: token, accept: "text/event-stream"})
	lazy, err := a.callers[""].Do(request)
	if err != nil {
		a.t.Fatal(err)
	}
	defer lazy.Body.Close()
	lines := a.stream(a.t.Context(), token, path, "")
	a.expect(lines, "1 placed")
	a.happen(o.ID, confirming()...)
	a.expect(lines, "2 stock_reserved", "3 payment_authorised", "4 confirmed", "5 stock_committed", "6 payment_captured", "end")
	got := 0
	readEvents(lazy.Body, func(string, string) { got++ })
	if got != 6 {
		a.t.Errorf("the slow one got %d events", got)
	}
}
