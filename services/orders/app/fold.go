package app

import (
	"slices"
	"time"

	"github.com/google/uuid"
)

// What each fact makes of an order. A fact is applied as it stands: whether it may come to be is decided before (saga.go,
// cancel.go, fulfil.go).

func (f Placed) apply(o *Order, at time.Time) {
	o.Number, o.User, o.Currency, o.Total, o.Method, o.Lines = f.Number, f.User, f.Currency, f.Total, f.Method, slices.Clone(f.Lines)
	o.Status, o.Stock, o.Payment, o.PlacedAt = Pending, NoStock, NoPayment, at
	o.StockAsked = Reserve
}

func (f StockReserved) apply(o *Order, _ time.Time) {
	o.Stock = ReservedStock
	if o.Ended() { // it came too late
		o.StockAsked = Release
		return
	}
	o.StockAsked, o.PaymentAsked = Nothing, Authorise
}

func (f StockRejected) apply(o *Order, _ time.Time)  { o.Stock, o.StockAsked = NoStock, Nothing }
func (f StockReleased) apply(o *Order, _ time.Time)  { o.Stock, o.StockAsked = Released, Nothing }
func (f StockExpired) apply(o *Order, _ time.Time)   { o.Stock, o.StockAsked = Released, Nothing }
func (f StockCommitted) apply(o *Order, _ time.Time) { o.commit() }

func (o *Order) commit() {
	o.Stock, o.StockAsked = Committed, Nothing
	if o.Ended() {
		o.StockAsked = Release
	}
}

func (f StockCommitFailed) apply(o *Order, _ time.Time) { o.Stock, o.StockAsked = Released, Nothing }

func (f PaymentAuthorised) apply(o *Order, _ time.Time) {
	o.Payment, o.PaymentAsked, o.Intent = Authorised, Nothing, f.Intent
	if o.Ended() { // it came too late
		o.PaymentAsked = Void
	}
}

func (f PaymentDeclined) apply(o *Order, _ time.Time) {
	o.Payment, o.PaymentAsked, o.Intent = Declined, Nothing, f.Intent
}

func (f PaymentVoided) apply(o *Order, _ time.Time) { o.Payment, o.PaymentAsked = Voided, Nothing }

func (f PaymentCaptured) apply(o *Order, _ time.Time) {
	o.Payment, o.PaymentAsked, o.Intent, o.Captured = Captured, Nothing, f.Intent, f.Amount
}

func (f PaymentCaptureFailed) apply(o *Order, _ time.Time) {
	o.PaymentAsked = Nothing
	if o.Ended() {
		o.PaymentAsked = Void
	}
}

func (f PaymentRefunded) apply(o *Order, _ time.Time) {
	o.Refunded = f.RefundedTotal
	o.Payment = PartiallyRefunded
	if o.Refunded >= o.Captured {
		o.Payment = Refunded
	}
	if f.Refund == o.Refund || o.Payment == Refunded {
		o.Refund, o.Asking, o.PaymentAsked = uuid.Nil, 0, Nothing
	}
}

func (f RefundRequested) apply(o *Order, _ time.Time) {
	o.Refund, o.Asking, o.PaymentAsked = f.Refund, f.Amount, Refund
}

func (f RefundFailed) apply(o *Order, _ time.Time) { o.Refund, o.Asking = uuid.Nil, 0 }

func (f Confirmed) apply(o *Order, at time.Time) {
	o.Status, o.ConfirmedAt = IsConfirmed, at
	o.StockAsked, o.PaymentAsked = Commit, Capture
}

func (f Cancelled) apply(o *Order, _ time.Time) { o.end(WasCancelled, f.Reason) }
func (f Failed) apply(o *Order, _ time.Time)    { o.end(HasFailed, f.Reason) }

// end gives back what is held, or may come to be held by a command that is under way. A capture that is under way is
// awaited: only then is it known whether to void or to refund, which RefundRequested begins.
func (o *Order) end(status Status, reason string) {
	o.Status, o.Reason = status, reason
	if o.StockAsked != Nothing || o.Stock == ReservedStock || o.Stock == Committed {
		o.StockAsked = Release
	}
	if o.PaymentAsked == Authorise || o.PaymentAsked == Nothing && o.Payment == Authorised {
		o.PaymentAsked = Void
	}
}

func (f Fulfilled) apply(o *Order, _ time.Time) {
	o.Lines = slices.Clone(o.Lines)
	for _, part := range f.Lines {
		for i := range o.Lines {
			if o.Lines[i].SKU == part.SKU {
				o.Lines[i].Fulfilled += part.Quantity
			}
		}
	}
}
