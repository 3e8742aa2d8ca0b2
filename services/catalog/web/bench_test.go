package web_test

import (
	"fmt"
	"io"
	"net/http"
	"testing"

	"souk/services/catalog/app"
)

// stocked is a service with as many products as the example shop has.
func stocked(b *testing.B) (a *api, id string) {
	b.Helper()
	a = serve(b)
	for i := range 216 {
		slug := fmt.Sprintf("product-%03d", i)
		body := fmt.Sprintf(`{"slug":%q,"title":"Product %d","description":"European flax, woven at 170 g/m² and stone-washed so that it starts out soft.",
			"brand":"Brand %d","status":"active","options":[{"name":"size","values":["S","M","L"]}],"attributes":{"material":"linen","care":"30 °C","origin":"EU"},
			"images":[{"url":"https://img.example/%s.jpg","alt":"Product"}],"variants":[`, slug, i, i%12, slug)
		for j, size := range []string{"S", "M", "L"} {
			if j > 0 {
				body += ","
			}
			body += fmt.Sprintf(`{"sku":"%s-%s","options":{"size":%q},"price":{"amount":%d,"currency":"EUR"}}`, slug, size, size, 1000+i*10+j)
		}
		id = decode[app.Product](b, a.want(201, call{method: "POST", path: "/v1/products", body: body + "]}"}).body).ID
	}
	return a, id
}

// BenchmarkRead times reads through HTTP, service and database, one after the other.
func BenchmarkRead(b *testing.B) {
	a, id := stocked(b)
	a.category(`{"slug":"clothing","name":"Clothing"}`)
	for name, path := range map[string]string{
		"product": "/v1/products/" + id, "newest": "/v1/products", "title": "/v1/products?sort=title", "brand-price": "/v1/products?brand=Brand+1&sort=price",
		"skus": "/v1/products?sku=product-001-S,product-101-M", "categories": "/v1/categories",
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				response, err := http.Get(a.url + path)
				if err != nil {
					b.Fatal(err)
				}
				if _, err := io.Copy(io.Discard, response.Body); err != nil || response.StatusCode != http.StatusOK {
					b.Fatal(response.Status, err)
				}
				_ = response.Body.Close()
			}
		})
	}
}
