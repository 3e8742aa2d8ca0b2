package web_test

import (
	"fmt"
	"strings"

	"github.com/google/uuid"
)

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
