package web_test

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"

	"souk/services/catalog/app"
)

func TestABodyThatBreaksARuleIsRefusedAtItsPlace(t *testing.T) {
	a := serve(t)
	variant := `{"sku":"S1","price":{"amount":1,"currency":"EUR"}}`
	with := func(members string) string {
		return `{"slug":"s","title":"T","variants":[` + variant + `],` + members + `}`
	}
	many := func(n int, item string) string { return strings.Join(slices.Repeat([]string{item}, n), ",") }
	for _, x := range []struct {
		body, pointer string
		status        int
	}{
		{`{}`, "/variants", 422},
		{`{"slug":"s","title":"T","variants":[]}`, "/variants", 422},
		{`{"slug":"s","title":"T","variants":null}`, "/variants", 422},
		{`{"slug":"s","title":"T","variants":[{"sku":"S1","price":{"amount":-1,"currency":"EUR"}}]}`, "/variants/0/price/amount", 422},
		{`{"slug":"s","title":"T","variants":[{"sku":"S1","price":{"amount":1000000000001,"currency":"EUR"}}]}`, "/variants/0/price/amount", 422},
		{`{"slug":"s","title":"T","variants":[{"sku":"S1","price":{"amount":9007199254740993,"currency":"EUR"}}]}`, "/variants/0/price/amount", 422},
		{`{"slug":"s","title":"T","variants":[{"sku":"S1","price":{"amount":9223372036854775808,"currency":"EUR"}}]}`, "/variants/0/price/amount", 400},
		{`{"slug":"s","title":"T","variants":[{"sku":"S1","price":{"amount":1.5,"currency":"EUR"}}]}`, "/variants/0/price/amount", 400},
		{`{"slug":"s","title":"T","variants":[{"sku":"S1","price":{"amount":1e400,"currency":"EUR"}}]}`, "/variants/0/price/amount", 400},
		{`{"slug":"s","title":"T","variants":[{"sku":"S1","price":{"amount":"1","currency":"EUR"}}]}`, "/variants/0/price/amount", 400},
		{`{"slug":"s","title":"T","variants":[{"sku":"S1","price":{"currency":"EUR"}}]}`, "/variants/0/price/amount", 400},
		{`{"slug":"s","title":"T","variants":[{"sku":"S1","price":{"amount":1,"currency":"eur"}}]}`, "/variants/0/price/currency", 422},
		{`{"slug":"s","title":"T","variants":[{"sku":"S1","price":{"amount":1,"currency":"XXX"}}]}`, "/variants/0/price/currency", 422},
		{`{"slug":"s","title":"T","variants":[{"sku":"S1"}]}`, "/variants/0/price/currency", 422},
		{`{"slug":"s","title":"T","variants":[{"sku":"$ne","price":{"amount":1,"currency":"EUR"}}]}`, "/variants/0/sku", 422},
		{`{"slug":"s","title":"T","variants":[{"sku":{"$ne":null},"price":{"amount":1,"currency":"EUR"}}]}`, "/variants/0/sku", 400},
		{`{"slug":"s","title":"T","variants":[` + variant + `,` + variant + `]}`, "/variants/1/sku", 422},
		{`{"slug":"s","title":"T","variants":[` + variant + `,{"sku":"S2","price":{"amount":1,"currency":"USD"}}]}`, "/variants/1/price/currency", 422},
		{`{"slug":"s","title":"T","variants":[` + variant + `,{"sku":"S2","price":{"amount":1,"currency":"EUR"}}]}`, "/variants/1/options", 422},
		{`{"slug":"s","title":"T","variants":[` + many(101, variant) + `]}`, "/variants", 422},
		{`{"slug":"s","title":"T","options":[{"name":"size","values":["S"]}],"variants":[` + variant + `]}`, "/variants/0/options", 422},
		{`{"slug":"s","title":"T","variants":[{"sku":"S1","options":{"$where":"1"},"price":{"amount":1,"currency":"EUR"}}]}`, "/variants/0/options", 422},
		{with(`"slug":"t"`), "/slug", 400},
		{with(`"Slug":"t"`), "/Slug", 400},
		{with(`"price":1`), "/price", 400},
		{with(`"id":"0197a3c0-7d2e-7c3a-9f41-2f6d1c0b9a55"`), "/id", 400},
		{with(`"$set":{"status":"active"}`), "/$set", 400},
		{with(`"status":"archived"`), "/status", 422},
		{with(`"status":{"$ne":"active"}`), "/status", 400},
		{with(`"brand":["a"]`), "/brand", 400},
		{with(`"brand":"` + strings.Repeat("x", 101) + `"`), "/brand", 422},
		{with(`"brand":"a\u0000b"`), "/brand", 400},
		{with(`"brand":"a\u0007b"`), "/brand", 422},
		{with("\"brand\":\"a\xffb\""), "/brand", 400},
		{with(`"description":"` + strings.Repeat("x", 20_001) + `"`), "/description", 422},
		{with(`"category_id":"0197a3c0-7d2e-7c3a-9f41-2f6d1c0b9a55"`), "/category_id", 422},
		{with(`"category_id":""`), "/category_id", 422},
		{with(`"category_id":{"$gt":""}`), "/category_id", 400},
		{with(`"images":[{"url":"http://img.example/1.jpg"}]`), "/images/0/url", 422},
		{with(`"images":[{"url":"javascript:alert(1)"}]`), "/images/0/url", 422},
		{with(`"images":[{"url":"https://user:pw@img.example/1.jpg"}]`), "/images/0/url", 422},
		{with(`"images":[` + many(21, `{"url":"https://img.example/1.jpg"}`) + `]`), "/images", 422},
		{with(`"attributes":{"$where":"sleep(1000)"}`), "/attributes", 422},
		{with(`"attributes":{"a.b":"c"}`), "/attributes", 422},
		{with(`"attributes":{"a":{"$gt":""}}`), "/attributes/a", 400},
		{with(`"attributes":{"a":""}`), "/attributes/a", 422},
		{`{"slug":"Big Slug","title":"T","variants":[` + variant + `]}`, "/slug", 422},
		{`{"slug":"0197a3c0-7d2e-7c3a-9f41-2f6d1c0b9a55","title":"T","variants":[` + variant + `]}`, "/slug", 422},
		{`{"slug":"s","title":"` + strings.Repeat("x", 201) + `","variants":[` + variant + `]}`, "/title", 422},
		{`{"slug":"s","title":"  ","variants":[` + variant + `]}`, "/title", 422},
		{`{"slug":"s","title":"T","options":[` + strings.Repeat(`{"name":"n","values":["v"]},`, 3) + `{"name":"m","values":["v"]}],"variants":[` + variant + `]}`, "/options", 422},
		{`[]`, "", 400},
		{`null`, "", 400},
		{`{"slug":`, "", 400},
		{with(`"brand":"x"`) + `{}`, "", 400},
		{strings.Repeat(`{"attributes":`, 40) + `1` + strings.Repeat(`}`, 40), "", 400},
		{strings.Repeat(`[`, 100_000), "", 400},
	} {
		got := a.want(x.status, call{method: "POST", path: "/v1/products", body: x.body, wrong: true})
		if !slices.ContainsFunc(got.pointers(t), func(p string) bool { return p == x.pointer || strings.HasPrefix(p, x.pointer+"/") && x.status == 400 }) {
			t.Errorf("%.120s: names %v, want %q", x.body, got.pointers(t), x.pointer)
		}
	}
	a.want(413, call{method: "POST", path: "/v1/products", body: `{"title":"` + strings.Repeat("x", 10<<20) + `"}`, wrong: true})
	a.want(415, call{method: "POST", path: "/v1/products", body: `{}`, headers: map[string]string{"Content-Type": "text/plain"}, wrong: true})
	a.want(415, call{method: "POST", path: "/v1/products", body: `{}`, headers: map[string]string{"Content-Encoding": "gzip"}, wrong: true})
	a.want(400, call{method: "POST", path: "/v1/products", wrong: true, headers: map[string]string{"Content-Type": "application/json"}})
	if left := a.walk("/v1/products?status=draft"); len(left) > 0 {
		t.Errorf("%v were made all the same", left)
	}
}

