package app

import (
	"fmt"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/google/uuid"
)

// Event is one entry of an order's history. Versions of an order count from 1 without gaps; an order is what its events
// say, and nothing else.
type Event struct {
	Order   uuid.UUID
	Version int64
	At      time.Time // whole milliseconds, UTC
	Fact    Fact
}

// Fact is what happened. The types are those below; their JSON is stored for good, so members may be added and none may
// change its meaning.
type Fact interface {
	// Kind names the type of the fact in the database and to clients.
	Kind() string
	// apply makes the order what it is after the fact. It must not look at a clock or anything else outside.
	apply(o *Order, at time.Time)
}

// Placed begins every order.
type Placed struct {
	Number   int64     `json:"number"`
	User     uuid.UUID `json:"user_id"`
	Cart     uuid.UUID `json:"cart_id"`
	Currency string    `json:"currency"`
	Lines    []Line    `json:"lines"`
	Total    int64     `json:"total"` // minor units
	Method   string    `json:"payment_method"`
}

// The facts that inventory tells of.
type (
	// StockReserved: all lines are held for this order until ExpiresAt.
	StockReserved struct {
		ExpiresAt time.Time `json:"expires_at,omitzero"`
	}
	// StockRejected: nothing is held.
	StockRejected struct {
		Reason    string     `json:"reason"`
		Shortages []Shortage `json:"shortages,omitempty"`
	}
	// StockExpired: the reservation ran out before it was committed.
	StockExpired struct{}
	// StockCommitted: what was held is sold.
	StockCommitted struct{}
	// StockCommitFailed: the reservation could not be made a sale, and nothing is held.
	StockCommitFailed struct {
		Reason string `json:"reason"`
	}
	// StockReleased: what was held or sold can be bought again.
	StockReleased struct {
		Restocked bool `json:"restocked,omitempty"`
	}
)

// Shortage is a line that there is too little of.
type Shortage struct {
	SKU       string `json:"sku"`
	Requested int64  `json:"requested"`
	Available int64  `json:"available"`
}

// The facts that payments tells of. Amounts are minor units of the order's currency.
type (
	// PaymentAuthorised: the money is held for this order.
	PaymentAuthorised struct {
		Intent string `json:"intent_id"`
		Amount int64  `json:"amount"`
	}
	// PaymentDeclined: nothing is held.
	PaymentDeclined struct {
		Intent string `json:"intent_id,omitempty"`
		Reason string `json:"reason"`
	}
	// PaymentCaptured: the money is ours.
	PaymentCaptured struct {
		Intent string `json:"intent_id"`
		Amount int64  `json:"amount"`
	}
	// PaymentCaptureFailed: the money is not ours; it may still be held.
	PaymentCaptureFailed struct {
		Reason string `json:"reason"`
	}
	// PaymentVoided: nothing is held any more.
	PaymentVoided struct{}
	// PaymentRefunded: Amount went back, which makes RefundedTotal of all refunds. Some were not asked for here.
	PaymentRefunded struct {
		Refund        uuid.UUID `json:"refund_id"`
		Amount        int64     `json:"amount"`
		RefundedTotal int64     `json:"refunded_total"`
		Reason        string    `json:"reason,omitempty"`
	}
	// RefundFailed: this refund will not happen; another has to be asked for.
	RefundFailed struct {
		Refund uuid.UUID `json:"refund_id"`
		Reason string    `json:"reason"`
	}
)

// The facts that are decided here.
type (
	// Confirmed: stock and money are held, so the order will be fulfilled unless either fails after all.
	Confirmed struct{}
	// Cancelled by somebody. What is held or paid is given back.
	Cancelled struct {
		Reason string    `json:"reason"`
		By     uuid.UUID `json:"by,omitzero"` // the user who did it; Nil: a service
	}
	// Failed by the saga. What is held or paid is given back.
	Failed struct {
		Reason string `json:"reason"`
	}
	// RefundRequested: payments is asked to give Amount back.
	RefundRequested struct {
		Refund uuid.UUID `json:"refund_id"`
		Amount int64     `json:"amount"`
		Reason string    `json:"reason"`
	}
	// Fulfilled: these pieces were handed over.
	Fulfilled struct {
		ID       uuid.UUID       `json:"fulfillment_id"`
		Lines    []FulfilledLine `json:"lines"`
		Tracking string          `json:"tracking,omitempty"`
	}
)

