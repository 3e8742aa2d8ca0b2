package web_test

import (
	"fmt"
	"strings"

	"github.com/google/uuid"
)

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
