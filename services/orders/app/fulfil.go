package app

import (
	"fmt"
	"time"

	"github.com/google/uuid"

	"souk/internal/errs"
)

// Fulfilment is a handing-over of some pieces of an order.
type Fulfilment struct {
	ID       uuid.UUID
	Lines    []FulfilledLine
	Tracking string // number or link of the carrier; "" if there is none
	At       time.Time
}

// maxTracking in characters.
const maxTracking = 200

// Errors of fulfilments.
var (
	errNotFulfillable = errs.New(errs.Conflict, "not-fulfillable", "only an order that is confirmed, paid and taken from stock can be fulfilled")
	errOverFulfilled  = errs.New(errs.Conflict, "over-fulfilled", "that is more than was ordered and is not handed over yet")
	errBadFulfilment  = errs.New(errs.Unprocessable, "invalid-fulfillment", "the fulfilment breaks a rule")
)

// Fulfil notes that pieces were handed over. No line may get more than was ordered.
func (o *Order) Fulfil(f Fulfilment, at time.Time, d Deadlines) error {
	left := make(map[string]int64, len(o.Lines))
	for _, l := range o.Lines {
		left[l.SKU] = l.Quantity - l.Fulfilled
	}
	var faults, excess []errs.Field
	seen := map[string]bool{}
	for i, l := range f.Lines {
		here := fmt.Sprintf("/lines/%d", i)
		rest, ordered := left[l.SKU]
		switch {
		case !ordered:
			faults = append(faults, errs.Field{Pointer: here + "/sku", Detail: "the order has no line with this SKU"})
		case seen[l.SKU]:
			faults = append(faults, errs.Field{Pointer: here + "/sku", Detail: "each SKU once"})
		case l.Quantity < 1:
			faults = append(faults, errs.Field{Pointer: here + "/quantity", Detail: "1 or more"})
		case l.Quantity > rest:
			excess = append(excess, errs.Field{Pointer: here + "/quantity", Detail: fmt.Sprintf("%d are left", rest)})
		}
		seen[l.SKU] = true
	}
	if len(f.Lines) == 0 {
		faults = append(faults, errs.Field{Pointer: "/lines", Detail: "at least one"})
	}
	if !oneLine(f.Tracking, 0, maxTracking) {
		faults = append(faults, errs.Field{Pointer: "/tracking", Detail: fmt.Sprintf("one line of at most %d printable characters", maxTracking)})
	}
	switch {
	case len(faults) > 0:
		return errBadFulfilment.With(faults...)
	case o.Status != IsConfirmed || !o.Settled() || o.Payment == Refunded:
		return errNotFulfillable
	case len(excess) > 0:
		return errOverFulfilled.With(excess...)
	}
	o.step(at, d, func(record func(Fact)) { record(Fulfilled{ID: f.ID, Lines: f.Lines, Tracking: f.Tracking}) })
	return nil
}
