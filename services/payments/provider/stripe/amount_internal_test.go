package stripe

import (
	"testing"

	"souk/internal/money"
)

func TestAmountsAreInStripesUnit(t *testing.T) {
	for _, test := range []struct {
		currency string
		minor    int64
		want     int64 // 0: Stripe can't charge it
	}{
		{"EUR", 1290, 1290}, {"JPY", 500, 500}, {"ISK", 500, 50_000}, {"UGX", 1, 100}, {"KWD", 1230, 1230}, {"KWD", 1234, 0},
		{"MGA", 500, 5}, {"MGA", 550, 0}, {"EUR", 0, 0}, {"EUR", -1, 0}, {"ISK", money.MaxMinor, 0},
	} {
		got, ok := minor(money.Amount{Minor: test.minor, Currency: test.currency})
		if got != test.want || ok != (test.want != 0) {
			t.Errorf("%d %s is %d, %v; want %d", test.minor, test.currency, got, ok, test.want)
		}
		if ok && ours(got, test.currency) != test.minor {
			t.Errorf("%d %s comes back as %d", test.minor, test.currency, ours(got, test.currency))
		}
	}
}
