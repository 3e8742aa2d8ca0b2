package web_test

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	httpserver "souk/internal/web"
	"souk/services/inventory/app"
)

// TestTheAPI shares one server among what needs one.
func TestTheAPI(t *testing.T) {
	a := serve(t)
	for name, test := range map[string]func(api){
		"stock is read, adjusted and listed":                     api.life,
		"a request with a key has one effect however often":      api.once,
		"numbers that can't be are refused and change nothing":   api.numbers,
		"hostile bodies are refused and change nothing":          api.hostileBodies,
		"SKUs that can't be name nothing":                        api.hostileSKUs,
		"reservations are shown":                                 api.reservations,
		"reconcile reads all of it, a part at a time":            api.reconciliation,
		"who may do what":                                        api.access,
		"people who take the last pieces at once take them once": api.race,
	} {
		t.Run(name, func(t *testing.T) {
			own := a
			own.TB = t
			test(own)
		})
	}
}

func (a api) life() {
	sku := a.sku(0)
	path := "/v1/inventory/" + sku
	if got := decode[app.Stock](a, a.want(200, call{method: "GET", path: path, token: "-"}).body); got != (app.Stock{SKU: sku}) {
		a.Errorf("%+v", got)
	}
	a.want(201, adjust(sku, `{"delta":7,"reason":"received","note":"Lieferung Nr. 7, \u00fcber Köln"}`))
	made := decode[app.Adjustment](a, a.want(201, adjust(sku, `{"location":"shop","delta":3,"reason":"found"}`)).body)
	if made.Available != 3 || made.Location != "shop" || !strings.HasPrefix(made.By, "user/") || time.Since(made.CreatedAt) > time.Minute {
		a.Errorf("%+v", made)
	}
	a.want(201, adjust(sku, `{"delta":-2,"reason":"damaged"}`))
	if got := a.want(409, adjust(sku, `{"delta":-6,"reason":"lost"}`)); got.code(a) != "insufficient-stock" {
		a.Errorf("%s", got.body)
	}
	if got := decode[app.Stock](a, a.want(200, call{method: "GET", path: path, token: "-"}).body); got != (app.Stock{SKU: sku, Available: 8, InStock: true}) {
		a.Errorf("%+v", got)
	}
	if got := a.want(200, call{method: "GET", path: path, token: a.issuer.User("customer")}); strings.Contains(string(got.body), "locations") {
		a.Errorf("a customer sees %s", got.body)
	}
	want := app.Detail{Stock: app.Stock{SKU: sku, Available: 8, InStock: true}, Locations: []app.Level{{Location: "main", Available: 5}, {Location: "shop", Available: 3}}, Threshold: 5}
	if got := decode[app.Detail](a, a.want(200, get(path)).body); !reflect.DeepEqual(got, want) {
		a.Errorf("%+v", got)
	}
	want.Threshold = 0
	if got := decode[app.Detail](a, a.want(200, call{method: "PATCH", path: path, body: `{"low_stock_threshold":0}`}).body); !reflect.DeepEqual(got, want) {
		a.Errorf("%+v", got)
	}
	var deltas []int64
	for next := path + "/adjustments"; next != ""; {
		page := decode[httpserver.Page[app.Adjustment]](a, a.want(200, get(next)).body)
		for _, x := range page.Items {
			deltas = append(deltas, x.Delta)
		}
		next = page.Next
	}
	if !slices.Equal(deltas, []int64{-2, 3, 7}) {
		a.Errorf("the adjustments were %v", deltas)
	}
	other := a.sku(2)
	list := decode[httpserver.Page[app.Stock]](a, a.want(200, call{method: "GET", path: "/v1/inventory?skus=" + other + ",No-Such," + sku + "," + other, token: "-"}).body)
	if !slices.Equal(list.Items, []app.Stock{{SKU: other, Available: 2, InStock: true}, {SKU: sku, Available: 8, InStock: true}}) {
		a.Errorf("%+v", list)
	}
}

