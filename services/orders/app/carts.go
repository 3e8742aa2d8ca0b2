package app

import (
	"context"
	"crypto/rand"
	"errors"
	"slices"
	"time"

	"github.com/google/uuid"

	"souk/internal/errs"
)

// CartSettings may change while the service runs.
type CartSettings struct {
	Keep     time.Duration // how long a cart is kept after its last change
	Currency string        // of an empty cart whose currency nobody has said
}

// DefaultCartSettings suit development.
func DefaultCartSettings() CartSettings {
	return CartSettings{Keep: 30 * 24 * time.Hour, Currency: "EUR"}
}

// Carts has the use cases. It is safe for concurrent use.
type Carts struct {
	store    CartStore
	prices   Prices
	settings func() CartSettings
	now      func() time.Time
}

// NewCarts makes the use cases on a store; prices is the catalogue, settings is asked on each use.
func NewCarts(store CartStore, prices Prices, settings func() CartSettings) *Carts {
	return &Carts{store: store, prices: prices, settings: settings, now: time.Now}
}

// Settings in force now.
func (c *Carts) Settings() CartSettings { return c.settings() }

// Item that is asked for.
type Item struct {
	SKU      string
	Quantity int64
}

// Create makes a cart of the user, or an anonymous one and its token. The currency may be "": that of the items.
func (c *Carts) Create(ctx context.Context, user uuid.UUID, currency string, items []Item) (cart Cart, token string, err error) {
	if cart, err = newCart(user, currency, items, c.now().Add(c.settings().Keep)); err != nil {
		return Cart{}, "", err
	}
	if user == uuid.Nil {
		token = rand.Text() + rand.Text() // 256 bits
		cart.TokenHash = HashToken(token)
	}
	if len(items) > 0 {
		prices, err := c.store.PricesOf(ctx, cart.SKUs())
		if err != nil {
			return Cart{}, "", err
		}
		if _, err := c.learn(ctx, cart.SKUs(), prices); err != nil {
			return Cart{}, "", err
		}
		if err := cart.fill(prices); err != nil {
			return Cart{}, "", err
		}
	}
	return cart, token, c.store.InsertCart(ctx, cart)
}

// learn asks the catalogue for what the projection does not know, or not as being for sale: it may not have heard of it
// yet. It reports whether there was news.
func (c *Carts) learn(ctx context.Context, skus []string, known map[string]Price) (news bool, err error) {
	missing := slices.DeleteFunc(skus, func(sku string) bool { return known[sku].Active })
	if len(missing) == 0 {
		return false, nil
	}
	answer, err := c.prices.Prices(ctx, missing)
	if err != nil {
		return false, err
	}
	var found []Price
	for _, p := range answer {
		if p.Active {
			found = append(found, p)
			known[p.SKU] = p
		}
	}
	if len(found) == 0 {
		return false, nil
	}
	return true, c.store.SavePrices(ctx, found)
}

// Cart that v may see, with the prices of now.
func (c *Carts) Cart(ctx context.Context, v Visitor, id uuid.UUID) (Cart, error) {
	cart, prices, err := c.store.CartAndPrices(ctx, id)
	if err != nil {
		return Cart{}, err
	}
	if err := cart.CheckVisitor(v, c.now()); err != nil {
		return Cart{}, err
	}
	return c.refreshed(ctx, cart, prices)
}

// maxRefreshes bounds how often a cart is read again that somebody else changes meanwhile.
const maxRefreshes = 5

// refreshed stores what prices have changed, so that a version is always the same cart.
func (c *Carts) refreshed(ctx context.Context, cart Cart, prices map[string]Price) (Cart, error) {
	for range maxRefreshes {
		from := cart.Version
		if !cart.Refresh(prices) {
			return cart, nil
		}
		saved, err := c.store.SaveCart(ctx, cart, from)
		if err != nil || saved {
			return cart, err
		}
		if cart, prices, err = c.store.CartAndPrices(ctx, cart.ID); err != nil {
			return Cart{}, err
		}
	}
	return Cart{}, errs.New(errs.Unavailable, "cart-busy", "the cart changes too fast to be read; try again").After(time.Second)
}

// CartPage is a page of carts.
type CartPage struct {
	Carts []Cart
	More  bool // there are older ones
}

