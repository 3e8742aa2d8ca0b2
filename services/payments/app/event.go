package app

import (
	"github.com/google/uuid"

	"souk/internal/money"
)

// Topic that the service publishes to, and the source of its events.
const (
	Topic  = "payments.events.v1"
	Source = "/payments"
)

// EventType is the type of a published event.
type EventType string

// Types of events.
const (
	EventAuthorised    EventType = "souk.payments.payment.authorised.v1"
	EventDeclined      EventType = "souk.payments.payment.declined.v1"
	EventCaptured      EventType = "souk.payments.payment.captured.v1"
	EventCaptureFailed EventType = "souk.payments.payment.capture_failed.v1"
	EventVoided        EventType = "souk.payments.payment.voided.v1"
	EventRefunded      EventType = "souk.payments.payment.refunded.v1"
	EventRefundFailed  EventType = "souk.payments.payment.refund_failed.v1"
)

// Event to be published. Its key is the order's id, or the intent's if there is no order.
type Event struct {
	Type        EventType
	Key         uuid.UUID
	Traceparent string
	Data        EventData
}

// EventData is the data of all types; each has the members that its schema in contracts/ names.
type EventData struct {
	OrderID       uuid.UUID     `json:"order_id,omitzero"`
	IntentID      uuid.UUID     `json:"intent_id,omitzero"`
	RefundID      uuid.UUID     `json:"refund_id,omitzero"`
	Amount        *money.Amount `json:"amount,omitempty"`
	RefundedTotal *money.Amount `json:"refunded_total,omitempty"`
	Provider      string        `json:"provider,omitempty"`
	Reason        string        `json:"reason,omitempty"`
}

// tell publishes an event about the intent.
func (i *Intent) tell(kind EventType, data EventData) {
	data.OrderID, data.IntentID = i.OrderID, i.ID
	key := i.OrderID
	if key == uuid.Nil {
		key = i.ID
	}
	i.Events = append(i.Events, Event{Type: kind, Key: key, Traceparent: i.Traceparent, Data: data})
}

// tellStatus answers a command that came again: how it stands, unless the provider is still being asked.
func (i *Intent) tellStatus() {
	switch i.Status {
	case IsAuthorised, Capturing:
		i.tellAuthorised()
	case IsCaptured:
		i.tellCaptured()
	case CaptureFailed:
		i.tell(EventCaptureFailed, EventData{Reason: i.Reason})
	case IsDeclined:
		i.tell(EventDeclined, EventData{Reason: i.Reason})
	case IsVoided:
		i.tellVoided()
	}
}

func (i *Intent) tellAuthorised() {
	total := i.Total()
	i.tell(EventAuthorised, EventData{Amount: &total, Provider: i.Provider})
}

func (i *Intent) tellCaptured() {
	captured := i.amount(i.Captured)
	i.tell(EventCaptured, EventData{Amount: &captured})
}

func (i *Intent) tellVoided() { i.tell(EventVoided, EventData{Reason: i.Reason}) }
