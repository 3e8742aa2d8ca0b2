package app

import (
	"time"

	"github.com/google/uuid"

	"souk/internal/money"
)

// Status of an order as its customer sees it.
type Status string

// The statuses. An order ends cancelled or failed, or stays confirmed.
const (
	Pending      Status = "pending"
	IsConfirmed  Status = "confirmed"
	WasCancelled Status = "cancelled" // by somebody
	HasFailed    Status = "failed"    // by the saga; Reason says why
)

// Statuses are all of them.
func Statuses() []string {
	return []string{string(Pending), string(IsConfirmed), string(WasCancelled), string(HasFailed)}
}

// Why an order failed.
const (
	InsufficientStock  = "insufficient_stock"
	UnknownSKU         = "unknown_sku"
	StockTimeout       = "stock_timeout"
	ReservationExpired = "reservation_expired"
	DeclinedPayment    = "payment_declined"
	PaymentTimeout     = "payment_timeout"
	CaptureFailed      = "capture_failed"
)

// Stock is what inventory is known to hold for an order.
type Stock string

// What inventory holds.
const (
	NoStock       Stock = "none"
	ReservedStock Stock = "reserved"
	Committed     Stock = "committed"
	Released      Stock = "released"
)

// Payment is what payments is known to hold or have for an order.
type Payment string

// What payments holds or has.
const (
	NoPayment         Payment = "none"
	Authorised        Payment = "authorised"
	Declined          Payment = "declined"
	Captured          Payment = "captured"
	PartiallyRefunded Payment = "partially_refunded"
	Refunded          Payment = "refunded"
	Voided            Payment = "voided"
)

// Ask is a command whose answer is awaited.
type Ask string

// The asks, of inventory and of payments.
const (
	Nothing   Ask = ""
	Reserve   Ask = "reserve"
	Commit    Ask = "commit"
	Release   Ask = "release"
	Authorise Ask = "authorise"
	Capture   Ask = "capture"
	Void      Ask = "void"
	Refund    Ask = "refund"
)

// Line of an order. Prices are minor units of the order's currency, as the catalogue had them at placement.
type Line struct {
	SKU       string    `json:"sku"`
	ProductID uuid.UUID `json:"product_id"`
	Name      string    `json:"name"`
	Quantity  int64     `json:"quantity"`
	UnitPrice int64     `json:"unit_price"`
	Fulfilled int64     `json:"fulfilled,omitzero"` // of Quantity
}

// Order is folded from its events. Use its methods to change it: they refuse what is not allowed, and keep what they did
// for the store (News, Messages).
type Order struct {
	ID      uuid.UUID
	Number  int64
	Version int64 // of the last event
	User    uuid.UUID

	Status       Status
	Reason       string // why it was cancelled or failed
	Stock        Stock
	Payment      Payment
	StockAsked   Ask
	PaymentAsked Ask

	Currency string
	Total    int64 // minor units, as are Captured and Refunded
	Captured int64
	Refunded int64
	Intent   string    // of payments
	Refund   uuid.UUID // that is asked for; Nil: none, or another has to be asked for
	Asking   int64     // minor units that Refund is about
	Method   string
	Lines    []Line

	PlacedAt    time.Time
	ConfirmedAt time.Time // zero: never
	UpdatedAt   time.Time // of the last event

	// When the saga has to look at it again, and how often it has asked in vain: these are no part of its history.
	DueAt    time.Time
	Attempts int

	news     []Event
	messages []Message
}

// Fold makes an order of its events, which are all that it has, in order.
func Fold(events []Event) *Order {
	o := &Order{}
	for _, e := range events {
		o.ID = e.Order
		o.Apply(e)
	}
	return o
}

// Apply makes the order what it is after its next event.
func (o *Order) Apply(e Event) {
	o.Version, o.UpdatedAt = e.Version, e.At
	e.Fact.apply(o, e.At)
}

// News are the events that this Order has gained since it was loaded or made.
func (o *Order) News() []Event { return o.news }

// Messages are commands and public events that follow from News.
func (o *Order) Messages() []Message { return o.messages }

// Ended reports whether the order is given up: nothing may stay held for it.
func (o *Order) Ended() bool { return o.Status == WasCancelled || o.Status == HasFailed }

// Settled reports whether nothing is awaited any more: a confirmed order is paid and its stock sold, one that has ended
// holds neither stock nor money.
func (o *Order) Settled() bool {
	return o.Status != Pending && o.StockAsked == Nothing && o.PaymentAsked == Nothing
}

// Amount in the order's currency.
func (o *Order) Amount(minor int64) money.Amount {
	return money.Amount{Minor: minor, Currency: o.Currency}
}

// Fulfilment is how much of the order was handed over: "none", "partial" or "complete".
func (o *Order) Fulfilment() string {
	some, all := false, true
	for _, l := range o.Lines {
		some = some || l.Fulfilled > 0
		all = all && l.Fulfilled == l.Quantity
	}
	switch {
	case some && all:
		return "complete"
	case some:
		return "partial"
	}
	return "none"
}
