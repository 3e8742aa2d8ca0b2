package web_test

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"

	httpserver "souk/internal/web"
	"souk/services/catalog/app"
)

func TestAProductIsMadeReadChangedArchivedAndRestored(t *testing.T) {
	a := serve(t)
	made := a.want(201, call{method: "POST", path: "/v1/products", body: `{
		"slug": "linen-shirt", "title": "Linen shirt", "description": "Washed linen,\ncut wide.", "brand": "Lindeholt", "category_id": null,
		"options": [{"name": "size", "values": ["S", "M"]}],
		"variants": [
			{"sku": "SHIRT-S", "options": {"size": "S"}, "price": {"amount": 5900, "currency": "EUR"}},
			{"sku": "SHIRT-M", "title": "Medium", "options": {"size": "M"}, "price": {"amount": 6200, "currency": "EUR"},
			 "images": [{"url": "https://img.example/m.jpg"}], "attributes": {"chest_cm": "104"}}],
		"images": [{"url": "https://img.example/shirt.jpg", "alt": "A shirt"}], "attributes": {"material": "linen", "care": "30 °C"}}`})
	p := decode[app.Product](t, made.body)
	path := "/v1/products/" + p.ID
	if made.Header.Get("Location") != path || made.Header.Get("Etag") != `"1"` || p.Status != app.Draft || p.Version != 1 {
		t.Errorf("made: %s %v", made.body, made.Header)
	}
	if p.PriceRange.Min.Minor != 5900 || p.PriceRange.Max.Minor != 6200 {
		t.Errorf("price range %v", p.PriceRange)
	}
	read := a.want(200, call{method: "GET", path: path})
	if string(read.body) != string(made.body) {
		t.Errorf("read\n%s\nmade\n%s", read.body, made.body)
	}
	head := a.want(200, call{method: "HEAD", path: path})
	if len(head.body) > 0 || head.Header.Get("Etag") != `"1"` {
		t.Errorf("HEAD: %v %s", head.Header, head.body)
	}
	a.want(304, call{method: "GET", path: path, headers: map[string]string{"If-None-Match": `"1"`}})

	changed := a.want(200, call{method: "PATCH", path: path, headers: ifMatch(`"1"`),
		body: `{"status":"active","brand":null,"attributes":{"care":null,"fit":"wide"}}`})
	p = decode[app.Product](t, changed.body)
	if p.Version != 2 || changed.Header.Get("Etag") != `"2"` || p.Status != app.Active || p.Brand != "" || fmt.Sprint(p.Attributes) != "map[fit:wide material:linen]" {
		t.Errorf("changed: %s", changed.body)
	}
	same := a.want(200, call{method: "PATCH", path: path, headers: ifMatch(`"2"`), body: `{"status":"active"}`})
	if same.Header.Get("Etag") != `"2"` {
		t.Errorf("a patch that changes nothing made %s", same.Header.Get("Etag"))
	}
	gone := a.want(204, call{method: "DELETE", path: path, headers: ifMatch(`"2"`)})
	if gone.Header.Get("Etag") != `"3"` {
		t.Errorf("archived: %v", gone.Header)
	}
	if code := a.want(409, call{method: "DELETE", path: path, headers: ifMatch(`"3"`)}).code(t); code != "already-archived" {
		t.Error(code)
	}
	if code := a.want(409, call{method: "PATCH", path: path, headers: ifMatch(`"3"`), body: `{"title":"Gone"}`}).code(t); code != "product-archived" {
		t.Error(code)
	}
	p = decode[app.Product](t, a.want(200, call{method: "PATCH", path: path, headers: ifMatch(`"3"`), body: `{"status":"draft","title":"Back"}`}).body)
	if p.Version != 4 || p.Status != app.Draft || p.Title != "Back" {
		t.Errorf("restored: %+v", p)
	}
}