// FulfilledLine is how many of a line were handed over.
type FulfilledLine struct {
	SKU      string `json:"sku"`
	Quantity int64  `json:"quantity"`
}

// Kind implements Fact; so do those below.
func (Placed) Kind() string               { return "placed" }
func (StockReserved) Kind() string        { return "stock_reserved" }
func (StockRejected) Kind() string        { return "stock_rejected" }
func (StockExpired) Kind() string         { return "stock_expired" }
func (StockCommitted) Kind() string       { return "stock_committed" }
func (StockCommitFailed) Kind() string    { return "stock_commit_failed" }
func (StockReleased) Kind() string        { return "stock_released" }
func (PaymentAuthorised) Kind() string    { return "payment_authorised" }
func (PaymentDeclined) Kind() string      { return "payment_declined" }
func (PaymentCaptured) Kind() string      { return "payment_captured" }
func (PaymentCaptureFailed) Kind() string { return "payment_capture_failed" }
func (PaymentVoided) Kind() string        { return "payment_voided" }
func (PaymentRefunded) Kind() string      { return "payment_refunded" }
func (RefundFailed) Kind() string         { return "refund_failed" }
func (Confirmed) Kind() string            { return "confirmed" }
func (Cancelled) Kind() string            { return "cancelled" }
func (Failed) Kind() string               { return "failed" }
func (RefundRequested) Kind() string      { return "refund_requested" }
func (Fulfilled) Kind() string            { return "fulfilled" }

// DecodeFact reads the JSON of a fact of this kind.
func DecodeFact(kind string, data []byte) (Fact, error) {
	switch kind {
	case Placed{}.Kind():
		return decode[Placed](data)
	case StockReserved{}.Kind():
		return decode[StockReserved](data)
	case StockRejected{}.Kind():
		return decode[StockRejected](data)
	case StockExpired{}.Kind():
		return decode[StockExpired](data)
	case StockCommitted{}.Kind():
		return decode[StockCommitted](data)
	case StockCommitFailed{}.Kind():
		return decode[StockCommitFailed](data)
	case StockReleased{}.Kind():
		return decode[StockReleased](data)
	case PaymentAuthorised{}.Kind():
		return decode[PaymentAuthorised](data)
	case PaymentDeclined{}.Kind():
		return decode[PaymentDeclined](data)
	case PaymentCaptured{}.Kind():
		return decode[PaymentCaptured](data)
	case PaymentCaptureFailed{}.Kind():
		return decode[PaymentCaptureFailed](data)
	case PaymentVoided{}.Kind():
		return decode[PaymentVoided](data)
	case PaymentRefunded{}.Kind():
		return decode[PaymentRefunded](data)
	case RefundFailed{}.Kind():
		return decode[RefundFailed](data)
	case Confirmed{}.Kind():
		return decode[Confirmed](data)
	case Cancelled{}.Kind():
		return decode[Cancelled](data)
	case Failed{}.Kind():
		return decode[Failed](data)
	case RefundRequested{}.Kind():
		return decode[RefundRequested](data)
	case Fulfilled{}.Kind():
		return decode[Fulfilled](data)
	}
	return nil, fmt.Errorf("an event of the unknown kind %q", kind)
}

func decode[T Fact](data []byte) (Fact, error) {
	var f T
	if err := json.Unmarshal(data, &f); err != nil {
		return nil, fmt.Errorf("an event %s: %w", f.Kind(), err)
	}
	return f, nil
}
