package app

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"souk/internal/errs"
	"souk/internal/money"
)

// ForOrder is the cart in the version that its user has seen, with the catalogue's prices of now, which are the same. If
// one is not, or something is not for sale any more, the cart becomes a new version that shows it, and the error is
// ErrPriceChanged or ErrItemsUnavailable. Others: ErrCartNotFound, ErrCartOrdered, ErrCartChanged, ErrCartEmpty, and
// errs.Unavailable when the catalogue can't be asked.
func (c *Carts) ForOrder(ctx context.Context, user, id uuid.UUID, version int64) (Cart, error) {
	cart, err := c.store.Cart(ctx, id)
	if err != nil {
		return Cart{}, err
	}
	if err := cart.CheckVisitor(Visitor{User: user}, c.now()); err != nil {
		return Cart{}, err
	}
	if err := cart.CheckOpen(); err != nil {
		return Cart{}, err
	}
	if cart.Version != version {
		return Cart{}, ErrCartChanged.With(errs.Field{Pointer: "/cart_version", Detail: fmt.Sprintf("is not the current version, %d", cart.Version)})
	}
	if len(cart.Lines) == 0 {
		return Cart{}, ErrCartEmpty
	}
	prices, err := c.prices.Prices(ctx, cart.SKUs())
	if err != nil {
		return Cart{}, err
	}
	seen := cart.Total()
	if _, promise := cart.reprice(prices, true); promise {
		cart.Version++
		saved, err := c.store.SaveCart(ctx, cart, version)
		if err != nil {
			return Cart{}, err
		}
		if !saved {
			return Cart{}, ErrCartChanged
		}
		if err := cart.checkAvailable(); err != nil {
			return Cart{}, err
		}
		return Cart{}, priceChanged(seen, cart.Total())
	}
	return cart, cart.checkAvailable()
}

func priceChanged(from, to money.Amount) error {
	e := *ErrPriceChanged
	e.Detail = fmt.Sprintf("a price has changed: the total is %s now, not %s; read the cart again", to, from)
	return &e
}
