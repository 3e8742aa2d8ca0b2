package app

import (
	"time"

	"github.com/google/uuid"

	"souk/internal/errs"
	"souk/internal/money"
)

// RefundStatus is how far a refund has come.
type RefundStatus string

// Statuses of refunds.
const (
	RefundPending   RefundStatus = "pending"
	RefundSucceeded RefundStatus = "succeeded"
	RefundFailed    RefundStatus = "failed"
)

// Refund gives a part of what was captured back, or all of it.
type Refund struct {
	ID          uuid.UUID
	IntentID    uuid.UUID
	Amount      money.Amount
	Reason      string
	Status      RefundStatus
	Failure     string // why it failed
	ProviderRef string
	CreatedAt   time.Time
	UpdatedAt   time.Time

	changed, created bool
}

// Changed reports that there is something to store, created that it is new.
func (r *Refund) Changed() (changed, created bool) { return r.changed, r.created }

func (r *Refund) to(s RefundStatus, failure string, now time.Time) {
	r.Status, r.Failure, r.UpdatedAt, r.changed = s, failure, moment(now), true
}

func newRefund(id, intent uuid.UUID, amount money.Amount, reason string, now time.Time) *Refund {
	now = moment(now)
	return &Refund{
		ID: id, IntentID: intent, Amount: amount, Reason: reason, Status: RefundPending, CreatedAt: now, UpdatedAt: now, changed: true, created: true,
	}
}

// Errors of refunds that a client asks for.
var (
	ErrNotRefundable   = errs.New(errs.Conflict, "payment-intent-not-refundable", "only what is captured can be refunded")
	ErrExceedsCaptured = errs.New(errs.Conflict, "refund-exceeds-captured", "together with the refunds before it would be more than was captured")
	ErrRefundCurrency  = errs.New(errs.Unprocessable, "currency-mismatch", "it was paid in another currency").
				With(errs.Field{Pointer: "/amount/currency", Detail: "must be that of the payment intent"})
	ErrRefundNotFound = errs.New(errs.NotFound, "refund-not-found", "there is no refund with this id")
)

// refundable says why a refund can't be made, nil if it can.
func (i *Intent) refundable(amount money.Amount) error {
	switch {
	case i.Status != IsCaptured:
		return ErrNotRefundable
	case amount.Currency != i.Currency:
		return ErrRefundCurrency
	case amount.Minor < 1 || amount.Minor > i.Captured-i.Refunded-i.Refunding:
		return ErrExceedsCaptured
	}
	return nil
}

// Refund has the provider asked to give an amount back, which counts as refunded until it refuses. An amount without a
// currency is all that is left.
func (i *Intent) Refund(id uuid.UUID, amount money.Amount, reason string, now time.Time) (*Refund, error) {
	if amount == (money.Amount{}) {
		amount = i.amount(i.Captured - i.Refunded - i.Refunding)
	}
	if err := i.refundable(amount); err != nil {
		return nil, err
	}
	r := newRefund(id, i.ID, amount, reason, now)
	i.Refunding += amount.Minor
	i.touch(now)
	i.start(OpRefund, amount.Minor, r)
	return r, nil
}

// refuseRefund notes a refund that can't be made, so that it stays refused when it is asked for again.
func (i *Intent) refuseRefund(id uuid.UUID, amount money.Amount, reason, failure string, now time.Time) *Refund {
	r := newRefund(id, i.ID, amount, reason, now)
	r.to(RefundFailed, failure, now)
	i.tellRefund(r)
	return r
}

// tellRefund answers for a refund: how it ended, nothing while the provider is asked.
func (i *Intent) tellRefund(r *Refund) {
	switch r.Status {
	case RefundSucceeded:
		i.tellRefunded(r)
	case RefundFailed:
		i.tell(EventRefundFailed, EventData{RefundID: r.ID, Reason: r.Failure})
	}
}

func (i *Intent) tellRefunded(r *Refund) {
	total := i.amount(i.Refunded)
	i.tell(EventRefunded, EventData{RefundID: r.ID, Amount: &r.Amount, RefundedTotal: &total, Reason: r.Reason})
}
