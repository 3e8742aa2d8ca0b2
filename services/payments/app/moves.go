package app

import (
	"time"

	"github.com/google/uuid"

	"souk/internal/errs"
	"souk/internal/money"
)

// Reasons that events and intents give; a provider's own (card_declined) stand beside them.
const (
	ReasonTimeout       = "timeout" // the provider did not answer until the deadline
	ReasonDeadline      = "deadline_passed"
	ReasonVoided        = "voided"
	ReasonNotAuthorised = "not_authorised"
	ReasonNotCaptured   = "not_captured"
	ReasonExceeds       = "exceeds_captured"
	ReasonCurrency      = "currency_mismatch"
	ReasonUnknown       = "unknown_order"
	ReasonRequested     = "requested"
)

// Errors of moves that a client asks for.
var (
	ErrNotFound       = errs.New(errs.NotFound, "payment-intent-not-found", "there is no payment intent with this id")
	ErrNotConfirmable = errs.New(errs.Conflict, "payment-intent-not-confirmable", "it has been confirmed or cancelled before; make a new payment intent")
	ErrNotCapturable  = errs.New(errs.Conflict, "payment-intent-not-capturable", "only an authorised payment can be captured, once")
	ErrNotCancellable = errs.New(errs.Conflict, "payment-intent-not-cancellable", "it is captured or declined; what is captured can be refunded")
	ErrMethodMissing  = errs.New(errs.Unprocessable, "payment-method-required", "say how it is paid").
				With(errs.Field{Pointer: "/payment_method", Detail: "is required, as the payment intent has none"})
)

// newIntent makes version 1.
func newIntent(provider string, total money.Amount, now time.Time) (*Intent, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return nil, err
	}
	now = moment(now)
	return &Intent{
		ID: id, Version: 1, Status: RequiresMethod, CaptureMethod: Manual, Provider: provider, Currency: total.Currency, Amount: total.Minor,
		CreatedAt: now, UpdatedAt: now, created: true, effects: effects{changed: true},
	}, nil
}

// Confirm has the provider asked for an authorisation. A method replaces the one that the intent has; "" keeps it.
func (i *Intent) Confirm(method string, now time.Time) error {
	if i.Status != RequiresMethod && i.Status != RequiresConfirmation {
		return ErrNotConfirmable
	}
	if method != "" {
		i.Method = method
	}
	if i.Method == "" {
		return ErrMethodMissing
	}
	i.authorise(now)
	return nil
}

func (i *Intent) authorise(now time.Time) {
	i.to(Authorising, "", now)
	i.start(OpAuthorise, i.Amount, nil)
}

// Capture has the provider asked for the whole authorised amount.
func (i *Intent) Capture(now time.Time) error {
	if i.Status != IsAuthorised {
		return ErrNotCapturable
	}
	i.to(Capturing, "", now)
	i.start(OpCapture, i.Amount, nil)
	return nil
}

// Void ends the payment, if nothing is captured. While the provider is asked for an authorisation, whatever it says to
// that has no effect any more: it is asked to undo it. While it captures, the void waits for how that ends.
// What is voided or about to be stays so.
func (i *Intent) Void(reason string, now time.Time) error {
	if reason == "" {
		reason = ReasonRequested
	}
	switch i.Status {
	case RequiresMethod, RequiresConfirmation:
		i.to(IsVoided, reason, now)
		i.tellVoided()
	case Authorising:
		if i.neverAsked(OpAuthorise) {
			i.to(IsVoided, reason, now)
			i.tellVoided()
			return nil
		}
		i.end(OpAuthorise, uuid.Nil)
		i.void(reason, now)
	case IsAuthorised, CaptureFailed:
		i.void(reason, now)
	case Capturing:
		if i.VoidWanted == "" {
			i.VoidWanted = reason
			i.touch(now)
		}
	case Voiding, IsVoided:
	default:
		return ErrNotCancellable
	}
	return nil
}

func (i *Intent) void(reason string, now time.Time) {
	i.VoidWanted = ""
	i.to(Voiding, reason, now)
	i.start(OpVoid, i.Amount, nil)
}

// neverAsked takes an operation back that this very change has begun, so that nobody has asked the provider.
func (i *Intent) neverAsked(kind Kind) bool {
	for k, op := range i.Start {
		if op.Kind == kind {
			i.Start = append(i.Start[:k], i.Start[k+1:]...)
			return true
		}
	}
	return false
}

// tombstone is a payment that is voided before it was to be made.
func tombstone(provider string, order uuid.UUID, reason string, now time.Time) (*Intent, error) {
	i, err := newIntent(provider, money.Amount{}, now)
	if err != nil {
		return nil, err
	}
	i.OrderID = order
	i.to(IsVoided, reason, now)
	return i, nil
}
