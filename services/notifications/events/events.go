// Package events consumes what other services publish and stores the mails that it asks for. It publishes nothing.
package events

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	kafka "souk/internal/events"
	"souk/internal/inbox"
	"souk/internal/money"
	"souk/services/notifications/app"
)

// Group is the consumer group of all instances.
const Group = "notifications"

// Topics that are consumed.
const (
	UsersTopic  = "users.events.v1"
	OrdersTopic = "orders.events.v1"
)

// Types of events that matter here; others of these topics are passed over.
const (
	MailRequested = "souk.users.mail.requested.v1"
	UserErased    = "souk.users.user.erased.v1"

	OrderConfirmed = "souk.orders.order.confirmed.v1"
	OrderCancelled = "souk.orders.order.cancelled.v1"
	OrderRefunded  = "souk.orders.order.refunded.v1"
	OrderFailed    = "souk.orders.order.failed.v1"
)

// Store is where mails are queued and erased, in the transaction of the inbox.
type Store interface {
	Queue(ctx context.Context, tx pgx.Tx, mails []app.Mail) error
	Erase(ctx context.Context, tx pgx.Tx, user uuid.UUID) error
}

// Handler is inbox.Options.HandleAll on a store. What becomes of users and of their mails keeps its order.
func Handler(store Store) func(context.Context, pgx.Tx, []kafka.Message) error {
	return func(ctx context.Context, tx pgx.Tx, ms []kafka.Message) error {
		var mails []app.Mail
		queue := func() error {
			if len(mails) == 0 {
				return nil
			}
			err := store.Queue(ctx, tx, mails)
			mails = nil
			return err
		}
		for _, m := range ms {
			if m.Event.Type() == UserErased {
				user, err := erasedUser(m)
				if err != nil {
					return inbox.Poison(err)
				}
				if err := queue(); err != nil {
					return err
				}
				if err := store.Erase(ctx, tx, user); err != nil {
					return err
				}
				continue
			}
			mail, wanted, err := mailOf(m)
			if err != nil {
				return inbox.Poison(err)
			}
			if wanted {
				mails = append(mails, mail)
			}
		}
		return queue()
	}
}

// mailOf is the mail that an event asks for, if any.
func mailOf(m kafka.Message) (mail app.Mail, wanted bool, err error) {
	switch kind := orderKind(m.Event.Type()); {
	case m.Event.Type() == MailRequested:
		mail, err = accountMail(m)
	case kind != "":
		mail, err = orderMail(m, kind)
	default:
		return app.Mail{}, false, nil
	}
	if err != nil {
		return app.Mail{}, false, err
	}
	mail.ID = app.MailID(m.Event.Source(), m.Event.ID())
	mail.Traceparent = m.Traceparent
	mail.RequestedAt = m.Event.Time().UTC().Truncate(time.Millisecond)
	if m.Event.Time().IsZero() {
		mail.RequestedAt = time.Now().UTC().Truncate(time.Millisecond)
	}
	return mail, true, nil
}

// orderKind is the mail that an event of an order asks for; "" if none does, as when it is placed or fulfilled.
func orderKind(event string) app.Kind {
	switch event {
	case OrderConfirmed:
		return app.OrderConfirmed
	case OrderCancelled:
		return app.OrderCancelled
	case OrderRefunded:
		return app.OrderRefunded
	case OrderFailed:
		return app.OrderFailed
	}
	return ""
}

// accountMail reads {"mail_id","kind"}. The key of the event is the id of the user (or of who will be), unless there is
// none and it is the mail's.
func accountMail(m kafka.Message) (app.Mail, error) {
	var data struct {
		MailID uuid.UUID `json:"mail_id"`
		Kind   app.Kind  `json:"kind"`
	}
	if err := read(m, &data); err != nil {
		return app.Mail{}, err
	}
	if data.MailID == uuid.Nil || !slices.Contains(app.AccountKinds(), data.Kind) {
		return app.Mail{}, fmt.Errorf("%s: there is no mail_id, or the kind %q is not known", m.Event.Type(), data.Kind)
	}
	mail := app.Mail{Kind: data.Kind, Subject: data.MailID}
	if user, err := uuid.Parse(m.Key); err == nil && user != data.MailID {
		mail.User = user
	}
	return mail, nil
}

// maxLines is more than any order may have; an event with more is not from orders.
const maxLines = 1000

// orderMail reads {"order_id","user_id","number","total","lines","reason"?,"refund"?}.
func orderMail(m kafka.Message, kind app.Kind) (app.Mail, error) {
	var data struct {
		OrderID uuid.UUID `json:"order_id"`
		UserID  uuid.UUID `json:"user_id"`
		app.Order
	}
	if err := read(m, &data); err != nil {
		return app.Mail{}, err
	}
	order := data.Clean()
	if data.OrderID == uuid.Nil || data.UserID == uuid.Nil || order.Number == "" || len(order.Lines) > maxLines {
		return app.Mail{}, fmt.Errorf("%s: order_id, user_id or number is missing, or there are more than %d lines", m.Event.Type(), maxLines)
	}
	amounts := []money.Amount{data.Total}
	for _, l := range order.Lines {
		amounts = append(amounts, l.Total)
	}
	if data.Refund != nil {
		amounts = append(amounts, *data.Refund)
	}
	for _, a := range amounts {
		if err := a.Validate(); err != nil {
			return app.Mail{}, fmt.Errorf("%s: an amount: %w", m.Event.Type(), err)
		}
	}
	return app.Mail{Kind: kind, User: data.UserID, Subject: data.OrderID, Order: &order}, nil
}

func erasedUser(m kafka.Message) (uuid.UUID, error) {
	var data struct {
		UserID uuid.UUID `json:"user_id"`
	}
	err := read(m, &data)
	if err == nil && data.UserID == uuid.Nil {
		err = fmt.Errorf("%s: user_id is missing", m.Event.Type())
	}
	return data.UserID, err
}

// read takes members that it doesn't know: a publisher may add some.
func read(m kafka.Message, data any) error {
	if err := json.Unmarshal(m.Event.Data(), data); err != nil {
		return fmt.Errorf("%s: its data: %w", m.Event.Type(), err)
	}
	return nil
}