func (a api) once() {
	sku, key := a.sku(0), uuid.NewString()
	c := adjust(sku, `{"delta":4,"reason":"received"}`)
	c.key = key
	answers := make([]answer, 20)
	var wg sync.WaitGroup
	for i := range answers {
		wg.Go(func() { answers[i], _ = a.try(c) })
	}
	wg.Wait()
	again := a.want(201, c)
	originals := 0
	for _, got := range answers {
		switch {
		case got.Response == nil:
			a.Error("no answer")
		case got.StatusCode == 201:
			if string(got.body) != string(again.body) {
				a.Errorf("%s\n%s", got.body, again.body)
			}
			if got.Header.Get("Idempotent-Replayed") == "" {
				originals++
			}
		case got.code(a) != "idempotency-in-flight":
			a.Errorf("%s", got.body)
		}
	}
	if originals != 1 || again.Header.Get("Idempotent-Replayed") != "true" {
		a.Errorf("%d originals", originals)
	}
	other := c
	other.body = `{"delta":5,"reason":"received"}`
	if got := a.want(422, other); got.code(a) != "idempotency-key-reused" {
		a.Errorf("%s", got.body)
	}
	c.token = a.issuer.Scoped("inventory:write")
	a.want(201, c) // another's key is another key
	if got := a.available(sku); got != 8 {
		a.Errorf("%d are available", got)
	}
	c.key, c.wrong = "-", true
	if got := a.want(400, c); got.code(a) != "idempotency-key-required" {
		a.Errorf("%s", got.body)
	}
}

func (a api) available(sku string) int64 {
	a.Helper()
	return decode[app.Detail](a, a.want(200, get("/v1/inventory/"+sku)).body).Available
}

func (a api) numbers() {
	sku := a.sku(3)
	for number, status := range map[string]int{
		"0": 422, "-0": 422, "1000000001": 422, "-1000000001": 422, "9007199254740993": 422, "9223372036854775807": 422, "-9223372036854775808": 422,
		"9223372036854775808": 400, "18446744073709551617": 400, "1.5": 400, "1e400": 400, "0.1e1": 400, `"1"`: 400, "true": 400, "[1]": 400, `{"$gt":0}`: 400,
		"NaN": 400, "0x10": 400, "01": 400, "+1": 400, "1_000": 400, "null": 422,
	} {
		c := adjust(sku, fmt.Sprintf(`{"delta":%s,"reason":"correction"}`, number))
		c.wrong = true
		a.want(status, c)
		if number == "0" || number == "-0" {
			continue // is a threshold
		}
		if number == "null" {
			status = 422
		}
		a.want(status, call{method: "PATCH", path: "/v1/inventory/" + sku, body: fmt.Sprintf(`{"low_stock_threshold":%s}`, number), wrong: true})
	}
	a.want(422, call{method: "PATCH", path: "/v1/inventory/" + sku, body: `{"low_stock_threshold":-1}`, wrong: true})
	a.want(422, call{method: "PATCH", path: "/v1/inventory/" + sku, body: `{}`, wrong: true})
	for range 2 { // up to the bound of one adjustment, as often as one likes
		a.want(201, adjust(sku, `{"delta":1000000000,"reason":"correction"}`))
		a.want(201, adjust(sku, `{"delta":-1000000000,"reason":"correction"}`))
	}
	if got := a.available(sku); got != 3 {
		a.Errorf("%d are available", got)
	}
}

