// Package app is what the service is about: payment intents, the moves they allow, the ledger, and who asks the
// provider when. It knows neither HTTP nor PostgreSQL.
package app

import (
	"time"

	"github.com/google/uuid"

	"souk/internal/money"
)

// Status of an intent.
type Status string

// Statuses, and what each waits for. Declined, Voided and Captured are final; of Captured, parts may be refunded.
const (
	RequiresMethod       Status = "requires_payment_method" // a confirmation that brings one
	RequiresConfirmation Status = "requires_confirmation"
	Authorising          Status = "processing" // the provider's answer
	IsAuthorised         Status = "authorised" // a capture or a void
	Capturing            Status = "capturing"  // the provider's answer
	IsCaptured           Status = "captured"
	CaptureFailed        Status = "capture_failed" // a void: the money may still be held
	Voiding              Status = "voiding"        // the provider's answer
	IsVoided             Status = "voided"
	IsDeclined           Status = "declined"
)

// Asking reports whether the provider is being asked, so that the status is soon another.
func (s Status) Asking() bool { return s == Authorising || s == Capturing || s == Voiding }

// Capture methods.
const (
	Automatic = "automatic" // captured as soon as it is authorised
	Manual    = "manual"
)

// Intent is one payment: what is to be paid, and how far it has come. It changes by its moves (moves.go, refund.go)
// alone, which note what else belongs to the change in its effects.
type Intent struct {
	ID            uuid.UUID // UUIDv7
	OrderID       uuid.UUID // Nil: of no order
	UserID        uuid.UUID // whose payment; Nil: nobody's
	Version       int64     // from 1, one more with every change
	Status        Status
	CaptureMethod string
	Provider      string
	Method        string // "": none yet
	Reference     string // the client's
	ProviderRef   string // the provider's name of the payment
	Currency      string // "" of a tombstone: a void that came before its authorisation
	Amount        int64  // to be paid, minor units; all of these are of Currency
	Captured      int64
	Refunded      int64
	Refunding     int64     // what refunds under way want; Refunded and it together never exceed Captured
	Reason        string    // of the last refusal or void
	VoidWanted    string    // a void that came while the provider captures: its reason
	Deadline      time.Time // when an answer to the authorisation is of no use any more; zero: never
	Traceparent   string    // of what causes the change under way; not stored
	CreatedAt     time.Time
	UpdatedAt     time.Time

	effects
	created bool
}

// Total is the amount to be paid.
func (i *Intent) Total() money.Amount { return i.amount(i.Amount) }

// amount is so much of the intent's currency.
func (i *Intent) amount(minor int64) money.Amount {
	return money.Amount{Minor: minor, Currency: i.Currency}
}

// Tombstone reports a void that came before its authorisation: there is nothing to pay and never will be.
func (i *Intent) Tombstone() bool { return i.Currency == "" }

// effects are what a change brings about beside the new state of the intent. They are stored with it.
type effects struct {
	changed  bool
	Start    []Operation // the provider is to be asked
	End      []OperationKey
	Postings []Posting
	Events   []Event
}

// Moved reports that the intent itself has changed; an answer to a repeated command only has effects.
func (e *effects) Moved() bool { return e.changed }

// OperationKey names an operation: an intent is authorised, captured and voided once at most, and refunded once for each
// refund.
type OperationKey struct {
	IntentID uuid.UUID
	Kind     Kind
	RefundID uuid.UUID // Nil but for a refund
}

// ID is the provider's idempotency key.
func (k OperationKey) ID() string {
	if k.Kind == OpRefund {
		return k.RefundID.String() + ":refund"
	}
	return k.IntentID.String() + ":" + string(k.Kind)
}

// Operation that the provider is to do, and what it needs to know.
type Operation struct {
	OperationKey
	Provider    string
	Request     Request
	Deadline    time.Time // of an authorisation
	Attempts    int       // how often it was handed out
	Asked       bool      // the provider has answered "processing": Lookup tells, or a webhook
	Traceparent string
}

// start has the provider asked.
func (i *Intent) start(kind Kind, amount int64, refund *Refund) {
	key := OperationKey{IntentID: i.ID, Kind: kind}
	reason := i.Reason
	if refund != nil {
		key.RefundID, reason = refund.ID, refund.Reason
	}
	op := Operation{OperationKey: key, Provider: i.Provider, Traceparent: i.Traceparent, Request: i.Request(key, amount, reason)}
	if kind == OpAuthorise {
		op.Deadline = i.Deadline
	}
	i.Start = append(i.Start, op)
}

// Request is what the provider is told for an operation.
func (i *Intent) Request(key OperationKey, amount int64, reason string) Request {
	return Request{
		OperationID: key.ID(), IntentID: i.ID, RefundID: key.RefundID, OrderID: i.OrderID, Amount: i.amount(amount), Method: i.Method,
		AuthoriseID: OperationKey{IntentID: i.ID, Kind: OpAuthorise}.ID(), Reference: i.ProviderRef, Reason: reason,
	}
}

// end takes an operation off the provider's list.
func (i *Intent) end(kind Kind, refund uuid.UUID) {
	i.End = append(i.End, OperationKey{IntentID: i.ID, Kind: kind, RefundID: refund})
}

// to is the next version, in a status and with a reason.
func (i *Intent) to(s Status, reason string, now time.Time) {
	i.Status, i.Reason = s, reason
	i.touch(now)
}

// touch counts one version for a change, however many moves it has.
func (i *Intent) touch(now time.Time) {
	i.UpdatedAt = moment(now)
	if !i.changed && !i.created {
		i.Version++
	}
	i.changed = true
}

// Created reports an intent that is not stored yet.
func (i *Intent) Created() bool { return i.created }

// moment is what the database and JSON keep of a time.
func moment(t time.Time) time.Time { return t.UTC().Truncate(time.Millisecond) }
