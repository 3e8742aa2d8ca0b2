package app

import (
	"regexp"
	"time"

	"github.com/google/uuid"

	"souk/internal/errs"
)

// Cancellation is who gives an order up, and why.
type Cancellation struct {
	Reason string    // a code such as "changed_mind", not a text: it goes into events
	By     uuid.UUID // the user; Nil: a service
}

// RequestedReason stands for a cancellation that gives none.
const RequestedReason = "requested"

// ErrNotCancellable is the answer to a cancellation that comes too late.
var ErrNotCancellable = errs.New(errs.Conflict, "not-cancellable", "the order can't be cancelled any more")

var reasonForm = regexp.MustCompile(`^[a-z0-9_]{1,64}$`)

// Validate fills in the reason, or says what is wrong with it.
func (c *Cancellation) Validate() error {
	if c.Reason == "" {
		c.Reason = RequestedReason
	}
	if !reasonForm.MatchString(c.Reason) {
		return errs.New(errs.Unprocessable, "invalid-reason", "the reason breaks a rule").
			With(errs.Field{Pointer: "/reason", Detail: "a code of 1 to 64 of a-z, 0-9 and _"})
	}
	return nil
}

// Cancel gives the order up: what is held or paid goes back. An order that was cancelled before stays as it is; one that
// failed, or of which something was handed over, is ErrNotCancellable.
func (o *Order) Cancel(c Cancellation, at time.Time, d Deadlines) error {
	switch {
	case o.Status == WasCancelled:
		return nil
	case o.Status == HasFailed, o.Fulfilment() != "none":
		return ErrNotCancellable
	}
	o.step(at, d, func(record func(Fact)) {
		record(Cancelled(c))
		o.giveBack(record)
	})
	return nil
}
