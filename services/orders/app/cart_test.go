package app

import (
	"errors"
	"fmt"
	"math"
	"reflect"
	"testing"
	"time"

	"github.com/google/uuid"

	"souk/internal/errs"
	"souk/internal/money"
)

var (
	me, other = uuid.New(), uuid.New()
	anyTime   = time.Date(2026, 1, 15, 9, 30, 0, 0, time.UTC)
)

func price(sku string, minor int64) Price {
	return Price{SKU: sku, ProductID: uuid.NewSHA1(uuid.Nil, []byte(sku)), Version: 1, Name: sku, Price: money.Amount{Minor: minor, Currency: "EUR"}, Active: true}
}

func cartOf(t *testing.T, prices ...Price) Cart {
	t.Helper()
	c := Cart{ID: uuid.New(), Version: 1, User: me, ExpiresAt: anyTime.Add(time.Hour)}
	for _, p := range prices {
		if err := c.Put(p, 1); err != nil {
			t.Fatal(err)
		}
	}
	return c
}

func TestACartRefusesWhatItCantHold(t *testing.T) {
	usd, draft := price("b", 5), price("b", 5)
	usd.Price.Currency, draft.Active = "USD", false
	for what, c := range map[string]struct {
		price    Price
		quantity int64
		want     error
	}{
		"nothing":            {price("b", 5), 0, errs.New(errs.Unprocessable, "invalid-quantity", "")},
		"less than nothing":  {price("b", 5), -1, errs.New(errs.Unprocessable, "invalid-quantity", "")},
		"too many":           {price("b", 5), MaxQuantity + 1, errs.New(errs.Unprocessable, "invalid-quantity", "")},
		"as many as it gets": {price("b", 5), math.MaxInt64, errs.New(errs.Unprocessable, "invalid-quantity", "")},
		"another currency":   {usd, 1, ErrCurrencyMismatch},
		"a draft":            {draft, 1, ErrUnknownSKU},
		"too dear":           {price("b", money.MaxMinor), 1, ErrCartTotal},
		"far too dear":       {price("b", money.MaxMinor), MaxQuantity, ErrCartTotal},
	} {
		cart := cartOf(t, price("a", 100))
		before := cart
		if err := cart.Put(c.price, c.quantity); !errors.Is(err, c.want) || !reflect.DeepEqual(cart, before) {
			t.Errorf("%s: %v, and the cart is %+v", what, err, cart)
		}
	}
	full := cartOf(t)
	for i := range MaxLines {
		if err := full.Put(price(fmt.Sprint(i), 1), MaxQuantity); err != nil {
			t.Fatal(err)
		}
	}
	if err := full.Put(price("more", 1), 1); !errors.Is(err, ErrCartFull) || full.Total().Minor != MaxLines*MaxQuantity {
		t.Errorf("a full cart: %v, %s", err, full.Total())
	}
	if err := full.Put(price("7", 1), 1); err != nil {
		t.Errorf("a full cart takes less of what it has: %v", err)
	}
	ordered := cartOf(t, price("a", 1))
	ordered.Order = uuid.New()
	if err := errors.Join(ordered.Put(price("a", 1), 2), ordered.Remove("a")); !errors.Is(err, ErrCartOrdered) || ordered.Lines[0].Quantity != 1 {
		t.Errorf("an ordered cart: %v", err)
	}
	if ordered.Refresh(nil) || !ordered.Lines[0].Available {
		t.Error("an ordered cart is priced anew")
	}
}

func TestAVersionIsOnePrice(t *testing.T) {
	cart := cartOf(t, price("a", 100), price("b", 200)) // version 3
	set := func(mutate func(a *Price)) map[string]Price {
		a := price("a", 100)
		a.Version = 5
		mutate(&a)
		return map[string]Price{"a": a, "b": price("b", 200)}
	}
	for what, c := range map[string]struct {
		prices         map[string]Price
		shown, promise bool
		total          int64
	}{
		"the same":                 {set(func(*Price) {}), false, false, 300},
		"dearer":                   {set(func(a *Price) { a.Price.Minor = 101 }), true, true, 301},
		"cheaper":                  {set(func(a *Price) { a.Price.Minor = 0 }), true, true, 200},
		"another name":             {set(func(a *Price) { a.Name = "A" }), true, false, 300},
		"not for sale":             {set(func(a *Price) { a.Active = false }), true, true, 300},
		"in another currency":      {set(func(a *Price) { a.Price = money.Amount{Minor: 1, Currency: "USD"} }), true, true, 300},
		"gone":                     {map[string]Price{"b": price("b", 200)}, true, true, 300},
		"beyond counting":          {set(func(a *Price) { a.Price.Minor = money.MaxMinor }), true, true, 300},
		"an earlier version":       {set(func(a *Price) { a.Version, a.Price.Minor = 0, 1 }), false, false, 300},
		"of the product it is now": {set(func(a *Price) { a.ProductID, a.Version, a.Price.Minor = other, 0, 1 }), true, true, 201},
	} {
		got := cart
		shown, promise := got.reprice(c.prices, true)
		if shown != c.shown || promise != c.promise || got.Total().Minor != c.total || got.Version != 3 || cart.Total().Minor != 300 {
			t.Errorf("%s: shown %v, promise %v, %s; the original: %s", what, shown, promise, got.Total(), cart.Total())
		}
		if again, _ := got.reprice(c.prices, true); again {
			t.Errorf("%s: changes it twice", what)
		}
		if got.Lines[1] != cart.Lines[1] {
			t.Errorf("%s: changes the other line", what)
		}
	}
	if got := cart; got.Refresh(nil) || got.Version != 3 {
		t.Errorf("a projection that knows nothing yet makes it %+v", got)
	}
}

