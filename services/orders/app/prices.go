package app

import (
	"context"
	"regexp"

	"github.com/google/uuid"

	"souk/internal/errs"
	"souk/internal/money"
)

// Price is what the catalogue says about a SKU.
type Price struct {
	SKU       string
	ProductID uuid.UUID
	Version   int64 // of the product: of two prices of one product, the higher one is the later
	Name      string
	Price     money.Amount
	Active    bool // it is for sale
}

// Product is what one event says of a product: the prices of all SKUs that it has in this version.
type Product struct {
	ID      uuid.UUID
	Version int64
	Prices  []Price
}

// ItemName is what a variant is called outside its product, here and in the catalogue's answers.
func ItemName(product, variant string) string {
	if variant == "" || variant == product {
		return product
	}
	return product + ", " + variant
}

// Prices asks the catalogue itself. SKUs that it does not know are not in the answer. The error is errs.Unavailable when
// the catalogue can't be asked.
type Prices interface {
	Prices(ctx context.Context, skus []string) (map[string]Price, error)
}

// PriceStore keeps the projection of catalogue prices.
type PriceStore interface {
	// PricesOf SKUs, as far as it knows them.
	PricesOf(ctx context.Context, skus []string) (map[string]Price, error)
	// SavePrices takes prices in, except where it has a later one of the same product.
	SavePrices(ctx context.Context, prices []Price) error
}

// skuPattern is the catalogue's: what can't be a SKU is one that nobody has to be asked about.
var skuPattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

// ErrUnknownSKU is for what is not for sale. It does not tell whether there is a draft or an archived product.
var ErrUnknownSKU = errs.New(errs.Unprocessable, "unknown-sku", "nothing is for sale under this SKU")

// ErrCurrencyMismatch: one cart, one currency.
var ErrCurrencyMismatch = errs.New(errs.Unprocessable, "currency-mismatch", "all items of a cart are in one currency; use another cart for this one")
