package money

import (
	"encoding/json"
	"errors"
	"math"
	"math/big"
	"testing"

	jsonv2 "github.com/go-json-experiment/json"

	"souk/internal/errs"
)

func eur(minor int64) Amount { return Amount{Minor: minor, Currency: "EUR"} }

func wantCode(t *testing.T, err error, code string) {
	t.Helper()
	if e := (*errs.Error)(nil); !errors.As(err, &e) || e.Code != code || len(e.Fields) != 1 {
		t.Errorf("got %v, want %s", err, code)
	}
}

func TestOnlyCurrenciesInCirculationAreMoney(t *testing.T) {
	for _, code := range []string{"EUR", "USD", "JPY", "KWD", "CLF", "VES", "SLE"} {
		if _, err := New(1, code); err != nil {
			t.Errorf("%s: %v", code, err)
		}
	}
	for _, code := range []string{"", "eur", "Eur", "EU", "EURO", "ZZZ", "XXX", "XTS", "XAU", "DEM", "€", "EUR ", "EU\x00", "978"} {
		_, err := New(1, code)
		wantCode(t, err, "bad-currency")
	}
}

func TestArithmeticIsExactOrRefused(t *testing.T) {
	if got, err := eur(1290).Add(eur(-90)); err != nil || got != eur(1200) {
		t.Error(got, err)
	}
	if got, err := eur(1290).Sub(eur(1300)); err != nil || got != eur(-10) {
		t.Error(got, err)
	}
	if got, err := eur(1290).Mul(3); err != nil || got != eur(3870) {
		t.Error(got, err)
	}
	if got, err := eur(0).Mul(math.MinInt64); err != nil || got != eur(0) {
		t.Error(got, err)
	}
	for _, f := range []func() (Amount, error){
		func() (Amount, error) { return New(MaxMinor+1, "EUR") },
		func() (Amount, error) { return New(-MaxMinor-1, "EUR") },
		func() (Amount, error) { return New(math.MinInt64, "EUR") },
		func() (Amount, error) { return eur(MaxMinor).Add(eur(1)) },
		func() (Amount, error) { return eur(-MaxMinor).Sub(eur(1)) },
		func() (Amount, error) { return eur(math.MaxInt64).Add(eur(math.MaxInt64)) },
		func() (Amount, error) { return eur(math.MinInt64).Add(eur(math.MinInt64)) },
		func() (Amount, error) { return eur(0).Sub(eur(math.MinInt64)) },
		func() (Amount, error) { return eur(MaxMinor).Mul(2) },
		func() (Amount, error) { return eur(MaxMinor).Mul(math.MaxInt64) },
		func() (Amount, error) { return eur(1).Mul(math.MinInt64) },
		func() (Amount, error) { return eur(-1).Mul(math.MinInt64) },
		func() (Amount, error) { return eur(math.MinInt64).Mul(-1) },
		func() (Amount, error) { return eur(1 << 32).Mul(1 << 32) },
	} {
		_, err := f()
		wantCode(t, err, "amount-out-of-range")
	}
	usd := Amount{Minor: 1, Currency: "USD"}
	_, err := eur(1).Add(usd)
	wantCode(t, err, "currency-mismatch")
	_, err = eur(1).Sub(usd)
	wantCode(t, err, "currency-mismatch")
	_, err = eur(1).Cmp(usd)
	wantCode(t, err, "currency-mismatch")
	_, err = Amount{}.Add(Amount{})
	wantCode(t, err, "bad-currency")
	for b, want := range map[int64]int{4: 1, 5: 0, 6: -1} {
		if got, err := eur(5).Cmp(eur(b)); got != want || err != nil {
			t.Error(b, got, err)
		}
	}
}

