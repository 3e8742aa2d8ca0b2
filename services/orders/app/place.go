package app

import (
	"regexp"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/uuid"

	"souk/internal/errs"
	"souk/internal/money"
)

// Placement is what a customer orders.
type Placement struct {
	User    uuid.UUID
	Cart    uuid.UUID
	Version int64 // of the cart, as the customer has seen it
	Method  string
	Address *Address // where to; nil: nowhere
}

// Address is where an order goes. It is kept apart from the order's events, and goes with the user's account.
type Address struct {
	Name       string `json:"name"`
	Line1      string `json:"line1"`
	Line2      string `json:"line2,omitempty"`
	PostalCode string `json:"postal_code"`
	City       string `json:"city"`
	Region     string `json:"region,omitempty"`
	Country    string `json:"country"` // ISO 3166-1 alpha-2
}

// Errors of placements.
var (
	ErrOrderNotFound = errs.New(errs.NotFound, "order-not-found", "there is no order with this id")
	errBadPlacement  = errs.New(errs.Unprocessable, "invalid-order", "the order breaks a rule")
)

var (
	methodForm  = regexp.MustCompile(`^[a-z0-9_]{1,64}$`)
	countryForm = regexp.MustCompile(`^[A-Z]{2}$`)
)

// Validate returns what is wrong, all of it.
func (p Placement) Validate() error {
	var faults []errs.Field
	if p.Version < 1 {
		faults = append(faults, errs.Field{Pointer: "/cart_version", Detail: "the version of the cart that was shown, 1 or more"})
	}
	if !methodForm.MatchString(p.Method) {
		faults = append(faults, errs.Field{Pointer: "/payment_method", Detail: "1 to 64 of a-z, 0-9 and _"})
	}
	if p.Address != nil {
		faults = append(faults, p.Address.faults()...)
	}
	if len(faults) > 0 {
		return errBadPlacement.With(faults...)
	}
	return nil
}

func (a *Address) faults() (faults []errs.Field) {
	for _, part := range []struct {
		name, text string
		least      int
		most       int
	}{
		{"name", a.Name, 1, 100}, {"line1", a.Line1, 1, 100}, {"line2", a.Line2, 0, 100}, {"postal_code", a.PostalCode, 1, 16}, {"city", a.City, 1, 100},
		{"region", a.Region, 0, 100},
	} {
		if !oneLine(part.text, part.least, part.most) {
			faults = append(faults, errs.Field{Pointer: "/shipping_address/" + part.name, Detail: "one line of printable characters, without blanks at its ends; not too long"})
		}
	}
	if !countryForm.MatchString(a.Country) {
		faults = append(faults, errs.Field{Pointer: "/shipping_address/country", Detail: "two capital letters (ISO 3166-1)"})
	}
	return faults
}

// oneLine reports whether text is one line of least to most printable characters, without blanks at its ends.
func oneLine(text string, least, most int) bool {
	n := 0
	for _, r := range text {
		if n++; !unicode.IsPrint(r) {
			return false
		}
	}
	if n < least || n > most || !utf8.ValidString(text) {
		return false
	}
	return n == 0 || text[0] != ' ' && text[len(text)-1] != ' '
}

// Place makes the order of a cart that was checked, with the prices that the cart has.
func Place(number int64, cart Cart, p Placement, at time.Time, d Deadlines) (*Order, error) {
	if len(cart.Lines) == 0 {
		return nil, errBadPlacement.With(errs.Field{Pointer: "/cart_id", Detail: "the cart is empty"})
	}
	total := money.Amount{Currency: cart.Currency}
	lines := make([]Line, len(cart.Lines))
	for i, l := range cart.Lines {
		lines[i] = Line{SKU: l.SKU, ProductID: l.ProductID, Name: l.Name, Quantity: l.Quantity, UnitPrice: l.UnitPrice}
		of, err := money.Amount{Minor: l.UnitPrice, Currency: cart.Currency}.Mul(l.Quantity)
		if err == nil {
			total, err = total.Add(of)
		}
		if err != nil {
			return nil, err
		}
	}
	if total.Minor <= 0 {
		return nil, errBadPlacement.With(errs.Field{Pointer: "/cart_id", Detail: "there is nothing to pay"})
	}
	o := &Order{ID: newID()}
	o.step(at, d, func(record func(Fact)) {
		record(Placed{Number: number, User: p.User, Cart: cart.ID, Currency: cart.Currency, Lines: lines, Total: total.Minor, Method: p.Method})
	})
	return o, nil
}