func (a api) hostileBodies() {
	sku := a.sku(3)
	valid := `{"delta":1,"reason":"received"}`
	for name, x := range map[string]struct {
		body   string
		status int
		kind   string
	}{
		"empty":             {"", 400, ""},
		"null":              {"null", 400, ""},
		"an array":          {"[" + valid + "]", 400, ""},
		"two":               {valid + valid, 400, ""},
		"cut off":           {valid[:len(valid)-1], 400, ""},
		"a member twice":    {`{"delta":1,"delta":2,"reason":"received"}`, 400, ""},
		"another case":      {`{"Delta":1,"reason":"received"}`, 400, ""},
		"unknown":           {`{"delta":1,"reason":"received","available":9}`, 400, ""},
		"by":                {`{"delta":1,"reason":"received","by":"user/x"}`, 400, ""},
		"no UTF-8":          {"{\"delta\":1,\"reason\":\"received\",\"note\":\"\xff\"}", 400, ""},
		"NUL":               {`{"delta":1,"reason":"received","note":"\u0000"}`, 400, ""},
		"deep":              {`{"note":` + strings.Repeat("[", 5000), 400, ""},
		"large":             {`{"note":"` + strings.Repeat("x", 1<<20) + `"}`, 413, ""},
		"a form":            {"delta=1&reason=received", 415, "application/x-www-form-urlencoded"},
		"text":              {valid, 415, "text/plain"},
		"no reason":         {`{"delta":1}`, 422, ""},
		"another reason":    {`{"delta":1,"reason":"magic"}`, 422, ""},
		"an operator":       {`{"delta":1,"reason":{"$ne":""}}`, 400, ""},
		"lost, but more":    {`{"delta":1,"reason":"lost"}`, 422, ""},
		"received, but few": {`{"delta":-1,"reason":"received"}`, 422, ""},
		"another place":     {`{"delta":1,"reason":"received","location":"moon"}`, 422, ""},
		"no place":          {`{"delta":-1,"reason":"lost","location":"../main"}`, 422, ""},
		"quotes":            {`{"delta":1,"reason":"received","location":"main'; DROP TABLE stock --"}`, 422, ""},
		"a note of lines":   {`{"delta":1,"reason":"received","note":"a\nb"}`, 422, ""},
		"a long note":       {`{"delta":1,"reason":"received","note":"` + strings.Repeat("ö", 501) + `"}`, 422, ""},
	} {
		c := adjust(sku, x.body)
		c.kind, c.wrong = x.kind, true
		if got, err := a.try(c); err != nil || got.StatusCode != x.status {
			a.Errorf("%s: %v %v", name, err, got.Response)
		}
	}
	for _, path := range []string{
		"/v1/inventory", "/v1/inventory?skus=", "/v1/inventory?skus=,", "/v1/inventory?skus=a&skus=b", "/v1/inventory?sku=a", "/v1/inventory?skus=a&x=1",
		"/v1/inventory?skus=" + strings.Repeat("a,", 100) + "a", "/v1/inventory/" + sku + "?x=1", "/v1/inventory/" + sku + "/adjustments?limit=0",
		"/v1/inventory/" + sku + "/adjustments?limit=101", "/v1/inventory/" + sku + "/adjustments?cursor=x", "/v1/inventory/" + sku + "/adjustments?skip=1",
	} {
		a.want(400, call{method: "GET", path: path, wrong: true})
	}
	if got := a.available(sku); got != 3 {
		a.Errorf("%d are available", got)
	}
}

func (a api) hostileSKUs() {
	for _, sku := range []string{
		"no-such", "-a", ".a", "a%20b", "a%27", "%27%20OR%201=1--", "$ne", "%7B%22$gt%22:%22%22%7D", "a*", "%25", "a%00b", "..%2fa", "%2e%2e", "a%0ab", strings.Repeat("a", 65), strings.Repeat("a", 2000),
		"%D0%B0", "%ff", "a,b",
	} {
		for _, c := range []call{get("/v1/inventory/" + sku), get("/v1/inventory/" + sku + "/adjustments"), adjust(sku, `{"delta":1,"reason":"received"}`),
			{method: "PATCH", path: "/v1/inventory/" + sku, body: `{"low_stock_threshold":1}`}, {method: "GET", path: "/v1/inventory/" + sku, token: "-"}} {
			c.wrong = true
			if got, err := a.try(c); err != nil || got.StatusCode != 404 && got.StatusCode != 400 {
				a.Errorf("%s %.80s: %v, %v", c.method, c.path, err, got.Response)
			}
		}
	}
	if got := a.want(404, adjust("no-such", `{"delta":1,"reason":"received"}`)); got.code(a) != "sku-not-found" {
		a.Errorf("%s", got.body)
	}
	sku := a.sku(1)
	if got := a.want(404, get("/v1/inventory/"+strings.ToLower(sku))); got.code(a) != "sku-not-found" {
		a.Errorf("case matters, but %s", got.body)
	}
	if got := a.want(200, call{method: "GET", path: "/v1/inventory?skus=%27,%24ne," + sku + ",%D0%B0", wrong: true}); len(decode[httpserver.Page[app.Stock]](a, got.body).Items) != 1 {
		a.Errorf("%s", got.body)
	}
}

