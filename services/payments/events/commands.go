// Package events consumes the checkout's commands. What the service publishes, its store appends to the outbox.
package events

import (
	"fmt"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/google/uuid"

	kafka "souk/internal/events"
	"souk/internal/money"
	"souk/services/payments/app"
)

// Group is the consumer group of all instances.
const Group = "payments"

// CommandsTopic is consumed.
const CommandsTopic = "payments.commands.v1"

// Types of commands; others of the topic are passed over.
const (
	Authorise = "souk.payments.authorise.v1"
	Capture   = "souk.payments.capture.v1"
	Void      = "souk.payments.void.v1"
	Refund    = "souk.payments.refund.v1"
)

// maxReason bounds what a reason may be that goes into our books and events.
const maxReason = 200

// parse reads a command; is false for another type. It takes members that it doesn't know: orders may add some.
func parse(m kafka.Message) (c app.Command, is bool, err error) {
	switch m.Event.Type() {
	case Authorise:
		c.Kind = app.OpAuthorise
	case Capture:
		c.Kind = app.OpCapture
	case Void:
		c.Kind = app.OpVoid
	case Refund:
		c.Kind = app.OpRefund
	default:
		return c, false, nil
	}
	var data struct {
		OrderID  uuid.UUID    `json:"order_id"`
		UserID   uuid.UUID    `json:"user_id"`
		Amount   money.Amount `json:"amount"`
		Method   string       `json:"payment_method"`
		Deadline time.Time    `json:"deadline"`
		RefundID uuid.UUID    `json:"refund_id"`
		Reason   string       `json:"reason"`
	}
	if err := json.Unmarshal(m.Event.Data(), &data); err != nil {
		return c, true, fmt.Errorf("%s: its data: %w", m.Event.Type(), err)
	}
	c.OrderID, c.UserID, c.Amount, c.Method, c.Deadline = data.OrderID, data.UserID, data.Amount, data.Method, data.Deadline
	c.RefundID, c.Reason, c.Traceparent = data.RefundID, data.Reason, m.Traceparent
	if err := check(c); err != nil {
		return c, true, fmt.Errorf("%s: %w", m.Event.Type(), err)
	}
	return c, true, nil
}

func check(c app.Command) error {
	switch {
	case c.OrderID == uuid.Nil:
		return fmt.Errorf("there is no order_id")
	case len(c.Reason) > maxReason:
		return fmt.Errorf("the reason has more than %d bytes", maxReason)
	}
	if c.Kind == app.OpAuthorise || c.Kind == app.OpRefund {
		if err := c.Amount.Validate(); err != nil {
			return fmt.Errorf("the amount: %w", err)
		}
		if c.Amount.Minor < 1 {
			return fmt.Errorf("the amount is %s", c.Amount)
		}
	}
	if c.Kind == app.OpRefund && c.RefundID == uuid.Nil {
		return fmt.Errorf("there is no refund_id")
	}
	if c.Kind == app.OpAuthorise && (c.UserID == uuid.Nil || c.Deadline.IsZero() || app.CheckMethod(c.Method) != nil) {
		return fmt.Errorf("user_id, deadline or payment_method is missing or malformed")
	}
	return nil
}
