package app

import (
	"fmt"
	"time"

	"github.com/google/uuid"

	"souk/internal/errs"
	"souk/internal/money"
)

// newCart makes version 1 of a cart, whose lines have no prices yet, or says everything that is wrong with what is asked.
func newCart(user uuid.UUID, currency string, items []Item, expires time.Time) (Cart, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return Cart{}, err
	}
	if currency != "" {
		if err := money.ValidCurrency(currency); err != nil {
			return Cart{}, err
		}
	}
	if len(items) > MaxLines {
		return Cart{}, ErrCartFull
	}
	cart := Cart{
		ID: id, Version: 1, User: user, Currency: currency, Lines: make([]CartLine, len(items)), ExpiresAt: expires.UTC().Truncate(time.Millisecond),
	}
	var fields []errs.Field
	seen := make(map[string]bool, len(items))
	for i, item := range items {
		at := fmt.Sprintf("/items/%d", i)
		if item.Quantity < 1 || item.Quantity > MaxQuantity {
			fields = append(fields, errs.Field{Pointer: at + "/quantity", Detail: fmt.Sprintf("must be 1 to %d", MaxQuantity)})
		}
		switch {
		case !skuPattern.MatchString(item.SKU):
			fields = append(fields, errs.Field{Pointer: at + "/sku", Detail: "must be a SKU of the catalogue"})
		case seen[item.SKU]:
			fields = append(fields, errs.Field{Pointer: at + "/sku", Detail: "must differ from the other items' SKUs"})
		}
		seen[item.SKU] = true
		cart.Lines[i] = CartLine{SKU: item.SKU, Quantity: item.Quantity}
	}
	if len(fields) > 0 {
		return Cart{}, errs.New(errs.Unprocessable, "invalid-cart", "items of the cart break a rule").With(fields...)
	}
	return cart, nil
}

// fill gives the lines of a new cart their prices, if everything is for sale, in one currency, which is that of the cart if
// it has one, and the total is an amount.
func (c *Cart) fill(prices map[string]Price) error {
	currency := c.Currency
	var unknown, other []errs.Field
	for i := range c.Lines {
		line := &c.Lines[i]
		at := fmt.Sprintf("/items/%d/sku", i)
		p, ok := prices[line.SKU]
		if !ok || !p.Active {
			unknown = append(unknown, errs.Field{Pointer: at, Detail: "is not for sale"})
			continue
		}
		if currency == "" {
			currency = p.Price.Currency
		}
		if p.Price.Currency != currency {
			other = append(other, errs.Field{Pointer: at, Detail: "is sold in " + p.Price.Currency})
		}
		line.ProductID, line.Version, line.Name, line.UnitPrice, line.Available = p.ProductID, p.Version, p.Name, p.Price.Minor, true
	}
	switch {
	case len(unknown) > 0:
		return ErrUnknownSKU.With(unknown...)
	case len(other) > 0:
		return ErrCurrencyMismatch.With(other...)
	case !countable(c.Lines):
		return ErrCartTotal
	}
	c.Currency = currency
	return nil
}
