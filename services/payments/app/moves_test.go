package app

import (
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"

	"souk/internal/money"
)

func inStatus(s Status) *Intent {
	i := &Intent{ID: uuid.New(), Version: 1, Status: s, Provider: "bank", Method: "pm", Currency: "EUR", Amount: 100}
	if s == RequiresMethod {
		i.Method = ""
	}
	if s == IsCaptured {
		i.Captured = 100
	}
	return i
}

func TestEachStatusAllowsItsMovesAndNoOther(t *testing.T) {
	all := []Status{RequiresMethod, RequiresConfirmation, Authorising, IsAuthorised, Capturing, IsCaptured, CaptureFailed, Voiding, IsVoided, IsDeclined}
	now := time.Now()
	for name, move := range map[string]struct {
		do      func(*Intent) error
		refusal error
		to      map[Status]Status // that it is allowed in, and what it makes of it
	}{
		"confirm": {func(i *Intent) error { return i.Confirm("pm", now) }, ErrNotConfirmable, map[Status]Status{
			RequiresMethod: Authorising, RequiresConfirmation: Authorising,
		}},
		"capture": {func(i *Intent) error { return i.Capture(now) }, ErrNotCapturable, map[Status]Status{IsAuthorised: Capturing}},
		"void": {func(i *Intent) error { return i.Void("", now) }, ErrNotCancellable, map[Status]Status{
			RequiresMethod: IsVoided, RequiresConfirmation: IsVoided, Authorising: Voiding, IsAuthorised: Voiding, CaptureFailed: Voiding,
			Capturing: Capturing, Voiding: Voiding, IsVoided: IsVoided,
		}},
		"refund": {func(i *Intent) error { _, err := i.Refund(uuid.New(), money.Amount{}, "x", now); return err }, ErrNotRefundable, map[Status]Status{
			IsCaptured: IsCaptured,
		}},
	} {
		for _, s := range all {
			i := inStatus(s)
			err := move.do(i)
			want, allowed := move.to[s]
			switch {
			case !allowed && (!errors.Is(err, move.refusal) || i.Status != s || i.Version != 1 || i.Moved()):
				t.Errorf("%s in %s: %v, and it is %+v", name, s, err, i)
			case allowed && (err != nil || i.Status != want):
				t.Errorf("%s in %s: %v, and it is %s", name, s, err, i.Status)
			}
		}
	}
}

func TestAnOutcomeCountsOnlyWhereItIsAwaited(t *testing.T) {
	now := time.Now()
	awaited := map[Kind]Status{OpAuthorise: Authorising, OpCapture: Capturing, OpVoid: Voiding}
	outcomes := map[Kind][]Outcome{OpAuthorise: {Authorised, Declined}, OpCapture: {Captured, Failed}, OpVoid: {Voided}}
	for _, s := range []Status{RequiresMethod, RequiresConfirmation, Authorising, IsAuthorised, Capturing, IsCaptured, CaptureFailed, Voiding, IsVoided, IsDeclined} {
		for kind, all := range outcomes {
			for _, o := range all {
				i := inStatus(s)
				settled := Settlement{OperationKey: OperationKey{IntentID: i.ID, Kind: kind}, Result: Result{Outcome: o}}
				i.settle(settled, nil, now)
				if i.Moved() != (awaited[kind] == s) {
					t.Errorf("%s of %s in %s: moved is %t", o, kind, s, i.Moved())
				}
				before := *i
				i.settle(settled, nil, now)
				if i.Status != before.Status || i.Version != before.Version || len(i.Postings) != len(before.Postings) || len(i.Events) != len(before.Events) {
					t.Errorf("%s of %s in %s counts twice", o, kind, s)
				}
			}
		}
	}
}

func TestEveryCommandIsAnsweredUnlessTheProviderIsAsked(t *testing.T) {
	order := uuid.New()
	c := Command{OrderID: order, UserID: uuid.New(), Amount: money.Amount{Minor: 100, Currency: "EUR"}, Method: "pm", Deadline: time.Now().Add(time.Hour)}
	for _, s := range []Status{Authorising, IsAuthorised, Capturing, IsCaptured, CaptureFailed, Voiding, IsVoided, IsDeclined} {
		for _, kind := range []Kind{OpAuthorise, OpCapture, OpVoid, OpRefund} {
			i := inStatus(s)
			i.OrderID, i.UserID = order, c.UserID
			set := NewSet(time.Now(), []*Intent{i}, nil)
			c.Kind, c.RefundID = kind, uuid.New()
			if err := set.Obey([]Command{c}, "bank"); err != nil {
				t.Errorf("%s in %s: %v", kind, s, err)
			}
			asks := len(i.Start) > 0 || i.Status.Asking()
			if len(i.Events) == 0 && !asks {
				t.Errorf("%s in %s: no answer", kind, s)
			}
			if s.Asking() && kind == OpAuthorise && len(i.Events) > 0 && s != Capturing {
				t.Errorf("%s in %s is answered with %s although the provider has not answered", kind, s, i.Events[0].Type)
			}
		}
	}
}