func (a api) reserve(order uuid.UUID, lines ...app.Line) app.Command {
	a.Helper()
	c, err := app.NewReserve(order, time.Now().Add(time.Hour), lines)
	if err != nil {
		a.Fatal(err)
	}
	return c
}

func (a api) reservations() {
	sku := a.sku(5)
	held, refused, never := uuid.Must(uuid.NewV7()), uuid.Must(uuid.NewV7()), uuid.Must(uuid.NewV7())
	a.decide(a.reserve(held, app.Line{SKU: sku, Quantity: 2}), a.reserve(refused, app.Line{SKU: sku, Quantity: 4}), app.Command{Type: app.Release, OrderID: never, Reason: "cancelled"})
	got := decode[app.Reservation](a, a.want(200, get("/v1/reservations/"+held.String())).body)
	if got.State != app.Reserved || !slices.Equal(got.Lines, []app.Line{{SKU: sku, Location: "main", Quantity: 2}}) {
		a.Errorf("%+v", got)
	}
	got = decode[app.Reservation](a, a.want(200, get("/v1/reservations/"+refused.String())).body)
	if got.State != app.Rejected || got.Reason != app.InsufficientStock || !slices.Equal(got.Shortages, []app.Shortage{{SKU: sku, Requested: 4, Available: 3}}) {
		a.Errorf("%+v", got)
	}
	if got = decode[app.Reservation](a, a.want(200, get("/v1/reservations/"+never.String())).body); got.State != app.Released || !got.ExpiresAt.IsZero() {
		a.Errorf("%+v", got)
	}
	for _, id := range []string{uuid.NewString(), "1", strings.ToUpper(held.String()), "{" + held.String() + "}"} {
		if got := a.want(404, call{method: "GET", path: "/v1/reservations/" + strings.NewReplacer("{", "%7B", "}", "%7D").Replace(id), wrong: true}); got.code(a) != "reservation-not-found" {
			a.Errorf("%s", got.body)
		}
	}
}

func (a api) reconciliation() {
	sku := a.sku(20)
	orders := map[string]app.State{}
	for i := range 5 {
		order := uuid.Must(uuid.NewV7())
		commands := []app.Command{a.reserve(order, app.Line{SKU: sku, Quantity: 2})}
		orders[order.String()] = app.Reserved
		if i%2 == 0 {
			commands = append(commands, app.Command{Type: app.Commit, OrderID: order})
			orders[order.String()] = app.Committed
		}
		a.decide(commands...)
	}
	type part[T any] struct {
		Items []T    `json:"items"`
		Next  string `json:"next"`
	}
	from := "/internal/reconciliation?limit=2"
	found := map[string]app.State{}
	for after := ""; ; {
		p := decode[part[app.Held]](a, a.want(200, call{method: "GET", path: from + after, peer: "reconcile", token: "-"}).body)
		for _, h := range p.Items {
			if _, has := orders[h.OrderID.String()]; has {
				found[h.OrderID.String()] = h.State
				if !slices.Equal(h.Lines, []app.Line{{SKU: sku, Quantity: 2}}) {
					a.Errorf("%+v", h)
				}
			}
		}
		if p.Next == "" {
			break
		}
		after = "&after=" + p.Next
	}
	if !maps.Equal(found, orders) {
		a.Errorf("%v, want %v", found, orders)
	}
	for after := ""; ; {
		p := decode[part[app.Totals]](a, a.want(200, call{method: "GET", path: "/internal/reconciliation/totals?limit=3" + after, peer: "reconcile", token: "-"}).body)
		for _, x := range p.Items {
			if x.SKU == sku && x != (app.Totals{SKU: sku, Available: 10, Reserved: 4, Sold: 6, Adjusted: 20, ReservedByReservations: 4, SoldByReservations: 6}) || x.Available+x.Reserved+x.Sold != x.Adjusted {
				a.Errorf("%+v", x)
			}
		}
		if p.Next == "" {
			break
		}
		after = "&after=" + p.Next
	}
	for _, query := range []string{"?after=x", "?limit=0", "?limit=1001", "?x=1"} {
		a.want(400, call{method: "GET", path: "/internal/reconciliation" + query, peer: "reconcile", wrong: true})
	}
}

