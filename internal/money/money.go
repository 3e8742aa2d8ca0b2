// Package money has amounts of money: an integer of minor units and an ISO 4217
// currency, never a float.
package money

import (
	"fmt"
	"strconv"

	"github.com/bojanz/currency"

	"souk/internal/errs"
)

// MaxMinor is the largest magnitude of an amount: 2^53-1, the largest integer
// that every JSON reader keeps exactly (RFC 8259, section 6).
const MaxMinor = 1<<53 - 1

// Amount is an amount of money. The zero Amount has no currency and is invalid.
type Amount struct {
	Minor    int64  `json:"amount"`   // in the currency's minor unit: 1290 is EUR 12.90; negative means owed the other way
	Currency string `json:"currency"` // ISO 4217, upper case, in circulation
}

// New makes a valid amount, or says what is wrong (errs.Unprocessable).
func New(minor int64, code string) (Amount, error) {
	a := Amount{Minor: minor, Currency: code}
	return a, a.Validate()
}

// Validate reports an unknown currency or an amount out of range
// (errs.Unprocessable, with a field relative to the amount).
func (a Amount) Validate() error {
	if err := ValidCurrency(a.Currency); err != nil {
		return err
	}
	if a.Minor > MaxMinor || a.Minor < -MaxMinor {
		return outOfRange()
	}
	return nil
}

// ValidCurrency accepts the code of a currency in circulation, in upper case.
// Codes for metals, tests and "no currency" (XAU, XTS, XXX) are refused, and so
// are withdrawn ones (DEM).
func ValidCurrency(code string) error {
	if code == "" || !currency.IsValid(code) { // the library calls "" valid
		return errs.New(errs.Unprocessable, "bad-currency", "the currency must be an ISO 4217 code in upper case, such as EUR").
			With(errs.Field{Pointer: "/currency", Detail: "must be an ISO 4217 code in upper case"})
	}
	return nil
}

// Add returns a+b. It fails on different currencies and on overflow.
func (a Amount) Add(b Amount) (Amount, error) {
	if a.Currency != b.Currency {
		return Amount{}, mismatch()
	}
	// Both are checked first, so that the sum cannot wrap around.
	if err := a.Validate(); err != nil {
		return Amount{}, err
	}
	if err := b.Validate(); err != nil {
		return Amount{}, err
	}
	return New(a.Minor+b.Minor, a.Currency)
}

// Sub returns a-b. It fails on different currencies and on overflow.
func (a Amount) Sub(b Amount) (Amount, error) {
	if b.Minor < -MaxMinor {
		return Amount{}, outOfRange() // -b could wrap around
	}
	b.Minor = -b.Minor
	return a.Add(b)
}

// Mul returns a times n, as in price times quantity. It fails on overflow.
func (a Amount) Mul(n int64) (Amount, error) {
	if err := a.Validate(); err != nil {
		return Amount{}, err
	}
	if a.Minor == 0 || n == 0 {
		return Amount{Currency: a.Currency}, nil
	}
	product := a.Minor * n
	// |a.Minor| < 2^53, so dividing back never meets the one quotient that wraps.
	if product/a.Minor != n || n < -MaxMinor || n > MaxMinor {
		return Amount{}, outOfRange()
	}
	return New(product, a.Currency)
}

// Cmp is -1, 0 or 1 as a is less than, equal to or more than b. It fails on
// different currencies.
func (a Amount) Cmp(b Amount) (int, error) {
	switch {
	case a.Currency != b.Currency:
		return 0, mismatch()
	case a.Minor < b.Minor:
		return -1, nil
	case a.Minor > b.Minor:
		return 1, nil
	}
	return 0, nil
}

// String is for people and logs: "EUR 12.90", "JPY 500", "KWD -0.001". The
// number of decimals is ISO 4217's; an unknown currency is shown in minor units.
func (a Amount) String() string {
	digits, known := currency.GetDigits(a.Currency)
	if !known {
		return fmt.Sprintf("%s %d minor", a.Currency, a.Minor)
	}
	if digits == 0 {
		return a.Currency + " " + strconv.FormatInt(a.Minor, 10)
	}
	sign, rest := "", uint64(a.Minor)
	if a.Minor < 0 {
		sign, rest = "-", -rest
	}
	text := fmt.Sprintf("%0*d", int(digits)+1, rest)
	cut := len(text) - int(digits)
	return a.Currency + " " + sign + text[:cut] + "." + text[cut:]
}

func mismatch() error {
	return errs.New(errs.Unprocessable, "currency-mismatch", "the amounts must be in one currency").
		With(errs.Field{Pointer: "/currency", Detail: "must be the same in all amounts"})
}

func outOfRange() error {
	return errs.New(errs.Unprocessable, "amount-out-of-range", "the amount must be between -(2^53-1) and 2^53-1 minor units").
		With(errs.Field{Pointer: "/amount", Detail: "must be an integer between -(2^53-1) and 2^53-1"})
}
