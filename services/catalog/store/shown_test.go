package store

import (
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"go.mongodb.org/mongo-driver/bson"

	"souk/internal/money"
	"souk/services/catalog/app"
)

// golden is what shape says the JSON of a product is.
const golden = `{"id":"i","version":2,"status":"active","slug":"s","title":"t","description":"d","brand":"b","category_id":"c",` +
	`"options":[{"name":"o","values":["v"]}],"variants":[{"sku":"k","title":"u","options":{"o":"v"},"price":{"amount":1,"currency":"EUR"},` +
	`"images":[{"url":"https://x/"}],"attributes":{"a":"1"}}],"images":[{"url":"https://y/","alt":"e"}],"attributes":{"a":"1","b":"2"},` +
	`"price_range":{"min":{"amount":1,"currency":"EUR"},"max":{"amount":1,"currency":"EUR"}},` +
	`"created_at":"2026-01-02T03:04:05.006Z","updated_at":"2026-01-02T03:04:05.006Z"}`

func TestTheShapeCountsUpWithTheJSONOfAProduct(t *testing.T) {
	at, category := time.Date(2026, 1, 2, 3, 4, 5, 6_000_000, time.UTC), "c"
	p := app.Product{
		ID: "i", Version: 2, Status: app.Active, Slug: "s", Title: "t", Description: "d", Brand: "b", CategoryID: &category,
		Options: []app.Option{{Name: "o", Values: []string{"v"}}},
		Variants: []app.Variant{{SKU: "k", Title: "u", Options: map[string]string{"o": "v"}, Price: money.Amount{Minor: 1, Currency: "EUR"},
			Images: []app.Image{{URL: "https://x/"}}, Attributes: map[string]string{"a": "1"}}},
		Images: []app.Image{{URL: "https://y/", Alt: "e"}}, Attributes: map[string]string{"b": "2", "a": "1"}, CreatedAt: at, UpdatedAt: at,
	}
	p.PriceRange = app.RangeOf(p.Variants)
	raw, err := json.Marshal(&p)
	if err != nil {
		t.Fatal(err)
	}
	if string(raw) != golden || shape != 1 {
		t.Errorf("the JSON of a product is\n%s\nnot\n%s\nIf that is meant, count shape up and change golden.", raw, golden)
	}
}

// SpoilShown makes the JSON that is stored look as if an older program had written it,
// or had left it behind when it changed the product.
func (s *Store) SpoilShown(t *testing.T) {
	t.Helper()
	for status, fields := range map[app.Status]bson.D{
		app.Active: {{Key: "shown.shape", Value: shape - 1}, {Key: "shown.json", Value: `{"id":"older"}`}},
		app.Draft:  {{Key: "shown.version", Value: 0}, {Key: "shown.json", Value: `{"id":"left behind"}`}},
	} {
		if _, err := s.products.UpdateMany(t.Context(), bson.D{{Key: "status", Value: status}}, bson.D{{Key: "$set", Value: fields}}); err != nil {
			t.Fatal(err)
		}
	}
}
