package app

import (
	"context"
	"regexp"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/uuid"

	"souk/internal/errs"
	"souk/internal/money"
)

// MaxPage is how many refunds one page may have.
const MaxPage = 100

// Options of the use cases.
type Options struct {
	Provider  func() string // name of the one for new payments
	Providers []Provider    // all of them
	Wait      time.Duration // that a confirmation, a capture, a cancellation or a refund waits for the provider; 8 s if zero
	Again     time.Duration // how often it looks whether another instance has the answer; 250 ms if zero
}

// Payments has the use cases. It is safe for concurrent use.
type Payments struct {
	Options
	store  Store
	worker *Worker
	hub    hub
	now    func() time.Time
}

// New makes the use cases on a store; the worker asks the providers.
func New(store Store, worker *Worker, o Options) *Payments {
	if o.Wait == 0 {
		o.Wait = 8 * time.Second
	}
	if o.Again == 0 {
		o.Again = 250 * time.Millisecond
	}
	p := &Payments{Options: o, store: store, worker: worker, now: time.Now}
	worker.changed = p.hub.changed
	return p
}

// Answer to a request: Body is JSON, final or how it stands while the provider is asked.
type Answer struct {
	ID       uuid.UUID
	Version  int64
	Body     []byte
	Final    bool
	Replayed bool // an earlier request with the same key had it
}

// NewPayment is what a client says about a payment to be made.
type NewPayment struct {
	Amount        money.Amount
	Method        string // "": the confirmation says it
	CaptureMethod string
	Reference     string // the client's own, such as an invoice's number
}

// methodForm is what a payment method looks like.
var methodForm = regexp.MustCompile(`^[a-z0-9_]{1,64}$`)

// CheckMethod says what is wrong with a payment method.
func CheckMethod(method string) []errs.Field {
	if methodForm.MatchString(method) {
		return nil
	}
	return []errs.Field{{Pointer: "/payment_method", Detail: "must be 1 to 64 of a-z, 0-9 and _"}}
}

// checkAmount wants an amount above zero.
func checkAmount(a money.Amount) (wrong []errs.Field) {
	if a.Minor < 1 {
		wrong = append(wrong, errs.Field{Pointer: "/amount/amount", Detail: "must be above 0"})
	}
	return wrong
}

// oneLine reports a text of at most so many characters without control characters and blanks at its ends.
func oneLine(text string, most int) bool {
	return utf8.RuneCountInString(text) <= most && text == strings.TrimSpace(text) && !strings.ContainsFunc(text, unicode.IsControl)
}

func invalid(wrong []errs.Field) error {
	if len(wrong) == 0 {
		return nil
	}
	return errs.New(errs.Unprocessable, "invalid-payment", "the payment breaks a rule").With(wrong...)
}

// Create makes an intent of no order.
func (p *Payments) Create(ctx context.Context, n NewPayment, once Once) (Answer, error) {
	wrong := checkAmount(n.Amount)
	if n.Method != "" {
		wrong = append(wrong, CheckMethod(n.Method)...)
	}
	if n.CaptureMethod != Automatic && n.CaptureMethod != Manual {
		wrong = append(wrong, errs.Field{Pointer: "/capture_method", Detail: "must be automatic or manual"})
	}
	if !oneLine(n.Reference, 100) {
		wrong = append(wrong, errs.Field{Pointer: "/reference", Detail: "must be at most 100 characters in one line, without blanks at its ends"})
	}
	if err := invalid(wrong); err != nil {
		return Answer{}, err
	}
	if err := n.Amount.Validate(); err != nil {
		return Answer{}, err
	}
	i, err := newIntent(p.Provider(), n.Amount, p.now())
	if err != nil {
		return Answer{}, err
	}
	i.Method, i.CaptureMethod, i.Reference = n.Method, n.CaptureMethod, n.Reference
	if i.Method != "" {
		i.Status = RequiresConfirmation
	}
	return p.do(ctx, &once, i.ID, Selection{}, func(s *Set) (uuid.UUID, error) {
		s.Add(i)
		return i.ID, nil
	}, p.readIntent)
}

// Confirm has a payment authorised, and captured if its capture method says so. once may be nil, like below.
func (p *Payments) Confirm(ctx context.Context, id uuid.UUID, method string, once *Once) (Answer, error) {
	if method != "" {
		if err := invalid(CheckMethod(method)); err != nil {
			return Answer{}, err
		}
	}
	return p.move(ctx, id, once, func(i *Intent, now time.Time) error { return i.Confirm(method, now) })
}

// Capture takes what is authorised.
func (p *Payments) Capture(ctx context.Context, id uuid.UUID, once *Once) (Answer, error) {
	return p.move(ctx, id, once, (*Intent).Capture)
}

// Cancel voids a payment.
func (p *Payments) Cancel(ctx context.Context, id uuid.UUID, reason string, once *Once) (Answer, error) {
	if reason != "" {
		if err := invalid(checkReason(reason)); err != nil {
			return Answer{}, err
		}
	}
	return p.move(ctx, id, once, func(i *Intent, now time.Time) error { return i.Void(reason, now) })
}

// errOfOrder keeps the payment of an order from being moved behind the order's back.
var errOfOrder = errs.New(errs.Conflict, "payment-of-order", "the payment belongs to an order, which moves it; cancel or refund the order")

func (p *Payments) move(ctx context.Context, id uuid.UUID, once *Once, f func(*Intent, time.Time) error) (Answer, error) {
	return p.do(ctx, once, id, Selection{Intents: []uuid.UUID{id}}, func(s *Set) (uuid.UUID, error) {
		i := s.Intent(id)
		switch {
		case i == nil || i.Tombstone():
			return id, ErrNotFound
		case i.OrderID != uuid.Nil:
			return id, errOfOrder
		}
		return id, f(i, s.Now)
	}, p.readIntent)
}

// Refund gives an amount of a captured payment back, all that is left if the amount is zero and without a currency.
func (p *Payments) Refund(ctx context.Context, intent uuid.UUID, amount *money.Amount, reason string, once Once) (Answer, error) {
	wrong := checkReason(reason)
	var part money.Amount
	if amount != nil {
		part = *amount
		wrong = append(wrong, checkAmount(part)...)
	}
	if err := invalid(wrong); err != nil {
		return Answer{}, err
	}
	id, err := uuid.NewV7()
	if err != nil {
		return Answer{}, err
	}
	return p.do(ctx, &once, intent, Selection{Intents: []uuid.UUID{intent}}, func(s *Set) (uuid.UUID, error) {
		i := s.Intent(intent)
		if i == nil || i.Tombstone() {
			return id, errIntentUnknown
		}
		r, err := i.Refund(id, part, reason, s.Now)
		if err == nil {
			s.Refunds[id] = r
		}
		return id, err
	}, p.readRefund)
}

var errIntentUnknown = errs.New(errs.Unprocessable, "payment-intent-unknown", "there is no payment intent with this id").
	With(errs.Field{Pointer: "/payment_intent_id", Detail: "must be the id of a payment intent"})

var reasonForm = regexp.MustCompile(`^[a-z0-9_]{1,64}$`)

// checkReason wants a code: it goes into events, where free text could hold anything about anybody.
func checkReason(reason string) []errs.Field {
	if reasonForm.MatchString(reason) {
		return nil
	}
	return []errs.Field{{Pointer: "/reason", Detail: "must be 1 to 64 of a-z, 0-9 and _: requested_by_customer"}}
}
