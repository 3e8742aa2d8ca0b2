package web

import (
	"fmt"
	"strings"

	"github.com/google/uuid"

	"souk/internal/money"
	"souk/services/orders/app"
)

func (a cartAPI) own() {
	one, another := a.user(), a.user()
	guest, guestPath := a.open(who{}, `{"items":[{"sku":"lamp","quantity":1}]}`)
	other, _ := a.open(who{}, `{}`)
	_, path := a.open(one, `{"items":[{"sku":"lamp","quantity":1}]}`)
	before := a.rows()
	service := who{token: "Bearer " + a.issuer.Client("robot", "orders")}
	for what, c := range map[string]struct {
		as     who
		path   string
		status int
	}{
		"another user":                    {another, path, 404},
		"nobody":                          {who{}, path, 404},
		"a guest with some token":         {who{cartToken: guest.Token}, path, 404},
		"a service":                       {service, path, 404},
		"a guest without a token":         {who{}, guestPath, 404},
		"a guest with another's":          {who{cartToken: other.Token}, guestPath, 404},
		"a guest with the hash":           {who{cartToken: string(app.HashToken(guest.Token)[:1])}, guestPath, 404},
		"a user without the cart's":       {another, guestPath, 404},
		"an expired token":                {who{token: "Bearer " + a.issuer.Expired(), cartToken: guest.Token}, guestPath, 401},
		"a token without the scope":       {who{token: "Bearer " + a.issuer.Scoped("account")}, path, 403},
		"another id":                      {one, "/v1/carts/" + uuid.NewString(), 404},
		"no id":                           {one, "/v1/carts/$ne", 404},
		"another spelling of the id":      {one, strings.ToUpper(path[:10]) + path[10:] + "x", 404},
		"a guest with a user's and a key": {who{token: another.token, cartToken: "x"}, guestPath, 404},
	} {
		for _, r := range []struct{ method, path, body string }{
			{"GET", "", ""}, {"DELETE", "", ""}, {"PUT", "/items/lamp", `{"quantity":5}`}, {"DELETE", "/items/lamp", ""}, {"POST", "/merge", ""},
		} {
			if !strings.HasPrefix(c.path, "/v1/carts/") {
				continue
			}
			want := c.status
			if r.path == "/merge" && c.as.token == "" {
				want = 401
			}
			if r.path == "/merge" && c.as.token == service.token {
				want = 403
			}
			if got := a.call(c.as, r.method, c.path+r.path, r.body); got.status != want {
				a.t.Errorf("%s: %s %s: %d %s", what, r.method, r.path, got.status, got.body)
			}
		}
	}
	if after := a.rows(); after != before {
		a.t.Errorf("they changed\n%s\nto\n%s", before, after)
	}
	for as, want := range map[who]int{{}: 401, service: 403, one: 200} {
		if got := a.call(as, "GET", "/v1/carts", ""); got.status != want {
			a.t.Errorf("list: %d %s", got.status, got.body)
		}
	}
	if got := a.call(service, "POST", "/v1/carts", "{}"); got.status != 403 || got.Code != "user-required" {
		a.t.Errorf("a service opens: %d %s", got.status, got.body)
	}
	a.want(200, who{token: another.token, cartToken: guest.Token}, "GET", guestPath, "")
	if strings.Contains(a.rows(), guest.Token) {
		a.t.Error("the token is stored")
	}
}

