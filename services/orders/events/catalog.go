package events

import (
	"context"
	"fmt"
	"slices"

	"github.com/go-json-experiment/json"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	kafka "souk/internal/events"
	"souk/internal/inbox"
	"souk/internal/money"
	"souk/services/orders/app"
)

// CatalogGroup is the consumer group of the projection of prices. Its topic keeps the newest event of every product for
// good, so another name makes the projection anew from the topic's beginning, while the service goes on.
const CatalogGroup = "orders-catalog"

// ProductsTopic has every change of a product, with all of it: key product id.
const ProductsTopic = "catalog.products.v1"

// ProductStore keeps the projection.
type ProductStore interface {
	// SaveProducts takes in products, each at most once. Older versions than it has do nothing.
	SaveProducts(ctx context.Context, tx pgx.Tx, products []app.Product) error
}

// Products is inbox.Options.HandleAll of CatalogGroup.
func Products(store ProductStore) func(context.Context, pgx.Tx, []kafka.Message) error {
	return func(ctx context.Context, tx pgx.Tx, ms []kafka.Message) error {
		at := make(map[uuid.UUID]int, len(ms))
		var products []app.Product
		for _, m := range ms {
			if !productEvents[m.Event.Type()] {
				continue
			}
			p, err := readProduct(m)
			if err != nil {
				return inbox.Poison(err)
			}
			switch i, seen := at[p.ID]; {
			case !seen:
				at[p.ID] = len(products)
				products = append(products, p)
			case p.Version > products[i].Version:
				products[i] = after(products[i], p)
			}
		}
		if len(products) == 0 {
			return nil
		}
		return store.SaveProducts(ctx, tx, products)
	}
}

// after is what handling one version and then the next one comes to: what the first had and the next has not any more is
// known, and not for sale.
func after(first, next app.Product) app.Product {
	for _, p := range first.Prices {
		if !slices.ContainsFunc(next.Prices, func(has app.Price) bool { return has.SKU == p.SKU }) {
			p.Version, p.Active = next.Version, false
			next.Prices = append(next.Prices, p)
		}
	}
	return next
}

var productEvents = map[string]bool{
	"souk.catalog.product.created.v1":  true,
	"souk.catalog.product.updated.v1":  true,
	"souk.catalog.product.archived.v1": true,
	"souk.catalog.product.restored.v1": true,
}

// maxVariants is ten times what the catalogue allows; an event with more is not from there.
const maxVariants = 1000

// readProduct reads what matters here. It takes members that it doesn't know: the catalogue may add some.
func readProduct(m kafka.Message) (app.Product, error) {
	var data struct {
		ID       uuid.UUID `json:"id"`
		Version  int64     `json:"version"`
		Status   string    `json:"status"`
		Title    string    `json:"title"`
		Variants []struct {
			SKU   string       `json:"sku"`
			Title string       `json:"title"`
			Price money.Amount `json:"price"`
		} `json:"variants"`
	}
	if err := json.Unmarshal(m.Event.Data(), &data); err != nil {
		return app.Product{}, fmt.Errorf("%s: its data: %w", m.Event.Type(), err)
	}
	if data.ID == uuid.Nil || data.ID.String() != m.Key || data.Version < 1 || len(data.Variants) == 0 || len(data.Variants) > maxVariants {
		return app.Product{}, fmt.Errorf("%s: the id is not the key, or there is no version, or there are no variants or more than %d", m.Event.Type(), maxVariants)
	}
	p := app.Product{ID: data.ID, Version: data.Version}
	seen := make(map[string]bool, len(data.Variants))
	for _, v := range data.Variants {
		if v.SKU == "" || seen[v.SKU] || v.Price.Validate() != nil || v.Price.Minor < 0 {
			return app.Product{}, fmt.Errorf("%s: a SKU is missing or there twice, or a price is missing or negative", m.Event.Type())
		}
		seen[v.SKU] = true
		p.Prices = append(p.Prices, app.Price{
			SKU: v.SKU, ProductID: data.ID, Version: data.Version, Name: app.ItemName(data.Title, v.Title), Price: v.Price, Active: data.Status == "active",
		})
	}
	return p, nil
}