// access calls every route as everybody.
func (a api) access() {
	sku := a.sku(1)
	one, list := "/v1/inventory/"+sku, "/v1/inventory/"+sku+"/adjustments"
	callers := []struct{ name, token string }{
		{"anonymous", "-"}, {"customer", a.issuer.User("customer")}, {"reader", a.issuer.Scoped("inventory:read")}, {"writer", a.issuer.Scoped("inventory:write")},
		{"expired", a.issuer.Expired("admin")}, {"wrong audience", a.issuer.WrongAudience("admin")}, {"service", a.issuer.Client("robot", "inventory:read", "inventory:write")},
	}
	for _, r := range []struct {
		call
		want [7]int
	}{
		{get("/v1/inventory?skus=" + sku), [7]int{200, 200, 200, 200, 200, 200, 200}},
		{get(one), [7]int{200, 200, 200, 200, 401, 401, 200}},
		{call{method: "PATCH", path: one, body: `{"low_stock_threshold":1}`}, [7]int{401, 403, 403, 200, 401, 401, 200}},
		{get(list), [7]int{401, 403, 200, 403, 401, 401, 200}},
		{adjust(sku, `{"delta":1,"reason":"found"}`), [7]int{401, 403, 403, 201, 401, 401, 201}},
		{get("/v1/reservations/" + uuid.NewString()), [7]int{401, 403, 404, 403, 401, 401, 404}},
		{get("/openapi.yaml"), [7]int{200, 200, 200, 200, 200, 200, 200}},
		{get("/internal/reconciliation"), [7]int{403, 403, 403, 403, 403, 403, 403}},
		{get("/internal/reconciliation/totals"), [7]int{403, 403, 403, 403, 403, 403, 403}},
	} {
		for i, who := range callers {
			c := r.call
			c.token, c.wrong = who.token, r.want[i] >= 400
			if got, err := a.try(c); err != nil || got.StatusCode != r.want[i] {
				a.Errorf("%s %s by %s: %v, %v, want %d", c.method, c.path, who.name, err, got.Response, r.want[i])
			}
		}
	}
	a.want(401, call{method: "GET", path: "/internal/reconciliation", peer: "-", wrong: true})
	if got := a.want(200, call{method: "GET", path: one, token: a.issuer.Scoped("inventory:write")}); strings.Contains(string(got.body), "locations") {
		a.Errorf("who may write sees %s", got.body)
	}
}

func (a api) race() {
	sku := a.sku(10)
	statuses := make([]int, 30)
	var wg sync.WaitGroup
	for i := range statuses {
		wg.Go(func() {
			if got, err := a.try(adjust(sku, `{"delta":-1,"reason":"lost"}`)); err == nil {
				statuses[i] = got.StatusCode
			}
		})
	}
	wg.Wait()
	slices.Sort(statuses)
	if want := append(slices.Repeat([]int{201}, 10), slices.Repeat([]int{409}, 20)...); !slices.Equal(statuses, want) || a.available(sku) != 0 {
		a.Errorf("%v; %d are left", statuses, a.available(sku))
	}
}