func (a cartAPI) refuse() {
	user := a.user()
	a.sell("book", 100, "USD")
	a.sell("house", money.MaxMinor, "EUR")
	a.sell("castle", money.MaxMinor/2+1, "EUR")
	draft := a.sell("draft", 1, "EUR")
	draft.Version, draft.Active = 2, false
	a.project(draft)
	a.shop.prices["draft"] = draft
	_, path := a.open(user, `{"items":[{"sku":"lamp","quantity":1}]}`)
	var full []string
	for i := range app.MaxLines + 1 {
		full = append(full, fmt.Sprintf(`{"sku":"%d","quantity":1}`, i))
	}
	before := a.rows()
	for body, want := range map[string]string{
		`{"items":[{"sku":"lamp","quantity":0}]}`:                                            "422 invalid-cart",
		`{"items":[{"sku":"lamp","quantity":-1}]}`:                                           "422 invalid-cart",
		`{"items":[{"sku":"lamp","quantity":1000}]}`:                                         "422 invalid-cart",
		`{"items":[{"sku":"lamp","quantity":9007199254740993}]}`:                             "422 invalid-cart",
		`{"items":[{"sku":"lamp"}]}`:                                                         "422 invalid-cart",
		`{"items":[{"quantity":1}]}`:                                                         "422 invalid-cart",
		`{"items":[{"sku":"lamp","quantity":1},{"sku":"lamp","quantity":1}]}`:                "422 invalid-cart",
		`{"items":[{"sku":"' OR 1=1 --","quantity":1}]}`:                                     "422 invalid-cart",
		`{"items":[{"sku":"lamp","quantity":9223372036854775808}]}`:                          "400 bad-json",
		`{"items":[{"sku":"lamp","quantity":1.5}]}`:                                          "400 bad-json",
		`{"items":[{"sku":"lamp","quantity":1e400}]}`:                                        "400 bad-json",
		`{"items":[{"sku":"lamp","quantity":"1"}]}`:                                          "400 bad-json",
		`{"items":[{"sku":{"$ne":""},"quantity":1}]}`:                                        "400 bad-json",
		`{"items":[{"sku":"lamp","quantity":{"$gt":0}}]}`:                                    "400 bad-json",
		`{"items":[{"sku":"lamp","quantity":1,"unit_price":{"amount":1,"currency":"EUR"}}]}`: "400 bad-json",
		`{"items":[{"sku":"lamp","quantity":1,"price":1}]}`:                                  "400 bad-json",
		`{"items":[],"total":{"amount":0,"currency":"EUR"}}`:                                 "400 bad-json",
		`{"user_id":"` + uuid.NewString() + `"}`:                                             "400 bad-json",
		`{"status":"ordered"}`:                                                               "400 bad-json",
		`{"version":7}`:                                                                      "400 bad-json",
		`{"items":[{"sku":"$ne","quantity":1}]}`:                                             "422 invalid-cart",
		`{"items":[{"sku":"nothing","quantity":1}]}`:                                         "422 unknown-sku",
		`{"items":[{"sku":"lamp","quantity":1},{"sku":"draft","quantity":1}]}`:               "422 unknown-sku",
		`{"items":[{"sku":"LAMP","quantity":1}]}`:                                            "422 unknown-sku",
		`{"items":[{"sku":"lamp","quantity":1},{"sku":"book","quantity":1}]}`:                "422 currency-mismatch",
		`{"currency":"USD","items":[{"sku":"lamp","quantity":1}]}`:                           "422 currency-mismatch",
		`{"currency":"XXX"}`:                                                                 "422 bad-currency",
		`{"currency":"eur"}`:                                                                 "422 bad-currency",
		`{"items":[{"sku":"house","quantity":999}]}`:                                         "422 total-too-large",
		`{"items":[{"sku":"house","quantity":1},{"sku":"lamp","quantity":1}]}`:               "422 total-too-large",
		`{"items":[{"sku":"castle","quantity":2}]}`:                                          "422 total-too-large",
		`{"items":[` + strings.Join(full, ",") + `]}`:                                        "422 cart-full",
		`[]`: "400 bad-json",
	} {
		got := a.call(user, "POST", "/v1/carts", body)
		if is := fmt.Sprint(got.status, " ", got.Code); !strings.HasPrefix(is, want) {
			a.t.Errorf("POST %.100s: %s, want %s: %s", body, is, want, got.body)
		}
	}
	for _, c := range []struct{ sku, body, want string }{
		{"lamp", `{"quantity":0}`, "422 invalid-quantity"}, {"lamp", `{"quantity":-7}`, "422 invalid-quantity"}, {"lamp", `{}`, "422 invalid-quantity"},
		{"lamp", `{"quantity":1000}`, "422 invalid-quantity"}, {"lamp", `{"quantity":0.5}`, "400 bad-json"}, {"lamp", `{"quantity":99999999999999999999}`, "400 bad-json"},
		{"lamp", `{"quantity":1,"unit_price":1}`, "400 bad-json"}, {"lamp", `{"quantity":{"$inc":1}}`, "400 bad-json"},
		{"nothing", `{"quantity":1}`, "422 unknown-sku"}, {"draft", `{"quantity":1}`, "422 unknown-sku"}, {"$where", `{"quantity":1}`, "422 unknown-sku"},
		{"book", `{"quantity":1}`, "422 currency-mismatch"}, {"house", `{"quantity":1}`, "422 total-too-large"},
	} {
		got := a.call(user, "PUT", path+"/items/"+c.sku, c.body)
		if is := fmt.Sprint(got.status, " ", got.Code); is != c.want {
			a.t.Errorf("PUT %s %s: %s, want %s: %s", c.sku, c.body, is, c.want, got.body)
		}
	}
	if after := a.rows(); after != before {
		a.t.Errorf("there was\n%s\nand is\n%s", before, after)
	}
	dear, _ := a.open(user, `{"items":[{"sku":"house","quantity":1}]}`)
	if dear.Total.Minor != money.MaxMinor {
		a.t.Errorf("the largest total: %s", dear.body)
	}
	// An empty cart takes the currency of its first item, unless one was asked for.
	_, some := a.open(user, `{}`)
	if got := a.want(200, user, "PUT", some+"/items/book", `{"quantity":1}`); got.Currency != "USD" || got.Total.Currency != "USD" {
		a.t.Errorf("its currency: %s", got.body)
	}
	_, said := a.open(user, `{"currency":"EUR"}`)
	a.want(422, user, "PUT", said+"/items/book", `{"quantity":1}`)
}
