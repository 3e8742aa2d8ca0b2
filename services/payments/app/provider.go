package app

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/google/uuid"

	"souk/internal/errs"
	"souk/internal/money"
)

// Provider moves the money: a bank or a payment service. Each call is about one operation and may be made any number
// of times, also at once and from several instances: the provider knows the operation by Request.OperationID, does it
// once, and answers every repetition alike.
//
// A Result is the provider's definite answer. An error means that nobody knows the outcome (no answer, a fault on the
// way, "try again later"): the same call is made again. A refusal is no error.
type Provider interface {
	// Name is that in an intent's provider, in the path of its webhooks, and in the accounts of the ledger.
	Name() string
	// Authorise holds Amount on what Method stands for. Result: Authorised, Declined or Processing.
	Authorise(ctx context.Context, r Request) (Result, error)
	// Capture takes Amount of what Authorise holds and lets go of the rest. Result: Captured, Failed or Processing.
	Capture(ctx context.Context, r Request) (Result, error)
	// Void ends the authorisation of r.AuthoriseID, whatever has become of it, known to us (r.Reference) or not: nothing
	// is held when it answers Voided, and nothing ever will be, although an Authorise be still on its way. Failed:
	// it can't any more, because it is captured.
	Void(ctx context.Context, r Request) (Result, error)
	// Refund gives Amount of what was captured back. Result: Refunded, Failed or Processing.
	Refund(ctx context.Context, r Request) (Result, error)
	// Lookup tells the outcome of r's operation of that kind without doing it. ErrUnknownOperation: it never arrived.
	Lookup(ctx context.Context, kind Kind, r Request) (Result, error)
	// Totals are what the provider's own books say of a payment, for the reconciliation.
	Totals(ctx context.Context, payments []Request) ([]Totals, error)
	// ParseWebhook reads a notice that the provider has sent, after it has checked the signature and that it is no older
	// than the tolerance (ErrBadSignature, ErrStaleSignature). A notice of something else has the Kind "".
	ParseWebhook(header http.Header, body []byte, now time.Time) (Notice, error)
}

// Errors of providers.
var (
	ErrUnknownOperation = errors.New("the provider knows no such operation")
	ErrBadSignature     = errs.New(errs.Invalid, "bad-signature", "the webhook has no signature of the provider's")
	ErrStaleSignature   = errs.New(errs.Invalid, "stale-signature", "the webhook was signed too long ago, or in the future")
)

// Request of one operation.
type Request struct {
	OperationID string // the provider's idempotency key: at most 100 ASCII characters, the same for every repetition
	IntentID    uuid.UUID
	RefundID    uuid.UUID    // of a refund
	OrderID     uuid.UUID    // Nil: none
	Amount      money.Amount // to hold, to take, to give back; of a void what was to be held
	Method      string       // payment method: "pm_card_visa"
	AuthoriseID string       // OperationID of the payment's Authorise
	Reference   string       // how the provider named the payment; "" while no answer has come
	Reason      string       // of a void or refund
}

// Result is a provider's answer.
type Result struct {
	Outcome   Outcome
	Reference string // the provider's name of the payment (or refund); kept for the calls that follow
	Reason    string // of Declined and Failed: snake_case, for programs: "insufficient_funds"
}

// Outcome of an operation.
type Outcome string

// Outcomes. Processing is none yet: it comes by webhook, and Lookup tells it too.
const (
	Processing Outcome = "processing"
	Authorised Outcome = "authorised"
	Declined   Outcome = "declined"
	Captured   Outcome = "captured"
	Voided     Outcome = "voided"
	Refunded   Outcome = "refunded"
	Failed     Outcome = "failed"
)

// Kind of an operation.
type Kind string

// Kinds of operations.
const (
	OpAuthorise Kind = "authorise"
	OpCapture   Kind = "capture"
	OpVoid      Kind = "void"
	OpRefund    Kind = "refund"
)

// Notice is what a provider's webhook says about an operation. It may come twice, late, and in any order.
type Notice struct {
	ID       string    // the provider's, of the event: it comes again with the same
	Kind     Kind      // "": nothing that matters here
	IntentID uuid.UUID // as the provider got it with the call
	RefundID uuid.UUID // of OpRefund
	Result   Result
	At       time.Time // when it happened, for the log
}

// Totals of one payment in the provider's books.
type Totals struct {
	Captured, Refunded int64 // minor units of the payment's currency
	Held               int64 // authorised, neither captured nor voided
	Known              bool  // the provider has the payment
}
