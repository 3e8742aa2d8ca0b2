package app

import (
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
)

// Reply is what inventory or payments says of an order: a fact of theirs.
type Reply struct {
	Order    uuid.UUID
	Fact     Fact
	Currency string // of amounts in Fact; "" if it has none
	// Traceparent goes on with what the reply causes; "" for none.
	Traceparent string
}

// Handle takes a reply in. One that says what is known already, or that something later has overtaken, changes nothing;
// one that comes too late is compensated. So replies may come again and in any order. An error is a reply that is about
// other money than the order's; nothing has changed then.
func (o *Order) Handle(r Reply, at time.Time, d Deadlines) error {
	if err := o.checkMoney(r); err != nil {
		return err
	}
	sent := len(o.messages)
	o.step(at, d, func(record func(Fact)) {
		switch f := r.Fact.(type) {
		case StockReserved, StockRejected, StockExpired, StockCommitted, StockCommitFailed, StockReleased:
			o.handleStock(f, record)
		default:
			o.handlePayment(f, record)
		}
	})
	for i := range o.messages[sent:] {
		o.messages[sent+i].Traceparent = r.Traceparent
	}
	return nil
}

func (o *Order) checkMoney(r Reply) error {
	amount := int64(0)
	switch f := r.Fact.(type) {
	case PaymentAuthorised:
		amount = f.Amount
		if amount != o.Total {
			return fmt.Errorf("%s: %d is authorised of order %s, whose total is %d", f.Kind(), amount, o.ID, o.Total)
		}
	case PaymentCaptured:
		amount = f.Amount
	case PaymentRefunded:
		amount = f.RefundedTotal
	default:
		return nil
	}
	if r.Currency != o.Currency || amount <= 0 || amount > o.Total {
		return fmt.Errorf("%s: %d %s for order %s over %d %s", r.Fact.Kind(), amount, r.Currency, o.ID, o.Total, o.Currency)
	}
	return nil
}

func (o *Order) handleStock(f Fact, record func(Fact)) {
	switch f := f.(type) {
	case StockReserved:
		switch {
		case o.Status == Pending && o.StockAsked == Reserve, o.Ended() && o.StockAsked == Nothing:
			record(f)
		}
	case StockRejected:
		switch {
		case o.Status == Pending && o.StockAsked == Reserve:
			record(f)
			o.fail(record, rejected(f.Reason))
		case o.Ended() && o.StockAsked == Release && o.Stock == NoStock: // the reserve that was under way came to nothing
			record(f)
		}
	case StockExpired:
		if o.Status == Pending { // a confirmed order's commit takes the stock again, if it can
			record(f)
			o.fail(record, ReservationExpired)
		}
	case StockCommitted:
		switch {
		case o.Status == IsConfirmed && o.StockAsked == Commit, o.Ended() && o.StockAsked == Nothing:
			record(f)
		}
	case StockCommitFailed:
		if o.Status == IsConfirmed && o.StockAsked == Commit {
			record(f)
			o.fail(record, ReservationExpired)
		}
	case StockReleased:
		switch {
		case o.Ended() && o.StockAsked == Release:
			record(f)
		case o.Status == Pending: // somebody else had it released
			record(f)
			o.fail(record, ReservationExpired)
		}
	}
}

// rejected is the reason of an order whose stock inventory does not reserve.
func rejected(reason string) string {
	switch reason {
	case InsufficientStock, UnknownSKU:
		return reason
	}
	return ReservationExpired // it was released before it was reserved
}

func (o *Order) handlePayment(f Fact, record func(Fact)) {
	switch f := f.(type) {
	case PaymentAuthorised:
		switch {
		case o.Status == Pending && o.PaymentAsked == Authorise:
			record(f)
			record(Confirmed{})
		case o.Ended() && o.PaymentAsked == Nothing && o.Captured == 0:
			record(f)
		}
	case PaymentDeclined:
		switch {
		case o.Status == Pending && o.PaymentAsked == Authorise:
			record(f)
			o.fail(record, f.failure())
		case o.Ended() && o.PaymentAsked == Void && o.Payment == NoPayment: // the authorisation that was under way came to nothing
			record(f)
		}
	case PaymentVoided:
		switch {
		case o.Ended() && o.PaymentAsked == Void:
			record(f)
		case o.Status == Pending && o.PaymentAsked == Authorise: // somebody else had it voided
			record(f)
			o.fail(record, DeclinedPayment)
		}
	case PaymentCaptured:
		if o.Captured == 0 && (o.PaymentAsked == Capture || o.Ended()) {
			record(f)
			o.giveBack(record)
		}
	case PaymentCaptureFailed:
		if o.PaymentAsked == Capture {
			record(f)
			if !o.Ended() {
				o.fail(record, CaptureFailed)
			}
		}
	case PaymentRefunded:
		if f.RefundedTotal <= o.Refunded || o.Status == Pending {
			return
		}
		if o.Captured == 0 { // it has overtaken the news of the capture, which is always of the whole
			record(PaymentCaptured{Intent: o.Intent, Amount: o.Total})
		}
		record(f)
		o.giveBack(record)
	case RefundFailed:
		if o.PaymentAsked == Refund && f.Refund == o.Refund {
			record(f)
		}
	}
}

// ErrImpossibleReply is a reply that Handle refuses; no other attempt would mend it.
var ErrImpossibleReply = errors.New("the reply can't be about this order")

// failure is why an order failed whose payment was declined. Payments declines by itself what has no answer in time.
func (f PaymentDeclined) failure() string {
	if f.Reason == "timeout" || f.Reason == "deadline_passed" {
		return PaymentTimeout
	}
	return DeclinedPayment
}
