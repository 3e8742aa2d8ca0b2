package app

import (
	"context"

	"github.com/google/uuid"
)

// CartStore keeps carts. Each method is one transaction. Failures of the database are errs.Unavailable. Prices are those
// of the projection.
type CartStore interface {
	PriceStore
	// InsertCart adds a cart.
	InsertCart(ctx context.Context, cart Cart) error
	// Cart by id, or ErrCartNotFound.
	Cart(ctx context.Context, id uuid.UUID) (Cart, error)
	// CartAndPrices is Cart with the prices of its lines.
	CartAndPrices(ctx context.Context, id uuid.UUID) (Cart, map[string]Price, error)
	// CartsOf a user, newest first: at most limit of those older than before, with the prices of all of them.
	CartsOf(ctx context.Context, filter CartFilter) ([]Cart, map[string]Price, error)
	// SaveCart stores what has become of a version, unless that is not the stored one any more.
	SaveCart(ctx context.Context, cart Cart, from int64) (saved bool, err error)
	// ChangeCart stores what change makes of a cart that nobody else changes meanwhile, unless it returns an error. change
	// gets the prices of the cart's lines and of skus; it may be called again, with the cart as it is then.
	ChangeCart(ctx context.Context, id uuid.UUID, skus []string, change func(*Cart, map[string]Price) error) (Cart, error)
	// DeleteCart deletes one that check lets go.
	DeleteCart(ctx context.Context, id uuid.UUID, check func(*Cart, map[string]Price) error) error
	// MergeCart calls merge with a cart and with the user's newest open one of the same currency, or the one it was merged
	// into; into is nil if there is none. It stores what becomes of both.
	MergeCart(ctx context.Context, id, user uuid.UUID, merge func(from, into *Cart) (*Cart, error)) (Cart, map[string]Price, error)
}

// CartFilter says which carts of a user are listed.
type CartFilter struct {
	User   uuid.UUID
	Status CartStatus // "" for all
	Before uuid.UUID  // Nil: from the newest
	Limit  int
}

// CartStatus says whether a cart can still be changed.
type CartStatus string

// The states of a cart.
const (
	CartOpen    CartStatus = "open"
	CartOrdered CartStatus = "ordered"
)

// Status of the cart.
func (c *Cart) Status() CartStatus {
	if c.Order != uuid.Nil {
		return CartOrdered
	}
	return CartOpen
}
