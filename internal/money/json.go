package money

import (
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"souk/internal/errs"
)

// UnmarshalJSONFrom reads {"amount":1290,"currency":"EUR"}. Both members must be
// there (a missing price is not a price of 0); the amount is an integer literal
// without fraction or exponent within ±(2^53-1).
func (a *Amount) UnmarshalJSONFrom(dec *jsontext.Decoder) error {
	var wire struct {
		Minor    *int64  `json:"amount"`
		Currency *string `json:"currency"`
	}
	if err := json.UnmarshalDecode(dec, &wire); err != nil {
		return err
	}
	switch {
	case wire.Minor == nil:
		return missing("/amount", "must be an integer in the currency's minor unit")
	case wire.Currency == nil:
		return missing("/currency", "must be an ISO 4217 code in upper case")
	}
	read := Amount{Minor: *wire.Minor, Currency: *wire.Currency}
	if err := read.Validate(); err != nil {
		return err
	}
	*a = read
	return nil
}

// UnmarshalJSON is UnmarshalJSONFrom for encoding/json.
func (a *Amount) UnmarshalJSON(data []byte) error {
	return json.Unmarshal(data, a, json.RejectUnknownMembers(true))
}

func missing(pointer, detail string) error {
	return errs.New(errs.Invalid, "bad-amount", "money must be an object with amount and currency").
		With(errs.Field{Pointer: pointer, Detail: detail})
}
