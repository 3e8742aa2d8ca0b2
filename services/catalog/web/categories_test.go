package web_test

import (
	"fmt"
	"strings"
	"testing"

	"souk/services/catalog/app"
)

func TestTheTreeIsBuiltMovedAndArchived(t *testing.T) {
	a := serve(t)
	empty := a.want(200, call{method: "GET", path: "/v1/categories"})
	if string(empty.body) != `{"items":[]}` || empty.Header.Get("Etag") != `"0"` {
		t.Errorf("empty: %s %v", empty.body, empty.Header)
	}
	clothing := a.category(`{"slug":"clothing","name":"Clothing"}`)
	tools := a.category(`{"slug":"tools","name":"Tools","parent_id":null}`)
	shirts := a.category(fmt.Sprintf(`{"slug":"shirts","name":"Shirts","parent_id":%q}`, clothing.ID))
	linen := a.category(fmt.Sprintf(`{"slug":"linen","name":"Linen","parent_id":%q}`, shirts.ID))
	tree := func(query string) string {
		got := a.want(200, call{method: "GET", path: "/v1/categories" + query})
		var paths []string
		for _, c := range decode[struct {
			Items []app.Category `json:"items"`
		}](t, got.body).Items {
			paths = append(paths, fmt.Sprint(strings.Join(c.Path, "/"), ":", c.Version))
		}
		return strings.Join(paths, " ")
	}
	if got := tree(""); got != "clothing:1 clothing/shirts:1 clothing/shirts/linen:1 tools:1" {
		t.Error(got)
	}
	tag := a.want(200, call{method: "GET", path: "/v1/categories"}).Header.Get("Etag")
	a.want(304, call{method: "GET", path: "/v1/categories", headers: map[string]string{"If-None-Match": tag}})
	one := a.want(200, call{method: "GET", path: "/v1/categories/shirts"})
	if string(one.body) != string(a.want(200, call{method: "GET", path: "/v1/categories/" + shirts.ID}).body) || one.Header.Get("Etag") != `"1"` {
		t.Errorf("by slug: %s", one.body)
	}

	for _, x := range []struct {
		name, tag, body, code string
	}{
		{"clothing", `"1"`, fmt.Sprintf(`{"parent_id":%q}`, linen.ID), "category-cycle"},
		{"clothing", `"1"`, fmt.Sprintf(`{"parent_id":%q}`, clothing.ID), "category-cycle"},
		{"clothing", `"1"`, `{"slug":"tools"}`, "slug-taken"},
		{"clothing", `"1"`, `{"status":"archived"}`, "category-has-children"},
		{"clothing", `"7"`, `{"name":"x"}`, "stale-version"},
		{"clothing", `"1"`, `{"parent_id":"0197a3c0-7d2e-7c3a-9f41-2f6d1c0b9a55"}`, "invalid-category"},
		{"clothing", `"1"`, `{"parent_id":"tools"}`, "invalid-category"},
		{"clothing", `"1"`, `{"parent_id":""}`, "invalid-patch"},
		{"clothing", `"1"`, `{"status":"draft"}`, "invalid-category"},
		{"clothing", `"1"`, `{"name":null}`, "invalid-category"},
		{"clothing", `"1"`, `{"$set":{"slug":"x"}}`, "bad-json"},
		{"nope", `"1"`, `{"name":"x"}`, "category-not-found"},
		{"nope", `*`, `{"name":"x"}`, "category-not-found"},
	} {
		got := a.do(call{method: "PATCH", path: "/v1/categories/" + x.name, headers: ifMatch(x.tag), body: x.body, wrong: true})
		if got.code(t) != x.code {
			t.Errorf("%s %s: %s, want %s", x.name, x.body, got.body, x.code)
		}
	}
	a.want(428, call{method: "PATCH", path: "/v1/categories/tools", body: `{"name":"x"}`, wrong: true})

	// A new slug changes the paths below, so those categories have changed as well.
	a.want(200, call{method: "PATCH", path: "/v1/categories/shirts", headers: ifMatch(`"1"`), body: `{"slug":"tops"}`})
	if got := tree(""); got != "clothing:1 clothing/tops:2 clothing/tops/linen:2 tools:1" {
		t.Error(got)
	}
	a.want(200, call{method: "PATCH", path: "/v1/categories/tops", headers: ifMatch(`"2"`), body: fmt.Sprintf(`{"parent_id":%q}`, tools.ID)})
	a.want(200, call{method: "PATCH", path: "/v1/categories/linen", headers: ifMatch("*"), body: `{"parent_id":null}`})
	if got := tree(""); got != "clothing:1 tools:1 tools/tops:3 linen:4" {
		t.Error(got)
	}
	gone := a.want(204, call{method: "DELETE", path: "/v1/categories/tops", headers: ifMatch(`"3"`)})
	if gone.Header.Get("Etag") != `"4"` {
		t.Error(gone.Header)
	}
	a.want(409, call{method: "DELETE", path: "/v1/categories/tops", headers: ifMatch(`"4"`)})
	a.want(204, call{method: "DELETE", path: "/v1/categories/tools", headers: ifMatch(`"1"`)})
	if got := tree("?status=active") + " | " + tree("?status=archived"); got != "clothing:1 linen:4 | tools:2 tools/tops:4" {
		t.Error(got)
	}
	if code := a.want(409, call{method: "PATCH", path: "/v1/categories/tops", headers: ifMatch(`"4"`), body: `{"status":"active"}`}).code(t); code != "parent-archived" {
		t.Error(code)
	}
	// No product goes into an archived category.
	a.want(422, call{method: "POST", path: "/v1/products", body: productBody("late", fmt.Sprintf(`"category_id":%q`, tools.ID))})
}

func TestCategoriesMadeInParallelAreAllThere(t *testing.T) {
	a := serve(t)
	type result struct {
		status int
		err    error
	}
	results := make(chan result, 40)
	for i := range 40 {
		go func() {
			slug := fmt.Sprint("c", i/2) // each slug twice
			got, err := a.try(call{method: "POST", path: "/v1/categories", body: fmt.Sprintf(`{"slug":%q,"name":%q}`, slug, slug)})
			if err != nil {
				results <- result{err: err}
				return
			}
			results <- result{status: got.StatusCode}
		}()
	}
	count := map[int]int{}
	for range 40 {
		r := <-results
		if r.err != nil {
			t.Fatal(r.err)
		}
		count[r.status]++
	}
	if count[201] != 20 || count[409] != 20 {
		t.Errorf("statuses %v, want 20 times 201 and 409", count)
	}
}
