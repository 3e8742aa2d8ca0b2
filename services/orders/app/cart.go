package app

import (
	"crypto/sha256"
	"crypto/subtle"
	"slices"
	"time"

	"github.com/google/uuid"

	"souk/internal/errs"
	"souk/internal/money"
)

// Limits of a cart.
const (
	MaxLines    = 100
	MaxQuantity = 999 // of one line
)

// Cart is what somebody may order. Its lines have the prices that this version was shown with, so that a version is a
// promise: another price is another version.
type Cart struct {
	ID         uuid.UUID
	Version    int64     // from 1, one more with whatever a client would see differently
	User       uuid.UUID // Nil: anonymous, whoever has the token
	TokenHash  []byte    // SHA-256 of the token; nil: it never was anonymous
	Currency   string    // of all lines; empty until the client says it or there is a line
	Lines      []CartLine
	Order      uuid.UUID // Nil: open
	MergedInto uuid.UUID // Nil, or the cart that its lines went to: then it is there for nobody
	ExpiresAt  time.Time
}

// CartLine is an item of a cart.
type CartLine struct {
	SKU       string    `json:"sku"`
	ProductID uuid.UUID `json:"product"`
	Version   int64     `json:"version"` // of the product, at least: prices of earlier ones are out of date
	Name      string    `json:"name"`
	Quantity  int64     `json:"quantity"`
	UnitPrice int64     `json:"price"` // minor units of the cart's currency
	Available bool      `json:"available"`
}

// Errors of carts.
var (
	ErrCartNotFound = errs.New(errs.NotFound, "cart-not-found", "there is no cart with this id, or it is not yours")
	ErrCartOrdered  = errs.New(errs.Conflict, "cart-ordered", "the cart has been ordered; open another one")
	ErrCartChanged  = errs.New(errs.Conflict, "cart-changed", "the cart has changed since that version; read it again")
	ErrCartStale    = errs.New(errs.PreconditionFailed, "stale-version", "the cart has changed since you read it; read it again").
			With(errs.Field{Pointer: "header:If-Match", Detail: "is not the current version"})
	ErrCartFull     = errs.New(errs.Unprocessable, "cart-full", "a cart has at most %d different items", MaxLines)
	ErrCartTotal    = errs.New(errs.Unprocessable, "total-too-large", "the cart's total would be more than Souk can count")
	ErrNotInCart    = errs.New(errs.NotFound, "item-not-found", "the cart has no item with this SKU")
	ErrNotMergeable = errs.New(errs.NotFound, "cart-not-found", "there is no cart with this id and Cart-Token")
)

// Visitor is who asks: a user, whoever has a cart's token, or both.
type Visitor struct {
	User  uuid.UUID // Nil: not logged in
	Token string    // of an anonymous cart; "" for none
}

// HashToken is what is kept of a cart's token: it has 256 random bits, so nothing slower is needed.
func HashToken(token string) []byte {
	sum := sha256.Sum256([]byte(token))
	return sum[:]
}

// holds tells whether v has the token that the cart was made with.
func (c *Cart) holds(v Visitor) bool {
	return len(c.TokenHash) > 0 && v.Token != "" && subtle.ConstantTimeCompare(HashToken(v.Token), c.TokenHash) == 1
}

// CheckVisitor is ErrCartNotFound for everybody but the owner: the user whose cart it is, or who has its token as long as
// it is nobody's.
func (c *Cart) CheckVisitor(v Visitor, now time.Time) error {
	switch {
	case c.MergedInto != uuid.Nil, !now.Before(c.ExpiresAt):
	case c.User != uuid.Nil && c.User == v.User:
		return nil
	case c.User == uuid.Nil && c.holds(v):
		return nil
	}
	return ErrCartNotFound
}

// CheckOpen is ErrCartOrdered if the cart can't be changed any more.
func (c *Cart) CheckOpen() error {
	if c.Order != uuid.Nil {
		return ErrCartOrdered
	}
	return nil
}

// Put sets the quantity of what p is the price of. The quantity that it has already makes no new version.
func (c *Cart) Put(p Price, quantity int64) error {
	if err := c.CheckOpen(); err != nil {
		return err
	}
	if err := CheckQuantity("/quantity", quantity); err != nil {
		return err
	}
	if !p.Active {
		return ErrUnknownSKU
	}
	if c.Currency != "" && c.Currency != p.Price.Currency {
		return ErrCurrencyMismatch
	}
	line := CartLine{SKU: p.SKU, ProductID: p.ProductID, Version: p.Version, Name: p.Name, Quantity: quantity, UnitPrice: p.Price.Minor, Available: true}
	lines := slices.Clone(c.Lines)
	i := c.find(p.SKU)
	switch {
	case i >= 0 && lines[i] == line:
		return nil
	case i >= 0:
		lines[i] = line
	case len(lines) == MaxLines:
		return ErrCartFull
	default:
		lines = append(lines, line)
	}
	if !countable(lines) {
		return ErrCartTotal
	}
	c.Currency, c.Lines = p.Price.Currency, lines
	c.Version++
	return nil
}

// Remove takes a line out.
func (c *Cart) Remove(sku string) error {
	if err := c.CheckOpen(); err != nil {
		return err
	}
	i := c.find(sku)
	if i < 0 {
		return ErrNotInCart
	}
	c.Lines = slices.Delete(slices.Clone(c.Lines), i, i+1)
	c.Version++
	return nil
}

// CheckQuantity of a line.
func CheckQuantity(pointer string, quantity int64) error {
	if quantity < 1 || quantity > MaxQuantity {
		return errs.New(errs.Unprocessable, "invalid-quantity", "the quantity must be 1 to %d", MaxQuantity).
			With(errs.Field{Pointer: pointer, Detail: "must be 1 to 999"})
	}
	return nil
}

func (c *Cart) find(sku string) int {
	return slices.IndexFunc(c.Lines, func(l CartLine) bool { return l.SKU == sku })
}

// SKUs of the lines.
func (c *Cart) SKUs() []string {
	skus := make([]string, len(c.Lines))
	for i := range c.Lines {
		skus[i] = c.Lines[i].SKU
	}
	return skus
}

// LineTotal is what line i costs.
func (c *Cart) LineTotal(i int) money.Amount {
	return money.Amount{Minor: c.Lines[i].UnitPrice * c.Lines[i].Quantity, Currency: c.Currency}
}

// Total of the lines. It can't overflow: no move lets it.
func (c *Cart) Total() money.Amount {
	sum := money.Amount{Currency: c.Currency}
	for i := range c.Lines {
		sum.Minor += c.Lines[i].UnitPrice * c.Lines[i].Quantity
	}
	return sum
}

// countable tells whether the total is an amount. Neither product nor sum can wrap around: a price is at most 2^53, a
// quantity less than 2^10, and the sum is looked at after each line.
func countable(lines []CartLine) bool {
	var sum int64
	for i := range lines {
		sum += lines[i].UnitPrice * lines[i].Quantity
		if sum > money.MaxMinor {
			return false
		}
	}
	return true
}
