package stripe

import "souk/internal/money"

// noAmount is the reason of a refusal: Stripe's unit can't express the amount.
const noAmount = "amount_not_supported"

// minor is an amount in Stripe's unit, which is ISO 4217's minor unit except for currencies that lost theirs or that have
// one nobody uses (https://docs.stripe.com/currencies). ok is false if it can't be expressed.
func minor(a money.Amount) (amount int64, ok bool) {
	switch {
	case a.Minor <= 0:
		return 0, false
	case hundredfold(a.Currency):
		if a.Minor > money.MaxMinor/100 {
			return 0, false
		}
		return a.Minor * 100, true
	case a.Currency == "MGA" && a.Minor%100 == 0:
		return a.Minor / 100, true
	case a.Currency == "MGA", thousandths(a.Currency) && a.Minor%10 != 0:
		return 0, false
	}
	return a.Minor, true
}

// ours is the reverse of minor.
func ours(amount int64, currency string) int64 {
	switch {
	case hundredfold(currency):
		return amount / 100
	case currency == "MGA":
		return amount * 100
	}
	return amount
}

// hundredfold currencies have no minor unit any more, which Stripe passes over.
func hundredfold(currency string) bool { return currency == "ISK" || currency == "UGX" }

// thousandths of these can't be charged, only hundredths.
func thousandths(currency string) bool {
	switch currency {
	case "BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND":
		return true
	}
	return false
}
