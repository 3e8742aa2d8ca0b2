package tokens

import (
	"time"

	"souk/internal/errs"
)

// reason is why a token was refused, as metrics and logs tell it.
type reason string

const (
	badShape     reason = "malformed"
	badHeader    reason = "header"
	badKey       reason = "unknown_key"
	badSignature reason = "signature"
	badClaims    reason = "claims"
	isExpired    reason = "expired"
	isEarly      reason = "early"
	isRevoked    reason = "revoked"
	noKeys       reason = "no_keys"
)

var reasons = []reason{badShape, badHeader, badKey, badSignature, badClaims, isExpired, isEarly, isRevoked, noKeys}

// refusals are what clients are told. Of a token that was never good they learn no more
// than that: which check failed helps only who made it.
func newRefusals() map[reason]*errs.Error {
	invalid := errs.New(errs.Unauthenticated, "invalid-token", "the access token is not one that is accepted here; get a new one")
	of := map[reason]*errs.Error{
		isExpired: errs.New(errs.Unauthenticated, "token-expired", "the access token has expired; use the refresh token, or log in again"),
		isRevoked: errs.New(errs.Unauthenticated, "token-revoked", "the access token has been revoked; log in again"),
		noKeys: errs.New(errs.Unavailable, "keys-unavailable", "tokens can't be checked at the moment; try again").
			After(2 * time.Second),
	}
	for _, r := range reasons {
		if of[r] == nil {
			of[r] = invalid
		}
	}
	return of
}

// refused carries the reason through golang-jwt, and its cause for the log.
type refused struct {
	reason reason
	detail string
}

func (r *refused) Error() string { return string(r.reason) + ": " + r.detail }
