package app

import (
	"time"

	"github.com/google/uuid"

	"souk/internal/money"
)

// View is an intent in the shape that the API shows.
type View struct {
	ID            uuid.UUID    `json:"id"`
	Version       int64        `json:"version"`
	Status        Status       `json:"status"`
	Amount        money.Amount `json:"amount"`
	Captured      money.Amount `json:"captured"`
	Refunded      money.Amount `json:"refunded"` // refunds under way are not in it
	CaptureMethod string       `json:"capture_method"`
	Method        string       `json:"payment_method,omitempty"`
	Provider      string       `json:"provider"`
	Reference     string       `json:"reference,omitempty"`
	OrderID       uuid.UUID    `json:"order_id,omitzero"`
	UserID        uuid.UUID    `json:"user_id,omitzero"`
	Reason        string       `json:"reason,omitempty"`
	CreatedAt     time.Time    `json:"created_at"`
	UpdatedAt     time.Time    `json:"updated_at"`
}

// View shows the intent.
func (i *Intent) View() View {
	return View{
		ID: i.ID, Version: i.Version, Status: i.Status, Amount: i.Total(), Captured: i.amount(i.Captured), Refunded: i.amount(i.Refunded),
		CaptureMethod: i.CaptureMethod, Method: i.Method, Provider: i.Provider, Reference: i.Reference, OrderID: i.OrderID, UserID: i.UserID,
		Reason: i.Reason, CreatedAt: i.CreatedAt, UpdatedAt: i.UpdatedAt,
	}
}

// RefundView is a refund in the shape that the API shows.
type RefundView struct {
	ID        uuid.UUID    `json:"id"`
	IntentID  uuid.UUID    `json:"payment_intent_id"`
	Amount    money.Amount `json:"amount"`
	Reason    string       `json:"reason"`
	Status    RefundStatus `json:"status"`
	Failure   string       `json:"failure,omitempty"`
	CreatedAt time.Time    `json:"created_at"`
	UpdatedAt time.Time    `json:"updated_at"`
}

// View shows the refund.
func (r *Refund) View() RefundView {
	return RefundView{
		ID: r.ID, IntentID: r.IntentID, Amount: r.Amount, Reason: r.Reason, Status: r.Status, Failure: r.Failure, CreatedAt: r.CreatedAt, UpdatedAt: r.UpdatedAt,
	}
}
