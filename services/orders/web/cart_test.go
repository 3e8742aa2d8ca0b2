package web

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"souk/internal/money"
	"souk/internal/postgres"
	"souk/services/orders/app"
)

func TestCarts(t *testing.T) {
	a := serveCarts(t)
	for _, x := range []struct {
		name string
		test func(cartAPI)
	}{
		{"a guest's cart, from opening to throwing away", cartAPI.life},
		{"a cart is its owner's alone", cartAPI.own},
		{"a cart goes over to the user at login, once", cartAPI.merge},
		{"what a cart can't hold is refused and changes nothing", cartAPI.refuse},
		{"a price change shows in the next answer, as a new version", cartAPI.prices},
		{"what is new in the catalogue can be had at once", cartAPI.fresh},
		{"no change of many at once is lost", cartAPI.race},
		{"pages hold every cart once, newest first", cartAPI.pages},
		{"a cart that is to be ordered has the prices its user has seen", cartAPI.order},
		{"an erased user has no carts, and one that has expired is gone", cartAPI.erase},
	} {
		t.Run(x.name, func(t *testing.T) {
			own := a
			own.t = t
			if _, err := a.pool.Exec(t.Context(), "TRUNCATE carts, prices"); err != nil {
				t.Fatal(err)
			}
			a.shop.prices, a.shop.asked, a.shop.away = map[string]app.Price{}, nil, false
			own.sell("shirt", 4900, "EUR")
			own.sell("lamp", 1290, "EUR")
			x.test(own)
		})
	}
}

func (a cartAPI) life() {
	empty, path := a.open(who{}, `{}`)
	guest := who{cartToken: empty.Token}
	if len(empty.Token) < 43 || empty.Currency != "EUR" || empty.Status != app.CartOpen || empty.Total != (money.Amount{Currency: "EUR"}) || empty.header.Get("Location") != path {
		a.t.Errorf("opened: %+v", empty)
	}
	put := a.want(200, guest, "PUT", path+"/items/shirt", `{"quantity":2}`)
	if put.Version != 2 || put.Total.Minor != 9800 || put.Token != "" || put.Items[0].Name != "The shirt" || !put.Items[0].Available {
		a.t.Errorf("put: %+v", put)
	}
	if again := a.want(200, guest, "PUT", path+"/items/shirt", `{"quantity":2}`); again.body != put.body {
		a.t.Errorf("put twice: %s", again.body)
	}
	guest.ifMatch = `"1"`
	if stale := a.want(412, guest, "PUT", path+"/items/shirt", `{"quantity":3}`); stale.Code != "stale-version" {
		a.t.Errorf("a stale version: %s", stale.body)
	}
	guest.ifMatch = `"1", "2"`
	if more := a.want(200, guest, "PUT", path+"/items/lamp", `{"quantity":999}`); more.Version != 3 || more.Total.Minor != 9800+999*1290 {
		a.t.Errorf("more: %+v", more)
	}
	guest.ifMatch = ""
	less := a.want(200, guest, "DELETE", path+"/items/shirt", "")
	if read := a.want(200, guest, "GET", path, ""); less.Version != 4 || len(less.Items) != 1 || read.body != less.body {
		a.t.Errorf("less: %s, read as %s", less.body, read.body)
	}
	a.want(404, guest, "DELETE", path+"/items/shirt", "")
	a.want(204, guest, "DELETE", path, "")
	a.want(404, guest, "GET", path, "")
	if n := a.shop.questions(); n != 0 {
		a.t.Errorf("the catalogue was asked %d times", n)
	}
	whole, _ := a.open(a.user(), `{"currency":"EUR","items":[{"sku":"lamp","quantity":3},{"sku":"shirt","quantity":1}]}`)
	if whole.Version != 1 || whole.Token != "" || len(whole.Items) != 2 || whole.Items[0].SKU != "lamp" || whole.Total.Minor != 3*1290+4900 {
		a.t.Errorf("opened with items: %+v", whole)
	}
}