// List the carts of a user, the newest first.
func (c *Carts) List(ctx context.Context, f CartFilter) (CartPage, error) {
	limit := f.Limit
	f.Limit++ // one more tells whether there is a next page
	carts, prices, err := c.store.CartsOf(ctx, f)
	if err != nil {
		return CartPage{}, err
	}
	page := CartPage{More: len(carts) > limit}
	for _, cart := range carts[:min(limit, len(carts))] {
		if cart, err = c.refreshed(ctx, cart, prices); err != nil {
			return CartPage{}, err
		}
		page.Carts = append(page.Carts, cart)
	}
	return page, nil
}

// Allows says whether a change may be made of a version: If-Match. nil is any.
type Allows func(version int64) bool

// Put sets the quantity of an item, which is added if it is not there yet.
func (c *Carts) Put(ctx context.Context, v Visitor, id uuid.UUID, allows Allows, item Item) (Cart, error) {
	if !skuPattern.MatchString(item.SKU) {
		return Cart{}, ErrUnknownSKU
	}
	if err := CheckQuantity("/quantity", item.Quantity); err != nil {
		return Cart{}, err
	}
	var known map[string]Price
	put := func() (Cart, error) {
		return c.change(ctx, v, id, allows, []string{item.SKU}, func(cart *Cart, prices map[string]Price) error {
			known = prices
			p, ok := prices[item.SKU]
			if !ok || !p.Active {
				return ErrUnknownSKU
			}
			return cart.Put(p, item.Quantity)
		})
	}
	cart, err := put()
	if !errors.Is(err, ErrUnknownSKU) {
		return cart, err
	}
	// Nobody but who may change the cart gets this far, so strangers can't have the catalogue asked.
	news, learnErr := c.learn(ctx, []string{item.SKU}, known)
	if learnErr != nil {
		return Cart{}, learnErr
	}
	if news {
		return put()
	}
	return Cart{}, err
}

// Remove an item.
func (c *Carts) Remove(ctx context.Context, v Visitor, id uuid.UUID, allows Allows, sku string) (Cart, error) {
	return c.change(ctx, v, id, allows, nil, func(cart *Cart, _ map[string]Price) error { return cart.Remove(sku) })
}

func (c *Carts) change(ctx context.Context, v Visitor, id uuid.UUID, allows Allows, skus []string, change func(*Cart, map[string]Price) error) (Cart, error) {
	return c.store.ChangeCart(ctx, id, skus, func(cart *Cart, prices map[string]Price) error {
		if err := c.admit(cart, prices, v, allows); err != nil {
			return err
		}
		before := cart.Version
		if err := change(cart, prices); err != nil {
			return err
		}
		if cart.Version != before {
			cart.ExpiresAt = c.now().Add(c.settings().Keep).UTC().Truncate(time.Millisecond)
		}
		return nil
	})
}

// admit refuses who may not change the cart, or has not seen it as it is.
func (c *Carts) admit(cart *Cart, prices map[string]Price, v Visitor, allows Allows) error {
	if err := cart.CheckVisitor(v, c.now()); err != nil {
		return err
	}
	if err := cart.CheckOpen(); err != nil {
		return err
	}
	cart.Refresh(prices)
	if allows != nil && !allows(cart.Version) {
		return ErrCartStale
	}
	return nil
}

// Delete a cart that has not been ordered.
func (c *Carts) Delete(ctx context.Context, v Visitor, id uuid.UUID, allows Allows) error {
	return c.store.DeleteCart(ctx, id, func(cart *Cart, prices map[string]Price) error { return c.admit(cart, prices, v, allows) })
}

// Merge gives a user who has logged in what is in the anonymous cart that v.Token opens. See the function Merge.
func (c *Carts) Merge(ctx context.Context, v Visitor, id uuid.UUID) (Cart, error) {
	cart, prices, err := c.store.MergeCart(ctx, id, v.User, func(from, into *Cart) (*Cart, error) {
		before := from.User
		merged, err := Merge(from, into, v, c.now())
		if err == nil && before == uuid.Nil {
			merged.ExpiresAt = c.now().Add(c.settings().Keep).UTC().Truncate(time.Millisecond)
		}
		return merged, err
	})
	if err != nil {
		return Cart{}, err
	}
	return c.refreshed(ctx, cart, prices)
}