func TestACartIsItsOwnersAlone(t *testing.T) {
	mine, guest := Cart{User: me, ExpiresAt: anyTime.Add(time.Hour)}, Cart{TokenHash: HashToken("secret"), ExpiresAt: anyTime.Add(time.Hour)}
	adopted, merged := guest, guest
	adopted.User, merged.User, merged.MergedInto = me, me, uuid.New()
	for _, c := range []struct {
		what string
		cart Cart
		v    Visitor
		sees bool
	}{
		{"the user", mine, Visitor{User: me}, true},
		{"another", mine, Visitor{User: other}, false},
		{"nobody", mine, Visitor{}, false},
		{"who has some token", mine, Visitor{Token: "secret"}, false},
		{"who has the token", guest, Visitor{Token: "secret"}, true},
		{"a user who has the token", guest, Visitor{User: me, Token: "secret"}, true},
		{"who has another token", guest, Visitor{Token: "secreT"}, false},
		{"who has no token", guest, Visitor{}, false},
		{"a user without the token", guest, Visitor{User: me}, false},
		{"who has the hash", guest, Visitor{Token: string(HashToken("secret"))}, false},
		{"who had the token before it was adopted", adopted, Visitor{Token: "secret"}, false},
		{"who adopted it", adopted, Visitor{User: me}, true},
		{"who merged it", merged, Visitor{User: me, Token: "secret"}, false},
	} {
		if err := c.cart.CheckVisitor(c.v, anyTime); (err == nil) != c.sees || err != nil && !errors.Is(err, ErrCartNotFound) {
			t.Errorf("%s: %v", c.what, err)
		}
		if err := c.cart.CheckVisitor(c.v, c.cart.ExpiresAt); !errors.Is(err, ErrCartNotFound) {
			t.Errorf("%s, when it has expired: %v", c.what, err)
		}
	}
}

func TestMergingAddsUpOnce(t *testing.T) {
	guest := func(prices ...Price) Cart {
		c := cartOf(t, prices...)
		c.User, c.TokenHash = uuid.Nil, HashToken("secret")
		return c
	}
	v := Visitor{User: me, Token: "secret"}
	from, into := guest(price("a", 1), price("b", 2)), cartOf(t, price("b", 2), price("c", 3))
	from.Lines[1].Quantity = MaxQuantity - 1
	into.Lines[0].Quantity = 5
	for range 2 {
		got, err := Merge(&from, &into, v, anyTime)
		if err != nil || got != &into || into.Version != 4 || fmt.Sprint(into.SKUs()) != "[b c a]" || into.Lines[0].Quantity != MaxQuantity || into.Lines[2].Quantity != 1 {
			t.Fatalf("%+v, %v", into, err)
		}
	}
	if from.MergedInto != into.ID || from.User != me || len(from.Lines) != 0 || from.CheckVisitor(v, anyTime) == nil {
		t.Errorf("the guest's is %+v", from)
	}
	if _, err := Merge(&from, nil, v, anyTime); !errors.Is(err, ErrCartNotFound) {
		t.Errorf("into what has gone: %v", err)
	}

	own := guest(price("a", 1))
	for range 2 {
		got, err := Merge(&own, nil, v, anyTime)
		if err != nil || got != &own || own.User != me || own.Version != 3 || len(own.Lines) != 1 {
			t.Errorf("adopted: %+v, %v", own, err)
		}
	}
	if _, err := Merge(&own, nil, Visitor{User: other, Token: "secret"}, anyTime); !errors.Is(err, ErrCartNotFound) {
		t.Errorf("by another: %v", err)
	}

	for what, c := range map[string]struct {
		from, into Cart
		v          Visitor
		want       error
	}{
		"without the token":   {guest(price("a", 1)), cartOf(t), Visitor{User: me}, ErrCartNotFound},
		"of another user":     {cartOf(t, price("a", 1)), cartOf(t), Visitor{User: other, Token: "secret"}, ErrCartNotFound},
		"beyond counting":     {guest(price("a", money.MaxMinor)), cartOf(t, price("b", 1)), v, ErrCartTotal},
		"a line too many":     {guest(price("a", 1)), cartOf(t, many(MaxLines)...), v, ErrCartFull},
		"into an ordered one": {guest(price("a", 1)), Cart{ID: other, Version: 1, User: me, Order: uuid.New()}, v, ErrCartOrdered},
	} {
		from, into := c.from, c.into
		if _, err := Merge(&from, &into, c.v, anyTime); !errors.Is(err, c.want) || !reflect.DeepEqual(from, c.from) || !reflect.DeepEqual(into, c.into) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func many(n int) (prices []Price) {
	for i := range n {
		prices = append(prices, price(fmt.Sprint("sku-", i), 1))
	}
	return prices
}
