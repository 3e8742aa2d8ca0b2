package sandbox

import (
	"time"

	"github.com/google/uuid"

	"souk/services/payments/app"
)

// entry of the books.
type entry struct {
	payment   uuid.UUID
	seq       int32
	operation string
	kind      app.Kind
	outcome   app.Outcome
	amount    int64
	currency  string
	reason    string
	notifyAt  *time.Time
}

// fault is the outcome of a call that failed before it did anything.
const fault app.Outcome = "fault"

// payment is what the entries about it add up to.
type payment struct {
	id                             uuid.UUID
	next                           int32
	authorised, captured, refunded int64
	currency                       string
	voided                         bool
	last                           map[string]entry // by operation
}

func (p *payment) held() int64 {
	if p.voided || p.captured > 0 {
		return 0
	}
	return p.authorised
}

func (p *payment) add(e entry) {
	if p.last == nil {
		p.last = map[string]entry{}
	}
	p.last[e.operation] = e
	p.next = e.seq + 1
	switch e.outcome {
	case app.Authorised:
		p.authorised, p.currency = p.authorised+e.amount, e.currency
	case app.Captured:
		p.captured += e.amount
	case app.Refunded:
		p.refunded += e.amount
	case app.Voided:
		p.voided = true
	}
}

// answer is what a call is told, and the entry that it makes, if any: an operation that is in the books makes none.
func (p *payment) answer(c *call, late time.Time) (r app.Result, made *entry, err error) {
	known, again := p.last[c.request.OperationID]
	switch {
	case again && known.outcome != fault:
		return p.result(known), nil, nil
	case c.lookup:
		return app.Result{}, nil, app.ErrUnknownOperation
	}
	e := entry{
		payment: p.id, seq: p.next, operation: c.request.OperationID, kind: c.kind, amount: c.request.Amount.Minor, currency: c.request.Amount.Currency,
	}
	switch c.kind {
	case app.OpAuthorise:
		e.outcome, e.reason = p.authorise(c.request.Method, again)
		if e.outcome == app.Processing {
			e.notifyAt = &late
		}
	case app.OpCapture:
		e.outcome, e.reason = p.capture(c.request)
	case app.OpVoid:
		e.outcome = app.Voided
		if p.captured > 0 {
			e.outcome, e.reason = app.Failed, "captured"
		}
	case app.OpRefund:
		e.outcome = app.Refunded
		if e.amount < 1 || e.amount > p.captured-p.refunded || e.currency != p.currency {
			e.outcome, e.reason = app.Failed, "exceeds_captured"
		}
	}
	p.add(e)
	if e.outcome == fault {
		return app.Result{}, &e, errFault
	}
	return p.result(e), &e, nil
}

func (p *payment) result(e entry) app.Result {
	return app.Result{Outcome: e.outcome, Reference: "sbx_" + p.id.String(), Reason: e.reason}
}

func (p *payment) authorise(method string, again bool) (app.Outcome, string) {
	if p.voided {
		return app.Declined, "voided"
	}
	switch method {
	case Approve, Timeout, CaptureFails:
		return app.Authorised, ""
	case ErrorOnce:
		if again {
			return app.Authorised, ""
		}
		return fault, ""
	case LateWebhook:
		return app.Processing, ""
	case Decline:
		return app.Declined, "card_declined"
	case InsufficientFunds:
		return app.Declined, "insufficient_funds"
	}
	return app.Declined, "unknown_payment_method"
}

func (p *payment) capture(r app.Request) (app.Outcome, string) {
	switch {
	case p.voided:
		return app.Failed, "voided"
	case p.captured > 0:
		return app.Failed, "captured"
	case r.Amount.Minor < 1 || r.Amount.Minor > p.authorised || r.Amount.Currency != p.currency:
		return app.Failed, "exceeds_authorised"
	case r.Method == CaptureFails:
		return app.Failed, "capture_refused"
	}
	return app.Captured, ""
}

// finish ends an authorisation that was in progress, as a webhook then tells.
func (p *payment) finish(operation string) (made *entry, r app.Result) {
	e, known := p.last[operation]
	if !known || e.outcome != app.Processing {
		return nil, p.result(e)
	}
	e.seq, e.notifyAt, e.outcome = p.next, nil, app.Authorised
	if p.voided {
		e.outcome, e.reason = app.Declined, "voided"
	}
	p.add(e)
	return &e, p.result(e)
}
