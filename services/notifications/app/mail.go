// Package app is what the service is about: mails that events ask for, each sent once. It knows neither Kafka nor
// PostgreSQL, SMTP nor HTTP.
package app

import (
	"slices"
	"time"

	"github.com/google/uuid"

	"souk/internal/money"
)

// Kind of a mail: what it tells.
type Kind string

// Those of an account have their address and link from users; those of an order come with the order.
const (
	VerifyEmail     Kind = "verify_email"
	AccountExists   Kind = "account_exists"
	ResetPassword   Kind = "reset_password"
	PasswordChanged Kind = "password_changed"
	AccountLocked   Kind = "account_locked"

	OrderConfirmed Kind = "order_confirmed"
	OrderCancelled Kind = "order_cancelled"
	OrderRefunded  Kind = "order_refunded"
	OrderFailed    Kind = "order_failed"
)

// AccountKinds are those that users asks for.
func AccountKinds() []Kind {
	return []Kind{VerifyEmail, AccountExists, ResetPassword, PasswordChanged, AccountLocked}
}

// OrderKinds are those that follow from what happens to an order.
func OrderKinds() []Kind { return []Kind{OrderConfirmed, OrderCancelled, OrderRefunded, OrderFailed} }

// OfOrder reports whether it is one of OrderKinds.
func (k Kind) OfOrder() bool { return slices.Contains(OrderKinds(), k) }

// Known reports whether there is such a kind.
func (k Kind) Known() bool { return k.OfOrder() || slices.Contains(AccountKinds(), k) }

// HasLink reports whether a mail of this kind is of no use without one.
func (k Kind) HasLink() bool { return k == VerifyEmail || k == ResetPassword }

// Mail that an event asked for. It holds no address: users is asked for that when the mail is sent.
type Mail struct {
	ID          uuid.UUID // MailID of the event
	Kind        Kind
	User        uuid.UUID // whose it is; Nil if nobody's account is known
	Subject     uuid.UUID // the mail's id at users, or the order's
	Order       *Order    // of an order's mail
	RequestedAt time.Time // of the event; whole milliseconds, UTC
	Traceparent string    // of the event, or ""
}

// Order as its event tells of it.
type Order struct {
	Number string        `json:"number"` // as the customer knows it
	Total  money.Amount  `json:"total"`
	Lines  []Line        `json:"lines"`
	Reason string        `json:"reason,omitempty"` // why it was cancelled or refunded; the code of why it failed
	Refund *money.Amount `json:"refund,omitempty"` // what is paid back, if the event says
}

// Clean is the order with each text on one line of bearable length.
func (o Order) Clean() Order {
	o.Number, o.Reason = OneLine(o.Number, 64), OneLine(o.Reason, 300)
	o.Lines = slices.Clone(o.Lines)
	for i := range o.Lines {
		o.Lines[i].SKU, o.Lines[i].Name = OneLine(o.Lines[i].SKU, 64), OneLine(o.Lines[i].Name, 200)
	}
	return o
}

// Line of an order.
type Line struct {
	SKU      string       `json:"sku"`
	Name     string       `json:"name"`
	Quantity int64        `json:"quantity"`
	Total    money.Amount `json:"total"`
}

// mailSpace makes ids of mails differ from whatever else is derived from an event's id.
var mailSpace = uuid.MustParse("5b4f8a44-7c0d-5f0e-9d0a-3f1f6f0c7e51")

// MailID follows from the event that asks for the mail, so that a repetition of the event is the same mail: the row,
// the Message-ID and the file's name that come of it are the same too.
func MailID(source, eventID string) uuid.UUID {
	return uuid.NewSHA1(mailSpace, []byte(source+"\x00"+eventID))
}

// Content is what users adds when a mail is sent. It is never stored.
type Content struct {
	Kind      Kind      // of an account's mail: users may have another one sent than it asked for
	To        string    // address
	Name      string    // as its owner wrote it: anything may be in it
	Locale    string    // "de-AT"
	Link      string    // holds a token: a secret; "" if the kind has none
	ExpiresAt time.Time // of the link; zero if it has none
}