func TestAStaleETagIsRefused(t *testing.T) {
	a := serve(t)
	path := "/v1/products/" + a.product("stale").ID
	a.want(200, call{method: "PATCH", path: path, headers: ifMatch(`"1"`), body: `{"title":"Two"}`})
	for _, method := range []string{"PATCH", "DELETE"} {
		body := map[string]string{"PATCH": `{"title":"Three"}`}[method]
		for tag, want := range map[string]int{"": 428, `"1"`: 412, `W/"2"`: 412, `"abc"`: 412, `2`: 400, `"1","2"`: 400} {
			c := call{method: method, path: path, body: body, wrong: true}
			if tag != "" {
				c.headers = ifMatch(tag)
			}
			a.want(want, c)
		}
	}
	if v := decode[app.Product](t, a.want(200, call{method: "GET", path: path}).body).Version; v != 2 {
		t.Errorf("version %d, want 2", v)
	}
	a.want(200, call{method: "PATCH", path: path, headers: ifMatch("*"), body: `{"title":"Three"}`})
	a.want(404, call{method: "PATCH", path: "/v1/products/0197a3c0-7d2e-7c3a-9f41-2f6d1c0b9a55", headers: ifMatch("*"), body: `{"title":"x"}`})
}

func TestARepeatedPOSTIsAnsweredAsTheFirst(t *testing.T) {
	a := serve(t)
	key := map[string]string{"Idempotency-Key": "8e03978e-40d5-43e8-bc93-6894a57f9324"}
	for path, bodies := range map[string][2]string{
		"/v1/products":   {productBody("once", `"attributes":{"a":"1","b":"2","c":"3"}`), productBody("twice")},
		"/v1/categories": {`{"slug":"once","name":"Once"}`, `{"slug":"twice","name":"Twice"}`},
	} {
		first := a.want(201, call{method: "POST", path: path, body: bodies[0], headers: key})
		if first.Header.Get("Idempotent-Replayed") != "" {
			t.Error("the first is called a repetition")
		}
		again := a.want(201, call{method: "POST", path: path, body: bodies[0], headers: key})
		if again.Header.Get("Idempotent-Replayed") != "true" || string(again.body) != string(first.body) ||
			again.Header.Get("Etag") != first.Header.Get("Etag") || again.Header.Get("Location") != first.Header.Get("Location") {
			t.Errorf("%s: replayed %v\n%s\nwant %v\n%s", path, again.Header, again.body, first.Header, first.body)
		}
		if code := a.want(422, call{method: "POST", path: path, body: bodies[1], headers: key}).code(t); code != "idempotency-key-reused" {
			t.Errorf("%s: %s", path, code)
		}
		a.want(409, call{method: "POST", path: path, body: bodies[0]})
	}
	a.want(400, call{method: "POST", path: "/v1/products", body: productBody("x"), headers: map[string]string{"Idempotency-Key": strings.Repeat("x", 256)}, wrong: true})
}

func TestOneOfFiftyParallelPOSTsTakesASKU(t *testing.T) {
	a := serve(t)
	statuses := make(chan int, 50)
	for i := range 50 {
		go func() {
			got, err := a.try(call{method: "POST", path: "/v1/products", body: strings.Replace(productBody("race"), `"slug":"race"`, fmt.Sprintf(`"slug":"race-%d"`, i), 1)})
			if err != nil {
				t.Error(err)
				statuses <- 0
				return
			}
			statuses <- got.StatusCode
		}()
	}
	count := map[int]int{}
	for range 50 {
		count[<-statuses]++
	}
	if count[201] != 1 || count[409] != 49 {
		t.Errorf("statuses %v, want one 201 and 49 409", count)
	}
}

// walk follows next from a list's first page and gives the slugs.
func (a *api) walk(path string) []string {
	a.t.Helper()
	var slugs []string
	for path != "" {
		got := a.want(200, call{method: "GET", path: path})
		page := decode[httpserver.Page[app.Product]](a.t, got.body)
		for _, p := range page.Items {
			slugs = append(slugs, p.Slug)
		}
		if link := got.Header.Get("Link"); (link == "") != (page.Next == "") || link != "" && link != "<"+page.Next+`>; rel="next"` {
			a.t.Errorf("Link is %q, next %q", link, page.Next)
		}
		path = page.Next
	}
	return slugs
}

