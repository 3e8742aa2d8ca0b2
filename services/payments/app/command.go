package app

import (
	"errors"
	"time"

	"github.com/google/uuid"

	"souk/internal/money"
)

// Command of the checkout, about the payment of an order. The same command may come again under another event id: then
// it is answered again and does nothing else.
type Command struct {
	Kind        Kind
	OrderID     uuid.UUID
	UserID      uuid.UUID    // Authorise
	Amount      money.Amount // Authorise, Refund
	Method      string       // Authorise
	Deadline    time.Time    // Authorise
	RefundID    uuid.UUID    // Refund
	Reason      string       // Void, Refund
	Traceparent string
}

// ErrContradiction is a command that differs from an earlier one of which it should be a repetition.
var ErrContradiction = errors.New("the order's payment was asked for before, with another amount or method")

// Select is what the commands are about.
func Select(commands []Command) (s Selection) {
	for _, c := range commands {
		s.Orders = append(s.Orders, c.OrderID)
		if c.Kind == OpRefund {
			s.Refunds = append(s.Refunds, c.RefundID)
		}
	}
	return s
}

// Obey does what the commands say, in their order, through a provider for new payments.
func (s *Set) Obey(commands []Command, provider string) error {
	for _, c := range commands {
		i := s.byOrder[c.OrderID]
		if i != nil {
			i.Traceparent = c.Traceparent
		}
		var err error
		switch {
		case c.Kind == OpAuthorise:
			err = s.authorise(i, c, provider)
		case c.Kind == OpVoid:
			err = s.void(i, c, provider)
		case i == nil: // orders never asks for it; it gets an answer all the same
			err = s.refuseUnknown(c, provider)
		case c.Kind == OpCapture:
			i.obeyCapture(s.Now)
		case c.Kind == OpRefund:
			s.refund(i, c)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (s *Set) authorise(i *Intent, c Command, provider string) error {
	switch {
	case i == nil:
		var err error
		if i, err = newIntent(provider, c.Amount, s.Now); err != nil {
			return err
		}
		i.OrderID, i.UserID, i.Method, i.Deadline, i.Traceparent = c.OrderID, c.UserID, c.Method, moment(c.Deadline), c.Traceparent
		s.Add(i)
		if !s.Now.Before(c.Deadline) {
			i.to(IsDeclined, ReasonDeadline, s.Now)
			i.tell(EventDeclined, EventData{Reason: ReasonDeadline})
			return nil
		}
		i.authorise(s.Now)
	case !i.Tombstone() && (i.Total() != c.Amount || i.Method != c.Method || i.UserID != c.UserID):
		return ErrContradiction
	default:
		i.tellStatus()
	}
	return nil
}

func (s *Set) void(i *Intent, c Command, provider string) (err error) {
	if i == nil {
		if i, err = tombstone(provider, c.OrderID, c.Reason, s.Now); err != nil {
			return err
		}
		i.Traceparent = c.Traceparent
		s.Add(i)
	}
	switch i.Status {
	case IsDeclined: // nothing is held
		i.tell(EventVoided, EventData{Reason: i.Reason})
	case IsVoided, IsCaptured:
		i.tellStatus()
	default:
		err = i.Void(c.Reason, s.Now)
	}
	return err
}

// obeyCapture is Capture for a command, which is always answered.
func (i *Intent) obeyCapture(now time.Time) {
	switch i.Status {
	case IsAuthorised:
		_ = i.Capture(now) // the status allows it
	case Capturing: // the answer comes
	case IsCaptured, CaptureFailed:
		i.tellStatus()
	case Voiding, IsVoided:
		i.tell(EventCaptureFailed, EventData{Reason: ReasonVoided})
	default:
		i.tell(EventCaptureFailed, EventData{Reason: ReasonNotAuthorised})
	}
}

func (s *Set) refund(i *Intent, c Command) {
	if r := s.Refunds[c.RefundID]; r != nil {
		if r.IntentID == i.ID {
			i.tellRefund(r)
		} else {
			i.tell(EventRefundFailed, EventData{RefundID: c.RefundID, Reason: ReasonUnknown})
		}
		return
	}
	r, err := i.Refund(c.RefundID, c.Amount, c.Reason, s.Now)
	if err != nil {
		failure := ReasonExceeds
		switch {
		case errors.Is(err, ErrNotRefundable):
			failure = ReasonNotCaptured
		case errors.Is(err, ErrRefundCurrency):
			failure = ReasonCurrency
		}
		r = i.refuseRefund(c.RefundID, c.Amount, c.Reason, failure, s.Now)
	}
	s.Refunds[r.ID] = r
}

// refuseUnknown answers for an order whose payment was never asked for, and leaves a tombstone, so that it never is.
func (s *Set) refuseUnknown(c Command, provider string) error {
	i, err := tombstone(provider, c.OrderID, ReasonUnknown, s.Now)
	if err != nil {
		return err
	}
	i.Traceparent = c.Traceparent
	s.Add(i)
	if c.Kind == OpCapture {
		i.tell(EventCaptureFailed, EventData{Reason: ReasonUnknown})
		return nil
	}
	i.tell(EventRefundFailed, EventData{RefundID: c.RefundID, Reason: ReasonUnknown})
	return nil
}