func TestAPatchThatBreaksARuleChangesNothing(t *testing.T) {
	a := serve(t)
	a.product("other")
	path := "/v1/products/" + a.product("patched").ID
	before := a.want(200, call{method: "GET", path: path})
	for body, status := range map[string]int{
		`{"title":null}`:              422,
		`{"slug":null}`:               422,
		`{"variants":null}`:           422,
		`{"variants":[]}`:             422,
		`{"status":null}`:             422,
		`{"status":"sold"}`:           422,
		`{"version":7}`:               400,
		`{"created_at":"2020-01-01"}`: 400,
		`{"price_range":null}`:        400,
		`{"title":{"$set":"x"}}`:      400,
		`{"$set":{"title":"x"}}`:      400,
		`{"attributes":{"$inc":"1"}}`: 422,
		`{"attributes":{"a":1}}`:      400,
		`{"attributes":{"a.b":"1"}}`:  422,
		`{"variants":[{"sku":"patched","price":{"amount":1,"currency":"EUR"},"stock":3}]}`: 400,
		`{"variants":[{"sku":"patched","price":{"amount":-1,"currency":"EUR"}}]}`:          422,
		`{"variants":[{"sku":"other","price":{"amount":1,"currency":"EUR"}}]}`:             409,
		`{"slug":"other"}`:                          409,
		`{"category_id":"nope"}`:                    422,
		`{"category_id":""}`:                        422,
		`{"options":[{"name":"a","values":["b"]}]}`: 422, // the variant names no value for it
		`[]`:                         400,
		`{"title":"a","title":"b"}`:  400,
		`{"title":"a"}{"title":"b"}`: 400,
	} {
		a.want(status, call{method: "PATCH", path: path, headers: ifMatch("*"), body: body, wrong: true})
	}
	a.want(415, call{method: "PATCH", path: path, headers: map[string]string{"If-Match": "*", "Content-Type": "application/json"}, body: `{"title":"x"}`, wrong: true})
	if after := a.want(200, call{method: "GET", path: path}); string(after.body) != string(before.body) {
		t.Errorf("it is now %s", after.body)
	}
}

