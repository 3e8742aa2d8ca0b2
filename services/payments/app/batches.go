package app

import (
	"context"
	"time"

	"souk/internal/errs"
	"souk/internal/logs"
)

// storeAll stores answers until there are no more.
func (w *Worker) storeAll(ctx context.Context) {
	for first := range w.answers {
		var settled []Settlement
		var postponed []Postponed
		add := func(a answer) {
			if a.settled != nil {
				settled = append(settled, *a.settled)
			} else {
				postponed = append(postponed, *a.postponed)
			}
		}
		add(first)
		timer := time.NewTimer(w.Linger)
		for more := true; more && len(settled)+len(postponed) < w.Batch; {
			select {
			case a, open := <-w.answers:
				if more = open; more {
					add(a)
				}
			case <-timer.C:
				more = false
			}
		}
		timer.Stop()
		w.settle(ctx, settled)
		if len(postponed) > 0 {
			if err := w.store.Postpone(ctx, postponed); err != nil {
				w.Log.WarnContext(ctx, "Operations of payments can't be postponed; they come when their leases end", logs.Err(err))
			}
		}
	}
}

// settle stores outcomes. Those that can't be stored are left: their operations are claimed again, and the provider
// repeats its answers. One whose storing fails for its own sake does not keep back the others.
func (w *Worker) settle(ctx context.Context, all []Settlement) {
	if len(all) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	set, err := w.store.Change(ctx, selectSettled(all), func(s *Set) error {
		s.Settle(all)
		return nil
	})
	switch {
	case err == nil:
		w.Submit(set.Operations())
		w.changed(set)
	case len(all) > 1 && errs.KindOf(err) == errs.Internal:
		for _, one := range all {
			w.settle(ctx, []Settlement{one})
		}
	default:
		w.Log.ErrorContext(ctx, "What a provider answered could not be stored; it is asked again", "payment.intent", all[0].IntentID.String(),
			"event.action", string(all[0].Kind), logs.Err(err))
	}
}

func selectSettled(all []Settlement) (s Selection) {
	for _, o := range all {
		s.Intents = append(s.Intents, o.IntentID)
		if o.Kind == OpRefund {
			s.Refunds = append(s.Refunds, o.RefundID)
		}
	}
	return s
}