func TestTextHasTheCurrencysDecimals(t *testing.T) {
	for a, want := range map[Amount]string{
		eur(1290): "EUR 12.90", eur(-5): "EUR -0.05", eur(0): "EUR 0.00", {500, "JPY"}: "JPY 500", {-500, "JPY"}: "JPY -500", {-1, "KWD"}: "KWD -0.001",
		{1234567, "CLF"}: "CLF 123.4567", {7, "ZZZ"}: "ZZZ 7 minor", {math.MinInt64, "EUR"}: "EUR -92233720368547758.08",
	} {
		if got := a.String(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestJSONTakesIntegersOnlyAndBothMembers(t *testing.T) {
	decoders := map[string]func([]byte, any) error{
		"v1": json.Unmarshal,
		"v2": func(data []byte, v any) error {
			return jsonv2.Unmarshal(data, v, jsonv2.RejectUnknownMembers(true))
		},
	}
	for name, decode := range decoders {
		var a Amount
		if err := decode([]byte(`{"currency":"EUR","amount":-9007199254740991}`), &a); err != nil || a != eur(-MaxMinor) {
			t.Errorf("%s: %v, %v", name, a, err)
		}
		for _, bad := range []string{
			`{"amount":1.5,"currency":"EUR"}`, `{"amount":1.0,"currency":"EUR"}`, `{"amount":1e2,"currency":"EUR"}`, `{"amount":"1","currency":"EUR"}`,
			`{"amount":9007199254740992,"currency":"EUR"}`, `{"amount":9223372036854775808,"currency":"EUR"}`, `{"amount":1e400,"currency":"EUR"}`,
			`{"amount":null,"currency":"EUR"}`, `{"amount":1,"currency":null}`, `{"amount":1}`, `{"currency":"EUR"}`, `{}`, `12.90`, `"EUR 1"`, `[]`,
			`{"amount":1,"currency":"eur"}`, `{"amount":1,"currency":"EUR","x":1}`, `{"Amount":1,"currency":"EUR"}`, `{"amount":1,"amount":2,"currency":"EUR"}`,
		} {
			a := eur(7)
			if err := decode([]byte(bad), &a); err == nil || a != eur(7) {
				t.Errorf("%s: %s became %v, %v", name, bad, a, err)
			}
		}
	}
	if text, err := json.Marshal(eur(1290)); err != nil || string(text) != `{"amount":1290,"currency":"EUR"}` {
		t.Errorf("%s, %v", text, err)
	}
}

func FuzzArithmetic(f *testing.F) {
	for _, n := range []int64{0, 1, -1, MaxMinor, -MaxMinor, math.MaxInt64, math.MinInt64, 1 << 32} {
		f.Add(n, n)
		f.Add(n, int64(3))
	}
	f.Fuzz(func(t *testing.T, a, b int64) {
		x, y := big.NewInt(a), big.NewInt(b)
		limit := big.NewInt(MaxMinor)
		check := func(name string, got Amount, err error, want *big.Int, inputs ...*big.Int) {
			fits := want.CmpAbs(limit) <= 0
			for _, in := range inputs {
				fits = fits && in.CmpAbs(limit) <= 0
			}
			if fits != (err == nil) || fits && got != eur(want.Int64()) {
				t.Errorf("%d %s %d = %v, %v; want %d", a, name, b, got, err, want)
			}
		}
		sum, err := eur(a).Add(eur(b))
		check("+", sum, err, new(big.Int).Add(x, y), x, y)
		diff, err := eur(a).Sub(eur(b))
		check("-", diff, err, new(big.Int).Sub(x, y), x, y)
		if a != 0 {
			product, err := eur(a).Mul(b)
			check("*", product, err, new(big.Int).Mul(x, y), x)
		}
	})
}

func FuzzJSON(f *testing.F) {
	for _, seed := range []string{`{"amount":1,"currency":"EUR"}`, `{"amount":1e3,"currency":"EUR"}`, `null`, `{"amount":-0,"currency":"JPY"}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var a Amount
		if json.Unmarshal(data, &a) != nil {
			return
		}
		if err := a.Validate(); err != nil {
			t.Errorf("%q became %v: %v", data, a, err)
		}
	})
}
