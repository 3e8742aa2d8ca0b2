package events

import (
	"fmt"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/google/uuid"

	kafka "souk/internal/events"
	"souk/internal/logs"
	"souk/internal/money"
	"souk/services/orders/app"
)

// Types of replies; others of their topics are passed over.
const (
	reservation = "souk.inventory.reservation."
	payment     = "souk.payments.payment."
)

// replyData has the members of all replies.
type replyData struct {
	OrderID   *uuid.UUID `json:"order_id"`
	Reason    string     `json:"reason"`
	ExpiresAt time.Time  `json:"expires_at"`
	Restocked bool       `json:"restocked"`
	Shortages []struct {
		SKU       string `json:"sku"`
		Requested int64  `json:"requested"`
		Available int64  `json:"available"`
	} `json:"shortages"`
	IntentID      string        `json:"intent_id"`
	RefundID      uuid.UUID     `json:"refund_id"`
	Amount        *money.Amount `json:"amount"`
	RefundedTotal *money.Amount `json:"refunded_total"`
}

// readReply reads what inventory or payments says of an order. ok is false for what is about none: stock levels, payments
// that somebody makes without an order. It takes members that it doesn't know: the publishers may add some.
func readReply(m kafka.Message) (r app.Reply, ok bool, err error) {
	kind := m.Event.Type()
	fact := factOf(kind)
	if fact == nil {
		return r, false, nil
	}
	var data replyData
	if err := json.Unmarshal(m.Event.Data(), &data); err != nil {
		return r, false, fmt.Errorf("%s: its data: %w", kind, err)
	}
	if data.OrderID == nil {
		return r, false, nil
	}
	r.Order = *data.OrderID
	if r.Order.String() != m.Key {
		return r, false, fmt.Errorf("%s: the order_id is not the key", kind)
	}
	if t, has := logs.ParseTraceparent(m.Traceparent); has {
		r.Traceparent = t.Child().Traceparent()
	}
	r.Fact, r.Currency, err = fact(&data)
	if err != nil {
		return r, false, fmt.Errorf("%s: %w", kind, err)
	}
	return r, true, nil
}

// factOf is what makes a fact of the data of an event of this type, nil if none does.
func factOf(kind string) func(*replyData) (app.Fact, string, error) {
	plain := func(make func(d *replyData) app.Fact) func(*replyData) (app.Fact, string, error) {
		return func(d *replyData) (app.Fact, string, error) { return make(d), "", nil }
	}
	switch kind {
	case reservation + "reserved.v1":
		return plain(func(d *replyData) app.Fact { return app.StockReserved{ExpiresAt: d.ExpiresAt} })
	case reservation + "rejected.v1":
		return plain(stockRejected)
	case reservation + "expired.v1":
		return plain(func(*replyData) app.Fact { return app.StockExpired{} })
	case reservation + "committed.v1":
		return plain(func(*replyData) app.Fact { return app.StockCommitted{} })
	case reservation + "commit_failed.v1":
		return plain(func(d *replyData) app.Fact { return app.StockCommitFailed{Reason: d.Reason} })
	case reservation + "released.v1":
		return plain(func(d *replyData) app.Fact { return app.StockReleased{Restocked: d.Restocked} })
	case payment + "authorised.v1":
		return func(d *replyData) (app.Fact, string, error) {
			a, err := amountOf(d.Amount)
			return app.PaymentAuthorised{Intent: d.IntentID, Amount: a.Minor}, a.Currency, err
		}
	case payment + "declined.v1":
		return plain(func(d *replyData) app.Fact { return app.PaymentDeclined{Intent: d.IntentID, Reason: d.Reason} })
	case payment + "captured.v1":
		return func(d *replyData) (app.Fact, string, error) {
			a, err := amountOf(d.Amount)
			return app.PaymentCaptured{Intent: d.IntentID, Amount: a.Minor}, a.Currency, err
		}
	case payment + "capture_failed.v1":
		return plain(func(d *replyData) app.Fact { return app.PaymentCaptureFailed{Reason: d.Reason} })
	case payment + "voided.v1":
		return plain(func(*replyData) app.Fact { return app.PaymentVoided{} })
	case payment + "refunded.v1":
		return paymentRefunded
	case payment + "refund_failed.v1":
		return plain(func(d *replyData) app.Fact { return app.RefundFailed{Refund: d.RefundID, Reason: d.Reason} })
	}
	return nil
}

func stockRejected(d *replyData) app.Fact {
	f := app.StockRejected{Reason: d.Reason}
	for _, s := range d.Shortages {
		f.Shortages = append(f.Shortages, app.Shortage(s))
	}
	return f
}

func paymentRefunded(d *replyData) (app.Fact, string, error) {
	amount, err := amountOf(d.Amount)
	if err != nil {
		return nil, "", err
	}
	total, err := amountOf(d.RefundedTotal)
	if err != nil || total.Currency != amount.Currency || d.RefundID == uuid.Nil {
		return nil, "", fmt.Errorf("refund_id, amount and refunded_total of one currency are needed: %w", err)
	}
	return app.PaymentRefunded{Refund: d.RefundID, Amount: amount.Minor, RefundedTotal: total.Minor, Reason: d.Reason}, total.Currency, nil
}

func amountOf(a *money.Amount) (money.Amount, error) {
	if a == nil {
		return money.Amount{}, fmt.Errorf("the amount is missing")
	}
	return *a, a.Validate()
}