func (a cartAPI) merge() {
	user := a.user()
	mine, minePath := a.open(user, `{"items":[{"sku":"lamp","quantity":998}]}`)
	guest, guestPath := a.open(who{}, `{"items":[{"sku":"lamp","quantity":5},{"sku":"shirt","quantity":1}]}`)
	with := who{token: user.token, cartToken: guest.Token}
	var wg sync.WaitGroup
	for range 10 {
		wg.Go(func() {
			got := a.call(with, "POST", guestPath+"/merge", "")
			if got.status != 200 || got.ID != mine.ID || got.Version != 2 || got.Items[0].Quantity != 999 || got.Items[1].Quantity != 1 || got.header.Get("Content-Location") != minePath {
				a.t.Errorf("merged: %d %s", got.status, got.body)
			}
		})
	}
	wg.Wait()
	a.want(404, who{cartToken: guest.Token}, "GET", guestPath, "")
	a.want(404, with, "GET", guestPath, "")
	a.want(404, who{token: a.user().token, cartToken: guest.Token}, "POST", guestPath+"/merge", "")

	// A user without an open cart of the currency gets the cart itself, and of two at once, the other goes into it.
	a.sell("book", 100, "USD")
	first, firstPath := a.open(who{}, `{"items":[{"sku":"book","quantity":1}]}`)
	second, secondPath := a.open(who{}, `{"items":[{"sku":"book","quantity":2}]}`)
	for _, c := range []struct{ path, token string }{{firstPath, first.Token}, {secondPath, second.Token}} {
		wg.Go(func() { a.want(200, who{token: user.token, cartToken: c.token}, "POST", c.path+"/merge", "") })
	}
	wg.Wait()
	one := a.want(200, who{token: user.token, cartToken: first.Token}, "POST", firstPath+"/merge", "")
	two := a.want(200, who{token: user.token, cartToken: second.Token}, "POST", secondPath+"/merge", "")
	if one.body != two.body || one.Total != (money.Amount{Minor: 300, Currency: "USD"}) || one.ID == mine.ID {
		a.t.Errorf("%s and %s", one.body, two.body)
	}
	a.want(200, user, "GET", "/v1/carts/"+one.ID.String(), "")
	a.want(404, who{cartToken: first.Token}, "GET", firstPath, "")
}

func (a cartAPI) prices() {
	user := a.user()
	_, path := a.open(user, `{"items":[{"sku":"lamp","quantity":2},{"sku":"shirt","quantity":1}]}`)
	a.sell("lamp", 1300, "EUR")
	var wg sync.WaitGroup
	for range 5 {
		wg.Go(func() {
			if got := a.call(user, "GET", path, ""); got.Version != 2 || got.Total.Minor != 2*1300+4900 {
				a.t.Errorf("dearer: %s", got.body)
			}
		})
	}
	wg.Wait()
	user.ifMatch = `"2"`
	a.sell("lamp", 1200, "EUR")
	a.want(412, user, "PUT", path+"/items/lamp", `{"quantity":1}`) // it is not what the user has seen
	user.ifMatch = ""
	list := a.want(200, user, "GET", "/v1/carts?limit=1", "")
	if !strings.Contains(list.body, `"version":3`) {
		a.t.Errorf("the list: %s", list.body)
	}
	gone := a.shop.prices["lamp"]
	gone.Version, gone.Active = gone.Version+1, false
	a.project(gone)
	got := a.want(200, user, "GET", path, "")
	if got.Version != 4 || got.Items[0].Available || got.Items[0].UnitPrice.Minor != 1200 || !got.Items[1].Available {
		a.t.Errorf("archived: %s", got.body)
	}
	// What was published before is published again, and what the product has lost is lost.
	late := gone
	late.Version, late.Active, late.Price.Minor = 1, true, 1
	a.project(late)
	other := app.Price{SKU: "lamp-2", ProductID: gone.ProductID, Version: gone.Version + 1, Name: "Lamp 2", Price: gone.Price, Active: true}
	a.project(other)
	if again := a.want(200, user, "GET", path, ""); again.body != got.body {
		a.t.Errorf("out of date: %s", again.body)
	}
	// The SKU goes to another product, whose event comes before the first one's loses it.
	moved := app.Price{SKU: "shirt", ProductID: uuid.New(), Version: 1, Name: "Better shirt", Price: money.Amount{Minor: 5000, Currency: "EUR"}, Active: true}
	lost := app.Price{SKU: "shirt-old", ProductID: a.shop.prices["shirt"].ProductID, Version: 2, Name: "Old", Price: moved.Price, Active: true}
	a.project(moved)
	a.project(lost)
	if got := a.want(200, user, "GET", path, ""); got.Items[1].ProductID != moved.ProductID || got.Items[1].UnitPrice.Minor != 5000 || !got.Items[1].Available {
		a.t.Errorf("moved: %s", got.body)
	}
}

