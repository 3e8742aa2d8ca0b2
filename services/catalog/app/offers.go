package app

import (
	"context"

	"souk/internal/errs"
	"souk/internal/money"
)

// MaxOffers is how many SKUs one question for prices may name.
const MaxOffers = 500

// Offer is what one SKU is sold for.
type Offer struct {
	SKU       string       `json:"sku"`
	ProductID string       `json:"product_id"`
	Version   int64        `json:"version"` // of the product
	Name      string       `json:"name"`    // the product's title and the variant's
	Price     money.Amount `json:"price"`
	Active    bool         `json:"active"` // for sale
}

// OfferName is what a variant is called outside its product.
func OfferName(product, variant string) string {
	if variant == "" || variant == product {
		return product
	}
	return product + ", " + variant
}

// Offers gives the prices of SKUs as they are now, without any cache: orders are placed at them. SKUs that no product has
// are left out.
func (c *Catalog) Offers(ctx context.Context, skus []string) ([]Offer, error) {
	if len(skus) < 1 || len(skus) > MaxOffers {
		return nil, errs.New(errs.Unprocessable, "bad-skus", "ask for 1 to %d SKUs", MaxOffers).
			With(errs.Field{Pointer: "/skus", Detail: "must have 1 to 500 items"})
	}
	return c.store.Offers(ctx, skus)
}
