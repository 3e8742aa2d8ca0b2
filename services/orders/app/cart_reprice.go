package app

import (
	"slices"

	"souk/internal/errs"
)

// Refresh takes in what the projection says; a SKU that it does not have, it has not heard of yet, as it keeps also what is
// not for sale any more. It makes a new version if that shows. An ordered cart stays as it was ordered.
func (c *Cart) Refresh(projection map[string]Price) (changed bool) {
	shown, _ := c.reprice(projection, false)
	if shown {
		c.Version++
	}
	return shown
}

// reprice takes in prices; if they are all there are, what is not among them is not for sale. It tells whether anything
// shows, and whether what the customer was promised has changed (promise): a price, or that it can be had. A name is no
// promise.
func (c *Cart) reprice(prices map[string]Price, all bool) (shown, promise bool) {
	if c.CheckOpen() != nil {
		return false, false
	}
	lines := slices.Clone(c.Lines)
	for i := range lines {
		line := &lines[i]
		p, known := prices[line.SKU]
		if !known && !all || known && p.ProductID == line.ProductID && p.Version < line.Version {
			continue // the catalogue was asked since the projection heard of it
		}
		if !known || p.Price.Currency != c.Currency {
			line.Available = false // at the price that it had: there is none in this currency
			continue
		}
		line.ProductID, line.Version, line.Name, line.UnitPrice, line.Available = p.ProductID, p.Version, p.Name, p.Price.Minor, p.Active
	}
	if !countable(lines) {
		// Prices have risen beyond all sense. The lines keep the old ones and can't be ordered.
		for i := range lines {
			if lines[i].UnitPrice > c.Lines[i].UnitPrice {
				lines[i].UnitPrice, lines[i].Available = c.Lines[i].UnitPrice, false
			}
		}
	}
	for i := range lines {
		before, now := c.Lines[i], lines[i]
		promise = promise || before.UnitPrice != now.UnitPrice || before.Available != now.Available
		before.Version = now.Version // of the product, which may have changed in what no cart shows
		shown = shown || before != now
	}
	c.Lines = lines
	return shown || promise, promise
}

// checkAvailable names the lines that can't be ordered.
func (c *Cart) checkAvailable() error {
	var fields []errs.Field
	for i := range c.Lines {
		if l := &c.Lines[i]; !l.Available {
			fields = append(fields, errs.Field{Pointer: "/items/" + l.SKU, Detail: "is not for sale any more"})
		}
	}
	if len(fields) > 0 {
		return ErrItemsUnavailable.With(fields...)
	}
	return nil
}

// Errors of a cart that is to be ordered.
var (
	ErrCartEmpty        = errs.New(errs.Unprocessable, "cart-empty", "the cart is empty; put something in it first")
	ErrPriceChanged     = errs.New(errs.Conflict, "price-changed", "a price has changed; read the cart again")
	ErrItemsUnavailable = errs.New(errs.Conflict, "items-unavailable", "items of the cart are not for sale any more; remove them")
)