func (a cartAPI) fresh() {
	user := a.user()
	a.announce("new", 700, "EUR")
	a.announce("newer", 800, "EUR")
	_, path := a.open(user, `{"items":[{"sku":"new","quantity":1},{"sku":"lamp","quantity":1}]}`)
	if got := a.want(200, user, "PUT", path+"/items/newer", `{"quantity":1}`); got.Total.Minor != 700+1290+800 {
		a.t.Errorf("new ones: %s", got.body)
	}
	a.open(user, `{"items":[{"sku":"new","quantity":1},{"sku":"newer","quantity":1}]}`)
	if got := fmt.Sprint(a.shop.asked); got != "[[new] [newer]]" {
		a.t.Errorf("the catalogue was asked for %s", got)
	}
	a.shop.away = true
	before := a.rows()
	if got := a.want(503, user, "POST", "/v1/carts", `{"items":[{"sku":"unknown","quantity":1}]}`); got.Code != "catalog-unavailable" {
		a.t.Errorf("while the catalogue is away: %s", got.body)
	}
	a.want(503, user, "PUT", path+"/items/unknown", `{"quantity":1}`)
	asked := a.shop.questions()
	a.want(404, a.user(), "PUT", path+"/items/unknown", `{"quantity":1}`)
	if a.shop.questions() != asked {
		a.t.Error("a stranger has the catalogue asked")
	}
	if after := a.rows(); after != before {
		a.t.Errorf("there was\n%s\nand is\n%s", before, after)
	}
	a.want(200, user, "PUT", path+"/items/lamp", `{"quantity":2}`)
}

func (a cartAPI) race() {
	user := a.user()
	_, path := a.open(user, `{}`)
	const each = 50
	var wg sync.WaitGroup
	versions := make(chan int64, each)
	for i := range each {
		sku := fmt.Sprint("sku-", i)
		a.sell(sku, 1, "EUR")
		wg.Go(func() {
			got := a.call(user, "PUT", path+"/items/"+sku, `{"quantity":2}`)
			if got.status != 200 {
				a.t.Errorf("%d %s", got.status, got.body)
			}
			versions <- got.Version
		})
	}
	wg.Wait()
	close(versions)
	seen := map[int64]bool{}
	for v := range versions {
		seen[v] = true
	}
	if got := a.want(200, user, "GET", path, ""); len(seen) != each || got.Version != each+1 || len(got.Items) != each || got.Total.Minor != 2*each {
		a.t.Errorf("%d versions, and in the end %s", len(seen), got.body)
	}
	// Of those who have seen the same version, one changes it.
	user.ifMatch = fmt.Sprintf(`"%d"`, each+1)
	var mu sync.Mutex
	statuses := map[int]int{}
	for i := range 20 {
		wg.Go(func() {
			got := a.call(user, "PUT", path+"/items/lamp", fmt.Sprintf(`{"quantity":%d}`, i+1))
			mu.Lock()
			defer mu.Unlock()
			statuses[got.status]++
		})
	}
	wg.Wait()
	if statuses[200] != 1 || statuses[412] != 19 {
		a.t.Errorf("answers: %v", statuses)
	}
}

func (a cartAPI) pages() {
	user := a.user()
	var want []string
	for range 5 {
		cart, _ := a.open(user, `{"items":[{"sku":"lamp","quantity":1}]}`)
		want = append([]string{cart.ID.String()}, want...)
	}
	a.open(a.user(), `{}`)
	follow := func(path string) (ids []string) {
		for path != "" {
			var page struct {
				Items []cartView `json:"items"`
				Next  string     `json:"next"`
			}
			decodeInto(a.t, a.want(200, user, "GET", path, "").body, &page)
			for _, c := range page.Items {
				ids = append(ids, c.ID.String())
			}
			path = page.Next
		}
		return ids
	}
	for _, path := range []string{"/v1/carts", "/v1/carts?limit=1", "/v1/carts?limit=100&status=open"} {
		if got := follow(path); fmt.Sprint(got) != fmt.Sprint(want) {
			a.t.Errorf("%s: %v, want %v", path, got, want)
		}
	}
	if got := follow("/v1/carts?status=ordered"); len(got) != 0 {
		a.t.Errorf("ordered: %v", got)
	}
	for _, query := range []string{"limit=0", "limit=101", "status=gone", "user_id=" + uuid.NewString(), "cursor=x"} {
		a.want(400, user, "GET", "/v1/carts?"+query, "")
	}
}

