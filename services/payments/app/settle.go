package app

import (
	"time"

	"github.com/google/uuid"
)

// Settlement of an operation: its outcome, as the provider's answer, its webhook or its silence has it.
type Settlement struct {
	OperationKey
	Result      Result
	GaveUp      bool // no answer to an authorisation until its deadline
	Traceparent string
}

// settle makes the move that an outcome is about. One that comes again, too late or for an operation that was never
// begun does nothing: the status tells which answer is awaited.
func (i *Intent) settle(o Settlement, refund *Refund, now time.Time) {
	i.Traceparent = o.Traceparent
	switch {
	case o.Kind == OpAuthorise && i.Status == Authorising:
		i.settleAuthorise(o, now)
	case o.Kind == OpCapture && i.Status == Capturing:
		i.settleCapture(o.Result, now)
	case o.Kind == OpVoid && i.Status == Voiding && o.Result.Outcome == Voided:
		i.end(OpVoid, uuid.Nil)
		i.to(IsVoided, i.Reason, now)
		i.tellVoided()
	case o.Kind == OpRefund && refund != nil && refund.Status == RefundPending:
		i.settleRefund(refund, o.Result, now)
	}
}

func (i *Intent) settleAuthorise(o Settlement, now time.Time) {
	switch {
	case o.GaveUp:
		i.end(OpAuthorise, uuid.Nil)
		i.tell(EventDeclined, EventData{Reason: ReasonTimeout})
		i.void(ReasonTimeout, now) // it may have happened all the same
	case o.Result.Outcome == Authorised:
		i.end(OpAuthorise, uuid.Nil)
		i.ProviderRef = o.Result.Reference
		i.to(IsAuthorised, "", now)
		i.tellAuthorised()
		if i.CaptureMethod == Automatic {
			i.to(Capturing, "", now)
			i.start(OpCapture, i.Amount, nil)
		}
	case o.Result.Outcome == Declined:
		i.decline(o.Result.Reason, now)
	}
}

func (i *Intent) decline(reason string, now time.Time) {
	if reason == "" {
		reason = "declined"
	}
	i.end(OpAuthorise, uuid.Nil)
	i.to(IsDeclined, reason, now)
	i.tell(EventDeclined, EventData{Reason: reason})
}

func (i *Intent) settleCapture(r Result, now time.Time) {
	switch r.Outcome {
	case Captured:
		i.end(OpCapture, uuid.Nil)
		i.Captured, i.VoidWanted = i.Amount, "" // too late for a void: whoever wanted it learns of the capture
		i.to(IsCaptured, "", now)
		i.post(OpCapture, uuid.Nil, Clearing(i.Provider), Sales, i.Captured)
		i.tellCaptured()
	case Failed:
		i.end(OpCapture, uuid.Nil)
		reason, void := r.Reason, i.VoidWanted
		if reason == "" {
			reason = "failed"
		}
		i.to(CaptureFailed, reason, now)
		i.tell(EventCaptureFailed, EventData{Reason: reason})
		if void != "" {
			i.void(void, now)
		}
	}
}

func (i *Intent) settleRefund(r *Refund, result Result, now time.Time) {
	switch result.Outcome {
	case Refunded:
		i.end(OpRefund, r.ID)
		i.Refunding -= r.Amount.Minor
		i.Refunded += r.Amount.Minor
		i.touch(now)
		r.to(RefundSucceeded, "", now)
		r.ProviderRef = result.Reference
		i.post(OpRefund, r.ID, Refunds, Clearing(i.Provider), r.Amount.Minor)
		i.tellRefunded(r)
	case Failed:
		i.end(OpRefund, r.ID)
		i.Refunding -= r.Amount.Minor
		i.touch(now)
		reason := result.Reason
		if reason == "" {
			reason = "failed"
		}
		r.to(RefundFailed, reason, now)
		i.tellRefund(r)
	}
}