func TestProductsAreFilteredAndSorted(t *testing.T) {
	a := serve(t)
	clothing := a.category(`{"slug":"clothing","name":"Clothing"}`)
	shirts := a.category(fmt.Sprintf(`{"slug":"shirts","name":"Shirts","parent_id":%q}`, clothing.ID))
	linen := a.category(fmt.Sprintf(`{"slug":"linen","name":"Linen","parent_id":%q}`, shirts.ID))
	tools := a.category(`{"slug":"tools","name":"Tools"}`)
	for _, p := range []struct {
		slug, title, brand, category, currency string
		price                                  int
	}{
		{"a", "Zebra", "Acme", clothing.ID, "EUR", 300}, {"b", "äpfel", "Acme", shirts.ID, "EUR", 100}, {"c", "Apfelmus", "Brio", linen.ID, "EUR", 200},
		{"d", "Mango", "Brio", tools.ID, "USD", 50}, {"e", "mango", "Acme", tools.ID, "EUR", 200},
	} {
		body := fmt.Sprintf(`{"slug":%q,"title":%q,"brand":%q,"category_id":%q,"status":"active","variants":[{"sku":%q,"price":{"amount":%d,"currency":%q}}]}`,
			p.slug, p.title, p.brand, p.category, "SKU-"+p.slug, p.price, p.currency)
		a.want(201, call{method: "POST", path: "/v1/products", body: body})
	}
	a.want(201, call{method: "POST", path: "/v1/products", body: strings.Replace(productBody("draft"), `"active"`, `"draft"`, 1)})
	for query, want := range map[string]string{
		"":                             "e d c b a",
		"sort=oldest":                  "a b c d e",
		"sort=price":                   "b c e a d", // EUR before USD
		"sort=-price":                  "d a e c b",
		"sort=price&currency=EUR":      "b c e a",
		"sort=title":                   "b c d e a",
		"sort=-title":                  "a e d c b",
		"sort=updated":                 "e d c b a",
		"status=draft":                 "draft",
		"status=archived":              "",
		"category=clothing":            "c b a",
		"category=" + clothing.ID:      "c b a",
		"category=shirts&sort=price":   "b c",
		"category=tools&brand=Brio":    "d",
		"brand=Acme&sort=oldest":       "a b e",
		"brand=acme":                   "",
		"slug=c":                       "c",
		"slug=c&brand=Acme":            "",
		"sku=SKU-a,SKU-d,SKU-none":     "d a",
		"sku=SKU-a,SKU-d&currency=USD": "d",
		"currency=USD":                 "d",
		"currency=EUR&min_price=200":   "e c a",
		"currency=EUR&max_price=200":   "e c b",
		"currency=EUR&min_price=101&max_price=299&sort=-price": "e c",
		"currency=USD&min_price=51":                            "",
		"currency=GBP":                                         "",
	} {
		if got := strings.Join(a.walk("/v1/products?"+query), " "); got != want {
			t.Errorf("%s: %s, want %s", query, got, want)
		}
		// The same, two to a page.
		if got := strings.Join(a.walk("/v1/products?limit=2&"+query), " "); got != want {
			t.Errorf("%s with pages of two: %s, want %s", query, got, want)
		}
	}
}

func TestACursorIsGoodForItsOwnListOnly(t *testing.T) {
	a := serve(t)
	for i := range 3 {
		a.product(fmt.Sprint("p", i))
	}
	next := decode[httpserver.Page[app.Product]](t, a.want(200, call{method: "GET", path: "/v1/products?limit=1&sort=oldest"}).body).Next
	u, err := url.Parse(next)
	if err != nil {
		t.Fatal(err)
	}
	cursor := u.Query().Get("cursor")
	a.want(200, call{method: "GET", path: "/v1/products?limit=2&sort=oldest&cursor=" + cursor})
	for _, bad := range []string{
		"sort=newest&cursor=" + cursor, "sort=oldest&brand=x&cursor=" + cursor, "cursor=" + cursor, "sort=oldest&cursor=" + cursor[:len(cursor)-2],
		"sort=oldest&cursor=abc", "sort=oldest&cursor=" + url.QueryEscape(`{"$gt":""}`), "sort=oldest&cursor=" + strings.Repeat("A", 5000),
	} {
		got := a.want(400, call{method: "GET", path: "/v1/products?" + bad, wrong: true})
		if code := got.code(t); code != "bad-cursor" && len(bad) < 1000 {
			t.Errorf("%.60s: %s", bad, code)
		}
	}
}

func TestTheLongestTitleStillMakesACursor(t *testing.T) {
	a := serve(t)
	for i := range 2 {
		// Each of these letters unfolds to 18.
		a.want(201, call{method: "POST", path: "/v1/products", body: fmt.Sprintf(
			`{"slug":"long-%d","title":%q,"status":"active","variants":[{"sku":"L%d","price":{"amount":1,"currency":"EUR"}}]}`, i, strings.Repeat("ﷺ", 200), i)})
	}
	if got := a.walk("/v1/products?sort=title&limit=1"); !slices.Equal(got, []string{"long-0", "long-1"}) {
		t.Errorf("%v", got)
	}
}