func (a cartAPI) order() {
	claims := a.issuer.Claims()
	user, id := who{token: "Bearer " + a.issuer.Sign(claims)}, uuid.MustParse(claims["sub"].(string)) //nolint:errcheck,forcetypeassert // it is
	cart, path := a.open(user, `{"items":[{"sku":"lamp","quantity":2},{"sku":"shirt","quantity":1}]}`)
	ctx := a.t.Context()
	forOrder := func(want error, who, cart uuid.UUID, version int64) app.Cart {
		a.t.Helper()
		got, err := a.carts.ForOrder(ctx, who, cart, version)
		if !errors.Is(err, want) {
			a.t.Errorf("got %v, want %v", err, want)
		}
		return got
	}
	if got := forOrder(nil, id, cart.ID, 1); got.Total().Minor != cart.Total.Minor || got.Version != 1 {
		a.t.Errorf("it has %+v", got)
	}
	guest, _ := a.open(who{}, `{"items":[{"sku":"lamp","quantity":2}]}`)
	empty, _ := a.open(user, `{}`)
	forOrder(app.ErrCartNotFound, uuid.New(), cart.ID, 1)
	forOrder(app.ErrCartNotFound, uuid.Nil, guest.ID, 1)
	forOrder(app.ErrCartNotFound, id, guest.ID, 1)
	forOrder(app.ErrCartNotFound, id, uuid.New(), 1)
	forOrder(app.ErrCartChanged, id, cart.ID, 0)
	forOrder(app.ErrCartChanged, id, cart.ID, 2)
	forOrder(app.ErrCartEmpty, id, empty.ID, 1)

	// Another name is no other promise.
	renamed := a.announce("lamp", 1290, "EUR")
	renamed.Name = "Old lamp"
	a.shop.prices["lamp"] = renamed
	if got := forOrder(nil, id, cart.ID, 1); got.Lines[0].Name != "Old lamp" || got.Version != 1 {
		a.t.Errorf("renamed: %+v", got)
	}
	// The catalogue has a price that the projection has not heard of.
	a.announce("lamp", 1300, "EUR")
	_, err := a.carts.ForOrder(ctx, id, cart.ID, 1)
	if !errors.Is(err, app.ErrPriceChanged) || !strings.Contains(err.Error(), "EUR 75.00") || !strings.Contains(err.Error(), "EUR 74.80") {
		a.t.Errorf("dearer: %v", err)
	}
	if got := a.want(200, user, "GET", path, ""); got.Version != 2 || got.Total.Minor != 7500 {
		a.t.Errorf("the price that was refused is not shown, or the projection's old one came back: %s", got.body)
	}
	forOrder(app.ErrCartChanged, id, cart.ID, 1)
	forOrder(nil, id, cart.ID, 2)
	delete(a.shop.prices, "shirt")
	forOrder(app.ErrItemsUnavailable, id, cart.ID, 2)
	forOrder(app.ErrCartChanged, id, cart.ID, 2)
	a.shop.away = true
	if _, err := a.carts.ForOrder(ctx, id, cart.ID, 3); err == nil {
		a.t.Error("ordered while prices can't be checked")
	}
}

func (a cartAPI) erase() {
	claims := a.issuer.Claims()
	user, id := who{token: "Bearer " + a.issuer.Sign(claims)}, uuid.MustParse(claims["sub"].(string)) //nolint:errcheck,forcetypeassert // it is
	_, path := a.open(user, `{"items":[{"sku":"lamp","quantity":1}]}`)
	guest, guestPath := a.open(who{}, `{}`)
	a.want(200, who{token: user.token, cartToken: guest.Token}, "POST", guestPath+"/merge", "")
	for range 2 {
		if err := postgres.Tx(a.t.Context(), a.pool, func(tx pgx.Tx) error { return a.store.EraseCarts(a.t.Context(), tx, id) }); err != nil {
			a.t.Fatal(err)
		}
	}
	a.want(404, user, "GET", path, "")
	if rows := a.rows(); rows != "" {
		a.t.Errorf("there is still %s", rows)
	}

	old, oldPath := a.open(user, `{}`)
	_, newer := a.open(user, `{}`)
	if _, err := a.pool.Exec(a.t.Context(), "UPDATE carts SET expires_at = now() WHERE id = $1", old.ID); err != nil {
		a.t.Fatal(err)
	}
	a.want(404, user, "GET", oldPath, "")
	a.want(404, user, "PUT", oldPath+"/items/lamp", `{"quantity":1}`)
	a.want(200, user, "GET", newer, "")
}