func TestAQueryThatIsNotUnderstoodIsRefused(t *testing.T) {
	a := serve(t)
	for query, pointer := range map[string]string{
		"colour=red": "?colour", "slug[$ne]=x": "?slug[$ne]", "status[$ne]=active": "?status[$ne]", "status=sold": "?status", "status=active&status=draft": "?status",
		"sort=$where": "?sort", "sort=price;drop": "?sort", "limit=0": "?limit", "limit=101": "?limit", "limit=1e2": "?limit", "limit=": "?limit",
		"min_price=1": "?min_price", "min_price=-1&currency=EUR": "?min_price", "max_price=1.5&currency=EUR": "?max_price", "max_price=9999999999999&currency=EUR": "?max_price",
		"currency=eur": "?currency", "currency=XXX": "?currency", "sku=": "?sku", "sku=" + strings.Repeat("a,", 100) + "a": "?sku", "brand=%00": "?brand", "brand=%ff": "?brand",
	} {
		got := a.want(400, call{method: "GET", path: "/v1/products?" + query, wrong: true})
		if !slices.Contains(got.pointers(t), pointer) {
			t.Errorf("%s: names %v, want %s", query, got.pointers(t), pointer)
		}
	}
	if got := a.want(422, call{method: "GET", path: "/v1/products?category=nope", wrong: true}); got.code(t) != "unknown-category" {
		t.Error(got.code(t))
	}
	a.want(400, call{method: "GET", path: "/v1/categories?colour=red", wrong: true})
	a.want(400, call{method: "GET", path: "/v1/categories?status=draft", wrong: true})
	a.want(414, call{method: "GET", path: "/v1/products?slug=" + strings.Repeat("x", 9000), wrong: true})
}

func TestOperatorsInValuesAreInert(t *testing.T) {
	a := serve(t)
	a.product("plain")
	for _, value := range []string{`{"$ne":null}`, `$ne`, `{"$gt":""}`, `$where`, `.*`, `/plain/`, `plain'; drop`} {
		escaped := url.QueryEscape(value)
		for _, query := range []string{"slug=" + escaped, "brand=" + escaped, "sku=" + url.QueryEscape(strings.ReplaceAll(value, ",", ""))} {
			if found := a.walk("/v1/products?" + query); len(found) > 0 {
				t.Errorf("%s finds %v", query, found)
			}
		}
		a.want(404, call{method: "GET", path: "/v1/products/" + strings.ReplaceAll(url.PathEscape(value), "%2F", "-"), wrong: true})
	}
	// Text is text, wherever it may stand.
	text := `{"$set": {"status": "archived"}}`
	made := a.want(201, call{method: "POST", path: "/v1/products", body: fmt.Sprintf(`{"slug":"literal","title":%q,"brand":%q,"attributes":{"note":%q},
		"options":[{"name":"$where","values":["$gt"]}],"variants":[{"sku":"literal","options":{"$where":"$gt"},"price":{"amount":1,"currency":"EUR"}}]}`, text, text, text)})
	p := decode[app.Product](t, made.body)
	read := a.want(200, call{method: "GET", path: "/v1/products/" + p.ID})
	if p.Title != text || p.Status != app.Draft || string(read.body) != string(made.body) {
		t.Errorf("made %s\nread %s", made.body, read.body)
	}
}

func TestWhatIsNotThereIsAProblem(t *testing.T) {
	a := serve(t)
	for path, want := range map[string]int{
		"/v1/products/nope": 404, "/v1/products/0197a3c0-7d2e-7c3a-9f41-2f6d1c0b9a55": 404, "/v1/categories/nope": 404,
		"/v1/nothing": 404, "/v1/products/..%2f..%2fetc": 400, "/v1/products/%00": 400, "/v1/products/a//b": 400,
	} {
		got := a.want(want, call{method: "GET", path: path, wrong: true, elsewhere: strings.Contains(path, "nothing") || strings.Contains(path, "//")})
		if got.code(t) == "" {
			t.Errorf("%s: %s", path, got.body)
		}
	}
	got := a.want(405, call{method: "PUT", path: "/v1/products", wrong: true, elsewhere: true, body: "{}"})
	if allow := got.Header.Get("Allow"); !strings.Contains(allow, "POST") {
		t.Errorf("Allow: %s", allow)
	}
	document := a.want(200, call{method: "GET", path: "/openapi.yaml"})
	if document.Header.Get("Content-Type") != "application/yaml" || !strings.HasPrefix(string(document.body), "openapi: 3.1.0") {
		t.Errorf("%s %.40s", document.Header.Get("Content-Type"), document.body)
	}
}
