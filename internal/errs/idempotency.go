package errs

import "time"

// The outcomes of a request with an Idempotency-Key that is known already
// (draft-ietf-httpapi-idempotency-key-header, section 2.7). Every store of keys
// returns these, so that all services answer alike.

// IdempotencyKeyReused: the key came before with another method, path or body.
func IdempotencyKeyReused() *Error {
	return New(Unprocessable, "idempotency-key-reused",
		"this Idempotency-Key was used for another request; use a new key for a new request").
		With(Field{Pointer: "header:Idempotency-Key", Detail: "already used with another method, path or body"})
}

// IdempotencyInFlight: the first request with the key has not ended yet.
func IdempotencyInFlight() *Error {
	return New(Conflict, "idempotency-in-flight",
		"the first request with this Idempotency-Key is still being worked on; repeat it later to get its answer").
		After(time.Second)
}
