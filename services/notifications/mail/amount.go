package mail

import (
	"github.com/bojanz/currency"

	"souk/internal/money"
)

// amount is money as the language writes it: €12.90, 12,90 €. What is no valid amount is shown as money.Amount does.
func amount(lang string, a money.Amount) string {
	if a.Validate() != nil {
		return a.String()
	}
	minor, err := currency.NewAmountFromInt64(a.Minor, a.Currency)
	if err != nil {
		return a.String()
	}
	return currency.NewFormatter(currency.NewLocale(lang)).Format(minor)
}
