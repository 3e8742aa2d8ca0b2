package app

import (
	"strconv"
	"time"

	"github.com/google/uuid"

	"souk/internal/money"
)

// Topics that this service publishes to. The key is always the order's id.
const (
	OrdersTopic       = "orders.events.v1"
	StockCommands     = "inventory.commands.v1"
	PaymentCommands   = "payments.commands.v1"
	Source            = "/orders" // of CloudEvents
	orderEventPrefix  = "souk.orders.order."
	stockPrefix       = "souk.inventory."
	paymentPrefix     = "souk.payments."
	schemaOfOrders    = "urn:souk:schema:orders:order-"
	schemaOfInventory = "urn:souk:schema:inventory:"
	schemaOfPayments  = "urn:souk:schema:payments:"
)

// Message is a command or a public event that goes out with the change that causes it.
type Message struct {
	Topic  string
	Type   string // of the CloudEvent
	Schema string // its dataschema
	Order  uuid.UUID
	At     time.Time
	// Sequence orders the public events of an order; 0 for commands.
	Sequence int64
	Data     any // marshals to JSON
	// Traceparent of what caused it; "": of whoever stores it.
	Traceparent string
}

// Data of the commands.
type (
	reserveData struct {
		OrderID   uuid.UUID      `json:"order_id"`
		ExpiresAt time.Time      `json:"expires_at"`
		Lines     []quantityData `json:"lines"`
	}
	quantityData struct {
		SKU      string `json:"sku"`
		Quantity int64  `json:"quantity"`
	}
	orderData struct {
		OrderID uuid.UUID `json:"order_id"`
	}
	reasonData struct {
		OrderID uuid.UUID `json:"order_id"`
		Reason  string    `json:"reason"`
	}
	authoriseData struct {
		OrderID  uuid.UUID    `json:"order_id"`
		UserID   uuid.UUID    `json:"user_id"`
		Amount   money.Amount `json:"amount"`
		Method   string       `json:"payment_method"`
		Deadline time.Time    `json:"deadline"`
	}
	refundData struct {
		OrderID  uuid.UUID    `json:"order_id"`
		RefundID uuid.UUID    `json:"refund_id"`
		Amount   money.Amount `json:"amount"`
		Reason   string       `json:"reason"`
	}
)

// publicData is what others learn of an order.
type publicData struct {
	OrderID    uuid.UUID       `json:"order_id"`
	UserID     uuid.UUID       `json:"user_id"`
	Number     string          `json:"number"`
	Total      money.Amount    `json:"total"`
	Lines      []publicLine    `json:"lines"`
	Reason     string          `json:"reason,omitempty"`
	Refund     *money.Amount   `json:"refund,omitempty"`
	Fulfilment *fulfilmentData `json:"fulfilment,omitempty"`
}

type publicLine struct {
	SKU      string       `json:"sku"`
	Name     string       `json:"name"`
	Quantity int64        `json:"quantity"`
	Total    money.Amount `json:"total"`
}

type fulfilmentData struct {
	ID       uuid.UUID       `json:"id"`
	Lines    []FulfilledLine `json:"lines"`
	Tracking string          `json:"tracking,omitempty"`
}

// command tells inventory or payments what is asked.
func (o *Order) command(ask Ask, at time.Time, d Deadlines) Message {
	m := Message{Topic: PaymentCommands, Type: paymentPrefix + string(ask) + ".v1", Schema: schemaOfPayments + string(ask) + ":v1", Order: o.ID, At: at}
	switch ask {
	case Reserve, Commit, Release:
		m.Topic, m.Type, m.Schema = StockCommands, stockPrefix+string(ask)+".v1", schemaOfInventory+string(ask)+":v1"
	}
	switch ask {
	case Reserve:
		lines := make([]quantityData, len(o.Lines))
		for i, l := range o.Lines {
			lines[i] = quantityData{l.SKU, l.Quantity}
		}
		m.Data = reserveData{o.ID, at.Add(d.Reservation), lines}
	case Authorise:
		m.Data = authoriseData{o.ID, o.User, o.Amount(o.Total), o.Method, at.Add(d.Payment)}
	case Release, Void:
		m.Data = reasonData{o.ID, o.Reason}
	case Refund:
		m.Data = refundData{o.ID, o.Refund, o.Amount(o.Asking), o.Reason}
	default:
		m.Data = orderData{o.ID}
	}
	return m
}

// public tells everybody of a fact that matters to others; ok is false for those that don't.
func (o *Order) public(f Fact, at time.Time) (m Message, ok bool) {
	kind := f.Kind()
	data := publicData{OrderID: o.ID, UserID: o.User, Number: Number(o.Number), Total: o.Amount(o.Total)}
	switch f := f.(type) {
	case Placed, Confirmed:
	case Cancelled:
		data.Reason = f.Reason
	case Failed:
		data.Reason = f.Reason
	case PaymentRefunded:
		amount := o.Amount(f.Amount)
		kind, data.Reason, data.Refund = "refunded", f.Reason, &amount
	case Fulfilled:
		data.Fulfilment = &fulfilmentData{f.ID, f.Lines, f.Tracking}
	default:
		return Message{}, false
	}
	data.Lines = make([]publicLine, len(o.Lines))
	for i, l := range o.Lines {
		data.Lines[i] = publicLine{l.SKU, l.Name, l.Quantity, o.Amount(l.Quantity * l.UnitPrice)}
	}
	return Message{
		Topic: OrdersTopic, Type: orderEventPrefix + kind + ".v1", Schema: schemaOfOrders + kind + ":v1",
		Order: o.ID, At: at, Sequence: o.Version, Data: data,
	}, true
}

// Number is an order's number as people write it.
func Number(n int64) string { return strconv.FormatInt(n, 10) }
